//! Lines of a file, one after the other, each with its number; packed files are unpacked.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use thiserror::Error;

use crate::capture::{CaptureError, open_unpacked};
use crate::wire::shown;

/// Bytes of one line. A session with all that is kept of it stays below 2 MiB (`limits::SmtpLimits`), and escaping
/// makes four bytes of one; what is longer was written by something else.
const LINE_MAX: usize = 16 << 20;

/// Why lines cannot be read.
#[derive(Debug, Error)]
pub enum LineError {
    /// It cannot be opened, or not unpacked.
    #[error(transparent)]
    Open(#[from] CaptureError),
    /// Events stand for what came before their line: the file is read twice.
    #[error("{0} is no regular file, and lines are read twice: save them to a file first")]
    NotAFile(String),
    /// It cannot be read any further.
    #[error("{file} cannot be read: {source}")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
}

/// A file being read.
pub(super) struct Lines {
    file: String,
    reader: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    /// Lines read so far.
    pub(super) number: u64,
    /// Bytes read so far.
    pub(super) bytes: u64,
    /// The last line has no line feed.
    pub(super) cut: bool,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, LineError> {
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) || path.as_os_str() == "-" {
            return Err(LineError::NotAFile(shown(path)));
        }
        let reader = BufReader::with_capacity(256 << 10, open_unpacked(path)?);
        Ok(Self { file: shown(path), reader, line: Vec::new(), number: 0, bytes: 0, cut: false })
    }

    /// The line that was read last.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The next line without its line feed; `Err` inside where it is too long to be one.
    pub(super) fn next_line(&mut self) -> Result<Option<Result<&[u8], String>>, LineError> {
        self.line.clear();
        let fail = |source| LineError::Read { file: self.file.clone(), source };
        let read = (&mut self.reader).take(LINE_MAX as u64).read_until(b'\n', &mut self.line).map_err(fail)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += read as u64;
        if self.line.pop_if(|byte| *byte == b'\n').is_some() {
            return Ok(Some(Ok(&self.line)));
        }
        if read < LINE_MAX {
            self.cut = true;
            return Ok(Some(Ok(&self.line)));
        }
        self.bytes += self.reader.skip_until(b'\n').map_err(fail)? as u64;
        Ok(Some(Err(format!("more than {} MiB are no line of a session", LINE_MAX >> 20))))
    }
}
