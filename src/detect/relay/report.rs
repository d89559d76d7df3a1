//! What is said of a server: the finding, its ruling and its sentences.

use std::fmt::Write;

use super::records::{Onward, Record, Shown};
use super::{Client, ServerState, Settings};
use crate::detect::context::Context;
use crate::detect::domains::Standing;
use crate::detect::finding::{Finding, Numbers, Peer, RelayOutcome, Ruling};
use crate::detect::samples::SAMPLES_MAX;
use crate::detect::score::{Class, Confidence, Family, Severity, Tier};
use crate::net::HostKey;

/// Clients shown.
const CLIENTS_SHOWN: usize = 10;

/// How many verdicts are in which state.
#[derive(Clone, Copy, Debug)]
struct Counts {
    rejected: u64,
    unproven: u64,
    /// Those of them that count by themselves.
    unproven_hard: u64,
    rcpt_only: u64,
    probable: u64,
    bounced: u64,
    /// Those of them that the outside refused, not the server.
    bounced_outside: u64,
    /// Of unproven and bounced ones: offered to the outside.
    tried: u64,
    proven: u64,
    proven_known: u64,
    proven_forged: u64,
}

impl Counts {
    fn of(state: &ServerState, counts: impl Fn(&Record) -> bool) -> Self {
        let count = |outcome: RelayOutcome, wanted: &dyn Fn(&Record) -> bool| {
            state.records.count_of(|record| record.outcome == outcome && counts(record) && wanted(record))
        };
        Self {
            rejected: count(RelayOutcome::Rejected, &|_| true),
            unproven: count(RelayOutcome::AcceptedUnproven, &|_| true),
            unproven_hard: count(RelayOutcome::AcceptedUnproven, &|record| !record.soft),
            rcpt_only: count(RelayOutcome::AcceptedUnproven, &|record| !record.with_data),
            probable: count(RelayOutcome::AcceptedUnproven, &|record| record.probable),
            bounced: count(RelayOutcome::AcceptedThenNdr, &|_| true),
            bounced_outside: count(RelayOutcome::AcceptedThenNdr, &|record| record.tried),
            tried: state.records.count_of(|record| {
                record.tried && matches!(record.outcome, RelayOutcome::AcceptedUnproven | RelayOutcome::AcceptedThenNdr)
            }),
            proven: count(RelayOutcome::Proven, &|_| true),
            proven_known: count(RelayOutcome::Proven, &|record| !record.learned),
            proven_forged: count(RelayOutcome::Proven, &|record| record.forged),
        }
    }

    const fn all(self) -> u64 {
        self.rejected + self.unproven + self.bounced + self.proven
    }
}

/// What stands against a server, if anything does.
pub(super) fn finding(
    detector: &'static str,
    settings: &Settings,
    server: HostKey,
    state: &ServerState,
    ctx: &Context<'_>,
) -> Option<Finding> {
    let learned = ctx.domains.best(server, ctx.roles.banner_name(server));
    // Mail that left for a domain of which only learning says that it is not ours: nothing without a confirmed domain.
    let counts = |record: &Record| !record.learned || learned == Standing::Confirmed;
    let numbers = Counts::of(state, counts);
    let mut testers: Vec<(&HostKey, &Client)> =
        state.clients.iter().filter(|(_, client)| client.log.techniques() >= settings.probe_techniques).collect();
    testers.sort_by_key(|(ip, client)| (std::cmp::Reverse(client.log.techniques()), **ip));
    let maybe_partners = numbers.proven_known == 0 && state.onward_domains.len() < settings.learned_domains_min;
    let (tier, severity) = match numbers {
        Counts { proven: 1.., .. } if maybe_partners => (Tier::Likely, Severity::High),
        Counts { proven: 1.., .. } => (Tier::Confirmed, Severity::Critical),
        Counts { unproven_hard: 1.., .. } | Counts { tried: 1.., .. } => (Tier::Suspect, Severity::Medium),
        Counts { bounced: 1.., .. } => (Tier::Suspect, Severity::Low),
        _ if state.scanned || !testers.is_empty() => (Tier::Suspect, Severity::Info),
        _ => return None,
    };
    let domains_given = !ctx.site.local_domains.is_empty();
    let confidence =
        if domains_given || learned == Standing::Confirmed { Confidence::High } else { Confidence::Medium };

    let shown: Vec<&Shown> = state.records.shown().into_iter().filter(|shown| counts(&shown.record)).collect();
    let onward: Vec<Onward> = shown.iter().filter_map(|shown| shown.onward).collect();
    let mut says = sentences(&numbers, &onward, maybe_partners, state);
    for (ip, client) in testers.iter().take(CLIENTS_SHOWN) {
        let order = client.log.scanner().map(|name| format!(", in the order of {name}")).unwrap_or_default();
        let _ = write!(says, "; {ip} tests for open relays: {} techniques{order}", client.log.techniques());
    }

    let mut furthest: Vec<&&Shown> = shown.iter().collect();
    furthest.sort_by_key(|shown| (std::cmp::Reverse(shown.record.outcome), shown.verdict.frame));
    let mut samples: Vec<_> = furthest
        .iter()
        .take(SAMPLES_MAX)
        .flat_map(|shown| {
            let attempt = (shown.session, shown.verdict.frame);
            [Some(attempt), shown.onward.map(|onward| (onward.session, onward.frame))].into_iter().flatten()
        })
        .chain(state.reports.iter().copied())
        .collect();
    samples.sort_by_key(|(_, frame)| *frame);
    let mut sessions: Vec<_> = samples.iter().map(|(session, _)| *session).collect();
    sessions.sort_unstable();
    sessions.dedup();

    Some(Finding {
        says,
        numbers: Numbers::new()
            .count("attempts", numbers.all())
            .count("rejected", numbers.rejected)
            .count("accepted_unproven", numbers.unproven)
            .count("rcpt_only", numbers.rcpt_only)
            .count("probable", numbers.probable)
            .count("accepted_then_ndr", numbers.bounced)
            .count("tried_outside", numbers.tried)
            .count("proven", numbers.proven)
            .count("proven_forged_sender", numbers.proven_forged)
            .count("clients", state.clients.len() as u64 + state.clients_forgotten)
            .count("testers", testers.len() as u64)
            .count("shown", shown.len() as u64),
        frames: samples.iter().map(|(_, frame)| *frame).collect(),
        sessions,
        verdict: Some(Ruling { tier, severity, confidence }),
        relays: shown.into_iter().map(|shown| shown.verdict.clone()).collect(),
        peers: peers(state, settings),
        ..Finding::summed(detector, server, Class::Relay, Family::Relay, 0.0, state.first?, state.last)
    })
}

fn sentences(numbers: &Counts, onward: &[Onward], maybe_partners: bool, state: &ServerState) -> String {
    let mut parts =
        vec![format!("outsiders without a login asked it {} times to pass mail on to outsiders", numbers.all())];
    if numbers.proven > 0 {
        let how = onward.first().map_or_else(String::new, |onward| {
            format!(" (the first {} later, with the same recipient and {})", seconds(onward), onward.mark)
        });
        parts.push(format!("{} of these mails were seen to leave it again{how}", numbers.proven));
        let open = numbers.proven - numbers.proven_forged;
        if open > 0 {
            parts.push(format!("{open} with a foreign sender and a foreign recipient: an open relay"));
        }
        if numbers.proven_forged > 0 {
            parts.push(format!(
                "{} under a sender that pretends to be yours: such a sender is forged, and passing it on is relaying",
                numbers.proven_forged
            ));
        }
    }
    if maybe_partners && numbers.proven > 0 {
        let names: Vec<String> = state.onward_domains.iter().map(|name| name.escaped().into_owned()).collect();
        parts.push(format!(
            "if it is the backup MX of {}, that is right: then name the domain in relay_domains",
            names.join(", ")
        ));
    }
    let bounced_here = numbers.bounced - numbers.bounced_outside;
    if bounced_here > 0 {
        parts.push(format!(
            "{bounced_here} were accepted and returned to the sender: not relayed, the bounce proves it"
        ));
    }
    if numbers.bounced_outside > 0 {
        parts.push(format!(
            "{} were accepted and returned to the sender after the outside had refused the recipient: the server tried",
            numbers.bounced_outside
        ));
    }
    if numbers.unproven > 0 {
        let mut part = format!("{} were accepted, and nothing shows what became of them", numbers.unproven);
        if numbers.rcpt_only > 0 {
            let _ = write!(part, " ({} only the recipient: no data were sent)", numbers.rcpt_only);
        }
        if numbers.probable > 0 {
            let _ = write!(
                part,
                " ({} probably left: a mail of the same sender, recipient and size did, which is no proof)",
                numbers.probable
            );
        }
        parts.push(part);
    }
    if numbers.rejected > 0 {
        parts.push(format!("{} were refused", numbers.rejected));
    }
    parts.join("; ")
}

/// A delay as people say it.
fn seconds(onward: &Onward) -> String {
    let seconds = onward.delay.as_secs_f64();
    if seconds < 120.0 { format!("{seconds:.1} s") } else { format!("{:.0} min", seconds / 60.0) }
}

/// The clients to look at: testers first, then by the number of attempts.
fn peers(state: &ServerState, settings: &Settings) -> Vec<Peer> {
    let mut clients: Vec<_> = state.clients.iter().collect();
    clients.sort_by_key(|(ip, client)| {
        let tests = client.log.techniques() >= settings.probe_techniques;
        (!tests, std::cmp::Reverse(client.attempts), **ip)
    });
    clients
        .into_iter()
        .take(CLIENTS_SHOWN)
        .map(|(ip, client)| Peer {
            ip: *ip,
            role: "client",
            count: client.attempts,
            says: None,
            first_ts: client.first,
            last_ts: client.last,
        })
        .collect()
}
