//! The filter compiled and run over frames: what libpcap makes of it is what counts, not what it looks like.

use etherparse::PacketBuilder;
use pcap::{Capture, Linktype};

use super::*;

const ORDINARY: Wanted = Wanted { ports: Vec::new(), tunnels: false, names: false };

fn wanted(ports: &[u16], tunnels: bool) -> Wanted {
    Wanted { ports: ports.to_vec(), tunnels, names: false }
}

fn passes(wanted: &Wanted, frame: &[u8]) -> bool {
    Capture::dead(Linktype::ETHERNET).unwrap().compile(&wanted.tagged(), true).unwrap().filter(frame)
}

fn tcp(from: u16, to: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 168, 0, 23], [192, 0, 2, 25], 64)
        .tcp(from, to, 1, 1024)
        .write(&mut frame, b"HELO x\r\n")
        .unwrap();
    frame
}

fn tcp6(from: u16, to: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv6([1; 16], [2; 16], 64)
        .tcp(from, to, 1, 1024)
        .write(&mut frame, b"x")
        .unwrap();
    frame
}

fn udp(to: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 168, 0, 23], [192, 0, 2, 53], 64)
        .udp(5353, to)
        .write(&mut frame, b"question")
        .unwrap();
    frame
}

/// The frame with a tag between its addresses and its type.
fn tag(frame: &[u8], tpid: u16, vlan: u16) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    tagged.extend(tpid.to_be_bytes());
    tagged.extend(vlan.to_be_bytes());
    tagged.extend(&frame[12..]);
    tagged
}

/// All ways to tag a frame that a mirror port shows.
fn tagged(frame: &[u8]) -> Vec<Vec<u8>> {
    vec![
        frame.to_vec(),
        tag(frame, 0x8100, 12),
        tag(&tag(frame, 0x8100, 12), 0x88a8, 100),
        tag(&tag(frame, 0x8100, 12), 0x8100, 100),
        tag(&tag(frame, 0x8100, 12), 0x9100, 100),
    ]
}

#[test]
fn mail_passes_in_both_directions_with_any_tags() {
    let smtp = wanted(&[25], false);
    for frame in [tcp(49152, 25), tcp(25, 49152), tcp6(49152, 25), tcp6(25, 49152)] {
        for (tags, frame) in tagged(&frame).iter().enumerate() {
            assert!(passes(&smtp, frame), "{tags}");
        }
    }
}

#[test]
fn nothing_else_passes_with_any_tags() {
    let smtp = wanted(&[25], false);
    for frame in [tcp(49152, 80), tcp6(443, 49152), udp(123), udp(4789), udp(25)] {
        for (tags, frame) in tagged(&frame).iter().enumerate() {
            assert!(!passes(&smtp, frame), "{tags}");
        }
    }
}

#[test]
fn ports_are_those_that_were_asked_for() {
    let two = wanted(&[2525, 587], false);
    assert!(passes(&two, &tcp(49152, 2525)) && passes(&two, &tag(&tcp(587, 49152), 0x8100, 1)));
    assert!(!passes(&two, &tcp(49152, 25)));
    assert!(!passes(&ORDINARY, &tcp(49152, 25)));
}

#[test]
fn questions_to_dns_servers_pass_and_answers_do_not() {
    assert!(tagged(&udp(53)).iter().all(|frame| passes(&ORDINARY, frame)));
    let mut answer = udp(53);
    answer.swap(34, 36);
    answer.swap(35, 37);
    assert!(!passes(&ORDINARY, &answer));
}

#[test]
fn names_pass_by_the_port_they_come_from_unless_they_are_not_wanted() {
    let names = Wanted { names: true, ..ORDINARY };
    let from = |port: u16| {
        let mut frame = udp(49152);
        frame[34..36].copy_from_slice(&port.to_be_bytes());
        frame
    };
    for port in NAME_PORTS {
        assert!(crate::identity::is_port(port));
        assert!(tagged(&from(port)).iter().all(|frame| passes(&names, frame)), "{port}");
        assert!(!tagged(&from(port)).iter().any(|frame| passes(&ORDINARY, frame)), "{port}");
    }
    let all = (0..=u16::MAX).filter(|port| crate::identity::is_port(*port)).count();
    assert_eq!(all, NAME_PORTS.len());
    let mut to = from(49152);
    to[36..38].copy_from_slice(&137_u16.to_be_bytes());
    assert!(!passes(&names, &from(5354)) && !passes(&names, &to));
    assert!(passes(&names, &udp(53)));
}

#[test]
fn later_fragments_pass_whatever_their_bytes_look_like() {
    let smtp = wanted(&[25], false);
    let mut fragment = tcp(49152, 80);
    fragment[20..22].copy_from_slice(&185_u16.to_be_bytes());
    assert!(tagged(&fragment).iter().all(|frame| passes(&smtp, frame)));
    fragment[23] = 17; // of UDP
    assert!(!tagged(&fragment).iter().any(|frame| passes(&smtp, frame)));
    let mut six = tcp6(49152, 80);
    for (next, expected) in [(44, true), (0, true), (43, true), (60, true), (58, false)] {
        six[20] = next;
        assert!(tagged(&six).iter().all(|frame| passes(&smtp, frame) == expected), "{next}");
    }
}

#[test]
fn tunnels_pass_only_when_asked_for() {
    let (with, without) = (wanted(&[25], true), wanted(&[25], false));
    let mut gre = tcp(1, 2);
    gre[23] = 47;
    let mut mpls = tcp(1, 2);
    mpls[12..14].copy_from_slice(&[0x88, 0x47]);
    let mut pppoe = tcp(1, 2);
    pppoe[12..14].copy_from_slice(&[0x88, 0x64]);
    for frame in [gre, mpls, pppoe, udp(4789), udp(37008), udp(2152)] {
        for (tags, frame) in tagged(&frame).iter().enumerate() {
            assert!(passes(&with, frame), "{tags}");
            assert!(!passes(&without, frame), "{tags}");
        }
    }
    // Mail itself still passes.
    assert!(tagged(&tcp(49152, 25)).iter().all(|frame| passes(&with, frame)));
}

#[test]
fn links_without_tags_have_a_filter_of_their_own() {
    for link in [Linktype::LINUX_SLL, Linktype(12), Linktype(276)] {
        let dead = Capture::dead(link).unwrap();
        assert!(dead.compile(&wanted(&[25], true).plain(), true).is_ok(), "{link:?}");
    }
    let raw = Capture::dead(Linktype(12)).unwrap().compile(&wanted(&[25], false).plain(), true).unwrap();
    assert!(raw.filter(&tcp(49152, 25)[14..]) && !raw.filter(&tcp(49152, 80)[14..]));
}
