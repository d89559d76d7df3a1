//! Same input, same bytes: the report and the session lines of every capture, with 1, 2 and 7 workers and once more.
//! And what is written is what programs are promised: strict JSON, the keys of every line in their order.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use clap::Parser;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use smtphound::cli::{Args, Command};
use smtphound::config::{Config, Environment, FileConfig};
use smtphound::detect::replies::ReplyRules;
use smtphound::replay::replay;

/// The keys that every session line has, in their order.
const KEYS: [&str; 27] = [
    "ts",
    "uid",
    "community_id",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "conn_state",
    "history",
    "duration",
    "orig_bytes",
    "resp_bytes",
    "missed_bytes",
    "banner",
    "helo",
    "esmtp",
    "tls",
    "auth",
    "transactions",
    "commands",
    "last_reply",
    "quit",
    "weird",
    "vlan",
    "mac",
    "encap",
    "frames",
];

/// The same of a mail within.
const MAIL_KEYS: [&str; 11] = [
    "mailfrom",
    "null_sender",
    "mail_reply",
    "rcptto",
    "transfer",
    "data_reply",
    "size",
    "outcome",
    "msg_id",
    "body_hash",
    "dsn",
];

/// The same of a question to a DNS server, which stands between the sessions.
const QUESTION_KEYS: [&str; 10] =
    ["ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "query", "qtype", "qtype_name", "frames"];

/// The same of the report.
const REPORT_KEYS: [&str; 8] = ["schema_version", "tool", "input", "capture", "site", "hosts", "incidents", "summary"];

static RULES: LazyLock<Arc<ReplyRules>> = LazyLock::new(|| Arc::new(ReplyRules::builtin()));

/// The report and the session lines of a capture, as files hold them.
fn written(capture: &Path, flags: &[String], workers: usize) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let (report, sessions) = (dir.path().join("report.json"), dir.path().join("sessions.ndjson"));
    let workers = workers.to_string();
    let mut argv = vec!["smtphound", "replay", "--quiet", "--workers", &workers];
    argv.extend(flags.iter().map(String::as_str));
    argv.extend(["--report", report.to_str().unwrap(), "--sessions", sessions.to_str().unwrap()]);
    argv.push(capture.to_str().unwrap());
    let Command::Replay(args) = Args::try_parse_from(argv).unwrap().command else { panic!("not replay") };
    let args = *args;
    let environment = Environment { no_color: true, terminal: false, columns: None, cpus: 1 };
    let mut config = Config::resolve(args, FileConfig::default(), Arc::clone(&RULES), &environment).unwrap();
    // So that some thousand frames are a flood.
    config.limits.detect.flood_attempts_min = 1_000;
    config.limits.decode.flood_fragments_min = 1_000;
    // What is wrong with a capture is part of its report.
    replay(&config, &mut |_| {}).unwrap();
    (fs::read_to_string(report).unwrap(), fs::read_to_string(sessions).unwrap())
}

/// One capture with every number of workers; what was written, if anything differs.
fn check(capture: &Path, flags: &[String]) -> (String, String) {
    let first = written(capture, flags, 1);
    for workers in [2, 7, 7] {
        let again = written(capture, flags, workers);
        assert!(again.0 == first.0, "{}: another report with {workers} workers", capture.display());
        assert!(again.1 == first.1, "{}: other session lines with {workers} workers", capture.display());
    }
    first
}

/// An object's keys as they stand; no key twice.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Keys;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Keys, M::Error> {
                let mut keys: Vec<String> = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    if keys.contains(&key) {
                        return Err(serde::de::Error::custom(format!("{key} stands there twice")));
                    }
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// The mails of a line, by their keys.
#[derive(Deserialize)]
struct Mails {
    transactions: Vec<Keys>,
}

/// Checks the form of what was written of a capture.
fn check_form(capture: &Path, report: &str, sessions: &str) {
    let name = capture.display();
    let keys: Keys = serde_json::from_str(report).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(keys.0, REPORT_KEYS, "{name}");
    assert!(report.ends_with("}\n"), "{name}");
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!(report["schema_version"], 1, "{name}");
    let frames = &report["capture"]["frames"];
    let sum = |counts: &Value| counts.as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    let accounted = frames["smtp"].as_u64().unwrap()
        + frames["dns"].as_u64().unwrap()
        + frames["names"].as_u64().unwrap()
        + sum(&frames["ignored"])
        + sum(&frames["undecoded"]);
    assert_eq!(frames["total"].as_u64(), Some(accounted), "{name}");
    assert!(sessions.is_empty() || sessions.ends_with('\n'), "{name}");
    for line in sessions.lines() {
        let keys: Keys = serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
        if keys.0.iter().any(|key| key == "query") {
            assert_eq!(keys.0.get(..QUESTION_KEYS.len()), Some(&QUESTION_KEYS.map(str::to_owned)[..]), "{name}");
            continue;
        }
        assert_eq!(keys.0.get(..KEYS.len()), Some(&KEYS.map(str::to_owned)[..]), "{name}");
        let mails: Mails = serde_json::from_str(line).unwrap();
        for mail in mails.transactions {
            assert_eq!(mail.0.get(..MAIL_KEYS.len()), Some(&MAIL_KEYS.map(str::to_owned)[..]), "{name}");
        }
    }
}

#[test]
fn our_captures_come_out_the_same_with_any_number_of_workers() {
    let outside = ["--home-net".to_owned(), "203.0.113.5/32".to_owned()];
    let (mut questions, mut names) = (0, 0);
    for capture in common::capture_files() {
        let flags: &[String] = if capture.ends_with("infected-pc-outside.pcap") { &outside } else { &[] };
        let (report, sessions) = check(&capture, flags);
        assert!(sessions.lines().count() > 20, "{}", capture.display());
        check_form(&capture, &report, &sessions);
        let report: Value = serde_json::from_str(&report).unwrap();
        questions += report["capture"]["frames"]["dns"].as_u64().unwrap();
        names += report["capture"]["frames"]["names"].as_u64().unwrap();
    }
    assert!(questions > 100, "questions to DNS servers are part of what is compared");
    assert!(names > 50, "and so are names");
}

#[test]
fn captures_of_the_corpus_come_out_the_same_with_any_number_of_workers() {
    let Some(corpus) = common::corpus() else { return };
    let manifest: Value = serde_json::from_slice(&fs::read(corpus.join("MANIFEST.json")).unwrap()).unwrap();
    let mut lines = BTreeMap::new();
    for capture in manifest["captures"].as_array().unwrap() {
        let ports = capture["facts"]["connections_by_server_port"].as_object().unwrap().keys();
        // Everybody is at home, so that there is something to judge.
        let mut flags: Vec<String> = ["--home-net", "0.0.0.0/1", "--home-net", "::/0"].map(str::to_owned).to_vec();
        flags.extend(ports.flat_map(|port| ["--port".to_owned(), port.clone()]));
        let file = corpus.join(capture["file"].as_str().unwrap());
        let (report, sessions) = check(&file, &flags);
        check_form(&file, &report, &sessions);
        lines.insert(file, sessions.lines().count());
    }
    assert!(lines.values().sum::<usize>() > 100, "{lines:?}");
}

/// A capture of SYNs from made-up addresses of ours, and of first fragments, by two cards.
fn floods() -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    for n in 0..6_000_u32 {
        let fragment = n % 2 == 1;
        let [_, _, high, low] = n.to_be_bytes();
        let mut frame = [0_u8; 82];
        frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 + u8::from(fragment), 8, 0]);
        frame[14..34]
            .copy_from_slice(&[0x45, 0, 0, 68, high, low, 0, 0, 64, 6, 0, 0, 10, 1, high, low, 198, 51, 100, low]);
        frame[34..38].copy_from_slice(&[high | 4, low, 0, 25]);
        (frame[46], frame[47]) = (0x50, 2);
        if fragment {
            frame[20] = 0x20;
        }
        for word in [1_772_617_327 + n / 200, n % 200 * 5_000, 82, 82] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

#[test]
fn floods_come_out_the_same_with_any_number_of_workers() {
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("floods.pcap");
    fs::write(&capture, floods()).unwrap();
    let report: Value = serde_json::from_str(&check(&capture, &[]).0).unwrap();
    let floods = report["capture"]["floods"].as_array().unwrap();
    let told: Vec<_> = floods.iter().map(|flood| (&flood["kind"], &flood["mac"])).collect();
    let macs = ["02:00:00:00:00:02", "02:00:00:00:00:03"].map(Value::from);
    assert_eq!(told, [(&"attempts".into(), &macs[0]), (&"fragments".into(), &macs[1])]);
    assert!(floods[0]["count"].as_u64() > Some(2_500) && floods[1]["count"].as_u64() > Some(1_900), "{floods:?}");
}
