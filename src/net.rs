//! Addresses, flow keys and sequence numbers: what every room shares and none owns.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The address of a host: 16 bytes, IPv4 in its mapped form (RFC 4291 section 2.5.5.2), so that keys have one size.
///
/// Kept as two numbers, the first eight bytes and the last, each in the order of the wire: so an address goes through
/// registers. As an array it would be put together in memory and read from there at once, for which a processor waits.
/// Packed, because most stand beside a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(Rust, packed(2))]
pub struct HostKey {
    high: u64,
    low: u64,
}

/// As one number: a hash of sixteen bytes asks for two multiplications, not for a loop.
impl Hash for HostKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.number());
    }
}

impl HostKey {
    /// An IPv4 address.
    #[inline]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self { high: 0, low: 0xffff_0000_0000 | u32::from_be_bytes(octets) as u64 }
    }

    /// An IPv6 address; a mapped one is the IPv4 address it maps.
    #[inline]
    pub const fn v6(octets: [u8; 16]) -> Self {
        Self::of_number(u128::from_be_bytes(octets))
    }

    /// The address as the standard library knows it; mapped addresses come out as IPv4.
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.number()).to_canonical()
    }

    /// The sixteen bytes.
    #[inline]
    pub const fn octets(self) -> [u8; 16] {
        self.number().to_be_bytes()
    }

    /// The sixteen bytes as two numbers, for hashing.
    #[inline]
    pub(crate) const fn words(self) -> [u64; 2] {
        [self.high.swap_bytes(), self.low.swap_bytes()]
    }

    /// The network that counts as one destination: /24 of IPv4, /48 of IPv6 (the size a site is given, RFC 6177).
    #[must_use]
    #[inline]
    pub const fn site(self) -> Self {
        self.prefix(24, 48)
    }

    /// The network of so many bits, at least one, that an IPv4 or an IPv6 address is in.
    #[must_use]
    #[inline]
    pub const fn prefix(self, v4_bits: u32, v6_bits: u32) -> Self {
        let host_bits = if self.is_v4() { 32 - v4_bits } else { 128 - v6_bits };
        Self::of_number(self.number() >> host_bits << host_bits)
    }

    /// Whether this is an IPv4 address.
    #[inline]
    pub const fn is_v4(self) -> bool {
        self.high == 0 && self.low >> 32 == 0xffff
    }

    #[inline]
    const fn number(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    #[inline]
    const fn of_number(number: u128) -> Self {
        Self { high: (number >> 64) as u64, low: number as u64 }
    }
}

impl From<IpAddr> for HostKey {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl From<Ipv4Addr> for HostKey {
    fn from(ip: Ipv4Addr) -> Self {
        Self::v4(ip.octets())
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl Serialize for HostKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        IpAddr::deserialize(d).map(Self::from)
    }
}

/// One end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Endpoint {
    /// The address.
    pub host: HostKey,
    /// The TCP port.
    pub port: u16,
}

/// The two ends of a connection, with direction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ends {
    /// Who opens it.
    pub orig: Endpoint,
    /// Who is called.
    pub resp: Endpoint,
}

/// One connection on both sides of a gateway that translates addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translation {
    /// Behind the gateway, at home.
    pub inner: Ends,
    /// As the world knows it.
    pub outer: Ends,
    /// The server answered both by one SYN-ACK; as long as it did not, only the SYNs look like one.
    pub proven: bool,
}

impl Translation {
    /// The end that the gateway changed, and what it made of it.
    pub fn changed(&self) -> (Endpoint, Endpoint) {
        if self.inner.orig == self.outer.orig {
            (self.inner.resp, self.outer.resp)
        } else {
            (self.inner.orig, self.outer.orig)
        }
    }
}

/// The two ends of a TCP connection without a direction: the smaller end comes first. Both addresses stand at multiples of
/// eight bytes, so that no half of one lies across two lines of memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[repr(C, align(8))]
pub struct FlowKey {
    hosts: [HostKey; 2],
    ports: [u16; 2],
    /// See [`Self::stable_hash`]: in room that is there, because more than one stage asks for it.
    hash: u32,
}

/// Which end of a [`FlowKey`] a segment came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum End {
    /// The smaller end of the key.
    #[default]
    Lower,
    /// The larger end of the key.
    Upper,
}

impl FlowKey {
    /// The key of the flow that a segment from `src` to `dst` belongs to, and the end it came from.
    ///
    /// Where both ends are equal (the LAND attack), the segment counts as coming from the lower end.
    #[inline]
    pub fn of(src: Endpoint, dst: Endpoint) -> (Self, End) {
        let (lower, upper, from) = if src <= dst { (src, dst, End::Lower) } else { (dst, src, End::Upper) };
        let mut key = Self { hosts: [lower.host, upper.host], ports: [lower.port, upper.port], hash: 0 };
        key.hash = key.work_out_hash();
        (key, from)
    }

    /// One end of the flow.
    #[inline]
    pub const fn end(&self, end: End) -> Endpoint {
        let ([lower, upper], [lower_port, upper_port]) = (self.hosts, self.ports);
        match end {
            End::Lower => Endpoint { host: lower, port: lower_port },
            End::Upper => Endpoint { host: upper, port: upper_port },
        }
    }

    #[inline]
    const fn ports_number(&self) -> u64 {
        let [lower, upper] = self.ports;
        (lower as u64) << 16 | upper as u64
    }

    /// A hash that is the same in every run and for both directions: for the choice of the shard, and for what must be forgotten
    /// alike in every run. Never for a hash table, whose keys are the attacker's choice.
    #[inline]
    pub const fn stable_hash(&self) -> u32 {
        self.hash
    }

    #[inline]
    const fn work_out_hash(&self) -> u32 {
        let ([lower, upper], ports) = (self.hosts, self.ports_number());
        let ([lower_low, lower_high], [upper_low, upper_high]) = (lower.words(), upper.words());
        mix(mix(lower_low ^ ports << 32, lower_high), mix(upper_low, upper_high ^ ports)) as u32
    }

    /// A hash for tables whose keys are the attacker's choice, the same for both directions.
    #[inline]
    pub(crate) const fn seeded_hash(&self, seed: &Seed) -> u64 {
        let ([lower, upper], ports, [a, b, c, d]) = (self.hosts, self.ports_number(), seed.0);
        let (lower, upper) =
            (folded(lower.high ^ ports ^ a, lower.low ^ b), folded(upper.high ^ ports ^ c, upper.low ^ d));
        lower ^ upper.rotate_left(32)
    }

    /// The key as bytes, for hashing.
    pub fn bytes(&self) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..16].copy_from_slice(&self.hosts[0].octets());
        bytes[16..32].copy_from_slice(&self.hosts[1].octets());
        bytes[32..34].copy_from_slice(&self.ports[0].to_be_bytes());
        bytes[34..].copy_from_slice(&self.ports[1].to_be_bytes());
        bytes
    }
}

impl End {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Lower => Self::Upper,
            Self::Upper => Self::Lower,
        }
    }
}

/// A number that depends on all bits of two others, as the multiplication of hash functions does it. The odd constants
/// (the fractions of the square roots of 2 and 3) keep zeros from swallowing the other factor.
#[inline]
pub(crate) const fn mix(a: u64, b: u64) -> u64 {
    folded(a ^ 0x6a09_e667_f3bc_c909, b ^ 0xbb67_ae85_84ca_a73b)
}

/// A product of 128 bits, its upper half over its lower.
#[inline]
const fn folded(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    (product >> 64) as u64 ^ product as u64
}

/// Random numbers for hashes that nobody must be able to foretell. Each factor that is the attacker's choice wants one of its
/// own, or that choice could make it zero.
#[derive(Clone, Copy)]
pub(crate) struct Seed([u64; 4]);

impl Seed {
    /// Another one for each table.
    pub(crate) fn random() -> Self {
        Self([(); 4].map(|()| foldhash::quality::RandomState::default().hash_one(0_u64)))
    }

    /// Goes on from `hash` with two numbers.
    #[inline]
    pub(crate) const fn fold(&self, hash: u64, [one, other]: [u64; 2]) -> u64 {
        let [a, b, ..] = self.0;
        folded(hash ^ one ^ a, other ^ b)
    }

    /// Goes on from `hash` with bytes, sixteen at a time; their number has to go in elsewhere.
    #[inline]
    pub(crate) fn fold_bytes(&self, hash: u64, bytes: &[u8]) -> u64 {
        fold_words(hash, bytes, |hash, words| self.fold(hash, words))
    }
}

/// Goes on from `hash` with bytes as pairs of numbers, sixteen at a time; how many they are is not among them.
#[inline]
pub(crate) fn fold_words(hash: u64, bytes: &[u8], fold: impl Fn(u64, [u64; 2]) -> u64) -> u64 {
    let (chunks, rest) = bytes.as_chunks();
    let hash = chunks.iter().fold(hash, |hash, chunk| {
        let number = u128::from_le_bytes(*chunk);
        fold(hash, [number as u64, (number >> 64) as u64])
    });
    if rest.is_empty() { hash } else { fold(hash, last_words(rest)) }
}

/// Fewer than sixteen bytes as two numbers. Their first and their last bytes are read, which may be some of them twice: other
/// bytes of the same number are other numbers.
#[inline]
fn last_words(rest: &[u8]) -> [u64; 2] {
    if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
        return [u64::from_le_bytes(*first), u64::from_le_bytes(*last)];
    }
    if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
        return [u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()];
    }
    [rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0]
}

/// A side of a connection in Zeek's words: who opened it, and who answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// The originator: the SMTP client.
    Orig,
    /// The responder: the SMTP server.
    Resp,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Orig => Self::Resp,
            Self::Resp => Self::Orig,
        }
    }
}

/// A place in TCP's sequence space, where SYN and FIN count (RFC 9293 section 3.4). Arithmetic is modulo 2^32.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct SeqNum(pub u32);

impl SeqNum {
    /// How far `self` lies after `earlier`; negative if before. Right while the two are less than 2^31 apart.
    #[inline]
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// `self` moved on by `n`.
    #[must_use]
    #[inline]
    pub const fn plus(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"00:00:00:00:00:00";
        for (places, octet) in text.chunks_mut(3).zip(self.0) {
            (places[0], places[1]) = (HEX[usize::from(octet >> 4)], HEX[usize::from(octet & 15)]);
        }
        f.write_str(str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Six pairs of hexadecimal digits with colons.
impl std::str::FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let octets: Option<Vec<u8>> = text.split(':').map(|pair| u8::from_str_radix(pair, 16).ok()).collect();
        let octets = octets.and_then(|octets| octets.try_into().ok());
        octets.map(Self).ok_or_else(|| format!("`{text}` is no Ethernet address"))
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A tunnel that a frame was taken out of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Encap {
    /// IPv4 or IPv6 in IPv4 (RFC 2003, RFC 4213).
    IpIp = 1,
    /// IPv4 or IPv6 in IPv6 (RFC 2473).
    Ip6 = 2,
    /// GRE (RFC 2784, RFC 2890).
    Gre = 3,
    /// ERSPAN type I, II or III over GRE.
    Erspan = 4,
    /// VXLAN (RFC 7348).
    Vxlan = 5,
    /// TaZmen Sniffer Protocol.
    Tzsp = 6,
    /// GTP-U (3GPP TS 29.281).
    Gtpu = 7,
    /// PPPoE session (RFC 2516).
    Pppoe = 8,
    /// MPLS label stack (RFC 3032).
    Mpls = 9,
    /// HP's encapsulated remote mirroring.
    HpErm = 10,
}

impl Encap {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::IpIp,
        Self::Ip6,
        Self::Gre,
        Self::Erspan,
        Self::Vxlan,
        Self::Tzsp,
        Self::Gtpu,
        Self::Pppoe,
        Self::Mpls,
        Self::HpErm,
    ];

    /// The name in a session line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IpIp => "ipip",
            Self::Ip6 => "ip6",
            Self::Gre => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan => "vxlan",
            Self::Tzsp => "tzsp",
            Self::Gtpu => "gtpu",
            Self::Pppoe => "pppoe",
            Self::Mpls => "mpls",
            Self::HpErm => "hp_erm",
        }
    }
}

/// What the layers under IP said of one frame: cheap to copy (a multiple of eight bytes long, as all of a segment's headers are:
/// see [`FlowKey`]), small enough to keep a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
#[repr(align(8))]
pub struct LinkFacts {
    /// Source and destination Ethernet address of the innermost Ethernet header, if there is one.
    pub macs: Option<(Mac, Mac)>,
    /// 802.1Q tags, outermost first; at most two are kept.
    pub vlans: [Option<u16>; 2],
    /// The tunnels, outermost first; at most four are kept.
    pub encaps: [Option<Encap>; 4],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(ip: [u8; 4], port: u16) -> Endpoint {
        Endpoint { host: HostKey::v4(ip), port }
    }

    #[test]
    fn both_directions_have_one_key_and_one_hash() {
        let (a, b) = (end([192, 168, 0, 23], 49152), end([192, 0, 2, 25], 25));
        let ((there, from), (back, to)) = (FlowKey::of(a, b), FlowKey::of(b, a));
        assert_eq!(there, back);
        assert_eq!(from, to.other());
        assert_eq!(there.stable_hash(), back.stable_hash());
        assert_eq!(there.end(from), a);
    }

    #[test]
    fn a_site_is_a_24_or_a_48() {
        assert_eq!(HostKey::v4([192, 0, 2, 77]).site(), HostKey::v4([192, 0, 2, 0]));
        let six: IpAddr = "2001:db8:1:2::3".parse().unwrap();
        assert_eq!(HostKey::from(six).site().to_string(), "2001:db8:1::");
    }

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let mac = Mac([0, 0x1c, 0xc4, 0x3a, 0x10, 0x23]);
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert!("00:1c:c4".parse::<Mac>().is_err() && "00:1c:c4:3a:10:xx".parse::<Mac>().is_err());
        for text in ["192.0.2.7", "2001:db8::1"] {
            let host: HostKey = serde_json::from_value(text.into()).unwrap();
            assert_eq!(host.to_string(), text);
        }
    }

    #[test]
    fn sequence_numbers_wrap() {
        assert_eq!(SeqNum(5).since(SeqNum(u32::MAX - 4)), 10);
        assert_eq!(SeqNum(u32::MAX).plus(2), SeqNum(1));
    }
}
