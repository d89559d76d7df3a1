//! A capture played at a speed, for a screen: frames wait for their time, or for somebody to let them go on.
//!
//! What waits changes nothing in the result: frames come in the same order with the same stamps, and while they wait the
//! judgement is only told the time that the last one told it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::capture::{CaptureError, Captured, FrameSource, InputSummary, Progress};
use crate::frame::{Frame, FrameNo, LinkType};
use crate::time::Ts;
use crate::tui::Playback;

/// How long a wait lasts before the screen may see what there is: twenty times a second.
const WAIT: Duration = Duration::from_millis(50);

/// What is said of captures whose replay was stopped.
const STOPPED: &str = "the replay was stopped before";

/// The source.
pub(super) struct PacedSource {
    inner: Box<dyn FrameSource + Send>,
    playback: Arc<Playback>,
    stop: Arc<AtomicBool>,
    held: Option<Held>,
    /// The source has come to its end.
    ended: bool,
    bytes: Vec<u8>,
    last: Ts,
    /// Where clock and stamps met, and at which speed.
    anchor: Option<(Instant, Ts, f64)>,
}

#[derive(Clone, Copy)]
struct Held {
    no: FrameNo,
    ts: Ts,
    link: LinkType,
    wire_len: u32,
    passed: bool,
}

impl PacedSource {
    pub(super) fn new(inner: Box<dyn FrameSource + Send>, playback: Arc<Playback>, stop: Arc<AtomicBool>) -> Self {
        Self { inner, playback, stop, held: None, ended: false, bytes: Vec::new(), last: Ts::EPOCH, anchor: None }
    }

    /// Whether a frame of this stamp may go on now.
    fn may_go(&mut self, ts: Ts) -> bool {
        if self.playback.is_paused() {
            self.anchor = None;
            return self.playback.take_step();
        }
        let speed = self.playback.speed();
        if speed == 0.0 {
            self.anchor = None;
            return true;
        }
        let now = clock();
        let (met, stamp, _) = match self.anchor {
            Some(anchor) if anchor.2.to_bits() == speed.to_bits() => anchor,
            _ => *self.anchor.insert((now, ts, speed)),
        };
        (now - met).as_secs_f64() * speed >= ts.since(stamp).as_secs_f64()
    }
}

impl FrameSource for PacedSource {
    fn next_frame(&mut self) -> Option<Result<Captured<'_>, CaptureError>> {
        // Who quits in the middle wants to know what was found so far.
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        if self.held.is_none() {
            let next = self.inner.next_frame();
            self.ended = next.is_none();
            match next? {
                Ok(Captured::Frame(no, frame)) => {
                    self.bytes.clear();
                    self.bytes.extend_from_slice(frame.bytes);
                    let (ts, link, wire_len) = (frame.ts, frame.link, frame.wire_len);
                    self.held = Some(Held { no, ts, link, wire_len, passed: true });
                }
                Ok(Captured::Filtered(no, ts)) => {
                    self.held = Some(Held { no, ts, link: LinkType::ETHERNET, wire_len: 0, passed: false });
                }
                Ok(Captured::Idle(now)) => return Some(Ok(Captured::Idle(now))),
                Err(error) => return Some(Err(error)),
            }
        }
        let held = self.held?;
        if !self.may_go(held.ts) {
            pause();
            return Some(Ok(Captured::Idle(self.last)));
        }
        self.held = None;
        self.last = held.ts;
        Some(Ok(if held.passed {
            let frame = Frame { ts: held.ts, link: held.link, wire_len: held.wire_len, bytes: &self.bytes };
            Captured::Frame(held.no, frame)
        } else {
            Captured::Filtered(held.no, held.ts)
        }))
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }

    /// A run that was stopped has not seen what comes after: that nothing was found there must not be read out of it.
    fn summaries(&self) -> Vec<InputSummary> {
        let mut summaries = self.inner.summaries();
        if !self.ended && self.stop.load(Ordering::Relaxed) {
            for summary in &mut summaries {
                summary.error.get_or_insert_with(|| STOPPED.to_owned());
            }
        }
        summaries
    }
}

#[expect(clippy::disallowed_methods, reason = "a capture is played by the clock on the wall")]
fn clock() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "frames wait for their time")]
fn pause() {
    std::thread::sleep(WAIT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{OpenOptions, open_file};

    #[test]
    fn a_replay_that_was_stopped_has_not_read_its_captures_to_their_ends() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/relay-tests.pcap");
        for frames in [0, 3, usize::MAX] {
            let stop = Arc::new(AtomicBool::new(false));
            let inner = open_file(&path, &OpenOptions::default()).unwrap();
            let mut source = PacedSource::new(inner, Arc::new(Playback::at(0.0)), Arc::clone(&stop));
            let mut read = 0;
            while read < frames && source.next_frame().is_some() {
                read += 1;
            }
            assert_eq!(source.summaries()[0].error, None, "it goes on");
            stop.store(true, Ordering::Relaxed);
            let stopped = source.summaries()[0].error.clone();
            assert_eq!(stopped.is_some(), frames != usize::MAX, "{read} frames: {stopped:?}");
        }
    }
}
