//! A few examples of what a finding rests on: enough to look at, bounded whatever goes by.

use crate::frame::FrameNo;
use crate::smtp::Reply;
use crate::tcp::ConnId;
use crate::wire::Wire;

/// Examples kept a finding.
pub(super) const SAMPLES_MAX: usize = 5;

/// Frames and sessions of the first few cases. Nearly every detector keeps them of every host, so room is taken for each
/// as it comes: a vector that grows by doubling would take twice as much.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    kept: Vec<(ConnId, FrameNo)>,
}

impl Samples {
    /// Notes a case; kept if there is room.
    pub fn add(&mut self, id: ConnId, frame: FrameNo) {
        if self.kept.len() < SAMPLES_MAX {
            self.kept.reserve_exact(1);
            self.kept.push((id, frame));
        }
    }

    /// Whether nothing was kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The frames.
    pub fn frames(&self) -> Vec<FrameNo> {
        self.kept.iter().map(|(_, frame)| *frame).collect()
    }

    /// The sessions, each once.
    pub fn sessions(&self) -> Vec<ConnId> {
        let mut ids: Vec<ConnId> = self.kept.iter().map(|(id, _)| *id).collect();
        ids.dedup();
        ids
    }
}

/// A reply as one would read it aloud: code, status, text, cut to a line.
pub fn words(reply: &Reply) -> Wire {
    const WORDS_MAX: usize = 200;
    let mut line = Vec::new();
    if let Some(code) = reply.code {
        line.extend_from_slice(format!("{code:03} ").as_bytes());
    }
    if let Some(status) = reply.status {
        line.extend_from_slice(format!("{status} ").as_bytes());
    }
    line.extend(reply.text.as_bytes().iter().map(|&b| if b == b'\n' { b' ' } else { b }));
    Wire::capped(&line, WORDS_MAX)
}
