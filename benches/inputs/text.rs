//! What is said: names under `.example` (RFC 2606), mailboxes, dates, and mail
//! data (RFC 5322) in lines as people write them, with dots stuffed
//! (RFC 5321, section 4.5.2).

use std::fmt::Write;

use crate::rng::Rng;
use crate::wire::{Micros, START};

/// The words that names, subjects and letters are made of.
const WORDS: [&str; 195] = [
    "about", "above", "account", "across", "agenda", "along", "amber", "anchor", "annual", "answer", "april",
    "archive", "arrive", "attached", "autumn", "balance", "barrel", "basket", "before", "below", "between", "bird",
    "blanket", "blue", "board", "book", "border", "bread", "bridge", "bright", "budget", "build", "button", "call",
    "candle", "carbon", "carry", "castle", "chair", "change", "check", "city", "clear", "clock", "cloud", "coast",
    "coffee", "copper", "corner", "cotton", "county", "course", "cover", "cross", "daily", "date", "deck", "delivery",
    "desk", "detail", "door", "draft", "drive", "early", "east", "edge", "elm", "engine", "evening", "every", "falcon",
    "farm", "feather", "field", "figure", "final", "find", "first", "flag", "floor", "forest", "forward", "found",
    "friday", "from", "garden", "gate", "general", "glass", "gold", "grain", "granite", "green", "group", "half",
    "hall", "hand", "harbour", "have", "hill", "hold", "hour", "house", "inside", "invoice", "iron", "island", "item",
    "january", "june", "keep", "kettle", "lake", "lamp", "large", "later", "leaf", "letter", "light", "limit", "line",
    "list", "maple", "march", "market", "meadow", "meeting", "mill", "minute", "monday", "month", "moon", "morning",
    "mountain", "north", "note", "number", "oak", "offer", "office", "open", "orange", "orchard", "order", "other",
    "page", "paper", "part", "people", "pepper", "pine", "place", "plan", "please", "point", "price", "project",
    "quarter", "question", "quiet", "rain", "ready", "record", "report", "river", "road", "room", "sail", "salt",
    "sample", "second", "send", "silver", "small", "south", "spring", "stone", "street", "summer", "table", "thank",
    "the", "their", "there", "ticket", "timber", "today", "tower", "under", "update", "valley", "water", "week",
    "winter", "year",
];

/// Columns at which a written line is broken.
const LINE_COLUMNS: usize = 72;

/// The domain numbered `index`; no two are equal.
pub(crate) fn domain(index: usize) -> String {
    let first = WORDS[index % WORDS.len()];
    let second = WORDS[index / WORDS.len() % WORDS.len()];
    format!("{first}{second}{index}.example")
}

/// The local part of a mailbox.
pub(crate) fn mailbox(rng: &mut Rng) -> String {
    let initial = (b'a' + rng.below(26) as u8) as char;
    let word = rng.pick(&WORDS);
    match rng.below(4) {
        0 => format!("{word}{}", rng.below(1000)),
        1 => format!("{initial}.{word}"),
        2 => format!("{word}.{}", rng.pick(&WORDS)),
        _ => format!("{initial}{word}{}", rng.below(100)),
    }
}

/// A time as RFC 5322 (section 3.3) writes it; captures end in March 2026.
pub(crate) fn date(at: Micros) -> String {
    const DAYS: [&str; 7] = ["Wed", "Thu", "Fri", "Sat", "Sun", "Mon", "Tue"];
    let seconds = 8 * 3600 + (at - START) / 1_000_000;
    let days = seconds / 86_400;
    format!(
        "{}, {:02} Mar 2026 {:02}:{:02}:{:02} +0000",
        DAYS[(days % 7) as usize],
        4 + days,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Who writes to whom.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    /// Empty for a null reverse-path.
    pub(crate) from: &'a str,
    pub(crate) to: &'a [String],
    /// The host that writes the message.
    pub(crate) host: &'a str,
    pub(crate) at: Micros,
}

/// Appends a message of about `size` bytes, dots stuffed, ended by
/// `<CRLF>.<CRLF>`. A null reverse-path makes it a delivery status
/// notification (RFC 3464).
pub(crate) fn message(out: &mut Vec<u8>, rng: &mut Rng, envelope: &Envelope<'_>, size: usize) {
    let Envelope { from, to, host, at } = *envelope;
    let end = out.len() + size;
    let date = date(at);
    let id = rng.bits();
    let mut head = String::with_capacity(1024);
    // Writing to a string cannot fail.
    let _ = if from.is_empty() {
        write!(
            head,
            "Date: {date}\r\nFrom: Mail Delivery System <MAILER-DAEMON@{host}>\r\n\
             To: {}\r\nSubject: Undelivered Mail Returned to Sender\r\n\
             Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\
             \tboundary=\"{id:016X}/{host}\"\r\nMessage-ID: <{id:016x}@{host}>\r\n\r\n\
             --{id:016X}/{host}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
             Your message could not be delivered to one of its recipients.\r\n\r\n\
             --{id:016X}/{host}\r\nContent-Type: message/delivery-status\r\n\r\n\
             Reporting-MTA: dns; {host}\r\nArrival-Date: {date}\r\n\r\n\
             Final-Recipient: rfc822; {}@{host}\r\nAction: failed\r\nStatus: 5.1.1\r\n\
             Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n\
             --{id:016X}/{host}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n",
            to[0],
            mailbox(rng)
        )
    } else {
        write!(
            head,
            "Received: from [127.0.0.1] (localhost)\r\n\tby {host} with ESMTP id {:08X};\r\n\t{date}\r\n\
             Date: {date}\r\nFrom: <{from}>\r\nTo: <{}>\r\nMessage-ID: <{id:016x}@{host}>\r\n\
             Subject: {} {} {}\r\nUser-Agent: Office Mail 7.2\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n",
            id >> 32,
            to.join(">,\r\n\t<"),
            rng.pick(&WORDS),
            rng.pick(&WORDS),
            rng.pick(&WORDS)
        )
    };
    out.extend_from_slice(head.as_bytes());

    let tail = if from.is_empty() { format!("--{id:016X}/{host}--\r\n.\r\n") } else { ".\r\n".to_owned() };
    lines(out, rng, end.saturating_sub(tail.len()));
    out.extend_from_slice(tail.as_bytes());
}

/// Appends lines of words until `out` is about `end` long; ends with CRLF.
/// One paragraph in forty starts with a dot, which is stuffed.
pub(crate) fn lines(out: &mut Vec<u8>, rng: &mut Rng, end: usize) {
    let mut line = out.len();
    let mut bits = 0_u64;
    while out.len() < end {
        if out.len() - line > LINE_COLUMNS {
            out.extend_from_slice(b"\r\n");
            match rng.below(40) {
                0..=4 => out.extend_from_slice(b"\r\n"),
                5 => out.extend_from_slice(b"..."),
                _ => {}
            }
            line = out.len();
        }
        if bits < 256 {
            bits = rng.bits() | 1 << 63;
        }
        let word = WORDS[(bits % WORDS.len() as u64) as usize];
        bits /= WORDS.len() as u64;
        out.extend_from_slice(word.as_bytes());
        out.push(b' ');
    }
    out.extend_from_slice(b"\r\n");
}
