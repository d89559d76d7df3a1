//! How many distinct things there were, in bounded room.

use cardinality_estimator::CardinalityEstimator;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::net::HostKey;

/// A count of distinct things, exact up to two, hashes up to 128, then HyperLogLog with 2^14 registers (standard error 0.8 %)
/// or another power of two.
///
/// The hash is fixed, because the count stands in reports.
#[derive(Clone, Default)]
pub struct Distinct<const P: usize = 14>(CardinalityEstimator<[u8; 16], Xxh3Default, P, 6>);

/// A count for which 3 % are enough beyond 128 things, in a sixteenth of the room (0.8 KB).
pub type Rough = Distinct<10>;

impl<const P: usize> Distinct<P> {
    /// Counts a host in.
    pub fn insert(&mut self, host: HostKey) {
        self.0.insert_hash(xxh3_64(&host.octets()));
    }

    /// Counts anything else in, by its bytes.
    pub fn insert_bytes(&mut self, bytes: &[u8]) {
        self.0.insert_hash(xxh3_64(bytes));
    }

    /// Counts in what another one has seen.
    pub fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    /// How many distinct ones there were, about.
    pub fn count(&self) -> u64 {
        self.0.estimate() as u64
    }
}

impl<const P: usize> std::fmt::Debug for Distinct<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "~{}", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_hosts_are_counted_within_two_percent() {
        let mut servers: Distinct = Distinct::default();
        for n in 0..1_000_000_u32 {
            servers.insert(HostKey::v4(n.to_be_bytes()));
            servers.insert(HostKey::v4(n.to_be_bytes()));
        }
        assert!(servers.count().abs_diff(1_000_000) < 20_000, "{servers:?}");
    }
}
