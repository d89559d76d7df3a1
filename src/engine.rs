//! The stages on one thread, without files, devices or clocks: frames in, judgement out.
//!
//! `Front` (clock, decoder) -> `Shard`s (flows, dialogues) -> `Judge`. `pipeline` runs the same three on several threads
//! and comes to the same result, because shards never depend on the number of workers and their events are put back
//! into the order of the frames that caused them.

mod batch;
mod clock;
mod front;
mod shard;
mod share;

pub use batch::Batch;
pub use clock::{EventClock, Stamp};
pub use front::{Front, FrontItem, FrontStats};
pub use shard::Shard;
pub use share::{Cause, Share};

use crate::decode::{Asked, PortSet};
use crate::detect::{Judge, Terms};
use crate::frame::{Frame, FrameNo};
use crate::incident::Past;
use crate::limits::Limits;
use crate::net::FlowKey;
use crate::session::{DnsQuery, SessionEvent, SessionEventKind, Twins};
use crate::tcp::TcpStats;
use crate::time::Ts;

/// Which shard a connection belongs to: by a fixed hash without direction, the same in every run.
pub fn shard_of(key: &FlowKey, shards: usize) -> usize {
    let hash = key.stable_hash() as usize;
    // The default is a power of two, and a division for each frame is dear.
    if shards.is_power_of_two() { hash & (shards - 1) } else { hash % shards }
}

/// Frames that are followed together: as many as are looked up together (`share`), some times over.
const FRAMES_AT_ONCE: usize = 128;
/// Or so many bytes of them: they are to stay in the processor's cache between decoding and following.
const BYTES_AT_ONCE: usize = 128 << 10;
/// Events that are judged together: following connections and judging them are two large pieces of code, and going to
/// and fro between them for every frame would keep neither in the processor's cache. No event waits longer than until
/// the next tick.
pub const EVENTS_AT_ONCE: usize = 64;

/// All stages on one thread.
#[derive(Debug)]
pub struct Engine {
    front: Front,
    shares: Vec<Share>,
    shards: usize,
    twins: Twins,
    judge: Judge,
    past: Past,
    batch: Batch,
    events: Vec<SessionEvent>,
}

impl Engine {
    /// An engine for connections to `ports`, that shows its events to `judge`.
    pub fn new(ports: &PortSet, limits: &Limits, judge: Judge) -> Self {
        Self {
            front: Front::new(ports.clone(), limits),
            shares: Share::deal(shards(ports, limits), 1),
            shards: limits.tcp.shards,
            twins: Twins::default(),
            judge,
            past: Past::default(),
            batch: Batch::default(),
            events: Vec::new(),
        }
    }

    /// Takes the next frame; every event it causes is shown to `sink` after the judge, at the next tick at the latest.
    pub fn handle_frame(&mut self, no: FrameNo, frame: &Frame<'_>, sink: &mut impl FnMut(&SessionEvent)) {
        let Self { front, batch, shards, .. } = self;
        let mut ticked = false;
        front.handle_frame(no, frame, &mut |item| {
            ticked |= matches!(item, FrontItem::Tick(_));
            batch.push(0, item, *shards);
        });
        self.go_on(ticked, sink);
    }

    /// Takes the next frame where a filter rejected it: nothing but its stamp, which a frame before it may have waited for.
    pub fn handle_filtered(&mut self, ts: Ts, sink: &mut impl FnMut(&SessionEvent)) {
        let Self { front, batch, shards, .. } = self;
        let mut ticked = false;
        front.handle_filtered(ts, &mut |item| {
            ticked |= matches!(item, FrontItem::Tick(_));
            batch.push(0, item, *shards);
        });
        self.go_on(ticked, sink);
    }

    /// Follows and judges what has gathered, if that is enough or event time has moved on.
    #[inline]
    fn go_on(&mut self, ticked: bool, sink: &mut impl FnMut(&SessionEvent)) {
        if ticked || self.batch.len() >= FRAMES_AT_ONCE || self.batch.byte_len() >= BYTES_AT_ONCE {
            self.follow();
            if ticked || self.events.len() >= EVENTS_AT_ONCE {
                self.show(sink);
            }
        }
    }

    /// The link is idle at `now` (live capture only).
    pub fn handle_idle(&mut self, now: Ts, sink: &mut impl FnMut(&SessionEvent)) {
        let Self { front, batch, shards, .. } = self;
        front.handle_idle(now, &mut |item| batch.push(0, item, *shards));
        self.follow();
        self.show(sink);
    }

    /// The judge, who has seen all events that were shown so far.
    pub const fn judge(&self) -> &Judge {
        &self.judge
    }

    /// The judge goes by other terms from now on.
    pub fn adopt(&mut self, terms: Terms) {
        self.judge.adopt(terms);
    }

    /// Connections seen twice so far.
    pub const fn twins(&self) -> &Twins {
        &self.twins
    }

    /// What became of the frames so far.
    pub fn front_stats(&self) -> FrontStats {
        self.front.stats()
    }

    /// What became of the segments so far.
    pub fn tcp_stats(&self) -> TcpStats {
        let mut tcp = TcpStats::default();
        for shard in self.shares.iter().flat_map(Share::shards) {
            tcp.merge(shard.stats());
        }
        tcp
    }

    /// The end of the capture: everything open closes.
    pub fn finish(mut self, sink: &mut impl FnMut(&SessionEvent)) -> Finished {
        let Self { front, batch, shards, .. } = &mut self;
        let at = front.finish(&mut |item| batch.push(0, item, *shards));
        self.follow();
        self.show(sink);
        let mut tcp = TcpStats::default();
        for mut share in std::mem::take(&mut self.shares) {
            // A flood may have left half a million attempts: they are judged as they are told.
            share.finish(at, &mut |_, event| {
                self.events.push(event);
                if self.events.len() >= EVENTS_AT_ONCE {
                    self.show(sink);
                }
            });
            share.shards().for_each(|shard| tcp.merge(shard.stats()));
        }
        self.show(sink);
        Finished { front: self.front, tcp, twins: self.twins, judge: self.judge, past: self.past }
    }

    fn follow(&mut self) {
        for share in &mut self.shares {
            share.follow(&mut self.batch, &mut |_, event| self.events.push(event));
        }
        self.batch.clear();
    }

    fn show(&mut self, sink: &mut impl FnMut(&SessionEvent)) {
        show(&mut self.events, &mut self.twins, &mut self.judge, &mut self.past, sink);
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
    /// What it came to on the days before the last.
    pub past: Past,
}

/// Shows events to the judge and then to `sink`, but for the shadows of others, and takes them out.
pub fn show(
    events: &mut Vec<SessionEvent>,
    twins: &mut Twins,
    judge: &mut Judge,
    past: &mut Past,
    sink: &mut dyn FnMut(&SessionEvent),
) {
    events.retain_mut(|event| twins.handle(event));
    // Not all at once: what is asked for ahead must not be pushed out again before it is needed.
    for some in events.chunks(EVENTS_AT_ONCE) {
        judge_all(some, judge, past, sink);
    }
    events.clear();
}

/// Shows events to the judge, and remembers each day of the run when it is over.
pub fn judge_all(mut events: &[SessionEvent], judge: &mut Judge, past: &mut Past, sink: &mut dyn FnMut(&SessionEvent)) {
    while let Some((place, event)) = events.iter().enumerate().find(|(_, event)| past.is_over(event.at.ts)) {
        let (before, after) = events.split_at(place);
        judge.handle_all(before, sink);
        past.note(judge, event.at.ts);
        events = after;
    }
    judge.handle_all(events, sink);
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
