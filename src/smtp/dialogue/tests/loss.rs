//! One side, no beginning, gaps.

use super::*;

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

/// What a capture shows that tells of every byte of one side that it is missing.
fn without(side: Side, steps: Vec<Ev>) -> Vec<Ev> {
    let gap = |step| match step {
        Ev::Data { side: of, at, bytes, .. } if of == side => Ev::Gap { side, at, len: bytes.len() as u64 },
        step => step,
    };
    steps.into_iter().map(gap).collect()
}

#[test]
fn the_client_alone_with_gaps_for_the_server() {
    check_events(
        &without(Side::Resp, script(TWO_MAILS)),
        true,
        &["EHLO -", "MAIL -", "RCPT -", "DATA -", ". -", "MAIL -", "RCPT -", "DATA -", ". -", "QUIT -"],
        &["a@b > c@d: incomplete 14", " > e@f: incomplete 16"],
        &[],
    );
    // A pipelining client leaves more than a few commands without a reply.
    let many = "C: RCPT TO:<c@d>\n".repeat(30);
    let text = format!(
        "S: 220 x\nC: EHLO y\nS: 250 PIPELINING\nC: MAIL FROM:<a@b>\n{many}C: DATA\nS: 354 go\nC: x\nC: .\nC: QUIT\nS: 221 x"
    );
    let played = play_events(&without(Side::Resp, script(&text)), true);
    assert_eq!(played.transactions.len(), 1);
    assert_eq!((played.transactions[0].rcpt_total, played.transactions[0].size), (30, 3));
}

#[test]
fn the_server_alone_with_gaps_for_the_client() {
    let played = play_events(&without(Side::Orig, script(TWO_MAILS)), true);
    assert_eq!(played.greeted, 1);
    assert_eq!(played.facts.last_reply.as_ref().unwrap().code, Some(221));
    // 354 and what follows it tell of two mails' data.
    assert_eq!(played.log(), [". 250", ". 250"]);
    assert_eq!((played.mails(), played.weird()), (vec![], vec![]));
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

/// What comes of a dialogue of which the capture has not even the place in the streams.
#[track_caller]
fn check_midstream(text: &str, log: &[&str], mails: &[&str], greeted: usize) {
    let played = play_midstream(&script(text));
    assert_eq!((played.log(), played.mails(), played.weird()), (owned(log), owned(mails), vec![]));
    assert_eq!((played.greeted, played.facts.heads.before_gap), (greeted, Some(0)), "what came before is missing");
    for sizes in [&[1][..], &[2, 7], &[3, 1, 40]] {
        assert_eq!(play_midstream(&rechunk(&script(text), sizes)), played, "in pieces of {sizes:?}");
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// The first reply of a capture that begins in the middle answers what the capture does not have.
#[test]
fn a_capture_that_begins_anywhere_takes_no_reply_for_a_greeting_and_no_mail_for_commands() {
    let rest = "C: QUIT\nS: 221 bye\nC$\nS$";
    let body = "C: From: a@b\nC: DATA: is a header here\nC: GET / HTTP/1.0\nC: .\nS: 250 queued\n";
    check_midstream(&format!("S: 354 go\n{body}{rest}"), &[". 250", "QUIT 221"], &[], 0);
    check_midstream(&format!("{body}{rest}"), &["QUIT 221"], &[], 0);
    check_midstream(&format!("S: 250 queued\n{rest}"), &["QUIT 221"], &[], 0);
    check_midstream(&format!("S: 554 no\n{rest}"), &["QUIT 221"], &[], 0);
    check_midstream("S: 221 bye\nS$\nC$", &[], &[], 0);
    let mail =
        "C: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok\n";
    let (log, mails) = (["MAIL 250", "RCPT 250", "DATA 354", ". 250", "QUIT 221"], ["a@b > c@d: accepted 3"]);
    check_midstream(&format!("{mail}{rest}"), &log, &mails, 0);
    check_midstream(&format!("S: 250 mx\n{mail}{rest}"), &log, &mails, 0);
    check_midstream(&format!("C: .\nS: 250 queued\n{mail}{rest}"), &log, &mails, 0);
    // Only the handshake is missing, or that and the banner.
    let log = [&["EHLO 250"][..], &log].concat();
    check_midstream(&format!("S: 220 mx\nC: EHLO pc\nS: 250 mx\n{mail}{rest}"), &log, &mails, 1);
    check_midstream(&format!("C: EHLO pc\nS: 250 mx\n{mail}{rest}"), &log, &mails, 0);
    // Where the client has spoken, 220 answers it.
    check_midstream("C: STARTTLS\nS: 220 go ahead", &["STARTTLS 220"], &[], 0);
    let hidden = play_midstream(&script("C| \\x17\\x03\\x03\\x00\\x02ab\nS| \\x17\\x03\\x03\\x00\\x02cd"));
    assert!(hidden.facts.tls.state.is_hidden() && hidden.facts.commands_total == 0, "{hidden:?}");
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
