//! Frames of any link type: the decoder with its tunnels, fragments and copies.

use super::Input;
use crate::decode::{Decoded, Decoder, PortSet};
use crate::frame::{Frame, FrameNo, LinkType};
use crate::limits::DecodeLimits;
use crate::time::{Span, Ts};

const LINKS: [LinkType; 15] = [
    LinkType::ETHERNET,
    LinkType::ETHERNET,
    LinkType::ETHERNET,
    LinkType::RAW,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::PPP,
    LinkType::PPP_HDLC,
    LinkType::RAW_DLT,
    LinkType::RAW_DLT_BSD,
    LinkType(147),
];

/// How much later than the last one a frame comes, in milliseconds.
const STEPS: [i64; 4] = [1, 40, 2_000, -5_000];

/// Each frame: a byte for link type (low four bits) and stamp, a byte that the wire had more, two for the length, the bytes.
pub fn frames(data: &[u8]) {
    // Small, so that an input of some hundred bytes comes to the limits.
    let limits = DecodeLimits {
        defrag_datagrams_max: 4,
        defrag_bytes_max: 8 << 10,
        defrag_pieces_max: 8,
        duplicate_entries: 16,
        ..DecodeLimits::default()
    };
    let ports = PortSet::from_iter([25, 587]);
    let (mut decoder, mut again) = (Decoder::new(ports.clone(), &limits), Decoder::new(ports.clone(), &limits));
    let (mut input, mut ts, mut no) = (Input(data), Ts::from_parts(1_700_000_000, 0), 0);
    while let (Some(kind), Some(cut), Some(len)) = (input.byte(), input.byte(), input.u16()) {
        let bytes = input.take(usize::from(len));
        let link = *LINKS.get(usize::from(kind & 15)).unwrap_or(&LinkType(u16::from(cut)));
        ts = ts + Span::millis(STEPS[usize::from(kind >> 4 & 3)]);
        no += 1;
        let frame = Frame { ts, link, wire_len: bytes.len() as u32 + u32::from(cut), bytes };
        let decoded = decoder.decode(FrameNo(no), &frame);
        if let Decoded::Segment(segment) = &decoded {
            let head = &segment.head;
            assert!(
                segment.payload.len() <= head.payload_len as usize,
                "more was captured than there was: {segment:?}"
            );
            assert!(segment.options.len() <= 40, "{segment:?}");
            let ends = [head.key.end(head.from), head.key.end(head.from.other())];
            assert!(ends.iter().any(|end| ports.contains(end.port)), "none of ours: {segment:?}");
            assert_eq!(head.at.frame, FrameNo(no));
        }
        // Tables are seeded at random, and nothing may depend on the seed.
        assert_eq!(format!("{decoded:?}"), format!("{:?}", again.decode(FrameNo(no), &frame)));
    }
    decoder.finish();
    again.finish();
    let stats = decoder.stats();
    assert_eq!(stats, again.stats());
    assert_eq!(stats.total(), no, "every frame ends in one way: {stats:?}");
    let fragments = stats.fragments();
    let datagrams = fragments.completed + fragments.evicted + fragments.timed_out + fragments.unfinished;
    // A tunnel of fragments within fragments completes several datagrams with one frame.
    let depth = u64::from(limits.tunnel_depth_max) + 1;
    assert!(datagrams <= no * depth && fragments.overlaps_disagree <= fragments.overlaps, "{fragments:?}");
}
