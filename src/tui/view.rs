//! Draws what [`App`] is about to show. Reads only what it is given; the same state gives the same cells.
//!
//! ```text
//! smtphound eth0  1 Ranking 2 Incidents 3 Sessions 4 Servers 5 Capture          09:42:07 live
//!  CONFIRMED  192.168.10.23 PC-ACCOUNTS  mass_mailer                               (the worst, on top of all)
//!  #  HOST           NAME         TIER       CLASS         dB  RATE     REFUSED  SERVERS  LAST
//!  1  192.168.10.23  pc-accounts  CONFIRMED  mass_mailer   39  ▂▅█▇▇▅▃      85%       18  09:42:05
//! -- 192.168.10.23 -------------------------------------------------------------------------
//! ... who it is, why, since when, what to do
//! 12,345 frames 120/s   drops 0   gaps 0   4 hosts   ? help
//! ```

mod capture;
mod detail;
mod frame;
mod help;
mod host;
mod incidents;
mod page;
mod ranking;
mod servers;
mod sessions;
mod table;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::{App, View};

/// A list and details below it need so many lines; with fewer there is the list alone.
const BOTH: u16 = 12;

/// Draws everything into a buffer, whatever its size.
pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let mut rest = area;
    // What is dropped first where there is little room comes last.
    if rest.height >= 2 {
        frame::footer(app, line(&mut rest, true), buffer);
    }
    if rest.height >= 3 {
        frame::header(app, line(&mut rest, false), buffer);
    }
    if rest.height >= 3 {
        frame::alarm(app, line(&mut rest, false), buffer);
    }
    if app.help {
        help::draw(app, rest, buffer);
    } else if app.view == View::Capture {
        capture::draw(app, rest, buffer);
    } else if app.zoomed {
        details(app, rest, buffer);
    } else if rest.height < BOTH {
        list(app, rest, buffer);
    } else {
        let lines = app.lists.order(app.view).len() as u16;
        let upper = lines.saturating_add(1).clamp(4, (rest.height * 2 / 5).max(4));
        let (above, below) =
            (Rect { height: upper, ..rest }, Rect { y: rest.y + upper, height: rest.height - upper, ..rest });
        details(app, below, buffer);
        // The last one drawn says how long a page is: keys move in the list.
        list(app, above, buffer);
    }
}

fn list(app: &App, area: Rect, buffer: &mut Buffer) {
    match app.view {
        View::Ranking => ranking::draw(app, area, buffer),
        View::Incidents => incidents::draw(app, area, buffer),
        View::Sessions => sessions::draw(app, area, buffer),
        View::Servers => servers::draw(app, area, buffer),
        View::Capture => {}
    }
}

fn details(app: &App, area: Rect, buffer: &mut Buffer) {
    let (title, columns) = match app.view {
        View::Ranking | View::Capture => host::pages(app),
        View::Incidents => incidents::pages(app),
        View::Sessions => sessions::pages(app),
        View::Servers => servers::pages(app),
    };
    detail::draw(app, &title, &columns, area, buffer);
}

/// Takes a line off the top or the bottom.
const fn line(rest: &mut Rect, bottom: bool) -> Rect {
    let taken =
        Rect { x: rest.x, y: if bottom { rest.y + rest.height - 1 } else { rest.y }, width: rest.width, height: 1 };
    rest.height -= 1;
    if !bottom {
        rest.y += 1;
    }
    taken
}
