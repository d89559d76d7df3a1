//! D10 seen from inside: whoever is called, the same machine answers; or a device masks what is said.

use super::super::DetectorStats;
use super::super::finding::{Finding, Numbers, Ruling};
use super::super::hosts::{HostBook, HostIdx, PerHost};
use super::super::novelty::key_lower;
use super::super::observation::{Coming, Observation, Way};
use super::super::roles::first_name;
use super::super::samples::Samples;
use super::super::score::{Class, Confidence, Family, Severity, Tier};
use super::super::table::Weigh;
use super::{NAME, Settings};
use crate::distinct::{Rough, hash_of};
use crate::frame::At;
use crate::net::HostKey;
use crate::session::{Session, SessionHead};
use crate::smtp::path::same_domain;
use crate::tcp::ConnId;
use crate::time::Ts;
use crate::weird::Weird;
use crate::wire::Wire;

/// Names remembered a host within the window: one that answers for nine in ten is among the first.
const NAMES_MAX: usize = 8;

/// Bytes of a name that are kept: RFC 1035 section 2.3.4 allows 255.
const NAME_MAX: usize = 255;

/// Networks that answered by one name.
#[derive(Debug, Default)]
struct Answer {
    networks: Rough,
    first: Option<Ts>,
    last: Ts,
    samples: Samples,
}

impl Answer {
    fn note(&mut self, case: &Case) {
        self.networks.insert_hash(case.network);
        self.first.get_or_insert(case.at.ts);
        self.last = case.at.ts;
        self.samples.add(case.id, case.at.frame);
    }
}

/// A session that counts, and the other end's network by its hash.
#[derive(Debug)]
struct Case {
    network: u64,
    at: At,
    id: ConnId,
}

impl Case {
    const fn of(seen: &Observation<'_>, network: u64) -> Self {
        Self { network, at: seen.at, id: seen.id }
    }
}

/// What is known of a name. Nearly all names are met once, and every host of ours meets some.
#[derive(Debug)]
enum Name {
    Once(Case),
    Often(Box<(Wire, Answer)>),
}

impl Name {
    /// The name was met again.
    fn note(&mut self, name: &[u8], case: &Case) {
        if let Self::Once(first) = self {
            let mut answer = Answer::default();
            answer.note(first);
            *self = Self::Often(Box::new((Wire::capped(&name.to_ascii_lowercase(), NAME_MAX), answer)));
        }
        if let Self::Often(known) = self {
            known.1.note(case);
        }
    }
}

#[derive(Debug, Default)]
struct HostState {
    began: Ts,
    /// All networks that greeted.
    greeted: Rough,
    /// Hashes of the names, and what is known of each.
    hashes: [u64; NAMES_MAX],
    names: Vec<Name>,
    /// All networks with which something was said, and those where it was masked.
    spoken: Rough,
    masked: Answer,
    /// What was found before the window turned.
    found: Vec<Finding>,
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        self.greeted.count() + self.spoken.count()
    }
}

/// The inner half of D10.
#[derive(Debug)]
pub(super) struct Inside {
    settings: Settings,
    hosts: PerHost<HostState>,
}

/// What counts as one network here: /16 of IPv4 and /32 of IPv6, what one operator is given. A provider's machines that
/// share a name mostly lie within.
fn network(host: HostKey) -> HostKey {
    host.prefix(16, 32)
}

impl Inside {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, hosts: PerHost::default() }
    }

    /// The host's state, begun anew when the window is over; what it came to is kept for one window more.
    fn state(&mut self, at: HostIdx, host: HostKey, now: Ts) -> &mut HostState {
        let settings = &self.settings;
        let state = self.hosts.touch_or(at, || HostState { began: now, ..HostState::default() });
        if now.since(state.began) >= settings.window {
            let mut found = Vec::new();
            state.judge(settings, host, &mut found);
            *state = HostState { began: now, found, ..HostState::default() };
        }
        state
    }

    /// A server outside greeted one of ours.
    pub(super) fn greeted(&mut self, seen: &Observation<'_>, head: &SessionHead) {
        let Some(name) = head.greeting.as_ref().and_then(|reply| first_name(reply.text.as_bytes())) else { return };
        if self.settings.shared_names.iter().any(|shared| same_domain(shared.as_bytes(), name)) {
            return;
        }
        let hash = key_lower(0, name);
        let Some(client) = seen.client else { return };
        let state = self.state(client, seen.id.orig.host, seen.at.ts);
        let case = Case::of(seen, hash_of(network(seen.id.resp.host)));
        state.greeted.insert_hash(case.network);
        let mut known = state.hashes.iter().zip(&mut state.names);
        if let Some((_, known)) = known.find(|(known, _)| **known == hash) {
            known.note(name, &case);
        } else if let Some(place) = state.hashes.get_mut(state.names.len()) {
            *place = hash;
            state.names.reserve_exact(1);
            state.names.push(Name::Once(case));
        }
    }

    /// A session between one of ours and the world is over: was it masked?
    pub(super) fn masked(&mut self, seen: &Observation<'_>, session: &Session) {
        if session.smtp.greeting.is_none() {
            return;
        }
        let (at, ours, other) = match seen.way {
            Way::Inbound => (seen.server, seen.id.resp.host, seen.id.orig.host),
            _ => (seen.client, seen.id.orig.host, seen.id.resp.host),
        };
        let Some(at) = at else { return };
        let weird = session.smtp.weird;
        let state = self.state(at, ours, seen.at.ts);
        let network = hash_of(network(other));
        state.spoken.insert_hash(network);
        if weird.contains(Weird::MaskedBanner) || weird.contains(Weird::MaskedCommand) {
            state.masked.note(&Case::of(seen, network));
        }
    }

    /// Asks memory for what an event will need.
    pub(super) fn fetch(&self, coming: &Coming<'_>) -> u64 {
        let at = if coming.way == Way::Inbound { coming.server } else { coming.client };
        at.and_then(|at| self.hosts.get(at)).map_or(0, |state| {
            let network = hash_of(network(coming.id.resp.host));
            state.hashes[0] ^ state.greeted.fetch(network) ^ state.spoken.fetch(network)
        })
    }

    pub(super) fn weight(&self, host: HostIdx) -> u64 {
        self.hosts.weight(host)
    }

    pub(super) fn forget(&mut self, host: HostIdx) {
        self.hosts.forget(host);
    }

    pub(super) fn findings(&self, now: Ts, hosts: &HostBook, out: &mut Vec<Finding>) {
        for (host, state) in self.hosts.sorted(hosts) {
            if now.since(state.began) < self.settings.window + self.settings.window {
                let before = out.len();
                state.judge(&self.settings, host, out);
                if out.len() == before {
                    out.extend(state.found.iter().cloned());
                }
            }
        }
    }

    pub(super) fn stats(&self) -> DetectorStats {
        DetectorStats { hosts: self.hosts.len(), evicted: self.hosts.evicted(), early_turns: 0 }
    }
}

impl HostState {
    fn judge(&self, settings: &Settings, host: HostKey, out: &mut Vec<Finding>) {
        let is_one = |answer: &Answer, all: u64| {
            let networks = answer.networks.count();
            networks >= settings.networks_min && networks as f64 >= settings.share_min * all as f64
        };
        let finding = |kind, says, answer: &Answer, all: u64| Finding {
            kind: Some(kind),
            says,
            numbers: Numbers::new().count("networks", answer.networks.count()).count("networks_in_all", all),
            frames: answer.samples.frames(),
            sessions: answer.samples.sessions(),
            verdict: Some(Ruling { tier: Tier::Likely, severity: Severity::Medium, confidence: Confidence::Medium }),
            ..Finding::summed(
                NAME,
                host,
                Class::Interception,
                Family::Interception,
                0.0,
                answer.first.unwrap_or(answer.last),
                answer.last,
            )
        };
        let all = self.greeted.count();
        // Whoever was met once answered for one network, and so stood in for nobody.
        let often = self.names.iter().filter_map(|name| match name {
            Name::Once(_) => None,
            Name::Often(known) => Some(known.as_ref()),
        });
        let mut names: Vec<_> = often.filter(|(_, answer)| is_one(answer, all)).collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, answer) in names {
            let says = format!(
                "mail servers in {} of {all} networks that it called all answered as \"{name}\": one device answers for \
                 them",
                answer.networks.count()
            );
            out.push(finding("same_banner", says, answer, all));
        }
        let all = self.spoken.count();
        if is_one(&self.masked, all) {
            let says = format!(
                "in sessions with {} of {all} networks a firewall has written * or X over greetings or commands",
                self.masked.networks.count()
            );
            out.push(finding("masked", says, &self.masked, all));
        }
    }
}
