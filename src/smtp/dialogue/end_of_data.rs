//! Where mail data end: CRLF.CRLF, and the dot lines of other forms that some server may take for it.
//!
//! Read first: RFC 5321 section 4.1.1.4 (the end of mail data), 4.5.2 (dot-stuffing) and 2.3.8 (why a bare LF is no line
//! end). This is the hot path of mail data: whatever has no dot at the start of a line is passed over many bytes at a time,
//! and contents leave in slices as large as they came, never line by line.
//!
//! This room does not know which form the server took: that is what its replies are for.

use crate::smtp::pairs::{BareLfs, find_after, is_bare_lf};

/// What stands before a place in the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Before {
    end: LineEnd,
    /// NULs stand between the line end and this place: some servers drop them.
    nul: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LineEnd {
    CrLf,
    Lf,
    Cr,
    /// The place is not at the start of a line.
    None,
}

/// How far a possible dot line is read, where a slice ended inside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Edge {
    /// In the text.
    Text,
    /// A dot at the start of a line was read, and is held back.
    Dot { nul: bool },
    /// That, and a CR.
    DotCr { nul: bool },
}

/// Why a scan stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// All bytes are used.
    Used,
    /// CRLF.CRLF
    End,
    /// A dot line of another form: `<LF>.<LF>`, `<CR><LF>.<LF>`, `<CR>.<CR>`, one with NULs, and the like.
    OtherDot,
}

/// Finds dot lines and undoes dot-stuffing, over any segment borders.
#[derive(Clone, Copy, Debug)]
pub(super) struct DotScanner {
    before: Before,
    edge: Edge,
    /// Bytes of a dot line that turned out to be content after all; given out when the scan goes on.
    owed: &'static [u8],
}

impl DotScanner {
    /// A scanner at the start of mail data: the CRLF of the DATA line counts as the one before the first line.
    pub(super) const fn new() -> Self {
        Self { before: Before { end: LineEnd::CrLf, nul: false }, edge: Edge::Text, owed: b"" }
    }

    /// Forgets what came before, as after a gap: the next bytes stand in the middle of a line as far as one can tell.
    pub(super) const fn forget(&mut self) {
        self.before = Before { end: LineEnd::None, nul: false };
        self.edge = Edge::Text;
    }

    /// Reads `bytes` up to the first dot line, and gives what is content to `content`, dot-stuffing undone. Says how
    /// many bytes were used: all of them, or those up to the dot line's end. With each piece of content comes what was seen of
    /// LFs in it on the way.
    ///
    /// After [`Stop::OtherDot`] the scan may go on with the bytes after it: the dot line is then content.
    pub(super) fn scan(&mut self, bytes: &[u8], mut content: impl FnMut(&[u8], BareLfs)) -> (usize, Stop) {
        let owed = std::mem::take(&mut self.owed);
        if !owed.is_empty() {
            content(owed, BareLfs::Perhaps);
        }
        let mut lfs = BareLfs::None;
        // `from`: where content begins that was not given out; `at`: where to look next.
        let (mut from, mut at) = (0, 0);
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            match self.edge {
                Edge::Text => {
                    let Some(dot) = leading_dot(bytes, from, at, &mut lfs) else {
                        let rest = bytes.get(from..).unwrap_or_default();
                        if !rest.is_empty() {
                            content(rest, lfs);
                            self.before = self.before.then(rest);
                        }
                        return (bytes.len(), Stop::Used);
                    };
                    let text = bytes.get(from..dot).unwrap_or_default();
                    let before = self.before.then(text);
                    at = dot + 1;
                    if before.end != LineEnd::None {
                        if !text.is_empty() {
                            content(text, lfs);
                        }
                        self.before = before;
                        self.edge = Edge::Dot { nul: before.nul };
                        from = at;
                    }
                }
                Edge::Dot { nul } => {
                    let Some(&next) = rest.first() else { return (bytes.len(), Stop::Used) };
                    match next {
                        0 => {
                            self.edge = Edge::Dot { nul: true };
                            (from, at) = (at + 1, at + 1);
                        }
                        b'\r' => {
                            self.edge = Edge::DotCr { nul };
                            (from, at) = (at + 1, at + 1);
                        }
                        b'\n' => {
                            self.other(b".\n", LineEnd::Lf);
                            return (at + 1, Stop::OtherDot);
                        }
                        _ => {
                            // Dot-stuffing is undone at strict line starts only, as a strict server does it.
                            if self.before.end != LineEnd::CrLf || self.before.nul {
                                content(b".", lfs);
                            }
                            self.before.end = LineEnd::None;
                            self.edge = Edge::Text;
                        }
                    }
                }
                Edge::DotCr { nul } => {
                    let Some(&next) = rest.first() else { return (bytes.len(), Stop::Used) };
                    if next != b'\n' {
                        self.other(b".\r", LineEnd::Cr);
                        return (at, Stop::OtherDot);
                    }
                    if self.before.end == LineEnd::CrLf && !nul {
                        self.edge = Edge::Text;
                        return (at + 1, Stop::End);
                    }
                    self.other(b".\r\n", LineEnd::CrLf);
                    return (at + 1, Stop::OtherDot);
                }
            }
        }
    }

    /// Whether a dot line ends here by a CR, if no byte comes after that: then it is one of another form.
    pub(super) const fn settle(&mut self) -> bool {
        let settled = matches!(self.edge, Edge::DotCr { .. });
        if settled {
            self.other(b".\r", LineEnd::Cr);
        }
        settled
    }

    /// What is held back is content after all, because the data stop here without an end.
    pub(super) fn flush(&mut self) -> &'static [u8] {
        match std::mem::replace(&mut self.edge, Edge::Text) {
            Edge::Text => std::mem::take(&mut self.owed),
            Edge::Dot { .. } => b".",
            Edge::DotCr { .. } => b".\r",
        }
    }

    /// Notes a dot line of another form; it ends by `end`.
    const fn other(&mut self, line: &'static [u8], end: LineEnd) {
        self.owed = match (self.before, line) {
            (Before { end: LineEnd::CrLf, nul: false }, [b'.', rest @ ..]) => rest,
            _ => line,
        };
        self.before = Before { end, nul: false };
        self.edge = Edge::Text;
    }
}

/// The first dot from `at` on that may begin a line: after a CR, an LF or a NUL, or with nothing of `bytes` before it
/// where the text begins, at `from`. On the way there it is seen whether LFs stand alone, which costs little beside it.
#[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler looks at many at once")]
fn leading_dot(bytes: &[u8], from: usize, at: usize, lfs: &mut BareLfs) -> Option<usize> {
    if at == from && bytes.get(at) == Some(&b'.') {
        return Some(at);
    }
    let mut begin = at.max(from + 1) - 1;
    // One comparison instead of three: what else lies as low is rare in front of a dot.
    let is_dot = |before: u8, byte: u8| (before <= b'\r') & (byte == b'.');
    loop {
        let rest = bytes.get(begin..)?;
        let odd = begin
            + match lfs {
                BareLfs::None => find_after(rest, |before, byte| is_dot(before, byte) | is_bare_lf(before, byte)),
                BareLfs::Perhaps => find_after(rest, is_dot),
            }?;
        match (bytes.get(odd - 1), bytes.get(odd)) {
            (Some(b'\r' | b'\n' | 0), Some(b'.')) => return Some(odd),
            (_, Some(b'\n')) => *lfs = BareLfs::Perhaps,
            _ => {}
        }
        begin = odd;
    }
}

impl Before {
    /// What stands before the place after `bytes`.
    fn then(self, bytes: &[u8]) -> Self {
        match bytes {
            // By far the most frequent: a dot inside a line.
            [.., last] if !matches!(last, b'\r' | b'\n' | 0) => Self { end: LineEnd::None, nul: false },
            [head @ .., 0] => {
                let before = self.then(trim_nuls(head));
                Self { nul: before.end != LineEnd::None, ..before }
            }
            [.., b'\r', b'\n'] => Self { end: LineEnd::CrLf, nul: false },
            [b'\n'] if self.end == LineEnd::Cr && !self.nul => Self { end: LineEnd::CrLf, nul: false },
            [.., b'\n'] => Self { end: LineEnd::Lf, nul: false },
            [.., _] => Self { end: LineEnd::Cr, nul: false },
            [] => self,
        }
    }
}

fn trim_nuls(mut bytes: &[u8]) -> &[u8] {
    while let [head @ .., 0] = bytes {
        bytes = head;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Scans to the end of data in pieces; gives the contents, the bytes used and the places after other dot lines.
    fn scan(pieces: &[&[u8]]) -> (Vec<u8>, Option<usize>, Vec<usize>) {
        let mut scanner = DotScanner::new();
        let (mut contents, mut others, mut base) = (Vec::new(), Vec::new(), 0);
        for piece in pieces {
            let mut rest = *piece;
            loop {
                let (used, stop) = scanner.scan(rest, |bytes, lfs| {
                    let bare = BareLfs::Perhaps.are_in(bytes);
                    assert!(!bare || lfs == BareLfs::Perhaps);
                    contents.extend_from_slice(bytes);
                });
                rest = &rest[used..];
                base += used;
                match stop {
                    Stop::Used => break,
                    Stop::End => return (contents, Some(base), others),
                    Stop::OtherDot => others.push(base),
                }
            }
            assert!(rest.is_empty());
        }
        (contents, None, others)
    }

    #[test]
    fn mail_data_end_at_crlf_dot_crlf_and_nowhere_else() {
        assert_eq!(scan(&[b"a.b\r\n.\r\nQUIT\r\n"]), (b"a.b\r\n".into(), Some(8), vec![]));
        assert_eq!(scan(&[b".\r\n"]), (b"".into(), Some(3), vec![]));
        assert_eq!(scan(&[b"a\r\n.b\r\n. \r\n"]), (b"a\r\nb\r\n \r\n".into(), None, vec![]));
    }

    #[test]
    fn dot_stuffing_is_undone_after_crlf() {
        assert_eq!(scan(&[b"..a\r\n..\r\n...\r\n.\r\n"]).0, b".a\r\n.\r\n..\r\n");
        assert_eq!(scan(&[b"a\n..b\r..c"]).0, b"a\n..b\r..c");
    }

    #[test]
    fn every_other_form_of_a_dot_line_is_noticed_and_kept_as_content() {
        for (data, contents, at) in [
            (&b"a\n.\nb\r\n.\r\n"[..], &b"a\n.\nb\r\n"[..], 4),
            (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n", 5),
            (b"a\n.\rb\r\n.\r\n", b"a\n.\rb\r\n", 4),
            (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n", 5),
            (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\rb\r\n", 5),
            (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n", 4),
            (b"a\r.\nb\r\n.\r\n", b"a\r.\nb\r\n", 4),
            (b"a\r.\r\nb\r\n.\r\n", b"a\r.\r\nb\r\n", 5),
        ] {
            assert_eq!(scan(&[data]), (contents.into(), Some(data.len()), vec![at]), "{data:?}");
        }
        assert_eq!(scan(&[b"a\r\n\0.\r\nb\r\n.\r\n"]).2, [7]);
        assert_eq!(scan(&[b"a\r\n.\0\r\nb\r\n.\r\n"]).2, [7]);
        assert_eq!(scan(&[b"a\n.\n.\n.\r\n"]).2, [4, 6, 9]);
    }

    #[test]
    fn a_dot_line_after_a_gap_needs_its_line_end() {
        let mut scanner = DotScanner::new();
        scanner.forget();
        assert_eq!(scanner.scan(b".\r\n.\r\n", |_, _| ()), (6, Stop::End));
        scanner.forget();
        assert_eq!(scanner.scan(b".\r\n", |_, _| ()), (3, Stop::Used));
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_result(
            pieces in prop::collection::vec(prop::sample::select(vec!["a", ".", "\r", "\n", "\r\n", "\0", "\r\n.\r", "bc"]), 0..40),
            cuts in prop::collection::vec(0_usize..80, 0..20),
        ) {
            let bytes = pieces.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(scan(&chunks), scan(&[&bytes]));
        }

        #[test]
        fn the_end_is_the_first_crlf_dot_crlf(
            pieces in prop::collection::vec(prop::sample::select(vec!["a", ".", "\r", "\n", "\r\n", "\r\n.\r\n"]), 0..40),
        ) {
            let bytes = pieces.concat().into_bytes();
            let whole = [b"\r\n", bytes.as_slice()].concat();
            let end = memchr::memmem::find(&whole, b"\r\n.\r\n").map(|at| at + 3);
            prop_assert_eq!(scan(&[&bytes]).1, end);
        }
    }
}
