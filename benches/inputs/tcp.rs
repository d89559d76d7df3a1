//! A TCP connection (RFC 9293) as a mirror port near the client sees it: each
//! side's sequence numbers, the options of a SYN, time stamps (RFC 7323), and
//! a transfer in segments with the acknowledgements between them.
//!
//! It renders traffic; it does not model congestion, loss or SACK.

use crate::wire::{Endpoint, Ipv4, Micros, PROTO_TCP, Script};

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// The index of the client and of the server in a pair.
pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;

/// Segments a sender may have under way at first (RFC 6928).
const INITIAL_WINDOW: usize = 10;
/// Between two segments of a burst: 1,514 bytes at one gigabit a second.
const SERIALISATION: Micros = 13;
/// How soon a host on the near side of the mirror answers.
pub(crate) const NEAR: Micros = 180;
/// A retransmission time-out: the least that Linux uses.
const RETRANSMIT_AFTER: Micros = 200_000;

/// Whose habits the client and the server follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    /// MSS, SACK, time stamps, window scale.
    Linux,
    /// MSS, window scale, SACK; no time stamps.
    Windows,
}

impl Stack {
    /// Most payload bytes in a segment.
    pub(crate) const fn segment_max(self) -> usize {
        match self {
            Self::Linux => 1448,
            Self::Windows => 1460,
        }
    }
}

/// What goes wrong in a transfer, as the mirror sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    None,
    /// One segment, of this number modulo their count, is seen twice.
    Retransmitted(usize),
    /// One segment and the next change places.
    Reordered(usize),
}

/// How a transfer is acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) round_trip: Micros,
    /// One acknowledgement for so many segments: 2 by RFC 9293, more where the
    /// receiver's card joins segments before its TCP sees them.
    pub(crate) ack_every: usize,
    pub(crate) mishap: Mishap,
}

/// A connection under way.
#[derive(Debug)]
pub(crate) struct Conn {
    ends: [Endpoint; 2],
    stack: Stack,
    /// The next sequence number of each side.
    seq: [u32; 2],
    ip_id: [u16; 2],
    /// What each side's time stamp clock (a millisecond a tick) is ahead.
    clock: [u32; 2],
    /// The last time stamp each side sent.
    stamp: [u32; 2],
}

/// One segment, all of it given.
#[derive(Clone, Copy, Debug)]
struct Segment<'a> {
    side: usize,
    flags: u8,
    seq: u32,
    ack: u32,
    data: &'a [u8],
}

impl Conn {
    /// A connection not yet opened. `noise` chooses initial sequence numbers,
    /// IP identifications and clocks.
    pub(crate) fn new(client: Endpoint, server: Endpoint, stack: Stack, noise: [u64; 2]) -> Self {
        Self {
            ends: [client, server],
            stack,
            seq: noise.map(|n| n as u32),
            ip_id: noise.map(|n| (n >> 32) as u16),
            clock: noise.map(|n| (n >> 40) as u32),
            stamp: [0; 2],
        }
    }

    /// The three-way handshake; returns its end.
    pub(crate) fn open(&mut self, script: &mut Script, at: Micros, round_trip: Micros) -> Micros {
        self.send(script, at, CLIENT, SYN, &[]);
        self.send(script, at + round_trip, SERVER, SYN | ACK, &[]);
        let end = at + round_trip + NEAR;
        self.send(script, end, CLIENT, ACK, &[]);
        end
    }

    /// The client closes, the server follows; returns the end.
    pub(crate) fn close(&mut self, script: &mut Script, at: Micros, round_trip: Micros) -> Micros {
        self.send(script, at, CLIENT, FIN | ACK, &[]);
        self.send(script, at + round_trip, SERVER, FIN | ACK, &[]);
        let end = at + round_trip + NEAR;
        self.send(script, end, CLIENT, ACK, &[]);
        end
    }

    /// One segment from `side` that acknowledges all the other side has sent.
    pub(crate) fn send(&mut self, script: &mut Script, at: Micros, side: usize, flags: u8, data: &[u8]) {
        let ack = if flags & ACK == 0 { 0 } else { self.seq[1 - side] };
        let seq = self.seq[side];
        self.put(script, at, Segment { side, flags, seq, ack, data });
        let phantom = u32::from(flags & (SYN | FIN) != 0);
        self.seq[side] = seq.wrapping_add(data.len() as u32).wrapping_add(phantom);
    }

    /// `data` from `side` in segments of full size, the other side
    /// acknowledging; returns the time at which the last byte has arrived and
    /// all due acknowledgements are seen.
    pub(crate) fn transfer(&mut self, script: &mut Script, at: Micros, side: usize, data: &[u8], pace: Pace) -> Micros {
        let full = self.stack.segment_max();
        let count = data.len().div_ceil(full);
        // A near sender's segment is acknowledged a round trip later; a near
        // receiver answers at once.
        let answer = if side == CLIENT { pace.round_trip } else { NEAR };

        let mut sent: Vec<Micros> = Vec::with_capacity(count);
        for index in 0..count {
            let free = index.checked_sub(INITIAL_WINDOW).map_or(at, |earlier| sent[earlier] + pace.round_trip);
            let line = sent.last().map_or(at, |last| last + SERIALISATION);
            sent.push(free.max(line));
        }
        // (time, tie-breaker, segment number or the count acknowledged)
        let mut events: Vec<(Micros, usize, Event)> = Vec::with_capacity(count * 2);
        for done in (pace.ack_every..=count).step_by(pace.ack_every) {
            events.push((sent[done - 1] + answer, events.len(), Event::Ack(done)));
        }
        match pace.mishap {
            Mishap::Retransmitted(number) if count > 0 => {
                let index = number % count;
                let again = sent[index] + RETRANSMIT_AFTER + pace.round_trip;
                events.push((again, events.len(), Event::Data(index)));
            }
            Mishap::Reordered(number) if count > 1 => {
                let index = number % (count - 1);
                sent.swap(index, index + 1);
            }
            _ => {}
        }
        for (index, time) in sent.iter().enumerate() {
            events.push((*time, events.len(), Event::Data(index)));
        }
        events.sort_unstable_by_key(|event| (event.0, event.1));

        let (first, ack) = (self.seq[side], self.seq[1 - side]);
        let mut end = at;
        for (time, _, event) in events {
            end = time;
            match event {
                Event::Data(index) => {
                    let from = index * full;
                    let to = (from + full).min(data.len());
                    let push = if to == data.len() { PSH } else { 0 };
                    self.put(
                        script,
                        time,
                        Segment {
                            side,
                            flags: ACK | push,
                            seq: first.wrapping_add(from as u32),
                            ack,
                            data: &data[from..to],
                        },
                    );
                }
                Event::Ack(done) => {
                    let have = (done * full).min(data.len());
                    self.put(
                        script,
                        time,
                        Segment {
                            side: 1 - side,
                            flags: ACK,
                            seq: ack,
                            ack: first.wrapping_add(have as u32),
                            data: &[],
                        },
                    );
                }
            }
        }
        self.seq[side] = first.wrapping_add(data.len() as u32);
        end
    }

    /// Renders one segment.
    fn put(&mut self, script: &mut Script, at: Micros, segment: Segment<'_>) {
        let Segment { side, flags, .. } = segment;
        let (from, to) = (self.ends[side], self.ends[1 - side]);
        let mut header = Vec::with_capacity(40);
        header.extend_from_slice(&from.port.to_be_bytes());
        header.extend_from_slice(&to.port.to_be_bytes());
        header.extend_from_slice(&segment.seq.to_be_bytes());
        header.extend_from_slice(&segment.ack.to_be_bytes());
        header.extend_from_slice(&[0, flags]);
        let window: u16 = match (self.stack, flags & SYN != 0) {
            (_, true) => 64_240,
            (Stack::Linux, false) => 502,
            (Stack::Windows, false) => 1026,
        };
        let window = if flags & RST == 0 { window } else { 0 };
        header.extend_from_slice(&window.to_be_bytes());
        header.extend_from_slice(&[0; 4]);
        self.put_options(&mut header, at, side, flags);
        header[12] = ((header.len() / 4) as u8) << 4;

        self.ip_id[side] = self.ip_id[side].wrapping_add(1);
        let ip = Ipv4 { from, to, id: self.ip_id[side], proto: PROTO_TCP, checksum_at: 16 };
        script.push(at, &ip, &header, segment.data);
    }

    fn put_options(&mut self, header: &mut Vec<u8>, at: Micros, side: usize, flags: u8) {
        const MSS_1460: [u8; 4] = [2, 4, 0x05, 0xb4];
        let syn = flags & SYN != 0;
        match self.stack {
            Stack::Linux => {
                self.stamp[side] = self.clock[side].wrapping_add((at / 1000) as u32);
                let echo = if flags & ACK == 0 { 0 } else { self.stamp[1 - side] };
                if syn {
                    header.extend_from_slice(&MSS_1460);
                    header.extend_from_slice(&[4, 2]);
                } else {
                    header.extend_from_slice(&[1, 1]);
                }
                header.extend_from_slice(&[8, 10]);
                header.extend_from_slice(&self.stamp[side].to_be_bytes());
                header.extend_from_slice(&echo.to_be_bytes());
                if syn {
                    header.extend_from_slice(&[1, 3, 3, 7]);
                }
            }
            Stack::Windows if syn => {
                header.extend_from_slice(&MSS_1460);
                header.extend_from_slice(&[1, 3, 3, 8, 1, 1, 4, 2]);
            }
            Stack::Windows => {}
        }
    }
}

/// What happens next in a transfer.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// This segment is seen.
    Data(usize),
    /// So many segments are acknowledged.
    Ack(usize),
}
