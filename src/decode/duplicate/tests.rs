use crate::decode::TcpFlags;
use crate::decode::segment::IpFacts;
use crate::frame::{At, FrameNo};
use crate::net::{Encap, Endpoint, FlowKey, HostKey, LinkFacts, SeqNum};

use super::*;

const DATA: &[u8] = b"MAIL FROM:<a@example.org>\r\n";

/// A segment that owns its headers.
#[derive(Clone, Copy)]
struct Sample<'a> {
    head: SegmentHeader,
    options: &'a [u8],
    payload: &'a [u8],
}

impl Sample<'_> {
    fn segment(&self) -> Segment<'_> {
        Segment { head: &self.head, options: self.options, payload: self.payload }
    }
}

fn segment(payload: &[u8]) -> Sample<'_> {
    let src = Endpoint { host: HostKey::v4([192, 168, 0, 23]), port: 49_152 };
    let dst = Endpoint { host: HostKey::v4([192, 0, 2, 25]), port: 25 };
    let (key, from) = FlowKey::of(src, dst);
    let macs = Some((Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])));
    Sample {
        head: SegmentHeader {
            at: At { ts: Ts::from_parts(1_772_617_327, 0), frame: FrameNo(1) },
            key,
            from,
            seq: SeqNum(1000),
            ack: SeqNum(2000),
            flags: TcpFlags(TcpFlags::ACK | TcpFlags::PSH),
            window: 502,
            payload_len: payload.len() as u32,
            ip: IpFacts { ttl: 64, id: 0x1234, df: true, ..IpFacts::default() },
            link: LinkFacts { macs, ..LinkFacts::default() },
        },
        options: &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        payload,
    }
}

/// Whether a second segment is taken for a copy of a first one, `after` it.
fn is_copy(first: &Sample<'_>, after: Span, second: Sample<'_>) -> bool {
    let mut cache = DuplicateCache::new(&DecodeLimits::default());
    assert!(!cache.is_copy(&first.segment()));
    let mut second = second;
    second.head.at.ts = first.head.at.ts + after;
    cache.is_copy(&second.segment())
}

fn changed(mut segment: Sample<'static>, change: impl FnOnce(&mut Sample<'static>)) -> Sample<'static> {
    change(&mut segment);
    segment
}

const SOON: Span = Span::millis(1);

#[test]
fn both_ports_of_a_switch_mirrored() {
    assert!(is_copy(&segment(DATA), SOON, segment(DATA)));
    assert!(is_copy(&segment(DATA), Span::ZERO, segment(DATA)));
    assert!(is_copy(&segment(DATA), Span::millis(-1), segment(DATA)), "the clocks of two taps differ");
}

#[test]
fn both_sides_of_a_router_mirrored() {
    let routed = changed(segment(DATA), |segment| {
        segment.head.ip.ttl = 63;
        segment.head.ip.ecn = true; // set by a full queue
        segment.head.link.macs = Some((Mac([9; 6]), Mac([8; 6])));
        segment.head.link.vlans = [Some(7), None];
    });
    assert!(is_copy(&segment(DATA), Span::millis(300), routed));
    let unnumbered = |segment: &mut Sample<'_>| segment.head.ip.id = 0;
    assert!(is_copy(&changed(segment(DATA), unnumbered), Span::millis(300), changed(routed, unnumbered)));
}

#[test]
fn each_part_of_the_way_tells_a_copy_without_an_identification() {
    let ways: [fn(&mut Sample<'static>); 6] = [
        |segment| segment.head.ip.ttl = 63,
        |segment| segment.head.link.vlans[0] = Some(0),
        |segment| segment.head.link.vlans[1] = Some(5),
        |segment| segment.head.link.vlans = [Some(0), Some(0)],
        |segment| segment.head.link.encaps[0] = Some(Encap::Gre),
        |segment| segment.head.link.macs = None,
    ];
    let original = changed(segment(DATA), |segment| segment.head.ip.id = 0);
    assert!(!is_copy(&original, Span::millis(300), original), "the same way: a retransmission");
    for (number, way) in ways.into_iter().enumerate() {
        assert!(is_copy(&original, Span::millis(300), changed(original, way)), "way {number}");
    }
}

#[test]
fn a_retransmission_is_a_new_datagram() {
    // Linux after 200 ms: the next identification and another time stamp.
    let linux = changed(segment(DATA), |segment| {
        segment.head.ip.id += 1;
        segment.options = &[1, 1, 8, 10, 0, 0, 0, 201, 0, 0, 0, 2];
    });
    assert!(!is_copy(&segment(DATA), Span::millis(200), linux));
    // Without time stamps the identification alone tells, however soon.
    assert!(!is_copy(&segment(DATA), SOON, changed(segment(DATA), |segment| segment.head.ip.id += 1)));
    // BSD: identification zero, after the shortest timer there is.
    let bsd = changed(segment(DATA), |segment| segment.head.ip.id = 0);
    assert!(!is_copy(&bsd, Span::millis(30), bsd));
}

#[test]
fn syns_keep_alives_and_acknowledgements_that_repeat() {
    let syn = changed(segment(b""), |segment| {
        segment.head.flags = TcpFlags(TcpFlags::SYN);
        segment.head.ip.id = 0;
    });
    assert!(!is_copy(&syn, Span::secs(1), syn), "a SYN sent again");
    let keep_alive = changed(segment(b""), |segment| segment.head.ip.id += 7);
    assert!(!is_copy(&segment(b""), Span::secs(75), keep_alive));
    assert!(!is_copy(&segment(b""), Span::secs(75), segment(b"")), "even where the identification never changes");
    // Duplicate acknowledgements that ask for a fast retransmission: numbered ones are all kept.
    assert!(!is_copy(&segment(b""), SOON, changed(segment(b""), |segment| segment.head.ip.id += 1)));
}

#[test]
fn whatever_differs_in_the_segment_itself_makes_it_another() {
    let changes: [fn(&mut Sample<'static>); 9] = [
        |segment| segment.head.seq.0 += 1,
        |segment| segment.head.ack.0 += 1,
        |segment| segment.head.flags = TcpFlags(TcpFlags::ACK),
        |segment| segment.head.window -= 1,
        |segment| segment.head.payload_len += 1,
        |segment| segment.head.from = segment.head.from.other(),
        |segment| segment.options = &segment.options[..8],
        |segment| segment.payload = b"MAIL FROM:<b@example.org>\r\n",
        |segment| segment.head.ip.id = 0,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert!(!is_copy(&segment(DATA), SOON, changed(segment(DATA), change)), "change {number}");
    }
}

#[test]
fn of_a_long_payload_both_ends_are_compared() {
    let long = vec![b'x'; 1460];
    for (place, copy) in [(0, false), (63, false), (700, true), (1396, false), (1459, false)] {
        let mut other = long.clone();
        other[place] = b'y';
        assert_eq!(is_copy(&segment(&long), SOON, segment(&other)), copy, "byte {place}");
    }
    let short = vec![b'x'; COMPARED_MAX];
    for place in 0..COMPARED_MAX {
        let mut other = short.clone();
        other[place] = b'y';
        assert!(!is_copy(&segment(&short), SOON, segment(&other)), "byte {place}");
    }
}

#[test]
fn the_first_of_many_copies_counts_so_that_a_flood_shows_once_a_window() {
    let mut cache = DuplicateCache::new(&DecodeLimits::default());
    let passed = (0..50)
        .filter(|&step| {
            let mut segment = segment(DATA);
            segment.head.at.ts = segment.head.at.ts + Span::millis(100 * step);
            !cache.is_copy(&segment.segment())
        })
        .collect::<Vec<_>>();
    assert_eq!(passed, [0, 11, 22, 33, 44]);
}

#[test]
fn a_newer_segment_takes_the_place_of_an_older_one() {
    let mut cache = DuplicateCache::new(&DecodeLimits { duplicate_entries: 1, ..DecodeLimits::default() });
    let (one, two) = (segment(DATA), changed(segment(DATA), |segment| segment.head.seq.0 += 1));
    assert!(!cache.is_copy(&one.segment()));
    assert!(!cache.is_copy(&two.segment()));
    assert!(!cache.is_copy(&one.segment()), "forgotten: no memory is taken for it");
}

#[test]
fn absurd_stamps_are_no_copies_and_no_panic() {
    let mut cache = DuplicateCache::new(&DecodeLimits::default());
    for nanos in [i64::MIN, i64::MAX, 0, i64::MIN, -1] {
        let mut segment = segment(DATA);
        segment.head.at.ts = Ts::from_nanos(nanos);
        cache.is_copy(&segment.segment());
    }
}

#[test]
fn the_place_in_the_table_is_the_same_in_every_run() {
    let [one, two] = [Seed::random(), Seed::random()];
    let segment = segment(DATA);
    // No seed goes in.
    assert_eq!(place(&segment.head), 0x4621_348f_c153_011b);
    assert_ne!(identity(&segment.segment(), &one), identity(&segment.segment(), &two), "what is compared is not");
}
