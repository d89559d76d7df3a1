//! Waiting and giving up: what to do when bytes do not come in the order in which they were sent.

use super::{Flow, Stall, index};
use crate::frame::At;
use crate::limits::TcpLimits;
use crate::net::Side;
use crate::tcp::assembler::Run;
use crate::tcp::event::StreamEvent;
use crate::tcp::half::{EDGE_SLACK, Half};
use crate::tcp::history::Repeated;
use crate::tcp::stats::TcpStats;
use crate::weird::Weird;

const SIDES: [Side; 2] = [Side::Orig, Side::Resp];

/// How much longer is waited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// As the limits say.
    Usual,
    /// Holes before held bytes are given up, whether they were acknowledged or not.
    NoRoom,
    /// All that is known to be missing is given up.
    None,
}

/// What one round of giving up came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GaveUp {
    Nothing,
    Something,
}

impl Flow {
    /// Hands on what can be, gives up what must be.
    pub(in crate::tcp) fn settle(
        &mut self,
        at: At,
        limits: &TcpLimits,
        stats: &mut TcpStats,
        emit: &mut impl FnMut(StreamEvent<'_>),
    ) {
        self.settle_with(Patience::Usual, at, limits, stats, emit);
        let over = |flow: &Self| {
            flow.held_cost() as usize > limits.held_flow_max
                || flow.halves.iter().any(|half| half.bytes.held() > limits.held_segments_max)
        };
        if over(self) {
            stats.held_flow_limit += 1;
            self.give_up_held(at, limits, stats, emit);
        }
    }

    /// Gives up every hole before held bytes: there is no room to wait.
    pub(in crate::tcp) fn give_up_held(
        &mut self,
        at: At,
        limits: &TcpLimits,
        stats: &mut TcpStats,
        emit: &mut impl FnMut(StreamEvent<'_>),
    ) {
        for half in self.halves.iter_mut().filter(|half| half.has_ended()) {
            stats.stray_bytes += half.bytes.clear();
        }
        self.settle_with(Patience::NoRoom, at, limits, stats, emit);
    }

    /// Gives up all that is missing: there will be no more.
    pub(super) fn give_up_all(
        &mut self,
        at: At,
        limits: &TcpLimits,
        stats: &mut TcpStats,
        emit: &mut impl FnMut(StreamEvent<'_>),
    ) {
        for half in &mut self.halves {
            // What the receiver had not allowed and never acknowledged was not part of the connection.
            if half.has_ended() || half.bytes.front().is_some_and(|chunk| chunk.stray && chunk.end() > half.acked) {
                stats.stray_bytes += half.bytes.clear();
            }
        }
        self.settle_with(Patience::None, at, limits, stats, emit);
    }

    fn settle_with(
        &mut self,
        patience: Patience,
        at: At,
        limits: &TcpLimits,
        stats: &mut TcpStats,
        emit: &mut impl FnMut(StreamEvent<'_>),
    ) {
        let mut moved = self.pump(at, stats, emit);
        while self.is_waiting() {
            if moved {
                self.stall = None;
            }
            self.stall.get_or_insert(Stall { since: at.ts, later: [0; 2] });
            if self.give_up(patience, at, limits, stats, emit) == GaveUp::Nothing {
                return;
            }
            moved = self.pump(at, stats, emit);
        }
        self.stall = None;
    }

    fn is_waiting(&self) -> bool {
        self.halves.iter().any(Half::is_waiting)
    }

    /// Hands on all held bytes that are in order and whose acknowledgements are covered; whether there were any.
    fn pump(&mut self, at: At, stats: &mut TcpStats, emit: &mut impl FnMut(StreamEvent<'_>)) -> bool {
        let mut moved = false;
        loop {
            let mut again = false;
            for side in SIDES {
                while self.hand_on(side, false, at, stats, emit) {
                    again = true;
                }
                again |= self.tell_fin(side, at, emit);
            }
            if !again {
                return moved;
            }
            moved = true;
        }
    }

    /// Hands on the first held chunk of a side, if it is in order and (unless `anyway`) acknowledges nothing that is missing.
    fn hand_on(
        &mut self,
        side: Side,
        anyway: bool,
        at: At,
        stats: &mut TcpStats,
        emit: &mut impl FnMut(StreamEvent<'_>),
    ) -> bool {
        let (own, peer) = self.own_and_peer(side);
        let Some(chunk) = own.bytes.front().filter(|_| !own.has_ended()) else { return false };
        let acked = chunk.acked.min(peer.fin);
        if acked > peer.bytes.next() && !anyway {
            return false;
        }
        let Some(chunk) = own.bytes.take_next() else { return false };
        match chunk.run() {
            Run::Bytes(bytes) => emit(StreamEvent::Data { side, at, offset: chunk.offset, acked, bytes }),
            Run::Lost(len) => {
                stats.truncated_bytes += u64::from(len);
                self.count_gap(side, u64::from(len), at, stats, emit);
            }
        }
        true
    }

    /// Tells a FIN once everything before it, on both sides, was handed on.
    fn tell_fin(&mut self, side: Side, at: At, emit: &mut impl FnMut(StreamEvent<'_>)) -> bool {
        let (own, peer) = self.own_and_peer(side);
        let due = own.fin_seen && !own.fin_told && own.bytes.next() >= own.fin;
        if !due || own.fin_acked.min(peer.fin) > peer.bytes.next() {
            return false;
        }
        own.fin_told = true;
        own.bytes.clear(); // Held before the FIN was seen, and behind it.
        emit(StreamEvent::Fin { side, at });
        true
    }

    /// Gives up one thing, if the time for it has come.
    fn give_up(
        &mut self,
        patience: Patience,
        at: At,
        limits: &TcpLimits,
        stats: &mut TcpStats,
        emit: &mut impl FnMut(StreamEvent<'_>),
    ) -> GaveUp {
        for side in SIDES {
            if (patience != Patience::Usual || self.is_overdue(side, at, limits))
                && let Some(until) = self.lost_until(side, patience)
            {
                let (own, _) = self.own_and_peer(side);
                let next = own.bytes.next();
                let more = own.bytes.held() > 0 || own.fin_seen;
                if until == next + 1 && !more {
                    own.fin = next; // Most likely a FIN that was not captured.
                } else {
                    let acked = own.acked_bytes() >= until;
                    own.bytes.skip_to(until);
                    if acked {
                        self.note(Weird::AckedUnseen, side, at, emit);
                    }
                    self.count_gap(side, until - next, at, stats, emit);
                }
                return GaveUp::Something;
            }
        }
        // What is left is in order and waits for bytes that nobody can prove lost (two segments that acknowledge each other,
        // or an acknowledgement from nowhere): it has waited long enough.
        for side in SIDES {
            if patience != Patience::Usual || self.is_overdue(side.other(), at, limits) {
                let (own, peer) = self.own_and_peer(side);
                own.fin_acked = own.fin_acked.min(peer.bytes.next());
                if self.hand_on(side, true, at, stats, emit) || self.tell_fin(side, at, emit) {
                    return GaveUp::Something;
                }
            }
        }
        GaveUp::Nothing
    }

    /// Whether the bytes that are missing of `side` have been waited for long enough.
    fn is_overdue(&self, side: Side, at: At, limits: &TcpLimits) -> bool {
        let Some(stall) = &self.stall else { return false };
        let (own, peer) = (&self.halves[index(side)], &self.halves[index(side.other())]);
        let unseen = own.frames == 0 && peer.frames >= u32::from(limits.reorder_segments);
        unseen || stall.later[index(side)] >= limits.reorder_segments || at.ts.since(stall.since) >= limits.reorder_wait
    }

    /// To where the hole of `side` at its place may be given up, if it has one.
    fn lost_until(&self, side: Side, patience: Patience) -> Option<u64> {
        let own = &self.halves[index(side)];
        let next = own.bytes.next();
        let acked = own.acked_bytes();
        let until = match own.bytes.front() {
            Some(chunk) if chunk.offset == next => return None,
            Some(chunk) if patience == Patience::Usual => chunk.offset.min(acked),
            Some(chunk) => chunk.offset.min(own.fin),
            None if own.fin_seen && patience != Patience::Usual => own.fin,
            // At the end, an acknowledgement alone proves a little, but not gigabytes.
            None if patience == Patience::None && own.frames > 0 => {
                acked.min(own.sent.max(next) + EDGE_SLACK).max(own.claimed.min(own.fin))
            }
            None if own.frames == 0 => acked,
            // The side itself must say that it sent them: an acknowledgement may be forged.
            None => own.claimed.min(acked),
        };
        (until > next).then_some(until)
    }

    fn count_gap(
        &mut self,
        side: Side,
        len: u64,
        at: At,
        stats: &mut TcpStats,
        emit: &mut impl FnMut(StreamEvent<'_>),
    ) {
        self.gaps = self.gaps.saturating_add(1);
        self.missed += len;
        stats.gaps += 1;
        stats.missed_bytes += len;
        self.history.repeated(side, Repeated::Gap);
        emit(StreamEvent::Gap { side, at, len });
    }
}
