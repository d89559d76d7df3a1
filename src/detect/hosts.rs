//! The hosts of ours: one book of them for the whole judgement, and what is kept for each.
//!
//! A host is looked up once an event and then goes by its place in the book, a small number: what detectors keep
//! ([`PerHost`]) is found by it without a search. Memory far from the processor is what judging costs, so nothing is
//! touched for a host that has nothing.
//!
//! The book is bounded. When it is full, a host that was silent for long goes, the first that nothing is held against; a
//! flood of made-up addresses must not push out the one that matters. All who keep something forget it together. Nothing
//! depends on the order of hashes.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::table::Weigh;
use crate::net::HostKey;

/// The place of a host of ours in the book. Whoever keeps one is told when the host has to go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostIdx(u32);

impl HostIdx {
    /// As an index.
    pub(super) const fn place(self) -> usize {
        self.0 as usize
    }
}

/// All hosts of ours that are judged.
#[derive(Debug)]
pub struct HostBook {
    places: HashTable<u32>,
    hasher: RandomState,
    hosts: Vec<HostKey>,
    /// Whether a host was heard of since the hand last passed it.
    heard: Vec<bool>,
    /// Where the search for a host that may go goes on, round and round (the 'clock' of page replacement).
    hand: usize,
    /// The ends of the event in hand: most questions are about them.
    latest: [HostIdx; 2],
    max: usize,
    evicted: u64,
}

/// How many silent hosts are looked at before one of them has to go: enough to find a weightless one in any flood, few
/// enough to cost nothing.
const CANDIDATES: usize = 16;

impl HostBook {
    /// At most `max` hosts (at least three: the two of an event and another one; fewer than 2^32).
    pub fn new(max: usize) -> Self {
        Self {
            places: HashTable::new(),
            hasher: RandomState::default(),
            hosts: Vec::new(),
            heard: Vec::new(),
            hand: 0,
            latest: [HostIdx(0); 2],
            max: max.clamp(3, u32::MAX as usize - 1),
            evicted: 0,
        }
    }

    /// The place of a host, if it is in the book.
    pub fn find(&self, host: HostKey) -> Option<HostIdx> {
        let at = self.latest.into_iter().find(|at| self.hosts.get(at.place()) == Some(&host));
        at.or_else(|| self.search(host))
    }

    /// The place of a host, which is heard of now; one that is new may take the place of another, which is told. `weight`
    /// tells how much is held against a host, 0 for what tells nothing yet. `likely` is where it was found a while ago.
    pub fn hear(
        &mut self,
        host: HostKey,
        likely: Option<HostIdx>,
        weight: impl Fn(HostIdx) -> u64,
    ) -> (HostIdx, Option<HostKey>) {
        let still = likely.filter(|at| self.hosts.get(at.place()) == Some(&host));
        let (at, gone) = match still.or_else(|| self.search(host)) {
            Some(at) => (at, None),
            None if self.hosts.len() < self.max => (self.add(host), None),
            None => self.replace(host, weight),
        };
        self.heard[at.place()] = true;
        if self.latest[0] != at {
            self.latest = [at, self.latest[0]];
        }
        (at, gone)
    }

    /// The address of a host.
    pub fn key(&self, at: HostIdx) -> Option<HostKey> {
        self.hosts.get(at.place()).copied()
    }

    /// Hosts in the book.
    pub const fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Hosts that had to go.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    fn search(&self, host: HostKey) -> Option<HostIdx> {
        let hosts = &self.hosts;
        self.places.find(self.hasher.hash_one(host), |place| hosts[*place as usize] == host).copied().map(HostIdx)
    }

    fn add(&mut self, host: HostKey) -> HostIdx {
        let at = HostIdx(self.hosts.len() as u32);
        self.hosts.push(host);
        self.heard.push(true);
        self.index(at);
        at
    }

    fn replace(&mut self, host: HostKey, weight: impl Fn(HostIdx) -> u64) -> (HostIdx, Option<HostKey>) {
        self.evicted += 1;
        let at = self.dispensable(weight);
        let gone = std::mem::replace(&mut self.hosts[at.place()], host);
        if let Ok(entry) = self.places.find_entry(self.hasher.hash_one(gone), |known| *known == at.0) {
            entry.remove();
        }
        self.index(at);
        (at, Some(gone))
    }

    /// The first weightless one of the next silent hosts, or else the lightest of them. The ends of the event in hand
    /// stay.
    fn dispensable(&mut self, weight: impl Fn(HostIdx) -> u64) -> HostIdx {
        let mut lightest: Option<(HostIdx, u64)> = None;
        let mut left = CANDIDATES;
        // After one round all are silent: three rounds find one in any case.
        for _ in 0..3 * self.hosts.len() {
            let at = HostIdx(self.hand as u32);
            self.hand = (self.hand + 1) % self.hosts.len();
            if std::mem::take(&mut self.heard[at.place()]) || self.latest.contains(&at) {
                continue;
            }
            let weight = weight(at);
            if lightest.is_none_or(|(_, least)| weight < least) {
                lightest = Some((at, weight));
            }
            left -= 1;
            if weight == 0 || left == 0 {
                break;
            }
        }
        lightest.map_or(HostIdx(0), |(at, _)| at)
    }

    /// Lets the place be found by its host.
    fn index(&mut self, at: HostIdx) {
        let (hosts, hasher) = (&self.hosts, &self.hasher);
        let hash = hasher.hash_one(hosts[at.place()]);
        self.places.insert_unique(hash, at.0, |place| hasher.hash_one(hosts[*place as usize]));
    }
}

/// What is kept for each host of the book; nothing for most.
#[derive(Debug)]
pub struct PerHost<S> {
    states: Vec<Option<Box<S>>>,
    held: usize,
    evicted: u64,
}

impl<S> Default for PerHost<S> {
    fn default() -> Self {
        Self { states: Vec::new(), held: 0, evicted: 0 }
    }
}

impl<S> PerHost<S> {
    /// The state of a host, made by `fresh` if there is none.
    #[inline]
    pub fn touch_or(&mut self, at: HostIdx, fresh: impl FnOnce() -> S) -> &mut S {
        if self.states.len() <= at.place() {
            self.make_room(at);
        }
        let held = &mut self.held;
        self.states[at.place()].get_or_insert_with(|| {
            *held += 1;
            Box::new(fresh())
        })
    }

    #[cold]
    fn make_room(&mut self, at: HostIdx) {
        self.states.resize_with(at.place() + 1, || None);
    }

    /// The state of a host, made anew if there is none.
    #[inline]
    pub fn touch(&mut self, at: HostIdx) -> &mut S
    where
        S: Default,
    {
        self.touch_or(at, S::default)
    }

    /// The state of a host, if there is one.
    pub fn get(&self, at: HostIdx) -> Option<&S> {
        self.states.get(at.place())?.as_deref()
    }

    /// The state of a host, if there is one, to change it.
    pub fn get_mut(&mut self, at: HostIdx) -> Option<&mut S> {
        self.states.get_mut(at.place())?.as_deref_mut()
    }

    /// The host had to go.
    pub fn forget(&mut self, at: HostIdx) {
        if self.states.get_mut(at.place()).and_then(Option::take).is_some() {
            self.held -= 1;
            self.evicted += 1;
        }
    }

    /// How much a host's state is worth keeping.
    pub fn weight(&self, at: HostIdx) -> u64
    where
        S: Weigh,
    {
        self.get(at).map_or(0, Weigh::weight)
    }

    /// All hosts with a state, in the order of their addresses.
    pub fn sorted(&self, hosts: &HostBook) -> Vec<(HostKey, &S)> {
        let states = hosts.hosts.iter().zip(&self.states);
        let mut all: Vec<_> = states.filter_map(|(host, state)| Some((*host, state.as_deref()?))).collect();
        all.sort_unstable_by_key(|(host, _)| *host);
        all
    }

    /// Hosts with a state.
    pub const fn len(&self) -> usize {
        self.held
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// States that had to go with their hosts.
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: u32) -> HostKey {
        HostKey::v4(n.to_be_bytes())
    }

    /// Hears of a host; what had to go is forgotten.
    fn hear(book: &mut HostBook, states: &mut PerHost<u64>, n: u32) -> HostIdx {
        let (at, gone) = book.hear(host(n), None, |at| states.weight(at));
        if gone.is_some() {
            states.forget(at);
        }
        at
    }

    #[test]
    fn a_flood_of_nobodies_leaves_the_one_that_matters() {
        let (mut book, mut states) = (HostBook::new(100), PerHost::default());
        let one = hear(&mut book, &mut states, 1);
        *states.touch(one) = 7;
        for n in 2..100_000 {
            let at = hear(&mut book, &mut states, n);
            states.touch(at);
            assert_eq!(book.key(at), Some(host(n)));
        }
        assert_eq!((book.len(), states.len()), (100, 100));
        assert_eq!((book.evicted(), states.evicted()), (99_998 - 99, 99_998 - 99));
        assert_eq!(book.find(host(1)).and_then(|at| states.get(at)), Some(&7));
    }

    #[test]
    fn among_equals_the_silent_goes_and_the_light_before_the_heavy() {
        let (mut book, mut states) = (HostBook::new(4), PerHost::default());
        for (n, weight) in [(1, 5), (2, 3), (3, 4), (4, 9)] {
            let at = hear(&mut book, &mut states, n);
            *states.touch(at) = weight;
        }
        hear(&mut book, &mut states, 5);
        assert_eq!(book.find(host(2)), None, "the lightest");
        hear(&mut book, &mut states, 1);
        hear(&mut book, &mut states, 6);
        assert_eq!(book.find(host(3)), None, "the first was heard again");
        assert!([1, 4, 5, 6].iter().all(|n| book.find(host(*n)).is_some()));
    }

    #[test]
    fn the_two_ends_of_an_event_never_push_each_other_out() {
        let (mut book, mut states) = (HostBook::new(0), PerHost::default());
        for n in 0..1000 {
            let (client, server) = (hear(&mut book, &mut states, 2 * n), hear(&mut book, &mut states, 2 * n + 1));
            assert_ne!(client, server);
            assert_eq!((book.find(host(2 * n)), book.find(host(2 * n + 1))), (Some(client), Some(server)));
        }
    }

    proptest::proptest! {
        /// What is held for a host is its own, whatever came and went, and nothing is held for one that went.
        #[test]
        fn each_host_has_its_own(heard in proptest::collection::vec(0..40_u32, 0..300), max in 3..12_usize) {
            let (mut book, mut states) = (HostBook::new(max), PerHost::default());
            let mut model = std::collections::BTreeMap::new();
            for n in heard {
                let (at, gone) = book.hear(host(n), None, |at| states.weight(at));
                if let Some(gone) = gone {
                    states.forget(at);
                    proptest::prop_assert!(model.remove(&gone).is_some());
                }
                *states.touch(at) += 1;
                *model.entry(host(n)).or_insert(0) += 1;
                proptest::prop_assert!(book.len() <= max);
                let held: Vec<_> = states.sorted(&book).into_iter().map(|(host, count)| (host, *count)).collect();
                proptest::prop_assert_eq!(held, model.iter().map(|(host, count)| (*host, *count)).collect::<Vec<_>>());
            }
        }
    }
}
