//! One logical shard: the connections whose stable hash falls to it, with their dialogues.
//!
//! A shard knows nothing of the others, so that any number of workers can share them out; there are always equally
//! many, so that the number of workers changes nothing in a report.

use crate::decode::Segment;
use crate::frame::At;
use crate::limits::{Limits, SmtpLimits};
use crate::net::FlowKey;
use crate::session::{Conversation, Flood, Floods, Known, Session, SessionEvent, SessionEventKind};
use crate::tcp::{Attempt, ConnStart, Connection, FlowSink, FlowTable, LookUp, Near, StreamEvent, TcpStats};
use crate::time::Ts;

/// A shard.
pub struct Shard {
    flows: FlowTable<Box<Conversation>>,
    beside: Beside,
}

/// What a shard keeps beside its connections.
struct Beside {
    floods: Floods,
    /// New conversations where others were: the next one begins where the last one ended, which is in the processor's caches
    /// still.
    #[expect(clippy::vec_box, reason = "they are handed on as they are, in their place")]
    spare: Vec<Box<Conversation>>,
    limits: SmtpLimits,
}

/// Places that are kept for conversations to come: about as many as end one soon after the other. More would only hold memory
/// that is far away again.
const SPARE_MAX: usize = 16;

impl Shard {
    /// One of `limits.tcp.shards` equal parts.
    pub fn new(ports: &[u16], limits: &Limits) -> Self {
        let beside = Beside { floods: Floods::default(), spare: Vec::new(), limits: limits.smtp.clone() };
        Self { flows: FlowTable::new(ports, &limits.tcp), beside }
    }

    /// Takes a segment that belongs here; its key was looked up here.
    pub fn handle_segment(&mut self, look_up: LookUp, segment: &Segment<'_>, out: &mut impl FnMut(SessionEvent)) {
        let emit = &mut Emit { out, beside: &mut self.beside };
        self.flows.handle_segment(look_up, segment, emit);
    }

    /// Expires what is due.
    pub fn handle_tick(&mut self, now: At, out: &mut impl FnMut(SessionEvent)) {
        let emit = &mut Emit { out, beside: &mut self.beside };
        self.flows.handle_idle(now, emit);
        self.beside.floods.handle_tick(now.ts, &mut |sum| out(flooded(now, sum)));
    }

    /// The end of the capture: all that is open closes.
    pub fn finish(&mut self, at: At, out: &mut impl FnMut(SessionEvent)) {
        let emit = &mut Emit { out, beside: &mut self.beside };
        self.flows.finish(at, emit);
        self.beside.floods.tell_all(&mut |sum| out(flooded(at, sum)));
    }

    /// See [`FlowTable::look_up`].
    pub(super) fn look_up(&self, key: &FlowKey) -> LookUp {
        self.flows.look_up(key)
    }

    /// The connection at a guessed place.
    pub(super) fn near(&self, place: u32) -> Option<Near<'_, Box<Conversation>>> {
        self.flows.near(place)
    }

    /// Where the connections stand that will be told by `now` because they are over.
    pub(super) fn due(&self, now: Ts) -> impl Iterator<Item = u32> {
        self.flows.due(now)
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

fn flooded(at: At, sum: Box<Flood>) -> SessionEvent {
    SessionEvent { at, kind: SessionEventKind::Flooded(sum) }
}

/// Turns what the flow table finds out into session events.
struct Emit<'a, F> {
    out: &'a mut F,
    beside: &'a mut Beside,
}

impl<F: FnMut(SessionEvent)> FlowSink for Emit<'_, F> {
    type App = Box<Conversation>;

    fn open(&mut self, start: &ConnStart) -> Self::App {
        let Beside { spare, limits, .. } = &mut *self.beside;
        let mut app = spare.pop().unwrap_or_else(|| Box::new(Conversation::new(limits)));
        app.begin(Known { start, limits }, self.out);
        app
    }

    fn stream(&mut self, app: &mut Self::App, start: &ConnStart, event: StreamEvent<'_>) {
        app.handle(&event, Known { start, limits: &self.beside.limits }, self.out);
    }

    fn close(&mut self, mut app: Self::App, start: &ConnStart, conn: Connection, at: At) {
        let Beside { spare, limits, .. } = &mut *self.beside;
        let smtp = app.finish(at, conn.cut_short, Known { start, limits }, self.out);
        if spare.len() < SPARE_MAX {
            *app = Conversation::new(limits);
            spare.push(app);
        }
        let session = Session { conn, smtp, outer: None };
        (self.out)(SessionEvent { at, kind: SessionEventKind::Closed(session.into()) });
    }

    fn unanswered(&mut self, attempt: Attempt, at: At) {
        let Self { out, beside } = self;
        if !beside.floods.take(&attempt, &mut |sum| out(flooded(at, sum))) {
            out(SessionEvent { at, kind: SessionEventKind::Unanswered(Box::new(attempt)) });
        }
    }
}
