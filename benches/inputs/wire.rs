//! Frames on paper: Ethernet II, IPv4 (RFC 791), UDP (RFC 768), with valid
//! checksums, each behind the record header of a classic capture file.
//!
//! A [`Script`] is one conversation, rendered whole; [`super::schedule`] plays
//! many of them at once. No IPv6, no VLAN, no padding to the Ethernet minimum
//! (a mirror port sees a sender's frames before they are padded).

use std::io::{self, Write};

/// Microseconds since 1970-01-01, the time of every frame.
pub(crate) type Micros = u64;

/// The first frame: Wednesday 2026-03-04 08:00:00 UTC.
pub(crate) const START: Micros = 1_772_611_200_000_000;

/// Bytes of the file header of a classic capture.
pub(crate) const FILE_HEADER: usize = 24;

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const UDP_HEADER: usize = 8;
pub(crate) const PROTO_TCP: u8 = 6;
const PROTO_UDP: u8 = 17;

/// One end of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    pub(crate) mac: [u8; 6],
    pub(crate) ip: [u8; 4],
    pub(crate) port: u16,
    /// The time to live as the mirror sees it.
    pub(crate) ttl: u8,
}

/// A conversation: records of a capture file, in the order of their time.
#[derive(Debug, Default)]
pub(crate) struct Script {
    bytes: Vec<u8>,
    /// For each frame its time and where it ends in `bytes`.
    frames: Vec<(Micros, usize)>,
}

impl Script {
    /// Empties the script. A large buffer is given back: what an open
    /// conversation holds should be its own size, not the largest ever.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(32 << 10);
        self.frames.clear();
    }

    /// Number of frames.
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Number of bytes on file, record headers included.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Drops the frames after the first `frames`.
    pub(crate) fn truncate(&mut self, frames: usize) {
        self.frames.truncate(frames);
        self.bytes.truncate(self.frames.last().map_or(0, |f| f.1));
    }

    /// The time of frame `index`, if there is one.
    pub(crate) fn time(&self, index: usize) -> Option<Micros> {
        self.frames.get(index).map(|frame| frame.0)
    }

    /// The time of the last frame.
    pub(crate) fn end(&self) -> Option<Micros> {
        self.frames.last().map(|frame| frame.0)
    }

    /// The record of frame `index`: header and frame.
    pub(crate) fn record(&self, index: usize) -> &[u8] {
        let from = index.checked_sub(1).map_or(0, |i| self.frames[i].1);
        &self.bytes[from..self.frames[index].1]
    }

    /// Appends an IPv4 datagram whose payload is `header` and `data`. The
    /// transport checksum is written at `checksum_at` within `header`.
    /// A time before that of the last frame is raised to it.
    pub(crate) fn push(&mut self, at: Micros, ip: &Ipv4, header: &[u8], data: &[u8]) {
        let at = at.max(self.end().unwrap_or(0));
        let transport = header.len() + data.len();
        let frame = ETHERNET + IPV4 + transport;
        let out = &mut self.bytes;
        for word in [(at / 1_000_000) as u32, (at % 1_000_000) as u32, frame as u32, frame as u32] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&ip.to.mac);
        out.extend_from_slice(&ip.from.mac);
        out.extend_from_slice(&[0x08, 0x00]);

        let start = out.len();
        out.extend_from_slice(&[0x45, 0x00]);
        out.extend_from_slice(&((IPV4 + transport) as u16).to_be_bytes());
        out.extend_from_slice(&ip.id.to_be_bytes());
        // "Don't fragment", as every common TCP sets it (RFC 1191).
        out.extend_from_slice(&[0x40, 0x00, ip.from.ttl, ip.proto, 0, 0]);
        out.extend_from_slice(&ip.from.ip);
        out.extend_from_slice(&ip.to.ip);
        let check = fold(sum(&out[start..]));
        out[start + 10..start + 12].copy_from_slice(&check.to_be_bytes());

        let start = out.len();
        out.extend_from_slice(header);
        out.extend_from_slice(data);
        let pseudo = sum(&ip.from.ip) + sum(&ip.to.ip) + u64::from(ip.proto) + transport as u64;
        let mut check = fold(pseudo + sum(&out[start..]));
        if check == 0 && ip.proto == PROTO_UDP {
            check = 0xffff; // zero would say "no checksum" (RFC 768)
        }
        let at_sum = start + ip.checksum_at;
        out[at_sum..at_sum + 2].copy_from_slice(&check.to_be_bytes());
        self.frames.push((at, self.bytes.len()));
    }

    /// Appends a UDP datagram.
    pub(crate) fn push_udp(&mut self, at: Micros, from: Endpoint, to: Endpoint, id: u16, data: &[u8]) {
        let mut header = [0; UDP_HEADER];
        header[0..2].copy_from_slice(&from.port.to_be_bytes());
        header[2..4].copy_from_slice(&to.port.to_be_bytes());
        header[4..6].copy_from_slice(&((UDP_HEADER + data.len()) as u16).to_be_bytes());
        let ip = Ipv4 { from, to, id, proto: PROTO_UDP, checksum_at: 6 };
        self.push(at, &ip, &header, data);
    }
}

/// What an IPv4 header needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ipv4 {
    pub(crate) from: Endpoint,
    pub(crate) to: Endpoint,
    pub(crate) id: u16,
    pub(crate) proto: u8,
    /// Where the transport header keeps its checksum.
    pub(crate) checksum_at: usize,
}

/// Writes the header of a classic little-endian capture file: microseconds,
/// Ethernet, a snapshot length of 262,144 bytes.
pub(crate) fn write_file_header(out: &mut impl Write) -> io::Result<()> {
    let mut header = Vec::with_capacity(FILE_HEADER);
    header.extend_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    header.extend_from_slice(&2_u16.to_le_bytes());
    header.extend_from_slice(&4_u16.to_le_bytes());
    for word in [0_u32, 0, 262_144, 1] {
        header.extend_from_slice(&word.to_le_bytes());
    }
    out.write_all(&header)
}

/// The sum of the 16-bit words of `bytes` (RFC 1071), not yet folded; taken
/// 32 bits at a time, which folds to the same.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(4);
    let mut sum = 0;
    for word in &mut words {
        sum += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    sum + u64::from(u32::from_be_bytes(last))
}

/// The Internet checksum that belongs to a sum.
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
