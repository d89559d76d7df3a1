//! The screen: shows snapshots of the judgement and takes keys. It owns nothing that the capture or the judgement waits
//! for, so a terminal that is slow, held (Ctrl-S) or gone delays only itself.
//!
//! State (`app`) is apart from drawing (`view`); the same state gives the same cells. What hosts say is escaped, and
//! cleaned of all that terminals count differently (`text`).

mod app;
mod export;
mod filter;
mod index;
mod keys;
mod search;
mod snapshot;
mod standing;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod view;

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use crossbeam_channel::Receiver;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use rustix::event::{PollFd, PollFlags, Timespec};

pub use export::Evidence;
pub use index::Index;
pub use keys::{Action, Bindings};
pub use snapshot::{Playback, Recent, SessionLine, SessionState, Snapshot, Stage};

use app::{App, Effect};
use terminal::Guard;

use crate::config::Screen;
use crate::error::Error;
use crate::ledger::HostRow;
use theme::Theme;

/// How long a key is waited for before the snapshot is looked at again.
const WAIT: Duration = Duration::from_millis(100);
/// Bytes that a clipboard is given: terminals refuse much more.
const CLIPBOARD_MAX: usize = 8 << 10;

/// Shows `stage` until the operator quits or `stop` is set. `is_over` tells that the run has ended by itself: a replay is
/// then still shown, a live run is not. What went wrong meanwhile is shown, and handed back to be told afterwards.
/// `evidence` is written elsewhere.
pub fn run(
    screen: &Screen,
    title: &str,
    stage: &Stage,
    stop: &AtomicBool,
    trouble: &Receiver<Error>,
    evidence: &Evidence,
    is_over: &dyn Fn() -> bool,
) -> Result<Vec<Error>, Error> {
    let mut told = Vec::new();
    let mut app = App::new(title, Theme::of(screen.theme), screen.bindings.clone(), stage.clone());
    let mut guard = Guard::take(screen.mouse).map_err(Error::stdout)?;
    let mut dirty = true;
    'screen: while !stop.load(Ordering::Relaxed) && Guard::has_it() {
        for error in trouble.try_iter() {
            app.message = Some(error.to_string());
            told.push(error);
            dirty = true;
        }
        if let Some(said) = evidence.told() {
            app.message = Some(said);
            dirty = true;
        }
        dirty |= app.refresh();
        if is_over() && !stage.playback.there {
            break;
        }
        if std::mem::take(&mut dirty) {
            guard.terminal.draw(|frame| view::draw(&app, frame.area(), frame.buffer_mut())).map_err(Error::stdout)?;
        }
        if !wait().map_err(Error::stdout)? {
            break;
        }
        while event::poll(Duration::ZERO).map_err(Error::stdout)? {
            dirty = true;
            match handle(&mut app, &event::read().map_err(Error::stdout)?) {
                Effect::None => {}
                Effect::Quit => break 'screen,
                Effect::Export => app.message = Some(export::told(export::write(&app, Path::new(".")))),
                Effect::Evidence => app.message = Some(evidence.ask(&app)),
                Effect::Copy(text) => {
                    copy(&text).map_err(Error::stdout)?;
                    app.message = Some(format!("copied: {text}"));
                }
            }
        }
    }
    drop(guard);
    Ok(told)
}

/// Waits for a key, no longer than until the snapshot is to be looked at again; whether the terminal is still there. Nothing
/// must be read from one that was closed: it gives nothing for ever, and the reader would not come back.
fn wait() -> io::Result<bool> {
    let out = io::stdout();
    let mut fds = [PollFd::new(&out, PollFlags::IN)];
    let until = Timespec { tv_sec: 0, tv_nsec: WAIT.subsec_nanos().into() };
    match rustix::event::poll(&mut fds, Some(&until)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(!fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL))
}

/// Takes what the terminal says.
fn handle(app: &mut App, event: &Event) -> Effect {
    match event {
        Event::Key(key) if key.kind == KeyEventKind::Release => Effect::None,
        Event::Key(key) if app.typing.is_some() => typed(app, key),
        Event::Key(key) => app.bindings.action(key).map_or(Effect::None, |action| app.act(action)),
        Event::Mouse(mouse) => {
            match mouse.kind {
                MouseEventKind::ScrollDown => drop(app.act(Action::Down)),
                MouseEventKind::ScrollUp => drop(app.act(Action::Up)),
                MouseEventKind::Down(MouseButton::Left) => app.click(mouse.column, mouse.row),
                _ => {}
            }
            Effect::None
        }
        _ => Effect::None,
    }
}

fn typed(app: &mut App, key: &KeyEvent) -> Effect {
    match key.code {
        KeyCode::Enter => app.type_end(true),
        KeyCode::Esc => app.type_end(false),
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => app.type_end(false),
        KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => {
            app.typing = Some(String::new());
            app.type_back();
        }
        KeyCode::Backspace => app.type_back(),
        KeyCode::Char(c) if !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => app.type_in(c),
        _ => {}
    }
    Effect::None
}

/// Puts a text into the clipboard of whoever sits at the terminal, also at the other end of ssh (OSC 52 of xterm's
/// control sequences).
fn copy(text: &str) -> io::Result<()> {
    let mut end = text.len().min(CLIPBOARD_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let encoded = BASE64_STANDARD.encode(text.get(..end).unwrap_or_default());
    let mut out = io::stdout();
    write!(out, "\x1b]52;c;{encoded}\x07")?;
    out.flush()
}

/// The screen without a terminal: for pictures, and to measure what drawing costs.
pub struct Easel {
    app: App,
}

impl Easel {
    /// Before a stage.
    pub fn new(screen: &Screen, title: &str, stage: &Stage) -> Self {
        Self { app: App::new(title, Theme::of(screen.theme), screen.bindings.clone(), stage.clone()) }
    }

    /// A key is pressed.
    pub fn act(&mut self, action: Action) {
        self.app.act(action);
    }

    /// A filter is typed.
    pub fn filter(&mut self, text: &str) {
        self.app.typing = Some(String::new());
        text.chars().for_each(|c| self.app.type_in(c));
        self.app.type_end(true);
    }

    /// Looks for a new snapshot; whether there is one.
    pub fn refresh(&mut self) -> bool {
        self.app.refresh()
    }

    /// Draws into a buffer.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer) {
        view::draw(&self.app, area, buffer);
    }
}

impl std::fmt::Debug for Easel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Easel").finish_non_exhaustive()
    }
}

fn view_name(row: &HostRow) -> Option<String> {
    row.name().map(|name| text::line_of(name.as_bytes()))
}
