//! The judgement: what the sessions mean. One file a detector, all named in `registry`.
//!
//! [`Judge`] takes the ordered stream of session events, works out what several detectors need (direction, role, what a
//! reply means, whether a mail is news), shows it to each detector, and keeps the ledger. Nothing here looks at a frame.

pub mod accounts;
mod audience;
pub mod backscatter;
pub mod behind_nat;
pub mod blocklisted;
pub mod connect_failures;
mod context;
mod crowd;
pub mod dialect;
pub mod direct_to_mx;
mod domains;
mod few;
mod finding;
mod flooders;
pub mod harvest;
pub mod helo;
mod hosts;
pub mod interception;
mod judge;
mod lapses;
mod lately;
pub mod mx_lookups;
mod names;
pub mod ndr_flood;
mod novelty;
mod observation;
pub mod outcome_burst;
pub mod port_scan;
pub mod protocol;
pub mod relay;
pub mod replies;
pub mod replies_in_time;
mod reputation;
mod roles;
mod samples;
mod score;
mod sequential;
mod sets;
mod settings;
mod site_cap;
pub mod smuggling;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod told;
mod voices;

pub use context::Context;
pub use domains::{LocalDomains, Standing};
pub use finding::{Finding, Numbers, Peer, RelayOutcome, RelayVerdict, Rounded, Ruling};
pub use hosts::{HostBook, HostIdx, PerHost};
pub use judge::{Judge, JudgeStats, Terms};
pub use novelty::Recent;
pub use observation::{Coming, Keys, Kind, Mail, MailKeys, Observation, Refusal, Way, What};
pub use reputation::Reputation;
pub use roles::{RoleBook, Roles, Voice, is_fqdn, same_name};
pub use samples::{Samples, words};
pub use score::{Class, Confidence, Family, PRIOR_DB, Severity, Tier};
pub use sequential::{Cusum, Peak};
pub use settings::WrongSetting;
pub use table::{HostTable, Weigh};

use crate::frame::At;
use crate::limits::DetectLimits;

/// One way of looking at the traffic.
///
/// A detector learns from observations in the order of their frames and can be asked for its findings at any time; it
/// reads no clock, and the same observations give the same findings.
pub trait Detector: std::fmt::Debug + Send {
    /// The name that findings carry; snake case, unique in the registry.
    fn name(&self) -> &'static str;

    /// Whether it learns from a kind of observation on a way. It is told of no other; the answer is always the same.
    fn wants(&self, way: Way, kind: Kind) -> bool;

    /// Learns from one observation that it wants.
    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>);

    /// Asks memory for what will be needed to learn from an event that comes soon. Nothing is learned and nothing
    /// changes; the number only shows that the memory was read.
    ///
    /// What is kept of thousands of hosts lies far from the processor, and each look-up there waits. Asked for together,
    /// ahead of time, many wait hardly longer than one.
    fn fetch(&self, _: &Coming<'_>) -> u64 {
        0
    }

    /// The same for many events at once, of those that this detector wants; `place` is its own in the registry. Nothing
    /// stands between one reading and the next, so that a processor has many under way.
    fn fetch_all(&self, coming: &[Coming<'_>], place: usize) -> u64 {
        let wanted = coming.iter().filter(|coming| coming.wanted.has(place));
        wanted.fold(0, |read, coming| read ^ self.fetch(coming))
    }

    /// All that stands against a host at `now`, hosts in the order of their addresses.
    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>);

    /// How much it holds for or against a host: what that is worth when one of many has to go.
    fn weight(&self, _: HostIdx) -> u64 {
        0
    }

    /// The host had to go, and its place is another's now.
    fn forget(&mut self, _: HostIdx) {}

    /// How full its tables are.
    fn stats(&self) -> DetectorStats;
}

/// Fill and losses of a detector's tables.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct DetectorStats {
    /// Hosts held.
    pub hosts: usize,
    /// Hosts forgotten for want of room.
    pub evicted: u64,
    /// 'Seen before' filters that were full before their time.
    pub early_turns: u64,
}

/// The settings of every detector, with the defaults that their pages in `docs/detectors/` argue.
#[derive(Clone, PartialEq, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectSettings {
    /// D1.
    pub outcome_burst: outcome_burst::Settings,
    /// D2.
    pub direct_to_mx: direct_to_mx::Settings,
    /// D3.
    pub connect_failures: connect_failures::Settings,
    /// D4.
    pub ndr_flood: ndr_flood::Settings,
    /// D5.
    pub backscatter: backscatter::Settings,
    /// D6.
    pub relay: relay::Settings,
    /// D7.
    pub accounts: accounts::Settings,
    /// D8.
    pub harvest: harvest::Settings,
    /// D9.
    pub blocklisted: blocklisted::Settings,
    /// D10.
    pub interception: interception::Settings,
    /// D11.
    pub replies_in_time: replies_in_time::Settings,
    /// D12, the rules of the dialogue.
    pub protocol: protocol::Settings,
    /// D12, names in HELO.
    pub helo: helo::Settings,
    /// D12, ways of speaking.
    pub dialect: dialect::Settings,
    /// D13.
    pub smuggling: smuggling::Settings,
    /// D14.
    pub mx_lookups: mx_lookups::Settings,
    /// Scans for mail servers.
    pub port_scan: port_scan::Settings,
}

/// Every detector of the program.
fn registry(settings: &DetectSettings, limits: &DetectLimits) -> Vec<Box<dyn Detector>> {
    let (hosts, clients) = (limits.hosts_max, limits.clients_max);
    vec![
        Box::new(outcome_burst::OutcomeBurst::new(settings.outcome_burst.clone())),
        Box::new(direct_to_mx::DirectToMx::new(settings.direct_to_mx.clone())),
        Box::new(connect_failures::ConnectFailures::new(settings.connect_failures.clone())),
        Box::new(ndr_flood::NdrFlood::new(settings.ndr_flood.clone())),
        Box::new(backscatter::Backscatter::new(settings.backscatter.clone(), hosts)),
        Box::new(relay::Relay::new(settings.relay.clone(), hosts)),
        Box::new(accounts::Accounts::new(settings.accounts.clone(), clients)),
        Box::new(harvest::Harvest::new(settings.harvest.clone(), hosts, clients)),
        Box::new(blocklisted::Blocklisted::new(settings.blocklisted.clone())),
        Box::new(interception::Interception::new(settings.interception.clone(), hosts)),
        Box::new(replies_in_time::RepliesInTime::new(settings.replies_in_time.clone())),
        Box::new(protocol::Protocol::new(settings.protocol.clone())),
        Box::new(helo::Helo::new(settings.helo.clone())),
        Box::new(dialect::DialectBook::new(settings.dialect.clone())),
        Box::new(smuggling::Smuggling::new(settings.smuggling.clone())),
        Box::new(mx_lookups::MxLookups::new(settings.mx_lookups.clone())),
        Box::new(port_scan::PortScan::new(settings.port_scan.clone())),
        Box::new(behind_nat::BehindNat::default()),
    ]
}
