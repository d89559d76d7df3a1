//! A SYN in p0f's terms: what the options' order and the headers' habits say of the sender's system.
//!
//! Read first: p0f v3's README, section 5; RFC 9293 section 3.2 and RFC 7323 for the options. A SYN is read leniently, as
//! p0f does: options that do not parse end the reading and set the quirk `bad`.
//!
//! What all of it says of the system is in `system`. Not done here: p0f's `uptr+`, because the urgent pointer is not kept of
//! a segment.

mod told;

use std::fmt;

pub use told::ToldSyn;

use super::SynSignature;
use crate::decode::{Segment, SegmentHeader, TcpFlags};

/// A hop count beyond which p0f does not believe its guess of the first TTL (`MAX_DIST`).
const DISTANCE_MAX: u8 = 35;
/// Bytes of the smallest IPv4 and TCP headers together; with 20 more it is those of IPv6.
const HEADERS_V4: u32 = 40;
/// The MTU of Ethernet.
const ETHERNET_MTU: u32 = 1500;
/// What some systems take off the MSS when they use timestamps: the option with its padding (RFC 7323 appendix A).
const TIMESTAMP_OPTION: u32 = 12;

/// Codes of `SynSignature::olayout`, four bits each; 0 ends the list.
pub(super) mod layout {
    /// End of options; two more fours of bits hold the number of bytes after it.
    pub(in crate::tcp) const EOL: u64 = 1;
    pub(in crate::tcp) const NOP: u64 = 2;
    pub(in crate::tcp) const MSS: u64 = 3;
    pub(in crate::tcp) const WS: u64 = 4;
    pub(in crate::tcp) const SOK: u64 = 5;
    pub(in crate::tcp) const SACK: u64 = 6;
    pub(in crate::tcp) const TS: u64 = 7;
    /// Any other kind; two more fours of bits hold its number.
    pub(in crate::tcp) const OTHER: u64 = 8;
}

/// The quirks, as bits in p0f's order, with p0f's tokens.
const QUIRKS: [(u32, &str); 17] = [
    (SynSignature::DF, "df"),
    (SynSignature::ID_NONZERO, "id+"),
    (SynSignature::ID_ZERO, "id-"),
    (SynSignature::ECN, "ecn"),
    (SynSignature::MUST_BE_ZERO, "0+"),
    (SynSignature::FLOW, "flow"),
    (SynSignature::SEQ_ZERO, "seq-"),
    (SynSignature::ACK_NONZERO, "ack+"),
    (SynSignature::ACK_ZERO, "ack-"),
    (SynSignature::URG_POINTER, "uptr+"),
    (SynSignature::URG_FLAG, "urgf+"),
    (SynSignature::PUSH_FLAG, "pushf+"),
    (SynSignature::TS1_ZERO, "ts1-"),
    (SynSignature::TS2_NONZERO, "ts2+"),
    (SynSignature::OPT_NONZERO, "opt+"),
    (SynSignature::EXCESSIVE_SCALE, "exws"),
    (SynSignature::BAD, "bad"),
];

impl SynSignature {
    /// `df`: don't fragment; in IPv4 only, like all quirks of its identification.
    pub const DF: u32 = 1;
    /// `id+`: don't fragment, yet an identification.
    pub const ID_NONZERO: u32 = 1 << 1;
    /// `id-`: may be fragmented, yet no identification.
    pub const ID_ZERO: u32 = 1 << 2;
    /// `ecn`: explicit congestion notification.
    pub const ECN: u32 = 1 << 3;
    /// `0+`: the bit that must be zero is not.
    pub const MUST_BE_ZERO: u32 = 1 << 4;
    /// `flow`: an IPv6 flow label.
    pub const FLOW: u32 = 1 << 5;
    /// `seq-`: the sequence number is zero.
    pub const SEQ_ZERO: u32 = 1 << 6;
    /// `ack+`: an acknowledgement number without the flag.
    pub const ACK_NONZERO: u32 = 1 << 7;
    /// `ack-`: the flag without an acknowledgement number.
    pub const ACK_ZERO: u32 = 1 << 8;
    /// `uptr+`: an urgent pointer without the flag; never set, see the head of the module.
    pub const URG_POINTER: u32 = 1 << 9;
    /// `urgf+`: the URG flag.
    pub const URG_FLAG: u32 = 1 << 10;
    /// `pushf+`: the PSH flag.
    pub const PUSH_FLAG: u32 = 1 << 11;
    /// `ts1-`: the own timestamp is zero.
    pub const TS1_ZERO: u32 = 1 << 12;
    /// `ts2+`: a timestamp of a peer that has not spoken yet.
    pub const TS2_NONZERO: u32 = 1 << 13;
    /// `opt+`: something after the end of options.
    pub const OPT_NONZERO: u32 = 1 << 14;
    /// `exws`: a window scale over 14 (RFC 7323 section 2.3).
    pub const EXCESSIVE_SCALE: u32 = 1 << 15;
    /// `bad`: options that do not parse.
    pub const BAD: u32 = 1 << 16;
    /// Not a quirk: the segment carried payload (p0f's `pclass` `+`).
    pub const PAYLOAD: u32 = 1 << 24;
    /// Not a quirk: where the number of four-byte words of options begins, of which there are at most ten.
    const OPTION_WORDS: u32 = 28;

    /// Reads the signature off a SYN.
    pub fn from_segment(segment: &Segment<'_>) -> Self {
        let mut signature = Self { quirks: fixed_quirks(segment), ..Self::default() }.with_header(segment.head);
        if signature.read_options(segment.options).is_none() {
            signature.quirks |= Self::BAD;
        }
        signature
    }

    fn with_header(self, head: &SegmentHeader) -> Self {
        let ip = &head.ip;
        Self { v6: ip.v6, ttl: ip.ttl, olen: ip.olen, wsize: head.window, ip_id: ip.id, ..self }
    }

    /// As [`Self::from_segment`], knowing the last one: under a flood all SYNs have the same options, and reading them costs
    /// more than all else that is done with one.
    pub(super) fn after(last: &mut LastOptions, segment: &Segment<'_>) -> Self {
        if segment.options != last.options() {
            let read = Self::from_segment(segment);
            last.keep(segment.options, &read);
            return read;
        }
        Self { quirks: last.read.quirks | fixed_quirks(segment), ..last.read }.with_header(segment.head)
    }

    /// The window scale that options hold.
    pub(super) fn scale_in(options: &[u8]) -> Option<u8> {
        let mut signature = Self::default();
        // What comes before an option that does not parse counts all the same.
        let _ = signature.read_options(options);
        signature.scale
    }

    /// Reads the options; `None` where one runs over the end.
    fn read_options(&mut self, mut rest: &[u8]) -> Option<()> {
        let mut layout = LayoutWriter::default();
        let whole = loop {
            let Some((&kind, body)) = rest.split_first() else { break Some(()) };
            if kind == 0 {
                layout.push_with(layout::EOL, body.len() as u8);
                if body.iter().any(|&byte| byte != 0) {
                    self.quirks |= Self::OPT_NONZERO;
                }
                break Some(());
            }
            rest = body;
            if kind == 1 {
                layout.push(layout::NOP);
                continue;
            }
            match kind {
                2 => layout.push(layout::MSS),
                3 => layout.push(layout::WS),
                4 => layout.push(layout::SOK),
                5 => layout.push(layout::SACK),
                8 => layout.push(layout::TS),
                _ => layout.push_with(layout::OTHER, kind),
            }
            let Some(after) = self.read_option(kind, body) else { break None };
            rest = after;
        };
        self.olayout = layout.codes;
        whole
    }

    /// Reads one option from its length on; gives what follows it. Kinds of fixed length take that, whatever the
    /// option says, as p0f does.
    fn read_option<'a>(&mut self, kind: u8, body: &'a [u8]) -> Option<&'a [u8]> {
        let (&said, _) = body.split_first()?;
        let length = match kind {
            2 => 4,
            3 => 3,
            4 => 2,
            8 => 10,
            5 if !(10..=34).contains(&said) => return None,
            _ if !(2..=40).contains(&said) => return None,
            _ => said,
        };
        let (option, after) = body.split_at_checked(usize::from(length) - 1)?;
        if said != length {
            self.quirks |= Self::BAD;
        }
        match (kind, option) {
            (2, &[_, high, low]) => self.mss = u16::from_be_bytes([high, low]),
            (3, &[_, scale]) => {
                self.scale = Some(scale);
                if scale > 14 {
                    self.quirks |= Self::EXCESSIVE_SCALE;
                }
            }
            (8, &[_, a, b, c, d, ref echo @ ..]) => {
                let own = u32::from_be_bytes([a, b, c, d]);
                self.tsval = Some(own);
                if own == 0 {
                    self.quirks |= Self::TS1_ZERO;
                }
                if echo.iter().any(|&byte| byte != 0) {
                    self.quirks |= Self::TS2_NONZERO;
                }
            }
            _ => {}
        }
        Some(after)
    }

    /// The TTL that the sender presumably used: the next of 32, 64, 128 and 255, as p0f guesses.
    pub fn ittl(&self) -> u8 {
        [32, 64, 128].into_iter().find(|&first| self.ttl <= first).unwrap_or(255)
    }

    /// Whether a quirk is set.
    pub fn has(&self, quirk: u32) -> bool {
        self.quirks & quirk != 0
    }

    /// Of what the window is a multiple, tried in p0f's order, and the factor.
    fn window_multiple(&self) -> Option<(&'static str, u32)> {
        let (window, mss) = (u32::from(self.wsize), u32::from(self.mss));
        if window == 0 || mss < 100 {
            return None;
        }
        let stamped = self.tsval.is_some_and(|own| own != 0);
        let headers_v6 = HEADERS_V4 + 20;
        let headers = if self.v6 { headers_v6 } else { HEADERS_V4 }
            + if self.v6 { 0 } else { u32::from(self.olen) }
            + (self.quirks >> Self::OPTION_WORDS) * 4;
        let divisors = [
            (true, "mss", mss),
            (stamped, "mss", mss - TIMESTAMP_OPTION),
            (true, "mss", ETHERNET_MTU - HEADERS_V4),
            (true, "mss", ETHERNET_MTU - HEADERS_V4 - TIMESTAMP_OPTION),
            (self.v6, "mss", ETHERNET_MTU - headers_v6),
            (self.v6, "mss", ETHERNET_MTU - headers_v6 - TIMESTAMP_OPTION),
            (true, "mtu", mss + HEADERS_V4),
            (true, "mtu", mss + headers),
            (self.v6, "mtu", mss + headers_v6),
            (true, "mtu", ETHERNET_MTU),
        ];
        let fits = |&(applies, _, divisor): &(bool, &str, u32)| applies && window.is_multiple_of(divisor);
        divisors.into_iter().find(fits).map(|(_, unit, divisor)| (unit, window / divisor))
    }
}

/// The options read last, and what they came to.
pub(super) struct LastOptions {
    bytes: [u8; 40],
    len: usize,
    /// Only what options say.
    read: SynSignature,
}

impl LastOptions {
    pub(super) fn new() -> Self {
        Self { bytes: [0; 40], len: 0, read: SynSignature::default() }
    }

    fn options(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn keep(&mut self, options: &[u8], read: &SynSignature) {
        // More than 40 bytes do not fit into a header (RFC 9293 section 3.1).
        if let Some(room) = self.bytes.get_mut(..options.len()) {
            room.copy_from_slice(options);
            self.len = options.len();
            self.read = SynSignature { quirks: read.quirks & OPTION_QUIRKS, ..*read };
        }
    }
}

/// The quirks that options have.
const OPTION_QUIRKS: u32 = SynSignature::TS1_ZERO
    | SynSignature::TS2_NONZERO
    | SynSignature::OPT_NONZERO
    | SynSignature::EXCESSIVE_SCALE
    | SynSignature::BAD;

/// What `quirks` holds of all but the contents of options.
fn fixed_quirks(segment: &Segment<'_>) -> u32 {
    let payload = u32::from(segment.head.payload_len > 0) * SynSignature::PAYLOAD;
    let words = (segment.options.len().min(40) as u32 / 4) << SynSignature::OPTION_WORDS;
    header_quirks(segment.head) | payload | words
}

fn header_quirks(head: &SegmentHeader) -> u32 {
    let (ip, flags) = (&head.ip, head.flags);
    let ack = flags.has(TcpFlags::ACK);
    // Without a branch: under a flood this runs for every frame.
    let quirk = |set: bool, quirk: u32| u32::from(set) * quirk;
    quirk(!ip.v6 && ip.df, SynSignature::DF)
        | quirk(!ip.v6 && ip.df && ip.id != 0, SynSignature::ID_NONZERO)
        | quirk(!ip.v6 && !ip.df && ip.id == 0, SynSignature::ID_ZERO)
        | quirk(ip.ecn || flags.any(TcpFlags::ECE | TcpFlags::CWR), SynSignature::ECN)
        | quirk(ip.reserved_bit, SynSignature::MUST_BE_ZERO)
        | quirk(ip.flow_label, SynSignature::FLOW)
        | quirk(head.seq.0 == 0, SynSignature::SEQ_ZERO)
        | quirk(!ack && head.ack.0 != 0, SynSignature::ACK_NONZERO)
        | quirk(ack && head.ack.0 == 0, SynSignature::ACK_ZERO)
        | quirk(flags.has(TcpFlags::URG), SynSignature::URG_FLAG)
        | quirk(flags.has(TcpFlags::PSH), SynSignature::PUSH_FLAG)
}

/// Packs option kinds; what does not fit is left off (sixteen NOPs are no system's habit).
#[derive(Default)]
struct LayoutWriter {
    codes: u64,
    bits: u32,
}

impl LayoutWriter {
    fn push(&mut self, code: u64) {
        if self.bits < 64 {
            self.codes |= code << self.bits;
            self.bits += 4;
        }
    }

    fn push_with(&mut self, code: u64, number: u8) {
        if self.bits <= 52 {
            self.push(code);
            self.push(u64::from(number) >> 4);
            self.push(u64::from(number) & 15);
        } else {
            self.bits = 64;
        }
    }
}

/// p0f's raw signature, as its `raw_sig` line shows it.
impl fmt::Display for SynSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}+", if self.v6 { 6 } else { 4 }, self.ttl)?;
        match self.ittl() - self.ttl {
            distance @ 0..=DISTANCE_MAX => write!(f, "{distance}")?,
            _ => f.write_str("?")?,
        }
        write!(f, ":{}:{}:", self.olen, self.mss)?;
        match self.window_multiple() {
            Some((unit, factor)) => write!(f, "{unit}*{factor}")?,
            None => write!(f, "{}", self.wsize)?,
        }
        write!(f, ",{}:", self.scale.unwrap_or(0))?;
        let mut codes = self.olayout;
        let mut first = true;
        while codes & 15 != 0 {
            let code = codes & 15;
            codes >>= 4;
            f.write_str(if first { "" } else { "," })?;
            first = false;
            match code {
                layout::EOL | layout::OTHER => {
                    let number = (codes & 15) << 4 | codes >> 4 & 15;
                    codes >>= 8;
                    write!(f, "{}{number}", if code == layout::EOL { "eol+" } else { "?" })?;
                }
                layout::NOP => f.write_str("nop")?,
                layout::MSS => f.write_str("mss")?,
                layout::WS => f.write_str("ws")?,
                layout::SOK => f.write_str("sok")?,
                layout::SACK => f.write_str("sack")?,
                _ => f.write_str("ts")?,
            }
        }
        f.write_str(":")?;
        let mut first = true;
        for (_, token) in QUIRKS.iter().filter(|(quirk, _)| self.has(*quirk)) {
            write!(f, "{}{token}", if first { "" } else { "," })?;
            first = false;
        }
        f.write_str(if self.has(Self::PAYLOAD) { ":+" } else { ":0" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::testing::Script;
    use proptest::prelude::*;

    fn signature(change: impl FnOnce(&mut SegmentHeader), options: &[u8]) -> String {
        let mut head = Script::new().syn(1).head;
        change(&mut head);
        SynSignature::from_segment(&Segment { head: &head, options, payload: b"" }).to_string()
    }

    const LINUX: &[u8] = &[2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 1, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    const WINDOWS: &[u8] = &[2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2];

    #[test]
    fn systems_look_as_in_the_database() {
        let linux = signature(
            |head| {
                (head.ip.ttl, head.ip.df, head.ip.id) = (57, true, 0x1234);
                head.window = 1460 * 20;
            },
            LINUX,
        );
        assert_eq!(linux, "4:57+7:0:1460:mss*20,7:mss,sok,ts,nop,ws:df,id+:0");
        let windows = signature(
            |head| {
                (head.ip.ttl, head.ip.df, head.ip.id) = (128, true, 7);
                head.window = 8192;
            },
            WINDOWS,
        );
        assert_eq!(windows, "4:128+0:0:1460:8192,8:mss,nop,ws,nop,nop,sok:df,id+:0");
    }

    #[test]
    fn the_sample_of_the_readme_is_reproduced() {
        let readme = signature(
            |head| {
                (head.ip.ttl, head.ip.df, head.ip.id) = (120, true, 1);
                head.window = 65535;
            },
            &[2, 4, 5, 172, 1, 1, 4, 2],
        );
        assert_eq!(readme, "4:120+8:0:1452:65535,0:mss,nop,nop,sok:df,id+:0");
    }

    #[test]
    fn windows_are_multiples_in_the_order_of_p0f() {
        let window = |wsize: u16, options: &[u8]| {
            let text = signature(|head| head.window = wsize, options);
            text.split(':').nth(4).unwrap_or_default().to_owned()
        };
        let mss_1400 = [2, 4, 5, 120];
        assert_eq!(window(1400 * 4, &mss_1400), "mss*4,0");
        assert_eq!(window(1440 * 3, &mss_1400), "mtu*3,0", "MTU of IPv4");
        assert_eq!(window(1444 * 3, &mss_1400), "mtu*3,0", "MTU with the headers as they are");
        assert_eq!(window(1460 * 3, &mss_1400), "mss*3,0", "MSS of Ethernet");
        assert_eq!(window(1500 * 11, &mss_1400), "mtu*11,0");
        assert_eq!(window(8192, &mss_1400), "8192,0");
        assert_eq!(window(1448 * 11, LINUX), "mss*11,7", "less the timestamp");
        assert_eq!(window(64240, &[2, 4, 0, 99]), "64240,0", "an MSS under 100 divides nothing");
        assert_eq!(window(0, &mss_1400), "0,0");
    }

    #[test]
    fn every_quirk_has_its_token() {
        let odd = signature(
            |head| {
                (head.seq.0, head.ack.0) = (0, 9);
                head.flags = TcpFlags(TcpFlags::SYN | TcpFlags::URG | TcpFlags::PSH | TcpFlags::ECE);
                (head.ip.df, head.ip.id, head.ip.reserved_bit) = (false, 0, true);
                (head.ip.ttl, head.ip.olen, head.payload_len) = (200, 4, 3);
            },
            &[8, 10, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 15, 77, 3, 1, 0, 0, 9],
        );
        assert_eq!(odd, "4:200+?:4:0:65535,15:ts,ws,?77,eol+2:id-,ecn,0+,seq-,ack+,urgf+,pushf+,ts1-,ts2+,opt+,exws:+");
        let six = signature(|head| (head.ip.v6, head.ip.df, head.ip.flow_label) = (true, true, true), &[]);
        assert_eq!(six, "6:64+0:0:0:65535,0::flow:0");
    }

    #[test]
    fn options_that_do_not_parse_are_bad() {
        for options in [&[2u8, 4, 5] as &[u8], &[3], &[8, 10, 0], &[77, 1, 0, 0], &[77, 41, 0, 0], &[5, 9, 0, 0]] {
            assert!(signature(|_| {}, options).ends_with(",bad:0") || signature(|_| {}, options).ends_with(":bad:0"));
        }
        assert_eq!(signature(|_| {}, &[2, 5, 1, 2, 1]), "4:64+0:0:258:65535,0:mss,nop:id-,bad:0", "a wrong length");
    }

    #[test]
    fn forty_nops_are_cut_off() {
        let text = signature(|_| {}, &[1; 40]);
        assert_eq!(text.matches("nop").count(), 16);
    }

    proptest! {
        /// What was read last changes nothing.
        #[test]
        fn the_last_options_are_only_a_short_cut(
            all in prop::collection::vec((prop::sample::select(vec![LINUX, WINDOWS, &[2, 4, 5], &[3, 3, 15, 0], &[]]), any::<[u8; 5]>()), 1..12),
        ) {
            let mut last = LastOptions::new();
            for (options, [ttl, flags, window, len, seq]) in all {
                let mut head = Script::new().syn(u32::from(seq)).head;
                (head.ip.ttl, head.flags, head.window) = (ttl, TcpFlags(flags | TcpFlags::SYN), u16::from(window));
                head.payload_len = u32::from(len % 3);
                let segment = Segment { head: &head, options, payload: b"" };
                prop_assert_eq!(SynSignature::after(&mut last, &segment), SynSignature::from_segment(&segment));
            }
        }

        #[test]
        fn no_options_panic(options in prop::collection::vec(any::<u8>(), 0..60), window: u16, ttl: u8, v6: bool) {
            let text = signature(|head| (head.window, head.ip.ttl, head.ip.v6) = (window, ttl, v6), &options);
            prop_assert_eq!(text.split(':').count(), 8);
        }
    }
}
