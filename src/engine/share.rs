//! The shards of one thread, and how a batch goes through them.
//!
//! **Looking ahead.** Thousands of dialogues are open at once, and their frames come mixed: nearly every segment finds its
//! connection outside the processor's fast caches, and following one after the other would wait for memory a dozen times a
//! segment, each time for nothing else. So all connections of the next segments are looked up first, in loops that do
//! nothing but touch: a processor runs many such iterations at once, and the waits coincide. What was seen then is a guess
//! (a segment before may end the connection), so it only brings memory near, and says where to look first; the table looks
//! whether it is still so.

use std::hint::black_box;

use super::Shard;
use super::batch::{Batch, Item, ItemKind, Parts};
use crate::frame::At;
use crate::session::{Conversation, SessionEvent};
use crate::tcp::{LookUp, Near};

/// Segments that are looked up together: what their connections take fits into a core's second-level
/// cache beside all else.
const AHEAD: usize = 64;

/// Every `of`-th of a run's shards, from one of the first `of` on.
#[derive(Debug)]
pub struct Share {
    /// Each at its number in the run; those of other shares are not here.
    shards: Vec<Option<Shard>>,
}

/// What caused an event: the place of the item, and the shard that found the event out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cause {
    /// The item's place in the order of its batch.
    pub order: u32,
    /// The shard.
    pub shard: u16,
}

impl Share {
    /// Deals all shards of a run out into `of` shares.
    pub fn deal(all: Vec<Shard>, of: usize) -> Vec<Self> {
        let of = of.max(1);
        let empty = |_| Self { shards: all.iter().map(|_| None).collect() };
        let mut shares: Vec<_> = (0..of).map(empty).collect();
        for (no, shard) in all.into_iter().enumerate() {
            shares[no % of].shards[no] = Some(shard);
        }
        shares
    }

    /// Follows the items of a batch, which belong here, and tells what they cause, in order.
    pub fn follow(&mut self, batch: &mut Batch, tell: &mut impl FnMut(Cause, SessionEvent)) {
        let (items, parts, events) = batch.parts();
        for items in items.chunks(AHEAD) {
            let look_ups = self.look_ahead(items, parts);
            for (&Item { order, kind }, look_up) in items.iter().zip(look_ups) {
                match kind {
                    ItemKind::Segment(carried) => {
                        if let Some(own) = self.shards.get_mut(usize::from(carried.shard)).and_then(Option::as_mut)
                            && let Some(segment) = parts.segment(carried)
                        {
                            let cause = Cause { order, shard: carried.shard };
                            own.handle_segment(look_up, &segment, &mut |event| tell(cause, event));
                        }
                    }
                    ItemKind::Event => {
                        if let Some(event) = events.pop_front() {
                            tell(Cause { order, shard: 0 }, event);
                        }
                    }
                    ItemKind::Tick(now) => {
                        for (shard, cause) in Self::causes(&mut self.shards, order) {
                            shard.handle_tick(now, &mut |event| tell(cause, event));
                        }
                    }
                }
            }
        }
    }

    /// The end of the capture: all that is open closes.
    pub fn finish(&mut self, at: At, tell: &mut impl FnMut(Cause, SessionEvent)) {
        for no in 0..self.shards.len() {
            self.finish_shard(no, at, tell);
        }
    }

    /// The same for one shard of the run, if it is here.
    pub fn finish_shard(&mut self, no: usize, at: At, tell: &mut impl FnMut(Cause, SessionEvent)) {
        if let Some(own) = self.shards.get_mut(no).and_then(Option::as_mut) {
            let cause = Cause { order: u32::MAX, shard: no as u16 };
            own.finish(at, &mut |event| tell(cause, event));
        }
    }

    /// The shards.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().flatten()
    }

    fn causes(shards: &mut [Option<Shard>], order: u32) -> impl Iterator<Item = (&mut Shard, Cause)> {
        let all = shards.iter_mut().enumerate();
        all.filter_map(move |(no, shard)| Some((shard.as_mut()?, Cause { order, shard: no as u16 })))
    }

    /// Brings what the next items need near; changes nothing. Returns what each segment's key was looked up to.
    fn look_ahead(&self, items: &[Item], parts: Parts<'_>) -> [LookUp; AHEAD] {
        let (mut look_ups, mut places) = ([LookUp::default(); AHEAD], [None; AHEAD]);
        for ((look_up, place), item) in look_ups.iter_mut().zip(&mut places).zip(items) {
            if let ItemKind::Segment(carried) = item.kind
                && let Some(Some(own)) = self.shards.get(usize::from(carried.shard))
                && let Some(head) = parts.head(carried)
            {
                *look_up = own.look_up(&head.key);
                *place = look_up.likely.map(|place| (own, place, head, carried.speaks()));
            }
        }
        // One after the other: each leads to the next, and is there by then. Nothing is said without a payload.
        let (mut speaking, mut read) = ([None; AHEAD], 0);
        for ((own, place, head, speaks), speaking) in places.iter().flatten().zip(&mut speaking) {
            let near = own.near(*place);
            read ^= near.map_or(0, |near| near.touch(head));
            *speaking = near.filter(|_| *speaks);
        }
        read ^= touch_dialogues(&speaking);
        if let Some(&Item { kind: ItemKind::Segment(carried), .. }) = items.last()
            && let Some(head) = parts.head(carried)
        {
            let due = self.shards().flat_map(|own| own.due(head.at.ts).filter_map(|place| own.near(place)));
            let mut over = [None; AHEAD];
            for (near, over) in due.zip(&mut over) {
                read ^= near.touch_all();
                *over = Some(near);
            }
            read ^= touch_dialogues(&over);
        }
        black_box(read);
        look_ups
    }
}

/// Brings dialogues near, and then what they lead to.
fn touch_dialogues(all: &[Option<Near<'_, Box<Conversation>>>]) -> u64 {
    let all = || all.iter().flatten().map(|near| near.app());
    let read = all().fold(0, |read, dialogue| read ^ dialogue.touch());
    all().fold(read, |read, dialogue| read ^ dialogue.touch_behind())
}
