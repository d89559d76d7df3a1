#![expect(clippy::float_cmp, reason = "counts and settings, which no arithmetic has touched")]

use super::*;
use crate::detect::Tier;
use crate::detect::testing::{Letter, Scene, host};
use crate::incident::{Incident, Judgement};
use crate::site::Site;

const PC: &str = "192.168.10.23";
const SERVER: &str = "192.168.10.10";
const BANNER: &str = "220 mail.adatum.example ESMTP";

fn scene() -> Scene {
    Scene::new(Site { mail_servers: vec![SERVER.parse().unwrap()], ..Site::default() })
}

/// The `n`th server of the world, each in a network of its own.
fn mx(n: u32) -> String {
    format!("198.51.{n}.25")
}

fn mails_as(scene: &mut Scene, client: &str, helo: &str, server: &str, to: &str) {
    let letter = Letter::from("a@adatum.example").rcpt(to).data("", to, "250 2.0.0 queued");
    scene.call(client, server).greets("220 mx.contoso.example ESMTP").helo(helo).mail(letter).quit();
}

fn mails(scene: &mut Scene, client: &str, n: u32) {
    mails_as(scene, client, "host.adatum.example", &mx(n), &format!("u{n}@d{n}.example"));
}

/// Says HELO and QUIT.
fn looks(scene: &mut Scene, client: &str, n: u32) {
    scene.call(client, &mx(n)).greets("220 mx.contoso.example ESMTP").helo("host.adatum.example").quit();
}

/// Servers answer SYNs that somebody sent from the client's address; it rejects what it never asked for, or does not answer.
#[test]
fn who_rejects_what_it_never_asked_for_called_nobody() {
    let mut scene = scene();
    for n in 0..8 {
        scene.call(PC, &mx(n)).seen_as("^hR").hangs_up();
        scene.call(PC, &mx(n)).seen_as("^h").hangs_up();
    }
    assert!(incidents(&scene).is_empty(), "{:#?}", incidents(&scene));
    assert!(scene.judge.hosts().is_empty(), "{:#?}", scene.judge.hosts());
    // A mirror of the servers' side alone shows no call either, but dialogues.
    for n in 0..8 {
        scene.call(PC, &mx(n)).seen_as("^hd").greets(BANNER).hangs_up();
    }
    assert_eq!((db(&scene, PC), scene.judge.hosts()[0].counts.connections), (10.0, 8));
}

fn db(scene: &Scene, client: &str) -> f64 {
    scene.findings("direct_to_mx").iter().filter(|f| f.host == host(client)).map(|f| f.db).sum()
}

fn incidents(scene: &Scene) -> Vec<Incident> {
    Judgement::of(&scene.judge).incidents
}

#[test]
fn a_laptop_and_eight_networks_in_twenty_minutes_all_taken() {
    let mut scene = scene();
    for n in 0..8 {
        mails(&mut scene, PC, n);
        scene.wait(Span::secs(150));
    }
    let found = scene.findings("direct_to_mx");
    let [finding] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((finding.host, finding.db), (host(PC), 15.0));
    assert_eq!(finding.numbers.get("networks_in_an_hour"), Some(8.0));
    assert_eq!(finding.numbers.get("mails"), Some(8.0));
    assert_eq!(finding.peers.len(), PEERS_MAX);
    assert_eq!(incidents(&scene)[0].tier, Tier::Suspect, "policy alone is a suspicion: -20 + 15 dB");
}

#[test]
fn a_copier_and_its_provider_two_hundred_scans() {
    let mut scene = scene();
    for n in 0..200 {
        mails_as(
            &mut scene,
            "192.168.10.40",
            "copier.adatum.example",
            "203.0.113.25",
            &format!("u{}@adatum.example", n % 12),
        );
        scene.wait(Span::secs(60));
    }
    assert!(scene.findings("direct_to_mx").is_empty());
    assert!(incidents(&scene).is_empty());
}

#[test]
fn a_probe_of_three_exchangers_every_five_minutes_without_a_mail() {
    let mut scene = scene();
    for _ in 0..100 {
        for n in 0..3 {
            scene.call(PC, &mx(n)).greets("220 mx.contoso.example ESMTP").quit();
        }
        scene.wait(Span::mins(5));
    }
    assert!(scene.findings("direct_to_mx").is_empty(), "without a mail each counts half: 1.5");
    assert!(incidents(&scene).is_empty());
}

#[test]
fn three_networks_count_and_more_than_five_count_fully() {
    let mut scene = scene();
    for (n, expected) in [0.0, 0.0, 10.0, 10.0, 10.0, 15.0, 15.0].into_iter().enumerate() {
        mails(&mut scene, PC, n as u32);
        assert_eq!(db(&scene, PC), expected, "after {} networks", n + 1);
    }
}

#[test]
fn a_session_without_a_mail_counts_half() {
    let mut scene = scene();
    for n in 0..5 {
        looks(&mut scene, PC, n);
    }
    scene.knock(PC, &mx(0));
    assert_eq!(db(&scene, PC), 0.0, "two and a half");
    scene.knock(PC, &mx(5));
    assert_eq!(db(&scene, PC), 10.0, "three");
    mails(&mut scene, PC, 0);
    mails(&mut scene, PC, 1);
    mails(&mut scene, PC, 2);
    mails(&mut scene, PC, 3);
    assert_eq!(db(&scene, PC), 10.0, "four mailed and two looked at: five, which is not more than five");
    mails(&mut scene, PC, 4);
    assert_eq!(db(&scene, PC), 15.0);
}

#[test]
fn networks_are_counted_by_the_hour() {
    let mut scene = scene();
    for n in 0..20 {
        mails(&mut scene, PC, n);
        scene.wait(Span::mins(31));
    }
    assert_eq!(db(&scene, PC), 0.0, "two an hour");
}

#[test]
fn what_was_seen_fades_by_half_a_day_after_the_first() {
    let mut scene = scene();
    for n in 0..6 {
        mails(&mut scene, PC, n);
    }
    scene.wait(Span::hours(48));
    mails(&mut scene, PC, 0);
    assert!((db(&scene, PC) - 7.5).abs() < 0.01, "{}", db(&scene, PC));
}

#[test]
fn a_mail_server_may_and_a_sender_half() {
    let mut scene = scene();
    for n in 0..60 {
        mails(&mut scene, SERVER, n);
        mails(&mut scene, "192.168.10.30", n);
    }
    assert_eq!((db(&scene, SERVER), db(&scene, "192.168.10.30")), (0.0, 15.0));
    scene.wait(Span::hours(24));
    mails(&mut scene, "192.168.10.30", 99);
    assert!(db(&scene, "192.168.10.30") < 7.6, "after a day of mail that is taken it is a sender");
}

/// Behind one address: the server, and somebody who calls himself otherwise.
#[test]
fn another_voice_at_the_servers_address_is_no_server() {
    let mut scene = scene();
    scene.call("203.0.113.9", SERVER).greets(BANNER).helo("mx.contoso.example").quit();
    for n in 0..10 {
        mails_as(&mut scene, SERVER, "mail.adatum.example", &mx(n), "u@d.example");
    }
    assert_eq!(db(&scene, SERVER), 0.0);
    for n in 0..6 {
        mails_as(&mut scene, SERVER, "pc23", &mx(n), &format!("v{n}@d.example"));
    }
    assert_eq!(db(&scene, SERVER), 15.0);
}

#[test]
fn mail_to_the_own_server_is_nobodys_business() {
    let mut scene = scene();
    for n in 0..10 {
        mails_as(&mut scene, PC, "pc23", &format!("192.168.{n}.10"), "u@d.example");
    }
    assert!(scene.findings("direct_to_mx").is_empty());
}
