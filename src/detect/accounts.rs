//! D7: accounts. Who guesses passwords, which guess was right, and what is then sent through the account.
//!
//! Read RFC 4954 (AUTH) first. Two rooms: `guessing` looks at the ends of AUTH exchanges, `abuse` at what the sessions
//! behind a login send, and who sends it (`abusers`). Passwords are not known here, they are dropped where they are
//! read; that a second attempt tried another password can only be told from its circumstances. AUTH under TLS is
//! invisible, and nothing is made of that.
//! `docs/detectors/accounts.md` has the rules and their sources.

mod abuse;
mod abusers;
mod guessing;
#[cfg(test)]
mod tests;

use super::context::Context;
use super::finding::Finding;
use super::novelty;
use super::observation::{Kind, Observation, Way, What};
use super::{Detector, DetectorStats};
use crate::frame::At;
use crate::net::HostKey;
use crate::session::AuthResult;
use crate::time::Span;
use crate::wire::Wire;

/// The settings of D7.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Share of failures among the attempts of honest clients (heuristic: people mistype).
    pub p0: f64,
    /// The same of a guesser.
    pub p1: f64,
    /// Alarm threshold, in dB; a server sees some 10^5 logins a month.
    pub alarm_db: f64,
    /// Names that fail within `window` from one address for an alarm of its own. Bro's `scan` of 2010 reported at 20
    /// names; five fail sooner than a shared office address does.
    pub names_min: usize,
    /// Addresses from which one account fails within `window` for an alarm of its own.
    pub clients_min: usize,
    /// What these two rules weigh, in dB (heuristic: just `likely` by themselves).
    pub rule_db: f64,
    /// Failures of one address with one name within `window` that are more than a program with an old password makes:
    /// five a minute, for an hour.
    pub failures_many: u64,
    /// What that weighs, in dB: no more than a suspicion.
    pub many_db: f64,
    /// Attempts for one name by one mechanism in one connection that patient programs and people make with the same
    /// password; from the next on it must be another one.
    pub tries_patient: u32,
    /// What names that everybody tries (`test`, `admin`) add, in dB.
    pub well_known_db: f64,
    /// Failures within `window` after which a login counts as guessed.
    pub guess_failures: usize,
    /// The window of all of these.
    pub window: Span,
    /// Alarm threshold of what became of an account's mail, in dB; an account makes some 10^3 observations a month.
    pub outcome_alarm_db: f64,
    /// Distinct outside recipients within an hour for an alarm.
    pub rcpts_min: u64,
    /// How many times the account's own busiest hour that must be.
    pub rcpts_factor: f64,
    /// How long an account must have been known before its busiest hour means something.
    pub history: Span,
    /// Networks (/16, or /32 of IPv6) that an account is used from within `window` for a suspicion. Two are a telephone
    /// and a desk.
    pub networks_min: usize,
    /// Foreign sender domains that an account uses within `window` for a suspicion.
    pub foreign_min: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            p0: 0.1,
            p1: 0.8,
            alarm_db: 50.0,
            names_min: 5,
            clients_min: 10,
            rule_db: 20.0,
            failures_many: 300,
            many_db: 10.0,
            tries_patient: 3,
            well_known_db: 6.0,
            guess_failures: 5,
            window: Span::hours(1),
            outcome_alarm_db: 30.0,
            rcpts_min: 100,
            rcpts_factor: 10.0,
            history: Span::hours(24),
            networks_min: 3,
            foreign_min: 3,
        }
    }
}

/// Bytes of an account's name that are shown; longer ones are addresses of nobody.
const NAME_MAX: usize = 64;
/// Addresses shown of an incident: what an administrator would paste into a block list.
const PEERS_MAX: usize = 50;

/// An account: the server that knows it, and a stable hash of its name without case.
type AccountKey = (HostKey, u64);

fn account_key(server: HostKey, name: &Wire) -> AccountKey {
    (server, novelty::key(&[&name.as_bytes().to_ascii_lowercase()]))
}

/// A right guess.
#[derive(Clone, Copy, Debug)]
struct Guess {
    /// From where.
    client: HostKey,
    /// After how many failures.
    failures: u64,
    /// When.
    at: At,
}

/// D7.
#[derive(Debug)]
pub struct Accounts {
    settings: Settings,
    guessing: guessing::Guessing,
    abuse: abuse::Abuse,
}

impl Accounts {
    /// With settings, for at most `clients_max` clients.
    pub fn new(settings: Settings, clients_max: usize) -> Self {
        Self { settings, guessing: guessing::Guessing::new(clients_max), abuse: abuse::Abuse::default() }
    }
}

impl Detector for Accounts {
    fn name(&self) -> &'static str {
        "accounts"
    }

    fn wants(&self, _: Way, kind: Kind) -> bool {
        matches!(kind, Kind::Auth | Kind::Transaction | Kind::Closed)
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        match seen.what {
            What::Auth(_, auth) => {
                let guess = self.guessing.handle(&self.settings, seen, auth);
                if auth.result == AuthResult::Succeeded && seen.way != Way::Outbound {
                    self.abuse.logged_in(&self.settings, seen, auth, guess);
                }
            }
            What::Transaction(mail) => match seen.way {
                Way::Inbound | Way::Inside => self.abuse.submitted(&self.settings, seen, mail, ctx),
                Way::Outbound => self.abuse.sent_on(&self.settings, seen, mail, ctx),
                Way::Foreign => {}
            },
            What::Closed(_) => self.abuse.closed(seen.id),
            _ => {}
        }
    }

    fn findings(&self, now: At, _: &Context<'_>, out: &mut Vec<Finding>) {
        self.guessing.findings(&self.settings, self.name(), now, out);
        self.abuse.findings(&self.settings, self.name(), out);
    }

    fn stats(&self) -> DetectorStats {
        let (guessing, abuse) = (self.guessing.stats(), self.abuse.stats());
        DetectorStats {
            hosts: guessing.hosts + abuse.hosts,
            evicted: guessing.evicted + abuse.evicted,
            early_turns: guessing.early_turns + abuse.early_turns,
        }
    }
}
