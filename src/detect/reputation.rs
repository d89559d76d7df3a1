//! What the world thinks of our gateway, as far as its replies tell: shared by detectors, because a listed address is
//! the burden of every host behind it and tells nothing of the single one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::observation::{Observation, Refusal, Way, What};
use super::replies::{OutcomeClass, ReplyClass, ReplyRules, Stage};
use crate::net::HostKey;
use crate::time::{Span, Ts};

/// Networks that refused us, remembered; a listed gateway is refused by far fewer that matter.
const SITES_MAX: usize = 4096;
/// After this long without a refusal the address counts as clean again (lists keep an address for about a day).
const CLEARS_AFTER: Span = Span::hours(24);

/// One network that refused us because of our address.
#[derive(Clone, Copy, Debug)]
struct Refuser {
    last_refused: Ts,
    accepted_since: bool,
}

/// The state of the gateway's reputation.
#[derive(Debug, Default)]
pub struct Reputation {
    refusers: BTreeMap<HostKey, Refuser>,
    /// How many of them have not taken mail since.
    still_refusing: usize,
    first_refused: Option<Ts>,
    last_refused: Option<Ts>,
    public_ips: BTreeMap<IpAddr, u64>,
}

/// Public addresses of ours learned from replies, at most this many: an office has a few.
const PUBLIC_IPS_MAX: usize = 64;

impl Reputation {
    /// Learns from an observation.
    pub fn handle(&mut self, seen: &Observation<'_>, rules: &ReplyRules) {
        if seen.way != Way::Outbound {
            return;
        }
        if let What::Greeted(head) = seen.what
            && let Some(reply) = head.greeting.as_ref().filter(|reply| !reply.is_positive())
        {
            let refusal = Refusal { stage: Stage::Greeting, reply, verdict: rules.classify(reply, Stage::Greeting) };
            if is_listing(&refusal) {
                self.note_refusal(seen.id.resp.host.site(), refusal.verdict.named_ip, seen.at.ts);
            }
        }
        let What::Transaction(mail) = seen.what else { return };
        if let Some(refusal) = &mail.refusal
            && is_listing(refusal)
        {
            self.note_refusal(seen.id.resp.host.site(), refusal.verdict.named_ip, seen.at.ts);
        } else if mail.outcome == Some(OutcomeClass::Accepted)
            && let Some(refuser) = self.refusers.get_mut(&seen.id.resp.host.site())
        {
            self.still_refusing -= usize::from(!refuser.accepted_since);
            refuser.accepted_since = true;
        }
    }

    /// Notes that a network refused us because our address is listed.
    fn note_refusal(&mut self, site: HostKey, named: Option<IpAddr>, now: Ts) {
        self.first_refused.get_or_insert(now);
        self.last_refused = Some(now);
        if self.refusers.len() < SITES_MAX || self.refusers.contains_key(&site) {
            let before = self.refusers.insert(site, Refuser { last_refused: now, accepted_since: false });
            self.still_refusing += usize::from(before.is_none_or(|refuser| refuser.accepted_since));
        }
        if let Some(ip) = named {
            self.note_public_ip(ip);
        }
    }

    /// Notes an address that a remote server says it sees us come from.
    pub fn note_public_ip(&mut self, ip: IpAddr) {
        if self.public_ips.len() < PUBLIC_IPS_MAX || self.public_ips.contains_key(&ip) {
            *self.public_ips.entry(ip).or_default() += 1;
        }
    }

    /// Whether the gateway is listed as far as is known at `now`: somebody said so within a day, and not all who said
    /// so have taken mail since.
    pub fn is_listed(&self, now: Ts) -> bool {
        self.last_refused.is_some_and(|last| now.since(last) < CLEARS_AFTER) && self.still_refusing > 0
    }

    /// Whether this network refuses everybody behind our gateway.
    pub fn refuses_us(&self, site: HostKey, now: Ts) -> bool {
        self.refusers
            .get(&site)
            .is_some_and(|refuser| !refuser.accepted_since && now.since(refuser.last_refused) < CLEARS_AFTER)
    }

    /// When the first listing refusal came.
    pub const fn first_refused(&self) -> Option<Ts> {
        self.first_refused
    }

    /// When the last listing refusal came.
    pub const fn last_refused(&self) -> Option<Ts> {
        self.last_refused
    }

    /// Public addresses of ours that remote servers named, in order.
    pub fn public_ips(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.public_ips.keys().copied()
    }
}

/// Whether a refusal is for the address's reputation, named by a blocklist or a provider's own list.
pub(super) fn is_listing(refusal: &Refusal<'_>) -> bool {
    refusal.verdict.class == ReplyClass::BlocklistIp
}
