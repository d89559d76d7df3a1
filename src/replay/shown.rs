//! `replay --tui`: a capture on the screen of `watch`, at a speed, with pauses and steps.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::unbounded;

use super::paced::PacedSource;
use crate::balance;
use crate::capture::{FrameSource, InputSummary, LiveStats};
use crate::config::Screen;
use crate::detect::Judge;
use crate::error::Error;
use crate::evidence::{self, DIRECTORY, LeftOut};
use crate::incident::{Incident, Judgement};
use crate::output::{Counts, RunFacts};
use crate::pipeline::{Plan, Ran, SoFar, Watcher, run_watched};
use crate::session::SessionEvent;
use crate::tui::{self, Evidence, Playback, Stage};
use crate::watch::{Pace, Publisher, Signals};

/// Plays a source to its end, or until the operator has seen enough; what was read of it.
pub(super) fn run(
    source: Box<dyn FrameSource + Send>,
    plan: &Plan<'_>,
    judge: Judge,
    sink: &mut (dyn FnMut(&SessionEvent) + Send),
    screen: &Screen,
    speed: f64,
    evidence: &(dyn Fn(&[Incident]) -> Result<LeftOut, Error> + Sync),
) -> Result<(Ran, Vec<InputSummary>), Error> {
    let cannot = |error: std::io::Error| Error::Input(format!("the screen cannot be set up: {error}"));
    let signals = Signals::listen().map_err(cannot)?;
    let stage = Stage { playback: Arc::new(Playback::at(speed)), ..Stage::default() };
    let title = match source.summaries().as_slice() {
        [one] => one.file.rsplit('/').next().unwrap_or_default().to_owned(),
        many => format!("{} files", many.len()),
    };
    let mut source = PacedSource::new(source, Arc::clone(&stage.playback), Arc::clone(signals.stop()));
    let (trouble_to, trouble) = unbounded();
    let (shown, ran) = std::thread::scope(|scope| {
        let for_engine = stage.clone();
        let engine = scope.spawn(move || {
            let inputs = Arc::<Mutex<Vec<InputSummary>>>::default();
            let publisher = Publisher::new(for_engine);
            let mut shown = Shown { sink, publisher, pace: Pace::new(), inputs: Arc::clone(&inputs), live: None };
            let mut note = |source: &dyn FrameSource| {
                *inputs.lock().unwrap_or_else(PoisonError::into_inner) = source.summaries();
            };
            let ran = run_watched(&mut source, plan, judge, &mut shown, &mut note);
            for error in &ran.errors {
                let _ = trouble_to.send(balance::told(error));
            }
            shown.publish(&ran.at_end(&ran.finished.front.stats()), true);
            (ran, source.summaries())
        });
        let (ask, asked, tell) = Evidence::open();
        scope.spawn(move || evidence::serve(&asked, &tell, Path::new(DIRECTORY), evidence));
        let shown = tui::run(screen, &title, &stage, signals.stop(), &trouble, &ask, &|| engine.is_finished());
        drop(ask);
        signals.stop().store(true, Ordering::Relaxed);
        (shown, engine.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    // The errors themselves are told with the run.
    shown.map(|_| ran)
}

/// A whole source as the screen shows it at its end, without a screen; `live` where it shall look like a device's.
pub fn stage_of(source: &mut dyn FrameSource, plan: &Plan<'_>, judge: Judge, live: Option<LiveStats>) -> Stage {
    let stage = Stage::default();
    let mut nowhere = |_: &SessionEvent| ();
    let inputs = Arc::default();
    let publisher = Publisher::new(stage.clone());
    let mut shown = Shown { sink: &mut nowhere, publisher, pace: Pace::new(), inputs: Arc::clone(&inputs), live: None };
    let ran = run_watched(source, plan, judge, &mut Events(&mut shown), &mut |_| ());
    *inputs.lock().unwrap_or_else(PoisonError::into_inner) = source.summaries();
    shown.live = live;
    shown.publish(&ran.at_end(&ran.finished.front.stats()), live.is_none());
    stage
}

/// Takes events and publishes nothing on the way.
struct Events<'a, 'b>(&'a mut Shown<'b>);

impl Watcher for Events<'_, '_> {
    fn handle(&mut self, event: &SessionEvent) {
        self.0.handle(event);
    }

    fn look(&mut self, _: &SoFar<'_>) {}
}

/// The screen and the session lines.
struct Shown<'a> {
    sink: &'a mut (dyn FnMut(&SessionEvent) + Send),
    publisher: Publisher,
    pace: Pace,
    inputs: Arc<Mutex<Vec<InputSummary>>>,
    live: Option<LiveStats>,
}

impl Shown<'_> {
    fn publish(&mut self, so_far: &SoFar<'_>, over: bool) {
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let facts: RunFacts = balance::facts(so_far, inputs, Counts::default());
        self.publisher.publish(Judgement::of(so_far.judge), so_far, facts, self.live, over);
    }
}

impl Watcher for Shown<'_> {
    fn handle(&mut self, event: &SessionEvent) {
        (self.sink)(event);
        self.publisher.handle(event);
    }

    fn look(&mut self, so_far: &SoFar<'_>) {
        let mut pace = std::mem::replace(&mut self.pace, Pace::new());
        pace.keep(|| self.publish(so_far, false));
        self.pace = pace;
    }
}
