//! Too much of everything, and bytes that are no text: what is kept is bounded, what is counted is right.

use std::fmt::Write;

use serde_json::Value;
use smtphound::frame::At;
use smtphound::limits::SmtpLimits;
use smtphound::output::{LineForm, SessionWriter};
use smtphound::session::{Session, SessionEvent, SessionEventKind};

use crate::wire::{C, Concluded, S, Talk, Who};

/// How many is a flood: a million where code is optimised.
const MANY: usize = if cfg!(debug_assertions) { 60_000 } else { 1_000_000 };

/// Full segments of one side.
fn pour(talk: &mut Talk, who: Who, bytes: &str) {
    for chunk in bytes.as_bytes().chunks(1_400) {
        talk.say(who, std::str::from_utf8(chunk).unwrap());
    }
}

/// Its session line.
fn line(session: &Session) -> Value {
    let mut writer = SessionWriter::new(Vec::new(), LineForm::Native);
    let kind = SessionEventKind::Closed(std::sync::Arc::new(session.clone()));
    writer.handle(&SessionEvent { at: At::default(), kind }).unwrap();
    let text = String::from_utf8(writer.finish().unwrap()).unwrap();
    assert!(!text.trim_end().contains(char::is_control), "one line without control characters");
    serde_json::from_str(&text).unwrap()
}

fn commands(concluded: &Concluded) -> u32 {
    concluded.session().smtp.commands_total
}

#[test]
fn whoever_speaks_before_the_greeting_is_told_by_acknowledgements() {
    let mut talk = Talk::new();
    talk.open();
    let hello = "EHLO early\r\n";
    // The first did not wait; the second saw the greeting and was captured before it.
    let early = talk.seg(C).data(hello);
    talk.send(&early).skip(C, hello.len());
    let greeting = "220 mx.fabrikam.example\r\n";
    let seg = talk.seg(S).acked(0).data(greeting);
    talk.send(&seg).skip(S, greeting.len()).talk("S: 250 mx").end();
    assert!(talk.concluded().weird().contains(&"early_talker"), "{:?}", talk.concluded().weird());

    let mut talk = Talk::new();
    talk.open();
    let seen = talk.seg(C).acked(greeting.len() as i64).data(hello);
    let seg = talk.seg(S).data(greeting);
    talk.send(&seen).send(&seg).skip(C, hello.len()).skip(S, greeting.len()).talk("S: 250 mx").end();
    assert!(!talk.concluded().weird().contains(&"early_talker"), "{:?}", talk.concluded().weird());
}

#[test]
fn a_line_without_end_hides_nothing_that_comes_after_it() {
    for byte in ["x", "\r", "\u{0}", " ", "<"] {
        let mut talk = Talk::new();
        talk.begin();
        pour(&mut talk, C, &byte.repeat(MANY));
        talk.talk("C:\nS: 500 5.5.2 line too long\nC: RCPT TO:<b@fabrikam.example>\nS: 550 5.1.1 unknown").end();
        let concluded = talk.concluded();
        assert_eq!(concluded.mails(), ["a@adatum.example > b@fabrikam.example 550: Rejected"], "{byte:?}");
        assert_eq!(commands(&concluded), 5, "{byte:?}");
        let unknown = &concluded.session().smtp.commands[2];
        assert_eq!((unknown.verb, unknown.code), ("?", Some(500)), "{byte:?}");
    }
}

#[test]
fn a_reply_without_end_is_cut_and_the_next_one_is_whole() {
    let mut talk = Talk::new();
    talk.open().talk("S: 220 mx\nC: EHLO pc23");
    pour(&mut talk, S, &"250-KEYWORD\r\n".repeat(MANY));
    talk.talk("S: 250 LAST\nC: MAIL FROM:<a@adatum.example>\nS: 451 4.7.1 later").end();
    let concluded = talk.concluded();
    let smtp = &concluded.session().smtp;
    assert!(smtp.ehlo_keywords.len() <= SmtpLimits::default().keywords_max);
    assert_eq!(concluded.mails(), ["a@adatum.example > : Deferred"]);
    assert!(line(concluded.session()).to_string().len() < 8_000);
}

#[test]
fn recipients_without_number_are_counted_and_some_kept() {
    let mut talk = Talk::new();
    talk.begin();
    let (mut asked, mut answered) = (String::new(), String::new());
    for no in 0..MANY {
        _ = write!(asked, "RCPT TO:<user{no}@fabrikam.example>\r\n");
        answered += if no % 3 == 0 { "250 2.1.5 Ok\r\n" } else { "550 5.1.1 unknown\r\n" };
        if asked.len() > 20_000 {
            pour(&mut talk, C, &std::mem::take(&mut asked));
            pour(&mut talk, S, &std::mem::take(&mut answered));
        }
    }
    pour(&mut talk, C, &asked);
    pour(&mut talk, S, &answered);
    talk.end();
    let concluded = talk.concluded();
    let tx = &concluded.session().smtp.transactions[0];
    let accepted = MANY.div_ceil(3);
    assert_eq!((tx.rcpt_total as usize, tx.rcpt_accepted as usize), (MANY, accepted));
    assert_eq!(tx.rcpt_rejected as usize, MANY - accepted);
    assert_eq!(tx.rcptto.len(), SmtpLimits::default().recipients_max);
    assert_eq!(commands(&concluded) as usize, MANY + 3);
}

#[test]
fn commands_without_number_are_counted_whether_answered_or_not() {
    for answers in [true, false] {
        let mut talk = Talk::new();
        talk.open().talk("S: 220 mx\nC: EHLO pc23\nS: 250 mx");
        for _ in 0..MANY / 1_000 {
            pour(&mut talk, C, &"NOOP\r\n".repeat(1_000));
            if answers {
                pour(&mut talk, S, &"250 2.0.0 Ok\r\n".repeat(1_000));
            }
        }
        talk.end();
        let concluded = talk.concluded();
        let smtp = &concluded.session().smtp;
        assert_eq!(smtp.commands_total as usize, MANY + 2, "{answers}");
        assert!(smtp.commands.len() <= SmtpLimits::default().commands_max && smtp.quit, "{answers}");
        assert!(line(concluded.session()).to_string().len() < 30_000);
    }
}

#[test]
fn chunks_of_nothing_are_no_mail_until_the_last() {
    let mut talk = Talk::new();
    talk.begin().talk("C: RCPT TO:<b@fabrikam.example>\nS: 250 2.1.5 Ok");
    for _ in 0..MANY / 1_000 {
        pour(&mut talk, C, &"BDAT 0\r\n".repeat(1_000));
        pour(&mut talk, S, &"250 2.0.0 0 octets\r\n".repeat(1_000));
    }
    talk.talk("C: BDAT 0 LAST\nS: 250 2.0.0 queued").end();
    let concluded = talk.concluded();
    assert_eq!(concluded.mails(), ["a@adatum.example > b@fabrikam.example 250: Accepted"]);
    assert_eq!(concluded.session().smtp.transactions[0].size, 0);
    assert_eq!(commands(&concluded) as usize, MANY + 5);
}

#[test]
fn nuls_and_bytes_that_are_no_text_are_told_and_escaped() {
    let mut talk = Talk::new();
    talk.open();
    // As bytes: a talk is text.
    let raw = |talk: &mut Talk, who: Who, bytes: &[u8]| {
        let text: String = bytes.iter().map(|byte| char::from(*byte & 0x7f)).collect();
        talk.say(who, &text);
        let frame = talk.frames.last_mut().unwrap();
        let at = frame.len() - bytes.len();
        frame[at..].copy_from_slice(bytes);
    };
    raw(&mut talk, S, b"220 \x1b]0;gone\x07 mx\r\n");
    raw(&mut talk, C, b"EHLO pc\x00\xff\xfe23\r\n");
    raw(&mut talk, S, b"250 \xc3\x28 mx\r\n");
    raw(&mut talk, C, b"MAIL FROM:<\xe2\x80\xae@adatum.example>\r\n");
    raw(&mut talk, S, b"250 ok\r\n");
    raw(&mut talk, C, b"RCPT TO:<a\xffb@fabrikam.example>\r\n");
    raw(&mut talk, S, b"550 \"}],\"injected\":[{\r\n");
    talk.end();
    let concluded = talk.concluded();
    let line = line(concluded.session());
    assert_eq!(line["helo"], "pc\\x00\\xff\\xfe23");
    assert_eq!(line["banner"], "220 \\x1b]0;gone\\x07 mx");
    assert_eq!(line["transactions"][0]["mailfrom"], "\\xe2\\x80\\xae@adatum.example");
    assert_eq!(line["transactions"][0]["rcptto"][0]["to"], "a\\xffb@fabrikam.example");
    assert_eq!(line["transactions"][0]["rcptto"][0]["reply"]["text"], "\"}],\"injected\":[{");
    assert!(line.get("injected").is_none());
}
