//! What the protocols tell, and what is kept of it for one host.

use smallvec::SmallVec;

use super::System;
use crate::net::{HostKey, Mac};
use crate::wire::Wire;

/// Where a name comes from, the most telling first: what the site's own DHCP server knows a machine by, what it is in a
/// Windows network, what it announces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum NameSource {
    /// DHCP or DHCPv6.
    Dhcp,
    /// NetBIOS over TCP/IP.
    Netbios,
    /// Multicast DNS.
    Mdns,
    /// Link-local multicast name resolution.
    Llmnr,
}

impl NameSource {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Dhcp, Self::Netbios, Self::Mdns, Self::Llmnr];

    /// The name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Netbios => "netbios",
            Self::Mdns => "mdns",
            Self::Llmnr => "llmnr",
        }
    }

    /// The name for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Dhcp => "DHCP",
            Self::Netbios => "NetBIOS",
            Self::Mdns => "mDNS",
            Self::Llmnr => "LLMNR",
        }
    }
}

/// One thing that a datagram told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// A host has a name.
    Named(Named),
    /// What DHCP says of a network card.
    Dhcp(Box<DhcpClient>),
}

/// A host has a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The host.
    pub host: HostKey,
    /// Who says so.
    pub source: NameSource,
    /// The name.
    pub name: Wire,
    /// The host itself does, not another one.
    pub own: bool,
}

/// What a DHCP message says of a network card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DhcpClient {
    /// The card.
    pub mac: Mac,
    /// The address that it has by this message.
    pub leased: Option<HostKey>,
    /// Its host name.
    pub name: Option<Wire>,
    /// The program that asks, or the kind of device.
    pub vendor_class: Option<Wire>,
    /// What these say of the operating system.
    pub system: Option<System>,
    /// The client says so, not the server.
    pub own: bool,
}

/// What one datagram told.
#[derive(Default, Debug)]
pub struct Facts {
    list: SmallVec<[Fact; 1]>,
    left: u32,
}

impl Facts {
    /// Facts of one datagram that are kept: a machine with addresses of both kinds on several networks announces about a
    /// dozen.
    pub const MAX: usize = 16;

    /// Those that are kept.
    pub fn list(&self) -> &[Fact] {
        &self.list
    }

    /// How many were left.
    pub const fn left(&self) -> u32 {
        self.left
    }

    /// Knows nothing again.
    pub fn clear(&mut self) {
        self.list.clear();
        self.left = 0;
    }

    pub(super) fn push(&mut self, fact: Fact) {
        if self.list.contains(&fact) {
            return;
        }
        if self.list.len() < Self::MAX {
            self.list.push(fact);
        } else {
            self.left += 1;
        }
    }

    pub(super) fn named(&mut self, source: NameSource, src: HostKey, host: HostKey, name: Wire) {
        self.push(Fact::Named(Named { host, source, name, own: host == src }));
    }
}

/// What a host told of itself: one name from each source.
///
/// Its own word goes before that of others, and the latest before an earlier one.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Identity {
    names: [Option<Word>; NameSource::ALL.len()],
    /// The vendor class of DHCP.
    pub vendor_class: Option<Wire>,
    /// What DHCP says of the operating system.
    pub system: Option<System>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Word {
    name: Wire,
    own: bool,
}

impl Identity {
    /// What a DHCP client told of itself beside its name.
    #[cfg(test)]
    pub(crate) fn of_client(vendor_class: Option<&str>, system: Option<System>) -> Self {
        Self { vendor_class: vendor_class.map(Wire::from), system, ..Self::default() }
    }

    /// Learns a name; whether that changes anything.
    pub fn learn(&mut self, source: NameSource, name: &Wire, own: bool) -> bool {
        let news = self.would_learn(source, name, own);
        if news && let Some(place) = self.names.get_mut(source as usize) {
            *place = Some(Word { name: name.clone(), own });
        }
        news
    }

    /// Whether [`Identity::learn`] would change anything.
    pub fn would_learn(&self, source: NameSource, name: &Wire, own: bool) -> bool {
        let stands = |word: &Word| (word.own && !own) || (word.own == own && word.name == *name);
        !self.names.get(source as usize).and_then(Option::as_ref).is_some_and(stands)
    }

    /// The name from a source.
    pub fn name(&self, source: NameSource) -> Option<&Wire> {
        self.names.get(source as usize)?.as_ref().map(|word| &word.name)
    }

    /// All names, in the order of the sources.
    pub fn names(&self) -> impl Iterator<Item = (NameSource, &Wire)> {
        NameSource::ALL.into_iter().filter_map(|source| Some((source, self.name(source)?)))
    }

    /// Takes from `other` what is missing here.
    pub fn complete(&mut self, other: &Self) {
        for (place, word) in self.names.iter_mut().zip(&other.names) {
            if place.is_none() {
                place.clone_from(word);
            }
        }
        if self.vendor_class.is_none() {
            self.vendor_class.clone_from(&other.vendor_class);
        }
        self.system = self.system.or(other.system);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_word_goes_first_and_the_latest_after_it() {
        let mut identity = Identity::default();
        let mut learn = |name: &str, own| {
            let (name, before) = (Wire::from(name), identity.clone());
            let would = identity.would_learn(NameSource::Mdns, &name, own);
            assert_eq!((identity.learn(NameSource::Mdns, &name, own), identity != before), (would, would));
            identity.name(NameSource::Mdns).unwrap().to_string()
        };
        assert_eq!(learn("proxied", false), "proxied");
        assert_eq!(learn("proxied again", false), "proxied again");
        assert_eq!(learn("pc23", true), "pc23");
        assert_eq!(learn("proxied", false), "pc23");
        assert_eq!(learn("pc23", true), "pc23");
        assert_eq!(learn("renamed", true), "renamed");
        assert_eq!(identity.names().count(), 1);
    }

    #[test]
    fn facts_are_bounded_and_each_is_told_once() {
        let mut facts = Facts::default();
        for n in (0..100_u8).chain(0..100) {
            facts.named(NameSource::Llmnr, HostKey::v4([10, 0, 0, 1]), HostKey::v4([10, 0, 0, n]), "pc".into());
        }
        assert_eq!((facts.list().len(), facts.left()), (Facts::MAX, 200 - 2 * Facts::MAX as u32));
        facts.clear();
        assert_eq!((facts.list().len(), facts.left()), (0, 0));
    }
}
