//! What settings may be: each value is held against what the detector can do with it, before anything runs.
//!
//! A threshold beyond the table that counts towards it would never be reached, and a probability of one would make a
//! sum infinite: better said at once. Every field stands in a list below; one that is missing does not compile.

#![expect(clippy::trivially_copy_pass_by_ref, reason = "lists and numbers are checked alike")]

use super::{
    DetectSettings, accounts, backscatter, blocklisted, connect_failures, dialect, direct_to_mx, harvest, helo,
    interception, mx_lookups, ndr_flood, outcome_burst, port_scan, protocol, relay, replies_in_time, smuggling,
};
use crate::time::Span;

/// Times kept a host for a rule of the kind 'so many within a window', at most: with eight bytes each, a thousand of
/// 65,536 hosts take half a gigabyte.
const TIMES_MAX: u64 = 1000;
/// Counts that are only compared: beyond this nobody reads a report before the year is over.
const COUNT_MAX: u64 = 1_000_000;
/// Weights, in dB: the largest sum a family may add is 60.
const DB_MAX: f64 = 1000.0;

/// A setting that cannot be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrongSetting {
    /// The detector's table, `ndr_flood`.
    pub detector: &'static str,
    /// The key in it.
    pub key: &'static str,
    /// Why, beginning with `must`.
    pub reason: String,
}

/// Checks fields of the settings of one detector: each kind is a function below.
macro_rules! check {
    ($own:expr, $room:ident { $($kind:expr => $($field:ident),+;)+ }) => {{
        let $room::Settings { $($($field,)+)+ } = &$own;
        $($(
            $kind($field)
                .map_err(|reason| WrongSetting { detector: stringify!($room), key: stringify!($field), reason })?;
        )+)+
    }};
}

/// The first of two settings of a detector must lie below the second.
macro_rules! ordered {
    ($own:expr, $room:ident: $($lower:ident < $upper:ident),+) => {
        $(if $own.$lower >= $own.$upper {
            let reason = format!("must be less than {}", stringify!($upper));
            return Err(WrongSetting { detector: stringify!($room), key: stringify!($lower), reason });
        })+
    };
}

impl DetectSettings {
    /// The first setting that cannot be.
    pub fn check(&self) -> Result<(), WrongSetting> {
        self.check_senders()?;
        self.check_servers()?;
        self.check_orders()
    }

    /// Of what tells on hosts that send.
    fn check_senders(&self) -> Result<(), WrongSetting> {
        check!(self.outcome_burst, outcome_burst {
            mix => p0, p1;
            weight => z_max, site_cap_db, fresh_db, server_shift_db;
            count(COUNT_MAX) => fresh_rcpts_min, hidden_accepted_bytes;
            share => fresh_share_min;
            span => pending_for;
        });
        check!(self.direct_to_mx, direct_to_mx {
            factor(32.0) => networks_some, networks_many;
            weight => some_db, many_db;
        });
        check!(self.connect_failures, connect_failures {
            chance => success_honest, success_worm;
            span => contact_window, dead_window, outage_window;
            weight => site_cap_db, server_shift_db;
            count(256) => outage_hosts, outage_known;
            share => outage_share;
        });
        check!(self.replies_in_time, replies_in_time {
            span => tarpit, rate_window, greylist_min, greylist_max;
            count(32) => tarpit_samples_min;
            chance => p0, p1;
            weight => storm_db;
            count(TIMES_MAX) => rate_min;
            count(8) => networks_max;
        });
        check!(self.protocol, protocol {
            weight => early_talk_db, foreign_db, pipelining_db, bare_lf_db;
            count(TIMES_MAX) => sessions_min;
        });
        check!(self.helo, helo {
            weight => bare_db, borrowed_db, many_db;
            count(8) => many;
            names => providers;
        });
        check!(self.dialect, dialect {
            db => bad_db, good_db, known_db, shared_db, rare_db;
            share => known_share, rare_share;
            count(COUNT_MAX) => rare_hosts_min;
        });
        check!(self.mx_lookups, mx_lookups {
            count(16) => domains_min, guessed_min;
            weight => mx_db, guess_db;
            span => window;
        });
        check!(self.port_scan, port_scan {
            count(128) => servers_min;
            count(COUNT_MAX) => silent_min;
            span => stands_for;
        });
        Ok(())
    }

    /// Of what tells on servers and on those who come to them.
    fn check_servers(&self) -> Result<(), WrongSetting> {
        check!(self.ndr_flood, ndr_flood {
            chance => p0, p1;
            weight => alarm_db, trigger_db;
            count(TIMES_MAX) => rate_min;
            span => rate_window, slow_window, trigger_window;
            share => reverse_share, other_share;
        });
        check!(self.backscatter, backscatter {
            count(64) => bounces_min, networks_min;
            share => unmatched_min, unknown_share, one_share, honest_share;
            span => window, expected_for;
        });
        check!(self.relay, relay {
            span => onward_window, ndr_window, rejected_window, probe_window, remember;
            share => size_tolerance;
            count(TIMES_MAX) => rejected_min;
            count(32) => probe_techniques;
            count(16) => learned_domains_min;
        });
        check!(self.accounts, accounts {
            chance => p0, p1;
            weight => alarm_db, rule_db, many_db, well_known_db, outcome_alarm_db;
            count(16) => names_min, clients_min;
            count(8) => guess_failures, networks_min, foreign_min;
            count(COUNT_MAX) => failures_many, tries_patient, rcpts_min;
            factor(1e6) => rcpts_factor;
            span => window, history;
        });
        check!(self.harvest, harvest {
            chance => p0, p1;
            weight => alarm_db, rule_db, suspect_db, outbound_db;
            count(COUNT_MAX) => invalid_min, invalid_hour_min, verify_min, yield_min, spread_min;
            share => share_min;
            factor(1e6) => spread_factor;
            count(32) => spread_networks_min;
            span => window;
        });
        check!(self.blocklisted, blocklisted {
            count(256) => domains_medium, domains_high;
            share => share_high;
            span => window, cause_window;
            weight => context_db;
        });
        check!(self.interception, interception {
            points => known_sender, shared_client, auth_unused, outside_recipient, came_again, refused;
            points => points_min, points_likely;
            count(8) => forged_networks;
            count(COUNT_MAX) => spoof_min, networks_min;
            share => share_min;
            span => window, known_for;
            names => shared_names;
        });
        check!(self.smuggling, smuggling {
            share => lf_only_share;
            span => passed_on_within;
        });
        Ok(())
    }

    /// Of pairs: a test between two chances tells nothing where they are the wrong way round.
    fn check_orders(&self) -> Result<(), WrongSetting> {
        ordered!(self.connect_failures, connect_failures: success_worm < success_honest);
        ordered!(self.replies_in_time, replies_in_time: p0 < p1, greylist_min < greylist_max);
        ordered!(self.ndr_flood, ndr_flood: p0 < p1, other_share < reverse_share);
        ordered!(self.accounts, accounts: p0 < p1);
        ordered!(self.harvest, harvest: p0 < p1);
        Ok(())
    }
}

fn chance(value: &f64) -> Result<(), String> {
    between(*value > 0.0 && *value < 1.0, "lie between 0 and 1, both left out")
}

fn share(value: &f64) -> Result<(), String> {
    between((0.0..=1.0).contains(value), "be a share, from 0 to 1")
}

/// Chances of outcomes that exclude each other.
fn mix(values: &[f64]) -> Result<(), String> {
    let sum: f64 = values.iter().sum();
    let possible = values.iter().all(|value| *value > 0.0) && (sum - 1.0).abs() < 0.01;
    between(possible, "be chances above 0 that add up to 1")
}

/// A weight that speaks for one thing.
fn weight(value: &f64) -> Result<(), String> {
    between((0.0..=DB_MAX).contains(value), "be a number of dB from 0 to 1000")
}

/// A weight that may speak against it.
fn db(value: &f64) -> Result<(), String> {
    between((-DB_MAX..=DB_MAX).contains(value), "be a number of dB from -1000 to 1000")
}

fn factor(max: f64) -> impl Fn(&f64) -> Result<(), String> {
    move |value| between(*value > 0.0 && *value <= max, format_args!("be above 0 and at most {max}"))
}

fn count<N: Copy + TryInto<u64>>(max: u64) -> impl Fn(&N) -> Result<(), String> {
    move |value| {
        let value = (*value).try_into().unwrap_or(u64::MAX);
        between((1..=max).contains(&value), format_args!("be from 1 to {max}"))
    }
}

fn points(value: &u32) -> Result<(), String> {
    between(*value <= 100, "be at most 100")
}

fn span(value: &Span) -> Result<(), String> {
    between(*value > Span::ZERO && *value <= Span::hours(366 * 24), "be longer than nothing and at most a year")
}

fn names(values: &[String]) -> Result<(), String> {
    between(values.len() <= 10_000, "be at most 10,000 names")
}

fn between(holds: bool, wanted: impl std::fmt::Display) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("must {wanted}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let settings: DetectSettings = toml::from_str(text).unwrap();
        let WrongSetting { detector, key, reason } = settings.check().unwrap_err();
        format!("{detector}.{key} {reason}")
    }

    #[test]
    fn the_defaults_may_be() {
        assert_eq!(DetectSettings::default().check(), Ok(()));
        assert_eq!(toml::from_str::<DetectSettings>("").unwrap(), DetectSettings::default());
    }

    #[test]
    fn a_table_sets_what_it_names_and_nothing_else() {
        let text = "[ndr_flood]\nrate_min = 40\nrate_window = \"20 min\"\n[helo]\nproviders = [\"mail.example\"]\n";
        let settings: DetectSettings = toml::from_str(text).unwrap();
        let mut expected = DetectSettings::default();
        expected.ndr_flood.rate_min = 40;
        expected.ndr_flood.rate_window = Span::mins(20);
        expected.helo.providers = vec!["mail.example".to_owned()];
        assert_eq!(settings, expected);
        assert_eq!(settings.check(), Ok(()));
    }

    #[test]
    fn what_cannot_be_is_named_with_its_bounds() {
        assert_eq!(wrong("ndr_flood.rate_min = 0"), "ndr_flood.rate_min must be from 1 to 1000");
        assert_eq!(wrong("accounts.names_min = 17"), "accounts.names_min must be from 1 to 16");
        assert_eq!(wrong("harvest.p1 = 1.0"), "harvest.p1 must lie between 0 and 1, both left out");
        assert_eq!(wrong("harvest.p0 = 0.7"), "harvest.p0 must be less than p1");
        assert_eq!(
            wrong("relay.onward_window = \"0 s\""),
            "relay.onward_window must be longer than nothing and at most a year"
        );
        assert_eq!(wrong("helo.bare_db = -1.0"), "helo.bare_db must be a number of dB from 0 to 1000");
        assert_eq!(wrong("helo.bare_db = nan"), "helo.bare_db must be a number of dB from 0 to 1000");
        assert_eq!(
            wrong("outcome_burst.p0 = [0.9, 0.05, 0.03, 0.03]"),
            "outcome_burst.p0 must be chances above 0 that add up to 1"
        );
        assert_eq!(wrong("ndr_flood.other_share = 0.6"), "ndr_flood.other_share must be less than reverse_share");
    }
}
