//! `smtphound watch`: the same judgement while the traffic passes, on a screen or as lines for other programs.
//!
//! ```text
//! thread "capture"   thread "engine"      workers     thread that judges        main thread
//! device -> batches -> decode, deal out -> follow  ->  judge, lines, snapshots -> screen, or complaints
//!          (full: drop and count)     (full: wait)
//! ```
//!
//! From the queue on it is the way of a replay. Only the first arrow loses anything, and it counts.

mod desk;
mod devices;
mod journal;
mod lines;
mod listener;
mod publish;
mod signals;

use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use crossbeam_channel::unbounded;

use self::desk::{Desk, Incidents, Inputs, Metrics, Reporter, Sessions};
use self::listener::Listener;
use crate::balance;
use crate::capture::{CaptureError, FrameSource, Lately, Tap};
use crate::config::WatchConfig;
use crate::decode::PortSet;
use crate::detect::Judge;
use crate::error::{Error, Status};
use crate::evidence;
use crate::incident::{Incident, Judgement};
use crate::output::{self, Results, Target, Timeline};
use crate::pipeline::{Plan, Ran, run_watched};
use crate::privileges;
use crate::tui::{self, Evidence, Stage};

pub use devices::list_devices;
pub(crate) use publish::{Pace, Publisher};
pub use signals::Signals;

/// Watches as `config` says, until it is told to end. What goes wrong on the way is told to `complain`.
pub fn watch(config: &WatchConfig, complain: &mut dyn FnMut(&Error)) -> Result<Status, Error> {
    let tap = Tap::open(config.live.clone()).map_err(|error| balance::told(&error))?;
    let signals = Signals::listen().map_err(|error| cannot_start(config, &error))?;
    let sessions = match &config.run.sessions {
        Some(target) => Sessions::open(target, config.run.form)?,
        None => None,
    };
    // Before rights are given up: TCP connections and listeners cannot be opened afterwards.
    let listener = config.metrics_listen.map(Listener::open).transpose()?;
    let syslog = config.run.syslog.as_ref().map(Reporter::open).transpose()?;
    let incidents = if config.screen.is_none() { Some(Incidents::stdout()?) } else { None };
    let (counts, stop) = (tap.counts(), Arc::clone(signals.stop()));
    if !config.keep_privileges {
        privileges::give_up_most(&writable(config)).map_err(|reason| kept(config, &reason))?;
    }
    // The thread that copies frames keeps the right to open the device again; nobody else does.
    let (mut source, copier) = tap.start(Arc::clone(&stop)).map_err(|error| cannot_start(config, &error))?;
    if !config.keep_privileges {
        privileges::give_up_rest().map_err(|reason| kept(config, &reason))?;
    }

    if let Some(path) = &config.write {
        // Opened beside the others, written below.
        source.record(path).map_err(|error| balance::told(&error))?;
    }

    // Only somebody at a screen can ask for them again.
    let lately = Arc::<Lately>::default();
    if config.screen.is_some() {
        source.remember(Arc::clone(&lately));
    }

    let run = &config.run;
    let ports: &PortSet = &run.ports.iter().copied().collect();
    let evidence_of = |incidents: &[Incident]| {
        let past = lately.look();
        let again = || Ok(Box::new(past.source()) as Box<dyn FrameSource + Send>);
        evidence::write(Path::new(evidence::DIRECTORY), incidents, ports, &run.limits.decode, &again)
    };
    let judge = Judge::new(run.site.clone(), run.reply_rules.clone(), &run.settings, &run.limits.detect);
    let (stage, inputs) = (Stage::default(), Inputs::default());
    let (trouble_to, trouble) = unbounded();
    let mut desk = Desk {
        signals: signals.clone(),
        live: Arc::clone(&counts),
        inputs: Arc::clone(&inputs),
        trouble: trouble_to,
        report: run.report.clone(),
        page: run.html.clone().map(|target| (target, Timeline::new(run.site.ours()))),
        metrics: Metrics::new(run.metrics.clone(), listener.as_ref().map(Listener::page)),
        syslog,
        sessions,
        incidents,
        screen: config.screen.as_ref().map(|_| Publisher::new(stage.clone())),
        pace: Pace::new(),
        reload: config.reload.clone(),
        terms: None,
        failed: false,
    };
    let (shown, ended) = std::thread::scope(|scope| {
        let inputs = Arc::clone(&inputs);
        let engine = std::thread::Builder::new().name("engine".to_owned()).spawn_scoped(scope, move || {
            let plan = Plan { ports, limits: &run.limits, workers: run.workers };
            let mut note = |source: &dyn FrameSource| {
                *inputs.lock().unwrap_or_else(PoisonError::into_inner) = source.summaries();
            };
            let ran = run_watched(&mut source, &plan, judge, &mut desk, &mut note);
            desk.attend(&ran.at_end(&ran.finished.front.stats()), true);
            (ran, desk.failed)
        });
        let engine = match engine {
            Ok(engine) => engine,
            Err(error) => return (Ok(()), Err(cannot_start(config, &error))),
        };
        if let Some(listener) = &listener {
            let serve = || listener.serve(&stop);
            if let Err(error) = std::thread::Builder::new().name("metrics".to_owned()).spawn_scoped(scope, serve) {
                // The rest goes on; who asks waits in vain, and this says why.
                complain(&cannot_start(config, &error));
            }
        }
        let shown = if let Some(screen) = &config.screen {
            let (ask, asked, tell) = Evidence::open();
            let write = &evidence_of;
            scope.spawn(move || evidence::serve(&asked, &tell, Path::new(evidence::DIRECTORY), write));
            tui::run(screen, &config.live.device, &stage, &stop, &trouble, &ask, &|| engine.is_finished())
        } else {
            // Ends when the desk is gone, with the run.
            for error in &trouble {
                complain(&error);
            }
            Ok(Vec::new())
        };
        stop.store(true, Ordering::Relaxed);
        // A panic in a thread is a defect of ours: it goes on to the caller's thread as it is.
        let ended = engine.join().unwrap_or_else(|panic| resume_unwind(panic));
        let told = shown.map(|untold| untold.into_iter().for_each(|error| complain(&error)));
        trouble.try_iter().for_each(|error| complain(&error));
        (told, Ok(ended))
    });
    if let Err(panic) = copier.join() {
        resume_unwind(panic);
    }
    let (ran, failed) = ended?;
    shown?;
    for error in &ran.errors {
        complain(&balance::told(error));
    }
    conclude(config, &ran, failed, &inputs, &counts)
}

/// The table after the screen, and how the program ends.
fn conclude(
    config: &WatchConfig,
    ran: &Ran,
    failed: bool,
    inputs: &Inputs,
    counts: &crate::capture::LiveCounts,
) -> Result<Status, Error> {
    let judge = &ran.finished.judge;
    let judgement = Judgement::of(judge);
    if let (Some(_), Some(style)) = (&config.screen, config.run.table) {
        let inputs = inputs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let drops = balance::drops(&counts.stats());
        let front = ran.finished.front.stats();
        let facts = balance::facts(&ran.at_end(&front), inputs, drops);
        let candidates = judge.candidates();
        let results = Results { facts: &facts, judge, judgement: &judgement, candidates: &candidates };
        output::deliver(None, Some(style), &results, &mut io::BufWriter::new(io::stdout().lock()))?;
    }
    let surest = judgement.incidents.iter().map(|incident| incident.tier).max();
    let status = Status::of_run(surest, config.run.fail_on, false);
    // An output that could not be written is told by the status, unless an incident is.
    let failed = failed || ran.errors.iter().any(|error| matches!(error, CaptureError::Write { .. }));
    Ok(if failed && status == Status::Done { Status::Usage } else { status })
}

/// Where outputs are written: their directories, because a report is renamed into its place and a file may be rotated.
fn writable(config: &WatchConfig) -> Vec<PathBuf> {
    let run = &config.run;
    let files = [&run.report, &run.sessions, &run.html, &run.metrics].into_iter().flatten();
    let files = files.filter_map(|target| match target {
        Target::File(path) => Some(path),
        Target::Stdout => None,
    });
    let mut directories: Vec<PathBuf> = files.chain(&config.write).map(|path| privileges::directory_of(path)).collect();
    if config.screen.is_some() {
        // What is exported from the screen is put here.
        directories.push(PathBuf::from("."));
    }
    directories
}

fn cannot_start(config: &WatchConfig, error: &io::Error) -> Error {
    Error::Capture {
        device: config.live.device.clone(),
        message: format!("a thread or signal cannot be set up: {error}"),
    }
}

fn kept(config: &WatchConfig, reason: &str) -> Error {
    Error::Capture {
        device: config.live.device.clone(),
        message: format!(
            "rights that are not needed cannot be given up ({reason}); --keep-privileges goes on with them"
        ),
    }
}
