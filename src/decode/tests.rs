use proptest::prelude::*;

use crate::frame::{Frame, FrameNo, LinkType};
use crate::limits::DecodeLimits;
use crate::net::{Encap, HostKey};
use crate::time::{Span, Ts};

use super::testing::*;
use super::*;

mod aside;
mod fragments;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const NOW: Ts = Ts::from_parts(1_772_617_327, 0);

/// A way to carry a segment: what it is called, its link type, its bytes, and what the decoder must say of the way.
struct Way {
    name: &'static str,
    link: LinkType,
    bytes: Vec<u8>,
    vlans: [Option<u16>; 2],
    encaps: &'static [Encap],
    v6: bool,
}

fn way(name: &'static str, link: LinkType, bytes: Vec<u8>) -> Way {
    Way { name, link, bytes, vlans: [None; 2], encaps: &[], v6: false }
}

fn tunnel(name: &'static str, bytes: &[u8], encaps: &'static [Encap]) -> Way {
    Way { encaps, ..way(name, LinkType::ETHERNET, ethernet(IPV4, bytes)) }
}

/// Every link layer and tunnel there is, each around the same segment.
fn ways() -> Vec<Way> {
    let (v4, v6) = (Tcp::default().v4(), Tcp::default().v6());
    let (tcp4, tcp6) = (v4[20..].to_vec(), v6[40..].to_vec());
    let inner = ethernet(IPV4, &v4);
    let mut ways = vec![
        way("ethernet", LinkType::ETHERNET, inner.clone()),
        way("ethernet with padding", LinkType::ETHERNET, join(&[&inner, &[0; 30]])),
        Way { v6: true, ..way("ethernet, IPv6", LinkType::ETHERNET, ethernet(IPV6, &v6)) },
        Way {
            vlans: [Some(23), None],
            ..way("802.1Q", LinkType::ETHERNET, ethernet(0x8100, &vlan(0xe017, IPV4, &v4)))
        },
        Way {
            vlans: [Some(100), Some(23)],
            ..way("QinQ", LinkType::ETHERNET, ethernet(0x88a8, &vlan(100, 0x8100, &vlan(23, IPV4, &v4))))
        },
        Way {
            vlans: [Some(1), Some(2)],
            ..way("old QinQ of three", LinkType::ETHERNET, {
                ethernet(0x9100, &vlan(1, 0x9200, &vlan(2, 0x8100, &vlan(3, IPV4, &v4))))
            })
        },
        Way {
            encaps: &[Encap::Pppoe],
            ..way("PPPoE", LinkType::ETHERNET, ethernet(0x8864, &join(&[&[0x11, 0, 0, 1, 0, 99, 0x00, 0x21], &v4])))
        },
        Way {
            encaps: &[Encap::Pppoe],
            v6: true,
            ..way("PPPoE, compressed protocol", LinkType::ETHERNET, {
                ethernet(0x8864, &join(&[&[0x11, 0, 0, 1, 0, 99, 0x57], &v6]))
            })
        },
        Way {
            encaps: &[Encap::Mpls],
            ..way("MPLS", LinkType::ETHERNET, ethernet(0x8847, &join(&[&[0, 1, 0, 64, 0, 2, 1, 64], &v4])))
        },
        way("SLL", LinkType::LINUX_SLL, join(&[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0], &v4])),
        Way {
            vlans: [Some(5), None],
            ..way("SLL, 802.1Q", LinkType::LINUX_SLL, {
                join(&[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x81, 0, 0, 5, 8, 0], &v4])
            })
        },
        Way { v6: true, ..way("SLL2", LinkType::LINUX_SLL2, join(&[&[0x86, 0xdd], &[0; 18], &v6])) },
        way("raw, 101", LinkType::RAW, v4.clone()),
        Way { v6: true, ..way("raw, 12", LinkType::RAW_DLT, v6.clone()) },
        way("raw, 14", LinkType::RAW_DLT_BSD, v4.clone()),
        way("raw IPv4", LinkType::IPV4, v4.clone()),
        Way { v6: true, ..way("raw IPv6", LinkType::IPV6, v6.clone()) },
        way("null, little endian", LinkType::NULL, join(&[&[2, 0, 0, 0], &v4])),
        way("loop", LinkType::LOOP, join(&[&[0, 0, 0, 2], &v4])),
        way("PPP", LinkType::PPP, join(&[&[0x00, 0x21], &v4])),
        way("PPP in HDLC", LinkType::PPP_HDLC, join(&[&[0xff, 0x03, 0x00, 0x21], &v4])),
        way("PPP, compressed", LinkType::PPP, join(&[&[0x21], &v4])),
        way("Cisco HDLC", LinkType::PPP_HDLC, join(&[&[0x0f, 0x00, 0x08, 0x00], &v4])),
        Way {
            v6: true,
            ..way("six extension headers", LinkType::IPV6, {
                let chain = join(&[&[43, 0, 1, 4, 0, 0, 0, 0], &[60, 0, 0, 0, 0, 0, 0, 0], &[51, 0, 1, 4, 0, 0, 0, 0]]);
                // Authentication: its length counts units of four bytes, minus two.
                let auth = [44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                let alone = ipv6_fragment(60, 9, 0, false, &[6, 0, 0, 0, 0, 0, 0, 0]);
                ipv6(0, &join(&[&chain, &auth, &alone, &tcp6]))
            })
        },
        tunnel("IP in IP", &ipv4(4, &v4), &[Encap::IpIp]),
        Way { v6: true, ..tunnel("6in4", &ipv4(41, &v6), &[Encap::IpIp]) },
        Way { encaps: &[Encap::Ip6], ..way("IPv4 in IPv6", LinkType::IPV6, ipv6(4, &v4)) },
        Way { encaps: &[Encap::Ip6], v6: true, ..way("IPv6 in IPv6", LinkType::IPV6, ipv6(41, &v6)) },
        tunnel("MPLS in IP", &ipv4(137, &join(&[&[0, 0, 1, 9], &v4])), &[Encap::Mpls]),
        tunnel("GRE", &ipv4(47, &gre(0, IPV4, &[], &v4)), &[Encap::Gre]),
        tunnel("GRE, all words", &ipv4(47, &gre(0xb000, IPV4, &[7; 12], &v4)), &[Encap::Gre]),
        tunnel("GRE, bridged", &ipv4(47, &gre(0x2000, 0x6558, &[0; 4], &inner)), &[Encap::Gre]),
        tunnel("ERSPAN I", &ipv4(47, &gre(0, 0x88be, &[], &inner)), &[Encap::Erspan]),
        tunnel(
            "ERSPAN II",
            &ipv4(47, &gre(0x1000, 0x88be, &[0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0], &inner)),
            &[Encap::Erspan],
        ),
        tunnel(
            "ERSPAN III",
            &ipv4(47, &gre(0x1000, 0x22eb, &join(&[&[0; 4], &[0x20; 10], &[0, 0]]), &inner)),
            &[Encap::Erspan],
        ),
        tunnel(
            "ERSPAN III with platform",
            &ipv4(47, &gre(0x1000, 0x22eb, &join(&[&[0; 4], &[0x20; 10], &[0, 1], &[9; 8]]), &inner)),
            &[Encap::Erspan],
        ),
        tunnel(
            "ERSPAN III of IP",
            &ipv4(47, &gre(0x1000, 0x22eb, &join(&[&[0; 4], &[0x20], &[0; 9], &[8, 0]]), &v4)),
            &[Encap::Erspan],
        ),
        tunnel("VXLAN", &ipv4(17, &udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 42, 0], &inner]))), &[Encap::Vxlan]),
        tunnel("VXLAN, Linux", &ipv4(17, &udp(8472, &join(&[&[8, 0, 0, 0, 0, 0, 42, 0], &inner]))), &[Encap::Vxlan]),
        // What Linux sends with `gbp`, and reserved bits that are set all over.
        tunnel("VXLAN, group", &ipv4(17, &udp(4789, &join(&[&[0x88, 0, 0, 9, 0, 0, 42, 0], &inner]))), &[Encap::Vxlan]),
        tunnel("VXLAN, odd", &ipv4(17, &udp(4789, &join(&[&[0x0c, 7, 7, 7, 0, 0, 42, 7], &inner]))), &[Encap::Vxlan]),
        tunnel("TZSP", &ipv4(17, &udp(37008, &join(&[&[1, 0, 0, 1, 0, 10, 2, 7, 7, 1], &inner]))), &[Encap::Tzsp]),
        tunnel("HP ERM", &ipv4(17, &udp(7932, &join(&[&[0; 12], &inner]))), &[Encap::HpErm]),
        tunnel("GTP-U", &ipv4(17, &udp(2152, &join(&[&[0x30, 255, 0, 59, 0, 0, 0, 1], &v4]))), &[Encap::Gtpu]),
        Way {
            v6: true,
            ..tunnel(
                "GTP-U with extensions",
                &ipv4(17, &{
                    let header = [0x36, 255, 0, 99, 0, 0, 0, 1, 0, 1, 0, 0x85, 1, 0, 0, 0x85, 2, 0, 0, 0, 0, 0, 0, 0];
                    udp(2152, &join(&[&header, &v6]))
                }),
                &[Encap::Gtpu],
            )
        },
        Way {
            vlans: [Some(9), Some(23)],
            ..tunnel(
                "ERSPAN over GRE over VXLAN",
                &ipv4(17, &{
                    let mirrored = ethernet(0x8100, &vlan(23, IPV4, &v4));
                    let erspan = ipv4(47, &gre(0x1000, 0x88be, &[0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0], &mirrored));
                    let routed = ipv4(47, &gre(0, IPV4, &[], &erspan));
                    udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &ethernet(0x8100, &vlan(9, IPV4, &routed))]))
                }),
                &[Encap::Vxlan, Encap::Gre, Encap::Erspan],
            )
        },
    ];
    for family in [24, 28, 30] {
        ways.push(Way { v6: true, ..way("null, IPv6", LinkType::NULL, join(&[&[family, 0, 0, 0], &v6])) });
        ways.push(Way { v6: true, ..way("loop, IPv6", LinkType::LOOP, join(&[&[0, 0, 0, family], &v6])) });
    }
    let mut optioned = v4.clone();
    optioned.splice(20..20, [1; 8]);
    (optioned[0], optioned[3]) = (0x47, optioned[3] + 8);
    ways.push(way("IPv4 options", LinkType::RAW, optioned));
    let mut authenticated = ipv4(51, &join(&[&[6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &tcp4]));
    authenticated[12..20].copy_from_slice(&[CLIENT, SERVER].concat());
    ways.push(way("IPv4, authentication header", LinkType::RAW, authenticated));
    ways
}

fn decoder() -> Decoder {
    Decoder::new(PortSet::default(), &DecodeLimits::default())
}

/// What a fresh decoder says of one frame.
fn verdict(link: LinkType, bytes: &[u8]) -> Result<SegmentHeader, &'static str> {
    name(decoder().decode(FrameNo(1), &frame(link, NOW, bytes)))
}

fn name(decoded: Decoded<'_>) -> Result<SegmentHeader, &'static str> {
    match decoded {
        Decoded::Segment(segment) => Ok(*segment.head),
        Decoded::Asked(_) => Err("question"),
        Decoded::Told(_) => Err("names"),
        Decoded::Ignored(why) => Err(why.name()),
        Decoded::Undecoded(why) => Err(why.name()),
    }
}

#[test]
fn a_segment_is_found_through_every_layer() {
    for Way { name, link, bytes, vlans, encaps, v6 } in ways() {
        let mut decoder = decoder();
        let Decoded::Segment(segment) = decoder.decode(FrameNo(7), &frame(link, NOW, &bytes)) else {
            panic!("{name}: no segment");
        };
        let (head, sent) = (*segment.head, Tcp::default());
        let (client, server) = if v6 {
            (HostKey::v6(CLIENT_V6), HostKey::v6(SERVER_V6))
        } else {
            (HostKey::v4(CLIENT), HostKey::v4(SERVER))
        };
        let (src, dst) = (head.key.end(head.from), head.key.end(head.from.other()));
        assert_eq!((src.host, src.port, dst.host, dst.port), (client, CLIENT_PORT, server, 25), "{name}");
        assert_eq!((head.seq.0, head.ack.0, head.flags.0, head.window), (1000, 2000, 0x18, 502), "{name}");
        assert_eq!((segment.options, segment.payload), (&*sent.options, &*sent.payload), "{name}");
        assert_eq!(head.payload_len as usize, sent.payload.len(), "{name}");
        assert_eq!((head.at.frame, head.at.ts), (FrameNo(7), NOW), "{name}");
        assert_eq!(head.link.vlans, vlans, "{name}");
        assert_eq!(head.link.encaps.iter().flatten().copied().collect::<Vec<_>>(), encaps, "{name}");
        assert_eq!(head.ip.v6, v6, "{name}");
        assert_eq!(decoder.stats().segments(), 1, "{name}");
    }
}

#[test]
fn every_way_cut_at_every_byte_is_accounted_and_never_a_longer_segment() {
    for Way { name, link, bytes, .. } in ways() {
        let mut decoder = decoder();
        for cut in 0..bytes.len() {
            let frame = Frame { ts: NOW, link, wire_len: bytes.len() as u32, bytes: &bytes[..cut] };
            if let Decoded::Segment(segment) = decoder.decode(FrameNo(1), &frame) {
                assert_eq!(segment.head.payload_len as usize, Tcp::default().payload.len(), "{name} cut at {cut}");
                assert!(segment.payload.len() <= segment.head.payload_len as usize, "{name} cut at {cut}");
            }
        }
        let stats = decoder.stats();
        assert_eq!(stats.total(), bytes.len() as u64, "{name}");
        assert!(stats.undecoded_total() > 0, "{name}");
        // A cut behind the TCP header leaves a segment: one for each byte of options and payload that is missing, those
        // apart that look like another cut of the same.
        assert!(stats.segments() + stats.ignored(Ignored::Duplicate) >= 31, "{name}: {stats:?}");
    }
}

#[test]
fn ip_facts_of_the_syn_signature() {
    let mut v4 = Tcp { ttl: 57, ..Tcp::default() }.v4();
    (v4[1], v4[6]) = (0x02, v4[6] | 0x80);
    let ip = verdict(LinkType::RAW, &v4).unwrap().ip;
    let expected = IpFacts { ttl: 57, id: 0x1234, df: true, reserved_bit: true, ecn: true, ..IpFacts::default() };
    assert_eq!(ip, expected);

    let mut v6 = ipv6(60, &join(&[&[6, 0, 0, 0, 0, 0, 0, 0], &Tcp::default().v6()[40..]]));
    v6[3] = 1;
    let ip = verdict(LinkType::RAW, &v6).unwrap().ip;
    assert_eq!(ip, IpFacts { ttl: 63, df: true, flow_label: true, olen: 8, v6: true, ..IpFacts::default() });
}

#[test]
fn the_innermost_ethernet_addresses_are_kept() {
    let mut inner = ethernet(IPV4, &Tcp::default().v4());
    inner[..12].copy_from_slice(&[6, 6, 6, 6, 6, 6, 5, 5, 5, 5, 5, 5]);
    let outer = ethernet(IPV4, &ipv4(17, &udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &inner]))));
    let (src, dst) = verdict(LinkType::ETHERNET, &outer).unwrap().link.macs.unwrap();
    assert_eq!((src.0, dst.0), ([5; 6], [6; 6]));
    assert!(verdict(LinkType::RAW, &Tcp::default().v4()).unwrap().link.macs.is_none());
}

#[test]
fn what_is_not_ours_is_ignored_for_its_reason() {
    let other = Tcp { dst_port: 443, ..Tcp::default() };
    let v4 = Tcp::default().v4();
    let cases: &[(&str, LinkType, Vec<u8>)] = &[
        ("not_ip", LinkType::ETHERNET, ethernet(0x0806, &[0; 28])),
        ("not_ip", LinkType::ETHERNET, ethernet(100, &[0xaa; 100])),
        ("not_ip", LinkType::ETHERNET, ethernet(0x88e5, &v4)),
        ("not_ip", LinkType::NULL, join(&[&[7, 0, 0, 0], &v4])),
        ("not_ip", LinkType::PPP, vec![0xc0, 0x21, 1, 1]),
        ("not_ip", LinkType::ETHERNET, ethernet(0x8847, &[0, 0, 1, 64, 0, 0, 0, 0])),
        ("not_ip", LinkType::RAW, ipv4(47, &gre(0x2001, 0x880b, &[0; 4], &v4))),
        ("tunnel_control", LinkType::ETHERNET, ethernet(0x8864, &[0x11, 0xa7, 0, 1, 0, 0])),
        ("tunnel_control", LinkType::RAW, ipv4(47, &gre(0, 0, &[], &[]))),
        ("tunnel_control", LinkType::RAW, ipv4(17, &udp(2152, &[0x32, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0]))),
        ("tunnel_control", LinkType::RAW, ipv4(17, &udp(37008, &[1, 4, 0, 0]))),
        ("not_tcp", LinkType::RAW, ipv4(1, &[8, 0, 0, 0, 0, 0, 0, 0])),
        ("not_tcp", LinkType::RAW, ipv4(50, &v4)),
        ("not_tcp", LinkType::RAW, ipv4(17, &udp(53, &v4))),
        ("not_tcp", LinkType::RAW, ipv4(17, &udp(4789, &[0; 64]))),
        ("not_tcp", LinkType::RAW, ipv4(17, &udp(4789, &join(&[&[0xf7; 8], &ethernet(IPV4, &v4)])))),
        ("not_tcp", LinkType::IPV6, ipv6(59, &[])),
        ("other_port", LinkType::RAW, other.v4()),
        ("other_port", LinkType::RAW, other.v6()),
        ("other_port", LinkType::RAW, ipv4(47, &gre(0, IPV4, &[], &other.v4()))),
    ];
    for (expected, link, bytes) in cases {
        assert_eq!(verdict(*link, bytes).unwrap_err(), *expected, "{bytes:02x?}");
    }
}

#[test]
fn what_cannot_be_read_is_undecoded_for_its_reason() {
    let v4 = Tcp::default().v4();
    let changed = |at: usize, value: u8| {
        let mut bytes = v4.clone();
        bytes[at] = value;
        bytes
    };
    let tags = (0..9).fold(v4.clone(), |inner, _| vlan(1, 0x8100, &inner));
    let deep = (0..5).fold(v4.clone(), |inner, _| ipv4(4, &inner));
    let chain = join(&[&[60, 0, 0, 0, 0, 0, 0, 0].repeat(9), &v4[20..]]);
    let cases: &[(&str, LinkType, Vec<u8>)] = &[
        ("unknown_link_type", LinkType(105), v4.clone()),
        ("truncated_link", LinkType::ETHERNET, vec![0; 13]),
        ("truncated_link", LinkType::ETHERNET, ethernet(0x8100, &[0, 1, 8])),
        ("truncated_link", LinkType::LINUX_SLL, vec![0; 15]),
        ("truncated_ip", LinkType::RAW, vec![]),
        ("truncated_ip", LinkType::RAW, v4[..19].to_vec()),
        ("truncated_ip", LinkType::IPV6, ipv6(0, &[])),
        ("bad_ip_header", LinkType::RAW, changed(0, 0x15)),
        ("bad_ip_header", LinkType::RAW, changed(0, 0x44)),
        ("bad_ip_header", LinkType::RAW, changed(3, 19)),
        ("bad_ip_header", LinkType::IPV6, v4.clone()),
        ("too_many_extensions", LinkType::IPV6, ipv6(60, &chain)),
        ("bad_tcp_header", LinkType::RAW, changed(32, 0x40)),
        ("bad_tcp_header", LinkType::RAW, ipv4(6, &v4[20..39])),
        ("bad_tcp_header", LinkType::RAW, ipv4(6, &[])),
        ("bad_tcp_header", LinkType::RAW, ipv4(6, &v4[20..50])),
        ("truncated_tunnel", LinkType::RAW, ipv4(47, &[0, 0, 8])),
        ("truncated_tunnel", LinkType::RAW, ipv4(17, &udp(4789, &[8, 0, 0]))),
        ("truncated_tunnel", LinkType::RAW, ipv4(17, &[0, 1, 0])),
        ("truncated_tunnel", LinkType::RAW, ipv4(17, &udp(37008, &[1, 0, 0, 1, 10]))),
        ("bad_tunnel_header", LinkType::RAW, ipv4(47, &gre(0x4000, IPV4, &[0; 4], &v4))),
        ("bad_tunnel_header", LinkType::RAW, ipv4(17, &udp(37008, &join(&[&[1, 0, 0, 1], &[0; 99]])))),
        ("bad_tunnel_header", LinkType::RAW, ipv4(17, &udp(2152, &[0x34, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]))),
        ("tunnel_too_deep", LinkType::RAW, deep),
        ("too_many_tags", LinkType::ETHERNET, ethernet(0x8100, &tags)),
        ("too_many_tags", LinkType::ETHERNET, ethernet(0x8847, &[0, 0, 0, 9].repeat(9))),
    ];
    for (expected, link, bytes) in cases {
        assert_eq!(verdict(*link, bytes).unwrap_err(), *expected, "{bytes:02x?}");
    }
    let cut = Frame { wire_len: 60, ..frame(LinkType::RAW, NOW, &v4[..39]) };
    assert_eq!(name(decoder().decode(FrameNo(1), &cut)).unwrap_err(), "truncated_tcp");
}

#[test]
fn offload_leaves_lengths_of_zero_and_super_frames() {
    let big = Tcp { payload: vec![b'x'; 64_000], ..Tcp::default() };
    for (mut bytes, length_at) in [(big.v4(), 2), (big.v6(), 4)] {
        assert_eq!(verdict(LinkType::RAW, &bytes).unwrap().payload_len, 64_000);
        bytes[length_at..length_at + 2].fill(0);
        assert_eq!(verdict(LinkType::RAW, &bytes).unwrap().payload_len, 64_000);
        // The snap length cut it: the frame's length on the wire is all that is known.
        let cut = Frame { wire_len: bytes.len() as u32, ..frame(LinkType::RAW, NOW, &bytes[..100]) };
        let mut decoder = decoder();
        assert_eq!(name(decoder.decode(FrameNo(1), &cut)).unwrap().payload_len, 64_000);
        assert_eq!(decoder.stats().cut_segments(), 1);
    }
    let jumbo = vec![b'x'; 200_000];
    let mut huge = ipv6(6, &join(&[&Tcp::default().v6()[40..72], &jumbo]));
    huge[4..6].fill(0);
    assert_eq!(verdict(LinkType::RAW, &huge).unwrap().payload_len, 200_000);
}

#[test]
fn lengths_that_contradict_each_other() {
    let v4 = Tcp::default().v4();
    // The file says that less was on the wire than it holds.
    let short = Frame { wire_len: 3, ..frame(LinkType::RAW, NOW, &v4) };
    assert_eq!(name(decoder().decode(FrameNo(1), &short)).unwrap().payload_len, 19);
    // IP says that more was sent than the frame holds: the rest was not captured.
    let mut long = v4;
    long[2] = 4;
    assert_eq!(verdict(LinkType::RAW, &long).unwrap().payload_len, 19 + 1024);
}

#[test]
fn both_ports_count_and_only_those_asked_for() {
    let submission = PortSet::from_iter([25, 587]);
    let mut decoder = Decoder::new(submission, &DecodeLimits::default());
    for (src_port, dst_port, ours) in [(25, 1, true), (1, 25, true), (587, 9, true), (26, 586, false), (0, 0, false)] {
        let bytes = Tcp { src_port, dst_port, ..Tcp::default() }.v4();
        let decoded = decoder.decode(FrameNo(1), &frame(LinkType::RAW, NOW, &bytes));
        assert_eq!(matches!(decoded, Decoded::Segment(_)), ours, "{src_port} to {dst_port}");
    }
}

#[test]
fn a_copy_is_ignored_wherever_the_mirror_took_it() {
    let v4 = Tcp::default().v4();
    let mut routed = v4.clone();
    (routed[8], routed[10]) = (63, 0xaa);
    let inner = ethernet(IPV4, &v4);
    let copies = [
        ethernet(0x8100, &vlan(10, IPV4, &routed)),
        inner.clone(),
        ethernet(IPV4, &ipv4(47, &gre(0x1000, 0x88be, &[0; 12], &inner))),
    ];
    let mut decoder = decoder();
    assert!(name(decoder.decode(FrameNo(1), &frame(LinkType::ETHERNET, NOW, &inner))).is_ok());
    for bytes in copies {
        let copy = frame(LinkType::ETHERNET, NOW + Span::millis(1), &bytes);
        assert_eq!(name(decoder.decode(FrameNo(2), &copy)).unwrap_err(), "duplicate");
    }
    assert_eq!((decoder.stats().ignored(Ignored::Duplicate), decoder.stats().segments()), (3, 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_on_any_link_are_accounted(
        link in prop::sample::select(vec![0_u16, 1, 9, 12, 14, 50, 101, 108, 113, 228, 229, 276, 999]),
        frames in prop::collection::vec((any::<i64>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..200)), 1..8),
    ) {
        let mut decoder = decoder();
        for (ts, wire_len, bytes) in &frames {
            let frame = Frame { ts: Ts::from_nanos(*ts), link: LinkType(link), wire_len: *wire_len, bytes };
            let _ = decoder.decode(FrameNo(1), &frame);
        }
        decoder.finish();
        prop_assert_eq!(decoder.stats().total(), frames.len() as u64);
    }

    #[test]
    fn a_way_with_bytes_changed_is_accounted(
        choice in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let ways = ways();
        let Way { link, bytes, .. } = choice.get(&ways);
        let mut bytes = bytes.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let mut decoder = decoder();
        for end in [bytes.len(), cut.index(bytes.len())] {
            if let Decoded::Segment(segment) = decoder.decode(FrameNo(1), &frame(*link, NOW, &bytes[..end])) {
                prop_assert!(segment.payload.len() <= segment.head.payload_len as usize);
                prop_assert!(segment.options.len() <= 40);
            }
        }
        prop_assert_eq!(decoder.stats().total(), 2);
    }
}
