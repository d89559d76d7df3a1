//! Kinds of misbehaviour of one host, each of which counts once a day: what is constant for a host must not be counted
//! once a session.

use std::collections::VecDeque;

use super::samples::Samples;
use super::sequential::Peak;
use crate::distinct::Rough;
use crate::frame::FrameNo;
use crate::tcp::ConnId;
use crate::time::{Span, Ts};

/// How long a lapse counts wholly, and how near to each other those must be that confirm each other.
pub(super) const DAY: Span = Span::hours(24);

/// The lapses of one host, by kind.
#[derive(Debug)]
pub(super) struct Lapses<const N: usize> {
    kinds: [Kind; N],
    /// Times of the last sessions with lapses, as many as are needed before anything counts.
    recent: VecDeque<Ts>,
    sessions: u64,
    servers: Rough,
    first: Option<Ts>,
    last: Ts,
    samples: Samples,
}

#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    last: Option<Ts>,
    sessions: u64,
    db: Peak,
}

impl<const N: usize> Default for Lapses<N> {
    fn default() -> Self {
        Self {
            kinds: [Kind::default(); N],
            recent: VecDeque::new(),
            sessions: 0,
            servers: Rough::default(),
            first: None,
            last: Ts::default(),
            samples: Samples::default(),
        }
    }
}

impl<const N: usize> Lapses<N> {
    /// Notes a session's lapses: the kinds that `seen` says, each worth `db`, once `needed` sessions within a day have
    /// any.
    pub(super) fn note(&mut self, seen: [bool; N], db: [f64; N], needed: usize, id: ConnId, frame: FrameNo, now: Ts) {
        if !seen.contains(&true) {
            return;
        }
        self.first.get_or_insert(id.ts);
        self.last = self.last.max(now);
        self.sessions += 1;
        self.servers.insert(id.resp.host);
        self.samples.add(id, frame);
        for (kind, _) in self.kinds.iter_mut().zip(seen).filter(|(_, seen)| *seen) {
            kind.last = Some(now);
            kind.sessions += 1;
        }
        while self.recent.len() >= needed.max(1) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let enough = self.recent.len() >= needed && self.recent.front().is_some_and(|oldest| now.since(*oldest) <= DAY);
        if enough {
            for (kind, db) in self.kinds.iter_mut().zip(db) {
                if kind.last.is_some_and(|last| now.since(last) <= DAY) {
                    kind.db.raise(db, now);
                }
            }
        }
    }

    /// What they weigh together at `now`.
    pub(super) fn db(&self, now: Ts) -> f64 {
        self.kinds.iter().map(|kind| kind.db.at(now)).sum()
    }

    /// Of each kind, the sessions that had it.
    pub(super) fn counts(&self) -> [u64; N] {
        self.kinds.map(|kind| kind.sessions)
    }

    /// Sessions that had any.
    pub(super) const fn sessions(&self) -> u64 {
        self.sessions
    }

    /// Servers in those sessions.
    pub(super) fn servers(&self) -> u64 {
        self.servers.count()
    }

    /// When the first and the last of those sessions were.
    pub(super) fn span(&self) -> (Ts, Ts) {
        (self.first.unwrap_or(self.last), self.last)
    }

    /// A few of them.
    pub(super) const fn samples(&self) -> &Samples {
        &self.samples
    }
}

/// Kinds that were seen, with their counts, for a sentence: `talked early (3), bare line feeds (1)`.
pub(super) fn counted(names: &[&str], counts: &[u64]) -> String {
    let parts: Vec<String> =
        names.iter().zip(counts).filter(|(_, n)| **n > 0).map(|(name, n)| format!("{name} ({n})")).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Endpoint, HostKey};

    fn id(ts: Ts, server: u8) -> ConnId {
        let end = |octets, port| Endpoint { host: HostKey::v4(octets), port };
        ConnId { ts, orig: end([192, 168, 0, 23], 1025), resp: end([192, 0, 2, server], 25) }
    }

    fn note(lapses: &mut Lapses<2>, seen: [bool; 2], hour: i64) {
        let now = Ts::EPOCH + Span::hours(hour);
        lapses.note(seen, [6.0, 2.0], 2, id(now, hour as u8), FrameNo(1), now);
    }

    #[test]
    fn one_session_is_no_habit_two_are() {
        let mut lapses = Lapses::default();
        note(&mut lapses, [true, false], 0);
        assert!(lapses.db(Ts::EPOCH).abs() < 1e-9);
        note(&mut lapses, [false, true], 24);
        assert!((lapses.db(Ts::EPOCH + Span::hours(24)) - 8.0).abs() < 1e-9, "each kind once");
        note(&mut lapses, [true, true], 25);
        assert!((lapses.db(Ts::EPOCH + Span::hours(25)) - 8.0).abs() < 1e-9, "however often");
    }

    #[test]
    fn sessions_more_than_a_day_apart_are_none() {
        let mut lapses = Lapses::default();
        note(&mut lapses, [true, false], 0);
        note(&mut lapses, [true, false], 25);
        assert!(lapses.db(Ts::EPOCH + Span::hours(25)).abs() < 1e-9);
    }

    #[test]
    fn what_happened_once_fades() {
        let mut lapses = Lapses::default();
        note(&mut lapses, [true, false], 0);
        note(&mut lapses, [true, false], 1);
        assert!((lapses.db(Ts::EPOCH + Span::hours(49)) - 3.0).abs() < 1e-9, "halved after the second day");
    }
}
