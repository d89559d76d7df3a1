//! Attempts that nobody answered, counted so that a flood does not fill the disk: the first of a host in a minute have
//! a line each, one line stands for the rest.
//!
//! Minutes are those of the clock in event time, by the first SYN. They are closed in the order of time, hosts within
//! one in the order of their addresses, so that the same capture gives the same lines.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use super::line::Summed;
use crate::distinct::Distinct;
use crate::net::HostKey;
use crate::session::{Flood as Attempts, TOLD_MAX};
use crate::tcp::Attempt;
use crate::time::Ts;

/// Lines of its own that a host has in a minute (design section 4). What a shard sums is beyond as many.
pub(super) const OWN_LINES_MAX: u32 = TOLD_MAX;

/// Hosts and minutes counted at once. When all are taken, all sums so far are written and counting begins anew: nothing is
/// lost, some sums are told in two lines.
const COUNTED_MAX: usize = 16_384;
/// Sums of them at once: each takes up to some 12 KB, 48 MB at worst.
const SUMS_MAX: usize = 4096;

/// How long after its end a minute is closed: attempts come here when they are given up, half a minute after the last
/// SYN, and SYNs are repeated for a minute or two (Linux: 63 s and more with `tcp_syn_retries` 6).
const MINUTES_LATE: i64 = 3;

const MINUTE: i64 = 60_000_000_000;

/// Attempts of one host in one minute.
#[derive(Default)]
struct Counted {
    own_lines: u32,
    sum: Option<Box<Sum>>,
}

/// What is gathered of attempts without a line of their own.
pub(super) struct Sum {
    /// The first of them.
    pub(super) first: Attempt,
    /// The rest, but for `servers`, which is counted.
    summed: Summed,
    servers: Distinct,
}

impl Sum {
    fn new(attempt: &Attempt) -> Self {
        let summed = Summed { attempts: 0, servers: 0, syns: 0, port: Some(attempt.id.resp.port), last: attempt.last };
        Self { first: *attempt, summed, servers: Distinct::default() }
    }

    fn add(&mut self, attempt: &Attempt) {
        let summed = &mut self.summed;
        summed.attempts += 1;
        summed.syns += u64::from(attempt.syns);
        summed.port = summed.port.filter(|port| *port == attempt.id.resp.port);
        summed.last = summed.last.max(attempt.last);
        self.servers.insert(attempt.id.resp.host);
    }

    fn add_many(&mut self, many: &Attempts) {
        let summed = &mut self.summed;
        summed.attempts += many.attempts;
        summed.syns += many.syns;
        summed.port = summed.port.filter(|port| many.port == Some(*port));
        summed.last = summed.last.max(many.last);
        self.servers.merge(&many.servers);
        if many.first.first < self.first.first {
            self.first = many.first;
        }
    }

    /// What is to be told.
    pub(super) fn summed(&self) -> Summed {
        Summed { servers: self.servers.count(), ..self.summed }
    }
}

/// The counts of all hosts.
#[derive(Default)]
pub(super) struct Flood {
    minutes: BTreeMap<i64, HashMap<HostKey, Counted, RandomState>>,
    counted: usize,
    summed: usize,
}

impl Flood {
    /// Counts an attempt; `true` if it shall have a line of its own. Call [`Flood::close`] first.
    pub(super) fn count(&mut self, attempt: &Attempt) -> bool {
        let (counted, summed) = self.counted(attempt);
        if counted.own_lines < OWN_LINES_MAX {
            counted.own_lines += 1;
            return true;
        }
        Self::sum(counted, summed, attempt).add(attempt);
        false
    }

    /// Counts attempts that were summed before. Call [`Flood::close`] first.
    pub(super) fn count_many(&mut self, many: &Attempts) {
        let (counted, summed) = self.counted(&many.first);
        Self::sum(counted, summed, &many.first).add_many(many);
    }

    /// What is counted of an attempt's host in its minute, and how many sums there are.
    fn counted(&mut self, attempt: &Attempt) -> (&mut Counted, &mut usize) {
        let hosts = self.minutes.entry(Attempts::minute(attempt)).or_default();
        let counted = hosts.entry(attempt.id.orig.host).or_insert_with(|| {
            self.counted += 1;
            Counted::default()
        });
        (counted, &mut self.summed)
    }

    fn sum<'c>(counted: &'c mut Counted, summed: &mut usize, first: &Attempt) -> &'c mut Sum {
        counted.sum.get_or_insert_with(|| {
            *summed += 1;
            Box::new(Sum::new(first))
        })
    }

    /// Takes out the sums of minutes that are over at `now`, or all if there is no room left.
    pub(super) fn close(&mut self, now: Ts) -> Vec<Sum> {
        if self.counted >= COUNTED_MAX || self.summed >= SUMS_MAX {
            return self.finish();
        }
        let open_from = now.as_nanos().div_euclid(MINUTE).saturating_sub(MINUTES_LATE);
        if self.minutes.first_key_value().is_none_or(|(minute, _)| *minute >= open_from) {
            return Vec::new();
        }
        let open = self.minutes.split_off(&open_from);
        let closed = std::mem::replace(&mut self.minutes, open);
        self.counted -= closed.values().map(HashMap::len).sum::<usize>();
        let sums = sums(closed);
        self.summed -= sums.len();
        sums
    }

    /// Takes out all sums.
    pub(super) fn finish(&mut self) -> Vec<Sum> {
        (self.counted, self.summed) = (0, 0);
        sums(std::mem::take(&mut self.minutes))
    }
}

fn sums(minutes: BTreeMap<i64, HashMap<HostKey, Counted, RandomState>>) -> Vec<Sum> {
    let mut sums = Vec::new();
    for hosts in minutes.into_values() {
        let begin = sums.len();
        sums.extend(hosts.into_values().filter_map(|counted| counted.sum).map(|sum| *sum));
        if let Some(of_minute) = sums.get_mut(begin..) {
            of_minute.sort_unstable_by_key(|sum: &Sum| sum.first.id.orig.host);
        }
    }
    sums
}
