//! An incident keeps its name from the first moment at which it can be told of, whatever evidence is found later: lines
//! that were written early and the report at the end speak of the same one.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as it must be")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smtphound::capture::{CaptureError, Captured, FrameSource, InputSummary, OpenOptions, Progress, open_file};
use smtphound::decode::PortSet;
use smtphound::detect::replies::ReplyRules;
use smtphound::detect::{Class, DetectSettings, Judge};
use smtphound::incident::{IncidentId, Judgement};
use smtphound::limits::Limits;
use smtphound::net::HostKey;
use smtphound::pipeline::{Plan, SoFar, Watcher, run_watched};
use smtphound::session::SessionEvent;
use smtphound::site::Site;
use smtphound::time::Ts;

/// Writes down by which names, and since when, each incident is known whenever the judgement may be looked at.
#[derive(Default)]
struct Names {
    names: BTreeMap<(HostKey, Class), BTreeSet<IncidentId>>,
    begins: BTreeMap<(HostKey, Class), BTreeSet<Ts>>,
}

impl Names {
    fn note(&mut self, judge: &Judge) {
        for incident in Judgement::of(judge).incidents {
            let key = (incident.host, incident.class);
            self.names.entry(key).or_default().insert(incident.id);
            self.begins.entry(key).or_default().insert(incident.first);
        }
    }
}

impl Watcher for Names {
    fn handle(&mut self, _: &SessionEvent) {}

    fn look(&mut self, so_far: &SoFar<'_>) {
        self.note(so_far.judge);
    }
}

/// A link that runs dry after every few frames: then the judgement is looked at.
struct Halting {
    inner: Box<dyn FrameSource + Send>,
    frames: u32,
    now: Ts,
}

impl FrameSource for Halting {
    fn next_frame(&mut self) -> Option<Result<Captured<'_>, CaptureError>> {
        self.frames += 1;
        if self.frames.is_multiple_of(200) {
            return Some(Ok(Captured::Idle(self.now)));
        }
        let next = self.inner.next_frame()?;
        if let Ok(Captured::Frame(_, frame)) = &next {
            self.now = frame.ts;
        }
        Some(next)
    }

    fn progress(&self) -> Progress {
        self.inner.progress()
    }

    fn summaries(&self) -> Vec<InputSummary> {
        self.inner.summaries()
    }
}

#[test]
fn names_stay_while_evidence_is_gathered() {
    let (limits, ports) = (Limits::default(), PortSet::default());
    let mut begins_moved = 0;
    for path in common::capture_files() {
        let inner = open_file(&path, &OpenOptions::default()).unwrap();
        let mut source = Halting { inner, frames: 0, now: Ts::EPOCH };
        let judge =
            Judge::new(Site::default(), Arc::new(ReplyRules::builtin()), &DetectSettings::default(), &limits.detect);
        let plan = Plan { ports: &ports, limits: &limits, workers: 1 };
        let mut names = Names::default();
        let ran = run_watched(&mut source, &plan, judge, &mut names, &mut |_| ());
        names.note(&ran.finished.judge);
        for (key, ids) in &names.names {
            assert_eq!(ids.len(), 1, "{}: {key:?} is called {ids:?}", path.display());
        }
        begins_moved += names.begins.values().filter(|begins| begins.len() > 1).count();
    }
    assert!(begins_moved > 0, "no begin moved: this test shows nothing");
}
