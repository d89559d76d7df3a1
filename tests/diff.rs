//! The endings of the field reports R1 and R2: what `diff` says of before and after. The captures hold both halves in one
//! file; they are cut where their cards say that something was done.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod common;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// The frames of a capture (pcap, little end first, microseconds) from one second of it to another.
fn part(capture: &Path, from: u64, until: u64) -> Vec<u8> {
    let bytes = fs::read(capture).unwrap();
    assert_eq!(bytes[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    let (header, mut left) = bytes.split_at(24);
    let mut kept = header.to_vec();
    let mut begin = None;
    while !left.is_empty() {
        let field = |at: usize| u64::from(u32::from_le_bytes(left[at..at + 4].try_into().unwrap()));
        let micros = field(0) * 1_000_000 + field(4);
        let since = micros - *begin.get_or_insert(micros);
        let (frame, rest) = left.split_at(16 + field(8) as usize);
        if (from * 1_000_000..until * 1_000_000).contains(&since) {
            kept.extend_from_slice(frame);
        }
        left = rest;
    }
    kept
}

/// What `diff` says of two parts of a capture: to people, and to programs.
fn diff(name: &str, before: (u64, u64), after: (u64, u64)) -> (String, Value) {
    let dir = tempfile::tempdir().unwrap();
    let capture = common::captures().join(name);
    let reports = [("before", before), ("after", after)].map(|(name, (from, until))| {
        let pcap = dir.path().join(format!("{name}.pcap"));
        fs::write(&pcap, part(&capture, from, until)).unwrap();
        let report = dir.path().join(format!("{name}.json"));
        let mut replay = Command::cargo_bin("smtphound").unwrap();
        replay.current_dir(&dir).args(["replay", "--quiet", "--report"]).arg(&report).arg(format!("{name}.pcap"));
        replay.assert().success();
        report
    });
    let said = |more: &[&str]| {
        let mut diff = Command::cargo_bin("smtphound").unwrap();
        let out = diff.arg("diff").args(&reports).args(more).output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    (said(&[]), serde_json::from_str(&said(&["--json"])).unwrap())
}

fn stories(change: &Value, key: &str) -> Vec<String> {
    let told = change[key].as_array().unwrap().iter();
    told.map(|story| format!("{} {}", story["class"].as_str().unwrap(), story["host"].as_str().unwrap())).collect()
}

fn host<'c>(change: &'c Value, ip: &str) -> &'c Value {
    change["hosts"].as_array().unwrap().iter().find(|host| host["ip"] == ip).unwrap()
}

/// The text on one line.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn r1_removing_the_pc_cured_it() {
    // The worm begins at second 40; the PC is unplugged at 170; the address is off the list at 235.
    let (text, change) = diff("recovery.pcap", (0, 170), (235, 3600));
    assert_eq!(stories(&change, "closed"), ["blocklisted 192.168.10.10", "mass_mailer 192.168.10.23"]);
    assert_eq!((stories(&change, "opened"), stories(&change, "still")), (vec![], vec![]));
    let text = plain(&text);
    assert!(text.contains("2 incidents are gone."), "{text}");
    assert!(
        text.contains("Gone: mass_mailer of 192.168.10.23 (confirmed before): it does not show on port 25 any more."),
        "{text}"
    );
    assert!(text.contains("192.168.10.23 sends no mail any more"), "{text}");
    assert!(text.contains("192.168.10.10 was refused") && text.contains("now 0 %: its mail flows again."), "{text}");
    let server = host(&change, "192.168.10.10");
    assert!(server["refused"]["before"].as_f64().unwrap() > 0.1, "{server}");
    assert_eq!(server["refused"]["after"], 0);
}

#[test]
fn r1_while_the_address_is_still_listed_the_server_still_suffers() {
    let (text, change) = diff("recovery.pcap", (0, 170), (170, 235));
    assert_eq!(stories(&change, "closed"), ["mass_mailer 192.168.10.23"]);
    assert_eq!(stories(&change, "still"), ["blocklisted 192.168.10.10"]);
    assert!(plain(&text).contains("1 incident is gone, 1 is still there."), "{text}");
}

#[test]
fn r2_traffic_fell_by_the_factor_once_reports_were_no_more_made() {
    // From second 225 on the server checks recipients. What it still had in its queue goes out until about 240.
    let (text, change) = diff("reverse-ndr.pcap", (45, 225), (240, 3600));
    assert!(stories(&change, "closed").contains(&"ndr_flood 192.168.10.10".to_owned()), "{change}");
    let server = host(&change, "192.168.10.10");
    let factor = server["mails_factor"].as_f64().unwrap();
    assert!((6.0..20.0).contains(&factor), "{server}");
    let ndrs = |when: &str| server["null_senders"][when].as_f64().unwrap();
    assert!(ndrs("before") > 0.8 && ndrs("after") < 0.3, "{server}");
    let text = plain(&text);
    assert!(text.contains(" times less: "), "{text}");
    assert!(text.contains("non-delivery reports and other mail without a sender were 9"), "{text}");
}

#[test]
fn the_same_twice_is_no_news() {
    let (text, change) = diff("healthy-day.pcap", (0, 3600), (0, 3600));
    assert!(plain(&text).ends_with("No incident, before or after."), "{text}");
    assert_eq!(change["all"]["mails_factor"], 1);
}
