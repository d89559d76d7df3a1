//! Scanners are not worms: a host that calls many mail servers, is greeted, and has nothing to say.
//!
//! A worm that is greeted says HELO and tries to send. What only reads greetings is a scan: of an administrator, a
//! monitor, or an intruder who looks for servers. Where nobody answers, a scan and a worm behind a closed firewall look
//! the same, and D3 keeps its suspicion: this detector then says nothing. Its finding takes the place of D2's and D3's
//! lines for the host (see `incident`), until the host sends its first HELO.

use std::collections::BTreeSet;

use super::context::Context;
use super::finding::{Finding, Numbers, Ruling};
use super::hosts::{HostIdx, PerHost};
use super::observation::{Coming, Kind, Observation, Way, What};
use super::samples::Samples;
use super::score::{Class, Confidence, Family, Severity, Tier};
use super::table::Weigh;
use super::{Detector, DetectorStats};
use crate::frame::At;
use crate::ledger::Tried;
use crate::net::HostKey;
use crate::session::Session;
use crate::tcp::ConnId;
use crate::time::{Span, Ts};

/// The settings of the scan detector. Its numbers are choices.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Servers tried within an hour.
    pub servers_min: usize,
    /// Of all that were tried, so many must have greeted and heard nothing: a host that nobody answers may be anything.
    pub silent_min: u64,
    /// How long the finding stands after the last attempt.
    pub stands_for: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self { servers_min: 30, silent_min: 3, stands_for: Span::hours(24) }
    }
}

/// Servers told apart exactly within an hour; the threshold lies below.
const EXACT_MAX: usize = 128;

#[derive(Debug, Default)]
struct HostState {
    hour: (Ts, BTreeSet<HostKey>),
    most: usize,
    tried: u64,
    /// Greeted by 2xx, and nothing was said but QUIT.
    silent: u64,
    /// It introduced itself, or sent anything: no scan.
    spoke: bool,
    first: Option<Ts>,
    last: Ts,
    samples: Samples,
}

impl HostState {
    /// It introduced itself, or sent something: what it tried is of no interest any more.
    fn speak(&mut self) {
        if !self.spoke {
            *self = Self { spoke: true, silent: self.silent, ..Self::default() };
        }
    }
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        u64::from(self.spoke) + self.silent
    }
}

/// The scan detector.
#[derive(Debug)]
pub struct PortScan {
    settings: Settings,
    hosts: PerHost<HostState>,
}

impl PortScan {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, hosts: PerHost::default() }
    }

    fn tried(&mut self, client: HostIdx, id: ConnId, now: Ts) -> &mut HostState {
        let state = self.hosts.touch(client);
        // Who spoke is no scanner and never becomes one.
        if state.spoke {
            return state;
        }
        state.first.get_or_insert(id.ts);
        state.last = state.last.max(now);
        state.tried += 1;
        if id.ts.since(state.hour.0) >= Span::hours(1) {
            state.hour = (id.ts, BTreeSet::new());
        }
        if state.hour.1.len() < EXACT_MAX {
            state.hour.1.insert(id.resp.host);
        }
        state.most = state.most.max(state.hour.1.len());
        state
    }

    /// Whether a host is a scanner as far as is known.
    fn scans(&self, state: &HostState, now: Ts) -> bool {
        !state.spoke
            && state.most >= self.settings.servers_min
            && state.silent >= self.settings.silent_min
            && now.since(state.last) < self.settings.stands_for
    }
}

/// Whether the client said anything that gets a mail nearer.
fn spoke(session: &Session) -> bool {
    let smtp = &session.smtp;
    smtp.helo.is_some() || smtp.transactions_total > 0 || !smtp.auth.is_empty() || smtp.tls.state.is_hidden()
}

impl Detector for PortScan {
    fn name(&self) -> &'static str {
        "port_scan"
    }

    fn wants(&self, way: Way, kind: Kind) -> bool {
        way == Way::Outbound && matches!(kind, Kind::Unanswered | Kind::Flooded | Kind::Transaction | Kind::Closed)
    }

    fn handle(&mut self, seen: &Observation<'_>, _: &Context<'_>) {
        let (Way::Outbound, Some(client)) = (seen.way, seen.client) else { return };
        match seen.what {
            What::Unanswered(attempt) => {
                self.tried(client, attempt.id, seen.at.ts);
            }
            What::Flooded(flood) => {
                let state = self.hosts.touch(client);
                state.last = state.last.max(seen.at.ts);
                state.tried += flood.attempts;
            }
            What::Transaction(_) => self.hosts.touch(client).speak(),
            What::Closed(session) => {
                let state = self.tried(client, seen.id, seen.at.ts);
                // A gap may hide what was said; a refusal in the greeting leaves nothing to say.
                let whole = session.conn.gaps == 0 && !session.conn.one_sided && !session.conn.cut_short;
                let welcome = session.smtp.greeting.as_ref().is_some_and(crate::smtp::Reply::is_positive);
                if spoke(session) {
                    state.speak();
                } else if whole && welcome {
                    state.silent += 1;
                    state.samples.add(seen.id, session.conn.first);
                }
            }
            _ => {}
        }
    }

    fn fetch(&self, coming: &Coming<'_>) -> u64 {
        let state = coming.client.filter(|_| coming.way == Way::Outbound).and_then(|client| self.hosts.get(client));
        state.map_or(0, |state| state.tried)
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (host, state) in self.hosts.sorted(ctx.hosts) {
            if !self.scans(state, now.ts) {
                continue;
            }
            let servers = ctx.tried(host).map_or(0, Tried::outside);
            out.push(Finding {
                says: format!(
                    "it tried {} mail servers, up to {} within an hour; {} greeted it, and it had nothing to say to any",
                    servers,
                    state.most,
                    state.silent
                ),
                numbers: Numbers::new()
                    .count("servers", servers)
                    .count("servers_in_an_hour", state.most as u64)
                    .count("connections", state.tried)
                    .count("greeted_and_silent", state.silent),
                frames: state.samples.frames(),
                sessions: state.samples.sessions(),
                verdict: Some(Ruling {
                    tier: Tier::Suspect,
                    severity: Severity::Info,
                    confidence: Confidence::Medium,
                }),
                ..Finding::summed(
                    self.name(),
                    host,
                    Class::PortScan,
                    Family::Scan,
                    0.0,
                    state.first.unwrap_or(state.last),
                    state.last,
                )
            });
        }
    }

    fn weight(&self, host: HostIdx) -> u64 {
        self.hosts.weight(host)
    }

    fn forget(&mut self, host: HostIdx) {
        self.hosts.forget(host);
    }

    fn stats(&self) -> DetectorStats {
        DetectorStats { hosts: self.hosts.len(), evicted: self.hosts.evicted(), early_turns: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Letter, Scene};
    use super::*;
    use crate::incident::Judgement;
    use crate::site::Site;

    const HOST: &str = "192.168.10.99";

    /// Every tenth server greets.
    fn scan(scene: &mut Scene, servers: u32) {
        for n in 0..servers {
            let server = format!("198.51.{n}.25");
            if n % 10 == 0 {
                scene.call(HOST, &server).greets("220 mx.contoso.example ESMTP").hangs_up();
            } else {
                scene.knock(HOST, &server);
            }
            scene.wait(Span::secs(1));
        }
    }

    fn classes(scene: &Scene) -> Vec<(Class, Tier, Severity)> {
        let judgement = Judgement::of(&scene.judge);
        judgement.incidents.iter().map(|incident| (incident.class, incident.tier, incident.severity)).collect()
    }

    #[test]
    fn a_scan_is_no_worm() {
        let mut scene = Scene::new(Site::default());
        scan(&mut scene, 60);
        assert_eq!(classes(&scene), [(Class::PortScan, Tier::Suspect, Severity::Info)]);
        let incident = &Judgement::of(&scene.judge).incidents[0];
        assert!(incident.evidence.iter().any(|line| line.detector == Some("connect_failures")), "{incident:?}");
        assert!(incident.evidence.iter().all(|line| line.db.abs() < 1e-9), "shown, not summed");
        assert!(incident.remediation.iter().any(|step| step.contains(HOST)), "{:?}", incident.remediation);
    }

    #[test]
    fn the_first_mail_makes_it_a_worm_again() {
        let mut scene = Scene::new(Site::default());
        scan(&mut scene, 60);
        scene
            .call(HOST, "203.0.113.25")
            .greets("220 mx.contoso.example ESMTP")
            .helo("pc99")
            .mail(Letter::from("a@x.example").to("b@contoso.example", "550 5.1.1 unknown"))
            .quit();
        assert_eq!(classes(&scene).iter().map(|(class, ..)| *class).collect::<Vec<_>>(), [Class::MassMailer]);
    }

    #[test]
    fn a_worm_behind_a_closed_firewall_stays_a_worm() {
        let mut scene = Scene::new(Site::default());
        for n in 0..60 {
            scene.knock(HOST, &format!("198.51.{n}.25"));
        }
        assert!(scene.findings("port_scan").is_empty());
        assert_eq!(classes(&scene).first().map(|(class, ..)| *class), Some(Class::MassMailer));
    }

    #[test]
    fn refused_in_the_greeting_there_was_nothing_to_say() {
        let mut scene = Scene::new(Site::default());
        for n in 0..60 {
            scene.call(HOST, &format!("198.51.{n}.25")).greets("554 5.7.1 go away").hangs_up();
        }
        assert!(scene.findings("port_scan").is_empty());
    }

    #[test]
    fn thirty_within_an_hour_and_three_greetings_are_the_boundary() {
        let found = |servers| {
            let mut scene = Scene::new(Site::default());
            scan(&mut scene, servers);
            scene.findings("port_scan").len()
        };
        assert_eq!((found(29), found(30)), (0, 1));
        let mut slow = Scene::new(Site::default());
        for n in 0..60 {
            slow.call(HOST, &format!("198.51.{n}.25")).greets("220 mx.contoso.example").quit();
            slow.wait(Span::mins(3));
        }
        assert!(slow.findings("port_scan").is_empty(), "twenty an hour");
    }

    #[test]
    fn a_probe_of_three_servers_is_no_scan_and_servers_are_bounded() {
        let mut scene = Scene::new(Site::default());
        for n in 0..600 {
            scene.call(HOST, &format!("198.51.{}.25", n % 3)).greets("220 mx.contoso.example").quit();
        }
        assert!(scene.findings("port_scan").is_empty());

        let mut scan = PortScan::new(Settings::default());
        let mut hosts = super::super::HostBook::new(10);
        let end = |n: u32| crate::net::Endpoint { host: HostKey::v4(n.to_be_bytes()), port: 25 };
        let client = hosts.hear(end(1).host, None, |_| 0).0;
        for n in 0..10_000 {
            scan.tried(client, ConnId { ts: Ts::EPOCH, orig: end(1), resp: end(n) }, Ts::EPOCH);
        }
        assert_eq!(scan.hosts.sorted(&hosts)[0].1.hour.1.len(), EXACT_MAX);
    }
}
