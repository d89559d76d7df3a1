//! Reports that were written before, as `diff` and `report` read them: the keys that they need, and no others.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;

use crate::detect::Tier;
use crate::error::Error;
use crate::time::{Span, Ts};
use crate::wire::{escape, shown};

/// Bytes of a report. Ten thousand hosts and as many incidents take some 50 MB.
const REPORT_MAX: u64 = 1 << 30;

/// The version that is understood (`docs/report-schema.md`).
const VERSION: u32 = 1;

/// A report.
#[derive(Deserialize, Debug)]
pub struct Report {
    schema_version: u32,
    /// The inputs.
    pub input: Vec<Input>,
    /// What counted as ours.
    pub site: SiteOf,
    /// Hosts of ours.
    pub hosts: Vec<Host>,
    /// Incidents, the worst first.
    pub incidents: Vec<Incident>,
}

/// An input.
#[derive(Deserialize, Debug)]
pub struct Input {
    /// Its name, escaped.
    pub file: String,
    /// Its first stamp.
    pub first_ts: Option<Ts>,
    /// Its last stamp.
    pub last_ts: Option<Ts>,
}

/// What counted as ours.
#[derive(Deserialize, Debug)]
pub struct SiteOf {
    /// Addresses under which the world sees us.
    pub public_ips: Vec<IpAddr>,
}

/// A host.
#[derive(Deserialize, Debug)]
pub struct Host {
    /// Its address.
    pub ip: IpAddr,
    /// Addresses that a gateway shows for it.
    #[serde(default)]
    pub public_ips: Vec<IpAddr>,
    /// What it did as a client.
    pub counts: HostCounts,
}

/// Counts of a host.
#[derive(Deserialize, Clone, Copy, Default, Debug)]
pub struct HostCounts {
    /// TCP connections and attempts.
    pub connections: u64,
    /// Mails tried.
    pub transactions: u64,
    /// Of these, with the null reverse-path.
    #[serde(default)]
    pub null_senders: u64,
    /// Of these, rejected or deferred.
    #[serde(default)]
    pub refused: u64,
    /// Sessions that were refused by the greeting.
    #[serde(default)]
    pub turned_away: u64,
}

/// An incident.
#[derive(Deserialize, Debug)]
pub struct Incident {
    /// Its name.
    pub id: String,
    /// Its class.
    pub class: String,
    /// Its kind within the class.
    pub kind: Option<String>,
    /// How sure.
    pub tier: Tier,
    /// Whose.
    pub host: IpAddr,
    /// Since when.
    pub first_ts: Ts,
    /// Until when.
    pub last_ts: Ts,
    /// One plain sentence.
    pub summary: String,
    /// The lines of the score.
    pub evidence: Vec<Evidence>,
    /// Attempts to relay.
    pub verdicts: Vec<Verdict>,
    /// Who takes part.
    pub peers: Vec<Peer>,
    /// MITRE ATT&CK techniques.
    pub attack: Vec<String>,
}

/// A line of a score.
#[derive(Deserialize, Debug)]
pub struct Evidence {
    /// What it adds.
    pub db: f64,
    /// A plain sentence.
    pub says: String,
    /// A few sessions, by their `uid`.
    #[serde(default)]
    pub sessions: Vec<String>,
}

/// What became of an attempt to relay.
#[derive(Deserialize, Debug)]
pub struct Verdict {
    /// One of four.
    pub verdict: String,
}

/// Who takes part in an incident.
#[derive(Deserialize, Debug)]
pub struct Peer {
    /// Its address.
    pub ip: IpAddr,
    /// What it is to the incident.
    pub role: String,
}

impl Report {
    /// Reads a report; `-` is standard input.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let fail = |source| Error::ConfigFile { file: shown(path), source };
        let reader: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            Box::new(File::open(path).map_err(fail)?)
        };
        let report: Self = serde_json::from_reader(BufReader::new(reader.take(REPORT_MAX))).map_err(|error| {
            if error.is_io() {
                return fail(error.into());
            }
            let message = format!(
                "this is no report of smtphound ({}): name what --report wrote",
                escape(error.to_string().as_bytes())
            );
            Error::Config { place: shown(path), message }
        })?;
        if report.schema_version != VERSION {
            let message = format!(
                "schema_version is {}, and this program understands {VERSION}: use the program that wrote it",
                report.schema_version
            );
            return Err(Error::Config { place: shown(path), message });
        }
        Ok(report)
    }

    /// From the first stamp to the last.
    pub fn period(&self) -> Option<(Ts, Ts)> {
        let first = self.input.iter().filter_map(|input| input.first_ts).min()?;
        let last = self.input.iter().filter_map(|input| input.last_ts).max()?;
        Some((first, last))
    }

    /// How long that is; `None` where nothing, or only one frame, was read.
    pub fn length(&self) -> Option<Span> {
        let (first, last) = self.period()?;
        Some(last.since(first)).filter(|length| *length > Span::ZERO)
    }

    /// The hosts by their addresses.
    pub fn by_address(&self) -> BTreeMap<IpAddr, &Host> {
        self.hosts.iter().map(|host| (host.ip, host)).collect()
    }
}
