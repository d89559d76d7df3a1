//! A session line as it is read, and its JSON Schema: the same types for both, so that what is promised is what is
//! understood. Keys and their meaning stand in `docs/report-schema.md`; they are written by `output::sessions`, which does
//! it by hand because it must be fast.
//!
//! Keys that are left out where they have nothing to say are marked `is_absent`, for the schema alone: nothing is written
//! from these types.
//!
//! Keys that a reader does not know are passed over, as the documentation asks of every reader.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::frame::{At, FrameNo};
use crate::net::{HostKey, Mac};
use crate::schema::{CommandText, CommunityId, FrameNumber, HashText, Ip, MacText, StatusText, Time, Uid, WireText};
use crate::session::{AuthResult, Outcome, TlsState, Transfer};
use crate::smtp::Reply;
use crate::smtp::reply::parse_line;
use crate::tcp::ConnState;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// Never asked, because nothing is written: that it is named tells the schema that the key may be absent.
const fn is_absent<T>(_: &T) -> bool {
    false
}

/// A line: a connection to an SMTP port, or a question about mail to a DNS server.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is of use: readers know by `query` which one a line is")]
pub(super) enum Line {
    Session(Box<SessionLine>),
    Question(Box<QuestionLine>),
}

/// One TCP connection to an SMTP port, or a sum of attempts.
#[derive(Deserialize, JsonSchema, Debug)]
pub(super) struct SessionLine {
    /// The first frame.
    #[schemars(with = "Time")]
    pub ts: Ts,
    /// The name of the connection.
    #[schemars(with = "Uid")]
    #[expect(dead_code, reason = "made of the ends and the time, and made of them again")]
    pub uid: String,
    #[schemars(with = "Option<CommunityId>")]
    #[expect(dead_code, reason = "as above")]
    pub community_id: Option<String>,
    #[serde(rename = "id.orig_h")]
    #[schemars(with = "Ip")]
    pub orig_h: HostKey,
    #[serde(rename = "id.orig_p")]
    pub orig_p: Option<u16>,
    #[serde(rename = "id.resp_h")]
    #[schemars(with = "Option<Ip>")]
    pub resp_h: Option<HostKey>,
    #[serde(rename = "id.resp_p")]
    pub resp_p: Option<u16>,
    /// Zeek's summary.
    pub conn_state: ConnState,
    /// Zeek's letters.
    #[schemars(regex(pattern = "^[A-Za-z^]*$"))]
    pub history: String,
    /// Seconds from the first frame to the last.
    #[schemars(with = "f64")]
    pub duration: Seconds,
    pub orig_bytes: u64,
    pub resp_bytes: u64,
    pub missed_bytes: u64,
    /// The greeting: code, status, words.
    #[schemars(with = "Option<WireText>")]
    pub banner: Option<Wire>,
    #[schemars(with = "Option<WireText>")]
    pub helo: Option<Wire>,
    pub esmtp: Option<bool>,
    pub tls: TlsState,
    pub auth: Vec<AuthLine>,
    pub transactions: Vec<TransactionLine>,
    #[schemars(with = "Vec<CommandText>")]
    pub commands: Vec<String>,
    #[schemars(with = "Option<WireText>")]
    pub last_reply: Option<Wire>,
    pub quit: bool,
    pub weird: Vec<String>,
    pub vlan: Vec<u16>,
    pub mac: Option<MacLine>,
    pub encap: Vec<String>,
    pub frames: FramesLine,
    // From here on keys are left out where they have nothing to say.
    /// When it was certain that the connection was over. Lines stand in this order.
    #[schemars(skip_serializing_if = "is_absent")]
    pub told: Option<Moment>,
    /// Only in a sum: attempts that the line stands for.
    #[schemars(skip_serializing_if = "is_absent")]
    pub attempts: Option<u64>,
    /// Only in a sum: distinct servers among them.
    #[expect(dead_code, reason = "a sum is not judged")]
    #[schemars(skip_serializing_if = "is_absent")]
    pub servers: Option<u64>,
    #[serde(default)]
    #[schemars(skip_serializing_if = "is_absent")]
    pub gaps: u32,
    #[serde(default)]
    #[schemars(skip_serializing_if = "is_absent")]
    pub one_sided: bool,
    #[serde(default)]
    #[schemars(skip_serializing_if = "is_absent")]
    pub cut_short: bool,
    #[schemars(skip_serializing_if = "is_absent")]
    pub translated: Option<TranslatedLine>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub syn: Option<SynLine>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub greeted: Option<Moment>,
    #[serde(default)]
    #[schemars(with = "Vec<WireText>")]
    #[schemars(skip_serializing_if = "is_absent")]
    pub more_helos: Vec<Wire>,
    /// The first line of the reply to the name: code, status, words.
    #[schemars(with = "Option<WireText>")]
    #[schemars(skip_serializing_if = "is_absent")]
    pub helo_reply: Option<Wire>,
    #[serde(default)]
    #[schemars(with = "Vec<WireText>")]
    #[schemars(skip_serializing_if = "is_absent")]
    pub ehlo_keywords: Vec<Wire>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub tls_version: Option<u16>,
    #[schemars(with = "Option<WireText>")]
    #[schemars(skip_serializing_if = "is_absent")]
    pub sni: Option<Wire>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub tls_bytes: Option<TlsBytesLine>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub transactions_total: Option<u32>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub commands_total: Option<u32>,
    #[serde(default)]
    #[schemars(skip_serializing_if = "is_absent")]
    pub pipelined: bool,
    #[serde(default)]
    #[schemars(skip_serializing_if = "is_absent")]
    pub dialect: Vec<String>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub smuggling: Option<SmugglingLine>,
    /// Microseconds before each command, from the reply or command before it, and before its reply.
    #[serde(default)]
    #[schemars(with = "Vec<(f64, Option<f64>)>")]
    #[schemars(skip_serializing_if = "is_absent")]
    pub waits_us: Vec<(Micros, Option<Micros>)>,
    #[serde(default)]
    #[schemars(skip_serializing_if = "is_absent")]
    pub events: EventsLine,
}

/// A question to a DNS server that has to do with mail.
#[derive(Deserialize, JsonSchema, Debug)]
pub(super) struct QuestionLine {
    #[schemars(with = "Time")]
    pub ts: Ts,
    #[schemars(with = "Uid")]
    #[expect(dead_code, reason = "it is made of the ends and the time")]
    pub uid: String,
    #[serde(rename = "id.orig_h")]
    #[schemars(with = "Ip")]
    pub orig_h: HostKey,
    #[serde(rename = "id.orig_p")]
    pub orig_p: u16,
    #[serde(rename = "id.resp_h")]
    #[schemars(with = "Ip")]
    pub resp_h: HostKey,
    #[serde(rename = "id.resp_p")]
    pub resp_p: u16,
    /// The name, in lower case, without the final dot.
    #[schemars(with = "WireText")]
    pub query: Wire,
    /// RFC 1035 section 3.2.2.
    pub qtype: u16,
    #[expect(dead_code, reason = "for people")]
    pub qtype_name: String,
    pub frames: FramesLine,
}

/// When something was seen: seconds after the first frame of the connection, and the frame.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug)]
pub(super) struct Moment(#[schemars(with = "f64")] pub Seconds, #[schemars(with = "FrameNumber")] pub u64);

impl Moment {
    /// The same as an instant, on a connection that began then.
    pub(super) fn of(self, begin: Ts) -> At {
        At { ts: begin + self.0.0, frame: FrameNo(self.1) }
    }
}

/// A length of time in seconds.
pub(super) type Seconds = Decimal<9>;
/// A length of time in microseconds.
pub(super) type Micros = Decimal<3>;

/// A length of time, as a number of which so many places make nanoseconds. Read digit by digit: a number of the usual kind
/// holds so many digits for a hundred days only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Decimal<const PLACES: u32>(pub Span);

impl<const PLACES: u32> Decimal<PLACES> {
    fn parse(text: &str) -> Option<i64> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let missing = PLACES.checked_sub(u32::try_from(fraction.len()).ok()?)?;
        let digits: i64 = [whole, fraction].concat().parse().ok()?;
        digits.checked_mul(10_i64.checked_pow(missing)?)
    }
}

impl<'de, const PLACES: u32> Deserialize<'de> for Decimal<PLACES> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(d)?.get();
        // Others may write the same number otherwise: with an exponent, or with more digits.
        let rounded = |number: f64| (number * 10_f64.powi(PLACES.cast_signed())).round() as i64;
        let nanos = Self::parse(text).or_else(|| text.parse().ok().map(rounded));
        nanos.map(|nanos| Self(Span::from_nanos(nanos))).ok_or_else(|| serde::de::Error::custom("a time is no number"))
    }
}

/// The frames of a connection.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug)]
#[schemars(deny_unknown_fields)]
pub(super) struct FramesLine {
    #[schemars(with = "FrameNumber")]
    pub first: u64,
    #[schemars(with = "FrameNumber")]
    pub last: u64,
    pub count: u64,
}

/// Ethernet addresses.
#[derive(Deserialize, JsonSchema, Debug)]
#[schemars(deny_unknown_fields)]
pub(super) struct MacLine {
    #[schemars(with = "MacText")]
    pub orig: Mac,
    #[schemars(with = "MacText")]
    pub resp: Mac,
}

/// The end that a gateway changed, and when that was proven.
#[derive(Deserialize, JsonSchema, Debug)]
#[schemars(deny_unknown_fields)]
pub(super) struct TranslatedLine {
    #[schemars(with = "Option<Ip>")]
    #[schemars(skip_serializing_if = "is_absent")]
    pub orig_h: Option<HostKey>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub orig_p: Option<u16>,
    #[schemars(with = "Option<Ip>")]
    #[schemars(skip_serializing_if = "is_absent")]
    pub resp_h: Option<HostKey>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub resp_p: Option<u16>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub proven: Option<Moment>,
}

/// The client's SYN.
#[derive(Deserialize, JsonSchema, Debug)]
pub(super) struct SynLine {
    /// p0f's raw signature.
    pub p0f: String,
    /// Window, where the signature does not tell.
    #[schemars(skip_serializing_if = "is_absent")]
    pub wsize: Option<u16>,
    /// Four-byte words of TCP options, where their kinds do not tell.
    #[schemars(skip_serializing_if = "is_absent")]
    pub option_words: Option<u8>,
    /// TCP timestamp.
    #[schemars(skip_serializing_if = "is_absent")]
    pub tsval: Option<u32>,
    /// IPv4 identification.
    pub ip_id: u16,
}

/// A reply in its parts.
#[derive(Deserialize, JsonSchema, Debug)]
#[schemars(deny_unknown_fields)]
pub(super) struct ReplyLine {
    #[schemars(range(max = 999))]
    pub code: Option<u16>,
    #[schemars(with = "Option<StatusText>")]
    pub status: Option<String>,
    #[schemars(with = "WireText")]
    pub text: Wire,
}

impl From<ReplyLine> for Reply {
    fn from(line: ReplyLine) -> Self {
        let status = line.status.and_then(|status| parse_line(status.as_bytes()).status);
        Self { code: line.code, status, text: line.text }
    }
}

/// An AUTH exchange.
#[derive(Deserialize, JsonSchema, Debug)]
pub(super) struct AuthLine {
    #[schemars(with = "WireText")]
    pub mechanism: Wire,
    #[schemars(with = "Option<WireText>")]
    pub user: Option<Wire>,
    pub result: AuthResult,
    pub reply: Option<ReplyLine>,
    /// When its last reply came.
    pub ended: Moment,
}

/// A mail.
#[derive(Deserialize, JsonSchema, Debug)]
pub(super) struct TransactionLine {
    #[schemars(with = "WireText")]
    pub mailfrom: Wire,
    pub null_sender: bool,
    pub mail_reply: Option<ReplyLine>,
    pub rcptto: Vec<RecipientLine>,
    pub transfer: Option<Transfer>,
    pub data_reply: Option<ReplyLine>,
    pub size: u64,
    pub outcome: Outcome,
    #[schemars(with = "Option<WireText>")]
    pub msg_id: Option<Wire>,
    #[schemars(with = "Option<HashText>")]
    pub body_hash: Option<String>,
    pub dsn: Option<DsnLine>,
    /// Its number in the session, where that is not its place in the list.
    #[schemars(skip_serializing_if = "is_absent")]
    pub trans_depth: Option<u32>,
    /// When MAIL was sent.
    pub began: Moment,
    /// What ended it, where that was not the last frame.
    #[schemars(skip_serializing_if = "is_absent")]
    pub ended: Option<Moment>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub declared_size: Option<u64>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub rcpt_totals: Option<RcptTotalsLine>,
    /// The refusal of DATA: code, status, words.
    #[schemars(with = "Option<WireText>")]
    #[schemars(skip_serializing_if = "is_absent")]
    pub data_cmd_reply: Option<Wire>,
    /// Whether the mail data were seen to their end, where `data_reply` does not tell.
    #[schemars(skip_serializing_if = "is_absent")]
    pub complete: Option<bool>,
    #[schemars(with = "Option<WireText>")]
    #[schemars(skip_serializing_if = "is_absent")]
    pub from_domain: Option<Wire>,
    #[schemars(with = "Option<WireText>")]
    #[schemars(skip_serializing_if = "is_absent")]
    pub to_domain: Option<Wire>,
    #[schemars(with = "Option<WireText>")]
    #[schemars(skip_serializing_if = "is_absent")]
    pub auto_submitted: Option<Wire>,
}

/// A recipient.
#[derive(Deserialize, JsonSchema, Debug)]
#[schemars(deny_unknown_fields)]
pub(super) struct RecipientLine {
    #[schemars(with = "WireText")]
    pub to: Wire,
    pub reply: Option<ReplyLine>,
}

/// Recipients, counted also beyond those that are listed.
#[derive(Deserialize, JsonSchema, Debug)]
#[schemars(deny_unknown_fields)]
pub(super) struct RcptTotalsLine {
    pub total: u32,
    pub accepted: u32,
    pub rejected: u32,
}

/// A delivery status notification.
#[derive(Deserialize, JsonSchema, Debug)]
pub(super) struct DsnLine {
    #[schemars(with = "Option<WireText>")]
    pub reporting_mta: Option<Wire>,
    #[schemars(with = "Option<WireText>")]
    pub original_envelope_id: Option<Wire>,
    #[schemars(with = "Option<WireText>")]
    pub final_recipient: Option<Wire>,
    #[schemars(with = "Option<WireText>")]
    pub original_recipient: Option<Wire>,
    #[schemars(with = "Option<WireText>")]
    pub action: Option<Wire>,
    #[schemars(with = "Option<WireText>")]
    pub status: Option<Wire>,
    #[schemars(with = "Option<WireText>")]
    pub diagnostic_code: Option<Wire>,
    #[schemars(with = "Option<WireText>")]
    pub remote_mta: Option<Wire>,
    pub recipients: u32,
}

/// Bytes under TLS.
#[derive(Deserialize, JsonSchema, Debug)]
#[schemars(deny_unknown_fields)]
pub(super) struct TlsBytesLine {
    pub orig: u64,
    pub resp: u64,
}

/// A dot line of another form with a command behind it.
#[derive(Deserialize, JsonSchema, Debug)]
pub(super) struct SmugglingLine {
    pub at: Moment,
    #[schemars(with = "WireText")]
    pub around: Wire,
    pub crlf_lines: u64,
    pub lf_lines: u64,
}

/// What events of the session were told with, where that is not what the line tells of all of it.
#[derive(Deserialize, JsonSchema, Default, Debug)]
pub(super) struct EventsLine {
    #[schemars(skip_serializing_if = "is_absent")]
    pub before_helo: Option<u32>,
    #[serde(default)]
    #[schemars(skip_serializing_if = "is_absent")]
    pub helos: Vec<EarlierHelo>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub before_gap: Option<u32>,
    #[schemars(skip_serializing_if = "is_absent")]
    pub late: Option<u32>,
}

/// A name that the client had before the last one.
#[derive(Deserialize, JsonSchema, Debug)]
#[schemars(deny_unknown_fields)]
pub(super) struct EarlierHelo {
    pub until: u32,
    #[schemars(with = "WireText")]
    pub helo: Wire,
}
