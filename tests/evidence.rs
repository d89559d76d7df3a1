//! Evidence files: just the connections of an incident, comments that say why, and nothing that Wireshark minds.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops where something is not as it must be")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::Command as Program;
use serde_json::Value;
use smtphound::session::SessionEventKind;
use tempfile::TempDir;

/// What a run with evidence leaves: the report, and the directory.
fn replayed(capture: &str) -> (Value, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let output = Program::cargo_bin("smtphound")
        .unwrap()
        .args(["replay", "--report", "-", "--evidence"])
        .arg(dir.path().join("evidence"))
        .arg(common::captures().join(capture))
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{capture}");
    (serde_json::from_slice(&output.stdout).unwrap(), dir)
}

fn file_of(dir: &TempDir, incident: &Value) -> PathBuf {
    let text = |key: &str| incident[key].as_str().unwrap();
    dir.path().join("evidence").join(format!("{}-{}-{}.pcapng", text("class"), text("host"), text("id")))
}

/// What tshark prints of a file; `None` where there is no tshark.
fn tshark(file: &Path, args: &[&str]) -> Option<String> {
    let Ok(output) = Command::new("tshark").arg("-r").arg(file).args(args).output() else {
        eprintln!("skipped: no tshark");
        return None;
    };
    let complaints: Vec<String> = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| !line.is_empty() && !line.contains("Running as user \"root\""))
        .map(str::to_owned)
        .collect();
    assert!(output.status.success() && complaints.is_empty(), "{}: {complaints:?}", file.display());
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn each_incident_has_a_file_with_just_its_connections() {
    for capture in ["infected-pc.pcap", "reverse-ndr.pcap", "relay-tests.pcap"] {
        let (report, dir) = replayed(capture);
        let incidents = report["incidents"].as_array().unwrap();
        assert!(!incidents.is_empty());
        assert_eq!(fs::read_dir(dir.path().join("evidence")).unwrap().count(), incidents.len(), "{capture}");
        for incident in incidents {
            let file = file_of(&dir, incident);
            let replay = common::replay(&[&file], &[25], 1);
            let host = incident["host"].as_str().unwrap();
            let attempts = replay.events.iter().filter_map(|event| match &event.kind {
                SessionEventKind::Unanswered(attempt) => Some(attempt.id.uid()),
                _ => None,
            });
            let uids: BTreeSet<String> =
                replay.sessions().map(|session| session.conn.id.uid()).chain(attempts).collect();
            for line in incident["evidence"].as_array().unwrap() {
                for uid in line["sessions"].as_array().into_iter().flatten() {
                    assert!(uids.contains(uid.as_str().unwrap()), "{capture}: {uid} is missing");
                }
            }
            for session in replay.sessions() {
                let ends = [session.conn.id.orig.host.to_string(), session.conn.id.resp.host.to_string()];
                assert!(ends.iter().any(|end| end == host), "{capture}: {ends:?} in the file of {host}");
            }
        }
    }
}

#[test]
fn a_frame_that_is_evidence_says_why() {
    let (report, dir) = replayed("infected-pc.pcap");
    let worm = &report["incidents"][0];
    let Some(comments) = tshark(&file_of(&dir, worm), &["-Y", "frame.comment", "-T", "fields", "-e", "frame.comment"])
    else {
        return;
    };
    let mut frames = BTreeSet::new();
    for line in worm["evidence"].as_array().unwrap() {
        let Some(detector) = line["detector"].as_str() else { continue };
        let named = line["frames"].as_array().unwrap();
        frames.extend(named.iter().map(|frame| frame.as_u64().unwrap()));
        if !named.is_empty() {
            assert!(comments.contains(detector), "{detector} in:\n{comments}");
        }
    }
    assert!(comments.lines().count() >= frames.len(), "{} comments for {frames:?}", comments.lines().count());
}

#[test]
fn wireshark_opens_every_file_without_a_warning() {
    for capture in common::capture_files() {
        let name = capture.file_name().unwrap().to_str().unwrap();
        let (report, dir) = replayed(name);
        for incident in report["incidents"].as_array().unwrap() {
            let Some(frames) = tshark(&file_of(&dir, incident), &["-T", "fields", "-e", "frame.number"]) else {
                return;
            };
            assert!(frames.lines().count() > 0, "{name}");
        }
    }
}

#[test]
fn the_same_captures_give_the_same_files() {
    let (report, first) = replayed("account-abuse.pcap");
    let (_, second) = replayed("account-abuse.pcap");
    for incident in report["incidents"].as_array().unwrap() {
        assert!(fs::read(file_of(&first, incident)).unwrap() == fs::read(file_of(&second, incident)).unwrap());
    }
}

#[cfg(unix)]
#[test]
fn whole_mails_are_for_the_operator_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (_, dir) = replayed("relay-tests.pcap");
    assert_eq!(fs::metadata(dir.path().join("evidence")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn what_can_be_read_only_once_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("evidence");
    let output =
        Program::cargo_bin("smtphound").unwrap().args(["replay", "-", "--evidence"]).arg(&place).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("standard input can be read only once: save it to a file first"), "{said}");
    assert!(!place.exists());
}
