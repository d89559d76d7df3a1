//! What the screen orders and finds lines by, made once with each snapshot by the thread that judges: what is done a
//! hundred thousand times must not hold up a redraw.

use super::search::Lines;
use super::snapshot::{SessionLine, Snapshot};
use super::standing::{self, Standing};
use crate::incident::{Incident, RankedHost};
use crate::ledger::Role;
use crate::net::HostKey;
use crate::time::Ts;

/// What a host is ordered by: together in memory, because all of them are looked at for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostKeys {
    pub(super) host: HostKey,
    pub(super) last: Ts,
    pub(super) score: f64,
    pub(super) mails: u64,
    pub(super) servers: u64,
    pub(super) refused: f64,
}

impl HostKeys {
    fn of(host: &RankedHost) -> Self {
        let (row, counts) = (&host.row, &host.row.counts);
        let refused = counts.rcpt_rejected as f64 / (counts.rcpt_accepted + counts.rcpt_rejected).max(1) as f64;
        Self {
            host: row.host,
            last: row.last,
            score: host.score_db,
            mails: counts.transactions,
            servers: row.servers.count(),
            refused,
        }
    }
}

/// What lines are ordered and found by.
#[derive(Default, Debug)]
pub struct Index {
    /// Of each host, by its place.
    pub(super) keys: Vec<HostKeys>,
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
        let keys: Vec<HostKeys> = hosts.iter().map(HostKeys::of).collect();
        let mut by_address: Vec<(HostKey, u32)> = keys.iter().map(|keys| keys.host).zip(0..).collect();
        by_address.sort_unstable();
        let serves = |host: &RankedHost| host.row.role == Role::Server || host.row.served > 0;
        Self {
            by_address: by_address.into_iter().map(|(_, place)| place).collect(),
            servers: (0..).zip(hosts).filter(|(_, host)| serves(host)).map(|(place, _)| place).collect(),
            hosts: Lines::of(hosts, of_hosts, describe_host),
            incidents: Lines::of(incidents, of_incidents, describe_incident),
            sessions: Lines::of(&snapshot.sessions, vec![Standing::Quiet; snapshot.sessions.len()], describe_session),
            keys,
        }
    }
}

fn describe_host(host: &RankedHost, line: &mut Lines) -> Option<f64> {
    let row = &host.row;
    line.who.shown(row.host);
    row.helos.iter().for_each(|helo| line.who.wire(Some(helo)));
    row.macs.iter().for_each(|mac| line.who.shown(mac));
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
