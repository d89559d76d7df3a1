//! Connection attempts that nobody has answered yet, in a table of their own.
//!
//! A flood of SYNs to ever new hosts makes nothing but these. An entry is therefore small (a test holds it at 128 bytes with
//! its place, two cache lines), and taking the oldest out is as cheap as putting a new one in: under a flood the oldest
//! lies just where the last one lay, so that memory is walked through in order.
//!
//! Whose turn it is to be given up stands in a queue beside the entries, and not in links through them: there the next ones
//! are told, and brought near, without looking at any. An attempt that was answered leaves its turn behind, and one whose SYN
//! was repeated gets another; old turns are told by their number, and swept out where they are more than the others.

use std::collections::VecDeque;
use std::num::NonZeroU16;

use super::index::Index;
use super::slab::Slab;
use super::{Attempt, ConnId, SynSignature};
use crate::decode::SegmentHeader;
use crate::frame::{At, FrameNo};
use crate::net::{Encap, End, Endpoint, FlowKey, LinkFacts, Mac, SeqNum};
use crate::time::{Span, Ts};

/// The end of `key` that equals `endpoint`.
fn end_of(key: &FlowKey, endpoint: Endpoint) -> End {
    if key.end(End::Lower) == endpoint { End::Lower } else { End::Upper }
}

const V6: u8 = 1;
const SCALE: u8 = 1 << 1;
const TSVAL: u8 = 1 << 2;
const MACS: u8 = 1 << 3;

/// An attempt, packed: what `Attempt` holds, and the number of the SYN.
pub(super) struct HalfOpen {
    first_ts: Ts,
    last_ts: Ts,
    first: u64,
    olayout: u64,
    quirks: u32,
    tsval: u32,
    isn: SeqNum,
    /// The last SYN's frame, counted from the first's; saturates.
    last_after: u32,
    /// The number of its last turn.
    turn: u32,
    /// Saturates.
    syns: NonZeroU16,
    orig: Endpoint,
    resp: Endpoint,
    macs: [Mac; 2],
    vlans: [Option<NonZeroVlan>; 2],
    encaps: [Option<Encap>; 4],
    mss: u16,
    wsize: u16,
    ip_id: u16,
    scale: u8,
    ttl: u8,
    olen: u8,
    bits: u8,
}

/// A VLAN number plus one, so that none costs nothing.
#[derive(Clone, Copy)]
struct NonZeroVlan(NonZeroU16);

impl NonZeroVlan {
    /// Tags are 12 bits wide, so nothing wraps.
    fn new(vlan: u16) -> Option<Self> {
        NonZeroU16::new(vlan.wrapping_add(1)).map(Self)
    }

    fn get(self) -> u16 {
        self.0.get().wrapping_sub(1)
    }
}

impl HalfOpen {
    /// From the first SYN.
    fn new(turn: u32, head: &SegmentHeader, syn: &SynSignature) -> Self {
        let bit = |set: bool, bit: u8| u8::from(set) * bit;
        let (src, dst) = head.link.macs.unwrap_or_default();
        let [outer, inner] = head.link.vlans;
        Self {
            first_ts: head.at.ts,
            last_ts: head.at.ts,
            first: head.at.frame.0,
            olayout: syn.olayout,
            quirks: syn.quirks,
            tsval: syn.tsval.unwrap_or(0),
            isn: head.seq,
            last_after: 0,
            turn,
            syns: NonZeroU16::MIN,
            orig: head.key.end(head.from),
            resp: head.key.end(head.from.other()),
            macs: [src, dst],
            vlans: [outer.and_then(NonZeroVlan::new), inner.and_then(NonZeroVlan::new)],
            encaps: head.link.encaps,
            mss: syn.mss,
            wsize: syn.wsize,
            ip_id: syn.ip_id,
            scale: syn.scale.unwrap_or(0),
            ttl: syn.ttl,
            olen: syn.olen,
            bits: bit(syn.v6, V6)
                | bit(syn.scale.is_some(), SCALE)
                | bit(syn.tsval.is_some(), TSVAL)
                | bit(head.link.macs.is_some(), MACS),
        }
    }

    /// The number of the SYN.
    pub(super) fn isn(&self) -> SeqNum {
        self.isn
    }

    /// The end of its key that sent the SYN. Where both ends are equal, the lower one.
    pub(super) fn orig_end(&self) -> End {
        end_of(&self.key(), self.orig)
    }

    /// First frame.
    pub(super) fn first(&self) -> FrameNo {
        FrameNo(self.first)
    }

    fn key(&self) -> FlowKey {
        FlowKey::of(self.orig, self.resp).0
    }

    fn is_of(&self, key: &FlowKey) -> bool {
        let (lower, upper) = (key.end(End::Lower), key.end(End::Upper));
        (self.orig == lower && self.resp == upper) || (self.orig == upper && self.resp == lower)
    }

    fn has(&self, bit: u8) -> bool {
        self.bits & bit != 0
    }

    /// Unpacked.
    fn attempt(&self) -> Attempt {
        let ([src, dst], [outer, inner]) = (self.macs, self.vlans);
        Attempt {
            id: ConnId { ts: self.first_ts, orig: self.orig, resp: self.resp },
            first: FrameNo(self.first),
            last: At { ts: self.last_ts, frame: FrameNo(self.first + u64::from(self.last_after)) },
            syns: u32::from(self.syns.get()),
            link: LinkFacts {
                macs: self.has(MACS).then_some((src, dst)),
                vlans: [outer.map(NonZeroVlan::get), inner.map(NonZeroVlan::get)],
                encaps: self.encaps,
            },
            syn: SynSignature {
                v6: self.has(V6),
                ttl: self.ttl,
                olen: self.olen,
                mss: self.mss,
                wsize: self.wsize,
                scale: self.has(SCALE).then_some(self.scale),
                olayout: self.olayout,
                quirks: self.quirks,
                tsval: self.has(TSVAL).then_some(self.tsval),
                ip_id: self.ip_id,
            },
            cut_short: false,
        }
    }
}

/// See the head of the module.
pub(super) struct Attempts {
    index: Index,
    slab: Slab<HalfOpen>,
    turns: VecDeque<Turn>,
    /// The number of the next turn.
    next_turn: u32,
    len: usize,
    max: usize,
    /// What so many of the first turns are of was brought near.
    near: usize,
}

/// When an attempt, among the others, is to be given up.
#[derive(Clone, Copy)]
struct Turn {
    /// As of its attempt; of another number than that has become, it is an old one.
    number: u32,
    slot: u32,
    hash: u32,
}

impl Turn {
    /// What it is the turn of, if it is not an old one.
    fn of(self, slab: &Slab<HalfOpen>) -> Option<&HalfOpen> {
        slab.get(self.slot).filter(|entry| entry.turn == self.number)
    }
}

/// Attempts of which the oldest are brought near together. Under a flood each one taken out lies elsewhere in the index, and
/// the waits for memory coincide (see `engine::share`).
const NEAR: usize = 32;

/// Old turns that are left standing at least.
const OLD_TURNS: usize = 64;

impl Attempts {
    /// An empty table for at most `max` attempts, at least one.
    pub(super) fn new(max: usize) -> Self {
        let max = max.max(1);
        let (index, slab, turns) = (Index::new(), Slab::new(), VecDeque::new());
        Self { index, slab, turns, next_turn: 0, len: 0, max, near: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= self.max
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn find(&self, hash: u32, key: &FlowKey) -> Option<u32> {
        self.index.find(hash, |slot| self.slab.get(slot).is_some_and(|entry| entry.is_of(key)))
    }

    /// Brings near what [`Self::find`] and [`Self::insert`] will need of the index.
    pub(super) fn guess(&self, hash: u32) {
        std::hint::black_box(self.index.find(hash, |_| true));
    }

    pub(super) fn get(&self, slot: u32) -> Option<&HalfOpen> {
        self.slab.get(slot)
    }

    /// Takes in an attempt, by its SYN, whose key is in no other; the caller has made room.
    pub(super) fn insert(&mut self, hash: u32, head: &SegmentHeader, syn: &SynSignature) {
        let slot = self.slab.insert(HalfOpen::new(self.next_turn, head, syn));
        self.len += 1;
        self.push_turn(slot, hash);
        self.index.insert(hash, slot);
    }

    /// Another SYN of a known attempt.
    pub(super) fn repeat(&mut self, slot: u32, hash: u32, at: At) {
        let turn = self.next_turn;
        if let Some(entry) = self.slab.get_mut(slot) {
            entry.syns = entry.syns.saturating_add(1);
            entry.last_ts = at.ts;
            entry.last_after = u32::try_from(at.frame.0.saturating_sub(entry.first)).unwrap_or(u32::MAX);
            entry.turn = turn;
            self.push_turn(slot, hash);
        }
    }

    /// Takes one out.
    #[inline]
    pub(super) fn remove(&mut self, slot: u32, hash: u32) -> Option<Attempt> {
        let gone = self.slab.get(slot)?.attempt();
        self.slab.take(slot);
        self.len -= 1;
        self.index.remove(hash, slot);
        Some(gone)
    }

    /// Takes out the one whose last SYN is the oldest.
    #[inline]
    pub(super) fn pop_oldest(&mut self) -> Option<Attempt> {
        let Turn { slot, hash, .. } = self.oldest()?;
        self.pop_turn();
        self.remove(slot, hash)
    }

    /// Takes out the oldest one if its last SYN is `timeout` before `now`.
    pub(super) fn pop_expired(&mut self, now: Ts, timeout: Span) -> Option<Attempt> {
        let oldest = self.oldest()?.of(&self.slab)?;
        if now.since(oldest.last_ts) >= timeout { self.pop_oldest() } else { None }
    }

    /// All of them with their places and hashes, from the one whose last SYN is the oldest on.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, u32, &HalfOpen)> {
        self.turns.iter().filter_map(|turn| Some((turn.slot, turn.hash, turn.of(&self.slab)?)))
    }

    /// The turn that is the next one; those that are old go.
    fn oldest(&mut self) -> Option<Turn> {
        loop {
            if self.near == 0 {
                self.near = NEAR.min(self.turns.len());
                self.turns.iter().take(NEAR).for_each(|turn| self.bring_near(*turn));
            }
            let turn = *self.turns.front()?;
            if turn.of(&self.slab).is_some() {
                return Some(turn);
            }
            self.pop_turn();
        }
    }

    fn bring_near(&self, Turn { slot, hash, .. }: Turn) {
        self.guess(hash);
        // The one is in its first line, the other in its last.
        std::hint::black_box(self.slab.get(slot).map(|entry| (entry.first, entry.bits)));
    }

    fn push_turn(&mut self, slot: u32, hash: u32) {
        if self.turns.len() >= 2 * self.len + OLD_TURNS {
            self.turns.retain(|turn| turn.of(&self.slab).is_some());
            self.near = 0;
        }
        let number = self.next_turn;
        self.next_turn = number.wrapping_add(1);
        self.turns.push_back(Turn { number, slot, hash });
    }

    fn pop_turn(&mut self) {
        self.turns.pop_front();
        self.near = self.near.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::testing::Script;

    /// An attempt with this number and this hash.
    fn begin(attempts: &mut Attempts, number: u32) {
        attempts.insert(number, &Script::new().syn(number).head, &SynSignature::default());
    }

    fn numbers(attempts: &Attempts) -> Vec<u32> {
        attempts.all().map(|(.., entry)| entry.isn().0).collect()
    }

    #[test]
    fn the_one_whose_last_syn_is_the_oldest_goes_first() {
        let mut attempts = Attempts::new(100);
        (0..5).for_each(|number| begin(&mut attempts, number));
        let later = At { ts: Ts::from_parts(9, 0), frame: FrameNo(9) };
        let places: Vec<u32> = attempts.all().map(|(slot, ..)| slot).collect();
        attempts.repeat(places[0], 0, later);
        attempts.repeat(places[3], 3, later);
        assert!(attempts.remove(places[2], 2).is_some() && attempts.remove(places[2], 2).is_none());
        assert_eq!((attempts.len(), numbers(&attempts)), (4, vec![1, 4, 0, 3]));
        for left in [&[4, 0, 3][..], &[0, 3], &[3], &[]] {
            assert!(attempts.pop_oldest().is_some());
            assert_eq!(numbers(&attempts), left);
        }
        assert_eq!((attempts.pop_oldest().is_none(), attempts.len(), attempts.turns.len()), (true, 0, 0));
    }

    #[test]
    fn turns_that_are_old_are_bounded() {
        let mut attempts = Attempts::new(100);
        (0..3).for_each(|number| begin(&mut attempts, number));
        for number in 3..10_000 {
            begin(&mut attempts, number);
            let (slot, hash, _) = attempts.all().last().unwrap();
            attempts.repeat(slot, hash, At::default());
            attempts.remove(slot, hash);
            assert!(attempts.turns.len() <= 2 * attempts.len() + OLD_TURNS + 3);
        }
        assert_eq!(numbers(&attempts), [0, 1, 2]);
    }

    #[test]
    fn an_entry_is_two_cache_lines() {
        assert_eq!(Slab::<HalfOpen>::PLACE_SIZE, 128);
    }

    #[test]
    fn packing_loses_nothing() {
        let mut head = Script::new().syn(7).head;
        head.link.macs = Some((Mac([1; 6]), Mac([2; 6])));
        head.link.vlans = [Some(0), Some(4095)];
        head.link.encaps[0] = Some(Encap::Gre);
        let syn = SynSignature {
            v6: true,
            ttl: 63,
            olen: 4,
            mss: 1400,
            wsize: 512,
            scale: Some(0),
            olayout: 0x1234_5678_9abc_def0,
            quirks: 0x8000_0001,
            tsval: Some(0),
            ip_id: 99,
        };
        let attempt = HalfOpen::new(0, &head, &syn).attempt();
        assert_eq!((attempt.syn, attempt.link), (syn, head.link));
        assert_eq!((attempt.id.orig, attempt.id.ts), (head.key.end(head.from), head.at.ts));
    }
}
