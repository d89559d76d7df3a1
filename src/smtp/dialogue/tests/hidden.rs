//! What must not be shown, and what cannot be seen: AUTH and TLS.

use super::*;
use crate::smtp::TlsState;

#[test]
fn an_exchange_is_logged_without_its_lines() {
    let text = "S: 220 x
        C: EHLO y
        S: 250 AUTH LOGIN
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: Z3Vlc3Q=
        S: 334 UGFzc3dvcmQ6
        C: c2VjcmV0
        S: 535 5.7.8 no
        C: AUTH PLAIN AHRlc3QAMTIzNA==
        S: 235 2.7.0 yes
        C: QUIT
        S: 221 bye";
    check(text, &["EHLO 250", "AUTH 334", "* 334", "* 535", "AUTH 235", "QUIT 221"], &[], &[]);
    let played = play(text);
    let attempts: Vec<_> = played
        .auth
        .iter()
        .map(|auth| (auth.mechanism.to_string(), auth.user.clone().unwrap().to_string(), auth.result))
        .collect();
    assert_eq!(
        attempts,
        [("LOGIN".into(), "guest".into(), AuthResult::Failed), ("PLAIN".into(), "test".into(), AuthResult::Succeeded)]
    );
    assert_eq!(played.auth, played.facts.auth);
    assert!(!format!("{played:?}").contains("c2VjcmV0"));
}

#[test]
fn exchanges_that_end_otherwise() {
    let result =
        |text: &str| play(&format!("S: 220 x\nC: EHLO y\nS: 250 AUTH LOGIN\nC: AUTH LOGIN\n{text}")).auth[0].result;
    assert_eq!(result("S: 334 VXNlcm5hbWU6\nC: *\nS: 501 cancelled"), AuthResult::Cancelled);
    assert_eq!(result("S: 504 unknown"), AuthResult::Failed);
    assert_eq!(result("S: 334 VXNlcm5hbWU6\nC: MAIL FROM:<a@b>\nS: 503 no"), AuthResult::Cancelled);
    assert_eq!(result("S: 334 VXNlcm5hbWU6\nC: RSET\nS: 250 ok"), AuthResult::Unknown);
    assert_eq!(result("S: 334 VXNlcm5hbWU6\nC$\nS$"), AuthResult::Unknown);
}

#[test]
fn an_exchange_seen_from_the_client_alone() {
    let text =
        "S: 220 x\nC: EHLO y\nS: 250 AUTH LOGIN\nC: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: Z3Vlc3Q=\nS: 334 UGFzc3dvcmQ6
        C: c2VjcmV0\nS: 235 ok\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: QUIT\nS: 221 bye";
    let events = only(Side::Orig, script(text));
    check_events(
        &events,
        true,
        &["EHLO -", "AUTH -", "* -", "* -", "MAIL -", "QUIT -"],
        &["a@b > : incomplete 0"],
        &[],
    );
    let played = play_events(&events, true);
    assert_eq!(played.auth[0].user.as_ref().unwrap().to_string(), "guest");
    assert_eq!(played.auth[0].result, AuthResult::Unknown);
}

#[test]
fn blasted_guesses_keep_their_results_apart() {
    let text =
        "S: 220 x\nC: EHLO y\nS: 250 AUTH PLAIN\nC: AUTH PLAIN AGEAMQ==\nC: AUTH PLAIN AGIAMg==\nS: 535 no\nS: 235 yes";
    let played = play(text);
    let attempts: Vec<_> =
        played.auth.iter().map(|auth| (auth.user.clone().unwrap().to_string(), auth.result)).collect();
    assert_eq!(attempts, [("a".into(), AuthResult::Failed), ("b".into(), AuthResult::Succeeded)]);
}

#[test]
fn what_a_server_quotes_of_an_exchange_is_not_kept() {
    let begin = "S: 220 x\nC: EHLO y\nS: 250 AUTH LOGIN PLAIN\n";
    // Sendmail's words (srvrsmtp.c).
    let text = format!("{begin}C: AUTH PLAIN hunter2!\nS: 501 5.5.4 cannot BASE64 decode 'hunter2!'");
    let played = play(&text);
    assert_eq!(played.auth[0].reply.as_ref().unwrap().text.to_string(), "cannot BASE64 decode ''");
    assert_eq!(played.facts.last_reply, played.auth[0].reply);
    // Refused, and the client goes on all the same.
    let text = format!(
        "{begin}C: AUTH LOGIN\nS: 504 5.3.3 AUTH mechanism LOGIN not available\nC: Z3Vlc3Q=\n\
         S: 500 5.5.1 Command unrecognized: \"Z3Vlc3Q=\"\nC: aHVudGVyMg==\n\
         S: 500 5.5.1 Command unrecognized: \"aHVudGVyMg==\""
    );
    check(&text, &["EHLO 250", "AUTH 504", "? 500", "? 500"], &[], &["invalid_command"]);
    let last = play(&text).facts.last_reply.unwrap();
    assert_eq!((last.code, last.text.to_string().as_str()), (Some(500), "Command unrecognized: \"\""));
    // Only the server was captured.
    let played = play_events(&only(Side::Resp, script(&text)), true);
    assert!(!format!("{played:?}").contains("aHVudGVyMg"), "{played:?}");
    let played = play("S: 500 5.5.1 Command unrecognized: \"aHVudGVyMg==\"\nC: QUIT\nS: 221 bye");
    assert!(!format!("{played:?}").contains("aHVudGVyMg"), "{played:?}");
    // What is no secret stays, and a prompt in quotes is one.
    let played = play(&format!("{begin}C: MAIL FROM:<a@b>\nS: 550 \"a@b\" is unwanted"));
    assert_eq!(played.facts.last_reply.unwrap().text.to_string(), "\"a@b\" is unwanted");
    let text = format!("{begin}C: AUTH LOGIN\nS: 334 \"Password:\"\nC: c2VjcmV0\nS: 535 no");
    assert_eq!(play(&text).auth[0].user, None);
}

// Exchange

const EXCHANGE: &str =
    "S: 220 mx\nC: EHLO y\nS: 250-mx\nS: 250-X-ANONYMOUSTLS\nS: 250-X-EXPS GSSAPI NTLM LOGIN\nS: 250 OK\n";

#[test]
fn exchange_has_its_own_auth() {
    let rest = "C: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 550 no\n";
    let login = "C: X-EXPS LOGIN\nS: 334 VXNlcm5hbWU6\nC: Z3Vlc3Q=\nS: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\nS: 235 ok\n";
    let text = format!("{EXCHANGE}{login}{rest}{BYE}");
    let log = ["EHLO 250", "AUTH 334", "* 334", "* 235", "MAIL 250", "RCPT 550", "QUIT 221"];
    check(&text, &log, &["a@b > c@d: rejected 0"], &[]);
    assert_eq!(play(&text).auth[0].user.as_ref().unwrap().to_string(), "guest");
    let gssapi = "C: X-EXPS GSSAPI\nS: 334 GSSAPI supported\nC: YIIF\nS: 334 YIGd\nC: AAAA\nS: 235 ok\n";
    check(&format!("{EXCHANGE}{gssapi}{rest}{BYE}"), &log, &["a@b > c@d: rejected 0"], &[]);
}

#[test]
fn a_challenge_to_an_unknown_command_is_its_answer() {
    check(
        &format!("{HELLO}C: X-LOGIN me\nS: 334 go\nC: Z3Vlc3Q=\nS: 235 ok\n{ENVELOPE}{BYE}"),
        &["EHLO 250", "? 334", "? 235", "MAIL 250", "RCPT 250", "QUIT 221"],
        &["a@b > c@d: abandoned 0"],
        &["invalid_command"],
    );
}

#[test]
fn exchange_has_its_own_starttls() {
    let text = format!(
        "{EXCHANGE}C: X-ANONYMOUSTLS\nS: 220 2.0.0 ready\nC| {CLIENT_HELLO}\nS| {SERVER_HELLO}\nC| {APP}{APP}\nS| {APP}"
    );
    check(&text, &["EHLO 250", "STARTTLS 220"], &[], &[]);
    assert_eq!(play(&text).facts.tls.state, TlsState::Starttls);
}

// TLS

/// A ClientHello without extensions, and a ServerHello as short.
const CLIENT_HELLO: &str = "\\x16\\x03\\x01\\x00\\x2d\\x01\\x00\\x00\\x29\\x03\\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\x00\\x00\\x02\\x13\\x01\\x01\\x00";
const SERVER_HELLO: &str = "\\x16\\x03\\x03\\x00\\x04\\x02\\x00\\x00\\x00";
const APP: &str = "\\x17\\x03\\x03\\x00\\x05.\\r\\n.\\r";

#[test]
fn starttls_hides_what_follows() {
    let text =
        format!("{HELLO}C: STARTTLS\nS: 220 go\nC| {CLIENT_HELLO}\nS| {SERVER_HELLO}\nC| {APP}{APP}\nS| {APP}\nC$\nS$");
    check(&text, &["EHLO 250", "STARTTLS 220"], &[], &[]);
    let tls = play(&text).facts.tls;
    assert_eq!(tls.state, TlsState::Starttls);
    assert_eq!((tls.record_version, tls.orig_app_bytes, tls.resp_app_bytes), (Some(0x0301), 10, 5));
}

#[test]
fn starttls_inside_a_transaction_hides_it() {
    let text = format!("{HELLO}{ENVELOPE}C: STARTTLS\nS: 220 go\nC| {CLIENT_HELLO}\nS| {SERVER_HELLO}");
    check(&text, &["EHLO 250", "MAIL 250", "RCPT 250", "STARTTLS 220"], &["a@b > c@d: hidden 0"], &[]);
    // MAIL was refused for want of encryption: that is not hidden.
    let text = format!("{HELLO}C: MAIL FROM:<a@b>\nS: 530 first STARTTLS\nC: STARTTLS\nS: 220 go\nC| {CLIENT_HELLO}");
    check(&text, &["EHLO 250", "MAIL 530", "STARTTLS 220"], &["a@b > : rejected 0"], &[]);
}

#[test]
fn starttls_refused_and_in_the_clear() {
    let state = |text: &str| play(&format!("{HELLO}{text}")).facts.tls.state;
    assert_eq!(state("C: STARTTLS\nS: 454 later\nC: QUIT\nS: 221 bye"), TlsState::StarttlsRefused);
    // The client goes on as if it had been granted, or breaks off what was.
    let refused = "C| STARTTLS\\r\\n\\x16\\x03\\x01\\x00\\x20\nS: 502 no\nS: 500 what\nC: QUIT\nS: 221 bye";
    assert_eq!(state(refused), TlsState::StarttlsRefused);
    let broken = "C: STARTTLS\nS: 220 go\nC| \\x16\\x03\\x01\\x00\\x20\nS: 500 what\nC: QUIT\nS: 221 bye";
    assert_eq!(state(broken), TlsState::StarttlsPlaintext);
    let plain = "C: STARTTLS\nS: 220 go\nC: EHLO y\nS: 250 z\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: QUIT\nS: 221 bye";
    assert_eq!(state(plain), TlsState::StarttlsPlaintext);
    check(
        &format!("{HELLO}{plain}"),
        &["EHLO 250", "STARTTLS 220", "EHLO 250", "MAIL 250", "QUIT 221"],
        &["a@b > : abandoned 0"],
        &[],
    );
}

#[test]
fn commands_injected_behind_starttls() {
    check(
        &format!("{HELLO}C: STARTTLS\nC: RSET\nS: 220 go\nC| {CLIENT_HELLO}\nS| {SERVER_HELLO}"),
        &["EHLO 250", "STARTTLS 220", "RSET -"],
        &[],
        &["invalid_pipelined_sequence"],
    );
}

#[test]
fn tls_from_the_first_byte() {
    let text = format!("C| {CLIENT_HELLO}\nS| {SERVER_HELLO}\nC| {APP}");
    check(&text, &[], &[], &[]);
    assert_eq!(play(&text).facts.tls.state, TlsState::Implicit);
    // The server does not speak it.
    let text = format!("C| {CLIENT_HELLO}\nS: 220 x\nS: 500 what\nC: QUIT\nS: 221 bye");
    let played = play(&text);
    assert_eq!(played.facts.tls.state, TlsState::None);
    assert!(played.weird().contains(&"invalid_tls_record"));
    assert_eq!(played.facts.greeting.as_ref().unwrap().code, Some(220));
}

#[test]
fn tls_of_the_client_alone() {
    let text = format!("S: 220 x\nC: EHLO y\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nC| {CLIENT_HELLO}\nC| {APP}");
    let events = only(Side::Orig, script(&text));
    check_events(&events, true, &["EHLO -", "STARTTLS -"], &[], &[]);
    assert_eq!(play_events(&events, true).facts.tls.state, TlsState::Starttls);
}

#[test]
fn tls_begins_at_a_lines_first_byte_wherever_segments_end() {
    // The length byte of SSL 2.0's hello, right behind a STARTTLS that changes nothing, in its segment and in one of its own.
    let text = |between: &str| format!("{HELLO}C| STARTTLS\\r\\nSTARTTLS\\r\\n{between}\\x80\\x2e\\x01\\x03\\x01");
    for text in [text(""), text("\nC| ")] {
        assert_eq!(play(&text).facts.tls.state, TlsState::Starttls, "{text}");
    }
}
