use super::super::testing::{Call, Letter, Scene};
use super::*;
use crate::incident::{Incident, Judgement};
use crate::site::Site;

const SERVER: &str = "192.168.10.10";
const FALSE_END: &str = "text\r\n\n.\r\nMAIL FROM:<admin@adatum.example>\r\n";

fn attack<'s>(scene: &'s mut Scene, client: &str, server: &str, body: &str) -> Call<'s> {
    scene
        .call(client, server)
        .greets("220 mail.adatum.example ESMTP")
        .helo("mail.evil.example")
        .timed(".", 250, Span::millis(1))
        .mail(Letter::from("alice@evil.example").rcpt("bob@adatum.example").data("1@evil", body, "250 ok"))
        .smuggles(FALSE_END, 12, 0)
}

fn incident(scene: &Scene) -> Incident {
    let found: Vec<Incident> =
        Judgement::of(&scene.judge).incidents.into_iter().filter(|i| i.class == Class::SmtpSmuggling).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[test]
fn a_server_that_obeys_the_hidden_mail_is_named() {
    let mut scene = Scene::new(Site::default());
    attack(&mut scene, "198.51.100.66", SERVER, "x")
        .odd(&[Weird::NonstandardEndOfData])
        .timed("MAIL", 250, Span::millis(1))
        .mail(Letter::from("admin@adatum.example").rcpt("bob@adatum.example").data("", "y", "250 ok"))
        .quit();
    let incident = incident(&scene);
    assert_eq!(incident.host.to_string(), SERVER);
    assert_eq!((incident.tier, incident.severity), (Tier::Confirmed, Severity::Critical));
    assert_eq!(incident.kind, Some("interpreted"));
    assert_eq!(incident.peers[0].ip.to_string(), "198.51.100.66");
    let says = &incident.evidence[0].says;
    assert!(says.contains("746578740d0a0a2e0d0a4d41494c"), "{says}");
    assert!(says.contains("<alice@evil.example>") && says.contains("<admin@adatum.example>"), "{says}");
    assert!(incident.summary.contains("obeyed"), "{}", incident.summary);
    assert!(incident.remediation.iter().any(|step| step.contains("CR LF . CR LF")), "{:?}", incident.remediation);
}

#[test]
fn another_end_without_a_command_behind_it_that_was_answered_is_no_success() {
    let mut scene = Scene::new(Site::default());
    attack(&mut scene, "198.51.100.66", SERVER, "x").odd(&[Weird::NonstandardEndOfData]).quit();
    let incident = incident(&scene);
    assert_eq!((incident.kind, incident.tier), (Some("attempted"), Tier::Suspect));
}

#[test]
fn a_goodbye_to_the_command_behind_another_end_is_no_success() {
    for code in [221, 421] {
        let mut scene = Scene::new(Site::default());
        attack(&mut scene, "198.51.100.66", SERVER, "x")
            .odd(&[Weird::NonstandardEndOfData])
            .timed("MAIL", code, Span::millis(1))
            .quit();
        let incident = incident(&scene);
        assert_eq!((incident.kind, incident.tier), (Some("attempted"), Tier::Suspect), "{code}");
    }
}

#[test]
fn what_our_server_refuses_to_see_is_an_attempt_on_it() {
    let mut scene = Scene::new(Site::default());
    for _ in 0..3 {
        attack(&mut scene, "198.51.100.66", SERVER, "x").quit();
    }
    let incident = incident(&scene);
    assert_eq!((incident.kind, incident.severity), (Some("attempted"), Severity::High));
    assert_eq!(incident.tier, Tier::Suspect, "being attacked is no guilt");
    assert!(incident.evidence[0].says.ends_with("(3 times)"));
}

#[test]
fn a_client_of_ours_that_sends_it_is_to_blame() {
    let mut scene = Scene::new(Site::default());
    attack(&mut scene, "192.168.10.23", "198.51.100.25", "x").quit();
    let incident = incident(&scene);
    assert_eq!((incident.host.to_string().as_str(), incident.tier), ("192.168.10.23", Tier::Confirmed));
}

#[test]
fn a_server_that_passes_it_on_helps_the_attacker() {
    let mut scene = Scene::new(Site::default());
    attack(&mut scene, "198.51.100.66", SERVER, "a body").quit();
    scene.wait(Span::mins(3));
    attack(&mut scene, SERVER, "203.0.113.25", "a body").quit();
    let found = incident(&scene);
    assert_eq!((found.kind, found.severity, found.tier), (Some("propagated"), Severity::Critical, Tier::Confirmed));

    // Another body is another mail.
    let mut scene = Scene::new(Site::default());
    attack(&mut scene, "198.51.100.66", SERVER, "a body").quit();
    attack(&mut scene, SERVER, "203.0.113.25", "another").quit();
    assert_eq!(incident(&scene).kind, Some("attempted"));
}

#[test]
fn nobody_looks_for_a_body_for_ever() {
    let mut scene = Scene::new(Site::default());
    attack(&mut scene, "198.51.100.66", SERVER, "a body").quit();
    scene.wait(Span::hours(9)); // two turns of the filters
    attack(&mut scene, SERVER, "203.0.113.25", "a body").quit();
    assert_eq!(incident(&scene).kind, Some("attempted"));
}

#[test]
fn a_script_that_knows_only_line_feeds_means_no_harm() {
    let at_boundary = |crlf_lines, lf_lines| {
        let mut scene = Scene::new(Site::default());
        scene
            .call("192.168.10.40", "198.51.100.25")
            .greets("220 mx.contoso.example")
            .helo("copier")
            .timed(".", 250, Span::millis(1))
            .timed("MAIL", 250, Span::millis(1))
            .odd(&[Weird::BareLf, Weird::NonstandardEndOfData])
            .mail(Letter::from("cron@adatum.example").rcpt("root@contoso.example").data("", "x", "250 ok"))
            .smuggles("done\n.\nMAIL FROM:<cron@adatum.example>\n", crlf_lines, lf_lines)
            .quit();
        (incident(&scene).kind, incident(&scene).severity)
    };
    assert_eq!(at_boundary(1, 19), (Some("lf_only_client"), Severity::Low));
    assert_eq!(at_boundary(2, 18), (Some("interpreted"), Severity::Critical));
}

#[test]
fn line_feeds_with_quit_behind_them_and_quoted_advisories_are_nothing() {
    let mut scene = Scene::new(Site::default());
    // Cron: LF.LF, then QUIT: another end, but nothing behind it.
    scene
        .call("192.168.10.40", "198.51.100.25")
        .greets("220 mx.contoso.example")
        .odd(&[Weird::BareLf, Weird::NonstandardEndOfData])
        .mail(Letter::from("cron@adatum.example").rcpt("root@contoso.example").data("", "x", "250 ok"))
        .quit();
    // A mail that quotes the advisory has CRLF everywhere: the pattern never matches, there is no oddity.
    scene
        .call("198.51.100.66", SERVER)
        .greets("220 mail.adatum.example")
        .mail(Letter::from("list@sec.example").rcpt("bob@adatum.example").data("", "\\n.\\r\\nMAIL FROM", "250 ok"))
        .quit();
    assert!(scene.findings("smuggling").is_empty());
}

#[test]
fn gaps_lower_the_confidence_and_peers_are_bounded() {
    let mut scene = Scene::new(Site::default());
    for n in 0..50 {
        attack(&mut scene, &format!("198.51.100.{n}"), SERVER, "x").gaps(1).quit();
    }
    let incident = incident(&scene);
    assert_eq!((incident.peers.len(), incident.confidence), (PEERS_MAX, Confidence::Low));
}
