//! IPv4 (RFC 791), IPv6 and its extension headers (RFC 8200), and the TCP header (RFC 9293 section 3.1) as far as it
//! decides whether a segment is ours.
//!
//! Lenient where real captures need it: checksums are not asked for (network cards fill them in after the capture), a
//! total length of zero means the rest of the frame (segmentation offload, RFC 2675), a length beyond the frame means
//! that the rest was not captured.

use etherparse::err::{ipv4, ipv6};
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use crate::net::{Encap, Endpoint, HostKey};

use super::defrag::{Fragment, FragmentKey, Pushed};
use super::dns;
use super::outcome::{Ignored, Undecoded};
use super::segment::IpFacts;
use super::walk::{Aside, Found, IpHead, Stop, Walk};

/// Protocol numbers (IANA).
mod protocol {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const IPV4: u8 = 4;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const GRE: u8 = 47;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const MPLS: u8 = 137;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

const IPV6_HEADER_LEN: usize = 40;
/// Without options.
const TCP_HEADER_LEN: usize = 20;

/// The IP header over the current layer, read in full only for a segment of ours.
#[derive(Clone)]
pub(super) enum Ip<'w> {
    V4(Ipv4HeaderSlice<'w>),
    /// With the bytes of extension headers so far.
    V6(Ipv6HeaderSlice<'w>, usize),
    /// Of the first fragment of a datagram that was put together.
    Known(IpHead),
}

impl Ip<'_> {
    fn head(&self) -> IpHead {
        match self {
            Self::V4(header) => {
                let flags = header.slice().get(6).copied().unwrap_or_default();
                IpHead {
                    src: HostKey::v4(header.source()),
                    dst: HostKey::v4(header.destination()),
                    facts: IpFacts {
                        ttl: header.ttl(),
                        id: header.identification(),
                        df: header.dont_fragment(),
                        reserved_bit: flags & 0x80 != 0,
                        ecn: header.ecn().value() != 0,
                        flow_label: false,
                        olen: header.options().len() as u8, // 40 at most
                        v6: false,
                    },
                }
            }
            Self::V6(header, extensions) => IpHead {
                src: HostKey::v6(header.source()),
                dst: HostKey::v6(header.destination()),
                facts: IpFacts {
                    ttl: header.hop_limit(),
                    id: 0,
                    df: true,
                    reserved_bit: false,
                    ecn: header.traffic_class() & 3 != 0,
                    flow_label: header.flow_label().value() != 0,
                    olen: u8::try_from(*extensions).unwrap_or(u8::MAX),
                    v6: true,
                },
            },
            Self::Known(head) => *head,
        }
    }

    const fn encap(&self) -> Encap {
        let v6 = match self {
            Self::V4(_) => false,
            Self::V6(..) => true,
            Self::Known(head) => head.facts.v6,
        };
        if v6 { Encap::Ip6 } else { Encap::IpIp }
    }
}

impl<'w> Walk<'w, '_> {
    /// IP of the version that its first four bits say; `otherwise` if they say neither.
    pub(super) fn ip(&mut self, at: usize, otherwise: Stop) -> Stop {
        match self.byte(at).map(|byte| byte >> 4) {
            Some(4) => self.ipv4(at),
            Some(6) => self.ipv6(at),
            Some(_) => otherwise,
            None => Undecoded::TruncatedIp.into(),
        }
    }

    #[inline]
    pub(super) fn ipv4(&mut self, at: usize) -> Stop {
        let header = match Ipv4HeaderSlice::from_slice(self.bytes.get(at..).unwrap_or_default()) {
            Ok(header) => header,
            Err(ipv4::HeaderSliceError::Len(_)) => return Undecoded::TruncatedIp.into(),
            Err(ipv4::HeaderSliceError::Content(_)) => return Undecoded::BadIpHeader.into(),
        };
        let header_len = header.slice().len();
        match usize::from(header.total_len()) {
            0 => {}
            short if short < header_len => return Undecoded::BadIpHeader.into(),
            total => self.bound(at + total),
        }
        let (protocol, at) = (header.protocol().0, at + header_len);
        if header.is_fragmenting_payload() {
            return self.ipv4_fragment(at, header);
        }
        self.payload(protocol, at, Ip::V4(header))
    }

    fn ipv4_fragment(&mut self, at: usize, header: Ipv4HeaderSlice<'w>) -> Stop {
        let offset = usize::from(header.fragments_offset().value()) * 8;
        let (more, id) = (header.more_fragments(), u32::from(header.identification()));
        self.fragment(header.protocol().0, id, offset, more, at, &Ip::V4(header))
    }

    #[inline]
    pub(super) fn ipv6(&mut self, at: usize) -> Stop {
        let header = match Ipv6HeaderSlice::from_slice(self.bytes.get(at..).unwrap_or_default()) {
            Ok(header) => header,
            Err(ipv6::HeaderSliceError::Len(_)) => return Undecoded::TruncatedIp.into(),
            Err(ipv6::HeaderSliceError::Content(_)) => return Undecoded::BadIpHeader.into(),
        };
        let at = at + IPV6_HEADER_LEN;
        match usize::from(header.payload_length()) {
            0 => {}
            length => self.bound(at + length),
        }
        self.payload(header.next_header().0, at, Ip::V6(header, 0))
    }

    /// What follows an IP header: extension headers first, then a transport or a tunnel.
    #[inline]
    pub(super) fn payload(&mut self, next: u8, at: usize, ip: Ip<'w>) -> Stop {
        match next {
            protocol::TCP => self.tcp(at, &ip),
            protocol::UDP => self.udp(at, &ip),
            _ => self.rare_payload(next, at, ip),
        }
    }

    #[inline(never)]
    fn rare_payload(&mut self, mut next: u8, mut at: usize, mut ip: Ip<'w>) -> Stop {
        let mut count = 0;
        loop {
            let length = match next {
                protocol::TCP => return self.tcp(at, &ip),
                protocol::UDP => return self.udp(at, &ip),
                protocol::GRE => return self.gre(at),
                protocol::IPV4 | protocol::IPV6 | protocol::MPLS => return self.ip_tunnel(next, at, ip.encap()),
                protocol::FRAGMENT => {
                    let Some([following, _, offset_high, offset_low, id @ ..]) = self.chunk::<8>(at) else {
                        return Undecoded::TruncatedIp.into();
                    };
                    // RFC 8200 section 4.5: 13 bits of offset in units of 8 bytes, two reserved, and "more follow".
                    let place = u16::from_be_bytes([*offset_high, *offset_low]);
                    let (offset, more) = (usize::from(place & 0xfff8), place & 1 == 1);
                    if offset != 0 || more {
                        return self.fragment(*following, u32::from_be_bytes(*id), offset, more, at + 8, &ip);
                    }
                    8 // the only fragment: as if it were none (RFC 6946)
                }
                protocol::HOP_BY_HOP
                | protocol::ROUTING
                | protocol::DESTINATION
                | protocol::MOBILITY
                | protocol::HIP
                | protocol::SHIM6 => match self.byte(at + 1) {
                    Some(length) => (usize::from(length) + 1) * 8,
                    None => return Undecoded::TruncatedIp.into(),
                },
                // RFC 4302 section 2.2: in units of 4 bytes, minus 2.
                protocol::AUTHENTICATION => match self.byte(at + 1) {
                    Some(length) => (usize::from(length) + 2) * 4,
                    None => return Undecoded::TruncatedIp.into(),
                },
                _ => return Ignored::NotTcp.into(),
            };
            count += 1;
            if count > self.shared.limits.ip6_extensions_max {
                return Undecoded::TooManyExtensions.into();
            }
            let Some(following) = self.byte(at) else {
                return Undecoded::TruncatedIp.into();
            };
            next = following;
            at += length;
            if let Ip::V6(_, extensions) = &mut ip {
                *extensions += length;
            }
        }
    }

    /// IP or MPLS right inside IP (RFC 2003, RFC 4213, RFC 2473, RFC 4023).
    fn ip_tunnel(&mut self, next: u8, at: usize, encap: Encap) -> Stop {
        if next == protocol::MPLS {
            return self.mpls(at);
        }
        if !self.enter(encap) {
            return Undecoded::TunnelTooDeep.into();
        }
        if next == protocol::IPV4 { self.ipv4(at) } else { self.ipv6(at) }
    }

    /// The port test, and then what a header must hold to be one. Options that were not captured are forgiven.
    #[inline]
    fn tcp(&mut self, at: usize, ip: &Ip<'w>) -> Stop {
        let Some([s0, s1, d0, d1]) = self.chunk(at) else {
            return self.short_tcp(at);
        };
        let (src_port, dst_port) = (u16::from_be_bytes([*s0, *s1]), u16::from_be_bytes([*d0, *d1]));
        if !self.shared.ports.contains(src_port) && !self.shared.ports.contains(dst_port) {
            return if dst_port == dns::PORT { self.tcp_question(at, ip) } else { Ignored::OtherPort.into() };
        }
        let Some(header) = self.chunk::<TCP_HEADER_LEN>(at) else {
            return self.short_tcp(at);
        };
        let header_len = usize::from(header[12] >> 4) * 4;
        if header_len < TCP_HEADER_LEN || at + header_len > self.wire_end {
            return Undecoded::BadTcpHeader.into();
        }
        self.find(at, header_len, ip, (src_port, dst_port));
        Stop::Segment
    }

    /// Notes a header of ours, and who speaks to whom.
    #[inline]
    fn find(&mut self, at: usize, header_len: usize, ip: &Ip<'_>, (src_port, dst_port): (u16, u16)) {
        let head = ip.head();
        self.found = Some(Found {
            src: Endpoint { host: head.src, port: src_port },
            dst: Endpoint { host: head.dst, port: dst_port },
            ip: head.facts,
            tcp_at: at,
            header_len,
            end: self.bytes.len(),
            wire_end: self.wire_end,
        });
    }

    /// A segment to a DNS server: a question, if it holds a message (what it holds is tested later).
    #[inline(never)]
    fn tcp_question(&mut self, at: usize, ip: &Ip<'w>) -> Stop {
        let header_len = self.byte(at + 12).map_or(0, |words| usize::from(words >> 4) * 4);
        if header_len < TCP_HEADER_LEN {
            return Ignored::OtherPort.into();
        }
        self.aside(at, header_len, ip, Aside::QuestionOverTcp)
    }

    /// What a header carries that may tell something beside mail, if anything of that was captured.
    #[inline(never)]
    pub(super) fn aside(&mut self, at: usize, header_len: usize, ip: &Ip<'_>, aside: Aside) -> Stop {
        let (Some(src_port), Some(dst_port)) = (self.be16(at), self.be16(at + 2)) else {
            return aside.otherwise().into();
        };
        if at + header_len >= self.bytes.len() {
            return aside.otherwise().into();
        }
        self.find(at, header_len, ip, (src_port, dst_port));
        Stop::Aside(aside)
    }

    /// Whether a header of less than 20 bytes was cut, or never was longer.
    fn short_tcp(&self, at: usize) -> Stop {
        if at + TCP_HEADER_LEN > self.wire_end {
            Undecoded::BadTcpHeader.into()
        } else {
            Undecoded::TruncatedTcp.into()
        }
    }

    /// A fragment that says that its datagram carries `next`.
    fn fragment(&mut self, next: u8, id: u32, offset: usize, more: bool, at: usize, ip: &Ip<'w>) -> Stop {
        let head = ip.head();
        let v6 = head.facts.v6;
        let key = FragmentKey { src: head.src, dst: head.dst, protocol: (!v6).then_some(next), id };
        let doubtful = !may_carry_tcp(next);
        if !self.may_matter(next, offset, at, v6).unwrap_or(true) {
            // The rest of the datagram need not be held either. In IPv4 it says itself what it carries.
            if v6 || !doubtful {
                self.shared.pool.refuse(self.ts, key, head, doubtful, self.shared.fragments);
            }
            return Ignored::FragmentOther.into();
        }
        let fragment = Fragment {
            key,
            protocol: next,
            doubtful,
            head,
            mac: self.link_facts().macs.map(|(src, _)| src),
            offset,
            more,
            bytes: self.bytes.get(at..).unwrap_or_default(),
            wire_len: self.wire_end.saturating_sub(at),
        };
        match self.shared.pool.push(self.ts, &fragment, self.shared.fragments) {
            Pushed::Held => Ignored::FragmentHeld.into(),
            Pushed::Refused => Ignored::FragmentOther.into(),
            Pushed::Limit => Undecoded::FragmentLimit.into(),
            Pushed::Joined(datagram) => {
                self.joined = Some(datagram);
                Stop::Joined
            }
        }
    }

    /// Whether a fragment may be one of ours; `None` where only its first fragment could tell. What a later one of IPv6 says
    /// that it carries tells nothing (RFC 8200 section 4.5).
    fn may_matter(&self, next: u8, offset: usize, at: usize, v6: bool) -> Option<bool> {
        if offset != 0 {
            return if v6 || may_carry_tcp(next) { None } else { Some(false) };
        }
        if !may_carry_tcp(next) {
            return Some(false);
        }
        let (src_port, dst_port) = (self.be16(at)?, self.be16(at + 2)?);
        match next {
            protocol::TCP => Some(self.shared.ports.contains(src_port) || self.shared.ports.contains(dst_port)),
            protocol::UDP => Some(super::tunnel::is_tunnel_port(dst_port)),
            _ => None,
        }
    }
}

/// Whether TCP, or a tunnel that may hold it, can follow a protocol number.
const fn may_carry_tcp(next: u8) -> bool {
    matches!(
        next,
        protocol::TCP
            | protocol::UDP
            | protocol::GRE
            | protocol::IPV4
            | protocol::IPV6
            | protocol::MPLS
            | protocol::DESTINATION
            | protocol::ROUTING
            | protocol::AUTHENTICATION
    )
}
