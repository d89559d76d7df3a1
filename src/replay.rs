//! `smtphound replay`: saved captures in, report, session lines and table out.

mod inputs;
mod paced;
mod shown;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use inputs::open_all;
pub use shown::stage_of;

use crate::balance;
use crate::capture::FrameSource;
use crate::config::{Config, read_only_once};
use crate::decode::PortSet;
use crate::detect::Judge;
use crate::error::{Error, Status};
use crate::evidence::{self, LeftOut};
use crate::incident::{Incident, Judgement};
use crate::output::{self, Counts, Results, SessionWriter, Timeline, html, metrics, syslog::Syslog};
use crate::pipeline::{self, Plan};
use crate::session::SessionEvent;

/// Replays captures as `config` says. What is wrong with one input is told to `complain`, and the others go on.
pub fn replay(config: &Config, complain: &mut dyn FnMut(&Error)) -> Result<Status, Error> {
    let ports: PortSet = config.ports.iter().copied().collect();
    let judge = Judge::new(config.site.clone(), config.reply_rules.clone(), &config.settings, &config.limits.detect);
    let mut sessions = match &config.sessions {
        Some(target) => Some(SessionWriter::new(target.open()?, config.form)),
        None => None,
    };
    // Before the captures, which may be as many as there can be open files.
    let opened = open_all(config, complain)?;
    let mut session_error = None;
    let mut timeline = config.html.as_ref().map(|_| Timeline::new(config.site.ours()));
    let mut tally = metrics::Tally::default();
    let mut handle = |event: &SessionEvent| {
        tally.handle(event);
        if let Some(timeline) = &mut timeline {
            timeline.handle(event);
        }
        if let Some(writer) = &mut sessions
            && session_error.is_none()
        {
            session_error = writer.handle(event).err();
        }
    };
    let plan = Plan { ports: &ports, limits: &config.limits, workers: config.workers };
    let (mut ran, mut inputs) = if let Some((screen, speed)) = &config.screen {
        let evidence = |incidents: &[Incident]| evidence_again(config, &ports, incidents);
        shown::run(opened.source, &plan, judge, &mut handle, screen, *speed, &evidence)?
    } else {
        let bar = progress_bar();
        let mut source = opened.source;
        let ran = pipeline::run(&mut source, &plan, judge, &mut handle, &mut |source, ended| {
            show_progress(&bar, source, ended);
        });
        bar.finish_and_clear();
        (ran, source.summaries())
    };
    for error in &ran.errors {
        complain(&balance::told(error));
    }

    inputs.extend(opened.failed);
    let damaged = inputs.iter().any(|input| input.error.is_some());
    let mut facts = balance::facts(&ran.at_end(&ran.finished.front.stats()), inputs, Counts::default());
    let past = std::mem::take(&mut ran.finished.past);
    facts.limits_hit.add("past_incidents", past.left_out());
    let judgement = Judgement::last(&mut ran.finished.judge, past);
    let judge = &ran.finished.judge;
    if let Some(directory) = &config.evidence {
        let again = || open_all(config, &mut |_| ()).map(|opened| opened.source);
        let left_out = evidence::write(directory, &judgement.incidents, &ports, &config.limits.decode, &again)?;
        facts.limits_hit.add("evidence_incidents", left_out.incidents);
        facts.limits_hit.add("evidence_frames", left_out.frames);
    }
    // Session lines that could not be written take nothing from what was found.
    let written = match (&config.sessions, sessions, session_error) {
        (Some(target), _, Some(error)) => Err(target.error(error)),
        (Some(target), Some(writer), None) => {
            let ended = end_sessions(writer, judge, &judgement);
            ended.map_err(|error| target.error(error)).and_then(output::Sink::finish)
        }
        _ => Ok(()),
    };
    let candidates = judge.candidates();
    let results = Results { facts: &facts, judge, judgement: &judgement, candidates: &candidates };
    let others = deliver_others(config, &results, timeline.as_ref(), &tally);
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let delivered = output::deliver(config.report.as_ref(), config.table, &results, &mut stdout);
    // One that could not be written takes nothing from the others; the last one's trouble is the end's.
    let mut troubles: Vec<Error> = [written, others, delivered].into_iter().filter_map(Result::err).collect();
    if let Some(last) = troubles.pop() {
        troubles.iter().for_each(&mut *complain);
        return Err(last);
    }
    let surest = judgement.incidents.iter().map(|incident| incident.tier).max();
    Ok(Status::of_run(surest, config.fail_on, damaged))
}

/// Evidence that the screen asks for, out of the captures once more.
fn evidence_again(config: &Config, ports: &PortSet, incidents: &[Incident]) -> Result<LeftOut, Error> {
    if let Some(once) = read_only_once(&config.inputs) {
        let message =
            format!("evidence needs the frames again, and {once} can be read only once: save it to a file first");
        return Err(Error::Usage(message));
    }
    let again = || open_all(config, &mut |_| ()).map(|opened| opened.source);
    let left_out = evidence::write(Path::new(evidence::DIRECTORY), incidents, ports, &config.limits.decode, &again)?;
    // A capture is all there, whatever its stamps say.
    Ok(LeftOut { gone: 0, ..left_out })
}

/// Writes the page and the metrics, and tells syslog of the incidents, where that is asked for.
fn deliver_others(
    config: &Config,
    results: &Results<'_>,
    timeline: Option<&Timeline>,
    tally: &metrics::Tally,
) -> Result<(), Error> {
    if let Some(target) = &config.html {
        output::write_whole(target, |out| html::write(out, results, timeline))?;
    }
    if let Some(target) = &config.metrics {
        output::write_whole(target, |out| metrics::write(out, results, tally))?;
    }
    if let Some(to) = &config.syslog {
        let told = Syslog::open(to).and_then(|mut syslog| {
            let incidents = &results.judgement.incidents;
            incidents.iter().try_for_each(|incident| syslog.tell("found", incident.last, incident))
        });
        told.map_err(|source| to.error(source))?;
    }
    Ok(())
}

/// Writes what ends the session lines, incidents where their form has a place for them, and gives back what they went to.
fn end_sessions<W: io::Write>(mut writer: SessionWriter<W>, judge: &Judge, judgement: &Judgement) -> io::Result<W> {
    for incident in &judgement.incidents {
        writer.incident(judge.now().ts, incident)?;
    }
    writer.finish()
}

/// A bar on standard error, if that is a terminal.
fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show_progress(bar: &ProgressBar, source: &dyn FrameSource, ended: u64) {
    if bar.is_hidden() {
        return;
    }
    let progress = source.progress();
    let frames: u64 = source.summaries().iter().map(|input| input.frames).sum();
    if let Some(total) = progress.total {
        if bar.length() != Some(total) {
            bar.set_length(total);
            if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {eta} left, {msg}") {
                bar.set_style(style);
            }
        }
    } else if let Ok(style) = ProgressStyle::with_template("{spinner} {bytes}, {msg}") {
        bar.set_style(style);
    }
    bar.set_position(progress.done);
    bar.set_message(format!("{frames} frames, {ended} sessions"));
}
