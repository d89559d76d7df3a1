//! The page for whoever has to decide: one HTML file that needs nothing from elsewhere, runs no script, and reads on a
//! phone and on paper.
//!
//! It tells what the table on the terminal tells, in the same words, with charts. Everything that comes from outside
//! passes `text::Text`; a policy in the page's head forbids scripts and requests should that ever fail.

mod chart;
mod text;

use std::io::{self, Write};

use self::text::Text;
use super::facts::Results;
use super::floods::FLOODS_MAX;
use super::table::{looked_at, ranking, story, unseen};
use super::text::{counted, grouped, period};
use super::timeline::Timeline;
use crate::detect::{Peer, Tier};
use crate::incident::{Incident, RankedHost};

/// Hosts in the ranking and incidents told: more would not be read; the report has all.
const HOSTS_MAX: usize = 100;
const STORIES_MAX: usize = 50;
/// Others who take part, of each kind, and attempts to relay.
const PEERS_MAX: usize = 10;
const VERDICTS_MAX: usize = 40;

const STYLE: &str = include_str!("html/page.css");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Writes the page; charts of mails are there if their counts are.
pub fn write(out: &mut dyn Write, results: &Results<'_>, timeline: Option<&Timeline>) -> io::Result<()> {
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"{POLICY}\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>smtphound: who abuses port 25</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>"
    )?;
    head(out, results)?;
    let incidents: Vec<&Incident> = results.judgement.incidents.iter().take(STORIES_MAX).collect();
    if !incidents.is_empty() {
        ranking(out, results)?;
        overview(out, results, &incidents)?;
        for (number, incident) in (1..).zip(&incidents) {
            tell(out, results, timeline, number, incident)?;
        }
        let more = results.judgement.incidents.len() - incidents.len();
        if more > 0 {
            let more = counted(more as u64, "more incident stands", "more incidents stand");
            writeln!(out, "<p class=\"soft\">{} in the report (<code>--report FILE</code>).</p>", Text(more))?;
        }
    }
    floods(out, results)?;
    unseen(out, results)?;
    writeln!(
        out,
        "<p class=\"soft small\">Written by smtphound {}, which only listened. Scores are in decibans: 0 dB is as likely as \
         not, each +10 dB ten times as likely. All times are UTC.</p>\n</main>\n</body>\n</html>",
        env!("CARGO_PKG_VERSION")
    )
}

fn head(out: &mut dyn Write, results: &Results<'_>) -> io::Result<()> {
    let incidents = &results.judgement.incidents;
    let worst = incidents.iter().find(|incident| !incident.class.is_victim()).or(incidents.first());
    writeln!(out, "<h1>Who abuses port 25</h1>")?;
    writeln!(out, "<p class=\"soft\">{}</p>", Text(looked_at(results)))?;
    let verdict = match worst {
        Some(incident) => incident.summary.clone(),
        None if results.judgement.hosts.is_empty() => {
            "No machine of yours appears in it, and nothing was judged.".to_owned()
        }
        None => "No incident: nothing speaks against any machine of yours.".to_owned(),
    };
    let class = worst.map_or("", |incident| if incident.class.is_victim() { "victim" } else { incident.tier.name() });
    writeln!(out, "<p class=\"verdict {class}\">{}</p>", Text(verdict))
}

fn ranking(out: &mut dyn Write, results: &Results<'_>) -> io::Result<()> {
    const OF: [&str; 7] = ["Tier", "Score", "Mails", "Refused", "Servers", "Last seen", "What"];
    let hosts: Vec<&RankedHost> = results.judgement.hosts.iter().filter(|host| !host.classes.is_empty()).collect();
    let shown = hosts.get(..HOSTS_MAX).unwrap_or(&hosts);
    let one_day = ranking::one_day(shown);
    writeln!(
        out,
        "<section>\n<h2>Ranking</h2>\n<table class=\"stack\">\n<thead><tr><th class=\"num\">#</th><th>Host</th>"
    )?;
    for (column, of) in OF.iter().enumerate() {
        let class = if (1..5).contains(&column) { " class=\"num\"" } else { "" };
        write!(out, "<th{class}>{of}</th>")?;
    }
    writeln!(out, "</tr></thead>\n<tbody>")?;
    for host in shown {
        let [rank, address, tier, score, mails, refused, servers, last] = ranking::cells(results, host, one_day);
        let class = host.tier.map_or("victim", Tier::name);
        write!(
            out,
            "<tr><td class=\"num\" data-of=\"#\">{rank}</td><td class=\"tight\" data-of=\"Host\"><strong>{}</strong></td>\
             <td data-of=\"Tier\"><span class=\"tier {class}\">{tier}</span></td>",
            Text(address)
        )?;
        let score = if score == "-" { score } else { score + " dB" };
        for (of, cell) in OF.iter().skip(1).zip([score, mails, refused, servers]) {
            write!(out, "<td class=\"num\" data-of=\"{of}\">{}</td>", Text(cell))?;
        }
        writeln!(
            out,
            "<td class=\"tight\" data-of=\"Last seen\">{}</td><td data-of=\"What\">{}</td></tr>",
            Text(last),
            Text(ranking::what(host))
        )?;
    }
    writeln!(out, "</tbody>\n</table>")?;
    if hosts.len() > shown.len() {
        let more = counted((hosts.len() - shown.len()) as u64, "more host stands", "more hosts stand");
        writeln!(out, "<p class=\"soft\">{} in the report.</p>", Text(more))?;
    }
    let quiet = results.judgement.hosts.len() - hosts.len();
    if quiet > 0 {
        let quiet = counted(quiet as u64, "other host", "other hosts");
        writeln!(out, "<p class=\"soft small\">Nothing against {} of yours on the SMTP ports.</p>", Text(quiet))?;
    }
    writeln!(out, "</section>")
}

/// When everything was.
fn overview(out: &mut dyn Write, results: &Results<'_>, incidents: &[&Incident]) -> io::Result<()> {
    let inputs = &results.facts.inputs;
    let firsts =
        incidents.iter().map(|incident| incident.first).chain(inputs.iter().filter_map(|input| input.first_ts));
    let lasts = incidents.iter().map(|incident| incident.last).chain(inputs.iter().filter_map(|input| input.last_ts));
    let (Some(first), Some(last)) = (firsts.min(), lasts.max()) else { return Ok(()) };
    writeln!(out, "<section>\n<h2>When</h2>")?;
    chart::overview(out, incidents, first, last)?;
    writeln!(out, "</section>")
}

fn tell(
    out: &mut dyn Write,
    results: &Results<'_>,
    timeline: Option<&Timeline>,
    number: usize,
    incident: &Incident,
) -> io::Result<()> {
    let kind = incident.kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
    let class = if incident.class.is_victim() { "victim" } else { incident.tier.name() };
    writeln!(
        out,
        "<section id=\"i{number}\">\n<h2>{number}. {}: {}{kind} <span class=\"tier {class}\">{}, {}</span></h2>\n<p>{}</p>",
        Text(incident.host),
        incident.class.name(),
        incident.tier.name(),
        incident.severity.name(),
        Text(&incident.summary)
    )?;
    let host = results.judgement.hosts.iter().find(|host| host.row.host == incident.host);
    writeln!(out, "<dl>")?;
    if let Some(host) = host {
        writeln!(out, "<dt>Who</dt><dd>{}</dd>", Text(story::who(host, incident)))?;
    }
    let reservation = story::reservation(incident, host.is_some_and(|host| host.row.role_given));
    let when = period(incident.first, incident.last) + reservation;
    writeln!(out, "<dt>When</dt><dd>{}</dd>", Text(when))?;
    if !incident.accounts.is_empty() {
        let accounts: Vec<String> = incident.accounts.iter().map(ToString::to_string).collect();
        writeln!(out, "<dt>Accounts</dt><dd>{}</dd>", Text(accounts.join(", ")))?;
    }
    writeln!(out, "</dl>")?;
    if let Some(timeline) = timeline {
        chart::mails(out, timeline, incident)?;
    }
    why(out, incident)?;
    attempts(out, incident)?;
    peers(out, incident)?;
    steps(out, &incident.remediation)?;
    writeln!(out, "</section>")
}

/// What to do, one after the other; what follows a step that ends in a colon are its choices.
fn steps(out: &mut dyn Write, steps: &[String]) -> io::Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    let end = steps.iter().position(|step| step.ends_with(':')).map_or(steps.len(), |colon| colon + 1);
    let (steps, choices) = steps.split_at(end);
    writeln!(out, "<h3>What to do</h3>\n<ol>")?;
    steps.iter().try_for_each(|step| writeln!(out, "<li>{}", Text(step)))?;
    if !choices.is_empty() {
        writeln!(out, "<ul>")?;
        choices.iter().try_for_each(|choice| writeln!(out, "<li>{}</li>", Text(choice)))?;
        writeln!(out, "</ul>")?;
    }
    // The end of a list ends its last item.
    writeln!(out, "</ol>")
}

/// The lines of the score.
fn why(out: &mut dyn Write, incident: &Incident) -> io::Result<()> {
    writeln!(out, "<h3>Why</h3>\n<table>")?;
    for line in &incident.evidence {
        let weight = match incident.score_db {
            Some(_) if line.detector.is_none() || line.db != 0.0 => format!("{:+.1} dB", line.db),
            Some(_) => "also".to_owned(),
            None => String::new(),
        };
        writeln!(out, "<tr><td class=\"num\">{weight}</td><td>{}</td></tr>", Text(&line.says))?;
    }
    if let Some(score) = incident.score_db {
        writeln!(out, "<tr><td class=\"num\"><strong>{score:+.1} dB</strong></td><td>in sum</td></tr>")?;
    }
    writeln!(out, "</table>")
}

fn attempts(out: &mut dyn Write, incident: &Incident) -> io::Result<()> {
    if incident.verdicts.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h3>Attempts to relay</h3>\n<table>")?;
    for verdict in incident.verdicts.iter().take(VERDICTS_MAX) {
        let reply = verdict.reply.as_ref().map(|reply| format!(": \"{reply}\"")).unwrap_or_default();
        writeln!(
            out,
            "<tr><td>{}<br><span class=\"soft small\">{}</span></td><td><code>&lt;{}&gt; to &lt;{}&gt;</code>{}\
             <br><span class=\"soft small\">by {}, frame {}</span></td></tr>",
            story::outcome(verdict.verdict),
            Text(verdict.technique.join(" ")),
            Text(&verdict.sender),
            Text(&verdict.recipient),
            Text(reply),
            Text(verdict.client),
            verdict.frame.0
        )?;
    }
    writeln!(out, "</table>")?;
    if incident.verdicts.len() > VERDICTS_MAX {
        let more = grouped((incident.verdicts.len() - VERDICTS_MAX) as u64);
        writeln!(out, "<p class=\"soft small\">and {more} more in the report</p>")?;
    }
    Ok(())
}

fn peers(out: &mut dyn Write, incident: &Incident) -> io::Result<()> {
    for (role, label) in story::PEERS {
        list(out, label, incident.peers.iter().filter(|peer| peer.role == role).collect())?;
    }
    let others = incident.peers.iter().filter(|peer| story::PEERS.iter().all(|(role, _)| peer.role != *role));
    list(out, "Others", others.collect())
}

/// The ones with the most to say, with their words.
fn list(out: &mut dyn Write, label: &str, mut peers: Vec<&Peer>) -> io::Result<()> {
    if peers.is_empty() {
        return Ok(());
    }
    peers.sort_by(|a, b| b.count.cmp(&a.count).then(a.ip.cmp(&b.ip)));
    writeln!(out, "<h3>{label}</h3>\n<ul>")?;
    for peer in peers.iter().take(PEERS_MAX) {
        let says = peer.says.as_ref().map(|says| format!(": \"{says}\"")).unwrap_or_default();
        writeln!(out, "<li>{}, {}{}</li>", Text(peer.ip), counted(peer.count, "time", "times"), Text(says))?;
    }
    if peers.len() > PEERS_MAX {
        writeln!(out, "<li>and {} more</li>", grouped((peers.len() - PEERS_MAX) as u64))?;
    }
    writeln!(out, "</ul>")
}

fn floods(out: &mut dyn Write, results: &Results<'_>) -> io::Result<()> {
    let floods = results.floods();
    if floods.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section>\n<h2>Floods</h2>\n<ul>")?;
    floods.iter().take(FLOODS_MAX).try_for_each(|flood| writeln!(out, "<li>{}</li>", Text(flood.says())))?;
    if floods.len() > FLOODS_MAX {
        writeln!(out, "<li>and {} more in the report</li>", grouped((floods.len() - FLOODS_MAX) as u64))?;
    }
    writeln!(out, "</ul>\n</section>")
}

fn unseen(out: &mut dyn Write, results: &Results<'_>) -> io::Result<()> {
    let losses = unseen::losses(results);
    if losses.is_empty() {
        return writeln!(out, "<p class=\"soft\">{}</p>", unseen::NOTHING);
    }
    writeln!(out, "<section>\n<h2>What could not be seen</h2>\n<ul>")?;
    losses.iter().try_for_each(|loss| writeln!(out, "<li>{}</li>", Text(loss)))?;
    writeln!(out, "</ul>\n</section>")
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::*;
    use crate::ledger::Used;
    use crate::time::Ts;
    use crate::wire::Wire;

    fn page(case: &Case) -> String {
        let mut out = Vec::new();
        write(&mut out, &case.results(), None).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// The names of all tags.
    fn tags(page: &str) -> Vec<String> {
        let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '/' || *c == '!').collect();
        page.split('<').skip(1).map(name).collect()
    }

    #[test]
    fn it_tells_what_the_table_tells() {
        let page = page(&Case::infected());
        for said in [
            "192.168.0.23: mass_mailer",
            "+36.0 dB",
            "352 of 412 mails were refused",
            "Take 192.168.0.23 off the network.",
            "accepted, bounced",
            "&lt;spam@probe.example&gt;",
            "What could not be seen",
        ] {
            assert!(page.contains(said), "{said} in {page}");
        }
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_nothing_runs() {
        let page = page(&Case::infected());
        for foreign in
            ["http:", "https:", "src=", "url(", "@import", "<script", "<link", "<iframe", " on", "javascript:"]
        {
            let body = page.split("<body>").nth(1).unwrap();
            assert!(foreign == " on" || !page.contains(foreign), "{foreign}");
            assert!(!body.contains(" onload=") && !body.contains(" onclick="));
        }
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn hostile_names_are_text() {
        let plain = tags(&page(&Case::infected()));
        let hostile = "</td><script>alert(1)</script>\"'><img src=x onerror=y>&lt;\u{202e}evil\u{0}";
        let mut case = Case::infected();
        case.facts.inputs[0].file = hostile.to_owned();
        case.judgement.hosts[0].row.helos =
            [Used::new(Wire::from(hostile), (Ts::EPOCH, Ts::EPOCH))].into_iter().collect();
        let worm = &mut case.judgement.incidents[0];
        worm.summary = hostile.to_owned();
        worm.evidence[0].says = hostile.to_owned();
        worm.remediation[0] = hostile.to_owned();
        worm.peers[0].says = Some(hostile.into());
        let verdict = &mut case.judgement.incidents[1].verdicts[0];
        (verdict.sender, verdict.recipient, verdict.reply) = (hostile.into(), hostile.into(), Some(hostile.into()));
        let page = page(&case);
        assert_eq!(tags(&page), plain, "a name made a tag");
        assert!(page.contains("&lt;script&gt;alert(1)"));
        assert!(!page.contains(['\u{202e}', '\u{0}']));
    }

    #[test]
    fn choices_of_a_step_are_no_steps() {
        let mut case = Case::infected();
        case.judgement.incidents[0].remediation = ["Walk.", "Then one of:", "this", "that"].map(str::to_owned).to_vec();
        let page = page(&case);
        let todo = "<li>Walk.\n<li>Then one of:\n<ul>\n<li>this</li>\n<li>that</li>\n</ul>\n</ol>";
        assert!(page.contains(todo), "{page}");
    }

    #[test]
    fn where_nothing_was_read_it_says_so() {
        assert!(page(&Case::nothing()).contains("No machine of yours appears in it"));
    }
}
