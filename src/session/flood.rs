//! Attempts that nobody answered, summed where one host makes a flood of them.
//!
//! The first of a host in a minute are told one by one: they are what a worm, a scan or a dead server is told by. What comes
//! on top differs from them in nothing but the address, and telling a million of them one by one would cost whoever listens
//! more than the flood costs its sender. Their number, and how many servers and networks they went to, is told every ten
//! seconds.
//!
//! Minutes are those of event time, by the first SYN. Attempts that the end of the capture cut short are summed like the others:
//! of what it tells of, a host has made a flood by then.

use std::collections::HashMap;
use std::hint::black_box;

use foldhash::fast::RandomState;

use crate::distinct::{Distinct, hash_of};
use crate::frame::At;
use crate::net::HostKey;
use crate::tcp::Attempt;
use crate::time::{Span, Ts};

/// Attempts of a host in a minute that each shard tells one by one: as many as have session lines of their own (design
/// section 4), so that summing leaves those as they are.
pub const TOLD_MAX: u32 = 100;

/// How long a sum grows before it is told.
const SUMMED_FOR: Span = Span::secs(10);

/// Hosts counted at once by a shard; where more try, counting begins anew, and some are told more often one by one.
const HOSTS_MAX: usize = 4096;

/// Sums at once of a shard, 25 KB each; attempts of further hosts are told one by one. With 16 shards, 25 MB.
const SUMS_MAX: usize = 64;

/// Servers that are counted together: each has its places in the sketches elsewhere, and so the waits for memory coincide.
const COUNTED_AT_ONCE: usize = 64;

const MINUTE: i64 = 60_000_000_000;

/// Many attempts of one host in one minute.
#[derive(Clone, Debug)]
pub struct Flood {
    /// The first of them.
    pub first: Attempt,
    /// The last SYN.
    pub last: At,
    /// How many attempts.
    pub attempts: u64,
    /// SYNs, retransmissions included.
    pub syns: u64,
    /// The port that all went to, if it was one.
    pub port: Option<u16>,
    /// The servers tried.
    pub servers: Distinct,
    /// Their networks ([`HostKey::site`]).
    pub networks: Distinct,
}

impl Flood {
    /// The minute of an attempt, by its first SYN.
    pub fn minute(attempt: &Attempt) -> i64 {
        attempt.id.ts.as_nanos().div_euclid(MINUTE)
    }
}

/// A flood that goes on.
struct Growing {
    flood: Flood,
    /// The hashes of servers that are not counted yet, and of their networks.
    waiting: Vec<(u64, u64)>,
}

impl Growing {
    fn new(first: Attempt) -> Self {
        let flood = Flood {
            first,
            last: first.last,
            attempts: 0,
            syns: 0,
            port: Some(first.id.resp.port),
            servers: Distinct::default(),
            networks: Distinct::default(),
        };
        let mut growing = Self { flood, waiting: Vec::with_capacity(COUNTED_AT_ONCE) };
        growing.add(&first);
        growing
    }

    /// Adds an attempt.
    fn add(&mut self, attempt: &Attempt) {
        let (flood, server) = (&mut self.flood, attempt.id.resp);
        flood.attempts += 1;
        flood.syns += u64::from(attempt.syns);
        flood.port = flood.port.filter(|port| *port == server.port);
        flood.last = flood.last.max(attempt.last);
        self.waiting.push((hash_of(server.host), hash_of(server.host.site())));
        if self.waiting.len() >= COUNTED_AT_ONCE {
            self.count();
        }
    }

    fn count(&mut self) {
        let Self { flood: Flood { servers, networks, .. }, waiting } = self;
        let fetched =
            waiting.iter().fold(0, |read, (server, network)| read ^ servers.fetch(*server) ^ networks.fetch(*network));
        black_box(fetched);
        for (server, network) in waiting.drain(..) {
            servers.insert_hash(server);
            networks.insert_hash(network);
        }
    }

    /// What it came to.
    fn told(mut self) -> Box<Flood> {
        self.count();
        Box::new(self.flood)
    }
}

/// What a shard counts of each host.
struct Counted {
    host: HostKey,
    minute: i64,
    told: u32,
    sum: Option<Box<Growing>>,
}

/// The counts of one shard.
#[derive(Default)]
pub struct Floods {
    places: HashMap<HostKey, u32, RandomState>,
    hosts: Vec<Counted>,
    /// The place asked for last: under a flood it is the next one, too.
    latest: usize,
    sums: usize,
    told: Option<Ts>,
}

impl Floods {
    /// Takes an attempt in, unless it is to be told by itself; `tell` is given sums whose minute is over.
    pub fn take(&mut self, attempt: &Attempt, tell: &mut impl FnMut(Box<Flood>)) -> bool {
        let minute = Flood::minute(attempt);
        let place = self.place(attempt.id.orig.host, minute, tell);
        let Some(counted) = self.hosts.get_mut(place) else { return false };
        if counted.minute != minute {
            if let Some(sum) = counted.sum.take() {
                self.sums -= 1;
                tell(sum.told());
            }
            (counted.minute, counted.told) = (minute, 0);
        }
        if counted.told < TOLD_MAX {
            counted.told += 1;
            return false;
        }
        match &mut counted.sum {
            Some(sum) => sum.add(attempt),
            None if self.sums >= SUMS_MAX => return false,
            none => {
                *none = Some(Box::new(Growing::new(*attempt)));
                self.sums += 1;
            }
        }
        true
    }

    /// Tells what was summed, if it is time.
    pub fn handle_tick(&mut self, now: Ts, tell: &mut impl FnMut(Box<Flood>)) {
        if self.sums > 0 && now.since(*self.told.get_or_insert(now)) >= SUMMED_FOR {
            self.tell_all(tell);
            self.told = Some(now);
        }
    }

    /// Tells all that was summed, in the order in which the hosts were first heard of.
    pub fn tell_all(&mut self, tell: &mut impl FnMut(Box<Flood>)) {
        self.hosts.iter_mut().filter_map(|counted| counted.sum.take()).for_each(|sum| tell(sum.told()));
        self.sums = 0;
    }

    fn place(&mut self, host: HostKey, minute: i64, tell: &mut impl FnMut(Box<Flood>)) -> usize {
        if self.hosts.get(self.latest).is_some_and(|counted| counted.host == host) {
            return self.latest;
        }
        if let Some(place) = self.places.get(&host) {
            self.latest = *place as usize;
            return self.latest;
        }
        if self.hosts.len() >= HOSTS_MAX {
            self.tell_all(tell);
            self.hosts.clear();
            self.places.clear();
        }
        self.latest = self.hosts.len();
        self.places.insert(host, self.latest as u32);
        self.hosts.push(Counted { host, minute, told: 0, sum: None });
        self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FrameNo;
    use crate::net::{Endpoint, LinkFacts};
    use crate::tcp::{ConnId, SynSignature};

    fn attempt(host: u32, server: u32, secs: i64) -> Attempt {
        let end = |n: u32, port| Endpoint { host: HostKey::v4(n.to_be_bytes()), port };
        let ts = Ts::from_parts(secs, 0);
        Attempt {
            id: ConnId { ts, orig: end(host, 1024), resp: end(server, 25) },
            first: FrameNo(1),
            last: At { ts, frame: FrameNo(1) },
            syns: 2,
            link: LinkFacts::default(),
            syn: SynSignature::default(),
            cut_short: false,
        }
    }

    #[test]
    fn the_first_of_a_minute_are_told_and_the_rest_is_summed() {
        let (mut floods, mut sums) = (Floods::default(), Vec::new());
        let alone =
            (0..1000).filter(|n| !floods.take(&attempt(1, 0x0a00_0000 + n * 64, 60), &mut |sum| sums.push(sum)));
        assert_eq!(alone.count(), TOLD_MAX as usize);
        assert!(!floods.take(&attempt(1, 7, 120), &mut |sum| sums.push(sum)), "a new minute");
        let [sum] = sums.as_slice() else { panic!("{sums:?}") };
        assert_eq!((sum.attempts, sum.syns, sum.port), (900, 1800, Some(25)));
        assert!(sum.servers.count().abs_diff(900) < 30 && sum.networks.count().abs_diff(225) < 10, "{sum:?}");
    }

    #[test]
    fn sums_are_told_every_ten_seconds_and_at_the_end() {
        let (mut floods, mut sums) = (Floods::default(), Vec::new());
        for n in 0..200 {
            floods.take(&attempt(1, n, 60), &mut |_| panic!("not yet"));
            floods.take(&attempt(2, n, 60), &mut |_| panic!("not yet"));
        }
        for secs in [61, 70, 71] {
            floods.handle_tick(Ts::from_parts(secs, 0), &mut |sum| sums.push((secs, sum.attempts)));
        }
        assert_eq!(sums, [(71, 100), (71, 100)]);
        floods.take(&attempt(2, 7, 60), &mut |_| panic!("summed"));
        floods.tell_all(&mut |sum| sums.push((0, sum.attempts)));
        assert_eq!(sums.last(), Some(&(0, 1)));
    }

    #[test]
    fn many_flooding_hosts_are_bounded() {
        let (mut floods, mut told, mut summed) = (Floods::default(), 0_u64, 0);
        for n in 0..200_u32 {
            for host in 0..500 {
                told += u64::from(!floods.take(&attempt(host, n, 60), &mut |_| {}));
            }
        }
        floods.tell_all(&mut |sum| summed += sum.attempts);
        assert_eq!(told + summed, 100_000);
        assert_eq!(summed, 100 * SUMS_MAX as u64);
        for host in 0..100_000 {
            floods.take(&attempt(host, 1, 60), &mut |_| {});
        }
        assert!(floods.hosts.len() <= HOSTS_MAX && floods.places.len() <= HOSTS_MAX);
    }
}
