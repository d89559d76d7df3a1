//! What the fuzz targets do: each takes any bytes and holds a room of the house to its promises.
//!
//! Compiled for tests and for `cargo fuzz` only. The targets in `fuzz/` are one line each; `fuzz/corpus/` is replayed by
//! `cargo test`, and `fuzz/README.md` says how to run them and how a seed is written.
//!
//! A body does not only look for panics. It states what must be true whatever was read: that sums agree, that nothing
//! grows beyond its limit, that the same bytes cut in other places mean the same, that a second run says the same again.

#![expect(clippy::missing_panics_doc, reason = "a broken promise is a panic here, that is all these functions are for")]

mod dialogue;
mod files;
mod flows;
mod frames;
mod grammar;
#[cfg(test)]
mod mutate;
#[cfg(test)]
mod seeds;
mod sessions;
mod settings;
#[cfg(test)]
mod tests;

pub use dialogue::dialogue;
pub use files::{capture, capture_file};
pub use flows::segments;
pub use frames::frames;
pub use grammar::{commands, dsn, lines, replies};
pub use sessions::session_lines;
pub use settings::settings;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use crate::detect::Judge;
use crate::detect::replies::ReplyRules;
use crate::incident::Judgement;
use crate::output::{Results, RunFacts, Style, report, table};

/// What a target does with its bytes.
pub type Target = fn(&[u8]);

/// The targets by name, as `fuzz/corpus/` names its directories.
pub const TARGETS: &[(&str, Target)] = &[
    ("frames", frames),
    ("segments", segments),
    ("lines", lines),
    ("commands", commands),
    ("replies", replies),
    ("dialogue", dialogue),
    ("dsn", dsn),
    ("capture", capture),
    ("session_lines", session_lines),
    ("settings", settings),
];

/// Compiled once: every judge of a process shares them.
static RULES: LazyLock<Arc<ReplyRules>> = LazyLock::new(|| Arc::new(ReplyRules::builtin()));

/// Bytes as a row of decisions. Where they are used up there are no more decisions.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*first))
    }

    fn u32(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }

    /// As many bytes as are there of so many.
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at_checked(len).unwrap_or((self.0, &[]));
        self.0 = rest;
        taken
    }
}

/// A place for an input of this thread, in memory where the system has such a place. `no`: several files of one input.
fn scratch(no: usize) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    dir.join(format!("smtphound-{}-{:?}-{no}", std::process::id(), std::thread::current().id()))
}

/// What a run comes to: report and table. The scores are the sums of their lines, the report is strict JSON, and nothing in
/// the table can harm a terminal.
fn judged(facts: &RunFacts, judge: &Judge) -> (String, String) {
    let judgement = Judgement::of(judge);
    for incident in &judgement.incidents {
        let sum: f64 = incident.evidence.iter().map(|line| line.db).sum();
        assert!(incident.score_db.is_none_or(|score| (score - sum).abs() < 0.05), "{}", incident.summary);
    }
    let candidates = judge.strangers().candidates();
    let results = Results { facts, judge, judgement: &judgement, candidates: &candidates };
    let (mut json, mut people) = (Vec::new(), Vec::new());
    let written =
        report::write(&mut json, &results).and_then(|()| table::write(&mut people, &results, Style::new(80, false)));
    assert!(written.is_ok(), "memory takes everything");
    let (report, table) = (text(json), text(people));
    let parsed: Result<serde_json::Value, _> = serde_json::from_str(&report);
    assert!(parsed.is_ok_and(|report| report["schema_version"] == 1), "{report}");
    assert!(table.lines().all(is_harmless), "{table}");
    (report, table)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|_| panic!("outputs are UTF-8"))
}

/// Whether nothing in a text could move a cursor or begin a line: what every escaped text promises.
fn is_harmless(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}'))
}
