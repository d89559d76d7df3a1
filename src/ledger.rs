//! The ledger: one row a host of ours, with what it did on port 25. Screens and reports read snapshots of it.
//!
//! The judgement is the only writer; the map is concurrent so that a screen can copy rows without stopping it. Nobody
//! holds a row across another call.

use std::sync::Arc;

use cardinality_estimator::CardinalityEstimator;
use dashmap::DashMap;
use smallvec::SmallVec;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::frame::At;
use crate::net::{HostKey, LinkFacts, Mac};
use crate::tcp::SynSignature;
use crate::time::Ts;
use crate::wire::Wire;

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

/// What a host is, by configuration or by what it did.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub enum Role {
    /// Not known yet: the first hour of a host.
    #[default]
    Unknown,
    /// A host that has no business with port 25 but through our server.
    Client,
    /// Sends much and well, takes nothing: a newsletter box or smart host.
    Sender,
    /// A mail server: takes mail from others.
    Server,
}

impl Role {
    /// The name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Client => "client",
            Self::Sender => "sender",
            Self::Server => "server",
        }
    }
}

/// Counts of one host as the client of SMTP.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HostCounts {
    /// Connections and attempts to SMTP ports.
    pub connections: u64,
    /// Those that came to nothing: unanswered, refused, or closed before a greeting.
    pub failed: u64,
    /// Those with a greeting.
    pub sessions: u64,
    /// Mail transactions.
    pub transactions: u64,
    /// Recipients accepted.
    pub rcpt_accepted: u64,
    /// Recipients refused.
    pub rcpt_rejected: u64,
    /// Mail transactions with the null reverse-path.
    pub null_senders: u64,
    /// Mail transactions that were rejected or deferred.
    pub refused: u64,
    /// Sessions that were refused by the greeting.
    pub turned_away: u64,
    /// Sessions that went on under TLS.
    pub hidden: u64,
    /// Connections with gaps.
    pub gapped: u64,
}

/// The servers outside that a host tried, and their networks ([`HostKey::site`]).
#[derive(Clone, Default, Debug)]
pub struct Reach {
    /// By address.
    pub servers: Distinct,
    /// By network.
    pub networks: Distinct,
}

/// Whom a host tried to reach as a client. Counted here once for all who tell of it.
#[derive(Clone, Default, Debug)]
pub struct Tried {
    /// Servers outside: by the host's own voice, and by others behind its address (`detect::Voice`).
    pub outside: [Reach; 2],
    /// Servers of ours.
    pub inside: Distinct,
}

impl Tried {
    /// All servers outside.
    pub fn outside(&self) -> u64 {
        let [own, other] = &self.outside;
        if other.servers.count() == 0 {
            return own.servers.count();
        }
        let mut all = own.servers.clone();
        all.merge(&other.servers);
        all.count()
    }

    /// All servers.
    pub fn count(&self) -> u64 {
        self.outside() + self.inside.count()
    }
}

/// A row: what is known of one host of ours.
#[derive(Clone, Debug)]
pub struct HostRow {
    /// Its address.
    pub host: HostKey,
    /// What it is.
    pub role: Role,
    /// The role follows from configuration, not from learning.
    pub role_given: bool,
    /// Its counts as a client.
    pub counts: HostCounts,
    /// Connections that it took as a server.
    pub served: u64,
    /// Servers tried.
    pub servers: Tried,
    /// Ethernet addresses its frames came from, at most [`MACS_MAX`].
    pub macs: SmallVec<[Mac; 1]>,
    /// VLANs, at most [`VLANS_MAX`].
    pub vlans: SmallVec<[u16; 2]>,
    /// What it called itself in HELO or EHLO, at most [`HELOS_MAX`].
    pub helos: SmallVec<[Wire; 1]>,
    /// Addresses that a gateway shows for it, at most [`PUBLIC_MAX`]; known where the gateway was seen from both sides.
    pub public: SmallVec<[HostKey; 1]>,
    /// Its greeting, if it serves.
    pub banner: Option<Wire>,
    /// Its last SYN.
    pub syn: Option<SynSignature>,
    /// First seen.
    pub first: Ts,
    /// Last seen.
    pub last: Ts,
}

/// A host with more addresses than this is a router or a trick; either way the first ones tell enough.
pub const MACS_MAX: usize = 4;
/// A host in more VLANs than this is behind a router.
pub const VLANS_MAX: usize = 4;
/// A gateway that spreads its hosts over a pool of addresses shows some of them.
pub const PUBLIC_MAX: usize = 4;
/// A host with many names is told by the count, not by the list.
pub const HELOS_MAX: usize = 4;

impl HostRow {
    /// A row for a host first seen at `at`.
    pub fn new(host: HostKey, at: At) -> Self {
        Self {
            host,
            role: Role::Unknown,
            role_given: false,
            counts: HostCounts::default(),
            served: 0,
            servers: Tried::default(),
            macs: SmallVec::new(),
            vlans: SmallVec::new(),
            helos: SmallVec::new(),
            public: SmallVec::new(),
            banner: None,
            syn: None,
            first: at.ts,
            last: at.ts,
        }
    }

    /// Notes what a frame of the host had under IP.
    pub fn note_link(&mut self, mac: Option<Mac>, link: &LinkFacts) {
        push_new(&mut self.macs, mac, MACS_MAX);
        for vlan in link.vlans {
            push_new(&mut self.vlans, vlan, VLANS_MAX);
        }
    }

    /// Notes an address that a gateway shows for it.
    pub fn note_public(&mut self, host: HostKey) {
        push_new(&mut self.public, Some(host), PUBLIC_MAX);
    }

    /// Notes a HELO or EHLO argument.
    pub fn note_helo(&mut self, helo: Option<&Wire>) {
        if let Some(helo) = helo
            && self.helos.len() < HELOS_MAX
            && !self.helos.contains(helo)
        {
            self.helos.push(helo.clone());
        }
    }
}

fn push_new<A: smallvec::Array>(list: &mut SmallVec<A>, item: Option<A::Item>, max: usize)
where
    A::Item: PartialEq,
{
    if let Some(item) = item
        && list.len() < max
        && !list.contains(&item)
    {
        list.push(item);
    }
}

/// All rows; the only concurrent map of the program.
#[derive(Clone, Debug, Default)]
pub struct HostLedger {
    rows: Arc<DashMap<HostKey, HostRow, foldhash::fast::RandomState>>,
}

impl HostLedger {
    /// Changes the row of a host, made anew if it is not there.
    pub fn update(&self, host: HostKey, at: At, change: impl FnOnce(&mut HostRow)) {
        let mut row = match self.rows.get_mut(&host) {
            Some(row) => row,
            None => self.rows.entry(host).or_insert_with(|| HostRow::new(host, at)),
        };
        if at.ts > row.last {
            row.last = at.ts;
        }
        change(&mut row);
    }

    /// What `ask` wants to know of one row.
    pub fn read<T>(&self, host: HostKey, ask: impl FnOnce(&HostRow) -> T) -> Option<T> {
        self.rows.get(&host).map(|row| ask(&row))
    }

    /// A copy of one row.
    pub fn get(&self, host: HostKey) -> Option<HostRow> {
        self.rows.get(&host).map(|row| row.clone())
    }

    /// Takes a row out.
    pub fn remove(&self, host: HostKey) {
        self.rows.remove(&host);
    }

    /// Rows held.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A copy of all rows, in the order of their addresses.
    pub fn snapshot(&self) -> Vec<HostRow> {
        let mut rows: Vec<_> = self.rows.iter().map(|row| row.clone()).collect();
        rows.sort_unstable_by_key(|row| row.host);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameNo;

    #[test]
    fn distinct_hosts_are_counted_within_two_percent() {
        let mut servers: Distinct = Distinct::default();
        for n in 0..1_000_000_u32 {
            servers.insert(HostKey::v4(n.to_be_bytes()));
            servers.insert(HostKey::v4(n.to_be_bytes()));
        }
        assert!(servers.count().abs_diff(1_000_000) < 20_000, "{servers:?}");
    }

    #[test]
    fn lists_in_a_row_are_bounded_and_hold_each_thing_once() {
        let mut row = HostRow::new(HostKey::v4([10, 0, 0, 1]), At { ts: Ts::EPOCH, frame: FrameNo(1) });
        for n in [1, 1, 2, 3, 4, 5, 6] {
            row.note_link(Some(Mac([0, 0, 0, 0, 0, n])), &LinkFacts { vlans: [Some(7), None], ..LinkFacts::default() });
        }
        assert_eq!((row.macs.len(), row.vlans.as_slice()), (MACS_MAX, [7].as_slice()));
    }
}
