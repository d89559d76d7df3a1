//! DHCP: host name, client's FQDN, vendor class, parameter list, and which card has which address.
//!
//! Read RFC 2131 section 2 (the message) and table 4 in section 4.3.6 (which REQUEST means what), RFC 2132, and RFC 4702
//! (client FQDN). What a client says of itself is taken from DISCOVER, REQUEST and INFORM, what the server makes of it from
//! ACK. A card has an address by a message where
//!
//! - the server says so: `yiaddr` of an ACK;
//! - the client has it already: `ciaddr` (renewing, rebinding, INFORM);
//! - the client takes what a server offered: option 50 beside a server identifier.
//!
//! A client that comes back and asks for the address it had elsewhere (option 50 alone) may be refused: that says nothing.
//! Not read: options in the fields `file` and `sname` (option 52), options in several parts (RFC 3396).

use super::message::wire_name;
use super::{DhcpClient, Fact, Facts, System, name};
use crate::net::{HostKey, Mac};
use crate::wire::Wire;

/// Where the options begin, after the magic cookie.
const OPTIONS_AT: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const ETHERNET: (u8, u8) = (1, 6);
/// Bytes of a vendor class that are kept: those of real clients have about forty.
const VENDOR_CLASS_MAX: usize = 64;

/// Codes of RFC 2132 and RFC 4702.
mod option {
    pub(super) const PAD: u8 = 0;
    pub(super) const HOST_NAME: u8 = 12;
    pub(super) const REQUESTED_ADDRESS: u8 = 50;
    pub(super) const MESSAGE_TYPE: u8 = 53;
    pub(super) const SERVER: u8 = 54;
    pub(super) const PARAMETERS: u8 = 55;
    pub(super) const VENDOR_CLASS: u8 = 60;
    pub(super) const FQDN: u8 = 81;
    pub(super) const END: u8 = 255;
}

/// Values of option 53.
mod kind {
    pub(super) const DISCOVER: u8 = 1;
    pub(super) const REQUEST: u8 = 3;
    pub(super) const ACK: u8 = 5;
    pub(super) const INFORM: u8 = 8;
}

/// The options that matter, as they stand in a message.
#[derive(Default)]
struct Options<'a> {
    kind: Option<u8>,
    host_name: Option<&'a [u8]>,
    fqdn: Option<&'a [u8]>,
    requested: Option<[u8; 4]>,
    from_server: bool,
    parameters: &'a [u8],
    vendor_class: Option<&'a [u8]>,
}

/// Reads a message.
pub(super) fn read(payload: &[u8], facts: &mut Facts) {
    if let Some(client) = client(payload) {
        facts.push(Fact::Dhcp(Box::new(client)));
    }
}

fn client(payload: &[u8]) -> Option<DhcpClient> {
    let [_, htype, hlen, ..] = *payload.first_chunk::<4>()?;
    if (htype, hlen) != ETHERNET || field(payload, 236)? != COOKIE {
        return None;
    }
    let [mac @ .., _, _] = *payload.get(28..)?.first_chunk::<8>()?;
    let (ciaddr, yiaddr) = (address(field(payload, 12)?), address(field(payload, 16)?));
    let options = options(payload.get(OPTIONS_AT..)?);
    let (own, leased) = match options.kind? {
        kind::DISCOVER => (true, None),
        kind::INFORM => (true, ciaddr),
        kind::REQUEST if ciaddr.is_some() => (true, ciaddr),
        kind::REQUEST => (true, options.requested.filter(|_| options.from_server).and_then(address)),
        kind::ACK => (false, yiaddr),
        _ => return None,
    };
    let vendor_class = options.vendor_class.filter(|_| own);
    let system = vendor_class.and_then(System::of_vendor_class);
    Some(DhcpClient {
        mac: Mac(mac),
        leased,
        name: options.host_name.and_then(name).or_else(|| fqdn(options.fqdn?)),
        vendor_class: vendor_class.filter(|class| !class.is_empty()).map(|class| Wire::capped(class, VENDOR_CLASS_MAX)),
        system: system.or_else(|| System::of_parameters(options.parameters).filter(|_| own)),
        own,
    })
}

/// Reads options up to the end or to one that runs over it.
fn options(mut rest: &[u8]) -> Options<'_> {
    let mut found = Options::default();
    while let Some((&code, after)) = rest.split_first() {
        if code == option::PAD {
            rest = after;
            continue;
        }
        if code == option::END {
            break;
        }
        let Some((&length, body)) = after.split_first() else { break };
        let Some((value, after)) = body.split_at_checked(usize::from(length)) else { break };
        rest = after;
        match code {
            option::HOST_NAME => found.host_name = Some(value),
            option::FQDN => found.fqdn = Some(value),
            option::REQUESTED_ADDRESS => found.requested = value.try_into().ok(),
            option::MESSAGE_TYPE => found.kind = value.first().copied(),
            option::SERVER => found.from_server = true,
            option::PARAMETERS => found.parameters = value,
            option::VENDOR_CLASS => found.vendor_class = Some(value),
            _ => {}
        }
    }
    found
}

/// RFC 4702 section 2: flags, two bytes of old use, then the name, in DNS's form where the flag E says so, else as text.
fn fqdn(value: &[u8]) -> Option<Wire> {
    const E: u8 = 0x04;
    let ([flags, _, _], text) = value.split_first_chunk()?;
    if flags & E == 0 { name(text) } else { name(&wire_name(text)?) }
}

fn field(payload: &[u8], at: usize) -> Option<[u8; 4]> {
    payload.get(at..)?.first_chunk().copied()
}

fn address(octets: [u8; 4]) -> Option<HostKey> {
    (octets != [0; 4]).then(|| HostKey::v4(octets))
}

#[cfg(test)]
mod tests {
    use super::super::testing::dhcp;
    use super::*;

    const MAC: Mac = Mac([0, 0x1c, 0xc4, 0x3a, 0x10, 0x23]);
    const IP: [u8; 4] = [192, 168, 10, 23];

    fn of(kind: u8, ciaddr: [u8; 4], yiaddr: [u8; 4], options: &[(u8, &[u8])]) -> DhcpClient {
        client(&dhcp(kind, MAC, ciaddr, yiaddr, options)).unwrap()
    }

    fn names(options: &[(u8, &[u8])]) -> Option<String> {
        of(kind::DISCOVER, [0; 4], [0; 4], options).name.map(|name| name.to_string())
    }

    #[test]
    fn an_address_is_had_by_ack_by_use_or_by_taking_an_offer() {
        let (none, ip) = (None, Some(HostKey::v4(IP)));
        let leased = |kind, ciaddr, yiaddr, options: &[(u8, &[u8])]| of(kind, ciaddr, yiaddr, options).leased;
        assert_eq!(leased(kind::DISCOVER, [0; 4], [0; 4], &[(50, &IP)]), none);
        assert_eq!(leased(kind::REQUEST, [0; 4], [0; 4], &[(50, &IP)]), none, "it may be refused");
        assert_eq!(leased(kind::REQUEST, [0; 4], [0; 4], &[(50, &IP), (54, &[192, 168, 10, 1])]), ip);
        assert_eq!(leased(kind::REQUEST, IP, [0; 4], &[]), ip, "renewed");
        assert_eq!(leased(kind::INFORM, IP, [0; 4], &[]), ip);
        assert_eq!(leased(kind::ACK, [0; 4], IP, &[]), ip);
        assert_eq!(leased(kind::ACK, IP, [0; 4], &[]), none, "the answer to INFORM");
        for other in [2, 4, 6, 7, 9, 0] {
            assert_eq!(client(&dhcp(other, MAC, IP, IP, &[(12, b"pc")])), None, "{other}");
        }
    }

    #[test]
    fn the_host_name_goes_before_the_fqdn() {
        assert_eq!(names(&[(12, b"PC-ACCOUNTS\0"), (81, b"\0\0\0pc.adatum.example")]).as_deref(), Some("PC-ACCOUNTS"));
        assert_eq!(names(&[(81, b"\x01\0\0pc.adatum.example.")]).as_deref(), Some("pc.adatum.example"));
        assert_eq!(names(&[(81, b"\x05\0\0\x02pc\x06adatum\x07example\0")]).as_deref(), Some("pc.adatum.example"));
        assert_eq!(
            names(&[(81, b"\x05\0\0\x02pc")]).as_deref(),
            Some("pc"),
            "a partial name has no end (section 2.3.1)"
        );
        assert_eq!(names(&[(81, b"\x05\0\0\xc0\x02pc")]), None);
        assert_eq!(names(&[(81, b"\x05\0")]), None);
        assert_eq!(names(&[(12, b"\0\0")]), None);
        assert_eq!(names(&[(12, &[b'x'; 255])]).unwrap().len(), super::super::NAME_MAX);
        assert_eq!(names(&[(12, b"\x1b[2J\xff")]).as_deref(), Some("\\x1b[2J\\xff"));
    }

    #[test]
    fn the_client_tells_what_it_is_and_the_server_does_not() {
        let told = [(60, &b"MSFT 5.0"[..]), (55, &[1, 121, 3, 6, 15, 119, 252])];
        let pc = of(kind::REQUEST, IP, [0; 4], &told);
        assert_eq!((pc.system, pc.own), (Some(System::Windows), true));
        assert_eq!(pc.vendor_class, Some("MSFT 5.0".into()));
        assert_eq!(of(kind::DISCOVER, IP, [0; 4], &told[1..]).system, Some(System::Apple));
        let server = of(kind::ACK, IP, IP, &told);
        assert_eq!((server.system, server.vendor_class, server.own), (None, None, false));
    }

    #[test]
    fn other_hardware_and_other_messages_are_none() {
        let good = dhcp(kind::ACK, MAC, IP, IP, &[(12, b"pc")]);
        assert_eq!(client(&good).unwrap().mac, MAC);
        for (at, byte) in [(1, 6), (2, 8), (236, 0)] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            assert_eq!(client(&bytes), None, "{at}");
        }
        // A message that is cut says what stood before the cut: its kind is the first option.
        for end in 0..good.len() {
            assert_eq!(client(&good[..end]).is_some(), end >= OPTIONS_AT + 3, "{end}");
        }
    }
}
