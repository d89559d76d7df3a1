//! What can be wrong with an input: one sentence each, for the operator.

use std::io;

use crate::frame::LinkType;

/// Why an input cannot be read, or not to its end.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be opened.
    #[error("cannot open {file}: {source}{}", remedy_of_opening(source))]
    Open {
        /// As the operator named it.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The system failed while reading.
    #[error("cannot read {file} any further: {source}")]
    Read {
        /// As the operator named it.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// As many captures are open as can be.
    #[error(
        "{file} is left out: no more than {open_max} captures can be open at once; raise the limit of open files, \
         {files} (`ulimit -n`), or put captures together first (`mergecap`)"
    )]
    TooMany {
        /// As the operator named it.
        file: String,
        /// Captures that can be open.
        open_max: usize,
        /// The system's limit of open files.
        files: u64,
    },
    /// A directory, not a file.
    #[error("{file} is a directory, not a capture file: name the files in it")]
    Directory {
        /// As the operator named it.
        file: String,
    },
    /// Nothing in it.
    #[error("{file} is empty, not even the header of a capture file is there")]
    Empty {
        /// As the operator named it.
        file: String,
    },
    /// Something else.
    #[error("{file} is not a capture file: it is neither pcap nor pcapng, nor one of them packed with gzip or zstd")]
    NotACapture {
        /// As the operator named it.
        file: String,
    },
    /// The file ends too early; all whole frames before that were handed out.
    #[error("{file} is cut off in the middle: {reason}")]
    Truncated {
        /// As the operator named it.
        file: String,
        /// What the reader says.
        reason: String,
    },
    /// The file contradicts itself; all frames before that were handed out.
    #[error("{file} is damaged: {reason}")]
    Damaged {
        /// As the operator named it.
        file: String,
        /// What the reader says.
        reason: String,
    },
    /// The filter does not compile.
    #[error("the filter \"{filter}\" cannot be used on link type {} of {file}: {reason}", .link.0)]
    Filter {
        /// As the operator named it.
        file: String,
        /// The filter.
        filter: String,
        /// What its frames would begin with.
        link: LinkType,
        /// What libpcap says.
        reason: String,
    },
    /// What was captured cannot be kept.
    #[error("{file} cannot be written: {source}")]
    Write {
        /// As the operator named it.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The device cannot be captured on.
    #[error("{device} cannot be captured on: {reason}")]
    Device {
        /// As the operator named it.
        device: String,
        /// What is wrong, and the remedy.
        reason: String,
    },
}

/// What to do where the system's words do not say it.
fn remedy_of_opening(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "; name a file that is there",
        io::ErrorKind::PermissionDenied => "; let this user read it, or name another one",
        _ => "",
    }
}
