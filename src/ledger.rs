//! The ledger: one row a host of ours, with what it did on port 25. The judgement keeps it; screens and reports read copies.

use std::borrow::Cow;
use std::collections::HashMap;
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

/// Something that a host was seen with, from when to when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Used<T> {
    /// That.
    pub what: T,
    /// Since when.
    pub first: Ts,
    /// Until when.
    pub last: Ts,
}

impl<T> Used<T> {
    /// As seen from when to when.
    pub const fn new(what: T, (first, last): (Ts, Ts)) -> Self {
        Self { what, first, last }
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
    /// Cards (Ethernet addresses) its frames came from, at most [`MACS_MAX`]: those used last, and in a ranking the one to
    /// look for in front.
    pub cards: SmallVec<[Used<Mac>; 1]>,
    /// VLANs, at most [`VLANS_MAX`].
    pub vlans: SmallVec<[u16; 2]>,
    /// What it called itself in HELO or EHLO, at most [`HELOS_MAX`].
    pub helos: SmallVec<[Used<Wire>; 1]>,
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

/// A host with more cards than this is a router or a trick, or an address that goes from hand to hand; the last ones tell enough.
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
            cards: SmallVec::new(),
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
        let Self { counts, served, cards, helos, systems, last, .. } = self;
        let places = cards.len() ^ helos.len() ^ systems.len();
        let helo = helos.first().map_or(0, |helo| helo.what.touch());
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

    /// Notes what frames of the host had under IP, from when to when.
    pub fn note_link(&mut self, mac: Option<Mac>, link: &LinkFacts, when: (Ts, Ts)) {
        if let Some(mac) = mac
            && !note_used(&mut self.cards, &mac, when)
        {
            if self.cards.len() >= MACS_MAX {
                // An address that goes from hand to hand: who has it now is asked for more often than who had it once.
                let oldest =
                    self.cards.iter().enumerate().min_by_key(|(_, card)| card.last).map_or(0, |(place, _)| place);
                self.cards.remove(oldest);
            }
            self.cards.push(Used::new(mac, when));
        }
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
        self.helos.first().map(|helo| &helo.what).filter(|helo| !helo.is_empty())
    }

    /// The Ethernet addresses of its cards.
    pub fn macs(&self) -> impl ExactSizeIterator<Item = Mac> {
        self.cards.iter().map(|card| card.what)
    }

    /// The card to look for.
    pub fn mac(&self) -> Option<Mac> {
        self.macs().next()
    }

    /// The machine that had this address at `moments`: of several cards those in use then, the one of most of them in front,
    /// and no name that belongs to another one. What is counted is the address's, whoever had it.
    pub fn at(&self, moments: &[Ts]) -> Cow<'_, Self> {
        let uses = |first: Ts, last: Ts| moments.iter().filter(|moment| (first..=last).contains(moment)).count();
        let of = |card: &Used<Mac>| uses(card.first, card.last);
        let most = self.cards.iter().map(of).max().unwrap_or(0);
        if self.cards.len() < 2 || most == 0 {
            return Cow::Borrowed(self);
        }
        // Some of what speaks against an offender may be an innocent predecessor's: up to one in four is no doubt.
        let then = |card: &Used<Mac>| of(card) * 4 > most;
        let mut row = self.clone();
        row.cards.retain(|card| then(card));
        row.cards.sort_by_key(|card| std::cmp::Reverse(of(card)));
        row.helos.retain(|helo| uses(helo.first, helo.last) * 4 > most);
        // Names belong to the address, and so to the card that has it now (`docs/adr/0013`).
        let now = self.cards.iter().max_by_key(|card| card.last);
        if !now.is_some_and(then) {
            row.identity = None;
        }
        Cow::Owned(row)
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

    /// Notes a HELO or EHLO argument, and from when to when it was in use.
    pub fn note_helo(&mut self, helo: Option<&Wire>, when: (Ts, Ts)) {
        if let Some(helo) = helo
            && !note_used(&mut self.helos, helo, when)
            && self.helos.len() < HELOS_MAX
        {
            self.helos.push(Used::new(helo.clone(), when));
        }
    }
}

/// How many addresses of ours each Ethernet address carries, if it is a router's; 1 if it is a machine's own.
///
/// Several addresses are not yet several machines: a lease changes, and a machine has an IPv6 address beside the other one, often
/// many (RFC 8981). A router's are IPv4 addresses in use at the same time whose hosts call themselves by different names or by
/// none, or several IPv6 networks of 64 bits at the same time.
pub fn carried<'a>(rows: impl Iterator<Item = &'a HostRow> + Clone) -> HashMap<Mac, u32> {
    let mut carried: HashMap<Mac, u32> = HashMap::new();
    for mac in rows.clone().flat_map(HostRow::macs) {
        *carried.entry(mac).or_default() += 1;
    }
    // Only of what several addresses share is there something to tell apart.
    let mut shared: HashMap<Mac, Vec<(&HostRow, &Used<Mac>)>> = HashMap::new();
    for row in rows {
        for card in row.cards.iter().filter(|card| carried.get(&card.what).is_some_and(|addresses| *addresses > 1)) {
            shared.entry(card.what).or_default().push((row, card));
        }
    }
    for (mac, uses) in shared {
        if ![true, false].into_iter().any(|v4| several_at_once(uses.iter().filter(|(row, _)| row.host.is_v4() == v4))) {
            carried.insert(mac, 1);
        }
    }
    carried
}

/// Whether different machines used a card at the same time, as far as one can tell.
fn several_at_once<'a>(uses: impl Iterator<Item = &'a (&'a HostRow, &'a Used<Mac>)>) -> bool {
    let who = |row: &HostRow| match row.helo() {
        _ if !row.host.is_v4() => row.host.octets()[..8].to_vec(),
        Some(helo) => helo.as_bytes().to_vec(),
        None => row.host.octets().to_vec(),
    };
    // Begins before ends, so that what only touches counts as one time.
    let mut moments: Vec<(Ts, bool, Vec<u8>)> =
        uses.flat_map(|(row, card)| [(card.first, false, who(row)), (card.last, true, who(row))]).collect();
    moments.sort_unstable();
    let mut now: HashMap<Vec<u8>, u32> = HashMap::new();
    moments.into_iter().any(|(_, ends, who)| {
        if !ends {
            *now.entry(who).or_default() += 1;
        } else if let Some(left) = now.get_mut(&who).filter(|left| **left > 1) {
            *left -= 1;
        } else {
            now.remove(&who);
        }
        now.len() > 1
    })
}

/// Notes one more use of something that is known; says whether it is.
fn note_used<T: PartialEq>(known: &mut [Used<T>], what: &T, (began, now): (Ts, Ts)) -> bool {
    let Some(used) = known.iter_mut().find(|used| used.what == *what) else { return false };
    used.first = used.first.min(began);
    used.last = used.last.max(now);
    true
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
        row.note_helo(Some(&"gmail.com".into()), (Ts::EPOCH, Ts::EPOCH));
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
            let link = LinkFacts { vlans: [Some(7), None], ..LinkFacts::default() };
            row.note_link(Some(Mac([0, 0, 0, 0, 0, n])), &link, (Ts::EPOCH, Ts::from_parts(i64::from(n), 0)));
        }
        assert_eq!((row.cards.len(), row.vlans.as_slice()), (MACS_MAX, [7].as_slice()));
        assert!(row.macs().all(|mac| mac.0[5] > 2), "those used last");
    }

    fn at(secs: i64) -> Ts {
        Ts::from_parts(secs, 0)
    }

    fn seen_with(last: u8, mac: u8, helo: &str, when: (Ts, Ts)) -> HostRow {
        let mut row = HostRow::new(HostKey::v4([10, 0, 0, last]), At::default());
        row.note_link(Some(Mac([0, 0, 0, 0, 0, mac])), &LinkFacts::default(), when);
        row.note_helo(Some(&helo.into()), when);
        row
    }

    #[test]
    fn an_address_that_goes_from_hand_to_hand_is_the_machine_that_had_it_then() {
        let mut row = seen_with(50, 1, "reception", (at(0), at(100)));
        assert!(matches!(row.at(&[at(500)]), Cow::Borrowed(_)), "one card, whenever it was seen");
        let laptop = (at(200), at(300));
        row.note_link(Some(Mac([0, 0, 0, 0, 0, 2])), &LinkFacts::default(), laptop);
        row.note_helo(Some(&"laptop".into()), laptop);
        row.identity = Some(Arc::new(Identity::of_client(None, Some(System::Android))));
        let then = |moments: &[i64]| {
            let moments: Vec<Ts> = moments.iter().map(|secs| at(*secs)).collect();
            let row = row.at(&moments);
            (
                row.macs().map(|mac| mac.0[5]).collect::<Vec<_>>(),
                row.helo().unwrap().to_string(),
                row.identity.is_some(),
            )
        };
        assert_eq!(then(&[50, 90]), (vec![1], "reception".to_owned(), false), "the name is the laptop's by now");
        assert_eq!(then(&[210, 220]), (vec![2], "laptop".to_owned(), true));
        assert_eq!(then(&[90, 210, 220]), (vec![2, 1], "reception".to_owned(), true), "both");
        assert_eq!(then(&[90, 210, 220, 230, 240]), (vec![2], "laptop".to_owned(), true), "the laptop");
        assert_eq!(then(&[120, 150]), (vec![1, 2], "reception".to_owned(), true), "nobody knows");
    }

    #[test]
    fn a_router_carries_machines_at_the_same_time() {
        let carried = |rows: &[HostRow]| carried(rows.iter()).into_values().max();
        let [pc, other] = [seen_with(1, 9, "pc", (at(0), at(100))), seen_with(2, 9, "other", (at(50), at(200)))];
        assert_eq!(carried(&[pc.clone(), other.clone()]), Some(2));
        assert_eq!(
            carried(&[pc.clone(), seen_with(2, 8, "other", (at(50), at(200)))]),
            Some(1),
            "of cards of their own"
        );
        assert_eq!(carried(&[pc.clone(), seen_with(2, 9, "pc", (at(50), at(200)))]), Some(1), "a second address");
        assert_eq!(carried(&[pc.clone(), seen_with(2, 9, "other", (at(101), at(200)))]), Some(1), "another lease");
        let v6 = |net: u8, last: u8| {
            let mut row = seen_with(1, 9, "pc", (at(0), at(100)));
            row.host = HostKey::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, net, 0, 0, 0, 0, 0, 0, 0, last]);
            row
        };
        assert_eq!(carried(&[pc.clone(), v6(1, 1), v6(1, 2), v6(1, 3)]), Some(1), "temporary addresses");
        assert_eq!(carried(&[pc.clone(), other, v6(1, 1)]), Some(3), "all that the router carries");
        assert_eq!(carried(&[pc, v6(1, 1), v6(2, 1)]), Some(3));
    }
}
