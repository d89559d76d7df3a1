//! NetBIOS over TCP/IP: the names of Windows machines and of Samba.
//!
//! Read RFC 1002 sections 4.2 (name service) and 4.4 (datagrams), RFC 1001 section 14 (how names are written). A name has
//! fifteen bytes, padded with spaces, and a sixteenth that says what it is for: 0x00 is the workstation, 0x20 its file
//! service, and these are the machine's name; 0x03 is also the name of who is logged in, and others are groups and roles.
//!
//! Read are registrations and refreshes (the sender claims a name for an address), answers to queries and to node status
//! requests, and the sender's name of a datagram. A query names another machine, and not the one that asks.

use super::message::{Message, Record, Section};
use super::{Facts, NameSource, name};
use crate::net::HostKey;

/// Types of records (RFC 1002 section 4.2.1.3) and the class of the Internet.
const NB: u16 = 0x20;
const NBSTAT: u16 = 0x21;
const INTERNET: u16 = 1;
/// What the last byte of a machine's name is.
const WORKSTATION: u8 = 0x00;
const FILE_SERVICE: u8 = 0x20;
/// Bytes of a name without the last.
const NAME: usize = 15;
/// Bytes of a name in its two letters a byte.
const ENCODED: usize = 32;
/// The flag of groups, in the flags of an address (section 4.2.1.3) and of a name in a node status (section 4.2.18).
const GROUP: u16 = 0x8000;

/// Opcodes with their response bit (section 4.2.1.1), in the second word of the header.
mod opcode {
    pub(super) const MASK: u16 = 0xf800;
    pub(super) const ANSWER: u16 = 0x8000;
    pub(super) const REGISTRATION: u16 = 0x2800;
    pub(super) const REFRESH: u16 = 0x4000;
    /// As section 4.2.4 has it, against section 4.2.1.1.
    pub(super) const REFRESH_TOO: u16 = 0x4800;
    pub(super) const MULTIHOMED_REGISTRATION: u16 = 0x7800;
}

/// Reads a message of the name service.
pub(super) fn read_names(src: HostKey, payload: &[u8], facts: &mut Facts) {
    const RCODE: u16 = 0x000f;
    let Some(message) = Message::new(payload).filter(|message| message.flags & RCODE == 0) else { return };
    let section = match message.flags & opcode::MASK {
        opcode::ANSWER => Section::Answer,
        opcode::REGISTRATION | opcode::REFRESH | opcode::REFRESH_TOO | opcode::MULTIHOMED_REGISTRATION => {
            Section::Additional
        }
        _ => return,
    };
    let records = message.records().filter(|record| record.section == section && record.class == INTERNET);
    for record in records {
        match record.rtype {
            NB => addresses(src, &message, &record, facts),
            NBSTAT => status(src, record.data, facts),
            _ => {}
        }
    }
}

/// Reads a datagram: the name of its sender (section 4.4.2).
pub(super) fn read_datagram(src: HostKey, payload: &[u8], facts: &mut Facts) {
    /// Direct to one, to a group, to all.
    const KINDS: std::ops::RangeInclusive<u8> = 0x10..=0x12;
    const HEADER: usize = 14;
    let Some((header, [length, encoded @ ..])) = payload.split_at_checked(HEADER) else { return };
    let [kind, _, _, _, a, b, c, d, ..] = *header else { return };
    let host = HostKey::v4([a, b, c, d]);
    if KINDS.contains(&kind)
        && usize::from(*length) == ENCODED
        && let Some(padded) = decode(encoded)
    {
        machine(src, host, &padded, facts);
    }
}

/// A name and the addresses that it has: flags and address, one after the other.
fn addresses(src: HostKey, message: &Message<'_>, record: &Record<'_>, facts: &mut Facts) {
    let Some(padded) = message.name(record).and_then(|name| decode(&name)) else { return };
    let (entries, _) = record.data.as_chunks::<6>();
    for [f0, f1, address @ ..] in entries {
        if u16::from_be_bytes([*f0, *f1]) & GROUP == 0 {
            machine(src, HostKey::v4(*address), &padded, facts);
        }
    }
}

/// The names of a machine, as it tells them when it is asked.
fn status(src: HostKey, data: &[u8], facts: &mut Facts) {
    let Some((&count, names)) = data.split_first() else { return };
    let (entries, _) = names.as_chunks::<18>();
    let own = entries.iter().take(count.into()).find(|[.., suffix, f0, f1]| {
        u16::from_be_bytes([*f0, *f1]) & GROUP == 0 && matches!(*suffix, WORKSTATION | FILE_SERVICE)
    });
    if let Some([padded @ .., _, _]) = own {
        machine(src, src, padded, facts);
    }
}

fn machine(src: HostKey, host: HostKey, padded: &[u8; NAME + 1], facts: &mut Facts) {
    let [text @ .., suffix] = padded;
    if matches!(*suffix, WORKSTATION | FILE_SERVICE)
        && let Some(name) = name(text)
    {
        facts.named(NameSource::Netbios, src, host, name);
    }
}

/// Undoes the first-level encoding (RFC 1001 section 14.1): a letter from A on for each half of a byte. What follows a
/// whole name is its scope.
fn decode(encoded: &[u8]) -> Option<[u8; NAME + 1]> {
    let (pairs, []) = encoded.first_chunk::<ENCODED>()?.as_chunks::<2>() else { return None };
    let mut name = [0; NAME + 1];
    for (byte, letters) in name.iter_mut().zip(pairs) {
        let [high, low] = letters.map(|letter| letter.wrapping_sub(b'A'));
        if high > 15 || low > 15 {
            return None;
        }
        *byte = high << 4 | low;
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::super::testing::record;
    use super::super::{Fact, Named};
    use super::*;

    const HOST: [u8; 4] = [192, 168, 10, 23];

    fn encode(name: &str, suffix: u8) -> Vec<u8> {
        let padded = format!("{name:15}");
        let mut bytes = vec![ENCODED as u8];
        for byte in padded.bytes().chain([suffix]) {
            bytes.extend([b'A' + (byte >> 4), b'A' + (byte & 15)]);
        }
        bytes.push(0);
        bytes
    }

    /// A message with a question, if there is a name in it, and one record.
    fn message(flags: u16, counts: [u8; 4], rest: &[u8]) -> Vec<u8> {
        let [a, b, c, d] = counts;
        let mut bytes = vec![0, 7];
        bytes.extend(flags.to_be_bytes());
        bytes.extend([0, a, 0, b, 0, c, 0, d]);
        bytes.extend(rest);
        bytes
    }

    fn registration(flags: u16, name: &[u8], nb_flags: u16, address: [u8; 4]) -> Vec<u8> {
        let question = [name, &[0, 0x20, 0, 1]].concat();
        let data = [&nb_flags.to_be_bytes()[..], &address].concat();
        message(flags, [1, 0, 0, 1], &[question, record(&[0xc0, 12], NB, 1, &data)].concat())
    }

    fn of(read: fn(HostKey, &[u8], &mut Facts), payload: &[u8]) -> Vec<String> {
        let mut facts = Facts::default();
        read(HostKey::v4(HOST), payload, &mut facts);
        let shown = |fact: &Fact| match fact {
            Fact::Named(Named { host, name, own, .. }) => format!("{host} {name}{}", if *own { "" } else { "?" }),
            Fact::Dhcp(_) => panic!("not DHCP"),
        };
        facts.list().iter().map(shown).collect()
    }

    #[test]
    fn registrations_claim_a_name() {
        let names = |flags, suffix, nb_flags| {
            of(read_names, &registration(flags, &encode("PC-ACCOUNTS", suffix), nb_flags, HOST))
        };
        // Registration and refresh by broadcast, refresh of the other kind, several addresses.
        for flags in [0x2910, 0x4010, 0x4810, 0x7900] {
            assert_eq!(names(flags, 0x00, 0), ["192.168.10.23 PC-ACCOUNTS"], "{flags:x}");
        }
        assert_eq!(names(0x2910, 0x20, 0x6000), ["192.168.10.23 PC-ACCOUNTS"]);
        assert!(names(0x2910, 0x03, 0).is_empty(), "who is logged in");
        assert!(names(0x2910, 0x00, GROUP).is_empty(), "a workgroup");
        assert!(names(0x3010, 0x00, 0).is_empty(), "a release");
        assert!(names(0x0110, 0x00, 0).is_empty(), "a query");
        assert!(names(0xad86, 0x00, 0).is_empty(), "refused");
    }

    #[test]
    fn answers_name_all_addresses() {
        let data = [&[0, 0][..], &HOST, &[0x60, 0], &[192, 168, 20, 23], &[0x80, 0], &[192, 168, 10, 99]].concat();
        let answer = message(0x8500, [0, 1, 0, 0], &record(&encode("PC-STORE", 0x20), NB, 1, &data));
        assert_eq!(of(read_names, &answer), ["192.168.10.23 PC-STORE", "192.168.20.23 PC-STORE?"]);
    }

    #[test]
    fn a_node_status_tells_the_machine_itself() {
        let entry = |name: &str, suffix: u8, flags: u16| {
            [format!("{name:15}").as_bytes(), &[suffix], &flags.to_be_bytes()].concat()
        };
        let names = [
            entry("CONTOSO", 0x00, 0x8400),
            entry("ALICE", 0x03, 0x0400),
            entry("PC-DESK1", 0x20, 0x0400),
            entry("PC-DESK1", 0x00, 0x0400),
        ];
        let data = [&[4][..], &names.concat(), &[0, 0x1e, 0x68, 0x3a, 0x10, 0x25]].concat();
        let asked = [&[ENCODED as u8][..], b"CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &[0]].concat();
        let answer = message(0x8400, [0, 1, 0, 0], &record(&asked, NBSTAT, 1, &data));
        assert_eq!(of(read_names, &answer), ["192.168.10.23 PC-DESK1"]);
        let fewer = [&[2][..], &names.concat()].concat();
        let answer = message(0x8400, [0, 1, 0, 0], &record(&asked, NBSTAT, 1, &fewer));
        assert!(of(read_names, &answer).is_empty());
    }

    #[test]
    fn datagrams_have_a_sender() {
        let datagram = |kind: u8, name: &[u8]| {
            [&[kind, 2, 0, 9][..], &HOST, &[0, 138, 0, 200, 0, 0], name, &encode("WORKGROUP", 0x1d), b"\xffSMB"]
                .concat()
        };
        assert_eq!(of(read_datagram, &datagram(0x11, &encode("PC-SALES1", 0))), ["192.168.10.23 PC-SALES1"]);
        assert!(of(read_datagram, &datagram(0x13, &encode("PC-SALES1", 0))).is_empty(), "an error");
        assert!(of(read_datagram, &datagram(0x11, &encode("PC-SALES1", 0x1d))).is_empty(), "a role");
        assert!(of(read_datagram, &datagram(0x11, &[ENCODED as u8, b'a'])).is_empty());
        let mut lower = encode("PC-SALES1", 0);
        lower[3] = b'q';
        assert!(of(read_datagram, &datagram(0x11, &lower)).is_empty(), "no letter of a half byte");
    }
}
