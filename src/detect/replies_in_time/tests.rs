use super::super::testing::{Call, Letter, Scene};
use super::*;
use crate::incident::Judgement;
use crate::site::Site;

const SERVER: &str = "192.168.10.10";
const PC: &str = "192.168.10.23";
const DENIED: &str = "554 5.7.1 relay access denied";

fn ask(scene: &mut Scene, client: &str, server: &str, rcpt: &str, answer: &str) {
    greeted(scene, client, server).mail(letter(rcpt, answer)).quit();
}

fn greeted<'s>(scene: &'s mut Scene, client: &str, server: &str) -> Call<'s> {
    scene.call(client, server).greets("220 mail.adatum.example ESMTP").helo("pc23.adatum.example")
}

fn letter(rcpt: &str, answer: &str) -> Letter {
    let letter = Letter::from("a@adatum.example").to(rcpt, answer);
    if answer.starts_with('2') { letter.data("", "text", "250 2.0.0 queued") } else { letter }
}

fn storms(scene: &Scene) -> Vec<Finding> {
    scene.findings("replies_in_time").into_iter().filter(|found| found.verdict.is_some()).collect()
}

#[test]
fn a_tarpit_is_told_by_its_medians() {
    let mut scene = Scene::new(Site::default());
    let mut call = greeted(&mut scene, PC, "198.51.100.25");
    for n in 0..30 {
        let (code, wait) = if n % 3 == 0 { (250, 20) } else { (550, 5_100) };
        call = call.timed("RCPT", code, Span::millis(wait));
    }
    call.mail(letter("x@contoso.example", "550 5.1.1 unknown")).quit();
    let found = scene.findings("replies_in_time");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].numbers.get("refusal_median_seconds"), Some(5.1));
    assert_eq!(found[0].numbers.get("acceptance_median_seconds"), Some(0.02));
    assert!(found[0].db.abs() < 1e-9 && found[0].verdict.is_none(), "it explains, it does not accuse");
}

fn waits(list: &[(&'static str, u16, i64)]) -> Option<Tarpit> {
    let mut now = Ts::EPOCH;
    let commands: Vec<CommandLog> = list
        .iter()
        .map(|(verb, code, millis)| {
            let said = now;
            now = now + Span::millis(*millis);
            CommandLog { verb, code: Some(*code), said, replied: Some(now) }
        })
        .collect();
    let mut waits = Waits::default();
    waits.note(&commands);
    waits.tarpit(&Settings::default())
}

#[test]
fn three_seconds_and_three_of_each_are_the_boundary() {
    let list = |refusals: usize, wait| {
        let mut list = vec![("RCPT", 250, 100); 3];
        list.extend(vec![("RCPT", 550, wait); refusals]);
        list
    };
    assert!(waits(&list(3, 3_100)).is_some());
    assert!(waits(&list(3, 3_099)).is_none());
    assert!(waits(&list(2, 9_000)).is_none());
}

#[test]
fn a_scanner_that_delays_the_answer_to_data_is_no_tarpit() {
    let mut list = vec![("RCPT", 250, 100); 5];
    list.extend(vec![(".", 550, 20_000); 5]);
    list.extend(vec![("RCPT", 550, 120); 5]);
    assert!(waits(&list).is_none());
}

#[test]
fn pipelined_answers_are_measured_from_one_to_the_next() {
    let at = |millis| Ts::EPOCH + Span::millis(millis);
    let command =
        |code, replied| CommandLog { verb: "RCPT", code: Some(code), said: at(0), replied: Some(at(replied)) };
    let mut waits = Waits::default();
    waits.note(&[command(250, 10), command(550, 5_010), command(250, 5_020), command(550, 10_020)]);
    assert_eq!(median(&waits.refused), Some(Span::secs(5)));
    assert_eq!(median(&waits.accepted), Some(Span::millis(10)));
}

#[test]
fn waits_are_bounded() {
    let mut waits = Waits::default();
    let command = CommandLog { verb: "RCPT", code: Some(550), said: Ts::EPOCH, replied: Some(Ts::EPOCH) };
    waits.note(&vec![command; 1000]);
    assert_eq!(waits.refused.len(), WAITS_MAX);
}

#[test]
fn a_program_that_its_own_server_refuses_is_a_storm() {
    let mut scene = Scene::new(Site::default());
    for n in 0..10 {
        ask(&mut scene, PC, SERVER, &format!("u{n}@contoso.example"), DENIED);
        scene.wait(Span::secs(30));
    }
    let found = storms(&scene);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].kind, Some("relay_denied"));
    assert_eq!(found[0].numbers.get("refused"), Some(10.0));
    let judgement = Judgement::of(&scene.judge);
    let incident = judgement.incidents.iter().find(|incident| incident.class == Class::RejectionStorm).unwrap();
    assert_eq!((incident.severity, incident.tier), (Severity::Low, Tier::Suspect));
    assert!(incident.summary.contains("100 %"), "{}", incident.summary);
    assert!(incident.remediation.iter().any(|step| step.contains(SERVER)), "{:?}", incident.remediation);
}

#[test]
fn nine_refusals_or_ten_in_a_longer_time_are_none() {
    let mut scene = Scene::new(Site::default());
    (0..9).for_each(|n| ask(&mut scene, PC, SERVER, &format!("u{n}@contoso.example"), DENIED));
    assert!(storms(&scene).is_empty());

    let mut scene = Scene::new(Site::default());
    for n in 0..30 {
        ask(&mut scene, PC, SERVER, &format!("u{n}@contoso.example"), DENIED);
        scene.wait(Span::secs(34)); // nine waits are 306 s
    }
    assert!(storms(&scene).is_empty());
}

#[test]
fn who_is_mostly_accepted_is_in_no_storm() {
    let mut scene = Scene::new(Site::default());
    for n in 0..100 {
        ask(&mut scene, PC, SERVER, &format!("u{n}@contoso.example"), if n % 2 == 0 { DENIED } else { "250 ok" });
    }
    assert!(storms(&scene).is_empty());
}

#[test]
fn refused_by_the_world_it_is_the_worms_detector_that_judges() {
    let mut scene = Scene::new(Site::default());
    for n in 0..30 {
        ask(&mut scene, PC, &format!("198.51.{n}.25"), &format!("u{n}@contoso.example"), "550 5.1.1 user unknown");
    }
    assert!(storms(&scene).is_empty());
    let judgement = Judgement::of(&scene.judge);
    assert!(judgement.incidents.iter().all(|incident| incident.class != Class::RejectionStorm));
    let lines = &judgement.incidents[0].evidence;
    assert!(lines.iter().any(|line| line.detector == Some("replies_in_time") && line.db.abs() < 1e-9));
}

#[test]
fn refusals_because_the_gateway_is_listed_are_told_elsewhere() {
    let mut scene = Scene::new(Site::default());
    for n in 0..30 {
        let words = "554 5.7.1 Service unavailable; Client host [203.0.113.5] blocked using zen.spamhaus.org";
        ask(&mut scene, SERVER, "198.51.100.25", &format!("u{n}@contoso.example"), words);
    }
    assert!(scene.findings("replies_in_time").is_empty());
}

#[test]
fn a_greylisted_newsletter_shows_that_it_has_a_queue() {
    let mut scene = Scene::new(Site { mail_servers: vec![SERVER.parse().unwrap()], ..Site::default() });
    for round in 0..2 {
        for n in 0..20 {
            let answer = if round == 0 { "450 4.2.0 Greylisted" } else { "250 ok" };
            ask(&mut scene, SERVER, &format!("198.51.{n}.25"), &format!("u{n}@contoso.example"), answer);
        }
        scene.wait(Span::mins(10));
    }
    let found = scene.findings("replies_in_time");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].numbers.get("taken_later"), Some(20.0));
    assert!(Judgement::of(&scene.judge).incidents.is_empty());
}

#[test]
fn a_retry_within_the_minute_is_no_queue() {
    let mut scene = Scene::new(Site::default());
    ask(&mut scene, PC, "198.51.100.25", "u@contoso.example", "450 4.2.0 Greylisted");
    scene.wait(Span::secs(50));
    ask(&mut scene, PC, "198.51.100.25", "u@contoso.example", "250 ok");
    assert!(scene.findings("replies_in_time").is_empty());
}
