//! One logical shard: the connections whose stable hash falls to it, with their dialogues.
//!
//! A shard knows nothing of the others, so that any number of workers can share them out; there are always equally
//! many, so that the number of workers changes nothing in a report.

use crate::decode::{PortSet, Segment};
use crate::frame::At;
use crate::limits::Limits;
use crate::session::{Session, SessionBuilder, SessionEvent, SessionEventKind};
use crate::tcp::{Attempt, ConnStart, Connection, FlowSink, FlowTable, StreamEvent, TcpStats};

/// A shard.
#[derive(Debug)]
pub struct Shard {
    flows: FlowTable<Box<SessionBuilder>>,
    limits: Limits,
}

impl Shard {
    /// One of `limits.tcp.shards` equal parts.
    pub fn new(ports: &PortSet, limits: &Limits) -> Self {
        Self { flows: FlowTable::new(ports.clone(), &limits.tcp), limits: limits.clone() }
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
    pub fn stats(&self) -> &TcpStats {
        self.flows.stats()
    }
}

/// Turns what the flow table finds out into session events.
struct Emit<'a> {
    out: &'a mut Vec<SessionEvent>,
    limits: &'a Limits,
}

impl FlowSink for Emit<'_> {
    type App = Box<SessionBuilder>;

    fn open(&mut self, start: &ConnStart) -> Self::App {
        Box::new(SessionBuilder::new(start, &self.limits.smtp))
    }

    fn stream(&mut self, app: &mut Self::App, _: &ConnStart, event: StreamEvent<'_>) {
        app.handle(&event, &mut |at, kind| self.out.push(SessionEvent { at, kind }));
    }

    fn close(&mut self, app: Self::App, conn: Connection, at: At) {
        let smtp = app.finish(at, conn.cut_short, &mut |at, kind| self.out.push(SessionEvent { at, kind }));
        let session = Session { conn, smtp };
        self.out.push(SessionEvent { at, kind: SessionEventKind::Closed(session.into()) });
    }

    fn unanswered(&mut self, attempt: Attempt, at: At) {
        self.out.push(SessionEvent { at, kind: SessionEventKind::Unanswered(Box::new(attempt)) });
    }
}
