//! TLS seen from outside: record headers, the server name, and how much went through.
//!
//! Read first: RFC 8446 section 5.1 (records), 4.1.2 (ClientHello); RFC 6066 section 3 (server name); RFC 5246 appendix
//! E.2 (a ClientHello in the clothes of SSL 2.0, which mail clients of the 2000s send).
//!
//! Nothing is decrypted. In TLS 1.3 the handshake's second half and all alerts wear content type 23 as well, so that a
//! few kilobytes of [`TlsFollower::app_bytes`] are handshake there.

use nom::bytes::complete::take;
use nom::multi::{length_data, many0};
use nom::number::complete::{be_u8, be_u16, be_u24};
use nom::sequence::preceded;
use nom::{IResult, Parser};

use crate::net::Side;
use crate::smtp::Tls;
use crate::weird::Weird;
use crate::wire::Wire;

/// Bytes of a ClientHello that are kept until the server name was found. With the key shares of post-quantum exchanges
/// one has about 1,800.
const HELLO_MAX: usize = 4096;

/// Bytes of a server name that are kept: a domain name has at most 255 (RFC 1035 section 2.3.4).
const SNI_MAX: usize = 255;

/// The longest record: 2^14 bytes of text and 2,048 of what protection adds (RFC 5246 section 6.2.3; RFC 8446 has 256).
const RECORD_MAX: u16 = (1 << 14) + 2048;

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// Whether a stream's first bytes are those of TLS: a handshake record of SSL 3.0 to TLS 1.3. Three bytes are enough;
/// of more, up to six are looked at.
pub fn looks_like_tls(bytes: &[u8]) -> bool {
    let [HANDSHAKE, 3, 0..=4, rest @ ..] = bytes else { return false };
    match rest {
        [high, low, rest @ ..] => {
            let len = u16::from_be_bytes([*high, *low]);
            (1..=RECORD_MAX).contains(&len) && matches!(rest, [] | [1 | 2, ..])
        }
        _ => true,
    }
}

/// Follows the records of both directions of one connection.
#[derive(Clone, Debug, Default)]
pub struct TlsFollower {
    orig: Records,
    resp: Records,
    record_version: Option<u16>,
    sni: Option<Wire>,
    hello: Hello,
    is_broken: bool,
}

/// One direction.
#[derive(Clone, Debug, Default)]
struct Records {
    header: [u8; 5],
    /// Bytes of the next record's header that are there.
    have: u8,
    /// Bytes of the current record that are still to come.
    left: u32,
    content_type: u8,
    app_bytes: u64,
    raw_bytes: u64,
    is_lost: bool,
}

/// The handshake bytes of the client until its ClientHello was read.
#[derive(Clone, Debug)]
enum Hello {
    Collecting(Vec<u8>),
    Done,
}

impl Default for Hello {
    fn default() -> Self {
        Self::Collecting(Vec::new())
    }
}

impl TlsFollower {
    /// A follower at the first byte of TLS of both sides.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of a side. Says [`Weird::BadTls`] once, at the first byte that is no record header; that
    /// side's bytes are counted raw from there.
    pub fn handle(&mut self, side: Side, mut bytes: &[u8]) -> Option<Weird> {
        while !bytes.is_empty() {
            let records = match side {
                Side::Orig => &mut self.orig,
                Side::Resp => &mut self.resp,
            };
            if records.is_lost {
                records.raw_bytes += bytes.len() as u64;
                return None;
            }
            if records.left > 0 {
                let taken = bytes.len().min(records.left as usize);
                let (inside, rest) = bytes.split_at_checked(taken)?;
                records.pass(taken as u32);
                if side == Side::Orig && records.content_type == HANDSHAKE {
                    self.hello(inside);
                }
                bytes = rest;
                continue;
            }
            let (first, rest) = bytes.split_first()?;
            bytes = rest;
            if let Some(place) = records.header.get_mut(usize::from(records.have)) {
                *place = *first;
                records.have += 1;
            }
            if records.have < 5 {
                continue;
            }
            records.have = 0;
            let [content_type, major, minor, high, low] = records.header;
            let len = u16::from_be_bytes([high, low]);
            let is_first = side == Side::Orig && self.record_version.is_none();
            if matches!(content_type, 20..=24) && major == 3 && minor <= 4 && len <= RECORD_MAX {
                records.content_type = content_type;
                records.left = u32::from(len);
                if is_first {
                    self.record_version = Some(u16::from_be_bytes([major, minor]));
                }
                if side == Side::Orig && content_type != HANDSHAKE {
                    self.end_hello();
                }
            } else if is_first && content_type & 0x80 != 0 && is_ssl2_hello(records.header) {
                // Two bytes of length, one of type, two of version; three of those five count.
                records.content_type = 0;
                records.left = u32::from(u16::from_be_bytes([content_type & 0x7f, major])).saturating_sub(3);
                self.record_version = Some(u16::from_be_bytes([high, low]));
                self.hello = Hello::Done;
            } else {
                records.is_lost = true;
                records.raw_bytes += 5;
                if !std::mem::replace(&mut self.is_broken, true) {
                    records.raw_bytes += bytes.len() as u64;
                    return Some(Weird::BadTls);
                }
            }
        }
        None
    }

    /// Takes note of `len` bytes of a side that were not seen. Inside a record they are passed over; beyond it the
    /// place of the next header is unknown, and the side's later bytes are counted raw.
    pub fn handle_gap(&mut self, side: Side, len: u64) {
        if len == 0 {
            return;
        }
        if side == Side::Orig {
            // A name with a hole in it is none.
            self.hello = Hello::Done;
        }
        let records = match side {
            Side::Orig => &mut self.orig,
            Side::Resp => &mut self.resp,
        };
        if records.is_lost {
            return;
        }
        match u32::try_from(len) {
            Ok(len) if len <= records.left => records.pass(len),
            _ => {
                records.pass(records.left);
                records.is_lost = true;
            }
        }
    }

    /// The version of the client's first record, as on the wire.
    pub fn record_version(&self) -> Option<u16> {
        self.record_version
    }

    /// The server name that the client asked for.
    pub fn sni(&self) -> Option<&Wire> {
        self.sni.as_ref()
    }

    /// Bytes of a side's records of type 23, lost ones inside a record included.
    pub fn app_bytes(&self, side: Side) -> u64 {
        self.side(side).app_bytes
    }

    /// Bytes of a side that could not be told, because its records were broken or lost.
    pub fn raw_bytes(&self, side: Side) -> u64 {
        self.side(side).raw_bytes
    }

    /// Whether a record was broken.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Writes what is known into a session's facts; their state is not touched.
    pub fn write_to(&self, tls: &mut Tls) {
        tls.record_version = self.record_version;
        tls.sni.clone_from(&self.sni);
        tls.orig_app_bytes = self.orig.app_bytes;
        tls.resp_app_bytes = self.resp.app_bytes;
    }

    fn side(&self, side: Side) -> &Records {
        match side {
            Side::Orig => &self.orig,
            Side::Resp => &self.resp,
        }
    }

    fn hello(&mut self, bytes: &[u8]) {
        let Hello::Collecting(kept) = &mut self.hello else { return };
        let room = HELLO_MAX - kept.len();
        kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let whole = match kept.as_slice() {
            [_, a, b, c, ..] => 4 + u32::from_be_bytes([0, *a, *b, *c]) as usize,
            _ => HELLO_MAX,
        };
        if kept.len() >= whole.min(HELLO_MAX) {
            self.end_hello();
        }
    }

    /// Reads the name out of what there is of a ClientHello.
    fn end_hello(&mut self) {
        if let Hello::Collecting(kept) = std::mem::replace(&mut self.hello, Hello::Done) {
            self.sni = client_hello(&kept).ok().and_then(|(_, name)| name);
        }
    }
}

impl Records {
    /// Goes `len` bytes on inside the current record.
    fn pass(&mut self, len: u32) {
        self.left -= len;
        if self.content_type == APPLICATION_DATA {
            self.app_bytes += u64::from(len);
        }
    }
}

/// `length, length, CLIENT-HELLO, version`: SSL 2.0's own version is 0x0002.
fn is_ssl2_hello(header: [u8; 5]) -> bool {
    matches!(header, [_, _, 1, 3, 0..=4] | [_, _, 1, 0, 2])
}

type Parsed<'a, T> = IResult<&'a [u8], T, ()>;

/// The server name in a handshake message, if that is a ClientHello:
///
/// ```text
/// struct {
///     HandshakeType msg_type; uint24 length;
///     ProtocolVersion legacy_version; Random random; opaque legacy_session_id<0..32>;
///     CipherSuite cipher_suites<2..2^16-2>; opaque legacy_compression_methods<1..2^8-1>;
///     Extension extensions<8..2^16-1>;
/// } ClientHello;
/// ```
///
/// A message cut off among its extensions is read as far as it goes.
fn client_hello(message: &[u8]) -> Parsed<'_, Option<Wire>> {
    let (rest, (msg_type, _, _)) = (be_u8, be_u24, take(2_usize + 32)).parse(message)?;
    if msg_type != 1 {
        return Ok((rest, None));
    }
    let (rest, _) = (length_data(be_u8), length_data(be_u16), length_data(be_u8)).parse(rest)?;
    let (rest, extensions) = preceded(be_u16, many0(extension)).parse(rest)?;
    let name = extensions.into_iter().find(|(kind, _)| *kind == 0).and_then(|(_, data)| server_name(data).ok());
    Ok((rest, name.map(|(_, name)| Wire::capped(name, SNI_MAX))))
}

fn extension(input: &[u8]) -> Parsed<'_, (u16, &[u8])> {
    (be_u16, length_data(be_u16)).parse(input)
}

/// The first name of type `host_name` (0) in a `ServerNameList` (RFC 6066 section 3).
fn server_name(data: &[u8]) -> Parsed<'_, &[u8]> {
    preceded((be_u16, nom::bytes::complete::tag(&[0_u8][..])), length_data(be_u16)).parse(data)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(content_type: u8, body: &[u8]) -> Vec<u8> {
        [&[content_type, 3, 3], &(body.len() as u16).to_be_bytes()[..], body].concat()
    }

    /// A ClientHello for a name, with `padding` bytes of another extension before it.
    fn hello(name: &str, padding: u16) -> Vec<u8> {
        let name = name.as_bytes();
        let len = |len: usize| (len as u16).to_be_bytes();
        let entry = [&[0], &len(name.len())[..], name].concat();
        let data = [&len(entry.len()), &entry[..]].concat();
        let pad = [&[0, 21], &padding.to_be_bytes()[..], &vec![0; usize::from(padding)]].concat();
        let extensions = [&pad[..], &[0, 0], &len(data.len()), &data].concat();
        let body = [
            &[3, 3][..],
            &[7; 32],
            &[2, 1, 2],
            &[0, 4, 0x13, 1, 0x13, 2],
            &[1, 0],
            &len(extensions.len()),
            &extensions,
        ]
        .concat();
        [&[1], &(body.len() as u32).to_be_bytes()[1..], &body].concat()
    }

    /// What the client of a small session sends.
    fn client() -> Vec<u8> {
        [
            record(HANDSHAKE, &hello("mx.example.com", 20)),
            record(20, &[1]),
            record(APPLICATION_DATA, &[9; 100]),
            record(APPLICATION_DATA, &[]),
            record(APPLICATION_DATA, &[9; 33]),
        ]
        .concat()
    }

    #[test]
    fn a_session_in_one_piece_and_byte_by_byte() {
        for size in [1, 2, 7, 1000] {
            let mut tls = TlsFollower::new();
            for piece in client().chunks(size) {
                assert_eq!(tls.handle(Side::Orig, piece), None);
            }
            assert_eq!(tls.handle(Side::Resp, &record(APPLICATION_DATA, &[1; 7])), None);
            let mut facts = Tls::default();
            tls.write_to(&mut facts);
            assert_eq!(facts.sni, Some(Wire::from("mx.example.com")));
            assert_eq!((facts.record_version, facts.orig_app_bytes, facts.resp_app_bytes), (Some(0x303), 133, 7));
            assert_eq!((tls.raw_bytes(Side::Orig), tls.is_broken()), (0, false));
        }
    }

    #[test]
    fn a_name_over_two_records_and_one_beyond_the_limit() {
        let message = hello("a.example", 500);
        let (one, two) = message.split_at(100);
        let mut tls = TlsFollower::new();
        tls.handle(Side::Orig, &record(HANDSHAKE, one));
        tls.handle(Side::Orig, &record(HANDSHAKE, two));
        assert_eq!(tls.sni(), Some(&Wire::from("a.example")));

        let mut tls = TlsFollower::new();
        assert_eq!(tls.handle(Side::Orig, &record(HANDSHAKE, &hello("a.example", 5000))), None);
        assert_eq!(tls.sni(), None);
        assert!(matches!(tls.hello, Hello::Done));
    }

    #[test]
    fn no_client_hello_and_a_cut_one() {
        let whole = hello("a.example", 0);
        for len in 0..whole.len() {
            let mut tls = TlsFollower::new();
            tls.handle(Side::Orig, &record(HANDSHAKE, &whole[..len]));
            tls.handle(Side::Orig, &record(APPLICATION_DATA, &[0]));
            assert_eq!(tls.sni(), None, "{len}");
        }
    }

    #[test]
    fn a_broken_record_is_told_once_and_the_rest_is_counted() {
        let mut tls = TlsFollower::new();
        assert_eq!(tls.handle(Side::Orig, b"MAIL FROM:<a@b>\r\n"), Some(Weird::BadTls));
        assert_eq!(tls.handle(Side::Orig, b"RCPT"), None);
        assert_eq!(tls.handle(Side::Resp, b"250 ok\r\n"), None);
        assert_eq!((tls.raw_bytes(Side::Orig), tls.raw_bytes(Side::Resp)), (21, 8));
        assert_eq!(tls.record_version(), None);
    }

    #[test]
    fn gaps() {
        let bytes = client();
        // Inside the first record of application data: it begins 5 bytes after the change of cipher spec.
        let at = bytes.len() - (5 + 33) - 5 - 60;
        let mut tls = TlsFollower::new();
        tls.handle(Side::Orig, &bytes[..at]);
        tls.handle_gap(Side::Orig, 50);
        assert_eq!(tls.handle(Side::Orig, &bytes[at + 50..]), None);
        assert_eq!((tls.app_bytes(Side::Orig), tls.raw_bytes(Side::Orig)), (133, 0));
        // Over its end.
        let mut tls = TlsFollower::new();
        tls.handle(Side::Orig, &bytes[..at]);
        tls.handle_gap(Side::Orig, 61);
        assert_eq!(tls.handle(Side::Orig, &bytes[at + 61..]), None);
        assert_eq!((tls.app_bytes(Side::Orig), tls.raw_bytes(Side::Orig)), (100, 42));
        // In a ClientHello.
        let mut tls = TlsFollower::new();
        tls.handle(Side::Orig, &bytes[..60]);
        tls.handle_gap(Side::Orig, 1);
        tls.handle(Side::Orig, &bytes[61..]);
        assert_eq!((tls.sni(), tls.app_bytes(Side::Orig)), (None, 133));
        tls.handle_gap(Side::Resp, u64::MAX);
        tls.handle(Side::Resp, &bytes);
        assert_eq!(tls.raw_bytes(Side::Resp), bytes.len() as u64);
    }

    #[test]
    fn a_hello_in_the_clothes_of_ssl_2() {
        let hello = [&[0x80, 46, 1, 3, 1][..], &[0; 43]].concat();
        let mut tls = TlsFollower::new();
        assert_eq!(tls.handle(Side::Orig, &[hello, record(APPLICATION_DATA, &[0; 9])].concat()), None);
        assert_eq!((tls.record_version(), tls.app_bytes(Side::Orig)), (Some(0x301), 9));
    }

    #[test]
    fn what_looks_like_tls() {
        assert!(looks_like_tls(&client()));
        assert!(looks_like_tls(&[22, 3, 1]));
        assert!(looks_like_tls(&[22, 3, 1, 2, 0]));
        for bytes in [&b"EHLO a\r\n"[..], b"", &[22, 3], &[22, 3, 5], &[22, 3, 1, 0xff, 0xff], &[22, 3, 1, 0, 9, 99]] {
            assert!(!looks_like_tls(bytes), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_and_gaps_are_taken(
            steps in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..40), 0_u64..30), 0..20),
            good in any::<bool>(),
        ) {
            let mut tls = TlsFollower::new();
            let mut weirds = 0;
            for (orig, bytes, gap) in &steps {
                let side = if *orig { Side::Orig } else { Side::Resp };
                let bytes = if good { record(bytes.first().map_or(22, |byte| 20 + byte % 5), bytes) } else { bytes.clone() };
                weirds += usize::from(tls.handle(side, &bytes).is_some());
                tls.handle_gap(side, gap.saturating_sub(20));
            }
            prop_assert!(weirds <= 1);
        }

        #[test]
        fn any_handshake_message_is_taken(mut message in prop::collection::vec(any::<u8>(), 38..200), at in 38_usize..200) {
            message[0] = 1;
            if let Some(byte) = message.get_mut(at) {
                *byte = 0;
            }
            let _ = client_hello(&message);
        }
    }
}
