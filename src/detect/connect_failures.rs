//! D3: a host whose attempts to reach mail servers mostly fail: a random walk over first contacts.
//!
//! Threshold random walk (Jung et al., *Fast Portscan Detection Using Sequential Hypothesis Testing*, 2004), restarted
//! for ever and therefore with higher thresholds; only the first contact with a server in half an hour counts. What a
//! gap or the end of the capture may have hidden is no failure.

#[cfg(test)]
mod tests;

use super::context::Context;
use super::finding::{Finding, Numbers};
use super::hosts::{HostIdx, PerHost};
use super::novelty::Recent;
use super::observation::{Coming, Kind, Observation, Way, What, pair_key};
use super::roles::Voice;
use super::samples::Samples;
use super::score::{Class, Family};
use super::sequential::Cusum;
use super::table::Weigh;
use super::voices::Voices;
use super::{Detector, DetectorStats};
use crate::frame::{At, FrameNo};
use crate::ledger::{Role, Tried};
use crate::session::{Flood, SessionEventKind};
use crate::tcp::ConnState;
use crate::time::{Span, Ts};

/// The settings of D3.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How often a first contact of an honest host succeeds.
    pub success_honest: f64,
    /// How often one of a scanner or worm does.
    pub success_worm: f64,
    /// How long a server stays 'contacted' (Bro's expiry).
    pub contact_window: Span,
    /// How long a server that could not be reached is known for that: a queue tries it for four to five days (RFC 5321
    /// section 4.5.4.1), and that it is still dead is no news.
    pub dead_window: Span,
    /// How much higher a server's threshold lies, in dB.
    pub server_shift_db: f64,
    /// Hosts, a server among them, whose contacts fail together when it is the line that is cut; fewer where fewer have
    /// tried.
    pub outage_hosts: usize,
    /// Share of failures at which a host counts for that.
    pub outage_share: f64,
    /// The window of that.
    pub outage_window: Span,
    /// So many servers that a mail server of ours had reached before and now fails at, without a success between, are a cut
    /// line too: in most offices one host alone speaks on port 25.
    pub outage_known: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            success_honest: 0.8,
            success_worm: 0.2,
            contact_window: Span::mins(30),
            dead_window: Span::hours(5 * 24),
            server_shift_db: 30.0,
            outage_hosts: 3,
            outage_share: 0.9,
            outage_window: Span::mins(10),
            outage_known: 3,
        }
    }
}

/// Hosts looked at together for an outage; more tell nothing new.
const OUTAGE_TABLE_MAX: usize = 256;
/// Contacts in the window before a host's share means anything.
const OUTAGE_CONTACTS_MIN: u64 = 3;

#[derive(Debug, Default)]
struct Track {
    walk: Cusum,
    contacts: u64,
    failed: u64,
    silent: u64,
    rejected: u64,
    closed: u64,
    neutral: u64,
    known_dead: u64,
    /// Servers reached before that failed since the last success.
    lost: u32,
    first_failed: Option<Ts>,
    last: Ts,
    samples: Samples,
}

#[derive(Debug, Default)]
struct HostState {
    voices: Voices<Track>,
    lately: Lately,
}

/// First contacts of a host in the running window, for the outage guard.
#[derive(Debug, Default)]
struct Lately {
    /// Which window: when it began.
    window: Option<Ts>,
    contacts: u64,
    failures: u64,
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        // Failures alone are what a flood of made-up sources has too: contacts that succeeded make the difference.
        self.voices.iter().map(|(_, track)| track.contacts - track.failed + u64::from(track.failed > 1)).sum()
    }
}

/// How a first contact failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failure {
    Silent,
    Rejected,
    Closed,
}

/// D3.
#[derive(Debug)]
pub struct ConnectFailures {
    settings: Settings,
    /// What a first contact that succeeds weighs, and one that fails, in dB.
    success_db: f64,
    failure_db: f64,
    hosts: PerHost<HostState>,
    contacted: Recent,
    /// Servers that each host could not reach.
    dead: Recent,
    /// Servers that each host has reached, or that have written to it.
    reached: Recent,
    /// When the running window of the outage guard began, and who tried to reach somebody in it.
    window: (Ts, Vec<HostIdx>),
    /// The line was seen to be cut, and nobody has reached anybody since.
    cut: bool,
}

impl ConnectFailures {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        let contacted = Recent::new(settings.contact_window, 1 << 20);
        let known = || Recent::new(settings.dead_window, 1 << 20);
        let (dead, reached) = (known(), known());
        Self {
            success_db: 10.0 * (settings.success_worm / settings.success_honest).log10(),
            failure_db: 10.0 * ((1.0 - settings.success_worm) / (1.0 - settings.success_honest)).log10(),
            settings,
            hosts: PerHost::default(),
            contacted,
            dead,
            reached,
            window: (Ts::EPOCH, Vec::new()),
            cut: false,
        }
    }

    fn contact(&mut self, seen: &Observation<'_>, first: FrameNo, failure: Option<Failure>, ctx: &Context<'_>) {
        let id = seen.id;
        let (server, now) = (id.resp.host, seen.at.ts);
        if !self.contacted.insert_hash(seen.keys.pair, now) {
            return;
        }
        let Some(client) = seen.client else { return };
        self.note_for_outage(client, failure.is_some(), now);
        let is_server = seen.role == Role::Server && seen.voice == Voice::Own;
        let was_reached = failure.is_some() && is_server && self.reached.contains_hash(seen.keys.pair, now);
        let outage = failure.is_some() && is_server && self.line_is_cut(ctx);
        let track = self.hosts.touch(client).voices.touch(seen.voice);
        track.contacts += 1;
        track.last = track.last.max(now);
        let Some(failure) = failure else {
            track.walk.add(self.success_db, now);
            track.lost = 0;
            self.reached.insert_hash(seen.keys.pair, now);
            return;
        };
        track.lost += u32::from(was_reached);
        self.cut |= track.lost >= self.settings.outage_known;
        // A listed gateway is everybody's burden: networks that refuse us all tell nothing of this host. And a cut line
        // is no server's fault, nor is a partner's server that is down; a blocked worm is still infected.
        if ctx.reputation.refuses_us(server.site(), now) || outage || was_reached {
            track.neutral += 1;
            return;
        }
        if !self.dead.insert_hash(seen.keys.pair, now) {
            track.known_dead += 1;
            return;
        }
        track.failed += 1;
        match failure {
            Failure::Silent => track.silent += 1,
            Failure::Rejected => track.rejected += 1,
            Failure::Closed => track.closed += 1,
        }
        track.first_failed.get_or_insert(id.ts);
        track.samples.add(id, first);
        track.walk.add(self.failure_db, now);
    }

    /// Attempts beyond those that were told one by one: each server among them is taken for a first contact. Nobody remembers
    /// which they were; the filters of a flood would be full of nothing else.
    fn flooded(&mut self, seen: &Observation<'_>, flood: &Flood, ctx: &Context<'_>) {
        let Some(client) = seen.client else { return };
        let (now, servers) = (seen.at.ts, flood.servers.count());
        let outage = seen.role == Role::Server && seen.voice == Voice::Own && self.line_is_cut(ctx);
        let track = self.hosts.touch(client).voices.touch(seen.voice);
        track.contacts += servers;
        track.last = track.last.max(now);
        if outage {
            track.neutral += servers;
            return;
        }
        track.failed += servers;
        track.silent += servers;
        track.first_failed.get_or_insert(flood.first.id.ts);
        track.walk.add(self.failure_db * servers as f64, now);
    }

    fn note_for_outage(&mut self, host: HostIdx, failed: bool, now: Ts) {
        self.cut &= failed;
        let (began, hosts) = &mut self.window;
        if now.since(*began) >= self.settings.outage_window {
            *began = now;
            hosts.clear();
        }
        let lately = &mut self.hosts.touch(host).lately;
        if lately.window != Some(*began) {
            if hosts.len() >= OUTAGE_TABLE_MAX {
                return;
            }
            hosts.push(host);
            *lately = Lately { window: Some(*began), ..Lately::default() };
        }
        lately.contacts += 1;
        lately.failures += u64::from(failed);
    }

    /// Whether the line seems to be cut: three hosts, or as many as have tried, fail nearly always, a server among them.
    ///
    /// In an office where only the mail server may use port 25, nobody else is there to fail with it.
    fn line_is_cut(&mut self, ctx: &Context<'_>) -> bool {
        if !self.cut {
            let share = self.settings.outage_share;
            let (mut telling, mut down, mut server) = (0, 0, false);
            for host in &self.window.1 {
                let Some(Lately { contacts, failures, .. }) = self.hosts.get(*host).map(|state| &state.lately) else {
                    continue;
                };
                if *contacts < OUTAGE_CONTACTS_MIN {
                    continue;
                }
                telling += 1;
                if *failures as f64 >= share * *contacts as f64 {
                    down += 1;
                    server |= ctx.hosts.key(*host).is_some_and(|host| ctx.role(host) == Role::Server);
                }
            }
            self.cut = server && down >= self.settings.outage_hosts.min(telling);
        }
        self.cut
    }
}

impl Detector for ConnectFailures {
    fn name(&self) -> &'static str {
        "connect_failures"
    }

    fn wants(&self, way: Way, kind: Kind) -> bool {
        match way {
            Way::Outbound => matches!(kind, Kind::Unanswered | Kind::Flooded | Kind::Greeted | Kind::Closed),
            Way::Inbound => kind == Kind::Greeted,
            Way::Inside | Way::Foreign => false,
        }
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        // Who writes to us lives.
        if let (Way::Inbound, What::Greeted(_)) = (seen.way, seen.what) {
            self.reached.insert_hash(pair_key(seen.id.resp.host, seen.id.orig.host), seen.at.ts);
        }
        if seen.way != Way::Outbound {
            return;
        }
        match seen.what {
            What::Unanswered(attempt) if attempt.cut_short => {}
            What::Unanswered(attempt) => self.contact(seen, attempt.first, Some(Failure::Silent), ctx),
            What::Flooded(flood) => self.flooded(seen, flood, ctx),
            // A server that answers, even to refuse, was reached.
            What::Greeted(head) => self.contact(seen, head.first, None, ctx),
            What::Closed(session) if session.failed() => {
                let failure = if session.conn.state == ConnState::Rej { Failure::Rejected } else { Failure::Closed };
                self.contact(seen, session.conn.first, Some(failure), ctx);
            }
            _ => {}
        }
    }

    fn fetch(&self, coming: &Coming<'_>) -> u64 {
        let pair = coming.keys.pair;
        let state = |host| self.hosts.get(host).map_or(0, |state| state.voices.own().contacts ^ state.lately.contacts);
        match coming.kind {
            _ if coming.way != Way::Outbound => 0,
            SessionEventKind::Unanswered(_) => {
                self.contacted.fetch(pair) ^ self.dead.fetch(pair) ^ coming.client.map_or(0, state)
            }
            SessionEventKind::Greeted(_) => {
                self.contacted.fetch(pair) ^ self.reached.fetch(pair) ^ coming.client.map_or(0, state)
            }
            _ => 0,
        }
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (host, state) in self.hosts.sorted(ctx.hosts) {
            let role = ctx.role(host);
            for (voice, track) in state.voices.iter() {
                let server = role == Role::Server && voice == Voice::Own;
                let sum = track.walk.peak(now.ts);
                let db = sum - if server { self.settings.server_shift_db } else { 0.0 };
                if db <= 0.0 {
                    continue;
                }
                out.push(Finding {
                    voice: Some(voice),
                    says: format!(
                        "{} of {} mail servers that it tried could not be reached: {} silent, {} refused the connection, \
                         {} hung up before a greeting",
                        track.failed, track.contacts, track.silent, track.rejected, track.closed
                    ),
                    numbers: Numbers::new()
                        .count("contacts", track.contacts)
                        .count("failed", track.failed)
                        .count("silent", track.silent)
                        .count("rejected", track.rejected)
                        .count("closed", track.closed)
                        .count("targets", ctx.tried(host).map_or(0, Tried::outside))
                        .count("not_counted_listed_or_outage", track.neutral)
                        .count("not_counted_known_dead", track.known_dead)
                        .with("s_peak_db", sum),
                    frames: track.samples.frames(),
                    sessions: track.samples.sessions(),
                    ..Finding::summed(
                        self.name(),
                        host,
                        Class::MassMailer,
                        Family::Connect,
                        db,
                        track.first_failed.unwrap_or(track.last),
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
        self.window.1.retain(|known| *known != host);
    }

    fn stats(&self) -> DetectorStats {
        DetectorStats {
            hosts: self.hosts.len(),
            evicted: self.hosts.evicted(),
            early_turns: self.contacted.early_turns() + self.dead.early_turns() + self.reached.early_turns(),
        }
    }
}
