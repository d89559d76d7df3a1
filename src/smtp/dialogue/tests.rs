use proptest::prelude::*;

use super::*;
use crate::smtp::testing::{Step as Ev, at, only, play, play_events, rechunk, script, steps};

/// The log, the mails and the oddities of a script.
#[track_caller]
fn check(text: &str, log: &[&str], mails: &[&str], weird: &[&str]) {
    check_events(&script(text), false, log, mails, weird);
}

#[track_caller]
fn check_events(events: &[Ev], lost: bool, log: &[&str], mails: &[&str], weird: &[&str]) {
    let played = play_events(events, lost);
    assert_eq!(played.log(), log);
    assert_eq!(played.mails(), mails);
    assert_eq!(played.weird(), weird);
    for sizes in [&[1][..], &[2, 7], &[3, 1, 40]] {
        assert_eq!(play_events(&rechunk(events, sizes), lost), played, "in pieces of {sizes:?}");
    }
}

// RFC 5321 appendix D

const D1: &str = "
    S: 220 foo.com Simple Mail Transfer Service Ready
    C: EHLO bar.com
    S: 250-foo.com greets bar.com
    S: 250-8BITMIME
    S: 250-SIZE
    S: 250-DSN
    S: 250 HELP
    C: MAIL FROM:<Smith@bar.com>
    S: 250 OK
    C: RCPT TO:<Jones@foo.com>
    S: 250 OK
    C: RCPT TO:<Green@foo.com>
    S: 550 No such user here
    C: RCPT TO:<Brown@foo.com>
    S: 250 OK
    C: DATA
    S: 354 Start mail input; end with <CRLF>.<CRLF>
    C: Blah blah blah...
    C: ...etc. etc. etc.
    C: .
    S: 250 OK
    C: QUIT
    S: 221 foo.com Service closing transmission channel
    C$
    S$
";

#[test]
fn a_typical_transaction() {
    check(
        D1,
        &["EHLO 250", "MAIL 250", "RCPT 250", "RCPT 550", "RCPT 250", "DATA 354", ". 250", "QUIT 221"],
        // The second line is dot-stuffed as far as a server can tell.
        &["Smith@bar.com > Jones@foo.com Green@foo.com Brown@foo.com: accepted 37"],
        &[],
    );
    let played = play(D1);
    let facts = &played.facts;
    assert_eq!(facts.greeting.as_ref().unwrap().text.to_string(), "foo.com Simple Mail Transfer Service Ready");
    assert_eq!(facts.helo_reply.as_ref().unwrap().text.to_string(), "foo.com greets bar.com");
    assert_eq!(
        facts.ehlo_keywords.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["8BITMIME", "SIZE", "DSN", "HELP"]
    );
    assert_eq!(facts.esmtp, Some(true));
    assert!(facts.quit && !facts.pipelined);
    assert_eq!(played.greeted, 1);
    let transaction = &played.transactions[0];
    assert_eq!((transaction.rcpt_total, transaction.rcpt_accepted, transaction.rcpt_rejected), (3, 2, 1));
    assert!(transaction.complete);
}

#[test]
fn an_aborted_transaction() {
    check(
        "S: 220 foo.com Simple Mail Transfer Service Ready
         C: EHLO bar.com
         S: 250-foo.com greets bar.com
         S: 250 HELP
         C: MAIL FROM:<Smith@bar.com>
         S: 250 OK
         C: RCPT TO:<Jones@foo.com>
         S: 250 OK
         C: RCPT TO:<Green@foo.com>
         S: 550 No such user here
         C: RSET
         S: 250 OK
         C: QUIT
         S: 221 foo.com Service closing transmission channel",
        &["EHLO 250", "MAIL 250", "RCPT 250", "RCPT 550", "RSET 250", "QUIT 221"],
        &["Smith@bar.com > Jones@foo.com Green@foo.com: abandoned 0"],
        &[],
    );
}

#[test]
fn verifying() {
    check(
        "S: 220 foo.com ready
         C: EHLO bar.com
         S: 250 foo.com greets bar.com
         C: VRFY Crispin
         S: 250 Mark Crispin <Admin.MRC@foo.com>
         C: MAIL FROM:<EAK@bar.com>
         S: 250 OK
         C: RCPT TO:<Admin.MRC@foo.com>
         S: 250 OK
         C: DATA
         S: 354 Start mail input; end with <CRLF>.<CRLF>
         C: Blah
         C: .
         S: 250 OK
         C: QUIT
         S: 221 foo.com Service closing",
        &["EHLO 250", "VRFY 250", "MAIL 250", "RCPT 250", "DATA 354", ". 250", "QUIT 221"],
        &["EAK@bar.com > Admin.MRC@foo.com: accepted 6"],
        &[],
    );
}

// RFC 2920 section 4

const PIPELINED: &str = "
    S: 220 Innosoft.com SMTP service ready
    C: EHLO dbc.mtview.ca.us
    S: 250-Innosoft.com
    S: 250 PIPELINING
    C: MAIL FROM:<mrose@dbc.mtview.ca.us>
    C: RCPT TO:<ned@innosoft.com>
    C: RCPT TO:<dan@innosoft.com>
    C: RCPT TO:<kvc@innosoft.com>
    C: DATA
    S: 250 sender <mrose@dbc.mtview.ca.us> OK
    S: 250 recipient <ned@innosoft.com> OK
    S: 250 recipient <dan@innosoft.com> OK
    S: 250 recipient <kvc@innosoft.com> OK
    S: 354 enter mail, end with line containing only \".\"
    C: Subject: x
    C: .
    C: QUIT
    S: 250 message sent
    S: 221 goodbye
";

#[test]
fn a_pipelined_group_and_data_with_quit() {
    check(
        PIPELINED,
        &["EHLO 250", "MAIL 250", "RCPT 250", "RCPT 250", "RCPT 250", "DATA 354", ". 250", "QUIT 221"],
        &["mrose@dbc.mtview.ca.us > ned@innosoft.com dan@innosoft.com kvc@innosoft.com: accepted 12"],
        &[],
    );
    assert!(play(PIPELINED).facts.pipelined);
}

#[test]
fn a_pipelined_group_whose_recipients_are_refused() {
    let text = |data: &str| {
        format!(
            "S: 220 Innosoft.com SMTP service ready
             C: EHLO dbc.mtview.ca.us
             S: 250-Innosoft.com
             S: 250 PIPELINING
             C: MAIL FROM:<mrose@dbc.mtview.ca.us>
             C: RCPT TO:<nsb@thumper.bellcore.com>
             C: RCPT TO:<galvin@tis.com>
             C: DATA
             S: 250 sender <mrose@dbc.mtview.ca.us> OK
             S: 550 remote mail to <nsb@thumper.bellore.com> not allowed
             S: 550 remote mail to <galvin@tis.com> not allowed
             {data}
             C: QUIT
             S: 221 goodbye"
        )
    };
    check(
        &text("S: 554 no valid recipients given"),
        &["EHLO 250", "MAIL 250", "RCPT 550", "RCPT 550", "DATA 554", "QUIT 221"],
        &["mrose@dbc.mtview.ca.us > nsb@thumper.bellcore.com galvin@tis.com: rejected 0"],
        &[],
    );
    check(
        &text("S: 354 enter mail\nC: .\nS: 554 no valid recipients"),
        &["EHLO 250", "MAIL 250", "RCPT 550", "RCPT 550", "DATA 354", ". 554", "QUIT 221"],
        &["mrose@dbc.mtview.ca.us > nsb@thumper.bellcore.com galvin@tis.com: rejected 0"],
        &[],
    );
}

#[test]
fn pipelining_that_was_not_offered_is_told_by_acknowledgements() {
    let text = |form: &str| {
        format!(
            "S: 220 x\nC: HELO y\nS: 250 z\nC: MAIL FROM:<a@b>\nS: 250 ok\nC{form} RCPT TO:<c@d>\nS: 250 ok\nC: QUIT\nS: 221 x"
        )
    };
    let log = ["HELO 250", "MAIL 250", "RCPT 250", "QUIT 221"];
    check(&text(":"), &log, &["a@b > c@d: abandoned 0"], &[]);
    // The same order of capture, but the client had not seen the reply.
    check(&text("!"), &log, &["a@b > c@d: abandoned 0"], &["invalid_pipelined_sequence"]);
}

#[test]
fn a_command_that_must_end_its_group_does_not() {
    check(
        "S: 220 x
         C: EHLO y
         S: 250-z
         S: 250 PIPELINING
         C: NOOP
         C: MAIL FROM:<a@b>
         S: 250 ok
         S: 250 ok
         C: RSET
         S: 250 ok",
        &["EHLO 250", "NOOP 250", "MAIL 250", "RSET 250"],
        &["a@b > : abandoned 0"],
        &["invalid_pipelined_sequence"],
    );
}

#[test]
fn an_early_talker_is_told_by_acknowledgements() {
    let log = ["HELO 250", "QUIT 221"];
    check("S: 220 x\nC! HELO y\nS: 250 z\nC: QUIT\nS: 221 x", &log, &[], &["early_talker"]);
    check("C: HELO y\nS: 220 x\nS: 250 z\nC: QUIT\nS: 221 x", &log, &[], &["early_talker"]);
    check("S: 220-x\nC: HELO y\nS: 220 x\nS: 250 z\nC: QUIT\nS: 221 x", &log, &[], &["early_talker"]);
    // No greeting was seen, so nobody can tell.
    check("C: HELO y\nS: 250 z\nC: QUIT\nS: 221 x", &log, &[], &[]);
}

#[test]
fn a_client_that_blasts_everything_at_once() {
    let blast =
        "C: HELO y\nC: MAIL FROM:<a@b>\nC: RCPT TO:<c@d>\nC: DATA\nC: Subject: x\nC: \nC: QUIT\nC: .\nC: QUIT\n";
    check(
        &format!("{blast}S: 220 x\nS: 250 z\nS: 250 ok\nS: 250 ok\nS: 354 go\nS: 250 done\nS: 221 x"),
        &["HELO 250", "MAIL 250", "RCPT 250", "DATA 354", ". 250", "QUIT 221"],
        &["a@b > c@d: accepted 20"],
        &["early_talker", "invalid_pipelined_sequence"],
    );
    // The server refuses DATA: what follows was commands all the time.
    check(
        &format!("{blast}S: 220 x\nS: 250 z\nS: 250 ok\nS: 550 no\nS: 503 no\nS: 500 what\nS: 500 what\nS: 221 x"),
        &["HELO 250", "MAIL 250", "RCPT 550", "DATA 503", "? 500", "? 500", "QUIT 221", "? -", "QUIT -"],
        &["a@b > c@d: rejected 0"],
        &["invalid_command", "early_talker", "invalid_pipelined_sequence", "foreign_protocol"],
    );
}

// RFC 3030 section 4

#[test]
fn chunks() {
    check(
        "S: 220 cnri.reston.va.us SMTP service ready
         C: EHLO ymir.claremont.edu
         S: 250-cnri.reston.va.us says hello
         S: 250 CHUNKING
         C: MAIL FROM:<Sam@Random.com>
         S: 250 <Sam@Random.com> Sender ok
         C: RCPT TO:<Susan@Random.com>
         S: 250 <Susan@random.com> Recipient ok
         C| BDAT 86 LAST\\r\\n
         C| To: Susan@random.com\\r\\nFrom: Sam@random.com\\r\\nSubject: This is a bodyless test message\\r\\n
         S: 250 Message OK, 86 octets received
         C: QUIT
         S: 221 Goodbye",
        &["EHLO 250", "MAIL 250", "RCPT 250", "BDAT 250", "QUIT 221"],
        &["Sam@Random.com > Susan@Random.com: accepted 86"],
        &[],
    );
}

#[test]
fn pipelined_chunks_of_binary_mail() {
    check(
        "S: 220 cnri.reston.va.us SMTP service ready
         C: EHLO ymir.claremont.edu
         S: 250-cnri.reston.va.us says hello
         S: 250-PIPELINING
         S: 250-BINARYMIME
         S: 250 CHUNKING
         C: MAIL FROM:<ned@ymir.claremont.edu> BODY=BINARYMIME
         C: RCPT TO:<gvaudre@cnri.reston.va.us>
         C: RCPT TO:<jstewart@cnri.reston.va.us>
         S: 250 <ned@ymir.claremont.edu>... Sender and BINARYMIME ok
         S: 250 <gvaudre@cnri.reston.va.us>... Recipient ok
         S: 250 <jstewart@cnri.reston.va.us>... Recipient ok
         C| BDAT 10\\r\\nA: \\r\\n.\\r\\n\\x00\\xff
         C| BDAT 4\\r\\nQUITBDAT 0 LAST\\r\\n
         S: 250 10 octets received
         S: 250 4 octets received
         S: 250 Message OK
         C: QUIT
         S: 221 Goodbye",
        &["EHLO 250", "MAIL 250", "RCPT 250", "RCPT 250", "BDAT 250", "BDAT 250", "BDAT 250", "QUIT 221"],
        &["ned@ymir.claremont.edu > gvaudre@cnri.reston.va.us jstewart@cnri.reston.va.us: accepted 14"],
        &[],
    );
}

const HELLO: &str = "S: 220 x\nC: EHLO y\nS: 250-z\nS: 250 PIPELINING\n";
const ENVELOPE: &str = "C: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 250 ok\n";
const BYE: &str = "C: QUIT\nS: 221 bye\nC$\nS$\n";

#[track_caller]
fn check_body(body: &str, log: &[&str], mails: &[&str], weird: &[&str]) {
    let log = [&["EHLO 250", "MAIL 250", "RCPT 250"], log].concat();
    check(&format!("{HELLO}{ENVELOPE}{body}"), &log, mails, weird);
}

#[test]
fn chunks_without_a_last_one() {
    check_body(
        &format!("C| BDAT 3\\r\\nabc\nS: 250 ok\nC: RSET\nS: 250 ok\n{BYE}"),
        &["BDAT 250", "RSET 250", "QUIT 221"],
        &["a@b > c@d: abandoned 3"],
        &[],
    );
    // RSET between pipelined chunks of two mails.
    check_body(
        "C| BDAT 3\\r\\nabcRSET\\r\\nMAIL FROM:<e@f>\\r\\nRCPT TO:<g@h>\\r\\nBDAT 2 LAST\\r\\nxy
         S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 ok",
        &["BDAT 250", "RSET 250", "MAIL 250", "RCPT 250", "BDAT 250"],
        &["a@b > c@d: abandoned 3", "e@f > g@h: accepted 2"],
        &[],
    );
    check_body("C| BDAT 9\\r\\nabc\nC$\nS$", &["BDAT -"], &["a@b > c@d: abandoned 3"], &[]);
}

#[test]
fn a_refused_chunk_is_still_a_chunk() {
    check_body(
        &format!("C| BDAT 6\\r\\nQUIT\\r\\nBDAT 0 LAST\\r\\n\nS: 552 too much\nS: 503 no\n{BYE}"),
        &["BDAT 552", "BDAT 503", "QUIT 221"],
        &["a@b > c@d: rejected 6"],
        &[],
    );
}

#[test]
fn chunk_sizes_that_are_none() {
    for size in ["-1", "x", "18446744073709551617", "9999999999999999"] {
        check_body(
            &format!("C| BDAT {size} LAST\\r\\nMAIL is here\\r\\nQUIT\\r\\n\nS: 501 what\n{BYE}"),
            &["BDAT 501", "QUIT 221"],
            &["a@b > c@d: rejected 0"],
            &["invalid_chunk_size"],
        );
    }
}

#[test]
fn a_blob_of_xexch50() {
    let log = ["XEXCH50 354", "XEXCH50 200", "DATA 354", ". 250", "QUIT 221"];
    let rest = format!("C: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok\n{BYE}");
    check_body(
        &format!("C: XEXCH50 6 2\nS: 354 send\nC| QUIT\\r\\n\nS: 200 done\n{rest}"),
        &log,
        &["a@b > c@d: accepted 3"],
        &[],
    );
    // Refused, and then no blob follows.
    check_body(
        &format!("C: XEXCH50 6 2\nS: 504 need auth\n{rest}"),
        &["XEXCH50 504", "DATA 354", ". 250", "QUIT 221"],
        &["a@b > c@d: accepted 3"],
        &[],
    );
    // Sent without waiting.
    check_body(
        &format!("C| XEXCH50 6 2\\r\\nQUIT\\r\\n\nS: 354 send\nS: 200 done\n{rest}"),
        &log,
        &["a@b > c@d: accepted 3"],
        &["invalid_pipelined_sequence"],
    );
}

// Where mail data end

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

// One side, or not from the beginning

const TWO_MAILS: &str = "
    S: 220 x
    C: EHLO y
    S: 250 z
    C: MAIL FROM:<a@b>
    S: 250 ok
    C: RCPT TO:<c@d>
    S: 250 ok
    C: DATA
    S: 354 go
    C: Subject: one
    C: .
    S: 250 ok
    C: MAIL FROM:<>
    S: 250 ok
    C: RCPT TO:<e@f>
    S: 250 ok
    C: DATA
    S: 354 go
    C: Subject: other
    C: .
    S: 250 ok
    C: QUIT
    S: 221 bye
";

#[test]
fn the_client_alone() {
    check_events(
        &only(Side::Orig, script(TWO_MAILS)),
        true,
        &["EHLO -", "MAIL -", "RCPT -", "DATA -", ". -", "MAIL -", "RCPT -", "DATA -", ". -", "QUIT -"],
        &["a@b > c@d: incomplete 14", " > e@f: incomplete 16"],
        &[],
    );
}

#[test]
fn the_client_alone_whose_data_was_refused() {
    let text = "S: 220 x\nC: HELO y\nS: 250 z\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: DATA\nS: 503 no\nC: RSET\nS: 250 ok\nC: QUIT\nS: 221 x";
    check_events(
        &only(Side::Orig, script(text)),
        true,
        &["HELO -", "MAIL -", "DATA -", "RSET -", "QUIT -"],
        &["a@b > : incomplete 0"],
        &[],
    );
}

#[test]
fn the_client_alone_with_bare_line_feeds() {
    let text =
        "S: 220 x\nC: HELO y\nS: 250 z\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 250 ok\nC: DATA\nS: 354 go
        C| x\\n.\\n\nS: 250 ok\nC| QUIT\\n\nS: 221 x";
    check_events(
        &only(Side::Orig, script(text)),
        true,
        &["HELO -", "MAIL -", "RCPT -", "DATA -", ". -", "QUIT -"],
        &["a@b > c@d: incomplete 2"],
        &["bare_LF", "nonstandard_end_of_data"],
    );
}

#[test]
fn the_server_alone() {
    let events = only(Side::Resp, script(TWO_MAILS));
    let played = play_events(&events, true);
    assert_eq!(played.greeted, 1);
    assert_eq!(played.facts.last_reply.as_ref().unwrap().code, Some(221));
    assert_eq!((played.log(), played.mails(), played.weird()), (vec![], vec![], vec![]));
}

#[test]
fn a_start_in_the_middle_of_mail_data() {
    check(
        "C~ 5000
         S~ 300
         C: and MAIL FROM:<x@y> is what they said,
         C: QUIT
         C: .
         S: 250 ok
         C: MAIL FROM:<a@b>
         S: 250 ok
         C: RCPT TO:<c@d>
         S: 550 no
         C: QUIT
         S: 221 bye",
        &["MAIL 250", "RCPT 550", "QUIT 221"],
        &["a@b > c@d: rejected 0"],
        &[],
    );
}

#[test]
fn a_start_in_the_middle_of_a_transaction() {
    check(
        "C~ 40
         S~ 100
         C: RCPT TO:<c@d>
         S: 250 ok
         C: DATA
         S: 354 go
         C: x
         C: .
         S: 250 ok",
        &["RCPT 250", "DATA 354", ". 250"],
        &[" > c@d: accepted 3"],
        &[],
    );
}

// Gaps

#[test]
fn a_gap_among_commands_ends_the_transaction() {
    check(
        &format!(
            "{HELLO}C: MAIL FROM:<a@b>
             S: 250 ok
             C| RCPT TO
             C~ 30
             C| .example>\\r\\n
             S: 250 ok
             C: RCPT TO:<e@f>
             S: 250 ok
             C: DATA
             S: 354 go
             C: x
             C: .
             S: 250 ok
             {BYE}"
        ),
        &["EHLO 250", "MAIL 250", "RCPT 250", "DATA 354", ". 250", "QUIT 221"],
        &["a@b > : incomplete 0", " > e@f: accepted 3"],
        &[],
    );
}

#[test]
fn a_gap_inside_data_does_not_hide_their_end() {
    check_body(
        &format!("C: DATA\nS: 354 go\nC| abc\nC~ 1000\nC| def\\r\\n.\\r\\n\nS: 250 ok\n{BYE}"),
        &["DATA 354", ". 250", "QUIT 221"],
        &["a@b > c@d: accepted 1008"],
        &[],
    );
}

#[test]
fn a_gap_that_hides_the_end_of_data_does_not_merge_two_mails() {
    let rest =
        "C: MAIL FROM:<e@f>\nS: 250 ok\nC: RCPT TO:<g@h>\nS: 250 ok\nC: DATA\nS: 354 go\nC: y\nC: .\nS: 250 ok\n";
    let log = ["DATA 354", ". 250", "MAIL 250", "RCPT 250", "DATA 354", ". 250", "QUIT 221"];
    let mails = ["a@b > c@d: accepted 3", "e@f > g@h: accepted 3"];
    check_body(&format!("C: DATA\nS: 354 go\nC: x\nC~ 100\nS: 250 ok\n{rest}{BYE}"), &log, &mails, &[]);
    // The first mail's reply is missing, too.
    check_body(
        &format!("C: DATA\nS: 354 go\nC: x\nC~ 100\nS~ 8\n{rest}{BYE}"),
        &["DATA 354", ". -", "MAIL 250", "RCPT 250", "DATA 354", ". 250", "QUIT 221"],
        &["a@b > c@d: incomplete 3", "e@f > g@h: accepted 3"],
        &[],
    );
}

#[test]
fn a_gap_inside_a_chunk_is_part_of_it() {
    check_body(
        &format!("C| BDAT 100 LAST\\r\\nabc\nC~ 90\nC| 1234567\nS: 250 ok\n{BYE}"),
        &["BDAT 250", "QUIT 221"],
        &["a@b > c@d: accepted 100"],
        &[],
    );
    let played =
        play(&format!("{HELLO}{ENVELOPE}C| BDAT 100 LAST\\r\\na: b\\r\\n\\r\\nc\nC~ 81\nC| 1234567890\nS: 250 ok"));
    assert_eq!(played.transactions[0].content.as_ref().unwrap().body_hash, None);
}

#[test]
fn a_missing_reply_shifts_no_other() {
    check(
        &format!(
            "{HELLO}C: MAIL FROM:<a@b>
             S~ 8
             C: RCPT TO:<c@d>
             S: 550 no
             C: RCPT TO:<e@f>
             S: 250 ok
             {BYE}"
        ),
        &["EHLO 250", "MAIL -", "RCPT 550", "RCPT 250", "QUIT 221"],
        &["a@b > c@d e@f: incomplete 0"],
        &[],
    );
    // In a pipelined group only what is certain is matched: 354 answers DATA.
    check(
        &format!(
            "{HELLO}C: MAIL FROM:<a@b>
             C: RCPT TO:<c@d>
             C: DATA
             S: 250 ok
             S~ 8
             S: 354 go
             C: x
             C: .
             S: 250 ok
             {BYE}"
        ),
        &["EHLO 250", "MAIL 250", "RCPT -", "DATA 354", ". 250", "QUIT 221"],
        &["a@b > c@d: accepted 3"],
        &[],
    );
}

#[test]
fn half_a_reply_line_after_a_gap_is_none() {
    check(
        &format!("{HELLO}C: NOOP\nS~ 4\nS| ine\\r\\n\nC: RSET\nS: 250 ok\n{BYE}"),
        &["EHLO 250", "NOOP -", "RSET 250", "QUIT 221"],
        &[],
        &[],
    );
}

// AUTH

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
    assert_eq!(tls.state, crate::session::TlsState::Starttls);
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
    assert_eq!(state("C: STARTTLS\nS: 454 later\nC: QUIT\nS: 221 bye"), crate::session::TlsState::StarttlsRefused);
    let plain = "C: STARTTLS\nS: 220 go\nC: EHLO y\nS: 250 z\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: QUIT\nS: 221 bye";
    assert_eq!(state(plain), crate::session::TlsState::StarttlsPlaintext);
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
    assert_eq!(play(&text).facts.tls.state, crate::session::TlsState::Implicit);
    // The server does not speak it.
    let text = format!("C| {CLIENT_HELLO}\nS: 220 x\nS: 500 what\nC: QUIT\nS: 221 bye");
    let played = play(&text);
    assert_eq!(played.facts.tls.state, crate::session::TlsState::None);
    assert!(played.weird().contains(&"invalid_tls_record"));
    assert_eq!(played.facts.greeting.as_ref().unwrap().code, Some(220));
}

#[test]
fn tls_of_the_client_alone() {
    let text = format!("S: 220 x\nC: EHLO y\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nC| {CLIENT_HELLO}\nC| {APP}");
    let events = only(Side::Orig, script(&text));
    check_events(&events, true, &["EHLO -", "STARTTLS -"], &[], &[]);
    assert_eq!(play_events(&events, true).facts.tls.state, crate::session::TlsState::Starttls);
}

// Other sins

#[test]
fn foreign_lines_masks_and_garbage() {
    check(
        "S: 220 ****************0*2******
         C: GET / HTTP/1.1
         S: 500 what
         C| XXXX y\\n
         S: 500 what
         C: MAIL me
         S: 501 what
         C: b\\0\\xff
         S: 500 what
         S: 250 more
         S: none
         S: 421 enough",
        &["GET 500", "XXXX 500", "MAIL 501", "? 500"],
        &[],
        &[
            "bare_LF",
            "invalid_command",
            "invalid_arguments",
            "invalid_reply",
            "unexpected_reply",
            "masked_banner",
            "masked_command",
            "foreign_protocol",
        ],
    );
}

#[test]
fn a_reply_without_its_end_is_one_when_the_client_goes_on() {
    check(
        "S| 220 x
         C: EHLO y
         S: 250-z
         C: MAIL FROM:<a@b>
         S: 250 ok
         C: QUIT
         S| 221 bye",
        &["EHLO 250", "MAIL 250", "QUIT 221"],
        &["a@b > : abandoned 0"],
        &["invalid_reply"],
    );
}

#[test]
fn a_client_that_never_listens_is_bounded() {
    let limits = SmtpLimits::default();
    let mut dialogue = Dialogue::new(&limits);
    let long = format!("RCPT TO:<{}>\r\n", "x".repeat(400));
    let mut answered = 0;
    for i in 0..10_000 {
        let event = StreamEvent::Data {
            side: Side::Orig,
            at: at(1),
            offset: i * long.len() as u64,
            acked: 0,
            bytes: long.as_bytes(),
        };
        dialogue
            .handle(&event, &limits, &mut |step| answered += usize::from(matches!(step, SmtpEvent::Answered { .. })));
        assert!(dialogue.queue.len() <= limits.unanswered_max + 1);
        assert!(dialogue.queue.bytes() <= limits.unanswered_bytes_max);
    }
    dialogue.finish(at(2), &limits, &mut |step| answered += usize::from(matches!(step, SmtpEvent::Answered { .. })));
    assert_eq!(answered, 10_000);
}

#[test]
fn a_dialogue_is_small() {
    // Half a million of them may be open under a flood; what is rare is boxed.
    assert!(size_of::<Dialogue>() <= 640, "{}", size_of::<Dialogue>());
}

/// Pieces of dialogues, good and bad.
fn pieces() -> impl Strategy<Value = Vec<(bool, u8, Vec<u8>)>> {
    let client = prop::sample::select(vec![
        &b"EHLO x\r\n"[..],
        b"HELO y\n",
        b"MAIL FROM:<a@b>\r\n",
        b"RCPT TO:<c@d>\r\n",
        b"DATA\r\n",
        b".\r\n",
        b"\n.\n",
        b"\r\n.\r\n",
        b"BDAT 5\r\n",
        b"BDAT 3 LAST\r\n",
        b"BDAT x\r\n",
        b"abc",
        b"\r",
        b"RSET\r\n",
        b"AUTH LOGIN\r\n",
        b"Zm9v\r\n",
        b"*\r\n",
        b"STARTTLS\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"QUIT\r\n",
        b"XEXCH50 4 2\r\n",
        b"\xff\0\r\n",
        b"GET / HTTP/1.0\r\n",
        b"NOOP\r\n",
    ]);
    let server = prop::sample::select(vec![
        &b"220 x\r\n"[..],
        b"250-y\r\n",
        b"250 PIPELINING\r\n",
        b"250 ok\r\n",
        b"354 go\r\n",
        b"334 VXNlcm5hbWU6\r\n",
        b"235 ok\r\n",
        b"550 no\r\n",
        b"421 bye\r\n",
        b"221 bye\r\n",
        b"250",
        b"\n",
        b"what\r\n",
        b"\x16\x03\x03\x00\x01x",
    ]);
    let garbage = prop::collection::vec(any::<u8>(), 1..20);
    let piece = (any::<bool>(), 0_u8..10, prop::option::weighted(0.1, garbage), client, server).prop_map(
        |(from_client, kind, any, client, server)| {
            let bytes = any.unwrap_or_else(|| if from_client { client.to_vec() } else { server.to_vec() });
            (from_client, kind, bytes)
        },
    );
    prop::collection::vec(piece, 0..60)
}

/// Makes events of the pieces; some are gaps, some acknowledge too little or too much.
fn events(pieces: &[(bool, u8, Vec<u8>)]) -> Vec<Ev> {
    let (mut pos, mut out) = ([0_u64; 2], Vec::new());
    for (i, (from_client, kind, bytes)) in pieces.iter().enumerate() {
        let side = if *from_client { Side::Orig } else { Side::Resp };
        let (at, len) = (at(i as u64), bytes.len() as u64);
        let other = pos[side.other() as usize];
        let acked = match kind {
            0 => {
                out.push(Ev::Gap { side, at, len });
                pos[side as usize] += len;
                continue;
            }
            1 => other / 2,
            2 => other + 9,
            _ => other,
        };
        out.push(Ev::Data { side, at, offset: pos[side as usize], acked, bytes: bytes.clone() });
        pos[side as usize] += len;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_chunking_gives_the_same_steps(pieces in pieces(), sizes in prop::collection::vec(1_usize..12, 1..6)) {
        let events = events(&pieces);
        let whole = steps(&events);
        prop_assert_eq!(steps(&rechunk(&events, &sizes)), whole);
    }

    #[test]
    fn every_command_is_answered_once(pieces in pieces()) {
        let events = events(&pieces);
        let played = play_events(&events, true);
        let answered = steps(&events).iter().filter(|step| matches!(step, SmtpEvent::Answered { .. })).count();
        prop_assert_eq!(played.facts.commands_total as usize, answered);
        prop_assert_eq!(played.facts.transactions_total as usize, played.transactions.len());
        for (i, transaction) in played.transactions.iter().enumerate() {
            prop_assert!(transaction.trans_depth as usize <= played.transactions.len(), "{}", i);
            prop_assert!(transaction.rcpt_accepted + transaction.rcpt_rejected <= transaction.rcpt_total);
        }
    }

    #[test]
    fn random_bytes_are_taken(
        chunks in prop::collection::vec((any::<bool>(), any::<u64>(), prop::collection::vec(any::<u8>(), 1..50)), 0..20),
    ) {
        let mut pos = [0_u64; 2];
        let mut events = Vec::new();
        for (from_client, acked, bytes) in chunks {
            let side = if from_client { Side::Orig } else { Side::Resp };
            let offset = pos[side as usize];
            pos[side as usize] += bytes.len() as u64;
            events.push(Ev::Data { side, at: at(1), offset, acked, bytes });
        }
        play_events(&events, false);
    }
}
