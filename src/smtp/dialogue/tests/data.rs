//! Where mail data end, and where a server says that they did.

use super::*;

#[test]
fn refused_data_are_commands() {
    check_body(
        &format!("C: DATA\nS: 451 later\nC: NOOP\nS: 250 ok\n{BYE}"),
        &["DATA 451", "NOOP 250", "QUIT 221"],
        &["a@b > c@d: deferred 0"],
        &[],
    );
}

#[test]
fn the_servers_reply_decides_where_the_data_ended() {
    for end in ["\\n.\\n", "\\n.\\r\\n", "\\r\\n.\\n", "\\r.\\r", "\\r.\\n", "\\r\\n.\\r", "\\r\\n\\0.\\r\\n"] {
        let played = play(&format!("{HELLO}{ENVELOPE}C: DATA\nS: 354 go\nC| x{end}\nS: 250 ok\n{BYE}"));
        let log = ["EHLO 250", "MAIL 250", "RCPT 250", "DATA 354", ". 250", "QUIT 221"];
        assert_eq!(played.log(), log, "{end}");
        assert_eq!(played.weird(), ["nonstandard_end_of_data"], "{end}");
        assert!(played.transactions[0].complete);
    }
    // CR.CR is known to be one only with the byte after it, so that case waits; all others are told at once.
    check_body(
        &format!("C: DATA\nS: 354 go\nC| x\\n.\\n\nS: 250 ok\n{BYE}"),
        &["DATA 354", ". 250", "QUIT 221"],
        &["a@b > c@d: accepted 2"],
        &["nonstandard_end_of_data"],
    );
}

const SMUGGLE: &str = "C: DATA
    S: 354 go
    C| x\\n.\\nMAIL FROM:<evil@e>\\r\\nRCPT TO:<g@h>\\r\\nDATA\\r\\nSubject: y\\r\\n\\r\\nz\\r\\n.\\r\\n
";

#[test]
fn a_smuggled_mail_that_the_server_took() {
    check_body(
        &format!("{SMUGGLE}S: 250 one\nS: 250 ok\nS: 250 ok\nS: 354 go\nS: 250 two\n{BYE}"),
        &["DATA 354", ". 250", "MAIL 250", "RCPT 250", "DATA 354", ". 250", "QUIT 221"],
        &["a@b > c@d: accepted 62", "evil@e > g@h: accepted 17"],
        &["invalid_pipelined_sequence", "nonstandard_end_of_data", "smtp_smuggling_pattern"],
    );
}

#[test]
fn a_smuggled_mail_that_the_server_took_and_what_was_sent_with_it() {
    check_body(
        &format!(
            "{SMUGGLE}C: QUIT\nS: 250 one\nS: 250 ok\nS: 550 no\nS: 503 no\nS: 500 what\nS: 500 what\nS: 500 what\nS: 500 what\nS: 221 bye"
        ),
        &["DATA 354", ". 250", "MAIL 250", "RCPT 550", "DATA 503", "? 500", "? 500", "? 500", "? 500", "QUIT 221"],
        &["a@b > c@d: accepted 62", "evil@e > g@h: rejected 0"],
        &[
            "invalid_command",
            "invalid_pipelined_sequence",
            "nonstandard_end_of_data",
            "smtp_smuggling_pattern",
            "foreign_protocol",
        ],
    );
}

#[test]
fn a_timeout_after_an_attempt_is_no_sign_that_it_worked() {
    for timeout in ["421 bye", "221 idle", "451 4.4.2 timeout"] {
        let played = play(&format!("{HELLO}{ENVELOPE}{SMUGGLE}S: 250 one\nS: {timeout}\nS$\nC$"));
        assert_eq!(played.mails(), ["a@b > c@d: accepted 62"]);
        assert!(!played.weird().contains(&"nonstandard_end_of_data"), "{timeout}");
    }
}

#[test]
fn a_smuggled_mail_that_the_server_did_not_take() {
    check_body(
        &format!("{SMUGGLE}S: 250 one\n{BYE}"),
        &["DATA 354", ". 250", "QUIT 221"],
        &["a@b > c@d: accepted 62"],
        &["smtp_smuggling_pattern"],
    );
}

#[test]
fn a_dot_line_with_text_after_it_is_no_smuggling() {
    check_body(
        &format!("C: DATA\nS: 354 go\nC| x\\n.\\nthe end of\\r\\nthe DATA is a dot\\r\\n.\\r\\n\nS: 250 one\n{BYE}"),
        &["DATA 354", ". 250", "QUIT 221"],
        &["a@b > c@d: accepted 35"],
        &[],
    );
    // Beyond 512 bytes a command is text.
    let text = "t\\r\\n".repeat(180);
    check_body(
        &format!("C: DATA\nS: 354 go\nC| x\\n.\\n{text}RSET\\r\\n.\\r\\n\nS: 250 one\n{BYE}"),
        &["DATA 354", ". 250", "QUIT 221"],
        &["a@b > c@d: accepted 550"],
        &[],
    );
}

#[test]
fn of_several_dot_lines_the_one_before_a_command_counts() {
    check_body(
        &format!(
            "C: DATA\nS: 354 go\nC| a\\r.\\rb\\n.\\nMAIL FROM:<evil@e>\\r\\nc\\n.\\nd\\r\\n\nS: 250 one\nS: 250 ok\nS: 500 what\nS: 500 what\nS: 500 what\n{BYE}"
        ),
        &["DATA 354", ". 250", "MAIL 250", "? 500", "? 500", "? 500", "QUIT 221"],
        &["a@b > c@d: accepted 6", "evil@e > : abandoned 0"],
        &["bare_LF", "invalid_command", "nonstandard_end_of_data", "smtp_smuggling_pattern"],
    );
}

#[test]
fn too_much_after_a_doubtful_end_is_not_read_again() {
    let text = "C: tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt\n".repeat(300);
    let played = play(&format!("{HELLO}{ENVELOPE}C: DATA\nS: 354 go\nC| x\\n.\\n\n{text}S: 250 one\n{BYE}"));
    assert_eq!(played.log()[3..], ["DATA 354", ". 250", "QUIT 221"]);
    assert!(!played.transactions[0].complete);
    assert_eq!(played.mails(), ["a@b > c@d: accepted 2"]);
}

#[test]
fn a_server_that_tires_of_waiting_saw_no_end() {
    for reply in ["421 timeout", "451 4.4.2 timeout"] {
        let played = play(&format!("{HELLO}{ENVELOPE}C: DATA\nS: 354 go\nC| x\\n.\\n\nS: {reply}\nS$\nC$"));
        assert_eq!(played.log()[3..], ["DATA 354"]);
        assert_eq!(played.mails(), ["a@b > c@d: deferred 4"]);
        assert!(!played.transactions[0].complete);
    }
}

#[test]
fn a_verdict_before_the_end_is_the_verdict() {
    check_body(
        &format!("C: DATA\nS: 354 go\nC: x\nS: 552 too much\nC: y\nC: .\n{BYE}"),
        &["DATA 354", ". 552", "QUIT 221"],
        &["a@b > c@d: rejected 6"],
        &[],
    );
}

#[test]
fn a_mail_that_stops() {
    check_body("C: DATA\nS: 354 go\nC: x\nC$\nS$", &["DATA 354"], &["a@b > c@d: abandoned 3"], &[]);
    let events = script(&format!("{HELLO}{ENVELOPE}C: DATA\nS: 354 go\nC: x"));
    check_events(&events, true, &["EHLO 250", "MAIL 250", "RCPT 250", "DATA 354"], &["a@b > c@d: incomplete 3"], &[]);
}

#[test]
fn replies_captured_before_what_they_answer_wait_for_it() {
    let mut events = script(D1);
    let expected = play_events(&events, false);
    // Each reply is captured before the segment that it acknowledges.
    for i in 1..events.len() {
        if events[i - 1].side() == Side::Orig && events[i].side() == Side::Resp {
            events.swap(i - 1, i);
        }
    }
    let played = play_events(&events, false);
    assert_eq!(played.log(), expected.log());
    assert_eq!(played.mails(), expected.mails());
    assert_eq!(played.weird(), expected.weird());
}

#[test]
fn commands_captured_before_the_replies_that_they_follow_are_not_pipelined() {
    let mut events = script(D1);
    let expected = play_events(&events, false);
    for i in 1..events.len() {
        if events[i - 1].side() == Side::Resp && events[i].side() == Side::Orig {
            events.swap(i - 1, i);
        }
    }
    let played = play_events(&events, false);
    assert_eq!(played.log(), expected.log());
    assert_eq!(played.mails(), expected.mails());
    assert_eq!(played.weird(), expected.weird());
}
