//! Filters in libpcap's language, compiled once for each link type.

use pcap::{BpfProgram, Capture, Linktype};

use crate::frame::LinkType;

use super::CaptureError;

/// A filter and its programs.
pub(super) struct Filter {
    text: String,
    programs: Vec<(LinkType, BpfProgram)>,
}

impl Filter {
    pub(super) const fn new(text: String) -> Self {
        Self { text, programs: Vec::new() }
    }

    /// Compiles the filter for a link type, unless that was done; `file` is for the error.
    pub(super) fn prepare(&mut self, link: LinkType, file: &str) -> Result<(), CaptureError> {
        if self.programs.iter().any(|(known, _)| *known == link) {
            return Ok(());
        }
        let program = Capture::dead(dlt_of(link)).and_then(|dead| dead.compile(&self.text, true)).map_err(|error| {
            CaptureError::Filter { file: file.to_owned(), filter: self.text.clone(), link, reason: reason(&error) }
        })?;
        self.programs.push((link, program));
        Ok(())
    }

    /// Whether a frame of a link type that was [prepared](Self::prepare) passes.
    pub(super) fn passes(&self, link: LinkType, bytes: &[u8]) -> bool {
        self.programs.iter().find(|(known, _)| *known == link).is_some_and(|(_, program)| program.filter(bytes))
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
