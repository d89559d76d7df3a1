//! Around every view: where we are on top, who it is below that, and what was lost at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::page::{Piece, paint, put};
use crate::detect::Tier;
use crate::tui::app::{App, View};
use crate::tui::keys::Action;
use crate::tui::text::{clean, clock, counted, fit, grouped, line_of, short, width};

/// Below so many cells all drops are one number.
const NARROW: u16 = 60;

/// The views, and what time it is.
pub(super) fn header(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = &app.theme;
    let now = app.snapshot.now;
    let time = if app.snapshot.serial == 0 { String::new() } else { clock(now, now) };
    let right = format!(" {time} {} ", state(app));
    // What everybody knows goes first where there is little room: the program's name, that of the capture, then those of
    // the other views.
    let names = |program: bool, title: bool, all: bool| -> Vec<Piece> {
        let mut pieces = vec![(if program { " smtphound".to_owned() } else { String::new() }, theme.heading)];
        if title {
            pieces.push((format!(" {} ", app.title), theme.text));
        }
        for (n, view) in View::ALL.iter().enumerate() {
            let here = *view == app.view;
            let text = if all || here { format!(" {} {}", n + 1, view.name()) } else { format!(" {}", n + 1) };
            let style = if here { theme.selected.patch(theme.heading) } else { theme.dim };
            pieces.push((text + if here { " " } else { "" }, style));
        }
        pieces
    };
    let cells = |pieces: &[Piece]| -> usize { pieces.iter().map(|(text, _)| width(text)).sum() };
    let room = usize::from(area.width).saturating_sub(width(&right));
    let choices =
        [(true, true, true), (false, true, true), (false, false, true), (true, true, false), (false, true, false)];
    let fitting = choices.into_iter().map(|(program, title, all)| names(program, title, all));
    let pieces = fitting.into_iter().find(|pieces| cells(pieces) <= room).unwrap_or_else(|| names(false, false, false));
    put(buffer, area, &pieces);
    if cells(&pieces) <= room {
        let place = Rect { x: area.right() - width(&right) as u16, width: width(&right) as u16, ..area };
        let paused = app.paused || app.stage.playback.is_paused();
        put(buffer, place, &[(right, if paused { theme.doubtful } else { theme.dim })]);
    }
}

fn state(app: &App) -> String {
    let playback = &app.stage.playback;
    if app.paused || playback.is_paused() {
        "PAUSED".to_owned()
    } else if app.snapshot.over {
        "ended".to_owned()
    } else if playback.there {
        let speed = playback.speed();
        if speed == 0.0 { "replay".to_owned() } else { format!("{speed}x") }
    } else if app.snapshot.live.is_some_and(|live| live.down) {
        "DEVICE AWAY".to_owned()
    } else {
        "live".to_owned()
    }
}

/// Who it is, in one line that cannot be overlooked.
pub(super) fn alarm(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = &app.theme;
    let judgement = &app.snapshot.judgement;
    let with_standing = judgement.hosts.iter().zip(&app.snapshot.index.hosts.standing);
    let accused = with_standing.take_while(|(host, _)| host.tier.is_some()).filter(|(_, s)| s.tier().is_some());
    let mut accused = accused.map(|(host, _)| host);
    let Some(worst) = accused.next() else {
        let victims = judgement.incidents.iter().filter(|incident| incident.class.is_victim()).count();
        let early = judgement.incidents.len() - victims;
        let (text, style) = if app.snapshot.serial == 0 {
            (" waiting for the first frames ...".to_owned(), theme.dim)
        } else if judgement.hosts.is_empty() && app.snapshot.foreign > 0 {
            let who: Vec<String> = app.snapshot.candidates.iter().take(2).map(|(host, _)| host.to_string()).collect();
            let hint = if who.is_empty() { String::new() } else { format!(", is it {}?", who.join(" or ")) };
            (format!(" Nobody of yours is seen: name your network with --home-net{hint}"), theme.doubtful)
        } else if judgement.hosts.is_empty() {
            (" no host of yours has used port 25 yet".to_owned(), theme.dim)
        } else if victims > 0 {
            (format!(" {}, nobody of yours to blame", counted(victims as u64, "incident", "incidents")), theme.doubtful)
        } else if early > 0 {
            let text = " nothing against any of your hosts that has lasted half a minute";
            (text.to_owned(), theme.good)
        } else {
            let seen = counted(judgement.hosts.len() as u64, "host", "hosts");
            (format!(" ✓ nothing against any of your {seen}"), theme.good)
        };
        put(buffer, area, &[(text, style)]);
        return;
    };
    let name = super::host::name(&worst.row).unwrap_or_default();
    let classes: Vec<&str> = worst.classes.iter().map(|class| class.name()).collect();
    let tier = worst.tier.map_or("", Tier::name).to_uppercase();
    let others = match accused.count() {
        0 => String::new(),
        more => format!("   and {}", counted(more as u64, "other", "others")),
    };
    let style = if worst.tier == Some(Tier::Confirmed) { theme.alarm } else { theme.tier(worst.tier) };
    let mark = match worst.tier {
        Some(Tier::Confirmed) => "!!",
        Some(Tier::Likely) => "! ",
        _ => "? ",
    };
    let text = clean(&format!(" {mark} {tier}  {}  {name}  {}{others}", worst.row.host, classes.join(" ")));
    put(buffer, area, &[(fit(&text, area.width.into(), false), style)]);
    if worst.tier == Some(Tier::Confirmed) {
        paint(buffer, area, theme.alarm);
    }
}

/// What was captured and what was lost; or what is being typed, or what came of a key.
pub(super) fn footer(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = &app.theme;
    if let Some(text) = &app.typing {
        let shown = line_of(text.as_bytes());
        let hint = "   host: class: tier: score> score<  enter keeps, esc drops";
        put(buffer, area, &[("/".to_owned(), theme.heading), (shown + "▏", theme.text), (hint.to_owned(), theme.dim)]);
        return;
    }
    if let Some(message) = &app.message {
        put(buffer, area, &[(format!(" {}", clean(message)), theme.heading)]);
        return;
    }
    let (snapshot, facts) = (&app.snapshot, &app.snapshot.facts);
    let rate = app.rate().map(|rate| format!(" {}/s", short(rate.round() as u64))).unwrap_or_default();
    let mut pieces = vec![(format!(" {} frames{rate}", grouped(facts.frames.total)), theme.text)];
    let mut lost = |name: &str, count: u64| {
        let style = if count > 0 { theme.bad } else { theme.dim };
        pieces.push((format!("  {name} {}", short(count)), style));
    };
    if let Some(live) = &snapshot.live {
        if area.width < NARROW {
            lost("drops", live.kernel_drops + live.interface_drops + live.queue_drops);
        } else {
            lost("kernel drops", live.kernel_drops);
            lost("queue drops", live.queue_drops);
            if live.interface_drops > 0 {
                lost("interface drops", live.interface_drops);
            }
        }
    }
    let style = if facts.gaps > 0 { theme.doubtful } else { theme.dim };
    pieces.push((format!("  gaps {}", short(facts.gaps)), style));
    pieces.push((format!("  {}", counted(snapshot.judgement.hosts.len() as u64, "host", "hosts")), theme.dim));
    if !app.filter_text.is_empty() {
        let text = line_of(app.filter_text.as_bytes());
        pieces.push((format!("  /{text}"), theme.doubtful));
    }
    let help = format!("  {} help  {} quit", app.bindings.first(Action::Help), app.bindings.first(Action::Quit));
    let cells: usize = pieces.iter().map(|(text, _)| width(text)).sum();
    put(buffer, area, &pieces);
    if cells + width(&help) < usize::from(area.width) {
        let place = Rect { x: area.right() - width(&help) as u16 - 1, width: width(&help) as u16, ..area };
        put(buffer, place, &[(help, theme.dim)]);
    }
}
