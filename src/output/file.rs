//! Where an output goes: standard output, or a file that appears whole or not at all.
//!
//! A file is written under another name beside its place and renamed when it is complete, so that no reader ever sees
//! half of it and a failed run leaves an older one as it was. This guards against readers, not against a power cut:
//! nothing is forced to the disk. What is not a regular file (`/dev/null`, a named pipe) is written directly.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::wire::shown;

/// Bytes gathered before a write: session lines have about a kilobyte, so one system call takes some sixty.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// Names tried for the temporary file, should leftovers of killed runs with the same process id be there.
const NAMES_TRIED: u32 = 100;

/// Where an output goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl Target {
    /// `-` is standard output.
    pub fn new(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Self::Stdout } else { Self::File(path) }
    }

    /// Opens it; a file is not seen under its name before [`Sink::finish`].
    pub fn open(&self) -> Result<Sink, Error> {
        let (place, file) = match self {
            Self::Stdout => (Place::Direct, Box::new(io::stdout()) as Box<dyn Write + Send>),
            Self::File(path) => open_file(path).map_err(|source| self.error(source))?,
        };
        Ok(Sink { target: self.clone(), place, file: BufWriter::with_capacity(BUFFER_BYTES, file) })
    }

    /// An error of writing to it.
    pub fn error(&self, source: io::Error) -> Error {
        match self {
            Self::Stdout => Error::stdout(source),
            Self::File(path) => Error::Write { target: shown(path), source },
        }
    }
}

/// Where the bytes go until all are there.
enum Place {
    /// To where they shall be.
    Direct,
    /// To a file that is still to be renamed.
    Beside { temporary: PathBuf, place: PathBuf },
    /// Nowhere any more.
    Done,
}

/// An open output, buffered. Dropped without [`Sink::finish`], a file leaves nothing behind.
pub struct Sink {
    target: Target,
    place: Place,
    file: BufWriter<Box<dyn Write + Send>>,
}

impl Sink {
    /// Writes what is buffered, and puts a file in its place.
    pub fn finish(mut self) -> Result<(), Error> {
        self.file.flush().map_err(|source| self.target.error(source))?;
        if let Place::Beside { temporary, place } = &self.place {
            fs::rename(temporary, place).map_err(|source| self.target.error(source))?;
            self.place = Place::Done;
        }
        Ok(())
    }

    /// What it writes to.
    pub const fn target(&self) -> &Target {
        &self.target
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Place::Beside { temporary, .. } = &self.place {
            // Nobody is left to tell; the file is of no use to anybody.
            let _ = fs::remove_file(temporary);
        }
    }
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink").field("target", &self.target).finish_non_exhaustive()
    }
}

fn open_file(path: &Path) -> io::Result<(Place, Box<dyn Write + Send>)> {
    // A link keeps pointing to where it does: the file behind it is replaced.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = fs::metadata(&place).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Ok((Place::Direct, Box::new(OpenOptions::new().write(true).open(&place)?)));
    }
    let (temporary, file) = create_beside(&place)?;
    if let Some(old) = old
        && let Err(error) = file.set_permissions(old.permissions())
    {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    Ok((Place::Beside { temporary, place }, Box::new(file)))
}

/// A new file in the directory of `place`, so that renaming does not cross file systems.
fn create_beside(place: &Path) -> io::Result<(PathBuf, File)> {
    let name = place.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?;
    let process = std::process::id();
    for attempt in 0..NAMES_TRIED {
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{process}-{attempt}.tmp"));
        let temporary = place.with_file_name(hidden);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        fs::write(&path, "old").unwrap();
        let mut sink = Target::new(path.clone()).open().unwrap();
        sink.write_all(b"half").unwrap();
        sink.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        drop(sink);
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), names(dir.path())),
            ("old".to_owned(), vec!["report.json".to_owned()])
        );

        let mut sink = Target::new(path.clone()).open().unwrap();
        sink.write_all(b"whole").unwrap();
        sink.finish().unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), names(dir.path())),
            ("whole".to_owned(), vec!["report.json".to_owned()])
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_the_rights_of_the_old_file_stay() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.json"), dir.path().join("link.json"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut sink = Target::new(link.clone()).open().unwrap();
        sink.write_all(b"new").unwrap();
        sink.finish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_written_to_and_stays_a_device() {
        let mut sink = Target::new(PathBuf::from("/dev/null")).open().unwrap();
        sink.write_all(b"gone").unwrap();
        sink.finish().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = Target::new(PathBuf::from("/no/such/place/report.json")).open().unwrap_err();
        assert!(error.to_string().starts_with("/no/such/place/report.json cannot be written: "), "{error}");
    }
}
