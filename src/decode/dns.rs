//! The question of a DNS query: which name, which type. No more of the message is read.
//!
//! Read RFC 1035 sections 4.1.1 (header) and 4.1.2 (question), RFC 3596 (AAAA). Only what a client may ask is taken:
//! one question of class IN in a standard query. A name in a question has nothing before it to point to, so compression
//! is refused, and every step goes forward: the work is linear in at most 255 bytes.

/// The port of DNS servers (RFC 1035 section 4.2).
pub(super) const PORT: u16 = 53;
/// A, MX and AAAA (RFC 1035 section 3.2.2, RFC 3596 section 2.1).
const TYPES: [u16; 3] = [1, 15, 28];
/// MX.
const MX: u16 = 15;
/// Bytes of the header.
const HEADER: usize = 12;
/// Bytes of a name on the wire (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 255;
/// Bytes of a label (RFC 1035 section 2.3.4).
const LABEL_MAX: u8 = 63;
/// Names under which mail servers are guessed.
const GUESSES: [&[u8]; 3] = [b"mail.", b"smtp.", b"mx."];

/// A question.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Question {
    /// The name in lower case, without the final dot; empty for the root.
    pub name: Vec<u8>,
    /// The type.
    pub qtype: u16,
}

impl Question {
    /// Whether it has to do with mail: an MX record, or the address of a host that is called like a mail server.
    pub fn is_about_mail(&self) -> bool {
        self.qtype == MX || GUESSES.iter().any(|guess| self.name.starts_with(guess))
    }
}

/// The question of a UDP payload to port 53; `None` for anything else than one question for A, MX or AAAA, and for
/// anything malformed. What follows the question (RFC 6891's OPT record) is not looked at.
pub fn question(payload: &[u8]) -> Option<Question> {
    let (header, rest) = payload.split_at_checked(HEADER)?;
    let field = |at: usize| Some(u16::from_be_bytes([*header.get(at)?, *header.get(at + 1)?]));
    // QR and OPCODE must be zero: a standard query.
    if field(2)? & 0xf800 != 0 || field(4)? != 1 {
        return None;
    }
    let (name, rest) = name(rest)?;
    let [t0, t1, c0, c1, ..] = *rest else { return None };
    let (qtype, class) = (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([c0, c1]));
    (class == 1 && TYPES.contains(&qtype)).then_some(Question { name, qtype })
}

/// The same of a TCP payload that holds a whole message (RFC 1035 section 4.2.2).
pub fn question_over_tcp(payload: &[u8]) -> Option<Question> {
    let (length, message) = payload.split_at_checked(2)?;
    let length = usize::from(u16::from_be_bytes([*length.first()?, *length.get(1)?]));
    question(message.get(..length)?)
}

/// A name as labels, and what follows it.
fn name(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut name = Vec::new();
    loop {
        let (&length, after) = rest.split_first()?;
        if length == 0 {
            return Some((name, after));
        }
        // Above 63 are pointers and reserved forms.
        if length > LABEL_MAX {
            return None;
        }
        let (label, after) = after.split_at_checked(usize::from(length))?;
        // A dot inside a label would make another name of it; no mail domain has one.
        if label.contains(&b'.') {
            return None;
        }
        if !name.is_empty() {
            name.push(b'.');
        }
        // On the wire there is a length before each label and a zero at the end: two bytes more than here.
        if name.len() + label.len() + 2 > NAME_MAX {
            return None;
        }
        name.extend(label.iter().map(u8::to_ascii_lowercase));
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A query as `dig` sends it, with an OPT record behind the question.
    fn query(labels: &[&[u8]], qtype: u16) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in labels {
            bytes.push(label.len() as u8);
            bytes.extend_from_slice(label);
        }
        bytes.push(0);
        bytes.extend_from_slice(&qtype.to_be_bytes());
        bytes.extend_from_slice(&[0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn reads_the_question_of_a_query() {
        let asked = question(&query(&[b"Contoso", b"EXAMPLE"], 15)).unwrap();
        assert_eq!((asked.name.as_slice(), asked.qtype), (&b"contoso.example"[..], 15));
        assert!(asked.is_about_mail());
        assert!(question(&query(&[b"smtp", b"contoso", b"example"], 1)).unwrap().is_about_mail());
        assert!(!question(&query(&[b"www", b"contoso", b"example"], 28)).unwrap().is_about_mail());
        assert_eq!(question(&query(&[], 15)).unwrap().name, b"");
    }

    #[test]
    fn anything_else_is_none() {
        let good = query(&[b"contoso", b"example"], 15);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            question(&bytes)
        };
        assert!(question(&good).is_some());
        assert_eq!(with(2, 0x81), None, "an answer");
        assert_eq!(with(2, 0x28), None, "an update");
        assert_eq!(with(5, 2), None, "two questions");
        assert_eq!(with(12, 0xc0), None, "a pointer");
        assert_eq!(with(12, 0x40), None, "a reserved form");
        assert_eq!(with(13, b'.'), None, "a dot inside a label");
        assert_eq!(question(&query(&[b"contoso"], 16)), None, "TXT");
        let class_at = good.len() - 12;
        assert_eq!(with(class_at, 3), None, "class CHAOS");
        (0..HEADER + 21).for_each(|end| assert_eq!(question(&good[..end]), None, "cut at {end}"));
    }

    #[test]
    fn names_are_bounded() {
        let label = [b'a'; 63];
        assert!(question(&query(&[&label, &label, &label, &label[..61]], 15)).is_some(), "255 bytes on the wire");
        assert_eq!(question(&query(&[&label, &label, &label, &label[..62]], 15)), None);
    }

    #[test]
    fn a_message_over_tcp_has_its_length_before_it() {
        let message = query(&[b"contoso", b"example"], 15);
        let mut bytes = (message.len() as u16).to_be_bytes().to_vec();
        bytes.extend_from_slice(&message);
        assert!(question_over_tcp(&bytes).is_some());
        bytes[1] += 1;
        assert_eq!(question_over_tcp(&bytes), None, "not whole");
        assert_eq!(question_over_tcp(&[0]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Some(asked) = question(&bytes) {
                prop_assert!(asked.name.len() < NAME_MAX);
            }
            let _ = question_over_tcp(&bytes);
        }

        #[test]
        fn a_query_is_read_back(labels in proptest::collection::vec("[a-z0-9_-]{1,20}", 1..6)) {
            let parts: Vec<&[u8]> = labels.iter().map(String::as_bytes).collect();
            let asked = question(&query(&parts, 15)).unwrap();
            prop_assert_eq!(asked.name, labels.join(".").into_bytes());
        }
    }
}
