//! What was watched, kept as a capture: classic pcap with microseconds, the frames that the judgement saw with the
//! stamps that it saw. A replay of it comes to the same incidents, by the same names.
//!
//! Read draft-ietf-opsawg-pcap. Written behind the queue, by the thread that decodes: a slow disk fills the queue, whose
//! losses are counted, and never holds up the thread that copies.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::frame::{Frame, LinkType};

use super::live::SNAP_LEN_MAX;

/// Bytes gathered before a write.
const GATHERED: usize = 256 << 10;
/// Microseconds, in the byte order of who writes; version 2.4.
const MAGIC: u32 = 0xa1b2_c3d4;
const VERSION: u32 = 2 | 4 << 16;

/// A capture that is being written.
pub(super) struct Record {
    out: BufWriter<File>,
    link: Option<LinkType>,
    trouble: Option<io::Error>,
}

impl Record {
    /// A new file; an old one of the name is replaced.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { out: BufWriter::with_capacity(GATHERED, File::create(path)?), link: None, trouble: None })
    }

    /// Adds a frame. Once something went wrong, nothing is added any more.
    pub(super) fn add(&mut self, frame: &Frame<'_>) {
        if self.trouble.is_none() {
            self.trouble = self.write(frame).err();
        }
    }

    /// Writes what was gathered: the link is quiet, or the run is over.
    pub(super) fn flush(&mut self) {
        if self.trouble.is_none() {
            self.trouble = self.out.flush().err();
        }
    }

    /// What went wrong; told once.
    pub(super) fn take_trouble(&mut self) -> Option<io::Error> {
        // Kept as a sign that nothing more is written.
        let trouble = self.trouble.as_mut().filter(|error| error.kind() != io::ErrorKind::Other)?;
        Some(std::mem::replace(trouble, io::ErrorKind::Other.into()))
    }

    fn write(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        let link = if let Some(link) = self.link {
            link
        } else {
            // Raw IP has another number in files than in libpcap.
            let link = if frame.link == LinkType::RAW_DLT { LinkType::RAW } else { frame.link };
            for word in [MAGIC, VERSION, 0, 0, SNAP_LEN_MAX, u32::from(link.0)] {
                self.out.write_all(&word.to_ne_bytes())?;
            }
            *self.link.insert(frame.link)
        };
        if link != frame.link {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the device came back with another kind of link"));
        }
        let nanos = frame.ts.as_nanos();
        let (secs, micros) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000) / 1000);
        for word in [secs as u32, micros as u32, frame.bytes.len() as u32, frame.wire_len] {
            self.out.write_all(&word.to_ne_bytes())?;
        }
        self.out.write_all(frame.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Captured, OpenOptions, open_file};
    use crate::time::Ts;

    #[test]
    fn what_was_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("watched.pcap");
        let mut record = Record::create(&path).unwrap();
        let ts = |n: i64| Ts::from_parts(1_772_617_327, n * 1000);
        for n in 0..3 {
            let bytes = vec![n as u8; 60 + n as usize];
            record.add(&Frame { ts: ts(n), link: LinkType::ETHERNET, wire_len: 90, bytes: &bytes });
        }
        record.flush();
        let mut source = open_file(&path, &OpenOptions::default()).unwrap();
        for n in 0..3 {
            let Some(Ok(Captured::Frame(_, frame))) = source.next_frame() else { panic!("a frame") };
            assert_eq!((frame.ts, frame.wire_len, frame.link), (ts(n), 90, LinkType::ETHERNET));
            assert_eq!(frame.bytes, vec![n as u8; 60 + n as usize]);
        }
        assert!(source.next_frame().is_none());
        record.add(&Frame { ts: ts(9), link: LinkType::RAW, wire_len: 1, bytes: b"x" });
        assert!(record.take_trouble().is_some() && record.take_trouble().is_none());
    }

    #[test]
    fn a_full_disk_is_told_once() {
        let Ok(mut record) = Record::create(Path::new("/dev/full")) else { return };
        record.add(&Frame { ts: Ts::EPOCH, link: LinkType::ETHERNET, wire_len: 1, bytes: b"x" });
        record.flush();
        assert_eq!(record.take_trouble().unwrap().kind(), io::ErrorKind::StorageFull);
        record.flush();
        assert!(record.take_trouble().is_none());
    }
}
