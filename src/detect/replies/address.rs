//! The address that a server says it sees.
//!
//! Refusals and EHLO replies print the address that the world sees: behind a NAT gateway the only place where a capture
//! from the inside shows it. An address in a text may also be the server's own, a recipient's address literal, a DNS
//! list's return value or a version number; hence it counts only in a position that means "you".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Words before an address that say it is the client's.
const BEFORE_YOU: &str = "ip ips ipv4 ipv6 addr address client host from for sender relay remote source you are hello \
                          lookup shtml rejected blocked denied";

/// Words before an address that say it is somebody else's.
const BEFORE_OTHERS: &str = "at by to server mx via version port on";

/// Words after an address that say it is the client's.
const AFTER_YOU: &str = "is was has found blocked listed rejected blacklisted blocklisted banned";

/// Words after an address that say it is somebody else's: `host mx.example[203.0.113.9] said`.
const AFTER_OTHERS: &str = "said refused";

/// Bytes that may stand between a word and the address it speaks of: `[203.0.113.5]`, `ip=203.0.113.5`, `host (`...
const JOINTS: &[u8] = b" [(<{\"'`=:?/";

/// The address that a refusal names as the one it refuses or sees.
pub(super) fn named_ip(text: &[u8]) -> Option<IpAddr> {
    if !may_hold_address(text) {
        return None;
    }
    let mut bracketed = None;
    for found in Addresses::of(text) {
        match found.position(text) {
            Position::You => return Some(found.ip),
            Position::Bracketed => bracketed = bracketed.or(Some(found.ip)),
            Position::Unclear => {}
        }
    }
    bracketed
}

/// Whether an address may be in the text at all: a dot between digits, or a colon with another one or a digit after it,
/// as every IPv6 address has. Most refusals name a mailbox only.
fn may_hold_address(text: &[u8]) -> bool {
    let is_digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    memchr::memchr_iter(b'.', text).any(|dot| is_digit(dot + 1) && dot.checked_sub(1).is_some_and(is_digit))
        || memchr::memchr_iter(b':', text)
            .any(|colon| text.get(colon + 1).is_some_and(|next| *next == b':' || next.is_ascii_hexdigit()))
}

/// The address that the first line of an EHLO reply, or of a greeting, says it sees:
/// `mx.example Hello client.example [203.0.113.5], pleased to meet you`.
///
/// `text` is the line without its code. The first word is the server's own name (RFC 5321 section 4.1.1.1, and 4.2) and
/// never counts, even if it is an address literal. Some servers repeat the client's HELO argument, which may be a false
/// literal; the address that they see follows it, hence the last one in brackets counts. Where a server repeats the
/// argument and tells no address, this returns the argument: ask for several witnesses.
pub fn seen_ip(text: &[u8]) -> Option<IpAddr> {
    let text = text.get(..super::TEXT_MAX).unwrap_or(text);
    let line = text.split(|&b| b == b'\n').next().unwrap_or_default();
    let after_name = line.iter().position(|&b| b == b' ')?;
    let greet = line.get(after_name..)?;
    Addresses::of(greet).filter(|found| found.in_brackets(greet)).map(|found| found.ip).last()
}

enum Position {
    You,
    Bracketed,
    Unclear,
}

/// An address and its place in a text.
struct Found {
    ip: IpAddr,
    start: usize,
    end: usize,
}

impl Found {
    fn in_brackets(&self, text: &[u8]) -> bool {
        matches!(text.get(..self.start).and_then(<[u8]>::last), Some(b'[' | b'('))
    }

    fn position(&self, text: &[u8]) -> Position {
        let before = text.get(..self.start).unwrap_or_default();
        let joined = before.iter().rev().take_while(|b| JOINTS.contains(b)).count();
        let before_joint = before.get(..before.len() - joined).unwrap_or_default();
        let word = last_word(before_joint);
        let next = next_word(text.get(self.end..).unwrap_or_default());
        if before_joint.ends_with(b"@") || is_one_of(word, BEFORE_OTHERS) || is_one_of(next, AFTER_OTHERS) {
            Position::Unclear
        } else if is_one_of(word, BEFORE_YOU) || is_one_of(next, AFTER_YOU) || before.ends_with(b"&v=") {
            Position::You
        } else if self.in_brackets(text) {
            Position::Bracketed
        } else {
            Position::Unclear
        }
    }
}

fn last_word(text: &[u8]) -> &[u8] {
    let len = text.iter().rev().take_while(|b| b.is_ascii_alphanumeric()).count();
    text.get(text.len() - len..).unwrap_or_default()
}

fn next_word(text: &[u8]) -> &[u8] {
    let skip = text.iter().take_while(|b| !b.is_ascii_alphanumeric() && **b != b'.').count();
    let rest = text.get(skip..).unwrap_or_default();
    let len = rest.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    rest.get(..len).unwrap_or_default()
}

fn is_one_of(word: &[u8], words: &str) -> bool {
    words.split_ascii_whitespace().any(|known| known.as_bytes().eq_ignore_ascii_case(word))
}

/// The addresses in a text, in order. One pass: a run of bytes that addresses are made of is looked at once.
struct Addresses<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Addresses<'t> {
    fn of(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }
}

impl Iterator for Addresses<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let rest = self.text.get(self.at..)?;
            let start = self.at + rest.iter().position(|&b| is_address_byte(b))?;
            let run = self.text.get(start..)?;
            let len = run.iter().position(|&b| !is_address_byte(b)).unwrap_or(run.len());
            self.at = start + len;
            if let Some(found) = self.parse(start, start + len) {
                return Some(found);
            }
        }
    }
}

impl Addresses<'_> {
    fn parse(&self, start: usize, end: usize) -> Option<Found> {
        let (mut token, mut start) = (self.text.get(start..end)?, start);
        // 39 is the longest IPv6 address in hexadecimal, 45 one that ends in dotted decimal; and `6:` before it.
        if !(3..=48).contains(&token.len()) {
            return None;
        }
        // A sentence may end with the address, and a list of them go on.
        while let [head @ .., b'.' | b':'] = token
            && !token.ends_with(b"::")
        {
            token = head;
        }
        // `ip:203.0.113.5`
        while let [b':', tail @ ..] = token
            && !token.starts_with(b"::")
        {
            (token, start) = (tail, start + 1);
        }
        let mut before = self.text.get(..start)?;
        // `IPv6:2001:db8::1` (RFC 5321 section 4.1.3): the run begins with the 6.
        if let [head @ .., b'i' | b'I', b'p' | b'P', b'v' | b'V'] = before
            && let Some(stripped) = token.strip_prefix(b"6:")
        {
            (before, token, start) = (head, stripped, start + 2);
        }
        // A part of a name: `host-203.0.113.5.example`, `5.113.0.203.zen.example`.
        let after = self.text.get(end).copied().unwrap_or(b' ');
        let glued = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b >= 0x80;
        if before.last().is_some_and(|&b| glued(b)) || glued(after) {
            return None;
        }
        let token_end = start + token.len();
        let token = std::str::from_utf8(token).ok()?;
        let ip = if token.contains(':') {
            let v6 = token.parse::<Ipv6Addr>().ok()?;
            v6.to_canonical()
        } else {
            IpAddr::V4(token.parse::<Ipv4Addr>().ok()?)
        };
        // Lists answer with 127.0.0.x; the others are no client's address.
        let usable = match ip {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_broadcast() && v4.octets()[0] != 0,
            IpAddr::V6(v6) => !v6.is_loopback(),
        };
        let usable = usable && !ip.is_multicast() && !ip.is_unspecified();
        // `[IPv6:...]` starts, for its surroundings, at the I.
        let start = if before.len() < start { before.len() } else { start };
        usable.then_some(Found { ip, start, end: token_end })
    }
}

fn is_address_byte(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':')
}
