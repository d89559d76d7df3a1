//! A server as a whole: a harvest that is spread over so many addresses that none of them stands out.
//!
//! Compared with the same hour of the day in the last seven days. Where fewer than three of them are known nothing can be
//! called usual; then it is a suspicion at most, and only while most of what is asked for does not exist.

use super::super::crowd::Crowd;
use super::super::finding::{Finding, Numbers};
use super::super::lately::Lately;
use super::super::novelty;
use super::super::score::{Class, Family};
use super::super::table::Weigh;
use super::Settings;
use super::probe::Answer;
use crate::distinct::Distinct;
use crate::net::HostKey;
use crate::time::{Span, Ts};

/// Days looked back.
const DAYS: i64 = 7;
/// Hours remembered.
const HOURS: i64 = DAYS * 24;
/// Days that must be known to call something usual.
const DAYS_MIN: usize = 3;
/// Share of unknown recipients without which, nothing being known of other days, nothing is said.
const SHARE_MIN: f64 = 0.7;

#[derive(Debug)]
pub(super) struct Directory {
    /// The running hour since the epoch, its unknown recipients and those that exist.
    hour: i64,
    unknown: Distinct,
    valid: Distinct,
    /// Unknown recipients by hour, in a ring; `None` for hours not seen.
    past: Vec<Option<u32>>,
    first_hour: Option<i64>,
    networks: Lately<32>,
    crowd: Crowd<HostKey, 256>,
    alarm: Option<Alarm>,
}

/// The worst hour.
#[derive(Clone, Copy, Debug)]
struct Alarm {
    unknown: u64,
    usual: Option<u32>,
    networks: usize,
    first: Ts,
    last: Ts,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            hour: i64::MIN,
            unknown: Distinct::default(),
            valid: Distinct::default(),
            past: Vec::new(),
            first_hour: None,
            networks: Lately::default(),
            crowd: Crowd::default(),
            alarm: None,
        }
    }
}

impl Weigh for Directory {
    fn weight(&self) -> u64 {
        self.unknown.count() + 1000 * u64::from(self.alarm.is_some())
    }
}

impl Directory {
    pub(super) fn observe(&mut self, settings: &Settings, client: HostKey, name: &[u8], answer: Answer, now: Ts) {
        self.turn(now);
        if answer == Answer::Valid {
            self.valid.insert_bytes(name);
            return;
        }
        self.unknown.insert_bytes(name);
        let networks = self.networks.note(novelty::key(&[&client.site().octets()]), settings.window, now);
        self.crowd.note(&client, now);
        let unknown = self.unknown.count();
        if unknown < settings.spread_min || networks < settings.spread_networks_min {
            return;
        }
        let usual = self.usual();
        let unusual = match usual {
            Some(usual) => unknown as f64 > settings.spread_factor * f64::from(usual),
            None => unknown as f64 >= SHARE_MIN * (unknown + self.valid.count()) as f64,
        };
        if unusual {
            let first = self.alarm.map_or(now, |alarm| alarm.first);
            let most = self.alarm.map_or(0, |alarm| alarm.unknown);
            if unknown >= most {
                self.alarm = Some(Alarm { unknown, usual, networks, first, last: now });
            }
        }
    }

    /// Ends the hour, if it is over.
    fn turn(&mut self, now: Ts) {
        let hour = now.as_nanos().div_euclid(Span::hours(1).as_nanos());
        if hour <= self.hour {
            return;
        }
        self.past.resize(HOURS as usize, None);
        if self.first_hour.is_some() {
            // Hours in which nobody asked for an unknown recipient are known too: as zero.
            let quiet_from = (self.hour + 1).max(hour - HOURS);
            let ended = u32::try_from(self.unknown.count()).unwrap_or(u32::MAX);
            self.past[index(self.hour)] = Some(ended);
            for quiet in quiet_from..hour {
                self.past[index(quiet)] = Some(0);
            }
        }
        self.first_hour.get_or_insert(hour);
        self.hour = hour;
        (self.unknown, self.valid) = (Distinct::default(), Distinct::default());
    }

    /// The median of this hour of the day, over the days that are known.
    fn usual(&self) -> Option<u32> {
        let mut known: Vec<u32> = (1..=DAYS).filter_map(|day| *self.past.get(index(self.hour - 24 * day))?).collect();
        known.sort_unstable();
        (known.len() >= DAYS_MIN).then(|| known[known.len() / 2])
    }

    pub(super) fn finding(
        &self,
        settings: &Settings,
        detector: &'static str,
        server: HostKey,
        peers_max: usize,
    ) -> Option<Finding> {
        let alarm = self.alarm?;
        let usual = match alarm.usual {
            Some(usual) => format!("usual at that time of the day are {usual}"),
            None => "what is usual is not known yet".to_owned(),
        };
        Some(Finding {
            says: format!(
                "{} different unknown recipients were asked for within an hour, from {} networks or more; {usual}",
                alarm.unknown, alarm.networks
            ),
            numbers: Numbers::new()
                .count("spread_invalid", alarm.unknown)
                .count("spread_networks", alarm.networks as u64)
                .count("spread_usual", u64::from(alarm.usual.unwrap_or(0))),
            peers: self.crowd.peers("client", peers_max),
            ..Finding::summed(
                detector,
                server,
                Class::DirectoryHarvest,
                Family::Directory,
                if alarm.usual.is_some() { settings.rule_db } else { settings.suspect_db },
                alarm.first,
                alarm.last,
            )
        })
    }
}

/// The place of an hour in the ring.
fn index(hour: i64) -> usize {
    hour.rem_euclid(HOURS) as usize
}
