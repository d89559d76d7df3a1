//! Opens a file, a pipe or standard input, finds out what it holds, and picks the reader for it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::classic::ClassicSource;
use super::filter::Filter;
use super::pcapng::PcapngSource;
use super::tally::Meter;
use super::zstd::ZstdReader;
use super::{CaptureError, FrameSource, OpenOptions};

/// Bytes asked of the system at once: few enough to be still in the processor's second-level cache when they are decoded.
pub(super) const READ_SIZE: usize = 64 << 10;
/// How many bytes tell what a file is.
const MAGIC_LEN: usize = 4;

/// Any reader, to be handed to another thread.
pub type Bytes = Box<dyn Read + Send>;

/// What a file holds, by its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    Pcap,
    Pcapng,
    Gzip,
    Zstd,
    Other,
}

/// Opens the capture at `path`, or on standard input if that is `-`.
///
/// Nothing is handed out yet, but the headers are read and the filter is compiled.
pub fn open_file(path: &Path, options: &OpenOptions) -> Result<Box<dyn FrameSource + Send>, CaptureError> {
    let meter = Meter::default();
    if path.as_os_str() == "-" {
        let bytes = Box::new(Metered { inner: io::stdin(), meter: meter.clone() });
        return Opening { file: "standard input".to_owned(), total: None, meter }.open(bytes, options);
    }
    let file = path.display().to_string();
    let open = |source| CaptureError::Open { file: file.clone(), source };
    let opened = File::open(path).map_err(open)?;
    let metadata = opened.metadata().map_err(open)?;
    if metadata.is_dir() {
        return Err(CaptureError::Directory { file });
    }
    let total = metadata.is_file().then_some(metadata.len());
    let bytes = Box::new(Metered { inner: opened, meter: meter.clone() });
    Opening { file, total, meter }.open(bytes, options)
}

/// Opens a file of text, unpacked if it is packed with gzip or zstd.
pub fn open_unpacked(path: &Path) -> Result<Bytes, CaptureError> {
    let file = path.display().to_string();
    let open = |source| CaptureError::Open { file: file.clone(), source };
    let opened = File::open(path).map_err(open)?;
    if opened.metadata().map_err(open)?.is_dir() {
        return Err(CaptureError::Directory { file });
    }
    let opening = Opening { file, total: None, meter: Meter::default() };
    match opening.sniff(Box::new(opened)) {
        Ok((Content::Gzip, bytes)) => Ok(Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_SIZE, bytes)))),
        Ok((Content::Zstd, bytes)) => Ok(Box::new(ZstdReader::new(BufReader::with_capacity(READ_SIZE, bytes)))),
        Ok((_, bytes)) => Ok(bytes),
        Err(CaptureError::Empty { .. }) => Ok(Box::new(io::empty())),
        Err(error) => Err(error),
    }
}

/// What is known of an input while it is opened.
struct Opening {
    file: String,
    total: Option<u64>,
    meter: Meter,
}

impl Opening {
    fn open(self, bytes: Bytes, options: &OpenOptions) -> Result<Box<dyn FrameSource + Send>, CaptureError> {
        let filter = options.filter.clone().map(Filter::new);
        let (content, bytes) = self.sniff(bytes)?;
        let (content, bytes) = match content {
            Content::Gzip => self.sniff(Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_SIZE, bytes))))?,
            Content::Zstd => self.sniff(Box::new(ZstdReader::new(BufReader::with_capacity(READ_SIZE, bytes))))?,
            plain => (plain, bytes),
        };
        match content {
            Content::Pcap => Ok(Box::new(ClassicSource::open(&self.file, bytes, self.meter, self.total, filter)?)),
            Content::Pcapng => {
                let bytes = BufReader::with_capacity(READ_SIZE, bytes);
                Ok(Box::new(PcapngSource::open(&self.file, bytes, self.meter, self.total, filter)?))
            }
            _ => Err(CaptureError::NotACapture { file: self.file }),
        }
    }

    /// What `bytes` hold, and the same bytes once more.
    fn sniff(&self, mut bytes: Bytes) -> Result<(Content, Bytes), CaptureError> {
        let mut magic = Vec::with_capacity(MAGIC_LEN);
        let read = (&mut bytes).take(MAGIC_LEN as u64).read_to_end(&mut magic);
        read.map_err(|error| read_error(&self.file, error))?;
        if magic.is_empty() {
            return Err(CaptureError::Empty { file: self.file.clone() });
        }
        Ok((content_of(&magic), Box::new(Cursor::new(magic).chain(bytes))))
    }
}

/// The magic numbers: of pcap in both byte orders, with micro- and nanoseconds and in the variant of patched Linux
/// systems of the nineties (which libpcap reads); of pcapng's section header; of gzip (RFC 1952); of zstd and its
/// skippable frames (RFC 8878 section 3.1).
const fn content_of(magic: &[u8]) -> Content {
    match magic {
        [0xa1, 0xb2, 0xc3, 0xd4]
        | [0xd4, 0xc3, 0xb2, 0xa1]
        | [0xa1, 0xb2, 0x3c, 0x4d]
        | [0x4d, 0x3c, 0xb2, 0xa1]
        | [0xa1, 0xb2, 0xcd, 0x34]
        | [0x34, 0xcd, 0xb2, 0xa1] => Content::Pcap,
        [0x0a, 0x0d, 0x0d, 0x0a] => Content::Pcapng,
        [0x1f, 0x8b, ..] => Content::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Content::Zstd,
        _ => Content::Other,
    }
}

/// An error of a reader in our words: a compression that ends too early is a cut file, one that contradicts itself a
/// damaged one.
pub(super) fn read_error(file: &str, error: io::Error) -> CaptureError {
    let file = file.to_owned();
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            CaptureError::Truncated { file, reason: "its compressed data end too early".to_owned() }
        }
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
            CaptureError::Damaged { file, reason: error.to_string() }
        }
        _ => CaptureError::Read { file, source: error },
    }
}

/// Appends up to `count` bytes of `reader`; how many there were. Memory grows with the bytes, not with the claim.
pub(super) fn gather(reader: &mut impl BufRead, to: &mut Vec<u8>, count: usize) -> io::Result<usize> {
    let mut missing = count;
    while missing > 0 {
        match reader.fill_buf() {
            Ok([]) => break,
            Ok(available) => {
                let taken = available.get(..missing).unwrap_or(available);
                to.extend_from_slice(taken);
                let taken = taken.len();
                reader.consume(taken);
                missing -= taken;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count - missing)
}

/// A reader that counts.
struct Metered<R> {
    inner: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.meter.add(read);
        Ok(read)
    }
}
