//! Mail data under way: their contents, and the places where a server may have seen their end.

use smallvec::SmallVec;

use super::end_of_data::{DotScanner, Stop};
use crate::frame::At;
use crate::limits::SmtpLimits;
use crate::smtp::SmugglingFacts;
use crate::smtp::mail::MailScanner;
use crate::smtp::pairs::{BareLfs, is_bare_lf};
use crate::smtp::{MailEnd, Reply};
use crate::wire::Wire;

/// How far after a dot line of another form a command makes it a smuggling attempt. A second mail follows at once; a
/// mail that quotes a dot line by chance goes on with text.
const SMUGGLING_WINDOW: usize = 512;

/// Bytes of the client that may have to be read (again) as commands: bounded, with what each run of them acknowledged.
#[derive(Debug)]
pub(super) struct Held {
    /// Where in the client's stream they begin.
    pub(super) start: u64,
    bytes: Vec<u8>,
    runs: Vec<Run>,
    max: usize,
    /// There were more bytes than may be kept.
    pub(super) overflow: bool,
}

/// Bytes of one segment.
#[derive(Clone, Copy, Debug)]
struct Run {
    end: usize,
    at: At,
    acked: u64,
}

/// A run costs as much as 40 bytes; a client that sends single bytes gets coarser runs.
const RUNS_MAX: usize = 256;

impl Held {
    pub(super) const fn new(start: u64, max: usize) -> Self {
        Self { start, bytes: Vec::new(), runs: Vec::new(), max, overflow: false }
    }

    /// How many more bytes there is room for.
    pub(super) fn room(&self) -> usize {
        self.max.saturating_sub(self.bytes.len())
    }

    /// Keeps what there is room for.
    pub(super) fn push(&mut self, at: At, acked: u64, bytes: &[u8]) {
        let kept = bytes.get(..self.room()).unwrap_or(bytes);
        self.overflow |= kept.len() < bytes.len();
        if kept.is_empty() {
            return;
        }
        self.bytes.extend_from_slice(kept);
        let end = self.bytes.len();
        let full = self.runs.len() >= RUNS_MAX;
        match self.runs.last_mut() {
            Some(run) if (run.at, run.acked) == (at, acked) || full => run.end = end,
            _ => self.runs.push(Run { end, at, acked }),
        }
    }

    /// Starts anew at another place.
    fn restart(&mut self, start: u64) {
        self.start = start;
        self.bytes.clear();
        self.runs.clear();
        self.overflow = false;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where in the client's stream they end.
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// The bytes run by run.
    pub(super) fn runs(&self) -> impl Iterator<Item = (At, u64, &[u8])> {
        let mut from = 0;
        self.runs.iter().map(move |run| {
            let bytes = self.bytes.get(from..run.end).unwrap_or_default();
            from = run.end;
            (run.at, run.acked, bytes)
        })
    }
}

/// A place where the data may have ended for the server.
#[derive(Debug)]
pub(super) struct OtherEnd {
    /// Bytes of content before it.
    size: u64,
    /// What the client had acknowledged when it sent it.
    pub(super) acked: u64,
    /// It is a gap that may hide the end, no dot line.
    pub(super) gap: bool,
    /// The frame with it.
    at: At,
    /// The last bytes up to it, and the lines of the data before it.
    before: Vec<u8>,
    lines: LineEnds,
    /// What follows it.
    pub(super) tail: Held,
}

/// A mail's data, by DATA or BDAT.
#[derive(Debug)]
pub(super) struct MailData {
    dots: DotScanner,
    scanner: MailScanner,
    size: u64,
    /// Bytes are missing.
    holes: bool,
    /// What the client had acknowledged when it sent the first byte.
    pub(super) acked: Option<u64>,
    /// The last place where the data may have ended, unless the one before it is the better guess.
    pub(super) other: Option<Box<OtherEnd>>,
    /// Line ends so far.
    lines: LineEnds,
    /// The last bytes of the data, at most [`AROUND`].
    last: SmallVec<[u8; AROUND]>,
    /// A dot line of another form is followed by a command.
    pub(super) smuggling: bool,
    /// The first such place.
    pub(super) false_end: Option<Box<SmugglingFacts>>,
    /// The server's verdict, given before the end.
    pub(super) verdict: Option<Reply>,
}

impl MailData {
    pub(super) fn new(limits: &SmtpLimits) -> Self {
        Self {
            dots: DotScanner::new(),
            scanner: MailScanner::new(limits),
            size: 0,
            holes: false,
            acked: None,
            other: None,
            lines: LineEnds::default(),
            last: SmallVec::new(),
            smuggling: false,
            false_end: None,
            verdict: None,
        }
    }

    /// Takes data up to the end or the next dot line of another form. `start`: where in the client's stream `bytes`
    /// begins. Says how many bytes were used and whether the end is among them.
    pub(super) fn handle(
        &mut self,
        at: At,
        acked: u64,
        start: u64,
        bytes: &[u8],
        limits: &SmtpLimits,
    ) -> (usize, bool) {
        self.acked.get_or_insert(acked);
        let Self { dots, scanner, size, lines, .. } = self;
        let (used, stop) = dots.scan(bytes, |content, lfs| {
            lines.count(*size, content, lfs);
            *size += content.len() as u64;
            scanner.handle_looked_at(content, lfs);
        });
        let taken = bytes.get(..used).unwrap_or(bytes);
        self.remember(taken);
        if let Some(other) = &mut self.other {
            let short = other.tail.bytes().len() < SMUGGLING_WINDOW;
            other.tail.push(at, acked, taken);
            if short && other.tail.bytes().len() >= SMUGGLING_WINDOW {
                self.judge_other();
            }
        }
        match stop {
            Stop::Used => {}
            Stop::End => self.judge_other(),
            Stop::OtherDot => self.note_other(at, acked, start + used as u64, false, limits),
        }
        (used, stop == Stop::End)
    }

    /// The server has spoken: a dot and a CR were all that it waited for, if they are the last bytes. `end`: where in the
    /// client's stream they end.
    pub(super) fn handle_verdict(&mut self, at: At, acked: u64, end: u64, limits: &SmtpLimits) {
        if self.dots.settle() {
            self.note_other(at, acked, end, false, limits);
        }
    }

    /// Keeps the last bytes.
    fn remember(&mut self, taken: &[u8]) {
        let newest = taken.get(taken.len().saturating_sub(AROUND)..).unwrap_or(taken);
        let old = self.last.len().min(AROUND - newest.len());
        self.last.drain(..self.last.len() - old);
        self.last.extend_from_slice(newest);
    }

    /// Takes a chunk's bytes: no dots, no ends.
    pub(super) fn handle_chunk(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.scanner.handle(bytes);
    }

    /// Takes note of missing bytes inside a chunk.
    pub(super) fn handle_chunk_gap(&mut self, len: u64) {
        self.size = self.size.saturating_add(len);
        self.holes = true;
        self.scanner.handle_gap();
    }

    /// Takes note of missing bytes; `end`: where in the client's stream they end. They may hide the end of the data.
    pub(super) fn handle_gap(&mut self, at: At, len: u64, acked: u64, end: u64, limits: &SmtpLimits) {
        self.dots.forget();
        self.holes = true;
        self.last.clear();
        self.scanner.handle_gap();
        self.note_other(at, acked, end, true, limits);
        self.size = self.size.saturating_add(len);
    }

    /// The data stop without an end.
    pub(super) fn cut(&mut self) -> MailEnd {
        let held = self.dots.flush();
        self.size += held.len() as u64;
        self.scanner.handle(held);
        self.finish(false)
    }

    /// What was sent after a dot line of another form, if that is a mail of its own: a server that takes the dot line for
    /// the end reads it as commands.
    pub(super) fn take_smuggled(&mut self) -> Option<Held> {
        let other = self.other.take()?;
        let OtherEnd { gap, tail, .. } = *other;
        (!gap && !tail.overflow && begins_with_command(tail.bytes())).then_some(tail)
    }

    /// The data are whole if `complete`, or end nobody knows where.
    pub(super) fn finish(&mut self, complete: bool) -> MailEnd {
        if !complete {
            self.scanner.handle_gap();
        }
        let mut facts = Box::new(self.scanner.finish());
        if self.holes || !complete {
            facts.body_hash = None;
        }
        MailEnd { size: self.size, complete, facts }
    }

    /// The data ended at `other`.
    pub(super) fn finish_at(&mut self, other: &OtherEnd) -> MailEnd {
        let only = other.tail.bytes().is_empty() && !other.tail.overflow;
        self.size = other.size;
        self.holes |= other.gap;
        let mut mail = self.finish(!other.gap && !other.tail.overflow);
        if !only {
            // The scanner has read what follows the end, too.
            mail.facts.body_hash = None;
        }
        mail
    }

    /// Decides whether the bytes after the place make it a smuggling attempt.
    pub(super) fn judge_other(&mut self) {
        let Some(other) = &self.other else { return };
        let tail = other.tail.bytes();
        if !self.smuggling && !other.gap && has_command(tail.get(..SMUGGLING_WINDOW).unwrap_or(tail)) {
            self.smuggling = true;
            let after = tail.get(..AROUND).unwrap_or(tail);
            self.false_end = Some(Box::new(SmugglingFacts {
                at: other.at,
                around: Wire::from([&other.before, after].concat()),
                crlf_lines: other.lines.crlf,
                lf_lines: other.lines.lf,
            }));
        }
    }

    /// Notes a place. An earlier one is kept if a command follows it at once, for then it is the better guess.
    fn note_other(&mut self, at: At, acked: u64, end: u64, gap: bool, limits: &SmtpLimits) {
        self.judge_other();
        let (size, lines, before) = (self.size, self.lines, self.last.to_vec());
        let tail = match self.other.take().map(|other| *other) {
            // (Where bytes are missing after it, it cannot be read again.)
            Some(mut other) if begins_with_command(other.tail.bytes()) => {
                other.tail.overflow |= gap;
                self.other = Some(Box::new(other));
                return;
            }
            Some(OtherEnd { mut tail, .. }) => {
                tail.restart(end);
                tail
            }
            None => Held::new(end, limits.reread_max),
        };
        self.other = Some(Box::new(OtherEnd { size, acked, gap, at, before, lines, tail }));
    }
}

/// Bytes that are shown on either side of a doubtful end.
const AROUND: usize = 32;

/// Bytes of the data in which line ends are counted: a client that knows no CRLF shows it in the header.
const LINES_WITHIN: u64 = 4096;

/// How the first lines end.
#[derive(Clone, Copy, Default, Debug)]
struct LineEnds {
    crlf: u64,
    lf: u64,
    after_cr: bool,
}

impl LineEnds {
    /// Counts in `content`, before which there were `size` bytes.
    fn count(&mut self, size: u64, content: &[u8], lfs: BareLfs) {
        let room = usize::try_from(LINES_WITHIN.saturating_sub(size)).unwrap_or(0);
        let content = content.get(..room).unwrap_or(content);
        let (Some(first), Some(last)) = (content.first(), content.last()) else { return };
        let all = memchr::memchr_iter(b'\n', content).count();
        let mut bare = usize::from(is_bare_lf(if self.after_cr { b'\r' } else { 0 }, *first));
        // Where one is bare, so are mostly all.
        if lfs.are_in(content) {
            bare += content.windows(2).filter(|pair| is_bare_lf(pair[0], pair[1])).count();
        }
        self.crlf += (all - bare) as u64;
        self.lf += bare as u64;
        self.after_cr = *last == b'\r';
    }
}

/// The verbs that open a smuggled mail, and how they go on.
const SMUGGLED: [(&[u8], &[u8]); 7] = [
    (b"MAIL FROM", b":"),
    (b"RCPT TO", b":"),
    (b"DATA", b"\r\n"),
    (b"EHLO", b" "),
    (b"HELO", b" "),
    (b"RSET", b"\r\n"),
    (b"BDAT", b" "),
];

/// Whether a line of `bytes` begins with a command; a line begins after LF or CR, and at the start.
fn has_command(bytes: &[u8]) -> bool {
    begins_with_command(bytes)
        || memchr::memchr2_iter(b'\r', b'\n', bytes).any(|end| bytes.get(end + 1..).is_some_and(begins_with_command))
}

/// Whether `bytes` begin with a command.
pub(super) fn begins_with_command(bytes: &[u8]) -> bool {
    SMUGGLED.iter().any(|(verb, next)| {
        let Some((head, rest)) = bytes.split_at_checked(verb.len()) else { return false };
        head.eq_ignore_ascii_case(verb) && rest.first().is_some_and(|byte| next.contains(byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Dialect;
    use crate::smtp::testing::{Played, play, play_events, rechunk, script};

    /// A mail whose data hold a false end with a second mail behind it, and what the server says to it.
    fn smuggled(data: &str, answers: &str) -> String {
        format!(
            "S: 220 mx.example\nC: EHLO x\nS: 250 mx.example\nC: MAIL FROM:<a@x.example>\nS: 250 ok\n\
             C: RCPT TO:<b@y.example>\nS: 250 ok\nC: DATA\nS: 354 go on\nC| {data}\n{answers}\nC: QUIT\nS: 221 bye\n"
        )
    }

    fn facts(played: &Played) -> SmugglingFacts {
        played.facts.smuggling.as_deref().cloned().expect("it was seen")
    }

    const HIDDEN: &str = "From: a\\r\\n\\r\\nhello\\n.\\r\\nMAIL FROM:<c@x.example>\\r\\nRCPT TO:<b@y.example>\\r\\nDATA\\r\\nspam\\r\\n.\\r\\n";

    #[test]
    fn the_bytes_around_a_false_end_are_kept_and_no_more() {
        let played = play(&smuggled(HIDDEN, "S: 250 queued"));
        let found = facts(&played);
        assert_eq!(found.around.as_bytes(), b"From: a\r\n\r\nhello\n.\r\nMAIL FROM:<c@x.example>\r\nRCPT TO");
        assert!(found.around.as_bytes().len() <= 64);
        assert_eq!((found.crlf_lines, found.lf_lines), (2, 1));
        assert!(played.weird().contains(&"smtp_smuggling_pattern"));
        assert_eq!(played.facts.transactions_total, 1);
    }

    #[test]
    fn a_server_that_answers_at_the_false_end_is_followed() {
        let (outer, inner) = HIDDEN.split_at(HIDDEN.find("MAIL").unwrap());
        let mut text = smuggled(outer, "S: 250 queued");
        let quit = text.find("C: QUIT").unwrap();
        let (envelope, data) = inner.split_at(inner.find("DATA").unwrap());
        let data = &data["DATA\\r\\n".len()..];
        text.insert_str(
            quit,
            &format!("C| {envelope}\nS: 250 ok\nS: 250 ok\nC: DATA\nS: 354 go on\nC| {data}\nS: 250 queued\n"),
        );
        let played = play(&text);
        assert!(played.weird().contains(&"nonstandard_end_of_data"), "{:?}", played.weird());
        assert_eq!(played.facts.transactions_total, 2, "{:?}", played.log());
    }

    #[test]
    fn segment_borders_change_nothing() {
        let steps = script(&smuggled(HIDDEN, "S: 250 queued"));
        for size in 1..40 {
            let found = facts(&play_events(&rechunk(&steps, &[size]), false));
            assert_eq!((found.crlf_lines, found.lf_lines), (2, 1), "in pieces of {size}");
            assert_eq!(found, facts(&play_events(&steps, false)), "in pieces of {size}");
        }
    }

    #[test]
    fn a_client_that_knows_only_line_feeds_is_told_by_its_lines() {
        let data = "From: a\\nTo: b\\n\\nhello\\n.\\nMAIL FROM:<a@x.example>\\n.\\r\\n";
        let played = play(&smuggled(data, "S: 250 queued"));
        assert_eq!((facts(&played).crlf_lines, facts(&played).lf_lines), (0, 4));
    }

    #[test]
    fn lines_are_counted_in_the_first_bytes_only() {
        let mut lines = LineEnds::default();
        lines.count(0, b"a\r", BareLfs::Perhaps);
        lines.count(2, b"\nb\n", BareLfs::Perhaps);
        lines.count(LINES_WITHIN - 1, b"\n\n\n", BareLfs::Perhaps);
        assert_eq!((lines.crlf, lines.lf), (1, 2));
    }

    #[test]
    fn a_dialect_is_gathered_over_the_session() {
        let played = play(
            "S: 220 mx.example\nC: HELO x\nS: 250 ok\nC: mail from: a@x.example size=5\nS: 250 ok\n\
             C: RCPT TO :<b@y.example> \nS: 250 ok\nC: QUIT\nS: 221 bye\n",
        );
        let want = Dialect::VERB_NOT_UPPER
            | Dialect::SPACE_AFTER_COLON
            | Dialect::NO_BRACKETS
            | Dialect::SIZE
            | Dialect::SPACE_BEFORE_COLON;
        assert_eq!(played.facts.dialect.bits() & !Dialect::TRAILING_BLANKS, want, "{:?}", played.facts.dialect);
        let clean = play("S: 220 mx.example\nC: EHLO x\nS: 250 ok\nC: MAIL FROM:<a@x.example>\nS: 250 ok\n");
        assert_eq!(clean.facts.dialect, Dialect::default());
    }

    #[test]
    fn replies_have_their_times() {
        let played = play("S: 220 mx.example\nC: EHLO x\nS: 250 ok\nC: MAIL FROM:<a@x.example>\n");
        let [hello, mail] = &played.facts.commands[..] else { panic!("{:?}", played.log()) };
        assert_eq!(hello.replied.map(|at| at.since(hello.said)), Some(crate::time::Span::secs(1)));
        assert_eq!(mail.replied, None);
    }
}
