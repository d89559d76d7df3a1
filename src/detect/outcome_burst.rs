//! D1: the outcome burst of a worm. Most of what a worm sends is refused; most of what an honest host sends is taken.
//!
//! A CUSUM in decibans over what became of a host's novel mail. The alternative's failures follow what is known of the
//! Cutwail botnet (Stone-Gross et al., *The Underground Economy of Spam*, 2011: about 30 % of sends accepted, 53 % of
//! the failures bad addresses); the null hypothesis stays inside SPOT's 20 % (Duan et al. 2012). Connection failures are
//! D3's alone, so that nothing counts twice. `docs/detectors/outcome_burst.md` has the whole story.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::context::Context;
use super::finding::{Finding, Numbers};
use super::hosts::{HostIdx, PerHost};
use super::novelty::Recent;
use super::observation::{Coming, Kind, Mail, Observation, Way, What, rcpt_key};
use super::replies::OutcomeClass;
use super::roles::Voice;
use super::samples::Samples;
use super::score::{Class, Family};
use super::sequential::{Cusum, Peak};
use super::site_cap::SiteCap;
use super::table::Weigh;
use super::voices::Voices;
use super::{Detector, DetectorStats};
use crate::frame::At;
use crate::ledger::Role;
use crate::net::HostKey;
use crate::session::SessionEventKind;
use crate::time::{Span, Ts};

/// The settings of D1.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Probabilities of the outcomes under honest use: accepted, bad recipient, policy refusal, other.
    ///
    /// The published table keeps 3 % for connect failures, which are D3's here: its share goes to 'accepted'.
    pub p0: [f64; 4],
    /// The same for a worm; its 8 % of connect failures are left out and the rest scaled up to 1.
    pub p1: [f64; 4],
    /// No outcome weighs more than this either way, in dB.
    pub z_max: f64,
    /// One destination network may add at most this much within an hour, in dB: a benign server with one dead
    /// destination crossed 50 dB in every simulated run without this cap, and in none with it.
    pub site_cap_db: f64,
    /// Distinct recipients in an hour from which on the second channel looks.
    pub fresh_rcpts_min: u64,
    /// Share of first-seen recipients that the second channel needs (the feature of Lin et al. 2013).
    pub fresh_share_min: f64,
    /// What the second channel adds, in dB (heuristic).
    pub fresh_db: f64,
    /// How much higher a server's threshold lies: it makes a hundred times as many observations.
    pub server_shift_db: f64,
    /// A mail told to try later and never tried again counts as `other` after this long: queues come back, bots do not.
    pub pending_for: Span,
    /// Bytes under TLS from which on a hidden session counts as a mail accepted (heuristic).
    pub hidden_accepted_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            p0: [0.89, 0.05, 0.03, 0.03],
            p1: [0.30 / 0.92, 0.37 / 0.92, 0.12 / 0.92, 0.13 / 0.92],
            z_max: 9.0,
            site_cap_db: 12.0,
            fresh_rcpts_min: 50,
            fresh_share_min: 0.9,
            fresh_db: 10.0,
            server_shift_db: 30.0,
            pending_for: Span::hours(4),
            hidden_accepted_bytes: 3000,
        }
    }
}

/// Networks remembered a host for the cap; 64 cover what any honest host mails in an hour many times over.
const SITES_MAX: usize = 64;
/// Mails told to try later that are waited for, over all hosts; the oldest is forgotten (neutral) when full.
const PENDING_MAX: usize = 65_536;
/// How long it is known that a mail was tried again. A quiet night may pass before anything shows that the wait for it
/// is over; after a longer silence nothing is made of it.
const RESOLVED_FOR: Span = Span::hours(24);
/// Weight of the prior in a server's own mix: a hundred imagined mails (Dirichlet).
const PSEUDO_COUNTS: f64 = 100.0;
/// A server's own mix is not learned from while its sum is above this, in dB: an attack must not become the norm.
const FREEZE_DB: f64 = 10.0;
/// Old observations of a server's own mix weigh half after this many newer ones.
const MIX_HALF_LIFE: f64 = 2000.0;

/// Index of an outcome in the tables.
pub(super) const fn index(outcome: OutcomeClass) -> Option<usize> {
    match outcome {
        OutcomeClass::Accepted => Some(0),
        OutcomeClass::BadRecipient => Some(1),
        OutcomeClass::Policy => Some(2),
        OutcomeClass::Other => Some(3),
        OutcomeClass::Pending | OutcomeClass::ConnectFailure => None,
    }
}

/// One voice of one host.
#[derive(Debug, Default)]
struct Track {
    /// Against the fixed mix of honest clients.
    client: Cusum,
    /// Against the host's own mix.
    own: Cusum,
    mix: [f64; 4],
    /// What each network has added within its hour.
    sites: SiteCap<SITES_MAX>,
    counts: [u64; 4],
    neutral: u64,
    pending: u64,
    /// Of these, tried again within the time, and not.
    came_back: u64,
    given_up: u64,
    hidden: u64,
    /// Hidden sessions that count as mails taken.
    hidden_taken: u64,
    last: Ts,
    samples: Samples,
    /// Recipients of this hour: when it began, how many, how many of them first seen.
    hour: (Ts, u64, u64),
    fresh: Peak,
    fresh_count: u64,
    /// When the hour of that peak began.
    fresh_began: Ts,
}

#[derive(Debug, Default)]
struct HostState {
    voices: Voices<Track>,
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        self.voices.iter().map(|(_, track)| track.counts.iter().sum::<u64>() + track.pending).sum()
    }
}

/// A mail that was told to try later.
#[derive(Debug)]
struct Pending {
    due: Ts,
    host: HostKey,
    site: HostKey,
    voice: Voice,
    triplet: u64,
}

/// D1.
#[derive(Debug)]
pub struct OutcomeBurst {
    settings: Settings,
    weights: Weights,
    hosts: PerHost<HostState>,
    pending: VecDeque<Pending>,
    /// Deferred mails that came back.
    resolved: Recent,
    /// Recipients ever mailed by a host, for a day.
    rcpts: Recent,
    /// Recipients mailed by a host within the hour, so that each counts once.
    rcpts_hour: Recent,
}

impl OutcomeBurst {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        let resolved = Recent::new(RESOLVED_FOR, 1 << 17);
        Self {
            weights: Weights::new(&settings),
            settings,
            hosts: PerHost::default(),
            pending: VecDeque::new(),
            resolved,
            rcpts: Recent::new(Span::hours(24), 1 << 20),
            rcpts_hour: Recent::new(Span::hours(1), 1 << 18),
        }
    }

    fn handle_mail(&mut self, client: HostIdx, seen: &Observation<'_>, mail: &Mail<'_>, ctx: &Context<'_>) {
        let host = seen.id.orig.host;
        // A server's null-sender mail is D4's: bounces of forged mail fail by nature.
        if mail.tx.null_sender && seen.client_serves() {
            return;
        }
        self.note_recipients(client, seen, mail);
        let site = seen.id.resp.host.site();
        // Whoever tries again has a queue, whatever comes of it and however little of it was seen. Older than every mail
        // that is waited for, it would be forgotten before any of them is due.
        let waits = mail.novel && mail.outcome == Some(OutcomeClass::Pending);
        if !waits && !self.pending.is_empty() {
            self.resolved.insert_hash(mail.keys.triplet, seen.at.ts);
        }
        let Some(outcome) = mail.outcome else { return };
        if outcome == OutcomeClass::Pending {
            if mail.novel {
                self.wait_for(
                    client,
                    Pending {
                        due: seen.at.ts + self.settings.pending_for,
                        host,
                        site,
                        voice: seen.voice,
                        triplet: mail.keys.triplet,
                    },
                );
            } else {
                // It came back, as queues do, and was put off again.
                self.resolved.insert_hash(mail.keys.triplet, seen.at.ts);
            }
            return;
        }
        if !mail.novel {
            return;
        }
        let neutral = outcome == OutcomeClass::Policy && ctx.reputation.is_listed(seen.at.ts);
        let track = Self::track(&mut self.hosts, client, seen.voice);
        if neutral {
            track.neutral += 1;
            return;
        }
        track.observe(&self.settings, &self.weights, outcome, site, (mail.tx.began.ts, seen.at.ts));
        if outcome != OutcomeClass::Accepted {
            track.samples.add(seen.id, mail.tx.ended.frame);
        }
    }

    fn track(hosts: &mut PerHost<HostState>, host: HostIdx, voice: Voice) -> &mut Track {
        hosts.touch(host).voices.touch(voice)
    }

    fn wait_for(&mut self, client: HostIdx, pending: Pending) {
        let track = Self::track(&mut self.hosts, client, pending.voice);
        track.pending += 1;
        if self.pending.len() >= PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back(pending);
    }

    /// Mails that nobody tried again.
    fn give_up(&mut self, now: Ts, ctx: &Context<'_>) {
        while self.pending.front().is_some_and(|pending| pending.due <= now) {
            let Some(pending) = self.pending.pop_front() else { return };
            if now.since(pending.due) + self.settings.pending_for > RESOLVED_FOR {
                continue;
            }
            let Some(host) = ctx.hosts.find(pending.host) else { continue };
            let came_back = self.resolved.contains_hash(pending.triplet, now);
            let track = Self::track(&mut self.hosts, host, pending.voice);
            track.came_back += u64::from(came_back);
            track.given_up += u64::from(!came_back);
            // Of a host that mostly comes back, what did not is what the capture missed, or a queue that gave up.
            if !came_back && track.came_back <= track.given_up {
                track.observe(
                    &self.settings,
                    &self.weights,
                    OutcomeClass::Other,
                    pending.site,
                    (pending.due, pending.due),
                );
            }
        }
    }

    fn note_recipients(&mut self, client: HostIdx, seen: &Observation<'_>, mail: &Mail<'_>) {
        let (host, now) = (seen.id.orig.host, seen.at.ts);
        for (key, _) in mail.keyed(mail.keys.first_rcpt, |rcpt| rcpt_key(host, rcpt)) {
            let fresh = self.rcpts.insert_hash(key, now);
            if !self.rcpts_hour.insert_hash(key, now) {
                continue;
            }
            let settings = &self.settings;
            let track = Self::track(&mut self.hosts, client, seen.voice);
            if now.since(track.hour.0) >= Span::hours(1) {
                track.hour = (now, 0, 0);
            }
            track.hour.1 += 1;
            track.hour.2 += u64::from(fresh);
            let (_, all, new) = track.hour;
            if all >= settings.fresh_rcpts_min && new as f64 >= settings.fresh_share_min * all as f64 {
                track.fresh.raise(settings.fresh_db, now);
                track.fresh_count = track.fresh_count.max(all);
                track.fresh_began = track.hour.0;
            }
        }
    }
}

impl Track {
    fn observe(
        &mut self,
        settings: &Settings,
        weights: &Weights,
        outcome: OutcomeClass,
        site: HostKey,
        (began, now): (Ts, Ts),
    ) {
        let Some(i) = index(outcome) else { return };
        self.last = self.last.max(now);
        self.counts[i] += 1;

        let z = weights.z[i];
        let z = self.sites.within(settings.site_cap_db, z, site, now);
        self.client.add_begun(z, began, now);

        let total = PSEUDO_COUNTS + self.mix.iter().sum::<f64>();
        let usual = (PSEUDO_COUNTS * settings.p0[i] + self.mix[i]) / total;
        let own = weigh(settings.p1[i], usual, settings.z_max);
        self.own.add_begun(if own > 0.0 { own.min(z.max(0.0)) } else { own }, began, now);
        if self.own.value() <= FREEZE_DB {
            for share in &mut self.mix {
                *share *= weights.fade;
            }
            self.mix[i] += 1.0;
        }
    }

    fn failed(&self) -> u64 {
        self.counts.iter().skip(1).sum()
    }
}

/// What does not change from mail to mail.
#[derive(Debug)]
struct Weights {
    /// Of each outcome against the fixed mix, in dB.
    z: [f64; 4],
    /// What is left of an older observation's weight after each newer one.
    fade: f64,
}

impl Weights {
    fn new(settings: &Settings) -> Self {
        Self {
            z: std::array::from_fn(|i| weigh(settings.p1[i], settings.p0[i], settings.z_max)),
            fade: 0.5_f64.powf(1.0 / MIX_HALF_LIFE),
        }
    }
}

/// 10 log10(p1/p0), held within what one observation may weigh.
fn weigh(p1: f64, p0: f64, z_max: f64) -> f64 {
    (10.0 * (p1 / p0).log10()).clamp(-z_max, z_max)
}

impl Detector for OutcomeBurst {
    fn name(&self) -> &'static str {
        "outcome_burst"
    }

    fn wants(&self, _: Way, _: Kind) -> bool {
        // Of each it learns how late it is.
        true
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        self.give_up(seen.at.ts, ctx);
        let (Way::Outbound, Some(client)) = (seen.way, seen.client) else { return };
        match seen.what {
            What::Transaction(mail) => self.handle_mail(client, seen, mail, ctx),
            What::Closed(session) if session.smtp.tls.state.is_hidden() => {
                let site = seen.id.resp.host.site();
                let (settings, track) = (&self.settings, Self::track(&mut self.hosts, client, seen.voice));
                track.hidden += 1;
                if session.smtp.tls.orig_app_bytes >= settings.hidden_accepted_bytes {
                    track.hidden_taken += 1;
                    track.observe(settings, &self.weights, OutcomeClass::Accepted, site, (seen.id.ts, seen.at.ts));
                }
            }
            _ => {}
        }
    }

    fn fetch(&self, coming: &Coming<'_>) -> u64 {
        let (Way::Outbound, SessionEventKind::Transaction(..)) = (coming.way, coming.kind) else { return 0 };
        let key = coming.keys.mail.first_rcpt;
        let mut read = self.rcpts.fetch(key) ^ self.rcpts_hour.fetch(key);
        if let Some(state) = coming.client.and_then(|client| self.hosts.get(client)) {
            let own = state.voices.own();
            let sums = own.client.value().to_bits() ^ own.own.value().to_bits() ^ own.mix[0].to_bits();
            read ^= own.counts[0] ^ own.hour.1 ^ sums ^ own.sites.fetch();
        }
        read
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (host, state) in self.hosts.sorted(ctx.hosts) {
            let role = ctx.role(host);
            for (voice, track) in state.voices.iter() {
                let as_server = role == Role::Server && voice == Voice::Own;
                let (test, shift) =
                    if as_server { (&track.own, self.settings.server_shift_db) } else { (&track.client, 0.0) };
                let sum = test.peak(now.ts);
                let seen: u64 = track.counts.iter().sum();
                // Where TLS hides most, what is visible are the failures before it: no more than a suspicion.
                let mostly_hidden = track.hidden > seen - track.hidden_taken;
                let db = (sum - shift).max(0.0).min(if mostly_hidden { 10.0 } else { f64::MAX });
                let fresh = if as_server || role == Role::Sender { 0.0 } else { track.fresh.at(now.ts) };
                if db <= 0.0 && fresh <= 0.0 {
                    continue;
                }
                let says = if db >= fresh {
                    format!(
                        "{} of {seen} mails it tried to deliver itself failed: {} to recipients that do not exist, {} \
                         refused by policy, {} otherwise",
                        track.failed(),
                        track.counts[1],
                        track.counts[2],
                        track.counts[3],
                    )
                } else {
                    format!(
                        "it mailed {} recipients within an hour, nearly all of them for the first time",
                        track.fresh_count
                    )
                };
                let numbers = Numbers::new()
                    .count("novel", seen)
                    .count("accepted", track.counts[0])
                    .count("bad_recipient", track.counts[1])
                    .count("policy", track.counts[2])
                    .count("other", track.counts[3])
                    .count("not_counted_listed", track.neutral)
                    .count("deferred", track.pending)
                    .count("hidden", track.hidden)
                    .with("s_peak_db", sum)
                    .with("fresh_recipients_db", fresh);
                out.push(Finding {
                    voice: Some(voice),
                    kind: None,
                    says,
                    numbers,
                    frames: track.samples.frames(),
                    sessions: track.samples.sessions(),
                    ..Finding::summed(
                        self.name(),
                        host,
                        Class::MassMailer,
                        Family::Outcome,
                        db.max(fresh),
                        if db >= fresh { test.began() } else { track.fresh_began },
                        track.last,
                    )
                });
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
            early_turns: self.rcpts.early_turns() + self.rcpts_hour.early_turns() + self.resolved.early_turns(),
        }
    }
}
