//! Several captures as one run: frames in the order of their stamps.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::frame::{Frame, FrameNo, LinkType};
use crate::time::Ts;

use super::{CaptureError, Captured, FrameSource, InputSummary, Progress};

/// Sources read as one, by the stamp of the frame at the head of each; equal stamps in the order of the sources.
///
/// Frames of one source keep their order, even where its stamps go backwards. Frames are numbered over the run. With one
/// source nothing is copied; with more, the head of each is, and all are open at once.
pub struct MergedSource<S> {
    heads: Vec<Head<S>>,
    /// The heads that hold something, earliest first.
    queue: BinaryHeap<Reverse<(Ts, usize)>>,
    /// The heads that must be read before the next one can be chosen, the last one first.
    empty: Vec<usize>,
    frames: u64,
}

struct Head<S> {
    source: S,
    /// What the frame at its head is, apart from its bytes; `None` if the filter rejected it.
    frame: Option<(LinkType, u32)>,
    bytes: Vec<u8>,
}

impl<S: FrameSource> MergedSource<S> {
    /// Sources in the order in which equal stamps are taken.
    pub fn new(sources: impl IntoIterator<Item = S>) -> Self {
        let heads: Vec<_> = sources.into_iter().map(|source| Head { source, frame: None, bytes: Vec::new() }).collect();
        let empty = (0..heads.len()).rev().collect();
        Self { heads, queue: BinaryHeap::new(), empty, frames: 0 }
    }

    /// Reads the head of one source. A source at its end leaves the run.
    fn read_head(&mut self, index: usize) -> Result<(), CaptureError> {
        let Some(head) = self.heads.get_mut(index) else {
            return Ok(());
        };
        loop {
            match head.source.next_frame() {
                Some(Ok(Captured::Frame(_, frame))) => {
                    head.bytes.clear();
                    head.bytes.extend_from_slice(frame.bytes);
                    head.frame = Some((frame.link, frame.wire_len));
                    self.queue.push(Reverse((frame.ts, index)));
                    return Ok(());
                }
                Some(Ok(Captured::Filtered(_, ts))) => {
                    head.frame = None;
                    self.queue.push(Reverse((ts, index)));
                    return Ok(());
                }
                Some(Ok(Captured::Idle(_))) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }
}

impl<S: FrameSource> FrameSource for MergedSource<S> {
    fn next_frame(&mut self) -> Option<Result<Captured<'_>, CaptureError>> {
        if self.heads.len() == 1 {
            return self.heads.first_mut()?.source.next_frame();
        }
        while let Some(&index) = self.empty.last() {
            // After an error the source is asked again: it may have more, and says so if not.
            if let Err(error) = self.read_head(index) {
                return Some(Err(error));
            }
            self.empty.pop();
        }
        let Reverse((ts, index)) = self.queue.pop()?;
        self.empty.push(index);
        self.frames += 1;
        let no = FrameNo(self.frames);
        let head = self.heads.get(index)?;
        Some(Ok(match head.frame {
            Some((link, wire_len)) => Captured::Frame(no, Frame { ts, link, wire_len, bytes: &head.bytes }),
            None => Captured::Filtered(no, ts),
        }))
    }

    fn progress(&self) -> Progress {
        let start = Progress { done: 0, total: Some(0) };
        self.heads.iter().fold(start, |sum, head| sum.and(head.source.progress()))
    }

    fn summaries(&self) -> Vec<InputSummary> {
        self.heads.iter().flat_map(|head| head.source.summaries()).collect()
    }
}
