//! Who floods: the network card from which most of what comes to nothing was sent.
//!
//! Whoever floods makes addresses up, another one for each frame if need be, and no table by address finds anybody. The
//! Ethernet address is another matter: it is that of the card that sent the frame here, the machine's own or that of the
//! router by which it came in. So what comes to nothing is counted by card, minute by minute, and where one card has sent as
//! much in a minute as nothing ordinary does, it floods: it is remembered with how much that was, since when and until when,
//! from about how many addresses, and towards whom.
//!
//! Cards can be made up as well. The cards of a minute stand in a table of a fixed size in which the most frequent ones stay
//! whatever else comes (space-saving; Metwally, Agrawal and El Abbadi 2005): one that sent more than a 32nd of all is there,
//! and no count is too high. Minutes are those of event time, in which it was told that something came to nothing.

use crate::distinct::Rough;
use crate::net::{HostKey, Mac};
use crate::time::Ts;

/// Cards counted at once: at 32, one that sends the least that is a flood is found among two million others' in a minute.
const CARDS_MAX: usize = 32;

/// Cards remembered as flooding, 1 KB each. More than some are made up; of those the most busy ones stay.
const FLOODERS_MAX: usize = 64;

const MINUTE: i64 = 60_000_000_000;

/// Something that came to nothing, or many of the same kind.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// The card that it came from; `None` where there is no Ethernet.
    pub mac: Option<Mac>,
    /// The address that it came from.
    pub source: HostKey,
    /// Where it went, if that was one place.
    pub toward: Option<HostKey>,
    /// How many.
    pub count: u64,
    /// When the first was sent.
    pub first: Ts,
    /// When the last was.
    pub last: Ts,
}

/// A card that floods, and what it sent in the minutes in which it did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flooder {
    /// The card; `None` for all that has no Ethernet address.
    pub mac: Option<Mac>,
    /// The address that more than half of it came from, if there is one.
    pub source: Option<HostKey>,
    /// Addresses that it came from: exact up to 128, then with a standard error of 3 %.
    pub sources: u64,
    /// The address that more than half of it went to, if there is one.
    pub toward: Option<HostKey>,
    /// How much it was, at least.
    pub count: u64,
    /// The first of it.
    pub first: Ts,
    /// The last of it.
    pub last: Ts,
}

/// Counts what comes to nothing by the card that sent it.
#[derive(Debug)]
pub struct Senders {
    least: u64,
    minute: i64,
    cards: Vec<Card>,
    /// The place asked for last: under a flood it is the next one, too.
    latest: usize,
    flooders: Flooders,
}

/// A card in the current minute.
#[derive(Debug)]
struct Card {
    mac: Option<Mac>,
    /// What the card had sent that stood here before: this one may have sent as much unseen.
    before: u64,
    tally: Tally,
}

impl Senders {
    /// A card floods that sends so much in a minute.
    pub fn new(least: u64) -> Self {
        Self { least: least.max(1), minute: i64::MIN, cards: Vec::new(), latest: 0, flooders: Flooders::default() }
    }

    /// Counts; `now` is event time.
    pub fn add(&mut self, now: Ts, sent: &Sent) {
        let minute = now.as_nanos().div_euclid(MINUTE);
        if minute > self.minute {
            self.minute = minute;
            let (cards, least) = (std::mem::take(&mut self.cards), self.least);
            cards.iter().filter(|card| card.tally.count >= least).for_each(|card| self.flooders.keep(card));
        }
        if self.cards.get(self.latest).is_none_or(|card| card.mac != sent.mac) {
            self.latest = self.place(sent.mac);
        }
        if let Some(card) = self.cards.get_mut(self.latest) {
            card.tally.add(sent);
        }
    }

    /// The cards that flood or did, the busiest first.
    pub fn flooders(&self) -> Vec<Flooder> {
        let mut all = self.flooders.clone();
        self.cards.iter().filter(|card| card.tally.count >= self.least).for_each(|card| all.keep(card));
        let mut flooders: Vec<Flooder> = all.kept.iter().map(|(mac, tally)| tally.flooder(*mac)).collect();
        flooders.sort_by_key(|flooder| (std::cmp::Reverse(flooder.count), flooder.mac));
        flooders
    }

    /// Cards that flooded and had to be forgotten, each time that one was.
    pub const fn forgotten(&self) -> u64 {
        self.flooders.forgotten
    }

    /// The place of a card; where all are taken, it gets that of the one that sent least.
    fn place(&mut self, mac: Option<Mac>) -> usize {
        if let Some(place) = self.cards.iter().position(|card| card.mac == mac) {
            return place;
        }
        if self.cards.len() < CARDS_MAX {
            self.cards.push(Card { mac, before: 0, tally: Tally::default() });
            return self.cards.len() - 1;
        }
        let weights = self.cards.iter().map(|card| card.before.saturating_add(card.tally.count));
        let (place, before) = weights.enumerate().min_by_key(|(_, weight)| *weight).unwrap_or_default();
        if let Some(card) = self.cards.get_mut(place) {
            (card.mac, card.before) = (mac, before);
            card.tally.clear();
        }
        place
    }
}

/// What the cards that flood have sent.
#[derive(Clone, Default, Debug)]
struct Flooders {
    kept: Vec<(Option<Mac>, Tally)>,
    forgotten: u64,
}

impl Flooders {
    fn keep(&mut self, Card { mac, tally, .. }: &Card) {
        if let Some((_, known)) = self.kept.iter_mut().find(|(known, _)| known == mac) {
            known.merge(tally);
        } else if self.kept.len() < FLOODERS_MAX {
            self.kept.push((*mac, tally.clone()));
        } else if let Some(least) = self.kept.iter_mut().min_by_key(|(_, known)| known.count) {
            self.forgotten += 1;
            if least.1.count < tally.count {
                *least = (*mac, tally.clone());
            }
        }
    }
}

/// What one card sent.
#[derive(Clone, Default, Debug)]
struct Tally {
    count: u64,
    /// Of the first and the last; `None` where there is nothing.
    span: Option<(Ts, Ts)>,
    sources: Rough,
    source: Majority,
    toward: Majority,
}

impl Tally {
    fn add(&mut self, sent: &Sent) {
        self.count = self.count.saturating_add(sent.count);
        self.spread(sent.first, sent.last);
        self.sources.insert(sent.source);
        self.source.add(Some(sent.source), sent.count);
        self.toward.add(sent.toward, sent.count);
    }

    fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        if let Some((first, last)) = other.span {
            self.spread(first, last);
        }
        self.sources.merge(&other.sources);
        self.source.merge(&other.source);
        self.toward.merge(&other.toward);
    }

    fn spread(&mut self, first: Ts, last: Ts) {
        let (begin, end) = self.span.unwrap_or((first, last));
        self.span = Some((begin.min(first), end.max(last)));
    }

    /// Begins anew in the same memory.
    fn clear(&mut self) {
        self.sources.clear();
        let sources = std::mem::take(&mut self.sources);
        *self = Self { sources, ..Self::default() };
    }

    fn flooder(&self, mac: Option<Mac>) -> Flooder {
        let (first, last) = self.span.unwrap_or_default();
        Flooder {
            mac,
            source: self.source.get(),
            sources: self.sources.count().min(self.count),
            toward: self.toward.get(),
            count: self.count,
            first,
            last,
        }
    }
}

/// The host that more than half of all went to, or came from, by the vote of Boyer and Moore (1981, "MJRTY"): each but the
/// candidate takes a vote from it, and where none is left the next one is the candidate. Hosts can be sent in an order in
/// which a majority is not seen to be one; none is told that is not.
#[derive(Clone, Copy, Default, Debug)]
struct Majority {
    candidate: Option<HostKey>,
    lead: u64,
    /// How often the candidate came since it is one.
    proven: u64,
    total: u64,
}

impl Majority {
    fn add(&mut self, host: Option<HostKey>, count: u64) {
        self.total = self.total.saturating_add(count);
        if host.is_some() && host == self.candidate {
            self.lead = self.lead.saturating_add(count);
            self.proven = self.proven.saturating_add(count);
        } else if host.is_some() && count > self.lead {
            *self = Self { candidate: host, lead: count - self.lead, proven: count, total: self.total };
        } else {
            self.lead = self.lead.saturating_sub(count);
        }
    }

    /// Adds what another one counted.
    fn merge(&mut self, other: &Self) {
        self.total = self.total.saturating_add(other.total);
        if self.candidate == other.candidate {
            self.proven = self.proven.saturating_add(other.proven);
        } else if self.proven < other.proven {
            (self.candidate, self.proven) = (other.candidate, other.proven);
        }
    }

    fn get(&self) -> Option<HostKey> {
        self.candidate.filter(|_| self.proven > self.total / 2)
    }
}

#[cfg(test)]
mod tests;
