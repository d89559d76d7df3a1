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
        self.roles.role(host, self.site, self.now)
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
