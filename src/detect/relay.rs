//! D6: attempts to relay through a server of ours, and what became of each: refused, accepted, bounced, or seen to
//! leave. Acceptance is never called relaying; onward delivery is.
//!
//! Logic, no statistics: an attempt is known by its address (read RFC 5321 section 3.6.1 and appendix C, RFC 1123
//! section 5.2.16, and `smtp::path` for the forms) and by what the server says to it; the proof is the same mail, by
//! recipient and Message-ID or body, in a session from the server to the outside. What goes on under TLS proves
//! nothing, and neither does a mail that left before the server had said that it took it. Users who log in are D7's.

mod attempt;
mod probe;
mod records;
mod report;
mod ring;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use foldhash::fast::RandomState;
use hashlink::LruCache;

use self::attempt::{Attempt, Ours};
use self::probe::ProbeLog;
use self::records::{Onward, Others, Record, Records, Shown};
use self::ring::{Keys, Ring, Taken};
use super::context::Context;
use super::finding::{Finding, RelayOutcome, RelayVerdict};
use super::observation::{Kind, Mail, Observation, Way, What};
use super::samples::{SAMPLES_MAX, words};
use super::table::{HostTable, Weigh};
use super::{Detector, DetectorStats};
use crate::frame::{At, FrameNo};
use crate::net::HostKey;
use crate::session::{AuthResult, Transaction};
use crate::smtp::path::MailPath;
use crate::tcp::ConnId;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// The settings of D6.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long after a mail was taken its onward delivery is looked for. Bro's detector of 2008 took 5 min; greylisting
    /// keeps a mail for up to an hour or two, and queues try again within four.
    pub onward_window: Span,
    /// How long a report to the sender may take. Exchange gives up after 48 h by default, and says so then.
    pub ndr_window: Span,
    /// By how much the size of a mail may differ that has nothing else to be known by: a trace header and a line ending
    /// or two (heuristic).
    pub size_tolerance: f64,
    /// New refused attempts within `rejected_window` that make a relay scan (heuristic: a stale MX record brings a few).
    pub rejected_min: usize,
    /// See `rejected_min`.
    pub rejected_window: Span,
    /// Distinct techniques of one client within `probe_window` that make a test for open relays (heuristic; the known
    /// tests have seven to sixteen, ordinary mail one).
    pub probe_techniques: usize,
    /// See `probe_techniques`.
    pub probe_window: Span,
    /// Where domains were only learned: outside domains that a server must have passed mail on to before it counts as
    /// confirmed. Fewer may be partners for whom it is the backup MX (heuristic).
    pub learned_domains_min: usize,
    /// After this long without an attempt a server's record is closed (heuristic: a week of silence).
    pub remember: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            onward_window: Span::hours(4),
            ndr_window: Span::hours(48),
            size_tolerance: 0.1,
            rejected_min: 10,
            rejected_window: Span::hours(1),
            probe_techniques: 3,
            probe_window: Span::mins(10),
            learned_domains_min: 3,
            remember: Span::hours(7 * 24),
        }
    }
}

/// Servers with a record; an estate has some dozens. Each takes up to 300 KB, nearly all for the verdicts shown.
const SERVERS_MAX: usize = 1024;
/// Mails that may be seen again, of known attempts, and as many of others (some 25 MB each when full, and up to 25 MB more
/// where all senders are as long as [`ADDRESS_MAX`]).
const RING_MAX: usize = 65_536;
/// Sessions that logged in, as long as they are open.
const LOGGED_IN_MAX: usize = 65_536;
/// Clients counted a server; the one with the fewest attempts makes room.
const CLIENTS_MAX: usize = 256;
/// Outside domains counted a server.
const DOMAINS_MAX: usize = 16;
/// Bytes of an address that are shown: RFC 5321 section 4.5.3.1.3 allows 256.
const ADDRESS_MAX: usize = 320;

#[derive(Clone, Debug)]
struct Client {
    attempts: u64,
    first: Ts,
    last: Ts,
    log: ProbeLog,
}

/// What was tried at one server.
#[derive(Debug, Default)]
struct ServerState {
    first: Option<Ts>,
    last: Ts,
    records: Records,
    clients: BTreeMap<HostKey, Client>,
    clients_forgotten: u64,
    /// Times of the last new refusals, at most `rejected_min`.
    refused: VecDeque<Ts>,
    scanned: bool,
    /// Outside domains that mail was passed on to.
    onward_domains: BTreeSet<Wire>,
    /// The first reports to senders.
    reports: Vec<(ConnId, FrameNo)>,
}

impl Weigh for ServerState {
    fn weight(&self) -> u64 {
        let accepted = self.records.count_of(|record| record.outcome > RelayOutcome::Rejected);
        accepted * 1000 + self.clients.len() as u64
    }
}

impl ServerState {
    fn note_client(&mut self, client: HostKey, attempt: &Attempt<'_>, now: Ts, settings: &Settings) {
        if self.clients.len() >= CLIENTS_MAX
            && !self.clients.contains_key(&client)
            && let Some(least) = self.clients.iter().min_by_key(|(_, known)| (known.attempts, known.last))
        {
            let least = *least.0;
            self.clients.remove(&least);
            self.clients_forgotten += 1;
        }
        let fresh = || Client { attempts: 0, first: now, last: now, log: ProbeLog::default() };
        let known = self.clients.entry(client).or_insert_with(fresh);
        known.attempts += 1;
        known.last = now;
        known.log.note(now, attempt.technique, attempt.soft, settings.probe_window);
    }

    /// An outsider's mail that turned out to be an attempt only when it left.
    fn note_relayed(&mut self, taken: &Taken, now: Ts) {
        let client = taken.session.orig.host;
        if self.clients.len() < CLIENTS_MAX || self.clients.contains_key(&client) {
            let fresh = || Client { attempts: 0, first: taken.at, last: now, log: ProbeLog::default() };
            self.clients.entry(client).or_insert_with(fresh).attempts += 1;
        } else {
            self.clients_forgotten += 1;
        }
    }

    fn note_onward(&mut self, rcpt: &Wire) {
        if let Some(domain) = MailPath::new(rcpt.as_bytes()).domain()
            && self.onward_domains.len() < DOMAINS_MAX
        {
            self.onward_domains.insert(Wire::capped(&domain.to_ascii_lowercase(), ADDRESS_MAX));
        }
    }

    fn note_report(&mut self, session: ConnId, frame: FrameNo) {
        if self.reports.len() < SAMPLES_MAX {
            self.reports.push((session, frame));
        }
    }

    fn note_refused(&mut self, now: Ts, settings: &Settings) {
        if self.refused.len() >= settings.rejected_min {
            self.refused.pop_front();
        }
        self.refused.push_back(now);
        self.scanned |= self.refused.len() >= settings.rejected_min
            && self.refused.front().is_some_and(|first| now.since(*first) <= settings.rejected_window);
    }
}

/// D6.
#[derive(Debug)]
pub struct Relay {
    settings: Settings,
    servers: HostTable<ServerState>,
    keys: Keys,
    /// Mails of known attempts.
    attempts: Ring,
    /// Mails to domains of which nobody said that they are not ours: ordinary, unless they leave.
    strangers: Ring,
    others: Others,
    logged_in: LruCache<ConnId, (), RandomState>,
    logged_in_forgotten: u64,
}

impl Relay {
    /// With settings, for at most `hosts_max` servers.
    pub fn new(settings: Settings, hosts_max: usize) -> Self {
        Self {
            attempts: Ring::new(RING_MAX, settings.ndr_window),
            strangers: Ring::new(RING_MAX, settings.onward_window),
            settings,
            servers: HostTable::new(hosts_max.min(SERVERS_MAX)),
            keys: Keys::default(),
            others: Others::new(),
            logged_in: LruCache::with_hasher(usize::MAX, RandomState::default()),
            logged_in_forgotten: 0,
        }
    }

    fn note_login(&mut self, id: ConnId) {
        if self.logged_in.len() >= LOGGED_IN_MAX {
            self.logged_in.remove_lru();
            self.logged_in_forgotten += 1;
        }
        self.logged_in.insert(id, ());
    }

    /// A server's record, begun anew after a long silence.
    fn state<'a>(
        servers: &'a mut HostTable<ServerState>,
        settings: &Settings,
        server: HostKey,
        now: Ts,
    ) -> &'a mut ServerState {
        let state = servers.touch(server, ServerState::default).0;
        if state.first.is_some() && now.since(state.last) > settings.remember {
            *state = ServerState::default();
        }
        state.first.get_or_insert(now);
        state.last = state.last.max(now);
        state
    }

    /// Mail that an outsider brings.
    fn taken(&mut self, seen: &Observation<'_>, mail: &Mail<'_>, ctx: &Context<'_>) {
        let (server, client, tx) = (seen.id.resp.host, seen.id.orig.host, mail.tx);
        if ctx.site.may_relay(client) || self.logged_in.contains_key(&seen.id) {
            return;
        }
        // Where the beginning of the session is missing, or anything after it, a login may be in it.
        let maybe_logged_in = mail.head.greeting.is_none() || mail.head.lossy;
        let ours = Ours { ctx, server, other: client };
        for rcpt in &tx.rcptto {
            let Some(attempt) = attempt::read(&ours, tx, rcpt) else { continue };
            if maybe_logged_in && attempt.outcome > RelayOutcome::Rejected {
                continue;
            }
            let key = self.keys.verdict(rcpt.to.as_bytes(), attempt.technique);
            if attempt.with_data && attempt.outcome == RelayOutcome::AcceptedUnproven {
                let ring = if attempt.known { &mut self.attempts } else { &mut self.strangers };
                ring.push(Taken {
                    at: seen.at.ts,
                    frame: tx.began.frame,
                    session: seen.id,
                    via: None,
                    technique: attempt.technique,
                    verdict: key,
                    sender: (!tx.null_sender)
                        .then(|| self.keys.address(ours.mailbox(tx.mailfrom.as_bytes()).as_bytes())),
                    sent_by: Wire::capped(tx.mailfrom.as_bytes(), ADDRESS_MAX),
                    effective: self.keys.address(attempt.effective.as_bytes()),
                    raw: self.keys.address(rcpt.to.as_bytes()),
                    marks: self.keys.marks(tx.content.as_deref()),
                    size: tx.size,
                    left: false,
                    bounced: false,
                });
            }
            if !attempt.known {
                continue;
            }
            let state = Self::state(&mut self.servers, &self.settings, server, seen.at.ts);
            state.note_client(client, &attempt, seen.at.ts, &self.settings);
            let record = Record {
                outcome: attempt.outcome,
                soft: attempt.soft,
                with_data: attempt.with_data,
                probable: false,
                tried: false,
                learned: false,
                forged: attempt.technique.is_forged_local(),
            };
            let is_new = state.records.note(
                &mut self.others,
                Shown {
                    key,
                    record,
                    verdict: RelayVerdict {
                        server,
                        client,
                        technique: attempt.technique.names(),
                        sender: Wire::capped(tx.mailfrom.as_bytes(), ADDRESS_MAX),
                        recipient: Wire::capped(rcpt.to.as_bytes(), ADDRESS_MAX),
                        effective: Wire::capped(attempt.effective.as_bytes(), ADDRESS_MAX),
                        verdict: attempt.outcome,
                        reply: attempt.reply.map(words),
                        frame: tx.began.frame,
                    },
                    session: seen.id,
                    onward: None,
                },
            );
            if is_new && attempt.outcome == RelayOutcome::Rejected && !attempt.soft {
                state.note_refused(seen.at.ts, &self.settings);
            }
        }
    }

    /// Mail that a host of ours passes on: is it one that an outsider brought?
    fn passed_on(&mut self, seen: &Observation<'_>, tx: &Transaction) {
        if self.attempts.is_empty() && self.strangers.is_empty() {
            return;
        }
        let marks = self.keys.marks(tx.content.as_deref());
        let sender = (!tx.null_sender).then(|| self.keys.address(tx.mailfrom.as_bytes()));
        for rcpt in &tx.rcptto {
            let refused = rcpt.reply.as_ref().is_some_and(|reply| reply.is_transient() || reply.is_permanent());
            if !refused && tx.transfer.is_none() {
                continue;
            }
            let to = self.keys.address(rcpt.to.as_bytes());
            for known in [true, false] {
                let ring = if known { &mut self.attempts } else { &mut self.strangers };
                for number in ring.to(to) {
                    let Some(taken) = ring.get_mut(number) else { continue };
                    let delay = seen.at.ts.since(taken.at);
                    // A report may quote the mail that it is about: only a null sender's own mail goes on with one.
                    let is_report = tx.null_sender && taken.sender.is_some();
                    if taken.left
                        || is_report
                        || !taken.is_with(seen.id.orig.host)
                        || delay > self.settings.onward_window
                    {
                        continue;
                    }
                    let like_it = known && seen.way == Way::Outbound && sender == taken.sender;
                    if refused {
                        if like_it && let Some(state) = self.servers.get_mut(taken.session.resp.host) {
                            let (server, key) = (taken.session.resp.host, taken.verdict);
                            state.records.note_like_it(&mut self.others, server, key, false);
                        }
                        continue;
                    }
                    match taken.marks.same(marks) {
                        Some(_) if seen.way == Way::Inside => taken.via = Some(seen.id.resp.host),
                        Some(mark) => {
                            taken.left = true;
                            let onward = Onward { session: seen.id, frame: tx.began.frame, delay, mark };
                            let shown = proven(taken, known, onward, tx, &rcpt.to);
                            let server = shown.verdict.server;
                            let state = Self::state(&mut self.servers, &self.settings, server, seen.at.ts);
                            state.first = state.first.min(Some(taken.at));
                            state.note_onward(&rcpt.to);
                            if !known {
                                state.note_relayed(taken, seen.at.ts);
                            }
                            state.records.note(&mut self.others, shown);
                        }
                        None => {
                            let tolerated = self.settings.size_tolerance * taken.size.max(tx.size) as f64;
                            if like_it
                                && tx.size.abs_diff(taken.size) as f64 <= tolerated
                                && !taken.marks.can_be_compared(marks)
                                && let Some(state) = self.servers.get_mut(taken.session.resp.host)
                            {
                                let server = taken.session.resp.host;
                                state.records.note_like_it(&mut self.others, server, taken.verdict, true);
                            }
                        }
                    }
                }
            }
        }
    }

    /// A null-sender mail that a host of ours sends: is it a report on one that an outsider brought?
    fn reported(&mut self, seen: &Observation<'_>, tx: &Transaction, ctx: &Context<'_>) {
        // An address verification has the same envelope, but never sends DATA.
        if !tx.null_sender || (tx.transfer.is_none() && tx.data_cmd_reply.is_none()) {
            return;
        }
        let dsn = tx.content.as_ref().and_then(|content| content.dsn.as_ref());
        let automatic = tx.content.as_ref().and_then(|content| content.auto_submitted.as_ref());
        if dsn.is_none() && automatic.is_some_and(|value| value.as_bytes() == b"auto-replied") {
            return;
        }
        let host = seen.id.orig.host;
        let ours = Ours { ctx, server: host, other: seen.id.resp.host };
        let reported: Vec<&Wire> = dsn
            .map(|dsn| [&dsn.original_recipient, &dsn.final_recipient].into_iter().flatten().collect())
            .unwrap_or_default();
        for rcpt in &tx.rcptto {
            let sender = self.keys.address(ours.mailbox(rcpt.to.as_bytes()).as_bytes());
            let candidates: Vec<u64> = self
                .attempts
                .of(sender)
                .into_iter()
                .filter(|number| {
                    self.attempts.get(*number).is_some_and(|taken| {
                        !taken.bounced && taken.is_with(host) && seen.at.ts.since(taken.at) <= self.settings.ndr_window
                    })
                })
                .collect();
            let Some(first) = self.reported_one(&candidates, &reported, &ours) else { continue };
            // One report speaks of all recipients of a mail that failed; which ones, only some reports tell.
            let whole_mail = dsn.is_none_or(|dsn| dsn.recipients > 1);
            let mail = self.attempts.get(first).map(|taken| (taken.session, taken.frame));
            for number in candidates {
                let Some(taken) = self.attempts.get_mut(number) else { continue };
                if number != first && !(whole_mail && mail == Some((taken.session, taken.frame))) {
                    continue;
                }
                taken.bounced = true;
                let (server, key) = (taken.session.resp.host, taken.verdict);
                let state = Self::state(&mut self.servers, &self.settings, server, seen.at.ts);
                state.records.raise(&mut self.others, server, key, RelayOutcome::AcceptedThenNdr);
                state.note_report(seen.id, tx.began.frame);
            }
        }
    }

    /// Which of the mails a report is about: the one whose recipient it names, as it was written if there are several;
    /// where it names none, the oldest. A report that names another recipient is about another mail.
    fn reported_one(&self, candidates: &[u64], reported: &[&Wire], ours: &Ours<'_>) -> Option<u64> {
        if reported.is_empty() {
            return candidates.first().copied();
        }
        let as_written = |taken: &Taken| {
            reported.iter().any(|address| {
                // The server may have put its own domain behind an address that had none.
                [self.keys.address(address.as_bytes()), self.keys.local_part(address.as_bytes())].contains(&taken.raw)
            })
        };
        let in_the_end = |taken: &Taken| {
            reported
                .iter()
                .any(|address| self.keys.address(ours.mailbox(address.as_bytes()).as_bytes()) == taken.effective)
        };
        let find = |fits: &dyn Fn(&Taken) -> bool| {
            candidates.iter().copied().find(|number| self.attempts.get(*number).is_some_and(fits))
        };
        find(&as_written).or_else(|| find(&in_the_end))
    }
}

/// The verdict on a mail that was seen to leave. Its recipient is that of the onward session: the one that was sent may not
/// have been kept.
fn proven(taken: &Taken, known: bool, onward: Onward, tx: &Transaction, rcpt: &Wire) -> Shown {
    let rcpt = Wire::capped(rcpt.as_bytes(), ADDRESS_MAX);
    Shown {
        key: taken.verdict,
        record: Record {
            outcome: RelayOutcome::Proven,
            soft: false,
            with_data: true,
            probable: false,
            tried: false,
            learned: !known,
            forged: taken.technique.is_forged_local(),
        },
        verdict: RelayVerdict {
            server: taken.session.resp.host,
            client: taken.session.orig.host,
            technique: taken.technique.names(),
            sender: taken.sent_by.clone(),
            recipient: rcpt.clone(),
            effective: rcpt,
            verdict: RelayOutcome::Proven,
            reply: tx.data_reply.as_ref().map(words),
            frame: taken.frame,
        },
        session: taken.session,
        onward: Some(onward),
    }
}

impl Detector for Relay {
    fn name(&self) -> &'static str {
        "relay"
    }

    fn wants(&self, way: Way, kind: Kind) -> bool {
        match way {
            Way::Inbound => matches!(kind, Kind::Auth | Kind::Transaction | Kind::Closed),
            Way::Outbound | Way::Inside => kind == Kind::Transaction,
            Way::Foreign => false,
        }
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        match (seen.way, seen.what) {
            // A login whose end was not seen may have succeeded.
            (Way::Inbound, What::Auth(_, auth)) => {
                if matches!(auth.result, AuthResult::Succeeded | AuthResult::Unknown) {
                    self.note_login(seen.id);
                }
            }
            (Way::Inbound, What::Transaction(mail)) => self.taken(seen, mail, ctx),
            (Way::Outbound | Way::Inside, What::Transaction(mail)) => {
                self.passed_on(seen, mail.tx);
                self.reported(seen, mail.tx, ctx);
            }
            (Way::Inbound, What::Closed(_)) => {
                self.logged_in.remove(&seen.id);
            }
            _ => {}
        }
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (server, state) in self.servers.sorted() {
            if now.ts.since(state.last) <= self.settings.remember {
                out.extend(report::finding(self.name(), &self.settings, server, state, ctx));
            }
        }
    }

    fn stats(&self) -> DetectorStats {
        let lost = self.attempts.lost() + self.strangers.lost() + self.others.forgotten() + self.logged_in_forgotten;
        DetectorStats { hosts: self.servers.len(), evicted: self.servers.evicted() + lost, early_turns: 0 }
    }
}

#[cfg(test)]
mod tests;
