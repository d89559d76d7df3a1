//! The judge: shows each event to the roles, the reputation, the ledger and every detector, in that order.

use std::collections::HashMap;
use std::sync::Arc;

use super::audience::{Audience, Wanted};
use super::behind_nat::Strangers;
use super::context::Context;
use super::domains::LocalDomains;
use super::finding::Finding;
use super::flooders::FloodWatch;
use super::hosts::{HostBook, HostIdx, PerHost};
use super::names::NameBook;
use super::novelty::Recent;
use super::observation::{Coming, Keys, Kind, Mail, Observation, Refusal, Way, What};
use super::replies::{OutcomeClass, ReplyRules, Stage};
use super::reputation::Reputation;
use super::roles::{RoleBook, Roles, Voice};
use super::told::Told;
use super::{DetectSettings, Detector, DetectorStats, registry};
use crate::frame::At;
use crate::ledger::{HostRow, Role};
use crate::limits::DetectLimits;
use crate::net::{Endpoint, HostKey, Mac, Translation};
use crate::session::{DnsQuery, Outcome, SessionEvent, SessionEventKind, SessionHead, Transaction};
use crate::site::{Ours, Site};
use crate::smtp::Reply;
use crate::tcp::ConnId;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// How long a mail is 'no news' after it was first tried: postfix and Exchange try again for hours, the first times
/// within four.
const NOVEL_FOR: Span = Span::hours(4);

/// The ends of what belongs to no connection.
const NOWHERE: Endpoint = Endpoint { host: HostKey::v6([0; 16]), port: 0 };

/// The whole judgement.
#[derive(Debug)]
pub struct Judge {
    site: Site,
    ours: Ours,
    rules: Arc<ReplyRules>,
    hosts: HostBook,
    roles: RoleBook,
    reputation: Reputation,
    domains: LocalDomains,
    names: NameBook,
    triplets: Recent,
    detectors: Vec<Box<dyn Detector>>,
    audience: Audience,
    ledger: PerHost<HostRow>,
    /// When the first observation was made.
    began: Option<Ts>,
    now: At,
    strangers: Strangers,
    pub(super) floods: FloodWatch,
    events: u64,
}

/// What is judged by: who is ours, and what replies mean. Both may be told anew while the program runs.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The home network.
    pub site: Site,
    /// What replies mean.
    pub rules: Arc<ReplyRules>,
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
    /// Addresses and cards whose names had to be forgotten.
    pub names_evicted: u64,
    /// 'Seen before' filters of the judge's own that were full before their time: of mails, of mails told to try later, and of
    /// domains that were mailed.
    pub early_turns: u64,
    /// Of each detector.
    pub detectors: Vec<(&'static str, DetectorStats)>,
}

impl Judge {
    /// A judge for a home network.
    pub fn new(site: Site, rules: Arc<ReplyRules>, settings: &DetectSettings, limits: &DetectLimits) -> Self {
        let detectors = registry(settings, limits);
        Self {
            ours: site.ours(),
            site,
            rules,
            hosts: HostBook::new(limits.hosts_max),
            roles: RoleBook::default(),
            reputation: Reputation::default(),
            domains: LocalDomains::new(limits.hosts_max),
            names: NameBook::new(limits.hosts_max),
            triplets: Recent::new(NOVEL_FOR, limits.triplets_max),
            audience: Audience::of(&detectors),
            detectors,
            ledger: PerHost::default(),
            began: None,
            now: At::default(),
            strangers: Strangers::default(),
            floods: FloodWatch::new(limits.flood_attempts_min),
            events: 0,
        }
    }

    /// Judges by other terms from now on. What was learned stays, and so do the rows of hosts that are ours no more.
    pub fn adopt(&mut self, terms: Terms) {
        self.ours = terms.site.ours();
        self.site = terms.site;
        self.rules = terms.rules;
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
    pub const fn roles(&self) -> Roles<'_> {
        Roles { book: &self.roles, hosts: &self.hosts }
    }

    /// Who may be ours, with the share of all connections that each takes part in, if all were between others.
    pub fn candidates(&self) -> Vec<(HostKey, f64)> {
        if self.ledger.is_empty() { self.strangers.candidates() } else { Vec::new() }
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
        self.handle_all(std::slice::from_ref(event), &mut |_| ());
    }

    /// Learns from events in order, and then shows each to `after`. It makes no difference to what is learned how events are
    /// put together; it is faster to have many at once.
    pub fn handle_all(&mut self, events: &[SessionEvent], after: &mut dyn FnMut(&SessionEvent)) {
        let mut coming: Vec<Coming<'_>> = events.iter().map(|event| self.coming(event)).collect();
        let many = events.len() > 1;
        if many {
            std::hint::black_box(events.iter().fold(0, |read, event| read ^ event.touch()));
        }
        coming.iter_mut().for_each(Coming::work_out_keys);
        if many {
            self.fetch(&coming);
        }
        let rules = Arc::clone(&self.rules);
        for (event, coming) in events.iter().zip(&coming) {
            self.handle_one(event, coming, &rules);
        }
        // Not in between: judging and telling are large pieces of code, and would push each other out of the processor's cache.
        events.iter().for_each(after);
    }

    /// Works out where an event will be looked up; its keys are still to come. Nothing but that: in a row, the look-ups of
    /// many events wait for memory together.
    fn coming<'e>(&self, event: &'e SessionEvent) -> Coming<'e> {
        let id = match &event.kind {
            SessionEventKind::Unanswered(attempt) => attempt.id,
            SessionEventKind::Flooded(flood) => flood.first.id,
            SessionEventKind::Greeted(head)
            | SessionEventKind::Auth(head, _)
            | SessionEventKind::Transaction(head, _) => head.id,
            SessionEventKind::Closed(session) => session.conn.id,
            SessionEventKind::DnsQuery(query) => ConnId { ts: query.at.ts, orig: query.client, resp: query.server },
            // Of no connection: between no ends.
            SessionEventKind::Told(_) => ConnId { ts: event.at.ts, orig: NOWHERE, resp: NOWHERE },
            SessionEventKind::Translated(translation) => {
                let inner = translation.inner;
                ConnId { ts: event.at.ts, orig: inner.orig, resp: inner.resp }
            }
        };
        let way = self.way(id);
        let client = matches!(way, Way::Outbound | Way::Inside).then(|| self.hosts.find(id.orig.host)).flatten();
        let server = matches!(way, Way::Inbound | Way::Inside).then(|| self.hosts.find(id.resp.host)).flatten();
        let wanted = Kind::of(&event.kind).map_or(Wanted::default(), |kind| self.audience.wanted_by(way, kind));
        Coming { kind: &event.kind, id, way, client, server, keys: Keys::default(), wanted }
    }

    /// Asks memory for what events will need.
    fn fetch(&self, coming: &[Coming<'_>]) {
        let mut read = coming.iter().fold(0, |read, coming| read ^ self.roles.fetch(coming));
        for coming in coming {
            if matches!(coming.kind, SessionEventKind::Transaction(..)) {
                read ^= self.triplets.fetch(coming.keys.mail.triplet);
            }
            for host in [coming.client, coming.server].into_iter().flatten() {
                read ^= self.ledger.get(host).map_or(0, HostRow::fetch);
            }
            if let (Way::Outbound, Some(client)) = (coming.way, coming.client)
                && let SessionEventKind::Unanswered(_) | SessionEventKind::Closed(_) = coming.kind
            {
                let row = self.ledger.get(client);
                read ^= row.map_or(0, |row| row.servers.outside[0].fetch(coming.keys.server, coming.keys.site));
            }
        }
        for (place, detector) in self.detectors.iter().enumerate() {
            read ^= detector.fetch_all(coming, place);
        }
        std::hint::black_box(read);
    }

    fn handle_one(&mut self, event: &SessionEvent, coming: &Coming<'_>, rules: &ReplyRules) {
        self.events += 1;
        if let SessionEventKind::Told(facts) = &event.kind {
            // Names judge nobody: not even the time of the judgement goes by them.
            let (ours, hosts) = (&self.ours, &self.hosts);
            return self.names.handle(facts, |host| ours.contains(host), |host| hosts.find(host).is_some());
        }
        self.now = At { ts: self.now.ts.max(event.at.ts), frame: event.at.frame };
        let at = event.at;
        self.floods.handle(event, coming.way, self.now.ts);
        match &event.kind {
            SessionEventKind::Unanswered(attempt) => self.show(at, coming, None, What::Unanswered(attempt)),
            SessionEventKind::Flooded(flood) => self.show(at, coming, None, What::Flooded(flood)),
            SessionEventKind::Greeted(head) => self.show(at, coming, head.helo.as_ref(), What::Greeted(head)),
            SessionEventKind::Auth(head, auth) => self.show(at, coming, head.helo.as_ref(), What::Auth(head, auth)),
            SessionEventKind::Transaction(head, tx) => self.handle_transaction(at, coming, (head, tx), rules),
            // It is nobody's connection: its line tells of it, and no host is judged by what others send to it.
            SessionEventKind::Closed(session) if session.conn.history.show_no_call() => {}
            SessionEventKind::Closed(session) => {
                self.show(at, coming, session.smtp.helo.as_ref(), What::Closed(session));
            }
            SessionEventKind::DnsQuery(query) => self.handle_dns(at, coming, query),
            SessionEventKind::Told(_) => {} // see above
            SessionEventKind::Translated(translation) => self.handle_translation(at, translation),
        }
    }

    /// A question to a DNS server is no connection: only the detectors look at it, and the asker gets a row.
    fn handle_dns(&mut self, at: At, coming: &Coming<'_>, query: &DnsQuery) {
        let &Coming { id, way, .. } = coming;
        if matches!(way, Way::Outbound | Way::Inside) {
            let (client, server) = self.hear(coming, true);
            if let Some(client) = client {
                self.row(client, id.orig.host, id.ts, at);
            }
            let (voice, keys, what) = (Voice::Own, coming.keys, What::DnsQuery(query));
            let (role, takes_mail) = (Role::Unknown, false); // nobody asks of a question
            let seen = Observation { at, id, way, client, server, voice, role, takes_mail, keys, what };
            self.teach(&seen, coming.wanted);
        }
    }

    /// A gateway told, by being watched on both sides, under which address it shows a host of ours.
    fn handle_translation(&mut self, at: At, translation: &Translation) {
        let (inner, outer) = translation.changed();
        if self.ours.contains(inner.host) {
            self.reputation.note_public_ip(outer.host.ip());
            let place = self.hear_of(inner.host, None);
            self.row(place, inner.host, at.ts, at).note_public(outer.host);
        }
    }

    fn handle_transaction(
        &mut self,
        at: At,
        coming: &Coming<'_>,
        (head, tx): (&SessionHead, &Transaction),
        rules: &ReplyRules,
    ) {
        let keys = coming.keys.mail;
        let novel = self.triplets.insert_hash(keys.triplet, at.ts);
        let (outcome, refusal) = judge_outcome(rules, tx);
        let mail = Mail { head, tx, outcome, refusal, keys, novel };
        self.show(at, coming, head.helo.as_ref(), What::Transaction(&mail));
    }

    fn show(&mut self, at: At, coming: &Coming<'_>, helo: Option<&Wire>, what: What<'_>) {
        let &Coming { id, way, keys, .. } = coming;
        if way == Way::Foreign {
            match what {
                What::Unanswered(_) | What::Closed(_) => self.strangers.note(id),
                What::Flooded(flood) => self.strangers.note_flood(id.orig.host, flood.attempts),
                _ => {}
            }
            return;
        }
        let (client, server) = self.hear(coming, !matches!(what, What::Unanswered(_) | What::Flooded(_)));
        let voice = self.roles.voice(client, helo);
        let (role, takes_mail) = (Role::Unknown, false); // till the roles have seen it
        let mut seen = Observation { at, id, way, client, server, voice, role, takes_mail, keys, what };
        self.roles.handle(&seen);
        if let Some(client) = client {
            (seen.role, seen.takes_mail) = self.roles.of(client, id.orig.host, &self.site, self.now.ts);
        }
        self.reputation.handle(&seen, &self.rules);
        self.domains.handle(&seen, &self.rules);
        self.keep(&seen);
        self.teach(&seen, coming.wanted);
    }

    /// Shows an observation to the detectors.
    fn teach(&mut self, seen: &Observation<'_>, wanted: Wanted) {
        let began = *self.began.get_or_insert(seen.at.ts);
        // Not `self.context()`: the detectors are borrowed for writing beside it.
        let ctx = Context {
            site: &self.site,
            ours: &self.ours,
            hosts: &self.hosts,
            roles: Roles { book: &self.roles, hosts: &self.hosts },
            reputation: &self.reputation,
            domains: &self.domains,
            ledger: &self.ledger,
            rules: &self.rules,
            began,
            now: self.now.ts,
        };
        for place in wanted.places() {
            self.detectors[place].handle(seen, &ctx);
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

    /// Looks up the ends that are ours. A server that did not answer may be made up, and is not entered.
    fn hear(&mut self, coming: &Coming<'_>, answered: bool) -> (Option<HostIdx>, Option<HostIdx>) {
        let &Coming { id, way, client: client_at, server: server_at, .. } = coming;
        let client = matches!(way, Way::Outbound | Way::Inside).then(|| self.hear_of(id.orig.host, client_at));
        let server = matches!(way, Way::Inbound | Way::Inside) && answered;
        (client, server.then(|| self.hear_of(id.resp.host, server_at)))
    }

    /// The place of a host of ours. Where another one had to go for it, everybody forgets that.
    fn hear_of(&mut self, host: HostKey, likely: Option<HostIdx>) -> HostIdx {
        let (detectors, roles) = (&self.detectors, &self.roles);
        let weight = |at| detectors.iter().map(|detector| detector.weight(at)).sum::<u64>() + roles.weight(at);
        let before = self.hosts.len();
        let (at, gone) = self.hosts.hear(host, likely, weight);
        if self.hosts.len() > before || gone.is_some() {
            self.names.meet(host);
        }
        if let Some(gone) = gone {
            self.names.part(gone);
            self.ledger.forget(at);
            self.roles.forget(at);
            for detector in &mut self.detectors {
                detector.forget(at);
            }
        }
        at
    }

    /// Brings the ledger up to date.
    fn keep(&mut self, seen: &Observation<'_>) {
        if let Some(client) = seen.client {
            keep_client(self.row(client, seen.id.orig.host, seen.id.ts, seen.at), seen);
        }
        if let Some(server) = seen.server {
            keep_server(self.row(server, seen.id.resp.host, seen.id.ts, seen.at), seen);
        }
    }

    /// The row of a host, for something that `began` and is told of later, `at`.
    fn row(&mut self, place: HostIdx, host: HostKey, began: Ts, at: At) -> &mut HostRow {
        let row = self.ledger.touch_or(place, || HostRow::new(host, At { ts: began, ..at }));
        row.note_seen(began, at.ts);
        row
    }

    /// What detectors may ask, as of now.
    pub fn context(&self) -> Context<'_> {
        Context {
            site: &self.site,
            ours: &self.ours,
            hosts: &self.hosts,
            roles: Roles { book: &self.roles, hosts: &self.hosts },
            reputation: &self.reputation,
            domains: &self.domains,
            ledger: &self.ledger,
            rules: &self.rules,
            began: self.began.unwrap_or(self.now.ts),
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

    /// Tells the same for the last time: nothing is learned afterwards. What a detector holds is given back as soon as it has
    /// told what it found, so that at the end of a run a judgement and all that led to it are never in memory together; how
    /// full its tables were is still known.
    pub fn last_findings(&mut self, tell: &mut impl FnMut(Finding)) {
        let mut some = Vec::new();
        for place in 0..self.detectors.len() {
            let detector = &self.detectors[place];
            detector.findings(self.now, &self.context(), &mut some);
            self.detectors[place] = Box::new(Told::of(detector.as_ref()));
            some.drain(..).for_each(&mut *tell);
        }
    }

    /// A copy of all rows of the ledger, roles and names filled in, in the order of their addresses.
    pub fn hosts(&self) -> Vec<HostRow> {
        let ctx = self.context();
        let mut rows: Vec<HostRow> = self.ledger.sorted(&self.hosts).into_iter().map(|(_, row)| row.clone()).collect();
        let mut users: HashMap<Mac, u32> = HashMap::new();
        if self.names.knows_cards() {
            rows.iter().flat_map(|row| &row.macs).for_each(|mac| *users.entry(*mac).or_default() += 1);
        }
        for row in &mut rows {
            // A card that several use is a router's, and so is its name.
            let card = row.macs.iter().find(|mac| users.get(*mac) == Some(&1));
            row.identity = self.names.of(row.host, card.copied());
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
            ledger_evicted: self.hosts.evicted(),
            roles_evicted: self.roles.evicted(),
            names_evicted: self.names.evicted(),
            early_turns: self.triplets.early_turns() + self.roles.early_turns() + self.domains.early_turns(),
            detectors: self.detectors.iter().map(|detector| (detector.name(), detector.stats())).collect(),
        }
    }
}

fn keep_client(row: &mut HostRow, seen: &Observation<'_>) {
    let counts = &mut row.counts;
    match seen.what {
        What::Unanswered(attempt) => {
            counts.connections += 1;
            counts.failed += u64::from(!attempt.cut_short);
            note_tried(row, seen);
            row.note_syn(attempt.syn);
            row.note_link(attempt.link.macs.map(|(orig, _)| orig), &attempt.link);
        }
        What::Flooded(flood) => {
            let first = &flood.first;
            counts.connections += flood.attempts;
            counts.failed += flood.attempts;
            if seen.way == Way::Outbound {
                let reach = &mut row.servers.outside[seen.voice as usize];
                reach.servers.merge(&flood.servers);
                reach.networks.merge(&flood.networks);
            } else {
                row.servers.inside.merge(&flood.servers);
            }
            row.note_syn(first.syn);
            row.note_link(first.link.macs.map(|(orig, _)| orig), &first.link);
        }
        What::Transaction(mail) => {
            counts.transactions += 1;
            counts.null_senders += u64::from(mail.tx.null_sender);
            counts.refused += u64::from(matches!(mail.tx.outcome, Outcome::Rejected | Outcome::Deferred));
            counts.rcpt_accepted += u64::from(mail.tx.rcpt_accepted);
            counts.rcpt_rejected += u64::from(mail.tx.rcpt_rejected);
        }
        What::Closed(session) => {
            counts.connections += 1;
            counts.sessions += u64::from(session.smtp.greeting.is_some());
            counts.turned_away += u64::from(session.smtp.greeting.as_ref().is_some_and(|reply| !reply.is_positive()));
            counts.failed += u64::from(session.failed());
            counts.hidden += u64::from(session.smtp.tls.state.is_hidden());
            counts.gapped += u64::from(session.conn.gaps > 0);
            note_tried(row, seen);
            session.conn.syn.into_iter().for_each(|syn| row.note_syn(syn));
            row.note_link(session.conn.link.macs.map(|(orig, _)| orig), &session.conn.link);
            row.note_helo(session.smtp.helo.as_ref());
        }
        _ => {}
    }
}

fn note_tried(row: &mut HostRow, seen: &Observation<'_>) {
    if seen.way == Way::Outbound {
        row.servers.outside[seen.voice as usize].insert(seen.keys.server, seen.keys.site);
    } else {
        row.servers.inside.insert_hash(seen.keys.server);
    }
}

fn keep_server(row: &mut HostRow, seen: &Observation<'_>) {
    match seen.what {
        What::Greeted(head) if row.banner.is_none() => {
            row.banner = head.greeting.as_ref().map(|reply| reply.text.clone());
        }
        What::Closed(session) => {
            row.served += 1;
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
