//! Cards that flood with attempts of which no connection comes: nobody answers, the server refuses, or whoever called does not
//! go on. The address that such an attempt comes from proves nothing, because its owner never had to answer.
//!
//! This accuses nobody and is no detector: a host that floods from an address of its own is found by those. It tells of which
//! card made-up addresses are, and whether that card is a router's.

use super::{Judge, Way};
use crate::flooders::{Flooder, Senders, Sent};
use crate::net::{LinkFacts, Mac};
use crate::session::{SessionEvent, SessionEventKind};
use crate::time::Ts;

/// Cards by which the world is known to be reached: a site has one or two routers to it. Whoever makes up more does not become
/// known.
const WAYS_OUT_MAX: usize = 16;

/// Watches for floods of attempts.
#[derive(Debug)]
pub(super) struct FloodWatch {
    attempts: Senders,
    ways_out: Vec<Mac>,
}

impl FloodWatch {
    /// A card floods that makes so many attempts in a minute.
    pub(super) fn new(least: u64) -> Self {
        Self { attempts: Senders::new(least), ways_out: Vec::new() }
    }

    /// Learns from an event.
    pub(super) fn handle(&mut self, event: &SessionEvent, way: Way, now: Ts) {
        let sent = match &event.kind {
            SessionEventKind::Unanswered(attempt) => {
                let (ends, last) = (attempt.id, attempt.last.ts);
                let (source, toward) = (ends.orig.host, Some(ends.resp.host));
                Sent { mac: sender(&attempt.link), source, toward, count: 1, first: ends.ts, last }
            }
            SessionEventKind::Flooded(flood) => {
                let first = &flood.first;
                let toward = (flood.servers.count() == 1).then_some(first.id.resp.host);
                let (mac, source) = (sender(&first.link), first.id.orig.host);
                Sent { mac, source, toward, count: flood.attempts, first: first.id.ts, last: flood.last.ts }
            }
            SessionEventKind::Closed(session) if was_left(session.conn.history.as_bytes()) => {
                let conn = &session.conn;
                let (source, toward) = (conn.id.orig.host, Some(conn.id.resp.host));
                Sent { mac: sender(&conn.link), source, toward, count: 1, first: conn.id.ts, last: conn.id.ts }
            }
            SessionEventKind::Greeted(head) => return self.learn_way(&head.link, way),
            _ => return,
        };
        self.attempts.add(now, &sent);
    }

    /// A greeting came from outside or went there: the card on the far side is that of a router.
    fn learn_way(&mut self, link: &LinkFacts, way: Way) {
        let Some((orig, resp)) = link.macs else { return };
        let far = match way {
            Way::Outbound => resp,
            Way::Inbound => orig,
            Way::Inside | Way::Foreign => return,
        };
        if self.ways_out.len() < WAYS_OUT_MAX && !self.ways_out.contains(&far) {
            self.ways_out.push(far);
        }
    }
}

impl Judge {
    /// The cards that flood with attempts of which no connection comes, the busiest first.
    pub fn flooders(&self) -> Vec<Flooder> {
        self.floods.attempts.flooders()
    }

    /// Those of them that had to be forgotten.
    pub const fn flooders_forgotten(&self) -> u64 {
        self.floods.attempts.forgotten()
    }

    /// Whether hosts outside were spoken with by a card: it is a router's.
    pub fn leads_out(&self, mac: Mac) -> bool {
        self.floods.ways_out.contains(&mac)
    }
}

fn sender(link: &LinkFacts) -> Option<Mac> {
    link.macs.map(|(orig, _)| orig)
}

/// Whether the caller's SYN was seen and nothing after it by which it would have shown that the answer came to it: no ACK, no
/// data, no FIN (RFC 9293 section 3.5; the letters are Zeek's).
fn was_left(history: &[u8]) -> bool {
    !history.iter().any(|letter| matches!(letter, b'A' | b'D' | b'F' | b'I')) && history.contains(&b'S')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::DetectSettings;
    use crate::detect::testing::{Scene, host, site};
    use crate::limits::DetectLimits;
    use crate::time::Span;

    const CARD: Mac = Mac([2, 0, 0, 0, 0, 7]);

    fn scene() -> Scene {
        let limits = DetectLimits { flood_attempts_min: 1_000, ..DetectLimits::default() };
        Scene::within(site(&[]), &DetectSettings::default(), &limits)
    }

    #[test]
    fn made_up_addresses_have_one_card() {
        let mut scene = scene();
        for n in 0..5_000_u32 {
            let [_, _, high, low] = n.to_be_bytes();
            scene.knock_by(Some(CARD), &format!("10.1.{high}.{low}"), &format!("198.51.{high}.{low}"));
            if n % 10 == 0 {
                scene.knock_by(Some(Mac([2, 0, 0, 1, high, low])), "192.168.10.23", "203.0.113.9");
            }
        }
        let [flooder] = scene.judge.flooders().try_into().unwrap();
        assert_eq!((flooder.mac, flooder.count, flooder.source, flooder.toward), (Some(CARD), 5_000, None, None));
        assert!(flooder.sources.abs_diff(5_000) < 500, "{flooder:?}");
        assert!(!scene.judge.leads_out(CARD));
    }

    #[test]
    fn strangers_at_one_server_come_by_one_card() {
        let mut scene = scene();
        for n in 0..5_000_u32 {
            let [_, _, high, low] = n.to_be_bytes();
            scene.knock_by(Some(CARD), &format!("198.51.{high}.{low}"), "192.168.10.10");
        }
        let [flooder] = scene.judge.flooders().try_into().unwrap();
        assert_eq!((flooder.mac, flooder.toward), (Some(CARD), Some(host("192.168.10.10"))));
    }

    #[test]
    fn a_worm_is_no_flood() {
        let mut scene = Scene::new(site(&[]));
        for n in 0..20_000_u32 {
            let [_, _, high, low] = n.to_be_bytes();
            scene.knock_by(Some(CARD), "192.168.10.23", &format!("198.51.{high}.{low}"));
            if n % 100 == 0 {
                scene.call("192.168.10.23", "203.0.113.9").greets("220 mx.example").helo("pc").quit();
                scene.wait(Span::secs(1));
            }
        }
        assert_eq!(scene.judge.flooders(), []);
    }

    #[test]
    fn the_card_by_which_the_world_greets_is_a_routers() {
        let mut watch = FloodWatch::new(1);
        let link =
            |orig: u8, resp: u8| LinkFacts { macs: Some((Mac([orig; 6]), Mac([resp; 6]))), ..LinkFacts::default() };
        watch.learn_way(&link(2, 4), Way::Outbound);
        watch.learn_way(&link(6, 8), Way::Inbound);
        watch.learn_way(&link(10, 12), Way::Inside);
        watch.learn_way(&link(14, 16), Way::Foreign);
        assert_eq!(watch.ways_out, [Mac([4; 6]), Mac([6; 6])]);
        (0..200).for_each(|n| watch.learn_way(&link(n, 4), Way::Inbound));
        assert_eq!(watch.ways_out.len(), WAYS_OUT_MAX);
    }

    #[test]
    fn a_caller_that_goes_on_is_no_flood() {
        for left in ["S", "Sh", "Shr", "ShR", "Sr", "ShhT", "^hS"] {
            assert!(was_left(left.as_bytes()), "{left}");
        }
        for went_on in ["ShA", "ShADadFf", "ShD", "SF", "hA", "d", ""] {
            assert!(!was_left(went_on.as_bytes()), "{went_on}");
        }
    }
}
