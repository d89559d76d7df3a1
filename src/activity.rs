//! What each host did lately: rates, answers, destinations. A screen reads it; no judgement rests on it.
//!
//! The thread that judges writes, a screen copies the few hosts that it shows. Hosts that only knock weigh nothing, so a
//! flood of made-up addresses pushes out its own kind first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::detect::{HostTable, Weigh, is_fqdn};
use crate::net::HostKey;
use crate::session::{Outcome, SessionEvent, SessionEventKind, SessionHead, Transaction};
use crate::smtp::Reply;
use crate::tcp::ConnId;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// Buckets, where they are counted with a sign.
const BUCKETS_SIGNED: i64 = BUCKETS.cast_signed() as i64;

/// Hosts remembered: some 6 KB each at most, 25 MB together. Who is not among the four thousand busiest is not looked at.
const HOSTS_MAX: usize = 4096;
/// Columns of a history: what a chart on a wide terminal can show.
pub const BUCKETS: usize = 60;
/// Event time of one bucket of the recent history: ten minutes in all.
const RECENT: Span = Span::secs(10);
/// Event time of one bucket of the whole history at first; it doubles whenever the history is full.
const WHOLE: Span = Span::secs(1);
/// Refusing replies kept of a host, the last ones.
const REPLIES_MAX: usize = 6;
/// Destinations kept of a host; the one least used goes.
const DESTINATIONS_MAX: usize = 24;
/// Bytes of a reply's text that are kept: a line of a wide terminal.
const TEXT_MAX: usize = 160;

/// What happened in one stretch of time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Bucket {
    /// Mails that were taken.
    pub accepted: u32,
    /// Mails that were refused.
    pub refused: u32,
    /// Connections that came to nothing.
    pub failed: u32,
}

impl Bucket {
    /// All that happened.
    pub const fn total(self) -> u32 {
        self.accepted.saturating_add(self.refused).saturating_add(self.failed)
    }

    /// Of two stretches as one.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            accepted: self.accepted.saturating_add(other.accepted),
            refused: self.refused.saturating_add(other.refused),
            failed: self.failed.saturating_add(other.failed),
        }
    }
}

/// Buckets of equal length, the last one the latest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct History {
    /// Event time of one bucket.
    pub step: Span,
    /// When the first bucket began.
    pub begin: Ts,
    /// From the first to the last with anything in it; at most [`BUCKETS`].
    pub buckets: VecDeque<Bucket>,
}

impl History {
    const fn new(step: Span) -> Self {
        Self { step, begin: Ts::EPOCH, buckets: VecDeque::new() }
    }

    fn place(&self, at: Ts) -> i64 {
        at.since(self.begin).as_nanos().div_euclid(self.step.as_nanos().max(1))
    }

    /// The bucket of an instant, where it is not too long ago.
    fn bucket(&mut self, at: Ts, grows: bool) -> Option<&mut Bucket> {
        if self.buckets.is_empty() {
            self.begin = Ts::from_nanos(at.as_nanos() - at.as_nanos().rem_euclid(self.step.as_nanos().max(1)));
            self.buckets.push_back(Bucket::default());
        }
        while grows && self.place(at) >= BUCKETS_SIGNED {
            self.halve();
        }
        let mut place = self.place(at);
        // A jump over all of it leaves nothing of the old.
        if place >= 2 * BUCKETS_SIGNED {
            *self = Self::new(self.step);
            return self.bucket(at, grows);
        }
        while place >= BUCKETS_SIGNED {
            self.buckets.pop_front();
            self.begin = self.begin + self.step;
            place -= 1;
        }
        let place = usize::try_from(place).ok()?;
        while self.buckets.len() <= place {
            self.buckets.push_back(Bucket::default());
        }
        self.buckets.get_mut(place)
    }

    /// Two buckets become one.
    fn halve(&mut self) {
        let pairs = self.buckets.len().div_ceil(2);
        for i in 0..pairs {
            let pair = |n: usize| self.buckets.get(n).copied().unwrap_or_default();
            self.buckets[i] = pair(2 * i).plus(pair(2 * i + 1));
        }
        self.buckets.truncate(pairs);
        self.step = self.step + self.step;
    }

    /// Steps from the first bucket to `now`, at least one, at most [`BUCKETS`].
    pub fn used(&self, now: Ts) -> usize {
        let last = if self.buckets.is_empty() { 0 } else { self.place(now.max(self.begin)) };
        usize::try_from(last).unwrap_or(usize::MAX).saturating_add(1).max(self.buckets.len()).min(BUCKETS)
    }

    /// The last `count` steps before `now`, the latest last; zero where nothing happened.
    pub fn until(&self, now: Ts, count: usize) -> Vec<Bucket> {
        let last = if self.buckets.is_empty() { 0 } else { self.place(now.max(self.begin)) };
        let count = count.cast_signed() as i64;
        (0..count)
            .map(|n| last - (count - 1) + n)
            .map(|place| {
                usize::try_from(place).ok().and_then(|place| self.buckets.get(place)).copied().unwrap_or_default()
            })
            .collect()
    }
}

/// A reply that refused something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// When.
    pub at: Ts,
    /// Who refused.
    pub server: HostKey,
    /// What to: the recipient, or nothing.
    pub to: Option<Wire>,
    /// Code and text.
    pub says: Wire,
}

/// Where mail went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The server.
    pub server: HostKey,
    /// Mails that it was offered.
    pub mails: u32,
    /// Mails that it refused.
    pub refused: u32,
    /// Connections to it that came to nothing.
    pub failed: u32,
    /// The last time.
    pub last: Ts,
    /// Its last refusal.
    pub says: Option<Wire>,
    /// The name that it greets by.
    pub name: Option<Wire>,
}

impl Destination {
    const fn new(server: HostKey, at: Ts) -> Self {
        Self { server, mails: 0, refused: 0, failed: 0, last: at, says: None, name: None }
    }

    const fn uses(&self) -> u32 {
        self.mails + self.failed
    }
}

/// One host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Activity {
    /// Ten minutes in steps of ten seconds.
    pub recent: History,
    /// All of its time.
    pub whole: History,
    /// Mails offered.
    pub mails: u64,
    /// Those of them without a sender: reports and receipts.
    pub null_senders: u64,
    /// Mails refused, for now or for good.
    pub refused: u64,
    /// The last refusals, the latest last.
    pub replies: VecDeque<Refused>,
    /// Where it tried to deliver.
    pub destinations: Vec<Destination>,
}

impl Activity {
    const fn new() -> Self {
        Self {
            recent: History::new(RECENT),
            whole: History::new(WHOLE),
            mails: 0,
            null_senders: 0,
            refused: 0,
            replies: VecDeque::new(),
            destinations: Vec::new(),
        }
    }

    fn count(&mut self, at: Ts, add: impl Fn(&mut Bucket)) {
        for (history, grows) in [(&mut self.recent, false), (&mut self.whole, true)] {
            if let Some(bucket) = history.bucket(at, grows) {
                add(bucket);
            }
        }
    }

    fn destination(&mut self, server: HostKey, at: Ts) -> Option<&mut Destination> {
        let found = self.destinations.iter().position(|known| known.server == server);
        let place = match found {
            Some(place) => place,
            None if self.destinations.len() < DESTINATIONS_MAX => {
                self.destinations.push(Destination::new(server, at));
                self.destinations.len() - 1
            }
            None => {
                let least = self.destinations.iter().enumerate().min_by_key(|(_, d)| (d.uses(), d.last, d.server))?.0;
                self.destinations[least] = Destination::new(server, at);
                least
            }
        };
        let destination = self.destinations.get_mut(place)?;
        destination.last = destination.last.max(at);
        Some(destination)
    }

    fn mail(&mut self, at: Ts, head: &SessionHead, tx: &Transaction) {
        let id = head.id;
        self.mails += 1;
        self.null_senders += u64::from(tx.null_sender);
        let refusal = refusal(tx);
        let refused = matches!(tx.outcome, Outcome::Rejected | Outcome::Deferred)
            || (tx.outcome == Outcome::Abandoned && tx.rcpt_rejected > 0);
        self.refused += u64::from(refused);
        if refused || tx.outcome == Outcome::Accepted {
            self.count(at, |bucket| {
                bucket.refused += u32::from(refused);
                bucket.accepted += u32::from(!refused);
            });
        }
        let says = refusal.as_ref().map(|(_, reply)| said(reply));
        if let Some(destination) = self.destination(id.resp.host, at) {
            destination.mails += 1;
            destination.refused += u32::from(refused);
            destination.says = says.clone().or(destination.says.take());
            if destination.name.is_none() {
                destination.name = head.greeting.as_ref().and_then(|reply| name_of(reply.text.as_bytes()));
            }
        }
        if let (Some(says), Some((to, _))) = (says, refusal) {
            if self.replies.len() >= REPLIES_MAX {
                self.replies.pop_front();
            }
            self.replies.push_back(Refused { at, server: id.resp.host, to, says });
        }
    }

    fn failed(&mut self, at: Ts, id: ConnId) {
        self.count(at, |bucket| bucket.failed += 1);
        if let Some(destination) = self.destination(id.resp.host, at) {
            destination.failed += 1;
        }
    }

    /// Many attempts that came to nothing; which servers they went to is not known one by one.
    fn flooded(&mut self, at: Ts, attempts: u64) {
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        self.count(at, |bucket| bucket.failed = bucket.failed.saturating_add(attempts));
    }
}

impl Weigh for Activity {
    fn weight(&self) -> u64 {
        self.mails
    }
}

/// The reply that refused a mail, and the recipient that it was about.
fn refusal(tx: &Transaction) -> Option<(Option<Wire>, &Reply)> {
    let refuses = |reply: &Reply| !reply.is_positive() && !reply.is_intermediate();
    let recipient = tx.rcptto.iter().find_map(|rcpt| {
        let reply = rcpt.reply.as_ref().filter(|reply| refuses(reply))?;
        Some((Some(Wire::capped(rcpt.to.as_bytes(), TEXT_MAX)), reply))
    });
    recipient.or_else(|| {
        let others = [&tx.mail_reply, &tx.data_cmd_reply, &tx.data_reply];
        others.into_iter().flatten().find(|reply| refuses(reply)).map(|reply| (None, reply))
    })
}

/// The name in a greeting (RFC 5321 section 4.3.1: it comes first).
fn name_of(greeting: &[u8]) -> Option<Wire> {
    let word = greeting.split(u8::is_ascii_whitespace).find(|word| !word.is_empty())?;
    is_fqdn(word).then(|| Wire::capped(word, TEXT_MAX))
}

/// A reply in one line: its codes and its text.
pub fn said(reply: &Reply) -> Wire {
    let mut text = Vec::with_capacity(TEXT_MAX);
    if let Some(code) = reply.code {
        text.extend_from_slice(format!("{code} ").as_bytes());
    }
    if let Some(status) = reply.status {
        text.extend_from_slice(format!("{status} ").as_bytes());
    }
    // Lines of a reply are joined by line feeds: a screen has one line.
    text.extend(reply.text.as_bytes().iter().take(TEXT_MAX).map(|&byte| if byte == b'\n' { b' ' } else { byte }));
    Wire::capped(&text, TEXT_MAX)
}

/// All hosts; clones share them.
#[derive(Clone, Debug)]
pub struct ActivityBook(Arc<Mutex<HostTable<Activity>>>);

impl Default for ActivityBook {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(HostTable::new(HOSTS_MAX))))
    }
}

impl ActivityBook {
    /// Learns from an event.
    pub fn handle(&self, event: &SessionEvent) {
        let at = event.at.ts;
        match &event.kind {
            SessionEventKind::Transaction(head, tx) => self.with(head.id, |host| host.mail(at, head, tx)),
            SessionEventKind::Unanswered(attempt) if !attempt.cut_short => {
                // When it was tried, not when it was given up.
                self.with(attempt.id, |host| host.failed(attempt.id.ts, attempt.id));
            }
            SessionEventKind::Flooded(flood) => {
                self.with(flood.first.id, |host| host.flooded(flood.last.ts, flood.attempts));
            }
            SessionEventKind::Closed(session) if session.failed() => {
                self.with(session.conn.id, |host| host.failed(at, session.conn.id));
            }
            _ => {}
        }
    }

    /// A copy of what a host did.
    pub fn get(&self, host: HostKey) -> Option<Activity> {
        self.lock().get(host).cloned()
    }

    /// What some hosts did in the last `steps` of ten seconds before `now`.
    pub fn recent(&self, hosts: &[HostKey], now: Ts, steps: usize) -> Vec<Vec<Bucket>> {
        let table = self.lock();
        hosts.iter().map(|host| table.get(*host).map_or_else(Vec::new, |host| host.recent.until(now, steps))).collect()
    }

    fn with(&self, id: ConnId, change: impl FnOnce(&mut Activity)) {
        change(self.lock().touch(id.orig.host, Activity::new).0);
    }

    fn lock(&self) -> MutexGuard<'_, HostTable<Activity>> {
        // Whoever panicked here left counts behind, at worst one too few.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Ts {
        Ts::from_parts(1_000_000 + secs, 0)
    }

    fn sums(history: &History) -> (usize, u32) {
        (history.buckets.len(), history.buckets.iter().map(|bucket| bucket.total()).sum())
    }

    #[test]
    fn the_whole_history_grows_coarser_and_loses_nothing() {
        let mut host = Activity::new();
        for n in 0..10_000 {
            host.count(at(n), |bucket| bucket.refused += 1);
        }
        let (buckets, total) = sums(&host.whole);
        assert!(buckets <= BUCKETS && buckets > BUCKETS / 2, "{buckets}");
        assert_eq!(total, 10_000);
        assert_eq!(host.whole.step, Span::secs(256));
    }

    #[test]
    fn the_recent_history_forgets() {
        let mut host = Activity::new();
        for n in 0..2_000 {
            host.count(at(n), |bucket| bucket.accepted += 1);
        }
        assert_eq!(sums(&host.recent), (BUCKETS, 600));
        let last: Vec<u32> = host.recent.until(at(1_999), 3).iter().map(|bucket| bucket.total()).collect();
        assert_eq!(last, [10, 10, 10]);
        let later: Vec<u32> = host.recent.until(at(2_019), 3).iter().map(|bucket| bucket.total()).collect();
        assert_eq!(later, [10, 0, 0]);
        assert!(host.recent.until(at(100_000), 5).iter().all(|bucket| bucket.total() == 0));
        host.count(at(100_000), |bucket| bucket.failed += 1);
        assert_eq!(sums(&host.recent), (1, 1));
    }

    #[test]
    fn stamps_from_anywhere_break_nothing() {
        let mut host = Activity::new();
        for nanos in [0, i64::MAX, 1, i64::MIN, -5, i64::MAX / 2, 77] {
            host.count(Ts::from_nanos(nanos), |bucket| bucket.failed += 1);
            assert!(host.recent.buckets.len() <= BUCKETS && host.whole.buckets.len() <= BUCKETS);
            assert_eq!(host.whole.until(Ts::from_nanos(nanos), 7).len(), 7);
        }
    }

    #[test]
    fn destinations_are_bounded_and_the_busy_ones_stay() {
        let mut host = Activity::new();
        let end = |last: u32| crate::net::Endpoint { host: HostKey::v4(last.to_be_bytes()), port: 25 };
        let id = |n: u32| ConnId { ts: at(0), orig: end(1), resp: end(0x0a00_0000 + n) };
        for n in 0..1_000 {
            host.failed(at(n), id(7));
            host.failed(at(n), id(1_000 + n as u32));
        }
        assert_eq!(host.destinations.len(), DESTINATIONS_MAX);
        assert!(host.destinations.iter().any(|destination| destination.failed == 1_000));
    }
}
