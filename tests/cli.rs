//! The face of the program: exit statuses, inputs and outputs, and what never stands in any output.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use assert_cmd::Command;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use etherparse::{NetHeaders, PacketHeaders, TransportHeader};
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::Value;
use tempfile::TempDir;

const WHOLE_HEADER: usize = 24;
const FRAME_HEADER: usize = 16;

fn smtphound(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("smtphound").unwrap();
    command.arg("replay").args(args);
    command
}

fn run(args: &[&str]) -> Output {
    smtphound(args).output().unwrap()
}

fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn capture(name: &str) -> String {
    common::captures().join(name).to_str().unwrap().to_owned()
}

/// Files of a test, gone with it.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn put(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.0.path().join(name), bytes).unwrap();
        self.path(name)
    }

    fn names(&self) -> BTreeSet<PathBuf> {
        fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into()).collect()
    }
}

fn report(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What a run reports of a capture, on standard output.
fn reported(args: &[&str]) -> Value {
    let output = run(&[&["--report", "-"][..], args].concat());
    assert_eq!(text(&output.stderr), "");
    assert_eq!(status(&output), 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The report without what names its files.
fn judged(report: &Value) -> [&Value; 4] {
    ["capture", "site", "hosts", "incidents"].map(|key| &report[key])
}

/// The frames of a capture as libpcap writes it on this machine, each with its header.
fn frames(pcap: &[u8]) -> (&[u8], Vec<&[u8]>) {
    let (header, mut left) = pcap.split_at(WHOLE_HEADER);
    assert_eq!(header[..4], [0xd4, 0xc3, 0xb2, 0xa1], "little end first, microseconds");
    let mut frames = Vec::new();
    while !left.is_empty() {
        let length = u32::from_le_bytes(left[8..12].try_into().unwrap()) as usize;
        let (frame, rest) = left.split_at(FRAME_HEADER + length);
        frames.push(frame);
        left = rest;
    }
    (header, frames)
}

#[test]
fn the_status_tells_how_sure_the_surest_incident_is() {
    let (infected, healthy, tests) =
        (capture("infected-pc.pcap"), capture("healthy-day.pcap"), capture("relay-tests.pcap"));
    for (file, tier, expected) in [
        (&infected, "confirmed", 1),
        (&infected, "suspect", 1),
        (&tests, "suspect", 1),
        (&tests, "likely", 0),
        (&tests, "confirmed", 0),
        (&healthy, "suspect", 0),
    ] {
        let output = run(&["--quiet", "--fail-on", tier, file]);
        assert_eq!(status(&output), expected, "{file} {tier}");
        assert_eq!((text(&output.stdout), text(&output.stderr)), ("", ""), "{file} {tier}");
    }
    assert_eq!(status(&run(&["--quiet", &infected])), 0);
}

#[test]
fn nothing_is_said_on_standard_error_where_nothing_is_wrong() {
    let output = run(&[&capture("infected-pc.pcap")]);
    assert_eq!((status(&output), text(&output.stderr)), (0, ""));
    let table = text(&output.stdout);
    assert!(table.contains("192.168.10.23"), "{table}");
    assert!(!table.contains('\x1b') && !table.contains('\r'), "no colours and no bar without a terminal");
}

#[test]
fn usage_errors_end_with_two_and_name_the_remedy() {
    let (files, healthy) = (Files::new(), capture("healthy-day.pcap"));
    let nowhere = files.path("no/such/directory.json");
    for (args, wanted) in [
        (vec![], "<FILE>"),
        (vec!["--no-such-flag", &healthy], "--no-such-flag"),
        (vec!["--home-net", "everything", &healthy], "everything"),
        (vec!["--port", "0", &healthy], "--port"),
        (vec!["--workers", "0", &healthy], "--workers"),
        (vec!["--fail-on", "maybe", &healthy], "suspect"),
        (vec!["-", "-"], "only once"),
        (vec!["--report", "-", "--sessions", "-", &healthy], "cannot both go to standard output"),
        (vec!["--report", &nowhere, &healthy], "there is no directory"),
        (vec!["--config", &nowhere, &healthy], "directory.json"),
    ] {
        let output = run(&args);
        assert_eq!(status(&output), 2, "{args:?}");
        assert_eq!(text(&output.stdout), "", "{args:?}");
        assert!(text(&output.stderr).contains(wanted), "{args:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_capture_is_never_overwritten_by_its_report() {
    let files = Files::new();
    let bytes = fs::read(capture("relay-tests.pcap")).unwrap();
    let copy = files.put("copy.pcap", &bytes);
    for flag in ["--report", "--sessions"] {
        assert_eq!(status(&run(&[flag, &copy, &copy])), 2, "{flag}");
    }
    assert_eq!(fs::read(copy).unwrap(), bytes);
}

#[test]
fn a_bad_filter_is_quoted_with_the_words_of_libpcap() {
    let output = run(&["--filter", "host or port", &capture("healthy-day.pcap")]);
    assert_eq!((status(&output), text(&output.stdout)), (2, ""));
    let said = text(&output.stderr);
    assert!(said.contains("`host or port`") && said.contains("syntax error"), "{said}");
}

#[test]
fn a_filter_leaves_one_host() {
    let report = reported(&["--filter", "host 192.168.10.23", &capture("infected-pc.pcap")]);
    let hosts: Vec<&str> =
        report["hosts"].as_array().unwrap().iter().map(|host| host["ip"].as_str().unwrap()).collect();
    assert!(hosts.contains(&"192.168.10.23"), "{hosts:?}");
    assert!(!hosts.contains(&"192.168.10.21"), "{hosts:?}");
    assert!(report["incidents"].as_array().unwrap().iter().all(|incident| incident["host"] == "192.168.10.23"));
    let frames = &report["capture"]["frames"];
    assert!(frames["ignored"]["filtered"].as_u64() > Some(1000), "{frames}");
    assert_eq!(frames["total"], report["input"][0]["frames"]);
}

#[test]
fn inputs_that_cannot_be_read_end_with_four_and_the_others_are_reported() {
    let (files, good) = (Files::new(), capture("relay-tests.pcap"));
    let (missing, text_file) = (files.path("missing.pcap"), files.put("notes.txt", b"These are no frames at all."));
    for bad in [&missing, &text_file, &files.path("")] {
        let alone = run(&["--quiet", bad]);
        assert_eq!(status(&alone), 4, "{bad}");
        assert!(text(&alone.stderr).contains(bad.trim_end_matches('/')), "{}", text(&alone.stderr));

        let out = files.path("report.json");
        let both = run(&["--quiet", "--report", &out, bad, &good]);
        assert_eq!(status(&both), 4, "{bad}");
        assert!(text(&both.stderr).contains(bad.trim_end_matches('/')), "{}", text(&both.stderr));
        let report = report(&out);
        assert_eq!(report["incidents"][0]["class"], "relay");
        let errors: Vec<bool> =
            report["input"].as_array().unwrap().iter().map(|input| input.get("error").is_some()).collect();
        assert_eq!(errors.iter().filter(|error| **error).count(), 1, "{}", report["input"]);
    }
}

#[test]
fn a_capture_that_was_cut_off_yields_what_it_holds() {
    let (files, bytes) = (Files::new(), fs::read(capture("infected-pc.pcap")).unwrap());
    let (header, all) = frames(&bytes);
    let whole = all.len() - 100;
    let end = header.len() + all[..whole].iter().map(|frame| frame.len()).sum::<usize>();
    let gzip = {
        let packed = packed_gz(&bytes);
        packed[..packed.len() - packed.len() / 20].to_vec()
    };
    for (cut, frames) in [(&bytes[..end + 20], Some(whole)), (&bytes[..end + 7], Some(whole)), (&gzip, None)] {
        let (file, out) = (files.put("cut.pcap", cut), files.path("report.json"));
        let output = run(&["--quiet", "--report", &out, &file]);
        assert_eq!(status(&output), 4);
        assert!(text(&output.stderr).contains("cut.pcap"), "{}", text(&output.stderr));
        let report = report(&out);
        let input = &report["input"][0];
        assert_eq!(input["truncated"], true);
        let read = input["frames"].as_u64().unwrap() as usize;
        assert!(frames.map_or(read > 3000, |frames| read == frames), "{read} frames");
        assert_eq!(report["hosts"][0]["ip"], "192.168.10.23", "the worm is in what is left");
        // What was found goes before what was lost.
        assert_eq!(status(&run(&["--quiet", "--fail-on", "confirmed", &file])), 1);
    }
}

fn packed_gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn content_counts_and_no_name() {
    let (files, bytes) = (Files::new(), fs::read(capture("relay-tests.pcap")).unwrap());
    let plain = reported(&[&capture("relay-tests.pcap")]);
    for packed in [bytes.clone(), packed_gz(&bytes), compress_to_vec(&bytes[..], CompressionLevel::Fastest)] {
        let file = files.put("letter.txt", &packed);
        assert_eq!(judged(&reported(&[&file])), judged(&plain));
        let piped = smtphound(&["--report", "-", "-"]).write_stdin(packed).output().unwrap();
        assert_eq!((status(&piped), text(&piped.stderr)), (0, ""));
        let piped: Value = serde_json::from_slice(&piped.stdout).unwrap();
        assert_eq!(judged(&piped), judged(&plain));
    }
}

#[test]
fn several_files_are_one_run_in_the_order_of_time() {
    let (files, bytes) = (Files::new(), fs::read(capture("infected-pc.pcap")).unwrap());
    let (header, all) = frames(&bytes);
    let join = |frames: &mut dyn Iterator<Item = &&[u8]>| {
        frames.fold(header.to_vec(), |mut joined, frame| {
            joined.extend(*frame);
            joined
        })
    };
    let whole = reported(&[&capture("infected-pc.pcap")]);
    // One after the other, and as the two sides of a tap would write them, entangled.
    let half = all.len() / 2;
    let early = files.put("1.pcap", &join(&mut all[..half].iter()));
    let late = files.put("2.pcap", &join(&mut all[half..].iter()));
    let even = files.put("3.pcap", &join(&mut all.iter().step_by(2)));
    let odd = files.put("4.pcap", &packed_gz(&join(&mut all.iter().skip(1).step_by(2))));
    for pair in [[&early, &late], [&late, &early], [&even, &odd]] {
        let parts = reported(&pair.map(String::as_str));
        assert_eq!(judged(&parts), judged(&whole), "{pair:?}");
        let read: u64 = parts["input"].as_array().unwrap().iter().map(|input| input["frames"].as_u64().unwrap()).sum();
        assert_eq!(read, all.len() as u64);
    }
}

#[test]
fn where_standard_output_is_taken_nothing_else_goes_there() {
    let (files, file) = (Files::new(), capture("relay-tests.pcap"));
    let out = files.path("report.json");
    let report = run(&["--report", "-", "--sessions", &files.path("lines.ndjson"), &file]).stdout;
    assert!(serde_json::from_slice::<Value>(&report).is_ok(), "one JSON value and nothing else");
    let lines = run(&["--sessions", "-", "--report", &out, &file]).stdout;
    assert!(text(&lines).lines().all(|line| serde_json::from_str::<Value>(line).unwrap().get("uid").is_some()));
    assert_eq!(fs::read(out).unwrap(), report);
    assert_eq!(fs::read(files.path("lines.ndjson")).unwrap(), lines);
    let names = ["report.json", "lines.ndjson"].map(PathBuf::from);
    assert_eq!(files.names(), BTreeSet::from(names), "no file is left beside them");
}

#[test]
fn where_nobody_is_at_home_the_program_says_so() {
    let hint = text(&run(&[&capture("infected-pc-outside.pcap")]).stdout).to_owned();
    assert!(hint.contains("--home-net 203.0.113.5/32"), "{hint}");
    let hint = text(&run(&["--home-net", "10.99.0.0/16", &capture("infected-pc.pcap")]).stdout).to_owned();
    assert!(hint.contains("Nothing judged.") && hint.contains("--home-net 192.168.10."), "{hint}");
}

#[test]
fn a_reader_that_goes_away_is_a_normal_end() {
    for args in [&["--sessions", "-"][..], &["--report", "-"], &[]] {
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("smtphound"))
            .arg("replay")
            .args(args)
            .arg(capture("infected-pc.pcap"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((status(&output), text(&output.stderr)), (0, ""), "{args:?}");
    }
}

/// What clients said when they were asked for a name (`334 VXNlcm5hbWU6`) or a password (`334 UGFzc3dvcmQ6`), by the
/// base64 that they said it in.
fn answers(pcap: &[u8], question: &str) -> BTreeMap<String, String> {
    let (mut secrets, mut asked) = (BTreeMap::new(), BTreeSet::new());
    for frame in frames(pcap).1 {
        let Ok(packet) = PacketHeaders::from_ethernet_slice(&frame[FRAME_HEADER..]) else { continue };
        let (Some(NetHeaders::Ipv4(ip, _)), Some(TransportHeader::Tcp(tcp))) = (packet.net, packet.transport) else {
            continue;
        };
        let payload = &packet.payload.slice()[..usize::from(ip.payload_len().unwrap()) - tcp.header_len()];
        if payload.starts_with(question.as_bytes()) {
            asked.insert((ip.destination, tcp.destination_port));
        } else if !payload.is_empty() && asked.remove(&(ip.source, tcp.source_port)) {
            let line = text(payload).trim_end().to_owned();
            let secret = String::from_utf8(BASE64_STANDARD.decode(&line).unwrap()).unwrap();
            secrets.insert(line, secret);
        }
    }
    secrets
}

#[test]
fn passwords_never_stand_in_any_output() {
    let (files, file) = (Files::new(), capture("account-abuse.pcap"));
    let capture = fs::read(&file).unwrap();
    let secrets = answers(&capture, "334 UGFzc3dvcmQ6");
    let names: BTreeSet<String> = answers(&capture, "334 VXNlcm5hbWU6").into_values().collect();
    assert!(secrets.get("dGVzdDEyMw==").is_some_and(|secret| secret == "test123") && secrets.len() > 10, "{secrets:?}");
    let (out, lines) = (files.path("report.json"), files.path("lines.ndjson"));
    let output = run(&["--report", &out, "--sessions", &lines, &file]);
    let told = [&output.stdout, &output.stderr, &fs::read(out).unwrap(), &fs::read(lines).unwrap()]
        .map(|bytes| text(bytes).to_owned())
        .concat();
    assert!(told.contains("\"user\":\"test\""), "the name is told");
    // A guess that is a name tried, a word of the capture, or one of our own sentences is no secret; in base64 all are.
    let shown = String::from_utf8_lossy(&capture).to_lowercase() + " password ";
    let secret = secrets.values().filter(|secret| !names.contains(*secret) && !shown.contains(&secret.to_lowercase()));
    let found: Vec<&String> = secrets.keys().chain(secret).filter(|secret| told.contains(secret.as_str())).collect();
    assert_eq!(found, Vec::<&String>::new());
}
