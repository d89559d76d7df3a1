//! All about one host: who it is, what it is accused of and why, what it did over time, what it was told.

use super::page::Page;
use crate::activity::{Activity, BUCKETS, Bucket};
use crate::detect::Family;
use crate::identity::vendor;
use crate::incident::{Incident, RankedHost};
use crate::ledger::{HostRow, Role};
use crate::net::Mac;
use crate::time::Span;
use crate::tui::app::App;
use crate::tui::standing::Standing;
use crate::tui::text::{bar, clean, clock, counted, grouped, line_of, share, short, span, sparkline};
use crate::tui::theme::Theme;

/// Cells of the bars beside the lines of a score.
const BAR: usize = 12;
/// Cells before a chart.
const CHART_LEAD: usize = 14;
/// Destinations that are listed.
const DESTINATIONS: usize = 10;

/// What a host is called, if it said so.
pub(super) fn name(row: &HostRow) -> Option<String> {
    row.name().map(|name| line_of(name.as_bytes()))
}

/// What a host is, in a word.
pub(super) const fn role(row: &HostRow) -> &'static str {
    match row.role {
        Role::Server => "mail server",
        Role::Sender => "sender",
        Role::Client => "client",
        Role::Unknown => "",
    }
}

/// The title and the pages about the selected host.
pub(super) fn pages(app: &App) -> (String, Vec<Page>) {
    let host = app.host().and_then(|key| app.snapshot.host(key));
    let Some(host) = host else {
        return ("nobody yet".to_owned(), vec![nobody(app)]);
    };
    let title = match name(&host.row) {
        Some(name) => format!("{}  {name}", host.row.host),
        None => host.row.host.to_string(),
    };
    let mut left = Page::default();
    for (incident, standing) in app.snapshot.incidents().filter(|(incident, _)| incident.accuses(host.row.host)) {
        story(app, incident, standing, &mut left);
        left.gap();
    }
    who(app, host, &mut left);
    let mut right = Page::default();
    if let Some(activity) = app.activity() {
        over_time(app, &activity, &mut right);
        replies(app, &activity, &mut right);
        destinations(app, &activity, &mut right);
    }
    (title, vec![left, right])
}

fn nobody(app: &App) -> Page {
    let mut page = Page::default();
    let text = if app.filter_text.is_empty() {
        "No host of yours has used port 25 yet. Is this the right place to listen? A mirror port has to show both \
         directions of the traffic between your machines and the world."
    } else {
        "No host matches the filter."
    };
    page.hanging("", app.theme.text, text, app.theme.dim);
    page
}

/// What it is accused of, and why.
pub(super) fn story(app: &App, incident: &Incident, standing: Standing, page: &mut Page) {
    let theme = &app.theme;
    let style = theme.tier(standing.tier());
    let tier = match standing {
        Standing::Victim | Standing::Early => incident.tier.name(),
        standing => standing.name(),
    };
    let kind = incident.kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
    page.flow([
        (format!("{}{kind}", incident.class.name()), style),
        (tier.to_owned(), style),
        (incident.score_db.map(|db| format!("{db:.1} dB")).unwrap_or_default(), style),
        (format!("{}, {} confidence", incident.severity.name(), incident.confidence.name()), theme.dim),
    ]);
    if standing == Standing::Early {
        let text = "Too early to tell: this began less than half a minute ago, and it is not known yet whether this host is \
                    a mail server, which looks like that at first.";
        page.hanging("", theme.text, text, theme.doubtful);
    }
    page.hanging("", theme.text, clean(&incident.summary), theme.text);
    if let Some(step) = incident.remediation.first() {
        page.hanging("→ ", theme.heading, clean(step), theme.text);
    }
    score(theme, incident, page);
}

/// The lines of a score with their weights, the heaviest first; what it starts from comes last.
fn score(theme: &Theme, incident: &Incident, page: &mut Page) {
    page.gap();
    let max = incident.evidence.iter().map(|line| line.db.abs()).fold(1.0, f64::max);
    let mut lines: Vec<_> = incident.evidence.iter().collect();
    lines.sort_by(|a, b| {
        let prior = |family| family == Family::Prior;
        prior(a.family).cmp(&prior(b.family)).then(b.db.total_cmp(&a.db))
    });
    for line in lines {
        let lead = if incident.score_db.is_some() {
            format!("{:>+6.1} dB {:BAR$} ", line.db, bar(line.db.abs(), max, BAR))
        } else {
            "  · ".to_owned()
        };
        let style = match line.db {
            db if db > 0.0 => theme.bad,
            db if db < 0.0 => theme.good,
            _ => theme.dim,
        };
        page.hanging(lead, style, clean(&format!("{}: {}", line.family.name(), line.says)), theme.text);
    }
    if let Some(score) = incident.score_db {
        page.line([(format!("{score:>+6.1} dB in all"), theme.heading)]);
    }
}

fn who(app: &App, host: &RankedHost, page: &mut Page) {
    let (theme, row) = (&app.theme, &host.row);
    let list = |items: Vec<String>| items.join(", ");
    page.heading("Who", theme.heading);
    let mut fact = |label: &str, text: String| {
        if !text.is_empty() {
            page.hanging(format!("{label:10}"), theme.dim, clean(&text), theme.text);
        }
    };
    fact("address", row.host.to_string());
    let maker = |mac: Mac| vendor(mac).map(|maker| format!(" ({maker})")).unwrap_or_default();
    fact("MAC", list(row.macs().map(|mac| format!("{mac}{}", maker(mac))).collect()));
    if host.behind_router > 0 {
        let others = counted(host.behind_router.into(), "other host", "other hosts");
        fact("", format!("{others} of yours behind the same MAC: it is a router's, look behind it"));
    }
    fact("VLAN", list(row.vlans.iter().map(ToString::to_string).collect()));
    let told = row.identity.as_deref().cloned().unwrap_or_default();
    for (source, name) in told.names() {
        fact(source.title(), line_of(name.as_bytes()));
    }
    fact("HELO", list(row.helos.iter().map(|helo| line_of(helo.what.as_bytes())).collect()));
    fact("greets as", row.banner.as_ref().map(|banner| line_of(banner.as_bytes())).unwrap_or_default());
    fact("system", row.system().unwrap_or_default());
    fact("DHCP says", told.vendor_class.map(|class| line_of(class.as_bytes())).unwrap_or_default());
    fact(
        "role",
        match (row.role, row.role_given) {
            (Role::Unknown, _) if host.tier.is_some() => {
                "not known yet; if it is a mail server of yours, --mail-server says so".to_owned()
            }
            (Role::Unknown, _) => String::new(),
            (_, true) => role(row).to_owned(),
            (_, false) => format!("{} (learned)", role(row)),
        },
    );
    fact("seen", format!("{} to {}", clock(row.first, app.snapshot.now), clock(row.last, app.snapshot.now)));
    let counts = &row.counts;
    fact(
        "did",
        format!(
            "{} ({} failed) to {}, {}, {} of {} refused",
            counted(counts.connections, "connection", "connections"),
            grouped(counts.failed),
            counted(row.servers.count(), "server", "servers"),
            counted(counts.transactions, "mail", "mails"),
            grouped(counts.rcpt_rejected),
            counted(counts.rcpt_accepted + counts.rcpt_rejected, "recipient", "recipients"),
        ),
    );
    if counts.hidden > 0 {
        fact("hidden", format!("{} went on under TLS", counted(counts.hidden, "session", "sessions")));
    }
    if row.served > 0 {
        fact("served", counted(row.served, "connection", "connections"));
    }
}

/// What became of its mail over time: three charts to one scale, as fine as there is room.
fn over_time(app: &App, activity: &Activity, page: &mut Page) {
    let (theme, now, whole) = (app.theme, app.snapshot.now, activity.whole.clone());
    page.gap();
    page.made(move |cells| {
        let room = cells.saturating_sub(CHART_LEAD).clamp(1, BUCKETS);
        let used = whole.used(now);
        let each = used.div_ceil(room).max(1);
        let all = whole.until(now, used.div_ceil(each) * each);
        let columns: Vec<Bucket> =
            all.chunks(each).map(|some| some.iter().fold(Bucket::default(), |sum, bucket| sum.plus(*bucket))).collect();
        let max = columns.iter().map(|b| b.accepted.max(b.refused).max(b.failed)).max().unwrap_or(0);
        let step = span(Span::from_nanos(whole.step.as_nanos().saturating_mul(each.cast_signed() as i64)));
        let mut lines = vec![vec![(format!("Over time, {step} a column"), theme.heading)]];
        for (label, style, of) in [
            ("refused", theme.bad, (|b: &Bucket| b.refused) as fn(&Bucket) -> u32),
            ("taken", theme.good, |b| b.accepted),
            ("failed", theme.doubtful, |b| b.failed),
        ] {
            let sum: u64 = whole.buckets.iter().map(|bucket| u64::from(of(bucket))).sum();
            let lead = format!("{label:>7} {:>5} ", short(sum));
            lines.push(vec![(lead, theme.dim), (sparkline(columns.iter().map(of), max), style)]);
        }
        lines
    });
}

fn replies(app: &App, activity: &Activity, page: &mut Page) {
    if activity.replies.is_empty() {
        return;
    }
    let theme = &app.theme;
    page.heading("What it was told last", theme.heading);
    for refused in activity.replies.iter().rev() {
        page.line([
            (format!("{} ", clock(refused.at, app.snapshot.now)), theme.dim),
            (line_of(refused.says.as_bytes()), theme.text),
            (refused.to.as_ref().map(|to| format!("  <{}>", line_of(to.as_bytes()))).unwrap_or_default(), theme.dim),
        ]);
    }
}

/// Where it delivers to, who refused most on top.
pub(super) fn destinations(app: &App, activity: &Activity, page: &mut Page) {
    if activity.destinations.is_empty() {
        return;
    }
    let theme = &app.theme;
    let mut list: Vec<_> = activity.destinations.iter().collect();
    list.sort_by_key(|d| (std::cmp::Reverse((d.refused, d.failed, d.mails)), d.server));
    page.heading("Destinations", theme.heading);
    for destination in list.iter().take(DESTINATIONS) {
        let refused = if destination.mails > 0 {
            format!("{} of {} refused", destination.refused, counted(destination.mails.into(), "mail", "mails"))
        } else {
            format!("{} without an answer", counted(destination.failed.into(), "connection", "connections"))
        };
        let style = if destination.refused > 0 { theme.text } else { theme.dim };
        page.line([
            (format!("{:<15} ", destination.server.to_string()), style),
            (format!("{refused:<22} "), style),
            (destination.says.as_ref().map(|says| line_of(says.as_bytes())).unwrap_or_default(), theme.dim),
        ]);
    }
    if list.len() > DESTINATIONS {
        page.line([(format!("and {} more", list.len() - DESTINATIONS), theme.dim)]);
    }
    let reports = share(activity.null_senders, activity.mails);
    if activity.null_senders > 0 {
        let text = format!("{reports} of its mails are reports (no sender)");
        page.line([(text, if activity.null_senders * 2 > activity.mails { theme.bad } else { theme.dim })]);
    }
}
