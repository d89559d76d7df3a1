//! Which key does what: the defaults as people know them, and what the configuration changes of them.

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key can ask for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Action {
    /// One line up.
    Up,
    /// One line down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first line.
    Top,
    /// To the last line.
    Bottom,
    /// Into the selection.
    Open,
    /// Back out of it; or a filter, a message or the help away.
    Back,
    /// The next view.
    Next,
    /// The view before.
    Previous,
    /// A view by its number, from 1.
    View(u8),
    /// Write a filter.
    Filter,
    /// The next order.
    Sort,
    /// The order from its other end.
    Reverse,
    /// Hold the screen (and a replay) still, or go on.
    Pause,
    /// One frame on, in a replay.
    Step,
    /// A replay twice as fast.
    Faster,
    /// A replay half as fast.
    Slower,
    /// The selection as JSON into a file.
    Export,
    /// The connections of the selection's incidents as captures.
    Evidence,
    /// The selection into the clipboard.
    Copy,
    /// What the keys are.
    Help,
    /// The end.
    Quit,
}

/// Every action with its name in the configuration, what it does in a word or two, and its default keys.
const ACTIONS: &[(Action, &str, &str, &[&str])] = &[
    (Action::Up, "up", "line up", &["up", "k"]),
    (Action::Down, "down", "line down", &["down", "j"]),
    (Action::PageUp, "page_up", "page up", &["pageup", "ctrl-b"]),
    (Action::PageDown, "page_down", "page down", &["pagedown", "ctrl-f"]),
    (Action::Top, "top", "first line", &["home", "g"]),
    (Action::Bottom, "bottom", "last line", &["end", "G"]),
    (Action::Open, "open", "details of selection", &["enter", "right", "l"]),
    (Action::Back, "back", "back", &["esc", "left", "h"]),
    (Action::Next, "next_view", "next view", &["tab"]),
    (Action::Previous, "previous_view", "view before", &["backtab"]),
    (Action::View(1), "view_1", "ranking", &["1"]),
    (Action::View(2), "view_2", "incidents", &["2"]),
    (Action::View(3), "view_3", "sessions", &["3"]),
    (Action::View(4), "view_4", "mail servers", &["4"]),
    (Action::View(5), "view_5", "capture", &["5"]),
    (Action::Filter, "filter", "filter", &["/"]),
    (Action::Sort, "sort", "next order", &["s"]),
    (Action::Reverse, "reverse", "order reversed", &["S"]),
    (Action::Pause, "pause", "pause, go on", &["space", "p"]),
    (Action::Step, "step", "replay: a frame on", &["."]),
    (Action::Faster, "faster", "replay: faster", &["+"]),
    (Action::Slower, "slower", "replay: slower", &["-"]),
    (Action::Export, "export", "selection as JSON", &["e"]),
    (Action::Evidence, "evidence", "evidence as a capture", &["w"]),
    (Action::Copy, "copy", "selection copied", &["c"]),
    (Action::Help, "help", "these keys", &["?", "f1"]),
    (Action::Quit, "quit", "quit", &["q", "ctrl-c"]),
];

/// A key with what is held beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Press {
    code: KeyCode,
    ctrl: bool,
    alt: bool,
}

/// Which key does what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bindings {
    keys: BTreeMap<&'static str, Vec<(Press, String)>>,
}

impl Default for Bindings {
    fn default() -> Self {
        let keys = ACTIONS.iter().map(|(_, name, _, keys)| {
            let keys = keys.iter().filter_map(|key| Some((press(key)?, (*key).to_owned()))).collect();
            (*name, keys)
        });
        Self { keys: keys.collect() }
    }
}

impl Bindings {
    /// Gives an action other keys than it had; a key that had another meaning loses it.
    pub fn rebind(&mut self, action: &str, keys: &[String]) -> Result<(), String> {
        let Some((_, name, _, _)) = ACTIONS.iter().find(|(_, name, _, _)| *name == action) else {
            let names: Vec<&str> = ACTIONS.iter().map(|(_, name, _, _)| *name).collect();
            return Err(format!("there is no action `{action}`: the actions are {}", names.join(", ")));
        };
        let mut presses = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(press) = press(key) else {
                return Err(format!(
                    "`{key}` is no key: write a character, or enter, esc, tab, backtab, space, up, down, left, right, \
                     home, end, pageup, pagedown, f1 to f12, with ctrl- or alt- before it where they are held"
                ));
            };
            presses.push((press, key.clone()));
        }
        for bound in self.keys.values_mut() {
            bound.retain(|(press, _)| presses.iter().all(|(new, _)| new != press));
        }
        self.keys.insert(name, presses);
        Ok(())
    }

    /// What a key means; `None` where it means nothing.
    pub fn action(&self, event: &KeyEvent) -> Option<Action> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let pressed = Press {
            code: event.code,
            ctrl: event.modifiers.contains(KeyModifiers::CONTROL),
            alt: event.modifiers.contains(KeyModifiers::ALT),
        };
        let name = self.keys.iter().find(|(_, keys)| keys.iter().any(|(press, _)| *press == pressed))?.0;
        ACTIONS.iter().find(|(_, known, _, _)| known == name).map(|(action, ..)| *action)
    }

    /// The first key of an action, as it is written; empty if it has none.
    pub fn first(&self, action: Action) -> &str {
        let name = ACTIONS.iter().find(|(known, ..)| *known == action).map(|(_, name, ..)| *name);
        name.and_then(|name| self.keys.get(name)).and_then(|keys| keys.first()).map_or("", |(_, key)| key)
    }

    /// All keys with what they do, for the help.
    pub fn table(&self) -> Vec<(String, &'static str)> {
        ACTIONS
            .iter()
            .map(|(_, name, does, _)| {
                let keys: Vec<&str> = self.keys.get(name).into_iter().flatten().map(|(_, key)| key.as_str()).collect();
                (keys.join(" "), *does)
            })
            .filter(|(keys, _)| !keys.is_empty())
            .collect()
    }
}

fn press(text: &str) -> Option<Press> {
    let (mut rest, mut ctrl, mut alt) = (text, false, false);
    loop {
        if let Some(after) = rest.strip_prefix("ctrl-").filter(|after| !after.is_empty()) {
            (rest, ctrl) = (after, true);
        } else if let Some(after) = rest.strip_prefix("alt-").filter(|after| !after.is_empty()) {
            (rest, alt) = (after, true);
        } else {
            break;
        }
    }
    let mut characters = rest.chars();
    let code = match (characters.next(), characters.next()) {
        (Some(c), None) if !c.is_control() => KeyCode::Char(c),
        _ => match rest {
            "space" => KeyCode::Char(' '),
            "enter" => KeyCode::Enter,
            "esc" => KeyCode::Esc,
            "tab" => KeyCode::Tab,
            "backtab" => KeyCode::BackTab,
            "up" => KeyCode::Up,
            "down" => KeyCode::Down,
            "left" => KeyCode::Left,
            "right" => KeyCode::Right,
            "home" => KeyCode::Home,
            "end" => KeyCode::End,
            "pageup" => KeyCode::PageUp,
            "pagedown" => KeyCode::PageDown,
            "backspace" => KeyCode::Backspace,
            "delete" => KeyCode::Delete,
            other => {
                let number: u8 = other.strip_prefix('f')?.parse().ok()?;
                (1..=12).contains(&number).then_some(KeyCode::F(number))?
            }
        },
    };
    Some(Press { code, ctrl, alt })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> KeyEvent {
        KeyEvent::new(code, modifiers)
    }

    #[test]
    fn every_default_key_is_a_key_and_has_one_meaning() {
        let mut seen = Vec::new();
        for (action, _, _, keys) in ACTIONS {
            for text in *keys {
                let press = press(text).unwrap_or_else(|| panic!("{text}"));
                assert!(!seen.contains(&press), "{text}");
                seen.push(press);
                let mut modifiers = KeyModifiers::NONE;
                modifiers.set(KeyModifiers::CONTROL, press.ctrl);
                assert_eq!(Bindings::default().action(&key(press.code, modifiers)), Some(*action), "{text}");
            }
        }
    }

    #[test]
    fn a_terminal_says_shift_or_does_not() {
        let bindings = Bindings::default();
        for modifiers in [KeyModifiers::NONE, KeyModifiers::SHIFT] {
            assert_eq!(bindings.action(&key(KeyCode::Char('G'), modifiers)), Some(Action::Bottom));
            assert_eq!(bindings.action(&key(KeyCode::Char('?'), modifiers)), Some(Action::Help));
        }
        assert_eq!(bindings.action(&key(KeyCode::Char('q'), KeyModifiers::ALT)), None);
    }

    #[test]
    fn keys_can_be_given_away() {
        let mut bindings = Bindings::default();
        bindings.rebind("quit", &["ctrl-x".to_owned(), "s".to_owned()]).unwrap();
        let pressed = |code, modifiers| bindings.action(&key(code, modifiers));
        assert_eq!(pressed(KeyCode::Char('x'), KeyModifiers::CONTROL), Some(Action::Quit));
        assert_eq!(pressed(KeyCode::Char('s'), KeyModifiers::NONE), Some(Action::Quit));
        assert_eq!(pressed(KeyCode::Char('q'), KeyModifiers::NONE), None);
        assert!(
            bindings.rebind("quti", &[]).unwrap_err().starts_with("there is no action `quti`: the actions are up,")
        );
        assert!(bindings.rebind("quit", &["hyper-x".to_owned()]).unwrap_err().starts_with("`hyper-x` is no key"));
    }
}
