//! From the thread that judges to the screen: a snapshot now and then, never so often that judging suffers.

use std::time::{Duration, Instant};

use std::sync::Arc;

use crate::capture::LiveStats;
use crate::incident::Judgement;
use crate::output::{Results, RunFacts};
use crate::pipeline::SoFar;
use crate::session::SessionEvent;
use crate::tui::{Recent, Snapshot, Stage};

/// The shortest time between two judgements that are put together: three a second are as many as anybody can read.
const EVERY: Duration = Duration::from_millis(330);
/// Putting one together may take this part of the time at most: one of eight.
const SHARE: u32 = 8;

/// When the next one is due.
#[derive(Debug)]
pub(crate) struct Pace {
    every: Duration,
    next: Option<Instant>,
}

impl Pace {
    /// At once.
    pub(crate) const fn new() -> Self {
        Self::every(EVERY)
    }

    /// At once, and so seldom.
    pub(crate) const fn every(every: Duration) -> Self {
        Self { every, next: None }
    }

    /// Does the work if it is time for it; how long it took decides when it is time again.
    pub(crate) fn keep<T>(&mut self, work: impl FnOnce() -> T) -> Option<T> {
        let begin = clock();
        if self.next.is_some_and(|next| begin < next) {
            return None;
        }
        let done = work();
        let end = clock();
        self.next = Some(end + self.every.max((end - begin) * (SHARE - 1)));
        Some(done)
    }
}

#[expect(clippy::disallowed_methods, reason = "the edge: how often people and logs are told, not what")]
pub(super) fn clock() -> Instant {
    Instant::now()
}

/// Gathers what a screen shows besides the judgement, and hands it over.
#[derive(Debug)]
pub(crate) struct Publisher {
    stage: Stage,
    recent: Recent,
    serial: u64,
    ended: u64,
    before: Option<Arc<Snapshot>>,
}

impl Publisher {
    /// For a screen that reads `stage`.
    pub(crate) fn new(stage: Stage) -> Self {
        Self { stage, recent: Recent::default(), serial: 0, ended: 0, before: None }
    }

    /// Learns from an event.
    pub(crate) fn handle(&mut self, event: &SessionEvent) {
        self.stage.activity.handle(event);
        self.recent.handle(event);
        self.ended += event.connections_ended();
    }

    /// Hands over.
    pub(crate) fn publish(
        &mut self,
        judgement: Judgement,
        so_far: &SoFar<'_>,
        facts: RunFacts,
        live: Option<LiveStats>,
        over: bool,
    ) {
        self.serial += 1;
        let judge = so_far.judge;
        let nobody = judgement.hosts.is_empty();
        let floods = Results { facts: &facts, judge, judgement: &judgement, candidates: &[] }.floods();
        let snapshot = Snapshot {
            serial: self.serial,
            now: so_far.front.now.max(judge.now().ts),
            judgement,
            sessions: self.recent.lines(),
            facts,
            floods,
            live,
            foreign: judge.stats().foreign,
            candidates: if nobody { judge.strangers().candidates() } else { Vec::new() },
            ended: self.ended,
            over,
            ..Snapshot::default()
        };
        // The screen has most probably moved on from the last but one: it is taken apart here, not there.
        let before = self.stage.snapshot.swap(Arc::new(snapshot.indexed()));
        drop(self.before.replace(before));
    }
}
