//! The selection taken along: as JSON into a file, as a line into the clipboard, as captures of its incidents.

use std::io;
use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::app::{App, Key};
use super::view_name;
use crate::error::Error;
use crate::incident::Incident;
use crate::output::{Target, report};
use crate::wire::shown;

/// What is selected, in one line.
pub(super) fn line(app: &App) -> Option<String> {
    let judgement = &app.snapshot.judgement;
    match app.lists.selected(app.view, &app.snapshot)? {
        Key::Incident(host, class) => {
            let incident = judgement.incidents.iter().find(|one| (one.host, one.class) == (host, class))?;
            Some(incident.summary.clone())
        }
        Key::Host(key) => {
            let host = app.snapshot.host(key)?;
            let mut parts = vec![key.to_string()];
            parts.extend(view_name(&host.row));
            parts.extend(host.row.mac().map(|mac| format!("MAC {mac}")));
            parts.extend(host.tier.map(|tier| format!("{} {:.1} dB", tier.name(), host.score_db)));
            parts.extend(host.classes.iter().map(|class| class.name().to_owned()));
            Some(parts.join(", "))
        }
        Key::Session(id) => Some(format!("{} {} to {}", id.uid(), id.orig.host, id.resp.host)),
    }
}

/// Writes the host of the selection with all its incidents; the file's name.
pub(super) fn write(app: &App, directory: &Path) -> Result<PathBuf, Error> {
    let judgement = &app.snapshot.judgement;
    let nothing = || Error::Usage("nothing is selected".to_owned());
    let key = app.host().ok_or_else(nothing)?;
    let host = app.snapshot.host(key).ok_or_else(nothing)?;
    // Colons of IPv6 addresses mean something else to some systems.
    let name = format!("smtphound-{}.json", key.to_string().replace(':', "-"));
    let path = directory.join(name);
    let target = Target::File(path.clone());
    let mut sink = target.open()?;
    let incidents: Vec<_> = judgement.incidents.iter().filter(|incident| incident.accuses(key)).collect();
    report::write_host(&mut sink, host, &incidents).map_err(|source: io::Error| target.error(source))?;
    sink.finish()?;
    Ok(path)
}

/// What is said after it.
pub(super) fn told(written: Result<PathBuf, Error>) -> String {
    match written {
        Ok(path) => format!("written to {}", shown(&path)),
        Err(error) => error.to_string(),
    }
}

/// The way to the thread that writes evidence: it reads all frames again, which the screen must not wait for.
#[derive(Debug)]
pub struct Evidence {
    ask: Sender<Vec<Incident>>,
    told: Receiver<String>,
}

impl Evidence {
    /// The way, and its other end: what is asked for, and where a sentence about it goes.
    pub fn open() -> (Self, Receiver<Vec<Incident>>, Sender<String>) {
        let (ask, asked) = bounded(1);
        let (tell, told) = bounded(8);
        (Self { ask, told }, asked, tell)
    }

    /// Asks for the selection's incidents; what is said meanwhile.
    pub(super) fn ask(&self, app: &App) -> String {
        let incidents = incidents(app);
        if incidents.is_empty() {
            return "nothing speaks against it: there is no evidence to write".to_owned();
        }
        match self.ask.try_send(incidents) {
            Ok(()) => "writing evidence".to_owned(),
            Err(TrySendError::Full(_)) => "evidence is still being written".to_owned(),
            Err(TrySendError::Disconnected(_)) => "evidence cannot be written any more".to_owned(),
        }
    }

    /// What came of it, once it did.
    pub(super) fn told(&self) -> Option<String> {
        self.told.try_recv().ok()
    }
}

/// The incident that is selected; where a host or a session is, all incidents of its ends.
fn incidents(app: &App) -> Vec<Incident> {
    let is_meant: Box<dyn Fn(&Incident) -> bool> = match app.lists.selected(app.view, &app.snapshot) {
        Some(Key::Incident(host, class)) => Box::new(move |one| (one.host, one.class) == (host, class)),
        Some(Key::Host(host)) => Box::new(move |one| one.host == host),
        Some(Key::Session(id)) => Box::new(move |one| [id.orig.host, id.resp.host].contains(&one.host)),
        None => return Vec::new(),
    };
    app.snapshot.judgement.incidents.iter().filter(|one| is_meant(one)).cloned().collect()
}
