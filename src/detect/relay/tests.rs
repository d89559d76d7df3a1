mod quiet;
mod steps;

use super::*;
use crate::detect::testing::{Letter, Scene, host, reply, site};
use crate::detect::{Confidence, DetectSettings, Severity, Tier};
use crate::incident::Judgement;
use crate::site::Site;
use crate::smtp::path::{Form, FormSet, SenderForm};

const SERVER: &str = "192.168.10.10";
const SMART_HOST: &str = "192.168.10.11";
const TESTER: &str = "198.51.100.150";
const OUTSIDE_MX: &str = "203.0.113.77";
const BANNER: &str = "220 mail.adatum.example ESMTP";
const DENIED: &str = "550 5.7.1 relay not permitted";
const QUEUED: &str = "250 2.0.0 queued";

fn ours() -> Scene {
    Scene::new(site(&["adatum.example"]))
}

/// Domains are not given: only the greeting tells.
fn unknown() -> Scene {
    Scene::new(Site::default())
}

/// An outsider brings a mail.
fn brings(scene: &mut Scene, client: &str, letter: Letter) {
    scene.call(client, SERVER).greets(BANNER).helo("tester.example").mail(letter).quit();
}

/// The server hands a mail on.
fn hands_on(scene: &mut Scene, from: &str, to: &str, letter: Letter) {
    scene.call(from, to).greets("220 mx.outside.example ESMTP").helo("mail.adatum.example").mail(letter).quit();
}

/// A mail from outside to outside, taken with its data.
fn taken(sender: &str, recipient: &str, msg_id: &str) -> Letter {
    Letter::from(sender).rcpt(recipient).data(msg_id, "buy this", QUEUED)
}

fn finding(scene: &Scene) -> Finding {
    let mut findings = scene.findings("relay");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings.remove(0)
}

fn is_quiet(scene: &Scene) {
    let findings = scene.findings("relay");
    assert!(findings.is_empty(), "{findings:#?}");
}

fn verdicts(scene: &Scene) -> Vec<(String, RelayOutcome)> {
    finding(scene).relays.iter().map(|relay| (relay.technique.join(" "), relay.verdict)).collect()
}

fn ruling(scene: &Scene) -> (Tier, Severity) {
    let ruling = finding(scene).verdict.unwrap();
    (ruling.tier, ruling.severity)
}

/// The seven tests as they were typed at a real Exim, and its answers.
const KB_TESTS: [(&str, &str, &str, &str); 7] = [
    ("office@contoso.example", "relaytest@fabrikam.example", DENIED, "T1 F1 S2"),
    ("spamtest", "relaytest@fabrikam.example", DENIED, "T2 F1 S6"),
    ("", "relaytest@fabrikam.example", DENIED, "T3 F1 S1"),
    ("sales@adatum.example", "relaytest@fabrikam.example", DENIED, "T4 F1 S3"),
    ("spamtest@[203.0.113.5]", "relaytest@fabrikam.example", DENIED, "T5 F1 S4"),
    ("office@contoso.example", "relaytest%fabrikam.example", "250 Accepted", "T6 F11 S2"),
    ("office@contoso.example", "\"relaytest@fabrikam.example\"", "250 Accepted", "T7 F4 S2"),
];

fn kb_letter(nth: usize) -> Letter {
    let (sender, recipient, answer, _) = KB_TESTS[nth];
    let letter = Letter::from(sender).to(recipient, answer);
    if answer.starts_with("250") {
        letter.data(&format!("{nth}@contoso.example"), "test", "250 OK id=1")
    } else {
        letter
    }
}

/// The report that this Exim sends.
fn exim_report(recipient: &str) -> Letter {
    Letter::from("")
        .rcpt("office@contoso.example")
        .data("E1@mail.adatum.example", "could not be delivered", QUEUED)
        .auto_submitted("auto-replied")
        .reports(recipient)
}

#[test]
fn the_seven_tests_are_refused_or_bounce_and_none_is_relayed() {
    for mut scene in [ours(), unknown()] {
        for nth in 0..7 {
            scene.wait(Span::secs(11));
            brings(&mut scene, TESTER, kb_letter(nth));
            if nth == 5 {
                hands_on(&mut scene, SERVER, OUTSIDE_MX, exim_report("relaytest%fabrikam.example@adatum.example"));
                assert_eq!(verdicts(&scene)[5].1, RelayOutcome::AcceptedThenNdr);
            }
        }
        assert_eq!(verdicts(&scene)[6].1, RelayOutcome::AcceptedUnproven, "the first report was about the sixth test");
        assert_eq!(ruling(&scene), (Tier::Suspect, Severity::Medium));
        hands_on(&mut scene, SERVER, OUTSIDE_MX, exim_report("\"relaytest@fabrikam.example\"@adatum.example"));

        let expected: Vec<(String, RelayOutcome)> = KB_TESTS
            .iter()
            .map(|(_, _, answer, technique)| {
                let refused = answer.starts_with('5');
                let outcome = if refused { RelayOutcome::Rejected } else { RelayOutcome::AcceptedThenNdr };
                ((*technique).to_owned(), outcome)
            })
            .collect();
        assert_eq!(verdicts(&scene), expected);
        assert_eq!(ruling(&scene), (Tier::Suspect, Severity::Low));
        let finding = finding(&scene);
        assert_eq!(finding.host, host(SERVER));
        assert_eq!((finding.peers[0].ip, finding.peers[0].role), (host(TESTER), "client"));
        assert!(finding.says.contains("the bounce proves it"), "{}", finding.says);
        assert!(finding.says.contains("7 techniques, in the order of the sequence of KB 304897"), "{}", finding.says);
        assert!(finding.relays.iter().all(|relay| relay.effective.as_bytes() == b"relaytest@fabrikam.example"));
        assert_eq!(finding.relays[0].reply, Some(DENIED.into()));
    }
}

#[test]
fn the_forms_of_recipients_and_senders() {
    let rows = [
        ("", "u@fabrikam.example", "T3 F1 S1"),
        ("a@contoso.example", "u@fabrikam.example", "T1 F1 S2"),
        ("a@mail.adatum.example", "u@fabrikam.example", "T4 F1 S3"),
        ("a@[192.168.10.10]", "u@fabrikam.example", "T5 F1 S4"),
        ("a@[203.0.113.5]", "u@fabrikam.example", "T5 F1 S4"),
        ("a@localhost", "u@fabrikam.example", "F1 S5"),
        ("a@[127.0.0.1]", "u@fabrikam.example", "F1 S5"),
        ("spamtest", "u@fabrikam.example", "T2 F1 S6"),
        ("mail.adatum.example!nobody", "u@fabrikam.example", "F1 S7"),
        ("a@contoso.example", "u%fabrikam.example@[192.168.10.10]", "T6 F2 S2"),
        ("a@[203.0.113.5]", "u%fabrikam.example@[203.0.113.5]", "T6 F2 S4"),
        ("a@adatum.example", "u%fabrikam.example@mail.adatum.example", "T6 F3 S3"),
        ("spamtest", "u%fabrikam.example@adatum.example", "T6 F3 S6"),
        ("a@contoso.example", "\"u@fabrikam.example\"", "T7 F4 S2"),
        ("a@adatum.example", "\"u%fabrikam.example\"", "F5 S3"),
        ("a@contoso.example", "u@fabrikam.example@[192.168.10.10]", "F6 S2"),
        ("a@contoso.example", "u@fabrikam.example@adatum.example", "F6 S2"),
        ("a@localhost", "\"u@fabrikam.example\"@[192.168.10.10]", "T7 F7 S5"),
        ("a@contoso.example", "@mail.adatum.example:u@fabrikam.example", "T8 F8 S2"),
        ("a@contoso.example", "@x.example,@y.example:u@fabrikam.example", "T8 F8 S2"),
        ("srv!nobody", "fabrikam.example!u", "T9 F9 S7"),
        ("a@contoso.example", "fabrikam.example!u@[192.168.10.10]", "T9 F9 S2"),
        ("a@contoso.example", "u%fabrikam.example", "T6 F11 S2"),
        ("a@contoso.example", "IMCEASMTP-u+40fabrikam+2Eexample@adatum.example", "F12 S2"),
        ("a@contoso.example", "\"IMCEA u@fabrikam.example\"@adatum.example", "F12 S2"),
        ("a@contoso.example", "u%fabrikam.example%mail.adatum.example@adatum.example", "T6 F3 F13 S2"),
        ("a@contoso.example", "@adatum.example:u%fabrikam.example@adatum.example", "T6 T8 F3 F8 F13 S2"),
    ];
    // Given domains, and none given: what is routed, or denied, needs none.
    for (site_no, domains) in [&["adatum.example"][..], &[]].into_iter().enumerate() {
        for (sender, recipient, technique) in rows {
            let mut scene = Scene::new(site(domains));
            let letters = [Letter::from(sender).to(recipient, DENIED), taken(sender, recipient, "a1@contoso.example")];
            for letter in letters {
                brings(&mut scene, TESTER, letter);
            }
            let plain = technique.contains("F1 ");
            if (plain && site_no == 1) || technique.ends_with("S1") && !plain {
                continue;
            }
            let found = finding(&scene);
            assert_eq!(found.relays.len(), 1, "{recipient}");
            assert_eq!(found.relays[0].technique.join(" "), technique, "{sender} {recipient}");
            assert_eq!(found.relays[0].effective.as_bytes(), b"u@fabrikam.example", "{recipient}");
            assert_eq!(found.relays[0].verdict, RelayOutcome::AcceptedUnproven, "{recipient}");
        }
    }
}

#[test]
fn what_remains_for_the_next_hop_is_the_effective_recipient() {
    let mut scene = ours();
    brings(&mut scene, TESTER, taken("a@contoso.example", "u%fabrikam.example%hop.example@adatum.example", "1@x"));
    let found = finding(&scene);
    assert_eq!(found.relays[0].effective.as_bytes(), b"u%fabrikam.example@hop.example");
    hands_on(&mut scene, SERVER, OUTSIDE_MX, taken("a@contoso.example", "u%fabrikam.example@hop.example", "1@x"));
    assert_eq!(ruling(&scene), (Tier::Confirmed, Severity::Critical));
}

#[test]
fn what_is_seen_to_leave_is_proven() {
    let mut scene = ours();
    brings(&mut scene, TESTER, taken("a@contoso.example", "u%fabrikam.example@adatum.example", "42@contoso.example"));
    assert_eq!(ruling(&scene), (Tier::Suspect, Severity::Medium));
    hands_on(&mut scene, SERVER, OUTSIDE_MX, taken("a@contoso.example", "U@Fabrikam.example", "42@contoso.example"));
    assert_eq!(verdicts(&scene), [("T6 F3 S2".to_owned(), RelayOutcome::Proven)]);
    assert_eq!(ruling(&scene), (Tier::Confirmed, Severity::Critical));
    let found = finding(&scene);
    assert!(found.says.contains("an open relay"), "{}", found.says);
    assert_eq!(found.relays[0].recipient.as_bytes(), b"u%fabrikam.example@adatum.example", "as it was sent");
    assert_eq!(found.sessions.len(), 2, "both sessions are evidence");
    assert_eq!(found.frames.len(), 2);

    let incident = Judgement::of(&scene.judge).incidents.remove(0);
    assert_eq!((incident.tier, incident.severity), (Tier::Confirmed, Severity::Critical));
    assert!(incident.summary.contains("relays mail for strangers"), "{}", incident.summary);
}

#[test]
fn a_body_proves_as_well_as_a_message_id_and_an_empty_one_nothing() {
    for (bodies, proven) in [(["same", "same"], true), (["one", "two"], false), (["", ""], false)] {
        let mut scene = ours();
        let letter = |msg_id: &str, body: &str| {
            Letter::from("a@contoso.example").rcpt("u@fabrikam.example").data(msg_id, body, QUEUED)
        };
        brings(&mut scene, TESTER, letter("", bodies[0]));
        hands_on(&mut scene, SERVER, OUTSIDE_MX, letter("new@mail.adatum.example", bodies[1]));
        assert_eq!(verdicts(&scene)[0].1 == RelayOutcome::Proven, proven, "{bodies:?}");
    }
}

#[test]
fn greylisting_for_an_hour_hides_nothing() {
    let mut scene = ours();
    let letter = || taken("a@contoso.example", "u@fabrikam.example", "1@contoso.example");
    brings(&mut scene, TESTER, letter());
    let greylisted = Letter::from("a@contoso.example").to("u@fabrikam.example", "450 4.2.0 greylisted, try later");
    hands_on(&mut scene, SERVER, OUTSIDE_MX, greylisted);
    assert_eq!(verdicts(&scene)[0].1, RelayOutcome::AcceptedUnproven);
    scene.wait(Span::hours(1));
    hands_on(&mut scene, SERVER, OUTSIDE_MX, letter());
    assert_eq!(verdicts(&scene)[0].1, RelayOutcome::Proven);
    assert!(finding(&scene).says.contains("60 min later"), "{}", finding(&scene).says);

    let mut late = ours();
    brings(&mut late, TESTER, letter());
    late.wait(Span::hours(5));
    hands_on(&mut late, SERVER, OUTSIDE_MX, letter());
    assert_eq!(verdicts(&late)[0].1, RelayOutcome::AcceptedUnproven, "after the window");
}

#[test]
fn a_smart_host_on_the_way_changes_nothing() {
    let mut scene = ours();
    let letter = || taken("a@contoso.example", "u@fabrikam.example", "1@contoso.example");
    brings(&mut scene, TESTER, letter());
    hands_on(&mut scene, SERVER, SMART_HOST, letter());
    assert_eq!(verdicts(&scene)[0].1, RelayOutcome::AcceptedUnproven, "still inside");
    hands_on(&mut scene, SMART_HOST, OUTSIDE_MX, letter());
    assert_eq!(verdicts(&scene)[0].1, RelayOutcome::Proven);
    assert_eq!(finding(&scene).host, host(SERVER));
}

#[test]
fn another_host_with_the_same_mail_proves_nothing() {
    let mut scene = ours();
    let letter = || taken("a@contoso.example", "u@fabrikam.example", "1@contoso.example");
    brings(&mut scene, TESTER, letter());
    hands_on(&mut scene, "192.168.10.77", OUTSIDE_MX, letter());
    assert_eq!(verdicts(&scene)[0].1, RelayOutcome::AcceptedUnproven);
}

#[test]
fn size_alone_is_probable_and_no_proof() {
    let mut scene = ours();
    let letter = |size| Letter::from("a@contoso.example").rcpt("u@fabrikam.example").opaque(size);
    brings(&mut scene, TESTER, letter(10_000));
    hands_on(&mut scene, SERVER, OUTSIDE_MX, letter(12_000));
    assert_eq!(finding(&scene).numbers.get("probable"), Some(0.0));
    hands_on(&mut scene, SERVER, OUTSIDE_MX, letter(10_400));
    let found = finding(&scene);
    assert_eq!(found.numbers.get("probable"), Some(1.0));
    assert!(found.says.contains("which is no proof"), "{}", found.says);
    assert_eq!(ruling(&scene), (Tier::Suspect, Severity::Medium));
}

#[test]
fn a_null_sender_goes_on_as_one_and_gets_no_report() {
    let mut scene = ours();
    brings(&mut scene, TESTER, taken("", "u@fabrikam.example", "1@contoso.example"));
    // A report to nobody in particular matches nothing.
    hands_on(&mut scene, SERVER, OUTSIDE_MX, Letter::from("").rcpt("x@contoso.example").data("2@a", "x", QUEUED));
    assert_eq!(verdicts(&scene), [("T3 F1 S1".to_owned(), RelayOutcome::AcceptedUnproven)]);
    hands_on(&mut scene, SERVER, OUTSIDE_MX, taken("", "u@fabrikam.example", "1@contoso.example"));
    assert_eq!(verdicts(&scene)[0].1, RelayOutcome::Proven);
}

#[test]
fn a_report_that_quotes_the_mail_is_no_proof() {
    let mut scene = ours();
    brings(&mut scene, TESTER, taken("u@fabrikam.example", "u@fabrikam.example", "1@contoso.example"));
    hands_on(&mut scene, SERVER, OUTSIDE_MX, taken("", "u@fabrikam.example", "1@contoso.example"));
    assert_eq!(verdicts(&scene)[0].1, RelayOutcome::AcceptedThenNdr);
}

#[test]
fn a_report_counts_within_two_days_and_for_what_it_is_about() {
    let attempt = || taken("office@contoso.example", "u%fabrikam.example@adatum.example", "1@contoso.example");
    let report = |recipient: &str| exim_report(recipient);
    for (hours, letter, outcome) in [
        (1, report("u%fabrikam.example@adatum.example"), RelayOutcome::AcceptedThenNdr),
        (47, report("u@fabrikam.example"), RelayOutcome::AcceptedThenNdr),
        (49, report("u@fabrikam.example"), RelayOutcome::AcceptedUnproven),
        (1, report("nobody@adatum.example"), RelayOutcome::AcceptedUnproven),
        // A report without machine-readable parts.
        (1, Letter::from("").rcpt("office@contoso.example").data("", "failed", QUEUED), RelayOutcome::AcceptedThenNdr),
        (1, Letter::from("").rcpt("other@contoso.example").data("", "failed", QUEUED), RelayOutcome::AcceptedUnproven),
        // The sender's own server refuses the report: it was sent all the same.
        (
            1,
            Letter::from("").rcpt("office@contoso.example").data("", "failed", "554 5.7.1 no"),
            RelayOutcome::AcceptedThenNdr,
        ),
        // An address verification, and an absence notice.
        (1, Letter::from("").rcpt("office@contoso.example"), RelayOutcome::AcceptedUnproven),
        (
            1,
            Letter::from("").rcpt("office@contoso.example").data("", "away", QUEUED).auto_submitted("auto-replied"),
            RelayOutcome::AcceptedUnproven,
        ),
    ] {
        let mut scene = ours();
        brings(&mut scene, TESTER, attempt());
        scene.wait(Span::hours(hours));
        hands_on(&mut scene, SERVER, OUTSIDE_MX, letter.clone());
        assert_eq!(verdicts(&scene)[0].1, outcome, "after {hours} h");
    }
}

#[test]
fn a_report_speaks_for_the_recipients_it_names() {
    let bounced = |report: Letter| {
        let mut scene = ours();
        let letter = Letter::from("office@contoso.example").rcpt("u%fabrikam.example").rcpt("v%fabrikam.example").data(
            "1@contoso.example",
            "x",
            QUEUED,
        );
        brings(&mut scene, TESTER, letter);
        hands_on(&mut scene, SERVER, OUTSIDE_MX, report);
        verdicts(&scene).into_iter().map(|(_, outcome)| outcome == RelayOutcome::AcceptedThenNdr).collect::<Vec<_>>()
    };
    assert_eq!(bounced(exim_report("v%fabrikam.example@adatum.example")), [false, true]);
    let speechless = Letter::from("").rcpt("office@contoso.example").data("", "failed", QUEUED);
    assert_eq!(bounced(speechless), [true, true], "it may be about both");
}

#[test]
fn a_mail_that_the_outside_refused_was_tried() {
    let mut scene = ours();
    brings(&mut scene, TESTER, taken("office@contoso.example", "u@fabrikam.example", "1@contoso.example"));
    let offered = Letter::from("office@contoso.example").to("u@fabrikam.example", "550 5.1.1 User unknown");
    hands_on(&mut scene, SERVER, OUTSIDE_MX, offered);
    hands_on(&mut scene, SERVER, OUTSIDE_MX, exim_report("u@fabrikam.example"));
    assert_eq!(verdicts(&scene)[0].1, RelayOutcome::AcceptedThenNdr);
    assert_eq!(ruling(&scene), (Tier::Suspect, Severity::Medium));
    let found = finding(&scene);
    assert!(found.says.contains("the server tried") && !found.says.contains("proves"), "{}", found.says);
}

#[test]
fn verdicts_only_move_up() {
    let mut scene = ours();
    let letter = |answer: &str| {
        Letter::from("a@contoso.example").rcpt("u@fabrikam.example").data("1@contoso.example", "x", answer)
    };
    let state = |scene: &Scene| finding(scene).relays[0].verdict;
    brings(&mut scene, TESTER, letter(QUEUED));
    assert_eq!(state(&scene), RelayOutcome::AcceptedUnproven);
    brings(&mut scene, TESTER, letter("554 5.7.1 content refused"));
    assert_eq!(state(&scene), RelayOutcome::AcceptedUnproven);
    let report = Letter::from("").rcpt("a@contoso.example").data("", "failed", QUEUED);
    hands_on(&mut scene, SERVER, OUTSIDE_MX, report.clone());
    assert_eq!(state(&scene), RelayOutcome::AcceptedThenNdr);
    brings(&mut scene, TESTER, letter(QUEUED));
    assert_eq!(state(&scene), RelayOutcome::AcceptedThenNdr);
    hands_on(&mut scene, SERVER, OUTSIDE_MX, letter(QUEUED));
    assert_eq!(state(&scene), RelayOutcome::Proven);
    hands_on(&mut scene, SERVER, OUTSIDE_MX, report);
    brings(&mut scene, TESTER, letter("554 5.7.1 content refused"));
    assert_eq!(state(&scene), RelayOutcome::Proven);
    assert_eq!(finding(&scene).numbers.get("attempts"), Some(1.0));
}

#[test]
fn a_refusal_at_any_step_is_a_refusal() {
    let letter = || Letter::from("a@contoso.example").rcpt("u@fabrikam.example");
    for refused in [
        Letter::from("a@contoso.example").mail_reply("550 5.7.1 go away").to("u@fabrikam.example", "503 5.5.1 no MAIL"),
        Letter::from("a@contoso.example").to("u@fabrikam.example", "454 4.7.1 Relay access denied"),
        letter().data("", "x", "554 5.7.1 refused"),
    ] {
        let mut scene = ours();
        brings(&mut scene, TESTER, refused);
        is_quiet(&scene);
        // An accepted one beside it shows the list.
        brings(&mut scene, TESTER, Letter::from("spamtest").rcpt("u@fabrikam.example"));
        assert_eq!(verdicts(&scene)[0], ("T1 F1 S2".to_owned(), RelayOutcome::Rejected));
    }
    let mut scene = ours();
    brings(&mut scene, TESTER, letter());
    let found = finding(&scene);
    assert_eq!(found.numbers.get("rcpt_only"), Some(1.0));
    assert!(found.says.contains("1 only the recipient: no data were sent"), "{}", found.says);
}

#[test]
fn a_forged_local_sender_is_relaying_too() {
    let mut scene = ours();
    let letter = || taken("sales@adatum.example", "u@fabrikam.example", "1@contoso.example");
    brings(&mut scene, TESTER, letter());
    hands_on(&mut scene, SERVER, OUTSIDE_MX, letter());
    let found = finding(&scene);
    assert!(found.says.contains("such a sender is forged") && !found.says.contains("open relay"), "{}", found.says);
}

/// Postfix puts its domain behind the bare sender of T2, others rewrite foreign senders (SRS), and routes are followed.
#[test]
fn addresses_are_shown_as_they_were_sent_however_they_leave() {
    let (plain, routed) = ("u@fabrikam.example", "u%fabrikam.example@adatum.example");
    for (sender, recipient, left, test) in [
        ("spamtest", plain, "spamtest@adatum.example", "T2 F1 S6"),
        ("a@contoso.example", plain, "SRS0=1=contoso.example=a@adatum.example", "T1 F1 S2"),
        ("spamtest", routed, "spamtest@adatum.example", "T6 F3 S6"),
    ] {
        for mut scene in [ours(), unknown()] {
            quiet::an_ordinary_day(&mut scene);
            // Of two attempts the one that came furthest is shown.
            brings(&mut scene, TESTER, taken(sender, recipient, "1@contoso.example"));
            brings(&mut scene, TESTER, taken(sender, recipient, "2@contoso.example"));
            hands_on(&mut scene, SERVER, OUTSIDE_MX, taken(left, plain, "2@contoso.example"));
            let shown = &finding(&scene).relays[0];
            assert_eq!((&*shown.technique.join(" "), shown.verdict), (test, RelayOutcome::Proven));
            assert_eq!((&*shown.sender.escaped(), &*shown.recipient.escaped()), (sender, recipient));
        }
    }
}

// Who tests.

fn scan(scene: &mut Scene, metasploit: bool) {
    let (ip, srv, ext) = ("[203.0.113.5]", "mail.adatum.example", "fabrikam.example");
    let literal = format!("a@{ip}");
    let mut tests = vec![
        (String::new(), format!("u@{ext}")),
        (format!("a@{ext}"), format!("u@{ext}")),
        (format!("a@{srv}"), format!("u@{ext}")),
        (literal.clone(), if metasploit { format!("u@{ip}") } else { format!("u@{ext}") }),
    ];
    for recipient in [
        format!("u%{ext}@{ip}"),
        format!("u%{ext}@{srv}"),
        format!("\"u@{ext}\""),
        format!("\"u%{ext}\""),
        format!("u@{ext}@{ip}"),
        format!("\"u@{ext}\"@{ip}"),
        format!("u@{ext}@{srv}"),
        format!("@{ip}:u@{ext}"),
        format!("@{srv}:u@{ext}"),
        format!("{ext}!u"),
        format!("{ext}!u@{ip}"),
        format!("{ext}!u@{srv}"),
    ] {
        tests.push((literal.clone(), recipient));
    }
    let mut call = scene.call(TESTER, SERVER).greets(BANNER).helo("scanner.test");
    for (sender, recipient) in tests {
        call = call.mail(Letter::from(&sender).to(&recipient, "554 5.7.1 Relay access denied"));
    }
    call.quit();
}

#[test]
fn a_scanner_is_named_by_the_order_of_its_tests() {
    for (metasploit, name) in [(false, "nmap's smtp-open-relay"), (true, "Metasploit's smtp_relay")] {
        let mut scene = ours();
        scan(&mut scene, metasploit);
        assert_eq!(ruling(&scene), (Tier::Suspect, Severity::Info));
        let found = finding(&scene);
        assert!(found.says.ends_with(&format!("in the order of {name}")), "{}", found.says);
        assert!(found.says.contains(&format!("{TESTER} tests for open relays")), "{}", found.says);
    }
}

#[test]
fn three_techniques_in_ten_minutes_are_a_test() {
    let letters = || KB_TESTS[..3].iter().map(|(sender, to, ..)| Letter::from(sender).to(to, DENIED));
    let mut scene = ours();
    for letter in letters() {
        brings(&mut scene, TESTER, letter);
    }
    assert_eq!(ruling(&scene), (Tier::Suspect, Severity::Info));
    assert!(finding(&scene).says.ends_with("tests for open relays: 3 techniques"), "{}", finding(&scene).says);

    let mut slow = ours();
    for letter in letters() {
        slow.wait(Span::mins(6));
        brings(&mut slow, TESTER, letter);
    }
    is_quiet(&slow);
}

// Bounds.

#[test]
fn a_flood_stays_within_its_bounds_and_hides_nothing() {
    let settings = DetectSettings::default().relay;
    let mut relay = Relay::new(settings, 1024);
    let mut scene = ours();
    // 100,000 recipients refused or taken, then one that leaves.
    for batch in 0..1000 {
        let mut letter = Letter::from("a@contoso.example");
        for n in 0..100 {
            letter = letter.rcpt(&format!("u{}@fabrikam.example", batch * 100 + n));
        }
        brings(&mut scene, TESTER, letter.data(&format!("{batch}@contoso.example"), "x", QUEUED));
    }
    let last = || taken("a@contoso.example", "last@fabrikam.example", "last@contoso.example");
    brings(&mut scene, TESTER, last());
    hands_on(&mut scene, SERVER, OUTSIDE_MX, last());
    let found = finding(&scene);
    assert_eq!(found.numbers.get("attempts"), Some(100_001.0));
    assert_eq!(found.numbers.get("proven"), Some(1.0));
    assert_eq!(found.relays.len(), records::SHOWN_MAX);
    assert!(found.relays.iter().any(|relay| relay.verdict == RelayOutcome::Proven), "the one that matters is shown");
    let stats = scene.judge.stats();
    let (_, stats) = stats.detectors.iter().find(|(name, _)| *name == "relay").unwrap();
    assert!(stats.evicted >= 2 * (100_000 - 65_536 - records::SHOWN_MAX as u64), "losses are counted: {stats:?}");

    // The ring itself.
    let id = ConnId {
        ts: Ts::EPOCH,
        orig: crate::net::Endpoint { host: host(TESTER), port: 1 },
        resp: crate::net::Endpoint { host: host(SERVER), port: 25 },
    };
    for n in 0..100_000_u64 {
        relay.attempts.push(Taken {
            at: Ts::EPOCH,
            frame: FrameNo(n),
            session: id,
            via: None,
            technique: attempt::Technique { forms: FormSet::from_iter([Form::F1]), sender: SenderForm::S2 },
            verdict: n,
            sender: Some(7),
            sent_by: Wire::default(),
            effective: n,
            raw: n,
            marks: ring::Marks::default(),
            size: 0,
            left: false,
            bounced: false,
        });
    }
    assert_eq!(relay.attempts.len(), RING_MAX);
    assert_eq!(relay.attempts.lost(), 100_000 - RING_MAX as u64);
    assert!(relay.attempts.to(0).is_empty() && relay.attempts.to(99_999).len() == 1);
    assert!(relay.attempts.of(7).len() <= 64);
}

#[test]
fn any_bytes_are_an_address() {
    let mut scene = unknown();
    let keys = Keys::default();
    for recipient in ["", "@", "\"", "%", "!", "@:", "a@b@", "[", "\u{202e}@x.example", &"%a.example".repeat(200)] {
        brings(&mut scene, TESTER, taken(recipient, recipient, recipient));
        brings(&mut scene, TESTER, Letter::from(recipient).to(recipient, DENIED));
        hands_on(&mut scene, SERVER, OUTSIDE_MX, taken("", recipient, recipient));
        keys.local_part(recipient.as_bytes());
    }
    assert!(reply("").code.is_none());
    Judgement::of(&scene.judge);
}

#[test]
fn what_a_ring_takes() {
    // 65,536 of these, and two indexes of some 40 bytes an entry: below 25 MB.
    assert!(size_of::<Taken>() <= 248, "{}", size_of::<Taken>());
}
