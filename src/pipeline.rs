//! The engine's stages on several threads.
//!
//! The caller's thread reads and decodes; `workers - 1` threads follow connections, each for its share of the logical
//! shards; one more merges their events and judges. Work travels in batches over bounded channels: a slow stage makes
//! the reader wait, and nothing is lost. Every worker gets every batch, so that the merger knows when it has all events
//! of one, and puts them in the order of the frames that caused them.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::capture::{CaptureError, Captured, FrameSource};
use crate::decode::{PortSet, Segment, SegmentHeader};
use crate::detect::Judge;
use crate::engine::{self, Engine, Finished, Front, FrontItem, Shard, shard_of, shards};
use crate::frame::{At, Frame, FrameNo};
use crate::limits::Limits;
use crate::session::{SessionEvent, SessionEventKind, Twins};
use crate::tcp::TcpStats;
use crate::time::Ts;

/// Frames read between two calls of the progress function.
const PROGRESS_EVERY: u64 = 4096;
/// A batch is full at so many items, which keeps the channels' cost out of sight.
const BATCH_ITEMS: u32 = 4096;
/// Or at so many bytes, which bounds the memory of all batches under way.
const BATCH_BYTES: usize = 1 << 20;
/// Batches that may wait for a worker: enough to smooth bursts, and at 1 MiB each nothing to worry about.
const QUEUE: usize = 4;

/// What the front made of some frames, for one worker.
#[derive(Debug, Default)]
struct Batch {
    items: Vec<Item>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Item {
    /// Place in the batch, over all workers.
    order: u32,
    kind: ItemKind,
}

#[derive(Debug)]
enum ItemKind {
    /// A segment; its options and payload follow each other in the batch's bytes.
    Segment {
        head: SegmentHeader,
        shard: u16,
        options: u8,
        payload: u32,
    },
    /// What belongs to no shard: one worker carries it along, so that the merger finds its place.
    Event(Box<SessionEvent>),
    Tick(At),
}

/// An event with its place in the batch.
#[derive(Debug)]
struct Placed {
    order: u32,
    shard: u16,
    event: SessionEvent,
}

enum ToWorker {
    Batch(Batch),
    Finish(At),
}

/// What a run takes to run.
#[derive(Debug)]
pub struct Plan<'a> {
    /// SMTP ports.
    pub ports: &'a PortSet,
    /// Limits.
    pub limits: &'a Limits,
    /// Threads: one keeps everything on the caller's.
    pub workers: usize,
}

/// A run that is over, and what went wrong on the way: an error ends one input, never the run.
#[derive(Debug)]
pub struct Ran {
    /// The engine's stages at their end.
    pub finished: Finished,
    /// Frames that a filter rejected.
    pub filtered: u64,
    /// Errors of inputs, in order.
    pub errors: Vec<CaptureError>,
}

/// Runs a source through the engine and shows every event to `sink` after the judge has seen it; `progress` is called
/// now and then with the source and the connections ended so far.
pub fn run(
    source: &mut dyn FrameSource,
    plan: &Plan<'_>,
    judge: Judge,
    sink: &mut (dyn FnMut(&SessionEvent) + Send),
    progress: &mut dyn FnMut(&dyn FrameSource, u64),
) -> Ran {
    let ended = AtomicU64::new(0);
    let mut counted = |event: &SessionEvent| {
        if event.ends_connection() {
            ended.fetch_add(1, Ordering::Relaxed);
        }
        sink(event);
    };
    let mut reader = Reader { source, filtered: 0, errors: Vec::new(), progress, ended: &ended };
    let finished = if plan.workers <= 1 {
        let mut engine = Engine::new(plan.ports, plan.limits, judge);
        reader.read(|taken| match taken {
            Taken::Frame(no, frame) => engine.handle_frame(no, &frame, &mut counted),
            Taken::Idle(now) => engine.handle_idle(now, &mut counted),
        });
        engine.finish(&mut counted)
    } else {
        run_threads(&mut reader, plan, judge, &mut counted)
    };
    Ran { finished, filtered: reader.filtered, errors: reader.errors }
}

/// Reads a source to its end.
struct Reader<'a> {
    source: &'a mut dyn FrameSource,
    filtered: u64,
    errors: Vec<CaptureError>,
    progress: &'a mut dyn FnMut(&dyn FrameSource, u64),
    ended: &'a AtomicU64,
}

/// What a source gave that the engine wants.
enum Taken<'a> {
    Frame(FrameNo, Frame<'a>),
    Idle(Ts),
}

impl Reader<'_> {
    fn read(&mut self, mut take: impl FnMut(Taken<'_>)) {
        let mut until_progress = PROGRESS_EVERY;
        while let Some(next) = self.source.next_frame() {
            match next {
                Ok(Captured::Frame(no, frame)) => take(Taken::Frame(no, frame)),
                Ok(Captured::Filtered(..)) => self.filtered += 1,
                Ok(Captured::Idle(now)) => take(Taken::Idle(now)),
                Err(error) => self.errors.push(error),
            }
            until_progress -= 1;
            if until_progress == 0 {
                until_progress = PROGRESS_EVERY;
                (self.progress)(&*self.source, self.ended.load(Ordering::Relaxed));
            }
        }
        (self.progress)(&*self.source, self.ended.load(Ordering::Relaxed));
    }
}

fn run_threads(
    reader: &mut Reader<'_>,
    plan: &Plan<'_>,
    judge: Judge,
    sink: &mut (dyn FnMut(&SessionEvent) + Send),
) -> Finished {
    let workers = plan.workers - 1;
    let mut front = Front::new(plan.ports.clone(), plan.limits);
    let total = plan.limits.tcp.shards;
    let mut shares: Vec<Vec<(u16, Shard)>> = (0..workers).map(|_| Vec::new()).collect();
    for (no, shard) in shards(plan.ports, plan.limits).into_iter().enumerate() {
        shares[no % workers].push((no as u16, shard));
    }
    std::thread::scope(|scope| {
        let (spent_to, spent) = unbounded();
        let mut to_workers = Vec::with_capacity(workers);
        let mut from_workers = Vec::with_capacity(workers);
        let mut threads = Vec::with_capacity(workers);
        for share in shares {
            let (batches_to, batches) = bounded(QUEUE);
            let (placed_to, placed) = bounded(QUEUE);
            let spent_to = spent_to.clone();
            threads.push(scope.spawn(move || follow(share, &batches, &placed_to, &spent_to)));
            to_workers.push(batches_to);
            from_workers.push(placed);
        }
        let merger = scope.spawn(move || merge(&from_workers, judge, sink));

        let mut dealer = Dealer::new(to_workers, total, spent);
        reader.read(|taken| match taken {
            Taken::Frame(no, frame) => {
                front.handle_frame(no, &frame, &mut |item| dealer.deal(item));
                dealer.send_if_full();
            }
            Taken::Idle(now) => {
                front.handle_idle(now, &mut |item| dealer.deal(item));
                dealer.send();
            }
        });
        let at = front.finish(&mut |item| dealer.deal(item));
        dealer.finish(at);

        // A panic in a thread is a defect of ours: it goes on to the caller's thread as it is.
        let mut tcp = TcpStats::default();
        for thread in threads {
            tcp.merge(&thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        let (twins, judge) = merger.join().unwrap_or_else(|panic| resume_unwind(panic));
        Finished { front, tcp, twins, judge }
    })
}

/// Deals the front's items out to the workers.
struct Dealer {
    to_workers: Vec<Sender<ToWorker>>,
    batches: Vec<Batch>,
    spent: Receiver<Batch>,
    shards: usize,
    items: u32,
    bytes: usize,
}

impl Dealer {
    fn new(to_workers: Vec<Sender<ToWorker>>, shards: usize, spent: Receiver<Batch>) -> Self {
        let batches = to_workers.iter().map(|_| Batch::default()).collect();
        Self { to_workers, batches, spent, shards, items: 0, bytes: 0 }
    }

    fn deal(&mut self, item: FrontItem<'_>) {
        let order = self.items;
        self.items += 1;
        match item {
            FrontItem::Segment(segment) => {
                let shard = shard_of(&segment.head.key, self.shards);
                let worker = shard % self.batches.len();
                let batch = &mut self.batches[worker];
                batch.bytes.extend_from_slice(segment.options);
                batch.bytes.extend_from_slice(segment.payload);
                self.bytes += segment.options.len() + segment.payload.len();
                batch.items.push(Item {
                    order,
                    kind: ItemKind::Segment {
                        head: segment.head,
                        shard: shard as u16,
                        options: segment.options.len() as u8,
                        payload: segment.payload.len() as u32,
                    },
                });
            }
            FrontItem::Asked(asked) => self.deal_event(order, engine::question(asked)),
            FrontItem::Translated(at, translation) => {
                self.deal_event(order, SessionEvent { at, kind: SessionEventKind::Translated(translation) });
            }
            FrontItem::Tick(now) => {
                for batch in &mut self.batches {
                    batch.items.push(Item { order, kind: ItemKind::Tick(now) });
                }
            }
        }
    }

    fn deal_event(&mut self, order: u32, event: SessionEvent) {
        if let Some(batch) = self.batches.first_mut() {
            batch.items.push(Item { order, kind: ItemKind::Event(Box::new(event)) });
        }
    }

    fn send_if_full(&mut self) {
        if self.items >= BATCH_ITEMS || self.bytes >= BATCH_BYTES {
            self.send();
        }
    }

    fn send(&mut self) {
        for (batch, to_worker) in self.batches.iter_mut().zip(&self.to_workers) {
            let full = std::mem::replace(batch, self.spent.try_recv().unwrap_or_default());
            // A worker that is gone has panicked; joining it tells.
            let _ = to_worker.send(ToWorker::Batch(full));
        }
        (self.items, self.bytes) = (0, 0);
    }

    fn finish(mut self, at: At) {
        self.send();
        for to_worker in &self.to_workers {
            let _ = to_worker.send(ToWorker::Finish(at));
        }
    }
}

/// A worker: follows the connections of its shards.
fn follow(
    mut share: Vec<(u16, Shard)>,
    batches: &Receiver<ToWorker>,
    placed_to: &Sender<Vec<Placed>>,
    spent_to: &Sender<Batch>,
) -> TcpStats {
    let mut events = Vec::new();
    for message in batches {
        let mut placed = Vec::new();
        let mut place = |order: u32, shard: u16, events: &mut Vec<SessionEvent>| {
            placed.extend(events.drain(..).map(|event| Placed { order, shard, event }));
        };
        match message {
            ToWorker::Batch(mut batch) => {
                let mut rest = batch.bytes.as_slice();
                for Item { order, kind } in batch.items.drain(..) {
                    match kind {
                        ItemKind::Segment { head, shard, options, payload } => {
                            let (options, more) = rest.split_at(usize::from(options));
                            let (payload, more) = more.split_at(payload as usize);
                            rest = more;
                            // A worker's shards are dealt in steps of the number of workers.
                            let at = share.partition_point(|(no, _)| *no < shard);
                            if let Some((_, own)) = share.get_mut(at) {
                                own.handle_segment(&Segment { head, options, payload }, &mut events);
                            }
                            place(order, shard, &mut events);
                        }
                        ItemKind::Event(event) => {
                            events.push(*event);
                            place(order, 0, &mut events);
                        }
                        ItemKind::Tick(now) => {
                            for (no, shard) in &mut share {
                                shard.handle_tick(now, &mut events);
                                place(order, *no, &mut events);
                            }
                        }
                    }
                }
                batch.bytes.clear();
                let _ = spent_to.send(batch);
            }
            ToWorker::Finish(at) => {
                for (no, shard) in &mut share {
                    shard.finish(at, &mut events);
                    place(u32::MAX, *no, &mut events);
                }
            }
        }
        if placed_to.send(placed).is_err() {
            break;
        }
    }
    let mut stats = TcpStats::default();
    for (_, shard) in &share {
        stats.merge(shard.stats());
    }
    stats
}

/// The merger: puts the events of each batch into the order of their causes, then judges.
fn merge(
    from_workers: &[Receiver<Vec<Placed>>],
    mut judge: Judge,
    sink: &mut dyn FnMut(&SessionEvent),
) -> (Twins, Judge) {
    let mut twins = Twins::default();
    let mut all: Vec<Placed> = Vec::new();
    loop {
        for from_worker in from_workers {
            match from_worker.recv() {
                Ok(placed) => all.extend(placed),
                Err(_) => return (twins, judge),
            }
        }
        // Stable: events of one cause stay as they were.
        all.sort_by_key(|placed| (placed.order, placed.shard));
        for placed in all.drain(..) {
            engine::tell(placed.event, &mut twins, &mut judge, sink);
        }
    }
}
