//! The one sentence an incident is told in, for somebody who never read an SMTP transcript.

use super::Incident;
use crate::detect::{Class, Tier};
use crate::ledger::{HostRow, Role};
use crate::wire::Wire;

/// The sentence.
pub(super) fn of(incident: &Incident, row: &HostRow, senders: f64) -> String {
    let who = who(row);
    let since = incident.first;
    let number = |name: &str| incident.evidence.iter().find_map(|line| line.numbers.get(name)).unwrap_or(0.0);
    match incident.class {
        Class::MassMailer if senders > 1.0 => format!(
            "At least {senders} different senders use the address {}; one of them has been sending mail in masses \
             since {since}. A tap inside the network would name the machine.",
            row.host
        ),
        Class::MassMailer if row.role == Role::Server => format!(
            "The mail server {who} itself has been sending spam since {since}; look for a web script, a local account \
             or somebody who logs in."
        ),
        Class::MassMailer => {
            let surely = match incident.tier {
                Tier::Confirmed => "has",
                Tier::Likely => "very likely has",
                Tier::Suspect => "may have",
            };
            format!(
                "{who} {surely} a mass-mailing worm or bot: since {since} it has been mailing the world by itself, past \
                 your mail server."
            )
        }
        Class::NdrFlood => format!(
            "The mail server {who} has been flooding strangers with non-delivery reports since {since}: {} % of the \
             mail it sends out has no sender and answers spam.",
            number("ndr_share_percent")
        ),
        Class::Relay => relay(incident, &who),
        Class::Blocklisted => format!(
            "Mail from {who} has been refused since {since} because your public address is on blocklists: {} sites \
             say so. The server is the victim, not the cause.",
            number("refusing_sites")
        ),
        Class::AuthGuessing => format!("Somebody has been guessing passwords at {who} since {since}."),
        Class::AccountAbuse => {
            format!("Somebody sends mail through {who} with a guessed or stolen account since {since}.")
        }
        Class::DirectoryHarvest => format!("Somebody has been probing {who} for valid addresses since {since}."),
        Class::BackscatterVictim => {
            format!("{who} drowns in bounces of mail that it never sent, since {since}; others forge your addresses.")
        }
        Class::Interception => {
            format!("Somebody between has taken over port 25 on the way to or from {who} since {since}.")
        }
        Class::SenderSpoof => {
            format!("Outsiders have been sending mail to {who} under your own addresses since {since}.")
        }
        Class::RejectionStorm => format!("Most of what {who} has been asked since {since} was refused."),
        Class::SmtpSmuggling => format!("Mail that hides further commands inside itself was sent to {who} at {since}."),
        Class::PortScan => format!("{who} has been looking for mail servers since {since}, without sending mail."),
    }
}

fn relay(incident: &Incident, who: &str) -> String {
    // Not from the list of verdicts: it ends at some hundreds.
    let count = |name: &str| incident.evidence.iter().find_map(|line| line.numbers.get(name)).unwrap_or(0.0);
    let (since, tried, proven) = (incident.first, count("attempts"), count("proven"));
    let accepted = count("accepted_unproven") + count("accepted_then_ndr");
    let refused = count("rejected");
    if proven > 0.0 && incident.tier < Tier::Confirmed {
        format!(
            "{who} passed on {proven} of {tried} mails that outsiders brought for outsiders since {since}: it relays for \
             strangers, or is the backup mail server of somebody whose domain is not named in the configuration."
        )
    } else if proven > 0.0 {
        format!(
            "{who} relays mail for strangers: {proven} of {tried} attempts since {since} were seen to leave it again."
        )
    } else if count("tried_outside") > 0.0 {
        format!(
            "Strangers tried {tried} times since {since} to relay mail through {who}: {refused} were refused, {accepted} \
             accepted; {} of these it offered to outside servers, which refused them.",
            count("tried_outside")
        )
    } else if accepted > 0.0 {
        format!(
            "Strangers tried {tried} times since {since} to relay mail through {who}: {refused} were refused, {accepted} \
             accepted, none was seen to be relayed."
        )
    } else {
        format!("Strangers tried {tried} times since {since} to relay mail through {who}; all were refused.")
    }
}

/// The host as a person would name it: address, what it calls itself, hardware address.
fn who(row: &HostRow) -> String {
    let name = row.helos.first().map(Wire::escaped).filter(|name| !name.is_empty());
    let parts: Vec<String> = name
        .map(|name| format!("calls itself \"{name}\""))
        .into_iter()
        .chain(row.macs.first().map(|mac| format!("MAC {mac}")))
        .collect();
    if parts.is_empty() { row.host.to_string() } else { format!("{} ({})", row.host, parts.join(", ")) }
}
