//! D10: somebody in between has taken over port 25, and senders who are ours only in name.
//!
//! From outside: a user who is away sends by the server at home; the access provider's transparent proxy takes the
//! connection over and comes as a stranger that sends as a local user and does not log in. From inside: whoever one of
//! our hosts calls, the same machine answers, or a firewall masks what is said. Both are heuristics: read
//! `docs/detectors/interception.md` for the points and for what fools them, and RFC 6409 for the remedy (submission on
//! port 587).

mod inside;
mod outside;

use super::context::Context;
use super::finding::Finding;
use super::hosts::HostIdx;
use super::observation::{Coming, Kind, Observation, Way, What};
use super::{Detector, DetectorStats};
use crate::frame::At;
use crate::session::SessionEventKind;
use crate::time::Span;
use inside::Inside;
use outside::Outside;

/// The settings of D10. Points and thresholds are choices, not measurements.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The sender has logged in before, or was seen to send from inside.
    pub known_sender: u32,
    /// The client calls itself by a name that is not ours, and sends for unrelated senders too.
    pub shared_client: u32,
    /// The server offered AUTH, which this sender uses otherwise.
    pub auth_unused: u32,
    /// A recipient outside: this is a user's mail, not mail to users.
    pub outside_recipient: u32,
    /// What was put off came again, as a mail server's queue does it.
    pub came_again: u32,
    /// The server refused the sender, or held its refusals back.
    pub refused: u32,
    /// So many points are an interception.
    pub points_min: u32,
    /// So many are likely one.
    pub points_likely: u32,
    /// A sender who comes from so many networks within a day is forged: nobody travels so fast.
    pub forged_networks: usize,
    /// So many mails within an hour under local senders are a spoof.
    pub spoof_min: u64,
    /// Networks in which our hosts hear the same name before it is one machine that answers.
    pub networks_min: u64,
    /// Share of all networks that must answer so.
    pub share_min: f64,
    /// How far back both look.
    pub window: Span,
    /// How long a sender that logged in is remembered: holidays are two weeks.
    pub known_for: Span,
    /// Names that many networks answer to by right.
    pub shared_names: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            known_sender: 2,
            shared_client: 2,
            auth_unused: 1,
            outside_recipient: 1,
            came_again: 1,
            refused: 1,
            points_min: 4,
            points_likely: 6,
            forged_networks: 4,
            spoof_min: 10,
            networks_min: 3,
            share_min: 0.9,
            window: Span::hours(24),
            known_for: Span::hours(14 * 24),
            shared_names: vec!["mx.google.com".to_owned(), "smtp.gmail.com".to_owned()],
        }
    }
}

/// D10.
#[derive(Debug)]
pub struct Interception {
    outside: Outside,
    inside: Inside,
}

impl Interception {
    /// With settings, for at most `hosts_max` hosts.
    pub fn new(settings: Settings, hosts_max: usize) -> Self {
        Self { outside: Outside::new(settings.clone(), hosts_max), inside: Inside::new(settings) }
    }
}

/// The name that findings carry.
const NAME: &str = "interception";

impl Detector for Interception {
    fn name(&self) -> &'static str {
        NAME
    }

    fn wants(&self, way: Way, kind: Kind) -> bool {
        kind == Kind::Closed || (way == Way::Outbound && kind == Kind::Greeted)
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        match (seen.way, seen.what) {
            (Way::Inbound, What::Closed(session)) => {
                self.outside.called(seen, session, ctx);
                self.inside.masked(seen, session);
            }
            (Way::Inside, What::Closed(session)) => self.outside.submitted(seen, session),
            (Way::Outbound, What::Closed(session)) => {
                self.outside.sent(seen, session);
                self.inside.masked(seen, session);
            }
            (Way::Outbound, What::Greeted(head)) => self.inside.greeted(seen, head),
            _ => {}
        }
    }

    fn fetch(&self, coming: &Coming<'_>) -> u64 {
        match coming.kind {
            SessionEventKind::Closed(session) if coming.way == Way::Outbound => {
                self.inside.fetch(coming) ^ self.outside.fetch(session)
            }
            SessionEventKind::Greeted(_) | SessionEventKind::Closed(_) => self.inside.fetch(coming),
            _ => 0,
        }
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        self.outside.findings(now.ts, ctx, out);
        self.inside.findings(now.ts, ctx.hosts, out);
    }

    fn weight(&self, host: HostIdx) -> u64 {
        self.inside.weight(host)
    }

    fn forget(&mut self, host: HostIdx) {
        self.inside.forget(host);
    }

    fn stats(&self) -> DetectorStats {
        let (outside, inside) = (self.outside.stats(), self.inside.stats());
        DetectorStats {
            hosts: outside.hosts + inside.hosts,
            evicted: outside.evicted + inside.evicted,
            early_turns: outside.early_turns,
        }
    }
}

#[cfg(test)]
mod tests;
