//! Session lines hold all that the judgement needs: `judge` on the lines of a capture comes to what `replay` came to.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod common;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use common::{Case, cases};
use serde_json::Value;

fn run(command: &str, args: &[&str]) -> (i32, String, String) {
    let out = Command::cargo_bin("smtphound").unwrap().arg(command).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

/// A part of a report, as it was written.
fn part<'r>(report: &'r str, from: &str, to: &str) -> &'r str {
    let begin = report.find(from).unwrap();
    let end = report[begin..].find(to).unwrap();
    &report[begin..begin + end]
}

/// What machines tell their neighbours of themselves stands in no session line; it judges nobody.
const WITHOUT_NAMES: &str = "not (udp and (src port 67 or src port 68 or src port 137 or src port 138 or src port 546 or src port 5353 or src port 5355))";

/// Report and session lines of a capture.
fn replayed(case: &Case, dir: &Path) -> (String, String) {
    let lines = dir.join(format!("{}.ndjson", case.name));
    let lines = lines.to_str().unwrap().to_owned();
    let mut args = vec!["--filter", WITHOUT_NAMES, "--report", "-", "--sessions", &lines];
    args.extend(case.flags.iter().map(String::as_str));
    let capture = case.capture.to_str().unwrap();
    args.push(capture);
    let (status, report, stderr) = run("replay", &args);
    assert_eq!((status, stderr.as_str()), (0, ""), "{}", case.name);
    (report, lines)
}

/// The flags of a case that `judge` has, too.
fn site_flags(case: &Case) -> Vec<&str> {
    let pairs = case.flags.chunks(2).filter(|pair| pair[0] != "--port");
    pairs.flatten().map(String::as_str).collect()
}

#[test]
fn lines_come_to_the_same_incidents_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    for case in cases() {
        let (report, lines) = replayed(&case, dir.path());
        let (status, again, stderr) = run("judge", &[&["--report", "-", &lines][..], &site_flags(&case)].concat());
        assert_eq!((status, stderr.as_str()), (0, ""), "{}", case.name);
        for (from, to) in
            [("\"incidents\":[", "\"summary\":{"), ("\"hosts\":[", "\"incidents\":["), ("\"site\":{", "\"hosts\":[")]
        {
            assert_eq!(part(&again, from, to), part(&report, from, to), "{} {from}", case.name);
        }
        let again: Value = serde_json::from_str(&again).unwrap();
        assert_eq!(again["capture"]["unseen"], Value::Null, "{}: nothing was missing", case.name);
    }
}

#[test]
fn the_lines_of_two_halves_come_to_the_same_in_any_order() {
    // Two sensors: one of them sees what ends in even lines, the other one the rest.
    let dir = tempfile::tempdir().unwrap();
    for case in cases() {
        let (report, lines) = replayed(&case, dir.path());
        let text = fs::read_to_string(&lines).unwrap();
        let half = |odd: bool| {
            let lines = text.lines().enumerate().filter(|(no, _)| (no % 2 == 1) == odd);
            lines.flat_map(|(_, line)| [line, "\n"]).collect::<String>()
        };
        let halves = [false, true].map(|odd| {
            let path = dir.path().join(format!("{}-{odd}.ndjson", case.name));
            fs::write(&path, half(odd)).unwrap();
            path.to_str().unwrap().to_owned()
        });
        let judged = |files: [&str; 2]| {
            let (status, report, stderr) = run("judge", &[&["--report", "-"][..], &files, &site_flags(&case)].concat());
            assert_eq!((status, stderr.as_str()), (0, ""), "{}", case.name);
            let report: Value = serde_json::from_str(&report).unwrap();
            let told = report["incidents"].as_array().unwrap().iter();
            told.map(|incident| ["id", "class", "kind", "tier", "host"].map(|key| incident[key].clone()))
                .collect::<Vec<_>>()
        };
        let report: Value = serde_json::from_str(&report).unwrap();
        let whole: Vec<_> = report["incidents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|incident| ["id", "class", "kind", "tier", "host"].map(|key| incident[key].clone()))
            .collect();
        assert_eq!(judged([&halves[0], &halves[1]]), whole, "{}", case.name);
        assert_eq!(judged([&halves[1], &halves[0]]), whole, "{}", case.name);
    }
}

#[test]
fn damaged_lines_are_told_and_the_others_judged() {
    let dir = tempfile::tempdir().unwrap();
    let case = cases().into_iter().find(|case| case.name == "infected-pc").unwrap();
    let (_, lines) = replayed(&case, dir.path());
    let text = fs::read_to_string(&lines).unwrap();
    fs::write(&lines, format!("{{\"ts\":1}}\n\n{text}{{\"ts\":\"2026-")).unwrap();
    let (status, table, stderr) = run("judge", &[&lines]);
    assert_eq!(status, 4);
    assert!(table.contains("192.168.10.23  confirmed"), "{table}");
    assert!(stderr.starts_with(&format!("smtphound: {lines}, line 1: ")), "{stderr}");
    assert!(stderr.ends_with("(1 more like it)\n"), "{stderr}");
    assert!(table.contains("Read ") && table.contains(" session lines of "), "{table}");
}

#[test]
fn sums_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let case = cases().into_iter().find(|case| case.name == "infected-pc").unwrap();
    let (_, lines) = replayed(&case, dir.path());
    let text = fs::read_to_string(&lines).unwrap();
    let attempt = text.lines().find(|line| line.contains("\"conn_state\":\"S0\"")).unwrap();
    let mut sum: Value = serde_json::from_str(attempt).unwrap();
    for key in ["community_id", "id.orig_p", "id.resp_h"] {
        sum[key] = Value::Null;
    }
    (sum["attempts"], sum["servers"]) = (900.into(), 850.into());
    fs::write(&lines, format!("{text}{sum}\n")).unwrap();
    let (status, report, stderr) = run("judge", &["--report", "-", &lines]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["capture"]["unseen"]["attempts_in_sums"], 900);
    let (_, table, _) = run("judge", &[&lines]);
    assert!(table.contains("900 attempts stand in sums"), "{table}");
}

#[test]
fn what_is_no_file_of_lines_is_told_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("empty"), "").unwrap();
    for (file, status, words) in [
        ("-".to_owned(), 2, "save them to a file first"),
        (path("none"), 4, "No such file"),
        (dir.path().to_str().unwrap().to_owned(), 4, "is a directory: name the files in it"),
        (path("empty"), 0, ""),
    ] {
        let (found, _, stderr) = run("judge", &[&file]);
        assert_eq!(found, status, "{file}: {stderr}");
        assert!(stderr.contains(words) && stderr.lines().count() == usize::from(status != 0), "{stderr}");
    }
}
