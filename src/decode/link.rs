//! Link layers: Ethernet II, VLAN tags (IEEE 802.1Q, 802.1ad), PPPoE (RFC 2516), PPP (RFC 1661, RFC 1662), MPLS
//! (RFC 3032), Linux cooked captures and BSD loopback (the link-layer header types of tcpdump.org), raw IP.
//!
//! Not followed: 802.3 frames with LLC, MACsec, pseudowires without an Ethernet type.

use crate::frame::LinkType;
use crate::net::Encap;

use super::outcome::{Ignored, Undecoded};
use super::walk::{Stop, Walk};

/// Ethernet types (IEEE registration authority).
mod ethertype {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    /// 802.1Q.
    pub(super) const VLAN: u16 = 0x8100;
    /// 802.1ad, the outer tag of QinQ.
    pub(super) const PROVIDER_VLAN: u16 = 0x88a8;
    /// Outer tags of QinQ before the standard.
    pub(super) const OLD_QINQ: [u16; 2] = [0x9100, 0x9200];
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
    pub(super) const MPLS: u16 = 0x8847;
    /// MPLS with an upstream-assigned label (RFC 5332).
    pub(super) const MPLS_UPSTREAM: u16 = 0x8848;
    /// PPP, in GRE (RFC 2637 uses it in GRE version 1 only).
    pub(super) const PPP: u16 = 0x880b;
}

/// PPP protocol numbers (RFC 1661 section 2, IANA).
mod ppp {
    pub(super) const IPV4: u16 = 0x0021;
    pub(super) const IPV6: u16 = 0x0057;
    pub(super) const MPLS: u16 = 0x0281;
}

impl Walk<'_, '_> {
    /// The outermost layer.
    #[inline]
    pub(super) fn link(&mut self, link: LinkType) -> Stop {
        match link {
            LinkType::ETHERNET => self.ethernet(0),
            LinkType::RAW | LinkType::RAW_DLT | LinkType::RAW_DLT_BSD => self.ip(0, Undecoded::BadIpHeader.into()),
            LinkType::IPV4 => self.ipv4(0),
            LinkType::IPV6 => self.ipv6(0),
            LinkType::LINUX_SLL => self.cooked(14, 16),
            LinkType::LINUX_SLL2 => self.cooked(0, 20),
            LinkType::NULL | LinkType::LOOP => self.loopback(),
            LinkType::PPP | LinkType::PPP_HDLC => self.hdlc(0),
            _ => Undecoded::UnknownLinkType.into(),
        }
    }

    /// Ethernet II; a length field instead of a type means 802.3, which carries no IP here.
    #[inline]
    pub(super) fn ethernet(&mut self, at: usize) -> Stop {
        let Some(ethertype) = self.be16(at + 12) else {
            return Undecoded::TruncatedLink.into();
        };
        self.ether_at = Some(at);
        self.ethertype(ethertype, at + 14)
    }

    /// What an Ethernet type says comes next.
    #[inline]
    pub(super) fn ethertype(&mut self, ethertype: u16, at: usize) -> Stop {
        match ethertype {
            ethertype::IPV4 => self.ipv4(at),
            ethertype::IPV6 => self.ipv6(at),
            _ => self.rare_ethertype(ethertype, at),
        }
    }

    #[inline(never)]
    fn rare_ethertype(&mut self, ethertype: u16, at: usize) -> Stop {
        match ethertype {
            ethertype::VLAN | ethertype::PROVIDER_VLAN => self.vlan(at),
            old if ethertype::OLD_QINQ.contains(&old) => self.vlan(at),
            ethertype::PPPOE_SESSION => self.pppoe(at),
            ethertype::MPLS | ethertype::MPLS_UPSTREAM => self.mpls(at),
            ethertype::PPP => self.hdlc(at),
            _ => Ignored::NotIp.into(),
        }
    }

    /// A VLAN tag: priority and identifier, then the next Ethernet type.
    fn vlan(&mut self, at: usize) -> Stop {
        let (Some(tag), Some(ethertype)) = (self.be16(at), self.be16(at + 2)) else {
            return Undecoded::TruncatedLink.into();
        };
        if !self.tag() {
            return Undecoded::TooManyTags.into();
        }
        if let Some(free) = self.link.vlans.iter_mut().find(|kept| kept.is_none()) {
            *free = Some(tag & 0x0fff);
        }
        self.ethertype(ethertype, at + 4)
    }

    /// A PPPoE session: version and type 1, code 0, session, length, then PPP without address and control.
    fn pppoe(&mut self, at: usize) -> Stop {
        let Some([version_type, code, ..]) = self.chunk::<6>(at) else {
            return Undecoded::TruncatedLink.into();
        };
        if (*version_type, *code) != (0x11, 0) {
            return Ignored::TunnelControl.into();
        }
        if !self.enter(Encap::Pppoe) {
            return Undecoded::TunnelTooDeep.into();
        }
        self.ppp(at + 6)
    }

    /// PPP that may begin with the address and control bytes of HDLC (`ff 03`), or be Cisco's HDLC (`0f 00`, `8f 00`),
    /// which has an Ethernet type.
    fn hdlc(&mut self, at: usize) -> Stop {
        match self.chunk(at) {
            Some([0xff, 0x03]) => self.ppp(at + 2),
            Some([0x0f | 0x8f, 0x00]) => match self.be16(at + 2) {
                Some(ethertype) => self.ethertype(ethertype, at + 4),
                None => Undecoded::TruncatedLink.into(),
            },
            _ => self.ppp(at),
        }
    }

    /// The protocol field of PPP: two bytes, or one where it is compressed (RFC 1661 section 6.5: only the last byte is
    /// odd).
    fn ppp(&mut self, at: usize) -> Stop {
        let (protocol, at) = match self.byte(at) {
            Some(odd) if odd & 1 == 1 => (u16::from(odd), at + 1),
            _ => match self.be16(at) {
                Some(protocol) => (protocol, at + 2),
                None => return Undecoded::TruncatedLink.into(),
            },
        };
        match protocol {
            ppp::IPV4 => self.ipv4(at),
            ppp::IPV6 => self.ipv6(at),
            ppp::MPLS => self.mpls(at),
            _ => Ignored::NotIp.into(),
        }
    }

    /// A stack of MPLS labels. Nothing names the layer under it: IP shows by its version, all else is left alone.
    pub(super) fn mpls(&mut self, mut at: usize) -> Stop {
        if !self.enter(Encap::Mpls) {
            return Undecoded::TunnelTooDeep.into();
        }
        loop {
            let Some([_, _, bottom, _]) = self.chunk(at) else {
                return Undecoded::TruncatedLink.into();
            };
            if !self.tag() {
                return Undecoded::TooManyTags.into();
            }
            at += 4;
            if bottom & 1 == 1 {
                return self.ip(at, Ignored::NotIp.into());
            }
        }
    }

    /// A Linux cooked capture: a header of `header_len` bytes with an Ethernet type at `protocol_at`.
    fn cooked(&mut self, protocol_at: usize, header_len: usize) -> Stop {
        match self.be16(protocol_at) {
            Some(ethertype) if self.bytes.len() >= header_len => self.ethertype(ethertype, header_len),
            _ => Undecoded::TruncatedLink.into(),
        }
    }

    /// An address family of four bytes in either byte order: 2 is IPv4 everywhere, IPv6 is 24 (NetBSD, OpenBSD), 28
    /// (FreeBSD) or 30 (macOS).
    fn loopback(&mut self) -> Stop {
        match self.chunk(0) {
            Some([2, 0, 0, 0] | [0, 0, 0, 2]) => self.ipv4(4),
            Some([24 | 28 | 30, 0, 0, 0] | [0, 0, 0, 24 | 28 | 30]) => self.ipv6(4),
            Some(_) => Ignored::NotIp.into(),
            None => Undecoded::TruncatedLink.into(),
        }
    }
}
