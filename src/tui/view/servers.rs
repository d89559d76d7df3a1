//! Our mail servers: what leaves them, how much of it are reports, who refuses it and why.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::host;
use super::page::{Page, Piece};
use super::table::{self, Column};
use crate::activity::{Activity, Destination};
use crate::detect::Class;
use crate::incident::RankedHost;
use crate::tui::app::{App, View};
use crate::tui::text::{clean, counted, fit, line_of, share, short};

/// Providers that are listed.
const PROVIDERS: usize = 12;

const COLUMNS: [Column; 7] = [
    Column { heading: "SERVER", cells: (15, 39), right: false, last: 0 },
    Column { heading: "ROLE", cells: (20, 20), right: false, last: 4 },
    Column { heading: "TOOK", cells: (5, 6), right: true, last: 3 },
    Column { heading: "SENT", cells: (5, 6), right: true, last: 2 },
    Column { heading: "REFUSED", cells: (7, 7), right: true, last: 1 },
    Column { heading: "REPORTS", cells: (7, 7), right: true, last: 1 },
    Column { heading: "GREETS AS", cells: (9, 60), right: false, last: 5 },
];

/// Draws the list.
pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let hosts = &app.snapshot.judgement.hosts;
    table::draw(app, View::Servers, &COLUMNS, "", area, buffer, |place| {
        hosts.get(place).map(|host| row(app, host)).unwrap_or_default()
    });
}

fn row(app: &App, host: &RankedHost) -> Vec<Piece> {
    let (theme, row) = (&app.theme, &host.row);
    let activity = app.stage.activity.get(row.host);
    let (mails, refused, reports) =
        activity.map_or((0, 0, 0), |activity| (activity.mails, activity.refused, activity.null_senders));
    let learned = if row.role_given || host::role(row).is_empty() { "" } else { ", learned" };
    let alarming = |part: u64| if part * 2 > mails && part > 4 { theme.bad } else { theme.text };
    vec![
        (row.host.to_string(), theme.tier(host.tier)),
        (format!("{}{learned}", host::role(row)), theme.dim),
        (short(row.served), theme.text),
        (short(mails), theme.text),
        (share(refused, mails), alarming(refused)),
        (share(reports, mails), alarming(reports)),
        (row.banner.as_ref().map(|banner| line_of(banner.as_bytes())).unwrap_or_default(), theme.text),
    ]
}

/// The title and the pages about the selected server.
pub(super) fn pages(app: &App) -> (String, Vec<Page>) {
    let theme = &app.theme;
    let Some(key) = app.host() else {
        let mut page = Page::default();
        let text = "No mail server of yours is known yet. One that takes mail is learned; naming it with --mail-server is surer.";
        page.hanging("", theme.text, text, theme.dim);
        return ("no mail server".to_owned(), vec![page]);
    };
    let mut left = Page::default();
    let about = |class: Class| {
        app.snapshot.judgement.incidents.iter().find(move |incident| incident.host == key && incident.class == class)
    };
    if let Some(incident) = about(Class::Blocklisted) {
        left.line([("The world refuses it".to_owned(), theme.doubtful)]);
        left.hanging("", theme.text, clean(&incident.summary), theme.text);
        for line in &incident.evidence {
            left.hanging("  · ", theme.dim, clean(&line.says), theme.text);
        }
    } else {
        left.line([("Nobody refuses it because of a block list.".to_owned(), theme.good)]);
    }
    for class in [Class::NdrFlood, Class::BackscatterVictim, Class::Relay, Class::AccountAbuse] {
        if let Some(incident) = about(class) {
            left.gap();
            left.line([(class.name().to_owned(), theme.tier(Some(incident.tier)))]);
            left.hanging("", theme.text, clean(&incident.summary), theme.text);
        }
    }
    let mut right = Page::default();
    if let Some(activity) = app.activity() {
        providers(app, &activity, &mut right);
    }
    (format!("{key}"), vec![left, right])
}

/// Who takes its mail and who refuses it, by provider: who is listed is refused by all servers of one.
fn providers(app: &App, activity: &Activity, page: &mut Page) {
    let theme = &app.theme;
    let mut providers: BTreeMap<String, (u32, u32, Option<&Destination>)> = BTreeMap::new();
    for destination in activity.destinations.iter().filter(|destination| destination.mails > 0) {
        let name = destination.name.as_ref().map(|name| provider(&line_of(name.as_bytes())));
        let name = name.unwrap_or_else(|| destination.server.to_string());
        let (refused, mails, last) = providers.entry(name).or_default();
        (*refused, *mails) = (*refused + destination.refused, *mails + destination.mails);
        if destination.says.is_some() && last.is_none_or(|last| last.last < destination.last) {
            *last = Some(destination);
        }
    }
    if providers.is_empty() {
        return;
    }
    let mut list: Vec<_> = providers.into_iter().collect();
    list.sort_by_key(|(_, (refused, mails, _))| Reverse((*refused, *mails)));
    page.heading("Refusals by provider", theme.heading);
    for (name, (refused, mails, last)) in list.iter().take(PROVIDERS) {
        let style = if *refused > 0 { theme.text } else { theme.dim };
        let says = last.and_then(|last| last.says.as_ref()).map(|says| line_of(says.as_bytes()));
        page.line([
            (fit(name, 18, false) + " ", style),
            (format!("{:<22} ", format!("{refused} of {}", counted((*mails).into(), "mail", "mails"))), style),
            (says.unwrap_or_default(), theme.dim),
        ]);
    }
    if list.len() > PROVIDERS {
        page.line([(format!("and {} more", list.len() - PROVIDERS), theme.dim)]);
    }
}

/// The part of a server's name that is its provider's: two labels, or three where the last two are short ones of a country
/// (`co.uk`). No list of public suffixes is worth it for a heading.
fn provider(name: &str) -> String {
    let labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
    let short = matches!(labels.as_slice(), [.., second, last] if last.len() == 2 && second.len() <= 3);
    labels[labels.len().saturating_sub(if short { 3 } else { 2 })..].join(".").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::provider;

    #[test]
    fn a_provider_has_many_servers() {
        for (name, of) in [
            ("mx3.protection.contoso.example", "contoso.example"),
            ("MX.Adatum.Example.", "adatum.example"),
            ("a.mail.northwind.co.uk", "northwind.co.uk"),
            ("localhost", "localhost"),
            ("", ""),
        ] {
            assert_eq!(provider(name), of);
        }
    }
}
