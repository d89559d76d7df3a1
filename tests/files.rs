//! Files, pipes and disks that are not as they should be: one sentence on standard error, the right status, and what could
//! be read is reported.
//!
//! Tested elsewhere: captures cut at every byte, wrong magic, stamps and lengths that cannot be, mixed link types, packed files that
//! are cut (`src/capture/tests.rs`); cut files, missing files and directories through the program (`tests/cli.rs`); any damage at all
//! (`src/fuzzing/mutate.rs`).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod common;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;

use assert_cmd::Command;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

fn run(args: &[&str]) -> Output {
    Command::cargo_bin("smtphound").unwrap().arg("replay").args(args).output().unwrap()
}

/// One sentence for people and nothing that a terminal would act upon.
fn one_sentence(output: &Output, wanted: &str) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "{said:?}");
    assert!(said.contains(wanted), "{said:?} does not tell of {wanted:?}");
    assert!(!lines[0].contains(char::is_control) && !said.contains("panicked"), "{said:?}");
    said
}

/// Replays 200 copies of a capture where no more than `hard` files may be open, and `soft` unless the program asks for more;
/// the report, and how many lines of sessions there are.
fn replay_of_many(soft: u32, hard: u32) -> (Output, Value, usize) {
    let dir = tempdir().unwrap();
    let files: Vec<String> = (0..200).map(|n| put(&dir, &format!("{n:03}.pcap"), &capture())).collect();
    let (report, sessions) = (dir.path().join("report.json"), dir.path().join("sessions.ndjson"));
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$@\""))
        .args(["sh", assert_cmd::cargo::cargo_bin!("smtphound").to_str().unwrap(), "replay", "--quiet"])
        .args(["--report", report.to_str().unwrap(), "--sessions", sessions.to_str().unwrap()])
        .args(files)
        .output()
        .unwrap();
    let lines = fs::read_to_string(sessions).unwrap_or_default().lines().count();
    (output, fs::read(report).map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap()), lines)
}

fn capture() -> Vec<u8> {
    fs::read(common::captures().join("relay-tests.pcap")).unwrap()
}

fn put(dir: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Reports a file and gives status and report.
fn reported(file: &str) -> (i32, Value, Output) {
    let dir = tempdir().unwrap();
    let report = dir.path().join("report.json");
    let output = run(&["--quiet", "--report", report.to_str().unwrap(), file]);
    let report = fs::read(&report).map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap());
    (output.status.code().unwrap(), report, output)
}

/// A file whose numbers of one record or of the header were changed.
fn with(at: usize, value: u32) -> Vec<u8> {
    let mut bytes = capture();
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    bytes
}

#[test]
fn more_captures_than_the_soft_limit_of_open_files_are_read() {
    let (output, report, lines) = replay_of_many(64, 1024);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(report["input"].as_array().unwrap().len(), 200);
    assert!(report["input"].as_array().unwrap().iter().all(|input| input["frames"].as_u64() > Some(0)));
    assert!(lines > 0);
}

#[test]
fn of_more_captures_than_can_be_open_the_last_ones_are_left_out_and_the_others_reported() {
    let (output, report, lines) = replay_of_many(64, 128);
    assert_eq!(output.status.code(), Some(4));
    let said =
        one_sentence(&output, "032.pcap with 167 more is left out: no more than 32 captures can be open at once");
    assert!(said.contains("limit of open files, 128 (`ulimit -n`)"), "{said}");
    let inputs = report["input"].as_array().unwrap();
    let whole = inputs.iter().filter(|input| input["error"].is_null() && input["frames"].as_u64() > Some(0)).count();
    assert_eq!((inputs.len(), whole), (200, 32));
    assert!(lines > 0);
}

#[test]
fn what_is_no_capture_is_said_in_one_sentence() {
    let dir = tempdir().unwrap();
    let empty = put(&dir, "empty.pcap", b"");
    let text = put(&dir, "letter.pcap", b"Dear reader, these are no frames.");
    let zeros = put(&dir, "zeros.pcap", &[0; 4096]);
    let header = put(&dir, "header.pcap", &capture()[..20]);
    std::os::unix::fs::symlink(dir.path().join("loop"), dir.path().join("loop")).unwrap();
    let looped = dir.path().join("loop").to_str().unwrap().to_owned();
    for (file, wanted) in [
        (empty.as_str(), "is empty"),
        (&text, "is not a capture file"),
        (&zeros, "is not a capture file"),
        (&header, "is cut off"),
        (dir.path().to_str().unwrap(), "is a directory"),
        (&looped, "cannot open"),
        ("/dev/null", "is empty"),
        ("/proc/self/mem", "cannot"),
        ("\u{1b}]0;gone\u{7}\u{202e}.pcap", "cannot open"),
    ] {
        let output = run(&["--quiet", file]);
        assert_eq!(output.status.code(), Some(4), "{file:?}");
        one_sentence(&output, wanted);
    }
}

#[test]
fn damaged_numbers_end_a_file_where_they_stand() {
    let whole = reported(&put(&tempdir().unwrap(), "x", &capture()));
    let frames = whole.1["input"][0]["frames"].as_u64();
    assert!(whole.0 == 0 && frames > Some(100));
    // The captured length of the first record; of one in the middle; the snap length; the first stamp.
    let second = 24 + 16 + u32::from_le_bytes(capture()[32..36].try_into().unwrap()) as usize;
    for (at, value, status, read) in [
        (32, u32::MAX, 4, Some(0)),
        (32, 1 << 30, 4, Some(0)),
        (second + 8, 0x7fff_ffff, 4, Some(1)),
        (16, 0, 0, frames),
        (16, u32::MAX, 0, frames),
        (24, u32::MAX, 0, frames),
        (24, 0, 0, frames),
        (28, u32::MAX, 0, frames),
    ] {
        let dir = tempdir().unwrap();
        let (got, report, output) = reported(&put(&dir, "damaged.pcap", &with(at, value)));
        assert_eq!(got, status, "{at} {value:x}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(report["input"][0]["frames"].as_u64(), read, "{at} {value:x}");
        assert_eq!(report["input"][0].get("error").is_some(), status == 4);
        if status == 4 {
            one_sentence(&output, "damaged.pcap");
        }
    }
}

/// A named pipe, and what is written to it once somebody reads.
fn pipe(dir: &TempDir, name: &str, bytes: Vec<u8>) -> (String, thread::JoinHandle<()>) {
    let path = dir.path().join(name);
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let name = path.to_str().unwrap().to_owned();
    let writer = thread::spawn(move || {
        let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
        // In small pieces, and whoever reads may have gone.
        for piece in bytes.chunks(1_000) {
            if pipe.write_all(piece).is_err() {
                break;
            }
        }
    });
    (name, writer)
}

#[test]
fn named_pipes_are_read_like_files() {
    let dir = tempdir().unwrap();
    let whole = capture();
    let plain = reported(&put(&dir, "plain.pcap", &whole)).1;
    for (name, bytes, status) in [
        ("whole", whole.clone(), 0),
        ("cut", whole[..whole.len() - 7].to_vec(), 4),
        ("nothing", Vec::new(), 4),
        ("text", b"no frames".to_vec(), 4),
    ] {
        let (path, writer) = pipe(&dir, name, bytes);
        let (got, report, output) = reported(&path);
        writer.join().unwrap();
        assert_eq!(got, status, "{name}");
        if status == 0 {
            assert_eq!(report["incidents"], plain["incidents"]);
        } else {
            one_sentence(&output, name);
        }
    }
}

#[test]
fn a_file_that_grows_is_read_to_where_it_ended() {
    // A dumper is still writing: whole frames so far, half of one, then more while it is read.
    let dir = tempdir().unwrap();
    let whole = capture();
    let half = whole.len() / 2;
    let path = put(&dir, "growing.pcap", &whole[..half]);
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    let rest = whole[half..].to_vec();
    let writer = thread::spawn(move || rest.chunks(512).for_each(|piece| file.write_all(piece).unwrap()));
    let (status, report, output) = reported(&path);
    writer.join().unwrap();
    let read = report["input"][0]["frames"].as_u64().unwrap();
    assert!(read > 50 && (status == 0 || status == 4), "{status}: {read} frames");
    if status == 4 {
        one_sentence(&output, "growing.pcap");
    }
    let (status, later, _) = reported(&path);
    assert!(status == 0 && later["input"][0]["frames"].as_u64().unwrap() >= read);
}

#[test]
fn a_full_disk_is_said_and_ends_with_two() {
    let file = common::captures().join("relay-tests.pcap");
    let file = file.to_str().unwrap();
    for args in [&["--report", "/dev/full"][..], &["--sessions", "/dev/full"]] {
        let output = run(&[args, &["--quiet", file]].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        one_sentence(&output, "/dev/full cannot be written");
        assert!(Path::new("/dev/full").exists(), "a device is written to, never replaced");
    }
    for args in [&[][..], &["--report", "-"], &["--sessions", "-"]] {
        let output = std::process::Command::new(assert_cmd::cargo::cargo_bin("smtphound"))
            .arg("replay")
            .args(args)
            .arg(file)
            .stdout(Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap()))
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        one_sentence(&output, "standard output cannot be written");
    }
}

#[test]
fn an_output_that_cannot_be_is_said_and_leaves_nothing_behind() {
    let dir = tempdir().unwrap();
    let file = put(&dir, "in.pcap", &capture());
    let below_a_file = format!("{file}/report.json");
    let directory = dir.path().to_str().unwrap().to_owned();
    for flag in ["--report", "--sessions"] {
        for (target, wanted) in [
            (below_a_file.as_str(), "in.pcap"),
            (&directory, &directory),
            ("/proc/report.json", "/proc/report.json"),
            ("/no/such/place.json", "/no/such"),
        ] {
            let output = run(&["--quiet", flag, target, &file]);
            assert_eq!(output.status.code(), Some(2), "{flag} {target}");
            one_sentence(&output, wanted);
        }
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["in.pcap"]);
}
