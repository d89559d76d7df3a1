//! What was judged on earlier days of a long run, so that a week's capture tells of its first day.
//!
//! Evidence fades, because a host is judged by what it does now ([`crate::detect::Peak`]): whole for a day, and less with each
//! further one. Whoever reads a report of a week wants to know who did it, not who does it still. So at the end of each day of
//! the run the judgement is made, and what is at least likely is remembered.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

use super::{Incident, Judgement};
use crate::detect::{Class, Judge, Tier};
use crate::ledger::Role;
use crate::net::HostKey;
use crate::time::{Span, Ts};

/// A day of a run: as long as evidence counts wholly, so that nothing falls between two judgements.
const DAY: Span = Span::hours(24);
/// Incidents that are remembered: some kilobytes each. Of a day's the worst are entered first.
const INCIDENTS_MAX: usize = 4096;

/// The days of a run that are over.
#[derive(Debug, Default)]
pub struct Past {
    /// When the day began that is not over yet.
    day: Option<Ts>,
    incidents: BTreeMap<(HostKey, Class), (Incident, Role)>,
    left_out: u64,
}

impl Past {
    /// Whether a day is over before what comes at `ts`. The first thing that comes begins the first day.
    pub fn is_over(&mut self, ts: Ts) -> bool {
        ts.since(*self.day.get_or_insert(ts)) >= DAY
    }

    /// Remembers the day that is over; the next one begins at `ts`.
    pub fn note(&mut self, judge: &Judge, ts: Ts) {
        self.day = Some(ts);
        let Judgement { hosts, incidents } = Judgement::of(judge);
        let roles: BTreeMap<HostKey, Role> = hosts.iter().map(|host| (host.row.host, host.row.role)).collect();
        for incident in incidents.into_iter().filter(|incident| incident.tier >= Tier::Likely) {
            let key = (incident.host, incident.class);
            let role = roles.get(&incident.host).copied().unwrap_or_default();
            let full = self.incidents.len() >= INCIDENTS_MAX;
            match self.incidents.entry(key) {
                Entry::Occupied(known) => {
                    let (known, as_role) = known.into_mut();
                    if !is_stronger(known, &incident) {
                        *as_role = role;
                    }
                    join(known, incident);
                }
                Entry::Vacant(_) if full => self.left_out += 1,
                Entry::Vacant(place) => {
                    place.insert((incident, role));
                }
            }
        }
    }

    /// Incidents that there was no room for.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Adds what is remembered to what is judged at the end: of one host and class, what is better founded. `role` is what a
    /// host turned out to be, if anything is known of it still.
    pub(super) fn add_to(&mut self, incidents: &mut Vec<Incident>, role: impl Fn(HostKey) -> Option<Role>) {
        for incident in &mut *incidents {
            if let Some((past, as_role)) = self.incidents.remove(&(incident.host, incident.class))
                && stands(&past, as_role, role(past.host))
            {
                join(incident, past);
            }
        }
        for (mut past, as_role) in std::mem::take(&mut self.incidents).into_values() {
            if stands(&past, as_role, role(past.host)) {
                let over = past.last.plain();
                let _ = write!(past.summary, " It was over by {over}: no more of it was seen on the days after.");
                incidents.push(past);
            }
        }
    }
}

/// Whether what was judged of a host on an earlier day is still right, now that it is known what the host is: mail that makes
/// a worm of a PC is a mail server's business.
fn stands(past: &Incident, as_role: Role, role: Option<Role>) -> bool {
    let Some(role) = role else { return false };
    past.class != Class::MassMailer || role == as_role || !matches!(role, Role::Server | Role::Sender)
}

/// Whether `a` is better founded than `b`.
fn is_stronger(a: &Incident, b: &Incident) -> bool {
    let score = |incident: &Incident| incident.score_db.unwrap_or(0.0);
    (a.tier, a.severity).cmp(&(b.tier, b.severity)).then(score(a).total_cmp(&score(b))).is_gt()
}

/// Makes one incident of two: told as the better-founded one is, over the time of both.
fn join(known: &mut Incident, other: Incident) {
    let (first, last) = (known.first.min(other.first), known.last.max(other.last));
    if is_stronger(&other, known) || (!is_stronger(known, &other) && other.last > known.last) {
        *known = other;
    }
    (known.first, known.last) = (first, last);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testing::{Letter, Scene};
    use crate::site::Site;

    /// A worm mails for a while, and then its PC calls a server of its own once in a while, for `days`.
    fn after(days: i64) -> (Scene, Past) {
        let (mut scene, mut past) = (Scene::new(Site::default()), Past::default());
        for n in 0..60 {
            let letter = Letter::from("a@bulk.example").to(&format!("u{n}@d{n}.example"), "550 5.1.1 no such user");
            let call = scene.call("192.168.10.23", &format!("198.51.{n}.25")).greets("220 mx.example ESMTP");
            call.helo("pc").mail(letter).quit();
        }
        let began = scene.judge.now().ts;
        assert!(!past.is_over(began));
        for day in 1..=days {
            let now = began + Span::hours(24 * day);
            assert!(past.is_over(now));
            past.note(&scene.judge, now);
            scene.wait(Span::hours(24));
            scene.call("192.168.10.40", "192.168.10.10").greets("220 mail").helo("printer").quit();
        }
        (scene, past)
    }

    #[test]
    fn a_worm_of_the_first_day_is_told_at_the_end_of_the_week() {
        let (scene, _) = after(0);
        let then = Judgement::of(&scene.judge).incidents.remove(0);
        assert_eq!((then.class, then.tier), (Class::MassMailer, Tier::Confirmed));

        let (mut scene, past) = after(7);
        assert!(Judgement::of(&scene.judge).incidents.iter().all(|incident| incident.tier < Tier::Likely), "faded");
        let incident = Judgement::last(&mut scene.judge, past).incidents.remove(0);
        assert_eq!((incident.id, incident.tier, incident.score_db), (then.id, then.tier, then.score_db));
        assert_eq!((incident.first, incident.last), (then.first, then.last));
        assert!(incident.summary.contains("no more of it was seen"), "{}", incident.summary);
    }

    #[test]
    fn of_two_days_the_better_founded_is_told_over_the_time_of_both() {
        let (scene, _) = after(0);
        let strong = Judgement::of(&scene.judge).incidents.remove(0);
        let mut weak = Incident { tier: Tier::Likely, score_db: Some(1.0), ..strong.clone() };
        weak.first = strong.first + Span::hours(30);
        weak.last = strong.last + Span::hours(31);
        for (mut known, other) in [(strong.clone(), weak.clone()), (weak.clone(), strong.clone())] {
            join(&mut known, other);
            assert_eq!(known, Incident { last: weak.last, ..strong.clone() });
        }
    }

    #[test]
    fn what_turned_out_a_mail_server_is_no_worm_of_an_earlier_day() {
        let (scene, _) = after(0);
        let incident = Judgement::of(&scene.judge).incidents.remove(0);
        assert!(stands(&incident, Role::Unknown, Some(Role::Client)));
        assert!(!stands(&incident, Role::Unknown, Some(Role::Server)));
        assert!(stands(&incident, Role::Server, Some(Role::Server)), "it was known for one, and sent spam");
        assert!(!stands(&incident, Role::Unknown, None), "nothing is known of it any more");
    }
}
