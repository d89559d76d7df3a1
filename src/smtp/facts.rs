//! What a dialogue tells beside its commands and replies: plain facts, kept by sessions and read by detectors.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Reply;
use crate::frame::At;
use crate::wire::Wire;

/// How a client writes its commands: habits that RFC 5321 leaves open or that servers forgive, a bit each. A program
/// has its own, whoever runs it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Dialect(u16);

impl Dialect {
    /// The verb MAIL or RCPT is not all upper case.
    pub const VERB_NOT_UPPER: u16 = 1 << 0;
    /// A blank after the colon of MAIL or RCPT.
    pub const SPACE_AFTER_COLON: u16 = 1 << 1;
    /// A blank before it.
    pub const SPACE_BEFORE_COLON: u16 = 1 << 2;
    /// A path without angle brackets.
    pub const NO_BRACKETS: u16 = 1 << 3;
    /// Blanks before a line's end.
    pub const TRAILING_BLANKS: u16 = 1 << 4;
    /// More blanks than one between words.
    pub const EXTRA_BLANKS: u16 = 1 << 5;
    /// A name before the path.
    pub const DISPLAY_NAME: u16 = 1 << 6;
    /// `SIZE=` in MAIL.
    pub const SIZE: u16 = 1 << 7;
    /// `BODY=` in MAIL.
    pub const BODY: u16 = 1 << 8;

    /// Every habit with its name in outputs, in the order of the bits.
    pub const NAMES: [(u16, &str); 9] = [
        (Self::VERB_NOT_UPPER, "verb_not_upper"),
        (Self::SPACE_AFTER_COLON, "space_after_colon"),
        (Self::SPACE_BEFORE_COLON, "space_before_colon"),
        (Self::NO_BRACKETS, "no_brackets"),
        (Self::TRAILING_BLANKS, "trailing_blanks"),
        (Self::EXTRA_BLANKS, "extra_blanks"),
        (Self::DISPLAY_NAME, "display_name"),
        (Self::SIZE, "size"),
        (Self::BODY, "body"),
    ];

    /// The names of the habits.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, name)| name)
    }

    /// With some habits more.
    #[must_use]
    pub const fn with(self, bits: u16) -> Self {
        Self(self.0 | bits)
    }

    /// All habits, as bits.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

/// The first place in mail data where a server may see another end than CRLF.CRLF, with a command behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SmugglingFacts {
    /// The frame with the dot line.
    pub at: At,
    /// At most 64 bytes around the dot line: its line ends tell which form it is. Commands may be among them, and
    /// nothing more of a body.
    pub around: Wire,
    /// Lines of the mail data that CRLF ends, up to there, in the first 4 KiB: who knows no CRLF shows it in the header.
    pub crlf_lines: u64,
    /// Lines that LF alone ends, there.
    pub lf_lines: u64,
}

/// Encryption of a session.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Tls {
    /// Which of the five states.
    pub state: TlsState,
    /// The version of the record layer of the first client record, as on the wire (0x0301 and so on).
    pub record_version: Option<u16>,
    /// The server name that the client asked for (RFC 6066 section 3).
    pub sni: Option<Wire>,
    /// Application bytes that the client sent after the handshake (sizes of records of type 23).
    pub orig_app_bytes: u64,
    /// Application bytes that the server sent after the handshake.
    pub resp_app_bytes: u64,
}

/// Design section 4, key `tls`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsState {
    /// Never asked for.
    #[default]
    None,
    /// STARTTLS, then TLS.
    Starttls,
    /// STARTTLS, and the server said no.
    StarttlsRefused,
    /// STARTTLS, then SMTP in the clear (decrypted in place).
    StarttlsPlaintext,
    /// TLS from the first byte.
    Implicit,
}

impl TlsState {
    /// Whether what follows is hidden from us.
    pub const fn is_hidden(self) -> bool {
        matches!(self, Self::Starttls | Self::Implicit)
    }
}

/// One AUTH exchange (RFC 4954). The secret is not kept anywhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthAttempt {
    /// The frame of the final reply, or of the last line.
    pub at: At,
    /// Mechanism in upper case; `?` for an unknown one, since a password may stand in its place.
    pub mechanism: Wire,
    /// The user name, where the mechanism shows it and the answer was in its form.
    pub user: Option<Wire>,
    /// How it ended.
    pub result: AuthResult,
    /// The final reply.
    pub reply: Option<Reply>,
}

/// How an AUTH exchange ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthResult {
    /// 235
    Succeeded,
    /// 4xx or 5xx
    Failed,
    /// The client gave up (`*`) or went on with something else.
    Cancelled,
    /// The end was not seen.
    Unknown,
}

/// What is kept of mail data: never the body.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct MailFacts {
    /// Message-ID without brackets.
    pub msg_id: Option<Wire>,
    /// Domain of the From header's first address.
    pub from_domain: Option<Wire>,
    /// Domain of the To header's first address.
    pub to_domain: Option<Wire>,
    /// Auto-Submitted (RFC 3834), in lower case, without parameters.
    pub auto_submitted: Option<Wire>,
    /// XXH3-128 of the body's lines after the header, dot-stuffing undone, line ends as CRLF; what a relay leaves as it is.
    pub body_hash: Option<u128>,
    /// Fields of a delivery status notification.
    pub dsn: Option<Dsn>,
}

/// A delivery status notification's fields (RFC 3464): per message, and of the first recipient.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Dsn {
    /// `Reporting-MTA`
    pub reporting_mta: Option<Wire>,
    /// `Original-Envelope-Id`
    pub original_envelope_id: Option<Wire>,
    /// `Final-Recipient`, the address
    pub final_recipient: Option<Wire>,
    /// `Original-Recipient`, the address
    pub original_recipient: Option<Wire>,
    /// `Action`
    pub action: Option<Wire>,
    /// `Status`
    pub status: Option<Wire>,
    /// `Diagnostic-Code`
    pub diagnostic_code: Option<Wire>,
    /// `Remote-MTA`
    pub remote_mta: Option<Wire>,
    /// Recipients reported on.
    pub recipients: u32,
}

impl Dsn {
    /// Whether it is a receipt that the sender asked for (`NOTIFY=SUCCESS`), not one of non-delivery: RFC 3464 section
    /// 2.3.3. The first recipient decides; a report that does not say is none.
    pub fn is_receipt(&self) -> bool {
        self.action.as_ref().is_some_and(|action| matches!(action.as_bytes(), b"delivered" | b"relayed" | b"expanded"))
    }
}
