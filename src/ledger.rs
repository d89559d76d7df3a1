//! The ledger: one row a host of ours, with what it did on port 25. The judgement keeps it; screens and reports read copies.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::distinct::Distinct;
use crate::frame::At;
use crate::identity::{Identity, System};
use crate::net::{HostKey, LinkFacts, Mac};
use crate::tcp::SynSignature;
use crate::time::Ts;
use crate::wire::Wire;

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

/// What was seen of a host's mail to servers outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub enum Mailed {
    /// It gave none, and had no connection that went on under TLS.
    #[default]
    Nothing,
    /// If it gave any, that was under TLS.
    Hidden,
    /// A mail was seen, whatever came of it.
    Seen,
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
    /// Sessions with a greeting that did not.
    pub readable: u64,
    /// Connections with gaps.
    pub gapped: u64,
}

impl HostCounts {
    /// The share of sessions that TLS hid. `sessions` is not what it is a share of: under STARTTLS a session has a
    /// greeting, under TLS from the first byte it has none.
    pub fn hidden_share(&self) -> f64 {
        self.hidden as f64 / (self.hidden + self.readable).max(1) as f64
    }
}

/// The servers outside that a host tried, and their networks ([`HostKey::site`]).
#[derive(Clone, Default, Debug)]
pub struct Reach {
    /// By address.
    pub servers: Distinct,
    /// By network.
    pub networks: Distinct,
}

impl Reach {
    /// Counts in a server, by the hashes of its address and of its network ([`crate::distinct::hash_of`]).
    pub fn insert(&mut self, server: u64, network: u64) {
        self.servers.insert_hash(server);
        self.networks.insert_hash(network);
    }

    /// Asks memory for what that will need; the number means nothing.
    pub fn fetch(&self, server: u64, network: u64) -> u64 {
        self.servers.fetch(server) ^ self.networks.fetch(network)
    }
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
    /// Its mail to servers outside.
    pub mailed: Mailed,
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
    /// What its SYNs say of its system, at most [`SYSTEMS_MAX`]; several are several machines behind one address.
    pub systems: SmallVec<[System; 1]>,
    /// What it told of itself beside mail; only in copies of a row that the judge hands out.
    pub identity: Option<Arc<Identity>>,
    /// Since when it is known: the begin of what told of it first. Unlike `first` it never changes, so that what is
    /// named after it keeps its name.
    pub known: Ts,
    /// First seen. What began before and was told of later moves it back.
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

/// Systems behind one address that are told: with more it is a gateway all the same.
pub const SYSTEMS_MAX: usize = 3;

impl HostRow {
    /// A row for a host first seen at `at`.
    pub fn new(host: HostKey, at: At) -> Self {
        Self {
            host,
            role: Role::Unknown,
            role_given: false,
            counts: HostCounts::default(),
            mailed: Mailed::Nothing,
            served: 0,
            servers: Tried::default(),
            macs: SmallVec::new(),
            vlans: SmallVec::new(),
            helos: SmallVec::new(),
            public: SmallVec::new(),
            banner: None,
            syn: None,
            systems: SmallVec::new(),
            identity: None,
            known: at.ts,
            first: at.ts,
            last: at.ts,
        }
    }

    /// Asks memory for what an event will need; the number means nothing.
    pub(crate) fn fetch(&self) -> u64 {
        let Self { counts, served, macs, helos, systems, last, .. } = self;
        let places = macs.len() ^ helos.len() ^ systems.len();
        let helo = helos.first().map_or(0, Wire::touch);
        counts.connections ^ counts.rcpt_rejected ^ served ^ places as u64 ^ helo ^ last.as_nanos() as u64
    }

    /// Whether it held a conversation or took a connection. The address of one that only knocked may be made up.
    pub const fn spoke(&self) -> bool {
        self.counts.sessions > 0 || self.served > 0
    }

    /// Notes when it was seen: something `began`, and is told of at `now`.
    pub fn note_seen(&mut self, began: Ts, now: Ts) {
        self.first = self.first.min(began);
        self.last = self.last.max(now);
    }

    /// Notes what a frame of the host had under IP.
    pub fn note_link(&mut self, mac: Option<Mac>, link: &LinkFacts) {
        push_new(&mut self.macs, mac, MACS_MAX);
        for vlan in link.vlans {
            push_new(&mut self.vlans, vlan, VLANS_MAX);
        }
    }

    /// Notes a SYN.
    pub fn note_syn(&mut self, syn: SynSignature) {
        push_new(&mut self.systems, syn.system(), SYSTEMS_MAX);
        self.syn = Some(syn);
    }

    /// All names, each with where it comes from, the most telling first: what it told its neighbours, then what it calls
    /// itself towards mail servers, which is a bot's to choose.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &Wire)> {
        let told = self.identity.iter().flat_map(|identity| identity.names());
        told.map(|(source, name)| (source.title(), name)).chain(self.helo().map(|helo| ("HELO", helo)))
    }

    /// The name to call it by. A mail server is known by the name that it introduces itself with.
    pub fn name(&self) -> Option<&Wire> {
        let helo = self.helo().filter(|_| self.role == Role::Server);
        helo.or_else(|| self.names().next().map(|(_, name)| name))
    }

    /// What it calls itself towards mail servers, if that is anything.
    pub fn helo(&self) -> Option<&Wire> {
        self.helos.first().filter(|helo| !helo.is_empty())
    }

    /// What is known of its operating system: by its SYNs, or else by DHCP. Android is Linux to TCP.
    pub fn system(&self) -> Option<String> {
        let told = self.identity.as_ref().and_then(|identity| identity.system);
        let shown = |system: &System| match (system, told) {
            (System::Linux, Some(System::Android)) => System::Android.name(),
            _ => system.name(),
        };
        if self.systems.is_empty() {
            return told.map(|system| system.name().to_owned());
        }
        let names: Vec<&str> = self.systems.iter().map(shown).collect();
        Some(names.join(", "))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::NameSource;

    #[test]
    fn a_host_is_called_by_what_it_told_its_neighbours_and_a_server_by_its_helo() {
        let mut row = HostRow::new(HostKey::v4([10, 0, 0, 1]), At::default());
        assert_eq!((row.name(), row.system()), (None, None));
        row.note_helo(Some(&"gmail.com".into()));
        assert_eq!(row.name(), Some(&"gmail.com".into()));
        let mut told = Identity::of_client(None, Some(System::Android));
        told.learn(NameSource::Mdns, &"pc23".into(), true);
        row.identity = Some(Arc::new(told));
        assert_eq!(row.name(), Some(&"pc23".into()));
        assert_eq!(row.names().map(|(source, _)| source).collect::<Vec<_>>(), ["mDNS", "HELO"]);
        row.role = Role::Server;
        assert_eq!(row.name(), Some(&"gmail.com".into()));
        row.helos = SmallVec::new();
        assert_eq!(row.name(), Some(&"pc23".into()));
    }

    #[test]
    fn the_system_is_by_syn_and_else_by_dhcp() {
        let mut row = HostRow::new(HostKey::v4([10, 0, 0, 1]), At::default());
        let told = Identity::of_client(None, Some(System::Android));
        row.identity = Some(Arc::new(told));
        assert_eq!(row.system().as_deref(), Some("Android"));
        row.systems.push(System::Linux);
        assert_eq!(row.system().as_deref(), Some("Android"), "which is Linux to TCP");
        row.systems.push(System::Windows);
        assert_eq!(row.system().as_deref(), Some("Android, Windows"));
        row.identity = None;
        assert_eq!(row.system().as_deref(), Some("Linux, Windows"));
    }

    #[test]
    fn lists_in_a_row_are_bounded_and_hold_each_thing_once() {
        let mut row = HostRow::new(HostKey::v4([10, 0, 0, 1]), At::default());
        for n in [1, 1, 2, 3, 4, 5, 6] {
            row.note_link(Some(Mac([0, 0, 0, 0, 0, n])), &LinkFacts { vlans: [Some(7), None], ..LinkFacts::default() });
        }
        assert_eq!((row.macs.len(), row.vlans.as_slice()), (MACS_MAX, [7].as_slice()));
    }
}
