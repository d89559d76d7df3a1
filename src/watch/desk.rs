//! Who watches a live run: writes its lines, its reports and its snapshots, from the thread that judges.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Sender;

use super::journal::Journal;
use super::lines::LineFile;
use super::publish::{Pace, Publisher};
use super::signals::Signals;
use crate::balance;
use crate::capture::{InputSummary, LiveCounts};
use crate::config::Reload;
use crate::detect::Terms;
use crate::error::Error;
use crate::incident::{Incident, Judgement};
use crate::output::report::{self, IncidentChange, write_incident_line};
use crate::output::{LineForm, Results, RunFacts, SessionWriter, Target};
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
        if wanted && self.report.is_none() {
            self.complain(Error::Usage("a report was asked for by signal, but --report names no file".to_owned()));
        }
        let mut pace = std::mem::replace(&mut self.pace, Pace::new());
        let look = || (self.incidents.is_some() || self.screen.is_some()).then(|| Judgement::of(so_far.judge));
        let judgement = if over { look() } else { pace.keep(look).flatten() };
        self.pace = pace;
        if let Some(judgement) = &judgement {
            self.write_incidents(judgement, so_far, over);
        }
        self.write_sessions(over);
        if self.report.is_some() && (wanted || over) {
            match &judgement {
                Some(judgement) => self.write_report(judgement, so_far),
                None => self.write_report(&Judgement::of(so_far.judge), so_far),
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

    fn write_report(&mut self, judgement: &Judgement, so_far: &SoFar<'_>) {
        let Some(target) = &self.report else { return };
        let facts = self.facts(so_far);
        let judge = so_far.judge;
        let candidates = if judge.ledger().is_empty() { judge.strangers().candidates() } else { Vec::new() };
        let results = Results { facts: &facts, judge, judgement, candidates: &candidates };
        let written = target.open().and_then(|mut sink| {
            report::write(&mut sink, &results).map_err(|source| target.error(source))?;
            sink.finish()
        });
        if let Err(error) = written {
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
