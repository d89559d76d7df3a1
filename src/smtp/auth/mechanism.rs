//! Mechanisms by name. A name that is not known here is not kept: it may be a password that stands in its place.

/// The mechanisms that show a user name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mechanism {
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

/// IANA's registry "SASL Mechanisms" with the members of its families that are in use, and what mail servers offer beside
/// it: Exchange (`EXCHANGEAUTH`), Courier, Apple and Yahoo.
const NAMES: [&str; 73] = [
    "9798-M-DSA-SHA1",
    "9798-M-ECDSA-SHA1",
    "9798-M-RSA-SHA1-ENC",
    "9798-U-DSA-SHA1",
    "9798-U-ECDSA-SHA1",
    "9798-U-RSA-SHA1-ENC",
    "ANONYMOUS",
    "APOP",
    "ATOKEN",
    "ATOKEN2",
    "CRAM-MD5",
    "CRAM-SHA1",
    "CRAM-SHA256",
    "DIGEST-MD5",
    "EAP-AES128",
    "EAP-AES128-PLUS",
    "ECDH-X25519-CHALLENGE",
    "ECDSA-NIST256P-CHALLENGE",
    "EXCHANGEAUTH",
    "EXTERNAL",
    "GS2-KRB5",
    "GS2-KRB5-PLUS",
    "GSS-SPNEGO",
    "GSSAPI",
    "HT-SHA-256-ENDP",
    "HT-SHA-256-EXPR",
    "HT-SHA-256-NONE",
    "HT-SHA-256-UNIQ",
    "KERBEROS_V4",
    "KERBEROS_V5",
    "LOGIN",
    "MSN",
    "NMAS-SAMBA-AUTH",
    "NMAS_AUTHEN",
    "NMAS_LOGIN",
    "NTLM",
    "OAUTH10A",
    "OAUTHBEARER",
    "OPENID20",
    "OTP",
    "PASSDSS-3DES-1",
    "PLAIN",
    "PLAIN-CLIENTTOKEN",
    "RPA",
    "SAML20",
    "SCRAM-SHA-1",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-224",
    "SCRAM-SHA-224-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-384",
    "SCRAM-SHA-384-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA3-512",
    "SCRAM-SHA3-512-PLUS",
    "SECURID",
    "SKEY",
    "SPNEGO",
    "SPNEGO-PLUS",
    "SRP",
    "SXOVER-PLUS",
    "WETOKEN",
    "WETOKEN2",
    "X-OAUTH2",
    "XAOL-UAS-MB",
    "XOAUTH",
    "XOAUTH2",
    "XYMCOOKIE",
    "XYMCOOKIEB64",
    "XYMECOOKIE",
    "XYMPKI",
];

/// The known name that a word is, in whatever case it was written; `?` for any other.
pub(in crate::smtp) fn known_name(word: &[u8]) -> &'static str {
    NAMES.iter().copied().find(|name| name.as_bytes().eq_ignore_ascii_case(word)).unwrap_or("?")
}

impl Mechanism {
    /// By the known name.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "PLAIN" => Self::Plain,
            "LOGIN" => Self::Login,
            "CRAM-MD5" => Self::CramMd5,
            "DIGEST-MD5" => Self::DigestMd5,
            "NTLM" => Self::Ntlm,
            "XOAUTH2" => Self::Xoauth2,
            "OAUTHBEARER" => Self::OauthBearer,
            _ if name.starts_with("SCRAM-") => Self::Scram,
            _ => Self::Opaque,
        }
    }
}
