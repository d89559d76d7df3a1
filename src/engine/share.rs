//! The shards of one thread, and how a batch goes through them.
//!
//! **Looking ahead.** Thousands of dialogues are open at once, and their frames come mixed: nearly every segment finds its
//! connection outside the processor's fast caches, and following one after the other would wait for memory a dozen times a
//! segment, each time for nothing else. So all connections of the next segments are looked up first, in loops that do
//! nothing but touch: a processor runs many such iterations at once, and the waits coincide. What was seen then is a guess
//! (a segment before may end the connection), so it is only ever used to bring memory near.

use std::hint::black_box;

use super::Shard;
use super::batch::{Batch, Item, ItemKind};
use crate::session::SessionEvent;

/// Segments that are looked up together: what their connections take (some 4 KB each) fits into a core's second-level
/// cache beside all else.
const AHEAD: usize = 64;

/// Every `of`-th of a run's shards, from one of the first `of` on.
#[derive(Debug)]
pub struct Share {
    shards: Vec<Shard>,
    first: usize,
    of: usize,
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
        let mut shares: Vec<_> = (0..of).map(|first| Self { shards: Vec::new(), first, of }).collect();
        for (no, shard) in all.into_iter().enumerate() {
            shares[no % of].shards.push(shard);
        }
        shares
    }

    /// Follows the items of a batch, which belong here, and tells what they cause, in order.
    pub fn follow(&mut self, batch: &Batch, tell: &mut impl FnMut(Cause, SessionEvent)) {
        for items in batch.items().chunks(AHEAD) {
            self.look_ahead(items);
            for Item { order, kind } in items {
                let order = *order;
                match kind {
                    &ItemKind::Segment { ref head, shard, options, at, payload } => {
                        let (options, payload) = batch.bytes_of(at, options, payload);
                        if let Some(own) = self.shards.get_mut(usize::from(shard) / self.of) {
                            let cause = Cause { order, shard };
                            own.handle_segment(head, options, payload, &mut |event| tell(cause, event));
                        }
                    }
                    &ItemKind::Tick(now) => {
                        for (shard, cause) in Self::causes(&mut self.shards, self.first, self.of, order) {
                            shard.handle_tick(now, &mut |event| tell(cause, event));
                        }
                    }
                }
            }
        }
    }

    /// The end of the capture: all that is open closes.
    pub fn finish(&mut self, at: crate::frame::At, tell: &mut impl FnMut(Cause, SessionEvent)) {
        for (shard, cause) in Self::causes(&mut self.shards, self.first, self.of, u32::MAX) {
            shard.finish(at, &mut |event| tell(cause, event));
        }
    }

    /// The shards.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    fn causes(shards: &mut [Shard], first: usize, of: usize, order: u32) -> impl Iterator<Item = (&mut Shard, Cause)> {
        let cause = move |no: usize| Cause { order, shard: (first + no * of) as u16 };
        shards.iter_mut().enumerate().map(move |(no, shard)| (shard, cause(no)))
    }

    /// Brings what the next items need near; changes nothing.
    fn look_ahead(&self, items: &[Item]) {
        let mut places = [None; AHEAD];
        for (place, item) in places.iter_mut().zip(items) {
            if let ItemKind::Segment { head, shard, .. } = &item.kind {
                let own = self.shards.get(usize::from(*shard) / self.of);
                *place = own.and_then(|own| own.guess(&head.key).map(|place| (own, place)));
            }
        }
        let guessed = || places.iter().flatten();
        black_box(guessed().fold(0, |sum, (own, place)| sum ^ own.touch_flow(*place)));
        black_box(guessed().fold(0, |sum, (own, place)| sum ^ own.touch_conversation(*place)));
    }
}
