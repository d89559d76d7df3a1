//! D2: mail straight to foreign servers from a host that is no mail server. Policy, not statistics.
//!
//! Office machines hand their mail to a server of their own or to a provider's submission service (RFC 5068); one that
//! speaks to many foreign networks on port 25 within an hour is a bot, or a program nobody told you about.

#[cfg(test)]
mod tests;

use super::context::Context;
use super::few::Few;
use super::finding::{Finding, Numbers, Peer};
use super::hosts::{HostIdx, PerHost};
use super::observation::{Coming, Kind, Observation, Way, What};
use super::roles::Voice;
use super::samples::Samples;
use super::score::{Class, Family};
use super::sequential::Peak;
use super::table::Weigh;
use super::voices::Voices;
use super::{Detector, DetectorStats};
use crate::distinct::Distinct;
use crate::frame::At;
use crate::ledger::Role;
use crate::net::HostKey;
use crate::tcp::ConnId;
use crate::time::{Span, Ts};

/// The settings of D2.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Foreign networks within an hour from which on it counts.
    pub networks_some: f64,
    /// What that adds, in dB.
    pub some_db: f64,
    /// More than this many count fully (ntopng's default for SMTP contacts is 5).
    pub networks_many: f64,
    /// What that adds, in dB.
    pub many_db: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { networks_some: 3.0, some_db: 10.0, networks_many: 5.0, many_db: 15.0 }
    }
}

/// Networks told apart exactly within an hour; the thresholds lie far below.
const EXACT_MAX: usize = u32::BITS as usize;

/// How long one network may be alone in an hour before what is said of the hour begins with the second one.
const ALONE: Span = Span::secs(60);

/// The networks of one hour.
#[derive(Debug, Default)]
struct Hour {
    began: Ts,
    /// When the second network was tried.
    second: Ts,
    /// Up to [`EXACT_MAX`] networks.
    exact: Vec<HostKey>,
    /// Those that were mailed, a bit for each place.
    mailed: u32,
    /// The end of each one's address, to look through all at once: a flood asks for ever new ones.
    tags: [u32; EXACT_MAX],
    /// More networks than are told apart.
    overflow: Distinct,
}

impl Hour {
    #[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler looks at many at once")]
    fn note(&mut self, site: HostKey, hash: u64, mailed: bool, at: Ts) {
        let tag = tag(site);
        // Without a branch for each, and over unused places, too: eight comparisons at a time.
        let likely = self.tags.iter().fold(false, |any, known| any | (*known == tag));
        let known = likely.then(|| self.exact.iter().position(|known| *known == site)).flatten();
        let place = known.unwrap_or(self.exact.len());
        if place < EXACT_MAX {
            self.mailed |= u32::from(mailed) << place;
            if known.is_none() {
                self.tags[place] = tag;
                self.exact.push(site);
                if place == 1 {
                    self.second = at;
                }
            }
        } else {
            self.overflow.insert_hash(hash);
        }
    }

    /// When it began to go round: with the hour, unless that was one network's for a while, like a provider's.
    fn onset(&self) -> Ts {
        if self.second.since(self.began) > ALONE { self.second } else { self.began }
    }

    /// Networks, those without a mail counted half; beyond the exact ones all count half.
    fn weight(&self) -> f64 {
        // The estimate is only asked for where there is something to estimate.
        self.exact_weight() + if self.exact.len() < EXACT_MAX { 0.0 } else { self.overflow.count() as f64 / 2.0 }
    }

    /// The part of the weight that thresholds are held against: enough of it is exact to reach them all.
    fn exact_weight(&self) -> f64 {
        self.exact.len() as f64 / 2.0 + f64::from(self.mailed.count_ones()) / 2.0
    }
}

/// The part of a network's address that tells most of them apart: the end of an IPv4 network, the beginning of an IPv6
/// one.
fn tag(site: HostKey) -> u32 {
    let octets = site.octets();
    let word = |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
    if site.is_v4() { word(12) } else { word(2) }
}

#[derive(Debug, Default)]
struct Track {
    hour: Hour,
    /// The most networks in any hour that is over.
    most: f64,
    peak: Peak,
    /// Since when the hours, one after the other, are such as count.
    since: Option<Ts>,
    connections: u64,
    mails: u64,
    submissions: u64,
    /// Connections that went on under TLS: what was mailed there is hidden.
    hidden: u64,
    last: Ts,
    samples: Samples,
    /// The first destinations that it tried.
    peers: Few<Contacts, PEERS_MAX>,
}

/// Connections to one destination.
#[derive(Debug)]
struct Contacts {
    count: u64,
    first: Ts,
    last: Ts,
}

/// Destinations listed in a finding.
const PEERS_MAX: usize = 5;

#[derive(Debug, Default)]
struct HostState {
    voices: Voices<Track>,
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        self.voices.iter().map(|(_, track)| track.mails).sum()
    }
}

/// D2.
#[derive(Debug)]
pub struct DirectToMx {
    settings: Settings,
    hosts: PerHost<HostState>,
}

impl DirectToMx {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, hosts: PerHost::default() }
    }

    fn note(&mut self, client: HostIdx, seen: &Observation<'_>, began: Ts, id: ConnId, mailed: bool) -> &mut Track {
        let site = id.resp.host.site();
        let track = self.hosts.touch(client).voices.touch(seen.voice);
        if began.since(track.hour.began) >= Span::hours(1) {
            track.most = track.most.max(track.hour.weight());
            if track.hour.exact_weight() < self.settings.networks_some {
                track.since = None;
            }
            track.hour = Hour { began, ..Hour::default() };
        }
        track.hour.note(site, seen.keys.site, mailed, began);
        let settings = &self.settings;
        let db = match track.hour.exact_weight() {
            n if n > settings.networks_many => settings.many_db,
            n if n >= settings.networks_some => settings.some_db,
            _ => 0.0,
        };
        if db > 0.0 {
            track.peak.raise(db, seen.at.ts);
            track.since.get_or_insert(track.hour.onset());
        }
        track.last = track.last.max(seen.at.ts);
        if mailed {
            track.mails += 1;
        } else {
            track.connections += 1;
            if let Some(contacts) = track.peers.entry(id.resp.host, || Contacts { count: 0, first: began, last: began })
            {
                contacts.count += 1;
                contacts.last = began;
            }
        }
        track
    }
}

impl Contacts {
    /// As a peer of a finding.
    const fn peer(&self, ip: HostKey) -> Peer {
        let Self { count, first, last } = *self;
        Peer { ip, role: "contacted", count, says: None, first_ts: first, last_ts: last }
    }
}

impl Detector for DirectToMx {
    fn name(&self) -> &'static str {
        "direct_to_mx"
    }

    fn wants(&self, way: Way, kind: Kind) -> bool {
        way == Way::Outbound && matches!(kind, Kind::Unanswered | Kind::Flooded | Kind::Transaction | Kind::Closed)
    }

    fn handle(&mut self, seen: &Observation<'_>, _: &Context<'_>) {
        let (Way::Outbound, Some(client)) = (seen.way, seen.client) else { return };
        match seen.what {
            What::Unanswered(attempt) => {
                self.note(client, seen, attempt.id.ts, attempt.id, false);
            }
            What::Flooded(flood) => {
                let track = self.hosts.touch(client).voices.touch(seen.voice);
                track.connections += flood.attempts;
                track.last = track.last.max(seen.at.ts);
                // The exact ones of the hour were told one by one before.
                track.hour.overflow.merge(&flood.networks);
            }
            What::Transaction(mail) => {
                self.note(client, seen, mail.tx.began.ts, seen.id, true);
            }
            What::Closed(session) => {
                let track = self.note(client, seen, seen.id.ts, seen.id, false);
                let hidden = session.smtp.tls.state.is_hidden();
                track.hidden += u64::from(hidden);
                track.submissions += u64::from(hidden || !session.smtp.auth.is_empty());
                track.samples.add(seen.id, session.conn.first);
            }
            _ => {}
        }
    }

    fn fetch(&self, coming: &Coming<'_>) -> u64 {
        let state = coming.client.filter(|_| coming.way == Way::Outbound).and_then(|client| self.hosts.get(client));
        state.map_or(0, |state| {
            let own = state.voices.own();
            own.mails
                ^ own.peers.fetch(0)
                ^ u64::from(own.hour.tags[EXACT_MAX / 2])
                ^ own.hour.overflow.fetch(coming.keys.site)
        })
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (host, state) in self.hosts.sorted(ctx.hosts) {
            let role = ctx.role(host);
            for (voice, track) in state.voices.iter() {
                let db = match role {
                    Role::Server if voice == Voice::Own => 0.0,
                    Role::Sender => 0.5 * track.peak.at(now.ts),
                    _ => track.peak.at(now.ts),
                };
                if db <= 0.0 {
                    continue;
                }
                let (networks, servers) = ctx.tried(host).map_or((0, 0), |tried| {
                    let reach = &tried.outside[voice as usize];
                    (reach.networks.count(), reach.servers.count())
                });
                // One provider, always with a login or under TLS: submission the old way.
                let legacy = networks == 1 && track.submissions == track.connections;
                if legacy {
                    continue;
                }
                let tried = format!("{servers} foreign mail servers in {networks} networks by itself on port 25");
                let says = match (track.mails, track.hidden) {
                    (0, 0) => format!("it tried {tried}, without sending a mail"),
                    (0, hidden) => format!(
                        "it went to {tried}; {hidden} of its {} connections went on under TLS, and what it mailed there \
                         is hidden",
                        track.connections
                    ),
                    _ => format!("it went to {tried}, though it is no mail server"),
                };
                out.push(Finding {
                    says,
                    numbers: Numbers::new()
                        .with("networks_in_an_hour", track.most.max(track.hour.weight()))
                        .count("networks", networks)
                        .count("servers", servers)
                        .count("connections", track.connections)
                        .count("mails", track.mails)
                        .count("hidden", track.hidden),
                    frames: track.samples.frames(),
                    sessions: track.samples.sessions(),
                    peers: track.peers.iter().map(|(ip, contacts)| contacts.peer(*ip)).collect(),
                    ..Finding::summed(
                        self.name(),
                        host,
                        Class::MassMailer,
                        Family::Direct,
                        db,
                        track.since.unwrap_or(track.hour.began),
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
        DetectorStats { hosts: self.hosts.len(), evicted: self.hosts.evicted(), early_turns: 0 }
    }
}
