//! One side of a connection: its sequence numbers, and how far its bytes have come.

use super::assembler::{Assembler, Run};
use crate::net::SeqNum;
use crate::weird::Weird;

/// The largest window there is (RFC 7323 section 2.3: 65,535 shifted by 14). What lies further ahead than that is not
/// of this connection.
pub(super) const WINDOW_MAX: u64 = 1 << 30;

/// How far behind a window's right edge, as far as it was seen, a segment still counts as inside: the ACK that opened the
/// window may be captured after the data that it allowed, and windows are mostly smaller than this.
pub(super) const EDGE_SLACK: u64 = 256 << 10;

/// How much earlier than guessed a stream may turn out to begin: a batch of frames that the capture brings in later than the
/// ACK of them. 64 frames of 1,460 bytes, the usual batch of a driver, are 93 KiB.
const REBASE_MAX: i64 = 128 << 10;

/// Bytes, with their bookkeeping, that are kept of a side after its end, until the other side shows whether it took them: more
/// than a command or a pipelined group has, which waits for its reply.
const AFTER_END_MAX: u32 = 64 << 10;

/// What is known of the place where a side's stream begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Base {
    /// Nothing.
    Unknown,
    /// What the other side acknowledged first.
    Guessed,
    /// A SYN or a segment of the side itself.
    Seen,
}

/// The scale of a side's window (RFC 7323 section 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scale {
    /// Its SYN was not seen.
    Unknown,
    /// Its SYN did not offer any.
    Absent,
    /// A shift count of at most 14.
    By(u8),
}

impl Scale {
    /// What the option of a SYN says; 14 is the most there is (RFC 7323 section 2.3).
    pub(super) fn of(offered: Option<u8>) -> Self {
        offered.map_or(Self::Absent, |shift| Self::By(shift.min(14)))
    }
}

/// Offsets are of the side's own stream: 0 is the byte after the SYN, or the first one seen. Neither SYN nor FIN counts, but
/// `acked` and `sent` may lie one behind a FIN, as the sequence numbers do.
///
/// Thousands of connections are open at once, so that nearly every segment finds its connection outside the fast caches: what
/// a segment in order needs of a side is therefore together in the first 64 bytes, up to the head of `bytes`; its payload is
/// remembered in the next 64.
#[repr(C, align(64))]
pub(super) struct Half {
    base: SeqNum,
    /// Segments of this side.
    pub(super) frames: u32,
    /// How far the other side has acknowledged.
    pub(super) acked: u64,
    /// The furthest end of a segment of this side.
    pub(super) sent: u64,
    /// How far the other side allows it to send; 0 while unknown.
    pub(super) edge: u64,
    known: Base,
    /// A SYN gave `base`.
    pub(super) syn_seen: bool,
    /// The FIN was seen (else `fin` is a guess or nothing).
    pub(super) fin_seen: bool,
    /// `StreamEvent::Fin` was given.
    pub(super) fin_told: bool,
    /// A RST of this side was followed.
    pub(super) reset: bool,
    /// A FIN was believed, and then the other side took bytes behind it.
    fin_refuted: bool,
    pub(super) scale: Scale,
    /// Where its FIN stands: the length of the stream. `u64::MAX` while unknown.
    pub(super) fin: u64,
    pub(super) bytes: Assembler,
    /// Where the furthest segment begins that came before the bytes that precede it: all before was sent.
    pub(super) claimed: u64,
    /// What the FIN's segment acknowledged of the other side.
    pub(super) fin_acked: u64,
}

impl Half {
    pub(super) const fn new() -> Self {
        Self {
            base: SeqNum(0),
            frames: 0,
            acked: 0,
            sent: 0,
            edge: 0,
            known: Base::Unknown,
            syn_seen: false,
            fin_seen: false,
            fin_told: false,
            reset: false,
            fin_refuted: false,
            scale: Scale::Unknown,
            fin: u64::MAX,
            bytes: Assembler::new(),
            claimed: 0,
            fin_acked: 0,
        }
    }

    /// See [`Flow::touch`](super::flow::Flow::touch).
    pub(super) fn touch(&self) -> u64 {
        self.acked
    }

    pub(super) fn is_known(&self) -> bool {
        self.known != Base::Unknown
    }

    /// The sequence number where the stream stands.
    fn next_seq(&self) -> SeqNum {
        self.base.plus(self.bytes.next() as u32)
    }

    /// A sequence number as an offset; right while it is less than 2^31 from where the stream stands. Negative before the
    /// stream's beginning.
    pub(super) fn offset(&self, seq: SeqNum) -> i64 {
        self.bytes.next().cast_signed() + i64::from(seq.since(self.next_seq()))
    }

    /// Whether a SYN with this number is the one that began this stream, or may be.
    pub(super) fn fits_syn(&self, seq: SeqNum) -> bool {
        match self.known {
            Base::Unknown => true,
            Base::Guessed | Base::Seen => self.base == seq.plus(1),
        }
    }

    /// The number of the SYN that began this stream, or would have.
    pub(super) fn syn(&self) -> SeqNum {
        self.base.plus(u32::MAX)
    }

    /// Whether the FIN was handed on and acknowledged.
    pub(super) fn is_over(&self) -> bool {
        self.fin_told && self.acked > self.fin
    }

    /// Takes the beginning of the stream from a SYN.
    pub(super) fn learn_syn(&mut self, seq: SeqNum, scale: Scale) {
        if !self.syn_seen && self.fits_syn(seq) {
            self.base = seq.plus(1);
            self.known = Base::Seen;
            self.syn_seen = true;
            self.scale = scale;
        }
    }

    /// Takes the beginning of the stream from a segment of the side itself, if there was no better source. A guess gives
    /// way to bytes that were captured after the ACK of them, as long as nothing was handed on.
    pub(super) fn learn_segment(&mut self, seq: SeqNum, len: u32) {
        match self.known {
            Base::Seen => return,
            Base::Unknown => self.base = seq,
            Base::Guessed => {
                let before = -self.offset(seq);
                let keep_alive = before == 1 && len <= 1;
                let untouched = self.bytes.next() == 0 && !self.bytes.is_holding();
                if untouched && !keep_alive && (1..=REBASE_MAX).contains(&before) {
                    self.base = seq;
                    let before = before as u64;
                    self.acked += before;
                    self.edge += before;
                }
            }
        }
        self.known = Base::Seen;
    }

    /// Takes the beginning of the stream from the first acknowledgement, if there was no better source.
    pub(super) fn learn_ack(&mut self, ack: SeqNum) {
        if self.known == Base::Unknown {
            self.base = ack;
            self.known = Base::Guessed;
        }
    }

    /// How many bytes the other side has acknowledged; a FIN is none.
    pub(super) fn acked_bytes(&self) -> u64 {
        self.acked.min(self.fin)
    }

    /// Whether it has said that it sends no more, and was believed.
    pub(super) fn has_ended(&self) -> bool {
        self.reset || self.fin_told
    }

    /// Takes its end back if the other side has taken bytes that were sent after it: then the RST or FIN never arrived there
    /// (a short time to live, a wrong checksum, a forger), and the connection goes on. Says which of them it was.
    pub(super) fn refute_end(&mut self, acked: u64) -> Option<Weird> {
        // The FIN is counted like a byte, so that one more proves nothing.
        if !self.has_ended() || !self.bytes.is_holding() || acked <= self.bytes.next() + u64::from(self.fin_told) {
            return None;
        }
        let weird = if self.reset { Weird::ResetOutOfWindow } else { Weird::FinOutOfWindow };
        self.fin_refuted |= self.fin_told;
        (self.reset, self.fin_seen, self.fin_told, self.fin) = (false, false, false, u64::MAX);
        Some(weird)
    }

    /// Whether a FIN at a place was taken back already: the other side has taken bytes behind it.
    pub(super) fn is_refuted(&self, fin: u64) -> bool {
        self.fin_refuted && self.acked > fin + 1
    }

    /// Keeps bytes that were sent after its end until the other side shows whether it took them.
    pub(super) fn hold_after_end(&mut self, offset: i64, captured: &[u8], acked: u64) {
        let next = self.bytes.next().cast_signed();
        let old = usize::try_from(next - offset).unwrap_or_default();
        if let Some(rest @ [_, ..]) = captured.get(old..)
            && self.bytes.cost() < AFTER_END_MAX
        {
            self.bytes.hold(offset.max(next).cast_unsigned(), Run::Bytes(rest), acked, true);
        }
    }

    /// The number behind everything that is known of its stream, a FIN included.
    pub(super) fn end_seq(&self) -> SeqNum {
        self.base.plus((self.bytes.next() + u64::from(self.fin_seen)).max(self.acked) as u32)
    }

    /// Drops a guessed FIN that turns out to have been a byte.
    pub(super) fn doubt_fin(&mut self, reached: u64) {
        if !self.fin_seen && reached > self.fin {
            self.fin = u64::MAX;
        }
    }

    /// Whether anything is known to be missing, or is held, or waits to be told.
    pub(super) fn is_waiting(&self) -> bool {
        self.bytes.is_holding() || self.acked_bytes() > self.bytes.next() || (self.fin_seen && !self.fin_told)
    }

    /// The shift of this side's window field, given what the other side's SYN offered.
    pub(super) fn window_shift(&self, other: Scale) -> u8 {
        match (self.scale, other) {
            (Scale::Absent, _) | (_, Scale::Absent) => 0,
            (Scale::By(shift), _) => shift,
            (Scale::Unknown, _) => 14,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::assembler::TAIL;

    #[test]
    fn what_is_needed_of_each_segment_is_in_two_cache_lines() {
        assert_eq!(size_of::<Half>(), 192);
        assert!(std::mem::offset_of!(Half, bytes) + 16 <= 64);
        assert!(std::mem::offset_of!(Half, bytes) + 16 + TAIL <= 128);
    }

    #[test]
    fn offsets_survive_the_wrap_of_sequence_numbers() {
        let mut half = Half::new();
        half.learn_syn(SeqNum(u32::MAX - 2), Scale::Absent);
        assert_eq!(half.offset(SeqNum(u32::MAX - 1)), 0);
        assert_eq!(half.offset(SeqNum(8)), 10);
        assert_eq!(half.offset(SeqNum(u32::MAX - 2)), -1);
        half.bytes.skip_to(5 << 32);
        assert_eq!(half.offset(SeqNum(8)), (5 << 32) + 10, "beyond 4 GiB");
    }

    #[test]
    fn a_guessed_beginning_gives_way_to_bytes_before_it() {
        let mut half = Half::new();
        half.learn_ack(SeqNum(1000));
        half.acked = 20;
        half.learn_segment(SeqNum(900), 100);
        assert_eq!((half.offset(SeqNum(900)), half.acked), (0, 120));
        half.learn_segment(SeqNum(800), 100);
        assert_eq!(half.offset(SeqNum(800)), -100, "but not what was seen");
    }

    #[test]
    fn a_keep_alive_does_not_move_the_beginning() {
        let mut half = Half::new();
        half.learn_ack(SeqNum(1000));
        half.learn_segment(SeqNum(999), 1);
        assert_eq!(half.offset(SeqNum(1000)), 0);
    }
}
