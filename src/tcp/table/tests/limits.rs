//! Floods, evictions, time.

use super::*;
use crate::frame::FrameNo;
use crate::net::Endpoint;
use crate::tcp::testing::{Recorder, Script};
use std::collections::HashSet;

fn host(n: u32) -> crate::net::HostKey {
    crate::net::HostKey::from(std::net::Ipv4Addr::from(0x0a00_0000 + n))
}

fn small() -> TcpLimits {
    TcpLimits { shards: 1, attempts_max: 4, flows_max: 4, closed_max: 2, ..TcpLimits::default() }
}

/// Another client, whose connection is number `n`.
fn client(rig: &mut Rig, n: u16) -> &mut Rig {
    rig.script.client = Endpoint { host: rig.script.client.host, port: 40_000 + n };
    rig
}

#[test]
fn the_state_of_a_connection_is_bounded() {
    assert!(size_of::<Flow>() <= 640, "{}", size_of::<Flow>());
    assert!(size_of::<Entry<Box<u8>>>() <= 896, "{}", size_of::<Entry<Box<u8>>>());
    assert_eq!(crate::tcp::assembler::CHUNK_OVERHEAD, 72);
}

#[test]
fn a_flood_of_syns_stays_within_its_bounds_and_loses_nothing() {
    let limits = TcpLimits { shards: 1, attempts_max: 32_768, ..TcpLimits::default() };
    let mut rig = Rig::with(&limits);
    for n in 0..300_000 {
        rig.script.server.host = host(n);
        rig.play(|s| s.syn(n));
        assert!(rig.table.half_open() <= limits.attempts_max);
    }
    assert_eq!(rig.table.stats().attempts_evicted, 300_000 - 32_768);
    let oldest_first = rig.told.attempts.iter().map(|attempt| attempt.first);
    assert!(oldest_first.is_sorted(), "the oldest go first");
    rig.finish();
    let hosts: HashSet<_> = rig.told.attempts.iter().map(|attempt| attempt.id.resp.host).collect();
    assert_eq!((hosts.len(), rig.told.attempts.len()), (300_000, 300_000), "each is told once");
    assert!(rig.table.attempts.all().next().is_none());
}

#[test]
fn the_attempt_that_was_silent_longest_goes_first() {
    let mut rig = Rig::with(&small());
    for n in 0..4 {
        client(&mut rig, n).play(|s| s.syn(100));
    }
    client(&mut rig, 0).play(|s| s.syn(100));
    client(&mut rig, 9).play(|s| s.syn(100));
    assert_eq!(rig.told.attempts[0].id.orig.port, 40_001);
}

/// What the capture ends too early for is no attempt that nobody answered.
#[test]
fn an_attempt_is_cut_short_where_an_answer_may_be_on_its_way() {
    let mut rig = Rig::new();
    client(&mut rig, 0).play(|s| s.syn(100));
    client(&mut rig, 1).play(|s| s.syn(100));
    rig.script.wait(Span::secs(2));
    client(&mut rig, 1).play(|s| s.syn(100));
    // Who tries anew from the same port has given up himself.
    client(&mut rig, 2).play(|s| s.syn(100)).play(|s| s.syn(7000));
    rig.script.wait(Span::millis(1000));
    client(&mut rig, 3).play(|s| s.syn(100));
    rig.finish();
    let told = rig.told.attempts.iter().map(|attempt| (attempt.id.orig.port - 40_000, attempt.syns, attempt.cut_short));
    assert_eq!(told.collect::<Vec<_>>(), [(2, 1, false), (0, 1, false), (1, 2, false), (2, 1, true), (3, 1, true)]);

    let mut rig = Rig::with(&small());
    for n in 0..4 {
        client(&mut rig, n).play(|s| s.syn(100));
    }
    client(&mut rig, 4).play(|s| s.syn(100));
    rig.script.wait(Span::secs(3));
    client(&mut rig, 5).play(|s| s.syn(100));
    let cut: Vec<_> = rig.told.attempts.iter().map(|attempt| attempt.cut_short).collect();
    assert_eq!(cut, [true, false], "a full table has no time for it either");

    let mut rig = Rig::new();
    rig.play(|s| s.syn(100)).wait(Span::secs(36));
    assert!(!rig.told.attempts[0].cut_short);
}

#[test]
fn closed_connections_go_before_quiet_ones_and_those_before_active_ones() {
    let mut rig = Rig::with(&small());
    client(&mut rig, 0).handshake().play(|s| s.c(101, 501, "active"));
    client(&mut rig, 1).handshake();
    client(&mut rig, 2).handshake().play(|s| s.c(101, 501, "x")).play(|s| s.c_rst(102));
    client(&mut rig, 3).handshake().play(|s| s.c(101, 501, "active, too"));
    for n in 4..8 {
        client(&mut rig, n).handshake().play(|s| s.c(101, 501, "new"));
        assert!(rig.table.open() <= 4);
    }
    let gone: Vec<_> = rig.told.connections.iter().map(|gone| (gone.id.orig.port - 40_000, gone.cut_short)).collect();
    assert_eq!(gone, [(2, false), (1, true), (0, true), (3, true)]);
    let stats = *rig.table.stats();
    assert_eq!((stats.closed_early, stats.quiet_evicted, stats.active_evicted), (1, 1, 2));
    rig.finish();
}

#[test]
fn closed_connections_have_a_bound_of_their_own() {
    let mut rig = Rig::with(&small());
    for n in 0..3 {
        client(&mut rig, n).handshake().play(|s| s.c_rst(101));
    }
    assert_eq!((rig.table.stats().closed_early, rig.told.connections[0].id.orig.port), (1, 40_000));
}

#[test]
fn silence_ends_connections_by_their_kind() {
    let mut rig = Rig::new();
    client(&mut rig, 0).handshake();
    client(&mut rig, 1).handshake().play(|s| s.s(501, 101, "220\r\n"));
    client(&mut rig, 2).handshake().play(|s| s.c_rst(101));
    rig.wait(Span::secs(4));
    assert_eq!(rig.told.connections.len(), 0);
    rig.wait(Span::secs(3));
    assert_eq!(rig.told.connections.len(), 1);
    rig.wait(Span::mins(5));
    assert_eq!(rig.told.connections.len(), 1, "a greeting may take five minutes");
    rig.wait(Span::mins(1));
    assert_eq!(rig.told.connections.len(), 2);
    rig.wait(Span::mins(4));
    assert_eq!(rig.told.connections.len(), 2, "the reply to mail data may take ten");
    rig.wait(Span::mins(1));
    assert_eq!(rig.told.connections.len(), 3);
    assert_eq!(rig.table.stats().idle, 2);
    let cut: Vec<_> = rig.told.connections.iter().map(|gone| gone.cut_short).collect();
    assert_eq!(cut, [false, true, true]);
}

#[test]
fn activity_keeps_a_connection() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.s(501, 101, "220\r\n"));
    for _ in 0..30 {
        rig.wait(Span::mins(10)).play(|s| s.c(101, 506, ""));
    }
    assert_eq!(rig.told.connections.len(), 0);
}

#[test]
fn stamps_that_go_back_end_nothing() {
    let mut rig = Rig::new();
    rig.handshake().play(|s| s.s(501, 101, "220\r\n"));
    rig.wait(Span::hours(-5)).play(|s| s.c(101, 506, "a"));
    assert_eq!(rig.told.connections.len(), 0);
    rig.finish();
    assert!(rig.told.connections[0].duration >= Span::ZERO);
}

#[test]
fn a_hole_is_given_up_where_its_connection_holds_too_much() {
    let mut rig = Rig::with(&TcpLimits { held_flow_max: 4096, ..small() });
    rig.handshake();
    let block = "x".repeat(1000);
    for n in 0..3 {
        rig.play(|s| s.c(111 + n * 1000, 501, &block));
    }
    assert_eq!(rig.told.log.len(), 1);
    rig.play(|s| s.c(3111, 501, &block));
    assert_eq!((rig.told.log.len(), rig.table.stats().held_flow_limit), (6, 1));
    assert_eq!(rig.told.log[1], "C gap 10");
    assert_eq!(rig.table.held, 0);
}

#[test]
fn or_too_many_segments() {
    let mut rig = Rig::with(&TcpLimits { held_segments_max: 10, ..small() });
    rig.handshake();
    for n in 0..11 {
        rig.play(|s| s.c(111 + n * 2, 501, "x"));
    }
    assert_eq!(rig.table.stats().held_flow_limit, 1);
    assert_eq!((rig.table.stats().gaps, rig.table.held), (11, 0));
}

#[test]
fn the_hole_that_was_waited_for_longest_is_given_up_where_all_hold_too_much() {
    let mut rig = Rig::with(&TcpLimits { held_total_max: 4096, ..small() });
    let block = "x".repeat(1500);
    for n in 0..3 {
        client(&mut rig, n).handshake().play(|s| s.c(111, 501, &block));
    }
    assert_eq!(rig.table.stats().held_total_limit, 1);
    assert!(rig.table.held <= 4096);
    assert_eq!(rig.told.streams[0][0].len(), 1510, "the first one");
    assert_eq!((rig.told.streams[1][0].len(), rig.told.streams[2][0].len()), (0, 0));
    rig.finish();
    assert_eq!(rig.table.held, 0);
}

#[test]
fn limits_are_split_over_the_shards() {
    let table = FlowTable::<()>::new(&[25], &TcpLimits::default());
    assert_eq!((table.limits.attempts_max, table.limits.flows_max), (32_768, 8192));
    assert_eq!((table.limits.closed_max, table.limits.held_total_max), (1024, 2 << 20));
    assert_eq!(table.limits.held_flow_max, 512 << 10, "but not what is for one connection");
}

/// Whatever the seed of the hash, the same segments tell the same story.
#[test]
fn the_story_does_not_depend_on_the_seed() {
    let tell = || {
        let mut rig = Rig::with(&TcpLimits { attempts_max: 50, flows_max: 40, ..small() });
        for n in 0..600u16 {
            client(&mut rig, n).play(|s| s.syn(100));
            if n % 3 == 0 {
                rig.play(|s| s.syn_ack(500, 101)).play(|s| s.c(110, 501, "hole")).play(|s| s.s(501, 114, "220\r\n"));
            }
            if n % 50 == 0 {
                rig.wait(Span::secs(2));
            }
        }
        rig.finish();
        let Recorder { log, connections, attempts, .. } = rig.told;
        (log, connections, attempts)
    };
    let first = tell();
    assert_eq!(first, tell());
    assert!(first.1.len() == 200 && first.2.len() == 400);
}

#[test]
fn the_end_comes_in_the_order_of_first_frames() {
    let mut rig = Rig::new();
    for n in 0..20 {
        client(&mut rig, n).play(|s| s.syn(100));
    }
    for n in (0..20).rev().step_by(2) {
        client(&mut rig, n).play(|s| s.syn_ack(500, 101));
    }
    rig.finish();
    assert!(rig.told.attempts.is_sorted_by_key(|attempt| attempt.first));
    assert!(rig.told.connections.is_sorted_by_key(|connection| connection.first));
    let mut order = rig.told.log.iter().filter(|line| *line != "open");
    assert!(order.all(|line| line.starts_with("close") || line.starts_with("unanswered")));
}

/// Not a test of speed for every day: `cargo test --release --lib tcp:: -- --ignored --nocapture speed`.
#[test]
#[ignore = "measures"]
#[expect(clippy::print_stdout, reason = "a measurement tells")]
fn speed() {
    struct Count(u64);
    impl FlowSink for Count {
        type App = u64;
        fn open(&mut self, _: &ConnStart) -> u64 {
            0
        }
        fn stream(&mut self, app: &mut u64, _: &ConnStart, event: crate::tcp::StreamEvent<'_>) {
            if let crate::tcp::StreamEvent::Data { bytes, .. } = event {
                *app += bytes.len() as u64;
            }
        }
        fn close(&mut self, app: u64, _: &ConnStart, _: crate::tcp::Connection, _: At) {
            self.0 += app;
        }
        fn unanswered(&mut self, attempt: crate::tcp::Attempt, _: At) {
            self.0 += u64::from(attempt.syns);
        }
    }
    let limits = TcpLimits::default();
    let mut sink = Count(0);

    // Dialogues of thirty frames, five thousand open at once, over sixteen shards.
    let mut tables: Vec<FlowTable<u64>> = (0..limits.shards).map(|_| FlowTable::new(&[25], &limits)).collect();
    let mut script = Script::new();
    let body = "x".repeat(1448);
    let mut rounds: Vec<Vec<Seg>> = Vec::new();
    for n in 0..5000u32 {
        script.client.host = host(n % 1000);
        script.client.port = 1024 + (n / 1000) as u16;
        let mut segs = vec![
            script.syn(100),
            script.syn_ack(500, 101),
            script.c(101, 501, ""),
            script.s(501, 101, "220 hello\r\n"),
        ];
        let (mut c, mut s) = (101, 512);
        for _ in 0..6 {
            segs.push(script.c(c, s, "RCPT TO:<somebody@example.com>\r\n"));
            c += 32;
            segs.push(script.s(s, c, "250 ok\r\n"));
            s += 8;
        }
        for _ in 0..5 {
            segs.push(script.c(c, s, &body));
            c += 1448;
            segs.push(script.s(s, c, ""));
        }
        segs.push(script.c_fin(c, s, ""));
        segs.push(script.s_fin(s, c + 1, ""));
        segs.push(script.c(c + 1, s + 1, ""));
        rounds.push(segs);
    }
    // Time on the processor, so that what else runs does not count.
    let clock = || -> f64 {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        stat.split(' ').next().unwrap().parse().unwrap()
    };
    let shard = |seg: &Seg| seg.head.key.stable_hash() as usize % 16;
    let (mut frames, mut best) = (0, f64::MAX);
    for round in 0..6 {
        // Stagger the dialogues, so that all stages are open at once; stamps and frames go on.
        let mut batch: Vec<Seg> = Vec::new();
        for step in 0..30 {
            batch.extend(rounds.iter().filter_map(|segs| segs.get(step).cloned()));
        }
        for seg in &mut batch {
            seg.payload = Vec::new(); // All share one buffer: their contents are not looked at.
        }
        for (n, seg) in batch.iter_mut().enumerate() {
            seg.head.at.frame.0 = frames + n as u64 + 1;
            seg.head.at.ts = Ts::from_parts(1_700_000_000 + round * 60, i64::try_from(n).unwrap() * 10_000);
        }
        frames += batch.len() as u64;
        let began = clock();
        for seg in &batch {
            let payload = &body.as_bytes()[..seg.head.payload_len as usize];
            let segment = Segment { head: &seg.head, options: b"", payload };
            let table = &mut tables[shard(seg)];
            table.handle_segment(table.look_up(&seg.head.key), &segment, &mut sink);
        }
        best = best.min((clock() - began) / batch.len() as f64);
        let at = At { ts: Ts::from_parts(1_700_000_000 + round * 60 + 30, 0), frame: FrameNo(frames) };
        for table in &mut tables {
            table.handle_idle(at, &mut sink);
        }
    }
    println!("dialogues: {best:.1} ns a segment, shard choice included, {} bytes", sink.0);

    // SYNs to distinct hosts, for several sizes of the table of attempts.
    let options = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 1, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    let total: u32 = std::env::var("SYNS").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000_000);
    for attempts_max in [32_768, 131_072, limits.attempts_max] {
        let limits = TcpLimits { attempts_max, ..limits.clone() };
        let mut tables: Vec<FlowTable<u64>> = (0..limits.shards).map(|_| FlowTable::new(&[25], &limits)).collect();
        let mut script = Script::new();
        let began = clock();
        for n in 0..total {
            script.server.host = host(n);
            let seg = script.syn(n);
            let segment = Segment { head: &seg.head, options: &options, payload: b"" };
            let table = &mut tables[shard(&seg)];
            table.handle_segment(table.look_up(&seg.head.key), &segment, &mut sink);
        }
        let each = (clock() - began) / f64::from(total);
        println!("flood: {each:.1} ns a SYN with {attempts_max} kept, making it and the shard choice included");
    }
    let mut script = Script::new();
    let began = clock();
    let mut sum = 0;
    for n in 0..total {
        script.server.host = host(n);
        sum += shard(&script.syn(n));
    }
    println!("making it and the shard choice alone: {:.1} ns {}", (clock() - began) / f64::from(total), sum % 2);
    println!("sizes: flow {}, entry {}, attempt 128", size_of::<Flow>(), size_of::<Entry<u64>>());
}
