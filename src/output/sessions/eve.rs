//! The same as EVE events, the form of Suricata's log, for pipelines that read that: `smtp` for each mail, `flow` for each
//! connection, `alert` for an incident.
//!
//! Suricata's schema is closed and knows neither replies nor outcomes, so all that is ours stands under one key,
//! `smtphound`: in a flow the whole session line, in an smtp event the mail of it, in an alert the incident of the report.
//! Counts of packets and bytes a direction, which Suricata takes of frames, are left out rather than guessed: the line
//! has payload bytes.

use std::io;

use xxhash_rust::xxh3::xxh3_64;

use super::super::report::incident_json;
use super::json::{Json, key};
use super::line::{self, Lasted, Summed};
use crate::detect::{Class, Severity};
use crate::frame::At;
use crate::incident::Incident;
use crate::net::HostKey;
use crate::session::{DnsQuery, Session, Transaction};
use crate::tcp::{Attempt, ConnId, ConnState};
use crate::time::{Span, Ts};

/// Numbers of our signatures begin here: 1,000,000 to 1,999,999 are for local use (sidallocation.org).
const SIGNATURES: u64 = 1_250_000;
/// A number of so many bits is exact in every JSON reader.
const FLOW_ID_BITS: u32 = 53;

/// The events of a connection that came about: its mails, then the flow.
pub(super) fn closed(json: &mut Json, session: &Session, told: At) {
    let (conn, smtp) = (&session.conn, &session.smtp);
    for (no, tx) in (0_u32..).zip(&smtp.transactions) {
        mail(json, session, no, Some(tx));
    }
    let is_smtp = smtp.greeting.is_some() || smtp.commands_total > 0;
    if is_smtp && smtp.transactions.is_empty() {
        mail(json, session, 0, None);
    }
    json.line(|json| {
        ends(json, told.ts, "flow", &conn.id, is_smtp);
        key!(json, "flow").object(|json| {
            lasted(json, conn.id.ts, conn.duration);
            key!(json, "state").plain(state(conn.state));
            key!(json, "reason").plain(reason(conn.cut_short));
            key!(json, "alerted").bool(false);
            key!(json, "tx_cnt").number(smtp.transactions_total);
        });
        line::closed(key!(json, "smtphound"), session, told);
    });
}

/// An attempt that nobody answered.
pub(super) fn unanswered(json: &mut Json, attempt: &Attempt, told: At) {
    json.line(|json| {
        ends(json, told.ts, "flow", &attempt.id, false);
        never_open(json, attempt.id.ts, attempt.last.ts, attempt.cut_short);
        line::unanswered(key!(json, "smtphound"), attempt, told);
    });
}

/// Many attempts of one host in a minute: a flow without its other end.
pub(super) fn summed(json: &mut Json, first: &Attempt, sum: &Summed) {
    json.line(|json| {
        stamp(json, sum.last.ts, "flow");
        key!(json, "src_ip").host(first.id.orig.host);
        key!(json, "proto").plain("TCP");
        never_open(json, first.id.ts, sum.last.ts, false);
        line::summed(key!(json, "smtphound"), first, sum);
    });
}

/// A question to a DNS server: what was asked is known, not what was answered.
pub(super) fn question(json: &mut Json, query: &DnsQuery) {
    let id = ConnId { ts: query.at.ts, orig: query.client, resp: query.server };
    json.line(|json| {
        stamp(json, id.ts, "dns");
        flow_id(json, &id);
        addresses(json, &id);
        key!(json, "proto").plain("UDP");
        key!(json, "dns").object(|json| {
            // The form of Suricata 5 to 7: a question an event.
            key!(json, "version").number(2_u64);
            key!(json, "type").plain("query");
            key!(json, "rrname").wire(&query.qname);
            key!(json, "rrtype").plain(line::qtype_name(query.qtype));
        });
        line::question(key!(json, "smtphound"), query);
    });
}

/// An incident as of `now`.
pub(super) fn alert(json: &mut Json, now: Ts, incident: &Incident) -> io::Result<()> {
    let record = incident_json(incident)?;
    json.line(|json| {
        stamp(json, now, "alert");
        key!(json, "src_ip").host(incident.host);
        if let Some(peer) = incident.peers.first() {
            key!(json, "dest_ip").host(peer.ip);
        }
        key!(json, "proto").plain("TCP");
        key!(json, "alert").object(|json| {
            key!(json, "action").plain("allowed");
            key!(json, "gid").number(1_u64);
            key!(json, "signature_id").number(SIGNATURES + number(incident.class));
            key!(json, "rev").number(1_u64);
            key!(json, "signature").display(format_args!("\"smtphound: {}\"", incident.class.name()));
            key!(json, "category").plain(category(incident.class));
            key!(json, "severity").number(severity(incident.severity));
            key!(json, "metadata").object(|json| {
                key!(json, "tier").list([incident.tier.name()], Json::plain);
                key!(json, "confidence").list([incident.confidence.name()], Json::plain);
                key!(json, "signature_severity").list([incident.severity.name()], Json::plain);
                if !incident.attack.is_empty() {
                    key!(json, "mitre_technique_id").list(incident.attack.iter(), |json, id| json.plain(id));
                }
            });
        });
        key!(json, "smtphound").raw(&record);
    });
    Ok(())
}

fn mail(json: &mut Json, session: &Session, no: u32, tx: Option<&Transaction>) {
    let (conn, smtp) = (&session.conn, &session.smtp);
    let ended = tx.map_or(conn.id.ts + conn.duration, |tx| tx.ended.ts);
    json.line(|json| {
        ends(json, ended, "smtp", &conn.id, true);
        key!(json, "tx_id").number(no);
        key!(json, "smtp").object(|json| {
            if let Some(helo) = &smtp.helo {
                key!(json, "helo").wire(helo);
            }
            if let Some(tx) = tx {
                key!(json, "mail_from").bracketed(&tx.mailfrom);
                if !tx.rcptto.is_empty() {
                    key!(json, "rcpt_to").list(&tx.rcptto, |json, rcpt| json.bracketed(&rcpt.to));
                }
            }
        });
        if let Some((tx, content)) = tx.and_then(|tx| Some((tx, tx.content.as_deref()?))) {
            key!(json, "email").object(|json| {
                key!(json, "status").plain(if tx.complete { "PARSE_DONE" } else { "BODY_STARTED" });
                if let Some(id) = &content.msg_id {
                    key!(json, "message_id").bracketed(id);
                }
            });
        }
        if let Some(tx) = tx {
            key!(json, "smtphound").object(|json| {
                key!(json, "ts").stamp(conn.id.ts);
                line::transaction(json, tx, no + 1, Lasted::of(conn));
            });
        }
    });
}

/// What all events of a connection begin with.
fn ends(json: &mut Json, ts: Ts, kind: &'static str, id: &ConnId, is_smtp: bool) {
    stamp(json, ts, kind);
    flow_id(json, id);
    addresses(json, id);
    key!(json, "proto").plain("TCP");
    if is_smtp {
        key!(json, "app_proto").plain("smtp");
    }
    if let Some(letters) = id.community_id_letters() {
        key!(json, "community_id").letters(&letters);
    }
}

fn stamp(json: &mut Json, ts: Ts, kind: &'static str) {
    key!(json, "timestamp").eve_stamp(ts);
    key!(json, "event_type").plain(kind);
}

fn flow_id(json: &mut Json, id: &ConnId) {
    key!(json, "flow_id").number(xxh3_64(&id.uid_letters()) >> (64 - FLOW_ID_BITS));
}

fn addresses(json: &mut Json, id: &ConnId) {
    key!(json, "src_ip").host(id.orig.host);
    key!(json, "src_port").number(id.orig.port);
    key!(json, "dest_ip").host(id.resp.host);
    key!(json, "dest_port").number(id.resp.port);
    key!(json, "ip_v").number(ip_version(id.orig.host));
}

const fn ip_version(host: HostKey) -> u64 {
    if host.is_v4() { 4 } else { 6 }
}

fn never_open(json: &mut Json, begin: Ts, end: Ts, cut_short: bool) {
    key!(json, "flow").object(|json| {
        lasted(json, begin, end.since(begin));
        key!(json, "state").plain("new");
        key!(json, "reason").plain(reason(cut_short));
        key!(json, "alerted").bool(false);
    });
}

/// Why a flow ended.
const fn reason(cut_short: bool) -> &'static str {
    if cut_short { "forced" } else { "timeout" }
}

fn lasted(json: &mut Json, begin: Ts, duration: Span) {
    key!(json, "start").eve_stamp(begin);
    key!(json, "end").eve_stamp(begin + duration);
    key!(json, "age").number((duration.as_nanos() / 1_000_000_000).unsigned_abs());
}

/// Suricata's three states of a flow.
const fn state(state: ConnState) -> &'static str {
    match state {
        ConnState::S0 | ConnState::Oth => "new",
        ConnState::S1 => "established",
        _ => "closed",
    }
}

/// The place of a class in the numbers of signatures: fixed, new ones come at the end.
const fn number(class: Class) -> u64 {
    match class {
        Class::MassMailer => 1,
        Class::NdrFlood => 2,
        Class::BackscatterVictim => 3,
        Class::Relay => 4,
        Class::AuthGuessing => 5,
        Class::AccountAbuse => 6,
        Class::DirectoryHarvest => 7,
        Class::Blocklisted => 8,
        Class::Interception => 9,
        Class::SenderSpoof => 10,
        Class::RejectionStorm => 11,
        Class::SmtpSmuggling => 12,
        Class::PortScan => 13,
    }
}

/// Suricata's severities: 1 is the worst.
const fn severity(severity: Severity) -> u64 {
    match severity {
        Severity::Critical | Severity::High => 1,
        Severity::Medium => 2,
        Severity::Low => 3,
        Severity::Info => 4,
    }
}

/// The nearest of the names in Suricata's `classification.config`.
const fn category(class: Class) -> &'static str {
    match class {
        Class::MassMailer => "A Network Trojan was detected",
        Class::AuthGuessing => "Attempted User Privilege Gain",
        Class::AccountAbuse => "Successful User Privilege Gain",
        Class::DirectoryHarvest => "Attempted Information Leak",
        Class::PortScan => "Detection of a Network Scan",
        Class::NdrFlood | Class::RejectionStorm | Class::BackscatterVictim => "Detection of a Denial of Service Attack",
        Class::Relay | Class::Blocklisted | Class::Interception | Class::SenderSpoof | Class::SmtpSmuggling => {
            "Misc Attack"
        }
    }
}
