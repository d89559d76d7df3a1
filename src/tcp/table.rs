//! The flow table of one shard.
//!
//! A segment finds its connection by the two ends, whichever way it goes, with one look-up under a random seed; nothing that
//! is handed out depends on that seed. Attempts, open connections and closed ones stand in the order of their last
//! activity (to a second), so that expiry and eviction touch only what goes.
//!
//! **Who is the originator:** the sender of a SYN; the receiver of a SYN-ACK; of a connection met in the middle, the side
//! whose port is not one of SMTP; else the first sender.
//!
//! **Port reuse.** A SYN with another number for the ends of an open connection may be a new connection, or forged. It becomes an
//! attempt beside the old connection, and takes its place when something of the new connection is seen (its SYN-ACK, or
//! segments with its numbers). For the ends of a closed connection it does so at once.
//!
//! **Strays.** A bare ACK, FIN or RST of no known connection opens nothing: it would tell nothing, and the last ACK of a
//! connection that was evicted must not make a new one. SYN-ACKs and payload do, unless they are of a connection that was
//! told a moment ago (`closed`).

mod near;
mod waiting;

use std::collections::VecDeque;

pub use near::{LookUp, Near};
use waiting::Waiting;

use super::attempts::Attempts;
use super::closed::ClosedConnections;
use super::flow::{Flow, Phase};
use super::index::Index;
use super::sink::{ConnStart, FlowSink};
use super::slab::{Slab, TimeList};
use super::syn::LastOptions;
use super::{Attempt, ConnId, SynSignature, TcpStats};
use crate::decode::{Segment, TcpFlags};
use crate::frame::At;
use crate::limits::TcpLimits;
use crate::net::{End, FlowKey, LinkFacts, Seed, Side};
use crate::time::{Span, Ts};

/// Places on the lists are exact to this: most connections are over before they would be moved.
const LIST_PRECISION: Span = Span::secs(1);

/// A connection and what the caller keeps of it.
#[repr(C)] // What is needed with every segment stands first.
struct Entry<A> {
    start: ConnStart,
    flow: Flow,
    hash: u32,
    app: A,
}

impl<A> Entry<A> {
    fn is_of(&self, key: &FlowKey) -> bool {
        let (lower, upper) = (key.end(End::Lower), key.end(End::Upper));
        let (orig, resp) = (self.start.id.orig, self.start.id.resp);
        (orig == lower && resp == upper) || (orig == upper && resp == lower)
    }
}

/// See the head of the module.
pub struct FlowTable<A> {
    ports: Vec<u16>,
    /// For this shard: counts are divided already.
    limits: TcpLimits,
    seed: Seed,
    index: Index,
    flows: Slab<Entry<A>>,
    lists: [TimeList; 4],
    attempts: Attempts,
    closed: ClosedConnections,
    /// When the oldest connection that is over is to be told; `Ts::MAX` if there is none.
    over_due: Ts,
    waiting: VecDeque<Waiting>,
    last_options: LastOptions,
    /// Bytes held out of order by all connections.
    held: usize,
    stats: TcpStats,
}

const fn list_of(phase: Phase) -> usize {
    match phase {
        Phase::Closed => 0,
        Phase::Closing => 1,
        Phase::Quiet => 2,
        Phase::Active => 3,
    }
}

impl<A> FlowTable<A> {
    /// The table of one of `limits.shards` shards. `ports` are those of SMTP.
    pub fn new(ports: &[u16], limits: &TcpLimits) -> Self {
        let shards = limits.shards.max(1);
        let share = |count: usize| (count / shards).max(1);
        let limits = TcpLimits {
            attempts_max: share(limits.attempts_max),
            flows_max: share(limits.flows_max),
            closed_max: share(limits.closed_max),
            held_total_max: share(limits.held_total_max),
            ..limits.clone()
        };
        Self {
            ports: ports.to_vec(),
            seed: Seed::random(),
            index: Index::new(),
            flows: Slab::new(),
            lists: [const { TimeList::new() }; 4],
            attempts: Attempts::new(limits.attempts_max),
            closed: ClosedConnections::new(limits.closed_max),
            over_due: Ts::MAX,
            waiting: VecDeque::new(),
            last_options: LastOptions::new(),
            held: 0,
            stats: TcpStats::default(),
            limits,
        }
    }

    /// What was counted so far.
    pub const fn stats(&self) -> &TcpStats {
        &self.stats
    }

    /// Connections that are followed, closed ones included.
    pub fn open(&self) -> usize {
        self.lists.iter().map(TimeList::len).sum()
    }

    /// Attempts without an answer.
    pub fn half_open(&self) -> usize {
        self.attempts.len()
    }

    /// Where to look for the connection of a key, from the index alone. With [`Near::touch`] it brings near what
    /// [`Self::handle_segment`] will need soon.
    #[inline]
    pub fn look_up(&self, key: &FlowKey) -> LookUp {
        let hash = (key.seeded_hash(&self.seed) >> 32) as u32;
        let likely = self.index.find(hash, |_| true);
        if likely.is_none() {
            self.attempts.guess(hash);
        }
        LookUp { hash, likely }
    }

    /// The connection at a place, if there is one still.
    pub fn near(&self, place: u32) -> Option<Near<'_, A>> {
        self.flows.get(place).map(Near)
    }

    /// Where the connections stand that will be told by `now` because they are over, the next ones first.
    pub fn due(&self, now: Ts) -> impl Iterator<Item = u32> {
        let first = self.lists[list_of(Phase::Closed)].oldest().filter(|_| now >= self.over_due);
        std::iter::successors(first, |slot| self.flows.younger(*slot)).take_while(move |slot| {
            let touched = self.flows.get(*slot).map_or(Ts::MAX, |entry| entry.flow.mark.touched);
            now.since(touched) >= self.limits.over_linger
        })
    }

    /// Takes in one segment, whose key was looked up a while ago.
    #[inline]
    pub fn handle_segment<S: FlowSink<App = A>>(&mut self, look_up: LookUp, segment: &Segment<'_>, sink: &mut S) {
        self.stats.segments += 1;
        if segment.head.at.ts >= self.over_due {
            self.tell_over(segment.head.at, sink);
        }
        let key = &segment.head.key;
        let LookUp { hash, likely } = look_up;
        let is_it = |slot: u32| self.flows.get(slot).is_some_and(|entry| entry.is_of(key));
        if let Some(slot) = likely.filter(|slot| is_it(*slot)).or_else(|| self.index.find(hash, is_it)) {
            self.handle_known(slot, hash, segment, sink);
        } else if let Some(slot) = self.attempts.find(hash, key) {
            self.handle_attempted(slot, hash, segment, sink);
        } else {
            self.handle_unknown(hash, segment, sink);
        }
    }

    /// Ends what was silent too long at `now`; to be called about once a second of event time.
    ///
    /// Attempts come first, then connections that wait for bytes, then those that are over, then closing, quiet and active
    /// ones; each kind from the one that was silent longest.
    pub fn handle_idle<S: FlowSink<App = A>>(&mut self, now: At, sink: &mut S) {
        while let Some(gone) = self.attempts.pop_expired(now.ts, self.limits.half_open_timeout) {
            self.stats.unanswered += 1;
            sink.unanswered(gone, now);
        }
        self.handle_waiting(now, sink);
        self.closed.expire(now.ts);
        self.tell_over(now, sink);
        for (phase, timeout) in [
            // The last frame came within a second of when they were put there.
            (Phase::Closing, self.limits.closed_linger + LIST_PRECISION),
            (Phase::Quiet, self.limits.quiet_timeout + LIST_PRECISION),
            (Phase::Active, self.limits.idle_timeout + LIST_PRECISION),
        ] {
            while let Some(slot) = self.lists[list_of(phase)].oldest() {
                let silent = self.flows.get(slot).map_or(Span::ZERO, |entry| now.ts.since(entry.flow.mark.touched));
                if silent < timeout {
                    break;
                }
                self.stats.idle += u64::from(!phase.has_ended());
                self.close(slot, now, sink);
            }
        }
    }

    /// Ends everything, in the order of first frames; the table is empty afterwards.
    pub fn finish<S: FlowSink<App = A>>(&mut self, at: At, sink: &mut S) {
        let flows = self.flows.slots().map(|(slot, entry)| (entry.start.first, None, slot));
        let attempts = self.attempts.all().map(|(slot, hash, entry)| (entry.first(), Some(hash), slot));
        let mut all: Vec<_> = flows.chain(attempts).collect();
        all.sort_unstable();
        for (_, attempted, slot) in all {
            match attempted {
                Some(hash) => {
                    if let Some(gone) = self.attempts.remove(slot, hash) {
                        self.cut_attempt(gone, at, sink);
                    }
                }
                None => self.close(slot, at, sink),
            }
        }
        self.waiting.clear();
        self.closed.clear();
    }

    /// Tells what is over, one by one as time goes on and not only with the ticks: what the sessions of a second hold, given
    /// back at once, would be fetched from far away and could not be used again at once.
    fn tell_over<S: FlowSink<App = A>>(&mut self, now: At, sink: &mut S) {
        while now.ts >= self.over_due
            && let Some(slot) = self.lists[list_of(Phase::Closed)].oldest()
        {
            self.remember(slot, now.ts);
            self.close(slot, now, sink);
        }
    }

    /// When the oldest connection that is over is to be told.
    fn next_over(&self) -> Ts {
        let oldest = self.lists[list_of(Phase::Closed)].oldest().and_then(|slot| self.flows.get(slot));
        oldest.map_or(Ts::MAX, |entry| entry.flow.mark.touched + self.limits.over_linger)
    }

    /// A segment between the ends of a connection that is followed.
    fn handle_known<S: FlowSink<App = A>>(&mut self, slot: u32, hash: u32, segment: &Segment<'_>, sink: &mut S) {
        let head = &segment.head;
        let Some(entry) = self.flows.get_mut(slot) else { return };
        let side = entry.flow.side(head.from);
        let syn = head.flags.has(TcpFlags::SYN) && !head.flags.any(TcpFlags::FIN | TcpFlags::RST);
        if syn && !entry.flow.fits_syn(side, head.seq) {
            self.handle_foreign_syn(slot, side, hash, segment, sink);
            return;
        }
        if syn && side == Side::Orig && !head.flags.has(TcpFlags::ACK) && entry.start.syn.is_none() {
            // Captured after its SYN-ACK: the signature is welcome all the same.
            entry.start.syn = Some(SynSignature::from_segment(segment));
        }
        if entry.flow.mark.shadowed && !syn && !entry.flow.is_near(side, head.seq) {
            let beside = self.attempts.find(hash, &head.key);
            if let Some(attempt) = beside.filter(|&attempt| self.follows(attempt, segment)) {
                self.replace(slot, head.at, sink);
                self.handle_attempted(attempt, hash, segment, sink);
                return;
            }
        }
        self.advance(slot, side, segment, sink);
    }

    /// Lets a connection take in a segment of its own, and keeps the books.
    fn advance<S: FlowSink<App = A>>(&mut self, slot: u32, side: Side, segment: &Segment<'_>, sink: &mut S) {
        let at = segment.head.at;
        let Some(entry) = self.flows.get_mut(slot) else { return };
        let Entry { start, flow, app, .. } = entry;
        let before = flow.held_cost();
        let emit = &mut |event: super::StreamEvent<'_>| sink.stream(app, start, event);
        flow.handle(side, segment, &self.limits, &mut self.stats, emit);
        self.held = (self.held + flow.held_cost() as usize).saturating_sub(before as usize);

        let phase = flow.phase();
        if flow.is_stalled() && !flow.mark.queued {
            flow.mark.queued = true;
            let due = at.ts + self.limits.reorder_wait;
            self.waiting.push_back(Waiting { due, slot, first: start.first });
        }
        if phase != entry.flow.mark.list {
            let from = std::mem::replace(&mut entry.flow.mark.list, phase);
            entry.flow.mark.touched = at.ts;
            self.flows.unlink(&mut self.lists[list_of(from)], slot);
            self.flows.push(&mut self.lists[list_of(phase)], slot);
            if phase == Phase::Closed || from == Phase::Closed {
                self.over_due = self.next_over();
            }
            if phase.has_ended() {
                self.make_room_for_closed(at, sink);
            }
        } else if phase != Phase::Closed && at.ts.since(entry.flow.mark.touched) >= LIST_PRECISION {
            entry.flow.mark.touched = at.ts;
            self.flows.refresh(&mut self.lists[list_of(phase)], slot);
        }
        for _ in 0..self.waiting.len() {
            if self.held <= self.limits.held_total_max {
                break;
            }
            self.give_up_longest_wait(at, sink);
        }
    }

    /// A SYN or SYN-ACK that does not belong to the connection whose ends it has.
    fn handle_foreign_syn<S: FlowSink<App = A>>(
        &mut self,
        slot: u32,
        side: Side,
        hash: u32,
        segment: &Segment<'_>,
        sink: &mut S,
    ) {
        let head = &segment.head;
        let beside = self.attempts.find(hash, &head.key);
        if let Some(attempt) = beside.filter(|&attempt| self.follows(attempt, segment)) {
            self.replace(slot, head.at, sink);
            self.handle_attempted(attempt, hash, segment, sink);
            return;
        }
        let Some(entry) = self.flows.get_mut(slot) else { return };
        if entry.flow.mark.list.has_ended() {
            self.close(slot, head.at, sink);
            match beside {
                Some(attempt) => self.handle_attempted(attempt, hash, segment, sink),
                None => self.handle_unknown(hash, segment, sink),
            }
            return;
        }
        let Entry { start, flow, app, .. } = entry;
        flow.note_foreign_syn(side, head.at, &mut |event| sink.stream(app, start, event));
        if head.flags.has(TcpFlags::ACK) {
            self.stats.strays += 1;
        } else if let Some(attempt) = beside {
            self.handle_attempted(attempt, hash, segment, sink);
        } else {
            entry.flow.mark.shadowed = true;
            self.begin_attempt(hash, segment, sink);
        }
    }

    /// Ends a connection because a new one takes its place.
    fn replace<S: FlowSink<App = A>>(&mut self, slot: u32, at: At, sink: &mut S) {
        if self.flows.get(slot).is_some_and(|entry| !entry.flow.mark.list.has_ended()) {
            self.stats.replaced += 1;
        }
        self.close(slot, at, sink);
    }

    /// Whether a segment shows that the connection of an attempt came about.
    ///
    /// - From the other end: a SYN-ACK, payload, FIN or RST that acknowledges the SYN, or a SYN of its own (simultaneous open,
    ///   RFC 9293 figure 7). A bare ACK is none of these: some stacks challenge an unexpected SYN so (RFC 5961 section 4).
    /// - From the originator: anything but a SYN that follows the SYN in sequence, for the answer was not captured.
    fn follows(&self, attempt: u32, segment: &Segment<'_>) -> bool {
        let (head, Some(entry)) = (&segment.head, self.attempts.get(attempt)) else { return false };
        let flags = head.flags;
        let syn = flags.has(TcpFlags::SYN);
        if syn && flags.any(TcpFlags::FIN | TcpFlags::RST) {
            return false;
        }
        if head.from == entry.orig_end() {
            // A window without scale is the most that can be sent before the SYN-ACK tells of another.
            return !syn && (0..=0x1_0000).contains(&head.seq.since(entry.isn()));
        }
        let acks_syn = flags.has(TcpFlags::ACK) && head.ack.since(entry.isn()) == 1;
        let later_ack = flags.has(TcpFlags::ACK) && (1..=0x1_0000).contains(&head.ack.since(entry.isn()));
        if syn {
            acks_syn || !flags.has(TcpFlags::ACK)
        } else if flags.has(TcpFlags::RST) {
            acks_syn
        } else {
            later_ack && (head.payload_len > 0 || flags.has(TcpFlags::FIN))
        }
    }

    /// A segment between the ends of an attempt.
    fn handle_attempted<S: FlowSink<App = A>>(&mut self, attempt: u32, hash: u32, segment: &Segment<'_>, sink: &mut S) {
        let head = &segment.head;
        let Some(entry) = self.attempts.get(attempt) else { return };
        let orig_end = entry.orig_end();
        if self.follows(attempt, segment) {
            let isn = entry.isn();
            let Some(known) = self.attempts.remove(attempt, hash) else { return };
            let start = ConnStart {
                id: known.id,
                first: known.first,
                link: known.link,
                syn: Some(known.syn),
                midstream: false,
            };
            let flow = Flow::after_syn(orig_end, isn, &known.syn, known.syns, known.last);
            self.open_flow(start, flow, hash, segment, sink);
        } else if head.flags == TcpFlags(head.flags.0 & !TcpFlags::ACK)
            && head.flags.has(TcpFlags::SYN)
            && !head.flags.any(TcpFlags::FIN | TcpFlags::RST)
        {
            // The same end once more: the same SYN, or a new attempt.
            if head.seq == entry.isn() && head.payload_len == 0 {
                self.attempts.repeat(attempt, hash, head.at);
            } else {
                self.give_up_attempt(attempt, hash, head.at, sink);
                self.handle_unknown(hash, segment, sink);
            }
        } else {
            self.stats.strays += 1;
        }
    }

    /// A segment between ends that are not known.
    fn handle_unknown<S: FlowSink<App = A>>(&mut self, hash: u32, segment: &Segment<'_>, sink: &mut S) {
        let head = &segment.head;
        let flags = head.flags;
        let (syn, ack) = (flags.has(TcpFlags::SYN), flags.has(TcpFlags::ACK));
        let ends = flags.any(TcpFlags::FIN | TcpFlags::RST);
        let payload = head.payload_len > 0;
        if (syn && ends) || flags.has(TcpFlags::RST) || (!syn && !payload) {
            self.stats.strays += 1;
        } else if syn && !ack && !payload {
            self.begin_attempt(hash, segment, sink);
        } else if self.closed.takes(hash, head) {
            self.stats.after_close += 1;
        } else {
            let orig_end = match (syn, ack) {
                (true, false) => head.from,
                (true, true) => head.from.other(),
                (false, _) => self.guess_originator(&head.key, head.from),
            };
            let flipped = orig_end != head.from;
            let LinkFacts { macs, .. } = head.link;
            let start = ConnStart {
                id: ConnId { ts: head.at.ts, orig: head.key.end(orig_end), resp: head.key.end(orig_end.other()) },
                first: head.at.frame,
                link: LinkFacts {
                    macs: macs.map(|(src, dst)| if flipped { (dst, src) } else { (src, dst) }),
                    ..head.link
                },
                syn: (syn && !ack).then(|| SynSignature::from_segment(segment)),
                midstream: !syn,
            };
            self.open_flow(start, Flow::new(orig_end, flipped), hash, segment, sink);
        }
    }

    /// Who opened a connection that was met in the middle.
    fn guess_originator(&self, key: &FlowKey, from: End) -> End {
        let serves = |end| self.ports.contains(&key.end(end).port);
        if serves(from) && !serves(from.other()) { from.other() } else { from }
    }

    fn begin_attempt<S: FlowSink<App = A>>(&mut self, hash: u32, segment: &Segment<'_>, sink: &mut S) {
        let head = &segment.head;
        self.stats.attempts += 1;
        if self.attempts.is_full()
            && let Some(gone) = self.attempts.pop_oldest()
        {
            self.stats.attempts_evicted += 1;
            self.cut_attempt(gone, head.at, sink);
        }
        self.attempts.insert(hash, head, &SynSignature::after(&mut self.last_options, segment));
    }

    /// Gives up an attempt although an answer to it may be on its way.
    fn cut_attempt<S: FlowSink<App = A>>(&mut self, gone: Attempt, at: At, sink: &mut S) {
        let cut_short = at.ts.since(gone.id.ts) < self.limits.answer_wait;
        self.stats.unanswered += 1;
        sink.unanswered(Attempt { cut_short, ..gone }, at);
    }

    /// Gives up an attempt because its originator did.
    fn give_up_attempt<S: FlowSink<App = A>>(&mut self, attempt: u32, hash: u32, at: At, sink: &mut S) {
        if let Some(gone) = self.attempts.remove(attempt, hash) {
            self.stats.unanswered += 1;
            sink.unanswered(gone, at);
        }
    }

    /// Follows a new connection from this segment on.
    fn open_flow<S: FlowSink<App = A>>(
        &mut self,
        start: ConnStart,
        mut flow: Flow,
        hash: u32,
        segment: &Segment<'_>,
        sink: &mut S,
    ) {
        let at = segment.head.at;
        self.make_room(at, sink);
        self.stats.opened += 1;
        self.stats.midstream += u64::from(start.midstream);
        let side = flow.side(segment.head.from);
        flow.mark.touched = at.ts;
        let app = sink.open(&start);
        let list = list_of(flow.mark.list);
        let slot = self.flows.insert(Entry { start, flow, hash, app });
        self.flows.push(&mut self.lists[list], slot);
        self.index.insert(hash, slot);
        self.advance(slot, side, segment, sink);
    }

    /// Takes a connection out and hands it on.
    fn close<S: FlowSink<App = A>>(&mut self, slot: u32, at: At, sink: &mut S) {
        let Some(Entry { start, flow, hash, app }) = self.flows.get_mut(slot) else { return };
        let list = list_of(flow.mark.list);
        self.index.remove(*hash, slot);
        self.held = self.held.saturating_sub(flow.held_cost() as usize);
        self.stats.closed += 1;
        // Where it stands: it is large.
        let emit = &mut |event: super::StreamEvent<'_>| sink.stream(app, start, event);
        let connection = flow.finish(start, at, &self.limits, &mut self.stats, emit);
        let Some(Entry { app, start, .. }) = self.flows.remove(&mut self.lists[list], slot) else { return };
        if list == list_of(Phase::Closed) {
            self.over_due = self.next_over();
        }
        sink.close(app, &start, connection, at);
    }

    /// Keeps the ends of a connection that is about to be closed, if it is over.
    fn remember(&mut self, slot: u32, now: Ts) {
        let Some(Entry { start, flow, hash, .. }) = self.flows.get(slot) else { return };
        if flow.mark.list == Phase::Closed {
            self.closed.insert(*hash, &start.id, flow.syns(), flow.ends(), now + self.limits.closed_linger);
        }
    }

    /// Makes room for one more connection: closed ones go first, then those without data, then the longest silent.
    fn make_room<S: FlowSink<App = A>>(&mut self, at: At, sink: &mut S) {
        while self.open() >= self.limits.flows_max {
            let oldest = |phase| self.lists[list_of(phase)].oldest();
            if let Some(slot) = oldest(Phase::Closed).or_else(|| oldest(Phase::Closing)) {
                self.stats.closed_early += 1;
                self.remember(slot, at.ts);
                self.close(slot, at, sink);
            } else if let Some(slot) = oldest(Phase::Quiet) {
                self.stats.quiet_evicted += 1;
                self.close(slot, at, sink);
            } else if let Some(slot) = oldest(Phase::Active) {
                self.stats.active_evicted += 1;
                self.close(slot, at, sink);
            } else {
                return;
            }
        }
    }

    fn make_room_for_closed<S: FlowSink<App = A>>(&mut self, at: At, sink: &mut S) {
        let [over, closing] = [Phase::Closed, Phase::Closing].map(list_of);
        while self.lists[over].len() + self.lists[closing].len() > self.limits.closed_max
            && let Some(slot) = self.lists[over].oldest().or_else(|| self.lists[closing].oldest())
        {
            self.stats.closed_early += 1;
            self.remember(slot, at.ts);
            self.close(slot, at, sink);
        }
    }
}

#[cfg(test)]
mod tests;
