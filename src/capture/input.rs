//! Opens a file, a pipe or standard input, finds out what it holds, and picks the reader for it.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use flate2::bufread::MultiGzDecoder;

use super::classic::ClassicSource;
use super::filter::Filter;
use super::pcapng::PcapngSource;
use super::tally::Meter;
use super::zstd::ZstdReader;
use super::{CaptureError, FrameSource, OpenOptions};

/// Bytes asked of the system at once.
const READ_SIZE: usize = 256 << 10;
/// Bytes written to the pipe at once: what a pipe of Linux holds.
const PIPE_SIZE: usize = 64 << 10;
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
        return Opening { file: "standard input".to_owned(), regular: None, total: None, meter }.open(bytes, options);
    }
    let file = path.display().to_string();
    let open = |source| CaptureError::Open { file: file.clone(), source };
    let opened = File::open(path).map_err(open)?;
    let metadata = opened.metadata().map_err(open)?;
    if metadata.is_dir() {
        return Err(CaptureError::Directory { file });
    }
    // A named pipe can be opened only once, so libpcap is given what was read of it already.
    let regular = metadata.is_file().then(|| path.to_owned());
    let total = metadata.is_file().then_some(metadata.len());
    let bytes = Box::new(Metered { inner: opened, meter: meter.clone() });
    Opening { file, regular, total, meter }.open(bytes, options)
}

/// Opens a file of text, unpacked if it is packed with gzip or zstd.
pub fn open_unpacked(path: &Path) -> Result<Bytes, CaptureError> {
    let file = path.display().to_string();
    let open = |source| CaptureError::Open { file: file.clone(), source };
    let opened = File::open(path).map_err(open)?;
    if opened.metadata().map_err(open)?.is_dir() {
        return Err(CaptureError::Directory { file });
    }
    let opening = Opening { file, regular: None, total: None, meter: Meter::default() };
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
    /// The path, if libpcap can open it once more.
    regular: Option<PathBuf>,
    total: Option<u64>,
    meter: Meter,
}

impl Opening {
    fn open(self, bytes: Bytes, options: &OpenOptions) -> Result<Box<dyn FrameSource + Send>, CaptureError> {
        let filter = options.filter.clone().map(Filter::new);
        let (content, bytes) = self.sniff(bytes)?;
        let packed = matches!(content, Content::Gzip | Content::Zstd);
        let (content, bytes) = match content {
            Content::Gzip => self.sniff(Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_SIZE, bytes))))?,
            Content::Zstd => self.sniff(Box::new(ZstdReader::new(BufReader::with_capacity(READ_SIZE, bytes))))?,
            plain => (plain, bytes),
        };
        match content {
            Content::Pcap => {
                // libpcap takes a path as a C string in UTF-8; any other path is read through the pipe.
                let plain = self.regular.as_deref().filter(|_| !packed).and_then(Path::to_str);
                let source = match plain {
                    Some(path) => ClassicSource::open(&self.file, path, self.total, filter)?,
                    None => ClassicSource::feed(&self.file, bytes, self.meter, self.total, filter)?,
                };
                Ok(Box::new(source))
            }
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

/// A thread that writes bytes into a pipe, because libpcap reads only what has a file descriptor.
pub(super) struct Feeder {
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Feeder {
    /// Starts a feeder and opens its pipe by `open`, which is given a path.
    pub(super) fn start<T>(bytes: Bytes, open: impl FnOnce(&str) -> T) -> io::Result<(Self, T)> {
        let (reader, writer) = io::pipe()?;
        let thread = thread::Builder::new().name("feeder".to_owned()).spawn(move || pump(bytes, writer))?;
        // libpcap opens the reading end once more. Ours is closed here, so that the feeder ends when libpcap's is.
        let opened = open(&format!("/dev/fd/{}", reader.as_raw_fd()));
        Ok((Self { thread: Some(thread) }, opened))
    }

    /// The error that ended the bytes, if they were ended by one. To be called only where the pipe has ended: else it
    /// would wait for bytes that nobody reads.
    pub(super) fn error(&mut self) -> Option<io::Error> {
        let verdict = self.thread.take()?.join();
        verdict.unwrap_or_else(|_| Err(io::Error::other("the decompressor failed"))).err()
    }
}

fn pump(mut bytes: Bytes, mut pipe: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; PIPE_SIZE];
    loop {
        let read = match bytes.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // Nobody reads any more: the capture was closed, or damaged.
        if pipe.write_all(buffer.get(..read).unwrap_or_default()).is_err() {
            return Ok(());
        }
    }
}
