//! The captures of a run, opened: all at once, because their frames are read in the order of time.

use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::balance;
use crate::capture::{CaptureError, FrameSource, InputSummary, MergedSource, OpenOptions, open_file};
use crate::config::{Config, Input};
use crate::error::Error;

/// Open files beside the captures, at most: outputs, fifty files of evidence, the screen, and what whoever started the
/// program left open.
const OTHERS_MAX: usize = 96;

/// The inputs that could be opened, as one source, and what is to be said of the others.
pub(super) struct Opened {
    pub(super) source: Box<dyn FrameSource + Send>,
    pub(super) failed: Vec<InputSummary>,
}

pub(super) fn open_all(config: &Config, complain: &mut dyn FnMut(&Error)) -> Result<Opened, Error> {
    let options = OpenOptions { filter: config.filter.clone() };
    // On the screen, evidence is read out of the captures while they are being played.
    let room = Room::make(config.inputs.len(), if config.screen.is_some() { 2 } else { 1 });
    let (inputs, left_out) = config.inputs.split_at(config.inputs.len().min(room.captures));
    let mut sources = Vec::with_capacity(inputs.len());
    let mut failed = Vec::new();
    for input in inputs {
        let path = path_of(input);
        match open_file(path, &options) {
            Ok(source) => sources.push(source),
            Err(error @ CaptureError::Filter { .. }) => return Err(balance::told(&error)),
            // The last one left: nothing to report about.
            Err(error) if sources.is_empty() && failed.len() + 1 == config.inputs.len() => {
                return Err(balance::told(&error));
            }
            Err(error) => {
                complain(&balance::told(&error));
                failed.push(unopened(path.display().to_string(), &error));
            }
        }
    }
    if let [first, others @ ..] = left_out {
        let first = path_of(first).display();
        let which = if others.is_empty() { first.to_string() } else { format!("{first} with {} more", others.len()) };
        complain(&balance::told(&room.too_small_for(which)));
        failed.extend(left_out.iter().map(|input| {
            let file = path_of(input).display().to_string();
            unopened(file.clone(), &room.too_small_for(file))
        }));
    }
    // One source needs no merging, and its frames no copy.
    let source: Box<dyn FrameSource + Send> =
        if sources.len() == 1 { sources.remove(0) } else { Box::new(MergedSource::new(sources)) };
    Ok(Opened { source, failed })
}

fn path_of(input: &Input) -> &Path {
    match input {
        Input::Stdin => Path::new("-"),
        Input::File(path) => path,
    }
}

fn unopened(file: String, error: &CaptureError) -> InputSummary {
    InputSummary { file, error: Some(error.to_string()), ..InputSummary::default() }
}

/// What the system's limit of open files leaves for captures.
struct Room {
    captures: usize,
    /// The limit.
    files: u64,
}

impl Room {
    /// Makes room for so many captures, each opened so many times: the soft limit, which spares programs of old that cannot
    /// count further (1,024 as a rule), is raised as far as they need and the hard one allows.
    fn make(captures: usize, times: usize) -> Self {
        let needed = (captures * times + OTHERS_MAX) as u64;
        let limit = getrlimit(Resource::Nofile);
        let mut files = limit.current.unwrap_or(u64::MAX); // none is no limit
        if files < needed {
            let raised = limit.maximum.map_or(needed, |hard| hard.min(needed));
            if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limit }).is_ok() {
                files = raised;
            }
        }
        let captures = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(OTHERS_MAX) / times;
        Self { captures: captures.max(1), files }
    }

    fn too_small_for(&self, file: String) -> CaptureError {
        CaptureError::TooMany { file, open_max: self.captures, files: self.files }
    }
}
