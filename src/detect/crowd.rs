//! Who did it most: counts by address (or by name) in bounded room.
//!
//! When it is full all counts are lowered together (Misra and Gries 1982), so that the busiest stay whatever goes by; a
//! count is then too low by at most the number of events divided by the room.

use super::finding::Peer;
use crate::net::HostKey;
use crate::time::Ts;

/// Counts of at most `MAX` members.
#[derive(Clone, Debug)]
pub(super) struct Crowd<K, const MAX: usize> {
    /// In the order of the keys. Most crowds have one member, for which a tree's node would be ten times too large.
    members: Vec<(K, Member)>,
}

/// One member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Member {
    pub(super) count: u64,
    pub(super) first: Ts,
    pub(super) last: Ts,
}

impl<K, const MAX: usize> Default for Crowd<K, MAX> {
    fn default() -> Self {
        Self { members: Vec::new() }
    }
}

impl<K: Ord + Clone, const MAX: usize> Crowd<K, MAX> {
    /// Counts one in.
    pub(super) fn note(&mut self, key: &K, now: Ts) {
        match self.members.binary_search_by(|(known, _)| known.cmp(key)) {
            Ok(place) => {
                let (_, known) = &mut self.members[place];
                known.count += 1;
                known.last = known.last.max(now);
            }
            Err(place) if self.members.len() < MAX => {
                if self.members.is_empty() {
                    self.members.reserve_exact(1);
                }
                self.members.insert(place, (key.clone(), Member { count: 1, first: now, last: now }));
            }
            Err(_) => self.members.retain_mut(|(_, known)| {
                known.count -= 1;
                known.count > 0
            }),
        }
    }

    /// How many are held.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The busiest first, among equals by key.
    pub(super) fn top(&self) -> Vec<(&K, Member)> {
        let mut all: Vec<_> = self.members.iter().map(|(key, member)| (key, *member)).collect();
        all.sort_by(|a, b| (b.1.count, a.0).cmp(&(a.1.count, b.0)));
        all
    }
}

impl<const MAX: usize> Crowd<HostKey, MAX> {
    /// The busiest as peers of a finding.
    pub(super) fn peers(&self, role: &'static str, shown: usize) -> Vec<Peer> {
        self.top().into_iter().take(shown).map(|(ip, member)| member.peer(*ip, role)).collect()
    }
}

impl Member {
    /// As a peer of a finding.
    pub(super) const fn peer(self, ip: HostKey, role: &'static str) -> Peer {
        Peer { ip, role, count: self.count, says: None, first_ts: self.first, last_ts: self.last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_stay_whatever_goes_by() {
        let mut crowd = Crowd::<u32, 8>::default();
        for n in 0..1000 {
            crowd.note(&(n + 10), Ts::EPOCH);
            crowd.note(&1, Ts::EPOCH);
            crowd.note(&2, Ts::EPOCH);
        }
        assert!(crowd.len() <= 8);
        let top: Vec<u32> = crowd.top().iter().take(2).map(|(key, _)| **key).collect();
        assert_eq!(top, [1, 2]);
    }
}
