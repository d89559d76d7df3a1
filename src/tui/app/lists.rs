//! The lists of the views: which lines are shown, in which order, and which one is selected. The selection stays with
//! what it is about while lines come and go around it.

use super::View;
use crate::detect::Class;
use crate::net::HostKey;
use crate::tcp::ConnId;
use crate::tui::filter::Filter;
use crate::tui::index::Orders;
use crate::tui::snapshot::Snapshot;

/// What a line is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Key {
    Host(HostKey),
    Incident(HostKey, Class),
    Session(ConnId),
}

/// What the ranking is ordered by.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Column {
    #[default]
    Rank,
    Score,
    Mails,
    Refused,
    Servers,
    LastSeen,
    Host,
}

impl Column {
    const ALL: [Self; 7] =
        [Self::Rank, Self::Score, Self::Mails, Self::Refused, Self::Servers, Self::LastSeen, Self::Host];

    /// The name in the heading.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rank => "rank",
            Self::Score => "score",
            Self::Mails => "mails",
            Self::Refused => "refused",
            Self::Servers => "servers",
            Self::LastSeen => "last seen",
            Self::Host => "host",
        }
    }
}

#[derive(Default, Debug)]
struct List {
    /// Places in the snapshot, in the order in which they are shown.
    order: Vec<u32>,
    selected: usize,
    key: Option<Key>,
}

/// The lists of all views.
#[derive(Default, Debug)]
pub(crate) struct Lists {
    views: [List; View::ALL.len()],
    pub(crate) column: Column,
    pub(crate) reversed: [bool; View::ALL.len()],
}

impl Lists {
    /// Puts the lines of a snapshot in order, and finds the selection again.
    pub(crate) fn arrange(&mut self, snapshot: &Snapshot, filter: &Filter) {
        let index = &snapshot.index;
        let shown = |lines| (!filter.is_empty()).then(|| filter.shown(lines));
        let [hosts, incidents, sessions] = [&index.hosts, &index.incidents, &index.sessions].map(shown);
        for view in View::ALL {
            let (mut order, shown) = match view {
                View::Ranking if self.column == Column::Host => (index.by_address.clone(), &hosts),
                View::Ranking => (up_to(snapshot.judgement.hosts.len()), &hosts),
                View::Incidents => (up_to(snapshot.judgement.incidents.len()), &incidents),
                View::Sessions => (up_to(snapshot.sessions.len()), &sessions),
                View::Servers => (index.servers.clone(), &hosts),
                View::Capture => (Vec::new(), &None),
            };
            if let Some(shown) = shown {
                order.retain(|&place| shown.get(place as usize) == Some(&true));
            }
            if view == View::Ranking {
                sort(&mut order, self.column, &index.orders);
            }
            if self.reversed[view as usize] {
                order.reverse();
            }
            let list = &mut self.views[view as usize];
            list.order = order;
            let found = list
                .key
                .and_then(|key| list.order.iter().position(|&place| key_of(view, snapshot, place) == Some(key)));
            list.selected = found.unwrap_or(list.selected).min(list.order.len().saturating_sub(1));
            list.key = match found {
                Some(_) => list.key,
                // At the top, what is first is looked at, whoever that comes to be.
                None => None,
            };
        }
    }

    /// Places of the lines of a view, in order.
    pub(crate) fn order(&self, view: View) -> &[u32] {
        &self.views[view as usize].order
    }

    /// The selected line of a view.
    pub(crate) const fn at(&self, view: View) -> usize {
        self.views[view as usize].selected
    }

    /// What the selected line is about.
    pub(crate) fn selected(&self, view: View, snapshot: &Snapshot) -> Option<Key> {
        let list = &self.views[view as usize];
        key_of(view, snapshot, *list.order.get(list.selected)?)
    }

    /// Selects a line.
    pub(crate) fn select(&mut self, view: View, line: usize) {
        let list = &mut self.views[view as usize];
        list.selected = line.min(list.order.len().saturating_sub(1));
        list.key = None;
    }

    /// Selects another line.
    pub(crate) fn go(&mut self, view: View, lines: isize) {
        let line = self.at(view).saturating_add_signed(lines);
        self.select(view, line);
    }

    /// Keeps to what is selected now; called once the snapshot that it was selected from is known.
    pub(crate) fn hold(&mut self, view: View, snapshot: &Snapshot) {
        let key = self.selected(view, snapshot);
        let list = &mut self.views[view as usize];
        // Who stands at the top and looks there wants to see who comes next.
        list.key = if list.selected == 0 { None } else { key };
    }

    /// Selects the first line about a host.
    pub(crate) fn follow(&mut self, view: View, host: HostKey, snapshot: &Snapshot) {
        let found = self.views[view as usize].order.iter().position(|&place| match key_of(view, snapshot, place) {
            Some(Key::Host(of) | Key::Incident(of, _)) => of == host,
            Some(Key::Session(id)) => id.orig.host == host,
            None => false,
        });
        if let Some(line) = found {
            self.select(view, line);
            self.hold(view, snapshot);
        }
    }

    /// The next order of a view.
    pub(crate) fn next_order(&mut self, view: View) {
        if view == View::Ranking {
            let place = Column::ALL.iter().position(|column| *column == self.column).unwrap_or(0);
            self.column = Column::ALL[(place + 1) % Column::ALL.len()];
        } else {
            self.reverse(view);
        }
    }

    /// The order of a view, for those who changed it.
    pub(crate) fn told_order(&self, view: View) -> String {
        let order =
            if view == View::Ranking { format!("by {}", self.column.name()) } else { "in the usual order".to_owned() };
        order + if self.reversed[view as usize] { ", reversed" } else { "" }
    }

    /// The order of a view from its other end.
    pub(crate) const fn reverse(&mut self, view: View) {
        self.reversed[view as usize] = !self.reversed[view as usize];
    }
}

fn up_to(lines: usize) -> Vec<u32> {
    (0..lines as u32).collect()
}

fn key_of(view: View, snapshot: &Snapshot, place: u32) -> Option<Key> {
    let place = place as usize;
    match view {
        View::Ranking | View::Servers => snapshot.index.addresses.get(place).copied().map(Key::Host),
        View::Incidents => {
            snapshot.judgement.incidents.get(place).map(|incident| Key::Incident(incident.host, incident.class))
        }
        View::Sessions => snapshot.sessions.get(place).map(|line| Key::Session(line.id)),
        View::Capture => None,
    }
}

/// The most comes first; equal ones stay in the order of rank. Number and place are sorted as one number, several times as
/// fast as places whose numbers have to be looked up.
fn sort(order: &mut [u32], column: Column, orders: &Orders) {
    let numbers = match column {
        Column::Score => &orders.score,
        Column::Mails => &orders.mails,
        Column::Refused => &orders.refused,
        Column::Servers => &orders.servers,
        Column::LastSeen => &orders.last_seen,
        // These two come in their order.
        Column::Rank | Column::Host => return,
    };
    let number = |place: u32| numbers.get(place as usize).copied().unwrap_or(u32::MAX);
    let mut pairs: Vec<u64> = order.iter().map(|&place| u64::from(number(place)) << 32 | u64::from(place)).collect();
    pairs.sort_unstable();
    order.iter_mut().zip(pairs).for_each(|(place, pair)| *place = pair as u32);
}
