//! The plain facts of a run that outputs tell besides the judgement: what was read, and what could not be.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::detect::Judge;
use crate::flooders::Flooder;
use crate::incident::Judgement;
use crate::net::HostKey;
use crate::schema::{NamedCounts, Time};
use crate::time::Ts;

/// Counts by name, in the order of the names; names that count nothing are left out.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Counts(BTreeMap<Cow<'static, str>, u64>);

impl Counts {
    /// Adds to the count of a name. Session lines may name any number: a sum ends at the largest.
    pub fn add(&mut self, name: impl Into<Cow<'static, str>>, count: u64) {
        if count > 0 {
            let sum = self.0.entry(name.into()).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    /// The sum.
    pub fn total(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The count of a name.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and counts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, count)| (name.as_ref(), *count))
    }
}

impl<N: Into<Cow<'static, str>>> FromIterator<(N, u64)> for Counts {
    fn from_iter<I: IntoIterator<Item = (N, u64)>>(items: I) -> Self {
        let mut counts = Self::default();
        for (name, count) in items {
            counts.add(name, count);
        }
        counts
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.iter())
    }
}

/// One input and how far it could be read.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Input")]
pub struct InputFacts {
    /// The file's name as given, escaped; `-` for standard input.
    pub file: String,
    /// Frames read.
    pub frames: u64,
    /// Bytes of frames as captured.
    pub bytes: u64,
    /// The first frame's stamp.
    #[schemars(with = "Option<Time>")]
    pub first_ts: Option<Ts>,
    /// The last frame's stamp.
    #[schemars(with = "Option<Time>")]
    pub last_ts: Option<Ts>,
    /// The file ends inside a frame, or inside a line.
    pub truncated: bool,
    /// Session lines read; `None` for a capture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// Why reading ended early, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What became of the frames: `total` is `smtp`, `dns`, `names` and all of `ignored` and `undecoded`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Frames")]
pub struct FrameCounts {
    /// All frames.
    pub total: u64,
    /// Frames with a TCP segment of an SMTP port.
    pub smtp: u64,
    /// Frames with a question about mail to a DNS server.
    pub dns: u64,
    /// Frames in which machines tell names.
    pub names: u64,
    /// Frames that are none of ours, by reason.
    #[schemars(with = "NamedCounts")]
    pub ignored: Counts,
    /// Frames that could not be read, by reason.
    #[schemars(with = "NamedCounts")]
    pub undecoded: Counts,
}

/// What a run read and lost.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RunFacts {
    /// The inputs, in the order given.
    pub inputs: Vec<InputFacts>,
    /// The frames.
    pub frames: FrameCounts,
    /// Holes in streams.
    pub gaps: u64,
    /// Bytes in them.
    pub missed_bytes: u64,
    /// Copies of segments that were recognised.
    pub duplicates: u64,
    /// Connections that were seen on both sides of address translation, and told once.
    pub translated: u64,
    /// Frames lost on the way in, by where (`kernel`, `interface`, `queue`); offline none.
    pub drops: Counts,
    /// Times that a limit took something away, by limit.
    pub limits_hit: Counts,
    /// Cards that flooded with fragments whose datagrams never ended, the busiest first.
    pub fragment_flooders: Vec<Flooder>,
    /// What session lines did not tell, by kind; of captures nothing.
    pub unseen: Counts,
}

/// All that outputs tell of.
#[derive(Clone, Copy, Debug)]
pub struct Results<'a> {
    /// What was read and lost.
    pub facts: &'a RunFacts,
    /// Who knows the site, the roles and the gateway's reputation.
    pub judge: &'a Judge,
    /// Hosts and incidents.
    pub judgement: &'a Judgement,
    /// Where no address of a home net appeared: the addresses that look like ours, and the share of connections that
    /// each takes part in.
    pub candidates: &'a [(HostKey, f64)],
}

impl Results<'_> {
    /// Limits that were reached while reading, and while judging.
    pub(super) fn limits_hit(&self) -> Counts {
        let mut hit = self.facts.limits_hit.clone();
        let stats = self.judge.stats();
        hit.add("judge_hosts", stats.ledger_evicted);
        hit.add("judge_roles", stats.roles_evicted);
        hit.add("judge_names", stats.names_evicted);
        hit.add("judge_filters", stats.early_turns);
        hit.add("flooders_forgotten", self.judge.flooders_forgotten());
        for (detector, stats) in stats.detectors {
            hit.add(format!("{detector}_hosts"), stats.evicted);
            hit.add(format!("{detector}_filters"), stats.early_turns);
        }
        hit
    }
}
