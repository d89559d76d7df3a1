//! How a frame can end that gave nothing of ours: each way has a name, and each is counted.

macro_rules! reasons {
    ($(#[$enum_doc:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$enum_doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $enum { $($(#[$doc])* $variant,)* }

        impl $enum {
            /// Every reason, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in outputs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    /// Why a frame that could be read is none of ours.
    Ignored {
        /// No IP inside: ARP, spanning tree, 802.3 frames, another protocol in a tunnel.
        NotIp = "not_ip",
        /// IP, but neither TCP nor a tunnel that is followed.
        NotTcp = "not_tcp",
        /// TCP between two ports of which none is an SMTP port.
        OtherPort = "other_port",
        /// A fragment that waits for the rest of its datagram; the frame that completes it is the one that counts.
        FragmentHeld = "fragment_held",
        /// A fragment that can hold nothing of ours: another protocol, or the first one showed another port.
        FragmentOther = "fragment_other",
        /// A copy of a segment that was seen already: mirror ports, routers and tunnels show one segment several times.
        Duplicate = "duplicate",
        /// A message of a tunnel itself, such as a keep-alive: no frame inside.
        TunnelControl = "tunnel_control",
    }
}

reasons! {
    /// Why a frame could not be read.
    Undecoded {
        /// A link type that is not known here.
        UnknownLinkType = "unknown_link_type",
        /// Cut inside a link layer: Ethernet, VLAN tags, PPPoE, MPLS, cooked headers.
        TruncatedLink = "truncated_link",
        /// Cut inside an IP header or its extensions.
        TruncatedIp = "truncated_ip",
        /// An IP header that contradicts itself: version, header length or total length.
        BadIpHeader = "bad_ip_header",
        /// More IPv6 extension headers than are followed.
        TooManyExtensions = "too_many_extensions",
        /// Cut inside the first 20 bytes of a TCP header.
        TruncatedTcp = "truncated_tcp",
        /// A TCP header that contradicts itself: shorter than 20 bytes, or longer than its datagram.
        BadTcpHeader = "bad_tcp_header",
        /// Cut inside the header of a tunnel, or of the UDP that would carry one.
        TruncatedTunnel = "truncated_tunnel",
        /// A tunnel header that contradicts itself.
        BadTunnelHeader = "bad_tunnel_header",
        /// More tunnels inside tunnels than are followed.
        TunnelTooDeep = "tunnel_too_deep",
        /// More VLAN tags or MPLS labels than are followed.
        TooManyTags = "too_many_tags",
        /// A fragment that does not fit: past the largest datagram, past the end another fragment gave, or one of
        /// more pieces than are put together.
        FragmentLimit = "fragment_limit",
    }
}

/// What became of fragments that were held; the frames themselves are counted by [`Ignored`] and [`Undecoded`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FragmentStats {
    /// Datagrams put together.
    pub completed: u64,
    /// Datagrams given up because a limit was reached; the oldest goes first.
    pub evicted: u64,
    /// Datagrams given up because their time was over.
    pub timed_out: u64,
    /// Datagrams still incomplete when the last frame was read.
    pub unfinished: u64,
    /// Fragments that overlap bytes seen before.
    pub overlaps: u64,
    /// Those of them that disagree with the bytes seen before: the first ones were kept.
    pub overlaps_disagree: u64,
}

/// What became of every frame: `total = segments + questions + names + ignored + undecoded`, always.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DecodeStats {
    segments: u64,
    cut_segments: u64,
    questions: u64,
    names: u64,
    names_left: u64,
    ignored: [u64; Ignored::ALL.len()],
    undecoded: [u64; Undecoded::ALL.len()],
    fragments: FragmentStats,
}

impl DecodeStats {
    pub(super) fn count_segment(&mut self, cut: bool) {
        self.segments += 1;
        self.cut_segments += u64::from(cut);
    }

    pub(super) fn count_question(&mut self) {
        self.questions += 1;
    }

    pub(super) fn count_names(&mut self, left: u32) {
        self.names += 1;
        self.names_left += u64::from(left);
    }

    pub(super) fn count_ignored(&mut self, why: Ignored) {
        self.ignored[why as usize] += 1;
    }

    pub(super) fn count_undecoded(&mut self, why: Undecoded) {
        self.undecoded[why as usize] += 1;
    }

    pub(super) fn fragments_mut(&mut self) -> &mut FragmentStats {
        &mut self.fragments
    }

    /// Frames seen.
    pub fn total(&self) -> u64 {
        self.segments + self.questions + self.names + self.ignored_total() + self.undecoded_total()
    }

    /// Frames that gave a segment.
    pub const fn segments(&self) -> u64 {
        self.segments
    }

    /// Segments of which less was captured than their length says.
    pub const fn cut_segments(&self) -> u64 {
        self.cut_segments
    }

    /// Frames with a question about mail to a DNS server.
    pub const fn questions(&self) -> u64 {
        self.questions
    }

    /// Frames in which machines tell names.
    pub const fn names(&self) -> u64 {
        self.names
    }

    /// Names in them that were left because one frame told too many.
    pub const fn names_left(&self) -> u64 {
        self.names_left
    }

    /// Frames ignored for one reason.
    pub const fn ignored(&self, why: Ignored) -> u64 {
        self.ignored[why as usize]
    }

    /// Frames ignored for any reason.
    pub fn ignored_total(&self) -> u64 {
        self.ignored.iter().sum()
    }

    /// Frames that could not be read for one reason.
    pub const fn undecoded(&self, why: Undecoded) -> u64 {
        self.undecoded[why as usize]
    }

    /// Frames that could not be read for any reason.
    pub fn undecoded_total(&self) -> u64 {
        self.undecoded.iter().sum()
    }

    /// What became of fragments.
    pub const fn fragments(&self) -> FragmentStats {
        self.fragments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_name_and_its_own_counter() {
        let mut names: Vec<_> = Ignored::ALL.iter().map(|why| why.name()).collect();
        names.extend(Undecoded::ALL.iter().map(|why| why.name()));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);

        let mut stats = DecodeStats::default();
        for &why in Ignored::ALL {
            stats.count_ignored(why);
        }
        for &why in Undecoded::ALL {
            stats.count_undecoded(why);
        }
        stats.count_segment(true);
        stats.count_question();
        stats.count_names(3);
        assert!(Ignored::ALL.iter().all(|&why| stats.ignored(why) == 1));
        assert!(Undecoded::ALL.iter().all(|&why| stats.undecoded(why) == 1));
        assert_eq!((stats.total(), stats.names_left()), (count as u64 + 3, 3));
    }
}
