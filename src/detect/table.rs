//! A bounded table of per-host state: what every detector keeps its hosts in.
//!
//! When it is full, the host that was quiet longest goes first, but one that carries weight gets another chance: a flood
//! of made-up addresses must not push out the one that matters. Nothing depends on the order of hashes.

use std::hash::Hash;

use foldhash::fast::RandomState;
use hashlink::LruCache;

use crate::net::HostKey;

/// How much a state is worth keeping: 0 for what tells nothing yet.
pub trait Weigh {
    /// The weight; compared among the quietest hosts only.
    fn weight(&self) -> u64;
}

/// State by host (or by a pair with a host in it), bounded.
#[derive(Debug)]
pub struct HostTable<S, K: Hash + Eq = HostKey> {
    hosts: LruCache<K, S, RandomState>,
    max: usize,
    evicted: u64,
}

/// How many of the quietest hosts are looked at before one of them has to go: enough to find a weightless one in any
/// flood, few enough to cost nothing.
const CANDIDATES: usize = 16;

impl<S: Weigh, K: Copy + Ord + Hash> HostTable<S, K> {
    /// At most `max` hosts (at least one).
    pub fn new(max: usize) -> Self {
        Self { hosts: LruCache::with_hasher(usize::MAX, RandomState::default()), max: max.max(1), evicted: 0 }
    }

    /// The state of a host, made anew if it is not there; the host now counts as the last one heard of. The second
    /// value is the host that had to go, if one had to.
    pub fn touch(&mut self, host: K, fresh: impl FnOnce() -> S) -> (&mut S, Option<(K, S)>) {
        let gone = if self.hosts.len() >= self.max && !self.hosts.contains_key(&host) { self.evict() } else { None };
        (self.hosts.entry(host).or_insert_with(fresh), gone)
    }

    /// The state of a host, if there is one, without touching it.
    pub fn get(&self, host: K) -> Option<&S> {
        self.hosts.peek(&host)
    }

    /// The state of a host, if there is one, to change it without touching it.
    pub fn get_mut(&mut self, host: K) -> Option<&mut S> {
        self.hosts.peek_mut(&host)
    }

    /// All hosts, in the order of their addresses.
    pub fn sorted(&self) -> Vec<(K, &S)> {
        let mut all: Vec<_> = self.hosts.iter().map(|(host, state)| (*host, state)).collect();
        all.sort_unstable_by_key(|(host, _)| *host);
        all
    }

    /// Hosts held.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Hosts that had to go.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    fn evict(&mut self) -> Option<(K, S)> {
        self.evicted += 1;
        let mut lightest: Option<(K, u64)> = None;
        for _ in 0..CANDIDATES.min(self.hosts.len()) {
            let (host, weight) = self.hosts.iter().next().map(|(host, state)| (*host, state.weight()))?;
            if weight == 0 {
                lightest = Some((host, 0));
                break;
            }
            if lightest.is_none_or(|(_, least)| weight < least) {
                lightest = Some((host, weight));
            }
            self.hosts.get(&host); // another chance: it moves to the back
        }
        let (host, _) = lightest?;
        self.hosts.remove(&host).map(|state| (host, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for u64 {
        fn weight(&self) -> u64 {
            *self
        }
    }

    fn host(n: u32) -> HostKey {
        HostKey::v4(n.to_be_bytes())
    }

    #[test]
    fn a_flood_of_nobodies_leaves_the_one_that_matters() {
        let mut table = HostTable::new(100);
        table.touch(host(1), || 7_u64);
        for n in 2..100_000 {
            table.touch(host(n), || 0);
        }
        assert_eq!(table.len(), 100);
        assert_eq!(table.evicted(), 99_998 - 99);
        assert_eq!(table.get(host(1)), Some(&7));
    }

    #[test]
    fn among_equals_the_quietest_goes() {
        let mut table = HostTable::new(2);
        table.touch(host(1), || 1_u64);
        table.touch(host(2), || 1);
        table.touch(host(1), || 1);
        let (_, gone) = table.touch(host(3), || 1);
        assert_eq!(gone, Some((host(2), 1)));
    }
}
