//! Frames that come late, twice, or never.

use super::*;

#[test]
fn segments_out_of_order_are_put_in_order() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.c(107, 501, "c\r\n"))
        .play(|s| s.c(104, 501, "b\r\n"))
        .play(|s| s.c(101, 501, "a\r\n"))
        .play(|s| s.c(110, 501, "d\r\n"));
    assert_eq!(rig.table.stats().out_of_order, 2);
    expect(
        &rig.finish(),
        &[r#"C "a\r\n" @0"#, r#"C "b\r\n" @0"#, r#"C "c\r\n" @0"#, r#"C "d\r\n" @0"#, "close S1 ShADT"],
    );
}

#[test]
fn held_data_keep_the_acknowledgement_they_came_with() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.s(501, 101, "220 hi\r\n"))
        .play(|s| s.c(104, 503, "late"))
        .play(|s| s.c(101, 509, "and"))
        .play(|s| s.c(108, 509, "!"));
    expect(
        &rig.finish(),
        &[r#"S "220 hi\r\n" @0"#, r#"C "and" @8"#, r#"C "late" @2"#, r#"C "!" @8"#, "close S1 ShAdDT"],
    );
}

#[test]
fn a_hole_in_what_was_acknowledged_is_a_gap_after_three_later_segments() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(101, 501, "one")).play(|s| s.c(107, 501, "three")).play(|s| s.s(501, 112, ""));
    rig.play(|s| s.c(112, 501, "four")).play(|s| s.c(116, 501, "five"));
    assert_eq!(rig.told.log.len(), 2, "two later ones may yet be disorder");
    rig.play(|s| s.c(120, 501, "six"));
    expect(
        &rig.finish(),
        &[
            r#"C "one" @0"#,
            "C ack_above_hole",
            "C gap 3",
            r#"C "three" @0"#,
            r#"C "four" @0"#,
            r#"C "five" @0"#,
            r#"C "six" @0"#,
            "close S1 ShADaG",
        ],
    );
    let stats = rig.table.stats();
    assert_eq!((stats.gaps, stats.missed_bytes), (1, 3));
}

#[test]
fn or_after_a_second() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(107, 501, "three")).play(|s| s.s(501, 112, ""));
    rig.wait(Span::millis(900));
    assert_eq!(rig.told.log.len(), 1);
    rig.wait(Span::millis(200));
    expect(&rig.told.log[1..], &["C ack_above_hole", "C gap 6", r#"C "three" @0"#]);
}

#[test]
fn a_hole_that_was_not_acknowledged_waits_for_its_retransmission() {
    let mut rig = Rig::new();
    rig.handshake();
    for seq in [104, 107, 110, 113, 116] {
        rig.play(|s| s.c(seq, 501, "xyz")).play(|s| s.s(501, 101, ""));
    }
    for _ in 0..30 {
        rig.wait(Span::secs(1));
    }
    assert_eq!(rig.told.log, ["open"]);
    rig.play(|s| s.c(101, 501, "abc"));
    assert_eq!((rig.told.log.len(), rig.table.stats().gaps), (7, 0));
}

#[test]
fn a_reply_captured_before_its_command_is_told_after_it() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.s(501, 107, "250 ok\r\n"))
        .play(|s| s.c(101, 501, "NOOP\r\n"))
        .play(|s| s.c(107, 509, "QUIT\r\n"));
    assert_eq!(rig.table.stats().ahead_of_other_side, 1);
    expect(&rig.finish(), &[r#"C "NOOP\r\n" @0"#, r#"S "250 ok\r\n" @6"#, r#"C "QUIT\r\n" @8"#, "close S1 ShAdD"]);
}

#[test]
fn a_whole_batch_of_one_direction_may_come_first() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.s(501, 101, "220\r\n"))
        .play(|s| s.s(506, 107, "250 a\r\n"))
        .play(|s| s.s(513, 113, "250 b\r\n"))
        .play(|s| s.s_fin(520, 119, "221\r\n"))
        .play(|s| s.c(101, 506, "EHLO\r\n"))
        .play(|s| s.c(107, 513, "NOOP\r\n"))
        .play(|s| s.c_fin(113, 520, "QUIT\r\n"));
    expect(
        &rig.finish(),
        &[
            r#"S "220\r\n" @0"#,
            r#"C "EHLO\r\n" @5"#,
            r#"S "250 a\r\n" @6"#,
            r#"C "NOOP\r\n" @12"#,
            r#"S "250 b\r\n" @12"#,
            r#"C "QUIT\r\n" @19"#,
            "C fin",
            r#"S "221\r\n" @18"#,
            "S fin",
            "close SF ShAdfDF",
        ],
    );
}

#[test]
fn an_ack_captured_before_its_data_is_no_gap() {
    let mut rig = Rig::new();
    rig.handshake();
    for seq in 0..20 {
        rig.play(|s| s.s(501, 101 + (seq + 1) * 4, ""));
    }
    for seq in 0..20 {
        rig.play(|s| s.c(101 + seq * 4, 501, "data"));
    }
    rig.finish();
    let connection = &rig.told.connections[0];
    assert_eq!((connection.gaps, connection.orig_bytes), (0, 80));
}

#[test]
fn a_lost_command_is_a_gap_before_its_reply() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.s(501, 101, "220\r\n"))
        .play(|s| s.s(506, 107, "250\r\n"))
        .play(|s| s.c(107, 511, ""))
        .play(|s| s.c(107, 511, "QUIT\r\n"))
        .play(|s| s.s(511, 113, "221\r\n"))
        .play(|s| s.c(113, 516, ""));
    expect(
        &rig.finish(),
        &[
            r#"S "220\r\n" @0"#,
            "C ack_above_hole",
            "C gap 6",
            r#"S "250\r\n" @6"#,
            r#"C "QUIT\r\n" @10"#,
            r#"S "221\r\n" @12"#,
            "close S1 ShAdDG",
        ],
    );
}

#[test]
fn what_waits_for_a_silent_side_goes_on_after_a_second() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.s(501, 107, "250\r\n"));
    rig.wait(Span::millis(1500));
    expect(&rig.told.log[1..], &[r#"S "250\r\n" @6"#]);
    // The command was sent, after all: the end shows it as missing.
    expect(&rig.finish()[1..], &["C ack_above_hole", "C gap 6", "close S1 ShAdG"]);
}

#[test]
fn a_forged_ack_gives_nothing_up() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(101, 501 + 9000, "EHLO x\r\n"));
    rig.wait(Span::secs(2)).play(|s| s.s(501, 109, "220 hi\r\n")).play(|s| s.s(509, 109, "250 ok\r\n"));
    let log = rig.finish();
    expect(&log[..3], &[r#"C "EHLO x\r\n" @9000"#, r#"S "220 hi\r\n" @8"#, r#"S "250 ok\r\n" @8"#]);
}

#[test]
fn segments_that_wait_for_each_other_do_not_wait_for_ever() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(101, 504, "abc")).play(|s| s.s(501, 104, "xyz"));
    assert_eq!(rig.told.log, ["open"]);
    rig.wait(Span::secs(2));
    expect(&rig.told.log[1..], &[r#"C "abc" @3"#, r#"S "xyz" @3"#]);
}

#[test]
fn a_mirror_that_shows_the_server_only() {
    let mut rig = Rig::new();
    rig.play(|s| s.syn_ack(500, 101))
        .play(|s| s.s(501, 101, "220\r\n"))
        .play(|s| s.s(506, 107, "250\r\n"))
        .play(|s| s.s(511, 113, "250\r\n"))
        .play(|s| s.s(516, 119, "221\r\n"))
        .play(|s| s.s_fin(521, 119, ""))
        .play(|s| s.s(522, 120, ""));
    expect(
        &rig.finish(),
        &[
            r#"S "220\r\n" @0"#,
            "C ack_above_hole",
            "C gap 6",
            r#"S "250\r\n" @6"#,
            "C gap 6",
            r#"S "250\r\n" @12"#,
            "C gap 6",
            r#"S "221\r\n" @18"#,
            "S fin",
            "close SHR ^hdGfa",
        ],
    );
    let connection = &rig.told.connections[0];
    assert!(connection.one_sided && !connection.cut_short);
    assert_eq!((connection.orig_bytes, connection.missed_bytes), (18, 18), "the FIN is no byte");
}

#[test]
fn a_mirror_that_shows_the_client_only() {
    let mut rig = Rig::new();
    rig.play(|s| s.syn(100))
        .play(|s| s.c(101, 501, ""))
        .play(|s| s.c(101, 521, "EHLO a\r\n"))
        .play(|s| s.c(109, 541, "QUIT\r\n"))
        .play(|s| s.c_fin(115, 550, ""));
    expect(
        &rig.finish(),
        &[
            "S ack_above_hole",
            "S gap 20",
            r#"C "EHLO a\r\n" @20"#,
            "S gap 20",
            r#"C "QUIT\r\n" @40"#,
            "S gap 9",
            "C fin",
            "close SH SADgF",
        ],
    );
    assert!(rig.told.connections[0].one_sided);
}

#[test]
fn a_fin_that_was_not_captured_is_no_gap() {
    let mut rig = Rig::new();
    rig.handshake()
        .play(|s| s.c(101, 501, "QUIT\r\n"))
        .play(|s| s.s_fin(501, 107, "221\r\n"))
        .play(|s| s.s(507, 108, ""))
        .play(|s| s.c(108, 507, ""));
    rig.wait(Span::secs(3));
    expect(&rig.finish(), &[r#"C "QUIT\r\n" @0"#, r#"S "221\r\n" @6"#, "S fin", "close S3 ShADfa"]);
}

#[test]
fn a_byte_that_looked_like_a_fin_becomes_a_gap_when_data_follow() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.s(501, 102, "")).play(|s| s.c(102, 501, ""));
    rig.wait(Span::secs(2));
    assert_eq!(rig.told.log.len(), 1);
    rig.play(|s| s.c(102, 501, "HLO\r\n")).play(|s| s.s(501, 107, ""));
    rig.wait(Span::secs(2));
    expect(&rig.told.log[1..], &["C ack_above_hole", "C gap 1", r#"C "HLO\r\n" @0"#]);
}

#[test]
fn a_fin_waits_for_the_bytes_before_it() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c_fin(104, 501, "")).play(|s| s.s_fin(501, 105, "")).play(|s| s.c(101, 501, "abc"));
    expect(&rig.finish(), &[r#"C "abc" @0"#, "C fin", "S fin", "close SF ShAFfDT"]);
}

#[test]
fn bytes_lost_before_the_end_are_a_gap_there() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(101, 501, "abc")).play(|s| s.c(110, 501, "xyz")).play(|s| s.c_fin(120, 501, ""));
    expect(&rig.finish(), &[r#"C "abc" @0"#, "C gap 6", r#"C "xyz" @0"#, "C gap 7", "C fin", "close S2 ShADFG"]);
}

#[test]
fn held_bytes_win_over_later_ones() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(104, 501, "def")).play(|s| s.c(101, 501, "abcDEFghi"));
    expect(
        &rig.finish(),
        &["C rexmit_inconsistency", r#"C "abc" @0"#, r#"C "def" @0"#, r#"C "ghi" @0"#, "close S1 ShAD"],
    );
}

#[test]
fn a_connection_met_in_the_middle_may_begin_before_the_first_ack() {
    let mut rig = Rig::new();
    rig.play(|s| s.c(3000, 7008, "QUIT\r\n"))
        .play(|s| s.s(7000, 3000, "250 ok\r\n"))
        .play(|s| s.s(7008, 3006, "221\r\n"));
    expect(
        &rig.finish(),
        &["open midstream", r#"C "QUIT\r\n" @0"#, r#"S "250 ok\r\n" @0"#, r#"S "221\r\n" @6"#, "close OTH Dd"],
    );
}

#[test]
fn a_hole_that_is_acknowledged_late_is_given_up_late() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(104, 501, "b\r\n"));
    rig.wait(Span::secs(2)).wait(Span::secs(2));
    assert_eq!(rig.told.log, ["open"]);
    rig.play(|s| s.s(501, 107, ""));
    rig.wait(Span::secs(2));
    expect(&rig.told.log[1..], &["C ack_above_hole", "C gap 3", r#"C "b\r\n" @0"#]);
}

#[test]
fn a_reset_tells_what_was_held_first() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.c(104, 501, "b\r\n")).play(|s| s.c_rst(107));
    expect(&rig.told.log[1..], &["C gap 3", r#"C "b\r\n" @0"#, "C reset"]);
}

#[test]
fn windows_are_scaled_by_what_both_offered() {
    const SCALE_7: [u8; 4] = [3, 3, 7, 0];
    for (offer, inside) in [(&SCALE_7 as &[u8], true), (&[], false)] {
        let mut rig = Rig::new();
        rig.play(|s| s.syn(100).options(&SCALE_7))
            .play(|s| s.syn_ack(500, 101).options(offer))
            .play(|s| s.c(101, 501, ""));
        rig.play(|s| s.s(501, 101, "")).play(|s| s.c(101 + (1 << 20), 501, "far"));
        assert_eq!(rig.told.log.len() == 1, inside, "{:?}", rig.told.log);
    }
}
