//! Metrics as Prometheus reads them, and the rules and the dashboard that are made for them.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops where something is not as it must be")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use assert_cmd::Command as Program;

fn docs(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

fn metrics(capture: &str) -> String {
    let output = Program::cargo_bin("smtphound")
        .unwrap()
        .args(["replay", "--metrics", "-"])
        .arg(common::captures().join(capture))
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs promtool with something on its standard input; nothing where there is none.
fn promtool(args: &[&str], input: &str) {
    let child =
        Command::new("promtool").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: no promtool");
        return;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {args:?}: {said}");
}

/// The names of our metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("smtphound_") && *word != "smtphound_")
        .map(str::to_owned)
        .collect()
}

#[test]
fn promtool_minds_nothing_in_the_metrics_of_any_capture() {
    for capture in common::capture_files() {
        let metrics = metrics(capture.file_name().unwrap().to_str().unwrap());
        assert!(metrics.contains("smtphound_frames_total"));
        promtool(&["check", "metrics"], &metrics);
    }
}

#[test]
fn promtool_takes_the_alert_rules() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/prometheus-alerts.yml");
    promtool(&["check", "rules", rules.to_str().unwrap()], "");
}

#[test]
fn rules_and_dashboard_ask_for_nothing_that_is_not_written() {
    let documented = names(&docs("metrics.md"));
    let written = names(&metrics("infected-pc.pcap"));
    let missing: Vec<_> = written.difference(&documented).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    serde_json::from_str::<serde_json::Value>(&docs("grafana-dashboard.json")).unwrap();
    for file in ["prometheus-alerts.yml", "grafana-dashboard.json"] {
        let asked = names(&docs(file));
        assert!(asked.len() >= 4, "{file}");
        let unknown: Vec<_> = asked.difference(&documented).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn frames_add_up_as_in_the_report() {
    let metrics = metrics("infected-pc.pcap");
    let value = |name: &str| -> u64 {
        let lines = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    let parts = value("smtphound_smtp_frames_total")
        + value("smtphound_ignored_frames_total")
        + value("smtphound_undecoded_frames_total");
    let total = value("smtphound_frames_total");
    // The others are questions to DNS servers, which the report counts by themselves.
    assert!(parts <= total && parts * 10 > total * 9, "{parts} of {total}");
    assert!(value("smtphound_sessions_total") > 0);
}
