//! Who is a mail server: told by the operator, or learned from what a host takes in, never from what it sends alone.
//!
//! A worm sends as much as a server does. What it does not do is accept mail from several others and call itself by the
//! name in its own greeting, or come back to a server that told it to try later.

use smallvec::SmallVec;

use super::hosts::{HostBook, HostIdx, PerHost};
use super::novelty::Recent;
use super::observation::{Coming, Mail, Observation, Way, What};
use super::replies::OutcomeClass;
use super::table::Weigh;
use crate::ledger::Role;
use crate::net::HostKey;
use crate::session::{Outcome, Session};
use crate::site::Site;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// As whom a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Voice {
    /// By a name that the mail server at this address uses; or it is not known that there is one.
    Own,
    /// By another name, although a mail server at this address was heard to use its own: another machine behind the same
    /// gateway, or another program on the server.
    Other,
}

impl Voice {
    /// Both, `Own` first.
    pub const BOTH: [Self; 2] = [Self::Own, Self::Other];
}

/// What has been learned of one host.
#[derive(Debug)]
struct Learned {
    first_seen: Ts,
    /// Distinct clients whose mail it took, up to [`CLIENTS_NEEDED`].
    clients: SmallVec<[HostKey; CLIENTS_NEEDED]>,
    /// The host name in its greeting.
    banner_name: Option<Wire>,
    /// It called itself as its greeting does, in a HELO of its own.
    speaks_as_banner: bool,
    /// The name by which it came back after a 4xx, as a queue does.
    queue_name: Option<Wire>,
    /// HELO of its first outbound mail, as long as it stays the same.
    one_helo: Option<Wire>,
    helo_changed: bool,
    novel_sent: u32,
    novel_accepted: u32,
    first_sent: Option<Ts>,
}

/// Clients that must have been served (RFC-less; chosen so that one confused printer makes no server).
const CLIENTS_NEEDED: usize = 3;
/// So many bytes from a client under TLS are more than EHLO, MAIL, RCPT and QUIT with their seals (some 400): it had a
/// mail to give, or many recipients to ask for. D1, which counts accepted mails, wants five times as many; here a
/// mistake makes a server only of what greets by a full name, and calls others by the same.
const HIDDEN_MAIL_BYTES: u64 = 600;
/// A queue comes back no sooner than this (Postfix: 5 min; greylisting tests use a minute).
const RETRY_MIN: Span = Span::mins(1);
/// A queue comes back before this, or gives up (heuristic).
const RETRY_MAX: Span = Span::hours(4);
/// How long a host stays `unknown` before silence about its role means something.
const UNKNOWN_FOR: Span = Span::hours(1);
/// What makes an outbound-only host a `sender`: this long, this much novel mail, this share accepted, one name.
const SENDER_AFTER: Span = Span::hours(24);
const SENDER_NOVEL_MIN: u32 = 50;
const SENDER_ACCEPTED_MIN: f64 = 0.8;

impl Weigh for Learned {
    fn weight(&self) -> u64 {
        self.clients.len() as u64 + u64::from(self.banner_name.is_some()) + u64::from(self.novel_sent > 0)
    }
}

impl Learned {
    fn new(now: Ts) -> Self {
        Self {
            first_seen: now,
            clients: SmallVec::new(),
            banner_name: None,
            speaks_as_banner: false,
            queue_name: None,
            one_helo: None,
            helo_changed: false,
            novel_sent: 0,
            novel_accepted: 0,
            first_sent: None,
        }
    }

    /// Somebody whose mail it took.
    fn note_client(&mut self, client: HostKey) {
        if self.clients.len() < CLIENTS_NEEDED && !self.clients.contains(&client) {
            self.clients.push(client);
        }
    }

    /// It introduced itself with a mail of its own.
    fn note_helo(&mut self, helo: &Wire) {
        self.speaks_as_banner |=
            self.banner_name.as_ref().is_some_and(|name| same_name(name, helo)) && is_fqdn(helo.as_bytes());
    }

    fn is_server(&self) -> bool {
        self.clients.len() >= CLIENTS_NEEDED && (self.speaks_as_banner || self.queue_name.is_some())
    }

    fn takes_mail(&self) -> bool {
        !self.clients.is_empty()
    }

    fn is_sender(&self, now: Ts) -> bool {
        self.first_sent.is_some_and(|first| now.since(first) >= SENDER_AFTER)
            && self.novel_sent >= SENDER_NOVEL_MIN
            && f64::from(self.novel_accepted) >= SENDER_ACCEPTED_MIN * f64::from(self.novel_sent)
            && !self.helo_changed
    }

    /// Whether a name of the server's was heard from it as a client. Many a server greets by one name and calls itself
    /// by another; before it has spoken, another name is no other voice.
    fn name_was_heard(&self) -> bool {
        self.banner_name.is_some() && (self.speaks_as_banner || self.queue_name.is_some())
    }

    fn is_own_name(&self, helo: &Wire) -> bool {
        [&self.banner_name, &self.queue_name].into_iter().flatten().any(|name| same_name(name, helo))
    }
}

/// The roles of all hosts of ours.
#[derive(Debug)]
pub struct RoleBook {
    hosts: PerHost<Learned>,
    /// Triplets that were told to try later: in the last minute (too soon for a queue), and before.
    deferred: Recent,
    deferred_lately: Recent,
}

impl Default for RoleBook {
    fn default() -> Self {
        Self::new()
    }
}

impl RoleBook {
    /// Nothing is learned yet.
    pub fn new() -> Self {
        Self {
            hosts: PerHost::default(),
            deferred: Recent::new(RETRY_MAX, 1 << 17),
            deferred_lately: Recent::new(RETRY_MIN, 1 << 15),
        }
    }

    /// As whom a client that introduced itself as `helo` speaks.
    pub fn voice(&self, host: Option<HostIdx>, helo: Option<&Wire>) -> Voice {
        let Some(helo) = helo else { return Voice::Own };
        match host.and_then(|host| self.hosts.get(host)) {
            Some(learned) if learned.name_was_heard() && !learned.is_own_name(helo) => Voice::Other,
            _ => Voice::Own,
        }
    }

    /// Asks memory for what an event will need.
    pub fn fetch(&self, coming: &Coming<'_>) -> u64 {
        let name =
            |name: &Option<Wire>| name.as_ref().and_then(|name| name.as_bytes().first()).map_or(0, |b| u64::from(*b));
        let learned = |host| {
            let learned = self.hosts.get(host);
            learned.map_or(0, |learned| u64::from(learned.novel_sent) ^ learned.weight() ^ name(&learned.one_helo))
        };
        coming.client.map_or(0, learned) ^ coming.server.map_or(0, learned)
    }

    /// Hosts forgotten for want of room.
    pub const fn evicted(&self) -> u64 {
        self.hosts.evicted()
    }

    /// 'Seen before' filters that were full before their time.
    pub const fn early_turns(&self) -> u64 {
        self.deferred.early_turns() + self.deferred_lately.early_turns()
    }

    /// How much is known of a host.
    pub fn weight(&self, host: HostIdx) -> u64 {
        self.hosts.weight(host)
    }

    /// The host had to go.
    pub fn forget(&mut self, host: HostIdx) {
        self.hosts.forget(host);
    }

    /// What a host of the book is at `now`, and whether it was ever seen to take mail.
    pub fn of(&self, at: HostIdx, host: HostKey, site: &Site, now: Ts) -> (Role, bool) {
        let learned = self.hosts.get(at);
        (role(learned, host, site, now), learned.is_some_and(Learned::takes_mail))
    }

    /// Learns from an observation.
    pub fn handle(&mut self, seen: &Observation<'_>) {
        let now = seen.at.ts;
        match seen.what {
            What::Greeted(head) if matches!(seen.way, Way::Inbound | Way::Inside) => {
                let greeting = head.greeting.as_ref().filter(|reply| reply.is_positive());
                if let Some(server) = seen.server
                    && let Some(name) = greeting.and_then(|reply| first_name(reply.text.as_bytes()))
                {
                    self.learned(server, now).banner_name.get_or_insert_with(|| name.into());
                }
            }
            What::Transaction(mail) => {
                if let Some(server) = seen.server
                    && mail.tx.outcome == Outcome::Accepted
                {
                    self.learned(server, now).note_client(seen.id.orig.host);
                }
                if let Some(client) = seen.client {
                    self.handle_sent(client, seen, mail);
                }
            }
            What::Closed(session) if session.smtp.tls.state.is_hidden() => self.handle_hidden(seen, session),
            _ => {}
        }
    }

    /// A session under TLS: what it came to shows by its size, and who called by the HELO before.
    fn handle_hidden(&mut self, seen: &Observation<'_>, session: &Session) {
        let now = seen.at.ts;
        if session.smtp.tls.orig_app_bytes < HIDDEN_MAIL_BYTES {
            return;
        }
        if let Some(server) = seen.server {
            self.learned(server, now).note_client(seen.id.orig.host);
        }
        if let (Some(client), Some(helo)) = (seen.client, &session.smtp.helo) {
            self.learned(client, now).note_helo(helo);
        }
    }

    fn handle_sent(&mut self, client: HostIdx, seen: &Observation<'_>, mail: &Mail<'_>) {
        let now = seen.at.ts;
        let came_back = self.came_back(seen, mail);
        let learned = self.learned(client, now);
        if let Some(helo) = &mail.head.helo {
            let first = learned.one_helo.get_or_insert_with(|| helo.clone());
            learned.helo_changed |= !same_name(first, helo);
            learned.note_helo(helo);
            if came_back && learned.queue_name.is_none() {
                learned.queue_name = Some(helo.clone());
            }
        }
        if seen.way == Way::Outbound && mail.novel && mail.outcome.is_some() {
            learned.first_sent.get_or_insert(now);
            learned.novel_sent += 1;
            learned.novel_accepted += u32::from(mail.outcome == Some(OutcomeClass::Accepted));
        }
    }

    /// Whether this transaction repeats one that was told to try later, after as long as a queue waits.
    fn came_back(&mut self, seen: &Observation<'_>, mail: &Mail<'_>) -> bool {
        let back = self.deferred.contains_hash(mail.keys.triplet, seen.at.ts);
        let too_soon = self.deferred_lately.contains_hash(mail.keys.triplet, seen.at.ts);
        if mail.tx.outcome == Outcome::Deferred {
            self.deferred.insert_hash(mail.keys.triplet, seen.at.ts);
            self.deferred_lately.insert_hash(mail.keys.triplet, seen.at.ts);
        }
        back && !too_soon
    }

    fn learned(&mut self, host: HostIdx, now: Ts) -> &mut Learned {
        self.hosts.touch_or(host, || Learned::new(now))
    }
}

/// The roles as they may be asked for by address.
#[derive(Clone, Copy, Debug)]
pub struct Roles<'a> {
    pub(super) book: &'a RoleBook,
    pub(super) hosts: &'a HostBook,
}

impl<'a> Roles<'a> {
    /// What a host is at `now`.
    pub fn role(self, host: HostKey, site: &Site, now: Ts) -> Role {
        role(self.learned(host), host, site, now)
    }

    /// Whether the host was ever seen to take mail: it serves somebody, whatever its role.
    pub fn takes_mail(self, host: HostKey) -> bool {
        self.learned(host).is_some_and(Learned::takes_mail)
    }

    /// The name in the host's greeting.
    pub fn banner_name(self, host: HostKey) -> Option<&'a Wire> {
        self.learned(host)?.banner_name.as_ref()
    }

    fn learned(self, host: HostKey) -> Option<&'a Learned> {
        self.book.hosts.get(self.hosts.find(host)?)
    }
}

fn role(learned: Option<&Learned>, host: HostKey, site: &Site, now: Ts) -> Role {
    if !site.mail_servers.is_empty() && site.is_configured_server(host) {
        return Role::Server;
    }
    match learned {
        Some(learned) if learned.is_server() => Role::Server,
        Some(learned) if learned.is_sender(now) => Role::Sender,
        Some(learned) if now.since(learned.first_seen) >= UNKNOWN_FOR => Role::Client,
        _ => Role::Unknown,
    }
}

/// The first word of a greeting's text, where RFC 5321 section 4.2 puts the server's domain.
pub(super) fn first_name(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start();
    // Nearly always a space follows it. Another blank in it would be no byte of a name.
    let word = memchr::memchr(b' ', text).and_then(|end| text.get(..end)).unwrap_or(text);
    if is_fqdn(word) {
        return Some(word);
    }
    text.split(u8::is_ascii_whitespace).next().filter(|word| is_fqdn(word))
}

/// Whether the bytes look like a fully qualified host name: labels, at least one dot, not an address.
pub fn is_fqdn(name: &[u8]) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    // One look a byte: every connection has two names, and every mail some more.
    let (mut kinds, mut before) = (0, DOT);
    for &byte in name {
        let kind = NAME_BYTES[usize::from(byte)];
        kinds |= kind | (kind & before & DOT) << 1; // an empty label is as bad as a byte that is none of a name
        before = kind;
    }
    kinds & (LETTER | DOT | BAD) == LETTER | DOT && before != DOT
}

/// What a byte is in a host name.
const NAME_BYTES: [u8; 256] = {
    let mut kinds = [BAD; 256];
    let mut byte = 0;
    while byte < kinds.len() {
        kinds[byte] = match byte as u8 {
            b'.' => DOT,
            b'a'..=b'z' | b'A'..=b'Z' => LETTER,
            b'0'..=b'9' | b'-' | b'_' => OTHER,
            _ => BAD,
        };
        byte += 1;
    }
    kinds
};
const DOT: u8 = 1;
const BAD: u8 = DOT << 1;
const LETTER: u8 = 1 << 2;
const OTHER: u8 = 1 << 3;

/// Whether two host names are the same: without case, a trailing dot ignored.
pub fn same_name(a: &Wire, b: &Wire) -> bool {
    fn bare(name: &Wire) -> &[u8] {
        name.as_bytes().strip_suffix(b".").unwrap_or(name.as_bytes())
    }
    bare(a).eq_ignore_ascii_case(bare(b))
}

#[cfg(test)]
mod tests;
