//! D9: the gateway's bad name. Remote servers refuse our mail server because of the public address, which it shares with
//! every machine behind the gateway, and say which list names it.
//!
//! The server is the victim here, so this is a class of its own. What the refusals say of the other hosts is context
//! only: who was already mailing the world when the first refusal came is worth a second look, no more.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::context::Context;
use super::finding::{Finding, Numbers, Peer, Ruling};
use super::hosts::{HostIdx, PerHost};
use super::observation::{Coming, Kind, Observation, Refusal, Way, What, first_domain};
use super::replies::{OutcomeClass, ReplyClass, Stage, Verdict};
use super::samples::words;
use super::score::{Class, Confidence, Family, Severity, Tier};
use super::table::Weigh;
use super::{Detector, DetectorStats};
use crate::distinct::Rough;
use crate::frame::{At, FrameNo};
use crate::ledger::Role;
use crate::net::HostKey;
use crate::session::SessionEventKind;
use crate::smtp::Reply;
use crate::tcp::ConnId;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// The settings of D9.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Refusing domains within a day for `medium`.
    pub domains_medium: usize,
    /// Refusing domains within a day for `high`.
    pub domains_high: usize,
    /// Share of the domains mailed that makes it `high` too.
    pub share_high: f64,
    /// How long a refusal counts.
    pub window: Span,
    /// How long before the first refusal a host must have been active to be suspected as its cause.
    pub cause_window: Span,
    /// What that suspicion weighs, in dB: correlation is no proof.
    pub context_db: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domains_medium: 2,
            domains_high: 5,
            share_high: 0.2,
            window: Span::hours(24),
            cause_window: Span::hours(7 * 24),
            context_db: 5.0,
        }
    }
}

/// How long before the first refusal a host must have been on port 25 to have caused it: no list acts sooner, and whoever gets
/// that refusal called some seconds before.
const LEAD: Span = Span::secs(60);

/// Domains remembered a host, and servers; a listed server is told so by its busiest correspondents first.
const DOMAINS_MAX: usize = 256;
/// Lists and providers remembered a host.
const NAMES_MAX: usize = 16;
/// Refusing servers shown.
const PEERS_MAX: usize = 10;

/// One domain that refused.
#[derive(Debug)]
struct Refuser {
    server: HostKey,
    first: Ts,
    last: Ts,
    count: u64,
    words: Wire,
    accepted_again: Option<Ts>,
}

/// What a server was last sent mail for.
#[derive(Debug)]
struct Served {
    /// By the hash of its address ([`Keys::server`]).
    ///
    /// [`Keys::server`]: super::Keys::server
    server: u64,
    /// The domain and its hash.
    hash: u64,
    domain: Wire,
}

#[derive(Debug, Default)]
struct HostState {
    first_outbound: Option<Ts>,
    last_outbound: Ts,
    refusers: BTreeMap<Wire, Refuser>,
    /// The domains mailed; only how many there are is told.
    domains: Rough,
    /// What each server was last sent mail for: a greeting that refuses names no recipient.
    serves: Vec<Served>,
    /// Where each server stands there. Apart from it, because most of a table's places are empty, and these are small.
    places: HashTable<u16>,
    lists: BTreeSet<String>,
    named: BTreeSet<IpAddr>,
    throttled: u64,
    refusals: u64,
    frames: Vec<FrameNo>,
    sessions: Vec<ConnId>,
}

impl HostState {
    /// Where a server stands among those served.
    fn place(&self, server: u64) -> Option<usize> {
        let is_it = |place: &u16| self.serves[usize::from(*place)].server == server;
        self.places.find(server, is_it).map(|place| usize::from(*place))
    }

    /// What a server was last sent mail for.
    fn served(&self, server: u64) -> Option<&Served> {
        self.place(server).and_then(|place| self.serves.get(place))
    }

    /// Notes what a server is sent mail for; `domain` writes it out, which is only done where it is news.
    fn serve(&mut self, server: u64, hash: u64, domain: impl FnOnce() -> Wire) {
        let place = self.place(server);
        let Self { serves, places, .. } = self;
        match place {
            Some(place) if serves[place].hash == hash => {}
            Some(place) => serves[place] = Served { server, hash, domain: domain() },
            None if serves.len() < DOMAINS_MAX => {
                if serves.len() == serves.capacity() {
                    // Every host of ours has some, and few have many.
                    serves.reserve_exact((serves.len() / 2).max(2));
                }
                places.insert_unique(server, serves.len() as u16, |place| serves[usize::from(*place)].server);
                serves.push(Served { server, hash, domain: domain() });
            }
            None => {}
        }
    }
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        self.refusals + u64::from(self.domains.count() > 0)
    }
}

/// D9.
#[derive(Debug)]
pub struct Blocklisted {
    settings: Settings,
    hosts: PerHost<HostState>,
}

impl Blocklisted {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, hosts: PerHost::default() }
    }

    fn refused(
        &mut self,
        client: HostIdx,
        seen: &Observation<'_>,
        domain: impl FnOnce() -> Wire,
        reply: &Reply,
        verdict: &Verdict<'_>,
    ) {
        let state = self.hosts.touch(client);
        match verdict.class {
            ReplyClass::BlocklistIp => {}
            ReplyClass::RateLimit => {
                state.throttled += 1;
                return;
            }
            _ => return,
        }
        state.refusals += 1;
        if state.lists.len() < NAMES_MAX
            && let Some(name) = verdict.list.or(verdict.provider)
        {
            state.lists.insert(name.to_owned());
        }
        if state.named.len() < NAMES_MAX {
            state.named.extend(verdict.named_ip);
        }
        if state.frames.len() < super::samples::SAMPLES_MAX {
            state.frames.push(seen.at.frame);
            state.sessions.push(seen.id);
        }
        let domain = domain();
        if state.refusers.len() < DOMAINS_MAX || state.refusers.contains_key(&domain) {
            let refuser = state.refusers.entry(domain).or_insert_with(|| Refuser {
                server: seen.id.resp.host,
                first: seen.at.ts,
                last: seen.at.ts,
                count: 0,
                words: words(reply),
                accepted_again: None,
            });
            refuser.last = seen.at.ts;
            refuser.count += 1;
            refuser.accepted_again = None;
        }
    }

    fn finding(&self, host: HostKey, state: &HostState, now: At) -> Option<Finding> {
        let recent: Vec<&Refuser> =
            state.refusers.values().filter(|refuser| now.ts.since(refuser.last) <= self.settings.window).collect();
        let first = recent.iter().map(|refuser| refuser.first).min()?;
        let last = recent.iter().map(|refuser| refuser.last).max()?;
        let domains = (state.domains.count() as usize).max(recent.len());
        let share = recent.len() as f64 / domains as f64;
        let (severity, tier) = match recent.len() {
            n if n >= self.settings.domains_high => (Severity::High, Tier::Confirmed),
            n if n >= self.settings.domains_medium && share >= self.settings.share_high => {
                (Severity::High, Tier::Confirmed)
            }
            n if n >= self.settings.domains_medium => (Severity::Medium, Tier::Likely),
            _ => (Severity::Low, Tier::Suspect),
        };
        let again: Vec<Ts> = recent.iter().filter_map(|refuser| refuser.accepted_again).collect();
        let lists: Vec<&str> = state.lists.iter().map(String::as_str).collect();
        let named: Vec<String> = state.named.iter().map(ToString::to_string).collect();
        let mut says = format!(
            "{} of {domains} domains refused its mail because of your public address{}{}",
            recent.len(),
            if named.is_empty() { String::new() } else { format!(" {}", named.join(", ")) },
            if lists.is_empty() { String::new() } else { format!("; named: {}", lists.join(", ")) },
        );
        if let Some(since) = again.iter().min() {
            let again = again.len();
            let _ = write!(says, "; {again} of them have taken mail again since {since} (last refusal {last})");
        }
        let mut peers: Vec<Peer> = recent
            .iter()
            .map(|refuser| Peer {
                ip: refuser.server,
                role: "refuses",
                count: refuser.count,
                says: Some(refuser.words.clone()),
                first_ts: refuser.first,
                last_ts: refuser.last,
            })
            .collect();
        peers.sort_by(|a, b| (b.count, a.ip).cmp(&(a.count, b.ip)));
        peers.dedup_by_key(|peer| peer.ip);
        peers.truncate(PEERS_MAX);
        Some(Finding {
            says,
            numbers: Numbers::new()
                .count("refusing_sites", recent.len() as u64)
                .count("domains", domains as u64)
                .count("refusals", state.refusals)
                .count("throttled", state.throttled)
                .count("accepted_again", again.len() as u64),
            frames: state.frames.clone(),
            sessions: state.sessions.clone(),
            verdict: Some(Ruling { tier, severity, confidence: Confidence::High }),
            peers,
            ..Finding::summed(self.name(), host, Class::Blocklisted, Family::Refusal, 0.0, first, last)
        })
    }
}

/// A domain in lower case; the server's network where there is none.
fn name_of(domain: Option<&[u8]>, server: HostKey) -> Wire {
    match domain {
        Some(domain) => {
            let mut lower: SmallVec<[u8; 64]> = SmallVec::from_slice(domain);
            lower.make_ascii_lowercase();
            Wire::from(&*lower)
        }
        None => Wire::from(&*format!("[{}]", server.site())),
    }
}

impl Detector for Blocklisted {
    fn name(&self) -> &'static str {
        "blocklisted"
    }

    fn wants(&self, way: Way, kind: Kind) -> bool {
        way == Way::Outbound && matches!(kind, Kind::Unanswered | Kind::Flooded | Kind::Greeted | Kind::Transaction)
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        let (Way::Outbound, Some(client)) = (seen.way, seen.client) else { return };
        let server = seen.id.resp.host;
        match seen.what {
            What::Greeted(head) => {
                let state = self.hosts.touch(client);
                state.first_outbound.get_or_insert(head.id.ts);
                state.last_outbound = seen.at.ts;
                if let Some(greeting) = head.greeting.as_ref().filter(|reply| !reply.is_positive()) {
                    let verdict = ctx.rules.classify(greeting, Stage::Greeting);
                    let domain = state.served(seen.keys.server).map(|served| served.domain.clone());
                    let domain = || domain.unwrap_or_else(|| name_of(None, server));
                    self.refused(client, seen, domain, greeting, &verdict);
                }
            }
            What::Unanswered(_) | What::Flooded(_) => {
                let state = self.hosts.touch(client);
                state.first_outbound.get_or_insert(seen.id.ts);
                state.last_outbound = seen.at.ts;
            }
            What::Transaction(mail) => {
                let hash = mail.keys.domain;
                let domain = || name_of(first_domain(mail.tx), server);
                let state = self.hosts.touch(client);
                state.domains.insert_hash(hash);
                state.serve(seen.keys.server, hash, domain);
                if let Some(Refusal { reply, verdict, .. }) = &mail.refusal {
                    self.refused(client, seen, domain, reply, verdict);
                } else if mail.outcome == Some(OutcomeClass::Accepted) && !state.refusers.is_empty() {
                    // Who refused in the greeting, before anything was mailed to it, was known by its network till now.
                    let (network, domain) = (name_of(None, server), domain());
                    if state.refusers.get(&network).is_some_and(|refuser| refuser.server == server)
                        && let Some(refuser) = state.refusers.remove(&network)
                    {
                        state.refusers.entry(domain.clone()).or_insert(refuser);
                    }
                    if let Some(refuser) = state.refusers.get_mut(&domain) {
                        refuser.accepted_again.get_or_insert(seen.at.ts);
                    }
                }
            }
            _ => {}
        }
    }

    fn fetch(&self, coming: &Coming<'_>) -> u64 {
        let state = coming.client.filter(|_| coming.way == Way::Outbound).and_then(|client| self.hosts.get(client));
        state.map_or(0, |state| match coming.kind {
            SessionEventKind::Transaction(..) => {
                let served = state.served(coming.keys.server).map_or(0, |served| served.hash);
                state.domains.fetch(coming.keys.mail.domain) ^ served
            }
            _ => u64::from(state.first_outbound.is_some()) ^ state.last_outbound.as_nanos() as u64,
        })
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        let hosts = self.hosts.sorted(ctx.hosts);
        let refused: Vec<_> = hosts.iter().filter(|(_, state)| state.refusals > 0).collect();
        let is_mail_host = |host: HostKey| matches!(ctx.role(host), Role::Server | Role::Sender);
        // Where a server of ours is refused, it is the victim; where none is known, whoever was refused.
        let servers = refused.iter().any(|(host, _)| is_mail_host(*host));
        for (host, state) in refused {
            if !servers || is_mail_host(*host) {
                out.extend(self.finding(*host, state, now));
            }
        }
        let Some(listed) = ctx.reputation.first_refused() else { return };
        for (host, state) in hosts {
            let Some(first) = state.first_outbound else { continue };
            let before = listed.since(first);
            if before >= LEAD && before <= self.settings.cause_window && !is_mail_host(host) {
                out.push(Finding {
                    says: format!(
                        "it was already on port 25 at {first}, before the first server refused your address as listed \
                         ({listed})"
                    ),
                    numbers: Numbers::new().with("seconds_before", before.as_secs_f64()),
                    ..Finding::summed(
                        self.name(),
                        host,
                        Class::MassMailer,
                        Family::Context,
                        self.settings.context_db,
                        first,
                        state.last_outbound,
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
        DetectorStats { hosts: self.hosts.len(), evicted: self.hosts.evicted(), early_turns: 0 }
    }
}
