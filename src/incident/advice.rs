//! What to do about an incident, with the values filled in.

mod firewall;
mod product;

use std::net::IpAddr;

use super::Incident;
use super::cause::Cause;
use crate::detect::{Class, Peer, RelayOutcome, Tier};
use crate::ledger::HostRow;
use crate::wire::Wire;

/// What advice depends on beside the incident itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances<'a> {
    /// The host.
    pub(super) machine: Machine<'a>,
    /// Other hosts of ours that are accused with it, the busiest first.
    pub(super) insiders: &'a [Machine<'a>],
    /// Our mail servers, given or learned.
    pub(super) servers: &'a [IpAddr],
    /// What else the host is told of that may have brought its address on lists.
    pub(super) causes: &'a [Cause],
}

/// A host of ours, as somebody would look for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine<'a> {
    /// Its row.
    pub(super) row: &'a HostRow,
    /// Other hosts of ours that share its Ethernet address.
    pub(super) behind_router: u32,
}

/// The steps, in order.
pub(super) fn of(incident: &Incident, seen: Circumstances<'_>) -> Vec<String> {
    let row = seen.machine.row;
    match incident.class {
        Class::MassMailer if incident.senders() > 1.0 => vec![
            format!(
                "Look up the sessions named here in the log of the gateway's address translation ({}): it knows which \
                 inside address used each port at that time.",
                row.host
            ),
            "Better, capture inside the network, before the address translation: then the machine itself is named."
                .to_owned(),
            "Let only the mail server out on port 25.".to_owned(),
        ],
        Class::MassMailer => mass_mailer(incident, seen),
        Class::NdrFlood if incident.kind == Some("other") => no_sender(row),
        Class::NdrFlood => ndr_flood(row),
        Class::Relay => relay(incident),
        Class::Blocklisted => blocklisted(seen),
        Class::Interception => interception(incident, row),
        Class::SenderSpoof => vec![
            format!("Let {} refuse your own domains as sender from outside unless the sender has logged in.", row.host),
            "Publish SPF and DMARC records for your domains, so that others can refuse forged mail too.".to_owned(),
            format!(
                "If one of these is a service that writes in your name ({}), let it through by its address.",
                addresses(incident, "client")
            ),
        ],
        Class::RejectionStorm => vec![
            format!("Read the refusals above; ask whoever runs {} what they need.", addresses(incident, "refuses")),
            format!(
                "Stop the program on {} that sends this until that is settled: it tries again and again.",
                row.host
            ),
        ],
        Class::SmtpSmuggling => smuggling(incident, row),
        Class::PortScan => vec![
            format!("Ask whoever is in charge of {} whether this scan is theirs.", row.host),
            format!("If it is nobody's, treat {} as broken into.", row.host),
        ],
        Class::AuthGuessing => guessing(incident, row),
        Class::AccountAbuse => abuse(incident, seen),
        Class::DirectoryHarvest => harvest(incident, row),
        Class::BackscatterVictim => backscatter(incident),
    }
}

fn interception(incident: &Incident, row: &HostRow) -> Vec<String> {
    match incident.kind {
        Some("same_banner") => vec![
            "Ask your access provider whether it leads port 25 through a proxy of its own, and have that switched off for you.".to_owned(),
            format!("Until then let {} deliver by your provider's mail server, with a login on port 587.", row.host),
        ],
        Some("masked") => vec![
            "Switch off the SMTP inspection (\"fixup protocol smtp\", \"inspect esmtp\") on your firewall: it breaks \
             encryption and logins."
                .to_owned(),
        ],
        _ => vec![
            "Let the user send on port 587 with TLS and a login (submission): proxies take over port 25 only.".to_owned(),
            "Where 587 is closed to the user, a VPN to your network does the same.".to_owned(),
            format!(
                "Do not let {} through without a login: everybody behind that proxy could send as you.",
                addresses(incident, "proxy")
            ),
        ],
    }
}

fn smuggling(incident: &Incident, row: &HostRow) -> Vec<String> {
    let attackers = addresses(incident, "client");
    match incident.kind {
        Some("lf_only_client") => vec![format!(
            "Let the program on {} end its lines by CR LF, or hand its mail to a local mail program that does.",
            row.host
        )],
        _ if attackers.is_empty() => vec![
            format!(
                "Find out which program on {} sent it; if it passed on the mail of somebody else, update it.",
                row.host
            ),
            "Let it refuse or repair lines that end in a bare CR or LF before it passes mail on.".to_owned(),
        ],
        _ => vec![
            format!(
                "Update {} and let it take nothing but CR LF . CR LF for the end of a mail (Postfix: \
                 smtpd_forbid_bare_newline = normalize; Exim: 4.97.1 or later; Sendmail: 8.18.1 or later).",
                row.host
            ),
            format!("Block {attackers}, or ask whoever runs it why it passes on such mail."),
        ],
    }
}

/// The addresses of peers, a few, for a sentence.
fn addresses(incident: &Incident, role: &str) -> String {
    let all: Vec<String> =
        incident.peers.iter().filter(|peer| peer.role == role).take(5).map(|peer| peer.ip.to_string()).collect();
    all.join(", ")
}

/// Addresses named in one step; all of them stand in the incident.
const NAMED_MAX: usize = 5;

/// The peers of a role as one would list them: the busiest few, and how many more there are.
fn list(incident: &Incident, role: &str) -> Option<String> {
    let mut peers: Vec<_> = incident.peers.iter().filter(|peer| peer.role == role).collect();
    peers.sort_by(|a, b| (b.count, a.ip).cmp(&(a.count, b.ip)));
    let named: Vec<String> = peers.iter().take(NAMED_MAX).map(|peer| peer.ip.to_string()).collect();
    let more = peers.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more (see the peers)") } else { String::new() };
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}

/// Accounts as one would list them.
pub(super) fn named(accounts: &[Wire]) -> String {
    let names: Vec<String> = accounts.iter().take(NAMED_MAX).map(|name| format!("\"{name}\"")).collect();
    names.join(", ")
}

fn guessing(incident: &Incident, row: &HostRow) -> Vec<String> {
    let mut steps = Vec::new();
    if !incident.accounts.is_empty() {
        steps.push(format!(
            "Lock {} at once or give it a new password; end its open sessions, and delete its mail that still waits in \
             the queue.",
            named(&incident.accounts)
        ));
    }
    if incident.kind == Some("from_inside") {
        steps.push(format!(
            "Find out what on {} tries these names; if nobody did it on purpose, take the machine off the network and \
             clean it.",
            row.host
        ));
        return steps;
    }
    if let Some(clients) = list(incident, "client") {
        steps.push(format!("Block {clients} in the firewall."));
    }
    steps.push(format!(
        "Do not offer AUTH on port 25 of {}: let people submit on port 587 with TLS, with a limit on failed logins.",
        row.host
    ));
    steps.push("Delete accounts that nobody uses (test, guest, scan) and refuse weak passwords.".to_owned());
    steps
}

fn abuse(incident: &Incident, seen: Circumstances<'_>) -> Vec<String> {
    let insiders = list(incident, Peer::INSIDE);
    let elsewhere = if insiders.is_some() { ", set from another machine" } else { "" };
    let mut steps = vec![format!(
        "Lock {} at once or give it a new password{elsewhere}; sessions that are open go on until they are ended.",
        named(&incident.accounts)
    )];
    if let Some(insiders) = insiders {
        steps.extend(seen.insiders.iter().take(NAMED_MAX).filter_map(|insider| find(*insider)));
        let first = if incident.tier == Tier::Suspect {
            // A large mailing looks like this too.
            format!("Ask who uses {insiders} whether this mail is theirs; if it is not, look for malware there.")
        } else {
            format!("Take {insiders} off the network and look for malware: the password is known there.")
        };
        steps.push(format!("{first} If it sends for others (webmail, a gateway), its own log tells for whom."));
    }
    steps.push(format!(
        "Stop the outbound queue of {}, delete what was sent with this login, then start it again.",
        seen.machine.row.host
    ));
    if let Some(clients) = list(incident, "client") {
        steps.push(format!("Block those of {clients} that do not belong to the owner of the account."));
    }
    steps.push(
        "Limit how many recipients a login may reach in an hour, and under which sender addresses it may send."
            .to_owned(),
    );
    steps
}

fn harvest(incident: &Incident, row: &HostRow) -> Vec<String> {
    if incident.kind == Some("from_inside") {
        return vec![format!("Find out what on {} asks your mail server for these names.", row.host)];
    }
    let mut steps = Vec::new();
    if let Some(clients) = list(incident, "client") {
        steps.push(format!("Block {clients} in the firewall."));
    }
    steps.push(format!(
        "Let {} slow down and hang up on clients that ask for many unknown recipients (tarpitting), and switch off VRFY \
         and EXPN.",
        row.host
    ));
    steps.push("Keep refusing unknown recipients: to accept and bounce later is worse.".to_owned());
    steps
}

fn backscatter(incident: &Incident) -> Vec<String> {
    let mut steps = Vec::new();
    if let Some(hosts) = list(incident, "self_caused") {
        steps.push(format!("Look at {hosts} first: it sent mail under the addresses to which the bounces go."));
    }
    steps.push(
        "Refuse unknown recipients while the sender is still connected; never accept such bounces and answer them."
            .to_owned(),
    );
    steps.push(
        "Tag the senders of your own mail (BATV, or a signed bounce address) so that the server can refuse bounces of \
         mail that it never sent; do not refuse the null sender as such."
            .to_owned(),
    );
    steps.push(
        "Publish SPF and DMARC with a strict policy: fewer servers then take, and bounce, mail in your name."
            .to_owned(),
    );
    steps
}

/// What to do depends on how far the furthest attempt came.
fn relay(incident: &Incident) -> Vec<String> {
    let furthest = incident.verdicts.iter().map(|verdict| verdict.verdict).max();
    let refuse =
        "Let the server refuse recipients outside your domains from clients that have not logged in, routed forms \
                  (%, !, quotes) included."
            .to_owned();
    match furthest {
        Some(RelayOutcome::Proven) => {
            let clients: Vec<String> =
                incident.peers.iter().filter(|peer| peer.role == "client").map(|peer| peer.ip.to_string()).collect();
            vec![
                refuse,
                format!("Until then block the clients that use it: {}.", clients.join(", ")),
                "Delete what waits in the outbound queue, then look whether your address got listed.".to_owned(),
            ]
        }
        Some(RelayOutcome::AcceptedUnproven) => vec![
            "Test the addresses above against the server yourself; what it accepts must bounce, never leave."
                .to_owned(),
            refuse,
        ],
        Some(RelayOutcome::AcceptedThenNdr) => vec![
            "Let the server refuse these addresses while the sender is still connected: its reports go to whoever the \
             sender is said to be, who may be forged."
                .to_owned(),
        ],
        _ => {
            vec!["Nothing is wrong with the server: it refused. Block the clients if they become a burden.".to_owned()]
        }
    }
}

fn ndr_flood(row: &HostRow) -> Vec<String> {
    let mut steps = vec![
        "Make the server refuse unknown recipients while the sender is still connected (recipient validation), instead \
         of accepting and bouncing later."
            .to_owned(),
    ];
    steps.extend(product::ndr_switches(row.banner.as_ref().map(Wire::as_bytes)));
    steps.push("Delete the reports that wait in the outbound queue; real mail waits behind them.".to_owned());
    steps
}

/// Mail without a sender that answers nothing: a program's, more often than a server's.
fn no_sender(row: &HostRow) -> Vec<String> {
    let validate = "If they are reports of mail that another server of yours took, let that one refuse unknown recipients \
                    while the sender is still connected (recipient validation).";
    vec![
        format!(
            "Find the program that sends without a sender through {}: a web shop, a newsletter, a script. The log of the \
             server tells who handed in the mails named here.",
            row.host
        ),
        "Give it a sender address that somebody reads. If nobody knows the program, take its machine for broken into."
            .to_owned(),
        validate.to_owned(),
    ]
}

/// The cause first. Where it is the host itself, there is nothing to look for behind the gateway, and a rule that lets
/// nobody but the host out would change nothing.
fn blocklisted(seen: Circumstances<'_>) -> Vec<String> {
    let mut steps: Vec<String> = seen.causes.iter().map(Cause::step).collect();
    let known = !steps.is_empty();
    if !known {
        steps.push(
            "Find the machine behind your gateway that caused it (see the other incidents) and take it off the network \
             first."
                .to_owned(),
        );
    }
    steps.push(
        "Then ask the lists named here to remove your address; before the cause is gone it comes back at once."
            .to_owned(),
    );
    if !known {
        steps.extend(firewall::only_servers_on_25(seen.servers));
    }
    steps
}

fn mass_mailer(incident: &Incident, seen: Circumstances<'_>) -> Vec<String> {
    let mut steps = Vec::new();
    if incident.rests_on_calls() {
        steps.push(format!(
            "Look whose servers these are (see the sessions named here): if all are one provider's, a program on {} waits \
             for them to come back, and the machine is well. Else:",
            seen.machine.row.host
        ));
    }
    steps.extend(find(seen.machine));
    steps.push(format!(
        "Take {} off the network, then clean or reinstall it: mail credentials on it are lost too.",
        seen.machine.row.host
    ));
    steps.extend(firewall::only_servers_on_25(seen.servers));
    steps
}

/// How to find a machine by its Ethernet address.
fn find(Machine { row, behind_router }: Machine<'_>) -> Option<String> {
    let mac = row.mac()?;
    Some(if behind_router > 0 {
        format!(
            "The MAC {mac} belongs to a router: it carries {} of your addresses. Look for {} behind it.",
            behind_router + 1,
            row.host
        )
    } else {
        format!(
            "Find the switch port of MAC {mac} (Cisco: show mac address-table address {}; Linux bridge: bridge fdb show \
             | grep {mac}).",
            dotted(&mac.to_string())
        )
    })
}

/// A MAC as Cisco writes it: `0016.3e00.0017`.
fn dotted(mac: &str) -> String {
    let digits: String = mac.chars().filter(char::is_ascii_hexdigit).collect();
    let groups: Vec<&str> = [0..4, 4..8, 8..12].into_iter().filter_map(|range| digits.get(range)).collect();
    groups.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Mac;

    #[test]
    fn a_mac_can_be_pasted_into_a_switch() {
        assert_eq!(dotted(&Mac([0, 0x16, 0x3e, 0, 0, 0x17]).to_string()), "0016.3e00.0017");
    }
}
