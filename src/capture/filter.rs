//! Filters in libpcap's language, compiled once for each link type.
//!
//! A file may describe interfaces on which a filter makes no sense, such as one of USB beside one of Ethernet. That is no
//! mistake in the filter as long as it makes sense on another one: frames of the odd one are rejected.

use pcap::{BpfProgram, Capture, Linktype};

use crate::frame::LinkType;

use super::CaptureError;

/// A filter and its programs.
pub(super) struct Filter {
    text: String,
    /// For each link type that was asked for, the program or what libpcap said.
    programs: Vec<(LinkType, Result<BpfProgram, String>)>,
}

impl Filter {
    pub(super) const fn new(text: String) -> Self {
        Self { text, programs: Vec::new() }
    }

    /// Compiles the filter for a link type, unless that was done; `file` is for the error.
    pub(super) fn prepare(&mut self, link: LinkType, file: &str) -> Result<(), CaptureError> {
        if link == LinkType::NULL {
            self.compile(LinkType::LOOP);
        }
        self.compile(link);
        match self.program(link) {
            Some(Err(reason)) => Err(CaptureError::Filter {
                file: file.to_owned(),
                filter: self.text.clone(),
                link,
                reason: reason.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether it makes sense on any link type that was [prepared](Self::prepare).
    pub(super) fn makes_sense(&self) -> bool {
        self.programs.iter().any(|(_, program)| program.is_ok())
    }

    /// Whether a frame of a link type that was [prepared](Self::prepare) passes; none does where that failed.
    pub(super) fn passes(&self, link: LinkType, bytes: &[u8]) -> bool {
        // NULL begins with the address family in the order of bytes of the machine that captured, and libpcap compiles for
        // this machine's. Families are small: a zero comes first where the highest byte does, which is what LOOP has always.
        let link = if link == LinkType::NULL && bytes.first() == Some(&0) { LinkType::LOOP } else { link };
        matches!(self.program(link), Some(Ok(program)) if program.filter(bytes))
    }

    fn program(&self, link: LinkType) -> Option<&Result<BpfProgram, String>> {
        self.programs.iter().find(|(known, _)| *known == link).map(|(_, program)| program)
    }

    fn compile(&mut self, link: LinkType) {
        if self.program(link).is_none() {
            let program = Capture::dead(dlt_of(link)).and_then(|dead| dead.compile(&self.text, true));
            self.programs.push((link, program.map_err(|error| reason(&error))));
        }
    }
}

/// What libpcap said, without the words that the crate puts before it.
pub(super) fn reason(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The number by which libpcap's compiler knows a link type: equal to that in files, except for raw IP, which is 12 on
/// all systems but OpenBSD.
fn dlt_of(link: LinkType) -> Linktype {
    match link {
        LinkType::RAW | LinkType::RAW_DLT_BSD => Linktype(i32::from(LinkType::RAW_DLT.0)),
        LinkType(number) => Linktype(i32::from(number)),
    }
}
