//! Names of a connection that other tools understand, made from its contents alone: the same input gives the same names.

use sha1::compress;
use xxhash_rust::xxh3::xxh3_128;

use super::ConnId;

/// IANA protocol number of TCP.
const TCP: u8 = 6;

/// Letters of a `uid`, in the order of Zeek's base-62 digits.
const BASE62: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl ConnId {
    /// The unique id: `C` and base-62 digits, as Zeek's `uid`, of the low 96 bits of an XXH3-128 over stamp and ends.
    ///
    /// 96 bits are what Zeek uses; among ten billion connections two collide with a chance of one in a billion.
    pub fn uid(&self) -> String {
        self.uid_letters().into_iter().map(char::from).collect()
    }

    /// The letters of [`ConnId::uid`], all of them ASCII.
    pub fn uid_letters(&self) -> [u8; 18] {
        let mut bytes = [0; 44];
        bytes[..8].copy_from_slice(&self.ts.as_nanos().to_be_bytes());
        bytes[8..24].copy_from_slice(&self.orig.host.octets());
        bytes[24..26].copy_from_slice(&self.orig.port.to_be_bytes());
        bytes[26..42].copy_from_slice(&self.resp.host.octets());
        bytes[42..].copy_from_slice(&self.resp.port.to_be_bytes());
        let hash = xxh3_128(&bytes) & ((1 << 96) - 1);
        // 62^17 > 2^96: seventeen digits hold every value. Always all of them, so that ids have one width. The lowest
        // digit comes first; in two parts, because numbers of 128 bits are slow to divide.
        let high = hash / u128::from(TEN_DIGITS);
        let low = (hash - high * u128::from(TEN_DIGITS)) as u64;
        let mut uid = [b'C'; 18];
        base62(low, &mut uid[1..11]);
        base62(high as u64, &mut uid[11..]);
        uid
    }

    /// The Community ID (version 1, seed 0), which Zeek and Suricata write, too.
    ///
    /// Empty where the two ends are of different IP versions, which no frame can be.
    pub fn community_id(&self) -> String {
        self.community_id_letters().into_iter().flatten().map(char::from).collect()
    }

    /// The letters of [`ConnId::community_id`], all of them ASCII: the version, and in Base64 the SHA-1 of seed, addresses,
    /// protocol, padding and ports, the smaller end first.
    pub fn community_id_letters(&self) -> Option<[u8; 30]> {
        let (lower, upper) = if self.orig <= self.resp { (self.orig, self.resp) } else { (self.resp, self.orig) };
        let (first, second) = (lower.host.octets(), upper.host.octets());
        let ports = [lower.port, upper.port];
        let four = |octets: [u8; 16]| u128::from_be_bytes(octets) as u32;
        let block = match (lower.host.is_v4(), upper.host.is_v4()) {
            (true, true) => block(four(first).to_be_bytes(), four(second).to_be_bytes(), ports),
            (false, false) => block(first, second, ports),
            _ => return None,
        };
        Some(in_letters(sha1_of(block)))
    }
}

/// What a Community ID is the SHA-1 of, as the one block that it fits into, with its padding (FIPS 180-4 section 5.1.1).
fn block<const HOST: usize>(first: [u8; HOST], second: [u8; HOST], ports: [u16; 2]) -> [u8; 64] {
    let mut block = [0; 64];
    // After the seed.
    let (hosts, rest) = block[2..].split_at_mut(2 * HOST);
    hosts[..HOST].copy_from_slice(&first);
    hosts[HOST..].copy_from_slice(&second);
    rest[0] = TCP;
    rest[2..4].copy_from_slice(&ports[0].to_be_bytes());
    rest[4..6].copy_from_slice(&ports[1].to_be_bytes());
    rest[6] = 0x80;
    block[56..].copy_from_slice(&(8 * (8 + 2 * HOST as u64)).to_be_bytes());
    block
}

/// SHA-1 of one padded block (FIPS 180-4 section 5.3.1). It names a connection to other tools, and protects nothing.
fn sha1_of(block: [u8; 64]) -> [u32; 5] {
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    compress(&mut state, &[block.into()]);
    state
}

/// The version, and a digest in Base64: twenty bytes, which are twenty-seven letters and the sign that a byte is missing.
fn in_letters(digest: [u32; 5]) -> [u8; 30] {
    let mut bytes = [0; 21];
    bytes.as_chunks_mut().0.iter_mut().zip(digest).for_each(|(place, word)| *place = word.to_be_bytes());
    let letter = |bits: u32| BASE64[bits as usize % 64];
    let mut letters = *b"1:                            ";
    for (place, [a, b, c]) in letters[2..].as_chunks_mut::<4>().0.iter_mut().zip(bytes.as_chunks().0) {
        let three = u32::from_be_bytes([0, *a, *b, *c]);
        *place = [letter(three >> 18), letter(three >> 12), letter(three >> 6), letter(three)];
    }
    letters[29] = b'=';
    letters
}

/// 62^10, the largest such power whose digits a number of 64 bits holds.
const TEN_DIGITS: u64 = 62_u64.pow(10);

/// Writes base-62 digits, the lowest first.
fn base62(mut rest: u64, digits: &mut [u8]) {
    for digit in digits {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Endpoint, HostKey};
    use crate::time::Ts;

    fn end(ip: &str, port: u16) -> Endpoint {
        Endpoint { host: HostKey::from(ip.parse::<std::net::IpAddr>().unwrap()), port }
    }

    /// The vectors are from the baselines of the Community ID specification.
    #[test]
    fn community_ids_are_those_of_the_specification() {
        let ts = Ts::EPOCH;
        let four = ConnId { ts, orig: end("128.232.110.120", 34855), resp: end("66.35.250.204", 80) };
        assert_eq!(four.community_id(), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        let back = ConnId { ts, orig: four.resp, resp: four.orig };
        assert_eq!(back.community_id(), four.community_id());
        let six = ConnId {
            ts,
            orig: end("2001:470:e5bf:dead:4957:2174:e82c:4887", 63943),
            resp: end("2607:f8b0:400c:c03::1a", 25),
        };
        assert_eq!(six.community_id(), "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=");
    }

    #[test]
    fn a_uid_depends_on_all_of_the_id_and_on_nothing_else() {
        let id = ConnId { ts: Ts::from_nanos(1), orig: end("192.0.2.7", 49152), resp: end("198.51.100.25", 25) };
        let uid = id.uid();
        assert_eq!(uid, id.uid());
        assert!(uid.len() == 18 && uid.starts_with('C') && uid.bytes().all(|b| b.is_ascii_alphanumeric()), "{uid}");
        let later = ConnId { ts: Ts::from_nanos(2), ..id };
        let back = ConnId { orig: id.resp, resp: id.orig, ..id };
        let other = ConnId { orig: end("192.0.2.7", 49153), ..id };
        assert!([later, back, other].iter().all(|id| id.uid() != uid));
    }
}
