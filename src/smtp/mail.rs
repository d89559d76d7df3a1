//! Mail data: a few headers, a hash of the body, the fields of a delivery status notification. Never the body.
//!
//! Read first: RFC 5322 section 2 (header fields, folding), RFC 3834 (Auto-Submitted), RFC 6522 (multipart/report), RFC
//! 3464 (delivery status notifications).
//!
//! The content comes in any pieces, dot-stuffing already undone and the final dot line gone; what comes out does not
//! depend on the pieces. A body passes through a hash and is forgotten. This room decodes no transfer encoding and looks
//! into no part but `message/delivery-status`.

use std::ops::Range;

use memchr::memchr;
use xxhash_rust::xxh3::Xxh3;

use super::dsn;
use super::lines::LineSplitter;
use super::pairs::BareLfs;
use super::path::MailPath;
use crate::limits::SmtpLimits;
use crate::smtp::MailFacts;
use crate::wire::Wire;

/// Bytes of a Message-ID that are kept: a line has at most 998 (RFC 5322 section 2.1.1).
const MESSAGE_ID_MAX: usize = 998;

/// Bytes of a domain that are kept (RFC 1035 section 2.3.4).
const DOMAIN_MAX: usize = 255;

/// Bytes of a keyword such as `auto-replied` that are kept.
const KEYWORD_MAX: usize = 64;

/// Room that is asked for at once: the fields that are kept of an ordinary mail.
const FIELDS_USUAL: usize = 256;

/// Reads the mail data of one mail.
#[derive(Debug)]
pub struct MailScanner {
    headers: Headers,
    /// Lines of the header, up to its end.
    lines: LineSplitter,
    body: Option<Body>,
    /// Bytes of the header are missing: what it tells ends there.
    torn: bool,
    dsn_max: usize,
    dsn_search_max: usize,
}

/// What follows the header.
#[derive(Debug)]
struct Body {
    hash: BodyHash,
    report: Option<Report>,
}

impl MailScanner {
    /// A scanner at the first byte of mail data.
    pub fn new(limits: &SmtpLimits) -> Self {
        Self {
            headers: Headers::new(limits.mail_header_max, limits.mail_headers_max),
            lines: LineSplitter::new(limits.mail_header_max),
            body: None,
            torn: false,
            dsn_max: limits.dsn_max,
            dsn_search_max: limits.dsn_search_max,
        }
    }

    /// Takes note of missing bytes. In the header nothing after them is read: nobody knows of which line it is the rest,
    /// or whether the header has ended.
    pub fn handle_gap(&mut self) {
        self.torn |= self.body.is_none();
    }

    /// Takes the next bytes of the content.
    pub fn handle(&mut self, content: &[u8]) {
        self.handle_looked_at(content, BareLfs::Perhaps);
    }

    /// The same, where somebody may have looked for bare LFs.
    pub(super) fn handle_looked_at(&mut self, content: &[u8], lfs: BareLfs) {
        let mut rest = content;
        if self.torn {
            return;
        }
        if self.body.is_none() {
            loop {
                match self.lines.next(&mut rest) {
                    None => return,
                    Some(line) if line.bytes.is_empty() => break,
                    Some(line) => self.headers.line(line.bytes),
                }
            }
            self.lines.reset();
            let boundary = self.headers.get(Kept::ContentType).and_then(report_boundary);
            let report = boundary.map(|boundary| Report::new(&boundary, self.dsn_max, self.dsn_search_max));
            self.body = Some(Body { hash: BodyHash::default(), report });
        }
        if let Some(body) = &mut self.body {
            body.hash.update(rest, lfs);
            if let Some(report) = &mut body.report {
                report.handle(rest);
            }
        }
    }

    /// What there was to know; the scanner has done its work.
    pub fn finish(&mut self) -> MailFacts {
        if self.body.is_none() && !self.torn {
            self.headers.line(&self.lines.take_pending());
        }
        let (body_hash, report) = match &mut self.body {
            Some(body) => (body.hash.finish(), body.report.take().and_then(Report::finish)),
            None => (None, None),
        };
        let headers = &self.headers;
        MailFacts {
            msg_id: headers.get(Kept::MessageId).and_then(message_id),
            from_domain: headers.get(Kept::From).and_then(first_domain),
            to_domain: headers.get(Kept::To).and_then(first_domain),
            auto_submitted: headers.get(Kept::AutoSubmitted).and_then(keyword),
            body_hash,
            dsn: report.and_then(|text| dsn::parse(&text)),
        }
    }
}

/// The header fields that are kept, the first one of each name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kept {
    MessageId,
    ContentType,
    AutoSubmitted,
    From,
    To,
}

impl Kept {
    const ALL: [(Self, &'static [u8]); 5] = [
        (Self::MessageId, b"Message-ID"),
        (Self::ContentType, b"Content-Type"),
        (Self::AutoSubmitted, b"Auto-Submitted"),
        (Self::From, b"From"),
        (Self::To, b"To"),
    ];

    /// The field that a line begins, if it is one of these.
    fn of(line: &[u8]) -> Option<Self> {
        // Most lines begin otherwise.
        if !matches!(line.first(), Some(b'M' | b'm' | b'C' | b'c' | b'A' | b'a' | b'F' | b'f' | b'T' | b't')) {
            return None;
        }
        let name = line.get(..memchr(b':', line)?)?.trim_ascii_end();
        Self::ALL.into_iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(kept, _)| kept)
    }
}

/// The header's lines, of which few are kept.
#[derive(Debug)]
struct Headers {
    /// The fields that are kept, one after the other.
    text: Vec<u8>,
    /// Where each of them stands there.
    kept: [Range<usize>; Kept::ALL.len()],
    /// The field that a folded line goes on with.
    current: Option<Kept>,
    /// Bytes of lines that were looked at.
    seen: usize,
    field_max: usize,
    block_max: usize,
}

impl Headers {
    fn new(field_max: usize, block_max: usize) -> Self {
        Self { text: Vec::new(), kept: Default::default(), current: None, seen: 0, field_max, block_max }
    }

    fn line(&mut self, line: &[u8]) {
        self.seen = self.seen.saturating_add(line.len());
        if self.seen > self.block_max {
            return;
        }
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            self.current = Kept::of(line).filter(|kept| self.kept.get(*kept as usize).is_some_and(Range::is_empty));
            if let Some(place) = self.current.and_then(|kept| self.kept.get_mut(kept as usize)) {
                *place = self.text.len()..self.text.len();
            }
        }
        // What goes on is the last one there.
        let Some(place) = self.current.and_then(|kept| self.kept.get_mut(kept as usize)) else { return };
        let room = self.field_max.saturating_sub(place.len() + 1);
        if room > 0 {
            if self.text.is_empty() {
                self.text.reserve(FIELDS_USUAL);
            }
            self.text.extend_from_slice(line.get(..room).unwrap_or(line));
            self.text.push(b'\n');
            place.end = self.text.len();
        }
    }

    /// The value of a field, its folds left in.
    fn get(&self, kept: Kept) -> Option<&[u8]> {
        let field = self.text.get(self.kept.get(kept as usize)?.clone())?;
        field.get(memchr(b':', field)? + 1..)
    }
}

/// The identifier without its brackets.
fn message_id(value: &[u8]) -> Option<Wire> {
    let value = value.trim_ascii();
    let inside = memchr(b'<', value).and_then(|open| value.get(open + 1..)).unwrap_or(value);
    let id = memchr(b'>', inside).and_then(|close| inside.get(..close)).unwrap_or(inside).trim_ascii();
    (!id.is_empty()).then(|| Wire::capped(id, MESSAGE_ID_MAX))
}

/// The domain of the first address in a From or To field:
///
/// ```abnf
/// name-addr = [display-name] "<" addr-spec ">"
/// group     = display-name ":" [group-list] ";"
/// ```
///
/// RFC 5322 section 3.4. Only the place of the address matters here: quoted strings and comments are passed over, and
/// encoded words are not decoded, because there is no `@` in them. One pass, whatever the field says.
fn first_domain(value: &[u8]) -> Option<Wire> {
    let (mut quoted, mut escaped, mut comments) = (false, false, 0_usize);
    let mut began = 0;
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted || comments > 0 => escaped = true,
            b'"' if comments == 0 => quoted = !quoted,
            _ if quoted => {}
            b')' if comments > 0 => {
                comments -= 1;
                began = at + 1;
            }
            b'(' if comments > 0 => comments += 1,
            _ if comments > 0 => {}
            b'<' => {
                let inside = value.get(at + 1..)?;
                let end = memchr(b'>', inside).unwrap_or(inside.len());
                return domain_of(inside.get(..end)?);
            }
            b',' | b';' | b':' | b'(' => {
                // Before a colon stands a group's name; all else may be an address without brackets.
                let domain = value.get(began..at).filter(|_| byte != b':').and_then(domain_of);
                if domain.is_some() {
                    return domain;
                }
                comments = usize::from(byte == b'(');
                began = at + 1;
            }
            _ => {}
        }
    }
    domain_of(value.get(began..)?)
}

fn domain_of(address: &[u8]) -> Option<Wire> {
    let domain = MailPath::new(address.trim_ascii()).domain()?;
    (!domain.is_empty()).then(|| Wire::capped(domain, DOMAIN_MAX))
}

/// The value's first word, in lower case.
fn keyword(value: &[u8]) -> Option<Wire> {
    let is_end = |byte: &u8| matches!(byte, b';' | b'(') || byte.is_ascii_whitespace();
    let word = value.trim_ascii().split(is_end).next()?.to_ascii_lowercase();
    (!word.is_empty()).then(|| Wire::capped(&word, KEYWORD_MAX))
}

/// The boundary of a delivery report. Old reporters leave `report-type` out.
fn report_boundary(content_type: &[u8]) -> Option<String> {
    const REPORT: &[u8] = b"multipart/report";
    // Nearly all mails are none: their parameters are not worth a look.
    if !content_type.trim_ascii_start().get(..REPORT.len())?.eq_ignore_ascii_case(REPORT) {
        return None;
    }
    let content_type = mailparse::parse_content_type(&String::from_utf8_lossy(content_type));
    // RFC 3464 section 2, and RFC 6533 section 4 for addresses in UTF-8.
    let is_status = |kind: &String| {
        ["delivery-status", "global-delivery-status"].iter().any(|status| kind.eq_ignore_ascii_case(status))
    };
    if content_type.mimetype.as_bytes() != REPORT || !content_type.params.get("report-type").is_none_or(is_status) {
        return None;
    }
    content_type.params.get("boundary").filter(|boundary| !boundary.is_empty()).cloned()
}

/// XXH3-128 over lines that end in CRLF, however they were sent, and without the empty lines at the end: relays change
/// both.
///
/// Invariant: what was taken so far is what was hashed, then `newlines` line ends, then a CR if `cr`.
struct BodyHash {
    hash: Xxh3,
    newlines: usize,
    cr: bool,
    is_empty: bool,
}

impl Default for BodyHash {
    fn default() -> Self {
        Self { hash: Xxh3::new(), newlines: 0, cr: false, is_empty: true }
    }
}

impl std::fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BodyHash")
    }
}

/// Bytes that are looked over for bare LFs and then hashed at once: they stay in the first cache in between, and one bare
/// LF slows down no more than these.
const BLOCK: usize = 16 << 10;

impl BodyHash {
    fn update(&mut self, bytes: &[u8], lfs: BareLfs) {
        for block in bytes.chunks(BLOCK) {
            self.block(block, lfs);
        }
    }

    fn block(&mut self, mut bytes: &[u8], lfs: BareLfs) {
        let Some(first) = bytes.first() else { return };
        if std::mem::take(&mut self.cr) {
            if *first == b'\n' {
                self.newlines += 1;
                bytes = bytes.get(1..).unwrap_or_default();
            } else {
                self.text(b"\r");
            }
        }
        if let [rest @ .., b'\r'] = bytes {
            bytes = rest;
            self.cr = true;
        }
        if bytes.first() == Some(&b'\n') || lfs.are_in(bytes) {
            while let Some((line, rest)) = memchr(b'\n', bytes).and_then(|at| bytes.split_at_checked(at)) {
                self.text(line.strip_suffix(b"\r").unwrap_or(line));
                self.newlines += 1;
                bytes = rest.get(1..).unwrap_or_default();
            }
            self.text(bytes);
        } else {
            let mut newlines = 0;
            while let [rest @ .., b'\r', b'\n'] = bytes {
                bytes = rest;
                newlines += 1;
            }
            self.text(bytes);
            self.newlines += newlines;
        }
    }

    /// Bytes with no line end at their end.
    fn text(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        for _ in 0..std::mem::take(&mut self.newlines) {
            self.hash.update(b"\r\n");
        }
        self.hash.update(text);
        self.is_empty = false;
    }

    /// `None` for a body of nothing but empty lines: all of those are alike.
    fn finish(&mut self) -> Option<u128> {
        if std::mem::take(&mut self.cr) {
            self.text(b"\r");
        }
        (!self.is_empty).then(|| self.hash.digest128())
    }
}

/// Finds the `message/delivery-status` part of a delivery report and keeps its beginning.
#[derive(Debug)]
struct Report {
    lines: LineSplitter,
    /// `--boundary`
    delimiter: Vec<u8>,
    place: Place,
    /// Bytes that may still be looked at.
    search_left: usize,
    text: Vec<u8>,
    text_max: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Before the first part, or in a part that does not matter.
    Elsewhere,
    /// In a part's header.
    PartHeader { is_status: bool },
    /// In the part.
    Status,
    /// All was seen that is looked for.
    Done,
}

impl Report {
    fn new(boundary: &str, text_max: usize, search_max: usize) -> Self {
        Self {
            // Lines longer than a line may be (RFC 5322 section 2.1.1) are cut.
            lines: LineSplitter::new(998),
            delimiter: format!("--{boundary}").into_bytes(),
            place: Place::Elsewhere,
            search_left: search_max,
            text: Vec::new(),
            text_max,
        }
    }

    fn handle(&mut self, mut bytes: &[u8]) {
        while self.place != Place::Done {
            let Some(line) = self.lines.next(&mut bytes) else { return };
            let search_left = self.search_left.checked_sub(line.bytes.len() + 1);
            self.search_left = search_left.unwrap_or_default();
            self.place = match search_left {
                Some(_) => next_place(self.place, line.bytes, &self.delimiter, &mut self.text, self.text_max),
                None => Place::Done,
            };
        }
    }

    /// The text of the part, if it was found.
    fn finish(mut self) -> Option<Vec<u8>> {
        if self.place == Place::Status {
            let pending = self.lines.take_pending();
            next_place(self.place, &pending, &self.delimiter, &mut self.text, self.text_max);
        }
        (!self.text.is_empty()).then_some(self.text)
    }
}

/// Where the line after this one is.
fn next_place(place: Place, line: &[u8], delimiter: &[u8], text: &mut Vec<u8>, text_max: usize) -> Place {
    if let Some(rest) = line.strip_prefix(delimiter) {
        // RFC 2046 section 5.1.1: two hyphens after the last part, else blanks.
        return match rest.trim_ascii() {
            _ if place == Place::Status => Place::Done,
            b"" => Place::PartHeader { is_status: false },
            b"--" => Place::Done,
            _ => place,
        };
    }
    match place {
        Place::PartHeader { is_status: true } if line.is_empty() => Place::Status,
        Place::PartHeader { is_status: false } if line.is_empty() => Place::Elsewhere,
        Place::PartHeader { is_status } => Place::PartHeader { is_status: is_status || names_status(line) },
        Place::Status if text.len() + line.len() < text_max => {
            text.extend_from_slice(line);
            text.push(b'\n');
            place
        }
        Place::Status | Place::Done => Place::Done,
        Place::Elsewhere => place,
    }
}

/// Whether a line of a part's header, or its folded half, names the type of a delivery status (RFC 3464, RFC 6533).
fn names_status(line: &[u8]) -> bool {
    let line = line.to_ascii_lowercase();
    [&b"message/delivery-status"[..], b"message/global-delivery-status"]
        .iter()
        .any(|name| memchr::memmem::find(&line, name).is_some())
}

#[cfg(test)]
mod tests;
