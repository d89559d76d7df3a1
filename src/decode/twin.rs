//! One connection seen on both sides of address translation, recognised by its handshake.
//!
//! A tap that sees the network before and behind a NAT gateway sees each connection through it twice, under two
//! addresses, as two connections. A gateway changes one end's address, and often its port (RFC 3022 section 2.2); it
//! leaves the sequence numbers alone unless it is told to randomise them, and it lowers the TTL. So two SYNs are
//! candidates if, within [`DecodeLimits::twin_window`] of each other,
//!
//! - sequence number and window are the same;
//! - one end is the same, and the other one has another address;
//! - the TTLs differ, by [`TTL_APART_MAX`] at most.
//!
//! What a host sends alone proves nothing: a worm could forge the SYN of a neighbour with its own number and have its own
//! connection taken for a mere shadow of that. So both must be answered by the same SYN-ACK too: the server chooses its
//! number at random (RFC 6528), once for each SYN that it gets. Candidates are told at once, because attempts that come to
//! nothing are never answered; what is proven is told again.
//!
//! Which of the two is the outer one follows from the TTLs of the SYNs. If the caller's address was changed, the gateway
//! stands between the caller and the place where fewer hops were left; if the called address was, the other way round.
//!
//! Two tables of fixed size in which newer entries take the place of older ones, with fixed hashes: in a flood of SYNs a
//! pair may be missed, and is then told as two connections, as it would be without this room. Not recognised: gateways
//! that randomise sequence numbers or change both ends, and connections whose SYN was not captured.

use crate::limits::DecodeLimits;
use crate::net::{Ends, SeqNum, Translation};
use crate::time::{Span, Ts};

use super::segment::{SegmentHeader, TcpFlags};

/// Hops between the two places: the gateway, and a few routers beside it.
const TTL_APART_MAX: u8 = 4;

/// A SYN.
#[derive(Clone, Copy, Debug)]
struct Syn {
    ends: Ends,
    seq: SeqNum,
    window: u16,
    ttl: u8,
    ts: Ts,
}

/// Two SYNs that wait for their answer.
#[derive(Clone, Copy, Debug)]
struct Pair {
    inner: Ends,
    outer: Ends,
    /// The acknowledgement number that answers both.
    ack: SeqNum,
    /// The first SYN-ACK seen: to whom, and the server's number.
    answered: Option<(Ends, SeqNum)>,
}

/// Recognises pairs.
#[derive(Debug)]
pub struct TwinFinder {
    syns: Box<[Option<Syn>]>,
    /// The numbers of these, close together: most SYNs are no pair, and are not to wait for another one far away.
    numbers: Box<[SeqNum]>,
    pairs: Box<[Option<Pair>]>,
    /// Pairs there are: most networks have none.
    waiting: usize,
    window: Span,
}

impl TwinFinder {
    /// With limits.
    pub fn new(limits: &DecodeLimits) -> Self {
        let entries = limits.twin_entries.max(1).next_power_of_two();
        Self {
            syns: vec![None; entries].into(),
            numbers: vec![SeqNum(0); entries].into(),
            pairs: vec![None; entries].into(),
            waiting: 0,
            window: limits.twin_window,
        }
    }

    /// Looks at a segment with SYN set; other segments tell nothing here.
    pub fn handle(&mut self, head: &SegmentHeader) -> Option<Translation> {
        let (src, dst) = (head.key.end(head.from), head.key.end(head.from.other()));
        if head.flags.has(TcpFlags::ACK) {
            self.answer(Ends { orig: dst, resp: src }, head)
        } else {
            self.call(Ends { orig: src, resp: dst }, head)
        }
    }

    fn call(&mut self, ends: Ends, head: &SegmentHeader) -> Option<Translation> {
        let new = Syn { ends, seq: head.seq, window: head.window, ttl: head.ip.ttl, ts: head.at.ts };
        let place = self.place(head.seq);
        let same = std::mem::replace(&mut self.numbers[place], head.seq) == head.seq;
        let found = if same { self.syns[place].and_then(|old| old.pair(&new, self.window)) } else { None };
        self.syns[place] = Some(new);
        let (inner, outer) = found?;
        let ack = head.seq.plus(1);
        let place = self.place(ack);
        let before = self.pairs[place].replace(Pair { inner, outer, ack, answered: None });
        self.waiting += usize::from(before.is_none());
        Some(Translation { inner, outer, proven: false })
    }

    fn answer(&mut self, ends: Ends, head: &SegmentHeader) -> Option<Translation> {
        if self.waiting == 0 {
            return None;
        }
        let place = self.place(head.ack);
        let pair = self.pairs[place].as_mut()?;
        if pair.ack != head.ack || (ends != pair.inner && ends != pair.outer) {
            return None;
        }
        match pair.answered {
            Some((other, seq)) if other != ends => {
                let Pair { inner, outer, .. } = *pair;
                self.pairs[place] = None;
                self.waiting -= 1;
                (seq == head.seq).then_some(Translation { inner, outer, proven: true })
            }
            // The first one, or a repetition of it.
            _ => {
                pair.answered = Some((ends, head.seq));
                None
            }
        }
    }

    /// Where in a table: the same in every run. The odd factor (2^32 divided by the golden ratio) spreads numbers that are
    /// counted up.
    fn place(&self, number: SeqNum) -> usize {
        let spread = number.0.wrapping_mul(0x9e37_79b1);
        ((u64::from(spread) * self.syns.len() as u64) >> 32) as usize
    }
}

impl Syn {
    /// The inner and the outer ends, if the two can be one SYN before and behind a gateway.
    fn pair(&self, new: &Self, window: Span) -> Option<(Ends, Ends)> {
        let apart = new.ts.since(self.ts).as_nanos().unsigned_abs();
        let same = (self.seq, self.window) == (new.seq, new.window) && apart <= window.as_nanos().unsigned_abs();
        if !same || self.ttl == new.ttl || self.ttl.abs_diff(new.ttl) > TTL_APART_MAX {
            return None;
        }
        // `near` is nearer to the caller.
        let (near, far) = if self.ttl > new.ttl { (self.ends, new.ends) } else { (new.ends, self.ends) };
        if near.resp == far.resp && near.orig.host != far.orig.host {
            Some((near, far))
        } else if near.orig == far.orig && near.resp.host != far.resp.host {
            Some((far, near))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
