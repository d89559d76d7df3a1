use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tempfile::TempDir;

use crate::frame::LinkType;

use super::*;

mod filtered;
use filtered::{filtered, mail_and_other};

/// Seconds, fraction in the file's unit, bytes.
type Record<'a> = (u32, u32, &'a [u8]);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Big,
    Little,
}

impl Order {
    fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

/// A classic capture.
fn pcap(order: Order, magic: u32, link: u32, records: &[Record<'_>]) -> Vec<u8> {
    let word = |value| order.u32(value);
    let mut file = [word(magic).as_slice(), &order.u16(2), &order.u16(4), &[0; 8], &word(65_535), &word(link)].concat();
    for (secs, fraction, bytes) in records {
        let length = word(bytes.len() as u32);
        file.extend([&word(*secs), &word(*fraction), &length, &length, *bytes].concat());
    }
    file
}

const MICROS: u32 = 0xa1b2_c3d4;
const NANOS: u32 = 0xa1b2_3c4d;

fn micros(records: &[Record<'_>]) -> Vec<u8> {
    pcap(Order::Little, MICROS, 1, records)
}

/// Builds pcapng blocks in one byte order.
struct Ng(Order);

impl Ng {
    fn block(&self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padding = body.len().next_multiple_of(4) - body.len();
        let length = self.0.u32((12 + body.len() + padding) as u32);
        [&self.0.u32(kind), &length, body, &vec![0; padding], &length].concat()
    }

    fn section(&self) -> Vec<u8> {
        self.block(0x0a0d_0d0a, &[&self.0.u32(0x1a2b_3c4d)[..], &self.0.u16(1), &self.0.u16(0), &[0xff; 8]].concat())
    }

    fn interface(&self, link: u16, snap_len: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = [&self.0.u16(link)[..], &[0, 0], &self.0.u32(snap_len)].concat();
        for (code, value) in options {
            let padding = value.len().next_multiple_of(4) - value.len();
            body.extend([&self.0.u16(*code), &self.0.u16(value.len() as u16)[..], value, &vec![0; padding]].concat());
        }
        if !options.is_empty() {
            body.extend([0; 4]);
        }
        self.block(1, &body)
    }

    fn enhanced(&self, interface: u32, ticks: u64, bytes: &[u8], wire_len: u32) -> Vec<u8> {
        let words = [interface, (ticks >> 32) as u32, ticks as u32, bytes.len() as u32, wire_len];
        self.block(6, &[&words.map(|word| self.0.u32(word)).concat(), bytes].concat())
    }

    fn simple(&self, bytes: &[u8], wire_len: u32) -> Vec<u8> {
        self.block(3, &[&self.0.u32(wire_len)[..], bytes].concat())
    }

    fn obsolete(&self, interface: u16, ticks: u64, bytes: &[u8]) -> Vec<u8> {
        let length = bytes.len() as u32;
        let words = [(ticks >> 32) as u32, ticks as u32, length, length].map(|word| self.0.u32(word)).concat();
        self.block(2, &[&self.0.u16(interface)[..], &self.0.u16(3), &words, bytes].concat())
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// Files of a test, gone with it.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, bytes: &[u8]) -> Result<Box<dyn FrameSource + Send>, CaptureError> {
        // The name says nothing of the content.
        open_file(&self.put("capture.txt", bytes), &OpenOptions::default())
    }
}

/// All that a source says: a line for each frame, and for each error.
fn transcript(source: &mut dyn FrameSource) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(next) = source.next_frame() {
        lines.push(match next {
            Ok(Captured::Frame(no, Frame { ts, link, wire_len, bytes })) => {
                format!("{} {ts} link {} {}/{wire_len} {:02x}", no.0, link.0, bytes.len(), bytes.first().unwrap_or(&0))
            }
            Ok(Captured::Filtered(no, ts)) => format!("{} {ts} filtered", no.0),
            Ok(Captured::Idle(ts)) => format!("idle {ts}"),
            Err(error) => error.to_string().split(": ").skip(1).collect::<Vec<_>>().join(": "),
        });
    }
    assert!(source.next_frame().is_none(), "the end is the end");
    lines
}

fn read(bytes: &[u8]) -> Vec<String> {
    let files = Files::new();
    let mut source = files.open(bytes).unwrap_or_else(|error| panic!("{error}"));
    transcript(&mut source)
}

fn files_error(bytes: &[u8]) -> CaptureError {
    Files::new().open(bytes).err().unwrap()
}

fn refusal(bytes: &[u8]) -> String {
    let error = files_error(bytes).to_string();
    assert!(error.contains("capture.txt"), "the operator must know which file: {error}");
    error
}

const TWO: [Record<'static>; 2] = [(1_772_617_327, 41_431, &[0xaa; 60]), (1_772_617_328, 5, &[0xbb; 61])];
const TWO_READ: [&str; 2] =
    ["1 2026-03-04T09:42:07.041431Z link 1 60/60 aa", "2 2026-03-04T09:42:08.000005Z link 1 61/61 bb"];

#[test]
fn classic_captures_of_both_orders_and_precisions() {
    for order in [Order::Big, Order::Little] {
        assert_eq!(read(&pcap(order, MICROS, 1, &TWO)), TWO_READ, "{order:?}");
        let nanos = read(&pcap(order, NANOS, 1, &[(1, 999_999_999, &[1])]));
        assert_eq!(nanos, ["1 1970-01-01T00:00:01.999999999Z link 1 1/1 01"], "{order:?}");
    }
    assert_eq!(read(&micros(&[])), Vec::<String>::new(), "no frame is no error");
}

#[test]
fn link_types_come_without_what_is_said_of_checksums() {
    for (in_file, link) in [(0, 0), (9, 9), (101, 101), (113, 113), (228, 228), (276, 276), (0x1400_0001, 1)] {
        let lines = read(&pcap(Order::Little, MICROS, in_file, &[(1, 0, &[7])]));
        assert_eq!(lines, [format!("1 1970-01-01T00:00:01.000000Z link {link} 1/1 07")]);
    }
}

/// Old variants: longer headers of frames, and lengths the other way round.
#[test]
fn classic_captures_of_the_nineties() {
    for order in [Order::Big, Order::Little] {
        let word = |value| order.u32(value);
        let header = |magic, major, minor| {
            [&word(magic)[..], &order.u16(major), &order.u16(minor), &[0; 8], &word(65_535), &word(1)].concat()
        };
        let frame =
            |one, other, rest: &[u8]| [&word(1)[..], &word(2), &word(one), &word(other), rest, &[7; 4]].concat();
        let expected = ["1 1970-01-01T00:00:01.000002Z link 1 4/9 07"];
        assert_eq!(read(&[header(0xa1b2_cd34, 2, 4), frame(4, 9, &[0; 8])].concat()), expected);
        for (major, minor, one, other) in [(2, 2, 9, 4), (543, 0, 9, 4), (2, 3, 9, 4), (2, 3, 4, 9)] {
            let file = [header(MICROS, major, minor), frame(one, other, &[])].concat();
            assert_eq!(read(&file), expected, "{major}.{minor}");
        }
        assert!(refusal(&header(MICROS, 1, 2)).ends_with("is damaged: version 1.2 of pcap is not known"));
    }
}

#[test]
fn frames_that_lie_in_two_fillings_of_the_buffer() {
    // Lengths that meet the end of a buffer of 256 KiB in every part of a frame, sooner or later.
    let frames: Vec<Vec<u8>> = (0..120).map(|n| vec![n as u8; 20_000 + 4_099 * n % 7_001]).collect();
    let records: Vec<Record<'_>> = frames.iter().map(|bytes| (1, 0, bytes.as_slice())).collect();
    let file = micros(&records);
    for bytes in [file.clone(), gzip(&file)] {
        let files = Files::new();
        let mut source = files.open(&bytes).unwrap();
        for frame in &frames {
            let Some(Ok(Captured::Frame(_, read))) = source.next_frame() else { panic!("a frame") };
            assert_eq!(read.bytes, frame);
        }
        assert!(source.next_frame().is_none());
    }
}

#[test]
fn packed_captures_read_like_plain_ones() {
    let plain = micros(&TWO);
    let (head, tail) = plain.split_at(50);
    let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(&plain)].concat();
    for packed in
        [gzip(&plain), [gzip(head), gzip(tail)].concat(), zstd(&plain), [zstd(head), zstd(tail)].concat(), skippable]
    {
        assert_eq!(read(&packed), TWO_READ);
    }
    let ng = Ng(Order::Little);
    let plain = [ng.section(), ng.interface(1, 0, &[]), ng.enhanced(0, 1, &[1], 1)].concat();
    let expected = ["1 1970-01-01T00:00:00.000001Z link 1 1/1 01"];
    assert_eq!(read(&gzip(&plain)), expected);
    assert_eq!(read(&zstd(&plain)), expected);
}

#[test]
fn pcapng_with_interfaces_that_differ_in_everything() {
    for order in [Order::Big, Order::Little] {
        let ng = Ng(order);
        let offset: &[u8] = &if order == Order::Big { 100_i64.to_be_bytes() } else { 100_i64.to_le_bytes() };
        let file = [
            ng.section(),
            ng.interface(1, 65_535, &[]),
            ng.interface(101, 96, &[(2, b"any"), (9, &[9])]), // if_name, and nanoseconds
            ng.interface(113, 0, &[(9, &[0x8a])]),            // 1,024 ticks a second
            ng.interface(0, 8, &[(9, &[0]), (14, offset)]),   // seconds, and an offset
            ng.block(5, &[0; 12]),                            // interface statistics
            ng.block(0x0bad_f00d, b"of an unknown kind"),
            ng.enhanced(0, 1_500_000, &[0xa0; 5], 1500),
            ng.enhanced(1, 1_500_000_001, &[0xa1], 1),
            ng.enhanced(2, 1536, &[0xa2; 2], 2),
            ng.enhanced(3, 1, &[0xa3; 3], 3),
            ng.obsolete(1, 7, &[0xa4; 4]),
            ng.simple(&[0xa5; 6], 6),
            // Another section, in the other order, with its own interfaces.
            Ng(if order == Order::Big { Order::Little } else { Order::Big }).section(),
        ];
        let other = Ng(if order == Order::Big { Order::Little } else { Order::Big });
        let more = [other.interface(276, 4, &[]), other.simple(&[0xa6; 4], 99), other.enhanced(0, 2, &[], 0)];
        let lines = read(&[file.concat(), more.concat()].concat());
        assert_eq!(
            lines,
            [
                "1 1970-01-01T00:00:01.500000Z link 1 5/1500 a0",
                "2 1970-01-01T00:00:01.500000001Z link 101 1/1 a1",
                "3 1970-01-01T00:00:01.500000Z link 113 2/2 a2",
                "4 1970-01-01T00:01:41.000000Z link 0 3/3 a3",
                "5 1970-01-01T00:00:00.000000007Z link 101 4/4 a4",
                "6 1970-01-01T00:00:00.000000Z link 1 6/6 a5",
                "7 1970-01-01T00:00:00.000000Z link 276 4/99 a6",
                "8 1970-01-01T00:00:00.000002Z link 276 0/0 00",
            ],
            "{order:?}"
        );
    }
}

#[test]
fn dropped_frames_are_those_that_the_statistics_count() {
    for order in [Order::Big, Order::Little] {
        let ng = Ng(order);
        let statistics = |interface: u32, options: &[(u16, u32)]| {
            let mut body = [&order.u32(interface)[..], &[0; 8]].concat();
            for &(code, value) in options {
                let halves = if order == Order::Big { [0, value] } else { [value, 0] };
                body.extend(
                    [&order.u16(code)[..], &order.u16(8), &halves.map(|half| order.u32(half)).concat()].concat(),
                );
            }
            ng.block(5, &body)
        };
        let start = [ng.section(), ng.interface(1, 0, &[]), ng.interface(1, 0, &[])].concat();
        let dropped = |blocks: &[Vec<u8>]| {
            let files = Files::new();
            let mut source = files.open(&[start.clone(), blocks.concat()].concat()).unwrap();
            assert_eq!(transcript(&mut source), Vec::<String>::new());
            source.summaries()[0].dropped
        };
        assert_eq!(dropped(&[]), None);
        assert_eq!(dropped(&[statistics(0, &[])]), Some(0));
        assert_eq!(dropped(&[statistics(0, &[(4, 1000), (5, 3), (7, 20)])]), Some(23));
        // Counts from the beginning of the capture: the later one holds the earlier one.
        assert_eq!(dropped(&[statistics(0, &[(7, 5)]), statistics(1, &[(7, 1)]), statistics(0, &[(7, 9)])]), Some(10));
        assert_eq!(dropped(&[statistics(7, &[(7, 5)])]), None, "of an interface that was not described");
    }
}

#[test]
fn a_pcapng_that_contradicts_itself_ends_there() {
    let ng = Ng(Order::Little);
    let start = [ng.section(), ng.interface(1, 0, &[]), ng.enhanced(0, 0, &[1], 1)].concat();
    let mut lengths_differ = ng.enhanced(0, 0, &[2], 1);
    *lengths_differ.last_mut().unwrap() = 1;
    let mut frame_too_long = ng.enhanced(0, 0, &[2], 1);
    frame_too_long[20] = 200;
    let huge = [6, 0, 0, 0, 0, 0, 0, 0x70];
    let tiny = [6, 0, 0, 0, 4, 0, 0, 0];
    let unordered = [0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 1, 2, 3, 4];
    for (damage, says) in [
        (lengths_differ, "the two lengths of a block differ"),
        (frame_too_long, "a frame is longer than its block"),
        (huge.to_vec(), "a block claims a length of 1879048192 bytes"),
        (tiny.to_vec(), "a block claims a length of 4 bytes"),
        (unordered.to_vec(), "a section has no byte order"),
        (ng.enhanced(1, 0, &[2], 1), "a frame is of interface 1, which was not described"),
        (ng.interface(1, 0, &[(9, &[99])]), "an interface has an unknown time resolution"),
        (ng.block(6, &[0; 8]), "a packet block is too short"),
    ] {
        let lines = read(&[start.clone(), damage, ng.enhanced(0, 0, &[3], 1)].concat());
        assert_eq!(lines, ["1 1970-01-01T00:00:00.000000Z link 1 1/1 01", says]);
    }
}

#[test]
fn a_file_cut_anywhere_gives_its_whole_frames_and_says_so() {
    let files = Files::new();
    let ng = Ng(Order::Little);
    let frames = [ng.enhanced(0, 1, &[0xaa; 60], 60), ng.enhanced(0, 2, &[0xbb; 61], 61)];
    let start = [ng.section(), ng.interface(1, 0, &[])].concat();
    let (first, second) = (start.len() + frames[0].len(), start.len() + frames[0].len() + frames[1].len());
    let whole = [
        (micros(&TWO), [24, 24 + 76, 24 + 76 + 77]),
        ([start.clone(), frames.concat()].concat(), [start.len(), first, second]),
    ];
    for (bytes, borders) in whole {
        for cut in 1..bytes.len() {
            let mut source = match files.open(&bytes[..cut]) {
                Ok(source) => source,
                Err(error) => {
                    assert!(cut < borders[0], "cut at {cut}: {error}");
                    continue;
                }
            };
            let lines = transcript(&mut source);
            let frames = borders[1..].iter().filter(|&&border| border <= cut).count();
            // A pcapng section without interfaces is whole.
            let clean = borders.contains(&cut) || (bytes[0] == 0x0a && cut == 28);
            assert_eq!(lines.len(), frames + usize::from(!clean), "cut at {cut}: {lines:?}");
            let [summary] = source.summaries().try_into().unwrap();
            assert_eq!((summary.frames, summary.truncated), (frames as u64, !clean), "cut at {cut}");
            assert_eq!(summary.error.is_some(), !clean, "cut at {cut}");
        }
    }
}

#[test]
fn a_packed_file_cut_anywhere_is_truncated_never_whole() {
    let files = Files::new();
    let mut state = 1_u32;
    // Bytes that do not compress, so that cuts fall into frames.
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(200)
    .collect();
    let plain = micros(&[(1, 0, &noise[..100]), (2, 0, &noise[100..])]);
    for packed in [gzip(&plain), zstd(&plain)] {
        for cut in 1..packed.len() {
            match files.open(&packed[..cut]) {
                Ok(mut source) => {
                    let lines = transcript(&mut source);
                    let [summary] = source.summaries().try_into().unwrap();
                    assert!(summary.truncated, "cut at {cut}: {lines:?}");
                    assert_eq!(lines.len() as u64, summary.frames + 1, "cut at {cut}: {lines:?}");
                }
                Err(error) => assert!(
                    matches!(error, CaptureError::Truncated { .. } | CaptureError::Empty { .. })
                        || (cut < 4 && matches!(error, CaptureError::NotACapture { .. })),
                    "cut at {cut}: {error}"
                ),
            }
        }
    }
}

#[test]
fn damaged_files_keep_what_came_before() {
    let mut absurd = micros(&TWO);
    absurd[24 + 76 + 8..][..4].fill(0xff);
    let lines = read(&absurd);
    assert_eq!(lines[0], TWO_READ[0]);
    assert_eq!(lines[1], "a frame claims 4294967295 bytes, where 262144 is the most there can be");

    let mut packed = gzip(&micros(&TWO));
    let last = packed.len() - 5; // of the checksum
    packed[last] ^= 0xff;
    let lines = read(&packed);
    assert_eq!(lines[..2], TWO_READ);
    assert!(lines[2].contains("corrupt gzip"), "{lines:?}");
}

#[test]
fn what_is_no_capture_is_said_in_one_sentence() {
    assert!(refusal(b"").ends_with("is empty, not even the header of a capture file is there"));
    assert!(refusal(&gzip(b"")).ends_with("is empty, not even the header of a capture file is there"));
    let not_a_capture =
        "is not a capture file: it is neither pcap nor pcapng, nor one of them packed with gzip or zstd";
    for bytes in [&b"Return-Path: <>\r\n"[..], b"\0", &gzip(b"hello"), &zstd(b"hello"), &gzip(&gzip(&micros(&TWO)))] {
        assert!(refusal(bytes).ends_with(not_a_capture));
    }
    let error = files_error(&gzip(b""));
    let summary = InputSummary::unopened("x.gz", &error);
    assert_eq!((summary.file, summary.error), ("x.gz".to_owned(), Some(error.to_string())));
    assert!(
        refusal(&micros(&TWO)[..10])
            .ends_with("is cut off in the middle: its header has 24 bytes, of which 10 are there")
    );

    let files = Files::new();
    let directory = open_file(files.0.path(), &OpenOptions::default()).err().unwrap().to_string();
    assert!(directory.ends_with("is a directory, not a capture file: name the files in it"));
    let missing = open_file(&files.0.path().join("no"), &OpenOptions::default()).err().unwrap().to_string();
    assert!(missing.starts_with("cannot open ") && missing.contains("No such file"), "{missing}");
}

#[test]
fn summaries_and_progress_tell_what_was_read() {
    let files = Files::new();
    let plain = micros(&[(30, 0, &[1; 100]), (10, 0, &[2; 50]), (20, 0, &[])]);
    for (bytes, exact) in [(plain.clone(), true), (gzip(&plain), true), (zstd(&plain), true)] {
        let mut source = files.open(&bytes).unwrap();
        transcript(&mut source);
        let progress = source.progress();
        assert_eq!(progress.total, Some(bytes.len() as u64));
        assert_eq!(progress.done == bytes.len() as u64, exact, "{progress:?}");
        let [summary] = source.summaries().try_into().unwrap();
        let expected = InputSummary {
            file: files.0.path().join("capture.txt").display().to_string(),
            frames: 3,
            filtered: 0,
            bytes: 150,
            first_ts: Some(Ts::from_parts(10, 0)),
            last_ts: Some(Ts::from_parts(30, 0)),
            truncated: false,
            error: None,
            dropped: None,
        };
        assert_eq!(summary, expected);
    }
}

#[test]
fn absurd_stamps_and_lengths_break_nothing() {
    let mut file = micros(&[(u32::MAX, u32::MAX, &[1; 4]), (0, 0, &[2; 4])]);
    file[24 + 12] = 2; // shorter on the wire than captured
    let lines = read(&file);
    assert!(lines[0].starts_with("1 2106-02-07T") && lines[0].ends_with("link 1 4/2 01"), "{lines:?}");
    let ng = Ng(Order::Big);
    let late = i64::MIN.to_be_bytes();
    let file = [
        ng.section(),
        ng.interface(1, 0, &[(9, &[0])]),
        ng.interface(1, 0, &[(14, &late)]),
        ng.interface(1, 0, &[(9, &[19])]),
        ng.interface(1, 0, &[(9, &[0x80 | 63])]),
        ng.enhanced(0, u64::MAX, &[], 0),
        ng.enhanced(1, 0, &[], 0),
        ng.enhanced(2, u64::MAX, &[], 0),
        ng.enhanced(3, u64::MAX, &[], 0),
    ];
    assert_eq!(
        read(&file.concat())[2..],
        ["3 1970-01-01T00:00:01.844674407Z link 1 0/0 00", "4 1970-01-01T00:00:01.999999999Z link 1 0/0 00",]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn changed_bytes_of_any_format_end_in_an_error_or_in_frames(
        format in 0_usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let ng = Ng(Order::Big);
        let described = [ng.section(), ng.interface(1, 64, &[(9, &[9])]), ng.block(5, &[0; 40])].concat();
        let blocks = [described, ng.enhanced(0, 1, &[1; 9], 9), ng.simple(&[2; 64], 99), ng.obsolete(0, 2, &[3; 7])];
        let mut bytes = match format {
            0 => micros(&TWO),
            1 => blocks.concat(),
            2 => gzip(&blocks.concat()),
            _ => zstd(&blocks.concat()),
        };
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let files = Files::new();
        if let Ok(mut source) = files.open(&bytes) {
            let lines = transcript(&mut source);
            let summary = &source.summaries()[0];
            prop_assert_eq!(summary.frames + u64::from(summary.error.is_some()), lines.len() as u64);
        }
    }
}

#[test]
fn several_files_are_one_run_in_the_order_of_time() {
    let files = Files::new();
    let [mail, other] = mail_and_other();
    let open = |name: &str, bytes: &[u8]| open_file(&files.put(name, bytes), &filtered("tcp port 25")).unwrap();
    let mut late = micros(&[(2, 0, &mail), (5, 0, &mail), (4, 0, &mail)]);
    late.truncate(late.len() - 1);
    let mut run = MergedSource::new([
        open("a", &micros(&[(1, 0, &mail), (3, 0, &other), (6, 0, &mail)])),
        open("b", &pcap(Order::Big, NANOS, 101, &[(1, 0, &mail[14..]), (2, 1, &mail[14..])])),
        open("c", &micros(&[])),
        open("d", &late),
    ]);
    let lines: Vec<_> = transcript(&mut run).iter().map(|line| line.replace("1970-01-01T00:00:0", "")).collect();
    assert_eq!(
        lines,
        [
            "1 1.000000Z link 1 65/65 02",
            "2 1.000000Z link 101 51/51 45",
            "3 2.000000Z link 1 65/65 02",
            "4 2.000000001Z link 101 51/51 45",
            "5 3.000000Z filtered",
            "6 5.000000Z link 1 65/65 02",
            "its last frame has 65 bytes, of which 64 are there",
            "7 6.000000Z link 1 65/65 02",
        ]
    );
    let summaries = run.summaries();
    assert_eq!(summaries.iter().map(|one| one.frames).collect::<Vec<_>>(), [3, 2, 0, 2]);
    assert_eq!(summaries.iter().map(|one| one.truncated).collect::<Vec<_>>(), [false, false, false, true]);
    let progress = run.progress();
    assert!(progress.total.is_some_and(|total| progress.done <= total && progress.done > 0));
}

#[test]
fn a_run_of_one_file_and_of_none() {
    let files = Files::new();
    let mut one = MergedSource::new([files.open(&micros(&TWO)).unwrap()]);
    assert_eq!(transcript(&mut one), TWO_READ);
    let mut none = MergedSource::<Box<dyn FrameSource>>::new([]);
    assert_eq!(transcript(&mut none), Vec::<String>::new());
}

#[test]
fn sources_can_move_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    let files = Files::new();
    let source = MergedSource::new([files.open(&micros(&TWO)).unwrap()]);
    is_send(&source);
    assert_eq!(LinkType::ETHERNET.0, 1);
    let lines = std::thread::spawn(move || transcript(&mut { source })).join().unwrap();
    assert_eq!(lines, TWO_READ);
}
