//! Every bound of the program in one place, each with its reason: what an attacker sends must never decide how much
//! memory is used. What a limit cuts off is counted, and the counts stand in the report.

use crate::time::Span;

/// All limits, by the room they bound.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Decoding of frames.
    pub decode: DecodeLimits,
    /// Flows and reassembly.
    pub tcp: TcpLimits,
    /// Dialogues.
    pub smtp: SmtpLimits,
    /// Judgement.
    pub detect: DetectLimits,
}

/// Limits of `decode/`.
#[derive(Clone, Debug)]
pub struct DecodeLimits {
    /// Tunnels inside tunnels that are followed. Four covers ERSPAN over GRE over VXLAN over a VLAN trunk; more is an
    /// attack on the decoder.
    pub tunnel_depth_max: u8,
    /// Datagrams being put together at once. Port 25 is hardly ever fragmented, so 1,024 is generous.
    pub defrag_datagrams_max: usize,
    /// Bytes held by all of them. 4 MiB is 64 datagrams of the largest size.
    pub defrag_bytes_max: usize,
    /// How long a datagram may take. RFC 8200 section 4.5 says 60 s, Linux takes 30 s; attackers hold what they can.
    pub defrag_timeout: Span,
    /// Fragments of one datagram. The largest datagram takes 119 at an MTU of 576 (552 bytes of payload each).
    pub defrag_pieces_max: usize,
    /// VLAN tags, and labels of an MPLS stack, of one frame. QinQ has two, provider stacks hardly more than four.
    pub tags_max: u8,
    /// IPv6 extension headers of one datagram. RFC 8200 section 4.1 names six and each of them once; eight leaves room.
    pub ip6_extensions_max: u8,
    /// Segments remembered to recognise copies; rounded up to a power of two, 64 bytes each. A copy comes within
    /// milliseconds: 8,192 reach back 80 ms at 100,000 SMTP segments a second, for 512 KiB.
    pub duplicate_entries: usize,
    /// How long after a segment another with the same identity may still be its copy. Routers queue for some 100 ms;
    /// retransmission timers of new connections start at 1 s (RFC 6298 section 2).
    pub duplicate_window: Span,
    /// The same where nothing else tells a copy from a retransmission (IP identification zero and the same path): below
    /// any retransmission timer (Linux waits 200 ms at least), above the delay between two mirror ports of a switch.
    pub duplicate_window_same_path: Span,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            tunnel_depth_max: 4,
            defrag_datagrams_max: 1024,
            defrag_bytes_max: 4 << 20,
            defrag_timeout: Span::secs(30),
            defrag_pieces_max: 128,
            tags_max: 8,
            ip6_extensions_max: 8,
            duplicate_entries: 8192,
            duplicate_window: Span::secs(1),
            duplicate_window_same_path: Span::millis(2),
        }
    }
}

/// Limits of `tcp/`; counts are for the whole run and are split evenly over the shards.
#[derive(Clone, Debug)]
pub struct TcpLimits {
    /// Logical shards. Fixed, whatever the number of workers, so that reports do not depend on it.
    pub shards: usize,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self { shards: 16 }
    }
}

/// Limits of `smtp/`; all are for one connection.
#[derive(Clone, Debug, Default)]
pub struct SmtpLimits {}

/// Limits of `detect/`.
#[derive(Clone, Debug, Default)]
pub struct DetectLimits {}
