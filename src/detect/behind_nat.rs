//! How many senders share one address: what a tap outside the address translation can say, and what it cannot.
//!
//! Two things tell machines behind one address apart without guessing: the shape of their SYNs (p0f's signature, the
//! TTL rounded up to what systems start with) and the names by which they introduce themselves, one of them being the
//! name that the mail server at this address greets with. Each sign gives a lower bound; the larger one is reported as
//! 'at least'. Who it is, only a tap inside can tell.

use std::collections::BTreeMap;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use super::context::Context;
use super::finding::{Finding, Numbers};
use super::hosts::{HostIdx, PerHost};
use super::observation::{Coming, Kind, Observation, Way, What};
use super::roles::is_fqdn;
use super::score::{Class, Family};
use super::table::Weigh;
use super::{Detector, DetectorStats};
use crate::frame::At;
use crate::net::HostKey;
use crate::session::SessionEventKind;
use crate::tcp::{ConnId, SynSignature};
use crate::time::Ts;
use crate::wire::Wire;

/// Connections that a sign must show on before it counts: once may be a retry with fewer options or a typing error.
const RECURS: u64 = 3;
/// Signs remembered a host; a site has a handful of systems.
const SIGNS_MAX: usize = 32;
/// Five-tuples listed for the search in the translation's log.
const TUPLES_MAX: usize = 5;

#[derive(Debug, Default)]
struct HostState {
    /// Shapes of SYNs, and how often each was seen.
    signatures: SmallVec<[(u64, u64); 2]>,
    /// Names with a hash of each, and how often each was heard.
    helos: SmallVec<[(u64, u64, Wire); 1]>,
    /// Connections under names beyond the table: the mail server's own, and others.
    more_own: u64,
    more_helos: u64,
    other_tuples: Vec<ConnId>,
    first: Option<Ts>,
    last: Ts,
    connections: u64,
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        self.helos.iter().map(|(_, seen, _)| seen).sum()
    }
}

/// The split of senders behind one address.
#[derive(Debug, Default)]
pub struct BehindNat {
    hosts: PerHost<HostState>,
}

impl HostState {
    /// Counts a name if there is room for it.
    fn note_name(&mut self, name: &Wire) -> bool {
        let hash = xxh3_64(name.as_bytes());
        if let Some((_, seen, _)) = self.helos.iter_mut().find(|(known, ..)| *known == hash) {
            *seen += 1;
        } else if self.helos.len() < SIGNS_MAX {
            self.helos.push((hash, 1, name.clone()));
        } else {
            return false;
        }
        true
    }

    /// At least so many, by the SYNs and by the names.
    fn at_least(&self, own_name: Option<&Wire>) -> (u64, u64) {
        let by_syn = self.signatures.iter().filter(|(_, seen)| *seen >= RECURS).count() as u64;
        // One stable host name is one sender; all other names together are at least one more, not one each: worms
        // change theirs at every call.
        let is_own = |name: &Wire, seen: u64, own: u64| match own_name {
            Some(known) => super::same_name(known, name),
            None => own == 0 && seen >= RECURS && is_fqdn(name.as_bytes()),
        };
        let none = (self.more_own, self.more_helos);
        let (own, others) = self.helos.iter().fold(none, |(own, others), (_, seen, name)| {
            if is_own(name, *seen, own) { (own + seen, others) } else { (own, others + seen) }
        });
        let by_name = u64::from(own >= RECURS) + u64::from(others >= RECURS);
        (by_syn.max(1), by_name.max(1))
    }
}

impl Detector for BehindNat {
    fn name(&self) -> &'static str {
        "behind_nat"
    }

    fn wants(&self, way: Way, kind: Kind) -> bool {
        way == Way::Outbound && kind == Kind::Closed
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        let (Way::Outbound, Some(client), What::Closed(session)) = (seen.way, seen.client, seen.what) else { return };
        let state = self.hosts.touch(client);
        state.first.get_or_insert(seen.id.ts);
        state.last = state.last.max(seen.at.ts);
        state.connections += 1;
        if let Some(syn) = &session.conn.syn {
            let shape = shape(syn);
            if let Some((_, seen)) = state.signatures.iter_mut().find(|(known, _)| *known == shape) {
                *seen += 1;
            } else if state.signatures.len() < SIGNS_MAX {
                state.signatures.push((shape, 1));
            }
        }
        if let Some(helo) = &session.smtp.helo
            && !state.note_name(helo)
        {
            // A worm that changes its name at every call must not crowd out the server's.
            let own = ctx.roles.banner_name(seen.id.orig.host).is_some_and(|name| super::same_name(name, helo));
            *(if own { &mut state.more_own } else { &mut state.more_helos }) += 1;
        }
        if seen.voice == super::Voice::Other && state.other_tuples.len() < TUPLES_MAX {
            state.other_tuples.push(seen.id);
        }
    }

    fn fetch(&self, coming: &Coming<'_>) -> u64 {
        let (Way::Outbound, SessionEventKind::Closed(_)) = (coming.way, coming.kind) else { return 0 };
        let state = coming.client.and_then(|client| self.hosts.get(client));
        state.map_or(0, |state| {
            let signature = state.signatures.first().map_or(0, |(_, seen)| *seen);
            let name = state.helos.first().map_or(0, |(_, seen, _)| *seen);
            state.connections ^ state.last.as_nanos() as u64 ^ u64::from(state.first.is_some()) ^ signature ^ name
        })
    }

    fn findings(&self, _: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (host, state) in self.hosts.sorted(ctx.hosts) {
            let (by_syn, by_name) = state.at_least(ctx.roles.banner_name(host));
            let senders = by_syn.max(by_name);
            // Without a mail server at the address, many names are one bot's habit; SYNs are not.
            let shared = by_syn > 1 || (by_name > 1 && ctx.roles.takes_mail(host));
            if !shared {
                continue;
            }
            let tuples: Vec<String> = state
                .other_tuples
                .iter()
                .map(|id| format!("{} {}:{} > {}:{}", id.ts, id.orig.host, id.orig.port, id.resp.host, id.resp.port))
                .collect();
            out.push(Finding {
                says: format!(
                    "at least {senders} senders behind this address: {by_syn} by the shape of their connections, \
                     {by_name} by the names they use{}{}",
                    if tuples.is_empty() { "" } else { "; look these up in the gateway's translation log: " },
                    tuples.join("; ")
                ),
                numbers: Numbers::new()
                    .count("senders_at_least", senders)
                    .count("by_syn", by_syn)
                    .count("by_helo", by_name)
                    .count("connections", state.connections),
                sessions: state.other_tuples.clone(),
                ..Finding::summed(
                    self.name(),
                    host,
                    Class::MassMailer,
                    Family::Context,
                    0.0,
                    state.first.unwrap_or(state.last),
                    state.last,
                )
            });
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

/// What stays the same for one system: everything but clock, identification and the way's length.
fn shape(syn: &SynSignature) -> u64 {
    let ittl = match syn.ttl {
        0..=32 => 32,
        33..=64 => 64,
        65..=128 => 128,
        _ => 255_u8,
    };
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&[u8::from(syn.v6), ittl, syn.olen, syn.scale.unwrap_or(255)]);
    bytes[4..6].copy_from_slice(&syn.mss.to_be_bytes());
    bytes[6..8].copy_from_slice(&syn.wsize.to_be_bytes());
    bytes[8..16].copy_from_slice(&syn.olayout.to_be_bytes());
    bytes[16..].copy_from_slice(&syn.quirks.to_be_bytes());
    xxh3_64(&bytes)
}

/// Addresses in traffic of which no side is ours: who might be.
#[derive(Debug, Default)]
pub struct Strangers {
    connections: u64,
    seen: BTreeMap<HostKey, u64>,
}

/// Addresses counted; when the table is full all counts are lowered by one (Misra and Gries), so that whoever takes
/// part in more than one of 256 connections stays.
const STRANGERS_MAX: usize = 256;
/// Share of the connections that an address must take part in to be taken for ours.
const OURS_SHARE: f64 = 0.3;

impl Strangers {
    /// Counts a connection between two others.
    pub fn note(&mut self, id: ConnId) {
        self.connections += 1;
        for host in [id.orig.host, id.resp.host] {
            if let Some(seen) = self.seen.get_mut(&host) {
                *seen += 1;
            } else if self.seen.len() < STRANGERS_MAX {
                self.seen.insert(host, 1);
            } else {
                self.seen.retain(|_, seen| {
                    *seen -= 1;
                    *seen > 0
                });
            }
        }
    }

    /// Counts many attempts of one of them, of whose servers none is among many.
    pub fn note_flood(&mut self, host: HostKey, attempts: u64) {
        self.connections += attempts;
        if self.seen.len() < STRANGERS_MAX || self.seen.contains_key(&host) {
            *self.seen.entry(host).or_default() += attempts;
        }
    }

    /// Connections between others.
    pub const fn connections(&self) -> u64 {
        self.connections
    }

    /// Addresses that take part in a good share of the connections, with that share, the largest first.
    pub fn candidates(&self) -> Vec<(HostKey, f64)> {
        let share = |seen: u64| seen as f64 / self.connections.max(1) as f64;
        let mut all: Vec<(HostKey, f64)> = self
            .seen
            .iter()
            .map(|(host, seen)| (*host, share(*seen)))
            .filter(|(_, share)| *share >= OURS_SHARE)
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all
    }
}

#[cfg(test)]
mod tests;
