//! What each stage costs by itself, on a recorded capture (`cargo bench`): time a frame, segment, line or event, and what it
//! allocates. `benches/compare.sh` measures the whole program.
//!
//! Every stage works on what the stage before made of the same capture, kept in memory, so that none pays for another.
//! `SMTPHOUND_BENCH` names another capture than `captures/healthy-day.pcap`.

#![allow(clippy::unwrap_used, reason = "a benchmark stops where something is not as it must be")]

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher, black_box};

use smtphound::capture::{Captured, FrameSource, OpenOptions, open_file};
use smtphound::decode::{Decoded, Decoder, PortSet, Segment, SegmentHeader};
use smtphound::detect::replies::ReplyRules;
use smtphound::detect::{DetectSettings, Judge};
use smtphound::engine::{EVENTS_AT_ONCE, Engine, Shard};
use smtphound::frame::{At, Frame, FrameNo, LinkType};
use smtphound::limits::Limits;
use smtphound::net::Side;
use smtphound::output::{LineForm, SessionWriter};
use smtphound::session::SessionEvent;
use smtphound::site::Site;
use smtphound::smtp::{LineSplitter, command, reply};
use smtphound::tcp::{Attempt, ConnStart, Connection, FlowSink, FlowTable, StreamEvent};
use smtphound::time::Ts;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A frame that was read.
struct Kept {
    no: FrameNo,
    ts: Ts,
    link: LinkType,
    wire_len: u32,
    bytes: Vec<u8>,
}

impl Kept {
    fn frame(&self) -> Frame<'_> {
        Frame { ts: self.ts, link: self.link, wire_len: self.wire_len, bytes: &self.bytes }
    }
}

/// A segment without a borrow.
struct Owned {
    head: SegmentHeader,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Owned {
    fn segment(&self) -> Segment<'_> {
        Segment { head: &self.head, options: &self.options, payload: &self.payload }
    }
}

static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);
static PORTS: LazyLock<PortSet> = LazyLock::new(PortSet::default);
static RULES: LazyLock<Arc<ReplyRules>> = LazyLock::new(|| Arc::new(ReplyRules::builtin()));

static FRAMES: LazyLock<Vec<Kept>> = LazyLock::new(|| {
    let path = std::env::var_os("SMTPHOUND_BENCH").map_or_else(|| "captures/healthy-day.pcap".into(), PathBuf::from);
    let mut source = open_file(&path, &OpenOptions::default()).unwrap();
    let mut frames = Vec::new();
    while let Some(next) = source.next_frame() {
        if let Captured::Frame(no, Frame { ts, link, wire_len, bytes }) = next.unwrap() {
            frames.push(Kept { no, ts, link, wire_len, bytes: bytes.to_vec() });
        }
    }
    frames
});

static SEGMENTS: LazyLock<Vec<Owned>> = LazyLock::new(|| {
    let mut decoder = decoder();
    let mut segments = Vec::new();
    for kept in &*FRAMES {
        if let Decoded::Segment(Segment { head, options, payload }) = decoder.decode(kept.no, &kept.frame()) {
            segments.push(Owned { head: *head, options: options.to_vec(), payload: payload.to_vec() });
        }
    }
    segments
});

/// What both sides said, connection by connection, in pieces as they came.
static STREAMS: LazyLock<Vec<(Side, Vec<u8>)>> = LazyLock::new(|| {
    let mut sink = Streams::default();
    follow(&mut sink);
    sink.0
});

static EVENTS: LazyLock<Vec<SessionEvent>> = LazyLock::new(|| {
    let mut events = Vec::new();
    let mut engine = Engine::new(&PORTS, &LIMITS, judge());
    for kept in &*FRAMES {
        engine.handle_frame(kept.no, &kept.frame(), &mut |event| events.push(event.clone()));
    }
    engine.finish(&mut |event| events.push(event.clone()));
    events
});

fn decoder() -> Decoder {
    Decoder::new(PORTS.clone(), &LIMITS.decode)
}

fn judge() -> Judge {
    Judge::new(Site::default(), Arc::clone(&RULES), &DetectSettings::default(), &LIMITS.detect)
}

fn last() -> At {
    SEGMENTS.last().unwrap().head.at
}

fn ports() -> Vec<u16> {
    PORTS.iter().collect()
}

/// Follows all segments, whatever becomes of them.
fn follow<S: FlowSink>(sink: &mut S) {
    let mut table = FlowTable::new(&ports(), &LIMITS.tcp);
    for owned in &*SEGMENTS {
        table.handle_segment(table.look_up(&owned.head.key), &owned.segment(), sink);
    }
    table.finish(last(), sink);
}

/// Takes everything and does nothing.
struct Nothing;

impl FlowSink for Nothing {
    type App = ();

    fn open(&mut self, _: &ConnStart) {}

    fn stream(&mut self, (): &mut (), _: &ConnStart, event: StreamEvent<'_>) {
        black_box(event);
    }

    fn close(&mut self, (): (), _: &ConnStart, connection: Connection, _: At) {
        black_box(connection);
    }

    fn unanswered(&mut self, attempt: Attempt, _: At) {
        black_box(attempt);
    }
}

/// Keeps what was said.
#[derive(Default)]
struct Streams(Vec<(Side, Vec<u8>)>);

impl FlowSink for Streams {
    type App = Vec<(Side, Vec<u8>)>;

    fn open(&mut self, _: &ConnStart) -> Self::App {
        Vec::new()
    }

    fn stream(&mut self, said: &mut Self::App, _: &ConnStart, event: StreamEvent<'_>) {
        if let StreamEvent::Data { side, bytes, .. } = event {
            said.push((side, bytes.to_vec()));
        }
    }

    fn close(&mut self, said: Self::App, _: &ConnStart, _: Connection, _: At) {
        self.0.extend(said);
    }

    fn unanswered(&mut self, _: Attempt, _: At) {}
}

/// Frames to segments.
#[divan::bench]
fn decode(bencher: Bencher) {
    bencher.counter(ItemsCount::of_iter(&*FRAMES)).with_inputs(decoder).bench_refs(|decoder| {
        for kept in &*FRAMES {
            black_box(decoder.decode(kept.no, &kept.frame()));
        }
    });
}

/// A key's hash and where its connection stands, all of them there.
#[divan::bench]
fn flow_look_up(bencher: Bencher) {
    let mut table = FlowTable::new(&ports(), &LIMITS.tcp);
    for owned in &*SEGMENTS {
        table.handle_segment(table.look_up(&owned.head.key), &owned.segment(), &mut Nothing);
    }
    bencher.counter(ItemsCount::of_iter(&*SEGMENTS)).bench_local(|| {
        for owned in &*SEGMENTS {
            black_box(table.look_up(&owned.head.key));
        }
    });
}

/// Look-up, states and reassembly: segments to streams.
#[divan::bench]
fn reassembly(bencher: Bencher) {
    bencher.counter(ItemsCount::of_iter(&*SEGMENTS)).bench(|| follow(&mut Nothing));
}

/// Streams to lines, mail data as well.
#[divan::bench]
fn lines(bencher: Bencher) {
    let bytes: usize = STREAMS.iter().map(|(_, bytes)| bytes.len()).sum();
    bencher.counter(BytesCount::new(bytes)).bench(|| {
        let mut splitter = LineSplitter::new(LIMITS.smtp.mail_header_max);
        for (_, bytes) in &*STREAMS {
            let mut rest = bytes.as_slice();
            while let Some(line) = splitter.next(&mut rest) {
                black_box(line.odd_bytes());
            }
        }
    });
}

/// Whole lines to commands and replies.
#[divan::bench]
fn grammar(bencher: Bencher) {
    let mut lines = Vec::new();
    for (side, bytes) in &*STREAMS {
        lines.extend(bytes.split_inclusive(|byte| *byte == b'\n').map(|line| (*side, line.trim_ascii_end())));
    }
    bencher.counter(ItemsCount::of_iter(&lines)).bench(|| {
        for (side, line) in &lines {
            match side {
                Side::Orig => drop(black_box(command::parse(line))),
                Side::Resp => drop(black_box(reply::parse_line(line))),
            }
        }
    });
}

/// Segments to session events: reassembly, lines, grammar and dialogue together.
#[divan::bench]
fn dialogue(bencher: Bencher) {
    bencher.counter(ItemsCount::of_iter(&*SEGMENTS)).with_inputs(|| Shard::new(&ports(), &LIMITS)).bench_values(
        |mut shard| {
            let hasher = FlowTable::<()>::new(&ports(), &LIMITS.tcp);
            let mut drop_it = |event: SessionEvent| drop(black_box(event));
            for owned in &*SEGMENTS {
                shard.handle_segment(hasher.look_up(&owned.head.key), &owned.segment(), &mut drop_it);
            }
            shard.finish(last(), &mut drop_it);
        },
    );
}

/// Session events to what is known of hosts.
#[divan::bench]
fn judgement(bencher: Bencher) {
    bencher.counter(ItemsCount::of_iter(&*EVENTS)).with_inputs(judge).bench_refs(|judge| {
        for events in EVENTS.chunks(EVENTS_AT_ONCE) {
            judge.handle_all(events, &mut |_| ());
        }
    });
}

/// Session events to session lines.
#[divan::bench]
fn session_lines(bencher: Bencher) {
    bencher.counter(ItemsCount::of_iter(&*EVENTS)).bench(|| {
        let mut writer = SessionWriter::new(std::io::sink(), LineForm::Native);
        EVENTS.iter().for_each(|event| writer.handle(event).unwrap());
        writer.finish().unwrap()
    });
}

/// Frames to incidents, on one thread.
#[divan::bench]
fn everything(bencher: Bencher) {
    bencher.counter(ItemsCount::of_iter(&*FRAMES)).bench(|| {
        let mut engine = Engine::new(&PORTS, &LIMITS, judge());
        FRAMES.iter().for_each(|kept| engine.handle_frame(kept.no, &kept.frame(), &mut |_| ()));
        engine.finish(&mut |_| ()).judge.findings()
    });
}
