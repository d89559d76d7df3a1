//! One captured frame, and where in a run it stood.

use serde::Serialize;

use crate::time::Ts;

/// The number of a frame in the run, from 1, as Wireshark counts them (over all inputs in time order).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize)]
pub struct FrameNo(pub u64);

/// Where and when something was seen: every fact of the core carries one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct At {
    /// Event time.
    pub ts: Ts,
    /// The frame that showed it.
    pub frame: FrameNo,
}

/// A link-layer type (`LINKTYPE_*` as the tcpdump.org registry numbers them, after libpcap's DLT mapping).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: a four-byte address family in the writing host's byte order.
    pub const NULL: Self = Self(0);
    /// IEEE 802.3 Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// PPP, with or without the HDLC-like address and control bytes.
    pub const PPP: Self = Self(9);
    /// PPP in HDLC-like framing (RFC 1662).
    pub const PPP_HDLC: Self = Self(50);
    /// Raw IP, DLT value used by some systems in files.
    pub const RAW_DLT: Self = Self(12);
    /// Raw IP, another DLT value used by OpenBSD.
    pub const RAW_DLT_BSD: Self = Self(14);
    /// Raw IPv4 or IPv6.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: a four-byte address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture v1.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: Self = Self(276);
}

/// A frame as a source hands it out: borrowed until the next one is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The stamp of the capture header.
    pub ts: Ts,
    /// What the bytes begin with.
    pub link: LinkType,
    /// The length on the wire; larger than `bytes` where the snap length cut the frame.
    pub wire_len: u32,
    /// What was captured.
    pub bytes: &'a [u8],
}
