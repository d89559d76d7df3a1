//! D4: floods of non-delivery reports. A server that takes mail for users who do not exist and bounces it later answers
//! every spam with a report to a stranger, whose address was forged (the reverse NDR attack).
//!
//! The share of null-sender mail among what the server sends is a sequential test; what caused the reports is logic:
//! their recipients are matched to the senders of mail that the server took shortly before. Read RFC 3464, and Frei,
//! Silvestri and Ollmann, *Mail Non-Delivery Notice Attacks* (2004), for the amplification. Null senders that are no
//! reports (call-outs, which never reach DATA; auto-replies and receipts, which say so; what a host of ours handed in)
//! are left out.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use foldhash::fast::RandomState;
use hashlink::LruCache;

use super::context::Context;
use super::finding::{Finding, Numbers, Peer};
use super::hosts::{HostIdx, PerHost};
use super::novelty;
use super::observation::{Kind, Mail, Observation, Way, What};
use super::replies::{ReplyClass, Stage};
use super::samples::Samples;
use super::score::{Class, Family};
use super::sequential::Cusum;
use super::table::Weigh;
use super::{Detector, DetectorStats};
use crate::distinct::Distinct;
use crate::frame::{At, FrameNo};
use crate::net::HostKey;
use crate::session::Outcome;
use crate::tcp::ConnId;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// The settings of D4.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Share of reports in an honest server's mail.
    pub p0: f64,
    /// The same in a flood. Microsoft KB 909005 speaks of 'most queued messages'; half is cautious.
    pub p1: f64,
    /// Alarm threshold, in dB; a server makes some 10^5 observations a month.
    pub alarm_db: f64,
    /// Reports within `rate_window` that an alarm needs too.
    pub rate_min: usize,
    /// See `rate_min`.
    pub rate_window: Span,
    /// The window for a slow flood, in which `rate_min` reports count too, if most of them answer mail that was taken
    /// (`reverse_share`): a server that bounces spam for a small domain sends a few reports an hour, day and night.
    pub slow_window: Span,
    /// How long after a mail was taken a report may follow and still be its answer.
    pub trigger_window: Span,
    /// Matched share from which on the flood is `reverse`.
    pub reverse_share: f64,
    /// Matched share under which it is `other`.
    pub other_share: f64,
    /// What matched triggers add, in dB.
    pub trigger_db: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            p0: 0.05,
            p1: 0.50,
            alarm_db: 50.0,
            rate_min: 20,
            rate_window: Span::mins(10),
            slow_window: Span::hours(12),
            trigger_window: Span::hours(48),
            reverse_share: 0.5,
            other_share: 0.2,
            trigger_db: 10.0,
        }
    }
}

/// Mails taken that may still be answered by a report, over all servers; the oldest is forgotten when full.
const TRIGGERS_MAX: usize = 65_536;
/// Recipients to whom a host of ours sent without a sender, over all servers; the oldest is forgotten when full.
const HANDED_IN_MAX: usize = 65_536;
/// Clients counted a server; the counts are lowered together when full (Misra and Gries), so the busiest stay.
const CLIENTS_MAX: usize = 256;
/// Pairs of a mail that was taken and the report that answers it, shown.
const PAIRS_SHOWN: usize = 3;
/// So much, in dB, mail without reports in a row must say against a flood before it counts as over.
const OVER_DB: f64 = 20.0;
/// Clients shown.
const CLIENTS_SHOWN: usize = 10;
/// Accepted recipients that were seen once only, as a share, when nobody checks them.
const RECIPIENTS_ONCE_SHARE: f64 = 0.8;
/// Under this share of refusals for unknown users nobody checks recipients.
const UNKNOWN_SHARE_MAX: f64 = 0.01;
/// Accepted recipients before that can be said.
const RECIPIENTS_MIN: u64 = 20;

/// What a mail with the null sender is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Null {
    /// A report of non-delivery, as far as can be told.
    Report,
    /// A report of success, which the sender asked for.
    Receipt,
    /// An answer by a machine, which says so.
    AutoReply,
    /// Another host of ours wrote it.
    HandedIn,
}

/// A mail that was taken and may be answered.
#[derive(Clone, Copy, Debug)]
struct Trigger {
    taken: At,
    id: ConnId,
    answered: u32,
}

#[derive(Clone, Copy, Debug)]
struct Client {
    matched: u64,
    first: Ts,
    last: Ts,
}

#[derive(Debug, Default)]
struct HostState {
    share: Cusum,
    alarmed: Option<Ts>,
    /// When the sum last left zero.
    onset: Option<Ts>,
    mails: u64,
    reports: u64,
    matched: u64,
    triggers: u64,
    failed: u64,
    deferred: u64,
    auto_replies: u64,
    receipts: u64,
    handed_in: u64,
    /// Times of the last reports, at most `rate_min`.
    recent: VecDeque<Ts>,
    first: Option<Ts>,
    last: Ts,
    networks: Distinct,
    clients: BTreeMap<HostKey, Client>,
    rcpt_taken: u64,
    rcpt_unknown: u64,
    rcpt_distinct: Distinct,
    samples: Samples,
    pairs: Vec<Pair>,
    /// Mail since the last report.
    others_since: u64,
}

/// A mail that was taken, and the report that answers it.
#[derive(Clone, Copy, Debug)]
struct Pair {
    taken: (FrameNo, ConnId),
    report: (FrameNo, ConnId),
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        self.mails + self.rcpt_taken
    }
}

/// D4.
#[derive(Debug)]
pub struct NdrFlood {
    settings: Settings,
    hosts: PerHost<HostState>,
    triggers: LruCache<u64, Trigger, RandomState>,
    triggers_forgotten: u64,
    /// When a host of ours last handed in a mail with the null sender, by server and recipient.
    handed_in: LruCache<u64, Ts, RandomState>,
    handed_in_forgotten: u64,
}

impl NdrFlood {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            hosts: PerHost::default(),
            triggers: LruCache::with_hasher(usize::MAX, RandomState::default()),
            triggers_forgotten: 0,
            handed_in: LruCache::with_hasher(usize::MAX, RandomState::default()),
            handed_in_forgotten: 0,
        }
    }

    /// Mail that comes in: it may be answered.
    fn taken(&mut self, seen: &Observation<'_>, mail: &Mail<'_>, ctx: &Context<'_>) {
        let (server, now) = (seen.id.resp.host, seen.at.ts);
        let Some(host) = seen.server else { return };
        let state = self.hosts.touch(host);
        for rcpt in &mail.tx.rcptto {
            let Some(reply) = &rcpt.reply else { continue };
            if reply.is_positive() {
                state.rcpt_taken += 1;
                state.rcpt_distinct.insert_bytes(rcpt.to.as_bytes());
            } else if ctx.rules.classify(reply, Stage::Rcpt).class == ReplyClass::UserUnknown {
                state.rcpt_unknown += 1;
            }
        }
        if mail.tx.outcome == Outcome::Accepted && !mail.tx.null_sender {
            if self.triggers.len() >= TRIGGERS_MAX {
                self.triggers.remove_lru();
                self.triggers_forgotten += 1;
            }
            let trigger = Trigger { taken: At { ts: now, frame: mail.tx.ended.frame }, id: seen.id, answered: 0 };
            self.triggers.insert(address_key(server, &mail.tx.mailfrom), trigger);
        }
    }

    /// Mail that a host of ours gives to a server of ours: what has no sender then is not the server's own.
    fn handed_in(&mut self, seen: &Observation<'_>, mail: &Mail<'_>) {
        if !mail.tx.null_sender || mail.tx.outcome != Outcome::Accepted {
            return;
        }
        for rcpt in &mail.tx.rcptto {
            if self.handed_in.len() >= HANDED_IN_MAX {
                self.handed_in.remove_lru();
                self.handed_in_forgotten += 1;
            }
            self.handed_in.insert(address_key(seen.id.resp.host, &rcpt.to), seen.at.ts);
        }
    }

    /// What a mail with the null sender is that answers something, or nothing that is known.
    fn null(&self, server: HostKey, mail: &Mail<'_>, answers: bool, now: Ts) -> Null {
        let content = mail.tx.content.as_ref();
        if let Some(dsn) = content.and_then(|content| content.dsn.as_ref()) {
            return if dsn.is_receipt() { Null::Receipt } else { Null::Report };
        }
        let automatic = content.and_then(|content| content.auto_submitted.as_ref());
        if automatic.is_some_and(|value| value.as_bytes() == b"auto-replied") {
            return Null::AutoReply;
        }
        // A server behind the one that takes the mail hands in true reports: those answer something, or can be read.
        let handed_in = mail.tx.rcptto.first().and_then(|rcpt| self.handed_in.peek(&address_key(server, &rcpt.to)));
        let lately = handed_in.is_some_and(|at| now.since(*at) <= self.settings.trigger_window);
        if lately && !answers { Null::HandedIn } else { Null::Report }
    }

    /// Mail that goes out.
    fn sent(&mut self, seen: &Observation<'_>, mail: &Mail<'_>) {
        let (server, now) = (seen.id.orig.host, seen.at.ts);
        let tx = mail.tx;
        if !mail.novel || matches!(tx.outcome, Outcome::Incomplete | Outcome::Hidden) {
            return;
        }
        let reached_data = tx.transfer.is_some();
        // Who leaves although the recipient was taken wanted to know no more: a call-out (address verification).
        if tx.outcome == Outcome::Abandoned {
            return;
        }
        let answers = if tx.null_sender { self.answered(server, mail, now) } else { None };
        // What was refused before DATA is a report only if it answers something.
        if !reached_data && answers.is_none() {
            return;
        }
        let null = tx.null_sender.then(|| self.null(server, mail, answers.is_some(), now));
        let report = null == Some(Null::Report);
        let settings = &self.settings;
        let Some(host) = seen.client else { return };
        let state = self.hosts.touch(host);
        state.mails += 1;
        state.auto_replies += u64::from(null == Some(Null::AutoReply));
        state.receipts += u64::from(null == Some(Null::Receipt));
        state.handed_in += u64::from(null == Some(Null::HandedIn));
        let (p1, p0) = if report { (settings.p1, settings.p0) } else { (1.0 - settings.p1, 1.0 - settings.p0) };
        if state.share.value() <= 0.0 {
            state.onset = report.then_some(tx.began.ts);
        }
        state.share.add(10.0 * (p1 / p0).log10(), now);
        if !report {
            state.others_since += 1;
            return;
        }
        state.others_since = 0;
        state.reports += 1;
        state.failed += u64::from(tx.outcome == Outcome::Rejected);
        state.deferred += u64::from(tx.outcome == Outcome::Deferred);
        state.networks.insert(seen.id.resp.host.site());
        state.last = now;
        state.samples.add(seen.id, tx.ended.frame);
        if let Some(trigger) = answers {
            state.matched += 1;
            state.triggers += u64::from(trigger.answered == 1);
            note_client(&mut state.clients, trigger.id.orig.host, now);
            if state.pairs.len() < PAIRS_SHOWN {
                state.pairs.push(Pair { taken: (trigger.taken.frame, trigger.id), report: (tx.ended.frame, seen.id) });
            }
        }
        if state.recent.len() >= settings.rate_min {
            state.recent.pop_front();
        }
        state.recent.push_back(now);
        let matched = state.matched as f64 >= settings.reverse_share * state.reports as f64;
        let window = if matched { settings.rate_window.max(settings.slow_window) } else { settings.rate_window };
        let many = state.recent.len() >= settings.rate_min
            && state.recent.front().is_some_and(|first| now.since(*first) <= window);
        if many && state.share.value() >= settings.alarm_db && state.alarmed.is_none() {
            state.alarmed = Some(now);
            state.first = state.onset;
        }
    }

    /// The mail that a null-sender mail answers, if the server took one of its recipient.
    fn answered(&mut self, server: HostKey, mail: &Mail<'_>, now: Ts) -> Option<Trigger> {
        let rcpt = mail.tx.rcptto.first()?;
        let trigger = self.triggers.peek_mut(&address_key(server, &rcpt.to))?;
        if now.since(trigger.taken.ts) > self.settings.trigger_window {
            return None;
        }
        trigger.answered += 1;
        Some(*trigger)
    }

    fn finding(&self, host: HostKey, state: &HostState, now: At, out: &mut Vec<Finding>) {
        let settings = &self.settings;
        let matched_share = state.matched as f64 / state.reports.max(1) as f64;
        let kind = match matched_share {
            m if m >= settings.reverse_share => "reverse",
            m if m < settings.other_share => "other",
            _ => "mixed",
        };
        let percent = (100.0 * state.reports as f64 / state.mails.max(1) as f64).round();
        let others = state.mails - state.reports;
        let factor = state.mails as f64 / others.max(1) as f64;
        let against = 10.0 * ((1.0 - settings.p0) / (1.0 - settings.p1)).log10();
        let over = if state.others_since as f64 * against >= OVER_DB {
            format!("; none since {}, while {} other mails went out", state.last, state.others_since)
        } else {
            String::new()
        };
        let amplification = state.matched as f64 / state.triggers.max(1) as f64;
        let (first, last) = (state.first.unwrap_or(state.last), state.last);
        // What answers nothing may be anything.
        let what = if kind == "other" { "had no sender" } else { "were non-delivery reports" };
        out.push(Finding {
            kind: Some(kind),
            says: format!(
                "{} of {} mails that it sent out {what} ({percent} %), {} of which were refused and {} \
                 put off; without them it would send {factor:.1} times less{over}",
                state.reports, state.mails, state.failed, state.deferred
            ),
            numbers: Numbers::new()
                .count("reports", state.reports)
                .count("mails", state.mails)
                .with("ndr_share_percent", percent)
                .with("traffic_factor", factor)
                .count("failed", state.failed)
                .count("deferred", state.deferred)
                .count("auto_replies", state.auto_replies)
                .count("receipts", state.receipts)
                .count("handed_in", state.handed_in)
                .count("networks", state.networks.count())
                .count("mails_since", state.others_since)
                .with("s_peak_db", state.share.peak(now.ts)),
            frames: state.samples.frames(),
            sessions: state.samples.sessions(),
            ..Finding::summed(self.name(), host, Class::NdrFlood, Family::Ndr, state.share.peak(now.ts), first, last)
        });
        let mut clients: Vec<(&HostKey, &Client)> = state.clients.iter().collect();
        clients.sort_by(|a, b| (b.1.matched, a.0).cmp(&(a.1.matched, b.0)));
        let unchecked = state.rcpt_taken >= RECIPIENTS_MIN
            && (state.rcpt_unknown as f64) < UNKNOWN_SHARE_MAX * state.rcpt_taken as f64
            && state.rcpt_distinct.count() as f64 >= RECIPIENTS_ONCE_SHARE * state.rcpt_taken as f64;
        out.push(Finding {
            says: format!(
                "{} of the reports answer mail that it had just taken ({} mails from {} clients, {amplification:.1} \
                 reports each){}{}",
                state.matched,
                state.triggers,
                clients.len(),
                if unchecked { "; it accepts every recipient, existing or not" } else { "" },
                if state.pairs.is_empty() { "" } else { "; the frames are pairs: a mail taken, its report" }
            ),
            numbers: Numbers::new()
                .count("matched", state.matched)
                .with("matched_share", matched_share)
                .count("triggers", state.triggers)
                .with("amplification", amplification)
                .count("recipients_taken", state.rcpt_taken)
                .count("recipients_unknown", state.rcpt_unknown)
                .count("no_recipient_validation", u64::from(unchecked)),
            frames: state.pairs.iter().flat_map(|pair| [pair.taken.0, pair.report.0]).collect(),
            sessions: state.pairs.iter().flat_map(|pair| [pair.taken.1, pair.report.1]).collect(),
            peers: clients
                .into_iter()
                .take(CLIENTS_SHOWN)
                .map(|(ip, client)| Peer {
                    ip: *ip,
                    role: "triggers",
                    count: client.matched,
                    says: None,
                    first_ts: client.first,
                    last_ts: client.last,
                })
                .collect(),
            ..Finding::summed(
                self.name(),
                host,
                Class::NdrFlood,
                Family::Trigger,
                if kind == "reverse" { settings.trigger_db } else { 0.0 },
                first,
                last,
            )
        });
    }
}

/// One key for a mailbox at a server, compared without case.
fn address_key(server: HostKey, address: &Wire) -> u64 {
    novelty::key(&[&server.octets(), &address.as_bytes().to_ascii_lowercase()])
}

fn note_client(clients: &mut BTreeMap<HostKey, Client>, client: HostKey, now: Ts) {
    if let Some(known) = clients.get_mut(&client) {
        known.matched += 1;
        known.last = now;
    } else if clients.len() < CLIENTS_MAX {
        clients.insert(client, Client { matched: 1, first: now, last: now });
    } else {
        clients.retain(|_, known| {
            known.matched -= 1;
            known.matched > 0
        });
    }
}

impl Detector for NdrFlood {
    fn name(&self) -> &'static str {
        "ndr_flood"
    }

    fn wants(&self, _: Way, kind: Kind) -> bool {
        kind == Kind::Transaction
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        let What::Transaction(mail) = seen.what else { return };
        match seen.way {
            Way::Inbound => self.taken(seen, mail, ctx),
            Way::Inside => self.handed_in(seen, mail),
            Way::Outbound if seen.client_serves() => self.sent(seen, mail),
            _ => {}
        }
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (host, state) in self.hosts.sorted(ctx.hosts) {
            if state.alarmed.is_some() {
                self.finding(host, state, now, out);
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
            evicted: self.hosts.evicted() + self.triggers_forgotten + self.handed_in_forgotten,
            early_turns: 0,
        }
    }
}
