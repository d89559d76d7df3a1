//! Classic pcap through libpcap.

use pcap::{Capture, Offline, Precision};

use crate::frame::{Frame, LinkType};
use crate::time::Ts;

use super::filter::{Filter, reason};
use super::input::{Bytes, Feeder, read_error};
use super::tally::{Meter, Tally};
use super::{CaptureError, Captured, FrameSource, InputSummary, Progress};

/// The header of the file, and that of each frame, for progress where libpcap does the reading.
const FILE_HEADER_LEN: usize = 24;
const FRAME_HEADER_LEN: usize = 16;

/// One classic capture.
pub(super) struct ClassicSource {
    capture: Capture<Offline>,
    link: LinkType,
    filter: Option<Filter>,
    tally: Tally,
    /// Counts what the feeder read, or what libpcap read if there is none.
    meter: Meter,
    total: Option<u64>,
    feeder: Option<Feeder>,
    ended: bool,
}

impl ClassicSource {
    /// Lets libpcap open a file.
    pub(super) fn open(
        file: &str,
        path: &str,
        total: Option<u64>,
        filter: Option<Filter>,
    ) -> Result<Self, CaptureError> {
        let capture = open_offline(path).map_err(|error| classify(file, &error, &mut None))?;
        let meter = Meter::default();
        meter.add(FILE_HEADER_LEN);
        Self::new(file, capture, meter, total, None, filter)
    }

    /// Lets libpcap read bytes through a pipe; whoever reads them counts them with `meter`.
    pub(super) fn feed(
        file: &str,
        bytes: Bytes,
        meter: Meter,
        total: Option<u64>,
        filter: Option<Filter>,
    ) -> Result<Self, CaptureError> {
        let started = Feeder::start(bytes, open_offline);
        let (feeder, opened) = started.map_err(|source| CaptureError::Open { file: file.to_owned(), source })?;
        let mut feeder = Some(feeder);
        let capture = opened.map_err(|error| classify(file, &error, &mut feeder))?;
        Self::new(file, capture, meter, total, feeder, filter)
    }

    fn new(
        file: &str,
        capture: Capture<Offline>,
        meter: Meter,
        total: Option<u64>,
        feeder: Option<Feeder>,
        mut filter: Option<Filter>,
    ) -> Result<Self, CaptureError> {
        let link = LinkType(capture.get_datalink().0 as u16);
        if let Some(filter) = &mut filter {
            filter.prepare(link, file)?;
        }
        Ok(Self { capture, link, filter, tally: Tally::new(file), meter, total, feeder, ended: false })
    }
}

impl FrameSource for ClassicSource {
    fn next_frame(&mut self) -> Option<Result<Captured<'_>, CaptureError>> {
        if self.ended {
            return None;
        }
        let error = match self.capture.next_packet() {
            Ok(packet) => {
                let header = packet.header;
                // Seconds have 32 bits without a sign in the file (draft-ietf-opsawg-pcap), but libpcap 1.10 reads them
                // with one. Asked for nanoseconds, it puts them where the microseconds would be.
                let ts = Ts::from_parts(i64::from(header.ts.tv_sec as u32), header.ts.tv_usec);
                if self.feeder.is_none() {
                    self.meter.add(FRAME_HEADER_LEN + packet.data.len());
                }
                let passed = self.filter.as_ref().is_none_or(|filter| filter.passes(self.link, packet.data));
                let no = self.tally.frame(ts, packet.data.len(), passed);
                return Some(Ok(if passed {
                    Captured::Frame(no, Frame { ts, link: self.link, wire_len: header.len, bytes: packet.data })
                } else {
                    Captured::Filtered(no, ts)
                }));
            }
            Err(pcap::Error::NoMorePackets) => {
                // The pipe ends whether the bytes were all there or not.
                self.feeder.as_mut().and_then(Feeder::error).map(|error| read_error(self.tally.file(), error))
            }
            Err(error) => Some(classify(self.tally.file(), &error, &mut self.feeder)),
        };
        self.ended = true;
        error.map(|error| {
            self.tally.error(&error);
            Err(error)
        })
    }

    fn progress(&self) -> Progress {
        let bytes = self.meter.bytes();
        // What libpcap read is known but for the frame headers of old variants.
        Progress { done: self.total.map_or(bytes, |total| bytes.min(total)), total: self.total }
    }

    fn summaries(&self) -> Vec<InputSummary> {
        vec![self.tally.summary()]
    }
}

fn open_offline(path: &str) -> Result<Capture<Offline>, pcap::Error> {
    Capture::from_file_with_precision(path, Precision::Nano)
}

/// What an error of libpcap means. Its text is the only sign that a file is cut off; if the bytes came through a pipe
/// that ended because of an error, that error is the one to tell.
fn classify(file: &str, error: &pcap::Error, feeder: &mut Option<Feeder>) -> CaptureError {
    let reason = reason(error);
    if !reason.starts_with("truncated dump file") {
        return CaptureError::Damaged { file: file.to_owned(), reason };
    }
    match feeder.as_mut().and_then(Feeder::error) {
        Some(error) => read_error(file, error),
        None => CaptureError::Truncated { file: file.to_owned(), reason },
    }
}
