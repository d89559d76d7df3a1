//! The whole report of every capture of the repository, held against the one that was kept in `tests/golden/`.
//!
//! `tests/captures.rs` says what must be in a report; this says what the report is. A change of a detector shows here
//! as a difference to read. Where the new report is the right one, renew what is kept, and let the commit show it:
//!
//! ```text
//! INSTA_UPDATE=always cargo test --test golden
//! git diff tests/golden
//! ```
//!
//! Kept is the report as it is written, with line breaks; the program's version and the directory of the capture are
//! taken out. R1 to R6 in the heads are the field reports that a capture replays.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod common;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use assert_cmd::Command;

/// The report of a capture.
fn report(capture: &Path) -> String {
    let card: toml::Table = toml::from_str(&std::fs::read_to_string(capture.with_extension("toml")).unwrap()).unwrap();
    let mut replay = Command::cargo_bin("smtphound").unwrap();
    replay.current_dir(capture.parent().unwrap()).arg("replay").args(["--report", "-"]);
    for (key, values) in card["settings"].as_table().unwrap() {
        for value in values.as_array().unwrap() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            replay.args([format!("--{}", key.replace('_', "-")), value]);
        }
    }
    let out = replay.arg(capture.file_name().unwrap()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let version = format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
    let report = String::from_utf8(out.stdout).unwrap();
    assert!(report.contains(&version), "{report}");
    report.replacen(&version, "\"version\":\"*\"", 1)
}

/// JSON with line breaks: an object or a list that holds none stays on one line, so that a difference is small and what
/// belongs together is seen together. Keys stay in their order and numbers as they were written.
fn spread(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    spread_value(json.trim_end(), 0, &mut text);
    text.push('\n');
    text
}

fn spread_value(value: &str, depth: usize, text: &mut String) {
    let value = value.trim();
    let is_container = value.starts_with(['{', '[']);
    let inner = if is_container { &value[1..value.len() - 1] } else { "" };
    if !unquoted(inner).any(|(_, c)| c == '{' || c == '[') {
        return text.push_str(&value.replace('\n', ""));
    }
    text.push_str(&value[..1]);
    for (no, part) in parts(inner).into_iter().enumerate() {
        let (key, part) = match part.trim_start().starts_with('"').then(|| unquoted(part).find(|(_, c)| *c == ':')) {
            Some(Some((colon, _))) if value.starts_with('{') => part.split_at(colon + 1),
            _ => ("", part),
        };
        text.push_str(if no == 0 { "\n" } else { ",\n" });
        text.push_str(&"  ".repeat(depth + 1));
        text.push_str(key.trim());
        text.push_str(if key.is_empty() { "" } else { " " });
        spread_value(part, depth + 1, text);
    }
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
    text.push_str(&value[value.len() - 1..]);
}

/// The parts between the outermost commas.
fn parts(inner: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0_usize, 0);
    for (at, c) in unquoted(inner) {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[begin..]);
    parts
}

/// The characters outside of strings, with their places.
fn unquoted(json: &str) -> impl Iterator<Item = (usize, char)> {
    let (mut quoted, mut escaped) = (false, false);
    json.char_indices().filter(move |(_, c)| {
        let was_quoted = quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        !was_quoted && !quoted
    })
}

#[test]
fn reports_are_as_they_were() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut kept = BTreeSet::new();
    let mut wrong = Vec::new();
    for capture in common::capture_files() {
        let name = capture.file_stem().unwrap().to_str().unwrap().to_owned();
        let card: toml::Table =
            toml::from_str(&std::fs::read_to_string(capture.with_extension("toml")).unwrap()).unwrap();
        let replays: Vec<&str> =
            card["field_reports"].as_array().unwrap().iter().filter_map(toml::Value::as_str).collect();
        settings.set_description(format!("{} {}", card["title"].as_str().unwrap(), replays.join(" ")).trim());
        let text = spread(&report(&capture));
        // All differences are shown before the test fails.
        let same = std::panic::catch_unwind(AssertUnwindSafe(|| {
            settings.bind(|| insta::assert_snapshot!(name.clone(), text));
        }));
        if same.is_err() {
            wrong.push(name.clone());
        }
        kept.insert(format!("{name}.snap"));
    }
    assert!(wrong.is_empty(), "another report than before: {}", wrong.join(", "));
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let found: BTreeSet<String> = common::files(&directory, "snap")
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, kept, "one kept report a capture, and none of a capture that is gone");
}

#[test]
fn every_field_report_has_a_kept_report() {
    let mut replayed = BTreeSet::new();
    for capture in common::capture_files() {
        let card: toml::Table =
            toml::from_str(&std::fs::read_to_string(capture.with_extension("toml")).unwrap()).unwrap();
        replayed.extend(
            card["field_reports"].as_array().unwrap().iter().filter_map(toml::Value::as_str).map(str::to_owned),
        );
    }
    assert_eq!(replayed, ["R1", "R2", "R3", "R4", "R5", "R6"].map(str::to_owned).into());
}

#[test]
fn line_breaks_change_nothing_else() {
    let json = "{\"a\":[{\"x\":1,\"says\":\"{[,]}: \\\"\"},{}],\n \"b\":[1,2],\"c\":null}\n";
    let expected =
        "{\n  \"a\": [\n    {\"x\":1,\"says\":\"{[,]}: \\\"\"},\n    {}\n  ],\n  \"b\": [1,2],\n  \"c\": null\n}\n";
    assert_eq!(spread(json), expected);
    for capture in common::capture_files() {
        let report = report(&capture);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&report), value(&spread(&report)), "{}", capture.display());
    }
}
