//! Whole capture files through the whole program: reader, stages on one and on several threads, report, session lines,
//! table.

use std::path::Path;
use std::sync::Arc;

use super::{RULES, is_harmless, judged, scratch, text};
use crate::balance;
use crate::capture::{FrameSource, OpenOptions, open_file};
use crate::decode::PortSet;
use crate::detect::{DetectSettings, Judge};
use crate::limits::{DetectLimits, Limits, TcpLimits};
use crate::output::{Counts, LineForm, SessionWriter};
use crate::pipeline::{self, Plan};
use crate::site::Site;

/// The bytes of a file: pcap, pcapng, either of them packed, or none of these.
pub fn capture(data: &[u8]) {
    let path = scratch(0);
    // A full disk is none of the program's faults.
    if std::fs::write(&path, data).is_ok() {
        capture_file(&path);
        _ = std::fs::remove_file(&path);
    }
}

/// A file that may be anything. Says how many frames were read.
pub fn capture_file(path: &Path) -> u64 {
    let one = run(path, 1);
    assert_eq!(one.as_ref(), run(path, 3).as_ref(), "the number of threads changes nothing");
    one.map_or(0, |written| written.frames)
}

/// What a run came to.
#[derive(PartialEq, Eq, Debug)]
struct Written {
    frames: u64,
    sessions: String,
    report: String,
    table: String,
}

/// `None` if it is no capture at all.
fn run(path: &Path, workers: usize) -> Option<Written> {
    let mut source = match open_file(path, &OpenOptions::default()) {
        Ok(source) => source,
        Err(error) => {
            let said = balance::told(&error).to_string();
            assert!(is_harmless(&said) && !said.is_empty(), "one line: {said:?}");
            return None;
        }
    };
    let limits = limits();
    let ports = PortSet::from_iter([25, 587]);
    let judge = Judge::new(Site::default(), Arc::clone(&RULES), &DetectSettings::default(), &limits.detect);
    let mut lines = SessionWriter::new(Vec::new(), LineForm::Native);
    let plan = Plan { ports: &ports, limits: &limits, workers };
    let ran = pipeline::run(
        &mut source,
        &plan,
        judge,
        &mut |event| assert!(lines.handle(event).is_ok(), "memory takes everything"),
        &mut |_, _| {},
    );
    assert!(ran.errors.len() <= 1, "an error ends a file: {:?}", ran.errors);
    let inputs = source.summaries();
    let (read, damaged): (u64, bool) = (inputs[0].frames, inputs[0].error.is_some());
    assert_eq!(damaged, !ran.errors.is_empty(), "the summary tells of the error");

    let front = ran.finished.front.stats();
    let facts = balance::facts(&ran.at_end(&front), inputs, Counts::default());
    let frames = &facts.frames;
    assert_eq!(frames.total, read, "every frame that was read has its place");
    assert_eq!(
        frames.total,
        frames.smtp + frames.dns + frames.names + frames.ignored.total() + frames.undecoded.total()
    );
    let tcp = &ran.finished.tcp;
    assert_eq!(tcp.segments, frames.smtp, "every segment came to a shard");
    assert_eq!(tcp.opened, tcp.closed, "what was opened was told");

    let (report, table) = judged(&facts, &ran.finished.judge);
    let sessions = text(lines.finish().unwrap_or_default());
    for line in sessions.lines() {
        assert!(is_harmless(line) && serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
    assert_eq!(sessions.is_empty(), tcp.opened + tcp.unanswered + frames.dns == 0, "a line a connection or a question");
    Some(Written { frames: read, sessions, report, table })
}

/// Small: an input of some thousand bytes comes to them.
fn limits() -> Limits {
    Limits {
        tcp: TcpLimits { flows_max: 256, attempts_max: 256, closed_max: 64, ..TcpLimits::default() },
        detect: DetectLimits { hosts_max: 64, triplets_max: 1024, clients_max: 64, flood_attempts_min: 4 },
        ..Limits::default()
    }
}
