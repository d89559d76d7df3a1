use proptest::prelude::*;

use super::*;

fn read(line: &str) -> (Option<u16>, bool, String, &str) {
    let line = parse_line(line.as_bytes());
    let status = line.status.map(|status| status.to_string()).unwrap_or_default();
    (line.code, line.more, status, std::str::from_utf8(line.text).unwrap())
}

#[test]
fn every_form_of_a_reply_line() {
    let rows: &[(&str, Option<u16>, bool, &str, &str)] = &[
        ("250 OK", Some(250), false, "", "OK"),
        ("250-mx.example.com greets you", Some(250), true, "", "mx.example.com greets you"),
        ("250", Some(250), false, "", ""),
        ("250-", Some(250), true, "", ""),
        ("250 ", Some(250), false, "", ""),
        ("250ok", Some(250), false, "", "ok"),
        ("250\tok", Some(250), false, "", "ok"),
        ("  250 ok  ", Some(250), false, "", "ok"),
        ("250 ok\r", Some(250), false, "", "ok"),
        ("550 5.7.1 no", Some(550), false, "5.7.1", "no"),
        ("550-5.7.26 no", Some(550), true, "5.7.26", "no"),
        ("550 #5.7.1 no", Some(550), false, "5.7.1", "no"),
        ("550 (#5.7.1) no", Some(550), false, "5.7.1", "no"),
        ("550 (5.7.1) no", Some(550), false, "5.7.1", "no"),
        ("550 5.7.1: no", Some(550), false, "5.7.1", "no"),
        ("550 5.7.606 Access denied", Some(550), false, "5.7.606", "Access denied"),
        ("550 5.1.1 <u@example>: unknown", Some(550), false, "5.1.1", "<u@example>: unknown"),
        ("250 2.1.0", Some(250), false, "2.1.0", ""),
        ("421-4.7.0 wait", Some(421), true, "4.7.0", "wait"),
        // A status only where a text begins; an address is no status, a version's fourth number makes it none.
        ("553 not allowed (#5.7.1)", Some(553), false, "", "not allowed (#5.7.1)"),
        ("220 192.0.2.1 ready", Some(220), false, "", "192.0.2.1 ready"),
        ("220 8.12.3.4 ready", Some(220), false, "", "8.12.3.4 ready"),
        ("550 5.7 no", Some(550), false, "", "5.7 no"),
        ("550 5.7.1234 no", Some(550), false, "", "5.7.1234 no"),
        // Odd codes are codes.
        ("000 x", Some(0), false, "", "x"),
        ("999-x", Some(999), true, "", "x"),
        // No code.
        ("4.7.0 try later", None, false, "4.7.0", "try later"),
        ("2500 x", None, false, "", "2500 x"),
        ("192.0.2.1", None, false, "", "192.0.2.1"),
        ("25 x", None, false, "", "25 x"),
        ("hello", None, false, "", "hello"),
        ("", None, false, "", ""),
    ];
    for &(line, code, more, status, text) in rows {
        assert_eq!(read(line), (code, more, status.to_owned(), text), "{line:?}");
    }
}

/// Feeds a server's lines and returns what comes out, with the names of the oddities.
fn replies(lines: &[&str]) -> Vec<(Option<u16>, String, String, Vec<&'static str>)> {
    let limits = SmtpLimits::default();
    let mut assembler = ReplyAssembler::default();
    let mut out = Vec::new();
    for line in lines {
        if let Some((reply, weird)) = assembler.handle(&parse_line(line.as_bytes()), &limits) {
            let status = reply.status.map(|status| status.to_string()).unwrap_or_default();
            let text = String::from_utf8(reply.text.as_bytes().to_vec()).unwrap();
            out.push((reply.code, status, text, weird.iter().map(Weird::name).collect()));
        }
    }
    out
}

#[test]
fn rfc_5321_appendix_d1() {
    let script = [
        "220 foo.com Simple Mail Transfer Service Ready",
        "250-foo.com greets bar.com",
        "250-8BITMIME",
        "250-SIZE",
        "250-DSN",
        "250 HELP",
        "250 OK",
        "354 Start mail input; end with <CRLF>.<CRLF>",
        "221 foo.com Service closing transmission channel",
    ];
    let got = replies(&script);
    let codes: Vec<_> = got.iter().map(|reply| reply.0.unwrap()).collect();
    assert_eq!(codes, [220, 250, 250, 354, 221]);
    assert_eq!(got[1].2, "foo.com greets bar.com\n8BITMIME\nSIZE\nDSN\nHELP");
    assert!(got.iter().all(|reply| reply.3.is_empty()));
}

#[test]
fn the_status_of_a_long_reply_is_that_of_its_first_line_that_has_one() {
    // RFC 2034 section 4 repeats it on every line.
    let got =
        replies(&["550-5.7.26 This mail is unauthenticated,", "550-5.7.26 see https://example.com/x", "550 5.7.1 bye"]);
    let text = "This mail is unauthenticated,\nsee https://example.com/x\nbye".to_owned();
    assert_eq!(got, [(Some(550), "5.7.26".to_owned(), text, vec![])]);
}

#[test]
fn disagreeing_codes_are_noted_and_the_last_counts() {
    let got = replies(&["250-mx", "550 no"]);
    assert_eq!(got, [(Some(550), String::new(), "mx\nno".to_owned(), vec!["mixed_reply_codes"])]);
}

#[test]
fn lines_without_a_code() {
    let got = replies(&["4.7.0 later", "garbage", "", "250-a", "more of it", "250 b"]);
    assert_eq!(
        got,
        [
            (None, "4.7.0".to_owned(), "later".to_owned(), vec![]),
            (None, String::new(), "garbage".to_owned(), vec!["invalid_reply"]),
            (None, String::new(), String::new(), vec!["invalid_reply"]),
            (Some(250), String::new(), "a\nmore of it\nb".to_owned(), vec![]),
        ]
    );
}

#[test]
fn an_endless_reply_does_not_grow() {
    let limits = SmtpLimits::default();
    for (line, lines, bytes) in [("250-", 64, 63), ("250-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 32, 1023)] {
        let mut assembler = ReplyAssembler::default();
        for _ in 0..100_000 {
            assert!(assembler.handle(&parse_line(line.as_bytes()), &limits).is_none());
        }
        assert!(assembler.is_open());
        let (reply, _) = assembler.handle(&parse_line(b"250 end"), &limits).unwrap();
        assert!(!assembler.is_open());
        assert_eq!((reply.lines().count(), reply.text.as_bytes().len()), (lines, bytes));
    }
}

#[test]
fn a_reply_cut_off_can_be_taken() {
    let mut assembler = ReplyAssembler::default();
    assert!(assembler.handle(&parse_line(b"554-5.7.1 blocked"), &SmtpLimits::default()).is_none());
    let (reply, _) = assembler.take().unwrap();
    assert_eq!((reply.code, reply.text.as_bytes()), (Some(554), b"blocked" as &[u8]));
    assert!(reply.is_permanent() && !assembler.is_open());
}

#[test]
fn a_masked_greeting() {
    assert!(is_masked_banner(b"*************************************0*0*0*2*2002*****0*00"));
    assert!(is_masked_banner(b"****2****"));
    assert!(!is_masked_banner(b"mx.example.com ESMTP *** no spam ***"));
    assert!(!is_masked_banner(b"***"));
    assert!(!is_masked_banner(b""));
}

proptest! {
    #[test]
    fn any_bytes_are_a_line(line in prop::collection::vec(any::<u8>(), 0..80)) {
        let read = parse_line(&line);
        prop_assert!(read.code.is_none_or(|code| code < 1000));
        prop_assert!(!read.more || read.code.is_some());
    }

    #[test]
    fn what_looks_like_a_reply_never_panics(line in "[ (#0-9.\\-:)a]{0,24}") {
        parse_line(line.as_bytes());
    }

    #[test]
    fn texts_stay_within_the_limits(
        lines in prop::collection::vec("(250|550|)[- ]?[a-z]{0,9}", 0..40), text_max in 0_usize..30, lines_max in 0_u32..5,
    ) {
        let limits = SmtpLimits { reply_text_max: text_max, reply_lines_max: lines_max, ..SmtpLimits::default() };
        let mut assembler = ReplyAssembler::default();
        for line in &lines {
            if let Some((reply, _)) = assembler.handle(&parse_line(line.as_bytes()), &limits) {
                prop_assert!(reply.text.as_bytes().len() <= text_max);
            }
        }
    }
}

#[test]
fn what_a_server_quotes_can_be_taken_out() {
    for (text, want) in [
        // Sendmail, Exchange, and old style.
        ("Command unrecognized: \"aHVudGVyMg==\"", "Command unrecognized: \"\""),
        ("cannot BASE64 decode 'hunter2!'", "cannot BASE64 decode ''"),
        ("Unrecognized command 'hunter2' [mx.example]", "Unrecognized command '' [mx.example]"),
        ("what is `hunter2'?", "what is `'?"),
        // Quotes inside, none at the end, and both kinds.
        ("what is 'hun'ter2'?", "what is ''?"),
        ("what is \"hun\" ter2\"?", "what is \"\"?"),
        ("what is \"hunter2", "what is \""),
        ("what is 'hun\"ter2\"'", "what is ''"),
        ("a \"hunter2\"\nor 'hunter2'\nyes", "a \"\"\nor ''\nyes"),
        // An apostrophe is none.
        ("I can't and won't", "I can't and won't"),
        ("Error: authentication failed", "Error: authentication failed"),
        ("", ""),
    ] {
        let reply = Reply { code: Some(500), status: None, text: Wire::from(text) };
        let short = reply.clone().without_quotations();
        assert_eq!(short.text, Wire::from(want), "{text:?}");
        assert_eq!(short.clone().without_quotations(), short, "{text:?}");
    }
}
