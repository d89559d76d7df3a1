//! The stages on one thread, without files, devices or clocks: frames in, judgement out.
//!
//! `Front` (clock, decoder) -> `Shard`s (flows, dialogues) -> `Judge`. `pipeline` runs the same three on several threads
//! and comes to the same result, because shards never depend on the number of workers and their events are put back
//! into the order of the frames that caused them.

mod clock;
mod front;
mod shard;

pub use clock::{EventClock, Stamp};
pub use front::{Front, FrontItem};
pub use shard::Shard;

use crate::decode::{Asked, PortSet};
use crate::detect::Judge;
use crate::frame::{Frame, FrameNo};
use crate::limits::Limits;
use crate::net::FlowKey;
use crate::session::{DnsQuery, SessionEvent, SessionEventKind, Twins};
use crate::tcp::TcpStats;
use crate::time::Ts;

/// Which shard a connection belongs to: by a fixed hash without direction, the same in every run.
pub fn shard_of(key: &FlowKey, shards: usize) -> usize {
    (key.stable_hash() % shards as u64) as usize
}

/// Events that are judged together: following connections and judging them are two large pieces of code, and going to
/// and fro between them for every frame would keep neither in the processor's cache. No event waits longer than until
/// the next tick.
const EVENTS_AT_ONCE: usize = 64;

/// All stages on one thread.
#[derive(Debug)]
pub struct Engine {
    front: Front,
    shards: Vec<Shard>,
    twins: Twins,
    judge: Judge,
    events: Vec<SessionEvent>,
}

impl Engine {
    /// An engine for connections to `ports`, that shows its events to `judge`.
    pub fn new(ports: &PortSet, limits: &Limits, judge: Judge) -> Self {
        Self {
            front: Front::new(ports.clone(), limits),
            shards: shards(ports, limits),
            twins: Twins::default(),
            judge,
            events: Vec::new(),
        }
    }

    /// Takes the next frame; every event it causes is shown to `sink` after the judge, at the next tick at the latest.
    pub fn handle_frame(&mut self, no: FrameNo, frame: &Frame<'_>, sink: &mut impl FnMut(&SessionEvent)) {
        let (shards, events) = (&mut self.shards, &mut self.events);
        let mut ticked = false;
        self.front.handle_frame(no, frame, &mut |item| {
            ticked |= matches!(item, FrontItem::Tick(_));
            pass(shards, item, events);
        });
        if ticked || self.events.len() >= EVENTS_AT_ONCE {
            self.drain(sink);
        }
    }

    /// The link is idle at `now` (live capture only).
    pub fn handle_idle(&mut self, now: Ts, sink: &mut impl FnMut(&SessionEvent)) {
        let (shards, events) = (&mut self.shards, &mut self.events);
        self.front.handle_idle(now, &mut |item| pass(shards, item, events));
        self.drain(sink);
    }

    /// The end of the capture: everything open closes.
    pub fn finish(mut self, sink: &mut impl FnMut(&SessionEvent)) -> Finished {
        let (shards, events) = (&mut self.shards, &mut self.events);
        let at = self.front.finish(&mut |item| pass(shards, item, events));
        for shard in &mut self.shards {
            shard.finish(at, &mut self.events);
        }
        self.drain(sink);
        let mut tcp = TcpStats::default();
        for shard in &self.shards {
            tcp.merge(shard.stats());
        }
        Finished { front: self.front, tcp, twins: self.twins, judge: self.judge }
    }

    /// The judge as it stands.
    pub const fn judge(&self) -> &Judge {
        &self.judge
    }

    fn drain(&mut self, sink: &mut impl FnMut(&SessionEvent)) {
        for event in self.events.drain(..) {
            tell(event, &mut self.twins, &mut self.judge, sink);
        }
    }
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// What became of the frames.
    pub front: Front,
    /// What became of the segments.
    pub tcp: TcpStats,
    /// Connections that were seen twice.
    pub twins: Twins,
    /// What the judgement came to.
    pub judge: Judge,
}

/// Shows an event to the judge and then to `sink`, unless it is the shadow of another one.
pub fn tell(
    mut event: SessionEvent,
    twins: &mut Twins,
    judge: &mut Judge,
    sink: &mut (impl FnMut(&SessionEvent) + ?Sized),
) {
    if twins.handle(&mut event) {
        judge.handle(&event);
        sink(&event);
    }
}

/// All shards of a run.
pub fn shards(ports: &PortSet, limits: &Limits) -> Vec<Shard> {
    let ports: Vec<u16> = ports.iter().collect();
    (0..limits.tcp.shards).map(|_| Shard::new(&ports, limits)).collect()
}

/// A question to a DNS server as an event: it belongs to no connection, and so to no shard.
pub fn question(asked: &Asked<'_>) -> SessionEvent {
    let query = DnsQuery {
        at: asked.at,
        client: asked.client,
        server: asked.server,
        qname: asked.question.name.as_slice().into(),
        qtype: asked.question.qtype,
    };
    SessionEvent { at: asked.at, kind: SessionEventKind::DnsQuery(Box::new(query)) }
}

fn pass(shards: &mut [Shard], item: FrontItem<'_>, events: &mut Vec<SessionEvent>) {
    match item {
        FrontItem::Segment(segment) => {
            let shard = shard_of(&segment.head.key, shards.len());
            if let Some(shard) = shards.get_mut(shard) {
                shard.handle_segment(segment, events);
            }
        }
        FrontItem::Asked(asked) => events.push(question(asked)),
        FrontItem::Translated(at, translation) => {
            events.push(SessionEvent { at, kind: SessionEventKind::Translated(translation) });
        }
        FrontItem::Tick(now) => {
            for shard in shards {
                shard.handle_tick(now, events);
            }
        }
    }
}
