//! Why lists name a host, where another incident of the same host tells.

use super::Incident;
use super::advice::named;
use crate::detect::{Class, Tier};
use crate::wire::Wire;

/// What a host is told of that brings an address on blocklists. Who has one of these is not only the victim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// It was seen to relay.
    Relay,
    /// Strangers send with accounts of its users.
    Accounts(Vec<Wire>),
    /// It answers forged mail with reports.
    Reports,
    /// It sends spam itself.
    Spam,
    /// One of several senders that share its address sends spam: not necessarily the one that is refused.
    Neighbour,
}

impl Cause {
    /// What an incident comes to as a cause, if it is likely at least. Calls that nobody answered list nobody.
    pub(super) fn of(incident: &Incident) -> Option<Self> {
        if incident.tier < Tier::Likely {
            return None;
        }
        match incident.class {
            Class::Relay if incident.number("proven").is_some_and(|proven| proven > 0.0) => Some(Self::Relay),
            Class::AccountAbuse => Some(Self::Accounts(incident.accounts.clone())),
            Class::NdrFlood => Some(Self::Reports),
            Class::MassMailer if incident.rests_on_calls() => None,
            Class::MassMailer if incident.senders() > 1.0 => Some(Self::Neighbour),
            Class::MassMailer => Some(Self::Spam),
            _ => None,
        }
    }

    /// The end of a sentence that says what the likely cause is.
    pub(super) const fn says(&self) -> &'static str {
        match self {
            Self::Relay => "it relays mail for strangers",
            Self::Accounts(_) => "strangers send through it with an account of its users",
            Self::Reports => "it floods strangers with non-delivery reports",
            Self::Spam => "it sends spam itself",
            Self::Neighbour => "one of the senders that share it sends mail in masses",
        }
    }

    /// What to do about it before all else; the incident of its own has the rest.
    pub(super) fn step(&self) -> String {
        match self {
            Self::Relay => {
                "Close the relay first: let the server refuse recipients outside your domains from clients that \
                            have not logged in (see its incident relay)."
                    .to_owned()
            }
            Self::Accounts(names) => format!(
                "Lock {} first, and delete what was sent with it from the queue (see its incident account_abuse).",
                named(names)
            ),
            Self::Reports => {
                "Stop the reports first: let the server refuse unknown recipients while the sender is still \
                              connected (see its incident ndr_flood)."
                    .to_owned()
            }
            Self::Spam => "Stop what sends the spam first (see its incident mass_mailer).".to_owned(),
            Self::Neighbour => "Find the sender behind this address that mails in masses first (see its incident \
                                mass_mailer)."
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::assemble;
    use super::*;
    use crate::detect::{Confidence, Family, Finding, Numbers, Ruling, Severity};
    use crate::frame::At;
    use crate::ledger::HostRow;
    use crate::net::HostKey;
    use crate::time::Ts;

    fn cause(class: Class, family: Family, tier: Tier, numbers: Numbers) -> Option<Cause> {
        let row = HostRow::new(HostKey::v4([192, 168, 0, 10]), At::default());
        let verdict = Some(Ruling { tier, severity: Severity::High, confidence: Confidence::High });
        let line = Finding::summed("a_detector", row.host, class, family, 0.0, Ts::EPOCH, Ts::EPOCH);
        Cause::of(&assemble(class, &row, vec![Finding { verdict, numbers, account: Some("user3".into()), ..line }])?)
    }

    #[test]
    fn what_is_likely_and_sends_is_a_cause() {
        let none = Numbers::new;
        let proven = |n| Numbers::new().count("proven", n);
        let rows = [
            (Class::Relay, Tier::Confirmed, proven(3), Some(Cause::Relay)),
            (Class::Relay, Tier::Likely, proven(0), None),
            (Class::AccountAbuse, Tier::Likely, none(), Some(Cause::Accounts(vec!["user3".into()]))),
            (Class::AccountAbuse, Tier::Suspect, none(), None),
            (Class::NdrFlood, Tier::Likely, none(), Some(Cause::Reports)),
            (Class::MassMailer, Tier::Likely, none(), Some(Cause::Spam)),
            (Class::MassMailer, Tier::Likely, none().count("senders_at_least", 2), Some(Cause::Neighbour)),
            (Class::AuthGuessing, Tier::Confirmed, none(), None),
        ];
        for (class, tier, numbers, expected) in rows {
            assert_eq!(cause(class, Family::Outcome, tier, numbers), expected, "{class:?} {tier:?}");
        }
    }

    #[test]
    fn calls_that_nobody_answers_list_nobody() {
        let row = HostRow::new(HostKey::v4([192, 168, 0, 23]), At::default());
        let line = |family| Finding::summed("a", row.host, Class::MassMailer, family, 20.0, Ts::EPOCH, Ts::EPOCH);
        let of = |findings| assemble(Class::MassMailer, &row, findings).as_ref().and_then(Cause::of);
        assert_eq!(of(vec![line(Family::Connect)]), None);
        assert_eq!(of(vec![line(Family::Connect), line(Family::Outcome)]), Some(Cause::Spam));
    }
}
