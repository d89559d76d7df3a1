//! The one sentence an incident is told in, for somebody who never read an SMTP transcript.

use super::Incident;
use super::advice::{Circumstances, Machine};
use super::cause::Cause;
use crate::detect::{Class, Family, Tier};
use crate::ledger::{HostRow, Mailed, Role};

/// The sentence.
pub(super) fn of(incident: &Incident, seen: Circumstances<'_>) -> String {
    let row = seen.machine.row;
    let who = who(row);
    let since = incident.first.plain();
    let number = |name: &str| incident.number(name).unwrap_or(0.0);
    match incident.class {
        Class::MassMailer => mass_mailer(incident, row, &who),
        Class::NdrFlood if incident.kind == Some("other") => format!(
            "The mail server {who} has been sending many mails without a sender since {since}: {} % of the mail it sends \
             out, and hardly any of them answers mail that was seen to come in.",
            number("ndr_share_percent")
        ),
        Class::NdrFlood => format!(
            "The mail server {who} has been flooding strangers with non-delivery reports since {since}: {} % of the \
             mail it sends out has no sender and answers spam.",
            number("ndr_share_percent")
        ),
        Class::Relay => relay(incident, &who),
        Class::Blocklisted => format!(
            "Mail from {who} has been refused since {since} because your public address is on blocklists: {} sites \
             say so. {}",
            number("refusing_sites"),
            whose_fault(seen.causes)
        ),
        Class::AuthGuessing => guessing(incident, &who, number),
        Class::AccountAbuse => abuse(incident, &who, seen.insiders, number),
        Class::DirectoryHarvest => harvest(incident, &who, number),
        Class::BackscatterVictim => backscatter(incident, &who, number),
        Class::Interception => interception(incident, &who),
        Class::SenderSpoof => format!(
            "Outsiders have been sending mail to {who} under your own addresses since {since}: up to {} an hour, from {} \
             networks.",
            number("mails_in_an_hour"),
            number("networks")
        ),
        Class::RejectionStorm => format!(
            "{} % of the recipients that {who} has asked for since {since} were refused for good.",
            number("refused_percent")
        ),
        Class::SmtpSmuggling => smuggling(incident, &who),
        Class::PortScan => format!(
            "{who} has called {} mail servers since {since} and had nothing to say to those that answered: it looks for \
             servers, it sends no mail.",
            number("servers")
        ),
    }
}

/// By what was seen of its mail: who was only seen to call is not said to mail.
fn mass_mailer(incident: &Incident, row: &HostRow, who: &str) -> String {
    let since = incident.first.plain();
    let senders = incident.senders();
    let mails = row.mailed == Mailed::Seen && !incident.rests_on_calls();
    let deed = if mails { format!("has been sending mail in masses since {since}") } else { calls(incident, row) };
    let surely = match incident.tier {
        Tier::Confirmed => "has",
        Tier::Likely => "very likely has",
        Tier::Suspect => "may have",
    };
    if senders > 1.0 {
        format!(
            "At least {senders} different senders use the address {}; one of them {deed}. A tap inside the network would \
             name the machine.",
            row.host
        )
    } else if mails && row.role == Role::Server {
        format!(
            "The mail server {who} itself has been sending spam since {since}; look for a web script, a local account \
             or somebody who logs in."
        )
    } else if mails {
        format!(
            "{who} {surely} a mass-mailing worm or bot: since {since} it has been mailing the world by itself, past \
             your mail server."
        )
    } else if incident.rests_on_calls() {
        format!(
            "{who} {deed}. A worm or bot may be looking for servers, or a program waits for a provider that is down."
        )
    } else {
        format!("{who} {deed}. It {surely} a mass-mailing worm or bot.")
    }
}

/// What somebody does whose mail is not what tells against him.
fn calls(incident: &Incident, row: &HostRow) -> String {
    let unanswered = incident.rests_on_calls() || row.mailed == Mailed::Nothing && incident.weighs(Family::Connect);
    let servers = if unanswered { "mail servers that do not answer" } else { "foreign mail servers by itself" };
    let mail = match row.mailed {
        Mailed::Nothing => "no mail was seen",
        Mailed::Hidden => "what it mails is hidden by TLS",
        Mailed::Seen => "nothing else speaks against it",
    };
    format!("keeps calling {servers}, since {}; {mail}", incident.first.plain())
}

/// Whether the host that is listed is only the victim.
fn whose_fault(causes: &[Cause]) -> String {
    let says: Vec<&str> = causes.iter().map(Cause::says).collect();
    if says.is_empty() {
        "The server is the victim, not the cause.".to_owned()
    } else {
        format!("The likely cause is at this address: {}.", says.join("; "))
    }
}

fn interception(incident: &Incident, who: &str) -> String {
    let since = incident.first.plain();
    let peer = incident.peers.iter().find(|peer| peer.role == "proxy");
    match (incident.kind, peer) {
        (Some("same_banner"), _) => format!(
            "Whichever mail server {who} has called since {since}, the same device answered: somebody on the way takes \
             over port 25."
        ),
        (Some("masked"), _) => {
            format!("A firewall between {who} and the world has been changing what is said on port 25 since {since}.")
        }
        (_, Some(peer)) => format!(
            "One of your users, away from home, {} cannot send by {who}: since {since} a proxy of the access provider \
             ({}{}) {} taken over the connections, and the login is lost.",
            if incident.tier >= Tier::Likely { "very likely" } else { "perhaps" },
            peer.ip,
            peer.says.as_ref().map_or(String::new(), |name| format!(", \"{name}\"")),
            if incident.tier >= Tier::Likely { "has" } else { "may have" }
        ),
        _ => format!("Somebody between has taken over port 25 on the way to or from {who} since {since}."),
    }
}

fn smuggling(incident: &Incident, who: &str) -> String {
    let since = incident.first.plain();
    match incident.kind {
        Some("interpreted") if incident.peers.iter().any(|peer| peer.role == "client") => {
            format!(
                "{who} obeyed commands that were hidden inside a mail, since {since}: anybody can forge mail through it."
            )
        }
        Some("interpreted") => format!("{who} sent mail with hidden commands since {since}, and a server obeyed them."),
        Some("propagated") => {
            format!(
                "{who} passes on mail with hidden commands unchanged, since {since}: attackers reach others through it."
            )
        }
        Some("lf_only_client") => format!(
            "{who} has ended its lines in a way that mail servers forbid, since {since}; it looks like a careless script, \
             not like an attack."
        ),
        _ if incident.peers.iter().any(|peer| peer.role == "client") => {
            format!("Somebody has tried since {since} to hide commands inside mail for {who}; it did not obey them.")
        }
        _ => format!("{who} has sent mail with commands hidden inside since {since}; no server was seen to obey them."),
    }
}

fn guessing(incident: &Incident, who: &str, number: impl Fn(&str) -> f64) -> String {
    let since = incident.first.plain();
    let failures = number("failures").max(number("account_failures"));
    let clients = number("clients").max(number("account_clients"));
    let found = match incident.accounts.as_slice() {
        [] => "none was seen to succeed".to_owned(),
        [account] => format!("the password of the account \"{account}\" was found"),
        [account, others @ ..] => {
            format!("the passwords of the account \"{account}\" and {} more were found", others.len())
        }
    };
    let may = if incident.tier == Tier::Suspect { "may have" } else { "has" };
    if incident.kind == Some("from_inside") {
        format!("{who} {may} been guessing passwords since {since}: {failures} of its logins failed; {found}.")
    } else {
        format!(
            "Somebody {may} been guessing passwords at {who} since {since}: {failures} logins from {} failed; {found}.",
            addresses(clients)
        )
    }
}

fn abuse(incident: &Incident, who: &str, insiders: &[Machine<'_>], number: impl Fn(&str) -> f64) -> String {
    let account = match incident.accounts.as_slice() {
        [] => "an account".to_owned(),
        [account] => format!("the account \"{account}\""),
        [account, others @ ..] => format!("the account \"{account}\" (and {} more)", others.len()),
    };
    let (sends, send) = match incident.tier {
        Tier::Confirmed => ("sends", "send"),
        Tier::Likely => ("very likely sends", "very likely send"),
        Tier::Suspect => ("may be sending", "may be sending"),
    };
    let from_inside = incident.kind == Some("from_inside");
    let abuser = match insiders {
        // It had to make room for others.
        [] if from_inside => format!("A host of yours {sends}"),
        [] => format!("A stranger {sends}"),
        [one] => format!("{}, a host of yours, {sends}", self::who(one.row)),
        [one, two] => format!("{} and {}, hosts of yours, {send}", self::who(one.row), self::who(two.row)),
        [one, others @ ..] => format!("{} and {} other hosts of yours {send}", self::who(one.row), others.len()),
    };
    // A guess by another host of ours is told by `account_guessed` alone: the kind then says who is to be looked at.
    let guessed = incident.kind == Some("guessed") || number("account_guessed") > 0.0;
    let guessed = if guessed { "; its password had been guessed before" } else { "" };
    let others = incident.peers.iter().any(|peer| peer.role == "client");
    let others = if from_inside && others { "; others log in with it too (see the clients)" } else { "" };
    format!(
        "{abuser} mail through {who} with {account} since {}: {} recipients outside, from {}{guessed}{others}.",
        incident.first.plain(),
        number("account_recipients"),
        addresses(number("account_clients")),
    )
}

/// So many addresses, in words.
fn addresses(count: f64) -> String {
    if count <= 1.0 { "one address".to_owned() } else { format!("{count} addresses") }
}

fn harvest(incident: &Incident, who: &str, number: impl Fn(&str) -> f64) -> String {
    let since = incident.first.plain();
    let invalid = number("invalid").max(number("spread_invalid"));
    let (valid, mailed) = (number("valid"), number("mailed_later"));
    let may = if incident.tier == Tier::Suspect { "may have" } else { "has" };
    let later = if mailed > 0.0 { format!(", and {mailed} of these were mailed later") } else { String::new() };
    if incident.kind == Some("from_inside") {
        format!(
            "{who} {may} been trying names at your mail server since {since} to learn which addresses exist: {invalid} do \
             not exist, {valid} were taken{later}."
        )
    } else {
        format!(
            "Somebody {may} been trying names at {who} since {since} to learn which addresses exist: {invalid} do not \
             exist, {valid} were taken{later}."
        )
    }
}

fn backscatter(incident: &Incident, who: &str, number: impl Fn(&str) -> f64) -> String {
    let since = incident.first.plain();
    let bounces = number("unmatched");
    let own = incident.peers.iter().find(|peer| peer.role == "self_caused");
    match (own, incident.kind) {
        (Some(host), _) => format!(
            "{who} has been getting bounces since {since}: {bounces} so far, {} of them of mail that your own host {} \
             sent under these addresses. Look at that host first.",
            number("self_caused"),
            host.ip
        ),
        (None, Some("joe_job")) => format!(
            "{who} drowns in bounces of mail that it never sent: {bounces} since {since}, most of them to one address, \
             which somebody elsewhere forges as a sender."
        ),
        _ => format!(
            "{who} drowns in bounces of mail that it never sent: {bounces} since {since}, most of them to made-up \
             addresses at your domain, which somebody elsewhere forges as senders."
        ),
    }
}

fn relay(incident: &Incident, who: &str) -> String {
    // Not from the list of verdicts: it ends at some hundreds.
    let count = |name: &str| incident.evidence.iter().find_map(|line| line.numbers.get(name)).unwrap_or(0.0);
    let (since, tried, proven) = (incident.first.plain(), count("attempts"), count("proven"));
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
    let parts: Vec<String> = row
        .name()
        .map(|name| format!("calls itself \"{name}\""))
        .into_iter()
        .chain(row.mac().map(|mac| format!("MAC {mac}")))
        .collect();
    if parts.is_empty() { row.host.to_string() } else { format!("{} ({})", row.host, parts.join(", ")) }
}
