//! What the flow table counts: nothing is lost without standing here.

/// Counts of one [`FlowTable`](super::FlowTable), or the sum of several.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TcpStats {
    /// Segments taken in.
    pub segments: u64,
    /// Segments of no known connection that cannot begin one: bare ACKs, FINs and RSTs, and bad flags.
    pub strays: u64,
    /// Segments with payload of a side that had sent a RST, or of a connection that was over and told; SYN-ACKs of such a
    /// one, too.
    pub after_close: u64,
    /// SYNs that began an attempt.
    pub attempts: u64,
    /// Attempts that ended without an answer, evicted ones included.
    pub unanswered: u64,
    /// Attempts that the limit on their number ended early.
    pub attempts_evicted: u64,
    /// Connections that came about.
    pub opened: u64,
    /// Of these, ones whose beginning was not seen.
    pub midstream: u64,
    /// Connections that ended, for whatever reason.
    pub closed: u64,
    /// Connections that a new one between the same ends replaced while open.
    pub replaced: u64,
    /// Closed connections that the limits ended before their time; nothing of them is lost.
    pub closed_early: u64,
    /// Connections without data that the limit on flows ended.
    pub quiet_evicted: u64,
    /// Connections with data that the limit on flows ended.
    pub active_evicted: u64,
    /// Connections that ended because they were silent too long.
    pub idle: u64,
    /// Gaps, by the same rule as `Connection::gaps`.
    pub gaps: u64,
    /// Bytes in them.
    pub missed_bytes: u64,
    /// Of these, bytes cut off by the snap length or the end of a file, and brought by no other segment.
    pub truncated_bytes: u64,
    /// Bytes held outside the window that were never acknowledged, and therefore dropped.
    pub stray_bytes: u64,
    /// Segments whose bytes were all seen before.
    pub retransmissions: u64,
    /// Keep-alives (RFC 9293 section 3.8.4).
    pub keep_alives: u64,
    /// Segments that came before the bytes that precede them.
    pub out_of_order: u64,
    /// Segments in order that were kept until the bytes they acknowledge came.
    pub ahead_of_other_side: u64,
    /// Segments whose bytes differ from what was seen before at the same place.
    pub overlaps_disagree: u64,
    /// RSTs that were not followed.
    pub resets_refused: u64,
    /// Times that the limits of one connection gave up a hole.
    pub held_flow_limit: u64,
    /// Times that the limit on all buffers gave up a hole.
    pub held_total_limit: u64,
}

impl TcpStats {
    /// Adds the counts of another table.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            segments,
            strays,
            after_close,
            attempts,
            unanswered,
            attempts_evicted,
            opened,
            midstream,
            closed,
            replaced,
            closed_early,
            quiet_evicted,
            active_evicted,
            idle,
            gaps,
            missed_bytes,
            truncated_bytes,
            stray_bytes,
            retransmissions,
            keep_alives,
            out_of_order,
            ahead_of_other_side,
            overlaps_disagree,
            resets_refused,
            held_flow_limit,
            held_total_limit,
        } = *other;
        self.segments += segments;
        self.strays += strays;
        self.after_close += after_close;
        self.attempts += attempts;
        self.unanswered += unanswered;
        self.attempts_evicted += attempts_evicted;
        self.opened += opened;
        self.midstream += midstream;
        self.closed += closed;
        self.replaced += replaced;
        self.closed_early += closed_early;
        self.quiet_evicted += quiet_evicted;
        self.active_evicted += active_evicted;
        self.idle += idle;
        self.gaps += gaps;
        self.missed_bytes += missed_bytes;
        self.truncated_bytes += truncated_bytes;
        self.stray_bytes += stray_bytes;
        self.retransmissions += retransmissions;
        self.keep_alives += keep_alives;
        self.out_of_order += out_of_order;
        self.ahead_of_other_side += ahead_of_other_side;
        self.overlaps_disagree += overlaps_disagree;
        self.resets_refused += resets_refused;
        self.held_flow_limit += held_flow_limit;
        self.held_total_limit += held_total_limit;
    }
}
