//! Both sides of one connection: stream events to steps, facts and a session line.

use std::sync::Arc;

use super::{Input, is_harmless};
use crate::frame::{At, FrameNo};
use crate::limits::SmtpLimits;
use crate::net::{Endpoint, HostKey, LinkFacts, Side};
use crate::output::{LineForm, SessionWriter};
use crate::session::{Conversation, Known, Session, SessionEvent, SessionEventKind, SmtpFacts};
use crate::smtp::{Dialogue, Sent, SmtpEvent};
use crate::tcp::{ConnId, ConnStart, ConnState, Connection, StreamEvent};
use crate::time::{Span, Ts};
use crate::weird::WeirdSet;

/// One event.
enum Step<'a> {
    Data { side: Side, at: At, offset: u64, acked: u64, bytes: &'a [u8] },
    Gap { side: Side, at: At, len: u64 },
    Fin { side: Side, at: At },
    Reset { side: Side, at: At },
}

/// A byte for the limits (odd: small ones), then records: a byte for side (lowest bit), kind and acknowledgement, a byte
/// for the length (255: two more), and of data the bytes.
pub fn dialogue(data: &[u8]) {
    let mut input = Input(data);
    let Some(small) = input.byte() else { return };
    let limits = if small & 1 == 1 { small_limits() } else { SmtpLimits::default() };
    let steps = read(&mut input);
    let whole = told(&steps, &limits, usize::MAX);
    // Where segments end is the sender's choice and means nothing; nor does the length of the pieces.
    assert_eq!(told(&steps, &limits, 1), whole, "byte by byte");
    assert_eq!(told(&steps, &limits, 3), whole, "in threes");
    let answered = whole.iter().filter(|step| matches!(step, SmtpEvent::Answered { .. })).count();

    let (facts, events) = played(&steps, &limits, true);
    check(&facts, &events, &limits);
    let (facts, events) = played(&steps, &limits, false);
    check(&facts, &events, &limits);
    assert_eq!(facts.commands_total as usize, answered, "each command is answered once");
    for step in &whole {
        if let SmtpEvent::Answered { sent: Sent::Mail { path, .. } | Sent::Rcpt { path }, .. } = step {
            assert!(path.as_bytes().len() <= limits.path_max.max(limits.unanswered_bytes_max));
        }
    }
    line(facts);
}

fn small_limits() -> SmtpLimits {
    SmtpLimits {
        command_line_max: 60,
        reply_line_max: 40,
        reply_text_max: 50,
        reply_lines_max: 3,
        path_max: 20,
        unanswered_max: 4,
        unanswered_bytes_max: 64,
        reread_max: 64,
        recipients_max: 2,
        transactions_max: 2,
        session_recipients_max: 3,
        commands_max: 6,
        auth_max: 2,
        helos_max: 2,
        keywords_max: 2,
        mail_headers_max: 200,
        mail_header_max: 40,
        dsn_search_max: 300,
        dsn_max: 100,
    }
}

fn read<'a>(input: &mut Input<'a>) -> Vec<Step<'a>> {
    let (mut steps, mut pos, mut before, mut speaker) = (Vec::new(), [0_u64; 2], [0_u64; 2], None);
    while let (Some(kind), Some(len)) = (input.byte(), input.byte()) {
        let no = steps.len() as u64 + 1;
        let at = At { ts: Ts::from_parts(1_700_000_000, 0) + Span::millis(no.cast_signed()), frame: FrameNo(no) };
        let side = if kind & 1 == 0 { Side::Orig } else { Side::Resp };
        let len = if len == u8::MAX { input.u16().unwrap_or_default() } else { u16::from(len) };
        let (me, other) = (side as usize, side.other() as usize);
        if speaker.replace(side) != Some(side) {
            before[me] = pos[me];
        }
        let acked = match kind >> 1 & 7 {
            0..=2 => pos[other],
            // Sent before the other side's last words were seen.
            3 => before[other],
            // Forged, or of what the capture lost.
            4 => pos[other] + 9,
            5 => {
                pos[me] += u64::from(len.max(1));
                steps.push(Step::Gap { side, at, len: u64::from(len.max(1)) });
                continue;
            }
            6 => {
                steps.push(Step::Fin { side, at });
                continue;
            }
            _ => {
                steps.push(Step::Reset { side, at });
                continue;
            }
        };
        let bytes = input.take(usize::from(len));
        if !bytes.is_empty() {
            let offset = pos[me];
            pos[me] += bytes.len() as u64;
            steps.push(Step::Data { side, at, offset, acked, bytes });
        }
    }
    steps
}

/// Shows every step in pieces of at most so many bytes.
fn show(steps: &[Step<'_>], piece: usize, handle: &mut dyn FnMut(&StreamEvent<'_>)) -> At {
    let mut last = At::default();
    for step in steps {
        match *step {
            Step::Data { side, at, mut offset, acked, bytes } => {
                last = at;
                for bytes in bytes.chunks(piece) {
                    handle(&StreamEvent::Data { side, at, offset, acked, bytes });
                    offset += bytes.len() as u64;
                }
            }
            Step::Gap { side, at, len } => {
                last = at;
                handle(&StreamEvent::Gap { side, at, len });
            }
            Step::Fin { side, at } => {
                last = at;
                handle(&StreamEvent::Fin { side, at });
            }
            Step::Reset { side, at } => {
                last = at;
                handle(&StreamEvent::Reset { side, at });
            }
        }
    }
    At { ts: last.ts + Span::secs(1), frame: FrameNo(last.frame.0 + 1) }
}

fn told(steps: &[Step<'_>], limits: &SmtpLimits, piece: usize) -> Vec<SmtpEvent> {
    let (mut dialogue, mut events) = (Dialogue::new(limits), Vec::new());
    let end = show(steps, piece, &mut |event| dialogue.handle(event, limits, &mut |step| events.push(step)));
    dialogue.finish(end, limits, &mut |step| events.push(step));
    events
}

fn id() -> ConnId {
    let end = |host, port| Endpoint { host: HostKey::v4([192, 0, 2, host]), port };
    ConnId { ts: Ts::from_parts(1_700_000_000, 0), orig: end(7, 49_152), resp: end(25, 25) }
}

fn played(steps: &[Step<'_>], limits: &SmtpLimits, midstream: bool) -> (SmtpFacts, Vec<SessionEvent>) {
    let start = ConnStart { midstream, ..ConnStart::bare(id(), FrameNo(1)) };
    let known = Known { start: &start, limits };
    let (mut conversation, mut events) = (Conversation::new(limits), Vec::new());
    conversation.begin(known, &mut |event| events.push(event));
    let end = show(steps, usize::MAX, &mut |event| conversation.handle(event, known, &mut |event| events.push(event)));
    let facts = conversation.finish(end, false, known, &mut |event| events.push(event));
    (facts, events)
}

fn check(facts: &SmtpFacts, events: &[SessionEvent], limits: &SmtpLimits) {
    let kept: usize = facts.transactions.iter().map(|tx| tx.rcptto.len()).sum();
    assert!(facts.commands.len() <= limits.commands_max);
    assert!(facts.auth.len() <= limits.auth_max);
    assert!(facts.more_helos.len() <= limits.helos_max);
    assert!(facts.ehlo_keywords.len() <= limits.keywords_max);
    assert!(facts.transactions.len() <= limits.transactions_max && kept <= limits.session_recipients_max);
    let mut transactions = 0;
    for event in events {
        match &event.kind {
            SessionEventKind::Transaction(_, tx) => {
                transactions += 1;
                assert!(tx.rcptto.len() <= limits.recipients_max && tx.rcptto.len() <= tx.rcpt_total as usize);
                assert!(tx.rcpt_accepted + tx.rcpt_rejected <= tx.rcpt_total, "{tx:?}");
                assert!(tx.began.frame <= tx.ended.frame, "{tx:?}");
                assert!(!tx.null_sender || tx.mailfrom.is_empty(), "{tx:?}");
                assert!(tx.trans_depth >= 1 && tx.trans_depth <= facts.transactions_total, "{tx:?}");
            }
            SessionEventKind::Auth(_, attempt) => {
                assert!(attempt.user.as_ref().is_none_or(|user| user.as_bytes().len() <= 320), "{attempt:?}");
            }
            SessionEventKind::Greeted(head) => assert!(head.greeting.is_some()),
            other => panic!("not a conversation's to tell: {other:?}"),
        }
    }
    assert_eq!(transactions, facts.transactions_total, "each mail is told once");
}

/// Its line: one line, strict JSON, nothing that a terminal would act upon.
fn line(smtp: SmtpFacts) {
    let conn = Connection {
        id: id(),
        state: ConnState::Sf,
        history: "ShADadFf".into(),
        duration: Span::secs(1),
        orig_bytes: 0,
        resp_bytes: 0,
        missed_bytes: 0,
        gaps: 0,
        first: FrameNo(1),
        last: FrameNo(2),
        frames: 2,
        link: LinkFacts::default(),
        syn: None,
        one_sided: false,
        cut_short: false,
        weird: WeirdSet::default(),
    };
    let session = Arc::new(Session { conn, smtp, outer: None });
    let mut writer = SessionWriter::new(Vec::new(), LineForm::Native);
    let written = writer.handle(&SessionEvent { at: At::default(), kind: SessionEventKind::Closed(session) });
    assert!(written.is_ok(), "memory takes everything");
    let text = writer.finish().map(String::from_utf8).map(Result::unwrap_or_default).unwrap_or_default();
    let line = text.strip_suffix('\n').unwrap_or_default();
    assert!(is_harmless(line), "{line:?}");
    assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|value| value.is_object()), "{line}");
}
