//! D12, first part: talkers who break the rules of the dialogue: before the greeting, in another protocol, out of turn.
//!
//! The facts are deterministic (an acknowledgement number does not cover the greeting's last byte, RFC 5321 section
//! 3.1; a command must end its group, RFC 2920 section 3.1); what they weigh is a heuristic. Only mail that goes out is
//! looked at: inside the house printers, health checks and monitors talk like that every day.

use super::context::Context;
use super::finding::{Finding, Numbers};
use super::hosts::{HostIdx, PerHost};
use super::lapses::{Lapses, counted};
use super::observation::{Kind, Observation, Way, What};
use super::roles::Voice;
use super::score::{Class, Family};
use super::table::Weigh;
use super::voices::Voices;
use super::{Detector, DetectorStats};
use crate::frame::At;
use crate::ledger::Role;
use crate::session::Session;
use crate::weird::Weird;

/// The settings of D12's first part. The weights say how an oddity changes the odds that a non-server is a bot.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Talking before the greeting, in dB. Postfix's postscreen makes it a test of its own for bots.
    pub early_talk_db: f64,
    /// A line of another protocol (`GET`, `CONNECT`, `Subject:`), in dB; Postfix hangs up on these by default
    /// (`smtpd_forbidden_commands = CONNECT GET POST`, and header lines).
    pub foreign_db: f64,
    /// A command before the reply it must wait for, in dB.
    pub pipelining_db: f64,
    /// A bare line feed for a line end, in dB: printers and scripts do it too.
    pub bare_lf_db: f64,
    /// Sessions with any of these within a day, before any counts.
    pub sessions_min: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { early_talk_db: 6.0, foreign_db: 6.0, pipelining_db: 4.0, bare_lf_db: 2.0, sessions_min: 2 }
    }
}

/// The kinds, for people, in the order of the numbers.
const KINDS: [&str; 4] = [
    "talked before the greeting",
    "sent lines of another protocol",
    "did not wait for replies",
    "ended lines with a bare line feed",
];

#[derive(Debug, Default)]
struct HostState {
    voices: Voices<Lapses<4>>,
}

impl Weigh for HostState {
    fn weight(&self) -> u64 {
        self.voices.iter().map(|(_, lapses)| lapses.sessions()).sum()
    }
}

/// D12, first part.
#[derive(Debug)]
pub struct Protocol {
    settings: Settings,
    hosts: PerHost<HostState>,
}

impl Protocol {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, hosts: PerHost::default() }
    }
}

/// Which kinds a session shows. Where frames are missing, what was said before a reply cannot be told.
fn lapses(session: &Session) -> [bool; 4] {
    let weird = session.smtp.weird;
    let whole = session.conn.gaps == 0 && !session.conn.one_sided;
    [
        whole && weird.contains(Weird::EarlyTalker),
        weird.contains(Weird::ForeignProtocol),
        whole && weird.contains(Weird::IllegalPipelining),
        weird.contains(Weird::BareLf),
    ]
}

impl Detector for Protocol {
    fn name(&self) -> &'static str {
        "protocol"
    }

    fn wants(&self, way: Way, kind: Kind) -> bool {
        way == Way::Outbound && kind == Kind::Closed
    }

    fn handle(&mut self, seen: &Observation<'_>, _: &Context<'_>) {
        let (Way::Outbound, Some(client), What::Closed(session)) = (seen.way, seen.client, seen.what) else { return };
        let kinds = lapses(session);
        if !kinds.contains(&true) {
            return;
        }
        let Settings { early_talk_db, foreign_db, pipelining_db, bare_lf_db, sessions_min } = self.settings;
        let state = self.hosts.touch(client);
        state.voices.touch(seen.voice).note(
            kinds,
            [early_talk_db, foreign_db, pipelining_db, bare_lf_db],
            sessions_min,
            seen.id,
            session.conn.first,
            seen.at.ts,
        );
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (host, state) in self.hosts.sorted(ctx.hosts) {
            for (voice, lapses) in state.voices.iter() {
                let db = lapses.db(now.ts);
                if db <= 0.0 || (ctx.role(host) == Role::Server && voice == Voice::Own) {
                    continue;
                }
                let [early, foreign, pipelining, bare_lf] = lapses.counts();
                let (first, last) = lapses.span();
                out.push(Finding {
                    says: format!(
                        "it broke the rules of the mail protocol in {} sessions with {} servers: {}",
                        lapses.sessions(),
                        lapses.servers(),
                        counted(&KINDS, &lapses.counts())
                    ),
                    numbers: Numbers::new()
                        .count("sessions", lapses.sessions())
                        .count("servers", lapses.servers())
                        .count("early_talk", early)
                        .count("foreign_protocol", foreign)
                        .count("illegal_pipelining", pipelining)
                        .count("bare_lf", bare_lf),
                    frames: lapses.samples().frames(),
                    sessions: lapses.samples().sessions(),
                    ..Finding::summed(self.name(), host, Class::MassMailer, Family::Protocol, db, first, last)
                });
            }
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
    use crate::incident::Judgement;
    use crate::site::Site;
    use crate::time::Span;
    use crate::weird::Weird;

    fn talk(scene: &mut Scene, client: &str, server: &str, odd: &[Weird]) {
        scene
            .call(client, server)
            .greets("220 mx.contoso.example ESMTP")
            .helo("pc23.adatum.example")
            .odd(odd)
            .mail(Letter::from("a@adatum.example").rcpt("b@contoso.example").data("1@x", "hello", "250 ok"))
            .quit();
    }

    #[test]
    fn a_bot_talks_before_the_greeting_and_sends_header_lines_as_commands() {
        let mut scene = Scene::new(Site::default());
        for net in 1..=5 {
            talk(
                &mut scene,
                "192.168.10.23",
                &format!("198.51.{net}.25"),
                &[Weird::EarlyTalker, Weird::ForeignProtocol],
            );
        }
        let found = scene.findings("protocol");
        assert_eq!(found.len(), 1);
        assert!((found[0].db - 12.0).abs() < 1e-9, "6 + 6, however often: {found:?}");
        assert_eq!(found[0].numbers.get("servers"), Some(5.0));
        assert!(found[0].says.contains("talked before the greeting (5)"), "{}", found[0].says);
    }

    #[test]
    fn all_kinds_together_are_cut_at_the_familys_cap() {
        let mut scene = Scene::new(Site::default());
        let all = [Weird::EarlyTalker, Weird::ForeignProtocol, Weird::IllegalPipelining, Weird::BareLf];
        for _ in 0..2 {
            talk(&mut scene, "192.168.10.23", "198.51.100.25", &all);
        }
        assert!((scene.findings("protocol")[0].db - 18.0).abs() < 1e-9);
        let judgement = Judgement::of(&scene.judge);
        let line = judgement.incidents[0].evidence.iter().find(|line| line.detector == Some("protocol")).unwrap();
        assert!((line.db - 15.0).abs() < 1e-9, "{line:?}");
    }

    #[test]
    fn a_copier_with_bare_line_feeds_is_no_bot() {
        let mut scene = Scene::new(Site::default());
        for _ in 0..200 {
            talk(&mut scene, "192.168.10.40", "198.51.100.25", &[Weird::BareLf]);
            scene.wait(Span::mins(5));
        }
        assert!(scene.findings("protocol").iter().all(|finding| finding.db <= 2.0));
        assert!(Judgement::of(&scene.judge).incidents.is_empty());
    }

    #[test]
    fn a_server_that_pipelines_by_the_rules_is_not_even_noted() {
        let mut scene = Scene::new(Site::default());
        for _ in 0..20 {
            talk(&mut scene, "192.168.10.10", "198.51.100.25", &[]);
        }
        assert!(scene.findings("protocol").is_empty());
    }

    #[test]
    fn one_session_is_not_enough_and_a_configured_server_is_never_accused() {
        let mut scene = Scene::new(Site::default());
        talk(&mut scene, "192.168.10.23", "198.51.100.25", &[Weird::EarlyTalker]);
        assert!(scene.findings("protocol").is_empty());

        let site = Site { mail_servers: vec!["192.168.10.10".parse().unwrap()], ..Site::default() };
        let mut scene = Scene::new(site);
        for _ in 0..5 {
            talk(&mut scene, "192.168.10.10", "198.51.100.25", &[Weird::EarlyTalker]);
        }
        assert!(scene.findings("protocol").is_empty());
    }

    #[test]
    fn where_frames_are_missing_nobody_talked_early() {
        let mut scene = Scene::new(Site::default());
        for _ in 0..3 {
            scene
                .call("192.168.10.23", "198.51.100.25")
                .greets("220 mx.contoso.example")
                .odd(&[Weird::EarlyTalker, Weird::IllegalPipelining])
                .gaps(1)
                .quit();
        }
        assert!(scene.findings("protocol").is_empty());
    }

    #[test]
    fn what_is_said_inside_the_house_does_not_count() {
        let mut scene = Scene::new(Site::default());
        for _ in 0..5 {
            talk(&mut scene, "192.168.10.50", "192.168.10.10", &[Weird::EarlyTalker, Weird::ForeignProtocol]);
        }
        assert!(scene.findings("protocol").is_empty());
    }
}
