//! The ranking: who did what, the worst on top.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::host;
use super::page::Piece;
use super::table::{self, Column};
use crate::incident::RankedHost;
use crate::tui::app::{self, App, View};
use crate::tui::standing::Standing;
use crate::tui::text::{clock, share, short, sparkline};

/// Cells of the rate: a minute and a half in steps of ten seconds.
const RATE: usize = 9;

const COLUMNS: [Column; 10] = [
    Column { heading: "#", cells: (2, 6), right: true, last: 8 },
    Column { heading: "HOST", cells: (15, 39), right: false, last: 0 },
    Column { heading: "NAME", cells: (8, 26), right: false, last: 5 },
    Column { heading: "TIER", cells: (9, 9), right: false, last: 1 },
    Column { heading: "CLASS", cells: (11, 30), right: false, last: 2 },
    Column { heading: "dB", cells: (5, 6), right: true, last: 3 },
    Column { heading: "RATE", cells: (RATE, RATE), right: false, last: 4 },
    Column { heading: "REF%", cells: (4, 4), right: true, last: 6 },
    Column { heading: "SRVS", cells: (4, 5), right: true, last: 9 },
    Column { heading: "LAST SEEN", cells: (9, 11), right: false, last: 10 },
];

/// Draws the ranking.
pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let hosts = &app.snapshot.judgement.hosts;
    let usual = app.lists.column == app::Column::Rank && !app.lists.reversed[View::Ranking as usize];
    let note = if usual { String::new() } else { app.lists.told_order(View::Ranking) };
    table::draw(app, View::Ranking, &COLUMNS, &note, area, buffer, |place| {
        hosts.get(place).map(|host| row(app, host, app.snapshot.standing(place))).unwrap_or_default()
    });
}

fn row(app: &App, host: &RankedHost, standing: Standing) -> Vec<Piece> {
    let theme = &app.theme;
    let row = &host.row;
    let accused = theme.tier(standing.tier());
    let quiet = standing == Standing::Quiet;
    let text = if quiet { theme.dim } else { theme.text };
    let classes: Vec<&str> = host.classes.iter().map(|class| class.name()).collect();
    let counts = &row.counts;
    let recent = app.stage.activity.recent(&[row.host], app.snapshot.now, RATE);
    let rates: Vec<u32> = recent.iter().flatten().map(|bucket| bucket.total()).collect();
    // Ten mails in ten seconds fill the bar; more are as high.
    let rate = sparkline(rates.iter().copied(), rates.iter().copied().max().unwrap_or(0).max(8));
    vec![
        (host.rank.to_string(), theme.dim),
        (row.host.to_string(), if quiet { text } else { accused }),
        (host::name(row).or_else(|| row.mac().map(|mac| mac.to_string())).unwrap_or_default(), text),
        (standing.name().to_owned(), accused),
        (if quiet { host::role(row).to_owned() } else { classes.join(" ") }, if quiet { theme.dim } else { accused }),
        (if host.tier.is_some() { format!("{:.1}", host.score_db) } else { String::new() }, text),
        (rate, text),
        (share(counts.rcpt_rejected, counts.rcpt_accepted + counts.rcpt_rejected), text),
        (short(row.servers.count()), text),
        (clock(row.last, app.snapshot.now), text),
    ]
}
