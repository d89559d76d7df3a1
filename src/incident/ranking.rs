//! Hosts in the order of what they did, and the card to look for of each.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::{Incident, RankedHost};
use crate::detect::{Class, PRIOR_DB};
use crate::ledger::{HostRow, Used};
use crate::net::{HostKey, Mac};
use crate::time::Ts;

/// How many other addresses of ours a router carries beside this host's; none if it has a card of its own.
pub(super) fn neighbours(carried: &HashMap<Mac, u32>, row: &HostRow) -> u32 {
    row.macs().filter_map(|mac| carried.get(&mac)).map(|n| n - 1).max().unwrap_or(0)
}

/// The row with the card in front that had the address at the given moments, or else the one that has it now.
fn looked_for(mut row: HostRow, when: Option<Vec<Ts>>) -> HostRow {
    row.cards.sort_by_key(|card| std::cmp::Reverse(card.last));
    let Some(moments) = when else { return row };
    match row.at(&moments) {
        Cow::Borrowed(_) => row,
        Cow::Owned(mut then) => {
            let others = row.cards.into_iter().filter(|card| then.macs().all(|mac| mac != card.what));
            let others: Vec<Used<Mac>> = others.collect();
            then.cards.extend(others);
            then
        }
    }
}

/// The hosts, the worst first.
pub(super) fn rank(
    rows: BTreeMap<HostKey, HostRow>,
    routers: &HashMap<Mac, u32>,
    incidents: &[Incident],
) -> Vec<RankedHost> {
    let mut of_host: BTreeMap<HostKey, Vec<&Incident>> = BTreeMap::new();
    for incident in incidents {
        of_host.entry(incident.host).or_default().push(incident);
        for insider in incident.insiders().iter().filter(|insider| insider.ip != incident.host) {
            of_host.entry(insider.ip).or_default().push(incident);
        }
    }
    let mut hosts: Vec<RankedHost> = rows
        .into_values()
        .map(|row| {
            let own = of_host.remove(&row.host).unwrap_or_default();
            let row = looked_for(row, own.first().map(|incident| incident.moments()));
            let mut classes: Vec<Class> = Vec::new();
            for incident in &own {
                // Its own, and one that it is accused with.
                if !classes.contains(&incident.class) {
                    classes.push(incident.class);
                }
            }
            let accusations = || own.iter().filter(|incident| !incident.class.is_victim());
            RankedHost {
                rank: 0,
                tier: accusations().map(|incident| incident.tier).max(),
                severity: accusations().map(|incident| incident.severity).max(),
                score_db: accusations().filter_map(|incident| incident.score_db).fold(PRIOR_DB, f64::max),
                classes,
                behind_router: neighbours(routers, &row),
                row,
            }
        })
        .collect();
    hosts.sort_unstable_by(|a, b| {
        (b.tier, b.severity)
            .cmp(&(a.tier, a.severity))
            .then(b.score_db.total_cmp(&a.score_db))
            // Thousands of made-up addresses must not come before the others, of which a report lists only so many.
            .then((!b.classes.is_empty(), b.row.spoke()).cmp(&(!a.classes.is_empty(), a.row.spoke())))
            .then((b.row.last, a.row.host).cmp(&(a.row.last, b.row.host)))
    });
    for (i, host) in hosts.iter_mut().enumerate() {
        host.rank = i + 1;
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Family;
    use crate::frame::At;
    use crate::incident::tests::{assembled, line, row};

    #[test]
    fn who_only_knocked_comes_last() {
        let rows = [(1, 0), (2, 7), (3, 0)].map(|(n, served)| {
            let mut row = HostRow::new(HostKey::v4([192, 168, 0, n]), At::default());
            (row.served, row.last) = (served, Ts::from_parts(i64::from(n), 0));
            (row.host, row)
        });
        let mut victim = assembled(&rows[0].1, vec![line(Family::Outcome, 36.0)]).unwrap();
        (victim.class, victim.host) = (Class::Blocklisted, rows[0].0);
        let ranked = rank(BTreeMap::from(rows), &HashMap::new(), &[victim]);
        let order: Vec<u8> = ranked.iter().map(|host| host.row.host.octets()[15]).collect();
        assert_eq!(order, [1, 2, 3]);
    }

    #[test]
    fn the_card_to_look_for_is_the_one_of_the_time() {
        let at = |secs| Ts::from_parts(secs, 0);
        let mut row = row();
        for (mac, first, last) in [(1, 0, 100), (2, 200, 300)] {
            row.cards.push(Used::new(Mac([mac; 6]), (at(first), at(last))));
        }
        let order = |when: Option<[Ts; 2]>| {
            looked_for(row.clone(), when.map(Vec::from)).macs().map(|mac| mac.0[0]).collect::<Vec<_>>()
        };
        assert_eq!(order(None), [2, 1], "who has the address now");
        assert_eq!(order(Some([at(50), at(60)])), [1, 2]);
        assert_eq!(order(Some([at(250), at(260)])), [2, 1]);
    }
}
