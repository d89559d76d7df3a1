//! What is sent through an account: what became of it, how much it is, from where and under which names.
//!
//! A session belongs to the account that logged in on it. Refusals of recipients count at once; a recipient that our
//! server took counts when the mail goes on to the world, matched by sender and recipient. Where that is under TLS, or
//! the sender was rewritten, nothing is counted.

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashlink::LruCache;

use super::super::context::Context;
use super::super::crowd::Crowd;
use super::super::finding::{Finding, Numbers, Peer, Ruling};
use super::super::lately::Lately;
use super::super::novelty;
use super::super::observation::{Mail, Observation, Way};
use super::super::outcome_burst;
use super::super::replies::{OutcomeClass, Stage};
use super::super::samples::Samples;
use super::super::score::{Class, Confidence, Family, Severity, Tier};
use super::super::sequential::Cusum;
use super::super::table::{HostTable, Weigh};
use super::abusers::{Abusers, Origin};
use super::{AccountKey, DetectorStats, Guess, NAME_MAX, PEERS_MAX, Settings, account_key};
use crate::distinct::Distinct;
use crate::net::HostKey;
use crate::session::{AuthAttempt, Outcome};
use crate::smtp::path::MailPath;
use crate::tcp::ConnId;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// Accounts watched: those that somebody logged in to. One that mails hundreds of recipients takes 20 KB, so that the
/// table stays below 200 MB; the ones that send least go first.
const ACCOUNTS_MAX: usize = 8192;
/// Sessions behind a login that are open at once; a busy server has some thousands.
const SESSIONS_MAX: usize = 65_536;
/// Mails that wait to be seen leaving our server, by sender and recipient; the oldest is forgotten (neutral) when full.
const ONWARD_MAX: usize = 65_536;
/// Accounts told of one by one, a server; whoever has more to lock looks at all of them.
const ACCOUNTS_SHOWN: usize = 20;
/// How long a network counts as one of the account's own.
const HOME_FOR: Span = Span::hours(30 * 24);
/// One destination may add at most this much within an hour, in dB, as in D1.
const DOMAIN_CAP_DB: f64 = 12.0;
/// Destinations remembered an account for that.
const DOMAINS_MAX: usize = 16;

/// Who opened a session, as far as a guess before it tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    /// Nothing speaks against its being the owner.
    Owner,
    /// Somebody in a network that never used the account before it was guessed.
    Stranger,
    /// The address that guessed it.
    Guesser,
}

#[derive(Debug)]
struct Account {
    name: Wire,
    first: Ts,
    last: Ts,
    guess: Option<Guess>,
    homes: Lately<16>,
    /// The running hour: when it began, its outside recipients, and whether it raised an alarm.
    hour: (Ts, Distinct, bool),
    /// The most outside recipients of an hour, hours of plain abuse left out.
    usual: u64,
    volume: Option<Volume>,
    outcome: Cusum,
    outcomes: [u64; 4],
    domains: Vec<(u64, Ts, f64)>,
    failing: bool,
    networks: Lately<8>,
    networks_most: usize,
    foreign: Lately<8>,
    foreign_most: usize,
    mails: u64,
    rcpts: u64,
    by_strangers: u64,
    by_guesser: u64,
    since: Option<Ts>,
    clients: Crowd<HostKey, 64>,
    abusers: Abusers,
    samples: Samples,
}

/// An hour with far more recipients than usual.
#[derive(Clone, Copy, Debug)]
struct Volume {
    rcpts: u64,
    usual: u64,
    /// The account was known for long enough to say what is usual.
    known: bool,
}

impl Weigh for Account {
    fn weight(&self) -> u64 {
        self.mails + 1000 * u64::from(self.guess.is_some() || self.since.is_some())
    }
}

impl Account {
    fn new(name: &Wire, now: Ts) -> Self {
        Self {
            name: Wire::capped(name.as_bytes(), NAME_MAX),
            first: now,
            last: now,
            guess: None,
            homes: Lately::default(),
            hour: (now, Distinct::default(), false),
            usual: 0,
            volume: None,
            outcome: Cusum::default(),
            outcomes: [0; 4],
            domains: Vec::new(),
            failing: false,
            networks: Lately::default(),
            networks_most: 0,
            foreign: Lately::default(),
            foreign_most: 0,
            mails: 0,
            rcpts: 0,
            by_strangers: 0,
            by_guesser: 0,
            since: None,
            clients: Crowd::default(),
            abusers: Abusers::default(),
            samples: Samples::default(),
        }
    }

    /// Signs of abuse that hold by themselves, and those that only raise a suspicion.
    fn signs(&self, settings: &Settings) -> (usize, usize) {
        let known = self.volume.is_some_and(|volume| volume.known);
        let strong = usize::from(self.failing) + usize::from(known);
        let weak = usize::from(self.volume.is_some() && !known)
            + usize::from(self.networks_most >= settings.networks_min)
            + usize::from(self.foreign_most >= settings.foreign_min);
        (strong, weak)
    }

    fn ruling(&self, settings: &Settings) -> Option<Ruling> {
        let (strong, weak) = self.signs(settings);
        let (tier, severity) = match (&self.guess, strong + weak) {
            (Some(_), 1..) => (Tier::Confirmed, Severity::Critical),
            (Some(_), 0) if self.by_guesser > 0 => (Tier::Confirmed, Severity::Critical),
            (Some(_), 0) if self.by_strangers > 0 => (Tier::Likely, Severity::High),
            (None, 1..) if strong > 0 || weak > 1 => (Tier::Likely, Severity::High),
            (None, 1) => (Tier::Suspect, Severity::Medium),
            _ => return None,
        };
        let unknown = self.guess.is_none() && strong == 0 && self.volume.is_some();
        let confidence = if unknown { Confidence::Low } else { Confidence::High };
        Some(Ruling { tier, severity, confidence })
    }

    /// What became of one recipient's mail.
    fn observe(&mut self, settings: &Settings, outcome: OutcomeClass, domain: u64, origin: Origin, now: Ts) {
        let burst = outcome_burst::Settings::default();
        let Some(i) = outcome_burst::index(outcome) else { return };
        self.outcomes[i] += 1;
        let z = (10.0 * (burst.p1[i] / burst.p0[i]).log10()).clamp(-burst.z_max, burst.z_max);
        let z = if z > 0.0 { self.within_cap(z, domain, now) } else { z };
        self.outcome.add(z, now);
        if self.outcome.value() >= settings.outcome_alarm_db {
            self.failing = true;
            // What is taken while the sum comes down may be the owner's.
            if outcome != OutcomeClass::Accepted {
                self.alarm_by(origin, now);
            }
        }
    }

    fn within_cap(&mut self, z: f64, domain: u64, now: Ts) -> f64 {
        let i = self.domains.iter().position(|(known, ..)| *known == domain).unwrap_or_else(|| {
            if self.domains.len() >= DOMAINS_MAX {
                let oldest = (0..self.domains.len()).min_by_key(|&i| self.domains[i].1).unwrap_or(0);
                self.domains.swap_remove(oldest);
            }
            self.domains.push((domain, now, 0.0));
            self.domains.len() - 1
        });
        let (_, began, used) = &mut self.domains[i];
        if now.since(*began) >= Span::hours(1) {
            (*began, *used) = (now, 0.0);
        }
        let left = (DOMAIN_CAP_DB - *used).clamp(0.0, z);
        *used += left;
        left
    }

    fn note_recipient(&mut self, settings: &Settings, to: &[u8], origin: Origin, now: Ts) {
        self.rcpts += 1;
        if now.since(self.hour.0) >= Span::hours(1) {
            // A large hour that nothing else speaks against is a habit; it was told of once.
            if !(self.hour.2 && (self.guess.is_some() || self.failing)) {
                self.usual = self.usual.max(self.hour.1.count());
            }
            self.hour = (now, Distinct::default(), false);
        }
        self.hour.1.insert_bytes(to);
        let rcpts = self.hour.1.count();
        if rcpts >= settings.rcpts_min && rcpts as f64 > settings.rcpts_factor * self.usual as f64 {
            self.hour.2 = true;
            let known = now.since(self.first) >= settings.history;
            let most = self.volume.map_or(0, |volume| volume.rcpts);
            if rcpts >= most {
                self.volume = Some(Volume { rcpts, usual: self.usual, known });
            }
            self.alarm_by(origin, now);
        }
    }

    /// An alarm that a mail raised, or kept up.
    fn alarm_by(&mut self, origin: Origin, now: Ts) {
        self.alarm();
        self.abusers.note(origin, now);
    }

    fn alarm(&mut self) {
        let since = self.guess.map_or(self.hour.0, |guess| guess.at.ts);
        self.since.get_or_insert(since);
    }
}

/// All accounts.
#[derive(Debug)]
pub(super) struct Abuse {
    accounts: HostTable<Account, AccountKey>,
    sessions: LruCache<ConnId, (AccountKey, Who), RandomState>,
    onward: LruCache<u64, (AccountKey, Origin), RandomState>,
    forgotten: u64,
}

impl Default for Abuse {
    fn default() -> Self {
        Self {
            accounts: HostTable::new(ACCOUNTS_MAX),
            sessions: LruCache::with_hasher(usize::MAX, RandomState::default()),
            onward: LruCache::with_hasher(usize::MAX, RandomState::default()),
            forgotten: 0,
        }
    }
}

impl Abuse {
    /// Somebody logged in: what follows in the session is the account's.
    pub(super) fn logged_in(
        &mut self,
        settings: &Settings,
        seen: &Observation<'_>,
        auth: &AuthAttempt,
        guess: Option<Guess>,
    ) {
        // A mechanism that hides the name (GSSAPI) hides whose session it is.
        let Some(name) = auth.user.as_ref().filter(|name| !name.is_empty()) else { return };
        let (server, client, now) = (seen.id.resp.host, seen.id.orig.host, seen.at.ts);
        let key = account_key(server, name);
        let account = self.accounts.touch(key, || Account::new(name, now)).0;
        account.last = now;
        account.guess = account.guess.or(guess);
        let home = novelty::key(&[&client.site().octets()]);
        let who = match account.guess {
            Some(guess) if guess.client == client => Who::Guesser,
            Some(_) if !account.homes.contains(home, HOME_FOR, now) => Who::Stranger,
            Some(_) => Who::Owner,
            None => {
                account.homes.note(home, HOME_FOR, now);
                Who::Owner
            }
        };
        // Our own networks are one place, however many there are.
        let network = if seen.way == Way::Inbound { novelty::key(&[&wide_network(client)]) } else { 0 };
        let networks = account.networks.note(network, settings.window, now);
        account.networks_most = account.networks_most.max(networks);
        if networks >= settings.networks_min {
            account.alarm();
        }
        account.clients.note(&client, now);
        account.samples.add(seen.id, auth.at.frame);
        if self.sessions.len() >= SESSIONS_MAX {
            self.sessions.remove_lru();
            self.forgotten += 1;
        }
        self.sessions.insert(seen.id, (key, who));
    }

    /// A mail was given to our server; it counts if the session belongs to an account.
    pub(super) fn submitted(
        &mut self,
        settings: &Settings,
        seen: &Observation<'_>,
        mail: &Mail<'_>,
        ctx: &Context<'_>,
    ) {
        if self.sessions.is_empty() {
            return;
        }
        let Some(&(key, who)) = self.sessions.peek(&seen.id) else { return };
        let Some(account) = self.accounts.get_mut(key) else { return };
        let (server, now, tx, origin) = (key.0, seen.at.ts, mail.tx, Origin::of(seen));
        let is_ours = |domain: &[u8]| ctx.owns(server, domain);
        account.last = now;
        account.mails += 1;
        let sender = MailPath::new(tx.mailfrom.as_bytes());
        if let Some(domain) = sender.domain().filter(|domain| !tx.null_sender && !is_ours(domain))
            && !MailPath::new(account.name.as_bytes()).domain_is(domain)
        {
            let domain = novelty::key(&[&domain.to_ascii_lowercase()]);
            let foreign = account.foreign.note(domain, settings.window, now);
            account.foreign_most = account.foreign_most.max(foreign);
            if foreign >= settings.foreign_min {
                account.alarm_by(origin, now);
            }
        }
        let mut outside = 0;
        for rcpt in &tx.rcptto {
            let Some(domain) = MailPath::new(rcpt.to.as_bytes()).domain().filter(|domain| !is_ours(domain)) else {
                continue;
            };
            outside += 1;
            account.note_recipient(settings, rcpt.to.as_bytes(), origin, now);
            let domain = novelty::key(&[&domain.to_ascii_lowercase()]);
            let refusal = rcpt.reply.as_ref().filter(|reply| reply.is_transient() || reply.is_permanent());
            if let Some(reply) = refusal.filter(|_| mail.novel) {
                account.observe(settings, ctx.rules.classify(reply, Stage::Rcpt).outcome(), domain, origin, now);
                account.samples.add(seen.id, tx.ended.frame);
            } else if refusal.is_none() && tx.outcome == Outcome::Accepted {
                if self.onward.len() >= ONWARD_MAX {
                    self.onward.remove_lru();
                    self.forgotten += 1;
                }
                self.onward.insert(envelope_key(&tx.mailfrom, &rcpt.to), (key, origin));
            }
        }
        if outside > 0 {
            account.by_strangers += u64::from(who != Who::Owner);
            account.by_guesser += u64::from(who == Who::Guesser);
            match (who, origin) {
                (Who::Owner, _) => {}
                // A machine of ours that was not seen with the account before the guess may well be the owner's.
                (Who::Stranger, Origin::Ours(_)) => account.alarm(),
                _ => account.alarm_by(origin, now),
            }
        }
    }

    /// A mail left for the world: perhaps one of an account.
    pub(super) fn sent_on(&mut self, settings: &Settings, seen: &Observation<'_>, mail: &Mail<'_>, ctx: &Context<'_>) {
        if self.onward.is_empty() {
            return;
        }
        let now = seen.at.ts;
        for rcpt in &mail.tx.rcptto {
            let envelope = envelope_key(&mail.tx.mailfrom, &rcpt.to);
            let Some(&(key, origin)) = self.onward.peek(&envelope) else { continue };
            let refusal = rcpt.reply.as_ref().filter(|reply| reply.is_transient() || reply.is_permanent());
            let outcome = refusal.map(|reply| ctx.rules.classify(reply, Stage::Rcpt).outcome()).or(mail.outcome);
            let Some(outcome) = outcome.filter(|outcome| *outcome != OutcomeClass::Pending) else { continue };
            self.onward.remove(&envelope);
            // A listed gateway is everybody's burden.
            if outcome == OutcomeClass::Policy && ctx.reputation.is_listed(now) {
                continue;
            }
            let domain = MailPath::new(rcpt.to.as_bytes()).domain().unwrap_or_default().to_ascii_lowercase();
            if let Some(account) = self.accounts.get_mut(key) {
                account.observe(settings, outcome, novelty::key(&[&domain]), origin, now);
                account.last = now;
                if outcome != OutcomeClass::Accepted {
                    account.samples.add(seen.id, mail.tx.ended.frame);
                }
            }
        }
    }

    /// The session is over.
    pub(super) fn closed(&mut self, id: ConnId) {
        if !self.sessions.is_empty() {
            self.sessions.remove(&id);
        }
    }

    pub(super) fn findings(&self, settings: &Settings, detector: &'static str, out: &mut Vec<Finding>) {
        let mut abused: Vec<(AccountKey, &Account, Ruling)> = self
            .accounts
            .sorted()
            .into_iter()
            .filter_map(|(key, account)| Some((key, account, account.ruling(settings)?)))
            .collect();
        abused.sort_by(|(a_key, a, a_ruling), (b_key, b, b_ruling)| {
            (b_ruling.tier, b_ruling.severity, b.rcpts, a_key).cmp(&(a_ruling.tier, a_ruling.severity, a.rcpts, b_key))
        });
        let mut told: BTreeMap<HostKey, (usize, Tier)> = BTreeMap::new();
        for ((server, _), account, ruling) in abused {
            let (shown, surest) = told.entry(server).or_insert((0, ruling.tier));
            *shown += 1;
            if *shown > ACCOUNTS_SHOWN {
                continue;
            }
            // All accounts of a server are one incident: whom less is held against than it says is not named by it.
            let insiders = if ruling.tier == *surest { account.abusers.insiders() } else { Vec::new() };
            let kind = if insiders.is_empty() { account.guess.map(|_| "guessed") } else { Some("from_inside") };
            let [accepted, bad, policy, other] = account.outcomes;
            out.push(Finding {
                kind,
                says: account.says(settings, !insiders.is_empty()),
                numbers: Numbers::new()
                    .count("account_mails", account.mails)
                    .count("account_recipients", account.rcpts)
                    .count("account_clients", account.clients.len() as u64)
                    .count("account_guessed", u64::from(account.guess.is_some()))
                    .count("accepted", accepted)
                    .count("bad_recipient", bad)
                    .count("policy", policy)
                    .count("other", other)
                    .with("s_peak_db", account.outcome.peak(account.last))
                    .count("recipients_in_an_hour", account.volume.map_or(account.usual, |volume| volume.rcpts))
                    .count("recipients_usual", account.volume.map_or(account.usual, |volume| volume.usual))
                    .count("networks_in_an_hour", account.networks_most as u64)
                    .count("foreign_domains_in_an_hour", account.foreign_most as u64),
                frames: account.samples.frames(),
                sessions: account.samples.sessions(),
                verdict: Some(ruling),
                account: Some(account.name.clone()),
                peers: account.peers(insiders),
                ..Finding::summed(
                    detector,
                    server,
                    Class::AccountAbuse,
                    Family::Auth,
                    0.0,
                    account.since.unwrap_or(account.first),
                    account.last,
                )
            });
        }
    }

    pub(super) fn stats(&self) -> DetectorStats {
        DetectorStats { hosts: self.accounts.len(), evicted: self.accounts.evicted() + self.forgotten, early_turns: 0 }
    }
}

impl Account {
    /// Hosts of ours that abuse it, and the others that log in with it; logins are counted of both.
    fn peers(&self, mut insiders: Vec<Peer>) -> Vec<Peer> {
        let mut others = Vec::new();
        for client in self.clients.peers("client", PEERS_MAX) {
            match insiders.iter_mut().find(|insider| insider.ip == client.ip) {
                Some(insider) => *insider = Peer { role: Peer::INSIDE, ..client },
                None => others.push(client),
            }
        }
        insiders.append(&mut others);
        insiders.truncate(PEERS_MAX);
        insiders
    }

    fn says(&self, settings: &Settings, from_inside: bool) -> String {
        let mut says = format!(
            "through the account \"{}\" {} mails to {} outside recipients were sent, from {} addresses",
            self.name,
            self.mails,
            self.rcpts,
            self.clients.len()
        );
        let mut add = |text: String| {
            says.push_str("; ");
            says.push_str(&text);
        };
        if let Some(guess) = self.guess {
            add(format!("{} had guessed its password at {}", guess.client, guess.at.ts));
        }
        if from_inside {
            let (ours, all) = self.abusers.counts();
            add(format!("{ours} of {all} signs of abuse came from inside your network"));
        }
        if self.failing {
            let failed: u64 = self.outcomes.iter().skip(1).sum();
            add(format!("{failed} of {} known outcomes were refusals", failed + self.outcomes[0]));
        }
        if let Some(volume) = self.volume {
            let before = if volume.known {
                format!("{} in its busiest hour before", volume.usual)
            } else {
                "the account was not seen for long before, so this may be its habit".to_owned()
            };
            add(format!("{} recipients within an hour ({before})", volume.rcpts));
        }
        if self.networks_most >= settings.networks_min {
            add(format!("used from {} networks or more within an hour", self.networks_most));
        }
        if self.foreign_most >= settings.foreign_min {
            add(format!("under {} foreign sender domains or more within an hour", self.foreign_most));
        }
        says
    }
}

/// The /16 of IPv4, the /32 of IPv6: what one provider uses in one place.
fn wide_network(client: HostKey) -> [u8; 16] {
    let mut octets = client.octets();
    let from = if client.is_v4() { 14 } else { 4 };
    octets.iter_mut().skip(from).for_each(|octet| *octet = 0);
    octets
}

/// One mail to one recipient, compared without case.
fn envelope_key(sender: &Wire, rcpt: &Wire) -> u64 {
    novelty::key(&[&sender.as_bytes().to_ascii_lowercase(), &rcpt.as_bytes().to_ascii_lowercase()])
}
