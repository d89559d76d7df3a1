//! What simpler rules would have said of the same traffic, by the same readings of the same replies.
//!
//! SPOT (Duan et al. 2012): Wald's test for each host with a spam filter's word on each message, here the receiver's: a
//! refused mail counts as spam. CT and PT: the two rules that SPOT was compared with. The fourth is ntopng's alert on
//! the number of SMTP servers contacted, the fifth Zeek's notice on replies that name a block list.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use smtphound::net::HostKey;
use smtphound::session::{Outcome, SessionEvent, SessionEventKind, Transaction};
use smtphound::site::Ours;
use smtphound::time::{Span, Ts};

const HOUR: Span = Span::hours(1);
/// SPOT's parameters as published.
const ALPHA: f64 = 0.01;
const BETA: f64 = 0.01;
const THETA_1: f64 = 0.9;
const THETA_0: f64 = 0.2;
/// CT: failures in an hour.
const CT_MIN: usize = 30;
/// PT: messages in an hour, and the share of failures.
const PT_MIN: usize = 6;
const PT_SHARE: f64 = 0.5;
/// ntopng's default for contacted SMTP servers.
const CONTACTS_MAX: usize = 5;
/// Zeek's policy script `smtp/blocklists`: words that name a list.
const LISTS: [&str; 16] = [
    "spamhaus",
    "sophos",
    "spamcop",
    "cbl.abuseat",
    "sorbs",
    "bsn.borderware",
    "mail-abuse",
    "b.barracudacentral",
    "psbl.surriel",
    "antispam.imp",
    "dyndns.org/blocked",
    "rbl.knology",
    "intercept.datapacket",
    "uceprotect",
    "hostkarma",
    "blocked using",
];

#[derive(Debug, Default)]
struct HostState {
    spot: f64,
    /// Mails of the last hour and whether they failed.
    mails: VecDeque<(Ts, bool)>,
    contacts: VecDeque<(Ts, HostKey)>,
}

/// All baselines.
#[derive(Debug)]
pub(crate) struct Baselines {
    ours: Ours,
    hosts: BTreeMap<HostKey, HostState>,
    called: BTreeMap<&'static str, BTreeSet<HostKey>>,
}

/// Their names, those of mass mailers first.
pub(crate) const MAILER_RULES: [&str; 4] = ["SPOT", "CT 30/h", "PT 6, 50 %", "more than 5 servers"];
pub(crate) const LISTED_RULE: &str = "blocklist texts";

impl Baselines {
    pub(crate) fn new(ours: Ours) -> Self {
        Self { ours, hosts: BTreeMap::new(), called: BTreeMap::new() }
    }

    pub(crate) fn finish(self) -> BTreeMap<&'static str, BTreeSet<HostKey>> {
        self.called
    }

    fn is_outbound(&self, orig: HostKey, resp: HostKey) -> bool {
        self.ours.contains(orig) && !self.ours.contains(resp)
    }

    pub(crate) fn handle(&mut self, event: &SessionEvent) {
        let now = event.at.ts;
        match &event.kind {
            SessionEventKind::Unanswered(attempt) if self.is_outbound(attempt.id.orig.host, attempt.id.resp.host) => {
                self.contact(attempt.id.orig.host, attempt.id.resp.host, now);
            }
            SessionEventKind::Greeted(head) if self.is_outbound(head.id.orig.host, head.id.resp.host) => {
                self.contact(head.id.orig.host, head.id.resp.host, now);
            }
            SessionEventKind::Transaction(head, tx) if self.is_outbound(head.id.orig.host, head.id.resp.host) => {
                self.mail(head.id.orig.host, tx, now);
            }
            _ => {}
        }
    }

    fn contact(&mut self, host: HostKey, server: HostKey, now: Ts) {
        let contacts = &mut self.hosts.entry(host).or_default().contacts;
        contacts.retain(|(then, other)| now.since(*then) <= HOUR && *other != server);
        contacts.push_back((now, server));
        if contacts.len() > CONTACTS_MAX {
            self.called.entry(MAILER_RULES[3]).or_default().insert(host);
        }
    }

    fn mail(&mut self, host: HostKey, tx: &Transaction, now: Ts) {
        let failed = match tx.outcome {
            Outcome::Accepted => false,
            Outcome::Rejected | Outcome::Deferred => true,
            _ => return,
        };
        let state = self.hosts.entry(host).or_default();
        let (p1, p0) = if failed { (THETA_1, THETA_0) } else { (1.0 - THETA_1, 1.0 - THETA_0) };
        state.spot += (p1 / p0).ln();
        if state.spot >= ((1.0 - BETA) / ALPHA).ln() {
            self.called.entry(MAILER_RULES[0]).or_default().insert(host);
            state.spot = 0.0;
        } else if state.spot <= (BETA / (1.0 - ALPHA)).ln() {
            state.spot = 0.0;
        }
        state.mails.push_back((now, failed));
        while state.mails.front().is_some_and(|(then, _)| now.since(*then) > HOUR) {
            state.mails.pop_front();
        }
        let failures = state.mails.iter().filter(|(_, failed)| *failed).count();
        if failures >= CT_MIN {
            self.called.entry(MAILER_RULES[1]).or_default().insert(host);
        }
        if state.mails.len() >= PT_MIN && failures as f64 >= PT_SHARE * state.mails.len() as f64 {
            self.called.entry(MAILER_RULES[2]).or_default().insert(host);
        }
        let own = host.to_string();
        let replies =
            tx.rcptto.iter().filter_map(|rcpt| rcpt.reply.as_ref()).chain(&tx.data_reply).chain(&tx.mail_reply);
        for reply in replies.filter(|reply| !reply.is_positive()) {
            let text = String::from_utf8_lossy(reply.text.as_bytes()).to_ascii_lowercase();
            if text.contains(&own) && LISTS.iter().any(|list| text.contains(list)) {
                self.called.entry(LISTED_RULE).or_default().insert(host);
            }
        }
    }
}
