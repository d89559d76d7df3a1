//! Text from the wire: kept as the bytes that were seen, shown in one escaped form.
//!
//! What an attacker sends must never reach a terminal, a log or a JSON reader as anything but text. The one documented
//! way, used by every output: valid UTF-8 that a reader can see stays as it is; every other byte is written `\xHH`, and
//! so are control characters, line and paragraph separators, and the marks that turn the direction of text or take no
//! room; a backslash is written `\\`. The form is reversible.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use bstr::ByteSlice;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of the wire that mean text: an address, a name, a line of a reply.
///
/// Most of them are short, and a session is made of dozens: short ones stand where they are kept, so that a session is few
/// pieces of memory. Clones of longer ones share the bytes: one greeting is part of a session, of its head and of its log.
#[derive(Clone)]
pub struct Wire(Kept);

#[derive(Clone)]
enum Kept {
    /// So many of the bytes; the others are zero.
    Short(u8, [u8; SHORT]),
    /// One of [`FREQUENT`].
    Frequent(&'static [u8]),
    Long(Arc<[u8]>),
}

/// Longer ones that are said in a large part of all sessions, to DATA and to QUIT: by Postfix, Exim, Exchange and sendmail.
static FREQUENT: [&[u8]; 5] = [
    b"End data with <CR><LF>.<CR><LF>",
    b"Enter message, ending with \".\" on a line by itself",
    b"Start mail input; end with <CRLF>.<CRLF>",
    b"Service closing transmission channel",
    b"Enter mail, end with \".\" on a line by itself",
];

/// What fits into 32 bytes: addresses, host names, and what servers answer when all is well.
pub const SHORT: usize = 30;

impl Wire {
    /// Keeps at most `max` bytes of `bytes`.
    pub fn capped(bytes: &[u8], max: usize) -> Self {
        let bytes = bytes.get(..max).unwrap_or(bytes);
        let mut short = [0; SHORT];
        Self(match short.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                Kept::Short(bytes.len() as u8, short)
            }
            None => match FREQUENT.iter().find(|frequent| **frequent == bytes) {
                Some(frequent) => Kept::Frequent(frequent),
                None => Kept::Long(bytes.into()),
            },
        })
    }

    /// The bytes as they were seen.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Kept::Short(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Kept::Frequent(bytes) => bytes,
            Kept::Long(bytes) => bytes,
        }
    }

    /// The bytes and how many of them count, where they stand in place: a copy of fixed length needs no call.
    pub fn short(&self) -> Option<(&[u8; SHORT], usize)> {
        match &self.0 {
            Kept::Short(len, bytes) => Some((bytes, usize::from(*len))),
            Kept::Frequent(_) | Kept::Long(_) => None,
        }
    }

    /// Reads one of the bytes, so that they are near when they are needed.
    #[inline]
    pub(crate) fn touch(&self) -> u64 {
        self.as_bytes().first().map_or(0, |byte| u64::from(*byte))
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// The escaped form (see the module's head).
    pub fn escaped(&self) -> Cow<'_, str> {
        escape(self.as_bytes())
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self(Kept::Short(0, [0; SHORT]))
    }
}

impl PartialEq for Wire {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            // What does not count of them is zero.
            (Kept::Short(len, bytes), Kept::Short(other_len, other)) => len == other_len && bytes == other,
            (Kept::Frequent(bytes), Kept::Frequent(other)) => bytes == other,
            (Kept::Long(bytes), Kept::Long(other)) => Arc::ptr_eq(bytes, other) || bytes == other,
            // The same bytes are always kept in the same way.
            _ => false,
        }
    }
}

impl Eq for Wire {}

impl PartialOrd for Wire {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Wire {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Wire {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl From<&[u8]> for Wire {
    fn from(bytes: &[u8]) -> Self {
        Self::capped(bytes, usize::MAX)
    }
}

impl From<&str> for Wire {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<Vec<u8>> for Wire {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(bytes.as_slice())
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.escaped())
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.escaped())
    }
}

impl Serialize for Wire {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.escaped())
    }
}

/// The bytes out of their escaped form.
impl<'de> Deserialize<'de> for Wire {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(d)?;
        unescape(&text).map(Self::from).ok_or_else(|| serde::de::Error::custom("a backslash that escapes nothing"))
    }
}

/// The bytes that an escaped form stands for; `None` where it is none.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escaped) = rest.split_at(at);
        bytes.extend_from_slice(plain);
        rest = match escaped {
            [_, b'\\', rest @ ..] => {
                bytes.push(b'\\');
                rest
            }
            [_, b'x', high, low, rest @ ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                bytes.push((digit(high)? * 16 + digit(low)?) as u8);
                rest
            }
            _ => return None,
        };
    }
    bytes.extend_from_slice(rest);
    Some(bytes)
}

/// A path as it may be shown: file names are bytes too, and not always the operator's own.
pub fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes()).into_owned()
}

/// The escaped form of any bytes (see the module's head).
pub fn escape(bytes: &[u8]) -> Cow<'_, str> {
    // Nearly all that real mail systems say is plain ASCII: no copy then.
    if is_printable_but(bytes, *b"\\") {
        return String::from_utf8_lossy(bytes);
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    for (start, end, c) in bytes.char_indices() {
        let raw = bytes.get(start..end).unwrap_or_default();
        let lost = c == char::REPLACEMENT_CHARACTER && raw != "\u{fffd}".as_bytes();
        if c == '\\' {
            out.push_str("\\\\");
        } else if lost || is_hidden(c) {
            for byte in raw {
                out.push_str("\\x");
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A message that quotes what its reader wrote: hidden characters are escaped as by [`escape`], and a backslash stays one,
/// because patterns and paths are full of them, and no message is read back.
pub fn visible(message: &str) -> Cow<'_, str> {
    if !message.contains(is_hidden) {
        return Cow::Borrowed(message);
    }
    let parts: Vec<Cow<'_, str>> = message.split('\\').map(|part| escape(part.as_bytes())).collect();
    Cow::Owned(parts.join("\\"))
}

/// Whether all of `bytes` are printable ASCII, and none of them is one of `but` (which are printable ASCII). Looks at sixteen
/// or eight at a time: every text of a session passes here.
#[inline]
pub fn is_printable_but<const N: usize>(bytes: &[u8], but: [u8; N]) -> bool {
    if let Some(last) = bytes.last_chunk() {
        let (sixteens, _) = bytes.as_chunks();
        return !sixteens.iter().fold(one_is_special(last, but), |any, sixteen| any | one_is_special(sixteen, but));
    }
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => !holds_special(*first, but) && !holds_special(*last, but),
        _ => bytes.iter().all(|byte| matches!(byte, 0x20..0x7f) && !but.contains(byte)),
    }
}

/// Whether one of sixteen bytes is no printable ASCII, or one of `but`. Written so that the compiler compares all at once.
#[inline]
fn one_is_special<const N: usize>(bytes: &[u8; 16], but: [u8; N]) -> bool {
    let mut found = 0;
    for byte in bytes {
        found |= u8::from(byte.wrapping_sub(0x20) >= 0x5f);
        for other in but {
            found |= u8::from(*byte == other);
        }
    }
    found != 0
}

/// Whether one of eight bytes is no printable ASCII, or one of `but`. The highest bit of a byte tells: it is set in 0x80 and
/// above, by taking the lowest printable one from a lower one, by adding one to DEL, and by taking one from zero, which is
/// what a byte becomes that is compared with itself. Carries come only from a byte that is special itself.
#[inline]
fn holds_special<const N: usize>(bytes: [u8; 8], but: [u8; N]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(bytes);
    let outside = word | word.wrapping_sub(ONES * 0x20) | word.wrapping_add(ONES);
    let found = but.iter().fold(outside, |found, &byte| found | (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES));
    found & (ONES * 0x80) != 0
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Characters that a reader cannot see or that change how others are shown (Unicode categories Cc, Zl, Zp, and of Cf
/// the bidirectional controls, joiners, tags and invisible operators).
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_and_keeps_its_backslashes() {
        assert_eq!(visible(r"`\bspam(` is no pattern"), r"`\bspam(` is no pattern");
        assert_eq!(visible("`\\b\tx\u{202e}`\n"), r"`\b\x09x\xe2\x80\xae`\x0a");
    }

    #[test]
    fn short_and_long_texts_are_alike() {
        assert_eq!(size_of::<Wire>(), 32);
        let text = "0123456789".repeat(4);
        let all: Vec<Wire> = (0..=text.len()).map(|len| Wire::from(&text[..len])).collect();
        for (len, wire) in all.iter().enumerate() {
            assert_eq!(wire.as_bytes(), &text.as_bytes()[..len]);
            assert_eq!((wire.clone(), wire.is_empty()), (Wire::capped(text.as_bytes(), len), len == 0));
        }
        assert!(all.is_sorted());
    }

    #[test]
    fn frequent_texts_are_like_others_and_take_no_memory_of_their_own() {
        for frequent in FREQUENT {
            assert!(frequent.len() > SHORT, "it would stand in place");
            let (wire, more) = (Wire::from(frequent), Wire::from([frequent, b"!"].concat()));
            assert_eq!(
                (wire.as_bytes().as_ptr(), wire.clone()),
                (frequent.as_ptr(), Wire::capped(frequent, usize::MAX))
            );
            assert_eq!(Wire::capped(more.as_bytes(), frequent.len()), wire);
            assert_ne!(more, wire);
            assert!(wire < more && wire.short().is_none());
        }
    }

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(escape(b"250 2.1.0 ok"), Cow::Borrowed("250 2.1.0 ok")));
    }

    /// Every byte in every place of texts of up to three words.
    #[test]
    fn plain_text_is_told_from_other_text() {
        for len in 0..24 {
            assert!(is_printable_but(&vec![b'a'; len], *b"\"\\"));
            for (at, byte) in (0..len).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
                let mut text = vec![b'a'; len];
                text[at] = byte;
                let printable = (0x20..0x7f).contains(&byte);
                assert_eq!(is_printable_but(&text, []), printable, "{text:?}");
                assert_eq!(is_printable_but(&text, *b"\"\\"), printable && byte != b'"' && byte != b'\\', "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_no_escaped_form_is_none() {
        assert_eq!(unescape("a\\x1b\\\\x"), Some(b"a\x1b\\x".to_vec()));
        for text in ["\\", "a\\x1", "\\xg0", "\\n"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_form_is_reversible(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(unescape(&escape(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        assert_eq!(escape(b"a\x1b[2Jb\xff\\"), "a\\x1b[2Jb\\xff\\\\");
        assert_eq!(escape("é\u{202e}x\u{200b}".as_bytes()), "é\\xe2\\x80\\xaex\\xe2\\x80\\x8b");
        assert_eq!(escape("\u{fffd}".as_bytes()), "\u{fffd}");
        assert_eq!(escape(b"two\nlines"), "two\\x0alines");
    }
}
