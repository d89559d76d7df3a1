//! The frames that a device gave lately, for whoever wants to see again what the judgement rests on.
//!
//! A device cannot be read twice. So the last frames are kept in memory, the oldest make room for the newest, and what is
//! taken out is a copy: whoever reads it holds nothing up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{CaptureError, Captured, FrameSource, InputSummary, Progress};
use crate::frame::{Frame, FrameNo, LinkType};
use crate::time::Ts;

/// Bytes of frames, their descriptions included (the room for them doubles as it grows, so it may be twice that): two files of evidence at their bound (16 MiB), or some 30,000 refused
/// mails. An office of a hundred people mails as much in hours, a flood in a second.
const BYTES_MAX: usize = 32 << 20;

/// The frames.
#[derive(Default, Debug)]
pub struct Lately(Mutex<Held>);

#[derive(Clone, Default, Debug)]
struct Held {
    frames: VecDeque<HeldFrame>,
    bytes: VecDeque<u8>,
}

#[derive(Clone, Copy, Debug)]
struct HeldFrame {
    no: FrameNo,
    ts: Ts,
    link: LinkType,
    wire_len: u32,
    len: usize,
}

impl Held {
    fn size(&self) -> usize {
        self.bytes.len() + self.frames.len() * size_of::<HeldFrame>()
    }
}

impl Lately {
    /// Keeps a frame; the oldest ones go where there is no room.
    pub(super) fn keep(&self, no: FrameNo, frame: &Frame<'_>) {
        // Poisoned or not: a frame is kept whole or described by nothing.
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let comes = frame.bytes.len() + size_of::<HeldFrame>();
        while held.size() + comes > BYTES_MAX
            && let Some(oldest) = held.frames.pop_front()
        {
            held.bytes.drain(..oldest.len);
        }
        held.bytes.extend(frame.bytes);
        let (ts, link, wire_len, len) = (frame.ts, frame.link, frame.wire_len, frame.bytes.len());
        held.frames.push_back(HeldFrame { no, ts, link, wire_len, len });
    }

    /// What is there now.
    pub fn look(&self) -> Past {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        held.frames.make_contiguous();
        held.bytes.make_contiguous();
        Past(Arc::new(held))
    }
}

/// The frames of one moment and before it; it can be read as often as one likes.
#[derive(Clone, Debug)]
pub struct Past(Arc<Held>);

impl Past {
    /// Reads it from its beginning.
    pub fn source(&self) -> PastSource {
        PastSource { past: self.clone(), next: 0, at: 0 }
    }
}

/// A reading of it.
#[derive(Debug)]
pub struct PastSource {
    past: Past,
    next: usize,
    /// Where the next frame's bytes begin.
    at: usize,
}

impl FrameSource for PastSource {
    fn next_frame(&mut self) -> Option<Result<Captured<'_>, CaptureError>> {
        // Both are contiguous.
        let (Held { frames, bytes }, at) = (&*self.past.0, self.at);
        let HeldFrame { no, ts, link, wire_len, len } = *frames.as_slices().0.get(self.next)?;
        self.next += 1;
        self.at += len;
        let bytes = bytes.as_slices().0.get(at..at + len).unwrap_or_default();
        Some(Ok(Captured::Frame(no, Frame { ts, link, wire_len, bytes })))
    }

    fn progress(&self) -> Progress {
        Progress { done: self.at as u64, total: Some(self.past.0.bytes.len() as u64) }
    }

    fn summaries(&self) -> Vec<InputSummary> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(lately: &Lately, no: u64, bytes: &[u8]) {
        let frame = Frame { ts: Ts::from_nanos(no.cast_signed()), link: LinkType::ETHERNET, wire_len: 1500, bytes };
        lately.keep(FrameNo(no), &frame);
    }

    fn read(past: &Past) -> Vec<(u64, Vec<u8>)> {
        let mut source = past.source();
        let mut frames = Vec::new();
        while let Some(Ok(Captured::Frame(no, frame))) = source.next_frame() {
            assert_eq!((frame.ts, frame.wire_len), (Ts::from_nanos(no.0.cast_signed()), 1500));
            frames.push((no.0, frame.bytes.to_vec()));
        }
        frames
    }

    #[test]
    fn what_was_kept_is_read_as_often_as_one_likes() {
        let lately = Lately::default();
        assert!(read(&lately.look()).is_empty());
        keep(&lately, 1, b"one");
        keep(&lately, 3, b"");
        let past = lately.look();
        keep(&lately, 4, b"later");
        for _ in 0..2 {
            assert_eq!(read(&past), [(1, b"one".to_vec()), (3, Vec::new())]);
        }
        assert_eq!(read(&lately.look()).len(), 3);
    }

    #[test]
    fn the_oldest_make_room_and_what_is_left_is_whole() {
        let lately = Lately::default();
        // Large and small ones, three times the room, so that the ring turns.
        for no in 1..=600 {
            let size = if no % 3 == 0 { 262_144 } else { 60 };
            keep(&lately, no, &vec![no as u8; size]);
        }
        let held = lately.look();
        assert!(held.0.size() <= BYTES_MAX && held.0.size() > BYTES_MAX - 300_000, "{}", held.0.size());
        let frames = read(&held);
        assert_eq!(frames.last().unwrap().0, 600);
        for (expected, (no, bytes)) in (frames[0].0..).zip(&frames) {
            assert_eq!(*no, expected);
            assert!(bytes.iter().all(|byte| *byte == *no as u8));
        }
        // Frames without bytes cost their description.
        (0..3_000_000).for_each(|no| keep(&lately, no, b""));
        assert!(lately.look().0.size() <= BYTES_MAX);
    }
}
