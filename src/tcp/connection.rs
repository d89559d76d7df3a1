//! The facts of one TCP connection, without its contents.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::Letters;
use crate::frame::{At, FrameNo};
use crate::net::{Endpoint, LinkFacts};
use crate::time::{Span, Ts};
use crate::weird::WeirdSet;

/// What names a connection in every output: its ends, with direction, and its first stamp.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId {
    /// The stamp of its first frame.
    pub ts: Ts,
    /// Who opened it: the SMTP client.
    pub orig: Endpoint,
    /// Who answered: the SMTP server.
    pub resp: Endpoint,
}

/// Zeek's summary of how a connection went (`conn_state` of conn.log).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConnState {
    /// Attempt seen, no reply.
    S0,
    /// Established, not terminated.
    S1,
    /// Normal establishment and termination.
    Sf,
    /// Attempt rejected.
    Rej,
    /// Established, originator's close seen, no reply to it.
    S2,
    /// Established, responder's close seen, no reply to it.
    S3,
    /// Established, originator aborted by RST.
    Rsto,
    /// Responder sent a RST.
    Rstr,
    /// Originator sent SYN then RST, no SYN-ACK seen.
    Rstos0,
    /// Responder sent SYN-ACK then RST, no SYN seen.
    Rstrh,
    /// Originator sent SYN then FIN, no SYN-ACK seen.
    Sh,
    /// Responder sent SYN-ACK then FIN, no SYN seen.
    Shr,
    /// No SYN seen: midstream traffic.
    Oth,
}

/// A TCP SYN in p0f's terms (p0f v3 README, section 5: `ver:ittl:olen:mss:wsize,scale:olayout:quirks:pclass`), packed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct SynSignature {
    /// IPv6.
    pub v6: bool,
    /// Observed TTL (`ttl+distance` is guessed when printed).
    pub ttl: u8,
    /// Bytes of IP options.
    pub olen: u8,
    /// Maximum segment size, 0 if absent.
    pub mss: u16,
    /// Window.
    pub wsize: u16,
    /// Window scale; `None` if the option is absent.
    pub scale: Option<u8>,
    /// The options' kinds in order, four bits each, from the low end; see `SynSignature::olayout`.
    pub olayout: u64,
    /// Quirks as bits; see `SynSignature::quirks`.
    pub quirks: u32,
    /// TCP timestamp value, if the option is there: the clock that tells hosts behind one address apart.
    pub tsval: Option<u32>,
    /// IPv4 identification.
    pub ip_id: u16,
}

/// A connection attempt to which no answer was seen: all that is kept of it, so that a flood stays cheap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Who tried to reach whom, and when.
    pub id: ConnId,
    /// Frame of the first SYN.
    pub first: FrameNo,
    /// The last SYN seen.
    pub last: At,
    /// SYNs seen, retransmissions included.
    pub syns: u32,
    /// MACs, VLANs, tunnels of the first SYN (orig to resp).
    pub link: LinkFacts,
    /// The first SYN's signature.
    pub syn: SynSignature,
    /// The capture ended, or a limit made it go, before the time had passed in which answers come (`TcpLimits::answer_wait`):
    /// nobody knows what would have become of it.
    pub cut_short: bool,
}

/// A connection that came about, or part of one: what `tcp/` knows when it ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    /// Ends and first stamp.
    pub id: ConnId,
    /// How it went.
    pub state: ConnState,
    /// Zeek's letters (`ShADadFf`): capitals are the originator's.
    pub history: Letters,
    /// From the first frame to the last.
    pub duration: Span,
    /// Payload bytes of the originator by sequence numbers, gaps included.
    pub orig_bytes: u64,
    /// Payload bytes of the responder by sequence numbers, gaps included.
    pub resp_bytes: u64,
    /// Bytes in gaps, both sides.
    pub missed_bytes: u64,
    /// Gaps, both sides.
    pub gaps: u32,
    /// First frame.
    pub first: FrameNo,
    /// Last frame.
    pub last: FrameNo,
    /// Frames, copies left out.
    pub frames: u64,
    /// MACs, VLANs, tunnels of the first frame of each side that was seen: the originator's, as (orig, resp) MACs.
    pub link: LinkFacts,
    /// The originator's SYN, if it was seen.
    pub syn: Option<SynSignature>,
    /// Only one side's segments were seen although both spoke (a one-way mirror).
    pub one_sided: bool,
    /// Ended by a limit or the end of the capture, not by itself.
    pub cut_short: bool,
    /// What was odd at the TCP level.
    pub weird: WeirdSet,
}
