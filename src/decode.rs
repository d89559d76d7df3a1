//! Bytes to TCP segments: link layers, tunnels, IP with capped defragmentation, TCP.

pub mod dns;
mod segment;

pub use segment::{IpFacts, Segment, SegmentHeader, TcpFlags};
