//! The lists of the views: which lines are shown, in which order, and which one is selected. The selection stays with
//! what it is about while lines come and go around it.

use std::cmp::Reverse;
use std::fmt::Write;

use super::View;
use crate::detect::{Class, Tier};
use crate::incident::RankedHost;
use crate::net::HostKey;
use crate::tcp::ConnId;
use crate::tui::filter::{Filter, Subject};
use crate::tui::snapshot::{HostKeys, SessionLine, Snapshot};
use crate::wire::Wire;

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
        for view in View::ALL {
            let mut order = all(view, snapshot);
            if !filter.is_empty() {
                let mut line = Subject::default();
                order.retain(|&place| describe(view, snapshot, place as usize, &mut line) && filter.shows(&line));
            }
            if view == View::Ranking {
                sort(&mut order, self.column, &snapshot.index.keys);
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

    /// The order of a view from its other end.
    pub(crate) const fn reverse(&mut self, view: View) {
        self.reversed[view as usize] = !self.reversed[view as usize];
    }
}

fn all(view: View, snapshot: &Snapshot) -> Vec<u32> {
    let judgement = &snapshot.judgement;
    match view {
        View::Ranking => (0..judgement.hosts.len() as u32).collect(),
        View::Incidents => (0..judgement.incidents.len() as u32).collect(),
        View::Sessions => (0..snapshot.sessions.len() as u32).collect(),
        View::Servers => snapshot.index.servers.clone(),
        View::Capture => Vec::new(),
    }
}

fn key_of(view: View, snapshot: &Snapshot, place: u32) -> Option<Key> {
    let place = place as usize;
    match view {
        View::Ranking | View::Servers => snapshot.judgement.hosts.get(place).map(|host| Key::Host(host.row.host)),
        View::Incidents => {
            snapshot.judgement.incidents.get(place).map(|incident| Key::Incident(incident.host, incident.class))
        }
        View::Sessions => snapshot.sessions.get(place).map(|line| Key::Session(line.id)),
        View::Capture => None,
    }
}

/// The most comes first; equal ones stay in the order of rank.
fn sort(order: &mut [u32], column: Column, keys: &[HostKeys]) {
    // Floating point numbers in the order of their bits, the sign turned (as `f64::total_cmp` does).
    let ordered = |number: f64| {
        let bits = number.to_bits().cast_signed();
        bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
    };
    let most = |key: &HostKeys| match column {
        Column::Score => ordered(key.score),
        Column::Mails => key.mails.cast_signed(),
        Column::Refused => ordered(key.refused),
        Column::Servers => key.servers.cast_signed(),
        Column::LastSeen => key.last.as_nanos(),
        Column::Rank | Column::Host => 0,
    };
    match column {
        Column::Rank => {}
        Column::Host => order.sort_by_cached_key(|&place| keys.get(place as usize).map(|key| key.host)),
        _ => {
            let mut pairs: Vec<(Reverse<i64>, u32)> =
                order.iter().map(|&place| (Reverse(keys.get(place as usize).map_or(0, most)), place)).collect();
            pairs.sort_unstable();
            for (place, (_, sorted)) in order.iter_mut().zip(pairs) {
                *place = sorted;
            }
        }
    }
}

/// Adds a text in small letters after a blank.
fn add(to: &mut String, wire: Option<&Wire>) {
    if let Some(wire) = wire {
        to.push(' ');
        to.extend(wire.escaped().chars().flat_map(char::to_lowercase));
    }
}

/// What a line is known by, written over what the last one was: a hundred thousand are looked at for one letter typed.
fn describe(view: View, snapshot: &Snapshot, place: usize, line: &mut Subject) -> bool {
    line.clear();
    let judgement = &snapshot.judgement;
    match view {
        View::Ranking | View::Servers => judgement.hosts.get(place).map(|host| of_host(host, line)),
        View::Incidents => judgement.incidents.get(place).map(|incident| {
            let _ = write!(line.who, "{}", incident.host);
            line.classes.push_str(incident.class.name());
            line.tier = incident.tier.name();
            line.score = incident.score_db;
            line.more = incident.summary.to_lowercase();
        }),
        View::Sessions => snapshot.sessions.get(place).map(|session| of_session(session, line)),
        View::Capture => None,
    }
    .is_some()
}

fn of_host(host: &RankedHost, line: &mut Subject) {
    let row = &host.row;
    let _ = write!(line.who, "{}", row.host);
    row.helos.iter().for_each(|helo| add(&mut line.who, Some(helo)));
    let told = row.identity.iter().flat_map(|identity| identity.names());
    told.for_each(|(_, name)| add(&mut line.who, Some(name)));
    for mac in &row.macs {
        let _ = write!(line.who, " {mac}");
    }
    for class in &host.classes {
        line.classes.push_str(class.name());
        line.classes.push(' ');
    }
    line.tier = host.tier.map_or("", Tier::name);
    line.score = host.tier.is_some().then_some(host.score_db);
    add(&mut line.more, row.banner.as_ref());
}

fn of_session(session: &SessionLine, line: &mut Subject) {
    let _ = write!(line.who, "{} {}", session.id.orig.host, session.id.resp.host);
    add(&mut line.who, session.helo.as_ref());
    add(&mut line.more, session.says.as_ref());
}
