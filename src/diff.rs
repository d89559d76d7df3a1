//! `smtphound diff`: two reports of the same site, before and after something was done. What got better?
//!
//! Captures are seldom of one length, so traffic is compared by the minute. Incidents are compared by host and class: their
//! ids depend on when they began. That something is not in the second report says that it did not show in what was
//! captured then, and that is how it is told.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;

use crate::detect::{Rounded, Tier};
use crate::error::{Error, Status};
use crate::reports::{HostCounts, Incident, Report};
use crate::time::Ts;

/// Compares the reports at two paths and writes what changed.
pub fn diff(before: &Path, after: &Path, json: bool, columns: usize, out: &mut dyn Write) -> Result<Status, Error> {
    let (before, after) = (Report::read(before)?, Report::read(after)?);
    let change = Change::between(&before, &after);
    if json {
        serde_json::to_writer(&mut *out, &change).map_err(|error| Error::stdout(error.into()))?;
        writeln!(out).map_err(Error::stdout)?;
    } else {
        text::write(out, &change, columns).map_err(Error::stdout)?;
    }
    out.flush().map_err(Error::stdout)?;
    Ok(Status::Done)
}

/// All that changed.
#[derive(Serialize, Debug)]
struct Change<'a> {
    schema_version: u32,
    before: Period<'a>,
    after: Period<'a>,
    /// Incidents of before that are not there any more.
    closed: Vec<Story<'a>>,
    /// Incidents that were not there before.
    opened: Vec<Story<'a>>,
    /// Incidents that are there in both.
    still: Vec<Still<'a>>,
    /// Hosts with an incident in either report, and what they sent.
    hosts: Vec<HostChange>,
    /// All hosts of the site together.
    all: Traffic,
}

/// What a report is of.
#[derive(Serialize, Debug)]
struct Period<'a> {
    files: Vec<&'a str>,
    first_ts: Option<Ts>,
    last_ts: Option<Ts>,
    minutes: Option<Rounded>,
}

/// An incident of one report.
#[derive(Serialize, Debug)]
struct Story<'a> {
    class: &'a str,
    kind: Option<&'a str>,
    host: IpAddr,
    tier: Tier,
    summary: &'a str,
    /// Whether the host has traffic in the other report.
    host_is_there: bool,
}

/// An incident of both.
#[derive(Serialize, Debug)]
struct Still<'a> {
    class: &'a str,
    host: IpAddr,
    tier_before: Tier,
    tier_after: Tier,
    summary: &'a str,
}

/// What a host sent, before and after.
#[derive(Serialize, Debug)]
struct HostChange {
    ip: IpAddr,
    #[serde(flatten)]
    traffic: Traffic,
}

/// Traffic before and after; `null` where nothing was sent or the time is not known.
#[derive(Serialize, Debug)]
struct Traffic {
    /// Mails tried a minute.
    mails: Pair,
    /// Connections and attempts a minute.
    connections: Pair,
    /// By what the mails of before must be divided to come to those of after.
    mails_factor: Option<Rounded>,
    /// Share of mails and calls that were refused: rejected, deferred, or turned away by the greeting.
    refused: Pair,
    /// Share of mails with the null reverse-path.
    null_senders: Pair,
}

#[derive(Serialize, Debug)]
struct Pair {
    before: Option<Rounded>,
    after: Option<Rounded>,
}

/// A host and a class: what makes two incidents one story.
type Key<'a> = (IpAddr, &'a str);

impl<'a> Change<'a> {
    fn between(before: &'a Report, after: &'a Report) -> Self {
        let (was, is) = (stories(before), stories(after));
        let (hosts_before, hosts_after) = (before.by_address(), after.by_address());
        let gone = was.iter().filter(|(key, _)| !is.contains_key(*key));
        let new = is.iter().filter(|(key, _)| !was.contains_key(*key));
        let both = was.iter().filter_map(|(key, was)| Some((was, is.get(key)?)));
        let concerned: BTreeSet<IpAddr> = was.keys().chain(is.keys()).map(|(host, _)| *host).collect();
        let counts = |hosts: &BTreeMap<IpAddr, &crate::reports::Host>, ip| hosts.get(&ip).map(|host| host.counts);
        let traffic = |was: Option<HostCounts>, is: Option<HostCounts>| {
            Traffic::between((was.unwrap_or_default(), minutes(before)), (is.unwrap_or_default(), minutes(after)))
        };
        Self {
            schema_version: 1,
            before: Period::of(before),
            after: Period::of(after),
            closed: gone.map(|(_, story)| Story::of(story, hosts_after.contains_key(&story.host))).collect(),
            opened: new.map(|(_, story)| Story::of(story, hosts_before.contains_key(&story.host))).collect(),
            still: both.map(|(was, is)| Still::of(was, is)).collect(),
            hosts: concerned
                .into_iter()
                .map(|ip| HostChange { ip, traffic: traffic(counts(&hosts_before, ip), counts(&hosts_after, ip)) })
                .collect(),
            all: traffic(Some(total(before)), Some(total(after))),
        }
    }
}

impl<'a> Period<'a> {
    fn of(report: &'a Report) -> Self {
        let (first_ts, last_ts) = report.period().unzip();
        Self {
            files: report.input.iter().map(|input| input.file.as_str()).collect(),
            first_ts,
            last_ts,
            minutes: minutes(report).map(Rounded),
        }
    }
}

impl<'a> Story<'a> {
    fn of(incident: &'a Incident, host_is_there: bool) -> Self {
        Self {
            class: &incident.class,
            kind: incident.kind.as_deref(),
            host: incident.host,
            tier: incident.tier,
            summary: &incident.summary,
            host_is_there,
        }
    }
}

impl<'a> Still<'a> {
    fn of(was: &'a Incident, is: &'a Incident) -> Self {
        Self { class: &is.class, host: is.host, tier_before: was.tier, tier_after: is.tier, summary: &is.summary }
    }
}

impl Traffic {
    fn between(before: (HostCounts, Option<f64>), after: (HostCounts, Option<f64>)) -> Self {
        let pair = |what: fn(HostCounts, Option<f64>) -> Option<f64>| Pair {
            before: what(before.0, before.1).map(Rounded),
            after: what(after.0, after.1).map(Rounded),
        };
        let rate = |count: u64, minutes: Option<f64>| minutes.map(|minutes| count as f64 / minutes);
        let factor = rate(before.0.transactions, before.1)
            .zip(rate(after.0.transactions, after.1))
            .filter(|(_, after)| *after > 0.0)
            .map(|(before, after)| before / after);
        Self {
            mails: pair(|counts, minutes| minutes.map(|minutes| counts.transactions as f64 / minutes)),
            connections: pair(|counts, minutes| minutes.map(|minutes| counts.connections as f64 / minutes)),
            mails_factor: factor.map(Rounded),
            refused: pair(|counts, _| {
                share(counts.refused + counts.turned_away, counts.transactions + counts.turned_away)
            }),
            null_senders: pair(|counts, _| share(counts.null_senders, counts.transactions)),
        }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn minutes(report: &Report) -> Option<f64> {
    report.length().map(|length| length.as_secs_f64() / 60.0)
}

fn stories(report: &Report) -> BTreeMap<Key<'_>, &Incident> {
    report.incidents.iter().map(|incident| ((incident.host, incident.class.as_str()), incident)).collect()
}

fn total(report: &Report) -> HostCounts {
    report.hosts.iter().fold(HostCounts::default(), |sum, host| HostCounts {
        connections: sum.connections + host.counts.connections,
        transactions: sum.transactions + host.counts.transactions,
        null_senders: sum.null_senders + host.counts.null_senders,
        refused: sum.refused + host.counts.refused,
        turned_away: sum.turned_away + host.counts.turned_away,
    })
}
