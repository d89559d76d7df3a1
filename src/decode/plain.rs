//! The frame that nearly all are: Ethernet without tags, IPv4 without options, whole, TCP. It is read at fixed offsets.
//!
//! This is a short cut and no second opinion: what does not look just like that, or contradicts itself, or was cut before
//! the end of its TCP header, is left to the [`Walk`](super::walk::Walk), and of the others the walk would say the same
//! (a test asks both).

use crate::net::{Endpoint, HostKey, LinkFacts, Mac};

use super::dns;
use super::ports::PortSet;
use super::segment::IpFacts;
use super::walk::Found;

const ETHERNET_LEN: usize = 14;
const IPV4_LEN: usize = 20;
const TCP_LEN: usize = 20;
const TCP_AT: usize = ETHERNET_LEN + IPV4_LEN;
const HEADERS_LEN: usize = TCP_AT + TCP_LEN;

/// What a plain frame is.
#[derive(Debug)]
pub(super) enum Plain {
    /// A segment of ours.
    Segment(Found, LinkFacts),
    /// TCP between other ports.
    OtherPort,
}

/// Reads an Ethernet frame, if it is a plain one. Always inlined, as what comes of it (`Decoder::segment`).
#[expect(clippy::inline_always, reason = "what is found never leaves the registers")]
#[inline(always)]
pub(super) fn read(bytes: &[u8], ports: &PortSet) -> Option<Plain> {
    let head = bytes.first_chunk::<HEADERS_LEN>()?;
    let be16 = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let is_whole = |fragment: u16| fragment << 2 == 0; // RFC 791 section 3.1: neither "more" nor an offset
    let plain = be16(12) == 0x0800 && head[14] == 0x45 && is_whole(be16(20)) && head[23] == 6;
    let total = usize::from(be16(16));
    let header_len = usize::from(head[TCP_AT + 12] >> 4) * 4;
    if !plain || header_len < TCP_LEN || total < IPV4_LEN + header_len {
        return None;
    }
    let (src_port, dst_port) = (be16(TCP_AT), be16(TCP_AT + 2));
    if !ports.contains(src_port) && !ports.contains(dst_port) {
        // It may be a question.
        return (dst_port != dns::PORT).then_some(Plain::OtherPort);
    }
    let address = |at: usize| HostKey::v4([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let mac = |at: usize| Mac([head[at], head[at + 1], head[at + 2], head[at + 3], head[at + 4], head[at + 5]]);
    let wire_end = ETHERNET_LEN + total;
    let found = Found {
        src: Endpoint { host: address(26), port: src_port },
        dst: Endpoint { host: address(30), port: dst_port },
        ip: IpFacts {
            ttl: head[22],
            id: be16(18),
            df: head[20] & 0x40 != 0,
            reserved_bit: head[20] & 0x80 != 0,
            ecn: head[15] & 3 != 0,
            flow_label: false,
            olen: 0,
            v6: false,
        },
        tcp_at: TCP_AT,
        header_len,
        end: bytes.len().min(wire_end), // Ethernet pads short frames, and snap lengths cut long ones
        wire_end,
    };
    Some(Plain::Segment(found, LinkFacts { macs: Some((mac(6), mac(0))), ..LinkFacts::default() }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::defrag::DefragPool;
    use super::super::outcome::{FragmentStats, Ignored};
    use super::super::testing::{Tcp, ethernet};
    use super::super::walk::{Shared, Stop, Walk};
    use super::*;
    use crate::frame::LinkType;
    use crate::limits::DecodeLimits;
    use crate::time::Ts;

    /// What the walk says of a frame that was read the short way.
    fn walked(bytes: &[u8]) -> Option<Plain> {
        let limits = DecodeLimits::default();
        let (mut pool, mut fragments) = (DefragPool::new(&limits), FragmentStats::default());
        let ports = PortSet::default();
        let shared = Shared { ports: &ports, limits: &limits, pool: &mut pool, fragments: &mut fragments };
        let mut walk = Walk::new(shared, Ts::EPOCH, bytes, bytes.len());
        match walk.link(LinkType::ETHERNET) {
            Stop::Segment => Some(Plain::Segment(walk.found?, walk.link_facts())),
            Stop::Ignored(Ignored::OtherPort) => Some(Plain::OtherPort),
            _ => None,
        }
    }

    #[test]
    fn a_plain_segment_is_read_and_a_cut_one_left_alone() {
        let frame = ethernet(0x0800, &Tcp::default().v4());
        assert!(matches!(read(&frame, &PortSet::default()), Some(Plain::Segment(..))));
        assert!(read(&frame[..HEADERS_LEN - 1], &PortSet::default()).is_none());
        let question = ethernet(0x0800, &Tcp { dst_port: 53, ..Tcp::default() }.v4());
        assert!(read(&question, &PortSet::default()).is_none());
    }

    proptest! {
        /// Whatever the bytes, the short way says what the walk says, or nothing.
        #[test]
        fn the_walk_agrees(
            changes in prop::collection::vec((0_usize..60, any::<u8>()), 0..4),
            cut in 0_usize..120,
            padding in 0_usize..20,
            dst_port in prop::sample::select(vec![25_u16, 53, 80]),
        ) {
            let mut frame = ethernet(0x0800, &Tcp { dst_port, ..Tcp::default() }.v4());
            frame.extend(vec![0; padding]);
            for (at, byte) in changes {
                frame[at] = byte;
            }
            frame.truncate(cut.max(14));
            if let Some(plain) = read(&frame, &PortSet::default()) {
                prop_assert_eq!(format!("{:?}", Some(plain)), format!("{:?}", walked(&frame)));
            }
        }
    }
}
