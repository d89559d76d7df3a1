//! What the program tells: the report and the session lines for programs, the table for people.
//!
//! Records for output stand apart from the types of the core, so that an inner change does not change a promise made
//! outside; `docs/report-schema.md` is that promise. Everything is written to an [`std::io::Write`]; wire text is escaped
//! by [`crate::wire`] everywhere.

mod facts;
mod file;
mod floods;
pub mod html;
mod layout;
pub mod metrics;
pub mod report;
pub mod sessions;
pub mod syslog;
pub mod table;
#[cfg(test)]
mod testing;
mod text;
pub mod timeline;

use std::io::Write;

pub use facts::{Counts, FrameCounts, InputFacts, Results, RunFacts};
pub use file::{Sink, Target};
pub use floods::{FLOODS_MAX, Flood, FloodKind};
pub use sessions::{LineForm, SessionWriter};
pub use text::Style;
pub(crate) use text::{counted, grouped, paragraph, period};
pub use timeline::Timeline;

use crate::error::Error;

/// Writes the report, where it shall go, and the table, if there shall be one; `stdout` is standard output.
///
/// Session lines are written while the capture is read, by a [`SessionWriter`].
pub fn deliver(
    report_to: Option<&Target>,
    table_style: Option<Style>,
    results: &Results<'_>,
    stdout: &mut dyn Write,
) -> Result<(), Error> {
    let reported = match report_to {
        Some(Target::Stdout) => report::write(stdout, results).map_err(Error::stdout),
        Some(target @ Target::File(_)) => write_whole(target, |out| report::write(out, results)),
        None => Ok(()),
    };
    // Where one could not be written, the other tells what was found.
    let told = table_style.map_or(Ok(()), |style| table::write(stdout, results, style));
    reported.and(told.and_then(|()| stdout.flush()).map_err(Error::stdout))
}

/// Writes a whole document to where it shall go; a file is put in its place when all is written.
pub fn write_whole(target: &Target, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), Error> {
    let mut sink = target.open()?;
    write(&mut sink).map_err(|source| target.error(source))?;
    sink.finish()
}

#[cfg(test)]
mod tests {
    use std::io;

    use clap::Parser;

    use super::testing::Case;
    use super::*;
    use crate::cli::{Args, Command};
    use crate::config::{Config, Environment};
    use crate::error::Status;

    fn config(flags: &[&str]) -> Config {
        let command = Args::try_parse_from(["smtphound", "replay", "x.pcap"].iter().chain(flags)).unwrap().command;
        let Command::Replay(args) = command else { panic!("not replay") };
        let args = *args;
        Config::load(args, &Environment { no_color: false, terminal: false, columns: None, cpus: 1 }).unwrap()
    }

    fn delivered(flags: &[&str]) -> String {
        let mut stdout = Vec::new();
        let config = config(flags);
        deliver(config.report.as_ref(), config.table, &Case::infected().results(), &mut stdout).unwrap();
        String::from_utf8(stdout).unwrap()
    }

    #[test]
    fn where_standard_output_is_taken_nothing_else_goes_there() {
        let report = delivered(&["--report", "-"]);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&report).unwrap()["schema_version"], 1);
        assert_eq!(delivered(&["--sessions", "-"]), "");
        assert_eq!(delivered(&["--quiet"]), "");
        assert!(delivered(&[]).starts_with("Read 12,345 frames of infected-pc.pcap"));
    }

    #[test]
    fn a_report_goes_to_its_file_and_the_table_to_standard_output() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        assert_eq!(delivered(&["--report", path.to_str().unwrap()]), delivered(&[]));
        assert_eq!(std::fs::read_to_string(path).unwrap(), delivered(&["--report", "-"]));
    }

    #[test]
    fn a_reader_that_went_away_ends_the_program_normally() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        for flags in [&["--report", "-"][..], &[]] {
            let config = config(flags);
            let results = deliver(config.report.as_ref(), config.table, &Case::infected().results(), &mut Gone);
            let error = results.unwrap_err();
            assert_eq!(error.status(), Status::Done, "{error}");
        }
    }
}
