//! Names of a connection that other tools understand, made from its contents alone: the same input gives the same names.

use xxhash_rust::xxh3::xxh3_128;

use super::ConnId;

/// IANA protocol number of TCP.
const TCP: u8 = 6;

/// Letters of a `uid`, in the order of Zeek's base-62 digits.
const BASE62: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

impl ConnId {
    /// The unique id: `C` and base-62 digits, as Zeek's `uid`, of the low 96 bits of an XXH3-128 over stamp and ends.
    ///
    /// 96 bits are what Zeek uses; among ten billion connections two collide with a chance of one in a billion.
    pub fn uid(&self) -> String {
        let mut bytes = [0; 44];
        bytes[..8].copy_from_slice(&self.ts.as_nanos().to_be_bytes());
        bytes[8..24].copy_from_slice(&self.orig.host.octets());
        bytes[24..26].copy_from_slice(&self.orig.port.to_be_bytes());
        bytes[26..42].copy_from_slice(&self.resp.host.octets());
        bytes[42..].copy_from_slice(&self.resp.port.to_be_bytes());
        let mut rest = xxh3_128(&bytes) & ((1 << 96) - 1);
        let mut uid = String::with_capacity(18);
        uid.push('C');
        // 62^17 > 2^96: seventeen digits hold every value. Always all of them, so that ids have one width.
        for _ in 0..17 {
            uid.push(char::from(BASE62[(rest % 62) as usize]));
            rest /= 62;
        }
        uid
    }

    /// The Community ID (version 1, seed 0), which Zeek and Suricata write, too.
    ///
    /// Empty where the two ends are of different IP versions, which no frame can be.
    pub fn community_id(&self) -> String {
        community_id::calculate_community_id(
            0,
            self.orig.host.ip(),
            self.resp.host.ip(),
            Some(self.orig.port),
            Some(self.resp.port),
            TCP,
            false,
        )
        .unwrap_or_default()
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
