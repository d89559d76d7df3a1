//! What was read of an input, and how far.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::frame::{Frame, FrameNo};
use crate::time::Ts;

use super::filter::Filter;
use super::{CaptureError, Captured};

/// What was read of one input.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct InputSummary {
    /// As the operator named it.
    pub file: String,
    /// Frames read, those that the filter rejected among them.
    pub frames: u64,
    /// Frames that the filter rejected.
    pub filtered: u64,
    /// Bytes captured, of all frames.
    pub bytes: u64,
    /// The earliest stamp.
    pub first_ts: Option<Ts>,
    /// The latest stamp.
    pub last_ts: Option<Ts>,
    /// The file ended in the middle of a frame, or its compression in the middle of a block.
    pub truncated: bool,
    /// Why reading ended before the end, or never began; a sentence.
    pub error: Option<String>,
    /// Frames that whoever wrote the file says were dropped before they could be captured (only pcapng can say so).
    pub dropped: Option<u64>,
}

impl InputSummary {
    /// Of an input that could not be opened.
    pub fn unopened(file: &str, error: &CaptureError) -> Self {
        let mut tally = Tally::new(file);
        tally.error(error);
        tally.summary
    }
}

/// How far reading has come, in bytes of the files themselves, packed or not.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Progress {
    /// Bytes read.
    pub done: u64,
    /// Bytes there are; `None` for a pipe, or if any input is one.
    pub total: Option<u64>,
}

impl Progress {
    /// Of two inputs read as one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let total = self.total.zip(other.total).map(|(one, two)| one.saturating_add(two));
        Self { done: self.done.saturating_add(other.done), total }
    }
}

/// Keeps the summary of one input while it is read.
pub(super) struct Tally {
    summary: InputSummary,
}

impl Tally {
    pub(super) fn new(file: &str) -> Self {
        Self { summary: InputSummary { file: file.to_owned(), ..InputSummary::default() } }
    }

    pub(super) fn file(&self) -> &str {
        &self.summary.file
    }

    /// What is handed out of a frame that was read: itself, or that the filter rejected it.
    #[inline]
    pub(super) fn hand_out<'a>(&mut self, frame: Frame<'a>, filter: Option<&Filter>) -> Captured<'a> {
        let passed = filter.is_none_or(|filter| filter.passes(frame.link, frame.bytes));
        let no = self.frame(frame.ts, frame.bytes.len(), passed);
        if passed { Captured::Frame(no, frame) } else { Captured::Filtered(no, frame.ts) }
    }

    /// A frame was read; its number in this input.
    #[inline]
    pub(super) fn frame(&mut self, ts: Ts, captured: usize, passed: bool) -> FrameNo {
        let summary = &mut self.summary;
        summary.frames += 1;
        summary.filtered += u64::from(!passed);
        summary.bytes += captured as u64;
        summary.first_ts = Some(summary.first_ts.map_or(ts, |first| first.min(ts)));
        summary.last_ts = Some(summary.last_ts.map_or(ts, |last| last.max(ts)));
        FrameNo(summary.frames)
    }

    /// The file says that so many frames more were dropped.
    pub(super) fn dropped(&mut self, frames: u64) {
        self.summary.dropped = Some(self.summary.dropped.unwrap_or(0).saturating_add(frames));
    }

    /// Reading ended before the end.
    pub(super) fn error(&mut self, error: &CaptureError) {
        self.summary.truncated |= matches!(error, CaptureError::Truncated { .. });
        self.summary.error = Some(error.to_string());
    }

    pub(super) fn summary(&self) -> InputSummary {
        self.summary.clone()
    }
}

/// The bytes read of a file, counted where they are read, which may be another thread.
#[derive(Clone, Default)]
pub(super) struct Meter(Arc<AtomicU64>);

impl Meter {
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
