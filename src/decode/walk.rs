//! The walk from a frame's first byte to its TCP header, layer by layer.
//!
//! [`Walk`] is where the layers meet: `link`, `ip` and `tunnel` add the methods that read theirs. A method is given the
//! position of its layer and says where the walk stopped; it calls the next one as its last act, so that the call chain
//! is the protocol stack. Positions only grow, and every byte is read through `get`: no bytes can make it panic.
//!
//! Two ends are told apart, because mirrors and snap lengths cut frames: `bytes` holds what was captured, `wire_end`
//! says where the layer would have ended on the wire.

use crate::limits::DecodeLimits;
use crate::net::{Encap, Endpoint, HostKey, LinkFacts, Mac};
use crate::time::Ts;

use super::defrag::{Datagram, DefragPool};
use super::outcome::{FragmentStats, Ignored, Undecoded};
use super::ports::PortSet;
use super::segment::IpFacts;

/// Where a walk stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// At the TCP header of a segment of ours: [`Walk::found`] says where.
    Segment,
    /// At something that may tell what is wanted beside mail: [`Walk::found`] says where.
    Aside(Aside),
    /// At a fragment that completed a datagram: [`Walk::joined`] holds it.
    Joined,
    /// At something that is none of ours.
    Ignored(Ignored),
    /// At something that cannot be read.
    Undecoded(Undecoded),
}

/// What is wanted beside mail, by its ports; what it says is not known yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aside {
    /// A question to a DNS server (RFC 1035 section 4.2.1).
    Question,
    /// The same over TCP (section 4.2.2).
    QuestionOverTcp,
    /// A name of a machine (`identity`).
    Names,
}

impl Aside {
    /// What a frame is that says nothing of the kind.
    pub(super) const fn otherwise(self) -> Ignored {
        match self {
            Self::Question | Self::Names => Ignored::NotTcp,
            Self::QuestionOverTcp => Ignored::OtherPort,
        }
    }
}

impl From<Ignored> for Stop {
    fn from(why: Ignored) -> Self {
        Self::Ignored(why)
    }
}

impl From<Undecoded> for Stop {
    fn from(why: Undecoded) -> Self {
        Self::Undecoded(why)
    }
}

/// Who sent a datagram to whom, and what else its IP header said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct IpHead {
    pub(super) src: HostKey,
    pub(super) dst: HostKey,
    pub(super) facts: IpFacts,
}

/// A header of ours: of TCP, or of the UDP that carries a question or names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) src: Endpoint,
    pub(super) dst: Endpoint,
    pub(super) ip: IpFacts,
    /// Where the header begins; the first 20 bytes of one of TCP are captured.
    pub(super) tcp_at: usize,
    /// The length that the header gives itself; its end lies within `wire_end`.
    pub(super) header_len: usize,
    /// Where the captured bytes of the datagram end.
    pub(super) end: usize,
    /// Where the datagram ended on the wire: at or after `end`.
    pub(super) wire_end: usize,
}

/// What the walks of all frames share.
pub(super) struct Shared<'d> {
    pub(super) ports: &'d PortSet,
    pub(super) limits: &'d DecodeLimits,
    pub(super) pool: &'d mut DefragPool,
    pub(super) fragments: &'d mut FragmentStats,
}

/// What the walk to a fragment hands to the walk through the datagram that the fragment completed.
pub(super) struct Past {
    pub(super) joined: Option<Datagram>,
    link: LinkFacts,
    depth: u8,
    tags: u8,
}

/// One walk.
pub(super) struct Walk<'w, 'd> {
    pub(super) shared: Shared<'d>,
    pub(super) ts: Ts,
    /// What was captured, up to the end of the innermost IP datagram.
    pub(super) bytes: &'w [u8],
    /// Where that datagram ends on the wire, as a position in `bytes`, or beyond them.
    pub(super) wire_end: usize,
    /// The innermost Ethernet header.
    pub(super) ether_at: Option<usize>,
    /// All but the addresses, which are read only for segments of ours.
    pub(super) link: LinkFacts,
    pub(super) depth: u8,
    pub(super) tags: u8,
    pub(super) found: Option<Found>,
    pub(super) joined: Option<Datagram>,
}

impl<'w, 'd> Walk<'w, 'd> {
    #[inline]
    pub(super) fn new(shared: Shared<'d>, ts: Ts, bytes: &'w [u8], wire_len: usize) -> Self {
        Self {
            shared,
            ts,
            bytes,
            // A file may claim a frame shorter than its bytes: the bytes are there.
            wire_end: wire_len.max(bytes.len()),
            ether_at: None,
            link: LinkFacts::default(),
            depth: 0,
            tags: 0,
            found: None,
            joined: None,
        }
    }

    /// A walk that goes on inside a datagram put together.
    pub(super) fn resume(shared: Shared<'d>, ts: Ts, bytes: &'w [u8], wire_len: usize, past: &Past) -> Self {
        Self { link: past.link, depth: past.depth, tags: past.tags, ..Self::new(shared, ts, bytes, wire_len) }
    }

    /// The end of a walk at a datagram put together.
    pub(super) fn into_past(self) -> Past {
        Past { link: self.link_facts(), depth: self.depth, tags: self.tags, joined: self.joined }
    }

    /// The `N` bytes at `at`, if they were captured.
    #[inline]
    pub(super) fn chunk<const N: usize>(&self, at: usize) -> Option<&'w [u8; N]> {
        self.bytes.get(at..)?.first_chunk()
    }

    /// The byte at `at`.
    #[inline]
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// The 16 bits in network byte order at `at`.
    #[inline]
    pub(super) fn be16(&self, at: usize) -> Option<u16> {
        self.chunk(at).map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// The layer ends at `end`, whatever follows it (Ethernet pads short frames); where less was captured, `bytes` ends
    /// before it.
    #[inline]
    pub(super) fn bound(&mut self, end: usize) {
        self.wire_end = end;
        self.bytes = self.bytes.get(..end).unwrap_or(self.bytes);
    }

    /// Goes one tunnel deeper; false where that is one too many.
    pub(super) fn enter(&mut self, encap: Encap) -> bool {
        if self.depth >= self.shared.limits.tunnel_depth_max {
            return false;
        }
        self.depth += 1;
        if let Some(free) = self.link.encaps.iter_mut().find(|kept| kept.is_none()) {
            *free = Some(encap);
        }
        true
    }

    /// Notes a VLAN tag or an MPLS label; false where that is one too many.
    pub(super) fn tag(&mut self) -> bool {
        self.tags = self.tags.saturating_add(1);
        self.tags <= self.shared.limits.tags_max
    }

    /// What lay under IP, with the addresses of the innermost Ethernet header seen so far.
    pub(super) fn link_facts(&self) -> LinkFacts {
        let mut link = self.link;
        if let Some(addresses) = self.ether_at.and_then(|at| self.chunk::<12>(at))
            && let ([dst, src], []) = addresses.as_chunks()
        {
            link.macs = Some((Mac(*src), Mac(*dst)));
        }
        link
    }
}
