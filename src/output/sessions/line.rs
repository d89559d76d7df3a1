//! The session line: one connection to an SMTP port, told whole. Keys and their order are promised in
//! `docs/report-schema.md`: first those that every line has, then, after `frames`, those that are left out where they
//! have nothing to say and that detectors need to run on lines instead of frames.

use super::json::{Json, key};
use crate::frame::At;
use crate::net::LinkFacts;
use crate::session::{
    AuthAttempt, AuthResult, CommandLog, Dialect, DnsQuery, Dsn, MailFacts, Outcome, Outer, Session, SmtpFacts,
    TlsState, Transaction, Transfer,
};
use crate::tcp::{Attempt, ConnId, ConnState, Connection, SynSignature};
use crate::time::{Span, Ts};
use crate::weird::WeirdSet;
use crate::wire::Wire;

/// What TCP tells of any connection, come about or not.
struct Tcp<'a> {
    state: ConnState,
    history: &'a str,
    duration: Span,
    orig_bytes: u64,
    resp_bytes: u64,
    missed_bytes: u64,
}

impl Tcp<'_> {
    /// SYNs that nobody answered.
    const fn unanswered(duration: Span) -> Self {
        Self { state: ConnState::S0, history: "S", duration, orig_bytes: 0, resp_bytes: 0, missed_bytes: 0 }
    }

    fn write(&self, json: &mut Json) {
        key!(json, "conn_state").plain(state_name(self.state));
        key!(json, "history").plain(self.history);
        key!(json, "duration").seconds(self.duration);
        key!(json, "orig_bytes").number(self.orig_bytes);
        key!(json, "resp_bytes").number(self.resp_bytes);
        key!(json, "missed_bytes").number(self.missed_bytes);
    }
}

/// Where a connection was seen.
struct Seen<'a> {
    link: &'a LinkFacts,
    first: u64,
    last: u64,
    count: u64,
}

impl Seen<'_> {
    fn write(&self, json: &mut Json) {
        key!(json, "vlan").list(self.link.vlans.iter().flatten(), |json, vlan| json.number(*vlan));
        key!(json, "mac").option(self.link.macs, |json, (orig, resp)| {
            json.object(|json| {
                key!(json, "orig").mac(orig);
                key!(json, "resp").mac(resp);
            });
        });
        key!(json, "encap").list(self.link.encaps.iter().flatten(), |json, encap| json.plain(encap.name()));
        key!(json, "frames").object(|json| {
            key!(json, "first").number(self.first);
            key!(json, "last").number(self.last);
            key!(json, "count").number(self.count);
        });
    }
}

/// From when to when a connection lasted: moments are told from its first frame on, and what ended with its last one has
/// none of its own.
#[derive(Clone, Copy)]
pub(super) struct Lasted {
    begin: Ts,
    end: At,
}

impl Lasted {
    pub(super) fn of(conn: &Connection) -> Self {
        Self { begin: conn.id.ts, end: At { ts: conn.id.ts + conn.duration, frame: conn.last } }
    }
}

/// A connection that came about.
pub(super) fn closed(json: &mut Json, session: &Session, told: At) {
    let Session { conn, smtp, outer } = session;
    let lasted = Lasted::of(conn);
    let mut weird = conn.weird;
    weird.merge(smtp.weird);
    json.object(|json| {
        names(json, &conn.id);
        let tcp = Tcp {
            state: conn.state,
            history: conn.history.as_str(),
            duration: conn.duration,
            orig_bytes: conn.orig_bytes,
            resp_bytes: conn.resp_bytes,
            missed_bytes: conn.missed_bytes,
        };
        tcp.write(json);
        dialogue(json, smtp, weird, lasted);
        Seen { link: &conn.link, first: conn.first.0, last: conn.last.0, count: conn.frames }.write(json);
        key!(json, "told").moment(told, lasted.begin);
        if conn.gaps > 0 {
            key!(json, "gaps").number(conn.gaps);
        }
        if conn.one_sided {
            key!(json, "one_sided").bool(true);
        }
        if conn.cut_short {
            key!(json, "cut_short").bool(true);
        }
        if let Some(outer) = outer {
            translated(json, &conn.id, outer);
        }
        if let Some(signature) = &conn.syn {
            syn(json, signature);
        }
        more_dialogue(json, smtp, lasted.begin);
        waits(json, &smtp.commands, lasted.begin);
        heads(json, smtp, lasted.end);
    });
}

/// How long it took until each command was sent, and until it was answered: each from the one before.
fn waits(json: &mut Json, commands: &[CommandLog], begin: Ts) {
    if !commands.is_empty() {
        let mut before = begin;
        key!(json, "waits_us").list(commands, |json, command| {
            json.list([Some(command.said), command.replied], |json, ts| {
                json.option(ts, |json, ts| json.micros(ts.since(std::mem::replace(&mut before, ts))));
            });
        });
    }
}

/// How events differ from what the line tells of the whole session, where they do.
fn heads(json: &mut Json, smtp: &SmtpFacts, end: At) {
    let heads = &smtp.heads;
    let before_helo = smtp.helo.as_ref().map(|_| heads.before_helo);
    let before_helo = before_helo.filter(|events| *events != u32::from(smtp.greeted.is_some()));
    // What ends with the connection is mostly told with it.
    let ended_last = smtp.transactions.iter().filter(|tx| tx.ended == end).count();
    let late = Some(heads.late).filter(|late| *late as usize != ended_last);
    if before_helo.is_none() && heads.earlier.is_empty() && heads.before_gap.is_none() && late.is_none() {
        return;
    }
    key!(json, "events").object(|json| {
        if let Some(events) = before_helo {
            key!(json, "before_helo").number(events);
        }
        if !heads.earlier.is_empty() {
            key!(json, "helos").list(&heads.earlier, |json, (until, name)| {
                json.object(|json| {
                    key!(json, "until").number(*until);
                    key!(json, "helo").wire(name);
                });
            });
        }
        if let Some(events) = heads.before_gap {
            key!(json, "before_gap").number(events);
        }
        if let Some(events) = late {
            key!(json, "late").number(events);
        }
    });
}

/// A question to a DNS server, by the names of Zeek's `dns.log`.
pub(super) fn question(json: &mut Json, query: &DnsQuery) {
    let id = ConnId { ts: query.at.ts, orig: query.client, resp: query.server };
    json.object(|json| {
        key!(json, "ts").stamp(id.ts);
        key!(json, "uid").letters(&id.uid_letters());
        ends(json, &id);
        key!(json, "query").wire(&query.qname);
        key!(json, "qtype").number(query.qtype);
        key!(json, "qtype_name").plain(qtype_name(query.qtype));
        let frame = query.at.frame.0;
        key!(json, "frames").object(|json| {
            key!(json, "first").number(frame);
            key!(json, "last").number(frame);
            key!(json, "count").number(1_u64);
        });
    });
}

/// The name of a type of DNS records, of those that are looked at.
pub(super) const fn qtype_name(qtype: u16) -> &'static str {
    match qtype {
        1 => "A",
        15 => "MX",
        28 => "AAAA",
        _ => "*",
    }
}

/// What the gateway made of the end that it changed.
fn translated(json: &mut Json, id: &ConnId, outer: &Outer) {
    let Outer { ends, proven } = outer;
    key!(json, "translated").object(|json| {
        if ends.orig == id.orig {
            key!(json, "resp_h").host(ends.resp.host);
            key!(json, "resp_p").number(ends.resp.port);
        } else {
            key!(json, "orig_h").host(ends.orig.host);
            key!(json, "orig_p").number(ends.orig.port);
        }
        if let Some(proven) = proven {
            key!(json, "proven").moment(*proven, id.ts);
        }
    });
}

/// A connection attempt that nobody answered.
pub(super) fn unanswered(json: &mut Json, attempt: &Attempt, told: At) {
    json.object(|json| {
        names(json, &attempt.id);
        Tcp::unanswered(attempt.last.ts.since(attempt.id.ts)).write(json);
        let lasted = Lasted { begin: attempt.id.ts, end: attempt.last };
        dialogue(json, &SmtpFacts::default(), WeirdSet::default(), lasted);
        let (first, last) = (attempt.first.0, attempt.last.frame.0);
        Seen { link: &attempt.link, first, last, count: u64::from(attempt.syns) }.write(json);
        key!(json, "told").moment(told, lasted.begin);
        if attempt.cut_short {
            key!(json, "cut_short").bool(true);
        }
        syn(json, &attempt.syn);
    });
}

/// What is told of attempts beyond those that have a line of their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Summed {
    /// How many.
    pub(super) attempts: u64,
    /// Distinct servers among them.
    pub(super) servers: u64,
    /// SYNs, retransmissions included.
    pub(super) syns: u64,
    /// The port that all of them went to, if it was one.
    pub(super) port: Option<u16>,
    /// The last SYN.
    pub(super) last: At,
}

/// Many attempts of one host in one minute. `first` is the first of them; what may differ between them is null.
pub(super) fn summed(json: &mut Json, first: &Attempt, sum: &Summed) {
    json.object(|json| {
        key!(json, "ts").stamp(first.id.ts);
        key!(json, "uid").letters(&first.id.uid_letters());
        key!(json, "community_id").raw("null");
        key!(json, "id.orig_h").host(first.id.orig.host);
        key!(json, "id.orig_p").raw("null");
        key!(json, "id.resp_h").raw("null");
        key!(json, "id.resp_p").option(sum.port, Json::number);
        Tcp::unanswered(sum.last.ts.since(first.id.ts)).write(json);
        let lasted = Lasted { begin: first.id.ts, end: sum.last };
        dialogue(json, &SmtpFacts::default(), WeirdSet::default(), lasted);
        Seen { link: &first.link, first: first.first.0, last: sum.last.frame.0, count: sum.syns }.write(json);
        key!(json, "attempts").number(sum.attempts);
        key!(json, "servers").number(sum.servers);
        syn(json, &first.syn);
    });
}

fn names(json: &mut Json, id: &ConnId) {
    key!(json, "ts").stamp(id.ts);
    key!(json, "uid").letters(&id.uid_letters());
    key!(json, "community_id").letters(id.community_id_letters().as_ref().map_or(&[], |letters| letters));
    ends(json, id);
}

fn ends(json: &mut Json, id: &ConnId) {
    key!(json, "id.orig_h").host(id.orig.host);
    key!(json, "id.orig_p").number(id.orig.port);
    key!(json, "id.resp_h").host(id.resp.host);
    key!(json, "id.resp_p").number(id.resp.port);
}

/// What every line tells of the dialogue.
fn dialogue(json: &mut Json, smtp: &SmtpFacts, weird: WeirdSet, lasted: Lasted) {
    key!(json, "banner").option(smtp.greeting.as_ref(), Json::words);
    key!(json, "helo").option(smtp.helo.as_ref(), Json::wire);
    key!(json, "esmtp").option(smtp.esmtp, Json::bool);
    key!(json, "tls").plain(tls_name(smtp.tls.state));
    key!(json, "auth").list(&smtp.auth, |json, attempt| auth(json, attempt, lasted.begin));
    key!(json, "transactions").list((1_u32..).zip(&smtp.transactions), |json, (depth, tx)| {
        json.object(|json| transaction(json, tx, depth, lasted));
    });
    key!(json, "commands").list(&smtp.commands, |json, command| json.command(command.verb, command.code));
    key!(json, "last_reply").option(smtp.last_reply.as_ref(), Json::words);
    key!(json, "quit").bool(smtp.quit);
    key!(json, "weird").list(weird.iter(), |json, weird| json.plain(weird.name()));
}

/// What is left out of most lines.
fn more_dialogue(json: &mut Json, smtp: &SmtpFacts, begin: Ts) {
    if let Some(greeted) = smtp.greeted {
        key!(json, "greeted").moment(greeted, begin);
    }
    if !smtp.more_helos.is_empty() {
        key!(json, "more_helos").list(&smtp.more_helos, Json::wire);
    }
    if let Some(reply) = &smtp.helo_reply {
        key!(json, "helo_reply").words(reply);
    }
    if !smtp.ehlo_keywords.is_empty() {
        key!(json, "ehlo_keywords").list(&smtp.ehlo_keywords, Json::wire);
    }
    let tls = &smtp.tls;
    if let Some(version) = tls.record_version {
        key!(json, "tls_version").number(version);
    }
    if let Some(text) = &tls.sni {
        key!(json, "sni").wire(text);
    }
    if tls.orig_app_bytes > 0 || tls.resp_app_bytes > 0 {
        key!(json, "tls_bytes").object(|json| {
            key!(json, "orig").number(tls.orig_app_bytes);
            key!(json, "resp").number(tls.resp_app_bytes);
        });
    }
    if smtp.transactions_total as usize > smtp.transactions.len() {
        key!(json, "transactions_total").number(smtp.transactions_total);
    }
    if smtp.commands_total as usize > smtp.commands.len() {
        key!(json, "commands_total").number(smtp.commands_total);
    }
    if smtp.pipelined {
        key!(json, "pipelined").bool(true);
    }
    if smtp.dialect != Dialect::default() {
        key!(json, "dialect").list(smtp.dialect.names(), Json::plain);
    }
    if let Some(facts) = &smtp.smuggling {
        key!(json, "smuggling").object(|json| {
            key!(json, "at").moment(facts.at, begin);
            key!(json, "around").wire(&facts.around);
            key!(json, "crlf_lines").number(facts.crlf_lines);
            key!(json, "lf_lines").number(facts.lf_lines);
        });
    }
}

fn auth(json: &mut Json, auth: &AuthAttempt, begin: Ts) {
    json.object(|json| {
        key!(json, "mechanism").wire(&auth.mechanism);
        key!(json, "user").option(auth.user.as_ref(), Json::wire);
        key!(json, "result").plain(auth_name(auth.result));
        key!(json, "reply").option(auth.reply.as_ref(), Json::reply);
        key!(json, "ended").moment(auth.at, begin);
    });
}

/// A mail; `depth` is its place among those that the line tells.
pub(super) fn transaction(json: &mut Json, tx: &Transaction, depth: u32, lasted: Lasted) {
    let content: Option<&MailFacts> = tx.content.as_deref();
    key!(json, "mailfrom").wire(&tx.mailfrom);
    key!(json, "null_sender").bool(tx.null_sender);
    key!(json, "mail_reply").option(tx.mail_reply.as_ref(), Json::reply);
    key!(json, "rcptto").list(&tx.rcptto, |json, rcpt| {
        json.object(|json| {
            key!(json, "to").wire(&rcpt.to);
            key!(json, "reply").option(rcpt.reply.as_ref(), Json::reply);
        });
    });
    key!(json, "transfer").option(tx.transfer, |json, transfer| json.plain(transfer_name(transfer)));
    key!(json, "data_reply").option(tx.data_reply.as_ref(), Json::reply);
    key!(json, "size").number(tx.size);
    key!(json, "outcome").plain(outcome_name(tx.outcome));
    key!(json, "msg_id").option(content.and_then(|facts| facts.msg_id.as_ref()), Json::wire);
    key!(json, "body_hash").option(content.and_then(|facts| facts.body_hash), |json, hash| {
        json.display(format_args!("\"{hash:032x}\""));
    });
    key!(json, "dsn").option(content.and_then(|facts| facts.dsn.as_ref()), dsn);
    if tx.trans_depth != depth {
        key!(json, "trans_depth").number(tx.trans_depth);
    }
    key!(json, "began").moment(tx.began, lasted.begin);
    if tx.ended != lasted.end {
        key!(json, "ended").moment(tx.ended, lasted.begin);
    }
    if let Some(size) = tx.declared_size {
        key!(json, "declared_size").number(size);
    }
    if tx.rcpt_total as usize > tx.rcptto.len() {
        key!(json, "rcpt_totals").object(|json| {
            key!(json, "total").number(tx.rcpt_total);
            key!(json, "accepted").number(tx.rcpt_accepted);
            key!(json, "rejected").number(tx.rcpt_rejected);
        });
    }
    // That it was to go on stands in `transfer` and `commands`.
    if let Some(reply) = tx.data_cmd_reply.as_ref().filter(|reply| !reply.is_intermediate()) {
        key!(json, "data_cmd_reply").words(reply);
    }
    if tx.complete != tx.data_reply.is_some() {
        key!(json, "complete").bool(tx.complete);
    }
    if let Some(facts) = content {
        if let Some(domain) = facts.from_domain.as_ref().filter(|domain| !is_at(&tx.mailfrom, domain)) {
            key!(json, "from_domain").wire(domain);
        }
        let is_new = |domain: &&Wire| !tx.rcptto.iter().any(|rcpt| is_at(&rcpt.to, domain));
        if let Some(domain) = facts.to_domain.as_ref().filter(is_new) {
            key!(json, "to_domain").wire(domain);
        }
        if let Some(text) = &facts.auto_submitted {
            key!(json, "auto_submitted").wire(text);
        }
    }
}

/// Whether a path ends in `@` and the domain.
fn is_at(path: &Wire, domain: &Wire) -> bool {
    let (path, domain) = (path.as_bytes(), domain.as_bytes());
    let split = path.len().checked_sub(domain.len()).and_then(|at| path.split_at_checked(at));
    split.is_some_and(|(local, end)| local.ends_with(b"@") && end.eq_ignore_ascii_case(domain))
}

fn dsn(json: &mut Json, dsn: &Dsn) {
    json.object(|json| {
        key!(json, "reporting_mta").option(dsn.reporting_mta.as_ref(), Json::wire);
        key!(json, "original_envelope_id").option(dsn.original_envelope_id.as_ref(), Json::wire);
        key!(json, "final_recipient").option(dsn.final_recipient.as_ref(), Json::wire);
        key!(json, "original_recipient").option(dsn.original_recipient.as_ref(), Json::wire);
        key!(json, "action").option(dsn.action.as_ref(), Json::wire);
        key!(json, "status").option(dsn.status.as_ref(), Json::wire);
        key!(json, "diagnostic_code").option(dsn.diagnostic_code.as_ref(), Json::wire);
        key!(json, "remote_mta").option(dsn.remote_mta.as_ref(), Json::wire);
        key!(json, "recipients").number(dsn.recipients);
    });
}

/// The originator's SYN: p0f's signature, and the fields that it leaves out.
fn syn(json: &mut Json, syn: &SynSignature) {
    key!(json, "syn").object(|json| {
        json.p0f(syn);
        if let Some(tsval) = syn.tsval {
            key!(json, "tsval").number(tsval);
        }
        key!(json, "ip_id").number(syn.ip_id);
    });
}

const fn state_name(state: ConnState) -> &'static str {
    match state {
        ConnState::S0 => "S0",
        ConnState::S1 => "S1",
        ConnState::Sf => "SF",
        ConnState::Rej => "REJ",
        ConnState::S2 => "S2",
        ConnState::S3 => "S3",
        ConnState::Rsto => "RSTO",
        ConnState::Rstr => "RSTR",
        ConnState::Rstos0 => "RSTOS0",
        ConnState::Rstrh => "RSTRH",
        ConnState::Sh => "SH",
        ConnState::Shr => "SHR",
        ConnState::Oth => "OTH",
    }
}

const fn tls_name(state: TlsState) -> &'static str {
    match state {
        TlsState::None => "none",
        TlsState::Starttls => "starttls",
        TlsState::StarttlsRefused => "starttls_refused",
        TlsState::StarttlsPlaintext => "starttls_plaintext",
        TlsState::Implicit => "implicit",
    }
}

const fn auth_name(result: AuthResult) -> &'static str {
    match result {
        AuthResult::Succeeded => "succeeded",
        AuthResult::Failed => "failed",
        AuthResult::Cancelled => "cancelled",
        AuthResult::Unknown => "unknown",
    }
}

const fn transfer_name(transfer: Transfer) -> &'static str {
    match transfer {
        Transfer::Data => "DATA",
        Transfer::Bdat => "BDAT",
    }
}

const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Rejected => "rejected",
        Outcome::Deferred => "deferred",
        Outcome::Abandoned => "abandoned",
        Outcome::Incomplete => "incomplete",
        Outcome::Hidden => "hidden",
    }
}
