//! The front of the engine: frames in, segments, questions to DNS servers, names and ticks out. It owns what must see every
//! frame in order: the event clock, the decoder with its fragments and copies, and the counts that account for every frame.

use super::clock::{EventClock, Stamp};
use crate::decode::{Asked, DecodeStats, Decoded, Decoder, PortSet, Segment, TcpFlags, Told, TwinFinder};
use crate::flooders::Flooder;
use crate::frame::{At, Frame, FrameNo, LinkType};
use crate::limits::Limits;
use crate::net::Translation;
use crate::time::{Span, Ts};

/// What the front hands on, in the order of the frames.
#[derive(Clone, Copy, Debug)]
pub enum FrontItem<'a> {
    /// A segment of a connection to an SMTP port.
    Segment(&'a Segment<'a>),
    /// A question about mail to a DNS server.
    Asked(&'a Asked<'a>),
    /// What machines tell of themselves.
    Told(&'a Told<'a>),
    /// Two connections are one, before and behind a gateway that translates addresses.
    Translated(At, Translation),
    /// Event time has moved on: time to expire what is due.
    Tick(At),
}

/// Event time between ticks: timeouts are measured to this precision.
const TICK: Span = Span::secs(1);

/// The front.
pub struct Front {
    decoder: Decoder,
    twins: TwinFinder,
    clock: EventClock,
    ticked: Option<Ts>,
    last: FrameNo,
    /// What waits for a witness to its stamp.
    held: Option<Held>,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front")
            .field("clock", &self.clock)
            .field("decoded", self.decoder.stats())
            .finish_non_exhaustive()
    }
}

/// What became of the frames so far.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct FrontStats {
    /// What they were.
    pub decode: DecodeStats,
    /// The cards that flood with fragments, the busiest first.
    pub flooders: Vec<Flooder>,
    /// Those of them that had to be forgotten.
    pub flooders_forgotten: u64,
    /// Event time.
    pub now: Ts,
    /// Frames stamped more than a second before an earlier frame.
    pub stamps_backward: u64,
    /// Frames whose stamp lay far ahead and was not confirmed.
    pub stamps_ignored: u64,
}

#[derive(Debug)]
enum Held {
    Frame {
        no: FrameNo,
        link: LinkType,
        wire_len: u32,
        bytes: Vec<u8>,
    },
    /// A frame that a filter rejected.
    Filtered,
}

impl Front {
    /// For segments to or from `ports`.
    pub fn new(ports: PortSet, limits: &Limits) -> Self {
        Self {
            decoder: Decoder::new(ports, &limits.decode),
            twins: TwinFinder::new(&limits.decode),
            clock: EventClock::default(),
            ticked: None,
            last: FrameNo(0),
            held: None,
        }
    }

    /// Takes the next frame.
    #[inline]
    pub fn handle_frame(&mut self, no: FrameNo, frame: &Frame<'_>, out: &mut impl FnMut(FrontItem<'_>)) {
        if self.held.is_some() {
            self.let_go(Some(frame.ts), out);
        }
        match self.clock.handle(frame.ts) {
            // Nearly always; a copy is read at once, and waits until its parts are written.
            Stamp::At(ts) if ts == frame.ts => self.pass_on(no, frame, out),
            stamp => self.handle_odd_stamp(stamp, no, frame, out),
        }
    }

    /// Takes the next frame where a filter rejected it: of its stamp is made what is made of any other, so that a filter
    /// changes no time of what it lets through.
    #[inline]
    pub fn handle_filtered(&mut self, ts: Ts, out: &mut impl FnMut(FrontItem<'_>)) {
        if self.held.is_some() {
            self.let_go(Some(ts), out);
        }
        if self.clock.handle(ts) == Stamp::Hold {
            self.held = Some(Held::Filtered);
        }
    }

    /// A frame that gets another stamp, or has to wait for one.
    #[cold]
    fn handle_odd_stamp(&mut self, stamp: Stamp, no: FrameNo, frame: &Frame<'_>, out: &mut impl FnMut(FrontItem<'_>)) {
        match stamp {
            Stamp::At(ts) => self.pass_on_later(no, &Frame { ts, ..*frame }, out),
            Stamp::Hold => {
                let (link, wire_len) = (frame.link, frame.wire_len);
                self.held = Some(Held::Frame { no, link, wire_len, bytes: frame.bytes.to_vec() });
            }
        }
    }

    /// The link is idle, and its clock says it is `now` (live capture only).
    pub fn handle_idle(&mut self, now: Ts, out: &mut impl FnMut(FrontItem<'_>)) {
        // The clock is as good a witness as another frame.
        self.let_go(Some(now), out);
        if now > self.clock.now() && self.ticked.is_none_or(|ticked| now.since(ticked) >= TICK) {
            self.tick(now, out);
        }
    }

    /// The end of the capture. The last tick of all is the caller's.
    pub fn finish(&mut self, out: &mut impl FnMut(FrontItem<'_>)) -> At {
        self.let_go(None, out);
        self.decoder.finish();
        At { ts: self.clock.now(), frame: self.last }
    }

    /// What became of the frames.
    pub const fn decode_stats(&self) -> &DecodeStats {
        self.decoder.stats()
    }

    /// The clock, for its counts.
    pub const fn clock(&self) -> &EventClock {
        &self.clock
    }

    /// All counts so far.
    pub fn stats(&self) -> FrontStats {
        FrontStats {
            decode: self.decoder.stats().clone(),
            flooders: self.decoder.flooders(),
            flooders_forgotten: self.decoder.flooders_forgotten(),
            now: self.clock.now(),
            stamps_backward: self.clock.backward(),
            stamps_ignored: self.clock.jumps_ignored(),
        }
    }

    /// Passes on what is held, if there is anything.
    #[cold]
    fn let_go(&mut self, next: Option<Ts>, out: &mut impl FnMut(FrontItem<'_>)) {
        let Some(held) = self.held.take() else { return };
        let ts = self.clock.release(next).unwrap_or_default();
        if let Held::Frame { no, link, wire_len, bytes } = held {
            self.pass_on_later(no, &Frame { ts, link, wire_len, bytes: &bytes }, out);
        }
    }

    /// See [`Self::pass_on`]; of frames that did not go straight through.
    #[inline(never)]
    fn pass_on_later(&mut self, no: FrameNo, frame: &Frame<'_>, out: &mut impl FnMut(FrontItem<'_>)) {
        self.pass_on(no, frame, out);
    }

    #[expect(clippy::inline_always, reason = "with the decoder and the batch: 46 instructions a frame less")]
    #[inline(always)]
    fn pass_on(&mut self, no: FrameNo, frame: &Frame<'_>, out: &mut impl FnMut(FrontItem<'_>)) {
        self.last = no;
        if self.ticked.is_none_or(|ticked| frame.ts.since(ticked) >= TICK) {
            self.tick(frame.ts, out);
        }
        // By reference: it is large.
        match &self.decoder.decode(no, frame) {
            Decoded::Segment(segment) => {
                out(FrontItem::Segment(segment));
                if segment.head.flags.has(TcpFlags::SYN)
                    && let Some(translation) = self.twins.handle(segment.head)
                {
                    out(FrontItem::Translated(segment.head.at, translation));
                }
            }
            Decoded::Asked(asked) => out(FrontItem::Asked(asked)),
            Decoded::Told(told) => out(FrontItem::Told(told)),
            Decoded::Ignored(_) | Decoded::Undecoded(_) => {}
        }
    }

    #[cold]
    fn tick(&mut self, ts: Ts, out: &mut impl FnMut(FrontItem<'_>)) {
        self.ticked = Some(ts);
        out(FrontItem::Tick(At { ts, frame: self.last }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{self, testing::Tcp};

    fn frame(secs: i64) -> Frame<'static> {
        Frame { ts: Ts::from_parts(secs, 0), link: LinkType::ETHERNET, wire_len: 4, bytes: b"none" }
    }

    #[test]
    fn a_frame_after_a_long_silence_waits_for_the_clock_at_most() {
        let mut front = Front::new(PortSet::default(), &Limits::default());
        front.handle_frame(FrameNo(1), &frame(100), &mut |_| ());
        front.handle_frame(FrameNo(2), &frame(100 + 3600), &mut |_| ());
        assert_eq!((front.decode_stats().total(), front.clock().now()), (1, Ts::from_parts(100, 0)), "held");
        let mut ticks = Vec::new();
        front.handle_idle(Ts::from_parts(100 + 3601, 0), &mut |item| {
            if let FrontItem::Tick(at) = item {
                ticks.push(at.ts);
            }
        });
        assert_eq!((front.decode_stats().total(), front.clock().now()), (2, Ts::from_parts(3700, 0)));
        assert_eq!(ticks, [Ts::from_parts(3700, 0), Ts::from_parts(3701, 0)]);
        assert_eq!(front.clock().jumps_ignored(), 0);
    }

    #[test]
    fn the_first_frame_waits_for_the_clock_at_most() {
        let mut front = Front::new(PortSet::default(), &Limits::default());
        front.handle_frame(FrameNo(1), &frame(100), &mut |_| ());
        assert_eq!(front.decode_stats().total(), 0, "held");
        front.handle_idle(Ts::from_parts(100, 0), &mut |_| ());
        assert_eq!((front.decode_stats().total(), front.clock().now()), (1, Ts::from_parts(100, 0)));
    }

    #[test]
    fn a_filter_changes_no_stamp() {
        const ABSURD: i64 = 4_000_000_000;
        // Seconds of a capture, and which frame of it passes.
        for (capture, passes, expected, ends) in [
            (&[100, 600, 1100, 1101][..], 2, 1100, 1101), // no jump from one to the next
            (&[100, 3700, 3701], 1, 3700, 3701),          // the witness is rejected
            (&[100, 3700, 3701], 2, 3701, 3701),          // what jumps is rejected
            (&[100, ABSURD, 101], 2, 101, 101),
            (&[ABSURD, 100, 101], 0, 100, 101),
            (&[100, 101, ABSURD], 2, 101, 101),
        ] {
            for filter in [false, true] {
                let mut front = Front::new(PortSet::default(), &Limits::default());
                let mut stamps = Vec::new();
                let mut out = |item: FrontItem<'_>| {
                    if let FrontItem::Segment(segment) = item {
                        stamps.push((segment.head.at.frame, segment.head.at.ts));
                    }
                };
                for (place, &secs) in capture.iter().enumerate() {
                    let (no, ts) = (FrameNo(place as u64), Ts::from_parts(secs, 0));
                    if filter && place != passes {
                        front.handle_filtered(ts, &mut out);
                    } else {
                        let bytes = Tcp { seq: place as u32, ..Tcp::default() }.v4();
                        front.handle_frame(no, &decode::testing::frame(LinkType::RAW, ts, &bytes), &mut out);
                    }
                }
                let end = front.finish(&mut out).ts;
                let passed = stamps.iter().find(|(no, _)| no.0 == passes as u64);
                assert_eq!(passed.unwrap().1, Ts::from_parts(expected, 0), "{capture:?} {filter}");
                assert_eq!(end, Ts::from_parts(ends, 0), "{capture:?} {filter}");
            }
        }
    }
}
