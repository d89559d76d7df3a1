//! One connection: what its segments do to its two streams.
//!
//! Read first: RFC 9293 sections 3.4 (sequence numbers), 3.8.4 (keep-alives), 3.10.7 (arrival of segments); RFC 5961 (blind
//! attacks). A passive reader sees neither stack: it takes what the receiver would take, as far as the wire shows it, and where
//! it cannot know, prefers to lose nothing.
//!
//! **Waiting.** Bytes wait for two reasons: the bytes before them are missing, or they acknowledge bytes of the other side that
//! were not handed on yet. The second comes from captures that mix two mirrored directions, or a card's queues, and show a reply before
//! its command; handing it on as captured would make an early talker of every such server and a pipeliner of every client.
//! It costs one comparison a segment, and nothing is held in a capture that is in order. Both waits are bounded alike: a hole
//! is given up ([`Flow::settle`]) once the receiver has acknowledged past it *and* the sender went on (`reorder_segments`
//! later ones) or time did (`reorder_wait`); at once where one side is not captured at all; by the limits on what is held; and
//! by the end of the connection. A hole that was *not* acknowledged is a loss on the network: its retransmission is waited
//! for as long as the limits allow. A forged ACK gives nothing up by itself, because the side whose bytes are
//! missing must have gone on itself; where it is silent, what waited for it is handed on without a gap.
//!
//! A hole of exactly one byte at the end, with nothing behind it, is taken for a FIN that was not captured.

use super::ConnStart;
use super::assembler::Run;
use super::event::StreamEvent;
use super::half::{EDGE_SLACK, Half, Scale, WINDOW_MAX};
use super::history::{History, Repeated};
use super::stats::TcpStats;
use super::{Connection, SynSignature};
use crate::decode::{Segment, SegmentHeader, TcpFlags};
use crate::frame::At;
use crate::limits::TcpLimits;
use crate::net::{End, SeqNum, Side};
use crate::time::Ts;
use crate::weird::{Weird, WeirdSet};

mod settle;

/// On which of the table's lists a flow belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// No payload yet.
    Quiet,
    /// Payload was seen.
    Active,
    /// Both sides, or the only one that is seen, have ended; the last ACKs or bytes may be still to come.
    Closing,
    /// It carried something and is over: there was a RST, or both FINs were acknowledged and all before them was handed on.
    /// What may still come is in flight, or sent again.
    Closed,
}

impl Phase {
    /// Whether the connection ended by itself.
    pub(super) const fn has_ended(self) -> bool {
        matches!(self, Self::Closing | Self::Closed)
    }
}

/// Since when bytes wait, and how many segments of each side came since that lie behind its hole.
#[derive(Clone, Copy)]
struct Stall {
    since: Ts,
    later: [u8; 2],
}

/// See the head of the module. The fields stand in the order of how often they are needed: the first 64 bytes and the first
/// of each half with every segment, the rest seldom.
#[repr(C)]
pub(super) struct Flow {
    /// The last frame.
    pub(super) last: At,
    /// When the table last put it at the young end of its list, on which list, and its other marks.
    pub(super) mark: Mark,
    stall: Option<Stall>,
    /// Which end of the key is the originator.
    orig_end: End,
    /// Payload was seen.
    carried: bool,
    /// For each side, which kinds of segments mean nothing new to `history`.
    told: [Told; 2],
    halves: [Half; 2],
    weird: WeirdSet,
    missed: u64,
    gaps: u32,
    history: History,
}

/// What the table notes of a flow.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    /// When it was last put at the young end of its list.
    pub(super) touched: Ts,
    /// The list.
    pub(super) list: Phase,
    /// An attempt with the same ends stands beside it.
    pub(super) shadowed: bool,
    /// It stands in the queue of those that wait.
    pub(super) queued: bool,
}

/// Whether a side's bare ACKs and payload stand in the history, and moved its state.
#[derive(Clone, Copy, Default)]
struct Told {
    ack: bool,
    data: bool,
}

/// Whether a segment with these flags acknowledges, or brings data, and does nothing else.
const fn is_plain(flags: TcpFlags) -> bool {
    flags.has(TcpFlags::ACK) && !flags.any(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST)
}

const fn index(side: Side) -> usize {
    match side {
        Side::Orig => 0,
        Side::Resp => 1,
    }
}

/// What the parts of [`Flow::handle`] share of one segment.
#[derive(Clone, Copy)]
struct Arrival {
    side: Side,
    at: At,
    /// Where the segment begins in its side's stream.
    offset: i64,
    /// What it acknowledges of the other side's.
    acked: u64,
    /// It lies where the receiver had not allowed anything.
    stray: bool,
}

impl Flow {
    /// A connection of which nothing was seen yet.
    pub(super) fn new(orig_end: End, flipped: bool) -> Self {
        let mut history = History::new();
        if flipped {
            history.flipped();
        }
        Self {
            last: At::default(),
            mark: Mark { touched: Ts::EPOCH, list: Phase::Quiet, shadowed: false, queued: false },
            stall: None,
            orig_end,
            carried: false,
            told: [Told::default(); 2],
            halves: [Half::new(), Half::new()],
            weird: WeirdSet::default(),
            missed: 0,
            gaps: 0,
            history,
        }
    }

    /// A connection whose originator sent `syns` SYNs with this number and signature, the last one at `last`.
    pub(super) fn after_syn(orig_end: End, isn: SeqNum, syn: &SynSignature, syns: u32, last: At) -> Self {
        let mut flow = Self::new(orig_end, false);
        let flags = TcpFlags(TcpFlags::SYN);
        flow.history.segment(Side::Orig, flags, isn, 0);
        flow.history.advance(Side::Orig, flags, 0);
        flow.last = last;
        let [orig, resp] = &mut flow.halves;
        orig.learn_syn(isn, Scale::of(syn.scale));
        orig.frames = syns;
        resp.edge = u64::from(syn.wsize);
        flow
    }

    /// Reads something of each line of memory that a segment in order needs.
    pub(super) fn touch(&self) -> u64 {
        let [orig, resp] = &self.halves;
        self.last.frame.0 ^ orig.touch() ^ resp.touch()
    }

    /// The same of what the payload of a side needs beside that.
    pub(super) fn touch_tail(&self, side: Side) -> u64 {
        self.halves[index(side)].bytes.touch_tail()
    }

    /// The same of what a segment needs that is news to the history, and of what is told of the connection at its end.
    pub(super) fn touch_history(&self) -> u64 {
        self.history.touch() ^ self.missed
    }

    /// Whether a segment of a side is news to the history.
    pub(super) fn is_news(&self, side: Side, head: &SegmentHeader) -> bool {
        let told = self.told[index(side)];
        let known = if head.payload_len > 0 { told.data } else { told.ack };
        !known || !is_plain(head.flags)
    }

    /// The side that a segment from `end` belongs to.
    pub(super) fn side(&self, end: End) -> Side {
        if end == self.orig_end { Side::Orig } else { Side::Resp }
    }

    /// Where the flow stands in its life.
    pub(super) fn phase(&self) -> Phase {
        let [orig, resp] = &self.halves;
        let alone = |seen: &Half, other: &Half| seen.fin_told && other.frames == 0;
        let reset = orig.reset || resp.reset;
        if reset || (orig.fin_seen && resp.fin_seen) || alone(orig, resp) || alone(resp, orig) {
            let over = reset || (orig.is_over() && resp.is_over());
            if over && self.carried { Phase::Closed } else { Phase::Closing }
        } else if self.carried {
            Phase::Active
        } else {
            Phase::Quiet
        }
    }

    /// Whether bytes wait.
    pub(super) fn is_stalled(&self) -> bool {
        self.stall.is_some()
    }

    /// What is held, in bytes with bookkeeping.
    pub(super) fn held_cost(&self) -> u32 {
        self.halves[0].bytes.cost() + self.halves[1].bytes.cost()
    }

    /// Whether a SYN or SYN-ACK of `side` with this number is part of this connection, or may be.
    pub(super) fn fits_syn(&self, side: Side, seq: SeqNum) -> bool {
        self.halves[index(side)].fits_syn(seq)
    }

    /// The numbers of the SYNs of both sides (originator first), or what they must have been.
    pub(super) fn syns(&self) -> [SeqNum; 2] {
        self.halves.each_ref().map(Half::syn)
    }

    /// The numbers behind all that is known of both streams (originator's first).
    pub(super) fn ends(&self) -> [SeqNum; 2] {
        self.halves.each_ref().map(Half::end_seq)
    }

    /// Whether a segment of `side` lies near where the connection stands.
    pub(super) fn is_near(&self, side: Side, seq: SeqNum) -> bool {
        let half = &self.halves[index(side)];
        half.is_known() && (half.offset(seq) - half.bytes.next().cast_signed()).unsigned_abs() <= EDGE_SLACK
    }

    /// Notes a SYN that belongs to another connection between the same ends.
    pub(super) fn note_foreign_syn(&mut self, side: Side, at: At, emit: &mut impl FnMut(StreamEvent<'_>)) {
        self.note(Weird::SynInsideConnection, side, at, emit);
    }

    /// Takes in one segment.
    pub(super) fn handle(
        &mut self,
        side: Side,
        segment: &Segment<'_>,
        limits: &TcpLimits,
        stats: &mut TcpStats,
        emit: &mut impl FnMut(StreamEvent<'_>),
    ) {
        let head = &segment.head;
        let (flags, at, len) = (head.flags, head.at, head.payload_len);
        let (syn, fin, rst) = (flags.has(TcpFlags::SYN), flags.has(TcpFlags::FIN), flags.has(TcpFlags::RST));
        self.last = at;
        self.halves[index(side)].frames = self.halves[index(side)].frames.saturating_add(1);
        let control = syn || fin || rst;
        let new = self.is_news(side, head);
        if new {
            self.history.segment(side, flags, head.seq, len);
            let told = &mut self.told[index(side)];
            *(if len > 0 { &mut told.data } else { &mut told.ack }) |= is_plain(flags);
        }
        if head.window == 0 && !rst && self.history.window_matters(side) {
            self.history.repeated(side, Repeated::ZeroWindow);
        }
        if control {
            if (syn && (fin || rst)) || (fin && rst) {
                self.note(Weird::BadFlags, side, at, emit);
            }
            if rst {
                self.handle_reset(side, segment, limits, stats, emit);
                return;
            }
            if syn && fin {
                return; // No stack sends it; whoever does means the reader.
            }
        }

        let (own, peer) = self.own_and_peer(side);
        if syn {
            own.learn_syn(head.seq, Scale::of(SynSignature::scale_in(segment.options)));
        }
        own.learn_segment(head.seq.plus(u32::from(syn)), len);
        let offset = own.offset(head.seq) + i64::from(syn);
        let ahead = offset - own.bytes.next().cast_signed();
        if ahead.unsigned_abs() > WINDOW_MAX {
            self.note(Weird::OutOfWindow, side, at, emit);
            return;
        }
        let reached = (offset + i64::from(len)).max(0) as u64;
        let stray = own.edge > 0 && reached > own.edge + EDGE_SLACK;
        let (mut acked, mut fresh, mut refuted) = (0, false, None);
        if flags.has(TcpFlags::ACK) {
            peer.learn_ack(head.ack);
            let shift = if syn { 0 } else { own.window_shift(peer.scale) };
            acked = peer.offset(head.ack).max(0) as u64;
            if acked > peer.bytes.next() + WINDOW_MAX {
                acked = 0; // From nowhere: it says nothing.
            } else if !stray {
                refuted = peer.refute_end(acked);
                // Only from now on is a hole known to be one of the capture; the wait for it begins.
                fresh = peer.acked <= peer.bytes.next() && acked > peer.bytes.next();
                peer.acked = peer.acked.max(acked);
                peer.doubt_fin(acked.saturating_sub(1));
                peer.edge = peer.edge.max(acked + (u64::from(head.window) << shift));
            }
            acked = acked.min(peer.fin);
        }
        let again = len > 0 && reached + u64::from(fin) <= own.sent;
        if !stray {
            own.sent = own.sent.max(reached + u64::from(fin));
            if ahead > 0 {
                own.claimed = own.claimed.max(offset.max(0) as u64);
            }
        }
        if fresh {
            self.stall = None;
        }
        if let Some(weird) = refuted {
            self.note(weird, side.other(), at, emit);
        }
        if let Some(stall) = &mut self.stall
            && ahead > 0
        {
            let later = &mut stall.later[index(side)];
            *later = later.saturating_add(1);
        }
        if again {
            self.history.repeated(side, Repeated::Retransmission);
        }
        if new {
            self.history.advance(side, flags, len);
        }
        if stray {
            self.note(Weird::OutOfWindow, side, at, emit);
        }
        if flags.has(TcpFlags::URG) {
            self.note(Weird::UrgentData, side, at, emit);
        }
        let arrival = Arrival { side, at, offset, acked, stray };
        if len > 0 {
            self.carried = true;
            if syn {
                self.note(Weird::SynData, side, at, emit);
            }
            self.handle_payload(&arrival, segment, stats, emit);
        }
        if fin {
            self.handle_fin(&arrival, len, emit);
        }
        if self.stall.is_some() || self.halves[0].is_waiting() || self.halves[1].is_waiting() {
            self.settle(at, limits, stats, emit);
        }
    }

    fn own_and_peer(&mut self, side: Side) -> (&mut Half, &mut Half) {
        let [orig, resp] = &mut self.halves;
        match side {
            Side::Orig => (orig, resp),
            Side::Resp => (resp, orig),
        }
    }

    /// Tells of an oddity, of each kind once a connection.
    fn note(&mut self, weird: Weird, side: Side, at: At, emit: &mut impl FnMut(StreamEvent<'_>)) {
        if !self.weird.contains(weird) {
            self.weird.insert(weird);
            emit(StreamEvent::Weird { side, at, weird });
        }
    }

    /// Hands on payload, or holds it.
    ///
    /// - Bytes before the place where the stream stands were handed on: they are compared and dropped.
    /// - A single byte just before it is a keep-alive; its content means nothing.
    /// - Bytes after a FIN or a RST are not part of the stream, unless its receiver takes them (see [`Half::refute_end`]).
    /// - What the capture cut off is a gap behind what it kept.
    fn handle_payload(
        &mut self,
        arrival: &Arrival,
        segment: &Segment<'_>,
        stats: &mut TcpStats,
        emit: &mut impl FnMut(StreamEvent<'_>),
    ) {
        let &Arrival { side, at, offset, acked, stray } = arrival;
        let len = segment.head.payload_len;
        let mut captured = segment.payload.get(..len as usize).unwrap_or(segment.payload);
        let mut lost = len - captured.len() as u32;
        let (own, peer) = self.own_and_peer(side);
        if own.reset {
            stats.after_close += 1;
            if !stray {
                own.hold_after_end(offset, captured, acked);
            }
            return;
        }
        let next = own.bytes.next().cast_signed();
        let mut end = offset + i64::from(len);
        if len == 1 && end == next {
            stats.keep_alives += 1;
            return;
        }
        own.doubt_fin(end.max(0) as u64);
        let mut after_fin = false;
        if end > 0 && end as u64 > own.fin {
            after_fin = true;
            if own.fin_told && !stray {
                own.hold_after_end(offset, captured, acked);
            }
            let over = (end as u64 - own.fin).min(u64::from(len)) as u32;
            let kept = ((len - over) as usize).min(captured.len());
            lost = (len - over) - kept as u32;
            captured = &captured[..kept];
            end -= i64::from(over);
        }
        let mut disagrees = false;
        let mut from = offset;
        if offset < next {
            let old = (next - offset) as usize;
            let (before, rest) = captured.split_at(old.min(captured.len()));
            // Bytes before the beginning of a stream that was met in the middle are unknown.
            if let Ok(start) = u64::try_from(offset) {
                disagrees = own.bytes.compare_old(start, before).disagrees;
            }
            lost -= (old - before.len()).min(lost as usize) as u32;
            captured = rest;
            from = next;
        }
        if end > next {
            let start = from as u64;
            let total = captured.len() as u64 + u64::from(lost);
            if from == next && acked <= peer.bytes.next() && own.bytes.is_free(total) && !captured.is_empty() {
                emit(StreamEvent::Data { side, at, offset: start, acked, bytes: captured });
                own.bytes.advance(captured);
                captured = &[];
            } else if from == next {
                stats.ahead_of_other_side += u64::from(acked > peer.bytes.next());
            } else {
                stats.out_of_order += 1;
            }
            if !captured.is_empty() {
                disagrees |= own.bytes.hold(start, Run::Bytes(captured), acked, stray).disagrees;
            }
            if lost > 0 {
                own.bytes.hold(end as u64 - u64::from(lost), Run::Lost(lost), acked, stray);
            }
        } else if !after_fin {
            stats.retransmissions += 1;
        }
        if disagrees {
            stats.overlaps_disagree += 1;
            self.note(Weird::OverlapDisagrees, side, at, emit);
        }
        if after_fin && self.halves[index(side)].fin_seen {
            self.note(Weird::DataAfterFin, side, at, emit);
        }
    }

    /// Notes where a side's stream ends. The FIN stands behind the payload of its segment.
    fn handle_fin(&mut self, arrival: &Arrival, len: u32, emit: &mut impl FnMut(StreamEvent<'_>)) {
        let &Arrival { side, at, offset, acked, stray } = arrival;
        let (own, _) = self.own_and_peer(side);
        let Ok(fin) = u64::try_from(offset + i64::from(len)) else { return };
        if own.fin_seen || own.reset {
            return;
        }
        if fin < own.bytes.next() || stray || own.is_refuted(fin) {
            self.note(Weird::FinOutOfWindow, side, at, emit);
            return;
        }
        own.fin = fin;
        own.fin_seen = true;
        own.fin_acked = acked;
    }

    /// Follows a RST if its receiver would: if it lies between what was acknowledged and the edge of the window (RFC 9293
    /// section 3.10.7.4). A side of which nothing is known cannot be checked. Payload in a RST is a diagnosis (RFC 1122 section
    /// 4.2.2.12), not part of the stream.
    fn handle_reset(
        &mut self,
        side: Side,
        segment: &Segment<'_>,
        limits: &TcpLimits,
        stats: &mut TcpStats,
        emit: &mut impl FnMut(StreamEvent<'_>),
    ) {
        let head = &segment.head;
        let (own, _) = self.own_and_peer(side);
        let offset = own.offset(head.seq);
        let latest = own.edge.max(own.sent).max(own.claimed) + 1;
        let earliest = own.acked_bytes();
        let inside = offset >= 0 && (earliest..=latest).contains(&(offset as u64));
        // A RST that answers a SYN, or a segment before it, carries the number that was acknowledged: for a SYN that is zero,
        // or the byte before the stream.
        let before_stream = own.bytes.next() == 0 && offset == -1;
        if own.is_known() && !inside && !before_stream {
            stats.resets_refused += 1;
            self.note(Weird::ResetOutOfWindow, side, head.at, emit);
            return;
        }
        self.history.advance(side, head.flags, head.payload_len);
        let (own, _) = self.own_and_peer(side);
        if own.reset {
            return;
        }
        self.give_up_all(head.at, limits, stats, emit);
        self.halves[index(side)].reset = true;
        emit(StreamEvent::Reset { side, at: head.at });
    }

    /// Ends the connection: gives up what is still missing, and tells all that is known. Nothing may be handled afterwards.
    pub(super) fn finish(
        &mut self,
        start: &ConnStart,
        at: At,
        limits: &TcpLimits,
        stats: &mut TcpStats,
        emit: &mut impl FnMut(StreamEvent<'_>),
    ) -> Connection {
        let cut_short = !self.phase().has_ended();
        self.give_up_all(at, limits, stats, emit);
        let [orig, resp] = &self.halves;
        let (orig_bytes, resp_bytes) = (orig.bytes.next(), resp.bytes.next());
        let one_sided = |seen: &Half, other: &Half| seen.frames > 0 && other.frames == 0 && other.is_known();
        let duration = self.last.ts.since(start.id.ts);
        Connection {
            id: start.id,
            state: self.history.conn_state(orig_bytes == 0 && resp_bytes == 0),
            history: self.history.letters(),
            duration: duration.max(crate::time::Span::ZERO),
            orig_bytes,
            resp_bytes,
            missed_bytes: self.missed,
            gaps: self.gaps,
            first: start.first,
            last: self.last.frame,
            frames: u64::from(orig.frames) + u64::from(resp.frames),
            link: start.link,
            syn: start.syn,
            one_sided: one_sided(orig, resp) || one_sided(resp, orig),
            cut_short,
            weird: self.weird,
        }
    }
}
