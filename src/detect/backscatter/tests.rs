use super::*;
use crate::detect::testing::{Letter, Scene, host, site};
use crate::incident::{Incident, Judgement};

const SERVER: &str = "192.168.10.10";
const PC: &str = "192.168.10.23";
const BANNER: &str = "220 mail.adatum.example ESMTP";
const QUEUED: &str = "250 2.0.0 queued";
const UNKNOWN: &str = "550 5.1.1 user unknown";

/// A server that takes mail, so that it is one.
fn scene() -> Scene {
    let mut scene = Scene::new(site(&["adatum.example"]));
    let letter = Letter::from("a@contoso.example").rcpt("jia@adatum.example").data("", "hello", QUEUED);
    scene.call("198.51.100.1", SERVER).greets(BANNER).helo("mx.contoso.example").mail(letter).quit();
    scene
}

fn network(n: u32) -> String {
    format!("100.{}.{}.25", n / 200, n % 200)
}

/// A server in network `n` brings a bounce.
fn bounces(scene: &mut Scene, n: u32, to: &str, answer: &str) {
    let letter = Letter::from("").to(to, answer);
    let letter = if answer.starts_with('2') { letter.data("", "it bounced", QUEUED) } else { letter };
    scene.call(&network(n), SERVER).greets(BANNER).helo("mx.outside.example").mail(letter).quit();
}

fn sends(scene: &mut Scene, from: &str, n: u32, letter: Letter) {
    scene
        .call(from, &network(n))
        .greets("220 mx.outside.example ESMTP")
        .helo("mail.adatum.example")
        .mail(letter)
        .quit();
}

fn victims(scene: &Scene) -> Vec<Incident> {
    let all = Judgement::of(&scene.judge).incidents;
    all.into_iter().filter(|incident| incident.class == Class::BackscatterVictim).collect()
}

fn is_quiet(scene: &Scene) {
    let findings = scene.findings("backscatter");
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn four_hundred_bounces_from_a_hundred_and_fifty_networks() {
    let mut scene = scene();
    for n in 0..400 {
        bounces(&mut scene, n % 150, &format!("made-up{n}@adatum.example"), UNKNOWN);
        scene.wait(Span::secs(9));
    }
    let found = victims(&scene);
    let [incident] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((incident.host, incident.kind, incident.severity), (host(SERVER), Some("random"), Severity::Medium));
    // The scene is an hour long: what was mailed before nobody knows.
    assert_eq!((incident.tier, incident.confidence, incident.score_db), (Tier::Likely, Confidence::Low, None));
    assert!(incident.summary.contains("400 since"), "{}", incident.summary);
    let numbers = &incident.evidence[0].numbers;
    assert_eq!((numbers.get("unmatched_share"), numbers.get("unknown_users")), (Some(1.0), Some(400.0)));
    let networks = numbers.get("networks").unwrap();
    assert!((networks - 150.0).abs() <= 3.0, "{networks}: an estimate from 128 on");
    assert!(!incident.remediation.is_empty());
}

#[test]
fn after_five_days_it_is_sure() {
    let mut scene = scene();
    scene.wait(Span::hours(5 * 24));
    for n in 0..30 {
        bounces(&mut scene, n, &format!("made-up{n}@adatum.example"), UNKNOWN);
    }
    let finding = &scene.findings("backscatter")[0];
    assert_eq!(finding.verdict.unwrap().confidence, Confidence::High);
    assert!(!finding.says.contains("less than five days"), "{}", finding.says);
}

#[test]
fn bounces_to_one_address_are_a_joe_job() {
    let mut scene = scene();
    for n in 0..40 {
        bounces(&mut scene, n, "Nobody@adatum.example", if n % 2 == 0 { UNKNOWN } else { "250 ok" });
    }
    let incident = &victims(&scene)[0];
    assert_eq!(incident.kind, Some("joe_job"));
    assert!(incident.evidence[0].says.contains("most of them to \"nobody@adatum.example\""), "{:?}", incident.evidence);
}

#[test]
fn bounces_of_our_own_newsletter_are_expected() {
    let mut scene = scene();
    for n in 0..5000 {
        let to = format!("subscriber{n}@site{}.example", n % 500);
        sends(&mut scene, SERVER, n % 500, Letter::from("news@adatum.example").rcpt(&to).data("", "news", QUEUED));
    }
    scene.wait(Span::hours(48));
    for n in 0..250 {
        bounces(&mut scene, n * 2, "news@adatum.example", "250 ok");
    }
    is_quiet(&scene);
    // Reports that come from other networks than the mail went to, but name whom they speak of.
    for n in 0..250 {
        let letter = Letter::from("").rcpt("news@adatum.example").data("", "it bounced", QUEUED);
        let letter = letter.reports(&format!("Forwarded{n}@SITE{}.example", n % 500));
        let call = scene.call(&network(1000 + n), SERVER).greets(BANNER).helo("out.outside.example");
        call.mail(letter).quit();
    }
    is_quiet(&scene);
    // But not when they come ten days later: no queue tries for so long.
    scene.wait(Span::hours(12 * 24));
    for n in 0..50 {
        bounces(&mut scene, n, "news@adatum.example", "250 ok");
    }
    assert_eq!(victims(&scene).len(), 1);
}

#[test]
fn call_outs_are_no_bounces() {
    let mut scene = scene();
    // Thirty by one mail system: some of the addresses do not exist.
    for n in 0..30 {
        let answer = if n % 3 == 0 { UNKNOWN } else { "250 ok" };
        let letter = Letter::from("").to(&format!("someone{n}@adatum.example"), answer);
        scene.call("198.51.100.9", SERVER).greets(BANNER).helo("mx.outside.example").mail(letter).quit();
    }
    is_quiet(&scene);
    // And many by many, for addresses that exist: they leave after RCPT.
    for n in 0..100 {
        let letter = Letter::from("").rcpt(&format!("someone{n}@adatum.example"));
        scene.call(&network(n), SERVER).greets(BANNER).helo("mx.outside.example").mail(letter).quit();
    }
    is_quiet(&scene);
}

#[test]
fn the_rule_needs_twenty_bounces_ten_networks_and_one_hour() {
    let fires = |bounced: u32, networks: u32, apart: Span| {
        let mut scene = scene();
        for n in 0..bounced {
            bounces(&mut scene, n % networks, &format!("made-up{n}@adatum.example"), UNKNOWN);
            scene.wait(apart);
        }
        !scene.findings("backscatter").is_empty()
    };
    assert!(fires(20, 10, Span::secs(1)));
    assert!(!fires(19, 10, Span::secs(1)));
    assert!(!fires(20, 9, Span::secs(1)));
    assert!(!fires(500, 9, Span::secs(1)));
    assert!(fires(20, 10, Span::secs(180)), "within 57 minutes");
    assert!(!fires(200, 10, Span::secs(190)), "never twenty within an hour");
}

#[test]
fn a_fifth_may_be_expected_and_no_more() {
    let fires = |expected: u32| {
        let mut scene = scene();
        sends(&mut scene, SERVER, 500, Letter::from("jia@adatum.example").rcpt("a@x.example").data("", "hi", QUEUED));
        for n in 0..20 {
            if n < expected {
                bounces(&mut scene, 500, "jia@adatum.example", "250 ok");
            } else {
                bounces(&mut scene, n, &format!("made-up{n}@adatum.example"), UNKNOWN);
            }
        }
        !scene.findings("backscatter").is_empty()
    };
    assert!(fires(4));
    assert!(!fires(5));
}

#[test]
fn bounces_of_a_worms_mail_point_to_the_worm() {
    let mut scene = scene();
    for n in 0..60 {
        let letter = Letter::from(&format!("forged{n}@adatum.example"));
        let to = format!("user{n}@outside.example");
        // Most of what a worm sends is refused.
        let letter = if n % 3 == 0 { letter.rcpt(&to).data("", "buy", QUEUED) } else { letter.to(&to, UNKNOWN) };
        sends(&mut scene, PC, n, letter);
    }
    for n in 0..60 {
        bounces(&mut scene, n, &format!("Forged{n}@adatum.example"), UNKNOWN);
    }
    let incident = &victims(&scene)[0];
    assert!(incident.evidence[0].says.contains("self-caused: 60 of them"), "{}", incident.evidence[0].says);
    assert!(incident.summary.contains(PC), "{}", incident.summary);
    assert!(incident.remediation[0].contains(PC), "{:?}", incident.remediation);
    assert!(incident.peers.iter().any(|peer| (peer.ip, peer.role) == (host(PC), "self_caused")));
}

/// A box that sends newsletters and takes no mail: what it sends is mostly taken.
#[test]
fn bounces_of_a_newsletter_box_are_its_own() {
    let mut scene = scene();
    for n in 0..300 {
        let letter = Letter::from(&format!("bounce-{n}@adatum.example")).rcpt(&format!("u{n}@outside.example"));
        sends(&mut scene, PC, n, letter.data("", "news", QUEUED));
    }
    for n in 0..60 {
        bounces(&mut scene, n, &format!("bounce-{n}@adatum.example"), "250 ok");
    }
    is_quiet(&scene);
}

#[test]
fn recipients_put_off_or_refused_for_other_reasons_say_nothing() {
    let mut scene = scene();
    for n in 0..60 {
        let answer = if n % 2 == 0 { "450 4.2.0 greylisted, try later" } else { "554 5.7.1 your address is listed" };
        bounces(&mut scene, n, &format!("made-up{n}@adatum.example"), answer);
    }
    is_quiet(&scene);
}

#[test]
fn a_flood_is_bounded() {
    let mut scene = scene();
    for n in 0..3000 {
        let to = format!("{}\u{1b}[2J{n}@adatum.example", "x".repeat(200));
        bounces(&mut scene, n, &to, UNKNOWN);
    }
    let incident = &victims(&scene)[0];
    assert!(incident.peers.len() <= SHOWN_MAX, "{}", incident.peers.len());
    assert_eq!(incident.evidence[0].numbers.get("bounces"), Some(3000.0));
    assert_eq!(incident.evidence[0].numbers.get("most_in_an_hour_at_least"), Some(LATELY_MAX as f64));
    assert!(!incident.evidence[0].says.contains('\u{1b}'));
}
