//! Replies: single lines as the grammar reads them, and whole replies of one or many lines.
//!
//! Read first: RFC 5321 section 4.2 (replies) and 4.2.1 (many lines), RFC 2034 (where enhanced codes stand), RFC 3463
//! (what they are). Any three digits are a code here, and a line without a code may still carry an enhanced status:
//! real servers send both. What a text means (a block list, a rate limit) is not this room's business.

use serde::{Serialize, Serializer};

use crate::limits::SmtpLimits;
use crate::weird::{Weird, WeirdSet};
use crate::wire::Wire;

/// An enhanced mail system status code (RFC 3463): `class.subject.detail`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EnhancedStatus {
    /// 2, 4 or 5; others are kept as seen.
    pub class: u8,
    /// 0 to 999.
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

impl std::fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl Serialize for EnhancedStatus {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// One line of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyLine<'a> {
    /// The three digits; `None` where the line has none (`4.7.0 text` alone, or no code at all).
    pub code: Option<u16>,
    /// `-` after the code: more lines follow.
    pub more: bool,
    /// The enhanced status, where the text begins with one.
    pub status: Option<EnhancedStatus>,
    /// What follows code and status.
    pub text: &'a [u8],
}

/// A whole reply.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Reply {
    /// The three digits; `None` where no line had any.
    pub code: Option<u16>,
    /// The enhanced status of the first line that has one.
    pub status: Option<EnhancedStatus>,
    /// The texts without codes and statuses, joined by a line feed where there were several lines, cut to the limit.
    pub text: Wire,
}

impl Reply {
    /// 2xx.
    pub fn is_positive(&self) -> bool {
        self.code.is_some_and(|code| (200..300).contains(&code))
    }

    /// 3xx: go on.
    pub fn is_intermediate(&self) -> bool {
        self.code.is_some_and(|code| (300..400).contains(&code))
    }

    /// 4xx, or no code but an enhanced status of class 4.
    pub fn is_transient(&self) -> bool {
        self.code.map_or(self.status.is_some_and(|s| s.class == 4), |code| (400..500).contains(&code))
    }

    /// 5xx, or no code but an enhanced status of class 5.
    pub fn is_permanent(&self) -> bool {
        self.code.map_or(self.status.is_some_and(|s| s.class == 5), |code| (500..600).contains(&code))
    }

    /// 421 and 221: the server closes the connection (RFC 5321 sections 3.8 and 4.2.3).
    pub const fn is_goodbye(&self) -> bool {
        matches!(self.code, Some(221 | 421))
    }

    /// The texts of the separate lines (the keywords of an EHLO reply, after its first line).
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text.as_bytes().split(|&byte| byte == b'\n')
    }

    /// The reply without what stands in quotes: from the first quote of a line to the last one of its kind, or to the end of
    /// the line. Sendmail and Exchange quote the line that they do not understand, and there may be a password in it.
    #[must_use]
    pub fn without_quotations(self) -> Self {
        let text = self.text.as_bytes();
        if memchr::memchr3(b'"', b'\'', b'`', text).is_none() {
            return self;
        }
        let lines: Vec<Vec<u8>> = self.lines().map(without_quotation).collect();
        Self { text: Wire::from(lines.join(&b'\n')), ..self }
    }

    /// Whether this is a reply at all: it has a code or a status.
    pub fn is_valid(&self) -> bool {
        self.code.is_some() || self.status.is_some()
    }
}

/// A line with all between the first quote and the last one of its kind taken out. An apostrophe inside a word is no quote
/// that opens.
fn without_quotation(line: &[u8]) -> Vec<u8> {
    let opens = |at: usize, byte: u8| match byte {
        b'"' | b'`' => true,
        b'\'' => !at.checked_sub(1).and_then(|before| line.get(before)).is_some_and(u8::is_ascii_alphanumeric),
        _ => false,
    };
    let Some((at, &quote)) = line.iter().enumerate().find(|(at, byte)| opens(*at, **byte)) else {
        return line.to_vec();
    };
    let (before, quoted) = line.split_at_checked(at + 1).unwrap_or((line, &[]));
    let last = quoted.iter().rposition(|byte| *byte == quote || quote == b'`' && *byte == b'\'');
    [before, last.and_then(|last| quoted.get(last..)).unwrap_or_default()].concat()
}

/// Reads one line of a server, without its line end. Any bytes are a line: one that is no reply has neither code nor
/// status.
pub fn parse_line(line: &[u8]) -> ReplyLine<'_> {
    let line = trim_end(line);
    let bare = trim_start(line);
    let (code, more, rest) = match reply_code(bare) {
        Some((code, rest)) => match rest.split_first() {
            Some((b'-', text)) => (Some(code), true, text),
            Some((b' ' | b'\t', text)) => (Some(code), false, text),
            _ => (Some(code), false, rest),
        },
        None => (None, false, bare),
    };
    let rest = trim_start(rest);
    match status_prefix(rest) {
        Some((status, text)) => ReplyLine { code, more, status: Some(status), text: trim_start(text) },
        None => ReplyLine { code, more, status: None, text: rest },
    }
}

/// A reply out of one text, as session lines tell it: code, status, words, the latter with their line feeds.
pub fn parse_words(words: &[u8]) -> Reply {
    // The words of the first line are read as a line is; those of the others have neither code nor status.
    let first = words.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let ReplyLine { code, status, .. } = parse_line(first);
    let told = [code.map(|code| format!("{code:03}")), status.map(|status| status.to_string())];
    let prefix = told.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let text = words.strip_prefix(prefix.as_bytes()).unwrap_or(words);
    let text = text.strip_prefix(b" ").filter(|_| !prefix.is_empty()).unwrap_or(text);
    Reply { code, status, text: Wire::from(text) }
}

/// Whether a reply's text is one that a firewall masked: the PIX fixup writes `*` over all of a greeting but some digits
/// (`220 **2*0***`).
pub fn is_masked_banner(text: &[u8]) -> bool {
    // Four is the shortest run seen as a mask; fewer may be a decoration.
    let stars = memchr::memchr_iter(b'*', text).count();
    stars >= 4 && stars * 2 >= text.iter().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\n')).count()
}

/// What was read, and what follows it. (Patterns over slices, without combinators: every line of every server passes here.)
type Parsed<'a, T> = Option<(T, &'a [u8])>;

/// ```abnf
/// Reply-code = %x32-35 %x30-35 %x30-39
/// ```
///
/// Tolerated: any three digits, if no fourth one and no `.1` follows (that would be a number or an address).
fn reply_code(input: &[u8]) -> Parsed<'_, u16> {
    let (code, rest) = input.split_first_chunk::<3>()?;
    match rest {
        _ if !code.iter().all(u8::is_ascii_digit) => None,
        [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => None,
        _ => Some((number(code), rest)),
    }
}

/// ```abnf
/// status-code = class "." subject "." detail
/// class       = "2" / "4" / "5"
/// subject     = 1*3DIGIT
/// detail      = 1*3DIGIT
/// ```
///
/// RFC 3463 section 2. Any digit is a class here.
fn status_code(input: &[u8]) -> Parsed<'_, EnhancedStatus> {
    let [class @ b'0'..=b'9', b'.', rest @ ..] = input else { return None };
    let (subject, rest) = digits(rest)?;
    let (detail, rest) = digits(rest.strip_prefix(b".")?)?;
    match rest {
        // Part of a longer word or number: a host name, an address, a version.
        [b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z', ..] | [b'.', b'0'..=b'9', ..] => None,
        _ => Some((EnhancedStatus { class: class - b'0', subject, detail }, rest)),
    }
}

/// A status at a text's start: `5.7.1`, and as qmail's kin write it `#5.7.1` and `(#5.7.1)`; a colon after it goes too.
fn status_prefix(input: &[u8]) -> Parsed<'_, EnhancedStatus> {
    let opened = input.strip_prefix(b"(");
    let inside = opened.unwrap_or(input);
    let (status, rest) = status_code(inside.strip_prefix(b"#").unwrap_or(inside))?;
    let rest = if opened.is_some() { rest.strip_prefix(b")").unwrap_or(rest) } else { rest };
    Some((status, rest.strip_prefix(b":").unwrap_or(rest)))
}

/// One to three digits.
fn digits(input: &[u8]) -> Parsed<'_, u16> {
    let len = input.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = input.split_at_checked(len)?;
    (len > 0).then(|| (number(digits), rest))
}

/// The value of at most three digits.
fn number(digits: &[u8]) -> u16 {
    digits.iter().fold(0, |value, byte| value * 10 + u16::from(byte - b'0'))
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// A CR before the line end (CR CR LF) counts as a blank.
fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t' | b'\r'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Puts the lines of replies together.
#[derive(Clone, Default, Debug)]
pub struct ReplyAssembler {
    open: Option<Unfinished>,
}

/// Room that is asked for at once: an ordinary reply to EHLO.
const LINES_USUAL: usize = 192;

/// A reply of which a last line is still to come.
#[derive(Clone, Debug)]
struct Unfinished {
    code: u16,
    status: Option<EnhancedStatus>,
    text: Vec<u8>,
    lines: u32,
    weird: WeirdSet,
}

impl ReplyAssembler {
    /// Takes the next line of a server. Returns the reply that it completes and what was odd about it.
    ///
    /// - A line with `-` after its code leaves the reply open; any other line with a code ends it.
    /// - Inside an open reply a line without a code is more text.
    /// - Outside, a line without a code is a reply if it has a status. If not, it is no reply: what is returned has
    ///   neither ([`Reply::is_valid`]) and the oddity is [`Weird::InvalidReply`].
    /// - Where codes disagree the last line's code counts: it is the one that clients look at.
    pub fn handle(&mut self, line: &ReplyLine<'_>, limits: &SmtpLimits) -> Option<(Reply, WeirdSet)> {
        let mut weird = WeirdSet::default();
        let Some(open) = &mut self.open else {
            let Some(code) = line.code.filter(|_| line.more) else {
                let reply = Reply {
                    code: line.code,
                    status: line.status,
                    text: Wire::capped(line.text, limits.reply_text_max),
                };
                if !reply.is_valid() {
                    weird.insert(Weird::InvalidReply);
                }
                return Some((reply, weird));
            };
            let mut text = Vec::with_capacity(LINES_USUAL);
            text.extend_from_slice(line.text.get(..limits.reply_text_max).unwrap_or(line.text));
            self.open = Some(Unfinished { code, status: line.status, text, lines: 1, weird });
            return None;
        };
        open.status = open.status.or(line.status);
        open.lines = open.lines.saturating_add(1);
        if open.lines <= limits.reply_lines_max && open.text.len() + 1 < limits.reply_text_max {
            open.text.push(b'\n');
            let room = limits.reply_text_max - open.text.len();
            open.text.extend_from_slice(line.text.get(..room).unwrap_or(line.text));
        }
        let code = line.code?;
        if code != open.code {
            open.code = code;
            open.weird.insert(Weird::MixedReplyCodes);
        }
        if line.more { None } else { self.take() }
    }

    /// Whether lines of a reply are still to come.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes what there is of an open reply, as at the end of a stream.
    pub fn take(&mut self) -> Option<(Reply, WeirdSet)> {
        let open = self.open.take()?;
        Some((Reply { code: Some(open.code), status: open.status, text: Wire::from(open.text) }, open.weird))
    }

    /// Forgets an open reply, as after a gap.
    pub fn reset(&mut self) {
        self.open = None;
    }
}

#[cfg(test)]
mod tests;
