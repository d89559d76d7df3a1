//! Where frames come from: saved captures, one by one or several as one run, or a device.
//!
//! A [`FrameSource`] hands out frames until it has no more. Files are told apart by their content, never by their name:
//! classic pcap of either byte order and precision, pcapng with any mix of interfaces, either of them
//! packed with gzip or zstd, from a file, a pipe or standard input. What a damaged or cut file holds before the damage
//! is handed out first, and stays valid.
//!
//! With a filter, every frame is still read and counted, and rejected ones keep their number: frame numbers are those
//! that Wireshark shows, with or without a filter. libpcap compiles the filter.
//!
//! This is the edge: only this room knows of libpcap, and only it may wait.

mod annotated;
mod classic;
mod devices;
mod error;
mod filter;
mod input;
mod lately;
mod live;
mod merged;
mod pcapng;
mod queue;
mod record;
mod tally;
#[cfg(test)]
mod tests;
mod zstd;

use crate::frame::{Frame, FrameNo};
use crate::time::Ts;

pub use annotated::AnnotatedWriter;
pub use devices::{DeviceInfo, devices, setcap};
pub use error::CaptureError;
pub use input::{Bytes, open_file, open_unpacked};
pub use lately::{Lately, Past, PastSource};
pub use live::{BUFFER_MIB, LiveCounts, LiveOptions, LiveStats, SNAP_LEN_MAX, THREAD, Tap, Wanted};
pub use merged::MergedSource;
pub use queue::LiveSource;
pub use tally::{InputSummary, Progress};

/// How files are read.
#[derive(Clone, Default, Debug)]
pub struct OpenOptions {
    /// A filter in libpcap's language (`pcap-filter(7)`). Of a frame that was cut it sees the captured length as `len`. Of a
    /// pcapng with several interfaces it rejects all frames of those on which it makes no sense.
    pub filter: Option<String>,
}

/// What a source hands out: a frame, or that something else happened which takes part in the order of the run.
#[derive(Clone, Copy, Debug)]
pub enum Captured<'a> {
    /// A frame, with its number in the run.
    Frame(FrameNo, Frame<'a>),
    /// A frame that the filter rejected: it has a number and a time, and nothing else.
    Filtered(FrameNo, Ts),
    /// A live source waited and nothing came: the time is at least this now.
    Idle(Ts),
}

/// Hands out frames in order.
///
/// Call [`next_frame`](Self::next_frame) until it says `None`. An error concerns one input: what was handed out before
/// stays valid, and where there are other inputs, the next call goes on with them. After `None` comes nothing more, and
/// [`summaries`](Self::summaries) are final.
pub trait FrameSource {
    /// The next frame; `None` at the end of all input.
    fn next_frame(&mut self) -> Option<Result<Captured<'_>, CaptureError>>;

    /// How far reading has come.
    fn progress(&self) -> Progress;

    /// What was read of each input, in the order they were given.
    fn summaries(&self) -> Vec<InputSummary>;
}

impl<S: FrameSource + ?Sized> FrameSource for Box<S> {
    fn next_frame(&mut self) -> Option<Result<Captured<'_>, CaptureError>> {
        (**self).next_frame()
    }

    fn progress(&self) -> Progress {
        (**self).progress()
    }

    fn summaries(&self) -> Vec<InputSummary> {
        (**self).summaries()
    }
}
