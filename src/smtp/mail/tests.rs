use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use super::*;

fn scan(mail: impl AsRef<[u8]>) -> MailFacts {
    let mut scanner = MailScanner::new(&SmtpLimits::default());
    scanner.handle(mail.as_ref());
    scanner.finish()
}

fn scan_pieces(mail: &[u8], cuts: &[usize]) -> MailFacts {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (mail.len() + 1)).chain([0, mail.len()]).collect();
    cuts.sort_unstable();
    let mut scanner = MailScanner::new(&SmtpLimits::default());
    cuts.windows(2).for_each(|cut| scanner.handle(&mail[cut[0]..cut[1]]));
    scanner.finish()
}

#[expect(clippy::unnecessary_wraps, reason = "what it is compared with is an Option")]
fn wire(text: &str) -> Option<Wire> {
    Some(Wire::from(text))
}

/// The delivery report of RFC 3464 appendix E, in short.
const REPORT: &str = "Date: Thu, 7 Jul 1994 17:16:05 -0400\r\n\
From: Mail Delivery Subsystem <MAILER-DAEMON@CS.UTK.EDU>\r\n\
Message-Id: <199407072116.RAA14128@CS.UTK.EDU>\r\n\
Subject: Returned mail: Cannot send message for 5 days\r\n\
To: <owner-info-mime@cs.utk.edu>\r\n\
Auto-Submitted: auto-replied (failure)\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/report; report-type=delivery-status;\r\n\
\tboundary=\"RAA14128.773615765/CS.UTK.EDU\"\r\n\
\r\n\
--RAA14128.773615765/CS.UTK.EDU\r\n\
\r\n\
Final-Recipient: rfc822;not@this.one\r\n\
\r\n\
--RAA14128.773615765/CS.UTK.EDU\r\n\
content-type: message/delivery-status\r\n\
\r\n\
Reporting-MTA: dns; cs.utk.edu\r\n\
\r\n\
Original-Recipient: rfc822;louisl@larry.slip.umd.edu\r\n\
Final-Recipient: rfc822;louisl@larry.slip.umd.edu\r\n\
Action: failed\r\n\
Status: 4.0.0\r\n\
Diagnostic-Code: smtp; 426 connection timed out\r\n\
\r\n\
--RAA14128.773615765/CS.UTK.EDU\r\n\
content-type: message/rfc822\r\n\
\r\n\
Final-Recipient: rfc822;nor@this.one\r\n\
--RAA14128.773615765/CS.UTK.EDU--\r\n";

#[test]
fn a_delivery_report() {
    let facts = scan(REPORT);
    assert_eq!(facts.msg_id, wire("199407072116.RAA14128@CS.UTK.EDU"));
    assert_eq!((facts.from_domain, facts.to_domain), (wire("CS.UTK.EDU"), wire("cs.utk.edu")));
    assert_eq!(facts.auto_submitted, wire("auto-replied"));
    let dsn = facts.dsn.unwrap();
    assert_eq!((dsn.reporting_mta, dsn.status, dsn.recipients), (wire("cs.utk.edu"), wire("4.0.0"), 1));
    assert_eq!(dsn.final_recipient, wire("louisl@larry.slip.umd.edu"));
    assert_eq!(scan(REPORT.replace("\r\n", "\n")).dsn.unwrap().status, wire("4.0.0"));
    // Read receipts are reports of another type; an ordinary mail is none.
    assert_eq!(scan(REPORT.replace("report-type=delivery-status", "report-type=disposition-notification")).dsn, None);
    assert_eq!(scan(REPORT.replace("multipart/report", "multipart/mixed")).dsn, None);
    assert!(scan(REPORT.replace("report-type=delivery-status;", "")).dsn.is_some());
    // RFC 6533 section 4
    let global = REPORT.replace("delivery-status", "global-delivery-status");
    assert_eq!(scan(global).dsn.unwrap().status, wire("4.0.0"));
    // Cut off by the end of the capture.
    let cut = REPORT.find("Status: 4.0.0").unwrap() + "Status: 4.0.0".len();
    let dsn = scan(&REPORT[..cut]).dsn.unwrap();
    assert_eq!((dsn.status, dsn.diagnostic_code), (wire("4.0.0"), None));
}

#[test]
fn a_report_with_too_much_before_it_or_in_it() {
    let limits = SmtpLimits::default();
    let long =
        REPORT.replace("Final-Recipient: rfc822;not@this.one", &"0123456789\r\n".repeat(limits.dsn_search_max / 10));
    assert_eq!(scan(&long).dsn, None);
    let many = REPORT.replace("Status: 4.0.0\r\n", &format!("Status: 4.0.0\r\n{}", "X: y\r\n".repeat(10_000)));
    let dsn = scan(&many).dsn.unwrap();
    assert_eq!((dsn.status, dsn.diagnostic_code), (wire("4.0.0"), None));
}

#[test]
fn header_forms() {
    for (header, field) in [
        ("Message-ID: <a@b>", wire("a@b")),
        ("MESSAGE-ID:<a@b>", wire("a@b")),
        ("Message-Id : a@b ", wire("a@b")),
        ("Message-ID:\r\n <a@b>", wire("a@b")),
        ("Message-ID: <a@b", wire("a@b")),
        ("Message-ID: <>", None),
        ("Message-ID:", None),
        ("X-Message-ID: <a@b>", None),
        ("Message-ID: <a@b>\r\nMessage-ID: <c@d>", wire("a@b")),
        ("Subject: x\r\n Message-ID: <a@b>", None),
    ] {
        assert_eq!(scan(format!("{header}\r\n\r\nx")).msg_id, field, "{header}");
    }
    for (header, domain) in [
        ("From: u@d.example", wire("d.example")),
        ("From: \"a@b\" <u@d.example>", wire("d.example")),
        ("From: Jo Doe\r\n <u@d.example>, <x@y>", wire("d.example")),
        ("From: =?utf-8?q?J=C3=B6?= <u@d.example>", wire("d.example")),
        ("From: \"a@b\"@d.example", wire("d.example")),
        ("From: u@d.example (Jo, <a@b>)", wire("d.example")),
        ("From: (a@b) u@d.example, x@y", wire("d.example")),
        ("From: \"Doe, Jo \\\" <a@b>\" <u@d.example>", wire("d.example")),
        ("From: Doe, Jo <u@d.example>", wire("d.example")),
        ("From: <u@d.example", wire("d.example")),
        ("From: u@[192.0.2.1]", wire("[192.0.2.1]")),
        ("From: undisclosed-recipients:;", None),
        ("From: team: a@d.example, c@e.example;", wire("d.example")),
        ("From: MAILER-DAEMON (Mail Delivery System)", None),
        ("From: <>", None),
    ] {
        assert_eq!(scan(format!("{header}\r\n\r\nx")).from_domain, domain, "{header}");
    }
    assert_eq!(scan("Auto-Submitted: No; x=y\r\n\r\n").auto_submitted, wire("no"));
    assert_eq!(scan("Message-ID: <a@b>").msg_id, wire("a@b"), "no line end");
}

#[test]
fn a_header_without_end_keeps_little() {
    let limits = SmtpLimits::default();
    let mut scanner = MailScanner::new(&limits);
    scanner.handle(b"Message-ID: <a@b>\r\nTo: ");
    for _ in 0..10_000 {
        scanner.handle(&[b'x'; 100]);
        scanner.handle(b"\r\n ");
    }
    scanner.handle(b"\r\nFrom: u@d.example\r\n\r\nbody");
    assert!(scanner.headers.text.len() <= 2 * limits.mail_header_max);
    let facts = scanner.finish();
    assert_eq!((facts.msg_id, facts.from_domain), (wire("a@b"), None), "beyond the header's limit");
    assert_eq!(facts.body_hash, Some(xxh3_128(b"body")));
}

#[test]
fn the_hash_is_of_lines() {
    let hash = Some(xxh3_128(b"a\r\n\r\nb"));
    for body in ["a\r\n\r\nb", "a\n\nb", "a\r\n\nb\n", "a\n\r\nb\r\n\r\n\n", "a\r\n\r\nb\r\n"] {
        assert_eq!(scan(format!("X: y\r\n\r\n{body}")).body_hash, hash, "{body:?}");
        assert_eq!(scan(format!("\n{body}")).body_hash, hash, "{body:?}");
    }
    // A bare CR is text, also at the end.
    assert_eq!(scan("\r\na\rb\r\r\n").body_hash, Some(xxh3_128(b"a\rb\r")));
    assert_eq!(scan("\r\na\r").body_hash, Some(xxh3_128(b"a\r")));
    assert_eq!(scan("\r\n\r\n a").body_hash, Some(xxh3_128(b"\r\n a")));
    for nothing in ["", "X: y", "X: y\r\n", "X: y\r\n\r\n", "X: y\r\n\r\n\r\n\n\r\n"] {
        assert_eq!(scan(nothing).body_hash, None, "{nothing:?}");
    }
}

/// What the hash is of, written down the plain way.
fn canonical(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in body {
        if byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(byte);
    }
    while out.ends_with(b"\r\n") {
        out.truncate(out.len() - 2);
    }
    out
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_facts(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "\r", "\n", "\r\n", "\r\n\r\n", "text", "From: a@b", "Message-ID: <x>", " ", "\t", "To:", "--B", "Status: 5.0.0",
            "Content-Type: multipart/report; boundary=B\r\n", "--B\r\nContent-Type: message/delivery-status\r\n\r\n",
        ]), 0..40),
        cuts in prop::collection::vec(any::<usize>(), 0..30),
    ) {
        let mail = pieces.concat().into_bytes();
        prop_assert_eq!(scan_pieces(&mail, &cuts), scan(&mail));
    }

    #[test]
    fn a_report_in_any_pieces(cuts in prop::collection::vec(any::<usize>(), 0..50)) {
        prop_assert_eq!(scan_pieces(REPORT.as_bytes(), &cuts), scan(REPORT));
    }

    #[test]
    fn the_hash_is_that_of_the_canonical_form(
        body in prop::collection::vec(prop::sample::select(b"\r\n\nab".to_vec()), 0..60),
        filler in 0_usize..3,
        cuts in prop::collection::vec(any::<usize>(), 0..5),
    ) {
        // With a long run before it, so that blocks end anywhere in the lines that matter.
        let body = [&vec![b'x'; filler * (BLOCK - 20)], &body[..]].concat();
        let text = canonical(&body);
        let expected = (!text.is_empty()).then(|| xxh3_128(&text));
        prop_assert_eq!(scan_pieces(&[b"\r\n", &body[..]].concat(), &cuts).body_hash, expected);
    }

    #[test]
    fn any_bytes_are_mail_data(mail in prop::collection::vec(any::<u8>(), 0..400)) {
        scan(mail);
    }

    #[test]
    fn any_value_of_a_header_is_taken(
        name in prop::sample::select(vec!["Message-ID", "Content-Type", "Auto-Submitted", "From", "To"]),
        value in r#"([ \t\r\n"'()<>@,:;=?*\\%./a0é-]|=\?utf-8\?[bq]\?|\?=|multipart/report|boundary|\*0\*=|''|\r\n |\PC){0,40}"#,
    ) {
        scan(format!("{name}: {value}\r\n\r\nx"));
    }
}
