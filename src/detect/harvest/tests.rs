use super::*;
use crate::detect::testing::{Letter, Scene, host, site};
use crate::detect::{DetectSettings, Tier};
use crate::incident::{Incident, Judgement};
use crate::limits::DetectLimits;

const SERVER: &str = "192.168.10.10";
const HARVESTER: &str = "203.0.113.66";
const BANNER: &str = "220 mail.adatum.example ESMTP";
const QUEUED: &str = "250 2.0.0 queued";
const UNKNOWN: &str = "550 5.1.1 user unknown";
const TAKEN: &str = "250 2.1.5 ok";

fn scene() -> Scene {
    Scene::new(site(&["adatum.example"]))
}

fn asks(scene: &mut Scene, client: &str, letter: Letter) {
    scene.call(client, SERVER).greets(BANNER).helo("client.example").mail(letter).quit();
}

/// Asks for `names`, ten a transaction, and never sends a mail. Every `valid`th exists (0: none).
fn probes(scene: &mut Scene, client: &str, names: impl Iterator<Item = String>, valid: usize) {
    let names: Vec<String> = names.collect();
    for (batch, chunk) in names.chunks(10).enumerate() {
        let mut letter = Letter::from("x@contoso.example");
        for (n, name) in chunk.iter().enumerate() {
            let exists = valid > 0 && (batch * 10 + n + 1).is_multiple_of(valid);
            letter = letter.to(&format!("{name}@adatum.example"), if exists { TAKEN } else { UNKNOWN });
        }
        asks(scene, client, letter);
    }
}

fn words(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("u{}", (n * 7919) % 100_003))
}

fn harvests(scene: &Scene) -> Vec<Incident> {
    let all = Judgement::of(&scene.judge).incidents;
    all.into_iter().filter(|incident| incident.class == Class::DirectoryHarvest).collect()
}

fn is_quiet(scene: &Scene) {
    let findings = scene.findings("harvest");
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn two_hundred_names_six_valid_no_mail() {
    let mut scene = scene();
    probes(&mut scene, HARVESTER, words(200), 33);
    let found = harvests(&scene);
    let [incident] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((incident.host, incident.tier, incident.severity), (host(SERVER), Tier::Likely, Severity::Medium));
    assert_eq!(incident.peers.iter().map(|peer| (peer.ip, peer.count)).collect::<Vec<_>>(), [(host(HARVESTER), 200)]);
    assert!(incident.summary.contains("194 do not exist, 6 were taken"), "{}", incident.summary);
    assert_eq!(incident.evidence[1].numbers.get("alphabetical"), Some(0.0));
    assert!(incident.remediation[0].contains(HARVESTER), "{:?}", incident.remediation);
}

#[test]
fn valid_recipients_that_are_mailed_later_make_it_worse() {
    let mut scene = scene();
    probes(&mut scene, HARVESTER, words(200), 33);
    let mail = |scene: &mut Scene, count: usize| {
        let valid = words(200).skip(32).step_by(33).take(count);
        for name in valid {
            let letter = Letter::from("spam@contoso.example").rcpt(&format!("{name}@adatum.example"));
            // Another address of the same network.
            asks(scene, "203.0.113.99", letter.data("", "buy", QUEUED));
        }
    };
    mail(&mut scene, 4);
    assert_eq!(harvests(&scene)[0].severity, Severity::Medium);
    mail(&mut scene, 6);
    let incident = &harvests(&scene)[0];
    assert!(!incident.evidence[1].says.contains("at once"), "{:?}", incident.evidence);
    assert_eq!(incident.severity, Severity::High);
    assert!(incident.summary.ends_with("and 6 of these were mailed later."), "{}", incident.summary);
}

#[test]
fn an_old_mailing_list_is_no_harvest() {
    let mut scene = scene();
    for n in 0..300_u32 {
        let letter = Letter::from("news@contoso.example");
        let to = format!("subscriber{n}@adatum.example");
        let letter = if n % 25 < 2 { letter.to(&to, UNKNOWN) } else { letter.rcpt(&to).data("", "news", QUEUED) };
        asks(&mut scene, HARVESTER, letter);
    }
    is_quiet(&scene);
}

#[test]
fn fifty_call_outs_are_no_harvest() {
    let mut scene = scene();
    for n in 0..50_u32 {
        let answer = if n % 5 == 0 { UNKNOWN } else { TAKEN };
        asks(&mut scene, HARVESTER, Letter::from("").to(&format!("someone{n}@adatum.example"), answer));
    }
    is_quiet(&scene);
}

/// A spammer who makes names up and mails whatever is taken.
#[test]
fn spam_to_made_up_names_is_told_apart() {
    let mut scene = scene();
    for (n, name) in words(40).enumerate() {
        let letter = Letter::from("spam@contoso.example");
        let to = format!("{name}@adatum.example");
        let letter = if n % 4 == 0 { letter.rcpt(&to).data("", "buy", QUEUED) } else { letter.to(&to, UNKNOWN) };
        asks(&mut scene, HARVESTER, letter);
    }
    let incident = &harvests(&scene)[0];
    assert!(
        incident.evidence[1].says.contains("10 were taken, 0 of them mailed later; most of these were mailed at once")
    );
}

#[test]
fn a_dead_subscriber_counts_once() {
    let mut scene = scene();
    for _ in 0..100 {
        asks(&mut scene, HARVESTER, Letter::from("news@contoso.example").to("gone@adatum.example", UNKNOWN));
        asks(&mut scene, HARVESTER, Letter::from("news@contoso.example").to("GONE@adatum.example", UNKNOWN));
        scene.wait(Span::hours(1));
    }
    is_quiet(&scene);
}

#[test]
fn the_alarm_needs_ten_names_and_fifty_decibans() {
    let names = |count: usize| {
        let mut scene = scene();
        probes(&mut scene, HARVESTER, words(count), 0);
        scene.findings("harvest").first().map(|finding| finding.db)
    };
    // Six names reach 50 dB.
    assert_eq!(names(9), None);
    assert!((names(10).unwrap() - 84.51).abs() < 0.01, "{:?}", names(10));
}

#[test]
fn twenty_five_names_within_an_hour_count_by_themselves() {
    // Every other one exists: the sum climbs slowly, the count does not wait for it.
    let names = |count: usize, apart: Span| {
        let mut settings = DetectSettings::default();
        settings.harvest.alarm_db = 1000.0;
        let mut scene = Scene::with(site(&["adatum.example"]), &settings);
        for name in words(count) {
            probes(&mut scene, HARVESTER, std::iter::once(name), 0);
            scene.wait(apart);
        }
        scene.findings("harvest").first().map(|finding| finding.db)
    };
    assert_eq!(names(24, Span::secs(1)), None);
    assert_eq!(names(25, Span::secs(1)), Some(20.0));
    assert_eq!(names(100, Span::mins(3)), None, "twenty an hour");
}

#[test]
fn a_large_list_stays_below_the_share_however_long_it_is() {
    let mut scene = scene();
    probes(&mut scene, HARVESTER, words(2000), 2);
    let by_half = scene.findings("harvest");
    assert!(!by_half.is_empty(), "half of them unknown");
    let mut scene = self::scene();
    for n in 0..4000_u32 {
        let to = format!("subscriber{n}@adatum.example");
        let letter = Letter::from("news@contoso.example");
        asks(&mut scene, HARVESTER, if n % 12 == 0 { letter.to(&to, UNKNOWN) } else { letter.rcpt(&to) });
    }
    is_quiet(&scene);
}

#[test]
fn a_network_that_shares_the_work_is_told_as_a_network() {
    let mut scene = scene();
    for (n, name) in words(60).enumerate() {
        probes(&mut scene, &format!("203.0.113.{}", n % 30), std::iter::once(name), 0);
    }
    let found = harvests(&scene);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].peers.iter().map(|peer| peer.ip).collect::<Vec<_>>(), [host("203.0.113.0")]);
}

#[test]
fn names_in_alphabetical_order_are_noted() {
    let mut scene = scene();
    probes(&mut scene, HARVESTER, (0..60).map(|n| format!("a{n:03}")), 0);
    assert_eq!(harvests(&scene)[0].evidence[1].numbers.get("alphabetical"), Some(1.0));
}

#[test]
fn vrfy_and_expn_are_questions_too() {
    let verify = |codes: &[u16]| {
        let mut scene = scene();
        let mut call = scene.call(HARVESTER, SERVER).greets(BANNER).helo("client.example");
        for &code in codes {
            call = call.command("VRFY", code);
        }
        call.command("EXPN", 502).quit();
        scene.findings("harvest").first().map(|finding| finding.db)
    };
    assert_eq!(verify(&[252; 100]), None, "the server does not tell");
    assert_eq!(verify(&[250, 550]), None);
    assert_eq!(verify(&[250, 550, 551]), Some(10.0));
    assert!(verify(&[550; 12]).unwrap() > 50.0);
}

/// A gateway of ours asks the server behind it whether a recipient exists: spam goes to many who do not.
#[test]
fn a_gateway_that_verifies_recipients_is_no_harvester() {
    let (gateway, mut scene) = ("192.168.10.5", scene());
    for n in 0..3 {
        let letter = Letter::from("a@contoso.example").rcpt("jia@adatum.example").data("", "hello", QUEUED);
        let client = format!("198.51.100.{n}");
        scene
            .call(&client, gateway)
            .greets("220 gw.adatum.example ESMTP")
            .helo("mx.contoso.example")
            .mail(letter)
            .quit();
    }
    probes(&mut scene, gateway, words(100), 0);
    is_quiet(&scene);
    // A machine that serves nobody is another thing.
    probes(&mut scene, "192.168.10.23", words(100), 0);
    let found = harvests(&scene);
    assert_eq!((found[0].host, found[0].kind), (host("192.168.10.23"), Some("from_inside")));
}

#[test]
fn a_harvest_by_a_host_of_ours_speaks_against_it() {
    let (pc, mut scene) = ("192.168.10.23", scene());
    let probe = |scene: &mut Scene, server: &str, n: u32| {
        let letter = Letter::from("x@contoso.example").to(&format!("user{n}@fabrikam.example"), UNKNOWN);
        scene.call(pc, server).greets("220 mx.fabrikam.example ESMTP").helo("pc23").mail(letter).quit();
    };
    // A worm: bad recipients here and there.
    for n in 0..60 {
        probe(&mut scene, &format!("203.0.{}.25", n % 20), n);
    }
    is_quiet(&scene);
    for n in 100..140 {
        probe(&mut scene, "203.0.250.25", n);
    }
    let found = scene.findings("harvest");
    assert_eq!((found[0].host, found[0].class, found[0].family), (host(pc), Class::MassMailer, Family::Harvest));
    assert_eq!((found[0].db, found.len()), (15.0, 1));
}

/// A botnet of many networks asks for a few names each.
#[test]
fn a_harvest_spread_over_many_networks_shows_at_the_server() {
    let spread = |scene: &mut Scene, count: u32| {
        for n in 0..count {
            let client = format!("100.{}.{}.7", n / 200, n % 200);
            probes(scene, &client, std::iter::once(format!("u{n}x{}", scene.now().as_nanos())), 0);
        }
    };
    let mut young = scene();
    spread(&mut young, 99);
    is_quiet(&young);
    let mut young = scene();
    spread(&mut young, 100);
    assert_eq!(young.findings("harvest").first().map(|found| found.db), Some(10.0), "other days are not known");

    // A server that gets twenty a day at this hour knows that six times as many are unusual.
    let mut old = scene();
    for _ in 0..5 {
        spread(&mut old, 20);
        old.wait(Span::hours(24));
    }
    is_quiet(&old);
    let mut usual = scene();
    for _ in 0..5 {
        spread(&mut usual, 99);
        usual.wait(Span::hours(24));
    }
    spread(&mut usual, 500);
    is_quiet(&usual);
    spread(&mut old, 130);
    let found = old.findings("harvest");
    assert_eq!(found.iter().map(|finding| finding.db).collect::<Vec<_>>(), [20.0], "{found:#?}");
    assert!(found[0].says.contains("usual at that time of the day are 20"), "{}", found[0].says);
}

#[test]
fn a_flood_of_clients_leaves_the_harvester() {
    let limits = DetectLimits { clients_max: 64, ..DetectLimits::default() };
    let mut scene = Scene::within(site(&["adatum.example"]), &DetectSettings::default(), &limits);
    probes(&mut scene, HARVESTER, words(50), 0);
    for n in 0..2000_u32 {
        let client = format!("100.{}.{}.7", n / 250, n % 250);
        asks(&mut scene, &client, Letter::from("a@contoso.example").rcpt("jia@adatum.example"));
    }
    let fill = |scene: &Scene| {
        let stats = scene.judge.stats();
        stats.detectors.iter().find(|(name, _)| *name == "harvest").unwrap().1
    };
    assert!(fill(&scene).hosts <= 3, "who asks for one that exists takes no room");
    for n in 0..2000_u32 {
        let client = format!("100.{}.{}.7", n / 250, n % 250);
        let letter = Letter::from("a@contoso.example").to("old1@adatum.example", UNKNOWN);
        asks(&mut scene, &client, letter.to("old2@adatum.example", UNKNOWN));
    }
    let stats = fill(&scene);
    assert!(stats.evicted > 3000 && stats.hosts <= 64 + 32 + 1, "{stats:?}");
    assert_eq!(harvests(&scene)[0].peers[0].ip, host(HARVESTER));
}

/// A small office: eight users, and an MTA that verifies fifty senders, of which ten are forged.
#[test]
fn call_outs_at_a_small_office_are_no_harvest() {
    let mut scene = scene();
    for n in 0..50 {
        let letter = if n % 5 == 0 {
            Letter::from("").to(&format!("forged{n}@adatum.example"), UNKNOWN)
        } else {
            Letter::from("").to(&format!("user{}@adatum.example", n % 8), TAKEN)
        };
        asks(&mut scene, HARVESTER, letter);
        scene.wait(Span::mins(1));
    }
    assert!(Judgement::of(&scene.judge).incidents.is_empty(), "{:?}", Judgement::of(&scene.judge).incidents);
}
