#![expect(clippy::float_cmp, reason = "counts and settings, which no arithmetic has touched")]

use super::*;
use crate::detect::testing::{Letter, Scene, host};
use crate::detect::{Severity, Tier};
use crate::incident::{Incident, Judgement};
use crate::site::Site;

const SERVER: &str = "192.168.10.10";
const BANNER: &str = "220 mail.adatum.example ESMTP";
const QUEUED: &str = "250 2.0.0 queued";

/// A home whose mail server is named.
fn scene() -> Scene {
    Scene::new(Site { mail_servers: vec![SERVER.parse().unwrap()], ..Site::default() })
}

/// The `n`th server of the world.
fn mx(n: u32) -> String {
    format!("198.{}.{}.25", 18 + n / 250, n % 250)
}

/// Somebody in the world sends one of us a mail, which is taken.
fn comes_in(scene: &mut Scene, client: &str, from: &str, to: &str) {
    let letter = Letter::from(from).rcpt(to).data("", to, QUEUED);
    scene.call(client, SERVER).greets(BANNER).helo("client.example").mail(letter).quit();
}

fn goes_out(scene: &mut Scene, n: u32, letter: Letter) {
    scene.call(SERVER, &mx(n)).greets("220 mx.contoso.example ESMTP").helo("mail.adatum.example").mail(letter).quit();
}

/// A report to somebody that a mail of theirs could not be delivered.
fn report(to: &str) -> Letter {
    Letter::from("").rcpt(to).data("", to, QUEUED).reports("nobody@adatum.example")
}

fn mail(n: u32) -> Letter {
    let to = format!("friend{n}@d{}.example", n % 20);
    Letter::from("a@adatum.example").rcpt(&to).data("", &to, QUEUED)
}

fn floods(scene: &Scene) -> Vec<Incident> {
    let all = Judgement::of(&scene.judge).incidents;
    all.into_iter().filter(|incident| incident.class == Class::NdrFlood).collect()
}

fn is_quiet(scene: &Scene) {
    let found = scene.findings("ndr_flood");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn three_hundred_forged_mails_and_their_reports() {
    let mut scene = scene();
    for n in 0..300_u32 {
        let sender = format!("victim{n}@d{}.example", n % 120);
        comes_in(&mut scene, &format!("203.0.113.{}", n % 15), &sender, &format!("x{n}@adatum.example"));
        if n % 30 != 7 {
            goes_out(&mut scene, n % 120, report(&sender));
        }
        if n % 30 == 0 {
            goes_out(&mut scene, 200 + n, mail(n));
        }
        scene.wait(Span::secs(1));
    }
    let found = floods(&scene);
    let [incident] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((incident.host, incident.kind), (host(SERVER), Some("reverse")));
    assert_eq!((incident.tier, incident.severity), (Tier::Confirmed, Severity::High));
    assert_eq!(incident.score_db, Some(50.0), "-20 + 60 + 10 dB, two families");
    let number = |name: &str| incident.evidence.iter().find_map(|line| line.numbers.get(name)).unwrap();
    assert_eq!((number("reports"), number("mails"), number("matched")), (290.0, 300.0, 290.0));
    assert_eq!((number("traffic_factor"), number("amplification")), (30.0, 1.0));
    assert_eq!(number("no_recipient_validation"), 1.0);
    assert_eq!(incident.peers.len(), CLIENTS_SHOWN);
    assert!(incident.peers.iter().all(|peer| peer.role == "triggers"));
}

#[test]
fn a_holiday_sixty_auto_replies_among_four_hundred_mails() {
    let (mut marked, mut bare) = (scene(), scene());
    for n in 0..400_u32 {
        for scene in [&mut marked, &mut bare] {
            goes_out(scene, n % 50, mail(n));
        }
        if n % 7 == 3 {
            let away = |n: u32| {
                let to = format!("friend{n}@d.example");
                Letter::from("").rcpt(&to).data("", "I am away", QUEUED)
            };
            goes_out(&mut marked, n % 50, away(n).auto_submitted("auto-replied"));
            goes_out(&mut bare, n % 50, away(n));
        }
        marked.wait(Span::secs(3));
        bare.wait(Span::secs(3));
    }
    is_quiet(&marked);
    is_quiet(&bare);
}

/// They come all at once on the first morning, with no other mail between them.
#[test]
fn auto_replies_that_say_so_are_no_reports() {
    let mut scene = scene();
    for n in 0..60 {
        let letter = Letter::from("").rcpt(&format!("f{n}@d.example")).data("", "", QUEUED);
        goes_out(&mut scene, n, letter.auto_submitted("auto-replied"));
    }
    is_quiet(&scene);
}

/// RFC 3464 section 2.3.3: what was delivered, passed on or sent to a list is told to whoever asked (`NOTIFY=SUCCESS`).
#[test]
fn receipts_are_no_reports_of_non_delivery() {
    let answers = |action: &str| {
        let mut scene = scene();
        for n in 0..60 {
            let sender = format!("asks{n}@d.example");
            comes_in(&mut scene, "203.0.113.9", &sender, &format!("a{n}@adatum.example"));
            goes_out(&mut scene, n, report(&sender).action(action));
        }
        floods(&scene).len()
    };
    for (action, told) in [("delivered", 0), ("relayed", 0), ("expanded", 0), ("failed", 1), ("delayed", 1), ("", 1)] {
        assert_eq!(answers(action), told, "{action}");
    }
}

/// A host of ours hands its mail to the server.
fn hands_in(scene: &mut Scene, client: &str, letter: Letter) {
    scene.call(client, SERVER).greets(BANNER).helo("inside").mail(letter).quit();
}

/// A web shop confirms orders without a sender, by way of the mail server.
#[test]
fn what_a_host_of_ours_hands_in_is_not_the_servers() {
    let order = |n: u32| {
        let to = format!("customer{n}@d.example");
        Letter::from("").rcpt(&to).data("", &to, QUEUED)
    };
    let mut scene = scene();
    for n in 0..60 {
        hands_in(&mut scene, "192.168.10.30", order(n));
        goes_out(&mut scene, n, order(n));
    }
    is_quiet(&scene);
    // It is not known of others to whom nobody inside wrote.
    (100..130).for_each(|n| goes_out(&mut scene, n, order(n)));
    let found = floods(&scene);
    let number = |name: &str| found[0].evidence.iter().find_map(|line| line.numbers.get(name)).unwrap();
    assert_eq!((number("reports"), number("handed_in"), number("mails")), (30.0, 60.0, 90.0));
}

/// A server behind the one that takes the mail bounces it, by way of the first.
#[test]
fn reports_that_a_server_behind_hands_in_count() {
    let flood = |taken_here: bool, letter: fn(&str) -> Letter| {
        let mut scene = scene();
        for n in 0..40 {
            let sender = format!("victim{n}@d.example");
            if taken_here {
                comes_in(&mut scene, "203.0.113.9", &sender, &format!("x{n}@adatum.example"));
            }
            hands_in(&mut scene, "192.168.10.11", letter(&sender));
            goes_out(&mut scene, n, letter(&sender));
        }
        floods(&scene).first().and_then(|incident| incident.kind)
    };
    let bare = |to: &str| Letter::from("").rcpt(to).data("", to, QUEUED);
    assert_eq!(flood(true, report), Some("reverse"));
    assert_eq!(flood(true, bare), Some("reverse"));
    assert_eq!(flood(false, report), Some("other"));
    assert_eq!(flood(false, bare), None);
}

/// Nothing shows that they are answers: nobody is told to switch on recipient validation before the program is sought.
#[test]
fn mail_without_a_sender_that_answers_nothing_is_not_called_a_flood_of_reports() {
    let mut scene = scene();
    for n in 0..60 {
        let to = format!("customer{n}@d.example");
        goes_out(&mut scene, n, Letter::from("").rcpt(&to).data("", &to, QUEUED));
    }
    let found = floods(&scene);
    let [incident] = &found[..] else { panic!("{found:#?}") };
    assert_eq!(incident.kind, Some("other"));
    assert!(incident.summary.contains("many mails without a sender"), "{}", incident.summary);
    assert!(incident.evidence.iter().any(|line| line.says.contains("60 of 60 mails that it sent out had no sender")));
    let told = format!("{} {}", incident.summary, incident.evidence.iter().map(|line| &*line.says).collect::<String>());
    assert!(!told.contains("non-delivery") && !told.contains("spam"), "{told}");
    assert!(incident.remediation[0].starts_with("Find the program that sends without a sender"));
}

#[test]
fn a_server_that_verifies_senders() {
    let mut scene = scene();
    for n in 0..500_u32 {
        let letter = Letter::from("")
            .to(&format!("u{n}@d{}.example", n % 90), if n % 4 == 0 { "550 5.1.1 no" } else { "250 ok" });
        goes_out(&mut scene, n % 90, letter);
    }
    is_quiet(&scene);
}

/// Verification asks again and again for people whose mail was taken before.
#[test]
fn a_server_that_verifies_those_who_write_every_day() {
    let mut scene = scene();
    for n in 0..60 {
        comes_in(&mut scene, "203.0.113.9", &format!("u{n}@d.example"), "b@adatum.example");
    }
    scene.wait(Span::hours(20));
    for n in 0..60 {
        goes_out(&mut scene, n, Letter::from("").rcpt(&format!("u{n}@d.example")));
    }
    is_quiet(&scene);
}

/// Forged senders often do not exist: their servers refuse the report at RCPT.
#[test]
fn reports_that_are_refused_before_data_count_if_they_answer_something() {
    let mut scene = scene();
    for n in 0..40 {
        let sender = format!("victim{n}@d.example");
        comes_in(&mut scene, "203.0.113.9", &sender, &format!("x{n}@adatum.example"));
        goes_out(&mut scene, n, Letter::from("").to(&sender, if n % 2 == 0 { "550 5.1.1 no" } else { "451 later" }));
    }
    let found = floods(&scene);
    let number = |name: &str| found[0].evidence.iter().find_map(|line| line.numbers.get(name)).unwrap();
    assert_eq!((number("reports"), number("failed"), number("deferred")), (40.0, 20.0, 20.0));
}

#[test]
fn twenty_reports_within_ten_minutes_and_not_nineteen() {
    let mut scene = scene();
    for n in 0..19 {
        goes_out(&mut scene, n, report(&format!("v{n}@d.example")));
        scene.wait(Span::secs(30));
    }
    is_quiet(&scene);
    goes_out(&mut scene, 19, report("v19@d.example"));
    assert_eq!(scene.findings("ndr_flood").len(), 2);
    // Slower than that is a trickle.
    let mut slow = self::scene();
    for n in 0..200 {
        goes_out(&mut slow, n, report(&format!("v{n}@d.example")));
        slow.wait(Span::secs(33));
    }
    is_quiet(&slow);
}

/// A few reports an hour are a flood too, if they answer mail that was taken.
#[test]
fn twenty_answers_within_twelve_hours() {
    let flood = |answering: bool, apart: Span| {
        let mut scene = scene();
        for n in 0..30 {
            let sender = format!("v{n}@d.example");
            if answering {
                comes_in(&mut scene, "203.0.113.9", &sender, &format!("x{n}@adatum.example"));
            }
            goes_out(&mut scene, n, report(&sender));
            scene.wait(apart);
        }
        floods(&scene).len()
    };
    // Twenty reports have nineteen pauses.
    assert_eq!(flood(true, Span::mins(37)), 1);
    assert_eq!(flood(true, Span::mins(39)), 0);
    assert_eq!(flood(false, Span::mins(37)), 0);
}

#[test]
fn pairs_are_shown_and_the_end_is_told() {
    let mut scene = scene();
    for n in 0..30 {
        let sender = format!("v{n}@d.example");
        comes_in(&mut scene, "203.0.113.9", &sender, &format!("x{n}@adatum.example"));
        goes_out(&mut scene, n, report(&sender));
    }
    let told = |scene: &Scene| {
        let found = floods(scene).remove(0);
        let line = |family| found.evidence.iter().find(|line| line.family == family).unwrap().clone();
        (line(Family::Ndr).says, line(Family::Trigger).frames, line(Family::Trigger).sessions)
    };
    // 2.79 dB a mail against a flood: seven are not enough.
    (0..7).for_each(|n| goes_out(&mut scene, n, mail(n)));
    let (says, frames, sessions) = told(&scene);
    assert!(!says.contains("none since"), "{says}");
    assert_eq!((frames.len(), sessions.len()), (6, 6));
    assert!(
        sessions.chunks(2).all(|pair| pair[0].orig.host == host("203.0.113.9") && pair[1].orig.host == host(SERVER))
    );
    goes_out(&mut scene, 8, mail(8));
    let (says, ..) = told(&scene);
    assert!(says.contains("none since") && says.contains("while 8 other mails went out"), "{says}");
}

#[test]
fn a_report_tried_again_is_one_report() {
    let mut scene = scene();
    for _ in 0..50 {
        goes_out(&mut scene, 1, report("v@d.example"));
    }
    is_quiet(&scene);
}

/// What the reports answer decides of which kind the flood is, and whether a second family speaks.
#[test]
fn kinds() {
    for (answering, kind, tier) in [
        (40, "reverse", Tier::Confirmed),
        (20, "reverse", Tier::Confirmed),
        (19, "mixed", Tier::Likely),
        (8, "mixed", Tier::Likely),
        (7, "other", Tier::Likely),
    ] {
        let mut scene = scene();
        for n in 0..40 {
            let sender = format!("victim{n}@d.example");
            if n < answering {
                comes_in(&mut scene, "203.0.113.9", &sender, "x@adatum.example");
            }
            goes_out(&mut scene, n, report(&sender));
        }
        let found = floods(&scene);
        assert_eq!((found[0].kind, found[0].tier), (Some(kind), tier), "{answering} of 40");
    }
}

#[test]
fn a_report_answers_for_two_days() {
    for (hours, matched) in [(47, 25.0), (49, 0.0)] {
        let mut scene = scene();
        for n in 0..25 {
            comes_in(&mut scene, "203.0.113.9", &format!("V{n}@D.example"), "x@adatum.example");
        }
        scene.wait(Span::hours(hours));
        for n in 0..25 {
            goes_out(&mut scene, n, report(&format!("v{n}@d.example")));
        }
        let found = floods(&scene);
        let number = |name: &str| found[0].evidence.iter().find_map(|line| line.numbers.get(name)).unwrap();
        assert_eq!(number("matched"), matched, "after {hours} hours");
    }
}

/// A PC that uses the null sender and serves nobody is D1's.
#[test]
fn a_host_that_takes_no_mail_makes_no_reports() {
    let mut scene = scene();
    for n in 0..100 {
        let call = scene.call("192.168.10.23", &mx(n)).greets("220 mx.contoso.example ESMTP").helo("pc23");
        call.mail(report(&format!("v{n}@d.example"))).quit();
    }
    is_quiet(&scene);
}
