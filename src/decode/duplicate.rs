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
//! as compared, the bytes of one that was handed on; lost are a pure duplicate acknowledgement, or a probe that a
//! scanner repeats with a fixed identification. A copy that is missed looks like a retransmission, as it would without
//! this room. Mirrors with a different snap length, and routers that rewrite the MSS option of SYNs, make such copies.
//!
//! The memory is one table of fixed size where a newer segment takes the place of an older one. Its index is a fixed
//! hash, so that every run forgets the same segments; the digest of what an attacker chooses freely has a random seed,
//! so that nobody can make two different segments look equal, and results still never depend on it.

use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::limits::DecodeLimits;
use crate::time::{Span, Ts};

use super::segment::{IpFacts, Segment, SegmentHeader};

/// Payload that is compared whole. SMTP's commands and most replies are shorter (RFC 5321 section 4.5.3.1 allows 512,
/// people do not); 128 keeps the digest in the fast range of the hash, which ends at 240 bytes.
const COMPARED_MAX: usize = 128;
/// Options of a TCP header (RFC 9293 section 3.1: at most 15 words, five of which are the fixed part).
const OPTIONS_MAX: usize = 40;
/// Flags, window, payload length and the length of the options.
const FIXED_LEN: usize = 8;

/// The segments seen last.
pub(super) struct DuplicateCache {
    seen: Box<[Seen]>,
    mask: u64,
    seed: u64,
    window: Span,
    window_same_path: Span,
}

/// One segment: a line of the processor's cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Seen {
    ts: Ts,
    /// Of all that a copy has in common with its original and that has no field of its own.
    digest: u64,
    hosts: [[u8; 16]; 2],
    ports: [u16; 2],
    seq: u32,
    ack: u32,
    ip_id: u16,
    /// The way it came by, which a copy need not have in common.
    path: u16,
}

const _: () = assert!(size_of::<Seen>() == 64, "a table entry is one cache line");

impl DuplicateCache {
    pub(super) fn new(limits: &DecodeLimits) -> Self {
        let entries = limits.duplicate_entries.max(1).next_power_of_two();
        // Longer ago than any window.
        let ts = Ts::from_nanos(i64::MIN);
        let nothing =
            Seen { ts, digest: 0, hosts: [[0; 16]; 2], ports: [0; 2], seq: 0, ack: 0, ip_id: 0, path: 0 };
        Self {
            seen: vec![nothing; entries].into(),
            mask: entries as u64 - 1,
            seed: RandomState::new().hash_one(0),
            window: limits.duplicate_window,
            window_same_path: limits.duplicate_window_same_path,
        }
    }

    /// Whether `segment` is a copy of one seen before; if not, it is remembered.
    ///
    /// The first of several copies stays the one remembered, so that a stream of equal segments cannot hide for longer
    /// than a window.
    pub(super) fn is_copy(&mut self, segment: &Segment<'_>) -> bool {
        let new = Seen::of(segment, self.seed);
        // The mask keeps the index inside the table.
        let old = &mut self.seen[(new.index() & self.mask) as usize];
        if old.is_equal(&new) {
            // Clocks of two taps may disagree: a copy can bear the earlier stamp.
            let apart = new.ts.since(old.ts).as_nanos().unsigned_abs();
            let within = |window: Span| apart <= window.as_nanos().unsigned_abs();
            let told_apart = new.ip_id != 0 || new.path != old.path;
            if within(self.window_same_path) || (told_apart && within(self.window)) {
                return true;
            }
        }
        *old = new;
        false
    }
}

impl Seen {
    fn of(segment: &Segment<'_>, seed: u64) -> Self {
        let head = &segment.head;
        let (src, dst) = (head.key.end(head.from), head.key.end(head.from.other()));
        Self {
            ts: head.at.ts,
            digest: digest(segment, seed),
            hosts: [src.host.octets(), dst.host.octets()],
            ports: [src.port, dst.port],
            seq: head.seq.0,
            ack: head.ack.0,
            ip_id: head.ip.id,
            path: path_of(head),
        }
    }

    /// Whether the two can be copies of one segment.
    fn is_equal(&self, other: &Self) -> bool {
        self.digest == other.digest
            && self.hosts == other.hosts
            && self.ports == other.ports
            && (self.seq, self.ack, self.ip_id) == (other.seq, other.ack, other.ip_id)
    }

    /// Where in the table: the same in every run.
    fn index(&self) -> u64 {
        let mut key = [0; 46];
        let [src, dst] = &self.hosts;
        key[..16].copy_from_slice(src);
        key[16..32].copy_from_slice(dst);
        key[32..34].copy_from_slice(&self.ports[0].to_be_bytes());
        key[34..36].copy_from_slice(&self.ports[1].to_be_bytes());
        key[36..40].copy_from_slice(&self.seq.to_be_bytes());
        key[40..44].copy_from_slice(&self.ack.to_be_bytes());
        key[44..].copy_from_slice(&self.ip_id.to_be_bytes());
        xxh3_64(&key)
    }
}

/// Flags, window, payload length, options, and the payload as far as it is compared.
fn digest(segment: &Segment<'_>, seed: u64) -> u64 {
    let mut buffer = [0; FIXED_LEN + OPTIONS_MAX + COMPARED_MAX];
    let head = &segment.head;
    let options = segment.options.get(..OPTIONS_MAX).unwrap_or(segment.options);
    buffer[0] = head.flags.0;
    buffer[1] = options.len() as u8;
    buffer[2..4].copy_from_slice(&head.window.to_be_bytes());
    buffer[4..8].copy_from_slice(&head.payload_len.to_be_bytes());
    let mut end = FIXED_LEN;
    let mut put = |bytes: &[u8]| {
        // Never longer than the buffer: at most the options and twice half of the rest.
        buffer[end..end + bytes.len()].copy_from_slice(bytes);
        end += bytes.len();
    };
    put(options);
    if segment.payload.len() <= COMPARED_MAX {
        put(segment.payload);
    } else {
        let half = COMPARED_MAX / 2;
        put(&segment.payload[..half]);
        put(&segment.payload[segment.payload.len() - half..]);
    }
    xxh3_64_with_seed(&buffer[..end], seed)
}

/// The way a segment came by, as a number: what routers, switches and tunnels change.
fn path_of(head: &SegmentHeader) -> u16 {
    let IpFacts { ttl, .. } = head.ip;
    let mut way = [0; 1 + 12 + 4 + 4];
    way[0] = ttl;
    if let Some((src, dst)) = head.link.macs {
        way[1..7].copy_from_slice(&src.0);
        way[7..13].copy_from_slice(&dst.0);
    }
    for (place, vlan) in way[13..17].chunks_exact_mut(2).zip(head.link.vlans) {
        // 4,096 is no identifier: no tag differs from tag zero.
        place.copy_from_slice(&vlan.unwrap_or(4096).to_be_bytes());
    }
    for (place, encap) in way[17..].iter_mut().zip(head.link.encaps) {
        *place = encap.map_or(0, |encap| encap as u8);
    }
    xxh3_64(&way) as u16
}

#[cfg(test)]
mod tests;
