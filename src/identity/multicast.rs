//! mDNS and LLMNR: who answers by which name.
//!
//! Read RFC 6762 sections 6 (answers), 10 (goodbyes have no time to live) and 18 (fields), RFC 4795 sections 2.1 and 2.4.
//! Only answers are read: a question names somebody else, and what a probe proposes is announced soon after. An address
//! record gives a host a name; so does a reverse name (PTR), which Apple's and Avahi's responders announce beside it.
//!
//! Anybody may answer for anybody: a proxy for machines that sleep, or an attacker. A host's own word goes first
//! ([`super::Identity`]). An attacker who answers to every name, as poisoners of LLMNR do, is called by the last one.

use super::message::{Message, Record, Section};
use super::{Facts, NameSource, name};
use crate::net::HostKey;

/// Types (RFC 1035 section 3.2.2, RFC 3596) and the class of the Internet; the highest bit of the class is mDNS's order to
/// forget what was known (RFC 6762 section 10.2).
const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;
const FLUSH: u16 = 0x8000;

/// Reads what `src` said.
pub(super) fn read(source: NameSource, src: HostKey, payload: &[u8], facts: &mut Facts) {
    let Some(message) = Message::new(payload).filter(Message::is_answer) else { return };
    for record in message.records() {
        if let Some((host, told)) = address(&message, &record).or_else(|| reverse(&message, &record))
            && record.section != Section::Authority
            && record.class & !FLUSH == INTERNET
            && record.ttl > 0
            && let Some(told) = local(source, &told)
            && let Some(name) = name(told)
        {
            facts.named(source, src, host, name);
        }
    }
}

/// In mDNS all names end with `.local`, which says nothing.
fn local(source: NameSource, name: &[u8]) -> Option<&[u8]> {
    const LOCAL: &[u8] = b".local";
    if source != NameSource::Mdns {
        return Some(name);
    }
    let (name, end) = name.split_at_checked(name.len().checked_sub(LOCAL.len())?)?;
    end.eq_ignore_ascii_case(LOCAL).then_some(name)
}

fn address(message: &Message<'_>, record: &Record<'_>) -> Option<(HostKey, Vec<u8>)> {
    let host = match record.rtype {
        A => HostKey::v4(record.data.try_into().ok()?),
        AAAA => HostKey::v6(record.data.try_into().ok()?),
        _ => return None,
    };
    Some((host, message.name(record)?))
}

fn reverse(message: &Message<'_>, record: &Record<'_>) -> Option<(HostKey, Vec<u8>)> {
    if record.rtype != PTR {
        return None;
    }
    Some((reversed(&message.name(record)?)?, message.name_in(record)?))
}

/// The address that a reverse name is about (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reversed(name: &[u8]) -> Option<HostKey> {
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    if let Some(digits) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut labels = digits.split('.');
        for octet in octets.iter_mut().rev() {
            *octet = labels.next()?.parse().ok()?;
        }
        return labels.next().is_none().then(|| HostKey::v4(octets));
    }
    let mut labels = name.strip_suffix(".ip6.arpa")?.split('.');
    let mut number = 0_u128;
    for place in 0..32 {
        let digit = labels.next().filter(|label| label.len() == 1)?;
        number |= u128::from_str_radix(digit, 16).ok()? << (4 * place);
    }
    labels.next().is_none().then(|| HostKey::v6(number.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, dns_name, record};
    use super::super::{Fact, Named};
    use super::*;

    const HOST: [u8; 4] = [192, 168, 10, 23];

    fn named(source: NameSource, payload: &[u8]) -> Vec<(String, String, bool)> {
        let mut facts = Facts::default();
        read(source, HostKey::v4(HOST), payload, &mut facts);
        let of = |fact: &Fact| match fact {
            Fact::Named(Named { host, name, own, .. }) => (host.to_string(), name.to_string(), *own),
            Fact::Dhcp(_) => panic!("not DHCP"),
        };
        facts.list().iter().map(of).collect()
    }

    fn is(host: &str, name: &str, own: bool) -> (String, String, bool) {
        (host.to_owned(), name.to_owned(), own)
    }

    #[test]
    fn addresses_and_reverse_names_are_taken() {
        let six = "fe80::1:2".parse::<std::net::Ipv6Addr>().unwrap();
        let reverse6 = "2.0.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.e.f.ip6.arpa";
        let told = answers(
            0x8400,
            &[
                record(&dns_name("PC-23.Local"), A, 0x8001, &HOST),
                record(&dns_name("pc-23.local"), AAAA, 0x8001, &six.octets()),
                record(&dns_name("23.10.168.192.in-addr.arpa"), PTR, 0x8001, &dns_name("pc-23.local")),
                record(&dns_name(reverse6), PTR, 0x8001, &dns_name("other.local")),
                record(&dns_name("_ipp._tcp.local"), PTR, 1, &dns_name("Printer._ipp._tcp.local")),
            ],
        );
        let pc = "192.168.10.23";
        let expected = [
            is(pc, "PC-23", true),
            is("fe80::1:2", "pc-23", false),
            is(pc, "pc-23", true),
            is("fe80::1:2", "other", false),
        ];
        assert_eq!(named(NameSource::Mdns, &told), expected);
    }

    #[test]
    fn questions_goodbyes_and_names_elsewhere_are_not() {
        let of = |flags, name: &str, class, rdata: &[u8]| {
            named(NameSource::Mdns, &answers(flags, &[record(&dns_name(name), A, class, rdata)])).len()
        };
        assert_eq!(of(0x8400, "pc.local", 1, &HOST), 1);
        assert_eq!(of(0x0000, "pc.local", 1, &HOST), 0, "a question");
        assert_eq!(of(0x8400, "pc.local", 255, &HOST), 0, "class ANY");
        assert_eq!(of(0x8400, "pc.local", 1, &HOST[..3]), 0);
        assert_eq!(of(0x8400, "pc.example", 1, &HOST), 0);
        assert_eq!(of(0x8400, "local", 1, &HOST), 0);
        let mut goodbye = record(&dns_name("pc.local"), A, 1, &HOST);
        let ttl_at = dns_name("pc.local").len() + 4;
        goodbye[ttl_at..ttl_at + 4].fill(0);
        assert_eq!(named(NameSource::Mdns, &answers(0x8400, &[goodbye])), []);
    }

    #[test]
    fn llmnr_has_no_suffix() {
        let told = answers(0x8000, &[record(&dns_name("pc-accounts"), A, 1, &HOST)]);
        assert_eq!(named(NameSource::Llmnr, &told), [is("192.168.10.23", "pc-accounts", true)]);
        let false_friend = answers(0x8000, &[record(&dns_name("pc-accounts"), A, 1, &[192, 168, 10, 99])]);
        assert_eq!(named(NameSource::Llmnr, &false_friend), [is("192.168.10.99", "pc-accounts", false)]);
    }

    #[test]
    fn reverse_names_that_are_none() {
        for name in
            ["1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "256.2.3.4.in-addr.arpa", "in-addr.arpa", "0.ip6.arpa", ""]
        {
            assert_eq!(reversed(name.as_bytes()), None, "{name}");
        }
        assert_eq!(reversed(b"4.3.2.1.IN-ADDR.ARPA"), Some(HostKey::v4([1, 2, 3, 4])));
    }
}
