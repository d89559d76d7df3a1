//! Classic pcap (draft-ietf-opsawg-pcap): a header, then frames, each after a header of its own.
//!
//! libpcap reads these files too, a frame at a time through C's buffered files, and only from what has a file descriptor.
//! Sixteen bytes a frame are read here, in place, from files and unpackers alike (`docs/adr/0015-classic-pcap-in-place.md`).
//! What libpcap takes, this takes: both byte orders and precisions, the versions before 2.4, whose lengths are the other way
//! round, and the longer frame headers of patched Linux systems of the nineties.

use std::io::{BufRead, BufReader};

use crate::frame::{Frame, LinkType};
use crate::time::Ts;

use super::filter::Filter;
use super::input::{Bytes, READ_SIZE, gather, read_error};
use super::tally::{Meter, Tally};
use super::{CaptureError, Captured, FrameSource, InputSummary, Progress};

const FILE_HEADER_LEN: usize = 24;
/// Of the variants that are written today.
const FRAME_HEADER_LEN: usize = 16;
/// The longest frame that is taken for one: libpcap's limit for networks.
const FRAME_MAX: u32 = 256 << 10;
/// The link type has the lower 26 bits of its word; the others say how long the checksums at the end of frames are.
const LINK_MASK: u32 = 0x03ff_ffff;

/// One classic capture.
pub(super) struct ClassicSource {
    reader: BufReader<Bytes>,
    /// Bytes at the beginning of the reader's buffer that hold the frame that was handed out last.
    handed: usize,
    /// A frame, with its header, that lies in two fillings of the buffer.
    gathered: Vec<u8>,
    layout: Layout,
    link: LinkType,
    filter: Option<Filter>,
    tally: Tally,
    meter: Meter,
    total: Option<u64>,
    ended: bool,
}

/// How a file writes its headers.
#[derive(Clone, Copy, Debug)]
struct Layout {
    big_endian: bool,
    /// Nanoseconds in a unit of the fraction.
    unit: u32,
    /// Bytes of a frame's header.
    header_len: usize,
    lengths: Lengths,
}

/// In what order a frame's two lengths stand.
#[derive(Clone, Copy, Debug)]
enum Lengths {
    CapturedFirst,
    CapturedLast,
    /// Version 2.3 was written either way: the captured length is the smaller one.
    SmallerIsCaptured,
}

/// What the header of a frame says.
#[derive(Clone, Copy)]
struct Header {
    ts: Ts,
    captured: u32,
    wire_len: u32,
}

/// Where the bytes of a frame lie.
#[derive(Clone, Copy)]
enum Place {
    Buffer,
    Gathered,
}

impl Layout {
    /// Of a file with this header, and the link type of its frames.
    fn of(header: &[u8; FILE_HEADER_LEN]) -> Result<(Self, LinkType), String> {
        let [a, b, c, d, ..] = *header;
        let magic = u32::from_be_bytes([a, b, c, d]);
        let (unit, header_len, big_endian) = match magic {
            0xa1b2_c3d4 => (1000, FRAME_HEADER_LEN, true),
            0xd4c3_b2a1 => (1000, FRAME_HEADER_LEN, false),
            0xa1b2_3c4d => (1, FRAME_HEADER_LEN, true),
            0x4d3c_b2a1 => (1, FRAME_HEADER_LEN, false),
            0xa1b2_cd34 => (1000, 24, true),
            0x34cd_b2a1 => (1000, 24, false),
            _ => return Err(format!("a magic number of {magic:#010x} is not one of pcap")),
        };
        let mut layout = Self { big_endian, unit, header_len, lengths: Lengths::CapturedFirst };
        // Two numbers of 16 bits, the major one first, whatever the order of bytes.
        let version = layout.word(header, 4);
        let (major, minor) =
            if big_endian { (version >> 16, version & 0xffff) } else { (version & 0xffff, version >> 16) };
        layout.lengths = match (major, minor) {
            (2, 4) => Lengths::CapturedFirst,
            (2, 3) => Lengths::SmallerIsCaptured,
            // 543 is what a system of the nineties wrote for 2.
            (2, ..3) | (543, 0) => Lengths::CapturedLast,
            _ => return Err(format!("version {major}.{minor} of pcap is not known")),
        };
        Ok((layout, LinkType((layout.word(header, 20) & LINK_MASK) as u16)))
    }

    /// Four bytes of the file's header as a number.
    fn word(self, header: &[u8; FILE_HEADER_LEN], at: usize) -> u32 {
        let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// What the first sixteen bytes of a frame's header say; old variants have more, which say nothing.
    #[inline]
    fn header(self, header: &[u8; FRAME_HEADER_LEN]) -> Header {
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (mut secs, mut fraction, mut one, mut other) = (number(0), number(4), number(8), number(12));
        if self.big_endian {
            (secs, fraction) = (secs.swap_bytes(), fraction.swap_bytes());
            (one, other) = (one.swap_bytes(), other.swap_bytes());
        }
        let (captured, wire_len) = match self.lengths {
            Lengths::CapturedFirst => (one, other),
            Lengths::CapturedLast => (other, one),
            Lengths::SmallerIsCaptured => (one.min(other), one.max(other)),
        };
        let ts = Ts::from_parts(i64::from(secs), i64::from(fraction) * i64::from(self.unit));
        Header { ts, captured, wire_len }
    }
}

impl ClassicSource {
    /// Reads the header of the file; whoever reads the bytes counts them with `meter`.
    pub(super) fn open(
        file: &str,
        bytes: Bytes,
        meter: Meter,
        total: Option<u64>,
        mut filter: Option<Filter>,
    ) -> Result<Self, CaptureError> {
        let mut reader = BufReader::with_capacity(READ_SIZE, bytes);
        let mut header = Vec::new();
        gather(&mut reader, &mut header, FILE_HEADER_LEN).map_err(|error| read_error(file, error))?;
        let Some(header) = header.first_chunk() else {
            let reason = format!("its header has {FILE_HEADER_LEN} bytes, of which {} are there", header.len());
            return Err(CaptureError::Truncated { file: file.to_owned(), reason });
        };
        let (layout, link) =
            Layout::of(header).map_err(|reason| CaptureError::Damaged { file: file.to_owned(), reason })?;
        if let Some(filter) = &mut filter {
            filter.prepare(link, file)?;
        }
        let tally = Tally::new(file);
        Ok(Self { reader, handed: 0, gathered: Vec::new(), layout, link, filter, tally, meter, total, ended: false })
    }

    /// The next frame's header, and where its bytes are to be found; `None` at the end of the file.
    fn advance(&mut self) -> Result<Option<(Header, Place)>, CaptureError> {
        self.reader.consume(std::mem::take(&mut self.handed));
        let header_len = self.layout.header_len;
        let buffer = self.reader.buffer();
        if let Some(header) = buffer.first_chunk() {
            let header = self.checked(header)?;
            let whole = header_len + header.captured as usize;
            if buffer.len() >= whole {
                self.handed = whole;
                return Ok(Some((header, Place::Buffer)));
            }
        }
        self.gathered.clear();
        match self.gather(header_len)? {
            0 => return Ok(None),
            read if read < header_len => return Err(self.truncated("the header of its last frame", header_len, read)),
            _ => {}
        }
        let Some(header) = self.gathered.first_chunk() else { return Ok(None) }; // not reached: they are there
        let header = self.checked(header)?;
        let captured = header.captured as usize;
        let read = self.gather(captured)?;
        if read < captured {
            return Err(self.truncated("its last frame", captured, read));
        }
        Ok(Some((header, Place::Gathered)))
    }

    /// The header in these bytes, if it can be one.
    #[inline]
    fn checked(&self, bytes: &[u8; FRAME_HEADER_LEN]) -> Result<Header, CaptureError> {
        let header = self.layout.header(bytes);
        if header.captured > FRAME_MAX { Err(self.too_long(header)) } else { Ok(header) }
    }

    #[cold]
    fn too_long(&self, header: Header) -> CaptureError {
        let reason = format!("a frame claims {} bytes, where {FRAME_MAX} is the most there can be", header.captured);
        CaptureError::Damaged { file: self.tally.file().to_owned(), reason }
    }

    fn gather(&mut self, count: usize) -> Result<usize, CaptureError> {
        gather(&mut self.reader, &mut self.gathered, count).map_err(|error| read_error(self.tally.file(), error))
    }

    fn truncated(&self, what: &str, whole: usize, there: usize) -> CaptureError {
        let reason = format!("{what} has {whole} bytes, of which {there} are there");
        CaptureError::Truncated { file: self.tally.file().to_owned(), reason }
    }
}

impl FrameSource for ClassicSource {
    fn next_frame(&mut self) -> Option<Result<Captured<'_>, CaptureError>> {
        if self.ended {
            return None;
        }
        match self.advance() {
            Ok(Some((Header { ts, captured, wire_len }, place))) => {
                let bytes = match place {
                    Place::Buffer => self.reader.buffer(),
                    Place::Gathered => &self.gathered,
                };
                let bytes = bytes.get(self.layout.header_len..).unwrap_or_default();
                let bytes = bytes.get(..captured as usize).unwrap_or_default();
                Some(Ok(self.tally.hand_out(Frame { ts, link: self.link, wire_len, bytes }, self.filter.as_ref())))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(error) => {
                self.ended = true;
                self.tally.error(&error);
                Some(Err(error))
            }
        }
    }

    fn progress(&self) -> Progress {
        Progress { done: self.meter.bytes(), total: self.total }
    }

    fn summaries(&self) -> Vec<InputSummary> {
        vec![self.tally.summary()]
    }
}
