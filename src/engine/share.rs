//! The shards of one thread, and how a batch goes through them.
//!
//! **Looking ahead.** Thousands of dialogues are open at once, and their frames come mixed: nearly every segment finds its
//! connection outside the processor's fast caches, and following one after the other would wait for memory a dozen times a
//! segment, each time for nothing else. So all connections of the next segments are looked up first, in loops that do
//! nothing but touch: a processor runs many such iterations at once, and the waits coincide. What was seen then is a guess
//! (a segment before may end the connection), so it only brings memory near, and says where to look first; the table looks
//! whether it is still so. (The dialogues are not touched: that cost as much as it brought.)

use std::hint::black_box;

use super::Shard;
use super::batch::{Batch, Item, ItemKind};
use crate::frame::At;
use crate::session::SessionEvent;
use crate::tcp::LookUp;

/// Segments that are looked up together: what their connections take fits into a core's second-level
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
    pub fn follow(&mut self, batch: &mut Batch, tell: &mut impl FnMut(Cause, SessionEvent)) {
        let (items, bytes) = batch.parts();
        for items in items.chunks_mut(AHEAD) {
            let look_ups = self.look_ahead(items);
            for (Item { order, kind }, look_up) in items.iter_mut().zip(look_ups) {
                let order = *order;
                match kind {
                    &mut ItemKind::Segment { ref head, shard, options, at, payload } => {
                        let rest = bytes.get(at as usize..).unwrap_or_default();
                        let (options, rest) = rest.split_at_checked(usize::from(options)).unwrap_or_default();
                        let payload = rest.get(..payload as usize).unwrap_or_default();
                        if let Some(own) = self.shards.get_mut(usize::from(shard) / self.of) {
                            let cause = Cause { order, shard };
                            own.handle_segment(look_up, head, options, payload, &mut |event| tell(cause, event));
                        }
                    }
                    ItemKind::Event(event) => {
                        if let Some(event) = event.take() {
                            tell(Cause { order, shard: 0 }, *event);
                        }
                    }
                    &mut ItemKind::Tick(now) => {
                        for (shard, cause) in Self::causes(&mut self.shards, self.first, self.of, order) {
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
            self.finish_shard(self.first + no * self.of, at, tell);
        }
    }

    /// The same for one shard of the run, if it is here.
    pub fn finish_shard(&mut self, no: usize, at: At, tell: &mut impl FnMut(Cause, SessionEvent)) {
        if no % self.of == self.first
            && let Some(own) = self.shards.get_mut(no / self.of)
        {
            let cause = Cause { order: u32::MAX, shard: no as u16 };
            own.finish(at, &mut |event| tell(cause, event));
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

    /// Brings what the next items need near; changes nothing. Returns what each segment's key was looked up to.
    fn look_ahead(&self, items: &[Item]) -> [LookUp; AHEAD] {
        let (mut look_ups, mut places) = ([LookUp::default(); AHEAD], [None; AHEAD]);
        for ((look_up, place), item) in look_ups.iter_mut().zip(&mut places).zip(items) {
            if let ItemKind::Segment { head, shard, .. } = &item.kind
                && let Some(own) = self.shards.get(usize::from(*shard) / self.of)
            {
                *look_up = own.look_up(&head.key);
                *place = look_up.likely.map(|place| (own, place));
            }
        }
        black_box(places.iter().flatten().fold(0, |sum, (own, place)| sum ^ own.touch_flow(*place)));
        if let Some(ItemKind::Segment { head, .. }) = items.last().map(|item| &item.kind) {
            let all = self.shards.iter().flat_map(|own| own.due(head.at.ts).map(move |place| (own, place)));
            black_box(all.take(AHEAD).fold(0, |sum, (own, place)| sum ^ own.touch_flow(place)));
        }
        look_ups
    }
}
