//! Zeek's summary of a connection: the letters of `history` and the two ends' states, of which `conn_state` is made.
//!
//! Read first: Zeek's documentation of `conn.log` (`Conn::Info`), whose definitions this follows: each end has a state that
//! its own segments move, and `conn_state` is a table over the two. RFC states are not enough for it, because Zeek tells apart
//! ends that were never seen, ends seen only in the middle, and what a RST ended.
//!
//! Letters, capital for the originator: `S` SYN, `H` SYN-ACK, `A` bare ACK, `D` payload, `F` FIN, `R` RST, `G` gap, `T`
//! retransmission, `W` zero window, `I` FIN and RST in one, `Q` SYN with FIN or RST, `^` the first frame was the responder's.
//! `A`, `D`, `I` and `Q` come once a side; `S`, `H`, `F` and `R` again where the sequence number is another; `G`, `T` and `W` at the
//! 1st, 10th, 100th... time.
//!
//! Not emitted: `C` (checksums are not verified: captures on the sending host hold unfinished ones), `X` (see
//! `Connection::cut_short`), and `G` for what only the end of the connection gives up, where Zeek, too, mistrusts gaps.

use super::ConnState;
use crate::decode::TcpFlags;
use crate::net::{SeqNum, Side};

/// Letters kept. A connection has seven to twelve; only repeated SYN, FIN and RST with new numbers make many, which is an
/// attack or a broken stack, and tells nothing more after so many.
const LETTERS_MAX: usize = 40;

/// The state of one end, as Zeek defines it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EndState {
    /// Nothing seen.
    Inactive,
    /// Sent a SYN.
    SynSent,
    /// The originator sent a SYN-ACK.
    SynAckSent,
    /// First seen in the middle.
    Partial,
    /// Answered a SYN, or had one answered.
    Established,
    /// Sent a FIN.
    Closed,
    /// Sent a RST.
    Reset,
}

use EndState::{Closed, Established, Inactive, Partial, Reset, SynAckSent, SynSent};

#[derive(Clone, Copy)]
struct End {
    state: EndState,
    before: EndState,
    /// Letters of `ONCE` that were written.
    seen: u8,
    /// Sequence numbers of the last SYN, FIN and RST.
    last: [SeqNum; 3],
    /// Gaps, retransmissions, zero windows.
    counts: [u32; 3],
}

/// Events that are written in a logarithmic fashion.
#[derive(Clone, Copy)]
pub(super) enum Repeated {
    Gap,
    Retransmission,
    ZeroWindow,
}

const SYN: u8 = 1;
const FIN: u8 = 1 << 1;
const RST: u8 = 1 << 2;
const DATA: u8 = 1 << 3;
const ACK: u8 = 1 << 4;
const FIN_RST: u8 = 1 << 5;
const MULTI: u8 = 1 << 6;

/// Zeek's letters, as many as are kept; they stand where they are kept, as every connection has a few.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Letters {
    len: u8,
    letters: [u8; LETTERS_MAX],
}

impl Letters {
    const NONE: Self = Self { len: 0, letters: [0; LETTERS_MAX] };

    /// The letters as text: ASCII, whatever they were read from.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The letters as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.letters.get(..usize::from(self.len)).unwrap_or(&self.letters)
    }

    /// Whether the beginning was seen: the SYN, and what answered it, a SYN-ACK, a SYN (RFC 9293 figure 7) or a RST.
    pub fn show_begin(&self) -> bool {
        let has = |letters: &[u8]| self.as_bytes().iter().any(|letter| letters.contains(letter));
        has(b"S") && has(b"hsr")
    }

    /// Whether the originator made no call: it has sent nothing but RSTs, as any end does that is told of a connection it does
    /// not know (RFC 9293 section 3.10.7.1); or nothing at all, where there was nothing but a SYN-ACK to answer. Who floods
    /// a server with SYNs from made-up addresses has it send these to their owners. What goes on with payload is half of a
    /// dialogue, seen by a mirror of the server's side alone.
    pub fn show_no_call(&self) -> bool {
        let has = |letter| self.as_bytes().contains(&letter);
        let only_resets = !self.as_bytes().iter().any(|&letter| letter.is_ascii_uppercase() && letter != b'R');
        only_resets && (has(b'R') || has(b'h') && !has(b'd'))
    }

    fn push(&mut self, letter: u8) {
        if let Some(place) = self.letters.get_mut(usize::from(self.len)) {
            *place = letter;
            self.len += 1;
        }
    }
}

/// What is none of the letters is left out, and so is what comes after the 40th.
impl From<&str> for Letters {
    fn from(text: &str) -> Self {
        let mut letters = Self::NONE;
        text.bytes().filter(|byte| byte.is_ascii_alphabetic() || *byte == b'^').for_each(|byte| letters.push(byte));
        letters
    }
}

impl std::fmt::Debug for Letters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self.as_str(), f)
    }
}

/// See the head of the module.
pub(super) struct History {
    ends: [End; 2],
    letters: Letters,
}

const fn index(side: Side) -> usize {
    match side {
        Side::Orig => 0,
        Side::Resp => 1,
    }
}

impl History {
    pub(super) const fn new() -> Self {
        let end = End { state: Inactive, before: Inactive, seen: 0, last: [SeqNum(0); 3], counts: [0; 3] };
        Self { ends: [end; 2], letters: Letters::NONE }
    }

    /// See [`Flow::touch`](super::flow::Flow::touch).
    pub(super) fn touch(&self) -> u64 {
        u64::from(self.ends[0].seen) ^ u64::from(self.letters.len)
    }

    /// The first frame was the responder's.
    pub(super) fn flipped(&mut self) {
        self.write('^');
    }

    /// The letters.
    pub(super) const fn letters(&self) -> Letters {
        self.letters
    }

    /// The state of an end.
    pub(super) fn state(&self, side: Side) -> EndState {
        self.ends[index(side)].state
    }

    fn write(&mut self, letter: char) {
        self.letters.push(letter as u8);
    }

    fn write_for(&mut self, side: Side, letter: char) {
        self.write(if side == Side::Orig { letter } else { letter.to_ascii_lowercase() });
    }

    /// Marks a kind of segment as seen; whether it was before.
    fn mark(&mut self, side: Side, bit: u8) -> bool {
        let end = &mut self.ends[index(side)];
        let seen = end.seen & bit != 0;
        end.seen |= bit;
        seen
    }

    fn once(&mut self, side: Side, bit: u8, letter: char) {
        if !self.mark(side, bit) {
            self.write_for(side, letter);
        }
    }

    /// Writes the letter of a control bit, again only with another sequence number.
    fn control(&mut self, side: Side, bit: u8, letter: char, seq: SeqNum) {
        let seen = self.mark(side, bit);
        let last = &mut self.ends[index(side)].last[bit.trailing_zeros() as usize];
        let same = seen && *last == seq;
        *last = seq;
        if !same {
            self.write_for(side, letter);
        }
    }

    /// Writes the letter of a segment. `seq` is that of its first byte.
    pub(super) fn segment(&mut self, side: Side, flags: TcpFlags, seq: SeqNum, len: u32) {
        let (syn, fin, rst) = (flags.has(TcpFlags::SYN), flags.has(TcpFlags::FIN), flags.has(TcpFlags::RST));
        match (syn, fin, rst) {
            (false, false, false) if len > 0 => self.once(side, DATA, 'D'),
            (false, false, false) if flags.has(TcpFlags::ACK) => self.once(side, ACK, 'A'),
            (false, false, false) => {}
            (true, false, false) => self.control(side, SYN, if flags.has(TcpFlags::ACK) { 'H' } else { 'S' }, seq),
            (false, true, false) => self.control(side, FIN, 'F', seq.plus(len)),
            (false, false, true) => self.control(side, RST, 'R', seq),
            (_, true, true) => self.once(side, FIN_RST, 'I'),
            (true, ..) => self.once(side, MULTI, 'Q'),
        }
    }

    /// Counts what is written in a logarithmic fashion.
    pub(super) fn repeated(&mut self, side: Side, what: Repeated) {
        let (slot, letter) = match what {
            Repeated::Gap => (0, 'G'),
            Repeated::Retransmission => (1, 'T'),
            Repeated::ZeroWindow => (2, 'W'),
        };
        let count = &mut self.ends[index(side)].counts[slot];
        *count = count.saturating_add(1);
        let mut power = *count;
        while power.is_multiple_of(10) {
            power /= 10;
        }
        if power == 1 {
            self.write_for(side, letter);
        }
    }

    /// Whether a zero window of `side` means anything: not after its own RST, nor after the peer's FIN.
    pub(super) fn window_matters(&self, side: Side) -> bool {
        self.state(side) != Reset && self.state(side.other()) != Closed
    }

    fn set(&mut self, side: Side, state: EndState) {
        let end = &mut self.ends[index(side)];
        if end.state != state {
            end.before = end.state;
            end.state = state;
        }
    }

    /// Moves the states; call after [`History::segment`], and not for a RST that is not followed.
    pub(super) fn advance(&mut self, side: Side, flags: TcpFlags, len: u32) {
        let control = flags.any(TcpFlags::SYN | TcpFlags::FIN | TcpFlags::RST);
        let state = self.state(side);
        if !control && state != Inactive {
            return; // Only control bits move an end that was seen before.
        }
        let (syn, fin, rst) = (flags.has(TcpFlags::SYN), flags.has(TcpFlags::FIN), flags.has(TcpFlags::RST));
        let peer = self.state(side.other());
        match state {
            Inactive => self.advance_inactive(side, flags, len),
            SynSent | SynAckSent => {
                if fin {
                    self.set(side, Closed);
                }
                if rst {
                    self.set(side, Reset);
                }
            }
            Established | Partial => {
                if syn && state == Partial && peer == Inactive && !flags.has(TcpFlags::ACK) {
                    self.set(side, SynSent);
                }
                if fin && !rst {
                    self.set(side, Closed);
                    if peer == Reset && self.ends[index(side.other())].before == Closed {
                        // The peer sent a FIN, then a RST: a normal end after all.
                        self.set(side.other(), Closed);
                    }
                }
                if rst {
                    self.set(side, Reset);
                }
            }
            Closed => {
                if rst && peer != Closed {
                    self.set(side, Reset);
                }
            }
            Reset => {}
        }
    }

    fn advance_inactive(&mut self, side: Side, flags: TcpFlags, len: u32) {
        let peer = self.state(side.other());
        let ack = flags.has(TcpFlags::ACK);
        if flags.has(TcpFlags::SYN) {
            if side == Side::Orig && !ack && peer == Established {
                // SYN and SYN-ACK captured in the wrong order. Zeek means to see through this, too, but does so only where it
                // took the sender of the SYN-ACK for the originator.
                self.set(side, Established);
            } else if side == Side::Orig {
                self.set(side, if ack { SynAckSent } else { SynSent });
            } else {
                if peer == SynSent || (peer == SynAckSent && !ack) {
                    self.set(Side::Orig, Established);
                }
                self.set(side, Established);
            }
        }
        if flags.has(TcpFlags::FIN) {
            self.set(side, Closed);
        }
        if flags.has(TcpFlags::RST) {
            self.set(side, Reset);
        }
        if self.state(side) == Inactive {
            if side == Side::Resp && len == 0 && peer == SynSent {
                // Some systems acknowledge a SYN before they answer it.
            } else if ack && peer == Established {
                self.set(side, Established); // Only the SYN was missed.
            } else {
                self.set(side, Partial);
            }
        }
    }

    /// Zeek's table over the two ends. `empty` says that neither side sent payload.
    pub(super) fn conn_state(&self, empty: bool) -> ConnState {
        let (orig, resp) = (self.state(Side::Orig), self.state(Side::Resp));
        let unseen = |state| matches!(state, Inactive | Partial);
        match (orig, resp) {
            (SynSent | SynAckSent, Reset) => ConnState::Rej,
            (Reset, Reset) if empty => ConnState::Rej,
            (_, Reset) if unseen(orig) => ConnState::Rstrh,
            (_, Reset) => ConnState::Rstr,
            (Reset, _) if unseen(resp) && self.is_syn_then_reset() => ConnState::Rstos0,
            (Reset, _) if unseen(resp) => ConnState::Oth,
            (Reset, _) => ConnState::Rsto,
            (Closed, Closed) => ConnState::Sf,
            (Closed, _) if unseen(resp) => ConnState::Sh,
            (Closed, _) => ConnState::S2,
            (_, Closed) if unseen(orig) => ConnState::Shr,
            (_, Closed) => ConnState::S3,
            (SynSent, Inactive) => ConnState::S0,
            (Established, Established) => ConnState::S1,
            _ => ConnState::Oth,
        }
    }

    /// Zeek's pattern `\^?S[^HAFGIQ]*R.*` over the letters.
    fn is_syn_then_reset(&self) -> bool {
        let letters = self.letters.as_bytes();
        let letters = letters.strip_prefix(b"^").unwrap_or(letters);
        letters.strip_prefix(b"S").is_some_and(|rest| {
            let reset = rest.iter().position(|&letter| letter == b'R');
            reset.is_some_and(|reset| !rest[..reset].iter().any(|letter| b"HAFGIQ".contains(letter)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Side::{Orig, Resp};

    /// Plays letters as segments, each with a sequence number of its own per side; gives letters and state.
    fn play(script: &str) -> (String, ConnState) {
        let mut history = History::new();
        let mut payload = false;
        for (i, letter) in script.chars().enumerate() {
            let side = if letter.is_ascii_uppercase() { Orig } else { Resp };
            let (flags, len) = match letter.to_ascii_uppercase() {
                'S' => (TcpFlags::SYN, 0),
                'H' => (TcpFlags::SYN | TcpFlags::ACK, 0),
                'A' => (TcpFlags::ACK, 0),
                'D' => (TcpFlags::ACK | TcpFlags::PSH, 10),
                'F' => (TcpFlags::ACK | TcpFlags::FIN, 0),
                'R' => (TcpFlags::RST, 0),
                'I' => (TcpFlags::RST | TcpFlags::FIN, 0),
                _ => (TcpFlags::SYN | TcpFlags::FIN, 0),
            };
            payload |= len > 0;
            history.segment(side, TcpFlags(flags), SeqNum(i as u32), len);
            history.advance(side, TcpFlags(flags), len);
        }
        (history.letters().as_str().into(), history.conn_state(!payload))
    }

    /// Each row is a connection and what Zeek's definitions make of it.
    #[test]
    fn states_are_those_of_zeek() {
        for (script, state) in [
            ("S", ConnState::S0),
            ("ShA", ConnState::S1),
            ("Sh", ConnState::S1),
            ("ShAdDaFf", ConnState::Sf),
            ("ShAdDafF", ConnState::Sf),
            ("Sr", ConnState::Rej),
            ("ShAr", ConnState::Rstr),
            ("ShAdDF", ConnState::S2),
            ("ShAdDf", ConnState::S3),
            ("ShAdDR", ConnState::Rsto),
            ("ShAdDr", ConnState::Rstr),
            ("ShAdDFr", ConnState::Rstr),
            ("ShAdDfR", ConnState::Rsto),
            ("ShAdDFfR", ConnState::Sf),
            ("ShR", ConnState::Rsto),
            ("SR", ConnState::Rstos0),
            ("SAR", ConnState::Oth),
            ("SF", ConnState::Sh),
            ("hr", ConnState::Rstrh),
            ("hf", ConnState::Shr),
            ("hA", ConnState::S1),
            ("dA", ConnState::Oth),
            ("dDaFf", ConnState::Sf),
            ("ShRr", ConnState::Rej),
            ("Ss", ConnState::S1),
            ("aDr", ConnState::Rstrh),
            ("ShAdFRf", ConnState::Sf),
        ] {
            assert_eq!(play(script).1, state, "{script}");
        }
    }

    #[test]
    fn letters_are_written_once_or_by_sequence_number() {
        assert_eq!(play("SShAAAdddDDDaaFfA").0, "SShAdDaFf", "a SYN with another number counts again");
        let mut history = History::new();
        for _ in 0..3 {
            history.segment(Orig, TcpFlags(TcpFlags::SYN), SeqNum(7), 0);
        }
        assert_eq!(history.letters().as_str(), "S", "a retransmitted SYN does not");
        // A FIN is told by where it ends: alone, or with the last bytes again.
        history.segment(Orig, TcpFlags(TcpFlags::FIN), SeqNum(20), 0);
        history.segment(Orig, TcpFlags(TcpFlags::FIN), SeqNum(10), 10);
        assert_eq!(history.letters().as_str(), "SF");
    }

    #[test]
    fn many_events_are_written_at_powers_of_ten() {
        let mut history = History::new();
        for _ in 0..1000 {
            history.repeated(Resp, Repeated::Retransmission);
        }
        history.repeated(Orig, Repeated::Gap);
        assert_eq!(history.letters().as_str(), "ttttG");
    }

    #[test]
    fn a_begin_is_a_syn_and_what_answered_it() {
        let begun = |letters: &str| Letters::from(letters).show_begin();
        for letters in ["ShADadFf", "^hSADd", "Sr", "Ss", "SDhd"] {
            assert!(begun(letters), "{letters}");
        }
        for letters in ["", "S", "SAD", "SDdfAFa", "^hADd", "^hR", "DdfAFa", "HSR"] {
            assert!(!begun(letters), "{letters}");
        }
    }

    #[test]
    fn who_only_resets_or_is_silent_to_a_syn_ack_made_no_call() {
        let no_call = |letters: &str| Letters::from(letters).show_no_call();
        for letters in ["^hR", "^h", "^hr", "^hf", "^hdR", "^dR"] {
            assert!(no_call(letters), "{letters}");
        }
        for letters in ["", "S", "Sr", "SR", "ShR", "^hSR", "^hA", "^hAR", "^hD", "^hd", "^hdf", "^d", "DR"] {
            assert!(!no_call(letters), "{letters}");
        }
    }

    #[test]
    fn the_letters_are_bounded() {
        assert_eq!(play(&"S".repeat(1000)).0.len(), LETTERS_MAX);
    }

    #[test]
    fn only_letters_are_read_from_a_line() {
        let read = |text: &str| Letters::from(text).as_str().to_owned();
        assert_eq!(read("^ShADadFf"), "^ShADadFf");
        assert_eq!(read("S\"\u{1b}[2J\u{e9}h"), "SJh");
        assert_eq!(read(&"D".repeat(1000)), "D".repeat(LETTERS_MAX));
    }
}
