//! What the screen is about to show: view, selection, order, filter. Nothing here draws.

mod lists;

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use ratatui::layout::Rect;

pub(super) use lists::{Column, Key, Lists};

use super::filter::Filter;
use super::keys::{Action, Bindings};
use super::snapshot::{Snapshot, Stage};
use super::theme::Theme;
use crate::activity::Activity;
use crate::net::HostKey;
use crate::time::Ts;

/// Frames a second are averaged over so many snapshots.
const RATES: usize = 12;

/// A view.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum View {
    #[default]
    Ranking,
    Incidents,
    Sessions,
    Servers,
    Capture,
}

impl View {
    pub(super) const ALL: [Self; 5] = [Self::Ranking, Self::Incidents, Self::Sessions, Self::Servers, Self::Capture];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ranking => "Ranking",
            Self::Incidents => "Incidents",
            Self::Sessions => "Sessions",
            Self::Servers => "Servers",
            Self::Capture => "Capture",
        }
    }
}

/// What the loop has to do besides drawing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    None,
    Quit,
    Export,
    Evidence,
    Copy(String),
}

/// The state of the screen.
pub(super) struct App {
    pub(super) title: String,
    pub(super) theme: Theme,
    pub(super) bindings: Bindings,
    pub(super) stage: Stage,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) view: View,
    /// The selection fills the screen.
    pub(super) zoomed: bool,
    /// Lines of the details that are scrolled away.
    pub(super) scrolled: Cell<usize>,
    pub(super) help: bool,
    pub(super) paused: bool,
    pub(super) lists: Lists,
    /// What is being typed, while it is.
    pub(super) typing: Option<String>,
    pub(super) filter_text: String,
    pub(super) message: Option<String>,
    /// Lines of the list that fit; known when it was drawn last.
    pub(super) page: Cell<usize>,
    /// Where the list was drawn last, and with which line it began.
    pub(super) drawn: Cell<(Rect, usize)>,
    rates: VecDeque<(Ts, u64)>,
}

impl App {
    pub(super) fn new(title: &str, theme: Theme, bindings: Bindings, stage: Stage) -> Self {
        let snapshot = stage.snapshot.load_full();
        let mut app = Self {
            title: super::text::line_of(title.as_bytes()),
            theme,
            bindings,
            stage,
            snapshot,
            view: View::default(),
            zoomed: false,
            scrolled: Cell::new(0),
            help: false,
            paused: false,
            lists: Lists::default(),
            typing: None,
            filter_text: String::new(),
            message: None,
            page: Cell::new(1),
            drawn: Cell::default(),
            rates: VecDeque::new(),
        };
        app.arrange();
        app
    }

    /// Looks for a new snapshot; whether there is one.
    pub(super) fn refresh(&mut self) -> bool {
        if self.paused {
            return false;
        }
        let new = self.stage.snapshot.load_full();
        if new.serial == self.snapshot.serial {
            return false;
        }
        self.snapshot = new;
        if self.rates.len() >= RATES {
            self.rates.pop_front();
        }
        self.rates.push_back((self.snapshot.now, self.snapshot.facts.frames.total));
        self.arrange();
        true
    }

    /// Frames of SMTP and others a second of event time, lately.
    pub(super) fn rate(&self) -> Option<f64> {
        let ((begin, before), (end, after)) = (self.rates.front()?, self.rates.back()?);
        let secs = end.since(*begin).as_secs_f64();
        (secs > 0.0).then(|| after.saturating_sub(*before) as f64 / secs)
    }

    /// Does what a key asks for.
    pub(super) fn act(&mut self, action: Action) -> Effect {
        self.message = None;
        let scrolls = matches!(
            action,
            Action::Up | Action::Down | Action::PageUp | Action::PageDown | Action::Top | Action::Bottom
        );
        // Whatever else is asked for, the help has been read.
        if self.help && !scrolls && !matches!(action, Action::Help | Action::Back) {
            self.help = false;
            self.scrolled.set(0);
        }
        match action {
            Action::Quit => return Effect::Quit,
            Action::Help => {
                self.help = !self.help;
                self.scrolled.set(0);
            }
            Action::Back if self.help => self.help = false,
            Action::Back if self.zoomed => self.zoom(false),
            Action::Back => {
                if !self.filter_text.is_empty() {
                    self.filter_text.clear();
                    self.arrange();
                }
            }
            Action::Open => self.zoom(self.view != View::Capture),
            Action::Next => self.turn(1),
            Action::Previous => self.turn(View::ALL.len() - 1),
            Action::View(number) => {
                if let Some(view) = View::ALL.get(usize::from(number).wrapping_sub(1)) {
                    self.show(*view);
                }
            }
            Action::Filter => self.typing = Some(self.filter_text.clone()),
            Action::Sort => {
                self.lists.next_order(self.view);
                self.arrange();
                self.message = Some(self.lists.told_order(self.view));
            }
            Action::Reverse => {
                self.lists.reverse(self.view);
                self.arrange();
                self.message = Some(self.lists.told_order(self.view));
            }
            Action::Pause => self.pause(),
            Action::Step => {
                if self.stage.playback.there {
                    self.stage.playback.set_paused(true);
                    self.stage.playback.step();
                }
            }
            Action::Faster => self.change_speed(2.0),
            Action::Slower => self.change_speed(0.5),
            Action::Export => return Effect::Export,
            Action::Evidence => return Effect::Evidence,
            Action::Copy => return super::export::line(self).map_or(Effect::None, Effect::Copy),
            Action::Up => self.go(-1),
            Action::Down => self.go(1),
            Action::PageUp => self.go(-self.page.get().max(1).cast_signed()),
            Action::PageDown => self.go(self.page.get().max(1).cast_signed()),
            Action::Top => self.go(isize::MIN / 2),
            Action::Bottom => self.go(isize::MAX / 2),
        }
        self.lists.hold(self.view, &self.snapshot);
        Effect::None
    }

    /// Takes a character of what is typed.
    pub(super) fn type_in(&mut self, c: char) {
        if let Some(text) = &mut self.typing
            && text.len() < 200
            && !c.is_control()
        {
            text.push(c);
            self.filter_text.clone_from(text);
            self.arrange();
        }
    }

    /// Takes back the last character.
    pub(super) fn type_back(&mut self) {
        if let Some(text) = &mut self.typing {
            text.pop();
            self.filter_text.clone_from(text);
            self.arrange();
        }
    }

    /// Ends typing; what was typed stays, or goes.
    pub(super) fn type_end(&mut self, keep: bool) {
        self.typing = None;
        if !keep {
            self.filter_text.clear();
            self.arrange();
        }
    }

    /// Selects the line at a place of the screen.
    pub(super) fn click(&mut self, column: u16, row: u16) {
        let (area, first) = self.drawn.get();
        if area.contains((column, row).into()) {
            let line = first + usize::from(row - area.y);
            self.lists.select(self.view, line);
            self.lists.hold(self.view, &self.snapshot);
        }
    }

    /// The selected host, whatever the view.
    pub(super) fn host(&self) -> Option<HostKey> {
        match self.lists.selected(self.view, &self.snapshot)? {
            Key::Host(host) | Key::Incident(host, _) => Some(host),
            Key::Session(id) => Some(id.orig.host),
        }
    }

    /// What the selected host did lately.
    pub(super) fn activity(&self) -> Option<Activity> {
        self.stage.activity.get(self.host()?)
    }

    fn arrange(&mut self) {
        self.lists.arrange(&self.snapshot, &Filter::parse(&self.filter_text));
    }

    fn show(&mut self, view: View) {
        // The same host stays selected where the other view has it.
        let host = self.host();
        if self.view != view {
            self.view = view;
            self.zoomed = false;
            self.scrolled.set(0);
        }
        if let Some(host) = host {
            self.lists.follow(view, host, &self.snapshot);
        }
    }

    fn turn(&mut self, by: usize) {
        let place = View::ALL.iter().position(|view| *view == self.view).unwrap_or(0);
        self.show(View::ALL[(place + by) % View::ALL.len()]);
    }

    fn zoom(&mut self, zoomed: bool) {
        self.zoomed = zoomed;
        self.scrolled.set(0);
    }

    fn go(&mut self, lines: isize) {
        if self.zoomed || self.help || self.view == View::Capture {
            self.scrolled.set(self.scrolled.get().saturating_add_signed(lines));
        } else {
            self.lists.go(self.view, lines);
            self.scrolled.set(0);
        }
    }

    fn pause(&mut self) {
        let playback = &self.stage.playback;
        if playback.there {
            // The replay itself stops, and the screen goes on: then steps show.
            playback.set_paused(!playback.is_paused());
        } else {
            self.paused = !self.paused;
        }
    }

    fn change_speed(&mut self, factor: f64) {
        if self.stage.playback.there {
            self.stage.playback.change_speed(factor);
        }
    }
}
