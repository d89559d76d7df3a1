//! DHCPv6: the client's FQDN.
//!
//! Read RFC 8415 sections 8 (the message), 21.4 and 21.6 (addresses), RFC 4704 section 4 (the name). Only what clients say
//! is read, and only what they send themselves, not what relays wrap. The name belongs to the link-local address that the
//! message comes from, and to the addresses that the client asks to keep (RENEW, REBIND) or takes (REQUEST).

use super::message::wire_name;
use super::{Facts, NameSource, name};
use crate::net::HostKey;

/// Message types.
mod kind {
    pub(super) const SOLICIT: u8 = 1;
    pub(super) const REQUEST: u8 = 3;
    pub(super) const RENEW: u8 = 5;
    pub(super) const REBIND: u8 = 6;
    pub(super) const INFORMATION_REQUEST: u8 = 11;
}

/// Option codes.
mod option {
    pub(super) const IA_NA: u16 = 3;
    pub(super) const IA_TA: u16 = 4;
    pub(super) const ADDRESS: u16 = 5;
    pub(super) const FQDN: u16 = 39;
}

/// Reads what `src` said.
pub(super) fn read(src: HostKey, payload: &[u8], facts: &mut Facts) {
    let Some(([message, _, _, _], rest)) = payload.split_first_chunk() else { return };
    let takes = match *message {
        kind::SOLICIT | kind::INFORMATION_REQUEST => false,
        kind::REQUEST | kind::RENEW | kind::REBIND => true,
        _ => return,
    };
    let fqdn = options(rest).find(|(code, _)| *code == option::FQDN);
    // Flags stand before the name.
    let Some(name) = fqdn.and_then(|(_, value)| name(&wire_name(value.get(1..)?)?)) else { return };
    facts.named(NameSource::Dhcp, src, src, name.clone());
    let associations = options(rest).filter_map(|(code, value)| match code {
        // After identity and two times, or after the identity alone.
        option::IA_NA => value.get(12..),
        option::IA_TA => value.get(4..),
        _ => None,
    });
    for (_, address) in associations.flat_map(options).filter(|(code, _)| takes && *code == option::ADDRESS) {
        if let Some(octets) = address.first_chunk() {
            let host = HostKey::v6(*octets);
            // The client speaks of itself.
            facts.named(NameSource::Dhcp, host, host, name.clone());
        }
    }
}

/// Options up to the end or to one that runs over it.
fn options(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let ([c0, c1, l0, l1], after) = rest.split_first_chunk()?;
        let (value, after) = after.split_at_checked(u16::from_be_bytes([*l0, *l1]).into())?;
        rest = after;
        Some((u16::from_be_bytes([*c0, *c1]), value))
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::super::testing::dns_name;
    use super::super::{Fact, Named};
    use super::*;

    fn option(code: u16, value: &[u8]) -> Vec<u8> {
        [&code.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat()
    }

    fn named(kind: u8, options: &[Vec<u8>]) -> Vec<String> {
        let src = HostKey::from(std::net::IpAddr::V6("fe80::23".parse::<Ipv6Addr>().unwrap()));
        let mut facts = Facts::default();
        read(src, &[&[kind, 1, 2, 3][..], &options.concat()].concat(), &mut facts);
        let shown = |fact: &Fact| match fact {
            Fact::Named(Named { host, name, own: true, .. }) => format!("{host} {name}"),
            _ => panic!("not of itself"),
        };
        facts.list().iter().map(shown).collect()
    }

    #[test]
    fn the_name_is_that_of_the_sender_and_of_the_addresses_it_takes() {
        let global = "2001:db8::23".parse::<Ipv6Addr>().unwrap().octets();
        let address = option(5, &[&global[..], &[0; 8]].concat());
        let fqdn = option(39, &[&[1][..], &dns_name("pc23.adatum.example")].concat());
        let all = [option(1, b"duid"), option(3, &[&[0; 12][..], &address].concat()), fqdn];
        let both = ["fe80::23 pc23.adatum.example", "2001:db8::23 pc23.adatum.example"];
        for kind in [kind::REQUEST, kind::RENEW, kind::REBIND] {
            assert_eq!(named(kind, &all), both);
        }
        for kind in [kind::SOLICIT, kind::INFORMATION_REQUEST] {
            assert_eq!(named(kind, &all), both[..1]);
        }
        assert!(named(7, &all).is_empty() && named(12, &all).is_empty(), "servers and relays");
        assert!(named(kind::RENEW, &all[..2]).is_empty(), "no name");
        assert_eq!(named(kind::RENEW, &[option(39, b"\x01\x04pc23")]), ["fe80::23 pc23"], "a partial name");
    }
}
