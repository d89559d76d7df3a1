//! `picture`: the screen as a picture, drawn by the program from a capture; and what drawing costs.
//!
//! ```text
//! cargo run --release --example picture -- captures/infected-pc.pcap docs/screen.svg [COLUMNSxLINES]
//! cargo run --release --example picture -- --time [HOSTS]
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of its own")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod svg;
mod time;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use smtphound::capture::{LiveStats, OpenOptions, open_file};
use smtphound::cli::ThemeName;
use smtphound::config::Screen;
use smtphound::decode::PortSet;
use smtphound::detect::replies::ReplyRules;
use smtphound::detect::{DetectSettings, Judge};
use smtphound::limits::Limits;
use smtphound::pipeline::Plan;
use smtphound::replay::stage_of;
use smtphound::site::Site;
use smtphound::tui::{Bindings, Easel};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["--time"] => {
            time::measure(100_000);
            Ok(())
        }
        ["--time", hosts] => hosts.parse().map(time::measure).map_err(|_| "how many hosts?".to_owned()),
        [capture, to] => picture(capture, to, "120x40"),
        [capture, to, size] => picture(capture, to, size),
        _ => Err("picture CAPTURE FILE.svg [COLUMNSxLINES], or --time [HOSTS]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("picture: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The ordinary screen.
pub(crate) fn screen() -> Screen {
    Screen { theme: ThemeName::Dark, mouse: false, bindings: Bindings::default() }
}

fn picture(capture: &str, to: &str, size: &str) -> Result<(), String> {
    let number = |text: &str| text.parse::<u16>().map_err(|error| format!("{size}: {error}"));
    let (columns, lines) = size.split_once('x').ok_or("a size is COLUMNSxLINES")?;
    let area = Rect::new(0, 0, number(columns)?, number(lines)?);
    let mut source = open_file(Path::new(capture), &OpenOptions::default()).map_err(|error| error.to_string())?;
    let (limits, ports) = (Limits::default(), PortSet::default());
    let rules = Arc::new(ReplyRules::builtin());
    let judge = Judge::new(Site::default(), rules, &DetectSettings::default(), &limits.detect);
    let plan = Plan { ports: &ports, limits: &limits, workers: 1 };
    let stage = stage_of(&mut source, &plan, judge, Some(LiveStats::default()));
    let mut buffer = Buffer::empty(area);
    Easel::new(&screen(), "eth0", &stage).draw(area, &mut buffer);
    fs::write(to, svg::of(&buffer)).map_err(|error| format!("{to}: {error}"))
}
