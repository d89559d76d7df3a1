//! One incident told: what, who, since when, why, and what to do.

use std::io::{self, Write};

use super::super::facts::Results;
use super::super::text::{Style, Tone, counted, grouped, pad, paragraph, period, safe, width};
use crate::detect::{Confidence, Peer, RelayOutcome, RelayVerdict, Tier};
use crate::incident::{Incident, RankedHost};
use crate::ledger::HostRow;
use crate::wire::Wire;

/// Labels stand in a column of this width, texts beside it.
const LABEL: usize = 12;
/// What peers are to an incident, and how they are headed; others that detectors may name come last.
pub(in crate::output) const PEERS: [(&str, &str); 5] = [
    ("refuses", "Refused by"),
    ("triggers", "Set off by"),
    (Peer::INSIDE, "From inside"),
    ("client", "Clients"),
    ("contacted", "Contacted"),
];
/// Peers of one kind that are named.
const PEERS_MAX: usize = 5;
/// Relay attempts that are listed: the seven tests of one client in all forms that are known, twice.
const VERDICTS_MAX: usize = 40;

/// Writes an incident.
pub(super) fn write(
    out: &mut dyn Write,
    results: &Results<'_>,
    number: usize,
    incident: &Incident,
    style: Style,
) -> io::Result<()> {
    let kind = incident.kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
    let title = format!(
        "{number}. {}: {}{kind}, {}, {}",
        incident.host,
        incident.class.name(),
        incident.tier.name(),
        incident.severity.name()
    );
    let tone = if incident.class.is_victim() {
        Tone::Heading
    } else if incident.tier == Tier::Confirmed {
        Tone::Bad
    } else {
        Tone::Doubtful
    };
    writeln!(out, "{}", style.paint(tone, &title))?;
    paragraph(out, "   ", &incident.summary, style.columns())?;

    let mut section = Section { out, style };
    let host = results.judgement.hosts.iter().find(|host| host.row.host == incident.host);
    if let Some(host) = host {
        section.text("Who", &who(host, incident))?;
    }
    let when = period(incident.first, incident.last);
    section.text("When", &format!("{when}{}", reservation(incident, host.is_some_and(|host| host.row.role_given))))?;
    why(&mut section, incident)?;
    verdicts(&mut section, &incident.verdicts)?;
    for (role, label) in PEERS {
        peers(&mut section, label, incident.peers.iter().filter(|peer| peer.role == role).collect())?;
    }
    let others = incident.peers.iter().filter(|peer| PEERS.iter().all(|(role, _)| peer.role != *role));
    peers(&mut section, "Others", others.collect())?;
    for (i, step) in incident.remediation.iter().enumerate() {
        section.hanging(if i == 0 { "What to do" } else { "" }, &format!("{}. ", i + 1), step)?;
    }
    Ok(())
}

/// Writes labelled texts.
struct Section<'a> {
    out: &'a mut dyn Write,
    style: Style,
}

impl Section<'_> {
    fn text(&mut self, label: &str, text: &str) -> io::Result<()> {
        self.hanging(label, "", text)
    }

    /// A text behind a mark; its further lines begin under its first.
    fn hanging(&mut self, label: &str, mark: &str, text: &str) -> io::Result<()> {
        let lead = format!("   {}{mark}", pad(label, LABEL, false));
        paragraph(self.out, &lead, text, self.style.columns())
    }
}

/// What takes from the certainty, and what would give it back.
pub(in crate::output) fn reservation(incident: &Incident, servers_named: bool) -> &'static str {
    match incident.confidence {
        Confidence::High => "",
        Confidence::Medium if !servers_named => {
            "; surer with your mail servers named (--mail-server): confidence medium"
        }
        Confidence::Medium => "; part of what would tell was hidden or lost: confidence medium",
        Confidence::Low => {
            "; much of what would tell was hidden, or several machines share the address: confidence low"
        }
    }
}

/// The machine, as one would look for it: who had the address when it happened.
pub(in crate::output) fn who(host: &RankedHost, incident: &Incident) -> String {
    let row = &host.row.at(&incident.moments());
    let mut parts = vec![row.host.to_string()];
    let macs: Vec<String> = row.macs().map(|mac| mac.to_string()).collect();
    if let [mac, others @ ..] = macs.as_slice() {
        let and = if others.is_empty() { String::new() } else { format!(" and {}", others.join(", ")) };
        parts.push(match host.behind_router {
            0 => format!("MAC {mac}{and}"),
            others => {
                format!("MAC {mac}{and} (this MAC belongs to a router: it carries {} of your addresses)", others + 1)
            }
        });
    }
    let else_used: Vec<String> =
        host.row.macs().filter(|mac| row.macs().all(|own| own != *mac)).map(|mac| mac.to_string()).collect();
    if !else_used.is_empty() {
        parts.push(format!("not MAC {}, which had the address at another time", else_used.join(", ")));
    }
    parts.extend(row.vlans.iter().map(|vlan| format!("VLAN {vlan}")));
    parts.extend(calls_itself(row));
    parts.extend(row.system().map(|system| format!("looks like {system}")));
    parts.join(", ")
}

/// Its names and where they come from; a name that is told in several ways stands once.
fn calls_itself(row: &HostRow) -> Option<String> {
    let mut told: Vec<(&Wire, Vec<&str>)> = Vec::new();
    for (source, name) in row.names() {
        match told.iter_mut().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name.as_bytes())) {
            Some((_, sources)) => sources.push(source),
            None => told.push((name, vec![source])),
        }
    }
    let shown =
        |(name, sources): &(&Wire, Vec<&str>)| format!("\"{}\" ({})", safe(&name.escaped()), sources.join(", "));
    let names: Vec<String> = told.iter().map(shown).collect();
    (!names.is_empty()).then(|| format!("calls itself {}", names.join(", ")))
}

/// The lines of the score, and their sum.
fn why(section: &mut Section<'_>, incident: &Incident) -> io::Result<()> {
    let mut label = "Why";
    for line in &incident.evidence {
        let mark = match incident.score_db {
            Some(_) if line.detector.is_none() || line.db != 0.0 => format!("{:>+6.1} dB  ", line.db),
            // Said, but not counted: something stronger of its family was.
            Some(_) => pad("also", 9, true) + "  ",
            None => "- ".to_owned(),
        };
        section.hanging(label, &mark, &line.says)?;
        label = "";
    }
    match incident.score_db {
        Some(score) => {
            let says = "in sum; 0 dB is as likely as not, each +10 dB ten times as likely";
            section.hanging("", &format!("{score:>+6.1} dB  "), says)
        }
        None => Ok(()),
    }
}

fn verdicts(section: &mut Section<'_>, verdicts: &[RelayVerdict]) -> io::Result<()> {
    let techniques: Vec<String> = verdicts.iter().map(|verdict| verdict.technique.join(" ")).collect();
    let shown = techniques.iter().take(VERDICTS_MAX);
    let widest = shown.clone().map(|technique| width(technique)).max().unwrap_or(0);
    for (i, (verdict, technique)) in verdicts.iter().zip(shown).enumerate() {
        let mark = format!("{}  {}  ", pad(outcome(verdict.verdict), 17, false), pad(technique, widest, false));
        let asked = format!("by {}, frame {}", verdict.client, verdict.frame.0);
        section.hanging(if i == 0 { "Attempts" } else { "" }, &mark, &asked)?;
        let reply = verdict.reply.as_ref().map(|reply| format!(": \"{}\"", reply.escaped())).unwrap_or_default();
        let text = format!("<{}> to <{}>{reply}", verdict.sender.escaped(), verdict.recipient.escaped());
        section.hanging("", "  ", &text)?;
    }
    if verdicts.len() > VERDICTS_MAX {
        let more = counted((verdicts.len() - VERDICTS_MAX) as u64, "more stands", "more stand");
        section.text("", &format!("{more} in the report (--report FILE)."))?;
    }
    Ok(())
}

/// What became of an attempt, in plain words.
pub(in crate::output) const fn outcome(outcome: RelayOutcome) -> &'static str {
    match outcome {
        RelayOutcome::Rejected => "refused",
        RelayOutcome::AcceptedUnproven => "accepted, no more",
        RelayOutcome::AcceptedThenNdr => "accepted, bounced",
        RelayOutcome::Proven => "RELAYED",
    }
}

/// The ones with the most to say, with their words.
fn peers(section: &mut Section<'_>, label: &str, mut peers: Vec<&Peer>) -> io::Result<()> {
    peers.sort_by(|a, b| b.count.cmp(&a.count).then(a.ip.cmp(&b.ip)));
    for (i, peer) in peers.iter().take(PEERS_MAX).enumerate() {
        let says = peer.says.as_ref().map(|says| format!(": \"{}\"", safe(&says.escaped()))).unwrap_or_default();
        let text = format!("{}, {}{says}", peer.ip, counted(peer.count, "time", "times"));
        section.text(if i == 0 { label } else { "" }, &text)?;
    }
    if peers.len() > PEERS_MAX {
        section.text("", &format!("and {} more", grouped((peers.len() - PEERS_MAX) as u64)))?;
    }
    Ok(())
}
