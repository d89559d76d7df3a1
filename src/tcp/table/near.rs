//! Looking a connection up ahead of its segment, so that its memory is near by then.

use super::Entry;
use crate::decode::SegmentHeader;

/// Where to look for a connection.
#[derive(Clone, Copy, Default, Debug)]
pub struct LookUp {
    /// Of the key, under the table's random seed.
    pub(super) hash: u32,
    /// Where the connection probably stands: the place may be of another one with the same hash, or be another's by the time it
    /// is needed.
    pub(crate) likely: Option<u32>,
}

/// A connection that a segment probably belongs to, or that will soon be told.
pub struct Near<'a, A>(pub(super) &'a Entry<A>);

impl<A> Clone for Near<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Near<'_, A> {}

impl<'a, A> Near<'a, A> {
    /// Reads something of each line of memory that a segment in order needs; the number means nothing.
    pub fn touch(self, head: &SegmentHeader) -> u64 {
        let Entry { start, flow, hash, .. } = self.0;
        let side = flow.side(head.from);
        // The hash stands beside what the caller keeps.
        let spoken = if head.payload_len > 0 { flow.touch_tail(side) ^ u64::from(*hash) } else { 0 };
        let history = if flow.is_news(side, head) { flow.touch_history() } else { 0 };
        start.first.0 ^ flow.touch() ^ spoken ^ history
    }

    /// The same of what is needed to tell it.
    pub fn touch_all(self) -> u64 {
        let Entry { start, flow, hash, .. } = self.0;
        start.first.0 ^ flow.touch() ^ flow.touch_history() ^ u64::from(*hash)
    }

    /// What the caller keeps of it.
    pub const fn app(self) -> &'a A {
        &self.0.app
    }
}
