//! The judge: shows each event to the roles, the reputation, the ledger and every detector, in that order.

use std::sync::Arc;

use super::behind_nat::Strangers;
use super::context::Context;
use super::domains::LocalDomains;
use super::finding::Finding;
use super::novelty::{self, Recent};
use super::observation::{Mail, Observation, Refusal, Way, What};
use super::replies::{OutcomeClass, ReplyRules, Stage};
use super::reputation::Reputation;
use super::roles::{RoleBook, Voice};
use super::table::{HostTable, Weigh};
use super::{DetectSettings, Detector, DetectorStats, registry};
use crate::frame::At;
use crate::ledger::{HostLedger, HostRow};
use crate::limits::DetectLimits;
use crate::net::{HostKey, Translation};
use crate::session::{DnsQuery, Outcome, Session, SessionEvent, SessionEventKind, SessionHead, Transaction};
use crate::site::{Ours, Site};
use crate::smtp::Reply;
use crate::tcp::ConnId;
use crate::time::Span;

/// How long a mail is 'no news' after it was first tried: postfix and Exchange try again for hours, the first times
/// within four.
const NOVEL_FOR: Span = Span::hours(4);

/// What the judge knows of a host for the bound of the ledger.
#[derive(Debug, Default)]
struct Standing {
    mails: u64,
}

impl Weigh for Standing {
    fn weight(&self) -> u64 {
        self.mails
    }
}

/// The whole judgement.
#[derive(Debug)]
pub struct Judge {
    site: Site,
    ours: Ours,
    rules: Arc<ReplyRules>,
    roles: RoleBook,
    reputation: Reputation,
    domains: LocalDomains,
    triplets: Recent,
    detectors: Vec<Box<dyn Detector>>,
    ledger: HostLedger,
    standings: HostTable<Standing>,
    now: At,
    strangers: Strangers,
    events: u64,
}

/// Fill and losses of the judgement.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct JudgeStats {
    /// Events handled.
    pub events: u64,
    /// Connections between two hosts of which none is ours.
    pub foreign: u64,
    /// Rows of the ledger that had to go.
    pub ledger_evicted: u64,
    /// Hosts whose role had to be forgotten.
    pub roles_evicted: u64,
    /// Of each detector.
    pub detectors: Vec<(&'static str, DetectorStats)>,
}

impl Judge {
    /// A judge for a home network.
    pub fn new(site: Site, rules: Arc<ReplyRules>, settings: &DetectSettings, limits: &DetectLimits) -> Self {
        Self {
            ours: site.ours(),
            site,
            rules,
            roles: RoleBook::new(limits.hosts_max),
            reputation: Reputation::default(),
            domains: LocalDomains::new(limits.hosts_max),
            triplets: Recent::new(NOVEL_FOR, limits.triplets_max),
            detectors: registry(settings, limits),
            ledger: HostLedger::default(),
            standings: HostTable::new(limits.hosts_max),
            now: At::default(),
            strangers: Strangers::default(),
            events: 0,
        }
    }

    /// The ledger, to read from elsewhere.
    pub fn ledger(&self) -> HostLedger {
        self.ledger.clone()
    }

    /// The home network.
    pub const fn site(&self) -> &Site {
        &self.site
    }

    /// What the world thinks of the gateway.
    pub const fn reputation(&self) -> &Reputation {
        &self.reputation
    }

    /// The domains learned to be ours.
    pub const fn domains(&self) -> &LocalDomains {
        &self.domains
    }

    /// The roles.
    pub const fn roles(&self) -> &RoleBook {
        &self.roles
    }

    /// Traffic between others, and who of them may be ours.
    pub const fn strangers(&self) -> &Strangers {
        &self.strangers
    }

    /// The last event's time and frame.
    pub const fn now(&self) -> At {
        self.now
    }

    /// Learns from one event.
    pub fn handle(&mut self, event: &SessionEvent) {
        self.events += 1;
        self.now = At { ts: self.now.ts.max(event.at.ts), frame: event.at.frame };
        match &event.kind {
            SessionEventKind::Unanswered(attempt) => {
                self.show(event.at, attempt.id, None, What::Unanswered(attempt));
            }
            SessionEventKind::Greeted(head) => self.show(event.at, head.id, Some(head), What::Greeted(head)),
            SessionEventKind::Auth(head, auth) => self.show(event.at, head.id, Some(head), What::Auth(head, auth)),
            SessionEventKind::Transaction(head, tx) => self.handle_transaction(event.at, head, tx),
            SessionEventKind::Closed(session) => self.handle_closed(event.at, session),
            SessionEventKind::DnsQuery(query) => self.handle_dns(event.at, query),
            SessionEventKind::Translated(translation) => self.handle_translation(event.at, translation),
        }
    }

    /// A question to a DNS server is no connection: only the detectors look at it, and the asker gets a row.
    fn handle_dns(&mut self, at: At, query: &DnsQuery) {
        let id = ConnId { ts: query.at.ts, orig: query.client, resp: query.server };
        let way = self.way(id);
        if matches!(way, Way::Outbound | Way::Inside) {
            self.stand(id.orig.host, 0);
            self.ledger.update(id.orig.host, at, |_| {});
            self.teach(&Observation { at, id, way, voice: Voice::Own, what: What::DnsQuery(query) });
        }
    }

    /// A gateway told, by being watched on both sides, under which address it shows a host of ours.
    fn handle_translation(&mut self, at: At, translation: &Translation) {
        let (inner, outer) = translation.changed();
        if self.ours.contains(inner.host) {
            self.reputation.note_public_ip(outer.host.ip());
            self.stand(inner.host, 0);
            self.ledger.update(inner.host, at, |row| row.note_public(outer.host));
        }
    }

    fn handle_transaction(&mut self, at: At, head: &SessionHead, tx: &Transaction) {
        let rules = Arc::clone(&self.rules);
        let first_rcpt = tx.rcptto.first().map_or(&b""[..], |rcpt| rcpt.to.as_bytes());
        let triplet = novelty::key(&[
            &head.id.orig.host.octets(),
            &head.id.resp.host.site().octets(),
            tx.mailfrom.as_bytes(),
            first_rcpt,
        ]);
        let novel = self.triplets.insert_hash(triplet, at.ts);
        let (outcome, refusal) = judge_outcome(&rules, tx);
        let mail = Mail { head, tx, outcome, refusal, triplet, novel };
        self.show(at, head.id, Some(head), What::Transaction(&mail));
    }

    fn handle_closed(&mut self, at: At, session: &Session) {
        let id = session.conn.id;
        let helo = session.smtp.helo.as_ref();
        let (way, voice) = (self.way(id), self.roles.voice(id.orig.host, helo));
        self.show_as(Observation { at, id, way, voice, what: What::Closed(session) });
    }

    fn show(&mut self, at: At, id: ConnId, head: Option<&SessionHead>, what: What<'_>) {
        let voice = self.roles.voice(id.orig.host, head.and_then(|head| head.helo.as_ref()));
        self.show_as(Observation { at, id, way: self.way(id), voice, what });
    }

    fn show_as(&mut self, seen: Observation<'_>) {
        if seen.way == Way::Foreign {
            if matches!(seen.what, What::Unanswered(_) | What::Closed(_)) {
                self.strangers.note(seen.id);
            }
            return;
        }
        self.roles.handle(&seen);
        self.reputation.handle(&seen, &self.rules);
        self.domains.handle(&seen, &self.rules);
        self.keep(&seen);
        self.teach(&seen);
    }

    /// Shows an observation to the detectors.
    fn teach(&mut self, seen: &Observation<'_>) {
        // Not `self.context()`: the detectors are borrowed for writing beside it.
        let ctx = Context {
            site: &self.site,
            ours: &self.ours,
            roles: &self.roles,
            reputation: &self.reputation,
            domains: &self.domains,
            rules: &self.rules,
            now: self.now.ts,
        };
        for detector in &mut self.detectors {
            detector.handle(seen, &ctx);
        }
    }

    fn way(&self, id: ConnId) -> Way {
        match (self.ours.contains(id.orig.host), self.ours.contains(id.resp.host)) {
            (true, false) => Way::Outbound,
            (false, true) => Way::Inbound,
            (true, true) => Way::Inside,
            (false, false) => Way::Foreign,
        }
    }

    /// Brings the ledger up to date.
    fn keep(&mut self, seen: &Observation<'_>) {
        if matches!(seen.way, Way::Outbound | Way::Inside) {
            let host = seen.id.orig.host;
            let mail = u64::from(matches!(seen.what, What::Transaction(_)));
            self.stand(host, mail);
            self.ledger.update(host, seen.at, |row| keep_client(row, seen));
        }
        if matches!(seen.way, Way::Inbound | Way::Inside) && !matches!(seen.what, What::Unanswered(_)) {
            let host = seen.id.resp.host;
            self.stand(host, u64::from(matches!(seen.what, What::Transaction(_))));
            self.ledger.update(host, seen.at, |row| keep_server(row, seen));
        }
    }

    fn stand(&mut self, host: HostKey, mails: u64) {
        let (standing, gone) = self.standings.touch(host, Standing::default);
        standing.mails += mails;
        if let Some((gone, _)) = gone {
            self.ledger.remove(gone);
        }
    }

    /// What detectors may ask, as of now.
    pub fn context(&self) -> Context<'_> {
        Context {
            site: &self.site,
            ours: &self.ours,
            roles: &self.roles,
            reputation: &self.reputation,
            domains: &self.domains,
            rules: &self.rules,
            now: self.now.ts,
        }
    }

    /// All findings of all detectors, as of now.
    pub fn findings(&self) -> Vec<Finding> {
        let ctx = self.context();
        let mut all = Vec::new();
        for detector in &self.detectors {
            detector.findings(self.now, &ctx, &mut all);
        }
        all
    }

    /// A copy of all rows of the ledger, roles filled in, in the order of their addresses.
    pub fn hosts(&self) -> Vec<HostRow> {
        let ctx = self.context();
        let mut rows = self.ledger.snapshot();
        for row in &mut rows {
            row.role = ctx.role(row.host);
            // Who names the servers names the others too: they are not servers.
            row.role_given = !self.site.mail_servers.is_empty();
        }
        rows
    }

    /// Fill and losses.
    pub fn stats(&self) -> JudgeStats {
        JudgeStats {
            events: self.events,
            foreign: self.strangers.connections(),
            ledger_evicted: self.standings.evicted(),
            roles_evicted: self.roles.evicted(),
            detectors: self.detectors.iter().map(|detector| (detector.name(), detector.stats())).collect(),
        }
    }
}

fn keep_client(row: &mut HostRow, seen: &Observation<'_>) {
    let counts = &mut row.counts;
    match seen.what {
        What::Unanswered(attempt) => {
            counts.connections += 1;
            counts.failed += 1;
            row.first = row.first.min(attempt.id.ts);
            row.servers.insert(seen.id.resp.host);
            row.syn = Some(attempt.syn);
            row.note_link(attempt.link.macs.map(|(orig, _)| orig), &attempt.link);
        }
        What::Transaction(mail) => {
            counts.transactions += 1;
            counts.rcpt_accepted += u64::from(mail.tx.rcpt_accepted);
            counts.rcpt_rejected += u64::from(mail.tx.rcpt_rejected);
        }
        What::Closed(session) => {
            counts.connections += 1;
            counts.sessions += u64::from(session.smtp.greeting.is_some());
            counts.failed += u64::from(session.failed());
            counts.hidden += u64::from(session.smtp.tls.state.is_hidden());
            counts.gapped += u64::from(session.conn.gaps > 0);
            row.first = row.first.min(session.conn.id.ts);
            row.servers.insert(seen.id.resp.host);
            row.syn = session.conn.syn.or(row.syn);
            row.note_link(session.conn.link.macs.map(|(orig, _)| orig), &session.conn.link);
            row.note_helo(session.smtp.helo.as_ref());
        }
        _ => {}
    }
}

fn keep_server(row: &mut HostRow, seen: &Observation<'_>) {
    match seen.what {
        What::Greeted(head) if row.banner.is_none() => {
            row.banner = head.greeting.as_ref().map(|reply| reply.text.clone());
        }
        What::Closed(session) => {
            row.served += 1;
            row.first = row.first.min(session.conn.id.ts);
            row.note_link(session.conn.link.macs.map(|(_, resp)| resp), &session.conn.link);
        }
        _ => {}
    }
}

/// What the replies to a transaction say of the client, and the refusal that decided it.
///
/// A mail to several recipients counts as `bad recipient` if at least half of them are bad, else by what became of its
/// data. What a gap, TLS or the end of the capture may have hidden says nothing.
fn judge_outcome<'a>(rules: &'a ReplyRules, tx: &'a Transaction) -> (Option<OutcomeClass>, Option<Refusal<'a>>) {
    let refuses = |reply: &Reply| !reply.is_positive() && !reply.is_intermediate();
    let refusal_of = |stage: Stage, reply: &'a Reply| Refusal { stage, reply, verdict: rules.classify(reply, stage) };
    let (mut first, mut first_bad, mut bad_count) = (None, None, 0);
    let mut last: Option<Refusal<'a>> = None;
    for reply in tx.rcptto.iter().filter_map(|rcpt| rcpt.reply.as_ref()).filter(|reply| refuses(reply)) {
        // Who is refused for a reason that is not the recipient's is told the same for each.
        let refusal = match last {
            Some(last) if last.reply == reply => Refusal { reply, ..last },
            _ => refusal_of(Stage::Rcpt, reply),
        };
        last = Some(refusal);
        first.get_or_insert(refusal);
        if refusal.verdict.outcome() == OutcomeClass::BadRecipient {
            bad_count += 1;
            first_bad.get_or_insert(refusal);
            if bad_count * 2 >= tx.rcptto.len() {
                return (Some(OutcomeClass::BadRecipient), first_bad);
            }
        }
    }
    let decided =
        [(Stage::Mail, &tx.mail_reply), (Stage::Data, &tx.data_cmd_reply), (Stage::EndOfData, &tx.data_reply)]
            .into_iter()
            .find_map(|(stage, reply)| Some((stage, reply.as_ref().filter(|reply| refuses(reply))?)))
            .filter(|(stage, _)| *stage != Stage::Data || first.is_none())
            .map(|(stage, reply)| refusal_of(stage, reply));
    if let Some(refusal) = decided {
        return (Some(refusal.verdict.outcome()), Some(refusal));
    }
    match tx.outcome {
        Outcome::Accepted => (Some(OutcomeClass::Accepted), first),
        Outcome::Rejected | Outcome::Deferred => match first {
            Some(refusal) => (Some(refusal.verdict.outcome()), Some(refusal)),
            None => (Some(OutcomeClass::Other), None),
        },
        // The client gave up after a refusal: the refusal says why. Without one it was a call-out or a change of mind.
        Outcome::Abandoned => match first {
            Some(refusal) if tx.rcpt_accepted == 0 => (Some(refusal.verdict.outcome()), Some(refusal)),
            other => (None, other),
        },
        Outcome::Incomplete | Outcome::Hidden => (None, first),
    }
}
