//! A message in DNS's form, which NetBIOS, mDNS and LLMNR share: its records, and names with their pointers.
//!
//! Read RFC 1035 section 4.1. Lenient, because frames are cut: records are read up to the first that makes no sense.
//!
//! Bounded: [`RECORDS_MAX`] records of a message; a name has 255 bytes on the wire and [`POINTERS_MAX`] pointers, which only
//! ever go back to before where the last one stood: whatever the bytes are, a message is read in some ten thousand steps.

/// Records of a message that are looked at: an announcement of a machine with a dozen services has about forty.
const RECORDS_MAX: usize = 128;
/// Bytes of a name on the wire (RFC 1035 section 2.3.4).
const WIRE_NAME_MAX: usize = 255;
/// Pointers that are followed for one name: compressors that share every ending of a name make as many as it has labels.
const POINTERS_MAX: usize = 16;
const HEADER: usize = 12;
/// The two bits that tell a pointer (RFC 1035 section 4.1.4); with others of them set, a label is of a kind of which none
/// is in use.
const POINTER: u8 = 0xc0;

/// Where a record stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Section {
    Answer,
    Authority,
    Additional,
}

/// A message.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    /// The second word: QR, opcode and the rest.
    pub(super) flags: u16,
    counts: [u16; 4],
}

/// A resource record.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) section: Section,
    /// Where its name begins.
    name_at: usize,
    pub(super) rtype: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    /// Where its data begin.
    data_at: usize,
    pub(super) data: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let ([_, flags, counts @ ..], []) = header.as_chunks::<2>() else { return None };
        let counts: [[u8; 2]; 4] = (*counts).try_into().ok()?;
        Some(Self { bytes, flags: u16::from_be_bytes(*flags), counts: counts.map(u16::from_be_bytes) })
    }

    /// Whether it is an answer without an error to an ordinary query.
    pub(super) const fn is_answer(&self) -> bool {
        const QR_OPCODE_RCODE: u16 = 0xf80f;
        self.flags & QR_OPCODE_RCODE == 0x8000
    }

    /// The records after the questions.
    pub(super) fn records(&self) -> impl Iterator<Item = Record<'a>> {
        let message = *self;
        let [questions, answers, authorities, additionals] = self.counts.map(usize::from);
        let sections = std::iter::repeat_n(Section::Answer, answers)
            .chain(std::iter::repeat_n(Section::Authority, authorities))
            .chain(std::iter::repeat_n(Section::Additional, additionals));
        let begin = (0..questions.min(RECORDS_MAX)).try_fold(HEADER, |at, _| Some(message.skip_name(at)? + 4));
        let mut at = begin.filter(|_| questions <= RECORDS_MAX).unwrap_or(usize::MAX);
        sections.take(RECORDS_MAX).map_while(move |section| {
            let record = message.record(section, at)?;
            at = record.data_at + record.data.len();
            Some(record)
        })
    }

    /// The name of a record, its labels with dots between.
    pub(super) fn name(&self, record: &Record<'_>) -> Option<Vec<u8>> {
        self.name_at(record.name_at)
    }

    /// The name that a record's data begin with.
    pub(super) fn name_in(&self, record: &Record<'_>) -> Option<Vec<u8>> {
        self.name_at(record.data_at)
    }

    fn record(&self, section: Section, name_at: usize) -> Option<Record<'a>> {
        let at = self.skip_name(name_at)?;
        let [t0, t1, c0, c1, l0, l1, l2, l3, d0, d1] = *self.bytes.get(at..)?.first_chunk()?;
        let (data_at, length) = (at + 10, usize::from(u16::from_be_bytes([d0, d1])));
        Some(Record {
            section,
            name_at,
            rtype: u16::from_be_bytes([t0, t1]),
            class: u16::from_be_bytes([c0, c1]),
            ttl: u32::from_be_bytes([l0, l1, l2, l3]),
            data_at,
            data: self.bytes.get(data_at..)?.get(..length)?,
        })
    }

    /// What follows the name at a place.
    fn skip_name(&self, mut at: usize) -> Option<usize> {
        let end = at.checked_add(WIRE_NAME_MAX)?;
        while at < end {
            match *self.bytes.get(at)? {
                0 => return Some(at + 1),
                length if length & POINTER == POINTER => return Some(at + 2),
                length if length & POINTER != 0 => return None,
                length => at += 1 + usize::from(length),
            }
        }
        None
    }

    fn name_at(&self, mut at: usize) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        // Pointers go to before this.
        let (mut before, mut left) = (at, POINTERS_MAX);
        loop {
            let rest = self.bytes.get(at..)?;
            match label(rest)? {
                Label::End => return Some(name),
                Label::Text(text) => {
                    push(&mut name, text)?;
                    at += 1 + text.len();
                }
                Label::Pointer(to) if to < before && left > 0 => (at, before, left) = (to, to, left - 1),
                Label::Pointer(_) => return None,
            }
        }
    }
}

enum Label<'a> {
    End,
    Text(&'a [u8]),
    Pointer(usize),
}

fn label(bytes: &[u8]) -> Option<Label<'_>> {
    let (&length, rest) = bytes.split_first()?;
    Some(match length {
        0 => Label::End,
        _ if length & POINTER == POINTER => {
            Label::Pointer(usize::from(length & !POINTER) << 8 | usize::from(*rest.first()?))
        }
        _ if length & POINTER != 0 => return None,
        _ => Label::Text(rest.get(..usize::from(length))?),
    })
}

/// Adds a label, unless the name becomes too long: on the wire it is two bytes longer than here.
fn push(name: &mut Vec<u8>, label: &[u8]) -> Option<()> {
    if !name.is_empty() {
        name.push(b'.');
    }
    name.extend_from_slice(label);
    (name.len() + 2 <= WIRE_NAME_MAX).then_some(())
}

/// A name that stands by itself, without pointers, and may lack its end.
pub(super) fn wire_name(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    while !bytes.is_empty() {
        match label(bytes)? {
            Label::End => break,
            Label::Text(text) => {
                push(&mut name, text)?;
                bytes = bytes.get(1 + text.len()..)?;
            }
            Label::Pointer(_) => return None,
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, dns_name, record};
    use super::*;

    fn names(bytes: &[u8]) -> Vec<Option<String>> {
        let message = Message::new(bytes).unwrap();
        message.records().map(|record| message.name(&record).map(|name| String::from_utf8(name).unwrap())).collect()
    }

    #[test]
    fn pointers_lead_back_and_never_round() {
        let pc = record(&dns_name("pc23.local"), 1, 1, &[10, 0, 0, 1]);
        let same = record(&[0xc0, 12], 1, 1, &[10, 0, 0, 1]);
        let below = record(&[2, b'v', b'6', 0xc0, 12], 28, 1, &[0; 16]);
        let good = answers(0x8400, &[pc.clone(), same, below]);
        assert_eq!(names(&good), ["pc23.local", "pc23.local", "v6.pc23.local"].map(|name| Some(name.to_owned())));
        // At itself, forward, into the header (its zeros are the root).
        let second = (12 + pc.len()) as u8;
        for (to, name) in [(second, None), (second + 14, None), (0, Some(String::new()))] {
            let odd = record(&[0xc0, to], 1, 1, &[10, 0, 0, 1]);
            assert_eq!(names(&answers(0x8400, &[pc.clone(), odd])).get(1), Some(&name), "{to}");
        }
    }

    #[test]
    fn a_cut_message_gives_what_stood_before_the_cut() {
        let one = record(&dns_name("a.local"), 1, 1, &[10, 0, 0, 1]);
        let two = record(&dns_name("b.local"), 1, 1, &[10, 0, 0, 2]);
        let whole = answers(0x8400, &[one.clone(), two]);
        for end in 12..whole.len() {
            assert_eq!(names(&whole[..end]).len(), usize::from(end >= 12 + one.len()), "{end}");
        }
        assert!(Message::new(&whole[..11]).is_none());
    }

    #[test]
    fn long_names_and_many_records_end() {
        let long = record(&dns_name(&vec!["x".repeat(60); 5].join(".")), 1, 1, &[0; 4]);
        assert_eq!(names(&answers(0x8400, &[long])), []);
        let mut many = answers(0x8400, &vec![record(&[0], 1, 1, &[0; 4]); 200]);
        assert_eq!(names(&many).len(), RECORDS_MAX);
        // So many questions as fit into a count, and no byte of them.
        many[4..6].copy_from_slice(&[0xff; 2]);
        assert_eq!(names(&many), []);
    }

    #[test]
    fn chains_of_pointers_end() {
        // Each name is a pointer to the one before.
        let mut records = vec![record(&dns_name("a.local"), 1, 1, &[0; 4])];
        let mut at = 12_usize;
        for _ in 0..POINTERS_MAX + 2 {
            records.push(record(&[0xc0 | (at >> 8) as u8, at as u8], 1, 1, &[0; 4]));
            at += records[records.len() - 2].len();
        }
        let read = names(&answers(0x8400, &records)).into_iter().flatten().count();
        assert_eq!(read, 1 + POINTERS_MAX);
    }

    #[test]
    fn only_answers_without_error_are_answers() {
        for (flags, is) in
            [(0x8400, true), (0x8000, true), (0x8500, true), (0, false), (0x8403, false), (0xa800, false)]
        {
            assert_eq!(Message::new(&answers(flags, &[])).unwrap().is_answer(), is, "{flags:x}");
        }
    }
}
