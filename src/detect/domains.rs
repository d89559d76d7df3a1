//! Which domains are ours, where the operator does not say: learned a server, from what it takes, uses and refuses.
//!
//! That a server accepts a recipient says nothing: an open relay accepts everything. A domain becomes a candidate only
//! if outsiders from several networks mail it, the server (or who submits to it) sends under it or its own name lies in
//! it, and nothing for it was ever seen to leave. It is confirmed by a second, independent sign. The rules and their
//! numbers are heuristics; whoever names the domains in the configuration needs none of them.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::novelty::Recent;
use super::observation::{Mail, Observation, Way, What};
use super::replies::{ReplyClass, ReplyRules, Stage};
use super::roles::{first_name, is_fqdn};
use super::table::{HostTable, Weigh};
use crate::net::HostKey;
use crate::smtp::path::{MailPath, same_domain};
use crate::time::Span;
use crate::wire::Wire;

/// Servers learned about; an estate has some dozens, and each takes up to 50 KB.
const SERVERS_MAX: usize = 1024;
/// Domains watched a server; hosters with more name them in the configuration.
const DOMAINS_MAX: usize = 128;
/// Client networks counted a domain; the counts err upwards by one sixteenth at most, which only delays learning.
const NETWORKS_MAX: usize = 16;
/// Names a server calls itself in HELO and EHLO replies: one, or one an interface.
const NAMES_MAX: usize = 4;
/// Accepted recipients that a candidate needs.
const ACCEPTED_MIN: u64 = 5;
/// Networks that they must come from, none of them with more than half.
const NETWORKS_MIN: usize = 3;
/// One part in so many of all that the server accepts must be for the domain (5 %).
const SHARE_MIN: u64 = 20;
/// How long an outbound mail to a domain speaks against its being ours.
const ONWARD_FOR: Span = Span::hours(7 * 24);
/// Pairs of server and domain remembered for that, in each half: a busy site mails some ten thousand domains a week.
const ONWARD_MAX: usize = 1 << 16;

/// What is known of a domain at a server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Standing {
    /// Nothing that counts.
    Unknown,
    /// It looks like one of ours; what rests on that alone is at most of medium confidence.
    Candidate,
    /// It looks so, and a second sign says the same.
    Confirmed,
}

#[derive(Debug, Default)]
struct Domain {
    accepted: u64,
    networks: SmallVec<[(HostKey, u64); 4]>,
    /// Sender domain of what the server sends, or is given by hosts of ours.
    used_inside: u64,
    /// Sender domain of what outsiders bring.
    used_outside: u64,
    /// Recipients of it that the server does not know: it knows the domain's users.
    unknown_users: u64,
    /// Mail for it was seen to leave.
    onward: bool,
}

#[derive(Debug, Default)]
struct ServerDomains {
    accepted: u64,
    domains: BTreeMap<Wire, Domain>,
    names: SmallVec<[Wire; 1]>,
}

impl Weigh for ServerDomains {
    fn weight(&self) -> u64 {
        self.accepted
    }
}

/// The domains of all servers of ours.
#[derive(Debug)]
pub struct LocalDomains {
    servers: HostTable<ServerDomains>,
    onward: Recent,
}

impl LocalDomains {
    /// For at most `hosts_max` servers.
    pub fn new(hosts_max: usize) -> Self {
        Self { servers: HostTable::new(hosts_max.min(SERVERS_MAX)), onward: Recent::new(ONWARD_FOR, ONWARD_MAX) }
    }

    /// 'Seen before' filters that were full before their time.
    pub const fn early_turns(&self) -> u64 {
        self.onward.early_turns()
    }

    /// Learns from an observation.
    pub fn handle(&mut self, seen: &Observation<'_>, rules: &ReplyRules) {
        match seen.what {
            What::Transaction(mail) => match seen.way {
                Way::Inbound => self.taken(seen, mail, rules),
                Way::Outbound => self.sent(seen, mail),
                Way::Inside => {
                    let sender = domain_of(&mail.tx.mailfrom);
                    for server in [seen.id.resp.host, seen.id.orig.host] {
                        if let (Some(state), Some(sender)) = (self.servers.get_mut(server), &sender)
                            && let Some(domain) = state.domain(sender)
                        {
                            domain.used_inside += 1;
                        }
                    }
                }
                Way::Foreign => {}
            },
            What::Closed(session) if matches!(seen.way, Way::Inbound | Way::Inside) => {
                let reply = session.smtp.helo_reply.as_ref().filter(|reply| reply.is_positive());
                if let Some(name) = reply.and_then(|reply| first_name(reply.text.as_bytes()))
                    && let Some(state) = self.servers.get_mut(seen.id.resp.host)
                    && state.names.len() < NAMES_MAX
                    && !state.names.iter().any(|known| same_domain(known.as_bytes(), name))
                {
                    state.names.push(name.into());
                }
            }
            _ => {}
        }
    }

    fn taken(&mut self, seen: &Observation<'_>, mail: &Mail<'_>, rules: &ReplyRules) {
        let (server, network) = (seen.id.resp.host, seen.id.orig.host.site());
        let state = self.servers.touch(server, ServerDomains::default).0;
        if let Some(sender) = domain_of(&mail.tx.mailfrom)
            && let Some(domain) = state.domain(&sender)
        {
            domain.used_outside += 1;
        }
        for rcpt in &mail.tx.rcptto {
            let (Some(name), Some(reply)) = (domain_of(&rcpt.to), &rcpt.reply) else { continue };
            let accepted = reply.is_positive();
            let unknown = !accepted && rules.classify(reply, Stage::Rcpt).class == ReplyClass::UserUnknown;
            state.accepted += u64::from(accepted);
            if !accepted && !unknown {
                continue;
            }
            let onward = self.onward.contains(&[&server.octets(), name.as_bytes()], seen.at.ts);
            let Some(domain) = state.domain(&name) else { continue };
            domain.onward |= onward;
            domain.unknown_users += u64::from(unknown);
            if accepted {
                domain.accepted += 1;
                domain.note_network(network);
            }
        }
    }

    fn sent(&mut self, seen: &Observation<'_>, mail: &Mail<'_>) {
        let server = seen.id.orig.host;
        let Some(state) = self.servers.get_mut(server) else { return };
        if let Some(sender) = domain_of(&mail.tx.mailfrom)
            && let Some(domain) = state.domain(&sender)
        {
            domain.used_inside += 1;
        }
        for name in mail.tx.rcptto.iter().filter_map(|rcpt| domain_of(&rcpt.to)) {
            self.onward.insert(&[&server.octets(), name.as_bytes()], seen.at.ts);
            if let Some(domain) = state.domains.get_mut(&name) {
                domain.onward = true;
            }
        }
    }

    /// What is known of a domain at a server whose greeting gives `banner` as its name.
    pub fn standing(&self, server: HostKey, domain: &[u8], banner: Option<&Wire>) -> Standing {
        let Some(state) = self.servers.get(server) else { return Standing::Unknown };
        let key = domain_key(domain);
        state.domains.get(&key).map_or(Standing::Unknown, |known| state.standing(&key, known, banner))
    }

    /// Whether a domain is the server's own, as far as its names and what was learned tell: a name that it calls itself
    /// by, the domain that such a name lies in, or at least a candidate.
    pub fn owns(&self, server: HostKey, domain: &[u8], banner: Option<&Wire>) -> bool {
        let names = self.servers.get(server).map_or(&[][..], |state| &state.names);
        banner.into_iter().chain(names).any(|name| is_name_or_parent(name.as_bytes(), domain))
            || self.standing(server, domain, banner) >= Standing::Candidate
    }

    /// The best that is known of any domain at a server.
    pub fn best(&self, server: HostKey, banner: Option<&Wire>) -> Standing {
        self.learned_at(server, banner).map(|(_, standing)| standing).max().unwrap_or(Standing::Unknown)
    }

    /// Candidates and confirmed domains at a server, by name.
    pub fn learned_at<'a>(
        &'a self,
        server: HostKey,
        banner: Option<&'a Wire>,
    ) -> impl Iterator<Item = (&'a Wire, Standing)> + 'a {
        let state = self.servers.get(server);
        state
            .into_iter()
            .flat_map(move |state| {
                state.domains.iter().map(move |(name, domain)| (name, state.standing(name, domain, banner)))
            })
            .filter(|(_, standing)| *standing > Standing::Unknown)
    }

    /// The servers that something is known about, in order.
    pub fn servers(&self) -> Vec<HostKey> {
        self.servers.sorted().into_iter().map(|(server, _)| server).collect()
    }
}

impl ServerDomains {
    /// The entry of a domain; where there is no room, the one with the least mail makes some.
    fn domain(&mut self, name: &Wire) -> Option<&mut Domain> {
        if self.domains.len() >= DOMAINS_MAX && !self.domains.contains_key(name) {
            let least = self.domains.iter().min_by_key(|(_, known)| known.accepted)?.0.clone();
            self.domains.remove(&least);
        }
        Some(self.domains.entry(name.clone()).or_default())
    }

    fn standing(&self, name: &Wire, domain: &Domain, banner: Option<&Wire>) -> Standing {
        let named = banner.into_iter().chain(&self.names).any(|own| is_name_or_parent(own.as_bytes(), name.as_bytes()));
        // A sender domain that outsiders use as much as we do may be one that they relay under.
        let used = domain.used_inside > domain.used_outside;
        let enough = domain.accepted >= ACCEPTED_MIN && domain.accepted * SHARE_MIN >= self.accepted;
        let most = domain.networks.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let spread = domain.networks.len() >= NETWORKS_MIN && most * 2 <= domain.accepted;
        // The spread guards against an outsider who makes a domain up. Nobody outside chooses the server's own name.
        if domain.onward || !enough || !(used || named) || !(spread || named) {
            return Standing::Unknown;
        }
        if (used && named) || domain.unknown_users > 0 { Standing::Confirmed } else { Standing::Candidate }
    }
}

impl Domain {
    fn note_network(&mut self, network: HostKey) {
        if let Some((_, count)) = self.networks.iter_mut().find(|(known, _)| *known == network) {
            *count += 1;
        } else if self.networks.len() < NETWORKS_MAX {
            self.networks.push((network, 1));
        } else if let Some(least) = self.networks.iter_mut().min_by_key(|(_, count)| *count) {
            // Space-saving (Metwally et al. 2005): the newcomer inherits the smallest count.
            *least = (network, least.1 + 1);
        }
    }
}

/// Whether `domain` is the host name `name` itself or what remains of it without its first label, if two labels remain.
fn is_name_or_parent(name: &[u8], domain: &[u8]) -> bool {
    let parent = memchr::memchr(b'.', name).and_then(|dot| name.get(dot + 1..));
    same_domain(name, domain) || parent.is_some_and(|parent| is_fqdn(parent) && same_domain(parent, domain))
}

/// The domain of a plain address, in lower case; `None` for anything that a relay test would send.
fn domain_of(address: &Wire) -> Option<Wire> {
    let path = MailPath::new(address.as_bytes());
    let domain = path.domain().filter(|domain| path.route().is_none() && domain.len() <= 255 && is_fqdn(domain))?;
    Some(domain_key(domain))
}

fn domain_key(domain: &[u8]) -> Wire {
    Wire::from(domain.strip_suffix(b".").unwrap_or(domain).to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
