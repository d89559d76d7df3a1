//! Leaves of a session line, written without an allocation each: a line is written for every connection, so it must
//! cost little beside reading the capture.

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::net::{Encap, Mac};
use crate::session::CommandLog;
use crate::smtp::{EnhancedStatus, Reply};
use crate::time::Ts;
use crate::wire::Wire;

/// Bytes that the longest leaf needs: `2262-04-11T23:47:16.854775807Z` has 30, a command with its code 20.
const LEAF_MAX: usize = 40;

/// A short ASCII text, put together in place.
struct Leaf {
    bytes: [u8; LEAF_MAX],
    len: usize,
}

impl Leaf {
    const fn new() -> Self {
        Self { bytes: [0; LEAF_MAX], len: 0 }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn push_str(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.push(byte));
    }

    /// A number with leading zeros.
    fn push_digits(&mut self, number: u32, digits: u32) {
        for place in (0..digits).rev() {
            self.push(b'0' + (number / 10_u32.pow(place) % 10) as u8);
        }
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// Stamps as [`Ts`] prints them. The date is worked out only when the day changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(pub(super) Ts);

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        const DAY: i64 = 86_400_000_000_000;
        thread_local! {
            static TODAY: std::cell::Cell<(i64, [u8; 10])> = const { std::cell::Cell::new((i64::MIN, [0; 10])) };
        }
        let nanos = self.0.as_nanos();
        let day = nanos.div_euclid(DAY);
        let date = TODAY.with(|today| {
            if today.get().0 != day {
                let mut date = [b'0'; 10];
                date.iter_mut().zip(self.0.to_string().bytes()).for_each(|(place, byte)| *place = byte);
                today.set((day, date));
            }
            today.get().1
        });
        let of_day = nanos.rem_euclid(DAY);
        let (secs, nanos) = ((of_day / 1_000_000_000) as u32, (of_day % 1_000_000_000) as u32);
        let mut leaf = Leaf::new();
        date.iter().for_each(|byte| leaf.push(*byte));
        leaf.push(b'T');
        leaf.push_digits(secs / 3600, 2);
        leaf.push(b':');
        leaf.push_digits(secs / 60 % 60, 2);
        leaf.push(b':');
        leaf.push_digits(secs % 60, 2);
        leaf.push(b'.');
        if nanos % 1000 == 0 {
            leaf.push_digits(nanos / 1000, 6);
        } else {
            leaf.push_digits(nanos, 9);
        }
        leaf.push(b'Z');
        s.serialize_str(leaf.as_str())
    }
}

/// `EHLO 250`; `-` where no reply was seen.
pub(super) struct Commands<'a>(pub(super) &'a [CommandLog]);

impl Serialize for Commands<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut seq = s.serialize_seq(Some(self.0.len()))?;
        for command in self.0 {
            let mut leaf = Leaf::new();
            leaf.push_str(command.verb);
            leaf.push(b' ');
            match command.code {
                Some(code) => leaf.push_digits(u32::from(code), 3),
                None => leaf.push(b'-'),
            }
            seq.serialize_element(leaf.as_str())?;
        }
        seq.end()
    }
}

/// A whole reply as one text: code, status, words. As on the wire, but for the codes of lines after the first.
pub(super) struct Words<'a>(pub(super) &'a Reply);

impl Serialize for Words<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let text = self.0.text.escaped();
        let mut line = String::with_capacity(text.len() + LEAF_MAX);
        if let Some(code) = self.0.code {
            let mut leaf = Leaf::new();
            leaf.push_digits(u32::from(code), 3);
            line.push_str(leaf.as_str());
        }
        let status = self.0.status.as_ref().map(EnhancedStatus::to_string);
        for part in [status.as_deref().unwrap_or_default(), &text] {
            if !part.is_empty() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(part);
            }
        }
        s.serialize_str(&line)
    }
}

/// An Ethernet address.
pub(super) struct MacText(pub(super) Mac);

impl Serialize for MacText {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut leaf = Leaf::new();
        for (i, octet) in self.0.0.iter().enumerate() {
            if i > 0 {
                leaf.push(b':');
            }
            for digit in [octet >> 4, octet & 15] {
                leaf.push(b"0123456789abcdef"[usize::from(digit)]);
            }
        }
        s.serialize_str(leaf.as_str())
    }
}

/// What is there of a fixed number of places.
pub(super) struct Present<'a, T>(pub(super) &'a [Option<T>]);

impl Serialize for Present<'_, u16> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().flatten())
    }
}

impl Serialize for Present<'_, Encap> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().flatten().map(|encap| encap.name()))
    }
}

/// A hash of 128 bits as 32 hexadecimal digits.
pub(super) struct Hash(pub(super) u128);

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{:032x}", self.0))
    }
}

/// A list of wire texts that is left out when it is empty.
pub(super) fn none_of(texts: &[Wire]) -> bool {
    texts.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    fn json(value: impl Serialize) -> String {
        serde_json::to_string(&value).unwrap()
    }

    #[test]
    fn stamps_are_those_of_the_report() {
        let day = Ts::from_parts(1_772_617_327, 41_431_000);
        let others = [Ts::EPOCH, Ts::MAX, Ts::from_nanos(i64::MIN), Ts::from_nanos(-1), day, day + Span::hours(24)];
        for ts in others.into_iter().chain([day]) {
            assert_eq!(json(Stamp(ts)), format!("\"{ts}\""));
        }
    }

    #[test]
    fn addresses_are_those_of_the_report() {
        let mac = Mac([0, 0x16, 0x3e, 0xff, 0xa0, 7]);
        assert_eq!(json(MacText(mac)), json(mac));
    }

    #[test]
    fn a_reply_is_told_in_one_text() {
        let status = EnhancedStatus { class: 2, subject: 0, detail: 0 };
        let whole = Reply { code: Some(220), status: Some(status), text: "mx.example\nhi\x1b".into() };
        assert_eq!(json(Words(&whole)), r#""220 2.0.0 mx.example\\x0ahi\\x1b""#);
        assert_eq!(json(Words(&Reply { code: Some(250), status: None, text: "".into() })), r#""250""#);
        assert_eq!(json(Words(&Reply { code: None, status: None, text: "hello".into() })), r#""hello""#);
        assert_eq!(json(Words(&Reply { code: Some(999), status: None, text: "?".into() })), r#""999 ?""#);
    }
}
