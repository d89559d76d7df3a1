//! What the screen orders and finds lines by, made once with each snapshot by the thread that judges: what is done a
//! hundred thousand times must not hold up a redraw.

use super::search::Lines;
use super::snapshot::{SessionLine, Snapshot};
use super::standing::{self, Standing};
use crate::incident::{Incident, RankedHost};
use crate::ledger::Role;
use crate::net::HostKey;
use crate::time::Ts;

/// What hosts are ordered by: a number for each, by its place, of which the smallest comes first. Each order has its
/// numbers together in memory, because all of them are looked at for it.
#[derive(Default, Debug)]
pub(super) struct Orders {
    pub(super) score: Vec<u32>,
    pub(super) mails: Vec<u32>,
    pub(super) refused: Vec<u32>,
    pub(super) servers: Vec<u32>,
    pub(super) last_seen: Vec<u32>,
}

impl Orders {
    fn of(hosts: &[RankedHost], now: Ts) -> Self {
        let mut orders = Self::default();
        for RankedHost { row, score_db, .. } in hosts {
            let counts = &row.counts;
            let refused = counts.rcpt_rejected as f64 / (counts.rcpt_accepted + counts.rcpt_rejected).max(1) as f64;
            orders.score.push(!ordered(*score_db as f32));
            orders.mails.push(!saturated(counts.transactions));
            orders.refused.push(!ordered(refused as f32));
            orders.servers.push(!saturated(row.servers.count()));
            // Milliseconds tell apart what anybody could see apart; what is older than 49 days is old.
            orders.last_seen.push(saturated((now.since(row.last).as_nanos() / 1_000_000).max(0).cast_unsigned()));
        }
        orders
    }
}

fn saturated(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A floating point number by its bits, in its order: the sign turned, and the negative ones upside down.
const fn ordered(number: f32) -> u32 {
    let bits = number.to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

/// What lines are ordered and found by.
#[derive(Default, Debug)]
pub struct Index {
    /// The address of each host, by its place.
    pub(super) addresses: Vec<HostKey>,
    pub(super) orders: Orders,
    /// Places of hosts in the order of their addresses.
    pub(super) by_address: Vec<u32>,
    /// Places of hosts that serve mail.
    pub(super) servers: Vec<u32>,
    pub(super) hosts: Lines,
    pub(super) incidents: Lines,
    pub(super) sessions: Lines,
}

impl Index {
    /// Of a snapshot that is complete otherwise.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let (hosts, incidents) = (&snapshot.judgement.hosts, &snapshot.judgement.incidents);
        let (of_hosts, of_incidents) = standing::of_all(hosts, incidents, snapshot.now, snapshot.over);
        let addresses: Vec<HostKey> = hosts.iter().map(|host| host.row.host).collect();
        let mut by_address: Vec<(HostKey, u32)> = addresses.iter().copied().zip(0..).collect();
        by_address.sort_unstable();
        let serves = |host: &RankedHost| host.row.role == Role::Server || host.row.served > 0;
        Self {
            by_address: by_address.into_iter().map(|(_, place)| place).collect(),
            servers: (0..).zip(hosts).filter(|(_, host)| serves(host)).map(|(place, _)| place).collect(),
            hosts: Lines::of(hosts, of_hosts, describe_host),
            incidents: Lines::of(incidents, of_incidents, describe_incident),
            sessions: Lines::of(&snapshot.sessions, vec![Standing::Quiet; snapshot.sessions.len()], describe_session),
            orders: Orders::of(hosts, snapshot.now),
            addresses,
        }
    }
}

fn describe_host(host: &RankedHost, line: &mut Lines) -> Option<f64> {
    let row = &host.row;
    line.who.shown(row.host);
    row.helos.iter().for_each(|helo| line.who.wire(Some(&helo.what)));
    let told = row.identity.iter().flat_map(|identity| identity.names());
    told.for_each(|(_, name)| line.who.wire(Some(name)));
    row.macs().for_each(|mac| line.who.shown(mac));
    host.classes.iter().for_each(|class| line.classes.word(class.name()));
    line.more.wire(row.banner.as_ref());
    host.tier.is_some().then_some(host.score_db)
}

fn describe_incident(incident: &Incident, line: &mut Lines) -> Option<f64> {
    line.who.shown(incident.host);
    line.classes.word(incident.class.name());
    line.more.word(&incident.summary);
    incident.score_db
}

fn describe_session(session: &SessionLine, line: &mut Lines) -> Option<f64> {
    line.who.shown(session.id.orig.host);
    line.who.shown(session.id.resp.host);
    line.who.wire(session.helo.as_ref());
    line.more.wire(session.says.as_ref());
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_are_in_the_order_of_their_numbers(a in any::<f32>(), b in any::<f32>()) {
            prop_assert_eq!(ordered(a).cmp(&ordered(b)), a.total_cmp(&b));
        }
    }
}
