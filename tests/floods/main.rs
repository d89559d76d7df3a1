//! Floods over every table, with a real infected PC beneath: the PC is found all the same, whoever floods is named, what had to
//! go is counted, and memory stays where it was said to stay.
//!
//! `cargo test` runs them against limits of a hundredth, so that every table overflows with some ten thousand frames. At full size
//! (ten million SYNs, a million dialogues) it is one command, given in `docs/threat-model.md`.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]
#![allow(unreachable_pub, reason = "a module of a test binary")]

mod wire;

use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;
use smtphound::balance;
use smtphound::decode::PortSet;
use smtphound::detect::replies::ReplyRules;
use smtphound::detect::{Class, DetectSettings, Judge, Tier};
use smtphound::engine::Engine;
use smtphound::frame::{Frame, FrameNo, LinkType};
use smtphound::incident::Judgement;
use smtphound::limits::{DecodeLimits, DetectLimits, Limits, TcpLimits};
use smtphound::output::Counts;
use smtphound::pipeline::SoFar;
use smtphound::session::{SessionEvent, SessionEventKind};
use smtphound::site::Site;
use smtphound::time::Ts;

use wire::{ACK, Ip, PSH, RST, SYN, Writer, spoofed, stranger};

/// Who floods, and the infected PC of `captures/infected-pc.pcap`.
const FLOODER: Ip = [192, 168, 10, 66];
const INFECTED: &str = "192.168.10.23";
const SERVER: Ip = [192, 168, 10, 10];
/// The network card that all floods come from.
const CARD: &str = "02:00:00:00:66:66";
/// Outside, as which a gateway shows the flooder.
const GATEWAY: Ip = [203, 0, 113, 66];

/// How large a flood is, against which limits.
#[derive(Clone, Copy)]
struct Size {
    /// Of what there may be ten million.
    packets: u64,
    /// Of what there may be a million.
    dialogues: u64,
    full: bool,
}

const SMALL: Size = Size { packets: 60_000, dialogues: 6_000, full: false };
const FULL: Size = Size { packets: 10_000_000, dialogues: 1_000_000, full: true };

fn limits(size: Size) -> Limits {
    if size.full {
        return Limits::default();
    }
    let all = Limits::default();
    Limits {
        decode: DecodeLimits {
            defrag_datagrams_max: 16,
            defrag_bytes_max: 64 << 10,
            flood_fragments_min: all.decode.flood_fragments_min / 100,
            ..all.decode
        },
        tcp: TcpLimits {
            attempts_max: all.tcp.attempts_max / 100,
            flows_max: all.tcp.flows_max / 100,
            closed_max: all.tcp.closed_max / 100,
            held_total_max: all.tcp.held_total_max / 100,
            ..all.tcp
        },
        detect: DetectLimits {
            hosts_max: all.detect.hosts_max / 100,
            triplets_max: all.detect.triplets_max / 100,
            clients_max: all.detect.clients_max / 100,
            flood_attempts_min: all.detect.flood_attempts_min / 100,
        },
        ..all
    }
}

/// The frames of the capture with the infected PC.
static INFECTION: LazyLock<Vec<(Ts, Vec<u8>)>> = LazyLock::new(|| {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/captures/infected-pc.pcap")).unwrap();
    let (mut frames, mut at) = (Vec::new(), 24);
    while let Some(header) = file.get(at..at + 16) {
        let word = |i: usize| u32::from_le_bytes(header[4 * i..4 * i + 4].try_into().unwrap());
        let end = at + 16 + word(2) as usize;
        frames.push((Ts::from_parts(i64::from(word(0)), i64::from(word(1)) * 1000), file[at + 16..end].to_vec()));
        at = end;
    }
    frames
});

static RULES: LazyLock<Arc<ReplyRules>> = LazyLock::new(|| Arc::new(ReplyRules::builtin()));

/// Floods are large: one at a time, which also makes the memory of one that of the process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Peak memory before the first flood. What an earlier flood of this process left to the allocator counts for the next one,
/// too: that tells too much, where a figure of each would tell too little.
static BEFORE: LazyLock<Option<u64>> = LazyLock::new(peak_kib);

/// Takes the frames of a flood.
struct Stage {
    engine: Engine,
    writer: Writer,
    now: Ts,
    unanswered: u64,
    closed: u64,
}

impl Stage {
    fn show(&mut self, bytes: &[u8]) {
        self.writer.no = FrameNo(self.writer.no.0 + 1);
        let frame = Frame { ts: self.now, link: LinkType::ETHERNET, wire_len: bytes.len() as u32, bytes };
        let Self { engine, unanswered, closed, .. } = self;
        engine.handle_frame(self.writer.no, &frame, &mut |event: &SessionEvent| match event.kind {
            SessionEventKind::Unanswered(_) | SessionEventKind::Flooded(_) => *unanswered += event.connections_ended(),
            SessionEventKind::Closed(_) => *closed += 1,
            _ => {}
        });
    }

    fn send(&mut self, src: (Ip, u16), dst: (Ip, u16), seq: u32, ack: u32, flags: u8, data: &[u8]) {
        let bytes = self.writer.segment(src, dst, seq, ack, flags, data).to_vec();
        self.show(&bytes);
    }
}

/// What a flood came to.
struct Outcome {
    incidents: Vec<(Class, Tier, String)>,
    limits_hit: Value,
    /// What the report tells of floods.
    floods: Value,
    /// The hosts of the report, the worst first.
    hosts: Value,
    grown_kib: u64,
}

impl Outcome {
    /// The incidents of a host, the surest first.
    fn of(&self, host: &str) -> Vec<(Class, Tier)> {
        self.incidents.iter().filter(|(_, _, who)| who == host).map(|(class, tier, _)| (*class, *tier)).collect()
    }

    fn hit(&self, limit: &str) -> u64 {
        self.limits_hit[limit].as_u64().unwrap_or(0)
    }

    /// The promise that holds in every flood.
    fn infected_pc_is_found(&self) -> &Self {
        assert_eq!(self.of(INFECTED).first(), Some(&(Class::MassMailer, Tier::Confirmed)), "{:?}", self.incidents);
        self
    }
}

/// Peak resident memory of this process in KiB; `None` where the system does not tell.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Plays the capture with `count` steps of a flood spread evenly over it.
#[expect(clippy::print_stderr, reason = "at full size, somebody waits and wants the figures")]
fn flood(name: &str, size: Size, count: u64, mut step: impl FnMut(&mut Stage, u64)) -> Outcome {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let limits = limits(size);
    let before = *BEFORE;
    _ = std::fs::write("/proc/self/clear_refs", "5");
    let judge = Judge::new(Site::default(), Arc::clone(&RULES), &DetectSettings::default(), &limits.detect);
    let mut stage = Stage {
        engine: Engine::new(&PortSet::from_iter([25]), &limits, judge),
        writer: Writer::new(),
        now: Ts::EPOCH,
        unanswered: 0,
        closed: 0,
    };
    let frames = &*INFECTION;
    let (first, last) = (frames[0].0, frames[frames.len() - 1].0);
    let whole = last.since(first).as_secs_f64();
    let mut done = 0;
    for (ts, bytes) in frames {
        // By time, so that a flood has no pauses where the office had.
        let due = (ts.since(first).as_secs_f64() / whole * count as f64) as u64;
        while done < due {
            step(&mut stage, done);
            done += 1;
        }
        stage.now = *ts;
        stage.show(bytes);
    }
    let total = stage.writer.no.0;
    let (mut unanswered, mut closed) = (stage.unanswered, stage.closed);
    let finished = stage.engine.finish(&mut |event| match event.kind {
        SessionEventKind::Unanswered(_) | SessionEventKind::Flooded(_) => unanswered += event.connections_ended(),
        SessionEventKind::Closed(_) => closed += 1,
        _ => {}
    });
    let judgement = Judgement::of(&finished.judge);
    let front = finished.front.stats();
    let so_far =
        SoFar { judge: &finished.judge, front: &front, tcp: &finished.tcp, twins: &finished.twins, filtered: 0 };
    let facts = balance::facts(&so_far, Vec::new(), Counts::default());
    let results =
        smtphound::output::Results { facts: &facts, judge: &finished.judge, judgement: &judgement, candidates: &[] };
    assert_eq!(facts.frames.total, total, "every frame has its place");
    // All that is seen twice here is answered, so that none of it is an attempt.
    let told = (closed + finished.twins.joined(), unanswered);
    assert_eq!((finished.tcp.opened, finished.tcp.unanswered), told, "nothing was lost silently");
    let mut report = Vec::new();
    smtphound::output::report::write(&mut report, &results).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let outcome = Outcome {
        incidents: judgement.incidents.iter().map(|i| (i.class, i.tier, i.host.to_string())).collect(),
        limits_hit: report["capture"]["limits_hit"].clone(),
        floods: report["capture"]["floods"].clone(),
        hosts: report["hosts"].clone(),
        grown_kib: peak_kib().zip(before).map_or(0, |(after, before)| after.saturating_sub(before)),
    };
    if size.full {
        eprintln!(
            "{name}: {total} frames, {unanswered} unanswered, {closed} connections, {} KiB more at the peak, limits hit {}, \
             floods {}, worst {:?}",
            outcome.grown_kib,
            outcome.limits_hit,
            outcome.floods,
            outcome.incidents.iter().take(4).collect::<Vec<_>>(),
        );
    }
    outcome
}

const SMTP: u16 = 25;

fn port(n: u64) -> u16 {
    1_025 + (n % 60_000) as u16
}

/// SYNs of one host of ours to as many servers.
fn syns_of_one(size: Size) -> Outcome {
    flood("SYNs of one host", size, size.packets, |stage, n| {
        stage.send((FLOODER, port(n)), (stranger(n), SMTP), n as u32, 0, SYN, b"");
    })
}

/// SYNs to our mail server, each from somebody else outside.
fn syns_of_strangers(size: Size) -> Outcome {
    flood("SYNs of spoofed strangers", size, size.packets, |stage, n| {
        stage.send((stranger(n), port(n)), (SERVER, SMTP), n as u32, 0, SYN, b"");
    })
}

/// SYNs to the world, each from another address of ours that does not exist.
fn syns_of_the_made_up(size: Size) -> Outcome {
    flood("SYNs of made-up hosts of ours", size, size.packets, |stage, n| {
        stage.send((spoofed(n), port(n)), (stranger(n), SMTP), n as u32, 0, SYN, b"");
    })
}

/// Connections that a server answers and whose client never does.
fn half_open(size: Size) -> Outcome {
    flood("half-open flows", size, size.packets, |stage, n| {
        let (client, server) = ((FLOODER, port(n)), (stranger(n), SMTP));
        stage.send(client, server, n as u32, 0, SYN, b"");
        stage.send(server, client, 7, n as u32 + 1, SYN | ACK, b"");
    })
}

/// Dialogues that begin and go no further.
fn open_dialogues(size: Size) -> Outcome {
    flood("open dialogues", size, size.dialogues, |stage, n| {
        let (client, server) = ((FLOODER, port(n)), (stranger(n), SMTP));
        stage.send(client, server, n as u32, 0, SYN, b"");
        stage.send(server, client, 7, n as u32 + 1, SYN | ACK, b"");
        stage.send(server, client, 8, n as u32 + 1, PSH | ACK, b"220 mx.example ESMTP\r\n");
        stage.send(client, server, n as u32 + 1, 30, PSH | ACK, b"EHLO flood.example\r\nMAIL FRO");
    })
}

/// Whole sessions, each with a name, a sender and a recipient that were never used before.
fn ever_new_names(size: Size) -> Outcome {
    flood("ever new names", size, size.dialogues, |stage, n| {
        let (client, server) = ((FLOODER, port(n)), (stranger(n % 500), SMTP));
        let start = n as u32;
        let said = format!(
            "EHLO pc{n}.example\r\nMAIL FROM:<from{n}@sender{n}.example>\r\nRCPT TO:<to{n}@rcpt{n}.example>\r\n"
        );
        let replied = b"250 hello\r\n250 2.1.0 Ok\r\n550 5.1.1 unknown\r\n";
        stage.send(client, server, start, 0, SYN, b"");
        stage.send(server, client, 7, start + 1, SYN | ACK, b"");
        stage.send(server, client, 8, start + 1, PSH | ACK, b"220 mx.example\r\n");
        stage.send(client, server, start + 1, 24, PSH | ACK, said.as_bytes());
        let end = start + 1 + said.len() as u32;
        stage.send(server, client, 24, end, PSH | ACK, replied);
        stage.send(client, server, end, 24 + replied.len() as u32, RST | ACK, b"");
    })
}

/// Sessions of four mails each, no two mails from the same sender to the same recipient.
fn ever_new_mails(size: Size) -> Outcome {
    flood("ever new mails", size, size.dialogues, |stage, n| {
        let (client, server) = ((FLOODER, port(n)), (stranger(n % 500), SMTP));
        let start = n as u32;
        let mail = |m: u64| format!("MAIL FROM:<from{m}@sender.example>\r\nRCPT TO:<to{m}@rcpt.example>\r\nRSET\r\n");
        let said = format!("HELO pc.example\r\n{}", (4 * n..4 * n + 4).map(mail).collect::<String>());
        let replied = format!("250 hello\r\n{}", "250 2.1.0 Ok\r\n550 5.1.1 unknown\r\n250 2.0.0 Ok\r\n".repeat(4));
        stage.send(client, server, start, 0, SYN, b"");
        stage.send(server, client, 7, start + 1, SYN | ACK, b"");
        stage.send(server, client, 8, start + 1, PSH | ACK, b"220 mx.example\r\n");
        stage.send(client, server, start + 1, 24, PSH | ACK, said.as_bytes());
        let end = start + 1 + said.len() as u32;
        stage.send(server, client, 24, end, PSH | ACK, replied.as_bytes());
        stage.send(client, server, end, 24 + replied.len() as u32, RST | ACK, b"");
    })
}

/// Connections seen before and behind a gateway that translates addresses, answered, and left.
fn translated(size: Size) -> Outcome {
    flood("translated connections", size, size.dialogues, |stage, n| {
        let (inner, outer, server) = ((FLOODER, port(n)), (GATEWAY, port(n)), (stranger(n), SMTP));
        for (client, ttl) in [(inner, 64), (outer, 63)] {
            stage.writer.ttl = ttl;
            stage.send(client, server, n as u32, 0, SYN, b"");
        }
        for client in [outer, inner] {
            stage.send(server, client, 7, n as u32 + 1, SYN | ACK, b"");
        }
        stage.writer.ttl = 64;
    })
}

/// Bytes with a hole before them, on ever new connections.
fn holes(size: Size) -> Outcome {
    let data = [b'x'; 1_400];
    flood("holes", size, size.dialogues, |stage, n| {
        let (client, server) = ((FLOODER, port(n)), (stranger(n), SMTP));
        stage.send(client, server, n as u32, 0, SYN, b"");
        stage.send(server, client, 7, n as u32 + 1, SYN | ACK, b"");
        stage.send(client, server, n as u32 + 2_000, 8, PSH | ACK, &data);
    })
}

/// First fragments of datagrams that never end.
fn fragments(size: Size) -> Outcome {
    flood("fragments", size, size.packets, |stage, n| {
        let mut bytes =
            stage.writer.segment((FLOODER, port(n)), (stranger(n), SMTP), 0, 0, PSH | ACK, &[b'x'; 60]).to_vec();
        bytes[20] = 0x20;
        stage.show(&bytes);
    })
}

/// Plays in a process of its own: what an earlier flood left to the allocator would count, too.
fn alone(test: &str, play: impl FnOnce()) {
    const ALONE: &str = "SMTPHOUND_FLOOD_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return play();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    assert!(command.args([test, "--exact", "--ignored", "--nocapture"]).env(ALONE, "1").status().unwrap().success());
}

macro_rules! floods {
    ($($(#[$doc:meta])* $name:ident = $run:ident => |$outcome:ident| $check:block)*) => {
        $(fn $name($outcome: &Outcome) $check)*

        mod scaled {
            $(#[test]
            fn $name() {
                super::$name(super::$run(super::SMALL).infected_pc_is_found());
            })*
        }

        mod full {
            $(#[test]
            #[ignore = "takes minutes and wants optimised code; see docs/threat-model.md"]
            fn $name() {
                super::alone(concat!("full::", stringify!($name)), || {
                    super::$name(super::$run(super::FULL).infected_pc_is_found());
                });
            })*
        }
    };
}

/// The host that floods is named.
fn named(outcome: &Outcome) {
    let of = outcome.of("192.168.10.66");
    assert!(!of.is_empty(), "{:?}", outcome.incidents);
}

/// The card that floods is named, and no other, with nearly all of the flood: of the minutes at its ends one may be too short.
fn card_named(outcome: &Outcome, kind: &str) -> Value {
    let floods = outcome.floods.as_array().unwrap();
    let [flood] = floods.as_slice() else { panic!("{floods:?}") };
    assert_eq!(
        (&flood["kind"], &flood["mac"], &flood["router"]),
        (&kind.into(), &CARD.into(), &false.into()),
        "{flood}"
    );
    assert!(flood["count"].as_u64().unwrap() >= SMALL.packets / 10 * 9, "{flood}");
    flood.clone()
}

/// Nearly each had an address of its own.
fn from_everywhere(flood: &Value) {
    let (sources, count) = (flood["sources"].as_u64().unwrap(), flood["count"].as_u64().unwrap());
    assert!(flood["source"].is_null() && sources.abs_diff(count) < count / 10, "{flood}");
}

floods! {
    one_host_of_ours_scans_the_world = syns_of_one => |outcome| {
        named(outcome);
        let flood = card_named(outcome, "attempts");
        assert_eq!((&flood["source"], &flood["sources"]), (&"192.168.10.66".into(), &1.into()), "{flood}");
        assert!(flood["toward"].is_null(), "{flood}");
        assert!(outcome.hit("attempts_evicted") > 0, "{:?}", outcome.limits_hit);
        assert!(outcome.grown_kib < 400 << 10, "{} KiB", outcome.grown_kib);
    }
    the_world_knocks_at_our_server = syns_of_strangers => |outcome| {
        let flood = card_named(outcome, "attempts");
        from_everywhere(&flood);
        assert_eq!(flood["toward"], "192.168.10.10", "{flood}");
        assert!(outcome.hit("attempts_evicted") > 0, "{:?}", outcome.limits_hit);
        assert!(outcome.grown_kib < 400 << 10, "{} KiB", outcome.grown_kib);
    }
    hosts_that_do_not_exist_knock_at_the_world = syns_of_the_made_up => |outcome| {
        let flood = card_named(outcome, "attempts");
        from_everywhere(&flood);
        assert!(flood["toward"].is_null(), "{flood}");
        // Who does not exist is accused of nothing, and pushes nobody out of the report.
        assert!(outcome.incidents.iter().all(|(_, _, host)| !host.starts_with("10.")), "{:?}", outcome.incidents);
        let first: Vec<_> = (0..5).filter_map(|n| outcome.hosts[n]["ip"].as_str()).collect();
        assert!(first.iter().all(|host| host.starts_with("192.168.10.")), "{first:?}");
        assert_eq!(first[..2], [INFECTED, "192.168.10.10"]);
        assert!(outcome.hit("attempts_evicted") > 0, "{:?}", outcome.limits_hit);
        assert!(outcome.grown_kib < 1_200 << 10, "{} KiB", outcome.grown_kib);
    }
    connections_are_opened_and_left = half_open => |outcome| {
        named(outcome);
        assert_eq!(card_named(outcome, "attempts")["source"], "192.168.10.66");
        assert!(outcome.hit("quiet_connections_evicted") > 0, "{:?}", outcome.limits_hit);
        assert!(outcome.grown_kib < 800 << 10, "{} KiB", outcome.grown_kib);
    }
    dialogues_are_begun_and_left = open_dialogues => |outcome| {
        named(outcome);
        assert!(outcome.hit("active_connections_evicted") > 0, "{:?}", outcome.limits_hit);
        assert!(outcome.grown_kib < 800 << 10, "{} KiB", outcome.grown_kib);
    }
    a_gateway_shows_every_connection_twice = translated => |outcome| {
        named(outcome);
        assert!(outcome.hit("quiet_connections_evicted") > 0, "{:?}", outcome.limits_hit);
        assert!(outcome.grown_kib < 800 << 10, "{} KiB", outcome.grown_kib);
    }
    every_session_has_new_names = ever_new_names => |outcome| {
        assert_eq!(outcome.of("192.168.10.66").first(), Some(&(Class::MassMailer, Tier::Confirmed)));
        assert!(outcome.grown_kib < 800 << 10, "{} KiB", outcome.grown_kib);
    }
    every_mail_is_a_new_one = ever_new_mails => |outcome| {
        assert_eq!(outcome.of("192.168.10.66").first(), Some(&(Class::MassMailer, Tier::Confirmed)));
        assert!(outcome.hit("judge_filters") > 0, "{:?}", outcome.limits_hit);
        assert!(outcome.grown_kib < 800 << 10, "{} KiB", outcome.grown_kib);
    }
    every_connection_has_a_hole = holes => |outcome| {
        named(outcome);
        assert!(outcome.hit("reassembly_of_all") > 0, "{:?}", outcome.limits_hit);
        assert!(outcome.grown_kib < 800 << 10, "{} KiB", outcome.grown_kib);
    }
    fragments_never_end = fragments => |outcome| {
        let flood = card_named(outcome, "fragments");
        assert_eq!((&flood["source"], &flood["sources"]), (&"192.168.10.66".into(), &1.into()), "{flood}");
        assert!(outcome.hit("fragments_evicted") > 0, "{:?}", outcome.limits_hit);
        assert!(outcome.grown_kib < 400 << 10, "{} KiB", outcome.grown_kib);
    }
}
