//! A file of lines that a service adds to for weeks: whole lines only, each batch of them one write, opened anew when
//! somebody else has moved it.
//!
//! However the program ends, what stands in the file are whole lines; where the machine itself went down, or the disk is
//! full, the last one may be cut, and whoever adds to the file later begins a line of his own. What does not go into a full
//! disk is kept, and goes on at the very byte when there is room.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes gathered at most before they are written: some hundred session lines.
const GATHERED_MAX: usize = 256 << 10;
/// Bytes kept at most while they cannot be written: ten thousand session lines, an hour of a busy site. Then lines are
/// lost, the latest first, because the earlier ones tell how it began.
const KEPT_MAX: usize = 8 << 20;

/// The file.
#[derive(Debug)]
pub(super) struct LineFile {
    path: PathBuf,
    file: File,
    gathered: Vec<u8>,
    /// The file ends in the middle of a line, whose rest begins what is gathered.
    cut: bool,
    /// Lines that went nowhere.
    lost: u64,
    trouble: Option<io::Error>,
}

impl LineFile {
    /// Opens a file to add to it; it is made if it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: append(path)?,
            gathered: Vec::new(),
            cut: false,
            lost: 0,
            trouble: None,
        })
    }

    /// Writes what was gathered, and goes on in the file that now has the name.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.write_out();
        let file = append(&self.path)?;
        self.file = file;
        if std::mem::take(&mut self.cut) {
            // Its begin stays in the other file.
            let end = memchr::memchr(b'\n', &self.gathered).map_or(self.gathered.len(), |end| end + 1);
            self.gathered.drain(..end);
            self.lost += 1;
        }
        Ok(())
    }

    /// What went wrong since this was asked last.
    pub(super) fn take_trouble(&mut self) -> Option<io::Error> {
        self.trouble.take()
    }

    /// Lines that are lost, or would be if it ended now.
    pub(super) fn lost(&self) -> u64 {
        self.lost + memchr::memchr_iter(b'\n', &self.gathered).count() as u64
    }

    fn write_out(&mut self) {
        let mut written = 0;
        while let Some(rest) = self.gathered.get(written..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => break,
                Ok(some) => written += some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.trouble = Some(error);
                    break;
                }
            }
        }
        if let Some(last) = written.checked_sub(1) {
            self.cut = self.gathered.get(last) != Some(&b'\n');
            self.gathered.drain(..written);
        }
    }
}

/// Takes whole lines; what goes wrong is asked for apart, because there is nothing a writer of lines could do about it.
impl Write for LineFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gathered.len() + bytes.len() > KEPT_MAX {
            self.lost += memchr::memchr_iter(b'\n', bytes).count() as u64;
            return Ok(bytes.len());
        }
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= GATHERED_MAX && bytes.ends_with(b"\n") {
            self.write_out();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out();
        Ok(())
    }
}

/// Opens a file to add lines to: a last line that was cut is ended first.
fn append(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    if file.metadata()?.is_file() && cut(path).unwrap_or(false) {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

fn cut(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lines_are_added_and_a_cut_one_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions.ndjson");
        fs::write(&path, "{\"whole\":1}\n{\"cut\":").unwrap();
        let mut lines = LineFile::open(&path).unwrap();
        lines.write_all(b"{\"next\":1}\n").unwrap();
        assert!(fs::read_to_string(&path).unwrap().ends_with("{\"cut\":\n"), "not written before it is flushed");
        lines.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"whole\":1}\n{\"cut\":\n{\"next\":1}\n");
    }

    #[test]
    fn a_file_that_was_moved_is_left_and_a_new_one_begun() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("a"), dir.path().join("a.1"));
        let mut lines = LineFile::open(&path).unwrap();
        lines.write_all(b"1\n").unwrap();
        fs::rename(&path, &old).unwrap();
        lines.reopen().unwrap();
        lines.write_all(b"2\n").unwrap();
        lines.flush().unwrap();
        assert_eq!(
            (fs::read_to_string(&old).unwrap(), fs::read_to_string(&path).unwrap()),
            ("1\n".into(), "2\n".into())
        );
    }

    #[test]
    fn what_does_not_go_into_a_full_disk_is_kept_and_what_is_too_much_is_counted() {
        let Ok(mut lines) = LineFile::open(Path::new("/dev/full")) else { return };
        lines.write_all(b"1\n2\n").unwrap();
        lines.flush().unwrap();
        assert_eq!(lines.take_trouble().unwrap().kind(), io::ErrorKind::StorageFull);
        assert_eq!((lines.lost(), lines.take_trouble().is_none()), (2, true));
        let long = [vec![b'x'; KEPT_MAX], b"\n".to_vec()].concat();
        lines.write_all(&long).unwrap();
        assert_eq!(lines.lost(), 3);
        // There is room elsewhere.
        let dir = tempfile::tempdir().unwrap();
        lines.path = dir.path().join("a");
        lines.reopen().unwrap();
        lines.flush().unwrap();
        assert_eq!((fs::read_to_string(&lines.path).unwrap().as_str(), lines.lost()), ("1\n2\n", 1));
    }

    #[test]
    fn the_rest_of_a_cut_line_goes_into_no_other_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut lines = LineFile::open(&dir.path().join("a")).unwrap();
        (lines.gathered, lines.cut) = (b"rest\nwhole\n".to_vec(), true);
        // Opened for reading, it takes nothing more, as if the disk were full.
        lines.file = File::open(dir.path().join("a")).unwrap();
        lines.reopen().unwrap();
        lines.flush().unwrap();
        assert_eq!((fs::read_to_string(&lines.path).unwrap().as_str(), lines.lost()), ("whole\n", 1));
    }
}
