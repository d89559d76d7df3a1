//! A few hosts with what is known of each, found by one look at a row of short marks: most lists are full of others, and
//! to learn that a host is not among them must not cost a walk through memory.

use crate::net::{HostKey, mix};

/// At most `N` hosts.
#[derive(Clone, Debug)]
pub(super) struct Few<V, const N: usize> {
    /// Part of each address; many hosts have other marks.
    marks: [u16; N],
    all: Vec<(HostKey, V)>,
}

impl<V, const N: usize> Default for Few<V, N> {
    fn default() -> Self {
        Self { marks: [0; N], all: Vec::new() }
    }
}

impl<V, const N: usize> Few<V, N> {
    /// Where a host stands.
    #[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler looks at many at once")]
    pub(super) fn find(&self, host: HostKey) -> Option<usize> {
        let mark = mark(host);
        // Over unused places, too: many comparisons at a time.
        let likely = self.marks.iter().fold(false, |any, known| any | (*known == mark));
        if !likely {
            return None;
        }
        let stands = |at: &usize| self.all.get(*at).is_some_and(|(known, _)| *known == host);
        (0..self.all.len()).filter(|at| self.marks[*at] == mark).find(stands)
    }

    /// What is known of a host, made by `fresh` if there is room for it.
    pub(super) fn entry(&mut self, host: HostKey, fresh: impl FnOnce() -> V) -> Option<&mut V> {
        let known = self.find(host);
        let at = known.unwrap_or(self.all.len());
        if known.is_none() {
            *self.marks.get_mut(at)? = mark(host);
            // No more room than for `N`, and for few at first: nearly every host has some of these.
            if at == self.all.capacity() {
                self.all.reserve_exact(at.clamp(1, N - at));
            }
            self.all.push((host, fresh()));
        }
        self.at(at)
    }

    /// Gives the place of one to another.
    pub(super) fn replace(&mut self, at: usize, host: HostKey, value: V) {
        if let Some(place) = self.all.get_mut(at) {
            *place = (host, value);
            self.marks[at] = mark(host);
        }
    }

    /// What stands at a place.
    pub(super) fn at(&mut self, at: usize) -> Option<&mut V> {
        self.all.get_mut(at).map(|(_, value)| value)
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    /// All, in the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(HostKey, V)> {
        self.all.iter()
    }

    /// Reads the row of marks, and a place.
    pub(super) fn fetch(&self, at: usize) -> u64 {
        let place = self.all.get(at).map_or(0, |(host, _)| host.words()[1]);
        u64::from(self.marks[0] ^ self.marks[N - 1] ^ self.marks[N / 2]) ^ place
    }
}

/// Of a mixture of all of an address, because that of a network ends in zeros.
const fn mark(host: HostKey) -> u16 {
    let [low, high] = host.words();
    mix(low, high) as u16
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    #[test]
    fn a_few_are_kept_and_no_more() {
        let mut few = Few::<u32, 4>::default();
        let host = |n: u8| HostKey::v4([192, 0, 2, n]);
        for n in [0, 1, 2, 1, 3, 4, 0] {
            if let Some(count) = few.entry(host(n), || 0) {
                *count += 1;
            }
        }
        let all: Vec<_> = few.iter().map(|(host, count)| (host.octets()[15], *count)).collect();
        assert_eq!(all, [(0, 2), (1, 2), (2, 1), (3, 1)]);
        few.replace(1, host(9), 7);
        assert_eq!((few.find(host(1)), few.find(host(9)), few.len()), (None, Some(1), 4));
    }

    /// Hosts of one mark.
    static ALIKE: LazyLock<Vec<HostKey>> = LazyLock::new(|| {
        let hosts = (0..u32::MAX).map(|n| HostKey::v4(n.to_be_bytes()));
        hosts.filter(|host| mark(*host) == 7).take(12).collect()
    });

    proptest::proptest! {
        #[test]
        fn marks_never_hide_a_host(ns in proptest::collection::vec(0..12_u32, 0..60)) {
            let mut few = Few::<u32, 8>::default();
            let mut model: Vec<(u32, u32)> = Vec::new();
            for n in ns {
                let host = ALIKE[n as usize];
                if model.len() < 8 && model.iter().all(|(known, _)| *known != n) {
                    model.push((n, 0));
                }
                if let Some((_, count)) = model.iter_mut().find(|(known, _)| *known == n) {
                    *count += 1;
                }
                if let Some(count) = few.entry(host, || 0) {
                    *count += 1;
                }
            }
            let counts: Vec<u32> = few.iter().map(|(_, count)| *count).collect();
            proptest::prop_assert_eq!(counts, model.iter().map(|(_, count)| *count).collect::<Vec<_>>());
        }
    }
}
