//! D8: directory harvest. Somebody asks for one recipient after the other to learn which exist, by RCPT or by VRFY and
//! EXPN (RFC 5321 sections 3.3, 3.5).
//!
//! A sequential test over distinct recipients, for each client and each client network at a server, and a rule that
//! counts distinct unknown ones within an hour. A third rule looks at a server as a whole, for harvests that are spread
//! over many addresses. What a host of ours asks of foreign servers becomes evidence against that host: a directory is
//! asked at one server, while a worm's bad recipients are strewn over many. `docs/detectors/harvest.md` has the sources.

mod probe;
mod server;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use foldhash::fast::RandomState;
use hashlink::LruCache;
use smallvec::SmallVec;

use super::context::Context;
use super::finding::{Finding, Numbers, Peer};
use super::novelty::{self, Recent};
use super::observation::{Coming, Kind, Mail, Observation, Way, What, asked_key};
use super::replies::{ReplyClass, Stage};
use super::roles::Voice;
use super::score::{Class, Family, Severity};
use super::table::HostTable;
use super::{Detector, DetectorStats};
use crate::frame::At;
use crate::net::HostKey;
use crate::session::{Outcome, Session, SessionEventKind};
use crate::smtp::Reply;
use crate::time::{Span, Ts};
use crate::wire::Wire;
use probe::{Answer, Prober, Question};
use server::Directory;
use waiting::WaitingRoom;

/// The settings of D8.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Share of unknown recipients among the distinct ones of an honest client (old mailing lists).
    pub p0: f64,
    /// The same of a harvester.
    pub p1: f64,
    /// Alarm threshold, in dB.
    pub alarm_db: f64,
    /// Distinct unknown recipients that the alarm needs too.
    pub invalid_min: u64,
    /// Distinct unknown recipients within an hour for an alarm of its own (Cisco's default is 25).
    pub invalid_hour_min: u64,
    /// Share of unknown ones within that hour that it needs too (Forcepoint: 50 %).
    pub share_min: f64,
    /// What that rule weighs, in dB (heuristic: just `likely` by itself).
    pub rule_db: f64,
    /// VRFY and EXPN that were answered with knowledge, for a suspicion.
    pub verify_min: u64,
    /// What a suspicion weighs, in dB.
    pub suspect_db: f64,
    /// Valid recipients found and later mailed that make it `high`.
    pub yield_min: u64,
    /// Distinct unknown recipients of a server within an hour, over all clients, for the distributed rule.
    pub spread_min: u64,
    /// How many times the usual of that hour of the day that must be.
    pub spread_factor: f64,
    /// Client networks that must take part.
    pub spread_networks_min: usize,
    /// The window of the rules that count.
    pub window: Span,
    /// The most that it adds against a host of ours, in dB.
    pub outbound_db: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            p0: 0.1,
            p1: 0.7,
            alarm_db: 50.0,
            invalid_min: 10,
            invalid_hour_min: 25,
            share_min: 0.5,
            rule_db: 20.0,
            verify_min: 3,
            suspect_db: 10.0,
            yield_min: 5,
            spread_min: 100,
            spread_factor: 6.0,
            spread_networks_min: 10,
            window: Span::hours(1),
            outbound_db: 15.0,
        }
    }
}

/// How long a recipient is no news of a client: a dead subscriber who is mailed every day counts once.
const DISTINCT_FOR: Span = Span::hours(7 * 24);
/// Pairs of client and recipient in each half of that time; a million take 2 MB.
const DISTINCT_MAX: usize = 1 << 20;
/// Valid recipients that were found without being mailed, over all clients; the oldest is forgotten when full.
const FOUND_MAX: usize = 65_536;
/// Servers looked at as a whole, at up to 40 KB each; an estate has some dozens.
const SERVERS_MAX: usize = 1024;
/// Clients shown of an incident.
const PEERS_MAX: usize = 50;

/// A recipient that was found: by which network, at which server.
#[derive(Clone, Copy, Debug)]
struct Found {
    server: HostKey,
    client: HostKey,
}

/// D8.
#[derive(Debug)]
pub struct Harvest {
    settings: Settings,
    /// By server and client.
    clients: HostTable<Prober, (HostKey, HostKey)>,
    /// By server and client network.
    sites: HostTable<Prober, (HostKey, HostKey)>,
    /// By host of ours and foreign server.
    outbound: HostTable<Prober, (HostKey, HostKey)>,
    servers: HostTable<Directory>,
    /// Those of whom there is little to tell, of all three tables.
    waiting: WaitingRoom,
    distinct: Recent,
    found: LruCache<u64, Found, RandomState>,
    found_forgotten: u64,
}

impl Harvest {
    /// With settings, for at most `hosts_max` hosts of ours and `clients_max` others.
    pub fn new(settings: Settings, hosts_max: usize, clients_max: usize) -> Self {
        Self {
            settings,
            clients: HostTable::new(clients_max),
            // A network has at least one client in the other table.
            sites: HostTable::new(clients_max / 2),
            outbound: HostTable::new(hosts_max),
            servers: HostTable::new(hosts_max.min(SERVERS_MAX)),
            waiting: WaitingRoom::new(),
            distinct: Recent::new(DISTINCT_FOR, DISTINCT_MAX),
            found: LruCache::with_hasher(usize::MAX, RandomState::default()),
            found_forgotten: 0,
        }
    }

    fn asked(&mut self, seen: &Observation<'_>, mail: &Mail<'_>, ctx: &Context<'_>) {
        let (server, client, now) = (seen.id.resp.host, seen.id.orig.host, seen.at.ts);
        let mailed = mail.tx.outcome == Outcome::Accepted;
        if is_mail_system(seen) {
            return;
        }
        // A call-out asks for the one sender of a mail, by the null sender, and goes. Where few users are valid, and
        // forged senders are made up, most that it asks for are unknown: only the rule that counts by the hour holds.
        let is_callout = mail.tx.null_sender && mail.tx.rcpt_total == 1 && mail.tx.transfer.is_none();
        let pair = seen.keys.pair;
        for (key, rcpt) in mail.keyed(mail.keys.first_asked, |name| asked_key(pair, name)) {
            let Some(reply) = &rcpt.reply else { continue };
            let Some(answer) = answer(mail, reply, ctx) else { continue };
            let mut name: SmallVec<[u8; 64]> = SmallVec::from_slice(rcpt.to.as_bytes());
            name.make_ascii_lowercase();
            if seen.way != Way::Outbound && answer == Answer::Valid {
                self.note_valid(seen, &name, mailed);
            }
            let new_to_client = self.distinct.insert_hash(key, now);
            let network = client.site().octets();
            let new_to_network =
                seen.way == Way::Inbound && self.distinct.insert(&[&server.octets(), &network, b"network", &name], now);
            let question = Question { answer, what: Some((&name, reply)), mailed, is_callout };
            self.probed(seen, question, (new_to_client, new_to_network));
        }
    }

    /// A valid recipient: found by a probe, or mailed by a network that had found it before.
    fn note_valid(&mut self, seen: &Observation<'_>, name: &[u8], mailed: bool) {
        let (server, client) = (seen.id.resp.host, seen.id.orig.host);
        let key = novelty::key(&[&server.octets(), &client.site().octets(), name]);
        if !mailed {
            if self.found.len() >= FOUND_MAX && !self.found.contains_key(&key) {
                self.found.remove_lru();
                self.found_forgotten += 1;
            }
            self.found.insert(key, Found { server, client });
        } else if let Some(found) = self.found.remove(&key) {
            for (table, who) in [(&mut self.clients, found.client), (&mut self.sites, found.client.site())] {
                if let Some(prober) = table.get_mut((found.server, who)) {
                    prober.mailed_later += 1;
                }
            }
        }
    }

    /// One question and its answer; `new` tells whether the client, and whether its network, asks it for the first time.
    fn probed(
        &mut self,
        seen: &Observation<'_>,
        question: Question<'_>,
        (new_to_client, new_to_network): (bool, bool),
    ) {
        let (server, client, now) = (seen.id.resp.host, seen.id.orig.host, seen.at.ts);
        let settings = &self.settings;
        let (table, key) = match seen.way {
            Way::Outbound => (&mut self.outbound, (client, server)),
            _ => (&mut self.clients, (server, client)),
        };
        if new_to_client {
            ask(table, (key, waiting_key(seen.way, seen.keys.pair)), &mut self.waiting, settings, seen, question);
        }
        if seen.way == Way::Inbound && new_to_network {
            ask(
                &mut self.sites,
                ((server, client.site()), network_key(server, client)),
                &mut self.waiting,
                settings,
                seen,
                question,
            );
            if let Some((name, _)) = question.what {
                let directory = self.servers.touch(server, Directory::default).0;
                directory.observe(settings, client, name, question.answer, now);
            }
        }
    }

    /// VRFY and EXPN, known when the session is over. What was asked is not kept: each counts as another name.
    fn verified(&mut self, seen: &Observation<'_>, session: &Session) {
        for command in &session.smtp.commands {
            let answer = match (command.verb, command.code) {
                ("VRFY" | "EXPN", Some(250 | 251)) => Answer::Valid,
                ("VRFY" | "EXPN", Some(550 | 551 | 553)) => Answer::Invalid,
                _ => continue,
            };
            self.probed(seen, Question { answer, what: None, mailed: false, is_callout: false }, (true, true));
        }
    }

    /// Harvests at servers of ours. The accused is the server that is harvested, with its clients as peers; but the
    /// client where it is one of ours.
    fn findings_at_home(&self, now: Ts, out: &mut Vec<Finding>) {
        let settings = &self.settings;
        let mut groups: BTreeMap<(HostKey, bool), Vec<(HostKey, &Prober)>> = BTreeMap::new();
        let mut told: BTreeSet<(HostKey, HostKey)> = BTreeSet::new();
        for ((server, client), prober) in self.clients.sorted() {
            if prober.db(settings, now) <= 0.0 {
                continue;
            }
            if prober.way == Way::Inside {
                groups.entry((client, true)).or_default().push((server, prober));
            } else {
                told.insert((server, client.site()));
                groups.entry((server, false)).or_default().push((client, prober));
            }
        }
        for ((server, site), prober) in self.sites.sorted() {
            // A network is told of only where none of its clients is bad enough alone.
            if prober.db(settings, now) > 0.0 && !told.contains(&(server, site)) {
                groups.entry((server, false)).or_default().push((site, prober));
            }
        }
        for ((host, from_inside), group) in groups {
            out.push(finding_of_group(settings, self.name(), host, from_inside, &group, now));
        }
        for (server, directory) in self.servers.sorted() {
            out.extend(directory.finding(settings, self.name(), server, PEERS_MAX));
        }
    }
}

/// A client's place in the waiting room.
fn waiting_key(way: Way, pair: u64) -> u64 {
    pair ^ if way == Way::Outbound { 0 } else { CLIENTS }
}

/// A client network's place in the waiting room; a network's address may be a client's, too.
fn network_key(server: HostKey, client: HostKey) -> u64 {
    novelty::key(&[&client.site().octets(), &server.octets()]) ^ NETWORKS
}

/// Any two numbers, to keep those who wait for different tables apart.
const CLIENTS: u64 = 0x9e37_79b9_7f4a_7c15;
const NETWORKS: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// Shows a question to a prober, or notes it in the waiting room as long as that is enough.
fn ask(
    table: &mut HostTable<Prober, (HostKey, HostKey)>,
    (key, hash): ((HostKey, HostKey), u64),
    waiting: &mut WaitingRoom,
    settings: &Settings,
    seen: &Observation<'_>,
    question: Question<'_>,
) {
    let now = seen.at.ts;
    let prober = match table.get_mut(key) {
        Some(_) => table.touch(key, || Prober::new(seen.way, now)).0,
        // VRFY and EXPN are odd whatever is answered.
        None if question.what.is_none() => table.touch(key, || Prober::new(seen.way, now)).0,
        None => {
            let asked = (question.answer, question.mailed, question.is_callout);
            let Err(known) = waiting.note(hash, asked, settings.window, now) else { return };
            table.touch(key, || Prober::after(settings, seen.way, &known, now)).0
        }
    };
    prober.observe(settings, seen, question);
}

fn finding_of_group(
    settings: &Settings,
    detector: &'static str,
    host: HostKey,
    from_inside: bool,
    group: &[(HostKey, &Prober)],
    now: Ts,
) -> Finding {
    let all = || group.iter().map(|(_, prober)| *prober);
    let total = |count: fn(&Prober) -> u64| all().map(count).fold(0, u64::saturating_add);
    let (invalid, valid) = (total(|p| p.invalid), total(|p| p.valid));
    let (verified, mailed) = (total(|p| p.verified), total(|p| p.mailed_later));
    let ordered = all().any(Prober::in_order);
    let names: Vec<String> =
        all().flat_map(|p| &p.names).take(probe::NAMES_SHOWN).map(|name| format!("\"{name}\"")).collect();
    let worst = all().max_by(|a, b| a.db(settings, now).total_cmp(&b.db(settings, now)));
    let mut says = format!("{} different recipients were asked for, {invalid} of which do not exist", invalid + valid);
    if verified > 0 {
        let _ = write!(says, "; {verified} VRFY or EXPN commands were answered");
    }
    if ordered {
        says.push_str("; in alphabetical order");
    }
    if valid > 0 {
        let _ = write!(says, "; {valid} were taken, {mailed} of them mailed later");
    }
    let at_once = total(|p| p.mailed);
    if at_once * 2 > valid {
        says.push_str("; most of these were mailed at once: it may as well be spam to made-up names");
    }
    if !names.is_empty() {
        let _ = write!(says, "; for example {}", names.join(", "));
    }
    let mut peers: Vec<Peer> = group
        .iter()
        .map(|(ip, prober)| Peer {
            ip: *ip,
            role: if from_inside { "attacked" } else { "client" },
            count: prober.invalid + prober.valid,
            says: None,
            first_ts: prober.first,
            last_ts: prober.last,
        })
        .collect();
    peers.sort_by(|a, b| (b.count, a.ip).cmp(&(a.count, b.ip)));
    peers.truncate(PEERS_MAX);
    Finding {
        kind: from_inside.then_some("from_inside"),
        says,
        numbers: Numbers::new()
            .count("clients", group.len() as u64)
            .count("invalid", invalid)
            .count("valid", valid)
            .count("verified", verified)
            .count("mailed_at_once", at_once)
            .count("mailed_later", mailed)
            .count("alphabetical", u64::from(ordered))
            .count("invalid_in_an_hour", all().map(|p| p.invalid_most).max().unwrap_or(0))
            .with("s_peak_db", all().map(|p| p.sum.peak(now)).fold(0.0, f64::max)),
        frames: worst.map(|p| p.samples.frames()).unwrap_or_default(),
        sessions: worst.map(|p| p.samples.sessions()).unwrap_or_default(),
        severity_min: (mailed >= settings.yield_min).then_some(Severity::High),
        peers,
        ..Finding::summed(
            detector,
            host,
            Class::DirectoryHarvest,
            Family::Directory,
            all().map(|p| p.db(settings, now)).fold(0.0, f64::max),
            all().map(|p| p.first).min().unwrap_or(now),
            all().map(|p| p.last).max().unwrap_or(now),
        )
    }
}

/// Whether this is a mail system of ours at its work: a gateway that asks the server behind it whether a recipient
/// exists, or a server that sends what others gave to it (its refusals are D1's, those of its reports D4's).
fn is_mail_system(seen: &Observation<'_>) -> bool {
    match seen.way {
        Way::Inside => seen.client_serves(),
        Way::Outbound => seen.voice == Voice::Own && seen.client_serves(),
        _ => false,
    }
}

/// What a reply to RCPT tells of the recipient; `None` where it tells of something else.
fn answer<'a>(mail: &Mail<'a>, reply: &'a Reply, ctx: &Context<'a>) -> Option<Answer> {
    if reply.is_positive() {
        // RFC 5321 section 3.5.3: 252 is 'cannot tell'.
        return (reply.code != Some(252)).then_some(Answer::Valid);
    }
    (reply.is_permanent() && mail.classify(reply, Stage::Rcpt, ctx.rules).class == ReplyClass::UserUnknown)
        .then_some(Answer::Invalid)
}

impl Detector for Harvest {
    fn name(&self) -> &'static str {
        "harvest"
    }

    fn wants(&self, _: Way, kind: Kind) -> bool {
        matches!(kind, Kind::Transaction | Kind::Closed)
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        match seen.what {
            What::Transaction(mail) => self.asked(seen, mail, ctx),
            What::Closed(session) => self.verified(seen, session),
            _ => {}
        }
    }

    fn fetch(&self, coming: &Coming<'_>) -> u64 {
        let SessionEventKind::Transaction(..) = coming.kind else { return 0 };
        self.waiting.fetch(waiting_key(coming.way, coming.keys.pair))
            ^ self.distinct.fetch(coming.keys.mail.first_asked)
    }

    fn findings(&self, now: At, _: &Context<'_>, out: &mut Vec<Finding>) {
        self.findings_at_home(now.ts, out);
        // The worst directory of each host; the same host at others adds nothing.
        let mut worst: BTreeMap<HostKey, (HostKey, &Prober)> = BTreeMap::new();
        for ((host, server), prober) in self.outbound.sorted() {
            if prober.alarmed() && worst.get(&host).is_none_or(|(_, known)| prober.invalid > known.invalid) {
                worst.insert(host, (server, prober));
            }
        }
        for (host, (server, prober)) in worst {
            out.push(Finding {
                says: format!(
                    "it asked the mail server {server} for {} different recipients, {} of which do not exist",
                    prober.invalid + prober.valid,
                    prober.invalid
                ),
                numbers: Numbers::new()
                    .count("harvest_invalid", prober.invalid)
                    .count("harvest_valid", prober.valid)
                    .with("s_peak_db", prober.sum.peak(now.ts)),
                frames: prober.samples.frames(),
                sessions: prober.samples.sessions(),
                ..Finding::summed(
                    self.name(),
                    host,
                    Class::MassMailer,
                    Family::Harvest,
                    self.settings.outbound_db,
                    prober.first,
                    prober.last,
                )
            });
        }
    }

    fn stats(&self) -> DetectorStats {
        DetectorStats {
            hosts: self.clients.len() + self.sites.len() + self.outbound.len() + self.servers.len(),
            evicted: self.clients.evicted()
                + self.sites.evicted()
                + self.outbound.evicted()
                + self.servers.evicted()
                + self.waiting.forgotten()
                + self.found_forgotten,
            early_turns: self.distinct.early_turns(),
        }
    }
}

/// A name as it may be shown.
fn shown(name: &[u8]) -> Wire {
    const NAME_MAX: usize = 64;
    Wire::capped(name, NAME_MAX)
}
