//! A device, read by a thread of its own that does nothing but copy frames out of the kernel's ring.
//!
//! **What the thread may wait for.** Only for frames. What comes after it takes whole batches over a bounded channel
//! (`queue`); where that is full, the thread goes on and counts what is lost. It neither decodes nor judges: how long
//! that takes is the attacker's choice, and the ring holds a second or two.
//!
//! **Stamps** are the kernel's, in microseconds: any classic capture can hold them (`record`).
//!
//! **A device that goes away** is waited for, and opened again when it is back. The kernel's counters begin anew then;
//! the sums here do not.

mod filter;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use pcap::{Active, Capture, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use filter::Wanted;

use super::CaptureError;
use super::devices::remedy;
use super::filter::{Filter, reason};
use super::queue::{Feed, LiveSource, live_queue};
use crate::frame::LinkType;
use crate::time::Ts;

/// Bytes of a frame that are kept: what libpcap takes for "all". Network cards put segments together (GRO, LRO) into
/// frames of up to 64 KiB, and a mirrored frame may come in several headers.
pub const SNAP_LEN_MAX: u32 = 262_144;
/// Mebibytes of the kernel's ring: at 1 Gbit/s of pure SMTP it bridges half a second in which the thread does not run.
pub const BUFFER_MIB: u32 = 64;
/// How long the kernel gathers frames before it hands them up, in milliseconds: ten wake-ups a second on a quiet link,
/// and no incident waits longer for it.
const GATHER_MS: i32 = 100;
/// How long the thread waits before it looks whether it shall end.
const WAIT: Duration = Duration::from_millis(200);
/// Frames copied between two looks at the queue and the clock.
const FRAMES_AT_ONCE: usize = 1024;
/// The first and the longest wait before a lost device is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// What the thread is called, in the system's list too.
pub const THREAD: &str = "capture";

/// How a device is captured on.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// Its name.
    pub device: String,
    /// What the kernel hands up.
    pub wanted: Wanted,
    /// A filter of the operator's besides, in libpcap's language; its rejects are counted.
    pub filter: Option<String>,
    /// Bytes of a frame that are kept.
    pub snap_len: u32,
    /// Mebibytes of the kernel's ring.
    pub buffer_mib: u32,
    /// Take also frames that are addressed to others: a mirror port needs it.
    pub promiscuous: bool,
}

/// What a device gave and lost so far; read from anywhere at any time.
#[derive(Default, Debug)]
pub struct LiveCounts {
    pub(super) frames: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) kernel: AtomicU64,
    pub(super) interface: AtomicU64,
    pub(super) queue: AtomicU64,
    pub(super) waiting: AtomicU64,
    outages: AtomicU64,
    down: AtomicBool,
}

/// The counts at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LiveStats {
    /// Frames that the thread took.
    pub frames: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Frames that the kernel had no room for.
    pub kernel_drops: u64,
    /// Frames that the device or its driver dropped.
    pub interface_drops: u64,
    /// Frames that were dropped because the judgement did not keep up.
    pub queue_drops: u64,
    /// Frames that wait for the judgement now.
    pub waiting: u64,
    /// Times that the device went away.
    pub outages: u64,
    /// The device is away now.
    pub down: bool,
}

impl LiveCounts {
    /// The counts now.
    pub fn stats(&self) -> LiveStats {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LiveStats {
            frames: of(&self.frames),
            bytes: of(&self.bytes),
            kernel_drops: of(&self.kernel),
            interface_drops: of(&self.interface),
            queue_drops: of(&self.queue),
            waiting: of(&self.waiting),
            outages: of(&self.outages),
            down: self.down.load(Ordering::Relaxed),
        }
    }
}

/// A device that is open, before its thread runs. Whoever holds it may drop the right to open others.
pub struct Tap {
    options: LiveOptions,
    ring: Ring,
    counts: Arc<LiveCounts>,
}

/// One opening of the device.
struct Ring {
    capture: Capture<Active>,
    link: LinkType,
    /// What the kernel said last: its counters have 32 bits.
    told: (u32, u32),
}

impl Tap {
    /// Opens the device. Frames gather in the kernel from here on.
    pub fn open(options: LiveOptions) -> Result<Self, CaptureError> {
        let ring = Ring::open(&options)?;
        // Compiled here for the error; the source compiles it for itself.
        if let Some(text) = &options.filter {
            Filter::new(text.clone()).prepare(ring.link, &options.device)?;
        }
        Ok(Self { options, ring, counts: Arc::default() })
    }

    /// What it counts.
    pub fn counts(&self) -> Arc<LiveCounts> {
        Arc::clone(&self.counts)
    }

    /// Starts the thread, which runs until `stop` is set. What it takes comes out of the source, to its last frame.
    pub fn start(self, stop: Arc<AtomicBool>) -> std::io::Result<(LiveSource, JoinHandle<()>)> {
        let Self { options, ring, counts } = self;
        let (feed, source) = live_queue(&options.device, options.filter.clone().map(Filter::new), &counts);
        let thread =
            Builder::new().name(THREAD.to_owned()).spawn(move || Copier { options, feed, counts }.run(ring, &stop))?;
        Ok((source, thread))
    }
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Ring {
    fn open(options: &LiveOptions) -> Result<Self, CaptureError> {
        let failed = |error: &pcap::Error| CaptureError::Device {
            device: options.device.clone(),
            reason: remedy(&options.device, &reason(error)),
        };
        let capture = Capture::from_device(options.device.as_str())
            .map_err(|error| failed(&error))?
            .promisc(options.promiscuous)
            .snaplen(options.snap_len.cast_signed())
            .buffer_size((options.buffer_mib << 20).cast_signed())
            .precision(Precision::Micro)
            .timeout(GATHER_MS)
            .open()
            .map_err(|error| failed(&error))?;
        let mut capture = capture.setnonblock().map_err(|error| failed(&error))?;
        // Links without tags refuse the words for them.
        if capture.filter(&options.wanted.tagged(), true).is_err() {
            let plain = options.wanted.plain();
            capture.filter(&plain, true).map_err(|error| CaptureError::Filter {
                file: options.device.clone(),
                filter: plain.clone(),
                link: LinkType(capture.get_datalink().0 as u16),
                reason: reason(&error),
            })?;
        }
        let link = LinkType(capture.get_datalink().0 as u16);
        Ok(Self { capture, link, told: (0, 0) })
    }

    /// Adds what the kernel counted since it was asked last.
    fn count(&mut self, counts: &LiveCounts) {
        let Ok(stat) = self.capture.stats() else { return };
        let new = |now: u32, told: u32| u64::from(now.wrapping_sub(told));
        counts.kernel.fetch_add(new(stat.dropped, self.told.0), Ordering::Relaxed);
        counts.interface.fetch_add(new(stat.if_dropped, self.told.1), Ordering::Relaxed);
        self.told = (stat.dropped, stat.if_dropped);
    }

    /// Waits for frames, not for ever.
    fn wait(&self) {
        let wait = Timespec { tv_sec: 0, tv_nsec: WAIT.subsec_nanos().into() };
        // A signal ends the wait, and that is what signals are for.
        let _ = poll(&mut [PollFd::new(&self.capture, PollFlags::IN)], Some(&wait));
    }
}

/// The thread.
struct Copier {
    options: LiveOptions,
    feed: Feed,
    counts: Arc<LiveCounts>,
}

impl Copier {
    fn run(mut self, ring: Ring, stop: &AtomicBool) {
        let mut ring = Some(ring);
        let mut last = false;
        loop {
            // Looked at before the ring is emptied: what came before the end of the run is part of it.
            let ending = stop.load(Ordering::Relaxed);
            if let Some(open) = &mut ring {
                match copy(open, &mut self.feed) {
                    Ok(0) if last => break,
                    Ok(0) => {
                        self.feed.send();
                        open.count(&self.counts);
                        open.wait();
                        // The kernel may still gather what it got before the end.
                        last = ending;
                    }
                    Ok(_) => open.count(&self.counts),
                    Err(_) => {
                        open.count(&self.counts);
                        ring = None;
                        self.counts.outages.fetch_add(1, Ordering::Relaxed);
                        self.counts.down.store(true, Ordering::Relaxed);
                        self.feed.send();
                    }
                }
            } else if ending {
                break;
            } else {
                ring = self.reopen(stop);
                self.counts.down.store(ring.is_none(), Ordering::Relaxed);
            }
        }
        self.feed.send_last();
    }

    /// Tries the device again and again, ever more seldom, until it is back or the run ends.
    fn reopen(&self, stop: &AtomicBool) -> Option<Ring> {
        let mut pause = RETRY.0;
        loop {
            let mut left = pause;
            while left > Duration::ZERO {
                if stop.load(Ordering::Relaxed) {
                    return None;
                }
                let step = left.min(WAIT);
                sleep(step);
                left -= step;
            }
            match Ring::open(&self.options) {
                Ok(ring) => return Some(ring),
                Err(_) => pause = (pause * 2).min(RETRY.1),
            }
        }
    }
}

/// Copies what the ring holds, up to a bound; how many frames.
fn copy(ring: &mut Ring, feed: &mut Feed) -> Result<usize, pcap::Error> {
    let link = ring.link;
    ring.capture.dispatch(Some(FRAMES_AT_ONCE), |packet| {
        // Asked for microseconds, libpcap counts them.
        let ts = Ts::from_parts(packet.header.ts.tv_sec, packet.header.ts.tv_usec.saturating_mul(1000));
        feed.push(ts, link, packet.header.len, packet.data);
    })
}

#[expect(clippy::disallowed_methods, reason = "a lost device has no descriptor to wait on")]
fn sleep(time: Duration) {
    std::thread::sleep(time);
}
