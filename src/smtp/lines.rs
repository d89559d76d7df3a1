//! Framing before grammar: a stream's bytes into lines, whatever the lines say.
//!
//! Read first: RFC 5321 section 2.3.8 (lines) and 4.1.1.4 (why a bare LF must be told from CRLF). A line ends at LF; a
//! CR before it belongs to the line end; a CR elsewhere ends nothing and is flagged. Boundaries survive any content:
//! a line that is too long is cut and the rest of it skipped, the next line is whole again.
//!
//! This room does not know what a command is, and does no dot-stuffing.

use memchr::memchr;

use crate::wire::is_printable_but;

/// How a line ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LineEnd {
    /// CR LF, as RFC 5321 wants it.
    CrLf,
    /// LF alone.
    Lf,
}

/// One line, without its line end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// The bytes, without the line end; cut to the limit if `too_long`.
    pub bytes: &'a [u8],
    /// How it ended.
    pub ending: LineEnd,
    /// There were more bytes than the limit: the rest was skipped.
    pub too_long: bool,
}

/// Bytes that have no business in a line.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct OddBytes {
    /// A NUL.
    pub nul: bool,
    /// A CR that is no part of the line end.
    pub bare_cr: bool,
    /// Bytes above 0x7f.
    pub eight_bit: bool,
}

impl Line<'_> {
    /// The odd bytes in it.
    pub fn odd_bytes(&self) -> OddBytes {
        if is_printable_but(self.bytes, []) {
            return OddBytes::default();
        }
        let has = |byte| memchr(byte, self.bytes).is_some();
        OddBytes { nul: has(0), bare_cr: has(b'\r'), eight_bit: !self.bytes.is_ascii() }
    }
}

/// Cuts one direction of a stream into lines.
///
/// Invariant: `pending` never holds more than `line_max` + 1 bytes (one more than a line may have, because that byte may
/// turn out to be the CR of its end).
#[derive(Clone, Debug)]
pub struct LineSplitter {
    line_max: usize,
    /// The beginning of a line whose end was not seen.
    pending: Vec<u8>,
    /// The last byte of the unfinished line, kept or not; tells CRLF from LF.
    last: u8,
    /// Bytes of the unfinished line were dropped.
    overflow: bool,
    /// `pending` is a line that the last call handed out.
    handed_out: bool,
    /// Everything up to the next LF is of a line whose beginning was lost.
    skipping: bool,
}

/// A buffer that grew beyond this is given back once its line is done: long lines are rare, connections are many.
const KEEP_CAPACITY_MAX: usize = 1024;

impl LineSplitter {
    /// A splitter that keeps at most `line_max` bytes of a line.
    pub fn new(line_max: usize) -> Self {
        Self { line_max, pending: Vec::new(), last: 0, overflow: false, handed_out: false, skipping: false }
    }

    /// Takes the next line from the front of `input`, which it advances. Returns `None` when `input` is used up without
    /// a line end; what was left is kept until the line's other bytes come.
    ///
    /// The line borrows from `input` if it lies whole in it, else from the splitter. A line that is too long is handed
    /// out once, when its end is seen.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Option<Line<'s>> {
        self.clear_handed_out();
        if self.skipping {
            let Some(end) = memchr(b'\n', input) else {
                *input = &[];
                return None;
            };
            *input = input.get(end + 1..).unwrap_or_default();
            self.skipping = false;
        }
        let Some((head, rest)) = memchr(b'\n', input).and_then(|end| input.split_at_checked(end)) else {
            self.keep(input);
            *input = &[];
            return None;
        };
        *input = rest.get(1..).unwrap_or_default();
        if self.pending.is_empty() && head.len() <= self.line_max {
            let (bytes, ending) = match head.strip_suffix(b"\r") {
                Some(bytes) => (bytes, LineEnd::CrLf),
                None => (head, LineEnd::Lf),
            };
            return Some(Line { bytes, ending, too_long: false });
        }
        self.keep(head);
        self.handed_out = true;
        let ending = if self.last == b'\r' { LineEnd::CrLf } else { LineEnd::Lf };
        let mut bytes = self.pending.as_slice();
        if ending == LineEnd::CrLf && !self.overflow {
            bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        }
        let too_long = self.overflow || bytes.len() > self.line_max;
        Some(Line { bytes: bytes.get(..self.line_max).unwrap_or(bytes), ending, too_long })
    }

    /// Forgets the unfinished line: the next byte begins a line.
    pub fn reset(&mut self) {
        self.handed_out = true;
        self.clear_handed_out();
        self.skipping = false;
    }

    /// Forgets the unfinished line, and all up to the next LF: after a gap the next bytes are of a line whose beginning
    /// is lost, so it is no line.
    pub fn skip_to_line_end(&mut self) {
        self.reset();
        self.skipping = true;
    }

    /// Whether bytes are being skipped (see [`Self::skip_to_line_end`]).
    pub fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// The bytes of the unfinished line, cut to one more than the limit.
    pub fn pending(&self) -> &[u8] {
        if self.handed_out { &[] } else { &self.pending }
    }

    /// Takes the bytes of the unfinished line; the next byte begins a line.
    pub fn take_pending(&mut self) -> Vec<u8> {
        self.clear_handed_out();
        let pending = std::mem::take(&mut self.pending);
        self.reset();
        pending
    }

    fn keep(&mut self, bytes: &[u8]) {
        let Some(&last) = bytes.last() else { return };
        self.last = last;
        let room = (self.line_max + 1).saturating_sub(self.pending.len());
        let kept = bytes.get(..room).unwrap_or(bytes);
        self.overflow |= kept.len() < bytes.len();
        self.pending.extend_from_slice(kept);
    }

    fn clear_handed_out(&mut self) {
        if self.handed_out {
            self.handed_out = false;
            self.overflow = false;
            self.last = 0;
            if self.pending.capacity() > KEEP_CAPACITY_MAX {
                self.pending = Vec::new();
            }
            self.pending.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = (Vec<u8>, LineEnd, bool);

    /// All lines of the chunks, and what is left.
    fn split(line_max: usize, chunks: &[&[u8]]) -> (Vec<Owned>, Vec<u8>) {
        let mut splitter = LineSplitter::new(line_max);
        let mut lines = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            while let Some(line) = splitter.next(&mut input) {
                let odd = line.odd_bytes();
                assert_eq!(odd.nul, line.bytes.contains(&0));
                assert_eq!(odd.bare_cr, line.bytes.contains(&b'\r'));
                assert_eq!(odd.eight_bit, !line.bytes.is_ascii());
                lines.push((line.bytes.to_vec(), line.ending, line.too_long));
            }
            assert!(input.is_empty());
        }
        let rest = splitter.pending().to_vec();
        (lines, rest)
    }

    fn line(text: &str, ending: LineEnd) -> Owned {
        (text.into(), ending, false)
    }

    #[test]
    fn lines_end_at_lf_and_crlf_is_told_from_it() {
        let (lines, rest) = split(99, &[b"EHLO a\r\n\r\nQUIT\n\nDA"]);
        assert_eq!(
            lines,
            [line("EHLO a", LineEnd::CrLf), line("", LineEnd::CrLf), line("QUIT", LineEnd::Lf), line("", LineEnd::Lf)]
        );
        assert_eq!(rest, b"DA");
    }

    #[test]
    fn a_line_over_many_segments_is_one_line() {
        let (lines, rest) = split(99, &[b"MA", b"", b"IL\r", b"\nRC", b"PT\r\n"]);
        assert_eq!(lines, [line("MAIL", LineEnd::CrLf), line("RCPT", LineEnd::CrLf)]);
        assert!(rest.is_empty());
    }

    #[test]
    fn a_cr_alone_ends_nothing_and_is_flagged() {
        let mut splitter = LineSplitter::new(99);
        let mut input: &[u8] = b"a\rb\x00\xff\r\r\n";
        let line = splitter.next(&mut input).unwrap();
        assert_eq!(line.bytes, b"a\rb\x00\xff\r");
        let odd = line.odd_bytes();
        assert!(odd.bare_cr && odd.nul && odd.eight_bit && !line.too_long);
        assert_eq!(line.ending, LineEnd::CrLf);
    }

    #[test]
    fn the_limit_counts_bytes_without_the_line_end() {
        for chunks in
            [&[b"12345\r\n12345\n123456\r\n1\r\n" as &[u8]][..], &[b"12345\r", b"\n123", b"45\n12345", b"6\r\n1\r\n"]]
        {
            let (lines, _) = split(5, chunks);
            assert_eq!(
                lines,
                [
                    line("12345", LineEnd::CrLf),
                    line("12345", LineEnd::Lf),
                    ("12345".into(), LineEnd::CrLf, true),
                    line("1", LineEnd::CrLf)
                ]
            );
        }
    }

    #[test]
    fn an_endless_line_does_not_grow() {
        let mut splitter = LineSplitter::new(100);
        for _ in 0..1000 {
            let mut input: &[u8] = &[b'x'; 1000];
            assert_eq!(splitter.next(&mut input), None);
        }
        assert_eq!(splitter.pending().len(), 101);
        let mut input: &[u8] = b"\nNOOP\r\n";
        let long = splitter.next(&mut input).unwrap();
        assert!(long.too_long && long.bytes.len() == 100);
        assert_eq!(splitter.next(&mut input).unwrap().bytes, b"NOOP");
    }

    #[test]
    fn after_a_gap_the_rest_of_a_line_is_no_line() {
        let mut splitter = LineSplitter::new(100);
        let mut input: &[u8] = b"MAIL FRO";
        assert_eq!(splitter.next(&mut input), None);
        splitter.skip_to_line_end();
        assert!(splitter.pending().is_empty());
        input = b"@example.org>";
        assert_eq!(splitter.next(&mut input), None);
        assert!(splitter.is_skipping());
        input = b"\r\nDATA\r\n";
        assert_eq!(splitter.next(&mut input).unwrap().bytes, b"DATA");
        assert_eq!(splitter.next(&mut input), None);
    }

    #[test]
    fn what_is_pending_can_be_taken() {
        let mut splitter = LineSplitter::new(100);
        let mut input: &[u8] = b"QUIT\r\n220 mx";
        while splitter.next(&mut input).is_some() {}
        assert_eq!(splitter.take_pending(), b"220 mx");
        input = b"a\r\n";
        assert_eq!(splitter.next(&mut input).unwrap().bytes, b"a");
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            pieces in prop::collection::vec(prop::sample::select(vec!["a", "bcd", "\r", "\n", "\r\n", "\0", "é", "0123456789"]), 0..60),
            cuts in prop::collection::vec(0_usize..300, 0..20),
            line_max in 0_usize..12,
        ) {
            let bytes = pieces.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(split(line_max, &chunks), split(line_max, &[&bytes]));
        }
    }
}
