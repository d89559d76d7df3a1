//! What detectors may ask beyond the observation itself.

use super::domains::LocalDomains;
use super::hosts::{HostBook, PerHost};
use super::replies::ReplyRules;
use super::reputation::Reputation;
use super::roles::Roles;
use crate::ledger::{HostRow, Role, Tried};
use crate::net::HostKey;
use crate::site::{Ours, Site};
use crate::time::Ts;

/// Read-only knowledge shared by all detectors; it already includes the observation being handled.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The home network.
    pub site: &'a Site,
    /// Addresses that are ours.
    pub ours: &'a Ours,
    /// The hosts of ours.
    pub hosts: &'a HostBook,
    /// Who is a mail server.
    pub roles: Roles<'a>,
    /// What the world thinks of our gateway.
    pub reputation: &'a Reputation,
    /// Which domains are ours.
    pub domains: &'a LocalDomains,
    /// What each host did, in numbers.
    pub ledger: &'a PerHost<HostRow>,
    /// What replies mean.
    pub rules: &'a ReplyRules,
    /// The time of the first observation.
    pub began: Ts,
    /// Event time.
    pub now: Ts,
}

impl<'a> Context<'a> {
    /// What a host of ours is.
    pub fn role(&self, host: HostKey) -> Role {
        match self.roles.role(host, self.site, self.now) {
            Role::Unknown | Role::Client if self.is_named_in_the_other_family(host) => Role::Server,
            role => role,
        }
    }

    /// Whether a host is a mail server by its other address: the operator named it by IPv4 and it calls by IPv6 too, or the
    /// other way round. It has the card and the HELO of that server.
    fn is_named_in_the_other_family(&self, host: HostKey) -> bool {
        let row = |host: HostKey| self.ledger.get(self.hosts.find(host)?);
        let mut others =
            self.site.mail_servers.iter().map(|ip| HostKey::from(*ip)).filter(|ip| ip.is_v4() != host.is_v4());
        others.any(|other| {
            let (Some(other), Some(row)) = (row(other), row(host)) else { return false };
            let same_card = row.macs().any(|mac| other.macs().any(|of_other| of_other == mac));
            same_card && row.helo().is_some() && row.helo() == other.helo()
        })
    }

    /// Whom a host of ours tried to reach, up to now.
    pub fn tried(&self, host: HostKey) -> Option<&'a Tried> {
        Some(&self.ledger.get(self.hosts.find(host)?)?.servers)
    }

    /// Whether a server of ours takes mail for the domain as its own: the operator says so, or the server's names or
    /// what was learned do. Domains that it passes on for others by the operator's word count too. Literals do not.
    pub fn owns(&self, server: HostKey, domain: &[u8]) -> bool {
        self.site.is_local_domain(domain)
            || self.site.is_relay_domain(domain)
            || self.domains.owns(server, domain, self.roles.banner_name(server))
    }
}
