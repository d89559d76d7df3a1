//! What became of hosts' mail over time, for charts: counts in a bounded number of equal stretches of event time.
//!
//! How long the run will be is not known while it goes. So stretches begin short, and when they do not suffice any more,
//! each two of them become one.

use std::collections::BTreeMap;

use crate::net::HostKey;
use crate::session::{Outcome, SessionEvent, SessionEventKind};
use crate::site::Ours;
use crate::time::{Span, Ts};

/// Stretches of a chart: as many bars as are told apart on a phone.
const BARS: usize = 96;

/// Hosts with a chart. A row takes 2.3 KB at most; more hosts than these have no incident that anybody reads.
const HOSTS_MAX: usize = 4096;

/// What one stretch of time came to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Bar {
    /// Mails accepted.
    pub accepted: u32,
    /// Mails refused, for good or for now.
    pub refused: u32,
    /// Connections that came to nothing.
    pub failed: u32,
}

impl Bar {
    /// All of it.
    pub const fn total(self) -> u32 {
        self.accepted.saturating_add(self.refused).saturating_add(self.failed)
    }

    fn add(&mut self, other: Self) {
        self.accepted = self.accepted.saturating_add(other.accepted);
        self.refused = self.refused.saturating_add(other.refused);
        self.failed = self.failed.saturating_add(other.failed);
    }
}

/// The bars of one host.
#[derive(Clone, Default, Debug)]
pub struct Bars {
    /// What it sent as a client.
    pub sent: Vec<Bar>,
    /// What others brought to it.
    pub taken: Vec<Bar>,
}

/// The bars of all hosts of ours, all with the same stretches.
#[derive(Clone, Debug)]
pub struct Timeline {
    ours: Ours,
    begin: Option<Ts>,
    stretch: Span,
    /// Stretches that the run has come to.
    used: usize,
    hosts: BTreeMap<HostKey, Bars>,
}

impl Timeline {
    /// For hosts of ours.
    pub const fn new(ours: Ours) -> Self {
        Self { ours, begin: None, stretch: Span::secs(1), used: 0, hosts: BTreeMap::new() }
    }

    /// Counts an event.
    pub fn handle(&mut self, event: &SessionEvent) {
        let one = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let (ends, bar) = match &event.kind {
            SessionEventKind::Transaction(head, mail) => {
                let bar = match mail.outcome {
                    Outcome::Accepted => Bar { accepted: 1, ..Bar::default() },
                    Outcome::Rejected | Outcome::Deferred => Bar { refused: 1, ..Bar::default() },
                    // Nobody knows how these ended.
                    Outcome::Abandoned | Outcome::Incomplete | Outcome::Hidden => return,
                };
                (head.id, bar)
            }
            SessionEventKind::Closed(session) if session.failed() => {
                (session.conn.id, Bar { failed: 1, ..Bar::default() })
            }
            SessionEventKind::Unanswered(attempt) if !attempt.cut_short => {
                (attempt.id, Bar { failed: 1, ..Bar::default() })
            }
            SessionEventKind::Flooded(flood) => (flood.first.id, Bar { failed: one(flood.attempts), ..Bar::default() }),
            _ => return,
        };
        let place = self.place(event.at.ts);
        self.count(ends.orig.host, place, bar, |bars| &mut bars.sent);
        if !matches!(event.kind, SessionEventKind::Flooded(_)) {
            self.count(ends.resp.host, place, bar, |bars| &mut bars.taken);
        }
    }

    /// When the first bar begins; `None` if there is none.
    pub const fn begin(&self) -> Option<Ts> {
        self.begin
    }

    /// The time that a bar stands for.
    pub const fn stretch(&self) -> Span {
        self.stretch
    }

    /// Bars that the run has come to, of whichever host.
    pub const fn used(&self) -> usize {
        self.used
    }

    /// The bars of a host; both sides end with the last bar that is not empty.
    pub fn of(&self, host: HostKey) -> Option<&Bars> {
        self.hosts.get(&host)
    }

    /// The bar that a stamp falls into; earlier ones than the first belong to the first.
    fn place(&mut self, ts: Ts) -> usize {
        let begin = *self.begin.get_or_insert(ts);
        let after = ts.since(begin).as_nanos().max(0);
        while (after / self.stretch.as_nanos()) as usize >= BARS {
            self.widen();
        }
        let place = (after / self.stretch.as_nanos()) as usize;
        self.used = self.used.max(place + 1);
        place
    }

    fn widen(&mut self) {
        self.stretch = Span::from_nanos(self.stretch.as_nanos().saturating_mul(2));
        self.used = self.used.div_ceil(2);
        for bars in self.hosts.values_mut().flat_map(|bars| [&mut bars.sent, &mut bars.taken]) {
            *bars = bars
                .chunks(2)
                .map(|pair| {
                    pair.iter().fold(Bar::default(), |mut sum, bar| {
                        sum.add(*bar);
                        sum
                    })
                })
                .collect();
        }
    }

    fn count(&mut self, host: HostKey, place: usize, bar: Bar, side: fn(&mut Bars) -> &mut Vec<Bar>) {
        if !self.ours.contains(host) || (self.hosts.len() >= HOSTS_MAX && !self.hosts.contains_key(&host)) {
            return;
        }
        let bars = side(self.hosts.entry(host).or_default());
        if bars.len() <= place {
            bars.resize(place + 1, Bar::default());
        }
        if let Some(counted) = bars.get_mut(place) {
            counted.add(bar);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Site;

    fn timeline() -> Timeline {
        Timeline::new(Site::default().ours())
    }

    const HOST: HostKey = HostKey::v4([192, 168, 0, 23]);
    const REFUSED: Bar = Bar { accepted: 0, refused: 1, failed: 0 };

    fn note(timeline: &mut Timeline, secs: i64) {
        let place = timeline.place(Ts::from_parts(1_772_617_327 + secs, 0));
        timeline.count(HOST, place, REFUSED, |bars| &mut bars.sent);
    }

    #[test]
    fn stretches_grow_so_that_all_of_a_long_run_is_there() {
        let mut timeline = timeline();
        for secs in [0, 1, 95, 200, 86_400] {
            note(&mut timeline, secs);
        }
        let bars = &timeline.of(HOST).unwrap().sent;
        assert!(bars.len() <= BARS, "{}", bars.len());
        assert_eq!(bars.iter().map(|bar| bar.refused).sum::<u32>(), 5);
        assert_eq!((timeline.stretch(), timeline.used()), (Span::secs(1024), 85));
        assert_eq!((bars[0].refused, bars[84].refused), (4, 1));
    }

    #[test]
    fn stamps_before_the_first_belong_to_it_and_strangers_have_no_bars() {
        let mut timeline = timeline();
        note(&mut timeline, 0);
        note(&mut timeline, -5000);
        assert_eq!(timeline.of(HOST).unwrap().sent, [Bar { refused: 2, ..Bar::default() }]);
        timeline.count(HostKey::v4([198, 51, 100, 7]), 0, REFUSED, |bars| &mut bars.taken);
        assert!(timeline.of(HostKey::v4([198, 51, 100, 7])).is_none());
    }
}
