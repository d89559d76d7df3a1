//! AUTH exchanges: who tries to log in, by which mechanism, and never with what.
//!
//! Read first: RFC 4954 (AUTH), RFC 4616 (PLAIN), RFC 2195 (CRAM-MD5), RFC 2831 (DIGEST-MD5), RFC 5802 (SCRAM), RFC 7628
//! (OAUTHBEARER) and the MS-NLMP document (NTLM). LOGIN has no RFC: the server asks for two things, the user comes first.
//!
//! Passwords, digests and tokens are looked past inside one call and are in no field of any type here, so that no
//! output can show them. Clients err: they send the answer of one mechanism under the name of another, or leave the name
//! out. So a name is told only where all of the answer is in the form of its mechanism, and a mechanism only if it is a
//! known one. What nobody can tell is a secret in the very place of a name, as a password typed in for the user.
//!
//! This room checks no password and follows no Kerberos: of GSSAPI and the like it keeps the name, of unknown mechanisms
//! not even that.

mod mechanism;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::wire::Wire;

use mechanism::Mechanism;
pub(in crate::smtp) use mechanism::known_name;

/// Bytes of a user name that are kept: a mailbox has at most 64 + 1 + 255 (RFC 5321 section 4.5.3.1).
const USER_MAX: usize = 320;

/// Base64 characters of one response that are looked at (RFC 4954 section 4: a line has at most 12,288).
const RESPONSE_MAX: usize = 12_288;

/// Clients get padding and trailing bits wrong, and servers take it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// One exchange, from the AUTH command to its final reply.
#[derive(Clone, Debug)]
pub struct AuthExchange {
    name: &'static str,
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
        let name = known_name(mechanism);
        let mut exchange = Self {
            mechanism: Mechanism::of(name),
            name,
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
            // Password, Passwort, mot de passe.
            self.asked_password = memchr::memmem::find(&text, b"pass").is_some();
        }
    }

    /// The user name, where the mechanism shows it and it was seen.
    pub fn user(&self) -> Option<Wire> {
        self.user.clone()
    }

    /// The mechanism in upper case; `?` for an unknown one.
    pub const fn mechanism(&self) -> &'static str {
        self.name
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
            Mechanism::Login => login(&decoded),
            Mechanism::CramMd5 => cram_md5(&decoded),
            Mechanism::DigestMd5 => digest_md5(&decoded),
            Mechanism::Ntlm => ntlm(&decoded),
            Mechanism::Scram => scram(&decoded),
            Mechanism::Xoauth2 => xoauth2(&decoded),
            Mechanism::OauthBearer => oauthbearer(&decoded),
            Mechanism::Opaque => None,
        };
    }
}

/// A name, if it can be one: text in UTF-8 (as RFC 4616, 5802 and 7628 want it) without control characters. All else is
/// something that does not belong there, as the NULs of PLAIN, or a password that was not encoded and is decoded here.
fn named(user: &[u8]) -> Option<Wire> {
    let is_text = std::str::from_utf8(user).is_ok_and(|text| !text.contains(char::is_control));
    is_text.then(|| Wire::capped(user, USER_MAX))
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut text = text.trim_ascii();
    while let [rest @ .., b'='] = text {
        text = rest;
    }
    // A cut in the middle of a group of four would not decode; RESPONSE_MAX is a multiple of four.
    LENIENT.decode(text.get(..RESPONSE_MAX).unwrap_or(text)).ok()
}

/// All of it is the name. The answer of another mechanism is not; of those that [`named`] would take this knows three.
fn login(message: &[u8]) -> Option<Wire> {
    let foreign = [cram_md5, digest_md5, scram].iter().any(|reads| reads(message).is_some());
    if foreign { None } else { named(message) }
}

/// ```abnf
/// message = [authzid] UTF8NUL authcid UTF8NUL passwd
/// ```
///
/// With less or more than these two, or without a password at the end, any part may be the password.
fn plain(message: &[u8]) -> Option<Wire> {
    let mut fields = message.split(|&byte| byte == 0);
    let (_authzid, authcid, passwd) = (fields.next()?, fields.next()?, fields.next()?);
    let whole = fields.next().is_none() && !authcid.is_empty() && !passwd.is_empty();
    named(authcid).filter(|_| whole)
}

/// The user name, a space, and the digest in hexadecimal (RFC 2195 section 2: 32 digits).
fn cram_md5(message: &[u8]) -> Option<Wire> {
    let (message, digest) = message.split_last_chunk::<32>()?;
    let user = message.strip_suffix(b" ")?;
    if digest.iter().all(u8::is_ascii_hexdigit) { named(user) } else { None }
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
            b'"' => return named(&user),
            b'\\' => user.extend(bytes.next()),
            _ => user.push(byte),
        }
        if user.len() > USER_MAX {
            break;
        }
    }
    // No closing quote where one could be: what follows could be anything.
    None
}

/// ```abnf
/// client-first-message      = gs2-header client-first-message-bare
/// gs2-header                = gs2-cbind-flag "," [ authzid ] ","
/// client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions]
/// username                  = "n=" saslname
/// ```
///
/// RFC 5802 section 7.
fn scram(message: &[u8]) -> Option<Wire> {
    let mut fields = message.split(|&byte| byte == b',').skip(2);
    let user = fields.by_ref().take(2).find_map(|field| field.strip_prefix(b"n="))?;
    if fields.next()?.starts_with(b"r=") { saslname(user) } else { None }
}

/// The same gs2-header with `a=` in it, then the token (RFC 7628 section 3.1): `n,a=user@example.com,^Aauth=Bearer ...`.
fn oauthbearer(message: &[u8]) -> Option<Wire> {
    saslname(before_token(message)?.split(|&byte| byte == b',').nth(1)?.strip_prefix(b"a=")?)
}

/// `user=` up to the first ^A; the token follows.
fn xoauth2(message: &[u8]) -> Option<Wire> {
    named(before_token(message)?.strip_prefix(b"user=")?)
}

/// ```abnf
/// client-resp = (gs2-header kvsep *kvpair kvsep) / kvsep
/// kvpair      = key "=" value kvsep
/// ```
///
/// RFC 7628 section 3.1, and XOAUTH2 has `user=` for the header: what stands before the first ^A. Nothing, where the token
/// is not in the pair `auth` behind it, or where something but an address is before: the token may be in there.
fn before_token(message: &[u8]) -> Option<&[u8]> {
    let mut parts = message.split(|&byte| byte == 1);
    let header = parts.next().filter(|header| !header.contains(&b' '))?;
    let is_token = |part: &[u8]| part.get(..5).is_some_and(|key| key.eq_ignore_ascii_case(b"auth="));
    parts.any(is_token).then_some(header)
}

/// In names `=2C` is a comma and `=3D` an equals sign (RFC 5802 section 5.1).
fn saslname(name: &[u8]) -> Option<Wire> {
    let mut user = Vec::with_capacity(name.len().min(USER_MAX));
    let mut rest = name;
    while let [first, ..] = rest {
        let (byte, len) = match rest {
            [b'=', b'2', b'C' | b'c', ..] => (b',', 3),
            [b'=', b'3', b'D' | b'd', ..] => (b'=', 3),
            _ => (*first, 1),
        };
        user.push(byte);
        rest = rest.get(len..).unwrap_or_default();
    }
    named(&user)
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
    named(&name)
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
        for text in ["guest\0secret\0", "\0guest\0secret\0", "\0\0secret", "a\0guest\0b\0secret", "guest\0\0secret"] {
            assert_eq!(play(&format!("AUTH PLAIN {}", b64(text)), &[]), None, "{text:?}");
        }
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
        for prompt in ["Enter password:", "Mot de passe"] {
            assert_eq!(play("AUTH LOGIN", &[&format!("S: 334 {}", b64(prompt)), script[3]]), None);
        }
    }

    #[test]
    fn the_answer_of_another_mechanism_names_nobody() {
        let digest = "b913a602c7eda7a495b4e6e7334d3890";
        for text in [
            "\0guest\0secret",
            "guest\0secret",
            "guest\tsecret",
            "user=a@b\x01auth=Bearer secret\x01\x01",
            "n,,n=guest,r=secret",
            "username=\"guest\",response=1234",
            &format!("guest {digest}"),
        ] {
            let (text, shown) = (b64(text), text);
            assert_eq!(play(&format!("AUTH LOGIN {text}"), &[]), None, "{shown:?}");
            assert_eq!(play("AUTH LOGIN", &["S: 334 VXNlcm5hbWU6", &format!("C: {text}")]), None, "{shown:?}");
        }
        // A word that was not encoded, and is taken for base64 all the same.
        assert_eq!(play("AUTH LOGIN passwd12", &[]), None);
        for (mechanism, text) in [
            ("XOAUTH2", "user=a@b auth=Bearer secret"),
            ("XOAUTH2", "user=a@b auth=Bearer secret\x01\x01"),
            ("XOAUTH2", "user=a@b\tauth=Bearer secret\x01auth=Bearer secret\x01\x01"),
            ("OAUTHBEARER", "n,a=a@b auth=Bearer secret,"),
            ("OAUTHBEARER", "n,a=secret"),
            ("SCRAM-SHA-1", "n,,n=guest secret"),
            ("SCRAM-SHA-1", "n,,n=guest,p=secret"),
            ("DIGEST-MD5", &format!("username=\"guest password=secret{}", "x".repeat(400))),
        ] {
            assert_eq!(play(&format!("AUTH {mechanism} {}", b64(text)), &[]), None, "{mechanism} {text:?}");
        }
    }

    #[test]
    fn a_word_in_the_place_of_a_mechanism_is_kept_only_if_it_is_one() {
        let name = |word: &str| AuthExchange::new(word.as_bytes(), None).mechanism();
        assert_eq!(
            [name("gssapi"), name("Scram-Sha-256-Plus"), name("XYMCOOKIE")],
            ["GSSAPI", "SCRAM-SHA-256-PLUS", "XYMCOOKIE"]
        );
        for word in ["hunter2", "AHUAaHVudGVyMg==", "PLAIN=", "SCRAM-hunter2", "X-hunter2", ""] {
            assert_eq!(name(word), "?", "{word}");
        }
    }

    #[test]
    fn cram_md5() {
        // RFC 2195 section 2
        let script = [
            "S: 334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+",
            "C: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw",
        ];
        assert_eq!(play("AUTH CRAM-MD5", &script).as_deref(), Some("tim"));
        let digest = "b913a602c7eda7a495b4e6e7334d3890";
        let answer = |text: &str| play("AUTH CRAM-MD5", &[&format!("C: {}", b64(text))]);
        assert_eq!(answer(&format!("jo doe {digest}")).as_deref(), Some("jo doe"));
        // What ends in no digest is something else, as a password in clear.
        for text in ["tim 1234", "\0guest\0secret x", &format!("\0guest\0secret {digest}"), &format!("tim{digest}")] {
            assert_eq!(answer(text), None, "{text:?}");
        }
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
        assert_eq!(exchange.mechanism(), "LOGIN");
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
