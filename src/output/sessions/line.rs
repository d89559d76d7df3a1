//! The session line: one connection to an SMTP port, told whole. Keys and their order are promised in
//! `docs/report-schema.md`: first those that every line has, then, after `frames`, those that are left out where they
//! have nothing to say and that detectors need to run on lines instead of frames.

use serde::Serialize;

use super::super::ids;
use super::fast::{Commands, Hash, MacText, Present, Stamp, Words, none_of};
use crate::frame::{At, FrameNo};
use crate::net::{Encap, HostKey, LinkFacts};
use crate::session::{
    AuthAttempt, AuthResult, Dsn, MailFacts, Outcome, Recipient, Session, TlsState, Transaction, Transfer,
};
use crate::smtp::Reply;
use crate::tcp::{Attempt, ConnId, ConnState, SynSignature};
use crate::time::Span;
use crate::weird::WeirdSet;
use crate::wire::Wire;

/// One line.
#[derive(Serialize)]
pub(super) struct SessionLine<'a> {
    ts: Stamp,
    uid: String,
    community_id: Option<String>,
    #[serde(rename = "id.orig_h")]
    orig_h: HostKey,
    #[serde(rename = "id.orig_p")]
    orig_p: Option<u16>,
    #[serde(rename = "id.resp_h")]
    resp_h: Option<HostKey>,
    #[serde(rename = "id.resp_p")]
    resp_p: Option<u16>,
    conn_state: ConnState,
    history: &'a str,
    duration: Span,
    orig_bytes: u64,
    resp_bytes: u64,
    missed_bytes: u64,
    banner: Option<Words<'a>>,
    helo: Option<&'a Wire>,
    esmtp: Option<bool>,
    tls: TlsState,
    auth: Auths<'a>,
    transactions: Transactions<'a>,
    commands: Commands<'a>,
    last_reply: Option<Words<'a>>,
    quit: bool,
    weird: WeirdSet,
    vlan: Present<'a, u16>,
    mac: Option<Macs>,
    encap: Present<'a, Encap>,
    frames: Frames,
    // What follows is left out where it has nothing to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    gaps: u32,
    #[serde(skip_serializing_if = "is_false")]
    one_sided: bool,
    #[serde(skip_serializing_if = "is_false")]
    cut_short: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    syn: Option<Syn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    greeted: Option<Moment>,
    #[serde(skip_serializing_if = "none_of")]
    more_helos: &'a [Wire],
    #[serde(skip_serializing_if = "Option::is_none")]
    helo_reply: Option<&'a Reply>,
    #[serde(skip_serializing_if = "none_of")]
    ehlo_keywords: &'a [Wire],
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_version: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<&'a Wire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_bytes: Option<TlsBytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transactions_total: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commands_total: Option<u32>,
    #[serde(skip_serializing_if = "is_false")]
    pipelined: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_false(fact: &bool) -> bool {
    !*fact
}

#[derive(Serialize)]
struct Macs {
    orig: MacText,
    resp: MacText,
}

#[derive(Serialize)]
struct Frames {
    first: FrameNo,
    last: FrameNo,
    count: u64,
}

#[derive(Serialize)]
struct TlsBytes {
    orig: u64,
    resp: u64,
}

#[derive(Serialize)]
struct Moment {
    ts: Stamp,
    frame: FrameNo,
}

impl From<At> for Moment {
    fn from(at: At) -> Self {
        Self { ts: Stamp(at.ts), frame: at.frame }
    }
}

/// The originator's SYN: p0f's signature, and the fields that it leaves out.
#[derive(Serialize)]
struct Syn {
    p0f: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tsval: Option<u32>,
    ip_id: u16,
}

impl From<&SynSignature> for Syn {
    fn from(syn: &SynSignature) -> Self {
        Self { p0f: ids::p0f(syn).to_owned(), tsval: syn.tsval, ip_id: syn.ip_id }
    }
}

struct Auths<'a>(&'a [AuthAttempt]);

impl Serialize for Auths<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(AuthRecord::from))
    }
}

#[derive(Serialize)]
struct AuthRecord<'a> {
    mechanism: &'a Wire,
    user: Option<&'a Wire>,
    result: AuthResult,
    reply: Option<&'a Reply>,
    ts: Stamp,
    frame: FrameNo,
}

impl<'a> From<&'a AuthAttempt> for AuthRecord<'a> {
    fn from(auth: &'a AuthAttempt) -> Self {
        Self {
            mechanism: &auth.mechanism,
            user: auth.user.as_ref(),
            result: auth.result,
            reply: auth.reply.as_ref(),
            ts: Stamp(auth.at.ts),
            frame: auth.at.frame,
        }
    }
}

struct Transactions<'a>(&'a [std::sync::Arc<Transaction>]);

impl Serialize for Transactions<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|tx| TransactionRecord::from(&**tx)))
    }
}

#[derive(Serialize)]
struct TransactionRecord<'a> {
    mailfrom: &'a Wire,
    null_sender: bool,
    mail_reply: Option<&'a Reply>,
    rcptto: Recipients<'a>,
    transfer: Option<Transfer>,
    data_reply: Option<&'a Reply>,
    size: u64,
    outcome: Outcome,
    msg_id: Option<&'a Wire>,
    body_hash: Option<Hash>,
    dsn: Option<&'a Dsn>,
    trans_depth: u32,
    ts: Stamp,
    end_ts: Stamp,
    frames: [FrameNo; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    declared_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rcpt_totals: Option<RcptTotals>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_cmd_reply: Option<&'a Reply>,
    #[serde(skip_serializing_if = "is_false")]
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_domain: Option<&'a Wire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_domain: Option<&'a Wire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_submitted: Option<&'a Wire>,
}

/// Counts of RCPT commands where there were more than `rcptto` lists.
#[derive(Serialize)]
struct RcptTotals {
    total: u32,
    accepted: u32,
    rejected: u32,
}

impl<'a> From<&'a Transaction> for TransactionRecord<'a> {
    fn from(tx: &'a Transaction) -> Self {
        let content: Option<&'a MailFacts> = tx.content.as_deref();
        let of = |field: fn(&MailFacts) -> Option<&Wire>| content.and_then(field);
        Self {
            mailfrom: &tx.mailfrom,
            null_sender: tx.null_sender,
            mail_reply: tx.mail_reply.as_ref(),
            rcptto: Recipients(&tx.rcptto),
            transfer: tx.transfer,
            data_reply: tx.data_reply.as_ref(),
            size: tx.size,
            outcome: tx.outcome,
            msg_id: of(|facts| facts.msg_id.as_ref()),
            body_hash: content.and_then(|facts| facts.body_hash).map(Hash),
            dsn: content.and_then(|facts| facts.dsn.as_ref()),
            trans_depth: tx.trans_depth,
            ts: Stamp(tx.began.ts),
            end_ts: Stamp(tx.ended.ts),
            frames: [tx.began.frame, tx.ended.frame],
            declared_size: tx.declared_size,
            rcpt_totals: (tx.rcpt_total as usize > tx.rcptto.len()).then_some(RcptTotals {
                total: tx.rcpt_total,
                accepted: tx.rcpt_accepted,
                rejected: tx.rcpt_rejected,
            }),
            data_cmd_reply: tx.data_cmd_reply.as_ref(),
            complete: tx.complete,
            from_domain: of(|facts| facts.from_domain.as_ref()),
            to_domain: of(|facts| facts.to_domain.as_ref()),
            auto_submitted: of(|facts| facts.auto_submitted.as_ref()),
        }
    }
}

struct Recipients<'a>(&'a [Recipient]);

#[derive(Serialize)]
struct RecipientRecord<'a> {
    to: &'a Wire,
    reply: Option<&'a Reply>,
}

impl Serialize for Recipients<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|rcpt| RecipientRecord { to: &rcpt.to, reply: rcpt.reply.as_ref() }))
    }
}

impl<'a> SessionLine<'a> {
    /// A connection on which nothing was said, for the others to fill.
    fn silent(id: &ConnId, state: ConnState, link: &'a LinkFacts, frames: Frames) -> Self {
        Self {
            ts: Stamp(id.ts),
            uid: ids::uid(id),
            community_id: Some(ids::community_id(id)),
            orig_h: id.orig.host,
            orig_p: Some(id.orig.port),
            resp_h: Some(id.resp.host),
            resp_p: Some(id.resp.port),
            conn_state: state,
            history: "",
            duration: Span::ZERO,
            orig_bytes: 0,
            resp_bytes: 0,
            missed_bytes: 0,
            banner: None,
            helo: None,
            esmtp: None,
            tls: TlsState::None,
            auth: Auths(&[]),
            transactions: Transactions(&[]),
            commands: Commands(&[]),
            last_reply: None,
            quit: false,
            weird: WeirdSet::default(),
            vlan: Present(&link.vlans),
            mac: link.macs.map(|(orig, resp)| Macs { orig: MacText(orig), resp: MacText(resp) }),
            encap: Present(&link.encaps),
            frames,
            attempts: None,
            servers: None,
            gaps: 0,
            one_sided: false,
            cut_short: false,
            syn: None,
            greeted: None,
            more_helos: &[],
            helo_reply: None,
            ehlo_keywords: &[],
            tls_version: None,
            sni: None,
            tls_bytes: None,
            transactions_total: None,
            commands_total: None,
            pipelined: false,
        }
    }

    /// A connection that came about.
    pub(super) fn closed(session: &'a Session) -> Self {
        let Session { conn, smtp } = session;
        let mut weird = conn.weird;
        weird.merge(smtp.weird);
        let frames = Frames { first: conn.first, last: conn.last, count: conn.frames };
        let beyond = |total: u32, kept: usize| (total as usize > kept).then_some(total);
        let tls_bytes = TlsBytes { orig: smtp.tls.orig_app_bytes, resp: smtp.tls.resp_app_bytes };
        Self {
            history: &conn.history,
            duration: conn.duration,
            orig_bytes: conn.orig_bytes,
            resp_bytes: conn.resp_bytes,
            missed_bytes: conn.missed_bytes,
            banner: smtp.greeting.as_ref().map(Words),
            helo: smtp.helo.as_ref(),
            esmtp: smtp.esmtp,
            tls: smtp.tls.state,
            auth: Auths(&smtp.auth),
            transactions: Transactions(&smtp.transactions),
            commands: Commands(&smtp.commands),
            last_reply: smtp.last_reply.as_ref().map(Words),
            quit: smtp.quit,
            weird,
            gaps: conn.gaps,
            one_sided: conn.one_sided,
            cut_short: conn.cut_short,
            syn: conn.syn.as_ref().map(Syn::from),
            greeted: smtp.greeted.map(Moment::from),
            more_helos: &smtp.more_helos,
            helo_reply: smtp.helo_reply.as_ref(),
            ehlo_keywords: &smtp.ehlo_keywords,
            tls_version: smtp.tls.record_version,
            sni: smtp.tls.sni.as_ref(),
            tls_bytes: (tls_bytes.orig + tls_bytes.resp > 0).then_some(tls_bytes),
            transactions_total: beyond(smtp.transactions_total, smtp.transactions.len()),
            commands_total: beyond(smtp.commands_total, smtp.commands.len()),
            pipelined: smtp.pipelined,
            ..Self::silent(&conn.id, conn.state, &conn.link, frames)
        }
    }

    /// A connection attempt that nobody answered.
    pub(super) fn unanswered(attempt: &'a Attempt) -> Self {
        let frames = Frames { first: attempt.first, last: attempt.last.frame, count: u64::from(attempt.syns) };
        Self {
            history: "S",
            duration: attempt.last.ts.since(attempt.id.ts),
            syn: Some(Syn::from(&attempt.syn)),
            ..Self::silent(&attempt.id, ConnState::S0, &attempt.link, frames)
        }
    }

    /// Many attempts of one host in one minute. `first` is the first of them; what may differ between them is null.
    pub(super) fn summed(first: &'a Attempt, sum: &Summed) -> Self {
        let frames = Frames { first: first.first, last: sum.last.frame, count: sum.syns };
        Self {
            history: "S",
            duration: sum.last.ts.since(first.id.ts),
            community_id: None,
            orig_p: None,
            resp_h: None,
            resp_p: sum.port,
            syn: Some(Syn::from(&first.syn)),
            attempts: Some(sum.attempts),
            servers: Some(sum.servers),
            ..Self::silent(&first.id, ConnState::S0, &first.link, frames)
        }
    }
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
