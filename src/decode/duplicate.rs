//! Copies of one segment told apart from retransmissions.
//!
//! A mirror port that copies both directions of two ports shows a segment twice; one on both sides of a router shows it
//! with another TTL, other Ethernet addresses, another VLAN and IP checksum; a tunnel to the sensor shows it once more.
//! TCP would take every copy for a retransmission, or for a second connection attempt.
//!
//! Two segments are candidates if all this is equal: addresses, ports, sequence and acknowledgement numbers, flags,
//! window, options (with the time stamp), payload length, IP identification, and the payload itself as far as it is
//! compared (128 bytes, or the first and last 64 of a longer one). What a router changes does not count. Then:
//!
//! - **IPv4 with an identification that is not zero.** Linux counts it up for each connection even where it sets DF,
//!   Windows for the whole host, and a retransmission is a new datagram: the same number on the same segment means the
//!   same datagram. A copy, if it comes within [`DecodeLimits::duplicate_window`].
//! - **Identification zero, and IPv6.** BSD systems send zero with DF (RFC 6864 section 4.1 allows it), and so does Linux
//!   in SYN-ACKs and resets. A copy if the way it came by differs (TTL, VLAN, Ethernet addresses, tunnel) within the
//!   same window, or if it came within [`DecodeLimits::duplicate_window_same_path`], which is shorter than any
//!   retransmission timer.
//!
//! What this may get wrong does little harm: a segment taken for a copy by mistake has the sequence numbers and, as far
//! as compared, the bytes of one that was handed on; lost are a pure duplicate acknowledgement or a repeated reset of a
//! system that sends identification zero, or a probe that a scanner repeats with a fixed one. A copy that is missed looks
//! like a retransmission, as it would without this room. Mirrors with a different snap length, and routers that rewrite
//! the MSS option of SYNs, make such copies.
//!
//! The memory is a table of fixed size where a newer segment takes the place of an older one. The place is a fixed hash, so
//! that every run forgets the same segments; what is compared is a hash with a random seed, so that nobody can make two
//! different segments look equal, and results still never depend on it (two that do by chance are one in 2^48).

use crate::limits::DecodeLimits;
use crate::net::{Encap, LinkFacts, Mac, Seed, mix};
use crate::time::{Span, Ts};

use super::segment::{Segment, SegmentHeader};

/// Payload that is compared whole: all but the longest commands and replies. Of a longer one, which is mail data, as many
/// bytes from both ends: the hash of whole segments would cost more than the rest of the decoder.
const COMPARED_MAX: usize = 128;

/// The segments seen last.
pub(super) struct DuplicateCache {
    /// One byte of what stands at each place in `seen`. It nearly always tells that a segment is new, and then the place
    /// itself, which is seldom in the processor's fast caches, is written but need not be waited for.
    hints: Box<[u8]>,
    seen: Box<[Seen]>,
    mask: u64,
    seed: Seed,
    window: Span,
    window_same_path: Span,
}

/// One segment: as little as tells, so that the table stays near the processor.
#[derive(Clone, Copy)]
struct Seen {
    /// In the upper 48 bits a hash of all that a copy has in common with its original; its seed is random, so that nobody
    /// can make two segments that agree. In the lower 16 the way the segment came by, which they need not have in common.
    identity_path: u64,
    ts: Ts,
}

const _: () = assert!(size_of::<Seen>() == 16, "what the limits say of it");

impl Seen {
    const fn new(identity: u64, path: u16, ts: Ts) -> Self {
        Self { identity_path: identity & !0xffff | path as u64, ts }
    }

    /// See [`DuplicateCache::hints`].
    const fn hint(self) -> u8 {
        (self.identity_path >> 56) as u8
    }

    const fn is_same_segment(self, other: Self) -> bool {
        (self.identity_path ^ other.identity_path) >> 16 == 0
    }
}

impl DuplicateCache {
    pub(super) fn new(limits: &DecodeLimits) -> Self {
        let entries = limits.duplicate_entries.max(1).next_power_of_two();
        // Longer ago than any window.
        let nothing = Seen::new(0, 0, Ts::from_nanos(i64::MIN));
        Self {
            hints: vec![nothing.hint(); entries].into(),
            seen: vec![nothing; entries].into(),
            mask: entries as u64 - 1,
            seed: Seed::random(),
            window: limits.duplicate_window,
            window_same_path: limits.duplicate_window_same_path,
        }
    }

    /// Whether `segment` is a copy of one seen before; if not, it is remembered.
    ///
    /// The first of several copies stays the one remembered, so that a stream of equal segments cannot hide for longer
    /// than a window.
    pub(super) fn is_copy(&mut self, segment: &Segment<'_>) -> bool {
        let head = segment.head;
        let new = Seen::new(identity(segment, &self.seed), path_of(head), head.at.ts);
        let place = (place(head) & self.mask) as usize; // the mask keeps it inside the tables
        let hint = std::mem::replace(&mut self.hints[place], new.hint());
        if hint == new.hint() && self.is_copy_of(self.seen[place], new, head.ip.id != 0) {
            return true;
        }
        self.seen[place] = new;
        false
    }

    fn is_copy_of(&self, old: Seen, new: Seen, numbered: bool) -> bool {
        // Clocks of two taps may disagree: a copy can bear the earlier stamp.
        let apart = new.ts.since(old.ts).as_nanos().unsigned_abs();
        let within = |window: Span| apart <= window.as_nanos().unsigned_abs();
        let told_apart = numbered || new.identity_path != old.identity_path;
        old.is_same_segment(new) && (within(self.window_same_path) || (told_apart && within(self.window)))
    }
}

/// Where in the table: the same in every run.
const fn place(head: &SegmentHeader) -> u64 {
    mix(stream_part(head), (head.key.stable_hash() as u64) << 32 | (head.ip.id as u64) << 8 | head.from as u64)
}

/// Which part of the stream.
const fn stream_part(head: &SegmentHeader) -> u64 {
    (head.seq.0 as u64) << 32 | head.ack.0 as u64
}

/// Of who sends to whom, which part of the stream, IP identification, flags, window, payload length, options, and the payload
/// as far as it is compared.
fn identity(segment: &Segment<'_>, seed: &Seed) -> u64 {
    let Segment { head, options, payload } = *segment;
    let fields = (head.ip.id as u64) << 48
        | (head.window as u64) << 32
        | (head.flags.0 as u64) << 16
        | (options.len() as u64) << 8 // 40 bytes of options at most
        | head.from as u64;
    let lengths = (head.payload_len as u64) << 32 | payload.len() as u64;
    let hash = seed.fold(head.key.seeded_hash(seed), [stream_part(head), fields]);
    let hash = seed.fold_bytes(seed.fold(hash, [lengths, 0]), options);
    match payload.split_first_chunk::<{ COMPARED_MAX / 2 }>() {
        Some((first, rest)) if payload.len() > COMPARED_MAX => {
            let last = rest.last_chunk::<{ COMPARED_MAX / 2 }>().unwrap_or(first);
            seed.fold_bytes(seed.fold_bytes(hash, first), last)
        }
        _ => seed.fold_bytes(hash, payload),
    }
}

/// The way a segment came by, as a number: what routers, switches and tunnels change.
fn path_of(head: &SegmentHeader) -> u16 {
    let mac = |Mac([a, b, c, d, e, f]): Mac| u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
    let (src, dst) = head.link.macs.map_or((0, 0), |(src, dst)| (mac(src), mac(dst)));
    let LinkFacts { vlans, encaps, .. } = head.link;
    let (mut tags, mut tunnels) = (tags_of([None; 2]), 0);
    // Hardly ever, and dear to put together.
    if vlans != [None; 2] || encaps != [None; 4] {
        tags = tags_of(vlans);
        tunnels = u32::from_be_bytes(encaps.map(|encap| encap.map_or(0, |encap: Encap| encap as u8)));
    }
    mix(src ^ (head.ip.ttl as u64) << 48 ^ tunnels as u64, dst ^ tags << 32) as u16
}

/// Two tags as a number. 4,096 is no identifier: no tag differs from tag zero.
fn tags_of([outer, inner]: [Option<u16>; 2]) -> u64 {
    let tag = |vlan: Option<u16>| vlan.unwrap_or(4096) as u64;
    tag(outer) << 16 | tag(inner)
}

#[cfg(test)]
mod tests;
