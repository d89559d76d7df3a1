//! The incident report: one JSON document a run, `schema_version` 1, as `docs/report-schema.md` promises it.
//!
//! Keys stand in the order of the fields here. A key is never taken away or given another meaning within a version; new
//! ones may come.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;

use ipnet::IpNet;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::{Serialize, Serializer};

use super::facts::{Counts, FrameCounts, InputFacts, Results};
use super::file::BUFFER_BYTES;
use super::floods::Flood;
use super::layout::Lines;
use crate::detect::{Class, Confidence, Family, Numbers, Peer, RelayVerdict, Rounded, Severity, Standing, Tier};
use crate::frame::FrameNo;
use crate::identity::vendor;
use crate::incident::{EvidenceLine, Incident, IncidentId, RankedHost};
use crate::ledger::{HostRow, Role};
use crate::net::{HostKey, Mac};
use crate::schema::{
    self, Decibans, FrameNumber, IncidentName, Ip, MacText, NamedCounts, Net, Technique, Time, Uid, WireText,
};
use crate::tcp::ConnId;
use crate::time::Ts;
use crate::wire::Wire;

/// The version of the report's form; it grows when a key changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// Hosts listed, the worst first. `summary.hosts` tells how many there were: more than ten thousand rows nobody reads,
/// and a flood of made-up addresses must not decide the size of the report.
pub const HOSTS_MAX: usize = 10_000;

/// Writes the report, with a line feed at its end.
pub fn write(out: &mut dyn Write, results: &Results<'_>) -> io::Result<()> {
    // It is written in pieces of some bytes, five a key: each shall be a copy and no call.
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
    let mut json = serde_json::Serializer::with_formatter(&mut out, Lines::default());
    Report::of(results).serialize(&mut json).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// The report's JSON Schema.
pub fn schema() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Report<'static>>()
}

/// What became of an incident.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentChange {
    /// It is new, or there again after it was closed.
    Opened,
    /// Its tier grew.
    Raised,
    /// Nothing came to it for long, or what spoke for it was taken back.
    Closed,
}

impl IncidentChange {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Raised => "raised",
            Self::Closed => "closed",
        }
    }
}

/// Writes an incident as one line, as `watch` tells it while it comes about: `event`, `ts` and the record of the report.
pub fn write_incident_line(out: &mut dyn Write, event: IncidentChange, ts: Ts, incident: &Incident) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'a> {
        event: IncidentChange,
        ts: Ts,
        incident: IncidentRecord<'a>,
    }
    let line = Line { event, ts, incident: IncidentRecord::of(incident) };
    serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

/// An incident as JSON, the record of the report.
pub(super) fn incident_json(incident: &Incident) -> io::Result<String> {
    serde_json::to_string(&IncidentRecord::of(incident)).map_err(io::Error::from)
}

/// Writes a host with its incidents, the records of the report: `host` and `incidents`.
pub fn write_host(out: &mut dyn Write, host: &RankedHost, incidents: &[&Incident]) -> io::Result<()> {
    #[derive(Serialize)]
    struct Selection<'a> {
        schema_version: u32,
        host: HostRecord<'a>,
        incidents: Vec<IncidentRecord<'a>>,
    }
    let incidents = incidents.iter().map(|incident| IncidentRecord::of(incident)).collect();
    let selection = Selection { schema_version: SCHEMA_VERSION, host: HostRecord::of(host), incidents };
    serde_json::to_writer_pretty(&mut *out, &selection).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Report")]
struct Report<'a> {
    schema_version: u32,
    tool: Tool,
    input: &'a [InputFacts],
    capture: Capture<'a>,
    site: SiteRecord<'a>,
    #[schemars(with = "Vec<HostRecord<'a>>")]
    hosts: Hosts<'a>,
    #[schemars(with = "Vec<IncidentRecord<'a>>")]
    incidents: Incidents<'a>,
    summary: Summary,
}

/// The worst [`HOSTS_MAX`] hosts; each record is made when it is written.
struct Hosts<'a>(&'a [RankedHost]);

impl Serialize for Hosts<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().take(HOSTS_MAX).map(HostRecord::of))
    }
}

/// All incidents, in the same way.
struct Incidents<'a>(&'a [Incident]);

impl Serialize for Incidents<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(IncidentRecord::of))
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tool")]
struct Tool {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Capture")]
struct Capture<'a> {
    frames: &'a FrameCounts,
    gaps: u64,
    missed_bytes: u64,
    duplicates: u64,
    translated: u64,
    #[schemars(with = "NamedCounts")]
    drops: &'a Counts,
    #[schemars(with = "NamedCounts")]
    limits_hit: Counts,
    /// Left out where nobody floods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<Flood>>")]
    floods: Vec<Flood>,
    /// Left out of what was judged from frames.
    #[serde(skip_serializing_if = "Counts::is_empty")]
    #[schemars(with = "Option<NamedCounts>")]
    unseen: &'a Counts,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Site")]
struct SiteRecord<'a> {
    #[schemars(with = "Vec<Net>")]
    home_nets: &'a [IpNet],
    mail_servers: Vec<MailServer<'a>>,
    /// Given, and learned beyond doubt.
    #[schemars(with = "Vec<WireText>")]
    local_domains: BTreeSet<Cow<'a, str>>,
    #[schemars(with = "Vec<Ip>")]
    public_ips: Vec<IpAddr>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MailServer")]
struct MailServer<'a> {
    #[schemars(with = "Ip")]
    ip: HostKey,
    learned: bool,
    #[schemars(with = "Option<WireText>")]
    banner: Option<&'a Wire>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Host")]
struct HostRecord<'a> {
    rank: usize,
    #[schemars(with = "Ip")]
    ip: HostKey,
    tier: Option<Tier>,
    #[schemars(with = "Decibans")]
    score_db: Rounded,
    #[schemars(with = "Vec<String>")]
    classes: &'a [Class],
    identity: Identity<'a>,
    /// Left out where no gateway was seen from both sides.
    #[serde(skip_serializing_if = "<[HostKey]>::is_empty")]
    #[schemars(with = "Option<Vec<Ip>>")]
    public_ips: &'a [HostKey],
    counts: HostCountsRecord,
    #[schemars(with = "Time")]
    first_ts: Ts,
    #[schemars(with = "Time")]
    last_ts: Ts,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Identity")]
struct Identity<'a> {
    #[schemars(with = "Vec<MacText>")]
    mac: Vec<Mac>,
    vendor: Option<&'a str>,
    vlan: &'a [u16],
    #[schemars(with = "BTreeMap<String, WireText>")]
    names: BTreeMap<&'static str, &'a Wire>,
    os: Option<String>,
    /// Left out where DHCP told none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<WireText>")]
    dhcp_vendor_class: Option<&'a Wire>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "HostCounts")]
struct HostCountsRecord {
    connections: u64,
    failed: u64,
    sessions: u64,
    transactions: u64,
    rcpt_accepted: u64,
    rcpt_rejected: u64,
    servers: u64,
    /// Mails with the null reverse-path; left out where there are none, as are the next two.
    #[serde(skip_serializing_if = "is_zero")]
    null_senders: u64,
    /// Mails that were rejected or deferred.
    #[serde(skip_serializing_if = "is_zero")]
    refused: u64,
    /// Sessions that were refused by the greeting.
    #[serde(skip_serializing_if = "is_zero")]
    turned_away: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Incident")]
struct IncidentRecord<'a> {
    #[schemars(with = "IncidentName")]
    id: IncidentId,
    #[schemars(with = "String")]
    class: Class,
    kind: Option<&'static str>,
    tier: Tier,
    severity: Severity,
    confidence: Confidence,
    #[schemars(with = "Ip")]
    host: HostKey,
    #[schemars(with = "Option<Decibans>")]
    score_db: Option<Rounded>,
    #[schemars(with = "Vec<WireText>")]
    accounts: &'a [Wire],
    #[schemars(with = "Time")]
    first_ts: Ts,
    #[schemars(with = "Time")]
    last_ts: Ts,
    summary: &'a str,
    evidence: Vec<EvidenceRecord<'a>>,
    verdicts: &'a [RelayVerdict],
    peers: &'a [Peer],
    remediation: &'a [String],
    #[schemars(with = "Vec<Technique>")]
    attack: &'a [&'static str],
}

/// A line of a score. The prior was found by no detector: it has no frames and no sessions.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Evidence")]
struct EvidenceRecord<'a> {
    #[schemars(with = "String")]
    family: Family,
    #[serde(skip_serializing_if = "Option::is_none")]
    detector: Option<&'static str>,
    #[schemars(with = "Decibans")]
    db: Rounded,
    says: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Numbers>")]
    numbers: Option<&'a Numbers>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<FrameNumber>>")]
    frames: Option<&'a [FrameNo]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Uid>>")]
    sessions: Option<Uids<'a>>,
}

/// Sessions by the `uid` of their lines.
struct Uids<'a>(&'a [ConnId]);

impl Serialize for Uids<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(ConnId::uid))
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Summary")]
struct Summary {
    hosts: usize,
    #[schemars(with = "NamedCounts")]
    incidents: Counts,
}

impl<'a> Report<'a> {
    fn of(results: &Results<'a>) -> Self {
        let (facts, judgement) = (results.facts, results.judgement);
        Self {
            schema_version: SCHEMA_VERSION,
            tool: Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
            input: &facts.inputs,
            capture: Capture {
                frames: &facts.frames,
                gaps: facts.gaps,
                missed_bytes: facts.missed_bytes,
                duplicates: facts.duplicates,
                translated: facts.translated,
                drops: &facts.drops,
                limits_hit: results.limits_hit(),
                floods: results.floods(),
                unseen: &facts.unseen,
            },
            site: SiteRecord::of(results),
            hosts: Hosts(&judgement.hosts),
            incidents: Incidents(&judgement.incidents),
            summary: Summary {
                hosts: judgement.hosts.len(),
                incidents: judgement.incidents.iter().map(|incident| (incident.class.name(), 1)).collect(),
            },
        }
    }
}

impl<'a> SiteRecord<'a> {
    fn of(results: &Results<'a>) -> Self {
        let site = results.judge.site();
        // Named servers stand there even if they were never seen.
        let mut servers: BTreeMap<HostKey, MailServer<'a>> = site
            .mail_servers
            .iter()
            .map(|ip| HostKey::from(*ip))
            .map(|ip| (ip, MailServer { ip, learned: false, banner: None }))
            .collect();
        for RankedHost { row, .. } in &results.judgement.hosts {
            if row.role == Role::Server {
                let learned = !site.is_configured_server(row.host);
                servers.insert(row.host, MailServer { ip: row.host, learned, banner: row.banner.as_ref() });
            }
        }
        let (domains, roles) = (results.judge.domains(), results.judge.roles());
        let learned = domains.servers().into_iter().flat_map(|server| {
            domains
                .learned_at(server, roles.banner_name(server))
                .filter(|(_, standing)| *standing == Standing::Confirmed)
                .map(|(name, _)| name.escaped())
        });
        Self {
            home_nets: &site.home_nets,
            mail_servers: servers.into_values().collect(),
            local_domains: site.local_domains.iter().map(Into::into).chain(learned).collect(),
            public_ips: results.judge.reputation().public_ips().collect(),
        }
    }
}

impl<'a> HostRecord<'a> {
    fn of(host: &'a RankedHost) -> Self {
        let row = &host.row;
        Self {
            rank: host.rank,
            ip: row.host,
            tier: host.tier,
            score_db: Rounded(host.score_db),
            classes: &host.classes,
            identity: Identity {
                mac: row.macs().collect(),
                vendor: row.mac().and_then(vendor),
                vlan: &row.vlans,
                names: names(row),
                os: row.system(),
                dhcp_vendor_class: row.identity.as_ref().and_then(|identity| identity.vendor_class.as_ref()),
            },
            public_ips: &row.public,
            counts: HostCountsRecord {
                connections: row.counts.connections,
                failed: row.counts.failed,
                sessions: row.counts.sessions,
                transactions: row.counts.transactions,
                rcpt_accepted: row.counts.rcpt_accepted,
                rcpt_rejected: row.counts.rcpt_rejected,
                servers: row.servers.count(),
                null_senders: row.counts.null_senders,
                refused: row.counts.refused,
                turned_away: row.counts.turned_away,
            },
            first_ts: row.first,
            last_ts: row.last,
        }
    }
}

/// Names by where they come from.
fn names(row: &HostRow) -> BTreeMap<&'static str, &Wire> {
    let told = row.identity.iter().flat_map(|identity| identity.names());
    told.map(|(source, name)| (source.name(), name)).chain(row.helos.first().map(|helo| ("helo", &helo.what))).collect()
}

impl<'a> IncidentRecord<'a> {
    fn of(incident: &'a Incident) -> Self {
        Self {
            id: incident.id,
            class: incident.class,
            kind: incident.kind,
            tier: incident.tier,
            severity: incident.severity,
            confidence: incident.confidence,
            host: incident.host,
            score_db: incident.score_db.map(Rounded),
            accounts: &incident.accounts,
            first_ts: incident.first,
            last_ts: incident.last,
            summary: &incident.summary,
            evidence: incident.evidence.iter().map(EvidenceRecord::of).collect(),
            verdicts: &incident.verdicts,
            peers: &incident.peers,
            remediation: &incident.remediation,
            attack: &incident.attack,
        }
    }
}

impl<'a> EvidenceRecord<'a> {
    fn of(line: &'a EvidenceLine) -> Self {
        let found = line.detector.is_some();
        Self {
            family: line.family,
            detector: line.detector,
            db: Rounded(line.db),
            says: &line.says,
            numbers: found.then_some(&line.numbers),
            frames: found.then_some(&line.frames),
            sessions: found.then_some(Uids(&line.sessions)),
        }
    }
}

#[cfg(test)]
mod tests;
