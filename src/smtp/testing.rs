//! Dialogues as transcripts: a script of `S:` and `C:` lines becomes the stream events that a capture of it would give.
//!
//! A line is a segment, and acknowledges all that stands above it from the other side: lines of one side in a row are
//! pipelined. Forms of a line (`C` and `S` alike):
//!
//! - `C: text` is the text and CRLF.
//! - `C| text\r\n` is just that, with `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH` undone; blanks at its end do not count.
//! - `C! text` is like `C: text`, but was sent before the other side's last lines in a row were seen.
//! - `C~ 100` are 100 bytes that the capture does not have.
//! - `C$` is a FIN, `C^` a RST.
//! - `#` begins a comment, and blank lines mean nothing.

use std::sync::Arc;

use crate::frame::{At, FrameNo};
use crate::limits::SmtpLimits;
use crate::net::{Endpoint, HostKey, Side};
use crate::session::{AuthAttempt, Conversation, Known, Outcome, SessionEventKind, SmtpFacts, Transaction};
use crate::smtp::{Dialogue, SmtpEvent};
use crate::tcp::{ConnId, ConnStart, StreamEvent};
use crate::time::Ts;

/// A stream event that owns its bytes.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data { side: Side, at: At, offset: u64, acked: u64, bytes: Vec<u8> },
    Gap { side: Side, at: At, len: u64 },
    Fin { side: Side, at: At },
    Reset { side: Side, at: At },
}

impl Step {
    pub(crate) fn event(&self) -> StreamEvent<'_> {
        match *self {
            Self::Data { side, at, offset, acked, ref bytes } => StreamEvent::Data { side, at, offset, acked, bytes },
            Self::Gap { side, at, len } => StreamEvent::Gap { side, at, len },
            Self::Fin { side, at } => StreamEvent::Fin { side, at },
            Self::Reset { side, at } => StreamEvent::Reset { side, at },
        }
    }

    fn at(&self) -> At {
        match *self {
            Self::Data { at, .. } | Self::Gap { at, .. } | Self::Fin { at, .. } | Self::Reset { at, .. } => at,
        }
    }

    pub(crate) fn side(&self) -> Side {
        match *self {
            Self::Data { side, .. } | Self::Gap { side, .. } | Self::Fin { side, .. } | Self::Reset { side, .. } => {
                side
            }
        }
    }
}

/// The stamp and number of the n-th line: a second a line.
pub(crate) fn at(line: u64) -> At {
    At { ts: Ts::from_parts(line.cast_signed(), 0), frame: FrameNo(line) }
}

/// A second after the last event.
fn end(events: &[Step]) -> At {
    events.last().map_or(at(1), |step| at(step.at().frame.0 + 1))
}

/// Turns a transcript into stream events (see the module's head).
pub(crate) fn script(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut pos = [0_u64; 2];
    // Where each side stood before its last lines in a row.
    let mut before = [0_u64; 2];
    let mut speaker = None;
    for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let at = at(steps.len() as u64 + 1);
        let side = match line.as_bytes()[0] {
            b'C' => Side::Orig,
            b'S' => Side::Resp,
            _ => panic!("neither side says {line:?}"),
        };
        let (me, other) = (side as usize, side.other() as usize);
        if speaker != Some(side) {
            before[me] = pos[me];
            speaker = Some(side);
        }
        let text = line.get(3..).unwrap_or_default();
        let (bytes, acked) = match line.as_bytes()[1] {
            b':' => ([text.as_bytes(), b"\r\n"].concat(), pos[other]),
            b'!' => ([text.as_bytes(), b"\r\n"].concat(), before[other]),
            b'|' => (unescape(text.trim_end()), pos[other]),
            b'~' => {
                let len = text.trim().parse().unwrap();
                pos[me] += len;
                steps.push(Step::Gap { side, at, len });
                continue;
            }
            b'$' => {
                steps.push(Step::Fin { side, at });
                continue;
            }
            b'^' => {
                steps.push(Step::Reset { side, at });
                continue;
            }
            _ => panic!("no such form: {line:?}"),
        };
        let offset = pos[me];
        pos[me] += bytes.len() as u64;
        steps.push(Step::Data { side, at, offset, acked, bytes });
    }
    steps
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'x') => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            Some(other) => other,
            None => panic!("a backslash at the end"),
        });
    }
    bytes
}

/// Cuts every segment into pieces of the given sizes, over and over.
pub(crate) fn rechunk(steps: &[Step], sizes: &[usize]) -> Vec<Step> {
    let mut sizes = sizes.iter().cycle();
    let mut out = Vec::new();
    for step in steps {
        let Step::Data { side, at, offset, acked, bytes } = step else {
            out.push(step.clone());
            continue;
        };
        let mut from = 0;
        while from < bytes.len() {
            let to = bytes.len().min(from + (*sizes.next().unwrap()).max(1));
            let (offset, bytes) = (offset + from as u64, bytes[from..to].to_vec());
            out.push(Step::Data { side: *side, at: *at, offset, acked: *acked, bytes });
            from = to;
        }
    }
    out
}

/// What a capture of one side shows.
pub(crate) fn only(side: Side, steps: Vec<Step>) -> Vec<Step> {
    steps.into_iter().filter(|step| step.side() == side).collect()
}

/// The steps of the dialogue.
pub(crate) fn steps(events: &[Step]) -> Vec<SmtpEvent> {
    let limits = SmtpLimits::default();
    let mut steps = Vec::new();
    let mut dialogue = Dialogue::new(&limits);
    for event in events {
        dialogue.handle(&event.event(), &limits, &mut |step| steps.push(step));
    }
    dialogue.finish(end(events), &limits, &mut |step| steps.push(step));
    steps
}

/// What a session came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Played {
    pub(crate) facts: SmtpFacts,
    /// As told one by one.
    pub(crate) transactions: Vec<Arc<Transaction>>,
    pub(crate) auth: Vec<AuthAttempt>,
    pub(crate) greeted: usize,
}

impl Played {
    /// The log of commands: `EHLO 250`.
    pub(crate) fn log(&self) -> Vec<String> {
        let code = |code: Option<u16>| code.map_or_else(|| "-".into(), |code| code.to_string());
        self.facts.commands.iter().map(|entry| format!("{} {}", entry.verb, code(entry.code))).collect()
    }

    /// The transactions in short: `from > to to: outcome size`.
    pub(crate) fn mails(&self) -> Vec<String> {
        self.transactions.iter().map(|transaction| mail(transaction)).collect()
    }

    /// The oddities by name.
    pub(crate) fn weird(&self) -> Vec<&'static str> {
        self.facts.weird.iter().map(crate::weird::Weird::name).collect()
    }
}

fn mail(transaction: &Transaction) -> String {
    let to: Vec<_> = transaction.rcptto.iter().map(|rcpt| rcpt.to.to_string()).collect();
    let outcome = match transaction.outcome {
        Outcome::Accepted => "accepted",
        Outcome::Rejected => "rejected",
        Outcome::Deferred => "deferred",
        Outcome::Abandoned => "abandoned",
        Outcome::Incomplete => "incomplete",
        Outcome::Hidden => "hidden",
    };
    format!("{} > {}: {outcome} {}", transaction.mailfrom, to.join(" "), transaction.size)
}

/// Plays events to the end of a session; `lost` as in `SessionBuilder::finish`.
pub(crate) fn play_events(events: &[Step], lost: bool) -> Played {
    play_met(false, events, lost)
}

/// The same of a connection that was met in the middle.
pub(crate) fn play_midstream(events: &[Step]) -> Played {
    play_met(true, events, false)
}

fn play_met(midstream: bool, events: &[Step], lost: bool) -> Played {
    let limits = SmtpLimits::default();
    let host = |last, port| Endpoint { host: HostKey::v4([192, 0, 2, last]), port };
    let id = ConnId { ts: Ts::EPOCH, orig: host(7, 49152), resp: host(25, 25) };
    let mut played = Played { facts: SmtpFacts::default(), transactions: vec![], auth: vec![], greeted: 0 };
    let start = ConnStart { midstream, ..ConnStart::bare(id, FrameNo(1)) };
    let known = Known { start: &start, limits: &limits };
    let mut conversation = Conversation::new(&limits);
    let mut out = |event: crate::session::SessionEvent| match event.kind {
        SessionEventKind::Greeted(_) => played.greeted += 1,
        SessionEventKind::Auth(_, attempt) => played.auth.push(attempt),
        SessionEventKind::Transaction(_, transaction) => played.transactions.push(transaction),
        other => panic!("{other:?} is not the builder's"),
    };
    conversation.begin(known, &mut out);
    for event in events {
        conversation.handle(&event.event(), known, &mut out);
    }
    let facts = conversation.finish(end(events), lost, known, &mut out);
    played.facts = facts;
    played
}

/// Plays a script to the end of a connection that ended by itself.
pub(crate) fn play(text: &str) -> Played {
    play_events(&script(text), false)
}
