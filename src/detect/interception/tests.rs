use super::super::testing::{Letter, Scene, site};
use super::super::{Class, Confidence, Severity, Tier};
use super::*;
use crate::incident::{Incident, Judgement};
use crate::weird::Weird;

const SERVER: &str = "192.168.10.10";
const USER: &str = "jia@adatum.example";
const TOO_MANY: &str =
    "550 5.2.1 Mailbox unavailable. Too many invalid delivery attempts were received from your IP address";

fn home() -> Scene {
    let mut scene = Scene::new(site(&["adatum.example"]));
    scene
        .call("192.0.2.245", SERVER)
        .greets("220 mail.adatum.example ESMTP")
        .helo("laptop.home.example")
        .offers(&["AUTH PLAIN LOGIN"])
        .auth(USER, "235 2.7.0 ok")
        .mail(Letter::from(USER).rcpt("a@contoso.example").data("", "x", "250 ok"))
        .quit();
    scene
}

fn stranger(scene: &mut Scene, client: &str, helo: &str, letter: Letter) {
    scene
        .call(client, SERVER)
        .greets("220 mail.adatum.example ESMTP")
        .helo(helo)
        .offers(&["PIPELINING", "AUTH PLAIN LOGIN"])
        .mail(letter)
        .quit();
}

fn incidents(scene: &Scene, class: Class) -> Vec<Incident> {
    Judgement::of(&scene.judge).incidents.into_iter().filter(|incident| incident.class == class).collect()
}

fn kinds(scene: &Scene) -> Vec<&'static str> {
    scene.findings("interception").iter().map(|found| found.kind.unwrap_or(found.class.name())).collect()
}

#[test]
fn a_travelling_user_comes_by_a_providers_proxy() {
    let mut scene = home();
    for (client, helo) in
        [("198.51.100.66", "mail.globalsuite.example"), ("198.51.100.67", "mail2.globalsuite.example")]
    {
        for rcpt in ["a@contoso.example", "b@fabrikam.example", "c@adatum.example"] {
            stranger(&mut scene, client, helo, Letter::from(USER).to(rcpt, TOO_MANY));
        }
    }
    let found = incidents(&scene, Class::Interception);
    assert_eq!(found.len(), 1);
    let incident = &found[0];
    assert_eq!((incident.host.to_string().as_str(), incident.severity), (SERVER, Severity::Medium));
    assert_eq!(incident.tier, Tier::Suspect, "known 2, AUTH unused 1, outside 1, refused 1");
    assert_eq!(incident.evidence[0].numbers.get("points"), Some(5.0));
    let proxies: Vec<String> = incident.peers.iter().map(|peer| peer.ip.to_string()).collect();
    assert_eq!(proxies, ["198.51.100.66", "198.51.100.67"]);
    let line = &incident.evidence[0];
    assert!(line.says.contains("mail.globalsuite.example") && line.says.contains("Too many invalid"), "{}", line.says);
    assert!(incident.remediation.iter().any(|step| step.contains("587")), "{:?}", incident.remediation);
    assert!(incident.summary.contains("198.51.100.66"), "{}", incident.summary);
}

#[test]
fn the_proxys_other_guests_and_its_tarpit_are_evidence_too() {
    let mut scene = home();
    for n in 0..4 {
        scene
            .call("198.51.100.66", SERVER)
            .greets("220 mail.adatum.example ESMTP")
            .helo("mail.globalsuite.example")
            .offers(&["AUTH PLAIN"])
            .timed("MAIL", 250, Span::millis(2))
            .timed("RCPT", 550, Span::millis(2_500 * (n + 1)))
            .mail(Letter::from(USER).to("a@contoso.example", "550 5.7.1 not authenticated"))
            .quit();
        scene
            .call("198.51.100.66", SERVER)
            .greets("220 mail.adatum.example ESMTP")
            .helo("mail.globalsuite.example")
            .timed("RCPT", 250, Span::millis(3))
            .mail(Letter::from("guest@birch.example").rcpt("sales@adatum.example").data("", "x", "250 ok"))
            .quit();
    }
    let incident = &incidents(&scene, Class::Interception)[0];
    assert_eq!((incident.tier, incident.confidence), (Tier::Likely, Confidence::Medium));
    assert_eq!(incident.evidence[0].numbers.get("points"), Some(7.0));
    assert_eq!(incident.evidence[0].numbers.get("refusal_median_seconds"), Some(5.0));
    assert!(incident.evidence[0].says.contains("tarpit"), "{}", incident.evidence[0].says);
}

#[test]
fn three_points_are_not_enough() {
    let mut scene = home();
    // known 2, AUTH unused 1; taken, and for somebody inside: no harm is done
    stranger(
        &mut scene,
        "198.51.100.66",
        "mail.forwarder.example",
        Letter::from(USER).rcpt("c@adatum.example").data("", "x", "250 ok"),
    );
    assert!(kinds(&scene).is_empty());
    // an unknown sender: outside 1, refused 1
    let mut scene = home();
    let letter = Letter::from("nobody@adatum.example").to("a@contoso.example", "550 5.7.1 denied");
    stranger(&mut scene, "198.51.100.66", "mail.globalsuite.example", letter);
    assert!(kinds(&scene).is_empty());
}

#[test]
fn a_service_that_writes_in_our_name_and_is_taken_is_neither() {
    let mut scene = home();
    for n in 0..200 {
        let letter = Letter::from("billing@adatum.example").rcpt("sales@adatum.example").data("", "bill", "250 ok");
        stranger(&mut scene, "198.51.100.80", &format!("mta{}.saas.example", n % 4), letter);
        scene.wait(Span::secs(5));
    }
    assert!(kinds(&scene).is_empty());
}

#[test]
fn a_forged_director_from_twenty_addresses_is_a_spoof_and_no_interception() {
    let mut scene = home();
    for n in 0..20 {
        let letter = Letter::from("ceo@adatum.example").to("sales@adatum.example", "550 5.7.1 sender spoofed");
        stranger(&mut scene, &format!("198.51.{n}.7"), "mail.bot.example", letter);
        scene.wait(Span::mins(2));
    }
    assert!(incidents(&scene, Class::Interception).is_empty());
    let spoof = &incidents(&scene, Class::SenderSpoof)[0];
    assert_eq!((spoof.severity, spoof.evidence[0].numbers.get("mails_in_an_hour")), (Severity::Low, Some(20.0)));
    assert!(spoof.remediation.iter().any(|step| step.contains("SPF")), "{:?}", spoof.remediation);
}

#[test]
fn forged_too_if_the_director_logs_in_elsewhere() {
    let mut scene = home();
    for n in 0..20 {
        let letter = Letter::from(USER).to("sales@adatum.example", "550 5.7.1 sender spoofed");
        stranger(&mut scene, &format!("198.51.{n}.7"), "mail.bot.example", letter);
        scene.wait(Span::mins(2));
    }
    assert!(incidents(&scene, Class::Interception).is_empty(), "nobody is in twenty places within an hour");
    assert_eq!(incidents(&scene, Class::SenderSpoof).len(), 1);
}

#[test]
fn nine_an_hour_are_no_spoof() {
    let mut scene = home();
    for n in 0..9 {
        let letter = Letter::from("ceo@adatum.example").to("sales@adatum.example", "550 5.7.1 sender spoofed");
        stranger(&mut scene, &format!("198.51.{n}.7"), "mail.bot.example", letter);
    }
    assert!(kinds(&scene).is_empty());
}

#[test]
fn without_configured_domains_the_servers_name_and_a_login_tell() {
    let mut scene = Scene::new(site(&[]));
    scene
        .call("192.0.2.245", SERVER)
        .greets("220 mail.adatum.example ESMTP")
        .helo("laptop")
        .auth(USER, "235 ok")
        .mail(Letter::from(USER).rcpt("a@contoso.example").data("", "x", "250 ok"))
        .quit();
    stranger(
        &mut scene,
        "198.51.100.66",
        "mail.globalsuite.example",
        Letter::from(USER).to("a@contoso.example", TOO_MANY),
    );
    assert_eq!(incidents(&scene, Class::Interception)[0].confidence, Confidence::Medium);
}

#[test]
fn who_tests_for_relaying_is_no_proxy() {
    let mut scene = home();
    let letters = [
        Letter::from(USER).to("a@fabrikam.example", "550 relay not permitted"),
        Letter::from("spam@contoso.example").to("a@fabrikam.example", "550 relay not permitted"),
        Letter::from(USER).to("b@fabrikam.example", "550 relay not permitted"),
    ];
    for letter in letters {
        stranger(&mut scene, "198.51.100.150", "tester.example", letter);
    }
    assert!(kinds(&scene).is_empty(), "{:?}", scene.findings("interception"));
}

#[test]
fn clients_are_bounded_and_the_proxy_outlasts_a_flood() {
    let mut scene = home();
    for _ in 0..3 {
        let letter = Letter::from(USER).to("a@contoso.example", TOO_MANY);
        stranger(&mut scene, "198.51.100.66", "mail.globalsuite.example", letter);
    }
    for n in 0..1000 {
        let letter = Letter::from(&format!("u{n}@adatum.example")).rcpt("sales@adatum.example").data("", "x", "250 ok");
        stranger(&mut scene, &format!("203.0.{}.{}", n / 250, n % 250), "mail.bot.example", letter);
    }
    assert_eq!(kinds(&scene), ["proxy", "sender_spoof"]);
}

#[test]
fn the_same_traffic_gives_the_same_findings() {
    let run = || {
        let mut scene = home();
        for n in 0..400 {
            let letter = Letter::from(&format!("u{}@adatum.example", n % 7)).to("a@contoso.example", TOO_MANY);
            stranger(&mut scene, &format!("203.0.{}.{}", n % 150, n / 150), "mail.bot.example", letter);
        }
        Judgement::of(&scene.judge).incidents
    };
    let first = run();
    assert!(!first.is_empty());
    assert_eq!(first, run());
}

fn dial(scene: &mut Scene, server: &str, greeting: &str, odd: &[Weird]) {
    scene.call("192.168.10.10", server).greets(greeting).helo("mail.adatum.example").odd(odd).quit();
}

#[test]
fn one_machine_answers_for_the_whole_world() {
    let mut scene = Scene::new(site(&["adatum.example"]));
    dial(&mut scene, "198.51.100.25", "220 relay.provider.example ESMTP", &[]);
    dial(&mut scene, "203.0.113.25", "220 relay.provider.example ESMTP", &[]);
    dial(&mut scene, "203.0.114.25", "220 relay.provider.example ESMTP", &[]);
    assert!(kinds(&scene).is_empty(), "two networks of an operator's size");
    dial(&mut scene, "192.0.2.25", "220 RELAY.provider.example ESMTP", &[]);
    assert_eq!(kinds(&scene), ["same_banner"]);
    let incident = &incidents(&scene, Class::Interception)[0];
    assert_eq!((incident.host.to_string().as_str(), incident.severity), ("192.168.10.10", Severity::Medium));
    // Another name elsewhere: three of four are under nine in ten.
    dial(&mut scene, "100.64.0.25", "220 mx.contoso.example ESMTP", &[]);
    assert!(kinds(&scene).is_empty());
}

#[test]
fn a_provider_with_one_name_for_all_its_machines_is_none() {
    let mut scene = Scene::new(site(&["adatum.example"]));
    for net in 1..50 {
        dial(&mut scene, &format!("74.{net}.0.27"), "220 mx.google.com ESMTP gsmtp", &[]);
    }
    assert!(kinds(&scene).is_empty());
}

#[test]
fn a_firewall_that_masks_is_told_from_a_masked_server() {
    let mut scene = Scene::new(site(&["adatum.example"]));
    dial(&mut scene, "198.51.100.25", "220 ****************", &[Weird::MaskedBanner]);
    dial(&mut scene, "203.0.113.25", "220 ****************", &[Weird::MaskedBanner]);
    assert!(kinds(&scene).is_empty(), "their firewalls");
    dial(&mut scene, "192.0.2.25", "220 mx.contoso.example", &[Weird::MaskedCommand]);
    assert_eq!(kinds(&scene), ["masked"], "ours");
}

#[test]
fn what_was_found_stays_a_window_longer() {
    let mut scene = Scene::new(site(&["adatum.example"]));
    for net in [198, 203, 192] {
        dial(&mut scene, &format!("{net}.51.100.25"), "220 relay.provider.example ESMTP", &[]);
    }
    scene.wait(Span::hours(25));
    dial(&mut scene, "100.64.0.25", "220 mx.contoso.example ESMTP", &[]);
    assert_eq!(kinds(&scene), ["same_banner"]);
    scene.wait(Span::hours(49));
    dial(&mut scene, "100.64.0.25", "220 mx.contoso.example ESMTP", &[]);
    assert!(kinds(&scene).is_empty());
}
