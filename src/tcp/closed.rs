//! Connections that are over and told, remembered for as long as segments of them may still come.
//!
//! A connection that is followed costs kilobytes. Once it is over nobody needs them, but a late retransmission must not
//! look like a new connection met in the middle: so its ends stay known for a while, at less than a hundredth of the cost.

use std::collections::VecDeque;

use super::ConnId;
use super::index::Index;
use crate::decode::{SegmentHeader, TcpFlags};
use crate::net::{End, Endpoint, FlowKey, SeqNum};
use crate::time::Ts;

/// How far behind the end an acknowledgement may lie to be believed: a window without scaling. What lies further away is from
/// nowhere.
const BEHIND_MAX: i32 = 0x1_0000;

/// One of them.
struct Over {
    orig: Endpoint,
    resp: Endpoint,
    /// Numbers of the SYNs, originator's first.
    syns: [SeqNum; 2],
    /// Numbers behind their streams, originator's first.
    ends: [SeqNum; 2],
    until: Ts,
    hash: u32,
}

impl Over {
    fn is_of(&self, key: &FlowKey) -> bool {
        let (lower, upper) = (key.end(End::Lower), key.end(End::Upper));
        (self.orig == lower && self.resp == upper) || (self.orig == upper && self.resp == lower)
    }

    /// Whether a segment between the ends is of this connection and comes late: all are, but a SYN with another number, and
    /// payload that acknowledges what lies behind the end. Whoever sends that never saw the end (see
    /// [`Half::refute_end`](super::half::Half::refute_end)).
    fn takes(&self, head: &SegmentHeader) -> bool {
        let [orig, resp] = self.syns;
        let is_orig = head.key.end(head.from) == self.orig;
        if head.flags.has(TcpFlags::SYN) {
            return head.seq == if is_orig { orig } else { resp };
        }
        let [orig, resp] = self.ends;
        let behind = head.ack.since(if is_orig { resp } else { orig });
        !(head.flags.has(TcpFlags::ACK) && head.payload_len > 0 && (1..=BEHIND_MAX).contains(&behind))
    }
}

/// See the head of the module.
pub(super) struct ClosedConnections {
    index: Index,
    /// In the order in which they came, which is that of their numbers.
    queue: VecDeque<Over>,
    /// The number of the first in the queue; wraps.
    first: u32,
    max: usize,
}

impl ClosedConnections {
    /// Remembers at most `max`; the oldest goes first.
    pub(super) const fn new(max: usize) -> Self {
        Self { index: Index::new(), queue: VecDeque::new(), first: 0, max }
    }

    /// Takes in a connection until `until`.
    pub(super) fn insert(&mut self, hash: u32, id: &ConnId, syns: [SeqNum; 2], ends: [SeqNum; 2], until: Ts) {
        if self.queue.len() >= self.max {
            self.pop();
        }
        let no = self.first.wrapping_add(self.queue.len() as u32);
        self.index.insert(hash, no);
        self.queue.push_back(Over { orig: id.orig, resp: id.resp, syns, ends, until, hash });
    }

    /// Whether a segment belongs to one of them.
    pub(super) fn takes(&self, hash: u32, head: &SegmentHeader) -> bool {
        let get = |no: u32| self.queue.get(no.wrapping_sub(self.first) as usize);
        let is_it = |no| get(no).is_some_and(|over| over.is_of(&head.key) && over.takes(head));
        !self.queue.is_empty() && self.index.find(hash, is_it).is_some()
    }

    /// Forgets those whose time is over.
    pub(super) fn expire(&mut self, now: Ts) {
        while self.queue.front().is_some_and(|over| over.until <= now) {
            self.pop();
        }
    }

    pub(super) fn clear(&mut self) {
        while !self.queue.is_empty() {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(over) = self.queue.pop_front() {
            self.index.remove(over.hash, self.first);
            self.first = self.first.wrapping_add(1);
        }
    }
}
