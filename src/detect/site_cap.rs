//! What one network may add to a sum within an hour: its hosts fail together, so that they are not independent.

use super::few::Few;
use crate::net::HostKey;
use crate::time::{Span, Ts};

/// What each network has added within its hour; of at most `N` networks.
#[derive(Debug, Default)]
pub(super) struct SiteCap<const N: usize> {
    sites: Few<SiteHour, N>,
    /// Where the next one is looked for that makes room: round and round.
    next: usize,
}

/// A network's hour: when it began, what it has added in dB, and whether it was begun anew since it was last looked at.
#[derive(Clone, Copy, Debug)]
struct SiteHour {
    began: Ts,
    used: f64,
    again: bool,
}

impl<const N: usize> SiteCap<N> {
    /// What is left of `z_db` for this network in this hour; only gains are capped.
    pub(super) fn within(&mut self, cap_db: f64, z_db: f64, site: HostKey, now: Ts) -> f64 {
        if z_db <= 0.0 {
            return z_db;
        }

        let fresh = SiteHour { began: now, used: 0.0, again: false };
        if self.sites.len() >= N && self.sites.find(site).is_none() {
            // The first that came, if its hour was not begun anew since.
            while let Some(known) = self.sites.at(self.next)
                && std::mem::take(&mut known.again)
            {
                self.next = (self.next + 1) % N;
            }
            self.sites.replace(self.next, site, fresh);
            self.next = (self.next + 1) % N;
        }
        let Some(hour) = self.sites.entry(site, || fresh) else { return z_db };
        if now.since(hour.began) >= Span::hours(1) {
            *hour = SiteHour { again: true, ..fresh };
        }
        let left = (cap_db - hour.used).clamp(0.0, z_db);
        hour.used += left;
        left
    }

    /// Asks memory for what that will need; the number means nothing.
    pub(super) fn fetch(&self) -> u64 {
        self.sites.fetch(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(n: u8) -> HostKey {
        HostKey::v4([198, 51, n, 0])
    }

    #[test]
    fn a_network_adds_so_much_an_hour_and_takes_away_what_it_likes() {
        let mut cap = SiteCap::<4>::default();
        let at = |secs| Ts::from_parts(secs, 0);
        let added = [(6.0, 0), (6.0, 1), (6.0, 2), (-6.0, 3), (6.0, 3599), (6.0, 3600)]
            .map(|(z, secs)| cap.within(10.0, z, site(1), at(secs)));
        assert_eq!(added.map(|db| db as i32), [6, 4, 0, -6, 0, 6]);
    }

    #[test]
    fn the_network_that_came_first_makes_room() {
        let mut cap = SiteCap::<2>::default();
        let mut add = |n| cap.within(6.0, 6.0, site(n), Ts::EPOCH) as i32;
        assert_eq!([1, 1, 2, 2, 3, 2, 1].map(&mut add), [6, 0, 6, 0, 6, 0, 6]);
    }
}
