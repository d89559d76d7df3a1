//! What a detector found: the numbers, the frames and the sessions that it rests on, and a sentence for people.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::roles::Voice;
use super::score::{Class, Confidence, Family, Severity, Tier};
use crate::frame::FrameNo;
use crate::net::HostKey;
use crate::schema::{FrameNumber, Ip, Time, WireText};
use crate::tcp::ConnId;
use crate::time::Ts;
use crate::wire::Wire;

/// One line of evidence against (or about) one host.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// The detector, by the name in the registry.
    pub detector: &'static str,
    /// The host that it is about: one of ours.
    pub host: HostKey,
    /// What it speaks for.
    pub class: Class,
    /// A kind within the class (`reverse`, `mixed`, `other` of an NDR flood).
    pub kind: Option<&'static str>,
    /// Of the senders behind the host's address, the one it is about; `None` where it tells nothing of that.
    pub voice: Option<Voice>,
    /// Which family the line belongs to.
    pub family: Family,
    /// What it weighs in dB, before the family's cap; 0 for lines that only explain.
    pub db: f64,
    /// A plain sentence; wire text in it is escaped already.
    pub says: String,
    /// The numbers it rests on.
    pub numbers: Numbers,
    /// Frames to look at, a few.
    pub frames: Vec<FrameNo>,
    /// Sessions to look at, a few.
    pub sessions: Vec<ConnId>,
    /// Since when.
    pub first: Ts,
    /// Until when.
    pub last: Ts,
    /// For classes that are logic, not a sum: the verdict itself.
    pub verdict: Option<Ruling>,
    /// It makes its incident at least this bad, where the class is a sum.
    pub severity_min: Option<Severity>,
    /// The account that it is about, by the name used to log in.
    pub account: Option<Wire>,
    /// Relay verdicts, one a (server, effective recipient).
    pub relays: Vec<RelayVerdict>,
    /// Other addresses that take part (clients to block, servers that refuse).
    pub peers: Vec<Peer>,
}

impl Finding {
    /// A line that weighs `db`, with everything else empty.
    pub fn summed(
        detector: &'static str,
        host: HostKey,
        class: Class,
        family: Family,
        db: f64,
        first: Ts,
        last: Ts,
    ) -> Self {
        Self {
            detector,
            host,
            class,
            kind: None,
            voice: None,
            family,
            db,
            says: String::new(),
            numbers: Numbers::new(),
            frames: Vec::new(),
            sessions: Vec::new(),
            first,
            last,
            verdict: None,
            severity_min: None,
            account: None,
            relays: Vec::new(),
            peers: Vec::new(),
        }
    }
}

/// The judgement of a class that is logic rather than a sum of decibans.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ruling {
    /// How sure.
    pub tier: Tier,
    /// How bad.
    pub severity: Severity,
    /// At most this confidence, whatever was visible.
    pub confidence: Confidence,
}

/// An address that takes part in an incident.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Peer {
    /// The address.
    #[schemars(with = "Ip")]
    pub ip: HostKey,
    /// What it is to the incident: `refuses`, `triggers`, `client`, [`Peer::INSIDE`].
    pub role: &'static str,
    /// How often.
    pub count: u64,
    /// Its words, if it said any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<WireText>")]
    pub says: Option<Wire>,
    /// The first time.
    #[schemars(with = "Time")]
    pub first_ts: Ts,
    /// The last time.
    #[schemars(with = "Time")]
    pub last_ts: Ts,
}

impl Peer {
    /// The role of a host of ours that does what an incident about another host tells: it is accused with it.
    pub const INSIDE: &'static str = "inside_client";
}

/// What became of one attempt to relay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct RelayVerdict {
    /// The server asked to relay.
    #[schemars(with = "Ip")]
    pub server: HostKey,
    /// Who asked.
    #[schemars(with = "Ip")]
    pub client: HostKey,
    /// The KB 304897 test that the pair matches, and the forms of sender and recipient.
    pub technique: Vec<&'static str>,
    /// The reverse-path as sent.
    #[schemars(with = "WireText")]
    pub sender: Wire,
    /// The forward-path as sent.
    #[schemars(with = "WireText")]
    pub recipient: Wire,
    /// The mailbox that remains when the address is unwrapped.
    #[schemars(with = "WireText")]
    pub effective: Wire,
    /// What came of it.
    pub verdict: RelayOutcome,
    /// The reply that decided, code and text.
    #[schemars(with = "Option<WireText>")]
    pub reply: Option<Wire>,
    /// The attempt's frame.
    #[schemars(with = "FrameNumber")]
    pub frame: FrameNo,
}

/// The four verdicts on a relay attempt; they only move up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RelayOutcome {
    /// Refused at MAIL, RCPT or DATA.
    Rejected,
    /// Accepted; nothing tells what became of it.
    AcceptedUnproven,
    /// Accepted, and a non-delivery report went to the sender: not relayed.
    AcceptedThenNdr,
    /// Onward delivery was seen.
    Proven,
}

impl RelayOutcome {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::AcceptedUnproven => "accepted_unproven",
            Self::AcceptedThenNdr => "accepted_then_ndr",
            Self::Proven => "proven",
        }
    }
}

/// Named numbers of a finding, in the order in which they were added.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Numbers(Vec<(&'static str, f64)>);

impl Numbers {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: f64) -> Self {
        self.0.push((name, value));
        self
    }

    /// With one more, a count.
    #[must_use]
    pub fn count(self, name: &'static str, value: u64) -> Self {
        self.with(name, value as f64)
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.0.iter().copied()
    }
}

/// A map; whole numbers without a fraction, others rounded to three places, so that every run prints the same.
impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(name, value)| (name, Rounded(*value))))
    }
}

/// A number as reports print it: at most three places, and none where it is whole.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rounded(pub f64);

impl Serialize for Rounded {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let rounded = (self.0 * 1000.0).round() / 1000.0;
        if rounded.fract() == 0.0 && rounded.abs() < 1e15 {
            s.serialize_i64(rounded as i64)
        } else {
            s.serialize_f64(rounded)
        }
    }
}
