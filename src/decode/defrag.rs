//! Fragments of IP datagrams put together again (RFC 791 section 3.2, RFC 8200 section 4.5), within limits.
//!
//! Mail is hardly ever fragmented, but tunnels to a mirror port are, and so is whatever wants to slip past a reader that
//! does not put fragments together. First bytes win where fragments overlap; the receiver's system may decide otherwise
//! (RFC 5722 drops such datagrams), so overlaps and disagreements are counted.
//!
//! What an IPv6 datagram carries, only its first fragment says: others may say anything (RFC 8200 section 4.5), so what
//! seems not to matter must be held as well until the first one comes. Such datagrams have a share of their own, and push
//! out nothing but each other: a flood of them costs no datagram that any of its fragments speaks for.
//!
//! Invariants: the pieces of a datagram are sorted, do not overlap and lie below its end, once that is known; a datagram
//! stands on one shelf; `held` is the sum of what all pieces of a shelf cost; the datagrams of a shelf stand in the order
//! in which they came to it.

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
/// The share of doubtful datagrams is this part of the limits of the others, and on top of them: few systems send other
/// fragments than they should, and whatever is not TCP has its first fragment first, as a rule, and is not held at all.
const DOUBTFUL_PART: usize = 8;

/// What the fragments of one datagram have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct FragmentKey {
    pub(super) src: HostKey,
    pub(super) dst: HostKey,
    /// What the datagram carries, in IPv4 (RFC 791 section 3.2); IPv6 does without (RFC 8200 section 4.5).
    pub(super) protocol: Option<u8>,
    pub(super) id: u32,
}

/// One fragment as it was seen.
pub(super) struct Fragment<'f> {
    pub(super) key: FragmentKey,
    /// What it says that the datagram carries.
    pub(super) protocol: u8,
    /// Nothing of ours, if that is true.
    pub(super) doubtful: bool,
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
    /// Those for which a fragment spoke.
    likely: Shelf,
    /// Those for which none did yet.
    doubtful: Shelf,
    pieces_max: usize,
    timeout: Span,
    /// Who sent what had to go.
    senders: Senders,
}

/// Datagrams that share their limits.
struct Shelf {
    partials: LinkedHashMap<FragmentKey, Partial, RandomState>,
    held: usize,
    datagrams_max: usize,
    bytes_max: usize,
}

/// Where it is noted what had to go.
struct Losses<'a> {
    now: Ts,
    stats: &'a mut FragmentStats,
    senders: &'a mut Senders,
}

struct Partial {
    started: Ts,
    mac: Option<Mac>,
    /// The first fragment showed that nothing here is ours: the others need not be held.
    refused: bool,
    /// Of the first fragment, once that is there.
    protocol: u8,
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
        let (datagrams_max, bytes_max) = (limits.defrag_datagrams_max, limits.defrag_bytes_max);
        Self {
            likely: Shelf::new(datagrams_max, bytes_max),
            doubtful: Shelf::new(datagrams_max.div_ceil(DOUBTFUL_PART), bytes_max.div_ceil(DOUBTFUL_PART)),
            pieces_max: limits.defrag_pieces_max,
            timeout: limits.defrag_timeout,
            senders: Senders::new(limits.flood_fragments_min),
        }
    }

    /// A fragment came.
    pub(super) fn push(&mut self, now: Ts, fragment: &Fragment<'_>, stats: &mut FragmentStats) -> Pushed {
        self.expire(now, stats);
        let mut losses = Losses { now, stats, senders: &mut self.senders };
        let shelf = if fragment.doubtful && !self.likely.partials.contains_key(&fragment.key) {
            &mut self.doubtful
        } else {
            if let Some(partial) = self.doubtful.take(&fragment.key) {
                self.likely.put(fragment.key, partial, &mut losses);
            }
            &mut self.likely
        };
        shelf.push(fragment, self.pieces_max, &mut losses)
    }

    /// The first fragment of a datagram showed that it is none of ours; `doubtful` as in [`Fragment`].
    pub(super) fn refuse(
        &mut self,
        now: Ts,
        key: FragmentKey,
        head: IpHead,
        doubtful: bool,
        stats: &mut FragmentStats,
    ) {
        self.expire(now, stats);
        let mut losses = Losses { now, stats, senders: &mut self.senders };
        let shelf = if doubtful && !self.likely.partials.contains_key(&key) {
            &mut self.doubtful
        } else {
            self.doubtful.take(&key);
            &mut self.likely
        };
        shelf.refuse(key, head, &mut losses);
    }

    /// No more frames come: what is still incomplete is given up.
    pub(super) fn finish(&mut self, stats: &mut FragmentStats) {
        for shelf in [&mut self.likely, &mut self.doubtful] {
            for (_, partial) in shelf.partials.drain() {
                stats.unfinished += u64::from(!partial.refused);
            }
            shelf.held = 0;
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

    fn expire(&mut self, now: Ts, stats: &mut FragmentStats) {
        self.likely.expire(now, self.timeout, stats);
        self.doubtful.expire(now, self.timeout, stats);
    }
}

impl Shelf {
    fn new(datagrams_max: usize, bytes_max: usize) -> Self {
        Self { partials: LinkedHashMap::with_hasher(RandomState::default()), held: 0, datagrams_max, bytes_max }
    }

    fn push(&mut self, fragment: &Fragment<'_>, pieces_max: usize, losses: &mut Losses<'_>) -> Pushed {
        // A fragment becomes one piece for each gap it fills: one more than there are pieces, at most.
        let mut gaps = 1;
        if let Some(known) = self.partials.get(&fragment.key) {
            if known.refused {
                if !fragment.more {
                    self.partials.remove(&fragment.key); // as a rule the last one
                }
                return Pushed::Refused;
            }
            if !known.fits(fragment, pieces_max) {
                return Pushed::Limit;
            }
            gaps += known.pieces.len();
        } else if !Partial::of(losses.now, fragment).fits(fragment, pieces_max) {
            return Pushed::Limit;
        }
        let cost = fragment.bytes.len() + gaps * PIECE_OVERHEAD;
        if cost > self.bytes_max {
            return Pushed::Limit;
        }
        self.make_room_for(cost, losses);
        if !self.partials.contains_key(&fragment.key) {
            self.make_room(losses);
            self.partials.insert(fragment.key, Partial::of(losses.now, fragment));
        }
        let Some(partial) = self.partials.get_mut(&fragment.key) else {
            return Pushed::Limit; // a limit of no datagram at all
        };
        let before = partial.cost();
        partial.add(fragment, losses.stats);
        let after = partial.cost();
        self.held = self.held + after - before;
        if !partial.is_complete() {
            return Pushed::Held;
        }
        match self.take(&fragment.key) {
            Some(whole) => {
                losses.stats.completed += 1;
                Pushed::Joined(whole.join())
            }
            None => Pushed::Held,
        }
    }

    fn refuse(&mut self, key: FragmentKey, head: IpHead, losses: &mut Losses<'_>) {
        if let Some(partial) = self.partials.get_mut(&key) {
            self.held -= partial.cost();
            partial.refused = true;
            partial.pieces = Vec::new();
        } else {
            self.make_room(losses);
            self.partials.insert(key, Partial { refused: true, ..Partial::new(losses.now, 0, head, None) });
        }
    }

    fn take(&mut self, key: &FragmentKey) -> Option<Partial> {
        let partial = self.partials.remove(key)?;
        self.held -= partial.cost();
        Some(partial)
    }

    /// A datagram from another shelf, whose limits are smaller; its time begins anew, and so it stands last.
    fn put(&mut self, key: FragmentKey, partial: Partial, losses: &mut Losses<'_>) {
        let cost = partial.cost();
        self.make_room_for(cost, losses);
        self.make_room(losses);
        self.held += cost;
        self.partials.insert(key, Partial { started: losses.now, ..partial });
    }

    fn expire(&mut self, now: Ts, timeout: Span, stats: &mut FragmentStats) {
        while let Some((_, oldest)) = self.partials.front()
            && now.since(oldest.started) > timeout
        {
            stats.timed_out += u64::from(!oldest.refused);
            self.held -= oldest.cost();
            self.partials.pop_front();
        }
    }

    fn evict(&mut self, losses: &mut Losses<'_>) {
        let Some((key, oldest)) = self.partials.pop_front() else {
            self.held = 0;
            return;
        };
        self.held -= oldest.cost();
        if !oldest.refused {
            losses.stats.evicted += 1;
            let (mac, started) = (oldest.mac, oldest.started);
            let sent = Sent { mac, source: key.src, toward: Some(key.dst), count: 1, first: started, last: started };
            losses.senders.add(losses.now, &sent);
        }
    }

    /// Room for one more datagram.
    fn make_room(&mut self, losses: &mut Losses<'_>) {
        while !self.partials.is_empty() && self.partials.len() >= self.datagrams_max {
            self.evict(losses);
        }
    }

    /// Room for so many bytes, no more than the limit.
    fn make_room_for(&mut self, cost: usize, losses: &mut Losses<'_>) {
        while self.held + cost > self.bytes_max {
            self.evict(losses);
        }
    }
}

impl Partial {
    const fn new(started: Ts, protocol: u8, head: IpHead, mac: Option<Mac>) -> Self {
        Self { started, mac, refused: false, protocol, head, pieces: Vec::new(), end: None }
    }

    const fn of(started: Ts, fragment: &Fragment<'_>) -> Self {
        Self::new(started, fragment.protocol, fragment.head, fragment.mac)
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
        if fragment.offset == 0 && self.pieces.first().is_none_or(|piece| piece.start != 0) {
            (self.protocol, self.head) = (fragment.protocol, fragment.head);
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

    fn join(self) -> Datagram {
        let mut bytes = Vec::with_capacity(self.end.unwrap_or_default());
        for piece in &self.pieces {
            if piece.start != bytes.len() {
                break; // the piece before was cut
            }
            bytes.extend_from_slice(&piece.bytes);
        }
        Datagram { protocol: self.protocol, head: self.head, bytes, wire_len: self.end.unwrap_or_default() }
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
