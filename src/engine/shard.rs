//! One logical shard: the connections whose stable hash falls to it, with their dialogues.
//!
//! A shard knows nothing of the others, so that any number of workers can share them out; there are always equally
//! many, so that the number of workers changes nothing in a report.

use crate::decode::Segment;
use crate::frame::At;
use crate::limits::{Limits, SmtpLimits};
use crate::session::{Conversation, Session, SessionEvent, SessionEventKind};
use crate::tcp::{Attempt, ConnStart, Connection, FlowSink, FlowTable, StreamEvent, TcpStats};

/// A shard.
pub struct Shard {
    flows: FlowTable<Box<Conversation>>,
    limits: SmtpLimits,
}

impl Shard {
    /// One of `limits.tcp.shards` equal parts.
    pub fn new(ports: &[u16], limits: &Limits) -> Self {
        Self { flows: FlowTable::new(ports, &limits.tcp), limits: limits.smtp.clone() }
    }

    /// Takes a segment that belongs here.
    pub fn handle_segment(&mut self, segment: &Segment<'_>, out: &mut Vec<SessionEvent>) {
        self.flows.handle_segment(segment, &mut Emit { out, limits: &self.limits });
    }

    /// Expires what is due.
    pub fn handle_tick(&mut self, now: At, out: &mut Vec<SessionEvent>) {
        self.flows.handle_idle(now, &mut Emit { out, limits: &self.limits });
    }

    /// The end of the capture: all that is open closes.
    pub fn finish(&mut self, at: At, out: &mut Vec<SessionEvent>) {
        self.flows.finish(at, &mut Emit { out, limits: &self.limits });
    }

    /// Counts of reassembly.
    pub const fn stats(&self) -> &TcpStats {
        self.flows.stats()
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard")
            .field("open", &self.flows.open())
            .field("stats", self.flows.stats())
            .finish_non_exhaustive()
    }
}

/// Turns what the flow table finds out into session events.
struct Emit<'a> {
    out: &'a mut Vec<SessionEvent>,
    limits: &'a SmtpLimits,
}

impl FlowSink for Emit<'_> {
    type App = Box<Conversation>;

    fn open(&mut self, start: &ConnStart) -> Self::App {
        Box::new(Conversation::new(start.id, start.first, start.link, self.limits))
    }

    fn stream(&mut self, app: &mut Self::App, _: &ConnStart, event: StreamEvent<'_>) {
        app.handle(&event, self.limits, &mut |event| self.out.push(event));
    }

    fn close(&mut self, mut app: Self::App, conn: Connection, at: At) {
        let smtp = app.finish(at, conn.cut_short, self.limits, &mut |event| self.out.push(event));
        let session = Session { conn, smtp, outer: None };
        self.out.push(SessionEvent { at, kind: SessionEventKind::Closed(session.into()) });
    }

    fn unanswered(&mut self, attempt: Attempt, at: At) {
        self.out.push(SessionEvent { at, kind: SessionEventKind::Unanswered(Box::new(attempt)) });
    }
}
