//! The sessions as they go, the latest on top.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::host;
use super::page::{Page, Piece};
use super::table::{self, Column};
use crate::tui::app::{App, View};
use crate::tui::snapshot::{SessionLine, SessionState};
use crate::tui::text::{clock, line_of};

const COLUMNS: [Column; 8] = [
    Column { heading: "LAST", cells: (8, 11), right: false, last: 3 },
    Column { heading: "CLIENT", cells: (15, 39), right: false, last: 0 },
    Column { heading: "SERVER", cells: (15, 39), right: false, last: 1 },
    Column { heading: "STATE", cells: (9, 16), right: false, last: 2 },
    Column { heading: "HELO", cells: (6, 20), right: false, last: 6 },
    Column { heading: "MAILS", cells: (5, 5), right: true, last: 5 },
    Column { heading: "REFUSED", cells: (7, 7), right: true, last: 7 },
    Column { heading: "LAST REPLY", cells: (22, 80), right: false, last: 4 },
];

/// Draws the list.
pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let sessions = &app.snapshot.sessions;
    table::draw(app, View::Sessions, &COLUMNS, "", area, buffer, |place| {
        sessions.get(place).map(|line| row(app, line)).unwrap_or_default()
    });
}

fn row(app: &App, line: &SessionLine) -> Vec<Piece> {
    let theme = &app.theme;
    let (state, style) = match line.state {
        SessionState::Open => ("open".to_owned(), theme.good),
        SessionState::Ended if line.hidden => ("ended, TLS".to_owned(), theme.dim),
        SessionState::Ended => ("ended".to_owned(), theme.text),
        SessionState::Failed => ("failed".to_owned(), theme.doubtful),
        SessionState::Unanswered(1) => ("no answer".to_owned(), theme.doubtful),
        SessionState::Unanswered(times) => (format!("no answer ×{times}"), theme.doubtful),
    };
    let text = |wire: Option<&crate::wire::Wire>| wire.map(|wire| line_of(wire.as_bytes())).unwrap_or_default();
    vec![
        (clock(line.last, app.snapshot.now), theme.dim),
        (line.id.orig.host.to_string(), theme.text),
        (line.id.resp.host.to_string(), theme.text),
        (state, style),
        (text(line.helo.as_ref()), theme.text),
        (if line.mails > 0 { line.mails.to_string() } else { String::new() }, theme.text),
        (if line.refused > 0 { line.refused.to_string() } else { String::new() }, theme.bad),
        (text(line.says.as_ref()), theme.dim),
    ]
}

/// The title and the pages about the client of the selected session.
pub(super) fn pages(app: &App) -> (String, Vec<Page>) {
    host::pages(app)
}
