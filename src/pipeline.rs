//! The engine's stages on several threads.
//!
//! The caller's thread reads and decodes; `workers - 1` threads follow connections, each for its share of the logical
//! shards; one more merges their events and judges. Work travels in batches over bounded channels: a slow stage makes
//! the reader wait, and nothing is lost. Every worker gets every batch, so that the merger knows when it has all events
//! of one, and puts them in the order of the frames that caused them.

use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::capture::{CaptureError, Captured, FrameSource};
use crate::decode::PortSet;
use crate::detect::{Judge, Terms};
use crate::engine::{self, Batch, Cause, Engine, Finished, Front, FrontItem, FrontStats, Share, shard_of, shards};
use crate::frame::{At, Frame, FrameNo};
use crate::incident::Past;
use crate::limits::Limits;
use crate::session::{SessionEvent, Twins};
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

/// An event with its place in the batch.
type Placed = (Cause, SessionEvent);

/// What a worker made of one batch, and its counts after it.
struct Followed {
    placed: Vec<Placed>,
    stats: TcpStats,
}

enum ToWorker {
    Batch(Batch),
    /// The end of the capture, for the shard of this number: one after the other, because a flood may have left half a million
    /// attempts, and their events must not all be there at once.
    Finish(At, usize),
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

impl Ran {
    /// The run at its end, as a watcher saw it on the way; `front` is what became of the frames.
    pub const fn at_end<'a>(&'a self, front: &'a FrontStats) -> SoFar<'a> {
        let Finished { tcp, twins, judge, .. } = &self.finished;
        SoFar { judge, front, tcp, twins, filtered: self.filtered }
    }
}

/// Looks on while a run goes, from the thread that judges. What it does there holds the judgement up, never a capture.
pub trait Watcher: Send {
    /// An event, after the judge has seen it.
    fn handle(&mut self, event: &SessionEvent);

    /// Some events more were judged, or the link was idle: a moment at which everything agrees.
    fn look(&mut self, so_far: &SoFar<'_>);

    /// Other terms to judge by from now on, if there are any; asked after each look.
    fn take_terms(&mut self) -> Option<Terms> {
        None
    }
}

/// A run at one moment.
#[derive(Clone, Copy, Debug)]
pub struct SoFar<'a> {
    /// The judge.
    pub judge: &'a Judge,
    /// What became of the frames; with several threads these may be a little ahead of the judge.
    pub front: &'a FrontStats,
    /// What became of the segments.
    pub tcp: &'a TcpStats,
    /// Connections that were seen twice.
    pub twins: &'a Twins,
    /// Frames that a filter rejected.
    pub filtered: u64,
}

/// A watcher that only takes events.
struct Sink<'a>(&'a mut (dyn FnMut(&SessionEvent) + Send));

impl Watcher for Sink<'_> {
    fn handle(&mut self, event: &SessionEvent) {
        (self.0)(event);
    }

    fn look(&mut self, _: &SoFar<'_>) {}
}

/// Frames between two looks where one thread does everything; a link that runs dry is looked at as well.
const LOOK_EVERY: u32 = 4096;

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
        let more = event.connections_ended();
        if more > 0 {
            ended.fetch_add(more, Ordering::Relaxed);
        }
        sink(event);
    };
    run_watched(source, plan, judge, &mut Sink(&mut counted), &mut |source| {
        progress(source, ended.load(Ordering::Relaxed));
    })
}

/// Runs a source through the engine before the eyes of a watcher; `progress` is called now and then with the source.
pub fn run_watched(
    source: &mut dyn FrameSource,
    plan: &Plan<'_>,
    judge: Judge,
    watcher: &mut dyn Watcher,
    progress: &mut dyn FnMut(&dyn FrameSource),
) -> Ran {
    let mut reader = Reader { source, filtered: 0, errors: Vec::new(), progress };
    let finished = if plan.workers <= 1 {
        let mut engine = Engine::new(plan.ports, plan.limits, judge);
        let mut until_look = LOOK_EVERY;
        reader.read(|taken, filtered| {
            match taken {
                Taken::Frame(no, frame) => {
                    engine.handle_frame(no, frame, &mut |event| watcher.handle(event));
                    until_look -= 1;
                }
                Taken::Filtered(ts) => engine.handle_filtered(ts, &mut |event| watcher.handle(event)),
                Taken::Idle(now) => {
                    engine.handle_idle(now, &mut |event| watcher.handle(event));
                    until_look = 0;
                }
            }
            if until_look == 0 {
                until_look = LOOK_EVERY;
                let (front, tcp) = (engine.front_stats(), engine.tcp_stats());
                watcher.look(&SoFar {
                    judge: engine.judge(),
                    front: &front,
                    tcp: &tcp,
                    twins: engine.twins(),
                    filtered,
                });
                if let Some(terms) = watcher.take_terms() {
                    engine.adopt(terms);
                }
            }
        });
        engine.finish(&mut |event| watcher.handle(event))
    } else {
        run_threads(&mut reader, plan, judge, watcher)
    };
    Ran { finished, filtered: reader.filtered, errors: reader.errors }
}

/// Reads a source to its end.
struct Reader<'a> {
    source: &'a mut dyn FrameSource,
    filtered: u64,
    errors: Vec<CaptureError>,
    progress: &'a mut dyn FnMut(&dyn FrameSource),
}

/// What a source gave that the engine wants.
enum Taken<'a> {
    /// By reference: it was just written piece by piece, and to read it whole at once would wait for that.
    Frame(FrameNo, &'a Frame<'a>),
    /// A frame that the filter rejected: its stamp tells the time all the same.
    Filtered(Ts),
    Idle(Ts),
}

impl Reader<'_> {
    fn read(&mut self, mut take: impl FnMut(Taken<'_>, u64)) {
        let mut until_progress = PROGRESS_EVERY;
        loop {
            // Looked at where it is, for the same reason.
            let next = self.source.next_frame();
            match next {
                Some(Ok(Captured::Frame(no, ref frame))) => take(Taken::Frame(no, frame), self.filtered),
                Some(Ok(Captured::Filtered(_, ts))) => {
                    self.filtered += 1;
                    take(Taken::Filtered(ts), self.filtered);
                }
                Some(Ok(Captured::Idle(now))) => {
                    take(Taken::Idle(now), self.filtered);
                    // Somebody waits for what there is.
                    until_progress = 1;
                }
                Some(Err(error)) => self.errors.push(error),
                None => break,
            }
            until_progress -= 1;
            if until_progress == 0 {
                until_progress = PROGRESS_EVERY;
                (self.progress)(&*self.source);
            }
        }
        (self.progress)(&*self.source);
    }
}

fn run_threads(reader: &mut Reader<'_>, plan: &Plan<'_>, judge: Judge, watcher: &mut dyn Watcher) -> Finished {
    let workers = plan.workers - 1;
    let mut front = Front::new(plan.ports.clone(), plan.limits);
    let total = plan.limits.tcp.shards;
    let shares = Share::deal(shards(plan.ports, plan.limits), workers);
    let told = Mutex::new((FrontStats::default(), 0));
    let tell = |front: &Front, filtered: u64| {
        // Poisoned or not, it holds counts and nothing that could be half done.
        *told.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = (front.stats(), filtered);
    };
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
        let told = &told;
        let merger = scope.spawn(move || merge(&from_workers, judge, watcher, told));

        let mut dealer = Dealer::new(to_workers, total, spent);
        reader.read(|taken, filtered| match taken {
            Taken::Frame(no, frame) => {
                front.handle_frame(no, frame, &mut |item| dealer.deal(item));
                if dealer.is_full() {
                    tell(&front, filtered);
                    dealer.send();
                }
            }
            Taken::Filtered(ts) => front.handle_filtered(ts, &mut |item| dealer.deal(item)),
            Taken::Idle(now) => {
                front.handle_idle(now, &mut |item| dealer.deal(item));
                tell(&front, filtered);
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
        let (twins, judge, past) = merger.join().unwrap_or_else(|panic| resume_unwind(panic));
        Finished { front, tcp, twins, judge, past }
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
                self.bytes += segment.options.len() + segment.payload.len();
                self.batches[worker].push_segment(order, segment, shard);
            }
            FrontItem::Tick(now) => {
                for batch in &mut self.batches {
                    batch.push_tick(order, now);
                }
            }
            // Of no shard: one of the workers carries it along.
            FrontItem::Asked(_) | FrontItem::Told(_) | FrontItem::Translated(..) => {
                if let FrontItem::Told(told) = item {
                    self.bytes += size_of_val(told.facts);
                }
                if let Some(batch) = self.batches.first_mut() {
                    batch.push(order, item, self.shards);
                }
            }
        }
    }

    const fn is_full(&self) -> bool {
        self.items >= BATCH_ITEMS || self.bytes >= BATCH_BYTES
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
        for shard in 0..self.shards {
            for to_worker in &self.to_workers {
                let _ = to_worker.send(ToWorker::Finish(at, shard));
            }
        }
    }
}

/// A worker: follows the connections of its shards.
fn follow(
    mut share: Share,
    batches: &Receiver<ToWorker>,
    placed_to: &Sender<Followed>,
    spent_to: &Sender<Batch>,
) -> TcpStats {
    for message in batches {
        let mut placed = Vec::new();
        let mut place = |cause, event| placed.push((cause, event));
        match message {
            ToWorker::Batch(mut batch) => {
                share.follow(&mut batch, &mut place);
                batch.clear();
                let _ = spent_to.send(batch);
            }
            ToWorker::Finish(at, shard) => share.finish_shard(shard, at, &mut place),
        }
        if placed_to.send(Followed { placed, stats: counts(&share) }).is_err() {
            break;
        }
    }
    counts(&share)
}

fn counts(share: &Share) -> TcpStats {
    let mut stats = TcpStats::default();
    for shard in share.shards() {
        stats.merge(shard.stats());
    }
    stats
}

/// The merger: puts the events of each batch into the order of their causes, then judges.
fn merge(
    from_workers: &[Receiver<Followed>],
    mut judge: Judge,
    watcher: &mut dyn Watcher,
    told: &Mutex<(FrontStats, u64)>,
) -> (Twins, Judge, Past) {
    let (mut twins, mut past) = (Twins::default(), Past::default());
    let mut all: Vec<Placed> = Vec::new();
    let mut events: Vec<SessionEvent> = Vec::new();
    loop {
        let mut tcp = TcpStats::default();
        for from_worker in from_workers {
            match from_worker.recv() {
                Ok(Followed { placed, stats }) => {
                    all.extend(placed);
                    tcp.merge(&stats);
                }
                Err(_) => return (twins, judge, past),
            }
        }
        // Stable: events of one cause stay as they were.
        all.sort_by_key(|(cause, _)| *cause);
        events.extend(all.drain(..).map(|(_, event)| event));
        engine::show(&mut events, &mut twins, &mut judge, &mut past, &mut |event| watcher.handle(event));
        let (front, filtered) = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        watcher.look(&SoFar { judge: &judge, front: &front, tcp: &tcp, twins: &twins, filtered });
        if let Some(terms) = watcher.take_terms() {
            judge.adopt(terms);
        }
    }
}
