//! Fragments of IP datagrams put together again (RFC 791 section 3.2, RFC 8200 section 4.5), within limits.
//!
//! Mail is hardly ever fragmented, but tunnels to a mirror port are, and so is whatever wants to slip past a reader that
//! does not put fragments together. First bytes win where fragments overlap; the receiver's system may decide otherwise
//! (RFC 5722 drops such datagrams), so overlaps and disagreements are counted.
//!
//! Invariants: the pieces of a datagram are sorted, do not overlap and lie below its end, once that is known; `held`
//! is the sum of what all pieces cost; the datagrams stand in the order in which their first fragment came.

use foldhash::fast::RandomState;
use hashlink::LinkedHashMap;

use crate::flooders::{Flooder, Senders, Sent};
use crate::limits::DecodeLimits;
use crate::net::{HostKey, Mac};
use crate::time::{Span, Ts};

use super::outcome::FragmentStats;
use super::walk::IpHead;

/// The largest payload of a datagram: 13 bits of offset in units of eight bytes (RFC 791), and one unit more.
const DATAGRAM_MAX: usize = 65_536;
/// What a piece costs beside its bytes: its own fields and the allocator's.
const PIECE_OVERHEAD: usize = 64;

/// What the fragments of one datagram have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct FragmentKey {
    pub(super) src: HostKey,
    pub(super) dst: HostKey,
    /// What the datagram carries.
    pub(super) protocol: u8,
    pub(super) id: u32,
}

/// One fragment as it was seen.
pub(super) struct Fragment<'f> {
    pub(super) key: FragmentKey,
    pub(super) head: IpHead,
    /// The card that sent it.
    pub(super) mac: Option<Mac>,
    /// Where its bytes belong.
    pub(super) offset: usize,
    /// Whether others follow it.
    pub(super) more: bool,
    /// What was captured.
    pub(super) bytes: &'f [u8],
    /// How many bytes it has.
    pub(super) wire_len: usize,
}

/// A datagram put together.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) protocol: u8,
    /// Of its first fragment.
    pub(super) head: IpHead,
    /// What was captured, up to the first byte that was not.
    pub(super) bytes: Vec<u8>,
    pub(super) wire_len: usize,
}

/// What became of a fragment.
#[derive(Debug)]
pub(super) enum Pushed {
    /// It waits for others.
    Held,
    /// Its datagram is of no interest.
    Refused,
    /// It does not fit.
    Limit,
    /// It was the last one missing.
    Joined(Datagram),
}

/// All datagrams that miss fragments.
pub(super) struct DefragPool {
    partials: LinkedHashMap<FragmentKey, Partial, RandomState>,
    held: usize,
    datagrams_max: usize,
    bytes_max: usize,
    pieces_max: usize,
    timeout: Span,
    /// Who sent what had to go.
    senders: Senders,
}

struct Partial {
    started: Ts,
    mac: Option<Mac>,
    /// The first fragment showed that nothing here is ours: the others need not be held.
    refused: bool,
    head: IpHead,
    pieces: Vec<Piece>,
    end: Option<usize>,
}

struct Piece {
    start: usize,
    wire_len: usize,
    /// Shorter than `wire_len` where the snap length cut the fragment.
    bytes: Box<[u8]>,
}

impl Piece {
    const fn end(&self) -> usize {
        self.start + self.wire_len
    }

    const fn cost(&self) -> usize {
        self.bytes.len() + PIECE_OVERHEAD
    }
}

impl DefragPool {
    pub(super) fn new(limits: &DecodeLimits) -> Self {
        Self {
            partials: LinkedHashMap::with_hasher(RandomState::default()),
            held: 0,
            datagrams_max: limits.defrag_datagrams_max,
            bytes_max: limits.defrag_bytes_max,
            pieces_max: limits.defrag_pieces_max,
            timeout: limits.defrag_timeout,
            senders: Senders::new(limits.flood_fragments_min),
        }
    }

    /// A fragment came.
    pub(super) fn push(&mut self, now: Ts, fragment: &Fragment<'_>, stats: &mut FragmentStats) -> Pushed {
        self.expire(now, stats);
        // A fragment becomes one piece for each gap it fills: one more than there are pieces, at most.
        let mut gaps = 1;
        if let Some(known) = self.partials.get(&fragment.key) {
            if known.refused {
                if !fragment.more {
                    self.partials.remove(&fragment.key); // as a rule the last one
                }
                return Pushed::Refused;
            }
            if !known.fits(fragment, self.pieces_max) {
                return Pushed::Limit;
            }
            gaps += known.pieces.len();
        } else if !Partial::new(now, fragment.head, fragment.mac).fits(fragment, self.pieces_max) {
            return Pushed::Limit;
        }
        let cost = fragment.bytes.len() + gaps * PIECE_OVERHEAD;
        if cost > self.bytes_max {
            return Pushed::Limit;
        }
        while self.held + cost > self.bytes_max {
            self.evict(now, stats);
        }
        if !self.partials.contains_key(&fragment.key) {
            self.make_room(now, stats);
            self.partials.insert(fragment.key, Partial::new(now, fragment.head, fragment.mac));
        }
        let Some(partial) = self.partials.get_mut(&fragment.key) else {
            return Pushed::Limit; // a limit of no datagram at all
        };
        let before = partial.cost();
        partial.add(fragment, stats);
        let after = partial.cost();
        self.held = self.held + after - before;
        if !partial.is_complete() {
            return Pushed::Held;
        }
        self.held -= after;
        match self.partials.remove(&fragment.key) {
            Some(whole) => {
                stats.completed += 1;
                Pushed::Joined(whole.join(fragment.key.protocol))
            }
            None => Pushed::Held,
        }
    }

    /// The first fragment of a datagram showed that it is none of ours.
    pub(super) fn refuse(&mut self, now: Ts, key: FragmentKey, head: IpHead, stats: &mut FragmentStats) {
        self.expire(now, stats);
        if let Some(partial) = self.partials.get_mut(&key) {
            self.held -= partial.cost();
            partial.refused = true;
            partial.pieces = Vec::new();
        } else {
            self.make_room(now, stats);
            self.partials.insert(key, Partial { refused: true, ..Partial::new(now, head, None) });
        }
    }

    /// No more frames come: what is still incomplete is given up.
    pub(super) fn finish(&mut self, stats: &mut FragmentStats) {
        for (_, partial) in self.partials.drain() {
            stats.unfinished += u64::from(!partial.refused);
        }
        self.held = 0;
    }

    fn expire(&mut self, now: Ts, stats: &mut FragmentStats) {
        while let Some((_, oldest)) = self.partials.front()
            && now.since(oldest.started) > self.timeout
        {
            stats.timed_out += u64::from(!oldest.refused);
            self.held -= oldest.cost();
            self.partials.pop_front();
        }
    }

    /// The cards from which came what had to go, if that was a flood.
    pub(super) fn flooders(&self) -> Vec<Flooder> {
        self.senders.flooders()
    }

    /// Those of them that were forgotten.
    pub(super) const fn flooders_forgotten(&self) -> u64 {
        self.senders.forgotten()
    }

    fn evict(&mut self, now: Ts, stats: &mut FragmentStats) {
        let Some((key, oldest)) = self.partials.pop_front() else {
            self.held = 0;
            return;
        };
        self.held -= oldest.cost();
        if !oldest.refused {
            stats.evicted += 1;
            let (mac, started) = (oldest.mac, oldest.started);
            let sent = Sent { mac, source: key.src, toward: Some(key.dst), count: 1, first: started, last: started };
            self.senders.add(now, &sent);
        }
    }

    /// Room for one more datagram.
    fn make_room(&mut self, now: Ts, stats: &mut FragmentStats) {
        while !self.partials.is_empty() && self.partials.len() >= self.datagrams_max {
            self.evict(now, stats);
        }
    }
}

impl Partial {
    const fn new(started: Ts, head: IpHead, mac: Option<Mac>) -> Self {
        Self { started, mac, refused: false, head, pieces: Vec::new(), end: None }
    }

    fn cost(&self) -> usize {
        self.pieces.iter().map(Piece::cost).sum()
    }

    /// Whether a fragment can belong to this datagram:
    /// - all but the last one have a length that is a multiple of eight, and not zero (RFC 8200 section 4.5);
    /// - none ends past the largest datagram, or past the end that the last one gave;
    /// - there are not too many already.
    fn fits(&self, fragment: &Fragment<'_>, pieces_max: usize) -> bool {
        let end = fragment.offset + fragment.wire_len;
        let shape = if fragment.more {
            fragment.wire_len != 0 && fragment.wire_len.is_multiple_of(8)
        } else {
            self.pieces.last().is_none_or(|last| last.end() <= end)
        };
        let end_agrees = self.end.is_none_or(|known| if fragment.more { end <= known } else { end == known });
        shape && end_agrees && end <= DATAGRAM_MAX && self.pieces.len() < pieces_max
    }

    /// Adds the bytes of a fragment that [fits](Self::fits) where none are yet.
    fn add(&mut self, fragment: &Fragment<'_>, stats: &mut FragmentStats) {
        if fragment.offset == 0 {
            self.head = fragment.head;
        }
        let end = fragment.offset + fragment.wire_len;
        if !fragment.more {
            self.end = Some(end);
        }
        let (mut overlaps, mut disagrees) = (false, false);
        let mut fresh = Vec::new();
        let mut at = fragment.offset;
        for piece in self.pieces.iter().filter(|piece| piece.start < end && piece.end() > fragment.offset) {
            // A whole fragment seen again is what mirror ports do; anything else is an overlap.
            overlaps |= (piece.start, piece.end()) != (fragment.offset, end);
            disagrees |= !agree(piece, fragment);
            if at < piece.start {
                fresh.push((at, piece.start));
            }
            at = piece.end();
        }
        if at < end {
            fresh.push((at, end));
        }
        stats.overlaps += u64::from(overlaps || disagrees);
        stats.overlaps_disagree += u64::from(disagrees);
        for (start, end) in fresh {
            let bytes = clip(fragment.bytes, fragment.offset, start, end);
            let place = self.pieces.partition_point(|piece| piece.start < start);
            self.pieces.insert(place, Piece { start, wire_len: end - start, bytes: bytes.into() });
        }
    }

    /// Whether the end is known and no byte before it is missing.
    fn is_complete(&self) -> bool {
        let covered = self.pieces.iter().map(|piece| piece.wire_len).sum();
        self.end == Some(covered)
    }

    fn join(self, protocol: u8) -> Datagram {
        let mut bytes = Vec::with_capacity(self.end.unwrap_or_default());
        for piece in &self.pieces {
            if piece.start != bytes.len() {
                break; // the piece before was cut
            }
            bytes.extend_from_slice(&piece.bytes);
        }
        Datagram { protocol, head: self.head, bytes, wire_len: self.end.unwrap_or_default() }
    }
}

/// The part of `bytes`, which begin at `offset`, from `start` to `end`.
fn clip(bytes: &[u8], offset: usize, start: usize, end: usize) -> &[u8] {
    let to = (end - offset).min(bytes.len());
    bytes.get(start - offset..to).unwrap_or_default()
}

/// Whether a piece and a fragment have the same bytes where they overlap and both were captured.
fn agree(piece: &Piece, fragment: &Fragment<'_>) -> bool {
    let start = piece.start.max(fragment.offset);
    let end = piece.end().min(fragment.offset + fragment.wire_len);
    let (kept, seen) = (clip(&piece.bytes, piece.start, start, end), clip(fragment.bytes, fragment.offset, start, end));
    kept.iter().zip(seen).all(|(kept, seen)| kept == seen)
}

#[cfg(test)]
mod tests;
