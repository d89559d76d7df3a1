use super::*;

#[test]
fn a_fragmented_tunnel_around_a_fragmented_segment() {
    let segment = Tcp { payload: vec![b'x'; 600], ..Tcp::default() }.v4();
    let inner_parts =
        [ipv4_fragment(1, 6, 0, true, &segment[20..340]), ipv4_fragment(1, 6, 320, false, &segment[340..])];
    let mut decoder = decoder();
    let mut names = Vec::new();
    for (id, inner) in inner_parts.iter().enumerate() {
        let gre = gre(0, IPV4, &[], inner);
        let outer = [
            ipv4_fragment(90 + id as u16, 47, 0, true, &gre[..160]),
            ipv4_fragment(90 + id as u16, 47, 160, false, &gre[160..]),
        ];
        for bytes in outer {
            let bytes = ethernet(IPV4, &bytes);
            match decoder.decode(FrameNo(1), &frame(LinkType::ETHERNET, NOW, &bytes)) {
                Decoded::Segment(segment) => {
                    assert_eq!(segment.payload, vec![b'x'; 600]);
                    assert_eq!(segment.head.link.encaps[0], Some(Encap::Gre));
                    assert!(segment.head.link.macs.is_some());
                    names.push("segment");
                }
                other => names.push(name(other).unwrap_err()),
            }
        }
    }
    assert_eq!(names, ["fragment_held", "fragment_held", "fragment_held", "segment"]);
    assert_eq!(decoder.stats().fragments().completed, 3);
}

#[test]
fn fragments_of_what_is_not_ours_are_not_held() {
    let other = Tcp { dst_port: 443, payload: vec![0; 100], ..Tcp::default() }.v4();
    let dns = udp(53, &[0; 100]);
    let mut decoder = decoder();
    let mut say = |bytes: Vec<u8>| name(decoder.decode(FrameNo(1), &frame(LinkType::RAW, NOW, &bytes))).unwrap_err();
    assert_eq!(say(ipv4_fragment(1, 6, 0, true, &other[20..60])), "fragment_other");
    assert_eq!(say(ipv4_fragment(1, 6, 40, true, &other[60..100])), "fragment_other");
    assert_eq!(say(ipv4_fragment(1, 6, 80, false, &other[100..])), "fragment_other");
    assert_eq!(say(ipv4_fragment(2, 17, 0, true, &dns[..48])), "fragment_other");
    assert_eq!(say(ipv4_fragment(2, 17, 48, false, &dns[48..])), "fragment_other");
    assert_eq!(say(ipv4_fragment(3, 1, 0, true, &[0; 64])), "fragment_other");
    // The last fragment came first: held until the first one shows the ports.
    assert_eq!(say(ipv4_fragment(4, 6, 80, false, &other[100..])), "fragment_held");
    assert_eq!(say(ipv4_fragment(4, 6, 0, true, &other[20..60])), "fragment_other");
    decoder.finish();
    assert_eq!(decoder.stats().fragments(), FragmentStats::default());
}

#[test]
fn a_datagram_in_ipv6_fragments_is_put_together() {
    let whole = Tcp { payload: vec![b'y'; 100], ..Tcp::default() }.v6();
    let options = join(&[&[6, 0, 1, 4, 0, 0, 0, 0], &whole[40..]]);
    let parts = [
        ipv6(44, &ipv6_fragment(60, 77, 0, true, &options[..80])),
        ipv6(44, &ipv6_fragment(60, 77, 80, false, &options[80..])),
    ];
    let mut decoder = decoder();
    let first = name(decoder.decode(FrameNo(1), &frame(LinkType::RAW, NOW, &parts[0]))).unwrap_err();
    assert_eq!(first, "fragment_held");
    let head = name(decoder.decode(FrameNo(2), &frame(LinkType::RAW, NOW, &parts[1]))).unwrap();
    assert_eq!((head.payload_len, head.at.frame), (100, FrameNo(2)));
}

/// Parts of the same IPv6 datagram, each with what it says that the datagram carries.
fn parts_that_say(says: [u8; 3]) -> [Vec<u8>; 3] {
    let segment = Tcp { payload: vec![b'y'; 100], ..Tcp::default() }.v6()[40..].to_vec();
    let ends = [0, 40, 80, segment.len()];
    [0, 1, 2].map(|part| {
        let (from, to) = (ends[part], ends[part + 1]);
        ipv6(44, &ipv6_fragment(says[part], 77, from, part < 2, &segment[from..to]))
    })
}

/// RFC 8200 section 4.5: only the next header of the first fragment counts, and that of others may differ.
#[test]
fn what_later_ipv6_fragments_say_that_they_carry_does_not_count() {
    const NOTHING: u8 = 59;
    const UDP: u8 = 17;
    for says in [[6, NOTHING, NOTHING], [6, NOTHING, 6], [6, UDP, NOTHING]] {
        let parts = parts_that_say(says);
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut decoder = decoder();
            let verdicts = order.map(|part: usize| {
                name(decoder.decode(FrameNo(1), &frame(LinkType::RAW, NOW, &parts[part]))).map(|head| head.payload_len)
            });
            assert_eq!(verdicts, [Err("fragment_held"), Err("fragment_held"), Ok(100)], "{says:?} {order:?}");
        }
    }
    let parts = parts_that_say([NOTHING, 6, 6]);
    for order in [[0, 1, 2], [1, 0, 2]] {
        let mut decoder = decoder();
        let verdicts = order
            .map(|part: usize| name(decoder.decode(FrameNo(1), &frame(LinkType::RAW, NOW, &parts[part]))).unwrap_err());
        assert_eq!(verdicts[2], "fragment_other", "{order:?}");
        decoder.finish();
        assert_eq!(decoder.stats().fragments(), FragmentStats::default(), "{order:?}");
    }
}
