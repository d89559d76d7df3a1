//! What the decoder hands on: one TCP segment of a connection to or from an SMTP port.

use crate::frame::At;
use crate::net::{End, FlowKey, LinkFacts, SeqNum};

/// TCP control bits (RFC 9293 section 3.1), as on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement field counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
    /// ECN echo (RFC 3168).
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced (RFC 3168).
    pub const CWR: u8 = 0x80;

    /// Whether all of `bits` are set.
    #[inline]
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }

    /// Whether any of `bits` is set.
    #[inline]
    pub const fn any(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

impl std::fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (bit, letter) in "FSRPAUEC".chars().enumerate() {
            if self.0 & (1 << bit) != 0 {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// The headers of a segment: small, and without a borrow, so that a batch can carry many to another thread.
#[derive(Clone, Copy, Default, Debug)]
pub struct SegmentHeader {
    /// When and where it was seen.
    pub at: At,
    /// The connection.
    pub key: FlowKey,
    /// The end it came from.
    pub from: End,
    /// Sequence number of the first byte, or of the SYN.
    pub seq: SeqNum,
    /// Acknowledgement number; means something only with the ACK flag.
    pub ack: SeqNum,
    /// Control bits.
    pub flags: TcpFlags,
    /// The window field, not scaled.
    pub window: u16,
    /// Bytes of payload on the wire, whatever was captured of them.
    pub payload_len: u32,
    /// What IP said, for the SYN signature and for telling copies from retransmissions.
    pub ip: IpFacts,
    /// What lay under IP.
    pub link: LinkFacts,
}

/// The fields of an IP header that p0f's signature and the split of hosts behind NAT need.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct IpFacts {
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4 identification; 0 in IPv6.
    pub id: u16,
    /// Don't fragment (always true in IPv6).
    pub df: bool,
    /// The bit that must be zero was not (p0f's `0+`).
    pub reserved_bit: bool,
    /// ECN field not zero (p0f's `ecn`, with TCP's ECE and CWR).
    pub ecn: bool,
    /// IPv6 flow label not zero (p0f's `flow`).
    pub flow_label: bool,
    /// Bytes of IPv4 options or IPv6 extension headers (p0f's `olen`).
    pub olen: u8,
    /// IPv6.
    pub v6: bool,
}

/// A segment: its headers, the TCP options and what was captured of the payload.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The headers.
    pub head: &'a SegmentHeader,
    /// TCP options as on the wire, at most 40 bytes.
    pub options: &'a [u8],
    /// The payload as captured; shorter than `head.payload_len` where the snap length or the file cut the frame.
    pub payload: &'a [u8],
}
