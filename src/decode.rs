//! Bytes to TCP segments: link layers, tunnels, IP with capped defragmentation, TCP.

mod segment;

pub use segment::{IpFacts, Segment, SegmentHeader, TcpFlags};
