//! Who watches a live run: writes its lines, its reports and its snapshots, from the thread that judges.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;

use super::journal::Journal;
use super::lines::LineFile;
use super::listener::Page;
use super::publish::{Pace, Publisher};
use super::signals::Signals;
use crate::balance;
use crate::capture::{InputSummary, LiveCounts};
use crate::config::Reload;
use crate::detect::Terms;
use crate::error::Error;
use crate::incident::{Incident, Judgement};
use crate::output::report::{self, IncidentChange, write_incident_line};
use crate::output::syslog::Syslog;
use crate::output::{LineForm, Results, RunFacts, SessionWriter, Target, Timeline, html, metrics, syslog, write_whole};
use crate::pipeline::{SoFar, Watcher};
use crate::session::SessionEvent;

/// What the source read so far, told by the thread that reads it.
pub(super) type Inputs = Arc<Mutex<Vec<InputSummary>>>;

/// Who watches.
pub(super) struct Desk {
    pub(super) signals: Signals,
    pub(super) live: Arc<LiveCounts>,
    pub(super) inputs: Inputs,
    pub(super) trouble: Sender<Error>,
    pub(super) report: Option<Target>,
    /// The page, written whenever the report is, and the counts of its charts.
    pub(super) page: Option<(Target, Timeline)>,
    pub(super) metrics: Option<Metrics>,
    pub(super) syslog: Option<Reporter>,
    pub(super) sessions: Option<Sessions>,
    pub(super) incidents: Option<Incidents>,
    pub(super) screen: Option<Publisher>,
    pub(super) pace: Pace,
    /// What SIGHUP reads again.
    pub(super) reload: Reload,
    /// What it read, until the judge takes it.
    pub(super) terms: Option<Terms>,
    /// Something could not be written, which the exit status tells.
    pub(super) failed: bool,
}

/// Metrics, and where they go: into a file, to whoever asks, or both.
pub(super) struct Metrics {
    file: Option<Target>,
    page: Option<Page>,
    tally: metrics::Tally,
    pace: Pace,
}

/// Prometheus asks its exporters four times a minute where nobody says otherwise.
const METRICS_EVERY: Duration = Duration::from_secs(15);
/// Who asks over HTTP does so at any time and is given what there is, which is no older than this.
const METRICS_FRESH: Duration = Duration::from_secs(5);

/// Incidents as lines of syslog, and what was told of them.
pub(super) struct Reporter {
    to: syslog::Destination,
    syslog: Syslog,
    journal: Journal,
    told: bool,
}

/// Session lines, and where they go.
pub(super) struct Sessions {
    writer: SessionWriter<LineFile>,
    target: Target,
    /// The last trouble was told; the same again is not.
    told: bool,
}

/// Incident lines on standard output.
pub(super) struct Incidents {
    journal: Journal,
    out: Unbuffered,
    told: bool,
}

/// Standard output, each write one call. After a write that failed, the next line begins a line.
struct Unbuffered {
    file: File,
    cut: bool,
}

impl Write for Unbuffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.cut {
            self.file.write_all(b"\n")?;
        }
        let written = self.file.write_all(bytes);
        self.cut = written.is_err();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sessions {
    pub(super) fn open(target: &Target, form: LineForm) -> Result<Option<Self>, Error> {
        let Target::File(path) = target else { return Ok(None) };
        let lines = LineFile::open(path).map_err(|source| target.error(source))?;
        Ok(Some(Self { writer: SessionWriter::new(lines, form), target: target.clone(), told: false }))
    }
}

impl Metrics {
    /// None where there is no place for them.
    pub(super) fn new(file: Option<Target>, page: Option<Page>) -> Option<Self> {
        let every = if page.is_some() { METRICS_FRESH } else { METRICS_EVERY };
        let wanted = file.is_some() || page.is_some();
        wanted.then(|| Self { file, page, tally: metrics::Tally::default(), pace: Pace::every(every) })
    }

    fn write(&self, results: &Results<'_>) -> Result<(), Error> {
        if let Some(page) = &self.page {
            let mut text = Vec::new();
            // Memory takes all that is written to it.
            let _ = metrics::write(&mut text, results, &self.tally);
            page.store(Some(Arc::new(text)));
        }
        let to_file = |file| write_whole(file, |out| metrics::write(out, results, &self.tally));
        self.file.as_ref().map_or(Ok(()), to_file)
    }
}

impl Reporter {
    pub(super) fn open(to: &syslog::Destination) -> Result<Self, Error> {
        let syslog = Syslog::open(to).map_err(|source| to.error(source))?;
        Ok(Self { to: to.clone(), syslog, journal: Journal::default(), told: false })
    }
}

impl Incidents {
    pub(super) fn stdout() -> Result<Self, Error> {
        let file = io::stdout().as_fd().try_clone_to_owned().map_err(Error::stdout)?;
        let out = Unbuffered { file: file.into(), cut: false };
        Ok(Self { journal: Journal::default(), out, told: false })
    }
}

impl Desk {
    fn complain(&self, error: Error) {
        // Nobody listens any more only when the run is over anyway.
        let _ = self.trouble.send(error);
    }

    fn facts(&self, so_far: &SoFar<'_>) -> RunFacts {
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        balance::facts(so_far, inputs, balance::drops(&self.live.stats()))
    }

    /// Everything that a moment asks for. At the end of the run it is always time.
    pub(super) fn attend(&mut self, so_far: &SoFar<'_>, over: bool) {
        if self.signals.take_reopen() {
            self.reopen();
            match self.reload.load() {
                Ok(terms) => self.terms = Some(terms),
                // What was told before still holds.
                Err(error) => self.complain(error),
            }
        }
        let wanted = self.signals.take_report();
        if wanted && self.report.is_none() && self.page.is_none() {
            let message = "a report was asked for by signal, but neither --report nor --html names a file";
            self.complain(Error::Usage(message.to_owned()));
        }
        let mut pace = std::mem::replace(&mut self.pace, Pace::new());
        let wanted_by = [self.incidents.is_some(), self.syslog.is_some(), self.screen.is_some()];
        let look = || wanted_by.contains(&true).then(|| Judgement::of(so_far.judge));
        let judgement = if over { look() } else { pace.keep(look).flatten() };
        self.pace = pace;
        if let Some(judgement) = &judgement {
            self.write_incidents(judgement, so_far, over);
            self.send_incidents(judgement, so_far, over);
        }
        self.write_sessions(over);
        let report_due = (wanted || over) && (self.report.is_some() || self.page.is_some());
        let metrics_due = self.metrics.as_mut().is_some_and(|metrics| metrics.pace.keep(|| ()).is_some() || over);
        if report_due || metrics_due {
            match &judgement {
                Some(judgement) => self.write_documents(judgement, so_far, report_due, metrics_due),
                None => self.write_documents(&Judgement::of(so_far.judge), so_far, report_due, metrics_due),
            }
        }
        if let Some(judgement) = judgement
            && self.screen.is_some()
        {
            let (facts, live) = (self.facts(so_far), self.live.stats());
            if let Some(screen) = &mut self.screen {
                screen.publish(judgement, so_far, facts, Some(live), over);
            }
        }
    }

    fn write_sessions(&mut self, over: bool) {
        let Some(sessions) = &mut self.sessions else { return };
        if over {
            let _ = sessions.writer.end();
        }
        let lines = sessions.writer.get_mut();
        let _ = lines.flush();
        if let Some(source) = lines.take_trouble() {
            self.failed = true;
            if !std::mem::replace(&mut sessions.told, true) {
                let error = sessions.target.error(source);
                self.complain(error);
            }
        } else {
            sessions.told = false;
        }
        if let Some(sessions) = &mut self.sessions
            && over
            && sessions.writer.get_mut().lost() > 0
        {
            let lost = sessions.writer.get_mut().lost();
            self.complain(Error::Usage(format!("{lost} session lines could not be written and are lost")));
        }
    }

    fn reopen(&mut self) {
        let Some(sessions) = &mut self.sessions else { return };
        sessions.told = false;
        if let Err(source) = sessions.writer.get_mut().reopen() {
            self.failed = true;
            let error = sessions.target.error(source);
            self.complain(error);
        }
    }

    /// Tells what changed of the incidents: on standard output, and among the session lines where they have a place for it.
    /// Where there is a screen, the latter are told at the end.
    fn write_incidents(&mut self, judgement: &Judgement, so_far: &SoFar<'_>, over: bool) {
        let now = so_far.front.now.max(so_far.judge.now().ts);
        let mut beside = |incident: &Incident| {
            if let Some(sessions) = &mut self.sessions {
                // The file tells its trouble when asked.
                let _ = sessions.writer.incident(now, incident);
            }
        };
        let Some(incidents) = &mut self.incidents else {
            if over {
                judgement.incidents.iter().for_each(beside);
            }
            return;
        };
        let mut line = Vec::new();
        let told = incidents.journal.note(judgement, now, over, &mut |change, incident| {
            line.clear();
            write_incident_line(&mut line, change, now, incident)?;
            incidents.out.write_all(&line)?;
            if change != IncidentChange::Closed {
                beside(incident);
            }
            Ok(())
        });
        let Err(source) = told else {
            incidents.told = false;
            return;
        };
        // What could not be written is written the next time. Where the reader went away, there is none.
        if source.kind() == io::ErrorKind::BrokenPipe {
            self.signals.stop().store(true, Ordering::Relaxed);
            self.incidents = None;
        } else {
            self.failed = true;
            if !std::mem::replace(&mut incidents.told, true) {
                self.complain(Error::stdout(source));
            }
        }
    }

    fn send_incidents(&mut self, judgement: &Judgement, so_far: &SoFar<'_>, over: bool) {
        let Some(reporter) = &mut self.syslog else { return };
        let now = so_far.front.now.max(so_far.judge.now().ts);
        let Reporter { to, syslog, journal, told } = reporter;
        let sent =
            journal.note(judgement, now, over, &mut |change, incident| syslog.tell(change.name(), now, incident));
        let Err(source) = sent else {
            *told = false;
            return;
        };
        self.failed = true;
        if !std::mem::replace(told, true) {
            let error = to.error(source);
            self.complain(error);
        }
    }

    /// Writes what is a whole each time: report and page, metrics.
    fn write_documents(&mut self, judgement: &Judgement, so_far: &SoFar<'_>, report_due: bool, metrics_due: bool) {
        let facts = self.facts(so_far);
        let judge = so_far.judge;
        let candidates = judge.candidates();
        let results = Results { facts: &facts, judge, judgement, candidates: &candidates };
        let mut written = Vec::new();
        if report_due {
            written.extend(self.report.as_ref().map(|to| write_whole(to, |out| report::write(out, &results))));
            written.extend(
                self.page.as_ref().map(|(to, bars)| write_whole(to, |out| html::write(out, &results, Some(bars)))),
            );
        }
        if metrics_due && let Some(metrics) = &self.metrics {
            written.push(metrics.write(&results));
        }
        for error in written.into_iter().filter_map(Result::err) {
            self.failed = true;
            self.complain(error);
        }
    }
}

impl Watcher for Desk {
    fn handle(&mut self, event: &SessionEvent) {
        if let Some(sessions) = &mut self.sessions {
            // The file gathers, and tells its trouble when asked.
            let _ = sessions.writer.handle(event);
        }
        if let Some((_, timeline)) = &mut self.page {
            timeline.handle(event);
        }
        if let Some(metrics) = &mut self.metrics {
            metrics.tally.handle(event);
        }
        if let Some(screen) = &mut self.screen {
            screen.handle(event);
        }
    }

    fn look(&mut self, so_far: &SoFar<'_>) {
        self.attend(so_far, false);
    }

    fn take_terms(&mut self) -> Option<Terms> {
        self.terms.take()
    }
}
