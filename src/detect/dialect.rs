//! D12, third part: programs are known by how they speak. A host that speaks exactly as known senders of spam do, and as
//! hardly anybody else, probably runs the same program.
//!
//! The idea is Stringhini et al., *B@bel: Leveraging Email Delivery for Spam Mitigation* (2012), and *BotMagnifier*
//! (2011). There is no cycle between the score and this line: whether another host is known for spam is decided here,
//! from what became of its mail alone, never from a score that this line is part of.

use std::collections::BTreeMap;

use super::context::Context;
use super::finding::{Finding, Numbers};
use super::helo::HeloForm;
use super::novelty::{self, Recent};
use super::observation::{Kind, Observation, Way, What};
use super::replies::{OutcomeClass, Stage};
use super::roles::Voice;
use super::samples::Samples;
use super::score::{Class, Family};
use super::sequential::Cusum;
use super::{Detector, DetectorStats};
use crate::distinct::Distinct;
use crate::frame::At;
use crate::ledger::Role;
use crate::net::HostKey;
use crate::session::{Outcome, Session};
use crate::tcp::ConnState;
use crate::time::{Span, Ts};

/// The settings of D12's third part.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What a mail to a recipient who does not exist adds to the sum of its sender, in dB (D1's table).
    pub bad_db: f64,
    /// What a mail that was taken takes off it, in dB (D1's table).
    pub good_db: f64,
    /// From this sum on a host is known for spam (D1's alarm for clients).
    pub known_db: f64,
    /// Share of the other speakers of a dialect that must be known for spam.
    pub known_share: f64,
    /// What sharing a dialect with them adds, in dB.
    pub shared_db: f64,
    /// What a rare dialect adds by itself, in dB.
    pub rare_db: f64,
    /// Hosts heard before anything can be called rare.
    pub rare_hosts_min: u64,
    /// Share of the hosts up to which a dialect is rare.
    pub rare_share: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bad_db: 9.0,
            good_db: -4.4,
            known_db: 30.0,
            known_share: 0.5,
            shared_db: 8.0,
            rare_db: 2.0,
            rare_hosts_min: 20,
            rare_share: 0.05,
        }
    }
}

/// Dialects told apart; a network has as many as it has mail programs. The one that was heard least goes first.
const DIALECTS_MAX: usize = 256;
/// Speakers of a dialect that are kept. One with more is common, and tells nothing.
const SPEAKERS_MAX: usize = 32;
/// Networks that refused a host's recipients count once an hour each: one dead destination makes nobody a spammer.
const SITE_WINDOW: Span = Span::hours(1);

#[derive(Debug, Default)]
struct Speaker {
    /// It spoke under another name than that of the mail server at its address.
    other: bool,
    spam: Cusum,
    sessions: u64,
    first: Ts,
    last: Ts,
    samples: Samples,
}

#[derive(Debug, Default)]
struct Speakers {
    hosts: BTreeMap<HostKey, Speaker>,
    common: bool,
    sessions: u64,
}

/// D12, third part.
#[derive(Debug)]
pub struct DialectBook {
    settings: Settings,
    dialects: BTreeMap<u64, Speakers>,
    hosts: Distinct,
    refused: Recent,
    evicted: u64,
}

impl DialectBook {
    /// With settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            dialects: BTreeMap::new(),
            hosts: Distinct::default(),
            refused: Recent::new(SITE_WINDOW, 1 << 16),
            evicted: 0,
        }
    }

    fn closed(&mut self, seen: &Observation<'_>, session: &Session, ctx: &Context<'_>) {
        let (host, now) = (seen.id.orig.host, seen.at.ts);
        self.hosts.insert(host);
        let key = dialect_of(session);
        if self.dialects.len() >= DIALECTS_MAX && !self.dialects.contains_key(&key) {
            let least = self.dialects.iter().min_by_key(|(key, known)| (known.sessions, **key)).map(|(key, _)| *key);
            self.dialects.remove(&least.unwrap_or(key));
            self.evicted += 1;
        }
        let known = self.dialects.entry(key).or_default();
        known.sessions += 1;
        if known.common || (known.hosts.len() >= SPEAKERS_MAX && !known.hosts.contains_key(&host)) {
            (known.common, known.hosts) = (true, BTreeMap::new());
            return;
        }
        let speaker = known.hosts.entry(host).or_insert_with(|| Speaker { first: seen.id.ts, ..Speaker::default() });
        speaker.other |= seen.voice == Voice::Other;
        speaker.sessions += 1;
        speaker.last = speaker.last.max(now);
        speaker.samples.add(seen.id, session.conn.first);
        for tx in &session.smtp.transactions {
            let unknown = |reply| ctx.rules.classify(reply, Stage::Rcpt).outcome() == OutcomeClass::BadRecipient;
            let bad = tx.rcptto.iter().filter(|rcpt| rcpt.reply.as_ref().is_some_and(unknown)).count();
            if bad * 2 >= tx.rcptto.len() && bad > 0 {
                if self.refused.insert(&[&host.octets(), &seen.id.resp.host.site().octets()], now) {
                    speaker.spam.add(self.settings.bad_db, now);
                }
            } else if tx.outcome == Outcome::Accepted {
                speaker.spam.add(self.settings.good_db, now);
            }
        }
    }

    /// What one dialect says of one of its speakers: decibels and a sentence.
    fn says(&self, speakers: &Speakers, host: HostKey, now: Ts) -> Option<(f64, String, Numbers)> {
        let settings = &self.settings;
        let others: Vec<(&HostKey, &Speaker)> = speakers.hosts.iter().filter(|(other, _)| **other != host).collect();
        let known: Vec<HostKey> = others
            .iter()
            .filter(|(_, speaker)| speaker.spam.peak(now) >= settings.known_db)
            .map(|(other, _)| **other)
            .collect();
        let numbers = Numbers::new()
            .count("speakers", speakers.hosts.len() as u64)
            .count("known_for_spam", known.len() as u64)
            .count("hosts", self.hosts.count());
        if !known.is_empty() && known.len() as f64 >= settings.known_share * others.len() as f64 {
            let names: Vec<String> = known.iter().take(3).map(ToString::to_string).collect();
            let says = format!(
                "it speaks exactly as {} does, most of whose mail goes to people who do not exist, and as {} others",
                names.join(", "),
                others.len() - known.len()
            );
            return Some((settings.shared_db, says, numbers));
        }
        let all = self.hosts.count();
        let rare = all >= settings.rare_hosts_min && speakers.hosts.len() as f64 <= settings.rare_share * all as f64;
        let says = format!("only {} of {all} hosts speak as it does", speakers.hosts.len());
        rare.then_some((settings.rare_db, says, numbers))
    }
}

/// One hash of all habits, the same in every run.
fn dialect_of(session: &Session) -> u64 {
    let smtp = &session.smtp;
    let said = |verb| smtp.commands.iter().any(|command| command.verb == verb);
    novelty::key(&[
        &smtp.dialect.bits().to_be_bytes(),
        &[
            smtp.esmtp.map_or(2, u8::from),
            HeloForm::of(smtp.helo.as_ref()) as u8,
            u8::from(smtp.quit),
            u8::from(said("RSET")),
            u8::from(smtp.pipelined),
            u8::from(session.conn.state == ConnState::Rsto),
        ],
    ])
}

impl Detector for DialectBook {
    fn name(&self) -> &'static str {
        "dialect"
    }

    fn wants(&self, way: Way, kind: Kind) -> bool {
        way == Way::Outbound && kind == Kind::Closed
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        let (Way::Outbound, What::Closed(session)) = (seen.way, seen.what) else { return };
        // Before MAIL little was said, and where frames are missing nobody knows what.
        let whole = session.conn.gaps == 0 && !session.conn.one_sided && !session.conn.cut_short;
        let server = seen.voice == Voice::Own && seen.role == Role::Server;
        if whole && !server && session.smtp.transactions_total > 0 {
            self.closed(seen, session, ctx);
        }
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        let mut best: BTreeMap<HostKey, Finding> = BTreeMap::new();
        for speakers in self.dialects.values() {
            for (host, speaker) in &speakers.hosts {
                if ctx.role(*host) == Role::Server && !speaker.other {
                    continue;
                }
                let Some((db, says, numbers)) = self.says(speakers, *host, now.ts) else { continue };
                if best.get(host).is_some_and(|known| known.db >= db) {
                    continue;
                }
                let finding = Finding {
                    says,
                    numbers,
                    frames: speaker.samples.frames(),
                    sessions: speaker.samples.sessions(),
                    ..Finding::summed(
                        self.name(),
                        *host,
                        Class::MassMailer,
                        Family::Dialect,
                        db,
                        speaker.first,
                        speaker.last,
                    )
                };
                best.insert(*host, finding);
            }
        }
        out.extend(best.into_values());
    }

    fn stats(&self) -> DetectorStats {
        let hosts = self.dialects.values().map(|speakers| speakers.hosts.len()).sum();
        DetectorStats { hosts, evicted: self.evicted, early_turns: self.refused.early_turns() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Letter, Scene};
    use super::*;
    use crate::session::Dialect;
    use crate::site::Site;

    const BOT: u16 = Dialect::NO_BRACKETS | Dialect::SPACE_AFTER_COLON;

    fn send(scene: &mut Scene, client: &str, net: usize, dialect: u16, answer: &str) {
        scene
            .call(client, &format!("198.51.{net}.25"))
            .greets("220 mx.contoso.example ESMTP")
            .helo("pc.adatum.example")
            .speaks(Dialect::default().with(dialect))
            .mail(Letter::from("a@adatum.example").to(&format!("user{net}@contoso.example"), answer))
            .quit();
    }

    const UNKNOWN: &str = "550 5.1.1 user unknown";
    const TAKEN: &str = "250 ok";

    #[test]
    fn who_speaks_as_a_known_spammer_does_is_under_suspicion() {
        let mut scene = Scene::new(Site::default());
        (0..4).for_each(|net| send(&mut scene, "192.168.10.23", net, BOT, UNKNOWN));
        send(&mut scene, "192.168.10.24", 1, BOT, TAKEN);
        send(&mut scene, "192.168.10.25", 1, 0, TAKEN);
        let found = scene.findings("dialect");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].host.to_string(), "192.168.10.24");
        assert!((found[0].db - 8.0).abs() < 1e-9);
        assert!(found[0].says.contains("192.168.10.23"));
    }

    #[test]
    fn three_networks_are_not_enough_and_one_network_never_is() {
        let mut scene = Scene::new(Site::default());
        (0..3).for_each(|net| send(&mut scene, "192.168.10.23", net, BOT, UNKNOWN)); // 27 dB
        (0..50).for_each(|_| send(&mut scene, "192.168.10.26", 9, BOT, UNKNOWN)); // 9 dB
        send(&mut scene, "192.168.10.24", 1, BOT, TAKEN);
        assert!(scene.findings("dialect").is_empty());
    }

    #[test]
    fn the_program_of_the_whole_office_accuses_nobody() {
        let mut scene = Scene::new(Site::default());
        (0..8).for_each(|net| send(&mut scene, "192.168.10.23", net, 0, UNKNOWN));
        (30..40).for_each(|n| send(&mut scene, &format!("192.168.10.{n}"), 1, 0, TAKEN));
        assert!(scene.findings("dialect").is_empty());
    }

    #[test]
    fn a_rare_dialect_weighs_a_little_once_there_is_a_crowd() {
        let mut scene = Scene::new(Site::default());
        send(&mut scene, "192.168.10.23", 1, BOT, TAKEN);
        (30..48).for_each(|n| send(&mut scene, &format!("192.168.10.{n}"), 1, 0, TAKEN));
        assert!(scene.findings("dialect").is_empty(), "19 hosts are no crowd");
        send(&mut scene, "192.168.10.50", 1, 0, TAKEN);
        let found = scene.findings("dialect");
        assert_eq!((found.len(), found[0].host.to_string().as_str()), (1, "192.168.10.23"));
        assert!((found[0].db - 2.0).abs() < 1e-9);
    }

    #[test]
    fn tables_are_bounded() {
        let mut scene = Scene::new(Site::default());
        for n in 0..600_u16 {
            send(&mut scene, &format!("10.0.{}.{}", n / 250, n % 250), 1, n, TAKEN);
        }
        (0..100).for_each(|n| send(&mut scene, &format!("10.1.0.{n}"), 1, 0, TAKEN));
        let stats = scene.judge.stats();
        let (_, dialect) = stats.detectors.iter().find(|(name, _)| *name == "dialect").unwrap();
        assert!(dialect.hosts <= DIALECTS_MAX * SPEAKERS_MAX);
        assert!(dialect.evicted >= 600 - DIALECTS_MAX as u64, "{dialect:?}");
    }
}
