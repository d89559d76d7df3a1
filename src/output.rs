//! What the program tells: the report and the session lines for programs, the table for people.
//!
//! Records for output stand apart from the types of the core, so that an inner change does not change a promise made
//! outside; `docs/report-schema.md` is that promise. Everything is written to an [`std::io::Write`]; wire text is escaped
//! by [`crate::wire`] everywhere.

mod facts;
mod file;
mod ids;
mod layout;
pub mod report;
pub mod sessions;
pub mod table;
mod text;

use std::io::Write;

pub use facts::{Counts, FrameCounts, InputFacts, Results, RunFacts};
pub use file::{Sink, Target};
pub use sessions::SessionWriter;
pub use text::Style;

use crate::config::Config;
use crate::error::Error;

/// Writes the report and the table, as the configuration says; `stdout` is standard output.
///
/// Session lines are written while the capture is read, by a [`SessionWriter`].
pub fn deliver(config: &Config, results: &Results<'_>, stdout: &mut dyn Write) -> Result<(), Error> {
    match &config.report {
        Some(Target::Stdout) => report::write(stdout, results).map_err(Error::stdout)?,
        Some(target @ Target::File(_)) => {
            let mut sink = target.open()?;
            report::write(&mut sink, results).map_err(|source| target.error(source))?;
            sink.finish()?;
        }
        None => {}
    }
    if let Some(style) = config.table {
        table::write(stdout, results, style).map_err(Error::stdout)?;
    }
    stdout.flush().map_err(Error::stdout)
}
