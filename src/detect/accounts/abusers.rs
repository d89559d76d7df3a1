//! Who sent what speaks for the abuse of an account: hosts of ours one by one, and the world as one.
//!
//! An account that a machine of ours abuses needs another remedy than one that a stranger abuses: the machine is to be
//! found and cleaned. Only what raised an alarm is counted, so that years of the owner's own mail outvote nobody.

use super::super::crowd::Crowd;
use super::super::finding::Peer;
use super::super::observation::{Observation, Way};
use crate::net::HostKey;
use crate::time::Ts;

/// Share of what the busiest of our hosts sent from which on another is named too (heuristic): another device of the
/// owner sends a mail or two in the same hour.
const SHARE_MIN: f64 = 0.1;
/// Hosts of ours counted an account.
const HOSTS_MAX: usize = 64;

/// Where a mail came from, as far as it tells whom to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// From a host of ours.
    Ours(HostKey),
    /// From outside.
    World,
}

impl Origin {
    pub(super) fn of(seen: &Observation<'_>) -> Self {
        if seen.way == Way::Inside { Self::Ours(seen.id.orig.host) } else { Self::World }
    }
}

/// Counts of what raised an alarm.
#[derive(Debug, Default)]
pub(super) struct Abusers {
    hosts: Crowd<HostKey, HOSTS_MAX>,
    ours: u64,
    world: u64,
}

impl Abusers {
    pub(super) fn note(&mut self, origin: Origin, now: Ts) {
        match origin {
            Origin::Ours(host) => {
                self.ours += 1;
                self.hosts.note(&host, now);
            }
            Origin::World => self.world += 1,
        }
    }

    /// The hosts of ours to look at, the busiest first; none unless most of it came from them.
    pub(super) fn insiders(&self) -> Vec<Peer> {
        if self.ours <= self.world {
            return Vec::new();
        }
        let top = self.hosts.top();
        let most = top.first().map_or(0, |(_, member)| member.count);
        top.into_iter()
            .filter(|(_, member)| member.count as f64 >= SHARE_MIN * most as f64)
            .map(|(host, member)| member.peer(*host, Peer::INSIDE))
            .collect()
    }

    /// From our hosts, and in all.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.ours, self.ours + self.world)
    }
}
