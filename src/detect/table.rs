//! A bounded table of per-host state: what every detector keeps its hosts in.
//!
//! When it is full, the host that was quiet longest goes first, but one that carries weight gets another chance: a flood
//! of made-up addresses must not push out the one that matters. Nothing depends on the order of hashes.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::net::HostKey;

/// How much a state is worth keeping: 0 for what tells nothing yet.
pub trait Weigh {
    /// The weight; compared among the quietest hosts only.
    fn weight(&self) -> u64;
}

/// State by host (or by a pair with a host in it), bounded.
///
/// Hosts have places; what is needed to find a host and to keep the order of touching is held apart from the states, in
/// a few bytes a host, so that it stays in the processor's cache while states of thousands of hosts do not.
#[derive(Debug)]
pub struct HostTable<S, K = HostKey> {
    /// Places by host.
    places: HashTable<u32>,
    hasher: RandomState,
    hosts: Vec<K>,
    /// The hosts in the order in which they were touched, as a ring that begins and ends at [`HEAD`]; the link of a host
    /// comes one after its place.
    links: Vec<Link>,
    states: Vec<Box<S>>,
    max: usize,
    evicted: u64,
}

/// Neighbours in the order of touching.
#[derive(Clone, Copy, Debug)]
struct Link {
    quieter: u32,
    louder: u32,
}

/// The link between the host touched last and the quietest one.
const HEAD: usize = 0;

/// How many of the quietest hosts are looked at before one of them has to go: enough to find a weightless one in any
/// flood, few enough to cost nothing.
const CANDIDATES: usize = 16;

impl<S: Weigh, K: Copy + Ord + Hash> HostTable<S, K> {
    /// At most `max` hosts (at least one, fewer than 2^32).
    pub fn new(max: usize) -> Self {
        Self {
            places: HashTable::new(),
            hasher: RandomState::default(),
            hosts: Vec::new(),
            links: vec![Link { quieter: 0, louder: 0 }],
            states: Vec::new(),
            max: max.clamp(1, u32::MAX as usize - 1),
            evicted: 0,
        }
    }

    /// The state of a host, made anew if it is not there; the host now counts as the last one heard of. The second
    /// value is the host that had to go, if one had to.
    pub fn touch(&mut self, host: K, fresh: impl FnOnce() -> S) -> (&mut S, Option<(K, S)>) {
        if let Some(place) = self.find(host) {
            self.move_to_end(place);
            return (&mut self.states[place], None);
        }
        let (place, gone) =
            if self.hosts.len() < self.max { (self.add(host, fresh()), None) } else { self.replace(host, fresh()) };
        (&mut self.states[place], gone)
    }

    /// The state of a host, if there is one, without touching it.
    pub fn get(&self, host: K) -> Option<&S> {
        self.find(host).map(|place| &*self.states[place])
    }

    /// The state of a host, if there is one, to change it without touching it.
    pub fn get_mut(&mut self, host: K) -> Option<&mut S> {
        self.find(host).map(|place| &mut *self.states[place])
    }

    /// All hosts, in the order of their addresses.
    pub fn sorted(&self) -> Vec<(K, &S)> {
        let mut all: Vec<_> = self.hosts.iter().copied().zip(self.states.iter().map(|state| &**state)).collect();
        all.sort_unstable_by_key(|(host, _)| *host);
        all
    }

    /// Hosts held.
    pub const fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether none is held.
    pub const fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Hosts that had to go.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    fn find(&self, host: K) -> Option<usize> {
        // Most often it is the one touched last.
        if let Some(last) = self.last()
            && self.hosts[last] == host
        {
            return Some(last);
        }
        let hosts = &self.hosts;
        let place = self.places.find(self.hasher.hash_one(host), |place| hosts[*place as usize] == host);
        place.map(|place| *place as usize)
    }

    /// The place of the host touched last.
    fn last(&self) -> Option<usize> {
        Some(self.links[HEAD].quieter.checked_sub(1)? as usize)
    }

    fn add(&mut self, host: K, state: S) -> usize {
        let place = self.hosts.len();
        self.hosts.push(host);
        self.states.push(Box::new(state));
        self.links.push(Link { quieter: 0, louder: 0 });
        self.put_last(place + 1);
        self.index(place);
        place
    }

    /// Gives the place of a host that has to go to another one.
    fn replace(&mut self, host: K, state: S) -> (usize, Option<(K, S)>) {
        self.evicted += 1;
        let place = self.dispensable();
        let gone = std::mem::replace(&mut self.hosts[place], host);
        if let Ok(entry) = self.places.find_entry(self.hasher.hash_one(gone), |known| *known as usize == place) {
            entry.remove();
        }
        self.index(place);
        self.move_to_end(place);
        (place, Some((gone, std::mem::replace(&mut *self.states[place], state))))
    }

    /// The lightest of the quietest hosts; there is one.
    fn dispensable(&mut self) -> usize {
        let mut lightest: Option<(usize, u64)> = None;
        for _ in 0..CANDIDATES.min(self.hosts.len()) {
            let quietest = self.links[HEAD].louder as usize - 1;
            let weight = self.states[quietest].weight();
            if weight == 0 {
                return quietest;
            }
            if lightest.is_none_or(|(_, least)| weight < least) {
                lightest = Some((quietest, weight));
            }
            self.move_to_end(quietest); // another chance
        }
        lightest.map_or(0, |(place, _)| place)
    }

    /// Lets the place be found by its host.
    fn index(&mut self, place: usize) {
        let (hosts, hasher) = (&self.hosts, &self.hasher);
        let hash = hasher.hash_one(hosts[place]);
        self.places.insert_unique(hash, place as u32, |place| hasher.hash_one(hosts[*place as usize]));
    }

    fn move_to_end(&mut self, place: usize) {
        let at = place + 1;
        if self.links[HEAD].quieter as usize == at {
            return;
        }
        let Link { quieter, louder } = self.links[at];
        self.links[quieter as usize].louder = louder;
        self.links[louder as usize].quieter = quieter;
        self.put_last(at);
    }

    fn put_last(&mut self, at: usize) {
        let last = self.links[HEAD].quieter;
        self.links[at] = Link { quieter: last, louder: HEAD as u32 };
        self.links[last as usize].louder = at as u32;
        self.links[HEAD].quieter = at as u32;
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

    proptest::proptest! {
        /// As a list that is searched from its quiet end says.
        #[test]
        fn the_order_of_touching_is_kept(touched in proptest::collection::vec(0..20_u32, 0..200), max in 1..12_usize) {
            let (mut table, mut list) = (HostTable::new(max), Vec::new());
            for n in touched {
                let known = list.iter().position(|known| *known == n);
                let quietest = (known.is_none() && list.len() == max).then_some(0);
                let gone = known.or(quietest).map(|at| list.remove(at)).filter(|_| known.is_none());
                list.push(n);
                proptest::prop_assert_eq!(table.touch(host(n), || 0_u64).1, gone.map(|gone| (host(gone), 0)));
                proptest::prop_assert_eq!(table.len(), list.len());
                proptest::prop_assert!((0..20).all(|n| table.get(host(n)).is_some() == list.contains(&n)));
            }
        }
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
