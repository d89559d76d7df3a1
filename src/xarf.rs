//! `smtphound report --xarf`: incidents as reports to an abuse desk, in XARF version 4.
//!
//! Read first: XARF v4's core schema and the types named in `kind_of`. A report names one source: of what a machine of
//! ours did, that machine (by the address that the world sees, where that is known); of what was done to us, each client
//! that did it. Some types want more than an incident report holds: the port of the source, and for spam the envelope. They
//! are taken from the session lines of the same run, where those are given; without them such reports are left out and the
//! operator is told.
//!
//! No confidence is written: XARF wants a probability there, and scores are not calibrated as one. The tier is a tag.

mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use xxhash_rust::xxh3::xxh3_128;

use self::record::{Contact, Details, Evidence, Record};
use crate::error::{Error, Status};
use crate::lines::{self, Between, Found};
use crate::reports::{Incident, Report};
use crate::values::parse_domain;

/// Who reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reporter {
    /// The organisation.
    pub org: String,
    /// Its mail address for questions.
    pub contact: String,
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The incident report.
    pub report: &'a Path,
    /// Session lines of the same run.
    pub sessions: &'a [PathBuf],
    /// Only these incidents, by their ids; all if none is named.
    pub incidents: &'a [String],
    /// Who reports.
    pub reporter: &'a Reporter,
}

/// Writes a line of XARF for each source of each incident. What is left out is told to `complain`.
pub fn write(request: &Request<'_>, out: &mut dyn Write, complain: &mut dyn FnMut(&Error)) -> Result<Status, Error> {
    let report = Report::read(request.report)?;
    if let Some(unknown) = request.incidents.iter().find(|id| report.incidents.iter().all(|one| one.id != **id)) {
        let known: Vec<&str> = report.incidents.iter().map(|incident| incident.id.as_str()).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        return Err(Error::Usage(format!("there is no incident {unknown} in the report: {known}")));
    }
    let wanted = |incident: &&Incident| request.incidents.is_empty() || request.incidents.contains(&incident.id);
    let mut sessions: BTreeMap<Between, Option<Found>> =
        report.incidents.iter().filter(wanted).flat_map(sources).map(|between| (between, None)).collect();
    for path in request.sessions {
        lines::find(path, &mut sessions).map_err(|error| Error::Input(error.to_string()))?;
    }
    let contact = contact(request.reporter)?;
    for incident in report.incidents.iter().filter(wanted) {
        let made = make(&report, incident, &sessions, &contact);
        for record in &made.records {
            serde_json::to_writer(&mut *out, record).map_err(|error| Error::stdout(error.into()))?;
            writeln!(out).map_err(Error::stdout)?;
        }
        if let Some(reason) = made.left_out {
            let text = format!("{} of {} ({}) {reason}", incident.class, incident.host, incident.id);
            complain(&Error::Usage(text));
        }
    }
    out.flush().map_err(Error::stdout)?;
    Ok(Status::Done)
}

/// What an incident becomes.
struct Made {
    records: Vec<Record>,
    /// Why there is none, or not all.
    left_out: Option<&'static str>,
}

const VICTIM: &str = "is not reported: the host is the victim, and who did it is not known by an address";
const INSIDE: &str = "is not reported: a machine of your own did it";
const UNANSWERED: &str = "is not reported: nothing shows that it answers strangers";
const REFUSED: &str = "is not reported: nothing was relayed";
const NEEDS_LINES: &str = "is not reported of every client: its port, and for spam the sender, are needed from the session \
                           lines of the same run (--sessions FILE)";
const NOT_IN_LINES: &str = "is not reported of every client: those left out stand in none of the lines, or sent no mail whose \
                            sender is an address";

/// What is reported of a class, and against whom.
enum Kind {
    /// The host of ours, by the address that the world sees.
    Own(Details),
    /// Every client that took part, with the port of one of its sessions.
    Clients(fn(&Incident, &Found) -> Option<Details>),
    /// Nobody.
    None(&'static str),
}

fn kind_of(incident: &Incident) -> Kind {
    let span = (incident.first_ts, incident.last_ts);
    match incident.class.as_str() {
        "mass_mailer" => Kind::Own(Details::infected_host(span)),
        "ndr_flood" if incident.kind.as_deref() == Some("other") => Kind::None(UNANSWERED),
        "ndr_flood" => Kind::Own(Details::misconfiguration("smtp: non-delivery reports to forged senders")),
        "relay" if incident.verdicts.iter().any(|verdict| verdict.verdict == "proven") => {
            Kind::Own(Details::open_service("smtp open relay"))
        }
        "relay" => Kind::None(REFUSED),
        "port_scan" => Kind::Clients(|incident, found| {
            Some(Details::port_scan((incident.first_ts, incident.last_ts), found.server))
        }),
        "auth_guessing" | "directory_harvest" | "account_abuse" if incident.kind.as_deref() == Some("from_inside") => {
            Kind::None(INSIDE)
        }
        "auth_guessing" => Kind::Clients(|incident, found| {
            Some(Details::login_attack((incident.first_ts, incident.last_ts), found.server))
        }),
        "directory_harvest" => Kind::Clients(|incident, found| {
            Some(Details::reconnaissance((incident.first_ts, incident.last_ts), found.server))
        }),
        "account_abuse" => Kind::Clients(|_, found| Details::spam(found)),
        _ => Kind::None(VICTIM),
    }
}

fn make(report: &Report, incident: &Incident, sessions: &BTreeMap<Between, Option<Found>>, contact: &Contact) -> Made {
    let record = |source: IpAddr, port: Option<u16>, details: Details| Record {
        xarf_version: "4.2.0",
        report_id: uuid(&format!("{} {source}", incident.id)),
        timestamp: incident.last_ts,
        reporter: contact.clone(),
        sender: contact.clone(),
        source_identifier: source,
        source_port: port,
        evidence: vec![evidence(incident)],
        tags: vec![format!("smtphound:{}", incident.class), format!("tier:{}", incident.tier.name())],
        description: cut(&incident.summary, 1000),
        details,
    };
    match kind_of(incident) {
        Kind::None(reason) => Made { records: Vec::new(), left_out: Some(reason) },
        Kind::Own(details) => {
            Made { records: vec![record(seen_as(report, incident.host), None, details)], left_out: None }
        }
        Kind::Clients(details) => {
            let sources = sources(incident);
            let mut records = Vec::new();
            for between in &sources {
                let Some(Some(found)) = sessions.get(between) else { continue };
                let source = if between.0 == incident.host { seen_as(report, between.0) } else { between.0 };
                records
                    .extend(details(incident, found).map(|details| record(source, Some(found.client.port), details)));
            }
            let reason = if sessions.values().any(Option::is_some) { NOT_IN_LINES } else { NEEDS_LINES };
            let left_out = (records.len() < sources.len()).then_some(reason);
            Made { records, left_out }
        }
    }
}

/// Whose sessions tell the rest: a scan is told of the host itself, everything else of the clients that took part.
fn sources(incident: &Incident) -> BTreeSet<Between> {
    if incident.class == "port_scan" {
        return [(incident.host, None)].into();
    }
    let clients = incident.peers.iter().filter(|peer| peer.role == "client");
    clients.map(|peer| (peer.ip, Some(incident.host))).collect()
}

/// The address by which the world knows a host: its own if that is public, else what its gateway shows.
fn seen_as(report: &Report, host: IpAddr) -> IpAddr {
    if !is_private(host) {
        return host;
    }
    let own = report.by_address().get(&host).and_then(|host| host.public_ips.first().copied());
    let of_site = match report.site.public_ips.as_slice() {
        [one] => Some(*one),
        _ => None,
    };
    own.or(of_site).unwrap_or(host)
}

fn is_private(host: IpAddr) -> bool {
    match host {
        IpAddr::V4(four) => four.is_private() || four.is_link_local(),
        IpAddr::V6(six) => six.is_unique_local() || six.is_unicast_link_local(),
    }
}

/// The lines of the score, as they are told to people.
fn evidence(incident: &Incident) -> Evidence {
    let mut text = format!("{}\n", incident.summary);
    for line in &incident.evidence {
        let _ = writeln!(text, "{:+.1} dB: {}", line.db, line.says);
    }
    let description = "What smtphound saw on the wire, and what each line adds to its score".to_owned();
    Evidence { content_type: "text/plain", description, payload: BASE64_STANDARD.encode(text) }
}

/// A UUID of version 4 by its form; its bits are made of the content, so that the same incident has the same id.
fn uuid(content: &str) -> String {
    let bits = xxh3_128(content.as_bytes());
    let bits = bits & !(0xf << 76) | 0x4 << 76;
    let bits = bits & !(0x3 << 62) | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

fn contact(reporter: &Reporter) -> Result<Contact, Error> {
    let wrong = |what: String| Error::Usage(format!("--contact {}: {what}", reporter.contact));
    let (local, domain) = reporter
        .contact
        .rsplit_once('@')
        .filter(|(local, _)| !local.is_empty())
        .ok_or_else(|| wrong("write the mail address of your abuse desk, such as abuse@example.com".to_owned()))?;
    let domain = parse_domain(domain).map_err(wrong)?;
    Ok(Contact { org: cut(&reporter.org, 200), address: format!("{local}@{domain}"), domain })
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_the_form_and_made_of_the_content() {
        let id = uuid("i0123 192.0.2.7");
        assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
        assert_eq!(id, uuid("i0123 192.0.2.7"));
        assert_ne!(id, uuid("i0123 192.0.2.8"));
    }

    #[test]
    fn what_a_machine_of_ours_did_is_reported_to_nobody() {
        let incident = |kind: Option<&str>| {
            let incident = serde_json::json!({
                "id": "i0", "class": "account_abuse", "kind": kind, "tier": "likely", "host": "192.168.10.10",
                "first_ts": "2026-03-04T09:42:00Z", "last_ts": "2026-03-04T09:42:00Z", "summary": "", "evidence": [],
                "verdicts": [], "peers": [], "attack": [],
            });
            serde_json::from_value::<Incident>(incident).unwrap()
        };
        assert!(matches!(kind_of(&incident(Some("from_inside"))), Kind::None(INSIDE)));
        assert!(matches!(kind_of(&incident(Some("guessed"))), Kind::Clients(_)));
    }

    #[test]
    fn a_contact_is_a_mail_address() {
        let reporter = |contact: &str| Reporter { org: "Adatum".to_owned(), contact: contact.to_owned() };
        assert_eq!(contact(&reporter("abuse@Adatum.example")).unwrap().domain, "adatum.example");
        for wrong in ["adatum.example", "@adatum.example", "abuse@", "abuse@a b"] {
            let error = contact(&reporter(wrong)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--contact {wrong}: ")), "{error}");
        }
    }
}
