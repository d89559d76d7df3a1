//! Connections that were seen on both sides of address translation: told once, by their inner ends.
//!
//! Both are followed as any other, each by its own shard; which two are one is known from their handshake, long before
//! either says anything. What the outer one says is dropped here, before it is judged or written, and the inner one
//! bears the outer ends with it. As long as only the SYNs look alike, no more is dropped than an attempt that came to
//! nothing: the server's answer is the proof, and such an attempt has none.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashlink::LruCache;

use super::{Outer, SessionEvent, SessionEventKind};
use crate::frame::At;
use crate::net::{Ends, Translation};
use crate::tcp::{ConnId, ConnState};

/// Translated connections under way; the one that began first is forgotten when there are more, and then told twice. A
/// gateway has as many ports for one address and server, and 65,536 pairs take some 20 MB.
const UNDER_WAY_MAX: usize = 65_536;

/// The pairs under way.
#[derive(Debug)]
pub struct Twins {
    /// By inner ends: the outer ends, and when it was proven that they are.
    pairs: LruCache<Ends, Outer, RandomState>,
    /// Outer ends, whose own story is not told, and whether it is proven that they are.
    shadows: LruCache<Ends, bool, RandomState>,
    joined: u64,
    forgotten: u64,
}

impl Default for Twins {
    fn default() -> Self {
        Self {
            pairs: LruCache::with_hasher(usize::MAX, RandomState::default()),
            shadows: LruCache::with_hasher(usize::MAX, RandomState::default()),
            joined: 0,
            forgotten: 0,
        }
    }
}

impl Twins {
    /// Takes the next event; whether it is to be told.
    pub fn handle(&mut self, event: &mut SessionEvent) -> bool {
        match &mut event.kind {
            SessionEventKind::Translated(translation) => {
                self.note(*translation, event.at);
                translation.proven
            }
            // Most captures hold none, and all else asks nothing.
            _ if self.shadows.is_empty() && self.pairs.is_empty() => true,
            SessionEventKind::Unanswered(attempt) => !self.end(&ends(&attempt.id), true).0,
            // Summed attempts go with the first of them.
            SessionEventKind::Flooded(flood) => !self.end(&ends(&flood.first.id), true).0,
            SessionEventKind::Closed(session) => {
                let failed = session.conn.state == ConnState::Rej;
                let (is_shadow, outer) = self.end(&ends(&session.conn.id), failed);
                if outer.is_some() {
                    Arc::make_mut(session).outer = outer;
                }
                !is_shadow
            }
            SessionEventKind::Greeted(head)
            | SessionEventKind::Auth(head, _)
            | SessionEventKind::Transaction(head, _) => self.shadows.peek(&ends(&head.id)) != Some(&true),
            SessionEventKind::DnsQuery(_) | SessionEventKind::Told(_) => true,
        }
    }

    /// The end of a connection: whether it is the shadow of another one, and which ends its own shadow has. `failed`: it
    /// came to nothing, so that nothing more can be proven of it.
    fn end(&mut self, ends: &Ends, failed: bool) -> (bool, Option<Outer>) {
        if let Some(proven) = self.shadows.remove(ends) {
            let is_shadow = proven || failed;
            self.joined += u64::from(is_shadow);
            return (is_shadow, None);
        }
        (false, self.pairs.remove(ends).filter(|outer| outer.proven.is_some() || failed))
    }

    /// Connections that were seen twice and told once.
    pub const fn joined(&self) -> u64 {
        self.joined
    }

    /// Pairs that were forgotten for want of room.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn note(&mut self, pair: Translation, at: At) {
        // A SYN that is sent again is a candidate again.
        let known = self.pairs.peek(&pair.inner).filter(|known| known.ends == pair.outer);
        let is_proven = pair.proven || self.shadows.peek(&pair.outer) == Some(&true);
        let proven = known.and_then(|known| known.proven).or_else(|| is_proven.then_some(at));
        if self.pairs.len() >= UNDER_WAY_MAX {
            self.pairs.remove_lru();
            self.forgotten += 1;
        }
        if self.shadows.len() >= UNDER_WAY_MAX {
            self.shadows.remove_lru();
        }
        self.pairs.insert(pair.inner, Outer { ends: pair.outer, proven });
        self.shadows.insert(pair.outer, proven.is_some());
    }
}

fn ends(id: &ConnId) -> Ends {
    Ends { orig: id.orig, resp: id.resp }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testing::session;
    use crate::frame::At;
    use crate::net::Endpoint;

    const PC: &str = "192.168.0.23";
    const MX: &str = "192.0.2.25";
    const GATEWAY: &str = "203.0.113.5";

    fn event(kind: SessionEventKind) -> SessionEvent {
        SessionEvent { at: At::default(), kind }
    }

    fn closed(client: &str) -> SessionEvent {
        event(SessionEventKind::Closed(session(client, MX, "pc.example").into()))
    }

    fn ends_of(client: &str) -> Ends {
        ends(&session(client, MX, "pc.example").conn.id)
    }

    fn pair(twins: &mut Twins, proven: bool) -> bool {
        let translation = Translation { inner: ends_of(PC), outer: ends_of(GATEWAY), proven };
        twins.handle(&mut event(SessionEventKind::Translated(translation)))
    }

    fn outer(event: &SessionEvent) -> Option<Ends> {
        let SessionEventKind::Closed(session) = &event.kind else { return None };
        session.outer.map(|outer| outer.ends)
    }

    #[test]
    fn the_outer_one_is_dropped_and_the_inner_one_bears_its_ends() {
        let mut twins = Twins::default();
        assert!(!pair(&mut twins, false), "a candidate is nobody's news");
        assert!(pair(&mut twins, true));
        let (mut shadow, mut own) = (closed(GATEWAY), closed(PC));
        assert!(!twins.handle(&mut shadow));
        assert!(twins.handle(&mut own));
        assert_eq!((outer(&own), twins.joined()), (Some(ends_of(GATEWAY)), 1));
        // The same ports again are another connection.
        let mut again = closed(GATEWAY);
        assert!(twins.handle(&mut again));
    }

    #[test]
    fn a_candidate_hides_no_session() {
        let mut twins = Twins::default();
        pair(&mut twins, false);
        let (mut shadow, mut own) = (closed(GATEWAY), closed(PC));
        assert!(twins.handle(&mut shadow) && twins.handle(&mut own));
        assert_eq!((outer(&own), twins.joined()), (None, 0));
    }

    #[test]
    fn a_repeated_syn_takes_no_proof_away() {
        let mut twins = Twins::default();
        pair(&mut twins, true);
        pair(&mut twins, false);
        assert!(!twins.handle(&mut closed(GATEWAY)));
    }

    #[test]
    fn pairs_are_bounded() {
        let mut twins = Twins::default();
        let end = |n: u32| Endpoint { host: crate::net::HostKey::v4(n.to_be_bytes()), port: 25 };
        for n in 0..UNDER_WAY_MAX as u32 + 10 {
            let translation = Translation {
                inner: Ends { orig: end(n), resp: end(1) },
                outer: Ends { orig: end(n), resp: end(2) },
                proven: true,
            };
            twins.handle(&mut event(SessionEventKind::Translated(translation)));
        }
        assert_eq!((twins.forgotten(), twins.pairs.len(), twins.shadows.len()), (10, UNDER_WAY_MAX, UNDER_WAY_MAX));
    }
}
