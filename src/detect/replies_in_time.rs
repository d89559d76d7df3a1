//! D11: what replies tell besides their words: that they come late on purpose (a tarpit), that refusals come in a storm,
//! and that a refusal for now was followed by acceptance (greylisting).
//!
//! An annotator: it explains. Where a host is refused by many networks, D1 judges it, and what is measured here stands
//! beside its sum with no weight. Only where one or two servers refuse nearly all that a host sends - its smart host, a
//! customer's gateway - this is an incident of its own, for nobody else would tell it. Read RFC 6647 on greylisting.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::context::Context;
use super::few::Few;
use super::finding::{Finding, Numbers, Peer, Ruling};
use super::hosts::{HostIdx, PerHost};
use super::novelty::Recent;
use super::observation::{Coming, Kind, Mail, Observation, Way, What};
use super::replies::{OutcomeClass, ReplyClass, Stage};
use super::samples::{Samples, words};
use super::score::{Class, Confidence, Family, Severity, Tier};
use super::sequential::Cusum;
use super::table::Weigh;
use super::{Detector, DetectorStats};
use crate::frame::At;
use crate::ledger::Role;
use crate::net::HostKey;
use crate::session::{CommandLog, Outcome};
use crate::smtp::Reply;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// The settings of D11.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How much longer refusals take than acceptances in a tarpit. Exchange's default is 5 s; 3 s leaves room below it.
    pub tarpit: Span,
    /// Refusals and acceptances that both medians need.
    pub tarpit_samples_min: usize,
    /// Share of refusals for good in honest use.
    pub p0: f64,
    /// The same in a storm.
    pub p1: f64,
    /// The sum at which it is a storm, in dB.
    pub storm_db: f64,
    /// Refusals within `rate_window` that a storm needs too.
    pub rate_min: usize,
    /// See `rate_min`.
    pub rate_window: Span,
    /// Refused by more networks than this, it is D1's.
    pub networks_max: usize,
    /// A mail that was told to wait is greylisted if it is taken no sooner than this (queues wait longer).
    pub greylist_min: Span,
    /// And no later than this; postgrey forgets after two days.
    pub greylist_max: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tarpit: Span::secs(3),
            tarpit_samples_min: 3,
            p0: 0.2,
            p1: 0.8,
            storm_db: 30.0,
            rate_min: 10,
            rate_window: Span::mins(5),
            networks_max: 2,
            greylist_min: Span::mins(1),
            greylist_max: Span::hours(48),
        }
    }
}

/// Waits kept for each median: the last ones, enough for a median that one slow answer does not move.
const WAITS_MAX: usize = 32;
/// Networks remembered a host; whether there are more than two matters.
const NETWORKS_MAX: usize = 8;
/// Servers shown.
const PEERS_MAX: usize = 5;
/// Mails that were told to wait and are remembered, over all hosts, in each half of the window.
const DEFERRED_MAX: usize = 1 << 17;

/// How long a server takes to refuse and to accept: the last few of each.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits {
    refused: VecDeque<Span>,
    accepted: VecDeque<Span>,
}

/// Medians of a tarpit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Tarpit {
    /// Of the refusals.
    pub(super) refused: Span,
    /// Of the acceptances.
    pub(super) accepted: Span,
}

impl Waits {
    /// Learns from a session's MAIL and RCPT commands. The answers to the mail data are left out: scanning takes time.
    ///
    /// A server answers one command after the other, so the wait begins at the reply before it where that came later.
    pub(super) fn note(&mut self, commands: &[CommandLog]) {
        let mut free = Ts::EPOCH;
        for command in commands {
            let (Some(replied), Some(code)) = (command.replied, command.code) else { continue };
            let waited = replied.since(command.said.max(free));
            free = free.max(replied);
            let kept = match code {
                _ if !matches!(command.verb, "MAIL" | "RCPT") => continue,
                200..300 => &mut self.accepted,
                400..600 => &mut self.refused,
                _ => continue,
            };
            if kept.len() >= WAITS_MAX {
                kept.pop_front();
            }
            kept.push_back(waited);
        }
    }

    /// Reads where the next ones will be put.
    fn fetch(&self) -> u64 {
        let first = |waits: &VecDeque<Span>| waits.front().map_or(0, |wait| wait.as_nanos() as u64);
        first(&self.refused) ^ first(&self.accepted)
    }

    /// Whether refusals are held back, as far as can be told. The way there and back is in both medians.
    pub(super) fn tarpit(&self, settings: &Settings) -> Option<Tarpit> {
        self.against(self, settings)
    }

    /// The same with the acceptances of another: a client that is only refused, and a server that accepts others.
    pub(super) fn against(&self, others: &Self, settings: &Settings) -> Option<Tarpit> {
        let enough = self.refused.len().min(others.accepted.len()) >= settings.tarpit_samples_min.max(1);
        let (refused, accepted) = (median(&self.refused)?, median(&others.accepted)?);
        (enough && refused >= accepted + settings.tarpit).then_some(Tarpit { refused, accepted })
    }
}

/// The lower median.
fn median(waits: &VecDeque<Span>) -> Option<Span> {
    let mut sorted: Vec<Span> = waits.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// A server that refuses.
#[derive(Debug)]
struct Refuser {
    count: u64,
    words: Wire,
    first: Ts,
    last: Ts,
}

#[derive(Debug, Default)]
struct HostState {
    share: Cusum,
    /// Times of the last refusals, at most `rate_min`.
    recent: VecDeque<Ts>,
    /// When the sum last left zero, and when the storm that was seen began.
    onset: Option<Ts>,
    storm: Option<Ts>,
    refused: u64,
    taken: u64,
    causes: SmallVec<[(ReplyClass, u64); 2]>,
    refusers: Few<Refuser, NETWORKS_MAX>,
    networks: Few<(), NETWORKS_MAX>,
    deferred: u64,
    came_back: u64,
    waits: Waits,
    first: Option<Ts>,
    last: Ts,
    samples: Samples,
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        self.refused + self.taken
    }
}

/// D11.
#[derive(Debug)]
pub struct RepliesInTime {
    settings: Settings,
    /// What a recipient that is refused weighs, and one that is taken, in dB.
    refused_db: f64,
    taken_db: f64,
    hosts: PerHost<HostState>,
    deferred: Recent,
    deferred_lately: Recent,
}

impl RepliesInTime {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        let deferred = Recent::new(settings.greylist_max, DEFERRED_MAX);
        let deferred_lately = Recent::new(settings.greylist_min, DEFERRED_MAX / 4);
        Self {
            refused_db: 10.0 * (settings.p1 / settings.p0).log10(),
            taken_db: 10.0 * ((1.0 - settings.p1) / (1.0 - settings.p0)).log10(),
            settings,
            hosts: PerHost::default(),
            deferred,
            deferred_lately,
        }
    }

    fn mail(&mut self, client: HostIdx, seen: &Observation<'_>, mail: &Mail<'_>, ctx: &Context<'_>) {
        let (server, now) = (seen.id.resp.host, seen.at.ts);
        // Reports on forged mail fail by nature: they are D4's.
        if mail.tx.null_sender && seen.takes_mail {
            return;
        }
        self.greylist(client, mail, now);
        let state = self.hosts.touch(client);
        state.first.get_or_insert(mail.tx.began.ts);
        state.last = state.last.max(now);
        for refusal in outcomes(mail) {
            let Some(reply) = refusal else {
                state.taken += 1;
                state.add(false, &self.settings, self.taken_db, now);
                continue;
            };
            let class = mail.classify(reply.1, reply.0, ctx.rules).class;
            // A listed gateway is everybody's burden, and D9's to tell.
            if class == ReplyClass::BlocklistIp
                || (class.outcome() == OutcomeClass::Policy && ctx.reputation.is_listed(now))
            {
                continue;
            }
            state.refused += 1;
            match state.causes.iter_mut().find(|(known, _)| *known == class) {
                Some((_, n)) => *n += 1,
                None => state.causes.push((class, 1)),
            }
            state.samples.add(seen.id, mail.tx.ended.frame);
            state.note_refuser(server, reply.1, now);
            state.add(true, &self.settings, self.refused_db, now);
        }
    }

    fn greylist(&mut self, client: HostIdx, mail: &Mail<'_>, now: Ts) {
        let key = mail.keys.triplet;
        match mail.tx.outcome {
            Outcome::Deferred => {
                let state = self.hosts.touch(client);
                state.deferred += u64::from(self.deferred.insert_hash(key, now));
                self.deferred_lately.insert_hash(key, now);
            }
            Outcome::Accepted
                if self.deferred.contains_hash(key, now) && !self.deferred_lately.contains_hash(key, now) =>
            {
                self.hosts.touch(client).came_back += 1;
            }
            _ => {}
        }
    }

    fn storm(&self, host: HostKey, state: &HostState, began: Ts, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        let own = state.networks.len() <= self.settings.networks_max;
        let cause =
            state.causes.iter().max_by_key(|(class, n)| (*n, std::cmp::Reverse(*class))).map(|(class, _)| *class);
        let cause = cause.unwrap_or(ReplyClass::Other);
        let mail_host = matches!(ctx.role(host), Role::Server | Role::Sender);
        let severity = match cause {
            _ if mail_host => Severity::Medium,
            ReplyClass::RelayDenied | ReplyClass::AuthRequired | ReplyClass::AuthFailed => Severity::Low,
            _ => Severity::Info,
        };
        let tarpit = state.waits.tarpit(&self.settings);
        let held = tarpit.map_or(String::new(), |held| format!("; {}", held.says()));
        let mut peers: Vec<Peer> = state
            .refusers
            .iter()
            .map(|(ip, refuser)| Peer {
                ip: *ip,
                role: "refuses",
                count: refuser.count,
                says: Some(refuser.words.clone()),
                first_ts: refuser.first,
                last_ts: refuser.last,
            })
            .collect();
        peers.sort_by(|a, b| (b.count, a.ip).cmp(&(a.count, b.ip)));
        peers.truncate(PEERS_MAX);
        let (class, verdict) = if own {
            let ruling = Ruling { tier: Tier::Suspect, severity, confidence: Confidence::High };
            (Class::RejectionStorm, Some(ruling))
        } else {
            (Class::MassMailer, None)
        };
        out.push(Finding {
            kind: own.then_some(cause.as_str()),
            says: format!(
                "{} of {} recipients it asked for were refused for good, most of them because of: {}{held}",
                state.refused,
                state.refused + state.taken,
                meaning(cause)
            ),
            numbers: with_tarpit(
                Numbers::new()
                    .count("refused", state.refused)
                    .count("asked", state.refused + state.taken)
                    .with("refused_percent", percent(state.refused, state.refused + state.taken))
                    .count("networks", state.networks.len() as u64),
                tarpit,
            ),
            frames: state.samples.frames(),
            sessions: state.samples.sessions(),
            verdict,
            peers,
            ..Finding::summed(self.name(), host, class, Family::Storm, 0.0, began, state.last)
        });
    }
}

impl HostState {
    fn add(&mut self, refused: bool, settings: &Settings, db: f64, now: Ts) {
        if self.share.value() <= 0.0 {
            self.onset = refused.then_some(now);
        }
        self.share.add(db, now);
        if !refused {
            return;
        }
        while self.recent.len() >= settings.rate_min.max(1) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let fast = self.recent.len() >= settings.rate_min
            && self.recent.front().is_some_and(|first| now.since(*first) <= settings.rate_window);
        // Sums of logarithms are not exact: a storm at its threshold is one.
        if fast && self.share.value() >= settings.storm_db - 1e-6 && self.storm.is_none() {
            self.storm = self.onset.or(Some(now));
        }
    }

    fn note_refuser(&mut self, server: HostKey, reply: &Reply, now: Ts) {
        let site = server.site();
        self.networks.entry(site, || ());
        let fresh = || Refuser { count: 0, words: words(reply), first: now, last: now };
        if let Some(refuser) = self.refusers.entry(server, fresh) {
            refuser.count += 1;
            refuser.last = now;
        }
    }
}

impl Tarpit {
    /// For people.
    pub(super) fn says(&self) -> String {
        format!(
            "refusals were held back for {:.1} s, while acceptances took {:.0} ms (a tarpit; both are medians)",
            self.refused.as_secs_f64(),
            1000.0 * self.accepted.as_secs_f64()
        )
    }
}

/// The two medians, where there is a tarpit.
pub(super) fn with_tarpit(numbers: Numbers, tarpit: Option<Tarpit>) -> Numbers {
    match tarpit {
        Some(held) => numbers
            .with("refusal_median_seconds", held.refused.as_secs_f64())
            .with("acceptance_median_seconds", held.accepted.as_secs_f64()),
        None => numbers,
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    (100.0 * part as f64 / whole.max(1) as f64).round()
}

/// What became of each recipient, where that is known: the refusal for good, or nothing where it was taken. What was put
/// off says neither.
fn outcomes<'a>(mail: &Mail<'a>) -> SmallVec<[Option<(Stage, &'a Reply)>; 2]> {
    let tx = mail.tx;
    let for_good = |stage, reply: &'a Option<Reply>| reply.as_ref().filter(|r| r.is_permanent()).map(|r| (stage, r));
    let whole = for_good(Stage::EndOfData, &tx.data_reply).or_else(|| {
        // DATA is refused too where every recipient was: their own words count then.
        for_good(Stage::Data, &tx.data_cmd_reply).filter(|_| tx.rcpt_accepted > 0)
    });
    if tx.rcptto.is_empty() {
        return for_good(Stage::Mail, &tx.mail_reply).map(Some).into_iter().collect();
    }
    let taken = tx.outcome == Outcome::Accepted;
    tx.rcptto
        .iter()
        .filter_map(|rcpt| match &rcpt.reply {
            Some(reply) if reply.is_permanent() => Some(Some((Stage::Rcpt, reply))),
            Some(reply) if reply.is_positive() && whole.is_some() => Some(whole),
            Some(reply) if reply.is_positive() && taken => Some(None),
            _ => None,
        })
        .collect()
}

/// A cause for people.
const fn meaning(class: ReplyClass) -> &'static str {
    match class {
        ReplyClass::UserUnknown => "recipients that do not exist",
        ReplyClass::MailboxDisabled | ReplyClass::MailboxFull => "mailboxes that take no mail",
        ReplyClass::RelayDenied => "the server does not pass on mail for this host",
        ReplyClass::AuthRequired | ReplyClass::AuthFailed => "this host did not log in",
        ReplyClass::RateLimit | ReplyClass::TooManyConnections => "too much mail at once",
        ReplyClass::SpamContent => "the mail looks like spam",
        ReplyClass::SenderAuth | ReplyClass::SenderRejected => "the sender's address",
        ReplyClass::Rdns => "this host's address has no fitting name",
        ReplyClass::Size => "the mail is too large",
        ReplyClass::Policy | ReplyClass::BlocklistIp | ReplyClass::EarlyTalk => "a policy of the server",
        ReplyClass::TlsRequired => "the server wants encryption first",
        _ => "reasons of the server's own",
    }
}

impl Detector for RepliesInTime {
    fn name(&self) -> &'static str {
        "replies_in_time"
    }

    fn wants(&self, _: Way, kind: Kind) -> bool {
        matches!(kind, Kind::Transaction | Kind::Closed)
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        let Some(client) = seen.client else { return };
        match seen.what {
            What::Transaction(mail) => self.mail(client, seen, mail, ctx),
            // A gap may hide when something was said.
            What::Closed(session) if session.conn.gaps == 0 && session.smtp.transactions_total > 0 => {
                self.hosts.touch(client).waits.note(&session.smtp.commands);
            }
            _ => {}
        }
    }

    fn fetch(&self, coming: &Coming<'_>) -> u64 {
        let state = coming.client.and_then(|client| self.hosts.get(client));
        state.map_or(0, |state| {
            let recent = state.recent.front().map_or(0, |first| first.as_nanos() as u64);
            let first = u64::from(state.first.is_some());
            state.refused ^ first ^ recent ^ state.networks.fetch(0) ^ state.refusers.fetch(0) ^ state.waits.fetch()
        })
    }

    fn findings(&self, _: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (host, state) in self.hosts.sorted(ctx.hosts) {
            let line = |says, numbers| Finding {
                says,
                numbers,
                ..Finding::summed(
                    self.name(),
                    host,
                    Class::MassMailer,
                    Family::Storm,
                    0.0,
                    state.first.unwrap_or(state.last),
                    state.last,
                )
            };
            if let Some(began) = state.storm {
                self.storm(host, state, began, ctx, out);
            } else if let Some(held) = state.waits.tarpit(&self.settings) {
                out.push(line(held.says(), with_tarpit(Numbers::new(), Some(held))));
            }
            if state.came_back > 0 {
                let says = format!(
                    "{} of {} mails that were told to wait were taken on a later try: it has a queue, as mail servers have",
                    state.came_back, state.deferred
                );
                out.push(line(
                    says,
                    Numbers::new().count("deferred", state.deferred).count("taken_later", state.came_back),
                ));
            }
        }
    }

    fn weight(&self, host: HostIdx) -> u64 {
        self.hosts.weight(host)
    }

    fn forget(&mut self, host: HostIdx) {
        self.hosts.forget(host);
    }

    fn stats(&self) -> DetectorStats {
        DetectorStats {
            hosts: self.hosts.len(),
            evicted: self.hosts.evicted(),
            early_turns: self.deferred.early_turns() + self.deferred_lately.early_turns(),
        }
    }
}

#[cfg(test)]
mod tests;
