//! What every detector looks at: an event of a session, with the things that several detectors would otherwise work out
//! each for itself.

use super::audience::Wanted;
use super::hosts::HostIdx;
use super::novelty::{key_exact, key_host, key_lower};
use super::replies::{OutcomeClass, ReplyRules, Stage, Verdict};
use super::roles::Voice;
use crate::distinct::hash_of;
use crate::frame::At;
use crate::ledger::Role;
use crate::net::HostKey;
use crate::session::{AuthAttempt, DnsQuery, Flood, Recipient, Session, SessionEventKind, SessionHead, Transaction};
use crate::smtp::Reply;
use crate::tcp::{Attempt, ConnId};
use crate::time::Ts;

/// Which way a connection went, seen from the home network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Way {
    /// From one of ours to the world.
    Outbound,
    /// From the world to one of ours.
    Inbound,
    /// Between two of ours.
    Inside,
    /// Between two others: not ours to judge.
    Foreign,
}

impl Way {
    /// Those that are ours to judge, in the order of their numbers.
    pub const HOME: [Self; 3] = [Self::Outbound, Self::Inbound, Self::Inside];
}

/// The kinds of observations, without what was seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// [`What::Unanswered`]
    Unanswered,
    /// [`What::Flooded`]
    Flooded,
    /// [`What::Greeted`]
    Greeted,
    /// [`What::Auth`]
    Auth,
    /// [`What::Transaction`]
    Transaction,
    /// [`What::Closed`]
    Closed,
    /// [`What::DnsQuery`]
    DnsQuery,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Unanswered, Self::Flooded, Self::Greeted, Self::Auth, Self::Transaction, Self::Closed, Self::DnsQuery];

    /// The kind of the observation that an event becomes, if it becomes one.
    pub const fn of(event: &SessionEventKind) -> Option<Self> {
        Some(match event {
            SessionEventKind::Unanswered(_) => Self::Unanswered,
            SessionEventKind::Flooded(_) => Self::Flooded,
            SessionEventKind::Greeted(_) => Self::Greeted,
            SessionEventKind::Auth(..) => Self::Auth,
            SessionEventKind::Transaction(..) => Self::Transaction,
            SessionEventKind::Closed(_) => Self::Closed,
            SessionEventKind::DnsQuery(_) => Self::DnsQuery,
            SessionEventKind::Told(_) | SessionEventKind::Translated(_) => return None,
        })
    }
}

/// One observation.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The frame that caused it.
    pub at: At,
    /// The connection.
    pub id: ConnId,
    /// Which way it went.
    pub way: Way,
    /// The client, if it is one of ours.
    pub client: Option<HostIdx>,
    /// The server, if it is one of ours and answered.
    pub server: Option<HostIdx>,
    /// Whether the client spoke as its host's own mail server, or as somebody else behind the same address.
    pub voice: Voice,
    /// What the client is, if it is one of ours.
    pub role: Role,
    /// Whether the client, if it is one of ours, was ever seen to take mail.
    pub takes_mail: bool,
    /// Hashes.
    pub keys: Keys,
    /// What was seen.
    pub what: What<'a>,
}

impl Observation<'_> {
    /// Whether the client is a mail server of ours, by its role or by what it did.
    pub fn client_serves(&self) -> bool {
        self.takes_mail || self.role == Role::Server
    }

    /// From when to when what was seen lasted: from its connection's begin to its last frame, or to now while it goes on. A
    /// connection that nobody closed is told of long after its last frame.
    pub(super) fn span(&self) -> (Ts, Ts) {
        let until = match self.what {
            What::Closed(session) => self.id.ts + session.conn.duration,
            What::Unanswered(attempt) => attempt.last.ts,
            _ => self.at.ts,
        };
        (self.id.ts, until)
    }
}

/// An event that will be observed soon: what tells where in memory it will be looked up.
#[derive(Clone, Copy, Debug)]
pub struct Coming<'a> {
    /// The event.
    pub kind: &'a SessionEventKind,
    /// The connection.
    pub id: ConnId,
    /// Which way it goes.
    pub way: Way,
    /// Where the client stands in the book, if it is ours and known.
    pub client: Option<HostIdx>,
    /// The server, in the same way.
    pub server: Option<HostIdx>,
    /// Hashes.
    pub keys: Keys,
    /// The detectors that will be told.
    pub(super) wanted: Wanted,
}

impl Coming<'_> {
    /// Works out the keys.
    pub(super) fn work_out_keys(&mut self) {
        let keys = Keys::of(self.id);
        self.keys = match self.kind {
            SessionEventKind::Transaction(_, tx) => keys.with_mail(self.id, self.way, tx),
            _ => keys,
        };
    }
}

/// Hashes of an event that several look-ups go by, or that one goes by after asking memory ahead.
#[derive(Clone, Copy, Default, Debug)]
pub struct Keys {
    /// Of client and server.
    pub pair: u64,
    /// Of the server, for counting.
    pub server: u64,
    /// Of the server's network ([`crate::net::HostKey::site`]), for counting.
    pub site: u64,
    /// Of a mail.
    pub mail: MailKeys,
}

/// Hashes of a mail; most have one recipient.
#[derive(Clone, Copy, Default, Debug)]
pub struct MailKeys {
    /// Of client, server's site, reverse-path and first recipient.
    pub triplet: u64,
    /// Of client, server and first recipient, whose case does not count.
    pub first_asked: u64,
    /// Of client and first recipient; of mail that goes out.
    pub first_rcpt: u64,
    /// Of the reverse-path, whose case does not count; of mail that goes out.
    pub sender: u64,
    /// Of the first recipient's domain, whose case does not count, or of the server's network where there is none; of mail
    /// that goes out.
    pub domain: u64,
}

impl Keys {
    /// Of a connection.
    pub fn of(id: ConnId) -> Self {
        let (client, server) = (id.orig.host, id.resp.host);
        Self {
            pair: pair_key(client, server),
            server: hash_of(server),
            site: hash_of(server.site()),
            mail: MailKeys::default(),
        }
    }

    /// Of a mail on it.
    #[must_use]
    pub fn with_mail(self, id: ConnId, way: Way, tx: &Transaction) -> Self {
        let sender = tx.mailfrom.as_bytes();
        let first = tx.rcptto.first().map_or(&b""[..], |rcpt| rcpt.to.as_bytes());
        let pair = pair_key(id.orig.host, id.resp.host.site());
        let mut mail = MailKeys {
            triplet: key_exact(key_exact(pair, sender), first),
            first_asked: asked_key(self.pair, first),
            ..MailKeys::default()
        };
        if way == Way::Outbound {
            (mail.first_rcpt, mail.sender) = (rcpt_key(id.orig.host, first), key_lower(0, sender));
            mail.domain = first_domain(tx).map_or(self.site, |domain| key_lower(0, domain));
        }
        Self { mail, ..self }
    }
}

/// What follows the last `@` of a mail's first recipient; RFC 1035 section 2.3.4 allows 255 bytes.
pub(super) fn first_domain(tx: &Transaction) -> Option<&[u8]> {
    let to = tx.rcptto.first()?.to.as_bytes();
    let domain = to.get(memchr::memrchr(b'@', to)? + 1..).filter(|domain| !domain.is_empty())?;
    Some(domain.get(..255).unwrap_or(domain))
}

/// A hash of who calls whom; for the other way round, the other way round.
pub(super) fn pair_key(client: HostKey, server: HostKey) -> u64 {
    key_host(key_host(0, client), server)
}

/// A hash of who asks whom for whom; the name's case does not count.
pub(super) fn asked_key(pair: u64, name: &[u8]) -> u64 {
    key_lower(pair, name)
}

/// A hash of a client and a recipient.
pub(super) fn rcpt_key(client: HostKey, rcpt: &[u8]) -> u64 {
    key_exact(key_host(0, client), rcpt)
}

/// The kinds of observations.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// A connection attempt that nobody answered.
    Unanswered(&'a Attempt),
    /// Many of them, of one client, beyond those that were told one by one; the connection is the first one's.
    Flooded(&'a Flood),
    /// A whole greeting.
    Greeted(&'a SessionHead),
    /// The end of an AUTH exchange.
    Auth(&'a SessionHead, &'a AuthAttempt),
    /// The end of a mail transaction.
    Transaction(&'a Mail<'a>),
    /// The end of a connection.
    Closed(&'a Session),
    /// A question to a DNS server; the connection is made up of the two ends.
    DnsQuery(&'a DnsQuery),
}

/// A mail transaction, judged by the replies to it.
#[derive(Clone, Copy, Debug)]
pub struct Mail<'a> {
    /// The session so far.
    pub head: &'a SessionHead,
    /// The transaction.
    pub tx: &'a Transaction,
    /// What the replies say of the client; `None` where a gap, TLS or the end of the capture hides it, or where the
    /// client itself gave up.
    pub outcome: Option<OutcomeClass>,
    /// The refusal that decided the outcome, if there was one.
    pub refusal: Option<Refusal<'a>>,
    /// Hashes.
    pub keys: MailKeys,
    /// Whether (client, server's site, reverse-path, first recipient) was not seen in the last four hours: a retry is
    /// no news.
    pub novel: bool,
}

impl<'a> Mail<'a> {
    /// What the rules make of one of its replies: mostly it is the one that decided the outcome.
    pub fn classify(&self, reply: &'a Reply, stage: Stage, rules: &'a ReplyRules) -> Verdict<'a> {
        match self.refusal {
            Some(known) if known.stage == stage && std::ptr::eq(known.reply, reply) => known.verdict,
            _ => rules.classify(reply, stage),
        }
    }

    /// The key of each recipient: the one that is known of the first, and of the others what `key` makes of them.
    pub fn keyed<'k>(
        &'k self,
        first: u64,
        key: impl Fn(&[u8]) -> u64 + 'k,
    ) -> impl Iterator<Item = (u64, &'a Recipient)> + 'k {
        let key_of =
            move |(nth, rcpt): (usize, &'a Recipient)| (if nth == 0 { first } else { key(rcpt.to.as_bytes()) }, rcpt);
        self.tx.rcptto.iter().enumerate().map(key_of)
    }
}

/// A refusing reply and what the rules make of it.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// At which command.
    pub stage: Stage,
    /// The reply.
    pub reply: &'a Reply,
    /// What it means.
    pub verdict: Verdict<'a>,
}
