//! Colours, and what they mean. A colour is never the only sign: words and marks say the same.

use ratatui::style::{Color, Modifier, Style};

use crate::cli::ThemeName;
use crate::detect::Tier;

/// Styles by meaning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    /// Ordinary text: the terminal's own colours, whatever they are.
    pub(super) text: Style,
    /// What is there to be looked up, not to be read.
    pub(super) dim: Style,
    /// Headings of columns and sections.
    pub(super) heading: Style,
    /// The one line that is selected.
    pub(super) selected: Style,
    /// Who did it.
    pub(super) bad: Style,
    /// The line on top that says so.
    pub(super) alarm: Style,
    /// Who probably did it.
    pub(super) doubtful: Style,
    /// Who may have done it.
    pub(super) faint: Style,
    /// All is well.
    pub(super) good: Style,
}

impl Theme {
    /// The styles of a theme.
    pub(super) const fn of(name: ThemeName) -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        match name {
            ThemeName::Dark => Self {
                text: plain,
                dim: plain.fg(Color::DarkGray),
                heading: bold.fg(Color::Cyan),
                selected: plain.bg(Color::Indexed(237)).add_modifier(Modifier::BOLD),
                bad: bold.fg(Color::LightRed),
                alarm: bold.fg(Color::White).bg(Color::Red),
                doubtful: plain.fg(Color::LightYellow),
                faint: plain.fg(Color::Yellow),
                good: plain.fg(Color::Green),
            },
            ThemeName::Light => Self {
                text: plain,
                dim: plain.fg(Color::Gray).add_modifier(Modifier::DIM),
                heading: bold.fg(Color::Blue),
                selected: plain.bg(Color::Indexed(254)).add_modifier(Modifier::BOLD),
                bad: bold.fg(Color::Red),
                alarm: bold.fg(Color::White).bg(Color::Red),
                doubtful: bold.fg(Color::Indexed(130)),
                faint: plain.fg(Color::Indexed(130)),
                good: plain.fg(Color::Indexed(28)),
            },
            ThemeName::Mono => Self {
                text: plain,
                dim: plain.add_modifier(Modifier::DIM),
                heading: bold.add_modifier(Modifier::UNDERLINED),
                selected: plain.add_modifier(Modifier::REVERSED),
                bad: bold,
                alarm: bold.add_modifier(Modifier::REVERSED),
                doubtful: bold,
                faint: plain,
                good: plain,
            },
            // Blue and orange differ for all common kinds of colour vision, and in lightness besides (Okabe and Ito's
            // palette, to the nearest of 256 colours).
            ThemeName::Colorblind => Self {
                text: plain,
                dim: plain.fg(Color::Indexed(245)),
                heading: bold.fg(Color::Indexed(74)),
                selected: plain.bg(Color::Indexed(238)).add_modifier(Modifier::BOLD),
                bad: bold.fg(Color::Indexed(208)),
                alarm: bold.fg(Color::Black).bg(Color::Indexed(208)),
                doubtful: plain.fg(Color::Indexed(221)),
                faint: plain.fg(Color::Indexed(145)),
                good: plain.fg(Color::Indexed(75)),
            },
        }
    }

    /// The style of a tier, or of none.
    pub(super) const fn tier(&self, tier: Option<Tier>) -> Style {
        match tier {
            Some(Tier::Confirmed) => self.bad,
            Some(Tier::Likely) => self.doubtful,
            Some(Tier::Suspect) => self.faint,
            None => self.text,
        }
    }
}
