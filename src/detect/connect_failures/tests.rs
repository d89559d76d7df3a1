#![expect(clippy::float_cmp, reason = "counts and settings, which no arithmetic has touched")]

use super::*;
use crate::detect::testing::{Letter, Scene, host};
use crate::detect::{Class, Tier};
use crate::incident::Judgement;
use crate::site::Site;

const PC: &str = "192.168.10.23";
const SERVER: &str = "192.168.10.10";

/// A home whose mail server is named.
fn scene() -> Scene {
    Scene::new(Site { mail_servers: vec![SERVER.parse().unwrap()], ..Site::default() })
}

/// The `n`th server of the world, each in a network of its own.
fn mx(n: u32) -> String {
    format!("198.{}.{}.25", 18 + n / 250, n % 250)
}

fn reaches(scene: &mut Scene, client: &str, server: &str) {
    scene.call(client, server).greets("220 mx.contoso.example ESMTP").helo("host.adatum.example").quit();
}

/// S at its peak, or what has been told of it.
fn number(scene: &Scene, client: &str, name: &str) -> Option<f64> {
    scene.findings("connect_failures").iter().find(|finding| finding.host == host(client))?.numbers.get(name)
}

fn is_accused(scene: &Scene, client: &str) -> bool {
    Judgement::of(&scene.judge)
        .incidents
        .iter()
        .any(|incident| incident.host == host(client) && incident.class == Class::MassMailer)
}

#[test]
fn thirty_addresses_twenty_four_of_them_silent() {
    let mut scene = scene();
    for n in 0..30 {
        if n % 5 == 4 {
            reaches(&mut scene, PC, &mx(n));
        } else {
            scene.knock(PC, &mx(n));
        }
    }
    // 24 failures, 6 successes: 18 net steps of 6.02 dB. The peak is one higher: the last contact succeeded.
    let found = scene.findings("connect_failures");
    let [finding] = &found[..] else { panic!("{found:#?}") };
    assert!((finding.db - 19.0 * 6.02).abs() < 0.1, "{}", finding.db);
    assert_eq!(finding.numbers.get("silent"), Some(24.0));
    assert_eq!(
        finding.says,
        "24 of 30 mail servers that it tried could not be reached: 24 silent, 0 refused the connection, 0 hung up before a greeting"
    );
    // Twenty is all that the family may add, so alone it does not confirm. D2 has its own line.
    let all = Judgement::of(&scene.judge).incidents;
    let incident = all.iter().find(|incident| incident.host == host(PC)).unwrap();
    assert_eq!(incident.evidence.iter().find(|line| line.family == Family::Connect).unwrap().db, 20.0);
    assert_eq!(incident.tier, Tier::Likely, "{incident:#?}");
}

#[test]
fn two_net_failures_are_suspect_one_is_nothing() {
    let mut scene = scene();
    scene.knock(PC, &mx(0));
    assert!(!is_accused(&scene, PC), "-20 + 6 dB");
    scene.knock(PC, &mx(1));
    assert!(is_accused(&scene, PC), "-20 + 12 dB");
}

#[test]
fn a_server_may_fail_five_times_more_often() {
    let mut scene = scene();
    // Another host reaches the world, so that the line is not cut.
    for n in 0..5 {
        reaches(&mut scene, PC, &mx(100 + n));
        scene.knock(SERVER, &mx(n));
    }
    assert!(number(&scene, SERVER, "s_peak_db").unwrap() > 30.0);
    assert!(!is_accused(&scene, SERVER), "30.1 dB are no more than its threshold's shift");
}

#[test]
fn a_greeting_that_refuses_is_a_success_and_a_hang_up_before_it_a_failure() {
    let mut scene = scene();
    for n in 0..10 {
        scene.call(PC, &mx(n)).greets("554 5.7.1 no service for you").hangs_up();
    }
    assert!(scene.findings("connect_failures").is_empty());
    scene.call(PC, &mx(20)).hangs_up();
    assert_eq!(number(&scene, PC, "closed"), Some(1.0));
}

#[test]
fn what_a_gap_may_have_hidden_is_no_failure() {
    let mut scene = scene();
    for n in 0..10 {
        scene.call(PC, &mx(n)).gaps(1).hangs_up();
    }
    assert!(scene.findings("connect_failures").is_empty());
}

/// A capture that begins in the middle of connections, or goes on with them after a long silence, has no greeting of theirs.
#[test]
fn what_was_not_seen_from_its_begin_is_no_failure() {
    let mut scene = scene();
    for (n, history) in (0..).zip(["DdfAFa", "^dDfAFa", "^fAFa", "SDdfAFa", "SAFR", "^hAfFa", "^hR"]) {
        scene.call(PC, &mx(n)).seen_as(history).hangs_up();
    }
    // Nor is one of which the greeting alone is missing.
    scene.call(PC, &mx(10)).command("MAIL", 250).hangs_up();
    assert!(scene.findings("connect_failures").is_empty());
    for (n, history) in (20..).zip(["Sr", "ShAr", "^hSAfFa", "ShAfFa"]) {
        scene.call(PC, &mx(n)).seen_as(history).hangs_up();
    }
    assert_eq!(number(&scene, PC, "failed"), Some(4.0), "from the SYN on, each came to nothing");
}

#[test]
fn what_was_in_flight_when_the_capture_ended_is_no_failure() {
    let mut scene = scene();
    for n in 0..4 {
        scene.knock_cut_short(PC, &mx(n));
    }
    assert!(!is_accused(&scene, PC));
    let counts = &scene.judge.hosts()[0].counts;
    assert_eq!((counts.connections, counts.failed), (4, 0));
    // It says nothing of the server either: what comes later is the first contact.
    scene.knock(PC, &mx(0));
    assert_eq!(number(&scene, PC, "silent"), Some(1.0));
}

#[test]
fn one_server_is_one_contact_in_half_an_hour() {
    let mut scene = scene();
    for _ in 0..20 {
        scene.knock(PC, &mx(0));
        scene.wait(Span::secs(30));
    }
    assert_eq!(number(&scene, PC, "failed"), Some(1.0));
}

#[test]
fn an_outage_is_nobodys_fault_least_of_all_the_servers() {
    let mut scene = scene();
    // All are cut off. Clients try less than servers do.
    for n in 0..40 {
        scene.knock(SERVER, &mx(n));
        scene.wait(Span::secs(10));
        if n < 3 {
            scene.knock(PC, &mx(100 + n));
            scene.knock("192.168.10.24", &mx(200 + n));
        }
    }
    assert!(!is_accused(&scene, SERVER));
    assert!(is_accused(&scene, PC), "a worm behind a closed firewall is still a worm");
}

/// Where only the mail server may use port 25, nobody else is there to fail with it.
#[test]
fn an_outage_where_only_the_server_mails() {
    let mut scene = scene();
    for n in 0..20 {
        reaches(&mut scene, SERVER, &mx(n));
    }
    // Six hours, a new correspondent every three minutes: the guard outlasts its windows of ten minutes.
    for n in 0..120 {
        scene.wait(Span::mins(3));
        scene.knock(SERVER, &mx(100 + n));
    }
    assert!(!is_accused(&scene, SERVER), "{:#?}", scene.findings("connect_failures"));
    // The line is back: from now on failures count again.
    reaches(&mut scene, SERVER, &mx(300));
    let before = number(&scene, SERVER, "failed").unwrap_or(0.0);
    for n in 0..4 {
        scene.wait(Span::mins(4));
        reaches(&mut scene, SERVER, &mx(301 + n));
        scene.knock(SERVER, &mx(400 + n));
    }
    assert!(number(&scene, SERVER, "failed").is_none_or(|failed| failed >= before + 4.0));
}

#[test]
fn a_server_that_most_of_the_world_does_not_answer_is_not_cut_off() {
    let mut scene = scene();
    for n in 0..60 {
        if n % 5 == 0 {
            reaches(&mut scene, SERVER, &mx(n));
        } else {
            scene.knock(SERVER, &mx(n));
        }
        scene.wait(Span::secs(2));
    }
    assert!(is_accused(&scene, SERVER), "four of five fail, as a worm's do: {:#?}", scene.findings("connect_failures"));
}

/// Queues try dead servers again for five days, at night too, when nothing else succeeds.
#[test]
fn five_dead_domains_in_the_queue_for_two_days() {
    let mut scene = scene();
    for retry in 0..40_u32 {
        for dead in 0..5 {
            scene.knock(SERVER, &mx(500 + dead));
        }
        // Another host proves that the line is not cut; office hours bring some honest mail.
        reaches(&mut scene, PC, &mx(900 + retry));
        if retry % 20 < 8 {
            reaches(&mut scene, SERVER, &mx(retry));
        }
        scene.wait(Span::mins(72));
    }
    assert!(!is_accused(&scene, SERVER), "{:#?}", scene.findings("connect_failures"));
}

/// A network that refused the gateway's address as listed tells nothing of the host that calls it next.
#[test]
fn who_refuses_the_gateway_may_hang_up_on_anybody() {
    let mut scene = scene();
    let listed = "554 5.7.1 Service unavailable; Client host [203.0.113.5] blocked using zen.spamhaus.org";
    scene
        .call(SERVER, "198.51.100.25")
        .greets("220 mx.contoso.example ESMTP")
        .helo("mail.adatum.example")
        .mail(Letter::from("a@adatum.example").to("b@contoso.example", listed))
        .quit();
    for n in 26..40 {
        scene.knock(PC, &format!("198.51.100.{n}"));
    }
    assert!(scene.findings("connect_failures").is_empty());
    scene.knock(PC, "203.0.113.77");
    assert_eq!(number(&scene, PC, "not_counted_listed_or_outage"), Some(14.0));
    assert_eq!(number(&scene, PC, "failed"), Some(1.0));
}

/// In an office where one host alone mails, the partners that it knows tell that it is the line.
#[test]
fn three_known_partners_that_do_not_answer_are_a_cut_line() {
    for (client, reached, accused) in [(SERVER, 3, false), (SERVER, 2, true), (PC, 3, true)] {
        let mut scene = scene();
        // Of the mail it takes, a part comes from the servers that it has never called.
        (0..2).for_each(|n| reaches(&mut scene, client, &mx(n)));
        if reached == 3 {
            scene.call(&mx(2), client).greets("220 mail.adatum.example ESMTP").helo("mx.contoso.example").quit();
        }
        scene.wait(Span::hours(2));
        // So many answered just before that the share of failures is below that of an outage.
        (50..60).for_each(|n| reaches(&mut scene, client, &mx(n)));
        (0..3).chain(100..108).for_each(|n| scene.knock(client, &mx(n)));
        assert_eq!(number(&scene, client, "s_peak_db").is_some(), accused, "{client}, {reached} known");
    }
}
