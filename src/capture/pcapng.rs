//! pcapng (draft-ietf-opsawg-pcapng): sections of blocks, each block with its length before and after it.
//!
//! libpcap reads pcapng too, but refuses files whose interfaces differ in link type or snap length, which is what
//! merging and `any` captures make. The framing of blocks is done here, so that memory is bounded and a block of an
//! unknown kind costs nothing; descriptions of interfaces, which have options, are parsed by `pcap-parser`.
//!
//! Frames come from enhanced, simple and obsolete packet blocks, counts of dropped frames from interface statistics. All
//! other blocks are skipped.

use std::io::BufRead;

use pcap_parser::pcapng::{OptionCode, parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le};

use crate::frame::{Frame, LinkType};
use crate::time::Ts;

use super::filter::Filter;
use super::input::{gather, read_error};
use super::tally::{Meter, Tally};
use super::{CaptureError, Captured, FrameSource, InputSummary, Progress};

/// Kinds of blocks.
mod kind {
    pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const OBSOLETE_PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const STATISTICS: u32 = 5;
    pub(super) const ENHANCED_PACKET: u32 = 6;
}

/// Type and length.
const BLOCK_HEADER_LEN: usize = 8;
/// The length once more, at the end.
const BLOCK_TRAILER_LEN: usize = 4;
/// The largest block. libpcap has the same limit; a frame has 256 KiB at most.
const BLOCK_MAX: usize = 16 << 20;
/// Interfaces of one section. The obsolete packet block has 16 bits for them; real files have a few.
const INTERFACES_MAX: usize = 1 << 16;
const NANOS_PER_SEC: u64 = 1_000_000_000;

/// One pcapng capture.
pub(super) struct PcapngSource<R> {
    reader: R,
    /// The current block, all of it.
    block: Vec<u8>,
    /// The frame in it, if that was met while the source was opened.
    met: Option<Packet>,
    big_endian: bool,
    interfaces: Vec<Interface>,
    filter: Option<Filter>,
    tally: Tally,
    meter: Meter,
    total: Option<u64>,
    ended: bool,
}

/// What a section says of one of its interfaces.
#[derive(Clone, Copy)]
struct Interface {
    link: LinkType,
    /// Zero: no limit.
    snap_len: u32,
    clock: Clock,
    /// Frames dropped since the capture began, as far as statistics said so.
    dropped: u64,
}

/// How an interface counts time.
#[derive(Clone, Copy)]
struct Clock {
    ticks_per_sec: u64,
    offset_secs: i64,
}

/// A frame inside the current block.
struct Packet {
    interface: Interface,
    ts: Ts,
    wire_len: u32,
    start: usize,
    end: usize,
}

impl<R: BufRead> PcapngSource<R> {
    /// Reads up to the first interface; with a filter, up to the first one on which that makes sense. A filter that makes
    /// none on any interface before the first frame is a mistake.
    pub(super) fn open(
        file: &str,
        reader: R,
        meter: Meter,
        total: Option<u64>,
        filter: Option<Filter>,
    ) -> Result<Self, CaptureError> {
        let mut source = Self {
            reader,
            block: Vec::new(),
            met: None,
            big_endian: false,
            interfaces: Vec::new(),
            filter,
            tally: Tally::new(file),
            meter,
            total,
            ended: false,
        };
        while source.met.is_none() && !source.is_described() && source.read_block()? {
            source.met = source.read_packet()?;
        }
        if let (Some(filter), Some(interface)) = (&mut source.filter, source.interfaces.first())
            && !filter.makes_sense()
        {
            filter.prepare(interface.link, file)?;
        }
        Ok(source)
    }

    /// Whether there is an interface, and one on which the filter makes sense.
    fn is_described(&self) -> bool {
        !self.interfaces.is_empty() && self.filter.as_ref().is_none_or(Filter::makes_sense)
    }

    /// Reads the next block whole; false at the end of the file.
    fn read_block(&mut self) -> Result<bool, CaptureError> {
        self.block.clear();
        match self.fill(BLOCK_HEADER_LEN)? {
            0 => return Ok(false),
            BLOCK_HEADER_LEN => {}
            _ => return Err(self.truncated()),
        }
        if self.be32(0) == Some(kind::SECTION_HEADER) {
            // The same number in both byte orders; the next one says which order the section has.
            if self.fill(4)? < 4 {
                return Err(self.truncated());
            }
            self.big_endian = match self.be32(BLOCK_HEADER_LEN) {
                Some(0x1a2b_3c4d) => true,
                Some(0x4d3c_2b1a) => false,
                _ => return Err(self.damaged("a section has no byte order")),
            };
            self.interfaces.clear();
        }
        let length = self.u32(4).unwrap_or_default() as usize;
        if length < BLOCK_HEADER_LEN + BLOCK_TRAILER_LEN || length < self.block.len() || length > BLOCK_MAX {
            return Err(self.damaged(&format!("a block claims a length of {length} bytes")));
        }
        // Blocks are padded to four bytes; some writers leave the padding out of the length.
        let rest = length.next_multiple_of(4) - self.block.len();
        if self.fill(rest)? < rest {
            return Err(self.truncated());
        }
        if self.u32(self.block.len() - BLOCK_TRAILER_LEN) != Some(length as u32) {
            return Err(self.damaged("the two lengths of a block differ"));
        }
        Ok(true)
    }

    /// Appends up to `count` bytes to the block; how many there were.
    fn fill(&mut self, count: usize) -> Result<usize, CaptureError> {
        gather(&mut self.reader, &mut self.block, count).map_err(|error| read_error(self.tally.file(), error))
    }

    /// The frame in the current block, if it is of a kind that has one.
    fn read_packet(&mut self) -> Result<Option<Packet>, CaptureError> {
        match self.kind() {
            kind::INTERFACE => self.add_interface().map(|()| None),
            kind::ENHANCED_PACKET => self.timed_packet(self.u32(8)).map(Some),
            kind::OBSOLETE_PACKET => self.timed_packet(self.u16(8).map(u32::from)).map(Some),
            kind::SIMPLE_PACKET => self.simple_packet().map(Some),
            kind::STATISTICS => {
                self.note_drops();
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn add_interface(&mut self) -> Result<(), CaptureError> {
        if self.interfaces.len() >= INTERFACES_MAX {
            return Err(self.damaged("a section has more than 65,536 interfaces"));
        }
        let parse =
            if self.big_endian { parse_interfacedescriptionblock_be } else { parse_interfacedescriptionblock_le };
        let Ok((_, description)) = parse(&self.block) else {
            return Err(self.damaged("the description of an interface cannot be read"));
        };
        // `pcap-parser` 0.17 reads the offset as little endian in any section.
        let offset = description.options.iter().find(|option| option.code == OptionCode::IfTsoffset);
        let offset = offset.and_then(|option| option.value().first_chunk().copied()).unwrap_or_default();
        let offset = if self.big_endian { i64::from_be_bytes(offset) } else { i64::from_le_bytes(offset) };
        let Some(clock) = Clock::new(description.if_tsresol, offset) else {
            return Err(self.damaged("an interface has an unknown time resolution"));
        };
        let link = LinkType(description.linktype.0 as u16);
        let interface = Interface { link, snap_len: description.snaplen, clock, dropped: 0 };
        if let Some(filter) = &mut self.filter {
            // Where it makes no sense it passes nothing.
            let _ = filter.prepare(link, self.tally.file());
        }
        self.interfaces.push(interface);
        Ok(())
    }

    /// Interface statistics: interface, stamp, then options, of which `isb_ifdrop` and `isb_osdrop` count from the
    /// beginning of the capture. What cannot be read is passed over: no frame depends on it.
    fn note_drops(&mut self) {
        const OPTIONS_AT: usize = 20;
        const IF_DROP: u16 = 5;
        const OS_DROP: u16 = 7;

        let Some(number) = self.u32(8).map(|number| number as usize) else {
            return;
        };
        let (mut at, mut dropped) = (OPTIONS_AT, 0_u64);
        while let (Some(code), Some(length)) = (self.u16(at), self.u16(at + 2))
            && code != 0
            && at + BLOCK_TRAILER_LEN < self.block.len()
        {
            if matches!(code, IF_DROP | OS_DROP) && length == 8 {
                dropped = dropped.saturating_add(self.u64(at + 4).unwrap_or_default());
            }
            at += 4 + usize::from(length).next_multiple_of(4);
        }
        if let Some(interface) = self.interfaces.get_mut(number) {
            self.tally.dropped(dropped.saturating_sub(interface.dropped));
            interface.dropped = interface.dropped.max(dropped);
        }
    }

    /// An enhanced or obsolete packet block: interface, stamp, captured length, length, bytes. They differ in how the
    /// interface is written.
    fn timed_packet(&self, interface: Option<u32>) -> Result<Packet, CaptureError> {
        const BYTES_AT: usize = 28;
        let (Some(interface), Some(high), Some(low), Some(captured), Some(wire_len)) =
            (interface, self.u32(12), self.u32(16), self.u32(20), self.u32(24))
        else {
            return Err(self.damaged("a packet block is too short"));
        };
        let interface = self.interface(interface)?;
        let ts = interface.clock.ts((high as u64) << 32 | low as u64);
        self.packet(interface, ts, wire_len, BYTES_AT, captured as usize)
    }

    /// A simple packet block: of the first interface, without a stamp; its captured length is what the interface's
    /// snap length leaves of the length.
    fn simple_packet(&self) -> Result<Packet, CaptureError> {
        const BYTES_AT: usize = 12;
        let Some(wire_len) = self.u32(8) else {
            return Err(self.damaged("a packet block is too short"));
        };
        let interface = self.interface(0)?;
        let captured = if interface.snap_len == 0 { wire_len } else { wire_len.min(interface.snap_len) };
        self.packet(interface, Ts::EPOCH, wire_len, BYTES_AT, captured as usize)
    }

    fn packet(
        &self,
        interface: Interface,
        ts: Ts,
        wire_len: u32,
        start: usize,
        captured: usize,
    ) -> Result<Packet, CaptureError> {
        let end = start.saturating_add(captured);
        if end > self.block.len().saturating_sub(BLOCK_TRAILER_LEN) {
            return Err(self.damaged("a frame is longer than its block"));
        }
        Ok(Packet { interface, ts, wire_len, start, end })
    }

    fn interface(&self, number: u32) -> Result<Interface, CaptureError> {
        let found = self.interfaces.get(number as usize).copied();
        found.ok_or_else(|| self.damaged(&format!("a frame is of interface {number}, which was not described")))
    }

    fn kind(&self) -> u32 {
        self.u32(0).unwrap_or_default()
    }

    fn be32(&self, at: usize) -> Option<u32> {
        self.block.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let value = self.be32(at)?;
        Some(if self.big_endian { value } else { value.swap_bytes() })
    }

    fn u64(&self, at: usize) -> Option<u64> {
        let value = u64::from_be_bytes(*self.block.get(at..)?.first_chunk()?);
        Some(if self.big_endian { value } else { value.swap_bytes() })
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let value = u16::from_be_bytes(*self.block.get(at..)?.first_chunk()?);
        Some(if self.big_endian { value } else { value.swap_bytes() })
    }

    fn truncated(&self) -> CaptureError {
        CaptureError::Truncated { file: self.tally.file().to_owned(), reason: "its last block is not whole".to_owned() }
    }

    fn damaged(&self, reason: &str) -> CaptureError {
        CaptureError::Damaged { file: self.tally.file().to_owned(), reason: reason.to_owned() }
    }

    /// The next frame, as far as it does not borrow the block.
    fn next_packet(&mut self) -> Result<Option<Packet>, CaptureError> {
        if let Some(packet) = self.met.take() {
            return Ok(Some(packet));
        }
        while self.read_block()? {
            if let Some(packet) = self.read_packet()? {
                return Ok(Some(packet));
            }
        }
        Ok(None)
    }
}

impl<R: BufRead> FrameSource for PcapngSource<R> {
    fn next_frame(&mut self) -> Option<Result<Captured<'_>, CaptureError>> {
        if self.ended {
            return None;
        }
        match self.next_packet() {
            Ok(Some(Packet { interface: Interface { link, .. }, ts, wire_len, start, end })) => {
                let bytes = self.block.get(start..end).unwrap_or_default();
                Some(Ok(self.tally.hand_out(Frame { ts, link, wire_len, bytes }, self.filter.as_ref())))
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

impl Clock {
    /// From the options `if_tsresol` (a power of ten, or of two if the highest bit is set) and `if_tsoffset`; `None` if
    /// a second has more than 2^63 ticks. (`pcap-parser` 0.17 refuses every power of two.)
    fn new(resolution: u8, offset_secs: i64) -> Option<Self> {
        let exponent = u32::from(resolution & 0x7f);
        let ticks_per_sec =
            if resolution & 0x80 == 0 { 10_u64.checked_pow(exponent) } else { 1_u64.checked_shl(exponent) };
        ticks_per_sec.map(|ticks_per_sec| Self { ticks_per_sec, offset_secs })
    }

    fn ts(self, ticks: u64) -> Ts {
        let (secs, rest) = (ticks / self.ticks_per_sec, ticks % self.ticks_per_sec);
        let nanos = if self.ticks_per_sec <= NANOS_PER_SEC {
            rest * NANOS_PER_SEC / self.ticks_per_sec // below 10^18: fits
        } else {
            (u128::from(rest) * u128::from(NANOS_PER_SEC) / u128::from(self.ticks_per_sec)) as u64
        };
        let secs = i64::try_from(secs).unwrap_or(i64::MAX).saturating_add(self.offset_secs);
        Ts::from_parts(secs, nanos.cast_signed())
    }
}
