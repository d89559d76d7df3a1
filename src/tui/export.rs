//! The selection taken along: as JSON into a file, as a line into the clipboard.

use std::io;
use std::path::{Path, PathBuf};

use super::app::{App, Key};
use super::view_name;
use crate::error::Error;
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
            parts.extend(host.row.macs.first().map(|mac| format!("MAC {mac}")));
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
    let incidents: Vec<_> = judgement.incidents.iter().filter(|incident| incident.host == key).collect();
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
