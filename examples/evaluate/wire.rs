//! Frames: Ethernet II, IPv4 (RFC 791) or IPv6 (RFC 8200), TCP (RFC 9293) and UDP, with valid checksums, kept on a tape
//! and handed to the program in time order, or written to a file.

use std::io::{self, Write};
use std::net::IpAddr;

use smtphound::capture::{CaptureError, Captured, FrameSource, InputSummary, Progress};
use smtphound::frame::{Frame, FrameNo, LinkType};
use smtphound::time::Ts;

use crate::rng::Rng;

/// Microseconds since 1970-01-01.
pub(crate) type Micros = i64;

pub(crate) const SECOND: Micros = 1_000_000;
pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// Where a frame comes from or goes to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) mac: [u8; 6],
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    pub(crate) ttl: u8,
}

/// What a TCP segment says beside its data.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: Vec<u8>,
}

/// All frames of a scenario.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    bytes: Vec<u8>,
    /// Time, start, length.
    frames: Vec<(Micros, usize, usize)>,
    id: u16,
}

impl Tape {
    pub(crate) fn tcp(&mut self, at: Micros, from: Peer, to: Peer, tcp: &Tcp, data: &[u8]) {
        let mut head = Vec::with_capacity(60);
        head.extend_from_slice(&from.port.to_be_bytes());
        head.extend_from_slice(&to.port.to_be_bytes());
        head.extend_from_slice(&tcp.seq.to_be_bytes());
        head.extend_from_slice(&tcp.ack.to_be_bytes());
        head.push(((20 + tcp.options.len()) / 4 * 16) as u8);
        head.push(tcp.flags);
        head.extend_from_slice(&tcp.window.to_be_bytes());
        head.extend_from_slice(&[0; 4]);
        head.extend_from_slice(&tcp.options);
        self.datagram(at, from, to, (6, 16), &head, data);
    }

    pub(crate) fn udp(&mut self, at: Micros, from: Peer, to: Peer, data: &[u8]) {
        let mut head = Vec::with_capacity(8);
        head.extend_from_slice(&from.port.to_be_bytes());
        head.extend_from_slice(&to.port.to_be_bytes());
        head.extend_from_slice(&((8 + data.len()) as u16).to_be_bytes());
        head.extend_from_slice(&[0; 2]);
        self.datagram(at, from, to, (17, 6), &head, data);
    }

    /// `(protocol, place of the checksum in `head`)`.
    fn datagram(
        &mut self,
        at: Micros,
        from: Peer,
        to: Peer,
        (protocol, checksum): (u8, usize),
        head: &[u8],
        data: &[u8],
    ) {
        let begin = self.bytes.len();
        let len = head.len() + data.len();
        let out = &mut self.bytes;
        out.extend_from_slice(&to.mac);
        out.extend_from_slice(&from.mac);
        let mut pseudo = len as u64 + u64::from(protocol);
        match (from.ip, to.ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                out.extend_from_slice(&[8, 0]);
                let ip = out.len();
                out.extend_from_slice(&[0x45, 0]);
                out.extend_from_slice(&((20 + len) as u16).to_be_bytes());
                self.id = self.id.wrapping_add(1);
                out.extend_from_slice(&self.id.to_be_bytes());
                out.extend_from_slice(&[0x40, 0, from.ttl, protocol, 0, 0]);
                out.extend_from_slice(&a.octets());
                out.extend_from_slice(&b.octets());
                let sum = fold(sum(&out[ip..]));
                out[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
                pseudo += self::sum(&a.octets()) + self::sum(&b.octets());
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                out.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
                out.extend_from_slice(&(len as u16).to_be_bytes());
                out.extend_from_slice(&[protocol, from.ttl]);
                out.extend_from_slice(&a.octets());
                out.extend_from_slice(&b.octets());
                pseudo += self::sum(&a.octets()) + self::sum(&b.octets());
            }
            // A world is of one kind; nothing to render.
            _ => return,
        }
        let transport = out.len();
        out.extend_from_slice(head);
        out.extend_from_slice(data);
        let sum = fold(pseudo + self::sum(&out[transport..]));
        let place = transport + checksum;
        out[place..place + 2].copy_from_slice(&sum.to_be_bytes());
        self.frames.push((at, begin, self.bytes.len() - begin));
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Puts the frames in order, and drops each with probability `loss` as a capture that cannot follow does.
    pub(crate) fn finish(&mut self, loss: f64, rng: &mut Rng) {
        self.frames.sort_by_key(|frame| frame.0);
        if loss > 0.0 {
            self.frames.retain(|_| !rng.chance(loss));
        }
    }

    /// First and last stamp.
    pub(crate) fn span(&self) -> Option<(Micros, Micros)> {
        Some((self.frames.first()?.0, self.frames.last()?.0))
    }

    pub(crate) fn source(&self) -> TapeSource<'_> {
        TapeSource { tape: self, next: 0 }
    }

    /// A classic capture file: microseconds, Ethernet.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
            out.write_all(&word.to_le_bytes())?;
        }
        for (at, begin, len) in &self.frames {
            for word in [at.div_euclid(SECOND), at.rem_euclid(SECOND), *len as i64, *len as i64] {
                out.write_all(&(word as u32).to_le_bytes())?;
            }
            out.write_all(&self.bytes[*begin..begin + len])?;
        }
        Ok(())
    }
}

/// Hands a tape to the program.
#[derive(Debug)]
pub(crate) struct TapeSource<'a> {
    tape: &'a Tape,
    next: usize,
}

impl FrameSource for TapeSource<'_> {
    fn next_frame(&mut self) -> Option<Result<Captured<'_>, CaptureError>> {
        let (at, begin, len) = *self.tape.frames.get(self.next)?;
        self.next += 1;
        let bytes = &self.tape.bytes[begin..begin + len];
        let frame =
            Frame { ts: Ts::from_nanos(at * 1000), link: LinkType::ETHERNET, wire_len: bytes.len() as u32, bytes };
        Some(Ok(Captured::Frame(FrameNo(self.next as u64), frame)))
    }

    fn progress(&self) -> Progress {
        Progress { done: self.next as u64, total: Some(self.tape.frames.len() as u64) }
    }

    fn summaries(&self) -> Vec<InputSummary> {
        vec![InputSummary { file: "scenario".to_owned(), frames: self.next as u64, ..InputSummary::default() }]
    }
}

/// The sum of 16-bit words (RFC 1071).
fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(2);
    let total: u64 = words.by_ref().map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    total + words.remainder().first().map_or(0, |last| u64::from(*last) << 8)
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
