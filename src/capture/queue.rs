//! Between the thread that copies frames and the judgement: batches over a bounded channel, which never make the
//! former wait.
//!
//! Two mebibytes a batch and 64 batches: what the judgement may be behind is bounded at 128 MiB, some seconds of a full
//! gigabit. Batches that were read go back, so that memory is taken once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded};

use super::filter::Filter;
use super::lately::Lately;
use super::live::LiveCounts;
use super::record::Record;
use super::tally::Tally;
use super::{CaptureError, Captured, FrameSource, InputSummary, Progress};
use crate::frame::{Frame, LinkType};
use crate::time::{Span, Ts};

/// Bytes at which a batch is full.
const BATCH_BYTES: usize = 2 << 20;
/// Frames at which it is, too: a SYN has 60 bytes, and their descriptions take room as well.
const BATCH_FRAMES: usize = 16_384;
/// Batches that may wait.
const QUEUE: usize = 64;
/// How long the link may be silent before the judgement is told what time it is.
const SILENCE: Duration = Duration::from_millis(500);
/// The kernel gathers frames for a tenth of a second, and clocks are read one after the other: what is said of the time
/// stays this far behind, so that no frame comes from before it.
const BEHIND: Span = Span::secs(1);

#[derive(Default, Debug)]
struct RawBatch {
    frames: Vec<RawFrame>,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct RawFrame {
    ts: Ts,
    link: LinkType,
    wire_len: u32,
    start: usize,
    end: usize,
}

/// The two ends.
pub(super) fn live_queue(device: &str, filter: Option<Filter>, counts: &Arc<LiveCounts>) -> (Feed, LiveSource) {
    let (full_to, full) = bounded(QUEUE);
    let (spent_to, spent) = bounded(QUEUE + 2);
    let feed = Feed { batch: RawBatch::default(), full_to, spent, counts: Arc::clone(counts) };
    let source = LiveSource {
        batch: RawBatch::default(),
        next: 0,
        full,
        spent_to,
        filter,
        tally: Tally::new(device),
        counts: Arc::clone(counts),
        told: true,
        record: None,
        lately: None,
        ended: false,
    };
    (feed, source)
}

/// Where the thread puts its frames.
pub(super) struct Feed {
    batch: RawBatch,
    full_to: Sender<RawBatch>,
    spent: Receiver<RawBatch>,
    counts: Arc<LiveCounts>,
}

impl Feed {
    /// Takes a frame; a full batch is sent.
    pub(super) fn push(&mut self, ts: Ts, link: LinkType, wire_len: u32, bytes: &[u8]) {
        if self.batch.frames.len() >= BATCH_FRAMES || self.batch.bytes.len() + bytes.len() > BATCH_BYTES {
            self.send();
            if !self.batch.frames.is_empty() {
                // No room, and none in the batch either: it goes.
                self.lose();
            }
        }
        let start = self.batch.bytes.len();
        self.batch.bytes.extend_from_slice(bytes);
        self.batch.frames.push(RawFrame { ts, link, wire_len, start, end: self.batch.bytes.len() });
        self.counts.frames.fetch_add(1, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    /// Hands on what is there, if there is room for it; else it waits here.
    pub(super) fn send(&mut self) {
        if self.batch.frames.is_empty() {
            return;
        }
        let count = self.batch.frames.len() as u64;
        let empty = self.spent.try_recv().unwrap_or_default();
        match self.full_to.try_send(std::mem::replace(&mut self.batch, empty)) {
            Ok(()) => {
                self.counts.waiting.fetch_add(count, Ordering::Relaxed);
            }
            Err(TrySendError::Full(batch)) => self.batch = batch,
            // The judgement is gone; whoever runs it tells why.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    /// Hands on what is left, and now there is time to wait for room.
    pub(super) fn send_last(mut self) {
        let count = self.batch.frames.len() as u64;
        if count > 0 && self.full_to.send(std::mem::take(&mut self.batch)).is_ok() {
            self.counts.waiting.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn lose(&mut self) {
        self.counts.queue.fetch_add(self.batch.frames.len() as u64, Ordering::Relaxed);
        self.batch.frames.clear();
        self.batch.bytes.clear();
    }
}

/// A device as a source of frames. Ends when the thread that copies does, after its last frame.
pub struct LiveSource {
    batch: RawBatch,
    next: usize,
    full: Receiver<RawBatch>,
    spent_to: Sender<RawBatch>,
    filter: Option<Filter>,
    tally: Tally,
    counts: Arc<LiveCounts>,
    /// It was said that nothing more is there, so that what waits for company goes on alone.
    told: bool,
    /// What is handed out is kept, too.
    record: Option<(Record, String)>,
    /// The last of it is kept in memory.
    lately: Option<Arc<Lately>>,
    ended: bool,
}

/// What there is to hand out next.
enum Next {
    Frame(usize),
    Idle(Ts),
    End,
}

impl LiveSource {
    /// Keeps every frame that is handed out in a file from here on.
    pub fn record(&mut self, path: &Path) -> Result<(), CaptureError> {
        let file = path.display().to_string();
        let record = Record::create(path).map_err(|source| CaptureError::Write { file: file.clone(), source })?;
        self.record = Some((record, file));
        Ok(())
    }

    /// Keeps the last frames that are handed out in memory, too.
    pub fn remember(&mut self, lately: Arc<Lately>) {
        self.lately = Some(lately);
    }

    /// What went wrong with the file of [`record`](Self::record).
    fn record_trouble(&mut self) -> Option<CaptureError> {
        let (record, file) = self.record.as_mut()?;
        record.flush();
        let source = record.take_trouble()?;
        Some(CaptureError::Write { file: file.clone(), source })
    }

    fn next(&mut self) -> Next {
        if self.next < self.batch.frames.len() {
            self.next += 1;
            return Next::Frame(self.next - 1);
        }
        let got = match self.full.try_recv() {
            Ok(batch) => Ok(batch),
            Err(TryRecvError::Disconnected) => return Next::End,
            Err(TryRecvError::Empty) if !self.told => {
                self.told = true;
                return Next::Idle(self.tally.summary().last_ts.unwrap_or_default());
            }
            Err(TryRecvError::Empty) => self.full.recv_timeout(SILENCE),
        };
        match got {
            Ok(batch) => {
                self.counts.waiting.fetch_sub(batch.frames.len() as u64, Ordering::Relaxed);
                let mut spent = std::mem::replace(&mut self.batch, batch);
                spent.frames.clear();
                spent.bytes.clear();
                let _ = self.spent_to.try_send(spent);
                (self.next, self.told) = (1, false);
                Next::Frame(0) // no batch is sent empty
            }
            Err(RecvTimeoutError::Timeout) => Next::Idle(now() - BEHIND),
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }
}

impl FrameSource for LiveSource {
    fn next_frame(&mut self) -> Option<Result<Captured<'_>, CaptureError>> {
        if self.ended {
            return None;
        }
        match self.next() {
            Next::Frame(place) => {
                let RawFrame { ts, link, wire_len, start, end } = *self.batch.frames.get(place)?;
                if let Some(filter) = &mut self.filter
                    && let Err(error) = filter.prepare(link, self.tally.file())
                {
                    // Another device came back under the name, of a kind that the filter does not fit.
                    self.ended = true;
                    self.tally.error(&error);
                    return Some(Err(error));
                }
                let bytes = self.batch.bytes.get(start..end).unwrap_or_default();
                let passed = self.filter.as_ref().is_none_or(|filter| filter.passes(link, bytes));
                let no = self.tally.frame(ts, bytes.len(), passed);
                let frame = Frame { ts, link, wire_len, bytes };
                if let (Some((record, _)), true) = (&mut self.record, passed) {
                    record.add(&frame);
                }
                if let (Some(lately), true) = (&self.lately, passed) {
                    lately.keep(no, &frame);
                }
                Some(Ok(if passed { Captured::Frame(no, frame) } else { Captured::Filtered(no, ts) }))
            }
            Next::Idle(now) => match self.record_trouble() {
                Some(error) => Some(Err(error)),
                None => Some(Ok(Captured::Idle(now))),
            },
            Next::End => {
                self.ended = true;
                self.record_trouble().map(Err)
            }
        }
    }

    fn progress(&self) -> Progress {
        Progress { done: self.counts.stats().bytes, total: None }
    }

    fn summaries(&self) -> Vec<InputSummary> {
        let stats = self.counts.stats();
        let dropped = stats.kernel_drops + stats.interface_drops + stats.queue_drops;
        vec![InputSummary { dropped: Some(dropped), ..self.tally.summary() }]
    }
}

impl std::fmt::Debug for LiveSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveSource").field("device", &self.tally.file()).finish_non_exhaustive()
    }
}

/// What the system's clock says, which is also what stamps the frames of a device.
#[expect(clippy::disallowed_methods, reason = "a silent link still has to expire what waits; this is the edge")]
fn now() -> Ts {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ts::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameNo;

    fn push(feed: &mut Feed, n: usize) {
        feed.push(Ts::from_nanos(n.cast_signed() as i64 * 1000), LinkType::ETHERNET, 60, &[n as u8; 60]);
    }

    fn queue() -> (Feed, LiveSource, Arc<LiveCounts>) {
        let counts = Arc::<LiveCounts>::default();
        let (feed, source) = live_queue("eth0", None, &counts);
        (feed, source, counts)
    }

    /// All frames of a source whose feed has ended, by their first byte.
    fn drained(mut source: LiveSource) -> Vec<(FrameNo, u8)> {
        let mut frames = Vec::new();
        while let Some(next) = source.next_frame() {
            if let Captured::Frame(no, frame) = next.unwrap() {
                frames.push((no, frame.bytes[0]));
            }
        }
        frames
    }

    #[test]
    fn frames_come_out_in_order_and_the_link_is_idle_between() {
        let (mut feed, mut source, counts) = queue();
        (0..3).for_each(|n| push(&mut feed, n));
        feed.send();
        assert_eq!(counts.stats().waiting, 3);
        for n in 0..3_u8 {
            let Some(Ok(Captured::Frame(no, frame))) = source.next_frame() else { panic!("a frame") };
            assert_eq!(
                (no, frame.bytes[0], frame.ts),
                (FrameNo(u64::from(n) + 1), n, Ts::from_nanos(i64::from(n) * 1000))
            );
        }
        // What waits for more is told at once that there is none.
        assert!(matches!(source.next_frame(), Some(Ok(Captured::Idle(ts))) if ts == Ts::from_nanos(2000)));
        push(&mut feed, 7);
        feed.send_last();
        assert_eq!(drained(source), [(FrameNo(4), 7)]);
        assert_eq!(counts.stats().waiting, 0);
    }

    #[test]
    fn a_silent_link_is_told_the_time() {
        let (_feed, mut source, _) = queue();
        let before = now();
        let Some(Ok(Captured::Idle(ts))) = source.next_frame() else { panic!("silence") };
        assert!(ts >= before - BEHIND && ts < now(), "{ts}");
    }

    #[test]
    fn a_full_queue_loses_and_counts_and_never_waits() {
        let (mut feed, source, counts) = queue();
        let total = (QUEUE + 5) * BATCH_FRAMES + 10;
        (0..total).for_each(|n| push(&mut feed, n)); // would hang here if it waited
        let stats = counts.stats();
        assert_eq!(stats.frames, total as u64);
        assert_eq!(stats.waiting, (QUEUE * BATCH_FRAMES) as u64);
        assert!(stats.queue_drops >= (4 * BATCH_FRAMES) as u64);
        let reader = std::thread::spawn(|| drained(source).len());
        feed.send_last();
        let read = reader.join().unwrap() as u64;
        assert_eq!(read + counts.stats().queue_drops, total as u64, "each frame is read or counted as lost");
    }

    #[test]
    fn a_judgement_that_is_gone_does_not_stop_the_thread() {
        let (mut feed, source, _) = queue();
        drop(source);
        (0..100_000).for_each(|n| push(&mut feed, n));
        feed.send_last();
    }
}
