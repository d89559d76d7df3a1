//! Incidents as they come about: a line when one opens, when it grows by a tier, and when it closes.

use std::collections::BTreeMap;
use std::io;

use crate::detect::{Class, Tier};
use crate::incident::{DOUBT, Incident, Judgement};
use crate::net::HostKey;
use crate::output::report::IncidentChange;
use crate::time::{Span, Ts};

/// An incident without anything new for so long is closed: longer than any pause of a queue that tries again (postfix
/// and Exchange try every quarter of an hour to every hour). What comes later opens it again.
const QUIET: Span = Span::hours(2);

/// Remembers what was told.
#[derive(Default, Debug)]
pub(super) struct Journal {
    told: BTreeMap<(HostKey, Class), Told>,
    /// Suspicions that are not told yet, and since when.
    doubts: BTreeMap<(HostKey, Class), Ts>,
}

#[derive(Debug)]
struct Told {
    incident: Incident,
    open: bool,
}

impl Journal {
    /// Tells what is new in a judgement as of `now`; when it is the `last` one, all of it.
    pub(super) fn note(
        &mut self,
        judgement: &Judgement,
        now: Ts,
        last: bool,
        tell: &mut dyn FnMut(IncidentChange, &Incident) -> io::Result<()>,
    ) -> io::Result<()> {
        for incident in &judgement.incidents {
            let quiet = now.since(incident.last) > QUIET;
            match self.told.get_mut(&(incident.host, incident.class)) {
                Some(told) if told.open && quiet => {
                    tell(IncidentChange::Closed, incident)?;
                    told.incident = incident.clone();
                    told.open = false;
                }
                Some(told) if told.open && incident.tier > told.incident.tier => {
                    tell(IncidentChange::Raised, incident)?;
                    told.incident = incident.clone();
                }
                Some(told) if told.open => {
                    // It never falls: what was told once stands until it closes.
                    let tier: Tier = told.incident.tier;
                    if incident.last > told.incident.last {
                        told.incident = Incident { tier, ..incident.clone() };
                    }
                }
                Some(told) if !quiet && incident.last > told.incident.last => {
                    tell(IncidentChange::Opened, incident)?;
                    *told = Told { incident: incident.clone(), open: true };
                }
                None if !quiet && !last && incident.tier == Tier::Suspect && {
                    let since = *self.doubts.entry((incident.host, incident.class)).or_insert(now);
                    now.since(since) < DOUBT
                } => {}
                None if !quiet => {
                    tell(IncidentChange::Opened, incident)?;
                    self.told.insert((incident.host, incident.class), Told { incident: incident.clone(), open: true });
                }
                Some(_) | None => {}
            }
        }
        let here: std::collections::BTreeSet<_> =
            judgement.incidents.iter().map(|incident| (incident.host, incident.class)).collect();
        for (key, told) in &mut self.told {
            if told.open && !here.contains(key) {
                tell(IncidentChange::Closed, &told.incident)?;
                told.open = false;
            }
        }
        self.doubts.retain(|key, _| here.contains(key) && !self.told.contains_key(key));
        // Who is closed and forgotten by the judge too needs no memory.
        self.told.retain(|key, told| told.open || here.contains(key));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::IncidentId;

    fn at(mins: i64) -> Ts {
        Ts::from_parts(1_772_617_327, 0) + Span::mins(mins)
    }

    fn incident(tier: Tier, last: i64) -> Incident {
        let host = HostKey::v4([192, 168, 0, 23]);
        Incident {
            id: IncidentId::new(Class::MassMailer, host, at(0)),
            class: Class::MassMailer,
            kind: None,
            tier,
            severity: crate::detect::Severity::Critical,
            confidence: crate::detect::Confidence::High,
            host,
            score_db: Some(12.0),
            accounts: Vec::new(),
            first: at(0),
            last: at(last),
            summary: "it mails".to_owned(),
            evidence: Vec::new(),
            verdicts: Vec::new(),
            peers: Vec::new(),
            remediation: Vec::new(),
            attack: Vec::new(),
        }
    }

    fn note(journal: &mut Journal, incidents: Vec<Incident>, now: i64) -> Vec<(String, String)> {
        noted(journal, incidents, now, false)
    }

    fn noted(journal: &mut Journal, incidents: Vec<Incident>, now: i64, last: bool) -> Vec<(String, String)> {
        let mut told = Vec::new();
        let judgement = Judgement { hosts: Vec::new(), incidents };
        let mut tell = |change, incident: &Incident| {
            let change = serde_json::to_value::<IncidentChange>(change)?;
            told.push((change.as_str().unwrap().to_owned(), incident.tier.name().to_owned()));
            Ok(())
        };
        journal.note(&judgement, at(now), last, &mut tell).unwrap();
        told
    }

    fn words(event: &str, tier: &str) -> Vec<(String, String)> {
        vec![(event.to_owned(), tier.to_owned())]
    }

    #[test]
    fn a_story_is_told_once_and_when_it_grows() {
        let mut journal = Journal::default();
        assert_eq!(note(&mut journal, vec![incident(Tier::Suspect, 0)], 0), []);
        assert_eq!(note(&mut journal, vec![incident(Tier::Suspect, 1)], 1), words("opened", "suspect"));
        assert_eq!(note(&mut journal, vec![incident(Tier::Confirmed, 2)], 2), words("raised", "confirmed"));
        assert_eq!(note(&mut journal, vec![incident(Tier::Likely, 3)], 3), []);
        assert_eq!(note(&mut journal, vec![incident(Tier::Confirmed, 4)], 4), []);
    }

    #[test]
    fn it_closes_after_a_long_silence_and_opens_again() {
        let mut journal = Journal::default();
        note(&mut journal, vec![incident(Tier::Likely, 0)], 0);
        assert_eq!(note(&mut journal, vec![incident(Tier::Likely, 0)], 120), []);
        assert_eq!(note(&mut journal, vec![incident(Tier::Likely, 0)], 121), words("closed", "likely"));
        assert_eq!(note(&mut journal, vec![incident(Tier::Likely, 0)], 122), []);
        assert_eq!(note(&mut journal, vec![incident(Tier::Likely, 300)], 301), words("opened", "likely"));
    }

    #[test]
    fn what_the_judge_takes_back_is_closed() {
        let mut journal = Journal::default();
        note(&mut journal, vec![incident(Tier::Likely, 0)], 0);
        assert_eq!(note(&mut journal, Vec::new(), 1), words("closed", "likely"));
        assert_eq!(note(&mut journal, Vec::new(), 2), []);
        assert_eq!(note(&mut journal, vec![incident(Tier::Likely, 3)], 3), words("opened", "likely"));
    }

    #[test]
    fn a_suspicion_that_passes_is_not_told() {
        let mut journal = Journal::default();
        assert_eq!(note(&mut journal, vec![incident(Tier::Suspect, 0)], 0), []);
        assert_eq!(note(&mut journal, Vec::new(), 1), []);
        assert_eq!(note(&mut journal, vec![incident(Tier::Suspect, 2)], 2), [], "it is a new one");
        let told = noted(&mut journal, vec![incident(Tier::Suspect, 2)], 2, true);
        assert_eq!(told, words("opened", "suspect"), "at the end all is told");
    }
}
