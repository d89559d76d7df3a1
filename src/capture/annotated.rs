//! Frames with remarks: pcapng (draft-ietf-opsawg-pcapng), one section, an interface for each link type, stamps in
//! nanoseconds, and a comment on the frames that somebody should look at. Wireshark lists them (`frame.comment`).
//!
//! Always little end first, so that the same frames give the same bytes on every machine.

use std::io::{self, Write};

use crate::frame::{Frame, LinkType};

/// Kinds of blocks (section 4 of the draft).
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

/// Codes of options (section 3.5 and those of each block).
const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;
const USER_APPLICATION: u16 = 4;
const TIMESTAMP_RESOLUTION: u16 = 9;

/// Bytes of one comment. An option may have 65,535; a remark that fills the screen is not read.
const COMMENT_MAX: usize = 4096;

/// Writes frames; what it writes to should be buffered.
#[derive(Debug)]
pub struct AnnotatedWriter<W> {
    out: W,
    interfaces: Vec<LinkType>,
    block: Vec<u8>,
}

impl<W: Write> AnnotatedWriter<W> {
    /// Begins a section, with a comment on all of it.
    pub fn new(out: W, comment: &str) -> io::Result<Self> {
        let mut writer = Self { out, interfaces: Vec::new(), block: Vec::new() };
        writer.begin(SECTION_HEADER);
        writer.block.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        // Version 1.0, and no length of the section: it is the only one.
        writer.block.extend_from_slice(&[1, 0, 0, 0]);
        writer.block.extend_from_slice(&(-1_i64).to_le_bytes());
        let program = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
        writer.option(COMMENT, head_of(comment).as_bytes());
        writer.option(USER_APPLICATION, program.as_bytes());
        writer.option(END_OF_OPTIONS, &[]);
        writer.end()?;
        Ok(writer)
    }

    /// Adds a frame with the remarks on it.
    pub fn frame<'a>(&mut self, frame: &Frame<'_>, comments: impl IntoIterator<Item = &'a String>) -> io::Result<()> {
        let interface = self.interface(frame.link)?;
        // What was stamped before 1970 was stamped by a broken clock.
        let nanos = u64::try_from(frame.ts.as_nanos()).unwrap_or(0);
        self.begin(ENHANCED_PACKET);
        for word in [interface, (nanos >> 32) as u32, nanos as u32, frame.bytes.len() as u32, frame.wire_len] {
            self.block.extend_from_slice(&word.to_le_bytes());
        }
        self.block.extend_from_slice(frame.bytes);
        self.pad();
        let options_at = self.block.len();
        for comment in comments {
            self.option(COMMENT, head_of(comment).as_bytes());
        }
        if self.block.len() > options_at {
            self.option(END_OF_OPTIONS, &[]);
        }
        self.end()
    }

    /// What it wrote to.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// The interface of a link type, described when its first frame comes.
    fn interface(&mut self, link: LinkType) -> io::Result<u32> {
        if let Some(known) = self.interfaces.iter().position(|known| *known == link) {
            return Ok(known as u32);
        }
        // Raw IP has other numbers in libpcap than in files.
        let number = if matches!(link, LinkType::RAW_DLT | LinkType::RAW_DLT_BSD) { LinkType::RAW } else { link };
        self.begin(INTERFACE);
        self.block.extend_from_slice(&number.0.to_le_bytes());
        // Reserved, and no snap length: frames were cut where they were captured.
        self.block.extend_from_slice(&[0; 6]);
        self.option(TIMESTAMP_RESOLUTION, &[9]);
        self.option(END_OF_OPTIONS, &[]);
        self.end()?;
        self.interfaces.push(link);
        Ok(self.interfaces.len() as u32 - 1)
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.block.extend_from_slice(&kind.to_le_bytes());
        self.block.extend_from_slice(&[0; 4]);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        self.block.extend_from_slice(&code.to_le_bytes());
        self.block.extend_from_slice(&(value.len() as u16).to_le_bytes());
        self.block.extend_from_slice(value);
        self.pad();
    }

    /// Everything begins at a multiple of four bytes.
    fn pad(&mut self) {
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    /// Writes the block with its length at both ends.
    fn end(&mut self) -> io::Result<()> {
        let length = (self.block.len() as u32 + 4).to_le_bytes();
        if let Some(place) = self.block.get_mut(4..8) {
            place.copy_from_slice(&length);
        }
        self.block.extend_from_slice(&length);
        self.out.write_all(&self.block)
    }
}

/// As much of a comment as is kept, whole characters only.
fn head_of(comment: &str) -> &str {
    comment.get(..comment.floor_char_boundary(COMMENT_MAX)).unwrap_or(comment)
}

#[cfg(test)]
mod tests {
    use pcap_parser::pcapng::{OptionCode, parse_enhancedpacketblock_le};

    use super::*;
    use crate::capture::{Captured, OpenOptions, open_file};
    use crate::time::Ts;

    fn frame(n: u8, link: LinkType, bytes: &[u8]) -> Frame<'_> {
        Frame { ts: Ts::from_parts(1_772_617_327, 41_431_000 + i64::from(n)), link, wire_len: 1500, bytes }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let mut writer = AnnotatedWriter::new(Vec::new(), "all of it").unwrap();
        let bytes = [[1_u8; 61], [2; 61], [3; 61]];
        let links = [LinkType::ETHERNET, LinkType::RAW_DLT, LinkType::ETHERNET];
        for (n, (bytes, link)) in (0..).zip(bytes.iter().zip(links)) {
            writer.frame(&frame(n, link, bytes), &["a remark".to_owned()]).unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evidence.pcapng");
        std::fs::write(&path, writer.into_inner()).unwrap();
        let mut source = open_file(&path, &OpenOptions::default()).unwrap();
        for (n, (bytes, link)) in (0..).zip(bytes.iter().zip([LinkType::ETHERNET, LinkType::RAW, LinkType::ETHERNET])) {
            let Some(Ok(Captured::Frame(_, read))) = source.next_frame() else { panic!("a frame") };
            let expected = frame(n, link, bytes);
            assert_eq!((read.ts, read.link, read.wire_len, read.bytes), (expected.ts, link, 1500, &bytes[..]));
        }
        assert!(source.next_frame().is_none());
    }

    #[test]
    fn every_remark_is_a_comment_and_a_long_one_is_cut_between_characters() {
        let mut writer = AnnotatedWriter::new(Vec::new(), "").unwrap();
        writer.frame(&frame(0, LinkType::ETHERNET, b"12345"), &[]).unwrap();
        let before = writer.out.len();
        let long = "é".repeat(COMMENT_MAX);
        writer.frame(&frame(1, LinkType::ETHERNET, b"12345"), &["short".to_owned(), long]).unwrap();
        let (rest, block) = parse_enhancedpacketblock_le(&writer.out[before..]).unwrap();
        assert!(rest.is_empty());
        let comments: Vec<&str> = block
            .options
            .iter()
            .filter(|option| option.code == OptionCode::Comment)
            .map(|option| std::str::from_utf8(&option.value[..usize::from(option.len)]).unwrap())
            .collect();
        assert_eq!(comments, ["short", &"é".repeat(COMMENT_MAX / 2)]);
        assert_eq!(&block.data[..5], b"12345");
    }
}
