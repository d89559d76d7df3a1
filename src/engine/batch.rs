//! What the front made of some frames, for the shards of one thread.
//!
//! Frames are not followed one by one but some hundred at a time: a thread that hands over to another one does it seldom, and
//! a thread that goes on itself stays in one piece of code for a while and can look ahead (`share`).

use super::front::FrontItem;
use super::{question, shard_of};
use crate::decode::{Segment, SegmentHeader};
use crate::frame::At;
use crate::session::{SessionEvent, SessionEventKind};

/// Segments and ticks in the order of their frames; options and payload are copied together.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<Item>,
    bytes: Vec<u8>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Item {
    /// Its place in the order of all batches that were filled together.
    pub(super) order: u32,
    pub(super) kind: ItemKind,
}

#[derive(Debug)]
pub(super) enum ItemKind {
    /// The payload follows the options.
    Segment {
        head: SegmentHeader,
        shard: u16,
        options: u8,
        at: u32,
        payload: u32,
    },
    /// Taken out when its turn has come.
    Event(Option<Box<SessionEvent>>),
    Tick(At),
}

impl Batch {
    /// Adds an item of the front with its place in the order, for a run with so many shards.
    #[inline]
    pub fn push(&mut self, order: u32, item: FrontItem<'_>, shards: usize) {
        match item {
            FrontItem::Segment(segment) => self.push_segment(order, segment, shard_of(&segment.head.key, shards)),
            FrontItem::Asked(asked) => self.push_event(order, question(asked)),
            FrontItem::Told(told) => {
                let kind = SessionEventKind::Told(told.facts.into());
                self.push_event(order, SessionEvent { at: told.at, kind });
            }
            FrontItem::Translated(at, translation) => {
                self.push_event(order, SessionEvent { at, kind: SessionEventKind::Translated(translation) });
            }
            FrontItem::Tick(now) => self.push_tick(order, now),
        }
    }

    /// Adds what belongs to no shard: one thread carries it along, so that its place in the order is found.
    #[cold]
    pub fn push_event(&mut self, order: u32, event: SessionEvent) {
        self.items.push(Item { order, kind: ItemKind::Event(Some(Box::new(event))) });
    }

    /// Adds a segment for a shard.
    #[inline]
    pub fn push_segment(&mut self, order: u32, segment: &Segment<'_>, shard: usize) {
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(segment.options);
        self.bytes.extend_from_slice(segment.payload);
        let kind = ItemKind::Segment {
            head: *segment.head,
            shard: shard as u16,
            options: segment.options.len() as u8, // 40 at most
            at,
            payload: segment.payload.len() as u32,
        };
        self.items.push(Item { order, kind });
    }

    /// Adds a tick.
    #[cold]
    pub fn push_tick(&mut self, order: u32, now: At) {
        self.items.push(Item { order, kind: ItemKind::Tick(now) });
    }

    /// Items in it.
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is in it.
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes of options and payload in it.
    pub const fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes everything out and keeps the room.
    pub fn clear(&mut self) {
        self.items.clear();
        self.bytes.clear();
    }

    /// The items, and the bytes of them all.
    pub(super) fn parts(&mut self) -> (&mut [Item], &[u8]) {
        (&mut self.items, &self.bytes)
    }
}
