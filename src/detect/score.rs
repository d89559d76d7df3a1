//! Scores: sums of lines in decibans, and what they are called.
//!
//! A score is 10 times the decimal logarithm of odds: +10 dB makes a thing ten times as likely. It starts at the prior
//! and adds one line a family, each cut at the family's cap, so that several detectors that look at the same traffic
//! cannot count it twice. It is a score, not a probability, until calibrated on labelled runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The prior: about one host in a hundred (heuristic).
pub const PRIOR_DB: f64 = -20.0;

/// What a host is accused of, or suffers from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A worm or bot that mails the world directly.
    MassMailer,
    /// A mail server that floods strangers with non-delivery reports.
    NdrFlood,
    /// A server that drowns in bounces of mail it never sent.
    BackscatterVictim,
    /// Relaying through a server, attempted or done.
    Relay,
    /// Guessing of accounts.
    AuthGuessing,
    /// A guessed or stolen account that sends.
    AccountAbuse,
    /// Probing for valid recipients.
    DirectoryHarvest,
    /// Refused by the world because the address is listed.
    Blocklisted,
    /// Port 25 taken over by somebody in between.
    Interception,
    /// A local sender address used from outside.
    SenderSpoof,
    /// Most of what is sent is refused.
    RejectionStorm,
    /// Commands hidden in mail data.
    SmtpSmuggling,
    /// Looking for mail servers without mailing.
    PortScan,
}

impl Class {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MassMailer => "mass_mailer",
            Self::NdrFlood => "ndr_flood",
            Self::BackscatterVictim => "backscatter_victim",
            Self::Relay => "relay",
            Self::AuthGuessing => "auth_guessing",
            Self::AccountAbuse => "account_abuse",
            Self::DirectoryHarvest => "directory_harvest",
            Self::Blocklisted => "blocklisted",
            Self::Interception => "interception",
            Self::SenderSpoof => "sender_spoof",
            Self::RejectionStorm => "rejection_storm",
            Self::SmtpSmuggling => "smtp_smuggling",
            Self::PortScan => "port_scan",
        }
    }

    /// Whether the host is the victim rather than the cause: victims are shown, but not ranked as offenders.
    pub const fn is_victim(self) -> bool {
        matches!(self, Self::BackscatterVictim | Self::Blocklisted | Self::Interception | Self::SenderSpoof)
    }
}

/// How sure the program is that the host did it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// At least -10 dB.
    Suspect,
    /// At least 0 dB.
    Likely,
    /// Logical proof, or at least +20 dB out of two families.
    Confirmed,
}

impl Tier {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suspect => "suspect",
            Self::Likely => "likely",
            Self::Confirmed => "confirmed",
        }
    }

    /// The tier of a summed score to which `families` families contributed.
    pub fn of_score(db: f64, families: usize) -> Option<Self> {
        match db {
            db if db >= 20.0 && families >= 2 => Some(Self::Confirmed),
            db if db >= 0.0 => Some(Self::Likely),
            db if db >= -10.0 => Some(Self::Suspect),
            _ => None,
        }
    }
}

/// How bad it is, if it is so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// When there is time.
    Low,
    /// Soon.
    Medium,
    /// Today.
    High,
    /// Now.
    Critical,
}

impl Severity {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// How much of what the judgement needs was visible.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Role unknown, tap outside a NAT, or more than half of the sessions hidden by TLS.
    Low,
    /// Roles were learned, or part of the traffic was hidden or lost.
    Medium,
    /// Roles were given, at least 80 % of the sessions readable, under 1 % lost.
    High,
}

impl Confidence {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A family of evidence: lines within one look at the same thing, so only the strongest counts, up to the cap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Before any evidence.
    Prior,
    /// D1: what became of the host's mail.
    Outcome,
    /// D3: what became of its connection attempts.
    Connect,
    /// D2: mail straight to foreign servers, and to how many.
    Direct,
    /// D12: talking out of turn, foreign verbs, sloppy lines.
    Protocol,
    /// How the host introduces itself.
    Helo,
    /// A rare way of speaking, shared with a confirmed host.
    Dialect,
    /// D14: MX look-ups.
    Dns,
    /// D8 seen from inside.
    Harvest,
    /// D8: probing of our own directory.
    Directory,
    /// D9: active before the gateway was listed.
    Context,
    /// D4: share of null senders.
    Ndr,
    /// D4: reports that answer mail taken before.
    Trigger,
    /// D6: relaying.
    Relay,
    /// D9: refusals.
    Refusal,
    /// D7: accounts.
    Auth,
    /// D5: bounces received.
    Backscatter,
    /// D10: interception and spoofing.
    Interception,
    /// D11: storms of refusals.
    Storm,
    /// D13: smuggling.
    Smuggling,
    /// Attempts without mail.
    Scan,
}

impl Family {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prior => "prior",
            Self::Outcome => "outcome",
            Self::Connect => "connect",
            Self::Direct => "direct",
            Self::Protocol => "protocol",
            Self::Helo => "helo",
            Self::Dialect => "dialect",
            Self::Dns => "dns",
            Self::Harvest => "harvest",
            Self::Directory => "directory",
            Self::Context => "context",
            Self::Ndr => "ndr",
            Self::Trigger => "trigger",
            Self::Relay => "relay",
            Self::Refusal => "refusal",
            Self::Auth => "auth",
            Self::Backscatter => "backscatter",
            Self::Interception => "interception",
            Self::Storm => "storm",
            Self::Smuggling => "smuggling",
            Self::Scan => "scan",
        }
    }

    /// The most that the family may add, in dB (heuristic: what one kind of evidence may weigh against the prior).
    pub const fn cap(self) -> f64 {
        match self {
            Self::Outcome => 40.0,
            Self::Connect => 20.0,
            Self::Direct | Self::Protocol | Self::Harvest => 15.0,
            Self::Helo | Self::Dialect | Self::Dns => 8.0,
            Self::Context => 5.0,
            Self::Trigger => 10.0,
            // A sequential test that stands alone: its alarm is at 50 dB, a little room above it is enough.
            Self::Ndr | Self::Auth | Self::Directory | Self::Storm => 60.0,
            // Logic, not sums: these carry no decibans.
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_family_alone_never_confirms() {
        assert_eq!(Tier::of_score(25.0, 1), Some(Tier::Likely));
        assert_eq!(Tier::of_score(20.0, 2), Some(Tier::Confirmed));
        assert_eq!(Tier::of_score(-0.1, 3), Some(Tier::Suspect));
        assert_eq!(Tier::of_score(-10.1, 3), None);
    }
}
