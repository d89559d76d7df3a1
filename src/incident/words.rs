//! Says what incidents are and what to do, once all are known: another incident of the same host may tell why it is listed.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::advice::{self, Circumstances, Machine};
use super::cause::Cause;
use super::ranking::neighbours;
use super::{Incident, summary};
use crate::ledger::{HostRow, Role};
use crate::net::{HostKey, Mac};

/// Puts incidents into words; those of one host stand together.
pub(super) fn put_into(incidents: &mut [Incident], rows: &BTreeMap<HostKey, HostRow>, routers: &HashMap<Mac, u32>) {
    let servers: Vec<IpAddr> = rows.values().filter(|row| row.role == Role::Server).map(|row| row.host.ip()).collect();
    for of_host in incidents.chunk_by_mut(|a, b| a.host == b.host) {
        let Some(row) = of_host.first().and_then(|incident| rows.get(&incident.host)) else { continue };
        let causes: Vec<Cause> = of_host.iter().filter_map(Cause::of).collect();
        for incident in of_host {
            // Who had the address when it happened.
            let row = &*row.at(&incident.moments());
            let insiders = incident.insiders();
            let insiders = insiders.iter().filter_map(|peer| rows.get(&peer.ip)).map(|row| machine(row, routers));
            let insiders: Vec<Machine<'_>> = insiders.collect();
            let seen = Circumstances {
                machine: machine(row, routers),
                insiders: &insiders,
                servers: &servers,
                causes: &causes,
            };
            (incident.summary, incident.remediation) = (summary::of(incident, seen), advice::of(incident, seen));
        }
    }
}

fn machine<'a>(row: &'a HostRow, routers: &HashMap<Mac, u32>) -> Machine<'a> {
    Machine { row, behind_router: neighbours(routers, row) }
}
