//! The session line: one connection to an SMTP port, told whole. Keys and their order are promised in
//! `docs/report-schema.md`: first those that every line has, then, after `frames`, those that are left out where they
//! have nothing to say and that detectors need to run on lines instead of frames.

use super::json::Json;
use crate::frame::At;
use crate::net::LinkFacts;
use crate::session::{
    AuthAttempt, AuthResult, Dsn, MailFacts, Outcome, Session, SmtpFacts, TlsState, Transaction, Transfer,
};
use crate::tcp::{Attempt, ConnId, ConnState, SynSignature};
use crate::time::Span;
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
        json.key("conn_state").plain(state_name(self.state));
        json.key("history").plain(self.history);
        json.key("duration").seconds(self.duration);
        json.key("orig_bytes").number(self.orig_bytes);
        json.key("resp_bytes").number(self.resp_bytes);
        json.key("missed_bytes").number(self.missed_bytes);
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
        json.key("vlan").list(self.link.vlans.iter().flatten(), |json, vlan| json.number(*vlan));
        json.key("mac").option(self.link.macs, |json, (orig, resp)| {
            json.object(|json| {
                json.key("orig").mac(orig);
                json.key("resp").mac(resp);
            });
        });
        json.key("encap").list(self.link.encaps.iter().flatten(), |json, encap| json.plain(encap.name()));
        json.key("frames").object(|json| {
            json.key("first").number(self.first);
            json.key("last").number(self.last);
            json.key("count").number(self.count);
        });
    }
}

/// A connection that came about.
pub(super) fn closed(json: &mut Json, session: &Session) {
    let Session { conn, smtp } = session;
    let mut weird = conn.weird;
    weird.merge(smtp.weird);
    json.object(|json| {
        names(json, &conn.id);
        let tcp = Tcp {
            state: conn.state,
            history: &conn.history,
            duration: conn.duration,
            orig_bytes: conn.orig_bytes,
            resp_bytes: conn.resp_bytes,
            missed_bytes: conn.missed_bytes,
        };
        tcp.write(json);
        dialogue(json, smtp, weird);
        Seen { link: &conn.link, first: conn.first.0, last: conn.last.0, count: conn.frames }.write(json);
        if conn.gaps > 0 {
            json.key("gaps").number(conn.gaps);
        }
        flag(json, "one_sided", conn.one_sided);
        flag(json, "cut_short", conn.cut_short);
        if let Some(signature) = &conn.syn {
            syn(json, signature);
        }
        more_dialogue(json, smtp);
    });
}

/// A connection attempt that nobody answered.
pub(super) fn unanswered(json: &mut Json, attempt: &Attempt) {
    json.object(|json| {
        names(json, &attempt.id);
        Tcp::unanswered(attempt.last.ts.since(attempt.id.ts)).write(json);
        dialogue(json, &SmtpFacts::default(), WeirdSet::default());
        let (first, last) = (attempt.first.0, attempt.last.frame.0);
        Seen { link: &attempt.link, first, last, count: u64::from(attempt.syns) }.write(json);
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
        json.key("ts").stamp(first.id.ts);
        json.key("uid").plain(&first.id.uid());
        json.key("community_id").raw("null");
        json.key("id.orig_h").host(first.id.orig.host);
        json.key("id.orig_p").raw("null");
        json.key("id.resp_h").raw("null");
        json.key("id.resp_p").option(sum.port, Json::number);
        Tcp::unanswered(sum.last.ts.since(first.id.ts)).write(json);
        dialogue(json, &SmtpFacts::default(), WeirdSet::default());
        Seen { link: &first.link, first: first.first.0, last: sum.last.frame.0, count: sum.syns }.write(json);
        json.key("attempts").number(sum.attempts);
        json.key("servers").number(sum.servers);
        syn(json, &first.syn);
    });
}

fn names(json: &mut Json, id: &ConnId) {
    json.key("ts").stamp(id.ts);
    json.key("uid").plain(&id.uid());
    json.key("community_id").plain(&id.community_id());
    json.key("id.orig_h").host(id.orig.host);
    json.key("id.orig_p").number(id.orig.port);
    json.key("id.resp_h").host(id.resp.host);
    json.key("id.resp_p").number(id.resp.port);
}

/// What every line tells of the dialogue.
fn dialogue(json: &mut Json, smtp: &SmtpFacts, weird: WeirdSet) {
    json.key("banner").option(smtp.greeting.as_ref(), Json::words);
    json.key("helo").option(smtp.helo.as_ref(), Json::wire);
    json.key("esmtp").option(smtp.esmtp, Json::bool);
    json.key("tls").plain(tls_name(smtp.tls.state));
    json.key("auth").list(&smtp.auth, auth);
    json.key("transactions").list(&smtp.transactions, |json, tx| transaction(json, tx));
    json.key("commands").list(&smtp.commands, |json, command| json.command(command.verb, command.code));
    json.key("last_reply").option(smtp.last_reply.as_ref(), Json::words);
    json.key("quit").bool(smtp.quit);
    json.key("weird").list(weird.iter(), |json, weird| json.plain(weird.name()));
}

/// What is left out of most lines.
fn more_dialogue(json: &mut Json, smtp: &SmtpFacts) {
    if let Some(At { ts, frame }) = smtp.greeted {
        json.key("greeted").object(|json| {
            json.key("ts").stamp(ts);
            json.key("frame").number(frame.0);
        });
    }
    if !smtp.more_helos.is_empty() {
        json.key("more_helos").list(&smtp.more_helos, Json::wire);
    }
    if let Some(reply) = &smtp.helo_reply {
        json.key("helo_reply").reply(reply);
    }
    if !smtp.ehlo_keywords.is_empty() {
        json.key("ehlo_keywords").list(&smtp.ehlo_keywords, Json::wire);
    }
    let tls = &smtp.tls;
    if let Some(version) = tls.record_version {
        json.key("tls_version").number(version);
    }
    wire(json, "sni", tls.sni.as_ref());
    if tls.orig_app_bytes > 0 || tls.resp_app_bytes > 0 {
        json.key("tls_bytes").object(|json| {
            json.key("orig").number(tls.orig_app_bytes);
            json.key("resp").number(tls.resp_app_bytes);
        });
    }
    if smtp.transactions_total as usize > smtp.transactions.len() {
        json.key("transactions_total").number(smtp.transactions_total);
    }
    if smtp.commands_total as usize > smtp.commands.len() {
        json.key("commands_total").number(smtp.commands_total);
    }
    flag(json, "pipelined", smtp.pipelined);
}

fn auth(json: &mut Json, auth: &AuthAttempt) {
    json.object(|json| {
        json.key("mechanism").wire(&auth.mechanism);
        json.key("user").option(auth.user.as_ref(), Json::wire);
        json.key("result").plain(auth_name(auth.result));
        json.key("reply").option(auth.reply.as_ref(), Json::reply);
        json.key("ts").stamp(auth.at.ts);
        json.key("frame").number(auth.at.frame.0);
    });
}

fn transaction(json: &mut Json, tx: &Transaction) {
    let content: Option<&MailFacts> = tx.content.as_deref();
    json.object(|json| {
        json.key("mailfrom").wire(&tx.mailfrom);
        json.key("null_sender").bool(tx.null_sender);
        json.key("mail_reply").option(tx.mail_reply.as_ref(), Json::reply);
        json.key("rcptto").list(&tx.rcptto, |json, rcpt| {
            json.object(|json| {
                json.key("to").wire(&rcpt.to);
                json.key("reply").option(rcpt.reply.as_ref(), Json::reply);
            });
        });
        json.key("transfer").option(tx.transfer, |json, transfer| json.plain(transfer_name(transfer)));
        json.key("data_reply").option(tx.data_reply.as_ref(), Json::reply);
        json.key("size").number(tx.size);
        json.key("outcome").plain(outcome_name(tx.outcome));
        json.key("msg_id").option(content.and_then(|facts| facts.msg_id.as_ref()), Json::wire);
        json.key("body_hash").option(content.and_then(|facts| facts.body_hash), |json, hash| {
            json.display(format_args!("\"{hash:032x}\""));
        });
        json.key("dsn").option(content.and_then(|facts| facts.dsn.as_ref()), dsn);
        json.key("trans_depth").number(tx.trans_depth);
        json.key("ts").stamp(tx.began.ts);
        json.key("end_ts").stamp(tx.ended.ts);
        json.key("frames").list([tx.began.frame, tx.ended.frame], |json, frame| json.number(frame.0));
        if let Some(size) = tx.declared_size {
            json.key("declared_size").number(size);
        }
        if tx.rcpt_total as usize > tx.rcptto.len() {
            json.key("rcpt_totals").object(|json| {
                json.key("total").number(tx.rcpt_total);
                json.key("accepted").number(tx.rcpt_accepted);
                json.key("rejected").number(tx.rcpt_rejected);
            });
        }
        if let Some(reply) = &tx.data_cmd_reply {
            json.key("data_cmd_reply").reply(reply);
        }
        flag(json, "complete", tx.complete);
        if let Some(facts) = content {
            wire(json, "from_domain", facts.from_domain.as_ref());
            wire(json, "to_domain", facts.to_domain.as_ref());
            wire(json, "auto_submitted", facts.auto_submitted.as_ref());
        }
    });
}

fn dsn(json: &mut Json, dsn: &Dsn) {
    json.object(|json| {
        json.key("reporting_mta").option(dsn.reporting_mta.as_ref(), Json::wire);
        json.key("original_envelope_id").option(dsn.original_envelope_id.as_ref(), Json::wire);
        json.key("final_recipient").option(dsn.final_recipient.as_ref(), Json::wire);
        json.key("original_recipient").option(dsn.original_recipient.as_ref(), Json::wire);
        json.key("action").option(dsn.action.as_ref(), Json::wire);
        json.key("status").option(dsn.status.as_ref(), Json::wire);
        json.key("diagnostic_code").option(dsn.diagnostic_code.as_ref(), Json::wire);
        json.key("remote_mta").option(dsn.remote_mta.as_ref(), Json::wire);
        json.key("recipients").number(dsn.recipients);
    });
}

/// The originator's SYN: p0f's signature, and the fields that it leaves out.
fn syn(json: &mut Json, syn: &SynSignature) {
    json.key("syn").object(|json| {
        json.key("p0f").display(format_args!("\"{syn}\""));
        if let Some(tsval) = syn.tsval {
            json.key("tsval").number(tsval);
        }
        json.key("ip_id").number(syn.ip_id);
    });
}

fn flag(json: &mut Json, key: &str, fact: bool) {
    if fact {
        json.key(key).bool(true);
    }
}

fn wire(json: &mut Json, key: &str, text: Option<&Wire>) {
    if let Some(text) = text {
        json.key(key).wire(text);
    }
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
