#![expect(clippy::float_cmp, reason = "counts and settings, which no arithmetic has touched")]

use super::*;
use crate::detect::testing::{self, Letter, Scene, host};
use crate::incident::{Incident, Judgement};
use crate::site::Site;

const PC: &str = "192.168.10.23";
const SERVER: &str = "192.168.10.10";
const BANNER: &str = "220 mail.adatum.example ESMTP";
const CBL: &str = "550 5.7.1 Service unavailable; Client host [203.0.113.5] blocked using cbl.abuseat.org";
const UNKNOWN: &str = "550 5.1.1 user unknown";

fn scene() -> Scene {
    Scene::new(Site { mail_servers: vec![SERVER.parse().unwrap()], ..Site::default() })
}

/// The `n`th server of the world, each in a network of its own.
fn mx(n: u32) -> String {
    format!("198.51.{n}.25")
}

/// A mail to domain `n`, and what is said to its RCPT.
fn mails(scene: &mut Scene, client: &str, n: u32, answer: &str) {
    let frames = scene.now().as_nanos();
    let mut letter = Letter::from("a@adatum.example").to(&format!("u{frames}@d{n}.example"), answer);
    if answer.starts_with('2') {
        letter = letter.data("", "", "250 2.0.0 queued");
    }
    let helo = if client == SERVER { "mail.adatum.example" } else { "pc23" };
    scene.call(client, &mx(n)).greets("220 mx.contoso.example ESMTP").helo(helo).mail(letter).quit();
}

/// A server that refuses in its greeting.
fn is_shut_out(scene: &mut Scene, client: &str, n: u32) {
    scene.call(client, &mx(n)).greets("554 5.7.1 203.0.113.5 is listed at zen.spamhaus.org").quit();
}

fn incident(scene: &Scene, client: &str, class: Class) -> Option<Incident> {
    let all = Judgement::of(&scene.judge).incidents;
    all.into_iter().find(|incident| incident.host == host(client) && incident.class == class)
}

fn number(incident: &Incident, name: &str) -> f64 {
    incident.evidence.iter().find_map(|line| line.numbers.get(name)).unwrap()
}

/// R1: the worm first, then the listing; the server is the victim, the PC comes first.
#[test]
fn six_domains_name_a_list_and_a_worm_was_there_two_hours_before() {
    let mut scene = scene();
    for n in 0..20 {
        mails(&mut scene, PC, 100 + n, if n % 10 < 7 { UNKNOWN } else { "250 ok" });
    }
    scene.wait(Span::hours(2));
    for n in 0..20 {
        mails(&mut scene, SERVER, n, if n < 6 { CBL } else { "250 ok" });
    }
    let judgement = Judgement::of(&scene.judge);
    assert_eq!(judgement.hosts[0].row.host, host(PC));
    assert_eq!(judgement.hosts[0].tier, Some(Tier::Confirmed));
    let worm = incident(&scene, PC, Class::MassMailer).unwrap();
    let context = worm.evidence.iter().find(|line| line.family == Family::Context).unwrap();
    assert_eq!(context.db, 5.0);
    assert!(context.numbers.get("seconds_before").unwrap() >= 7200.0);

    let victim = incident(&scene, SERVER, Class::Blocklisted).unwrap();
    assert_eq!((victim.tier, victim.severity, victim.score_db), (Tier::Confirmed, Severity::High, None));
    assert_eq!((number(&victim, "refusing_sites"), number(&victim, "domains")), (6.0, 20.0));
    assert!(victim.evidence[0].says.contains("203.0.113.5; named: cbl"), "{}", victim.evidence[0].says);
    assert_eq!(victim.peers.iter().filter(|peer| peer.role == "refuses").count(), 6);
    // The victim is not ranked as an offender, and not called a worm.
    let server = judgement.hosts.iter().find(|ranked| ranked.row.host == host(SERVER)).unwrap();
    assert_eq!((server.tier, server.classes.as_slice()), (None, &[Class::Blocklisted][..]));
}

#[test]
fn refusals_of_a_mails_content_name_no_address() {
    let mut scene = scene();
    for n in 0..2 {
        let refused = "554 5.7.1 message refused: it contains a URL listed at multi.uribl.com";
        let letter = Letter::from("a@adatum.example").rcpt(&format!("u@d{n}.example")).data("", "", refused);
        scene.call(SERVER, &mx(n)).greets("220 mx ESMTP").helo("mail.adatum.example").mail(letter).quit();
    }
    assert!(scene.findings("blocklisted").is_empty(), "{:#?}", scene.findings("blocklisted"));
}

#[test]
fn our_server_that_refuses_others_is_not_listed() {
    let mut scene = scene();
    for n in 0..50 {
        let refused = format!("554 5.7.1 Service unavailable; Client host [{}] blocked using zen.spamhaus.org", mx(n));
        let letter = Letter::from("x@contoso.example").to("u@adatum.example", &refused);
        scene.call(&mx(n), SERVER).greets(BANNER).helo("bot.example").mail(letter).quit();
    }
    assert!(scene.findings("blocklisted").is_empty());
}

#[test]
fn how_bad_depends_on_how_many_domains_and_what_share_of_all() {
    for (refusing, of, tier, severity) in [
        (1, 1, Tier::Suspect, Severity::Low),
        (2, 11, Tier::Likely, Severity::Medium),
        (2, 10, Tier::Confirmed, Severity::High),
        (4, 40, Tier::Likely, Severity::Medium),
        (5, 100, Tier::Confirmed, Severity::High),
    ] {
        let mut scene = scene();
        for n in 0..of {
            mails(&mut scene, SERVER, n, if n < refusing { CBL } else { "250 ok" });
        }
        let found = incident(&scene, SERVER, Class::Blocklisted).unwrap();
        assert_eq!((found.tier, found.severity), (tier, severity), "{refusing} of {of}");
    }
}

#[test]
fn a_throttle_is_no_listing() {
    let mut scene = scene();
    for n in 0..10 {
        mails(&mut scene, SERVER, n, "421 4.7.28 unusual rate of unsolicited mail originating from your IP address");
    }
    assert!(scene.findings("blocklisted").is_empty(), "{:#?}", scene.findings("blocklisted"));
}

#[test]
fn a_refusal_counts_for_a_day() {
    let mut scene = scene();
    mails(&mut scene, SERVER, 0, CBL);
    scene.wait(Span::hours(23));
    mails(&mut scene, SERVER, 1, "250 ok");
    assert!(incident(&scene, SERVER, Class::Blocklisted).is_some());
    scene.wait(Span::hours(2));
    mails(&mut scene, SERVER, 2, "250 ok");
    assert!(incident(&scene, SERVER, Class::Blocklisted).is_none());
}

/// R1's end: the PC is gone, the address is taken off the list, and the queue empties.
#[test]
fn mail_flows_again() {
    let mut scene = scene();
    mails(&mut scene, SERVER, 0, CBL);
    is_shut_out(&mut scene, SERVER, 1);
    mails(&mut scene, SERVER, 2, "250 ok");
    let before = incident(&scene, SERVER, Class::Blocklisted).unwrap();
    assert_eq!((number(&before, "refusing_sites"), number(&before, "accepted_again")), (2.0, 0.0));
    scene.wait(Span::hours(1));
    // One refused the recipient, the other in its greeting; both take mail now.
    mails(&mut scene, SERVER, 0, "250 ok");
    mails(&mut scene, SERVER, 1, "250 ok");
    let after = incident(&scene, SERVER, Class::Blocklisted).unwrap();
    assert_eq!(number(&after, "accepted_again"), 2.0);
    assert!(after.evidence[0].says.contains("; 2 of them have taken mail again since"), "{}", after.evidence[0].says);
    is_shut_out(&mut scene, SERVER, 1);
    let relapse = incident(&scene, SERVER, Class::Blocklisted).unwrap();
    assert_eq!(number(&relapse, "accepted_again"), 1.0);
}

/// Without any mail server in sight, whoever was refused is told so; with one, a client's refusals are not its story.
#[test]
fn who_is_the_victim() {
    let mut scene = scene();
    for n in 0..3 {
        mails(&mut scene, PC, n, CBL);
    }
    assert!(incident(&scene, PC, Class::Blocklisted).is_some());
    mails(&mut scene, SERVER, 10, CBL);
    assert!(incident(&scene, SERVER, Class::Blocklisted).is_some());
    assert!(incident(&scene, PC, Class::Blocklisted).is_none());
}

/// Whoever came after the listing did not cause it, and mail servers are not suspected by having mailed.
#[test]
fn only_who_was_there_before_is_suspected() {
    let mut scene = scene();
    mails(&mut scene, SERVER, 0, "250 ok");
    mails(&mut scene, "192.168.10.31", 1, "250 ok");
    scene.wait(Span::hours(7 * 24 - 1));
    mails(&mut scene, PC, 2, "250 ok");
    scene.wait(Span::hours(2));
    mails(&mut scene, SERVER, 3, CBL);
    mails(&mut scene, "192.168.10.32", 4, "250 ok");
    let suspected: Vec<HostKey> =
        scene.findings("blocklisted").iter().filter(|f| f.family == Family::Context).map(|f| f.host).collect();
    assert_eq!(suspected, [host(PC)], "not the server, not who began eight days before, not who came later");
}

const LISTED: &str = "554 5.7.1 Service unavailable; Client host [203.0.113.5] blocked using zen.spamhaus.org";
/// Two sites in one network.
const SITES: [(&str, &str); 2] = [("192.0.2.25", "office@contoso.example"), ("192.0.2.57", "office@elm.example")];

fn deliver(scene: &mut Scene) {
    for (server, recipient) in SITES {
        let letter = Letter::from("sales@adatum.example").to(recipient, "250 ok").data("m1", "hello", "250 taken");
        scene.call(SERVER, server).greets("220 mx ESMTP").helo("mail.adatum.example").mail(letter).quit();
    }
}

#[test]
fn a_refusing_greeting_counts_for_the_domain_that_the_server_serves() {
    let mut scene = Scene::new(Site { mail_servers: vec![SERVER.parse().unwrap()], ..Site::default() });
    deliver(&mut scene);
    for (server, _) in SITES {
        scene.call(SERVER, server).greets(LISTED).quit();
    }
    let numbers = |scene: &Scene| {
        let finding = scene.findings("blocklisted").remove(0);
        ["refusing_sites", "domains", "accepted_again"].map(|name| finding.numbers.get(name).unwrap())
    };
    assert_eq!(numbers(&scene), [2.0, 2.0, 0.0]);
    deliver(&mut scene);
    assert_eq!(numbers(&scene), [2.0, 2.0, 2.0]);
}

/// The server relays, and is listed for it: nobody is sent to look for a machine behind the gateway.
#[test]
fn a_server_that_is_listed_for_what_it_relays_is_not_called_the_victim() {
    let site = Site { mail_servers: vec![SERVER.parse().unwrap()], ..testing::site(&["adatum.example"]) };
    for relays in [true, false] {
        let mut scene = Scene::new(site.clone());
        for n in 0..3 {
            let (id, to) = (format!("m{n}@spam.example"), format!("u{n}@d{n}.example"));
            let spam = || Letter::from("x@spam.example").rcpt(&to).data(&id, "buy this", "250 2.0.0 queued");
            scene.call("198.18.0.9", SERVER).greets(BANNER).helo("bot.example").mail(spam()).quit();
            if relays {
                let call = scene.call(SERVER, &mx(n)).greets("220 mx.contoso.example ESMTP");
                call.helo("mail.adatum.example").mail(spam()).quit();
            }
        }
        scene.wait(Span::mins(20));
        (0..5).for_each(|n| mails(&mut scene, SERVER, n, CBL));
        let listed = incident(&scene, SERVER, Class::Blocklisted).unwrap();
        let first_step = &listed.remediation[0];
        if relays {
            assert_eq!(incident(&scene, SERVER, Class::Relay).unwrap().tier, Tier::Confirmed);
            assert!(
                listed.summary.ends_with("The likely cause is at this address: it relays mail for strangers."),
                "{}",
                listed.summary
            );
            assert!(first_step.starts_with("Close the relay first: "), "{first_step}");
            assert_eq!(
                listed.remediation.len(),
                2,
                "no rule that lets just this server out: {:#?}",
                listed.remediation
            );
        } else {
            assert!(listed.summary.ends_with("The server is the victim, not the cause."), "{}", listed.summary);
            assert!(first_step.starts_with("Find the machine behind your gateway"), "{first_step}");
        }
    }
}

/// Where no mail server is in sight, the worm itself may be the one that is refused as listed.
#[test]
fn a_worm_that_is_listed_is_not_called_the_victim() {
    let mut scene = scene();
    (0..10).for_each(|n| mails(&mut scene, PC, n, UNKNOWN));
    (10..15).for_each(|n| mails(&mut scene, PC, n, CBL));
    assert!(incident(&scene, PC, Class::MassMailer).unwrap().tier >= Tier::Likely);
    let listed = incident(&scene, PC, Class::Blocklisted).unwrap();
    assert!(
        listed.summary.ends_with("The likely cause is at this address: it sends spam itself."),
        "{}",
        listed.summary
    );
    assert!(listed.remediation[0].starts_with("Stop what sends the spam first"), "{:#?}", listed.remediation);
}

/// Whoever gets the first refusal called a moment before it, and so did its neighbour: that makes nobody its cause.
#[test]
fn a_cause_is_there_a_while_before_the_first_refusal() {
    for (before, suspected) in [(Span::secs(20), false), (Span::secs(300), true)] {
        let mut scene = Scene::new(Site::default());
        mails(&mut scene, "192.168.10.23", 1, "250 2.1.5 ok");
        scene.wait(before);
        mails(&mut scene, SERVER, 2, LISTED);
        let caused = scene.findings("blocklisted").into_iter().filter(|finding| finding.family == Family::Context);
        let hosts: Vec<HostKey> = caused.map(|finding| finding.host).collect();
        assert_eq!(hosts, if suspected { vec![host("192.168.10.23")] } else { vec![] }, "{before:?}");
    }
}
