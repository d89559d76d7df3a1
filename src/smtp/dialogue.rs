//! The dialogue: both sides of one connection, from stream events to steps of SMTP.
//!
//! Read first: RFC 5321 sections 3 and 4.3 (what may follow what), RFC 2920 (pipelining), RFC 3030 (BDAT), RFC 3207
//! (STARTTLS), RFC 4954 (AUTH).
//!
//! - **Commands queue until they are replied to** (`queue`); each reply belongs to the oldest of them.
//! - **The server's replies decide** what the client's bytes were: data or commands after DATA, the end of the data where
//!   that was not CRLF.CRLF (`data`), records or lines after STARTTLS.
//! - **Positions decide, never the clock** and, between the two sides, never the order of capture: who had seen what is
//!   told by the acknowledgement numbers. A reply that acknowledges bytes not captured yet waits for them.
//! - **Nothing is assumed**: not that the server speaks first, not that both sides or the beginning were captured.
//!
//! How bytes are read is one pure table (`phase`). What a transaction came to is the session builder's business.

mod client;
mod data;
mod end_of_data;
mod fifo;
mod phase;
mod queue;
mod server;

use std::collections::VecDeque;

use data::{Held, MailData};
use phase::{Class, Kind, Phase, Step};
use queue::{Entry, Queue, Waiting};

use crate::frame::At;
use crate::limits::SmtpLimits;
use crate::net::Side;
use crate::smtp::{AuthAttempt, AuthResult, Dialect, Tls};
use crate::smtp::{AuthExchange, LineSplitter, Reply, ReplyAssembler, Sent, SmtpEvent, TlsFollower};
use crate::tcp::StreamEvent;
use crate::weird::{Weird, WeirdSet};

/// Where the steps go.
pub type Sink<'a> = dyn FnMut(SmtpEvent) + 'a;

/// What every step needs.
struct Context<'c, 's> {
    limits: &'c SmtpLimits,
    sink: &'c mut Sink<'s>,
}

impl Context<'_, '_> {
    fn tell(&mut self, step: SmtpEvent) {
        (self.sink)(step);
    }
}

/// Replies that wait for the bytes that they acknowledge. Frames of the two sides swap places over microseconds; where
/// more replies than this wait, the client's side is not captured at all.
const EARLY_MAX: usize = 8;

/// Commands that wait while the capture does not even show what the client had acknowledged before the oldest: the
/// server's side is not captured.
const UNSEEN_MAX: usize = 8;

/// The machine of both sides of one connection.
///
/// Thousands of them stand in memory at once, nearly all outside the processor's fast caches: what a command or a reply
/// needs stands together in front, in the first 512 bytes, and what few of them need behind it.
#[derive(Debug)]
#[repr(C)]
pub struct Dialogue {
    phase: Phase,
    /// No greeting will be taken for one any more.
    past_greeting: bool,
    /// PIPELINING was offered since the last greeting or STARTTLS.
    may_pipeline: bool,
    pipelined: bool,
    /// The server speaks TLS.
    server_tls: bool,
    /// What looked like TLS of the client was answered in the clear.
    tls_refuted: bool,
    /// The server's next line may be the rest of one.
    server_resync: bool,
    /// SMTPUTF8 was asked for (RFC 6531).
    smtputf8: bool,
    finished: bool,
    /// How the client writes.
    dialect: Dialect,
    client: Half,
    server: Half,
    queue: Queue,
    assembler: ReplyAssembler,
    /// Replies that acknowledge bytes of the client that were not captured yet.
    early: VecDeque<EarlyReply>,
    /// The mail whose data are under way.
    mail: Option<Box<MailData>>,
    /// What was sent after DATA or XEXCH50 before the answer.
    held: Option<Box<Held>>,
    /// What was sent after a dot line of another form, if that looks like a mail of its own and the data went on to
    /// CRLF.CRLF. More replies than commands tell that the server took it for one.
    smuggled: Option<Box<Held>>,
    /// The exchange that the client's lines belong to, once AUTH was answered.
    exchange: Option<Box<AuthExchange>>,
    /// What the client had acknowledged when it sent its first byte.
    first_acked: Option<u64>,
    /// Where the last matched reply ended, and whether what it answers must end a group.
    last_reply: Option<(u64, bool)>,
    tls: Option<Box<TlsFollower>>,
    weird: [WeirdSet; 2],
    /// Bytes of the chunk or blob to come, and whether the chunk is the last one.
    chunk: (u64, bool),
    /// Where the greeting ended in the server's stream, once it was seen.
    greeting_end: Option<u64>,
    /// In [`Phase::Unsure`]: what the client had acknowledged when its bytes became unsure.
    unsure_since: Option<u64>,
    /// What the client had acknowledged, and where the server stood, when an open reply was last looked at.
    looked: Option<(u64, u64)>,
}

const _: () = assert!(std::mem::offset_of!(Dialogue, tls) <= 512, "what a line needs stands together");

/// One side's stream.
#[derive(Debug)]
struct Half {
    lines: LineSplitter,
    /// Bytes that were delivered or are known to be missing.
    pos: u64,
    /// The last acknowledgement of this side.
    acked: u64,
    /// Bytes are missing.
    lost: bool,
    /// Where the last missing bytes end.
    gap_end: u64,
    /// Something of it was seen.
    seen: bool,
    /// It sends no more.
    closed: bool,
}

impl Half {
    fn new(line_max: usize) -> Self {
        Self {
            lines: LineSplitter::new(line_max),
            pos: 0,
            acked: 0,
            lost: false,
            gap_end: 0,
            seen: false,
            closed: false,
        }
    }
}

/// A reply that waits for the client's bytes.
#[derive(Debug)]
struct EarlyReply {
    reply: Reply,
    at: At,
    end: u64,
    acked: u64,
}

impl Dialogue {
    /// A dialogue of which nothing was seen.
    pub fn new(limits: &SmtpLimits) -> Self {
        Self {
            phase: Phase::Start,
            past_greeting: false,
            may_pipeline: false,
            pipelined: false,
            server_tls: false,
            tls_refuted: false,
            server_resync: false,
            smtputf8: false,
            finished: false,
            dialect: Dialect::default(),
            client: Half::new(limits.command_line_max),
            server: Half::new(limits.reply_line_max),
            queue: Queue::default(),
            assembler: ReplyAssembler::default(),
            early: VecDeque::new(),
            mail: None,
            held: None,
            smuggled: None,
            exchange: None,
            first_acked: None,
            last_reply: None,
            tls: None,
            weird: [WeirdSet::default(); 2],
            chunk: (0, false),
            greeting_end: None,
            unsure_since: None,
            looked: None,
        }
    }

    /// The connection was met in the middle: what both sides said before is missing, as after a gap, but not how much it was.
    /// To be called before anything is handled.
    pub fn begin_midstream(&mut self, at: At, limits: &SmtpLimits, sink: &mut Sink<'_>) {
        let cx = &mut Context { limits, sink };
        self.client_gap(at, 0, cx);
        self.server_gap(0, cx);
        // Where only the handshake was missed, the server's first reply is a greeting still.
        (self.client.seen, self.server.seen) = (false, false);
    }

    /// Reads something of each line of memory that a command or a reply needs, so that it is near when one comes.
    pub fn touch(&self) -> u64 {
        let Self { client, server, queue, assembler, mail, first_acked, .. } = self;
        let bits = u64::from(self.past_greeting) ^ u64::from(assembler.is_open()) ^ u64::from(mail.is_some());
        bits ^ client.pos ^ server.pos ^ queue.touch() ^ first_acked.unwrap_or(0)
    }

    /// Whether the client's next bytes are mail data.
    pub fn reads_data(&self) -> bool {
        matches!(self.phase, Phase::Data | Phase::Chunk)
    }

    /// Takes the next event of the connection's streams.
    pub fn handle(&mut self, event: &StreamEvent<'_>, limits: &SmtpLimits, sink: &mut Sink<'_>) {
        let cx = &mut Context { limits, sink };
        match *event {
            StreamEvent::Data { side: Side::Orig, at, offset, acked, bytes } => {
                if offset > self.client.pos {
                    self.client_gap(at, offset - self.client.pos, cx);
                }
                self.client_data(at, acked, bytes, cx);
            }
            StreamEvent::Data { side: Side::Resp, at, offset, acked, bytes } => {
                if offset > self.server.pos {
                    self.server_gap(offset - self.server.pos, cx);
                }
                self.server_data(at, acked, bytes, cx);
            }
            StreamEvent::Gap { side: Side::Orig, at, len } => {
                self.client_gap(at, len, cx);
                self.handle_early(cx);
            }
            StreamEvent::Gap { side: Side::Resp, len, .. } => self.server_gap(len, cx),
            StreamEvent::Fin { side, .. } => self.close(side, cx),
            StreamEvent::Reset { .. } => {
                self.close(Side::Orig, cx);
                self.close(Side::Resp, cx);
            }
            // What TCP finds odd stands in the connection's own facts.
            StreamEvent::Weird { .. } => {}
        }
    }

    /// Tells the steps that can only be told at the end, and what encryption came to (the state is told by steps).
    /// Nothing may be handled afterwards.
    pub fn finish(&mut self, at: At, limits: &SmtpLimits, sink: &mut Sink<'_>) -> Tls {
        let cx = &mut Context { limits, sink };
        if !self.finished {
            self.finished = true;
            self.close(Side::Orig, cx);
            self.close(Side::Resp, cx);
            self.finish_server(at, cx);
            self.settle_all_held(cx);
            let cut = self.cut_mail();
            self.flush(at, self.queue.len(), cx);
            if let Some((mail, reply)) = cut {
                cx.tell(SmtpEvent::DataCut { at, mail, reply });
            }
            if let Some(exchange) = self.exchange.take() {
                end_auth(&exchange, at, None, cx);
            }
        }
        let mut tls = Tls::default();
        if let Some(follower) = &self.tls {
            follower.write_to(&mut tls);
        }
        tls
    }

    fn close(&mut self, side: Side, cx: &mut Context<'_, '_>) {
        match side {
            Side::Orig => {
                self.client.closed = true;
                self.handle_early(cx);
            }
            Side::Resp => self.server.closed = true,
        }
    }

    /// Moves on in the table.
    fn step(&mut self, side: Side, step: Step, at: At, cx: &mut Context<'_, '_>) {
        let (phase, weird) = phase::next(self.phase, side, step);
        self.phase = phase;
        if let Some(weird) = weird {
            self.note(side, weird, at, cx);
        }
    }

    /// Tells of an oddity, each kind once a side.
    fn note(&mut self, side: Side, weird: Weird, at: At, cx: &mut Context<'_, '_>) {
        let Some(seen) = self.weird.get_mut(usize::from(side == Side::Resp)) else { return };
        if !seen.contains(weird) {
            seen.insert(weird);
            cx.tell(SmtpEvent::Weird { side, at, weird });
        }
    }

    /// Gives up waiting for replies to the `count` oldest entries.
    fn flush(&mut self, at: At, count: usize, cx: &mut Context<'_, '_>) {
        for _ in 0..count {
            match self.queue.pop() {
                Some(Entry::Command(waiting)) => self.tell_answered(waiting, at, None, cx),
                Some(Entry::Lost(at)) => cx.tell(SmtpEvent::Lost { at }),
                None => return,
            }
        }
        self.tell_lost(cx);
    }

    /// Tells of gaps that nothing waits before any more.
    fn tell_lost(&mut self, cx: &mut Context<'_, '_>) {
        while self.queue.begins_with_lost() {
            if let Some(Entry::Lost(at)) = self.queue.pop() {
                cx.tell(SmtpEvent::Lost { at });
            }
        }
    }

    /// Tells of a command's end, and of the AUTH exchange's if it is one's.
    fn tell_answered(&mut self, waiting: Waiting, at: At, reply: Option<Reply>, cx: &mut Context<'_, '_>) {
        let Waiting { sent, kind, at: said, exchange, .. } = waiting;
        let ended = if kind == Kind::Auth { self.auth_answered(exchange, reply.as_ref()) } else { None };
        let reply = if sent.is_confidential() { reply.map(Reply::without_quotations) } else { reply };
        let verdict = ended.is_some().then(|| reply.clone());
        cx.tell(SmtpEvent::Answered { sent, said, at, reply });
        if let Some(exchange) = ended {
            end_auth(&exchange, at, verdict.flatten(), cx);
        }
    }

    /// Takes a reply to AUTH (`started`) or to a line of the exchange under way. Returns the exchange that it ends.
    fn auth_answered(
        &mut self,
        started: Option<Box<AuthExchange>>,
        reply: Option<&Reply>,
    ) -> Option<Box<AuthExchange>> {
        if started.is_some() {
            // An older one whose end was not seen is over without a result; it was told when its lines were.
            self.exchange = started;
        }
        match reply {
            Some(reply) if reply.code == Some(334) => {
                if let Some(exchange) = &mut self.exchange {
                    exchange.handle_server(reply.text.as_bytes());
                }
                None
            }
            Some(_) => self.exchange.take(),
            None => None,
        }
    }

    /// What there is of a mail whose data do not end.
    fn cut_mail(&mut self) -> Option<(super::MailEnd, Option<Reply>)> {
        let phase = self.phase;
        let mut mail = self.mail.take()?;
        mail.judge_other();
        if phase == Phase::Chunk {
            let left = self.chunk.0;
            let size = self.queue.newest(|waiting| waiting.kind == Kind::Bdat).map(|waiting| &mut waiting.sent);
            if let Some(Sent::Bdat { size, .. }) = size {
                *size = size.saturating_sub(left);
            }
        } else if phase != Phase::Data {
            // Chunks without a last one: their sizes stand with their commands.
            let mut end = mail.cut();
            end.size = 0;
            return Some((end, None));
        }
        let verdict = mail.verdict.take();
        let mut end = mail.cut();
        if phase == Phase::Chunk {
            end.size = 0;
        }
        Some((end, verdict))
    }
}

/// Tells how an AUTH exchange ended.
fn end_auth(exchange: &AuthExchange, at: At, reply: Option<Reply>, cx: &mut Context<'_, '_>) {
    let result = match &reply {
        Some(reply) if reply.code == Some(235) => AuthResult::Succeeded,
        _ if exchange.is_cancelled() => AuthResult::Cancelled,
        Some(reply) if !reply.is_positive() => AuthResult::Failed,
        _ => AuthResult::Unknown,
    };
    tell_auth(exchange, at, result, reply, cx);
}

fn tell_auth(exchange: &AuthExchange, at: At, result: AuthResult, reply: Option<Reply>, cx: &mut Context<'_, '_>) {
    cx.tell(SmtpEvent::AuthEnded(AuthAttempt {
        at,
        mechanism: exchange.mechanism().into(),
        user: exchange.user(),
        result,
        reply,
    }));
}

/// What a reply means for the way in which bytes are read.
fn class(reply: &Reply) -> Class {
    match reply.code {
        Some(334) => Class::Challenge,
        Some(300..=399) => Class::GoOn,
        Some(200..=299) => Class::Done,
        Some(500 | 502) => Class::Unknown,
        _ => Class::Refused,
    }
}

#[cfg(test)]
mod tests;
