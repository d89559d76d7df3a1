//! Who is called what: what machines tell of themselves, by address and, until DHCP has told the address, by card.
//!
//! Names come before mail, or between, or never: they are kept here for every address of ours, and a host's row gets them
//! when it is read. A host that only tells its name gets no row.
//!
//! An address that DHCP gives to another card is another machine's from then on: what was known of it goes.
//!
//! Both tables are bounded, and whoever has a row stays longest: a flood of made-up names pushes out its own kind.

use std::sync::Arc;

use super::table::{HostTable, Weigh};
use crate::identity::{DhcpClient, Fact, Identity, NameSource, Named};
use crate::net::{HostKey, Mac};

/// Cards remembered of which DHCP told something: between the first message of a client and the lease pass milliseconds, and
/// only cards whose lease was not seen need more. 16,384 take some 8 MB at worst.
const CARDS_MAX: usize = 16_384;

/// What is known of an address.
#[derive(Debug, Default)]
struct Known {
    identity: Arc<Identity>,
    /// The card that DHCP gave it to.
    card: Option<Mac>,
    /// It has a row.
    met: bool,
}

impl Weigh for Known {
    fn weight(&self) -> u64 {
        self.met.into()
    }
}

/// What is known of a card.
#[derive(Debug, Default)]
struct Card {
    identity: Arc<Identity>,
    leased: Option<HostKey>,
}

impl Weigh for Card {
    fn weight(&self) -> u64 {
        0
    }
}

/// What is known of all.
#[derive(Debug)]
pub(super) struct NameBook {
    hosts: HostTable<Known>,
    cards: HostTable<Card, Mac>,
}

impl NameBook {
    /// For so many addresses at most.
    pub(super) fn new(hosts_max: usize) -> Self {
        Self { hosts: HostTable::new(hosts_max), cards: HostTable::new(CARDS_MAX) }
    }

    /// Learns. `ours` tells whether an address is of the home network, `met` whether it has a row.
    pub(super) fn handle(&mut self, facts: &[Fact], ours: impl Fn(HostKey) -> bool, met: impl Fn(HostKey) -> bool) {
        for fact in facts {
            match fact {
                Fact::Named(named) if ours(named.host) => self.named(named, met(named.host)),
                Fact::Named(_) => {}
                Fact::Dhcp(client) => {
                    self.card(client);
                    if let Some(host) = client.leased.filter(|host| ours(*host)) {
                        self.lease(host, client.mac, met(host));
                    }
                }
            }
        }
    }

    /// A host got a row.
    pub(super) fn meet(&mut self, host: HostKey) {
        if let Some(known) = self.hosts.get_mut(host) {
            known.met = true;
        }
    }

    /// A host has no row any more.
    pub(super) fn part(&mut self, host: HostKey) {
        if let Some(known) = self.hosts.get_mut(host) {
            known.met = false;
        }
    }

    /// What is known of a host. `card` is the card that its frames come from, if no other host's do: what DHCP told of it
    /// is the host's, unless DHCP gave it another address.
    pub(super) fn of(&self, host: HostKey, card: Option<Mac>) -> Option<Arc<Identity>> {
        let known = self.hosts.get(host).map(|known| &known.identity);
        let card = card.and_then(|mac| self.cards.get(mac)).filter(|card| card.leased.is_none_or(|ip| ip == host));
        match (known, card) {
            (known, None) => known.cloned(),
            (None, Some(card)) => Some(Arc::clone(&card.identity)),
            (Some(known), Some(card)) => {
                let mut known = Arc::clone(known);
                Arc::make_mut(&mut known).complete(&card.identity);
                Some(known)
            }
        }
    }

    /// Whether cards are known: only then it matters who shares one.
    pub(super) const fn knows_cards(&self) -> bool {
        !self.cards.is_empty()
    }

    /// Addresses and cards that had to go.
    pub(super) const fn evicted(&self) -> u64 {
        self.hosts.evicted() + self.cards.evicted()
    }

    fn named(&mut self, Named { host, source, name, own }: &Named, met: bool) {
        let (known, _) = self.hosts.touch(*host, || Known { met, ..Known::default() });
        if known.identity.would_learn(*source, name, *own) {
            Arc::make_mut(&mut known.identity).learn(*source, name, *own);
        }
    }

    fn card(&mut self, client: &DhcpClient) {
        let (card, _) = self.cards.touch(client.mac, Card::default);
        card.leased = client.leased.or(card.leased);
        let identity = Arc::make_mut(&mut card.identity);
        if let Some(name) = &client.name {
            identity.learn(NameSource::Dhcp, name, client.own);
        }
        if client.vendor_class.is_some() {
            identity.vendor_class.clone_from(&client.vendor_class);
        }
        identity.system = client.system.or(identity.system);
    }

    /// A card has an address: what was told of the card is told of the address.
    fn lease(&mut self, host: HostKey, mac: Mac, met: bool) {
        let (known, _) = self.hosts.touch(host, || Known { met, ..Known::default() });
        if known.card.replace(mac).is_some_and(|before| before != mac) {
            known.identity = Arc::default();
        }
        let Some(card) = self.cards.get(mac) else { return };
        let identity = Arc::make_mut(&mut known.identity);
        for (source, name) in card.identity.names() {
            identity.learn(source, name, true);
        }
        if card.identity.vendor_class.is_some() {
            identity.vendor_class.clone_from(&card.identity.vendor_class);
        }
        identity.system = card.identity.system.or(identity.system);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Scene;
    use super::*;
    use crate::frame::At;
    use crate::identity::System;
    use crate::site::Site;

    const CARD: Mac = Mac([0, 0x1c, 0xc4, 0x3a, 0x10, 0x23]);
    const OTHER: Mac = Mac([0, 0x0d, 0x56, 0x3a, 0x10, 0x24]);

    fn ip(last: u8) -> HostKey {
        HostKey::v4([192, 168, 10, last])
    }

    fn named(host: HostKey, name: &str, own: bool) -> Fact {
        Fact::Named(Named { host, source: NameSource::Mdns, name: name.into(), own })
    }

    fn dhcp(mac: Mac, leased: Option<HostKey>, name: &str, own: bool) -> Fact {
        let name = (!name.is_empty()).then(|| name.into());
        let system = own.then_some(System::Windows);
        let vendor_class = own.then(|| "MSFT 5.0".into());
        Fact::Dhcp(Box::new(DhcpClient { mac, leased, name, vendor_class, system, own }))
    }

    fn book(facts: &[Fact]) -> NameBook {
        let mut book = NameBook::new(8);
        book.handle(facts, HostKey::is_v4, |_| false);
        book
    }

    fn name(book: &NameBook, source: NameSource, host: HostKey, card: Option<Mac>) -> Option<String> {
        book.of(host, card)?.name(source).map(ToString::to_string)
    }

    #[test]
    fn what_the_card_said_before_it_had_an_address_reaches_the_address() {
        let book = book(&[dhcp(CARD, None, "PC-ACCOUNTS", true), dhcp(CARD, Some(ip(23)), "", false)]);
        let identity = book.of(ip(23), None).unwrap();
        assert_eq!(identity.name(NameSource::Dhcp), Some(&"PC-ACCOUNTS".into()));
        assert_eq!((identity.system, &identity.vendor_class), (Some(System::Windows), &Some("MSFT 5.0".into())));
        assert_eq!(book.of(ip(24), None), None);
    }

    #[test]
    fn the_clients_word_goes_before_the_servers() {
        let own_first = book(&[dhcp(CARD, None, "PC", true), dhcp(CARD, Some(ip(23)), "dhcp-23", false)]);
        assert_eq!(name(&own_first, NameSource::Dhcp, ip(23), None).as_deref(), Some("PC"));
        let only_server = book(&[dhcp(CARD, Some(ip(23)), "dhcp-23", false)]);
        assert_eq!(name(&only_server, NameSource::Dhcp, ip(23), None).as_deref(), Some("dhcp-23"));
    }

    #[test]
    fn an_address_that_goes_to_another_card_is_another_machine() {
        let book = book(&[
            named(ip(23), "old-pc", true),
            dhcp(CARD, Some(ip(23)), "OLD", true),
            named(ip(23), "old-pc", true),
            dhcp(OTHER, Some(ip(23)), "NEW", true),
        ]);
        assert_eq!(name(&book, NameSource::Dhcp, ip(23), None).as_deref(), Some("NEW"));
        assert_eq!(name(&book, NameSource::Mdns, ip(23), None), None);
    }

    #[test]
    fn a_card_without_a_known_lease_names_the_host_that_uses_it() {
        let waiting = book(&[dhcp(CARD, None, "PC-ACCOUNTS", true), named(ip(23), "pc", true)]);
        assert_eq!(name(&waiting, NameSource::Dhcp, ip(23), None), None);
        assert_eq!(name(&waiting, NameSource::Dhcp, ip(23), Some(CARD)).as_deref(), Some("PC-ACCOUNTS"));
        assert_eq!(name(&waiting, NameSource::Mdns, ip(23), Some(CARD)).as_deref(), Some("pc"));
        assert_eq!(name(&waiting, NameSource::Dhcp, ip(24), Some(CARD)).as_deref(), Some("PC-ACCOUNTS"));
        let router = book(&[dhcp(CARD, Some(ip(1)), "router", true)]);
        assert_eq!(name(&router, NameSource::Dhcp, ip(24), Some(CARD)), None, "behind it");
        assert_eq!(name(&router, NameSource::Dhcp, ip(1), Some(CARD)).as_deref(), Some("router"));
    }

    /// Hosts that have a row, with their names.
    fn called(scene: &Scene) -> Vec<(String, Option<String>)> {
        let hosts = scene.judge.hosts();
        hosts.iter().map(|row| (row.host.to_string(), row.name().map(ToString::to_string))).collect()
    }

    #[test]
    fn a_name_from_before_the_first_mail_reaches_the_host_unless_its_card_is_a_routers() {
        let (pc, other, mx) = ("192.168.10.23", "192.168.10.24", "192.0.2.25");
        let is = |host: &str, name: Option<&str>| (host.to_owned(), name.map(str::to_owned));
        let mut scene = Scene::new(Site::default());
        scene.tells(&[dhcp(CARD, None, "PC-ACCOUNTS", true), named(ip(24), "pc-store", true)]);
        assert_eq!(called(&scene), [], "names alone make no row");
        assert_eq!(scene.judge.now(), At::default(), "and no time passes");
        scene.knock_by(Some(CARD), pc, mx);
        assert_eq!(called(&scene), [is(pc, Some("PC-ACCOUNTS"))]);
        scene.knock_by(Some(CARD), other, mx);
        assert_eq!(
            called(&scene)[0],
            is(pc, Some("PC-ACCOUNTS")),
            "another lease of the same machine, as far as one can tell"
        );
        scene.knock_by(Some(CARD), pc, mx);
        assert_eq!(called(&scene), [is(pc, None), is(other, Some("pc-store"))], "two hosts use the card at once");
    }

    #[test]
    fn addresses_of_others_are_not_kept() {
        let six = HostKey::v6([0x20; 16]);
        assert_eq!(book(&[named(six, "far", true)]).of(six, None), None);
    }

    #[test]
    fn a_flood_of_names_leaves_those_that_have_a_row() {
        let mut book = NameBook::new(8);
        book.handle(&[named(ip(23), "pc-accounts", true)], |_| true, |_| false);
        book.meet(ip(23));
        for n in 0..=u8::MAX {
            book.handle(&[named(HostKey::v4([10, 0, 0, n]), "flood", true)], |_| true, |_| false);
            book.handle(&[dhcp(Mac([2, 0, 0, 0, 0, n]), None, "flood", true)], |_| true, |_| false);
        }
        assert_eq!(name(&book, NameSource::Mdns, ip(23), None).as_deref(), Some("pc-accounts"));
        assert_eq!((book.hosts.len(), book.evicted()), (8, 249));
        book.part(ip(23));
        for n in 0..=u8::MAX {
            book.handle(&[named(HostKey::v4([10, 0, 1, n]), "flood", true)], |_| true, |_| false);
        }
        assert_eq!(book.of(ip(23), None), None);
    }
}
