//! The front of the engine: frames in, segments, questions to DNS servers and ticks out. It owns what must see every frame in order: the event
//! clock, the decoder with its fragments and copies, and the counts that account for every frame.

use super::clock::{EventClock, Stamp};
use crate::decode::{Asked, DecodeStats, Decoded, Decoder, PortSet, Segment, TcpFlags, TwinFinder};
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
    /// A frame whose stamp waits for a witness.
    held: Option<HeldFrame>,
}

impl std::fmt::Debug for Front {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front")
            .field("clock", &self.clock)
            .field("decoded", self.decoder.stats())
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct HeldFrame {
    no: FrameNo,
    link: LinkType,
    wire_len: u32,
    bytes: Vec<u8>,
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
    pub fn handle_frame(&mut self, no: FrameNo, frame: &Frame<'_>, out: &mut impl FnMut(FrontItem<'_>)) {
        if let Some(held) = self.held.take() {
            self.let_go(&held, Some(frame.ts), out);
        }
        match self.clock.handle(frame.ts) {
            Stamp::At(ts) => self.pass_on(no, &Frame { ts, ..*frame }, out),
            Stamp::Hold => {
                let (link, wire_len) = (frame.link, frame.wire_len);
                self.held = Some(HeldFrame { no, link, wire_len, bytes: frame.bytes.to_vec() });
            }
        }
    }

    /// The link is idle, and its clock says it is `now` (live capture only).
    pub fn handle_idle(&mut self, now: Ts, out: &mut impl FnMut(FrontItem<'_>)) {
        if self.held.is_none() && now > self.clock.now() {
            self.tick(now, out);
        }
    }

    /// The end of the capture. The last tick of all is the caller's.
    pub fn finish(&mut self, out: &mut impl FnMut(FrontItem<'_>)) -> At {
        if let Some(held) = self.held.take() {
            self.let_go(&held, None, out);
        }
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

    fn let_go(&mut self, held: &HeldFrame, next: Option<Ts>, out: &mut impl FnMut(FrontItem<'_>)) {
        let ts = self.clock.release(next).unwrap_or_default();
        let frame = Frame { ts, link: held.link, wire_len: held.wire_len, bytes: &held.bytes };
        self.pass_on(held.no, &frame, out);
    }

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
                    && let Some(translation) = self.twins.handle(&segment.head)
                {
                    out(FrontItem::Translated(segment.head.at, translation));
                }
            }
            Decoded::Asked(asked) => out(FrontItem::Asked(asked)),
            Decoded::Ignored(_) | Decoded::Undecoded(_) => {}
        }
    }

    fn tick(&mut self, ts: Ts, out: &mut impl FnMut(FrontItem<'_>)) {
        self.ticked = Some(ts);
        out(FrontItem::Tick(At { ts, frame: self.last }));
    }
}
