#![expect(clippy::float_cmp, reason = "counts and settings, which no arithmetic has touched")]

use super::*;
use crate::detect::Tier;
use crate::detect::testing::{Letter, Scene, host};
use crate::incident::{Incident, Judgement};
use crate::site::Site;

const PC: &str = "192.168.10.23";
const SERVER: &str = "192.168.10.10";
const BANNER: &str = "220 mail.adatum.example ESMTP";
const UNKNOWN: &str = "550 5.1.1 user unknown";
const LISTED: &str = "554 5.7.1 Service unavailable; Client host [203.0.113.5] blocked using zen.spamhaus.org";
const LATER: &str = "450 4.2.0 Greylisted, see you later";

/// A home whose mail server is named.
fn scene() -> Scene {
    Scene::new(Site { mail_servers: vec![SERVER.parse().unwrap()], ..Site::default() })
}

/// The `n`th server of the world, each in a network of its own.
fn mx(n: u32) -> String {
    format!("198.{}.{}.25", 18 + n / 250, n % 250)
}

/// A mail of `from`'s from `client` to `to` at `server`, and what is said to its RCPT.
fn sends(scene: &mut Scene, client: &str, server: &str, [from, to]: [&str; 2], answer: &str) {
    let helo = if client == SERVER { "mail.adatum.example" } else { "pc23.adatum.example" };
    let mut letter = Letter::from(from).to(to, answer);
    if answer.starts_with('2') {
        letter = letter.data("", to, "250 2.0.0 queued");
    }
    scene.call(client, server).greets("220 mx.contoso.example ESMTP").helo(helo).mail(letter).quit();
}

/// The `n`th of many mails, to a network and a recipient of its own.
fn mails(scene: &mut Scene, client: &str, n: u32, answer: &str) {
    sends(scene, client, &mx(n), ["a@adatum.example", &format!("u{n}@d{n}.example")], answer);
}

fn finding(scene: &Scene, client: &str) -> Option<Finding> {
    scene.findings("outcome_burst").into_iter().find(|finding| finding.host == host(client))
}

fn db(scene: &Scene, client: &str) -> f64 {
    finding(scene, client).map_or(0.0, |finding| finding.db)
}

fn number(scene: &Scene, client: &str, name: &str) -> f64 {
    finding(scene, client).and_then(|finding| finding.numbers.get(name)).unwrap_or(0.0)
}

fn mass_mailer(scene: &Scene, client: &str) -> Option<Incident> {
    let all = Judgement::of(&scene.judge).incidents;
    all.into_iter().find(|incident| incident.host == host(client) && incident.class == Class::MassMailer)
}

#[test]
fn a_worm_sixty_mails_in_five_minutes_seven_in_ten_failing() {
    let mut scene = scene();
    for n in 0..60_u32 {
        let answer = if n % 10 < 3 { "250 ok" } else { UNKNOWN };
        let to = format!("u{n}@d{}.example", n % 28);
        sends(&mut scene, PC, &mx(n % 28), ["x@contoso.example", &to], answer);
        scene.wait(Span::secs(5));
    }
    let incident = mass_mailer(&scene, PC).unwrap();
    assert_eq!((incident.tier, incident.kind), (Tier::Confirmed, None));
    let line = incident.evidence.iter().find(|line| line.family == Family::Outcome).unwrap();
    assert!((line.db - 40.0).abs() < 0.01, "the family's cap: {line:#?}");
    assert!(
        line.says.starts_with("42 of 60 mails it tried to deliver itself failed: 42 to recipients"),
        "{}",
        line.says
    );
}

#[test]
fn what_each_outcome_weighs() {
    let settings = Settings::default();
    let z: Vec<f64> = (0..4).map(|i| weigh(settings.p1[i], settings.p0[i], settings.z_max)).collect();
    for (z, stated) in z.iter().zip([-4.36, 9.0, 6.38, 6.73]) {
        assert!((z - stated).abs() < 0.005, "{z} {stated}");
    }
    for p in [settings.p0, settings.p1] {
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}

#[test]
fn two_failures_are_a_suspicion_one_is_none() {
    let mut scene = scene();
    mails(&mut scene, PC, 0, UNKNOWN);
    assert!(mass_mailer(&scene, PC).is_none(), "-20 + 9 dB");
    mails(&mut scene, PC, 1, UNKNOWN);
    assert_eq!(mass_mailer(&scene, PC).unwrap().tier, Tier::Suspect, "-20 + 18 dB");
}

#[test]
fn a_newsletter_of_two_thousand_with_three_in_a_hundred_dead() {
    let mut scene = scene();
    for n in 0..2000_u32 {
        mails(&mut scene, SERVER, n, if n % 33 == 0 { UNKNOWN } else { "250 ok" });
    }
    assert_eq!(db(&scene, SERVER), 0.0);
    assert!(mass_mailer(&scene, SERVER).is_none());
}

/// The same from a host that nobody named and that takes in no mail. In its first day it looks like a worm with a good
/// list; then it has earned its name.
#[test]
fn a_newsletter_box_that_nobody_named() {
    let mut scene = scene();
    for n in 0..60 {
        mails(&mut scene, "192.168.10.30", n, "250 ok");
    }
    assert_eq!(db(&scene, "192.168.10.30"), 10.0, "sixty recipients within an hour, none of them seen before");
    scene.wait(Span::hours(24));
    mails(&mut scene, "192.168.10.30", 100, "250 ok");
    assert_eq!(db(&scene, "192.168.10.30"), 0.0);
    assert!(mass_mailer(&scene, "192.168.10.30").is_none());
}

#[test]
fn the_second_channel_wants_fifty_recipients_nearly_all_of_them_new() {
    let mut scene = scene();
    for n in 0..49 {
        mails(&mut scene, PC, n, "250 ok");
    }
    assert_eq!(db(&scene, PC), 0.0);
    mails(&mut scene, PC, 49, "250 ok");
    assert_eq!(db(&scene, PC), 10.0);
    // The next day: the same fifty again, and six new ones. 50 of 56 are old.
    scene.wait(Span::hours(20));
    let mut other = self::scene();
    for n in 0..30 {
        mails(&mut other, PC, n, "250 ok");
    }
    other.wait(Span::hours(6));
    for n in 0..60 {
        mails(&mut other, PC, n, "250 ok");
    }
    assert_eq!(db(&other, PC), 0.0, "30 of 60 were mailed in the morning");
}

#[test]
fn an_exchange_with_forty_mails_for_one_dead_exchanger() {
    let mut scene = scene();
    for n in 0..40 {
        mails(&mut scene, SERVER, n, "250 ok");
    }
    // The other side answers, and puts off everything, for a day. Forty mails, tried again every quarter of an hour.
    for _ in 0..96 {
        for n in 0..40 {
            let to = format!("u{n}@dead.example");
            sends(&mut scene, SERVER, "203.0.113.99", ["a@adatum.example", &to], "451 4.3.0 try later");
        }
        scene.wait(Span::mins(15));
    }
    assert_eq!(db(&scene, SERVER), 0.0);
    assert!(mass_mailer(&scene, SERVER).is_none());
    assert_eq!(number(&scene, SERVER, "other"), 0.0);
}

#[test]
fn one_network_may_add_twelve_db_an_hour() {
    let mut scene = scene();
    for n in 0..20 {
        sends(&mut scene, PC, &mx(1), ["a@adatum.example", &format!("u{n}@d.example")], UNKNOWN);
    }
    assert!((db(&scene, PC) - 12.0).abs() < 0.01);
    scene.wait(Span::hours(1));
    for n in 20..40 {
        sends(&mut scene, PC, &mx(1), ["a@adatum.example", &format!("u{n}@d.example")], UNKNOWN);
    }
    assert!((db(&scene, PC) - 24.0).abs() < 0.01);
}

#[test]
fn a_retry_is_no_news() {
    let mut scene = scene();
    for _ in 0..10 {
        sends(&mut scene, PC, &mx(1), ["a@adatum.example", "u@d.example"], UNKNOWN);
    }
    assert!((db(&scene, PC) - 9.0).abs() < 0.01);
}

/// Greylisted mail that comes back counts neither way; what never comes back counts after four hours.
#[test]
fn queues_come_back_and_bots_do_not() {
    let (mut queue, mut bot) = (scene(), scene());
    for scene in [&mut queue, &mut bot] {
        for n in 0..5 {
            mails(scene, PC, n, LATER);
        }
    }
    queue.wait(Span::mins(10));
    for n in 0..5 {
        mails(&mut queue, PC, n, if n == 0 { LATER } else { "250 ok" });
    }
    for scene in [&mut queue, &mut bot] {
        scene.wait(Span::hours(5));
        mails(scene, PC, 100, "250 ok");
    }
    assert_eq!(db(&queue, PC), 0.0, "{:#?}", finding(&queue, PC));
    // Five times `other`, then one mail taken: the peak is that of the five.
    assert!((db(&bot, PC) - 5.0 * 6.73).abs() < 0.05, "{}", db(&bot, PC));
    assert_eq!(number(&bot, PC, "other"), 5.0);
}

/// R1: once the address is listed, everybody behind it is refused. That tells nothing of whom.
#[test]
fn refusals_of_a_listed_gateway_accuse_nobody() {
    let mut scene = scene();
    for n in 0..30 {
        mails(&mut scene, SERVER, n, LISTED);
    }
    assert!(mass_mailer(&scene, SERVER).is_none());
    assert_eq!(db(&scene, SERVER), 0.0);
    // Policy is neutral, other outcomes are not: the PC is told by its unknown users.
    for n in 100..110 {
        mails(&mut scene, PC, n, if n % 2 == 0 { UNKNOWN } else { "554 5.7.1 Access denied" });
    }
    assert!((db(&scene, PC) - 5.0 * 9.0).abs() < 0.01);
    assert_eq!(number(&scene, PC, "not_counted_listed"), 5.0);
    assert_eq!(number(&scene, PC, "policy"), 0.0);
}

#[test]
fn the_first_listing_refusal_is_neutral_already() {
    let mut scene = scene();
    mails(&mut scene, PC, 0, LISTED);
    mails(&mut scene, PC, 1, UNKNOWN);
    assert_eq!((number(&scene, PC, "policy"), number(&scene, PC, "not_counted_listed")), (0.0, 1.0));
}

/// Bounces of forged mail fail by nature; they are D4's. A worm may use the null sender too.
#[test]
fn null_senders_of_a_server_are_not_judged_here_but_a_clients_are() {
    let mut scene = scene();
    scene
        .call("203.0.113.9", "192.168.10.11")
        .greets(BANNER)
        .helo("mx.contoso.example")
        .mail(Letter::from("a@contoso.example").rcpt("b@adatum.example").data("m", "b", "250 queued"))
        .quit();
    for n in 0..20 {
        for client in [SERVER, "192.168.10.11", PC] {
            sends(&mut scene, client, &mx(n), ["", &format!("u{n}@d{n}.example")], UNKNOWN);
        }
    }
    assert_eq!(db(&scene, "192.168.10.11"), 0.0, "it takes mail");
    assert_eq!(db(&scene, SERVER), 0.0, "it is named a mail server, though it was seen to take none");
    assert!(db(&scene, PC) > 100.0);
}

/// What fails before STARTTLS stays visible, what succeeds behind it does not.
#[test]
fn where_tls_hides_most_failures_are_no_more_than_a_suspicion() {
    let mut scene = scene();
    for n in 0..20 {
        mails(&mut scene, PC, n, UNKNOWN);
    }
    assert!(db(&scene, PC) > 100.0);
    for n in 0..20 {
        scene.call(PC, &mx(n)).greets(BANNER).helo("pc23.adatum.example").starttls(5000).quit();
    }
    assert!(db(&scene, PC) > 100.0, "half is not most");
    scene.call(PC, &mx(30)).greets(BANNER).helo("pc23.adatum.example").starttls(5000).quit();
    assert_eq!((db(&scene, PC), number(&scene, PC, "hidden")), (10.0, 21.0));
}

#[test]
fn three_kilobytes_under_tls_are_a_mail_taken() {
    let (mut enough, mut less) = (scene(), scene());
    for (scene, bytes) in [(&mut enough, 3000), (&mut less, 2999)] {
        mails(scene, PC, 0, UNKNOWN);
        scene.call(PC, &mx(1)).greets(BANNER).helo("pc23.adatum.example").starttls(bytes).quit();
        mails(scene, PC, 2, UNKNOWN);
    }
    assert!((db(&enough, PC) - (18.0 - 4.36)).abs() < 0.01, "{}", db(&enough, PC));
    assert!((db(&less, PC) - 18.0).abs() < 0.01);
}

#[test]
fn a_server_is_held_against_its_own_habits_and_thirty_db_higher() {
    let mut scene = scene();
    for n in 0..5 {
        mails(&mut scene, SERVER, n, UNKNOWN);
        mails(&mut scene, PC, n, UNKNOWN);
    }
    let (server, pc) = (db(&scene, SERVER), db(&scene, PC));
    assert!((pc - 45.0).abs() < 0.01);
    assert!(server < pc - 29.9, "{server} {pc}");
    // A forwarder whose fifth mail is refused gets used to it.
    let mut forwarder = self::scene();
    for n in 0..1500 {
        mails(&mut forwarder, SERVER, n, if n % 5 == 4 { UNKNOWN } else { "250 ok" });
    }
    assert_eq!(db(&forwarder, SERVER), 0.0);
}

/// A mail to several counts as bad if at least half of its recipients are.
#[test]
fn half_of_the_recipients_make_a_bad_mail() {
    let mut scene = scene();
    let letter = |bad: u32| {
        let letter = Letter::from("a@adatum.example").rcpt("r1@d.example");
        let letter = (0..bad).fold(letter, |letter, n| letter.to(&format!("x{n}@d.example"), UNKNOWN));
        letter.rcpt("r2@d.example").data("", "", "250 queued")
    };
    scene.call(PC, &mx(0)).greets(BANNER).helo("pc23.adatum.example").mail(letter(1)).quit();
    assert_eq!(db(&scene, PC), 0.0, "one of three");
    scene.call(PC, &mx(1)).greets(BANNER).helo("pc23.adatum.example").mail(letter(2)).quit();
    assert!((db(&scene, PC) - 9.0).abs() < 0.01, "two of four");
}

/// Mails that were put off, and what a capture shows of the second tries.
mod second_tries {
    use crate::detect::testing::{Letter, Scene};
    use crate::site::Site;
    use crate::time::Span;

    const SERVER: &str = "192.168.10.10";

    fn mail(scene: &mut Scene, n: usize, answer: &str) {
        let letter = Letter::from("news@adatum.example").to(&format!("a@customer{n}.example"), answer);
        scene
            .call(SERVER, &format!("198.51.{n}.25"))
            .greets("220 mx.customer.example ESMTP")
            .helo("mail.adatum.example")
            .mail(letter)
            .quit();
    }

    /// Of a hundred greylisted mails the capture misses the second try of twenty.
    #[test]
    fn second_tries_that_a_capture_missed_are_no_giving_up() {
        let mut scene = Scene::new(Site::default());
        for n in 0..100 {
            mail(&mut scene, n, "451 4.7.1 come back later");
        }
        scene.wait(Span::mins(20));
        for n in (0..100).filter(|n| n % 5 != 0) {
            mail(&mut scene, n, "250 ok");
        }
        scene.wait(Span::hours(5));
        mail(&mut scene, 101, "250 ok");
        let sums: f64 = scene.findings("outcome_burst").iter().filter_map(|found| found.numbers.get("s_peak_db")).sum();
        assert!(sums < 20.0, "{sums}");
    }

    /// All are tried again, and then nothing happens for a night.
    #[test]
    fn a_quiet_night_makes_nothing_of_mails_that_were_put_off() {
        let mut scene = Scene::new(Site::default());
        for round in ["451 4.7.1 come back later", "250 ok"] {
            for n in 0..20 {
                mail(&mut scene, n, round);
            }
            scene.wait(Span::mins(20));
        }
        scene.wait(Span::hours(11));
        mail(&mut scene, 101, "250 ok");
        let sums: f64 = scene.findings("outcome_burst").iter().filter_map(|found| found.numbers.get("s_peak_db")).sum();
        assert!(sums < 20.0, "{sums}");
    }

    /// Nobody comes back: a bot.
    #[test]
    fn mails_that_nobody_tries_again_count() {
        let mut scene = Scene::new(Site::default());
        for n in 0..30 {
            mail(&mut scene, n, "451 4.7.1 come back later");
        }
        scene.wait(Span::hours(5));
        mail(&mut scene, 101, "250 ok");
        let sums: f64 = scene.findings("outcome_burst").iter().filter_map(|found| found.numbers.get("s_peak_db")).sum();
        assert!(sums > 50.0, "{sums}");
    }
}
