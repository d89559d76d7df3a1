//! What the operator has to know: mistakes in flags and files, missing rights, damaged inputs, and how the program ends.
//!
//! Traffic is never an error: what is wrong on the wire is counted and reported. Every message is one sentence that
//! names the place and, where there is one, the remedy.

use std::io;
use std::process::ExitCode;

use thiserror::Error;

use crate::detect::Tier;
use crate::wire::visible;

/// Why the program could not do what it was asked for.
#[derive(Debug, Error)]
pub enum Error {
    /// The command line contradicts itself or asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// A configuration or rules file has a mistake.
    #[error("{place}: {}", visible(message))]
    Config {
        /// The file, and the line where it is known.
        place: String,
        /// What is wrong and what to write instead.
        message: String,
    },
    /// A file that is read whole (configuration, rules, networks, a report) cannot be read.
    #[error("{file} cannot be read: {source}{}", remedy_of_reading(source))]
    ConfigFile {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The capture filter does not compile.
    #[error("the filter `{filter}` is not one that libpcap understands: {message} (see `man pcap-filter`)")]
    Filter {
        /// As given.
        filter: String,
        /// libpcap's words.
        message: String,
    },
    /// A device cannot be captured on.
    #[error("{device} cannot be captured on: {message}")]
    Capture {
        /// The device.
        device: String,
        /// What is wrong, and the remedy.
        message: String,
    },
    /// An input cannot be read, or not to its end.
    #[error("{0}")]
    Input(String),
    /// An output cannot be written.
    #[error("{target} cannot be written: {source}{}", remedy(source))]
    Write {
        /// The file, or `standard output`.
        target: String,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    /// A failed write to standard output.
    pub fn stdout(source: io::Error) -> Self {
        Self::Write { target: "standard output".to_owned(), source }
    }

    /// How the program ends for it. A reader that went away (`| head`) is a normal end.
    pub fn status(&self) -> Status {
        match self {
            Self::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => Status::Done,
            // Nobody but the operator can give another place to write to.
            Self::Write { .. }
            | Self::Usage(_)
            | Self::Config { .. }
            | Self::ConfigFile { .. }
            | Self::Filter { .. } => Status::Usage,
            Self::Capture { .. } => Status::Capture,
            Self::Input(_) => Status::Input,
        }
    }
}

/// What to do where writing failed, as far as the system's words do not say it.
fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull => "; make room there, or name another place",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "; name a place that you may write to",
        io::ErrorKind::NotFound => "; name a place that is there",
        // Somebody else has to listen there.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::TimedOut => {
            "; see that a receiver listens there, or name another place"
        }
        _ => "",
    }
}

/// What to do where reading failed.
fn remedy_of_reading(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "; name a file that is there",
        io::ErrorKind::PermissionDenied => "; let this user read it, or name another one",
        io::ErrorKind::IsADirectory => "; name a file in it",
        _ => "",
    }
}

/// How the program ends: the exit status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Status {
    /// Done.
    Done = 0,
    /// Done, and an incident reached the tier of `--fail-on`.
    FailOn = 1,
    /// Flags, configuration or an output's place are wrong.
    Usage = 2,
    /// A device or a right is missing.
    Capture = 3,
    /// An input was damaged or could not be read; what was readable is reported.
    Input = 4,
}

impl Status {
    /// The status after a whole run whose surest incident is `surest`.
    ///
    /// Where both hold, an incident goes before a damaged input: what was found stands whatever else was lost.
    pub fn of_run(surest: Option<Tier>, fail_on: Option<Tier>, damaged: bool) -> Self {
        let reached = fail_on.is_some() && surest >= fail_on;
        match (reached, damaged) {
            (true, _) => Self::FailOn,
            (false, true) => Self::Input,
            (false, false) => Self::Done,
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_a_normal_end() {
        assert_eq!(Error::stdout(io::ErrorKind::BrokenPipe.into()).status(), Status::Done);
        assert_eq!(Error::stdout(io::ErrorKind::StorageFull.into()).status(), Status::Usage);
    }

    #[test]
    fn a_damaged_input_shows_unless_an_incident_does() {
        assert_eq!(Status::of_run(None, Some(Tier::Suspect), false), Status::Done);
        assert_eq!(Status::of_run(Some(Tier::Suspect), Some(Tier::Suspect), true), Status::FailOn);
        assert_eq!(Status::of_run(Some(Tier::Suspect), Some(Tier::Likely), true), Status::Input);
        assert_eq!(Status::of_run(Some(Tier::Confirmed), None, false), Status::Done);
    }
}
