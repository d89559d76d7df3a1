//! Guessing of passwords: a sequential test a client, two rules that count names and addresses, and the guess that was
//! right.
//!
//! What must not alarm is a telephone with an old password: it fails for ever, with one name, from one address. So a
//! failure is news only if the pair of client and name is, or if the same name is tried again and again in one
//! connection, which makes no sense with one password.

use std::collections::BTreeMap;

use super::super::crowd::Crowd;
use super::super::finding::{Finding, Numbers, Peer};
use super::super::lately::Lately;
use super::super::novelty::{self, Recent};
use super::super::observation::{Observation, Way};
use super::super::samples::{SAMPLES_MAX, Samples};
use super::super::score::{Class, Family};
use super::super::sequential::Cusum;
use super::super::table::{HostTable, Weigh};
use super::{AccountKey, DetectorStats, Guess, NAME_MAX, PEERS_MAX, Settings, account_key};
use crate::frame::{At, FrameNo};
use crate::net::HostKey;
use crate::session::{AuthAttempt, AuthResult};
use crate::tcp::ConnId;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// Accounts under attack that are watched: as many as names fail; those that fail from one address only go first.
const TARGETS_MAX: usize = 65_536;
/// Right guesses kept; each is an account to lock, and nobody reads more of them at once.
const GUESSES_MAX: usize = 256;
/// Names shown of what a client tried.
const NAMES_SHOWN: usize = 8;
/// Accounts under attack that are told of one by one, a server.
const TARGETS_SHOWN: usize = 5;
/// How long a pair of client and name is no news: longer than anybody leaves a telephone with an old password alone.
const PAIR_FOR: Span = Span::hours(30 * 24);
/// Such pairs in each half of that time; a quarter of a million take 1 MB.
const PAIRS_MAX: usize = 1 << 18;

/// Names that everybody tries: those of the SpamCop FAQ on guessed accounts, and what the boxes are delivered with.
const WELL_KNOWN: [&str; 16] = [
    "admin",
    "administrator",
    "backup",
    "contact",
    "demo",
    "guest",
    "info",
    "office",
    "postmaster",
    "root",
    "sales",
    "scan",
    "scanner",
    "support",
    "test",
    "webmaster",
];

/// What is known of one client at one server.
#[derive(Debug)]
struct Guesser {
    way: Way,
    sum: Cusum,
    alarmed: Option<Ts>,
    by_names: bool,
    by_rate: bool,
    /// Names that failed, and that succeeded, within the window.
    failing: Lately<16>,
    opened: Lately<16>,
    /// News among the failures within the window.
    fresh: Lately<16>,
    /// When the hour of `by_rate` began, and its failures.
    hour: (Ts, u64),
    /// The last connection, name and mechanism, and how often in a row.
    last_try: Option<(ConnId, u64, u32)>,
    attempts: u64,
    failures: u64,
    names: Vec<Wire>,
    names_most: usize,
    well_known: bool,
    guessed: u64,
    first: Ts,
    last: Ts,
    samples: Samples,
}

impl Weigh for Guesser {
    fn weight(&self) -> u64 {
        self.failures + 1000 * (u64::from(self.alarmed.is_some()) + self.guessed)
    }
}

impl Guesser {
    fn new(way: Way, now: Ts) -> Self {
        Self {
            way,
            sum: Cusum::default(),
            alarmed: None,
            by_names: false,
            by_rate: false,
            failing: Lately::default(),
            opened: Lately::default(),
            fresh: Lately::default(),
            hour: (now, 0),
            last_try: None,
            attempts: 0,
            failures: 0,
            names: Vec::new(),
            names_most: 0,
            well_known: false,
            guessed: 0,
            first: now,
            last: now,
            samples: Samples::default(),
        }
    }

    /// Whether this attempt repeats the last one, in the same connection, more often than with one password.
    fn insists(&mut self, settings: &Settings, id: ConnId, attempt: u64) -> bool {
        let tries = match self.last_try {
            Some((conn, last, tries)) if (conn, last) == (id, attempt) => tries.saturating_add(1),
            _ => 1,
        };
        self.last_try = Some((id, attempt, tries));
        tries > settings.tries_patient
    }

    /// What it weighs against the client, in dB.
    fn db(&self, settings: &Settings, now: Ts) -> f64 {
        let by_sum = if self.alarmed.is_some() { self.sum.peak(now) } else { 0.0 };
        let by_rule = if self.by_names { settings.rule_db } else { 0.0 };
        let by_rate = if self.by_rate { settings.many_db } else { 0.0 };
        let db = by_sum.max(by_rule).max(by_rate);
        if db > 0.0 && self.well_known && self.names.len() > 1 { db + settings.well_known_db } else { db }
    }
}

/// One account that fails.
#[derive(Debug)]
struct Target {
    name: Wire,
    clients: Lately<16>,
    fresh: Lately<8>,
    clients_most: usize,
    alarmed: bool,
    failures: u64,
    crowd: Crowd<HostKey, 64>,
    first: Ts,
    last: Ts,
    samples: Samples,
}

impl Weigh for Target {
    fn weight(&self) -> u64 {
        // One address with one name tells nothing of the account.
        self.clients_most.saturating_sub(1) as u64
    }
}

/// A right guess, to be told.
#[derive(Debug)]
struct Told {
    host: HostKey,
    server: HostKey,
    name: Wire,
    guess: Guess,
    id: ConnId,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Guessing {
    clients: HostTable<Guesser, (HostKey, HostKey)>,
    targets: HostTable<Target, AccountKey>,
    /// Pairs of client and name that failed before.
    tried: Recent,
    /// Accounts that were logged in to, and the networks from which.
    homes: Recent,
    told: Vec<Told>,
    told_dropped: u64,
}

impl Guessing {
    pub(super) fn new(clients_max: usize) -> Self {
        Self {
            clients: HostTable::new(clients_max),
            targets: HostTable::new(TARGETS_MAX),
            tried: Recent::new(PAIR_FOR, PAIRS_MAX),
            homes: Recent::new(PAIR_FOR, PAIRS_MAX),
            told: Vec::new(),
            told_dropped: 0,
        }
    }

    /// Learns from the end of an AUTH exchange; tells whether it was a right guess.
    pub(super) fn handle(&mut self, settings: &Settings, seen: &Observation<'_>, auth: &AuthAttempt) -> Option<Guess> {
        let name = auth.user.clone().unwrap_or_default();
        match auth.result {
            AuthResult::Succeeded => self.succeeded(settings, seen, &name),
            AuthResult::Failed if is_wrong_password(auth) => {
                self.failed(settings, seen, auth, &name);
                None
            }
            _ => None,
        }
    }

    fn failed(&mut self, settings: &Settings, seen: &Observation<'_>, auth: &AuthAttempt, name: &Wire) {
        let (server, client, now) = (seen.id.resp.host, seen.id.orig.host, seen.at.ts);
        let key = account_key(server, name);
        let new_pair = self.tried.insert(&[&server.octets(), &client.octets(), &key.1.to_le_bytes()], now);
        let guesser = self.clients.touch((server, client), || Guesser::new(seen.way, now)).0;
        if guesser.failures == 0 {
            guesser.first = now;
        }
        guesser.last = now;
        guesser.attempts += 1;
        guesser.failures += 1;
        let attempt = novelty::key(&[&key.1.to_le_bytes(), auth.mechanism.as_bytes()]);
        let insists = guesser.insists(settings, seen.id, attempt);
        let failing = guesser.failing.note(key.1, settings.window, now);
        guesser.names_most = guesser.names_most.max(failing);
        let shown = Wire::capped(name.as_bytes(), NAME_MAX);
        if guesser.names.len() < NAMES_SHOWN && !guesser.names.contains(&shown) {
            guesser.names.push(shown.clone());
        }
        guesser.well_known |= is_well_known(name);
        guesser.samples.add(seen.id, auth.at.frame);

        let fresh = new_pair || insists;
        if fresh {
            guesser.sum.add(10.0 * (settings.p1 / settings.p0).log10(), now);
            guesser.fresh.note(guesser.failures, settings.window, now);
        }
        if guesser.sum.value() >= settings.alarm_db {
            guesser.alarmed.get_or_insert(now);
        }
        if failing >= settings.names_min && failing > guesser.opened.count(settings.window, now) {
            guesser.by_names = true;
        }
        if now.since(guesser.hour.0) >= settings.window {
            guesser.hour = (now, 0);
        }
        guesser.hour.1 += 1;
        guesser.by_rate |= guesser.hour.1 >= settings.failures_many;

        if seen.way == Way::Outbound || name.is_empty() {
            return;
        }
        let target = self.targets.touch(key, || Target::new(shown, now)).0;
        target.last = now;
        target.failures += 1;
        let clients = target.clients.note(novelty::key(&[&client.octets()]), settings.window, now);
        target.clients_most = target.clients_most.max(clients);
        target.crowd.note(&client, now);
        target.samples.add(seen.id, auth.at.frame);
        target.alarmed |= clients >= settings.clients_min;
        if fresh {
            target.fresh.note(target.failures, settings.window, now);
        }
    }

    fn succeeded(&mut self, settings: &Settings, seen: &Observation<'_>, name: &Wire) -> Option<Guess> {
        let (server, client, now) = (seen.id.resp.host, seen.id.orig.host, seen.at.ts);
        let key = account_key(server, name);
        // Inside, every machine is a place of its own.
        let home = if seen.way == Way::Inbound { client.site() } else { client };
        let (octets, home, hash) = (server.octets(), home.octets(), key.1.to_le_bytes());
        let known_account = !self.homes.insert(&[&octets, &hash], now);
        let known_home = !self.homes.insert(&[&octets, &hash, &home], now);

        let guesser = self.clients.touch((server, client), || Guesser::new(seen.way, now)).0;
        guesser.attempts += 1;
        guesser.last_try = None;
        let before = guesser.opened.count(settings.window, now);
        if !guesser.opened.contains(key.1, settings.window, now) {
            guesser.sum.add(10.0 * ((1.0 - settings.p1) / (1.0 - settings.p0)).log10(), now);
        }
        guesser.opened.note(key.1, settings.window, now);
        let by_client = guesser.fresh.count(settings.window, now);
        let by_client_alone = by_client >= settings.guess_failures && by_client > before && !known_home;

        let target = self.targets.get(key).filter(|_| seen.way != Way::Outbound);
        let client_hash = novelty::key(&[&client.octets()]);
        let by_many = target.is_some_and(|target| {
            let clients = target.clients.count(settings.window, now);
            let one_of_them = target.clients.contains(client_hash, settings.window, now);
            let stranger = known_account && !known_home && clients >= settings.clients_min;
            let enough = target.fresh.count(settings.window, now) >= settings.guess_failures && clients >= 2;
            !known_home && (stranger || (enough && one_of_them))
        });
        if name.is_empty() || !(by_client_alone || by_many) {
            return None;
        }
        let failures = if by_client_alone { guesser.failures } else { target.map_or(0, |target| target.failures) };
        guesser.guessed += 1;
        guesser.last = now;
        let guess = Guess { client, failures, at: seen.at };
        let host = accused(seen.way, server, client);
        if self.told.len() < GUESSES_MAX {
            let name = Wire::capped(name.as_bytes(), NAME_MAX);
            self.told.push(Told { host, server, name, guess, id: seen.id });
        } else {
            self.told_dropped += 1;
        }
        Some(guess)
    }

    pub(super) fn findings(&self, settings: &Settings, detector: &'static str, now: At, out: &mut Vec<Finding>) {
        let mut groups: BTreeMap<HostKey, Vec<(HostKey, HostKey, &Guesser)>> = BTreeMap::new();
        for ((server, client), guesser) in self.clients.sorted() {
            if guesser.db(settings, now.ts) > 0.0 {
                let host = accused(guesser.way, server, client);
                groups.entry(host).or_default().push((server, client, guesser));
            }
        }
        for (host, group) in groups {
            out.push(finding_of_group(settings, detector, host, &group, now));
        }
        for told in &self.told {
            out.push(told.finding(detector));
        }
        self.findings_of_targets(settings, detector, out);
    }

    /// Accounts that fail from many addresses, the most attacked of each server.
    fn findings_of_targets(&self, settings: &Settings, detector: &'static str, out: &mut Vec<Finding>) {
        let mut groups: BTreeMap<HostKey, Vec<&Target>> = BTreeMap::new();
        for ((server, _), target) in self.targets.sorted() {
            if target.alarmed {
                groups.entry(server).or_default().push(target);
            }
        }
        for (server, mut targets) in groups {
            targets.sort_by(|a, b| (b.clients_most, &a.name).cmp(&(a.clients_most, &b.name)));
            for target in targets.into_iter().take(TARGETS_SHOWN) {
                let known = if is_well_known(&target.name) { settings.well_known_db } else { 0.0 };
                out.push(Finding {
                    says: format!(
                        "the account \"{}\" was tried in vain {} times, from {} or more addresses within an hour",
                        target.name, target.failures, target.clients_most
                    ),
                    numbers: Numbers::new()
                        .count("account_failures", target.failures)
                        .count("account_clients", target.clients_most as u64),
                    frames: target.samples.frames(),
                    sessions: target.samples.sessions(),
                    peers: target.crowd.peers("client", PEERS_MAX),
                    ..Finding::summed(
                        detector,
                        server,
                        Class::AuthGuessing,
                        Family::Auth,
                        settings.rule_db + known,
                        target.first,
                        target.last,
                    )
                });
            }
        }
    }

    pub(super) fn stats(&self) -> DetectorStats {
        DetectorStats {
            hosts: self.clients.len() + self.targets.len(),
            evicted: self.clients.evicted() + self.targets.evicted() + self.told_dropped,
            early_turns: self.tried.early_turns() + self.homes.early_turns(),
        }
    }
}

impl Target {
    fn new(name: Wire, now: Ts) -> Self {
        Self {
            name,
            clients: Lately::default(),
            fresh: Lately::default(),
            clients_most: 0,
            alarmed: false,
            failures: 0,
            crowd: Crowd::default(),
            first: now,
            last: now,
            samples: Samples::default(),
        }
    }
}

impl Told {
    fn finding(&self, detector: &'static str) -> Finding {
        let Guess { client, failures, at } = self.guess;
        Finding {
            kind: (self.host == client).then_some("from_inside"),
            says: format!(
                "after {failures} failures, {client} logged in to {} as \"{}\" at {}: the password was guessed",
                self.server, self.name, at.ts
            ),
            numbers: Numbers::new().count("guessed", 1).count("failures_before", failures),
            frames: vec![at.frame],
            sessions: vec![self.id],
            account: Some(self.name.clone()),
            ..Finding::summed(detector, self.host, Class::AuthGuessing, Family::Auth, 0.0, at.ts, at.ts)
        }
    }
}

/// The host that a guess is told about: the attacked server; but the guesser where it is one of ours, for it is the
/// machine that somebody must look at.
fn accused(way: Way, server: HostKey, client: HostKey) -> HostKey {
    if way == Way::Inbound { server } else { client }
}

fn finding_of_group(
    settings: &Settings,
    detector: &'static str,
    host: HostKey,
    group: &[(HostKey, HostKey, &Guesser)],
    now: At,
) -> Finding {
    let all = || group.iter().map(|(.., guesser)| *guesser);
    let db = all().map(|guesser| guesser.db(settings, now.ts)).fold(0.0, f64::max);
    let from_inside = group.iter().any(|(_, client, _)| *client == host);
    let (attempts, failures) = (sum(all().map(|g| g.attempts)), sum(all().map(|g| g.failures)));
    let guessed = sum(all().map(|g| g.guessed));
    let mut names: Vec<&Wire> = Vec::new();
    for name in all().flat_map(|guesser| &guesser.names) {
        if names.len() < NAMES_SHOWN && !names.contains(&name) {
            names.push(name);
        }
    }
    let tried: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let only_by_rate = all().all(|g| g.alarmed.is_none() && !g.by_names);
    let mut peers: Vec<Peer> = group
        .iter()
        .map(|(server, client, guesser)| Peer {
            ip: if from_inside { *server } else { *client },
            role: if from_inside { "attacked" } else { "client" },
            count: guesser.failures,
            says: None,
            first_ts: guesser.first,
            last_ts: guesser.last,
        })
        .collect();
    peers.sort_by(|a, b| (b.count, a.ip).cmp(&(a.count, b.ip)));
    peers.truncate(PEERS_MAX);
    let frames: Vec<FrameNo> = all().flat_map(|g| g.samples.frames()).take(SAMPLES_MAX).collect();
    let sessions: Vec<ConnId> = all().flat_map(|g| g.samples.sessions()).take(SAMPLES_MAX).collect();
    Finding {
        kind: from_inside.then_some("from_inside"),
        says: format!(
            "{failures} of {attempts} logins {} failed; names tried: {}{}",
            match (from_inside, group.len()) {
                (true, 1) => "at one server".to_owned(),
                (true, servers) => format!("at {servers} servers"),
                (false, 1) => "from one address".to_owned(),
                (false, clients) => format!("from {clients} addresses"),
            },
            tried.join(", "),
            if only_by_rate { "; it may be a program that was not told of a new password" } else { "" }
        ),
        numbers: Numbers::new()
            .count("clients", group.len() as u64)
            .count("attempts", attempts)
            .count("failures", failures)
            .count("names_in_an_hour", all().map(|g| g.names_most as u64).max().unwrap_or(0))
            .count("guesses_right", guessed)
            .with("s_peak_db", all().map(|g| g.sum.peak(now.ts)).fold(0.0, f64::max)),
        frames,
        sessions,
        peers,
        ..Finding::summed(
            detector,
            host,
            Class::AuthGuessing,
            Family::Auth,
            db,
            all().map(|g| g.first).min().unwrap_or(now.ts),
            all().map(|g| g.last).max().unwrap_or(now.ts),
        )
    }
}

fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// Whether the server said that name and password do not fit. What RFC 4954 section 6 has for other troubles (a
/// temporary failure, a mechanism too weak or unknown, encryption or another mechanism wanted, bad syntax) says nothing
/// of the client.
fn is_wrong_password(auth: &AuthAttempt) -> bool {
    auth.reply.as_ref().is_some_and(|reply| {
        reply.is_permanent() && !matches!(reply.code, Some(500..=504 | 523 | 524 | 530 | 534 | 538))
    })
}

/// Whether everybody tries this name; what follows an `@` does not matter.
fn is_well_known(name: &Wire) -> bool {
    let name = name.as_bytes();
    let local = name.iter().position(|&byte| byte == b'@').and_then(|at| name.get(..at)).unwrap_or(name);
    WELL_KNOWN.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(local))
}
