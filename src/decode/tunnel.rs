//! Tunnels that carry mirrored or forwarded traffic: GRE (RFC 2784, RFC 2890), ERSPAN types I to III
//! (draft-foschiano-erspan), VXLAN (RFC 7348), TZSP (Wireshark's description of the TaZmen Sniffer Protocol), HP's
//! remote mirroring and GTP-U (3GPP TS 29.281).
//!
//! A UDP datagram to a tunnel's port that does not look like the tunnel is somebody's UDP, and ignored as such.
//! Not followed: GRE version 1 (PPTP), IPsec, anything encrypted.

use crate::identity;
use crate::net::Encap;

use super::dns;
use super::ip::Ip;
use super::outcome::{Ignored, Undecoded};
use super::walk::{Aside, Stop, Walk};

/// UDP ports of tunnels; always the destination's.
mod port {
    pub(super) const GTPU: u16 = 2152;
    pub(super) const VXLAN: u16 = 4789;
    /// HP's "encapsulated remote mirroring".
    pub(super) const HP_ERM: u16 = 7932;
    /// What Linux used for VXLAN before IANA gave it a port, and still does by default.
    pub(super) const VXLAN_LINUX: u16 = 8472;
    pub(super) const TZSP: u16 = 37008;
}

/// Protocol types of GRE that are no Ethernet types of IP, VLANs and the like.
mod gre {
    /// Transparent Ethernet bridging (RFC 1701).
    pub(super) const BRIDGING: u16 = 0x6558;
    /// ERSPAN type I without, type II with a sequence number.
    pub(super) const ERSPAN: u16 = 0x88be;
    pub(super) const ERSPAN_III: u16 = 0x22eb;
}

const UDP_HEADER_LEN: usize = 8;
const VXLAN_HEADER_LEN: usize = 8;
const ERSPAN_II_HEADER_LEN: usize = 8;
const ERSPAN_III_HEADER_LEN: usize = 12;
/// The optional platform-specific part of an ERSPAN type III header.
const ERSPAN_III_PLATFORM_LEN: usize = 8;
/// Nine bytes whose meaning is not public, then priority and VLAN, then a byte that says whether there was a tag.
const HP_ERM_HEADER_LEN: usize = 12;
/// Tags of one TZSP header, extension headers of one GTP-U header: real ones have fewer than five.
const OPTIONS_MAX: usize = 16;

/// Whether a UDP datagram to this port may hold a frame.
#[inline]
pub(super) const fn is_tunnel_port(port: u16) -> bool {
    matches!(port, port::GTPU | port::VXLAN | port::HP_ERM | port::VXLAN_LINUX | port::TZSP)
}

impl Walk<'_, '_> {
    /// UDP, which matters only as the carrier of a tunnel, of a question to a DNS server, or of names.
    #[inline]
    pub(super) fn udp(&mut self, at: usize, ip: &Ip<'_>) -> Stop {
        match self.be16(at + 2) {
            Some(dns::PORT) => self.aside(at, UDP_HEADER_LEN, ip, Aside::Question),
            Some(port) if is_tunnel_port(port) => self.udp_tunnel(port, at + UDP_HEADER_LEN),
            Some(_) if self.be16(at).is_some_and(identity::is_port) => self.aside(at, UDP_HEADER_LEN, ip, Aside::Names),
            Some(_) => Ignored::NotTcp.into(),
            None => Undecoded::TruncatedTunnel.into(),
        }
    }

    #[inline(never)]
    fn udp_tunnel(&mut self, port: u16, at: usize) -> Stop {
        match port {
            port::GTPU => self.gtpu(at),
            port::TZSP => self.tzsp(at),
            port::HP_ERM => self.bridged(Encap::HpErm, at + HP_ERM_HEADER_LEN),
            _ => self.vxlan(at),
        }
    }

    /// An Ethernet frame inside a tunnel.
    fn bridged(&mut self, encap: Encap, at: usize) -> Stop {
        if self.enter(encap) { self.ethernet(at) } else { Undecoded::TunnelTooDeep.into() }
    }

    /// GRE version 0: flags say which optional words follow.
    pub(super) fn gre(&mut self, at: usize) -> Stop {
        const CHECKSUM: u16 = 0x8000;
        const ROUTING: u16 = 0x4000;
        const KEY: u16 = 0x2000;
        const SEQUENCE: u16 = 0x1000;
        const VERSION: u16 = 0x0007;

        let (Some(flags), Some(protocol)) = (self.be16(at), self.be16(at + 2)) else {
            return Undecoded::TruncatedTunnel.into();
        };
        if flags & VERSION != 0 {
            return Ignored::NotIp.into();
        }
        // RFC 2784 section 2.3: the routing of RFC 1701 is not to be accepted.
        if flags & ROUTING != 0 {
            return Undecoded::BadTunnelHeader.into();
        }
        let words = 1 + (flags & (CHECKSUM | KEY | SEQUENCE)).count_ones() as usize;
        let inner = at + words * 4;
        match protocol {
            gre::ERSPAN if flags & SEQUENCE == 0 => self.bridged(Encap::Erspan, inner),
            gre::ERSPAN => self.bridged(Encap::Erspan, inner + ERSPAN_II_HEADER_LEN),
            gre::ERSPAN_III => self.erspan_iii(inner),
            gre::BRIDGING => self.bridged(Encap::Gre, inner),
            0 => Ignored::TunnelControl.into(), // Cisco's keep-alive
            _ if self.enter(Encap::Gre) => self.ethertype(protocol, inner),
            _ => Undecoded::TunnelTooDeep.into(),
        }
    }

    /// ERSPAN type III: its last byte says whether the platform part follows, the one before it what is mirrored.
    fn erspan_iii(&mut self, at: usize) -> Stop {
        let Some([.., kind, last]) = self.chunk::<ERSPAN_III_HEADER_LEN>(at) else {
            return Undecoded::TruncatedTunnel.into();
        };
        let platform = if last & 1 == 1 { ERSPAN_III_PLATFORM_LEN } else { 0 };
        let inner = at + ERSPAN_III_HEADER_LEN + platform;
        match kind >> 2 & 0x1f {
            0 => self.bridged(Encap::Erspan, inner),
            2 if self.enter(Encap::Erspan) => self.ip(inner, Ignored::NotIp.into()),
            2 => Undecoded::TunnelTooDeep.into(),
            _ => Ignored::NotIp.into(),
        }
    }

    /// VXLAN: the I flag must be set. All other bits are reserved and ignored on receipt (RFC 7348 section 5), or say what
    /// leaves the frame where it is (draft-smith-vxlan-group-policy).
    fn vxlan(&mut self, at: usize) -> Stop {
        const VNI_IS_VALID: u8 = 0x08;

        match self.chunk::<VXLAN_HEADER_LEN>(at) {
            Some([flags, ..]) if flags & VNI_IS_VALID != 0 => self.bridged(Encap::Vxlan, at + VXLAN_HEADER_LEN),
            Some(_) => Ignored::NotTcp.into(),
            None => Undecoded::TruncatedTunnel.into(),
        }
    }

    /// TZSP: version, type, what is encapsulated, then tags up to the end tag.
    fn tzsp(&mut self, at: usize) -> Stop {
        const RECEIVED: u8 = 0;
        const TO_SEND: u8 = 1;
        const ETHERNET: [u8; 2] = [0, 1];
        const PADDING: u8 = 0;
        const END: u8 = 1;

        let Some([version, kind, inner @ ..]) = self.chunk::<4>(at) else {
            return Undecoded::TruncatedTunnel.into();
        };
        match (*version, *kind) {
            (1, RECEIVED | TO_SEND) => {}
            (1, _) => return Ignored::TunnelControl.into(),
            _ => return Ignored::NotTcp.into(),
        }
        if *inner != ETHERNET {
            return Ignored::NotIp.into();
        }
        let mut tag_at = at + 4;
        for _ in 0..OPTIONS_MAX {
            match self.byte(tag_at) {
                Some(PADDING) => tag_at += 1,
                Some(END) => return self.bridged(Encap::Tzsp, tag_at + 1),
                Some(_) => match self.byte(tag_at + 1) {
                    Some(length) => tag_at += 2 + usize::from(length),
                    None => return Undecoded::TruncatedTunnel.into(),
                },
                None => return Undecoded::TruncatedTunnel.into(),
            }
        }
        Undecoded::BadTunnelHeader.into()
    }

    /// GTP-U version 1: only a T-PDU (message 255) carries a user's datagram.
    fn gtpu(&mut self, at: usize) -> Stop {
        const VERSION_1: u8 = 0x30; // with the protocol type bit
        const EXTENSION: u8 = 0x04;
        const OPTIONAL: u8 = 0x07; // any of extension, sequence number, N-PDU number
        const T_PDU: u8 = 0xff;

        let Some([flags, message, ..]) = self.chunk::<8>(at) else {
            return Undecoded::TruncatedTunnel.into();
        };
        if flags & 0xf0 != VERSION_1 {
            return Ignored::NotTcp.into();
        }
        if *message != T_PDU {
            return Ignored::TunnelControl.into();
        }
        let mut inner = at + 8;
        if flags & OPTIONAL != 0 {
            let Some([_, _, _, mut next]) = self.chunk::<4>(inner).copied() else {
                return Undecoded::TruncatedTunnel.into();
            };
            inner += 4;
            // Section 5.2: a length in units of 4 bytes comes first, the type of the next extension last.
            let mut count = 0;
            while flags & EXTENSION != 0 && next != 0 {
                count += 1;
                let length = match self.byte(inner) {
                    None => return Undecoded::TruncatedTunnel.into(),
                    Some(0) => return Undecoded::BadTunnelHeader.into(),
                    Some(_) if count > OPTIONS_MAX => return Undecoded::BadTunnelHeader.into(),
                    Some(length) => usize::from(length) * 4,
                };
                inner += length;
                match self.byte(inner - 1) {
                    Some(following) => next = following,
                    None => return Undecoded::TruncatedTunnel.into(),
                }
            }
        }
        if !self.enter(Encap::Gtpu) {
            return Undecoded::TunnelTooDeep.into();
        }
        self.ip(inner, Ignored::NotIp.into())
    }
}
