mod data;
mod hidden;
mod loss;
mod random;
mod secrets;

use super::*;
use crate::smtp::testing::{Step as Ev, at, only, play, play_events, play_midstream, rechunk, script, steps};

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

/// A chunk of any size would hide the rest of the session, if a server that knows no BDAT had taken it.
#[test]
fn a_chunk_that_the_server_knows_nothing_of_hides_nothing() {
    let rest = format!("C: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok\n{BYE}");
    for (code, log, mails) in [
        (500, &["BDAT 500", "DATA 354", ". 250", "QUIT 221"][..], &["a@b > c@d: accepted 3"][..]),
        (502, &["BDAT 502", "DATA 354", ". 250", "QUIT 221"], &["a@b > c@d: accepted 3"]),
    ] {
        check_body(&format!("C: BDAT 9999999\nS: {code} what\n{rest}"), log, mails, &[]);
    }
    // One that knows it and wants none skips the chunk.
    check_body(
        &format!("C: BDAT 8 LAST\nS: 552 too large\nC| RSET\\r\\n!!\n{BYE}"),
        &["BDAT 552", "QUIT 221"],
        &["a@b > c@d: rejected 8"],
        &[],
    );
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
