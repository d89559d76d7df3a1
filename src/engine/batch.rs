//! What the front made of some frames, for the shards of one thread.
//!
//! Frames are not followed one by one but some hundred at a time: a thread that hands over to another one does it seldom, and
//! a thread that goes on itself stays in one piece of code for a while and can look ahead (`share`).

use std::collections::VecDeque;

use super::front::FrontItem;
use super::{question, shard_of};
use crate::decode::{Segment, SegmentHeader};
use crate::frame::At;
use crate::session::{SessionEvent, SessionEventKind};

/// Segments and ticks in the order of their frames. What segments are made of is copied together: headers with headers, options
/// and payload with those of the others.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<Item>,
    heads: Vec<SegmentHeader>,
    bytes: Vec<u8>,
    /// What belongs to no shard; taken out when its turn has come.
    events: VecDeque<SessionEvent>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Its place in the order of all batches that were filled together.
    pub(super) order: u32,
    pub(super) kind: ItemKind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ItemKind {
    Segment(Carried),
    /// The next one of those.
    Event,
    Tick(At),
}

/// Where the parts of a segment lie in its batch, and for which shard it is; the payload follows the options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    pub(super) shard: u16,
    options: u8,
    head: u32,
    at: u32,
    payload: u32,
}

/// What segments of a batch are made of.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    heads: &'a [SegmentHeader],
    bytes: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The headers of a segment of this batch.
    #[inline]
    pub(super) fn head(self, of: Carried) -> Option<&'a SegmentHeader> {
        self.heads.get(of.head as usize)
    }

    /// All of it.
    #[inline]
    pub(super) fn segment(self, of: Carried) -> Option<Segment<'a>> {
        let rest = self.bytes.get(of.at as usize..)?;
        let (options, rest) = rest.split_at_checked(usize::from(of.options))?;
        Some(Segment { head: self.head(of)?, options, payload: rest.get(..of.payload as usize)? })
    }
}

impl Carried {
    /// Whether anything is said.
    pub(super) const fn speaks(self) -> bool {
        self.payload > 0
    }
}

impl Batch {
    /// Adds an item of the front with its place in the order, for a run with so many shards.
    #[expect(clippy::inline_always, reason = "where an item comes from, it is known what it is")]
    #[inline(always)]
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
        self.items.push(Item { order, kind: ItemKind::Event });
        self.events.push_back(event);
    }

    /// Adds a segment for a shard.
    #[inline]
    pub fn push_segment(&mut self, order: u32, segment: &Segment<'_>, shard: usize) {
        let &Segment { head, options, payload } = segment;
        let carried = Carried {
            shard: shard as u16,
            options: options.len() as u8, // 40 at most
            head: self.heads.len() as u32,
            at: self.bytes.len() as u32,
            payload: payload.len() as u32,
        };
        // As a slice: so it is copied from where it lies, and not by way of the stack.
        self.heads.extend_from_slice(std::slice::from_ref(head));
        self.bytes.extend_from_slice(options);
        self.bytes.extend_from_slice(payload);
        self.items.push(Item { order, kind: ItemKind::Segment(carried) });
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
        self.heads.clear();
        self.bytes.clear();
        self.events.clear();
    }

    /// The items, what segments among them are made of, and the events among them.
    pub(super) fn parts(&mut self) -> (&[Item], Parts<'_>, &mut VecDeque<SessionEvent>) {
        (&self.items, Parts { heads: &self.heads, bytes: &self.bytes }, &mut self.events)
    }
}
