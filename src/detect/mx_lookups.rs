//! D14: look-ups of mail servers by hosts that are none (where DNS is captured).
//!
//! Office machines never ask for MX records: their mail program knows one server by name. Whyte et al., *Addressing
//! SMTP-based Mass-Mailing Activity Within Enterprise Networks* (2006), take the question itself for a sign; Ishibashi
//! et al. (2005) likewise. Blind to DNS over HTTPS and TLS, and to what a shared resolver asks on behalf of others.

use std::collections::VecDeque;

use super::context::Context;
use super::finding::{Finding, Numbers};
use super::hosts::{HostIdx, PerHost};
use super::novelty;
use super::observation::{Kind, Observation, Way, What};
use super::score::{Class, Family};
use super::sequential::Peak;
use super::table::Weigh;
use super::{Detector, DetectorStats};
use crate::distinct::Distinct;
use crate::frame::{At, FrameNo};
use crate::ledger::Role;
use crate::session::DnsQuery;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// The settings of D14.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Domains whose MX records were asked for within `window`, from which on it counts.
    pub domains_min: usize,
    /// What that adds, in dB (heuristic).
    pub mx_db: f64,
    /// Domains whose servers were guessed by name (`mail.`, `smtp.`, `mx.`) within `window`.
    pub guessed_min: usize,
    /// What that adds, in dB (heuristic).
    pub guess_db: f64,
    /// How near to each other the questions must be.
    pub window: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self { domains_min: 3, mx_db: 8.0, guessed_min: 3, guess_db: 4.0, window: Span::mins(10) }
    }
}

/// MX (RFC 1035 section 3.2.2).
const MX: u16 = 15;
/// Domains remembered a host within the window; the thresholds lie far below.
const DOMAINS_MAX: usize = 16;
/// Names and frames shown.
const SHOWN_MAX: usize = 5;
/// Labels under which servers are guessed.
const GUESSES: [&[u8]; 3] = [b"mail.", b"smtp.", b"mx."];

/// Questions of one kind.
#[derive(Debug, Default)]
struct Questions {
    /// Hashes of the last distinct domains, the oldest first.
    recent: VecDeque<(u64, Ts)>,
    db: Peak,
    domains: Distinct,
    asked: u64,
    first: Option<Ts>,
    last: Ts,
    names: Vec<Wire>,
    frames: Vec<FrameNo>,
}

impl Questions {
    fn note(&mut self, domain: &[u8], query: &DnsQuery, (needed, db, window): (usize, f64, Span)) {
        let now = query.at.ts;
        let key = novelty::key(&[domain]);
        self.asked += 1;
        self.domains.insert_bytes(domain);
        self.first.get_or_insert(now);
        self.last = self.last.max(now);
        if self.names.len() < SHOWN_MAX && !self.names.contains(&query.qname) {
            self.names.push(query.qname.clone());
            self.frames.push(query.at.frame);
        }
        self.recent.retain(|(known, then)| *known != key && now.since(*then) <= window);
        if self.recent.len() >= DOMAINS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((key, now));
        if self.recent.len() >= needed {
            self.db.raise(db, now);
        }
    }
}

#[derive(Debug, Default)]
struct HostState {
    mx: Questions,
    guesses: Questions,
    /// Others ask it: a resolver.
    answers: bool,
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        self.mx.asked + self.guesses.asked + u64::from(self.answers)
    }
}

/// D14.
#[derive(Debug)]
pub struct MxLookups {
    settings: Settings,
    hosts: PerHost<HostState>,
}

impl MxLookups {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, hosts: PerHost::default() }
    }

    fn asked(&mut self, seen: &Observation<'_>, query: &DnsQuery) {
        if let Some(server) = seen.server.filter(|server| seen.client != Some(*server)) {
            self.hosts.touch(server).answers = true;
        }
        let Some(client) = seen.client else { return };
        let settings = &self.settings;
        let name = query.qname.as_bytes();
        let state = self.hosts.touch(client);
        if query.qtype == MX {
            state.mx.note(name, query, (settings.domains_min, settings.mx_db, settings.window));
        } else if let Some(domain) = GUESSES.iter().find_map(|guess| name.strip_prefix(*guess)) {
            state.guesses.note(domain, query, (settings.guessed_min, settings.guess_db, settings.window));
        }
    }
}

impl Detector for MxLookups {
    fn name(&self) -> &'static str {
        "mx_lookups"
    }

    fn wants(&self, _: Way, kind: Kind) -> bool {
        kind == Kind::DnsQuery
    }

    fn handle(&mut self, seen: &Observation<'_>, _: &Context<'_>) {
        if let What::DnsQuery(query) = seen.what {
            self.asked(seen, query);
        }
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (host, state) in self.hosts.sorted(ctx.hosts) {
            let (mx, guesses) = (&state.mx, &state.guesses);
            let db = mx.db.at(now.ts) + guesses.db.at(now.ts);
            let is_mail_host = matches!(ctx.role(host), Role::Server | Role::Sender) || ctx.roles.takes_mail(host);
            if db <= 0.0 || state.answers || is_mail_host {
                continue;
            }
            let names: Vec<String> =
                mx.names.iter().chain(&guesses.names).take(SHOWN_MAX).map(ToString::to_string).collect();
            let first = [mx.first, guesses.first].into_iter().flatten().min().unwrap_or(now.ts);
            out.push(Finding {
                says: format!(
                    "it asked for the mail servers of {} domains, and guessed those of {}, as only mail servers do: {}",
                    mx.domains.count(),
                    guesses.domains.count(),
                    names.join(", ")
                ),
                numbers: Numbers::new()
                    .count("mx_domains", mx.domains.count())
                    .count("mx_questions", mx.asked)
                    .count("guessed_domains", guesses.domains.count())
                    .count("guesses", guesses.asked),
                frames: mx.frames.iter().chain(&guesses.frames).copied().take(SHOWN_MAX).collect(),
                ..Finding::summed(
                    self.name(),
                    host,
                    Class::MassMailer,
                    Family::Dns,
                    db,
                    first,
                    mx.last.max(guesses.last),
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

    const PC: &str = "192.168.10.23";
    const RESOLVER: &str = "192.168.10.1";

    fn db(scene: &Scene) -> f64 {
        scene.findings("mx_lookups").iter().map(|finding| finding.db).sum()
    }

    #[test]
    fn a_worm_asks_for_forty_domains_in_two_minutes() {
        let mut scene = Scene::new(Site::default());
        for n in 0..40 {
            scene.asks(PC, RESOLVER, MX, &format!("domain{n}.example"));
            scene.wait(Span::secs(3));
        }
        let found = scene.findings("mx_lookups");
        assert_eq!((found.len(), found[0].host.to_string().as_str()), (1, PC));
        assert!((found[0].db - 8.0).abs() < 1e-9);
        assert_eq!(found[0].numbers.get("mx_domains"), Some(40.0));
        assert!(Judgement::of(&scene.judge).incidents.is_empty(), "questions alone are no mail");
    }

    #[test]
    fn three_domains_within_ten_minutes_are_the_boundary() {
        let ask = |names: &[&str], pause| {
            let mut scene = Scene::new(Site::default());
            for name in names {
                scene.asks(PC, RESOLVER, MX, name);
                scene.wait(pause);
            }
            db(&scene)
        };
        assert!(ask(&["a.example", "b.example"], Span::secs(1)).abs() < 1e-9);
        assert!(ask(&["a.example", "b.example", "a.example"], Span::secs(1)).abs() < 1e-9);
        assert!((ask(&["a.example", "b.example", "c.example"], Span::millis(299_000)) - 8.0).abs() < 1e-9);
        assert!(ask(&["a.example", "b.example", "c.example"], Span::secs(301)).abs() < 1e-9);
    }

    #[test]
    fn guesses_by_name_count_half_and_both_are_cut_at_the_cap() {
        let mut scene = Scene::new(Site::default());
        for name in ["mail.a.example", "smtp.a.example", "mx.b.example"] {
            scene.asks(PC, RESOLVER, 1, name);
        }
        assert!(db(&scene).abs() < 1e-9, "two domains");
        scene.asks(PC, RESOLVER, 28, "mail.c.example");
        assert!((db(&scene) - 4.0).abs() < 1e-9);
        (0..3).for_each(|n| scene.asks(PC, RESOLVER, MX, &format!("d{n}.example")));
        assert!((db(&scene) - 12.0).abs() < 1e-9 && Family::Dns.cap() < 12.0);
    }

    #[test]
    fn a_resolver_asks_for_others() {
        let mut scene = Scene::new(Site::default());
        for n in 0..40 {
            scene.asks(PC, RESOLVER, 1, "mail.adatum.example");
            scene.asks(RESOLVER, "203.0.113.53", MX, &format!("domain{n}.example"));
        }
        assert!(scene.findings("mx_lookups").is_empty());
    }

    #[test]
    fn one_question_by_hand_is_nothing_and_a_server_may_ask() {
        let mut scene = Scene::new(Site::default());
        scene.asks(PC, RESOLVER, MX, "contoso.example");
        assert!(scene.findings("mx_lookups").is_empty());
        scene
            .call("198.51.100.7", "192.168.10.10")
            .greets("220 mail.adatum.example")
            .helo("mx.contoso.example")
            .mail(Letter::from("a@contoso.example").rcpt("b@adatum.example").data("", "x", "250 ok"))
            .quit();
        (0..40).for_each(|n| scene.asks("192.168.10.10", RESOLVER, MX, &format!("domain{n}.example")));
        assert!(scene.findings("mx_lookups").is_empty());
    }

    #[test]
    fn tables_are_bounded() {
        let mut scene = Scene::new(Site::default());
        (0..1000).for_each(|n| scene.asks(PC, RESOLVER, MX, &format!("domain{n}.example")));
        let found = scene.findings("mx_lookups");
        assert_eq!(found[0].frames.len(), SHOWN_MAX);
    }
}
