//! D5: the victim of backscatter. Somebody sends spam under our addresses, and the bounces come to us.
//!
//! Read RFC 3464 (delivery reports) and the sign that Postfix's BACKSCATTER_README names: most of the bounces go to
//! recipients that never existed. A bounce is expected where our server mailed that network, that recipient or its
//! domain under that sender within five days; what is not expected, and comes from many networks, is backscatter.
//! Call-outs, which go away after RCPT was taken, are no bounces. `docs/detectors/backscatter.md` has the sources.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt::Write;

use super::context::Context;
use super::crowd::Crowd;
use super::finding::{Finding, Numbers, Peer, Ruling};
use super::hosts::{HostIdx, PerHost};
use super::novelty::{self, Recent};
use super::observation::{Coming, Kind, Mail, Observation, Way, What};
use super::replies::{OutcomeClass, ReplyClass, Stage};
use super::samples::Samples;
use super::score::{Class, Confidence, Family, Severity, Tier};
use super::sets::Sets;
use super::table::{HostTable, Weigh};
use super::{Detector, DetectorStats};
use crate::distinct::Distinct;
use crate::frame::At;
use crate::ledger::Role;
use crate::net::HostKey;
use crate::session::SessionEventKind;
use crate::smtp::Reply;
use crate::smtp::path::MailPath;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// The settings of D5.
#[derive(Clone, PartialEq, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Bounces within `window` for an alarm (heuristic).
    pub bounces_min: usize,
    /// Client networks that they must come from (heuristic: a misled mailing list is one).
    pub networks_min: usize,
    /// Share of bounces that nothing of ours explains.
    pub unmatched_min: f64,
    /// The window of these three.
    pub window: Span,
    /// How long after a mail a bounce is expected. RFC 5321 section 4.5.4.1 lets a queue try for four to five days.
    pub expected_for: Span,
    /// Share of bounces to recipients that do not exist for the kind `random`.
    pub unknown_share: f64,
    /// Share of bounces to one address for the kind `joe_job`.
    pub one_share: f64,
    /// Share of its mail that is taken from which on a host of ours that is no mail server counts as honest all the
    /// same (a newsletter box): bounces of its mail are its own.
    pub honest_share: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bounces_min: 20,
            networks_min: 10,
            unmatched_min: 0.8,
            window: Span::hours(1),
            expected_for: Span::hours(5 * 24),
            unknown_share: 0.5,
            one_share: 0.5,
            honest_share: 0.8,
        }
    }
}

/// Keys of mails that may bounce in each half of the five days, three a recipient: 700,000 recipients take 8 MB. When
/// full, the filters turn early, and that is counted.
const SENT_MAX: usize = 1 << 21;
/// Senders used by hosts that are no mail servers, at 32 bytes: twice as many as a site sees in a busy week, since some
/// are forgotten when half of the places are taken.
const FORGED_MAX: usize = 1 << 17;
/// Bounces looked at for the rule; it needs twenty.
const LATELY_MAX: usize = 64;
/// Servers of ours watched, at up to 30 KB each.
const SERVERS_MAX: usize = 4096;
/// Clients and recipients shown.
const SHOWN_MAX: usize = 10;
/// Bytes of a recipient that are shown.
const NAME_MAX: usize = 64;
/// Mails of a host before its share of accepted ones means something.
const HONEST_MIN: u64 = 20;

/// One bounce, for the rule.
#[derive(Clone, Copy, Debug)]
struct Bounce {
    ts: Ts,
    network: u64,
    unmatched: bool,
}

#[derive(Debug, Default)]
struct ServerState {
    lately: VecDeque<Bounce>,
    alarmed: Option<Ts>,
    /// Of the last run of bounces in which no window passed without one.
    run: Run,
}

#[derive(Debug, Default)]
struct Run {
    first: Ts,
    last: Ts,
    bounces: u64,
    unmatched: u64,
    unknown: u64,
    most_in_window: usize,
    networks: Distinct,
    clients: Crowd<HostKey, 256>,
    recipients: Crowd<Wire, 64>,
    /// Bounces of mail that a host of ours sent under the bounced address.
    self_caused: Crowd<HostKey, 16>,
    samples: Samples,
}

impl Weigh for ServerState {
    fn weight(&self) -> u64 {
        self.run.bounces + 1000 * u64::from(self.alarmed.is_some())
    }
}

/// A host of ours that sends by itself and is no mail server as far as is known.
#[derive(Debug, Default)]
struct Sender {
    mails: u64,
    accepted: u64,
}

impl Weigh for Sender {
    fn weight(&self) -> u64 {
        self.mails
    }
}

/// What a bounce answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cause {
    /// Mail that a mail server of ours sent.
    Ours,
    /// Mail that another host of ours sent under that address.
    Host(HostKey),
    /// Nothing that was seen.
    Nothing,
}

/// D5.
#[derive(Debug)]
pub struct Backscatter {
    settings: Settings,
    servers: HostTable<ServerState>,
    senders: PerHost<Sender>,
    sent: Recent,
    /// Which host of ours used a sender last, by a fixed hash of the sender.
    forged: Sets<Option<HostKey>>,
}

impl Backscatter {
    /// With settings, for at most `hosts_max` hosts.
    pub fn new(settings: Settings, hosts_max: usize) -> Self {
        let sent = Recent::new(settings.expected_for, SENT_MAX);
        Self {
            settings,
            servers: HostTable::new(hosts_max.min(SERVERS_MAX)),
            senders: PerHost::default(),
            sent,
            forged: Sets::new(FORGED_MAX),
        }
    }

    /// Mail that goes out: its bounces are expected, if a mail server sends it.
    fn sent(&mut self, client: HostIdx, seen: &Observation<'_>, mail: &Mail<'_>) {
        if mail.tx.null_sender {
            return;
        }
        let (host, now) = (seen.id.orig.host, seen.at.ts);
        if seen.takes_mail || matches!(seen.role, Role::Server | Role::Sender) {
            let sender = mail.tx.mailfrom.as_bytes().to_ascii_lowercase();
            let network = seen.id.resp.host.site().octets();
            self.sent.insert(&[&sender, b"network", &network], now);
            for rcpt in &mail.tx.rcptto {
                let rcpt = rcpt.to.as_bytes().to_ascii_lowercase();
                self.sent.insert(&[&sender, b"mailbox", &rcpt], now);
                if let Some(domain) = MailPath::new(&rcpt).domain() {
                    self.sent.insert(&[&sender, b"domain", domain], now);
                }
            }
            return;
        }
        let state = self.senders.touch(client);
        if mail.novel && mail.outcome.is_some_and(|outcome| outcome != OutcomeClass::Pending) {
            state.mails += 1;
            state.accepted += u64::from(mail.outcome == Some(OutcomeClass::Accepted));
        }
        self.forged.put(mail.keys.sender, Some(host));
    }

    /// Mail without a sender that comes in.
    fn came(&mut self, seen: &Observation<'_>, mail: &Mail<'_>, ctx: &Context<'_>) {
        let (server, client, now) = (seen.id.resp.host, seen.id.orig.host, seen.at.ts);
        for rcpt in &mail.tx.rcptto {
            let unknown = rcpt.reply.as_ref().is_some_and(|reply| is_unknown(reply, ctx));
            let refused = rcpt.reply.as_ref().is_some_and(|reply| !reply.is_positive());
            // Taken at RCPT and then left: a call-out. Put off or refused for other reasons: it comes again, or says
            // nothing of the address.
            if !unknown && (refused || mail.tx.transfer.is_none()) {
                continue;
            }
            let cause = self.cause(seen, mail, &rcpt.to, ctx);
            let settings = &self.settings;
            let state = self.servers.touch(server, ServerState::default).0;
            if state.run.bounces == 0 || now.since(state.run.last) >= settings.window && state.alarmed.is_none() {
                state.run = Run { first: now, ..Run::default() };
            }
            let network = client.site();
            let bounce =
                Bounce { ts: now, network: novelty::key(&[&network.octets()]), unmatched: cause != Cause::Ours };
            let run = &mut state.run;
            run.last = now;
            run.bounces += 1;
            run.unmatched += u64::from(bounce.unmatched);
            run.unknown += u64::from(unknown);
            run.networks.insert(network);
            run.recipients.note(&Wire::capped(&rcpt.to.as_bytes().to_ascii_lowercase(), NAME_MAX), now);
            if bounce.unmatched {
                run.clients.note(&client, now);
                run.samples.add(seen.id, mail.tx.ended.frame);
            }
            if let Cause::Host(host) = cause {
                run.self_caused.note(&host, now);
            }
            state.note(settings, bounce);
        }
    }

    fn cause(&mut self, seen: &Observation<'_>, mail: &Mail<'_>, rcpt: &Wire, ctx: &Context<'_>) -> Cause {
        let now = seen.at.ts;
        let sender = rcpt.as_bytes().to_ascii_lowercase();
        let network = seen.id.orig.host.site().octets();
        if self.sent.contains(&[&sender, b"network", &network], now) {
            return Cause::Ours;
        }
        // The report may come from elsewhere, but says whom it speaks of.
        let dsn = mail.tx.content.as_ref().and_then(|content| content.dsn.as_ref());
        for reported in dsn.into_iter().flat_map(|dsn| [&dsn.original_recipient, &dsn.final_recipient]).flatten() {
            let reported = reported.as_bytes().to_ascii_lowercase();
            let domain = MailPath::new(&reported).domain().unwrap_or_default();
            if self.sent.contains(&[&sender, b"mailbox", &reported], now)
                || self.sent.contains(&[&sender, b"domain", domain], now)
            {
                return Cause::Ours;
            }
        }
        match self.forged.get(novelty::key_lower(0, &sender)).flatten() {
            Some(host) if is_mail_host(host, ctx) || self.is_honest(host, ctx) => Cause::Ours,
            Some(host) => Cause::Host(host),
            None => Cause::Nothing,
        }
    }

    fn is_honest(&self, host: HostKey, ctx: &Context<'_>) -> bool {
        ctx.hosts.find(host).and_then(|host| self.senders.get(host)).is_some_and(|sender| {
            sender.mails >= HONEST_MIN && sender.accepted as f64 >= self.settings.honest_share * sender.mails as f64
        })
    }

    fn finding(&self, server: HostKey, run: &Run, known_for: Span) -> Finding {
        let settings = &self.settings;
        let share = |part: u64| part as f64 / run.bounces.max(1) as f64;
        let recipients = run.recipients.top();
        let to_one = recipients.first().map_or(0.0, |(_, member)| share(member.count));
        let kind = if to_one >= settings.one_share { "joe_job" } else { "random" };
        let young = known_for < settings.expected_for || self.sent.early_turns() > 0;
        let own = run.self_caused.top();
        let caused: u64 = own.iter().map(|(_, member)| member.count).sum();
        let mut says = format!(
            "{} bounces of mail that no server of yours was seen to send came from {} networks ({} bounces in all); {} \
             went to addresses that do not exist",
            run.unmatched,
            run.networks.count(),
            run.bounces,
            run.unknown
        );
        if let (true, Some((name, _))) = (kind == "joe_job", recipients.first()) {
            let _ = write!(says, "; most of them to \"{name}\"");
        }
        if let Some((host, _)) = own.first() {
            let _ = write!(
                says,
                "; self-caused: {caused} of them answer mail that your own host {host} sent under these addresses - look \
                 at that host first"
            );
        }
        if young {
            says.push_str("; less than five days were seen, so that some may answer older mail of yours");
        }
        let clients = run.clients.peers("client", SHOWN_MAX);
        let hosts = own.iter().map(|(host, member)| member.peer(**host, "self_caused"));
        let peers: Vec<Peer> = hosts.chain(clients).collect();
        Finding {
            kind: Some(kind),
            says,
            numbers: Numbers::new()
                .count("bounces", run.bounces)
                .count("unmatched", run.unmatched)
                .with("unmatched_share", share(run.unmatched))
                .count("unknown_users", run.unknown)
                .count("networks", run.networks.count())
                .count("most_in_an_hour_at_least", run.most_in_window as u64)
                .with("to_one_share", to_one)
                .count("self_caused", caused),
            frames: run.samples.frames(),
            sessions: run.samples.sessions(),
            verdict: Some(Ruling {
                tier: Tier::Likely,
                severity: Severity::Medium,
                confidence: if young { Confidence::Low } else { Confidence::High },
            }),
            peers,
            ..Finding::summed(
                self.name(),
                server,
                Class::BackscatterVictim,
                Family::Backscatter,
                0.0,
                run.first,
                run.last,
            )
        }
    }
}

impl ServerState {
    /// The rule, over the last bounces within the window.
    fn note(&mut self, settings: &Settings, bounce: Bounce) {
        if self.lately.len() >= LATELY_MAX {
            self.lately.pop_front();
        }
        self.lately.push_back(bounce);
        while self.lately.front().is_some_and(|first| bounce.ts.since(first.ts) >= settings.window) {
            self.lately.pop_front();
        }
        let bounces = self.lately.len();
        self.run.most_in_window = self.run.most_in_window.max(bounces);
        if bounces < settings.bounces_min || self.alarmed.is_some() {
            return;
        }
        let mut networks: Vec<u64> = self.lately.iter().map(|bounce| bounce.network).collect();
        networks.sort_unstable();
        networks.dedup();
        let unmatched = self.lately.iter().filter(|bounce| bounce.unmatched).count();
        if networks.len() >= settings.networks_min && unmatched as f64 >= settings.unmatched_min * bounces as f64 {
            self.alarmed = Some(bounce.ts);
        }
    }
}

/// Whether a host's mail is its own: it is a mail server, or a sender known for long.
fn is_mail_host(host: HostKey, ctx: &Context<'_>) -> bool {
    ctx.roles.takes_mail(host) || matches!(ctx.role(host), Role::Server | Role::Sender)
}

fn is_unknown(reply: &Reply, ctx: &Context<'_>) -> bool {
    reply.is_permanent() && ctx.rules.classify(reply, Stage::Rcpt).class == ReplyClass::UserUnknown
}

impl Detector for Backscatter {
    fn name(&self) -> &'static str {
        "backscatter"
    }

    fn wants(&self, way: Way, kind: Kind) -> bool {
        kind == Kind::Transaction && way != Way::Inside
    }

    fn handle(&mut self, seen: &Observation<'_>, ctx: &Context<'_>) {
        let What::Transaction(mail) = seen.what else { return };
        match (seen.way, seen.client) {
            (Way::Outbound, Some(client)) => self.sent(client, seen, mail),
            (Way::Inbound, _) if mail.tx.null_sender => self.came(seen, mail, ctx),
            _ => {}
        }
    }

    fn fetch(&self, coming: &Coming<'_>) -> u64 {
        let (Way::Outbound, SessionEventKind::Transaction(..)) = (coming.way, coming.kind) else { return 0 };
        let forged = self.forged.get(coming.keys.mail.sender);
        let mails = coming.client.and_then(|client| self.senders.get(client)).map_or(0, |sender| sender.mails);
        mails ^ u64::from(forged.is_some())
    }

    fn findings(&self, now: At, ctx: &Context<'_>, out: &mut Vec<Finding>) {
        for (server, state) in self.servers.sorted() {
            if state.alarmed.is_some() {
                out.push(self.finding(server, &state.run, now.ts.since(ctx.began)));
            }
        }
    }

    fn weight(&self, host: HostIdx) -> u64 {
        self.senders.weight(host)
    }

    fn forget(&mut self, host: HostIdx) {
        self.senders.forget(host);
    }

    fn stats(&self) -> DetectorStats {
        DetectorStats {
            hosts: self.servers.len() + self.senders.len(),
            evicted: self.servers.evicted() + self.senders.evicted() + self.forged.forgotten(),
            early_turns: self.sent.early_turns(),
        }
    }
}
