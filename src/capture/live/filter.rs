//! What the kernel is asked to hand up: everything that the decoder could make use of, and nothing else.
//!
//! Read `pcap-filter(7)` first, above all that `vlan` moves every offset that follows it in the expression, from the
//! left to the right. So the plain form stands first, and each tag opens a bracket that holds all that is left:
//! `E or (vlan and (E or (vlan and E)))`. The kernel strips the outer tag of most frames before a filter sees them;
//! libpcap knows, and compiles `vlan` to look at both places.

use std::fmt::Write;

/// What frames are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// SMTP ports.
    pub ports: Vec<u16>,
    /// Also what carries frames inside: GRE and ERSPAN, IP in IP, VXLAN, TZSP, HP's remote mirroring, GTP-U, MPLS and
    /// PPPoE. Each of them may be all the traffic of a link.
    pub tunnels: bool,
    /// Also the datagrams in which machines of a local network tell their names.
    pub names: bool,
}

/// UDP ports of tunnels: GTP-U, VXLAN (IANA's and Linux's), HP's remote mirroring, TZSP (as in `decode::tunnel`).
const TUNNEL_PORTS: [u16; 5] = [2152, 4789, 7932, 8472, 37008];
/// UDP port of DNS servers: who looks up mail exchangers is told by the questions, the answers are not needed.
const DNS_PORT: u16 = 53;
/// UDP ports from which names are told: DHCP, NetBIOS, DHCPv6, mDNS, LLMNR (as in `identity`).
const NAME_PORTS: [u16; 7] = [67, 68, 137, 138, 546, 5353, 5355];

impl Wanted {
    /// The expression for links with VLAN tags.
    pub fn tagged(&self) -> String {
        let plain = self.plain();
        // `mpls` and `pppoes` move offsets as `vlan` does; by their Ethernet types they move nothing.
        let labels =
            if self.tunnels { "ether proto 0x8847 or ether proto 0x8848 or ether proto 0x8864 or " } else { "" };
        format!("{labels}({plain}) or (vlan and ({labels}({plain}) or (vlan and ({labels}({plain})))))")
    }

    /// The expression for links that know no tags (`any`, raw IP).
    pub fn plain(&self) -> String {
        let mut text = String::new();
        for port in &self.ports {
            let _ = write!(text, "tcp port {port} or ");
        }
        let _ = write!(text, "udp dst port {DNS_PORT} or ");
        if self.names {
            for port in NAME_PORTS {
                let _ = write!(text, "udp src port {port} or ");
            }
        }
        // Only the first fragment has ports. In IPv6 none is found by `port`, nor is anything behind extension headers
        // (RFC 8200 section 4: hop-by-hop 0, routing 43, fragment 44, destination 60).
        text.push_str("(ip proto 6 and ip[6:2] & 0x1fff != 0) or (ip6 and (ip6[6] == 44 or ip6[6] == 0 or ip6[6] == 43 or ip6[6] == 60))");
        if self.tunnels {
            text.push_str(
                " or ip proto 47 or ip6 proto 47 or ip proto 4 or ip proto 41 or ip6 proto 4 or ip6 proto 41",
            );
            for port in TUNNEL_PORTS {
                let _ = write!(text, " or udp dst port {port}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests;
