//! AUTH exchanges: who tries to log in, by which mechanism, and never with what.
//!
//! Read first: RFC 4954 (AUTH), RFC 4616 (PLAIN), RFC 2195 (CRAM-MD5), RFC 2831 (DIGEST-MD5), RFC 5802 (SCRAM), RFC 7628
//! (OAUTHBEARER) and the MS-NLMP document (NTLM). LOGIN has no RFC: the server asks for two things, the user comes first.
//!
//! Passwords, digests and tokens are looked past inside one call and are in no field of any type here, so that no
//! output can show them. This room checks no password and follows no Kerberos: of GSSAPI and unknown mechanisms it
//! keeps the name.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::wire::Wire;

/// Bytes of a user name that are kept: a mailbox has at most 64 + 1 + 255 (RFC 5321 section 4.5.3.1).
const USER_MAX: usize = 320;

/// Bytes of a mechanism's name that are kept. RFC 4422 section 3.1 allows 20.
const MECHANISM_MAX: usize = 20;

/// Base64 characters of one response that are looked at (RFC 4954 section 4: a line has at most 12,288).
const RESPONSE_MAX: usize = 12_288;

/// Clients get padding and trailing bits wrong, and servers take it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The mechanisms that show a user name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mechanism {
    Plain,
    Login,
    CramMd5,
    DigestMd5,
    Ntlm,
    Scram,
    Xoauth2,
    OauthBearer,
    /// GSSAPI, EXTERNAL and all others.
    Opaque,
}

impl Mechanism {
    fn of(name: &[u8]) -> Self {
        match name {
            b"PLAIN" => Self::Plain,
            b"LOGIN" => Self::Login,
            b"CRAM-MD5" => Self::CramMd5,
            b"DIGEST-MD5" => Self::DigestMd5,
            b"NTLM" => Self::Ntlm,
            b"XOAUTH2" => Self::Xoauth2,
            b"OAUTHBEARER" => Self::OauthBearer,
            _ if name.starts_with(b"SCRAM-") => Self::Scram,
            _ => Self::Opaque,
        }
    }
}

/// One exchange, from the AUTH command to its final reply.
#[derive(Clone, Debug)]
pub struct AuthExchange {
    name: Wire,
    mechanism: Mechanism,
    user: Option<Wire>,
    /// Responses that the client gave; an empty initial one does not count.
    responses: u32,
    /// The server's last challenge asked for a password (LOGIN).
    asked_password: bool,
    cancelled: bool,
}

impl AuthExchange {
    /// Begins with the AUTH command's arguments.
    pub fn new(mechanism: &[u8], initial: Option<&[u8]>) -> Self {
        let name = mechanism.get(..MECHANISM_MAX).unwrap_or(mechanism).to_ascii_uppercase();
        let mut exchange = Self {
            mechanism: Mechanism::of(&name),
            name: Wire::from(name),
            user: None,
            responses: 0,
            asked_password: false,
            cancelled: false,
        };
        // `=` is how an empty response is written (RFC 4954 section 4).
        if let Some(initial) = initial.filter(|initial| *initial != b"=") {
            exchange.handle_response(initial);
        }
        exchange
    }

    /// Takes a line of the client inside the exchange.
    pub fn handle_client(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        if line == b"*" {
            self.cancelled = true;
        } else if !self.cancelled {
            self.handle_response(line);
        }
    }

    /// Takes note of missing bytes of the client: the next line may well be the secret, and names no user.
    pub fn handle_gap(&mut self) {
        self.responses = self.responses.saturating_add(1);
    }

    /// Takes the text of a 334 reply.
    pub fn handle_server(&mut self, challenge_text: &[u8]) {
        if self.mechanism == Mechanism::Login {
            let text = decode(challenge_text).unwrap_or_else(|| challenge_text.to_vec()).to_ascii_lowercase();
            self.asked_password = text.starts_with(b"pass");
        }
    }

    /// The user name, where the mechanism shows it and it was seen.
    pub fn user(&self) -> Option<Wire> {
        self.user.clone()
    }

    /// The mechanism in upper case.
    pub fn mechanism(&self) -> Wire {
        self.name.clone()
    }

    /// Whether the client gave up (`*`).
    pub fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    fn handle_response(&mut self, response: &[u8]) {
        let first = self.responses == 0;
        self.responses = self.responses.saturating_add(1);
        // What follows the response that names the user is a secret in every mechanism.
        if self.user.is_some() {
            return;
        }
        let wanted = match self.mechanism {
            // Some clients put both on one line: only the first word is the user.
            Mechanism::Login => first && !self.asked_password,
            // The first message of NTLM names no user yet.
            Mechanism::Ntlm => true,
            Mechanism::Opaque => false,
            _ => first,
        };
        if !wanted {
            return;
        }
        let response = response.split(|&byte| byte == b' ').next().unwrap_or_default();
        let Some(decoded) = decode(response) else { return };
        self.user = match self.mechanism {
            Mechanism::Plain => plain(&decoded),
            Mechanism::Login => Some(kept(&decoded)),
            Mechanism::CramMd5 => cram_md5(&decoded),
            Mechanism::DigestMd5 => digest_md5(&decoded),
            Mechanism::Ntlm => ntlm(&decoded),
            Mechanism::Scram => gs2(&decoded, b"n="),
            Mechanism::Xoauth2 => xoauth2(&decoded),
            Mechanism::OauthBearer => gs2(&decoded, b"a="),
            Mechanism::Opaque => None,
        };
    }
}

fn kept(user: &[u8]) -> Wire {
    Wire::capped(user, USER_MAX)
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut text = text.trim_ascii();
    while let [rest @ .., b'='] = text {
        text = rest;
    }
    // A cut in the middle of a group of four would not decode; RESPONSE_MAX is a multiple of four.
    LENIENT.decode(text.get(..RESPONSE_MAX).unwrap_or(text)).ok()
}

/// ```abnf
/// message = [authzid] UTF8NUL authcid UTF8NUL passwd
/// ```
fn plain(message: &[u8]) -> Option<Wire> {
    let mut fields = message.splitn(3, |&byte| byte == 0);
    let (_authzid, authcid, _passwd) = (fields.next()?, fields.next()?, fields.next()?);
    Some(kept(authcid))
}

/// The user name, a space, and the digest in hexadecimal.
fn cram_md5(message: &[u8]) -> Option<Wire> {
    let at = message.iter().rposition(|&byte| byte == b' ')?;
    message.get(..at).map(kept)
}

/// ```abnf
/// digest-response = 1#( username | realm | nonce | ... )
/// username        = "username" "=" <"> username-value <">
/// ```
fn digest_md5(message: &[u8]) -> Option<Wire> {
    const NAME: &[u8] = b"username=\"";
    let starts_list = |at: usize| at == 0 || message.get(at - 1).is_some_and(|byte| matches!(byte, b',' | b' '));
    let at = memchr::memmem::find_iter(message, NAME).find(|&at| starts_list(at))?;
    let mut user = Vec::new();
    let mut bytes = message.get(at + NAME.len()..)?.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => return Some(Wire::from(user)),
            b'\\' => user.extend(bytes.next()),
            _ => user.push(byte),
        }
        if user.len() >= USER_MAX {
            return Some(Wire::from(user));
        }
    }
    // No closing quote: what follows could be anything.
    None
}

/// A field of the header that SCRAM (RFC 5802 section 7) and OAUTHBEARER (RFC 7628 section 3.1) begin with:
/// `n,a=authzid,n=user,r=nonce`. In names `=2C` is a comma and `=3D` an equals sign.
fn gs2(message: &[u8], field: &[u8]) -> Option<Wire> {
    let header = message.split(|&byte| byte == 1).next()?;
    // The first field is the channel binding flag, `n` itself.
    let name = header.split(|&byte| byte == b',').skip(1).take(3).find_map(|part| part.strip_prefix(field))?;
    let mut user = Vec::with_capacity(name.len().min(USER_MAX));
    let mut rest = name.get(..USER_MAX).unwrap_or(name);
    loop {
        rest = match rest {
            [] => return Some(Wire::from(user)),
            [b'=', b'2', b'C' | b'c', rest @ ..] => {
                user.push(b',');
                rest
            }
            [b'=', b'3', b'D' | b'd', rest @ ..] => {
                user.push(b'=');
                rest
            }
            [byte, rest @ ..] => {
                user.push(*byte);
                rest
            }
        };
    }
}

/// `user=` up to the first ^A; the token follows.
fn xoauth2(message: &[u8]) -> Option<Wire> {
    message.split(|&byte| byte == 1).next()?.strip_prefix(b"user=").map(kept)
}

/// An AUTHENTICATE_MESSAGE (MS-NLMP section 2.2.1.3): `domain\user`, the responses left alone.
fn ntlm(message: &[u8]) -> Option<Wire> {
    const NEGOTIATE_UNICODE: u32 = 1;
    let u16_at = |at: usize| message.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes);
    let u32_at = |at: usize| message.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    if !message.starts_with(b"NTLMSSP\0") || u32_at(8)? != 3 {
        return None;
    }
    // Old clients send no flags; what they send is OEM text.
    let unicode = u32_at(60).is_some_and(|flags| flags & NEGOTIATE_UNICODE != 0);
    let text_at = |at: usize| {
        let (len, offset) = (usize::from(u16_at(at)?), usize::try_from(u32_at(at + 4)?).ok()?);
        let bytes = message.get(offset..offset.checked_add(len)?)?;
        let bytes = bytes.get(..USER_MAX).unwrap_or(bytes);
        Some(if unicode { utf16(bytes) } else { bytes.to_vec() })
    };
    let (domain, user) = (text_at(28).unwrap_or_default(), text_at(36)?);
    if user.is_empty() {
        // An anonymous log-in.
        return None;
    }
    let name = if domain.is_empty() { user } else { [domain, user].join(&b'\\') };
    Some(kept(&name))
}

fn utf16(bytes: &[u8]) -> Vec<u8> {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Plays an exchange (`C: ` and `S: 334 ` lines after the AUTH command) and returns the user.
    fn play(command: &str, lines: &[&str]) -> Option<String> {
        let mut args = command.strip_prefix("AUTH ").unwrap().splitn(2, ' ');
        let mut exchange = AuthExchange::new(args.next().unwrap().as_bytes(), args.next().map(str::as_bytes));
        for line in lines {
            if let Some(text) = line.strip_prefix("S: 334") {
                exchange.handle_server(text.trim().as_bytes());
            } else {
                exchange.handle_client(line.strip_prefix("C: ").unwrap().as_bytes());
            }
        }
        let shown = format!("{exchange:?}");
        for secret in ["1234", "passwd", "tanstaaf", "secret", "vF9dft4qm", "b913a602c7eda7a495b4e6e7334d3890"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        exchange.user().map(|user| user.to_string())
    }

    fn b64(text: impl AsRef<[u8]>) -> String {
        LENIENT.encode(text)
    }

    #[test]
    fn plain() {
        // RFC 4954 section 4.1: test, test, 1234
        assert_eq!(play("AUTH PLAIN dGVzdAB0ZXN0ADEyMzQ=", &[]).as_deref(), Some("test"));
        assert_eq!(play("AUTH PLAIN", &["S: 334", "C: dGVzdAB0ZXN0ADEyMzQ="]).as_deref(), Some("test"));
        // RFC 4616 section 4
        assert_eq!(play(&format!("AUTH PLAIN {}", b64("\0tim\0tanstaaftanstaaf")), &[]).as_deref(), Some("tim"));
        assert_eq!(play(&format!("AUTH plain {}", b64("Ursel\0Kurt\0secret")), &[]).as_deref(), Some("Kurt"));
        // Padding left out, and too much of it.
        assert_eq!(play("AUTH PLAIN dGVzdAB0ZXN0ADEyMzQ", &[]).as_deref(), Some("test"));
        assert_eq!(play("AUTH PLAIN dGVzdAB0ZXN0ADEyMzQ==", &[]).as_deref(), Some("test"));
        // Without both NULs any part may be the password.
        assert_eq!(play(&format!("AUTH PLAIN {}", b64("secret")), &[]), None);
        assert_eq!(play(&format!("AUTH PLAIN {}", b64("\0secret")), &[]), None);
        assert_eq!(play("AUTH PLAIN !!!!", &[]), None);
        assert_eq!(play("AUTH PLAIN =", &["C: dGVzdAB0ZXN0ADEyMzQ="]).as_deref(), Some("test"));
    }

    #[test]
    fn login() {
        let (user, password) = (b64("guest"), b64("secret"));
        let script = ["S: 334 VXNlcm5hbWU6", &format!("C: {user}"), "S: 334 UGFzc3dvcmQ6", &format!("C: {password}")];
        assert_eq!(play("AUTH LOGIN", &script).as_deref(), Some("guest"));
        // One side only, or everything sent at once.
        assert_eq!(play("AUTH LOGIN", &[script[1], script[3]]).as_deref(), Some("guest"));
        assert_eq!(play("AUTH LOGIN", &[script[1], script[0], script[3], script[2]]).as_deref(), Some("guest"));
        // The user in the command.
        assert_eq!(play(&format!("AUTH LOGIN {user}"), &script[2..]).as_deref(), Some("guest"));
        assert_eq!(play(&format!("AUTH LOGIN {user} {password}"), &[]).as_deref(), Some("guest"));
        // The line with the user was lost, or is not base64: the password does not take its place.
        assert_eq!(play("AUTH LOGIN", &script[2..]), None);
        assert_eq!(play("AUTH LOGIN", &["C: !", script[0], script[3]]), None);
    }

    #[test]
    fn cram_md5() {
        // RFC 2195 section 2
        let script = [
            "S: 334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+",
            "C: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw",
        ];
        assert_eq!(play("AUTH CRAM-MD5", &script).as_deref(), Some("tim"));
        assert_eq!(play("AUTH CRAM-MD5", &[&format!("C: {}", b64("jo doe 0123"))]).as_deref(), Some("jo doe"));
    }

    #[test]
    fn digest_md5() {
        // RFC 2831 section 4, over SMTP as in RFC 4954 section 4.3
        let response =
            b64("charset=utf-8,username=\"chris\",realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",nc=00000001,\
             cnonce=\"OA6MHXh6VqTrRk\",digest-uri=\"imap/elwood.innosoft.com\",\
             response=d388dad90d4bbd760a152321f2143af7,qop=auth");
        assert_eq!(
            play("AUTH DIGEST-MD5", &[&format!("C: {response}"), "S: 334 cnNwYXV0aA", "C: "]).as_deref(),
            Some("chris")
        );
        let escaped = b64(r#"xusername="no",username="a\"b""#);
        assert_eq!(play("AUTH DIGEST-MD5", &[&format!("C: {escaped}")]).as_deref(), Some("a\"b"));
        assert_eq!(play("AUTH DIGEST-MD5", &[&format!("C: {}", b64("username=\"open"))]), None);
    }

    #[test]
    fn scram_and_oauth() {
        // RFC 5802 section 5
        let first = b64("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL");
        assert_eq!(
            play(&format!("AUTH SCRAM-SHA-1 {first}"), &["S: 334 cj1m", "C: Yz1iaXdz"]).as_deref(),
            Some("user")
        );
        // RFC 7628 section 4.1
        let bearer = b64(
            "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01",
        );
        assert_eq!(play(&format!("AUTH OAUTHBEARER {bearer}"), &[]).as_deref(), Some("user@example.com"));
        assert_eq!(play(&format!("AUTH SCRAM-SHA-256 {}", b64("n,,n=a=2Cb=3Dc,r=x")), &[]).as_deref(), Some("a,b=c"));
        let xoauth2 =
            b64("user=someuser@example.com\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==\x01\x01");
        assert_eq!(play(&format!("AUTH XOAUTH2 {xoauth2}"), &[]).as_deref(), Some("someuser@example.com"));
    }

    /// The example of MS-NLMP section 4.2.4: user `User` of `Domain` at `COMPUTER`.
    fn ntlm_message(unicode: bool) -> Vec<u8> {
        let text = |text: &str| -> Vec<u8> {
            if unicode { text.encode_utf16().flat_map(u16::to_le_bytes).collect() } else { text.into() }
        };
        let (domain, user) = (text("Domain"), text("User"));
        let mut message = b"NTLMSSP\0\x03\0\0\0".to_vec();
        let mut offset = 64_u32;
        for len in [0, 0, domain.len(), user.len(), 0, 0] {
            message.extend([len as u8, 0, len as u8, 0]);
            message.extend(offset.to_le_bytes());
            offset += len as u32;
        }
        message.extend(u32::from(unicode).to_le_bytes());
        message.extend(domain);
        message.extend(user);
        message
    }

    #[test]
    fn ntlm() {
        for unicode in [false, true] {
            let script = [
                "S: 334",
                "C: TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAA=",
                "S: 334 TlRMTVNTUAACAAAA",
                &format!("C: {}", b64(ntlm_message(unicode))),
            ];
            assert_eq!(play("AUTH NTLM", &script).as_deref(), Some("Domain\\\\User"), "shown escaped");
        }
        // Every way of cutting it.
        let whole = ntlm_message(true);
        for len in 0..whole.len() {
            assert_eq!(super::ntlm(&whole[..len]), None, "{len}");
        }
        let mut wild = whole;
        wild[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(super::ntlm(&wild), None);
    }

    #[test]
    fn by_name_only_and_given_up() {
        assert_eq!(play(&format!("AUTH GSSAPI {}", b64(b"`\x82secret")), &["S: 334", "C: c2VjcmV0"]), None);
        let mut exchange = AuthExchange::new(b"login", None);
        assert_eq!(exchange.mechanism(), Wire::from("LOGIN"));
        exchange.handle_client(b"*");
        assert!(exchange.is_cancelled());
        exchange.handle_client(b"Z3Vlc3Q=");
        assert_eq!(exchange.user(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(
            mechanism in prop::sample::select(vec![
                "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "NTLM", "SCRAM-SHA-1", "XOAUTH2", "OAUTHBEARER", "X",
            ]),
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..4),
            encoded in any::<bool>(),
        ) {
            let mut exchange = AuthExchange::new(mechanism.as_bytes(), None);
            for message in &messages {
                exchange.handle_server(message);
                if encoded { exchange.handle_client(b64(message).as_bytes()) } else { exchange.handle_client(message) }
            }
            prop_assert!(exchange.user().is_none_or(|user| user.as_bytes().len() <= USER_MAX));
        }

        #[test]
        fn any_ntlm_message_is_taken(mut message in prop::collection::vec(any::<u8>(), 12..200)) {
            message[..12].copy_from_slice(b"NTLMSSP\0\x03\0\0\0");
            super::ntlm(&message);
        }
    }
}
