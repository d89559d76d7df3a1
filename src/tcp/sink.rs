//! Where connections go: the caller's side of the flow table.

use super::{Attempt, ConnId, Connection, StreamEvent, SynSignature};
use crate::frame::{At, FrameNo};
use crate::net::LinkFacts;

/// What is known of a connection when it comes about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)] // The ends stand first: they are compared with every segment.
pub struct ConnStart {
    /// Ends and first stamp.
    pub id: ConnId,
    /// First frame.
    pub first: FrameNo,
    /// MACs (orig, resp), VLANs, tunnels of the first frame.
    pub link: LinkFacts,
    /// The originator's SYN, if it was seen.
    pub syn: Option<SynSignature>,
    /// Neither SYN nor SYN-ACK was seen: the streams begin somewhere in the middle, and what came before is unknown.
    pub midstream: bool,
}

impl ConnStart {
    /// A connection of which no more is known than its ends and its first frame.
    pub fn bare(id: ConnId, first: FrameNo) -> Self {
        Self { id, first, link: LinkFacts::default(), syn: None, midstream: false }
    }
}

/// Takes what the flow table finds out. For each connection: `open` once, then any number of `stream`, then `close` once.
pub trait FlowSink {
    /// What the caller keeps for a connection.
    type App;

    /// A connection came about: an answer to a SYN was seen, or something that follows one.
    fn open(&mut self, start: &ConnStart) -> Self::App;

    /// The next step of a connection.
    fn stream(&mut self, app: &mut Self::App, start: &ConnStart, event: StreamEvent<'_>);

    /// The connection is over, because of the frame at `at`.
    fn close(&mut self, app: Self::App, start: &ConnStart, connection: Connection, at: At);

    /// Nobody answered an attempt, which the frame at `at` shows.
    fn unanswered(&mut self, attempt: Attempt, at: At);
}
