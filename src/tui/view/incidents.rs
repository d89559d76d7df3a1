//! The incidents: one host and one behaviour a line, the worst on top; below it the whole story of one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::host;
use super::page::{Page, Piece};
use super::table::{self, Column};
use crate::incident::Incident;
use crate::tui::app::{App, Key, View};
use crate::tui::standing::Standing;
use crate::tui::text::{clean, clock, counted, line_of};

const COLUMNS: [Column; 7] = [
    Column { heading: "TIER", cells: (9, 9), right: false, last: 0 },
    Column { heading: "HOST", cells: (15, 39), right: false, last: 1 },
    Column { heading: "CLASS", cells: (11, 28), right: false, last: 2 },
    Column { heading: "dB", cells: (5, 6), right: true, last: 3 },
    Column { heading: "SEVERITY", cells: (8, 8), right: false, last: 6 },
    Column { heading: "SINCE", cells: (8, 11), right: false, last: 5 },
    Column { heading: "UNTIL", cells: (8, 11), right: false, last: 4 },
];
/// Relay attempts, and peers, that are listed.
const LISTED: usize = 12;

/// Draws the list.
pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    table::draw(app, View::Incidents, &COLUMNS, "", area, buffer, |place| {
        app.snapshot.incidents().nth(place).map(|(incident, standing)| row(app, incident, standing)).unwrap_or_default()
    });
}

fn row(app: &App, incident: &Incident, standing: Standing) -> Vec<Piece> {
    let theme = &app.theme;
    let style = theme.tier(standing.tier());
    // How sure it is that it suffers is to be told too.
    let tier = if standing == Standing::Victim { incident.tier.name() } else { standing.name() };
    let kind = incident.kind.map(|kind| format!(" {kind}")).unwrap_or_default();
    vec![
        (tier.to_owned(), style),
        (incident.host.to_string(), style),
        (format!("{}{kind}", incident.class.name()), style),
        (incident.score_db.map(|db| format!("{db:.1}")).unwrap_or_default(), theme.text),
        (incident.severity.name().to_owned(), theme.text),
        (clock(incident.first, app.snapshot.now), theme.text),
        (clock(incident.last, app.snapshot.now), theme.text),
    ]
}

/// The title and the pages about the selected incident.
pub(super) fn pages(app: &App) -> (String, Vec<Page>) {
    let theme = &app.theme;
    let selected = match app.lists.selected(View::Incidents, &app.snapshot) {
        Some(Key::Incident(host, class)) => {
            app.snapshot.incidents().find(|(incident, _)| (incident.host, incident.class) == (host, class))
        }
        _ => None,
    };
    let Some((incident, standing)) = selected else {
        let mut page = Page::default();
        page.hanging(
            "",
            theme.text,
            "No incident. What is found stands here, with its evidence and what to do.",
            theme.dim,
        );
        return ("no incident".to_owned(), vec![page]);
    };
    let mut left = Page::default();
    host::story(app, incident, standing, &mut left);
    left.heading("What to do", theme.heading);
    for (n, step) in incident.remediation.iter().enumerate() {
        left.hanging(format!("{}. ", n + 1), theme.heading, clean(step), theme.text);
    }
    let mut right = Page::default();
    if !incident.accounts.is_empty() {
        let names: Vec<String> = incident.accounts.iter().map(|name| line_of(name.as_bytes())).collect();
        right.hanging("accounts  ", theme.dim, names.join(", "), theme.text);
    }
    if !incident.verdicts.is_empty() {
        right.heading("Attempts to relay", theme.heading);
        for verdict in incident.verdicts.iter().take(LISTED) {
            let reply = verdict.reply.as_ref().map(|reply| line_of(reply.as_bytes())).unwrap_or_default();
            let outcome = serde_word(&verdict.verdict);
            right.line([
                (format!("{outcome:18} "), theme.text),
                (format!("{} ", verdict.technique.join(" ")), theme.dim),
                (format!("<{}> ", line_of(verdict.recipient.as_bytes())), theme.text),
                (reply, theme.dim),
            ]);
        }
        more(theme.dim, incident.verdicts.len(), &mut right);
    }
    if !incident.peers.is_empty() {
        right.heading("Who else takes part", theme.heading);
        let mut peers: Vec<_> = incident.peers.iter().collect();
        peers.sort_by(|a, b| b.count.cmp(&a.count).then(a.ip.cmp(&b.ip)));
        for peer in peers.iter().take(LISTED) {
            right.line([
                (format!("{:<15} ", peer.ip.to_string()), theme.text),
                (format!("{:9} {:>9} ", peer.role, counted(peer.count, "time", "times")), theme.dim),
                (peer.says.as_ref().map(|says| line_of(says.as_bytes())).unwrap_or_default(), theme.text),
            ]);
        }
        more(theme.dim, incident.peers.len(), &mut right);
    }
    (format!("{}  {}  {}", incident.host, incident.class.name(), incident.id), vec![left, right])
}

/// The word by which outputs know a value.
fn serde_word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn more(style: ratatui::style::Style, all: usize, page: &mut Page) {
    if all > LISTED {
        page.line([(format!("and {} more in the report", all - LISTED), style)]);
    }
}
