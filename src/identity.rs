//! Who a host is, from what it cannot help showing and from what it calls itself.
//!
//! [`vendor()`] knows the maker of a network card. [`read`] takes the payload of a datagram from one of the ports on which
//! machines of a local network tell their names ([`is_port`]) and gives [`Facts`]:
//!
//! | source | what is read | read first |
//! |---|---|---|
//! | `dhcp` | host name, client's FQDN, vendor class, parameter list, lease | RFC 2131, RFC 2132, RFC 4702; RFC 8415 and RFC 4704 |
//! | `netbios` | registrations, answers to queries and to node status requests, datagrams | RFC 1001, RFC 1002 |
//! | `mdns` | addresses and reverse names in answers | RFC 6762 |
//! | `llmnr` | the same | RFC 4795 |
//!
//! All of it is an attacker's to choose, and bounded: a reader stops at the first byte that makes no sense and keeps what
//! stood before it, a message gives [`Facts::MAX`] facts at most, a name has [`NAME_MAX`] bytes. Names stay [`Wire`] and
//! are escaped wherever they are shown. Not read: names in fragmented datagrams, in DNS proper, in questions (who asks for
//! a name is not called by it), and whatever has to be asked for, since nothing is ever sent.
//!
//! The readers are our own (`docs/adr/0013-names-are-read-by-own-readers.md`).

mod dhcp;
mod dhcp6;
mod facts;
mod message;
mod multicast;
mod netbios;
mod system;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod vendor;

pub use facts::{DhcpClient, Fact, Facts, Identity, NameSource, Named};
pub use system::System;
pub use vendor::vendor;

use crate::net::HostKey;
use crate::wire::Wire;

/// Bytes of a name that are kept. A label has 63 (RFC 1035 section 2.3.4), machines with a domain behind their name seldom
/// twice as many; four names of all hosts that are remembered then take 33 MB at the very worst.
pub const NAME_MAX: usize = 128;

/// UDP ports of the protocols; always the sender's.
mod port {
    pub(super) const DHCP_SERVER: u16 = 67;
    pub(super) const DHCP_CLIENT: u16 = 68;
    pub(super) const NETBIOS_NAMES: u16 = 137;
    pub(super) const NETBIOS_DATAGRAMS: u16 = 138;
    pub(super) const DHCP6_CLIENT: u16 = 546;
    pub(super) const MDNS: u16 = 5353;
    pub(super) const LLMNR: u16 = 5355;
}

/// Whether a datagram from this port may tell names. All of these protocols speak from ports of their own; where they
/// answer, they answer to any port.
#[inline]
pub const fn is_port(port: u16) -> bool {
    matches!(
        port,
        port::DHCP_SERVER
            | port::DHCP_CLIENT
            | port::NETBIOS_NAMES
            | port::NETBIOS_DATAGRAMS
            | port::DHCP6_CLIENT
            | port::MDNS
            | port::LLMNR
    )
}

/// Reads what `payload` tells, sent by `src` from `port`.
pub fn read(src: HostKey, port: u16, payload: &[u8], facts: &mut Facts) {
    match port {
        port::DHCP_SERVER | port::DHCP_CLIENT => dhcp::read(payload, facts),
        port::NETBIOS_NAMES => netbios::read_names(src, payload, facts),
        port::NETBIOS_DATAGRAMS => netbios::read_datagram(src, payload, facts),
        port::DHCP6_CLIENT => dhcp6::read(src, payload, facts),
        port::MDNS => multicast::read(NameSource::Mdns, src, payload, facts),
        port::LLMNR => multicast::read(NameSource::Llmnr, src, payload, facts),
        _ => {}
    }
}

/// A name without the padding and the final dot that some put behind it; `None` if nothing is left.
fn name(bytes: &[u8]) -> Option<Wire> {
    let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b' ' | b'.'))?;
    Some(Wire::capped(bytes.get(..=end)?, NAME_MAX))
}
