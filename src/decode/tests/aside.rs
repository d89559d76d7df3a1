//! What is told beside mail: questions to DNS servers, and names of machines.

use crate::identity::testing::{answers, dns_name, record};

use super::*;

/// `MX contoso.example`, as `dig` sends it.
fn mx_question() -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(b"\x07contoso\x07example\x00");
    message.extend_from_slice(&[0, 15, 0, 1]);
    message
}

/// The same over TCP: its length comes first.
fn mx_question_over_tcp() -> Tcp {
    let message = mx_question();
    Tcp { dst_port: 53, payload: join(&[&(message.len() as u16).to_be_bytes(), &message]), ..Tcp::default() }
}

#[test]
fn questions_about_mail_are_found_over_udp_tcp_and_in_tunnels() {
    let datagram = ipv4(17, &udp(53, &mx_question()));
    let cases = [
        ("10.9.0.1", 55_555, datagram.clone()),
        ("192.168.0.23", CLIENT_PORT, mx_question_over_tcp().v4()),
        ("2001:db8::23", 55_555, ipv6(17, &udp(53, &mx_question()))),
        ("2001:db8::23", CLIENT_PORT, mx_question_over_tcp().v6()),
        ("10.9.0.1", 55_555, ipv4(47, &gre(0, IPV4, &[], &datagram))),
    ];
    let mut decoder = decoder();
    for (no, (client, port, bytes)) in (1..).zip(cases) {
        let Decoded::Asked(asked) = decoder.decode(FrameNo(no), &frame(LinkType::RAW, NOW, &bytes)) else {
            panic!("{client}: no question");
        };
        assert_eq!((asked.at.frame, asked.at.ts), (FrameNo(no), NOW));
        assert_eq!((asked.client.host.to_string().as_str(), asked.client.port), (client, port));
        assert_eq!(asked.server.port, 53);
        assert_eq!((asked.question.name.as_slice(), asked.question.qtype), (&b"contoso.example"[..], 15));
    }
    assert_eq!((decoder.stats().questions(), decoder.stats().total()), (5, 5));
}

#[test]
fn what_else_goes_to_a_dns_server_is_not_ours() {
    let mut address = mx_question();
    let qtype_at = address.len() - 3;
    address[qtype_at] = 1;
    let answer = {
        let mut bytes = mx_question();
        bytes[2] = 0x81;
        bytes
    };
    let syn = Tcp { payload: Vec::new(), flags: TcpFlags::SYN, ..mx_question_over_tcp() };
    let mut headless = mx_question_over_tcp().v4();
    headless[32] = 0x10;
    for (expected, bytes) in [
        ("not_tcp", ipv4(17, &udp(53, &address))),
        ("not_tcp", ipv4(17, &udp(53, &answer))),
        ("not_tcp", ipv4(17, &udp(53, &[]))),
        ("not_tcp", ipv4(17, &udp(5353, &mx_question()))),
        ("other_port", syn.v4()),
        ("other_port", headless),
        ("other_port", Tcp { src_port: 53, dst_port: 1234, ..mx_question_over_tcp() }.v4()),
    ] {
        assert_eq!(verdict(LinkType::RAW, &bytes).unwrap_err(), expected, "{bytes:02x?}");
    }
    // Whoever says that SMTP is spoken on port 53 is believed.
    let mut decoder = Decoder::new(PortSet::from_iter([53]), &DecodeLimits::default());
    let bytes = mx_question_over_tcp().v4();
    assert!(matches!(decoder.decode(FrameNo(1), &frame(LinkType::RAW, NOW, &bytes)), Decoded::Segment(_)));
}

/// The address of [`ipv4`]'s sender is called `pc-store.local`, as Avahi announces it.
fn announcement() -> Vec<u8> {
    let record = record(&dns_name("pc-store.local"), 1, 0x8001, &[10, 9, 0, 1]);
    let message = answers(0x8400, &[record]);
    let (port, length) = (5353_u16.to_be_bytes(), ((8 + message.len()) as u16).to_be_bytes());
    join(&[&port, &port, &length, &[0, 0], &message])
}

#[test]
fn names_are_found_by_the_port_they_come_from_and_in_tunnels() {
    let datagram = ipv4(17, &announcement());
    let tagged = ethernet(0x8100, &vlan(7, IPV4, &datagram));
    let mut decoder = decoder();
    for (link, bytes) in [
        (LinkType::RAW, datagram.clone()),
        (LinkType::RAW, ipv6(17, &announcement())),
        (LinkType::RAW, ipv4(47, &gre(0, IPV4, &[], &datagram))),
        (LinkType::ETHERNET, tagged),
    ] {
        let Decoded::Told(told) = decoder.decode(FrameNo(3), &frame(link, NOW, &bytes)) else {
            panic!("no name in {bytes:02x?}");
        };
        assert_eq!((told.at.frame, told.at.ts), (FrameNo(3), NOW));
        let [Fact::Named(named)] = told.facts else { panic!("{:?}", told.facts) };
        assert_eq!((named.host, named.name.to_string().as_str()), (HostKey::v4([10, 9, 0, 1]), "pc-store"));
    }
    assert_eq!((decoder.stats().names(), decoder.stats().total()), (4, 4));
    // The sender's port tells, not the receiver's; and what tells no name is none of ours.
    let mut other = announcement();
    other[0] = 0;
    assert_eq!(verdict(LinkType::RAW, &ipv4(17, &other)).unwrap_err(), "not_tcp");
    let mut question = announcement();
    question[10] = 0;
    assert_eq!(verdict(LinkType::RAW, &ipv4(17, &question)).unwrap_err(), "not_tcp");
}

#[test]
fn an_announcement_cut_at_every_byte_is_accounted() {
    let bytes = ipv4(17, &announcement());
    let mut decoder = decoder();
    for cut in 0..bytes.len() {
        let frame = Frame { ts: NOW, link: LinkType::RAW, wire_len: bytes.len() as u32, bytes: &bytes[..cut] };
        assert!(name(decoder.decode(FrameNo(1), &frame)).is_err());
    }
    assert_eq!((decoder.stats().total(), decoder.stats().names()), (bytes.len() as u64, 0));
}

#[test]
fn a_question_cut_at_every_byte_is_accounted() {
    for bytes in [ipv4(17, &udp(53, &mx_question())), mx_question_over_tcp().v4()] {
        let mut decoder = decoder();
        for cut in 0..bytes.len() {
            let frame = Frame { ts: NOW, link: LinkType::RAW, wire_len: bytes.len() as u32, bytes: &bytes[..cut] };
            assert!(name(decoder.decode(FrameNo(1), &frame)).is_err());
        }
        assert_eq!((decoder.stats().total(), decoder.stats().questions()), (bytes.len() as u64, 0));
    }
}
