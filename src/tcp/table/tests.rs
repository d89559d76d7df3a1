//! Connections as traces, grouped by the RFC's states. The client's SYN is 100 and the server's 500 unless said otherwise, so
//! that the client's first byte is 101 and the server's 501. `@n` in a log line is what the sender had acknowledged.

use super::*;
use crate::tcp::ConnState;
use crate::tcp::testing::{Rig, Seg};

mod disorder;
mod limits;
mod streams;

/// Compares a log with what it should be, one line an event.
#[track_caller]
fn expect(log: &[String], expected: &[&str]) {
    assert_eq!(log, expected, "\n{}", log.join("\n"));
}

// CLOSED, LISTEN, SYN-SENT

#[test]
fn an_ordinary_connection() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.s(501, 101, "220 hi\r\n"))
        .play(|s| s.c(101, 509, ""))
        .play(|s| s.c(101, 509, "QUIT\r\n"))
        .play(|s| s.s(509, 107, "221 bye\r\n"))
        .play(|s| s.s_fin(518, 107, ""))
        .play(|s| s.c_fin(107, 519, ""))
        .play(|s| s.s(519, 108, ""));
    expect(
        &rig.finish(),
        &[r#"S "220 hi\r\n" @0"#, r#"C "QUIT\r\n" @8"#, r#"S "221 bye\r\n" @6"#, "S fin", "C fin", "close SF ShAdDfFa"],
    );
    let connection = &rig.told.connections[0];
    assert_eq!((connection.orig_bytes, connection.resp_bytes), (6, 17));
    assert_eq!((connection.first.0, connection.last.0, connection.frames), (1, 10, 10));
    assert_eq!((connection.gaps, connection.missed_bytes), (0, 0));
    assert!(!connection.cut_short && !connection.one_sided && connection.weird.is_empty());
    assert_eq!(connection.syn.map(|syn| syn.wsize), Some(65535));
}

#[test]
fn an_attempt_that_nobody_answers() {
    let mut rig = Rig::new();
    rig.play(|s| s.syn(100));
    for pause in [1, 2, 4, 8, 16, 32] {
        rig.wait(Span::secs(pause)).play(|s| s.syn(100));
    }
    assert!(rig.told.log.is_empty(), "retransmissions keep it");
    rig.wait(Span::secs(34));
    assert!(rig.told.log.is_empty());
    rig.wait(Span::secs(1));
    expect(&rig.told.log, &["unanswered 7"]);
    let attempt = rig.told.attempts[0];
    assert_eq!((attempt.first.0, attempt.last.frame.0), (1, 7));
    assert_eq!(attempt.link.macs.map(|(src, _)| src.0[5]), Some(1));
    expect(&rig.finish(), &["unanswered 7"]);
}

#[test]
fn another_isn_is_another_attempt() {
    let mut rig = Rig::new();
    rig.play(|s| s.syn(100)).play(|s| s.syn(9000)).play(|s| s.syn(9000));
    expect(&rig.finish(), &["unanswered 1", "unanswered 2"]);
}

#[test]
fn a_refused_attempt_is_a_connection() {
    let mut rig = Rig::new();
    rig.play(|s| s.syn(100)).play(|s| s.s_rst(0, 101));
    expect(&rig.finish(), &["S reset", "close REJ Sr"]);
}

#[test]
fn a_reset_that_acknowledges_something_else_refuses_nothing() {
    let mut rig = Rig::new();
    rig.play(|s| s.syn(100)).play(|s| s.s_rst(0, 77));
    assert_eq!(rig.table.stats().strays, 1);
    expect(&rig.finish(), &["unanswered 1"]);
}

#[test]
fn any_ack_is_not_a_syn_ack() {
    let mut rig = Rig::new();
    rig.play(|s| s.syn(100)).play(|s| s.s(4000, 101, "")).play(|s| s.s(4000, 7, ""));
    assert!(rig.told.starts.is_empty(), "a challenge ACK opens nothing");
    rig.play(|s| s.syn_ack(500, 7));
    assert!(rig.told.starts.is_empty(), "nor does a SYN-ACK of another SYN");
    rig.play(|s| s.syn_ack(500, 101));
    assert_eq!(rig.told.starts.len(), 1);
    expect(&rig.finish(), &["close S1 Sh"]);
}

#[test]
fn a_syn_ack_without_a_syn_goes_to_the_originator() {
    let mut rig = Rig::new();
    rig.play(|s| s.syn_ack(500, 101)).play(|s| s.c(101, 501, "x"));
    expect(&rig.finish(), &[r#"C "x" @0"#, "close S1 ^hD"]);
    let start = rig.told.starts[0];
    assert_eq!((start.id.orig, start.id.resp), (rig.script.client, rig.script.server));
    assert_eq!(start.link.macs.map(|(orig, _)| orig.0[5]), Some(1), "MACs stand as (orig, resp)");
    assert!(!start.midstream && start.syn.is_none());
}

#[test]
fn a_syn_captured_after_its_syn_ack_still_belongs() {
    let mut rig = Rig::new();
    rig.play(|s| s.syn_ack(500, 101)).play(|s| s.syn(100)).play(|s| s.c(101, 501, "x"));
    expect(&rig.finish(), &[r#"C "x" @0"#, "close S1 ^hSD"]);
    assert_eq!((rig.table.half_open(), rig.told.connections[0].syn.is_some()), (0, true));
}

#[test]
fn a_simultaneous_open() {
    let mut rig = Rig::new();
    rig.play(|s| s.syn(100))
        .play(|s| s.s(500, 0, "").flags(TcpFlags::SYN))
        .play(|s| s.c(100, 501, "").flags(TcpFlags::SYN | TcpFlags::ACK))
        .play(|s| s.c(101, 501, "a"))
        .play(|s| s.s(501, 102, "b"));
    expect(&rig.finish()[..2], &[r#"C "a" @0"#, r#"S "b" @1"#]);
}

#[test]
fn data_in_a_syn_are_delivered() {
    let mut rig = Rig::new();
    rig.play(|s| Seg {
        head: crate::decode::SegmentHeader { payload_len: 5, ..s.syn(100).head },
        options: vec![],
        payload: b"HELO ".to_vec(),
    })
    .play(|s| s.syn_ack(500, 106))
    .play(|s| s.c(106, 501, "me\r\n"));
    expect(&rig.finish(), &["C syn_data", r#"C "HELO " @0"#, r#"C "me\r\n" @0"#, "close S1 ShD"]);
}

#[test]
fn bad_flags_begin_nothing() {
    let mut rig = Rig::new();
    for flags in [TcpFlags::SYN | TcpFlags::FIN, TcpFlags::SYN | TcpFlags::RST, 0, 0xff] {
        rig.play(|s| s.syn(100).flags(flags));
    }
    assert!(rig.finish().is_empty());
    assert_eq!(rig.table.stats().strays, 4);
}

#[test]
fn bad_flags_inside_a_connection_are_told() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c_fin(101, 501, "").flags(TcpFlags::SYN | TcpFlags::FIN)).play(|s| s.c(101, 501, "a"));
    expect(&rig.finish(), &["C bad_TCP_flags", r#"C "a" @0"#, "close S1 ShAQD"]);
}

// In the middle

#[test]
fn a_connection_met_in_the_middle_begins_with_its_first_segment() {
    let mut rig = Rig::new();
    rig.play(|s| s.s(7000, 3000, "250 ok\r\n"))
        .play(|s| s.c(3000, 7008, "DATA\r\n"))
        .play(|s| s.s(7008, 3006, "354\r\n"));
    expect(
        &rig.finish(),
        &["open midstream", r#"S "250 ok\r\n" @0"#, r#"C "DATA\r\n" @8"#, r#"S "354\r\n" @6"#, "close OTH ^dD"],
    );
    assert_eq!(rig.told.starts[0].id.orig, rig.script.client, "by the port");
    assert_eq!(rig.told.connections[0].missed_bytes, 0);
}

#[test]
fn the_originator_is_the_side_without_the_smtp_port() {
    for (client, server, flipped) in [(25, 25, true), (49152, 2525, true), (25, 49152, true), (49152, 25, false)] {
        let mut rig = Rig::new();
        (rig.script.client.port, rig.script.server.port) = (client, server);
        rig.play(|s| s.s(7000, 3000, "x"));
        // Where both or neither port is one of SMTP, the first sender.
        assert_eq!(rig.told.starts[0].id.orig == rig.script.server, flipped, "{client} {server}");
    }
}

#[test]
fn strays_open_nothing() {
    let mut rig = Rig::new();
    rig.play(|s| s.c(101, 501, "")).play(|s| s.c_fin(101, 501, "")).play(|s| s.c_rst(101)).play(|s| s.s_rst(1, 2));
    assert!(rig.finish().is_empty());
    assert_eq!(rig.table.stats().strays, 4);
}

// ESTABLISHED

#[test]
fn sequence_numbers_wrap() {
    let mut rig = Rig::new();
    let isn = u32::MAX - 3;
    rig.play(|s| s.syn(isn))
        .play(|s| s.syn_ack(u32::MAX, isn + 1))
        .play(|s| s.c(isn + 1, 0, "abcdef"))
        .play(|s| s.s(0, 3, "ok"))
        .play(|s| s.c(3, 2, "ghi"));
    expect(&rig.finish(), &[r#"C "abcdef" @0"#, r#"S "ok" @6"#, r#"C "ghi" @2"#, "close S1 ShDd"]);
}

#[test]
fn keep_alives_are_not_data() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.c(100, 501, ""))
        .play(|s| s.c(100, 501, "\0"))
        .play(|s| s.s(501, 101, "220\r\n"))
        .play(|s| s.s(505, 101, "\0"))
        .play(|s| s.c(101, 506, "a"));
    assert_eq!((rig.table.stats().keep_alives, rig.table.stats().overlaps_disagree), (2, 0));
    expect(&rig.finish(), &[r#"S "220\r\n" @0"#, r#"C "a" @5"#, "close S1 ShADTdt"]);
}

#[test]
fn a_zero_window_is_a_letter() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(101, 501, "abc")).play(|s| s.s(501, 104, "").window(0)).play(|s| s.c(104, 501, "d"));
    expect(&rig.finish(), &[r#"C "abc" @0"#, r#"C "d" @0"#, "close S1 ShADaw"]);
}

#[test]
fn a_retransmission_is_dropped() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.c(101, 501, "EHLO a\r\n"))
        .play(|s| s.c(101, 501, "EHLO a\r\n"))
        .play(|s| s.c(101, 501, "EHLO a\r\nMAIL"));
    assert_eq!((rig.table.stats().retransmissions, rig.table.stats().overlaps_disagree), (1, 0));
    expect(&rig.finish(), &[r#"C "EHLO a\r\n" @0"#, r#"C "MAIL" @0"#, "close S1 ShADT"]);
}

#[test]
fn the_first_bytes_win_and_a_disagreement_is_told() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(101, 501, "EHLO good\r\n")).play(|s| s.c(101, 501, "EHLO evil\r\nX"));
    expect(&rig.finish(), &[r#"C "EHLO good\r\n" @0"#, r#"C "X" @0"#, "C rexmit_inconsistency", "close S1 ShAD"]);
}

#[test]
fn a_snapped_payload_leaves_a_gap() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.c(101, 501, "0123456789").snapped(4))
        .play(|s| s.c(111, 501, "ab").snapped(0))
        .play(|s| s.c(113, 501, "z"));
    expect(&rig.finish(), &[r#"C "0123" @0"#, "C gap 6", "C gap 2", r#"C "z" @0"#, "close S1 ShADG"]);
    assert_eq!(rig.table.stats().truncated_bytes, 8);
}

#[test]
fn what_is_cut_off_twice_is_missing_once() {
    let mut rig = Rig::new();
    rig.handshake();
    for _ in 0..2 {
        rig.play(|s| s.c(103, 501, "0123456789").snapped(4));
    }
    rig.play(|s| s.c(101, 501, "ab"));
    expect(&rig.finish(), &[r#"C "ab" @0"#, r#"C "0123" @0"#, "C gap 6", "close S1 ShADTG"]);
    let stats = rig.table.stats();
    assert_eq!((stats.truncated_bytes, stats.missed_bytes), (6, 6));
}

#[test]
fn urgent_data_are_told_once() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.c(101, 501, "a").flags(TcpFlags::ACK | TcpFlags::URG))
        .play(|s| s.c(102, 501, "b").flags(TcpFlags::ACK | TcpFlags::URG));
    expect(&rig.finish(), &["C urgent_data", r#"C "a" @0"#, r#"C "b" @0"#, "close S1 ShAD"]);
}

#[test]
fn a_segment_from_nowhere_is_told_and_not_followed() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.c(101 + (1 << 30) + 5, 501, "forged"))
        .play(|s| s.c(101 + (1 << 20), 501, "beyond the window"))
        .play(|s| s.c(101, 501, "a"));
    assert_eq!(rig.table.stats().gaps, 0);
    expect(&rig.finish(), &["C segment_out_of_window", r#"C "a" @0"#, "close S1 ShAD"]);
    assert_eq!(rig.table.stats().stray_bytes, 17);
}

// FIN-WAIT, CLOSE-WAIT, LAST-ACK, TIME-WAIT

#[test]
fn a_fin_with_data_stands_behind_them() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.c_fin(101, 501, "QUIT\r\n"))
        .play(|s| s.s(501, 108, "221 bye\r\n"))
        .play(|s| s.s_fin(510, 108, ""))
        .play(|s| s.c(108, 511, ""));
    expect(&rig.finish(), &[r#"C "QUIT\r\n" @0"#, "C fin", r#"S "221 bye\r\n" @6"#, "S fin", "close SF ShAFdf"]);
    assert_eq!((rig.told.connections[0].orig_bytes, rig.told.connections[0].resp_bytes), (6, 9));
}

#[test]
fn the_phantom_byte_of_a_fin_is_no_payload() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.c_fin(101, 501, ""))
        .play(|s| s.s(501, 102, "421 busy\r\n"))
        .play(|s| s.s_fin(511, 102, ""))
        .play(|s| s.c(102, 512, ""));
    expect(&rig.finish(), &["C fin", r#"S "421 busy\r\n" @0"#, "S fin", "close SF ShAFdf"]);
    assert_eq!((rig.told.connections[0].orig_bytes, rig.told.connections[0].gaps), (0, 0));
}

#[test]
fn a_half_closed_connection_goes_on() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.c_fin(101, 501, "QUIT\r\n"))
        .wait(Span::mins(4))
        .play(|s| s.s(501, 108, "2"))
        .play(|s| s.s(502, 108, "21\r\n"));
    expect(&rig.finish(), &[r#"C "QUIT\r\n" @0"#, "C fin", r#"S "2" @6"#, r#"S "21\r\n" @6"#, "close S2 ShAFd"]);
    assert!(rig.told.connections[0].cut_short);
}

#[test]
fn data_after_a_fin_are_told_and_dropped() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c_fin(101, 501, "a")).play(|s| s.c(102, 501, "bc")).play(|s| s.c(101, 501, "axx"));
    let log = rig.finish();
    expect(&log, &[r#"C "a" @0"#, "C fin", "C data_after_FIN", "close S2 ShAFDT"]);
}

#[test]
fn a_fin_before_what_was_seen_is_told_and_not_followed() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(101, 501, "abc")).play(|s| s.c_fin(102, 501, "")).play(|s| s.c(104, 501, "d"));
    expect(&rig.finish()[..3], &[r#"C "abc" @0"#, "C FIN_out_of_window", r#"C "d" @0"#]);
}

#[test]
fn a_closed_connection_takes_in_late_segments() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c_fin(101, 501, "a")).play(|s| s.s_fin(501, 103, "")).play(|s| s.c(103, 502, ""));
    rig.wait(Span::millis(80)).play(|s| s.c_fin(101, 501, "a")).play(|s| s.s(502, 103, ""));
    assert_eq!((rig.told.starts.len(), rig.told.connections.len()), (1, 0));
    rig.wait(Span::millis(20));
    expect(&rig.told.log[1..], &[r#"C "a" @0"#, "C fin", "S fin", "close SF ShAFfTa"]);
    assert_eq!(rig.told.connections[0].frames, 8);
}

#[test]
fn what_comes_after_a_connection_was_told_opens_nothing() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c_fin(101, 501, "a")).play(|s| s.s_fin(501, 103, "")).play(|s| s.c(103, 502, ""));
    rig.wait(Span::secs(1));
    assert_eq!((rig.told.connections.len(), rig.table.open()), (1, 0));
    rig.play(|s| s.c_fin(101, 501, "a")).play(|s| s.s(501, 103, "late")).play(|s| s.syn_ack(500, 101));
    rig.play(|s| s.s(502, 103, "")).play(|s| s.c_rst(103));
    assert_eq!((rig.table.stats().after_close, rig.table.stats().strays, rig.told.starts.len()), (3, 2, 1));
    // Another connection between the same ends, of which the SYN-ACK is the first to be seen.
    let mut again = rig.script.clone();
    rig.play(|s| s.syn_ack(9000, 8001));
    assert_eq!(rig.told.starts.len(), 2);
    rig.wait(Span::secs(6));
    again.wait(Span::secs(6));
    again.client.port += 1;
    rig.feed(&again.c(101, 501, "anybody"));
    assert_eq!(rig.told.starts.len(), 3);
    rig.finish();
}

#[test]
fn what_is_still_missing_at_the_end_is_waited_for_longer() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c_fin(104, 501, "d")).play(|s| s.s_fin(501, 101, ""));
    rig.wait(Span::secs(2)).play(|s| s.c(101, 501, "abc")).play(|s| s.s(502, 106, ""));
    expect(&rig.finish(), &["S fin", r#"C "abc" @0"#, r#"C "d" @0"#, "C fin", "close SF ShAFfDTa"]);
}

// RST

#[test]
fn a_reset_ends_a_connection() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.s(501, 101, "554 no\r\n")).play(|s| s.c_rst(101));
    expect(&rig.finish(), &[r#"S "554 no\r\n" @0"#, "C reset", "close RSTO ShAdR"]);
    assert!(!rig.told.connections[0].cut_short);
}

#[test]
fn a_reset_outside_the_window_is_not_followed() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.c(101, 501, "abc"))
        .play(|s| s.s(501, 104, ""))
        .play(|s| s.c_rst(101))
        .play(|s| s.c_rst(104 + 65536 + 5))
        .play(|s| s.c(104, 501, "def"));
    assert_eq!(rig.table.stats().resets_refused, 2);
    expect(&rig.finish(), &[r#"C "abc" @0"#, "C RST_out_of_window", r#"C "def" @0"#, "close S1 ShADaRR"]);
}

#[test]
fn a_reply_captured_after_the_reset_is_still_told() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(101, 501, "RCPT\r\n")).play(|s| s.c_rst(107)).play(|s| s.s(501, 107, "550 no\r\n"));
    expect(&rig.finish(), &[r#"C "RCPT\r\n" @0"#, "C reset", r#"S "550 no\r\n" @6"#, "close RSTO ShADRd"]);
}

#[test]
fn a_reset_that_never_arrived_is_taken_back_when_its_receiver_goes_on() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.s(501, 101, "220\r\n")).play(|s| s.c_rst(101));
    rig.play(|s| s.c(101, 506, "EHLO a\r\n"));
    assert_eq!(rig.told.log.len(), 3, "nobody took it yet: {:?}", rig.told.log);
    rig.play(|s| s.s(506, 109, "250\r\n")).play(|s| s.c(109, 511, "QUIT\r\n"));
    expect(
        &rig.finish(),
        &[
            r#"S "220\r\n" @0"#,
            "C reset",
            "C RST_out_of_window",
            r#"C "EHLO a\r\n" @5"#,
            r#"S "250\r\n" @8"#,
            r#"C "QUIT\r\n" @10"#,
            "close RSTO ShAdRD",
        ],
    );
}

#[test]
fn what_follows_a_reset_and_is_never_taken_is_dropped() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.s(501, 101, "220\r\n")).play(|s| s.c_rst(101)).play(|s| s.c(101, 506, "EHLO a\r\n"));
    rig.play(|s| s.s(501, 101, "220\r\n"));
    assert_eq!(rig.table.stats().after_close, 1);
    expect(&rig.finish(), &[r#"S "220\r\n" @0"#, "C reset", "close RSTO ShAdRDt"]);
    assert_eq!(rig.table.stats().stray_bytes, 8);
}

#[test]
fn a_fin_that_never_arrived_is_taken_back_when_its_receiver_goes_on() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c_fin(101, 501, "")).play(|s| s.c(101, 501, "EHLO a\r\n"));
    rig.play(|s| s.s(501, 109, "250\r\n")).play(|s| s.c_fin(109, 506, "")).play(|s| s.s_fin(506, 110, ""));
    let log = rig.finish();
    let expected = [
        "C fin",
        "C data_after_FIN",
        "C FIN_out_of_window",
        r#"C "EHLO a\r\n" @0"#,
        r#"S "250\r\n" @8"#,
        "C fin",
        "S fin",
    ];
    expect(&log[..7], &expected);
}

#[test]
fn whoever_goes_on_long_after_a_reset_is_met_again_in_the_middle() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.s(501, 101, "220\r\n")).play(|s| s.c_rst(101));
    rig.wait(Span::secs(1));
    assert_eq!((rig.told.connections.len(), rig.table.open()), (1, 0));
    rig.play(|s| s.c(101, 506, "EHLO a\r\n"));
    assert_eq!(rig.told.starts.len(), 1, "nobody took it yet");
    rig.play(|s| s.s(506, 109, "250\r\n")).play(|s| s.c(109, 511, "QUIT\r\n"));
    assert_eq!((rig.told.starts.len(), rig.told.starts[1].midstream), (2, true));
    assert_eq!(rig.told.starts[1].id.orig, rig.told.starts[0].id.orig, "who called is still known");
    rig.finish();
}

#[test]
fn a_scanner_resets_after_the_syn_ack() {
    let mut rig = Rig::new();
    rig.play(|s| s.syn(100)).play(|s| s.syn_ack(500, 101)).play(|s| s.c_rst(101));
    expect(&rig.finish(), &["C reset", "close RSTO ShR"]);
}

#[test]
fn a_reset_after_the_own_syn_alone() {
    let mut rig = Rig::new();
    rig.play(|s| s.syn(100)).play(|s| s.c_rst(101));
    expect(&rig.finish(), &["C reset", "close RSTOS0 SR"]);
}

// Port reuse

#[test]
fn a_new_syn_after_the_close_is_a_new_connection() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c_fin(101, 501, "")).play(|s| s.s_fin(501, 102, "")).play(|s| s.c(102, 502, ""));
    rig.play(|s| s.syn(100));
    assert_eq!(rig.told.connections.len(), 0, "a retransmitted SYN is none");
    rig.play(|s| s.syn(90_000)).play(|s| s.syn_ack(7000, 90_001)).play(|s| s.s(7001, 90_001, "220\r\n"));
    expect(&rig.finish(), &["C fin", "S fin", "close SF ShAFf", r#"S "220\r\n" @0"#, "close S1 Shd"]);
}

#[test]
fn a_new_syn_in_the_middle_counts_once_it_is_answered() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(101, 501, "abc"));
    rig.play(|s| s.syn(9_000_000)).play(|s| s.syn(9_000_000));
    rig.play(|s| s.c(104, 501, "def"));
    rig.play(|s| s.syn_ack(7000, 9_000_001)).play(|s| s.c(9_000_001, 7001, "new"));
    expect(
        &rig.finish(),
        &[
            r#"C "abc" @0"#,
            "C SYN_inside_connection",
            r#"C "def" @0"#,
            "close S1 ShAD",
            r#"C "new" @0"#,
            "close S1 ShD",
        ],
    );
    assert_eq!((rig.table.stats().replaced, rig.told.connections[1].frames), (1, 4));
}

#[test]
fn a_forged_syn_does_not_end_a_connection() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.syn(9_000_000)).play(|s| s.s(501, 101, "")).play(|s| s.c(101, 501, "abc"));
    expect(&rig.finish(), &["C SYN_inside_connection", r#"C "abc" @0"#, "close S1 ShAaD", "unanswered 1"]);
}

#[test]
fn a_new_connection_seen_from_one_side_only_takes_over_by_its_numbers() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(101, 501, "abc"));
    rig.play(|s| s.syn(9_000_000)).play(|s| s.c(9_000_001, 7001, "")).play(|s| s.c(9_000_001, 7001, "new"));
    expect(
        &rig.finish(),
        &[r#"C "abc" @0"#, "C SYN_inside_connection", "close S1 ShAD", r#"C "new" @0"#, "close S0 SAD"],
    );
}

#[test]
fn the_land_attack_is_survived() {
    let mut rig = Rig::new();
    rig.script.client = rig.script.server;
    rig.handshake().play(|s| s.c(101, 501, "a")).play(|s| s.s(501, 102, "b"));
    rig.finish();
}

/// The facts of an attempt survive its becoming a connection.
#[test]
fn an_attempt_hands_its_facts_on() {
    let mut rig = Rig::new();
    let options = [2, 4, 5, 180, 3, 3, 7, 0];
    rig.play(|s| s.syn(100).options(&options)).play(|s| s.syn(100).options(&options)).play(|s| s.syn_ack(500, 101));
    rig.finish();
    let connection = &rig.told.connections[0];
    assert_eq!((connection.first.0, connection.frames), (1, 3));
    assert_eq!(connection.syn.map(|syn| (syn.mss, syn.scale)), Some((1460, Some(7))));
    assert_eq!((connection.state, connection.history.as_str()), (ConnState::S1, "Sh"));
}
