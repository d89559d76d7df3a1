//! D10 seen from outside: strangers who send under our own addresses and do not log in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use smallvec::SmallVec;

use super::super::DetectorStats;
use super::super::context::Context;
use super::super::finding::{Finding, Numbers, Peer, Ruling};
use super::super::novelty::{self, Recent, key_lower};
use super::super::observation::Observation;
use super::super::replies::{ReplyClass, Stage};
use super::super::replies_in_time::{Settings as ReplySettings, Tarpit, Waits, with_tarpit};
use super::super::roles::is_fqdn;
use super::super::samples::{Samples, words};
use super::super::score::{Class, Confidence, Family, Severity, Tier};
use super::super::table::{HostTable, Weigh};
use super::{NAME, Settings};
use crate::net::HostKey;
use crate::session::{AuthResult, Outcome, Session, Transaction};
use crate::smtp::Reply;
use crate::smtp::path::MailPath;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// Servers looked at; an estate has some dozens. With 128 clients of 3 KB each they take 100 MB at the very most.
const SERVERS_MAX: usize = 256;
/// Clients remembered a server that sent under a local sender; the one with the fewest points goes first.
const CLIENTS_MAX: usize = 128;
/// Local senders remembered a server, for the networks they come from.
const SENDERS_MAX: usize = 128;
/// Senders, names and mails remembered a client: two of each tell what is asked.
const FEW: usize = 4;
/// Mails that were put off, remembered a client.
const DEFERRED_MAX: usize = 16;
/// Clients shown in a finding, and findings a server.
const SHOWN_MAX: usize = 10;
/// Senders that logged in or sent from inside, remembered in each half of the window: a site of that many users.
const KNOWN_MAX: usize = 1 << 16;
/// Pairs of server and client that tried to relay, in each half of the window.
const RELAYERS_MAX: usize = 1 << 16;
/// An address is cut here when it is kept: RFC 5321 section 4.5.3.1.3 allows 256 bytes for a path.
const ADDRESS_MAX: usize = 256;
/// What was put off comes again no sooner than this, if it is a queue that sends it.
const AGAIN_MIN: Span = Span::mins(1);

/// A client outside that sent under a local sender.
#[derive(Debug)]
struct Client {
    first: Ts,
    last: Ts,
    names: SmallVec<[Wire; 1]>,
    /// Local senders, and whether it is known that they log in or send from inside.
    senders: SmallVec<[(Wire, bool); 1]>,
    /// Domains of other senders.
    others: SmallVec<[Wire; 1]>,
    foreign_name: bool,
    auth_unused: bool,
    outside_recipient: bool,
    refused: bool,
    came_again: bool,
    deferred: SmallVec<[(u64, Ts); 1]>,
    /// What it had when it last sent: for the choice of who is forgotten.
    points: u32,
    mails: u64,
    refusals: u64,
    words: Option<Wire>,
    waits: Waits,
    samples: Samples,
}

/// Mails of this hour under local senders, interceptions left out.
#[derive(Debug, Default)]
struct Hour {
    began: Ts,
    mails: u64,
    refused: u64,
    networks: BTreeSet<HostKey>,
}

/// A spoof that was seen: its busiest hour.
#[derive(Debug)]
struct Spoof {
    first: Ts,
    last: Ts,
    most: u64,
    networks: usize,
}

#[derive(Debug, Default)]
struct ServerState {
    clients: BTreeMap<HostKey, Client>,
    /// Networks from which each local sender came without logging in, and when last.
    senders: BTreeMap<Wire, (SmallVec<[HostKey; 4]>, Ts)>,
    hour: Hour,
    spoof: Option<Spoof>,
    /// How long the server takes to accept, whoever asks.
    waits: Waits,
}

impl Weigh for ServerState {
    fn weight(&self) -> u64 {
        self.clients.len() as u64
    }
}

/// The outer half of D10.
#[derive(Debug)]
pub(super) struct Outside {
    settings: Settings,
    replies: ReplySettings,
    servers: HostTable<ServerState>,
    /// Senders that logged in, and those that sent from inside.
    logged_in: Recent,
    sent_inside: Recent,
    /// Clients that tried to relay: what D6 judges is no proxy's doing.
    relayers: Recent,
}

impl Outside {
    pub(super) fn new(settings: Settings, hosts_max: usize) -> Self {
        let (known_for, window) = (settings.known_for, settings.window);
        Self {
            settings,
            replies: ReplySettings::default(),
            servers: HostTable::new(hosts_max.min(SERVERS_MAX)),
            logged_in: Recent::new(known_for, KNOWN_MAX),
            sent_inside: Recent::new(known_for, KNOWN_MAX),
            relayers: Recent::new(window, RELAYERS_MAX),
        }
    }

    /// A session between two of ours: its senders are known.
    pub(super) fn submitted(&mut self, seen: &Observation<'_>, session: &Session) {
        for tx in &session.smtp.transactions {
            if logged_in(session) {
                self.logged_in.insert_hash(key_of(&tx.mailfrom), seen.at.ts);
            }
            self.sent_inside.insert_hash(key_of(&tx.mailfrom), seen.at.ts);
        }
    }

    /// A session to the world: its senders are ours, too, if what they sent was taken (a relayed spam mostly is not).
    pub(super) fn sent(&mut self, seen: &Observation<'_>, session: &Session) {
        for tx in session.smtp.transactions.iter().filter(|tx| tx.outcome == Outcome::Accepted) {
            self.sent_inside.insert_hash(key_of(&tx.mailfrom), seen.at.ts);
        }
    }

    /// Asks memory for what [`Self::sent`] will need.
    pub(super) fn fetch(&self, session: &Session) -> u64 {
        let first = session.smtp.transactions.iter().find(|tx| tx.outcome == Outcome::Accepted);
        first.map_or(0, |tx| self.sent_inside.fetch(key_of(&tx.mailfrom)))
    }

    /// A session from the world.
    pub(super) fn called(&mut self, seen: &Observation<'_>, session: &Session, ctx: &Context<'_>) {
        let (client, server, now) = (seen.id.orig.host, seen.id.resp.host, seen.at.ts);
        if logged_in(session) {
            for tx in &session.smtp.transactions {
                self.logged_in.insert_hash(key_of(&tx.mailfrom), now);
            }
            return;
        }
        if session.smtp.transactions.is_empty() {
            return;
        }
        let state = self.servers.touch(server, ServerState::default).0;
        if session.conn.gaps == 0 {
            state.waits.note(&session.smtp.commands);
        }
        state.forget(now, &self.settings);
        let pair: [&[u8]; 2] = [&server.octets(), &client.octets()];
        if session.smtp.transactions.iter().any(|tx| is_relay_attempt(ctx, server, tx)) {
            self.relayers.insert(&pair, now);
        }
        if self.relayers.contains(&pair, now) {
            // Also what it did before it was known for that.
            state.clients.remove(&client);
            return;
        }
        let mut local = 0;
        for tx in session.smtp.transactions.iter().filter(|tx| !tx.null_sender) {
            let Some(domain) = MailPath::new(tx.mailfrom.as_bytes()).domain() else { continue };
            if ctx.owns(server, domain) {
                local += 1;
                let sender = key_of(&tx.mailfrom);
                let logs_in = self.logged_in.contains_hash(sender, now);
                let known = logs_in || self.sent_inside.contains_hash(sender, now);
                self.local_mail(seen, session, tx, ctx, (known, logs_in));
            } else if let Some(known) = state_of(&mut self.servers, server, client) {
                push_new(&mut known.others, Wire::capped(&domain.to_ascii_lowercase(), ADDRESS_MAX));
            }
        }
        if local > 0
            && session.conn.gaps == 0
            && let Some(known) = state_of(&mut self.servers, server, client)
        {
            known.waits.note(&session.smtp.commands);
        }
    }

    /// A mail from the world under a local sender, who is `known`, and known to log in.
    fn local_mail(
        &mut self,
        seen: &Observation<'_>,
        session: &Session,
        tx: &Transaction,
        ctx: &Context<'_>,
        (known, logs_in): (bool, bool),
    ) {
        let (client, server, now) = (seen.id.orig.host, seen.id.resp.host, seen.at.ts);
        let settings = &self.settings;
        let Some(state) = self.servers.get_mut(server) else { return };
        let sender = Wire::capped(&tx.mailfrom.as_bytes().to_ascii_lowercase(), ADDRESS_MAX);
        state.note_sender(&sender, client, now);
        state.make_room(client);
        let record = state.clients.entry(client).or_insert_with(|| Client::new(seen.id.ts));
        record.last = record.last.max(now);
        record.mails += 1;
        if let Some(helo) = &session.smtp.helo {
            push_new(&mut record.names, Wire::capped(helo.as_bytes(), ADDRESS_MAX));
            let name = helo.as_bytes();
            let parent = memchr::memchr(b'.', name).and_then(|dot| name.get(dot + 1..)).unwrap_or_default();
            record.foreign_name |= is_fqdn(name) && !ctx.owns(server, name) && !ctx.owns(server, parent);
        }
        if record.senders.len() < FEW && !record.senders.iter().any(|(known, _)| *known == sender) {
            record.senders.push((sender, known));
        }
        record.auth_unused |= logs_in && session.smtp.ehlo_keywords.iter().any(is_auth);
        record.outside_recipient |= tx
            .rcptto
            .iter()
            .any(|rcpt| MailPath::new(rcpt.to.as_bytes()).domain().is_some_and(|domain| !ctx.owns(server, domain)));
        record.note_retry(tx, now);
        let refusal = refusal(tx);
        if let Some((stage, reply)) = refusal {
            record.refusals += 1;
            record.refused |= is_refusal_of_sender(ctx, stage, reply);
            record.words = Some(words(reply));
        }
        record.samples.add(seen.id, tx.ended.frame);
        let points = state.points(client, settings, &self.replies);
        if let Some(record) = state.clients.get_mut(&client) {
            record.points = points;
        }
        if points < settings.points_min {
            state.note_spoof(client, refusal.is_some(), settings, now);
        }
    }

    pub(super) fn findings(&self, now: Ts, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        let settings = &self.settings;
        // Domains that the operator did not name are guessed, unless a sender who is known uses them.
        let guessed = if ctx.site.local_domains.is_empty() { Confidence::Low } else { Confidence::Medium };
        for (server, state) in self.servers.sorted() {
            let mut others: Vec<(&HostKey, &Client)> = Vec::new();
            let mut caught: Vec<(u32, &HostKey, &Client)> = Vec::new();
            for (client, record) in state.clients.iter().filter(|(_, record)| now.since(record.last) < settings.window)
            {
                let points = state.points(*client, settings, &self.replies);
                if points >= settings.points_min {
                    caught.push((points, client, record));
                } else {
                    others.push((client, record));
                }
            }
            caught.sort_by_key(|(points, client, record)| (std::cmp::Reverse((*points, record.mails)), **client));
            for (points, client, record) in caught.into_iter().take(SHOWN_MAX) {
                let tarpit = record.waits.against(&state.waits, &self.replies);
                let known = record.senders.iter().any(|(_, known)| *known);
                let confidence = if known { Confidence::Medium } else { guessed };
                out.push(record.finding(server, *client, points, settings, tarpit, confidence));
            }
            if let Some(spoof) = state.spoof.as_ref().filter(|spoof| now.since(spoof.last) < settings.window) {
                others.sort_by_key(|(client, record)| (std::cmp::Reverse(record.mails), **client));
                out.push(spoof.finding(server, &others, guessed));
            }
        }
    }

    pub(super) fn stats(&self) -> DetectorStats {
        DetectorStats {
            hosts: self.servers.len(),
            evicted: self.servers.evicted(),
            early_turns: self.logged_in.early_turns() + self.sent_inside.early_turns() + self.relayers.early_turns(),
        }
    }
}

impl ServerState {
    /// Forgets who was quiet for a window.
    fn forget(&mut self, now: Ts, settings: &Settings) {
        if self.clients.len() >= CLIENTS_MAX {
            self.clients.retain(|_, client| now.since(client.last) < settings.window);
        }
        if self.senders.len() >= SENDERS_MAX {
            self.senders.retain(|_, (_, last)| now.since(*last) < settings.window);
        }
    }

    fn note_sender(&mut self, sender: &Wire, client: HostKey, now: Ts) {
        if self.senders.len() >= SENDERS_MAX && !self.senders.contains_key(sender) {
            return;
        }
        let (networks, last) = self.senders.entry(sender.clone()).or_default();
        if now.since(*last) >= Span::hours(24) {
            networks.clear();
        }
        *last = now;
        let site = client.site();
        if networks.len() < SHOWN_MAX && !networks.contains(&site) {
            networks.push(site);
        }
    }

    fn make_room(&mut self, client: HostKey) {
        if self.clients.len() < CLIENTS_MAX || self.clients.contains_key(&client) {
            return;
        }
        let least = self.clients.iter().map(|(ip, record)| (record.points, record.last, *ip)).min();
        if let Some((_, _, ip)) = least {
            self.clients.remove(&ip);
        }
    }

    /// How much speaks for an interception. Nothing does where no harm is done: whoever passes on mail of ours to us
    /// (a forwarder, a service that writes in our name) looks the same, but is taken.
    fn points(&self, client: HostKey, settings: &Settings, replies: &ReplySettings) -> u32 {
        let Some(record) = self.clients.get(&client) else { return 0 };
        let tarpit = record.waits.against(&self.waits, replies).is_some();
        let refused = record.refused || tarpit;
        if !(refused || record.outside_recipient) {
            return 0;
        }
        let forged = |sender: &Wire| {
            self.senders.get(sender).is_some_and(|(networks, _)| networks.len() >= settings.forged_networks)
        };
        let known = record.senders.iter().any(|(sender, known)| *known && !forged(sender));
        let all_forged = record.senders.iter().all(|(sender, _)| forged(sender));
        let points = |holds: bool, points: u32| if holds { points } else { 0 };
        points(known, settings.known_sender)
            + points(record.foreign_name && !record.others.is_empty(), settings.shared_client)
            + points(record.auth_unused && !all_forged, settings.auth_unused)
            + points(record.outside_recipient, settings.outside_recipient)
            + points(record.came_again, settings.came_again)
            + points(refused, settings.refused)
    }

    fn note_spoof(&mut self, client: HostKey, refused: bool, settings: &Settings, now: Ts) {
        let hour = &mut self.hour;
        if now.since(hour.began) >= Span::hours(1) {
            *hour = Hour { began: now, ..Hour::default() };
        }
        hour.mails += 1;
        hour.refused += u64::from(refused);
        if hour.networks.len() < CLIENTS_MAX {
            hour.networks.insert(client.site());
        }
        // One network whose mails are all taken is a service that writes in our name, and that somebody here ordered.
        if hour.mails >= settings.spoof_min && (hour.networks.len() > 1 || hour.refused > 0) {
            let began = hour.began;
            let spoof = self.spoof.get_or_insert(Spoof { first: began, last: now, most: 0, networks: 0 });
            spoof.last = now;
            spoof.most = spoof.most.max(hour.mails);
            spoof.networks = spoof.networks.max(hour.networks.len());
        }
    }
}

impl Client {
    fn new(first: Ts) -> Self {
        Self {
            first,
            last: first,
            names: SmallVec::new(),
            senders: SmallVec::new(),
            others: SmallVec::new(),
            foreign_name: false,
            auth_unused: false,
            outside_recipient: false,
            refused: false,
            came_again: false,
            deferred: SmallVec::new(),
            points: 0,
            mails: 0,
            refusals: 0,
            words: None,
            waits: Waits::default(),
            samples: Samples::default(),
        }
    }

    fn note_retry(&mut self, tx: &Transaction, now: Ts) {
        let rcpt = tx.rcptto.first().map_or(&b""[..], |rcpt| rcpt.to.as_bytes());
        let key = novelty::key(&[tx.mailfrom.as_bytes(), rcpt]);
        self.came_again |= self.deferred.iter().any(|(known, then)| *known == key && now.since(*then) >= AGAIN_MIN);
        if tx.outcome == Outcome::Deferred
            && self.deferred.len() < DEFERRED_MAX
            && !self.deferred.iter().any(|(known, _)| *known == key)
        {
            self.deferred.push((key, now));
        }
    }

    fn finding(
        &self,
        server: HostKey,
        client: HostKey,
        points: u32,
        settings: &Settings,
        tarpit: Option<Tarpit>,
        confidence: Confidence,
    ) -> Finding {
        let list = |wires: Vec<String>| wires.join(", ");
        let names = list(self.names.iter().map(|name| format!("\"{name}\"")).collect());
        let senders = list(self.senders.iter().map(|(sender, _)| sender.to_string()).collect());
        let mut says = format!(
            "{client}, which calls itself {}, sent {} mails as {senders} without logging in{}; {} of them were refused",
            if names.is_empty() { "nothing" } else { &names },
            self.mails,
            if self.auth_unused { ", though the server offered it and this sender has logged in before" } else { "" },
            self.refusals,
        );
        if let Some(words) = &self.words {
            let _ = write!(says, " (\"{words}\")");
        }
        if let Some(held) = tarpit {
            says.push_str("; ");
            says.push_str(&held.says());
        }
        let likely = points >= settings.points_likely;
        Finding {
            kind: Some("proxy"),
            says,
            numbers: with_tarpit(
                Numbers::new()
                    .with("points", f64::from(points))
                    .count("mails", self.mails)
                    .count("refused", self.refusals)
                    .count("known_sender", u64::from(self.senders.iter().any(|(_, known)| *known)))
                    .count("auth_offered_unused", u64::from(self.auth_unused))
                    .count("outside_recipients", u64::from(self.outside_recipient))
                    .count("came_again", u64::from(self.came_again))
                    .count("other_sender_domains", self.others.len() as u64),
                tarpit,
            ),
            frames: self.samples.frames(),
            sessions: self.samples.sessions(),
            verdict: Some(Ruling {
                tier: if likely { Tier::Likely } else { Tier::Suspect },
                // Mail that is refused is missed by somebody.
                severity: if self.refusals > 0 { Severity::Medium } else { Severity::Low },
                confidence,
            }),
            peers: vec![Peer {
                ip: client,
                role: "proxy",
                count: self.mails,
                says: self.names.first().cloned(),
                first_ts: self.first,
                last_ts: self.last,
            }],
            ..Finding::summed(NAME, server, Class::Interception, Family::Interception, 0.0, self.first, self.last)
        }
    }
}

impl Spoof {
    fn finding(&self, server: HostKey, clients: &[(&HostKey, &Client)], confidence: Confidence) -> Finding {
        let refused: u64 = clients.iter().map(|(_, record)| record.refusals).sum();
        let mails: u64 = clients.iter().map(|(_, record)| record.mails).sum();
        Finding {
            says: format!(
                "up to {} mails an hour from {} outside networks used your own sender addresses without logging in; {refused} of \
                 {mails} were refused",
                self.most, self.networks
            ),
            numbers: Numbers::new()
                .count("mails_in_an_hour", self.most)
                .count("networks", self.networks as u64)
                .count("mails", mails)
                .count("refused", refused),
            frames: clients.iter().flat_map(|(_, record)| record.samples.frames()).take(SHOWN_MAX).collect(),
            sessions: clients.iter().flat_map(|(_, record)| record.samples.sessions()).take(SHOWN_MAX).collect(),
            verdict: Some(Ruling { tier: Tier::Likely, severity: Severity::Low, confidence }),
            peers: clients
                .iter()
                .take(SHOWN_MAX)
                .map(|(ip, record)| Peer {
                    ip: **ip,
                    role: "client",
                    count: record.mails,
                    says: record.senders.first().map(|(sender, _)| sender.clone()),
                    first_ts: record.first,
                    last_ts: record.last,
                })
                .collect(),
            ..Finding::summed(NAME, server, Class::SenderSpoof, Family::Interception, 0.0, self.first, self.last)
        }
    }
}

fn state_of(servers: &mut HostTable<ServerState>, server: HostKey, client: HostKey) -> Option<&mut Client> {
    servers.get_mut(server)?.clients.get_mut(&client)
}

/// Whether neither sender nor a recipient is ours: who brings that does not stand between us and a user of ours.
fn is_relay_attempt(ctx: &Context<'_>, server: HostKey, tx: &Transaction) -> bool {
    let ours = |address: &Wire| MailPath::new(address.as_bytes()).domain().is_none_or(|name| ctx.owns(server, name));
    (tx.null_sender || !ours(&tx.mailfrom)) && tx.rcptto.iter().any(|rcpt| !ours(&rcpt.to))
}

fn logged_in(session: &Session) -> bool {
    session.smtp.auth.iter().any(|auth| auth.result == AuthResult::Succeeded)
}

/// A hash of an address, whose case does not count.
fn key_of(address: &Wire) -> u64 {
    key_lower(0, address.as_bytes())
}

/// `AUTH ...` in an EHLO reply; `AUTH=...` is an old server's way.
fn is_auth(keyword: &Wire) -> bool {
    keyword.as_bytes().split_at_checked(4).is_some_and(|(word, rest)| {
        word.eq_ignore_ascii_case(b"AUTH") && matches!(rest.first(), None | Some(b' ' | b'='))
    })
}

/// The refusal that decided a transaction.
fn refusal(tx: &Transaction) -> Option<(Stage, &Reply)> {
    let refused = |reply: &&Reply| reply.is_permanent() || reply.is_transient();
    let of = |stage, reply: Option<&'_ Reply>| reply.filter(refused).map(|_| stage);
    let rcpt = tx.rcptto.iter().find_map(|rcpt| rcpt.reply.as_ref().filter(refused));
    let stages = [
        (Stage::Mail, tx.mail_reply.as_ref()),
        (Stage::Rcpt, rcpt),
        (Stage::Data, tx.data_cmd_reply.as_ref()),
        (Stage::EndOfData, tx.data_reply.as_ref()),
    ];
    stages.into_iter().find_map(|(stage, reply)| Some((of(stage, reply)?, reply?)))
}

/// Whether a refusal is for who sends: not allowed, not logged in, too many bad attempts.
fn is_refusal_of_sender(ctx: &Context<'_>, stage: Stage, reply: &Reply) -> bool {
    let status = reply.status.map(|status| (status.class, status.subject, status.detail));
    matches!(status, Some((5, 7, 1)))
        || (matches!(status, Some((5, 2, 1)))
            && bstr::ByteSlice::contains_str(reply.text.as_bytes(), "invalid delivery"))
        || matches!(
            ctx.rules.classify(reply, stage).class,
            ReplyClass::AuthRequired
                | ReplyClass::RelayDenied
                | ReplyClass::SenderRejected
                | ReplyClass::RateLimit
                | ReplyClass::TooManyConnections
        )
}

fn push_new(list: &mut SmallVec<[Wire; 1]>, item: Wire) {
    if list.len() < FEW && !list.contains(&item) {
        list.push(item);
    }
}
