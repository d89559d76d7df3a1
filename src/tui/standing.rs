//! How a host or an incident stands on the screen: its tier, or why it has none.

use std::collections::BTreeMap;

use crate::detect::Tier;
use crate::incident::{DOUBT, Incident, RankedHost};
use crate::ledger::Role;
use crate::net::HostKey;
use crate::time::Ts;

/// How it stands, the worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(super) enum Standing {
    /// Nothing is held against it.
    #[default]
    Quiet,
    /// It suffers.
    Victim,
    /// A suspicion that is younger than [`DOUBT`], against a host whose role is not known yet: a mail server looks like
    /// that in its first seconds. Nobody is called out for it; the evidence is shown.
    Early,
    Suspect,
    Likely,
    Confirmed,
}

impl Standing {
    /// As it is shown, nine cells at most.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Quiet => "",
            Self::Victim => "victim",
            Self::Early => "too early",
            Self::Suspect => "suspect",
            Self::Likely => "likely",
            Self::Confirmed => "CONFIRMED",
        }
    }

    /// As it is looked for.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::Confirmed => "confirmed",
            other => other.name(),
        }
    }

    /// The tier, for its colour.
    pub(super) const fn tier(self) -> Option<Tier> {
        match self {
            Self::Quiet | Self::Victim | Self::Early => None,
            Self::Suspect => Some(Tier::Suspect),
            Self::Likely => Some(Tier::Likely),
            Self::Confirmed => Some(Tier::Confirmed),
        }
    }

    const fn of_tier(tier: Tier, early: bool) -> Self {
        match tier {
            Tier::Suspect if early => Self::Early,
            Tier::Suspect => Self::Suspect,
            Tier::Likely => Self::Likely,
            Tier::Confirmed => Self::Confirmed,
        }
    }
}

/// How hosts and incidents stand, each in its order. At the end of a run (`over`) nothing is too early any more.
pub(super) fn of_all(
    hosts: &[RankedHost],
    incidents: &[Incident],
    now: Ts,
    over: bool,
) -> (Vec<Standing>, Vec<Standing>) {
    // Only suspicions can be too early, and there are few hosts that have one.
    let suspected = hosts.iter().filter(|host| host.tier == Some(Tier::Suspect));
    let mut early: BTreeMap<HostKey, bool> =
        suspected.filter(|host| !over && host.row.role == Role::Unknown).map(|host| (host.row.host, true)).collect();
    let of_incidents = incidents
        .iter()
        .map(|incident| {
            if incident.class.is_victim() {
                return Standing::Victim;
            }
            let young = now.since(incident.first) < DOUBT;
            // One suspicion that has lasted is enough against a host.
            let known = early.get_mut(&incident.host).map(|all| {
                *all &= young;
                young
            });
            for insider in incident.insiders() {
                if let Some(all) = early.get_mut(&insider.ip) {
                    *all &= young;
                }
            }
            Standing::of_tier(incident.tier, known == Some(true))
        })
        .collect();
    let of_hosts = hosts
        .iter()
        .map(|host| match host.tier {
            Some(tier) => Standing::of_tier(tier, early.get(&host.row.host) == Some(&true)),
            None if host.classes.is_empty() => Standing::Quiet,
            None => Standing::Victim,
        })
        .collect();
    (of_hosts, of_incidents)
}
