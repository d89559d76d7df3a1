//! The events of a file of session lines, in the order in which they were told.
//!
//! A line is written when its connection is over, and stands for events that were told long before, between those of
//! other connections. Frames tell the order: of events of one frame, those of an earlier line come first, because what ends
//! a connection is told before anything that a later line's connection did in that frame. So a file is read twice: once to
//! know from which place on no line begins before a certain frame, and once more to let go of the events before it. What is
//! held are the events of connections that overlap, and not the file.
//!
//! A few connections last for hours, and would hold all the others up. Their lines are taken in the first reading.
//!
//! A file may hold the lines of several runs, one after the other (`watch` adds to it): frames then begin anew.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::file::{LineError, Lines};
use super::record::{FramesLine, Moment, QuestionLine, SessionLine};
use super::{Feed, LinesRead, restore};
use crate::session::{SessionEvent, SessionEventKind};
use crate::time::Ts;

/// Lines that are looked at together for the first frame of what follows.
const BLOCK: u64 = 64;

/// A connection during which so many others ended is long: their events are what is held at once, some 4 KB each.
const LONG: usize = 8192;

/// The place of an event: run, frame, time (a tick of the clock comes after the frame before it), whether the end of the
/// capture told it, line, place in the line.
type Place = (u32, u64, Ts, bool, u64, u32);

/// What the first reading looks at.
#[derive(Deserialize)]
struct Glance {
    frames: FramesLine,
    told: Option<Moment>,
}

/// Tells the runs of a file apart.
#[derive(Default)]
struct Runs {
    run: u32,
    told: u64,
}

impl Runs {
    /// The run of a line. Sums and questions say no frame at which they were told, and belong to the run before them.
    fn of(&mut self, told: Option<Moment>) -> u32 {
        if let Some(Moment(_, frame)) = told {
            self.run += u32::from(frame < self.told);
            self.told = frame;
        }
        self.run
    }
}

/// A file of session lines.
pub struct LineFile {
    path: PathBuf,
    lines: Lines,
    runs: Runs,
    /// Of each block of lines, from its place on: no line begins before this run and frame.
    floors: Vec<(u32, u64)>,
    /// Lines that were taken in the first reading.
    long: BTreeSet<u64>,
    held: BinaryHeap<Reverse<Held>>,
    read: LinesRead,
    over: bool,
}

struct Held {
    place: Place,
    event: SessionEvent,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

impl LineFile {
    /// Opens a file and reads it for the first time.
    pub fn open(path: &Path) -> Result<Self, LineError> {
        let mut file = Self {
            path: path.to_owned(),
            lines: Lines::open(path)?,
            runs: Runs::default(),
            floors: Vec::new(),
            long: BTreeSet::new(),
            held: BinaryHeap::new(),
            read: LinesRead::default(),
            over: false,
        };
        file.glance()?;
        (file.lines, file.runs) = (Lines::open(path)?, Runs::default());
        Ok(file)
    }

    /// Events that wait for others.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// The first reading.
    fn glance(&mut self) -> Result<(), LineError> {
        let mut lately = VecDeque::with_capacity(LONG);
        while let Some(line) = self.lines.next_line()? {
            let Some(Ok(glance)) = line.ok().map(serde_json::from_slice::<Glance>) else { continue };
            let run = self.runs.of(glance.told);
            let before = (run, glance.frames.first);
            let number = self.lines.number;
            if lately.len() == LONG && lately.front().is_some_and(|earlier| *earlier > before) {
                let line = self.lines.line().to_vec();
                self.take(&line, run, number);
                self.long.insert(number);
            } else {
                let block = (number / BLOCK) as usize;
                self.floors.resize(self.floors.len().max(block + 1), (u32::MAX, u64::MAX));
                if let Some(floor) = self.floors.get_mut(block) {
                    *floor = before.min(*floor);
                }
            }
            if lately.len() == LONG {
                lately.pop_front();
            }
            lately.push_back((run, self.runs.told));
        }
        let mut lowest = (u32::MAX, u64::MAX);
        for floor in self.floors.iter_mut().rev() {
            lowest = lowest.min(*floor);
            *floor = lowest;
        }
        Ok(())
    }

    /// Reads one line more.
    fn read_line(&mut self) -> Result<(), LineError> {
        let Some(line) = self.lines.next_line()? else {
            self.over = true;
            (self.read.bytes, self.read.cut) = (self.lines.bytes, self.lines.cut);
            return Ok(());
        };
        let line = line.map(<[u8]>::to_vec);
        let number = self.lines.number;
        let line = match line {
            Ok(line) if line.trim_ascii().is_empty() => return Ok(()),
            Ok(line) => line,
            Err(wrong) => {
                self.note_damage(number, &wrong);
                return Ok(());
            }
        };
        let told = serde_json::from_slice::<Glance>(&line).ok().and_then(|glance| glance.told);
        let run = self.runs.of(told);
        if !self.long.contains(&number) {
            self.take(&line, run, number);
        }
        Ok(())
    }

    /// Takes in the events of a line.
    fn take(&mut self, line: &[u8], run: u32, number: u64) {
        let events = match events(line, &mut self.read) {
            Ok(events) => events,
            Err(wrong) => return self.note_damage(number, &wrong),
        };
        self.read.lines += 1;
        let cut = events.last().and_then(|event| match &event.kind {
            SessionEventKind::Closed(session) => session.conn.cut_short.then_some(event.at),
            _ => None,
        });
        for (no, event) in events.into_iter().enumerate() {
            let place = (run, event.at.frame.0, event.at.ts, cut == Some(event.at), number, no as u32);
            self.held.push(Reverse(Held { place, event }));
        }
    }

    fn note_damage(&mut self, number: u64, wrong: &str) {
        let damaged = self.read.damaged.get_or_insert_with(|| (0, format!("line {number}: {wrong}")));
        damaged.0 += 1;
    }

    /// Whether what is held first cannot be preceded by anything of a line that is still to come.
    fn may_go(&self) -> bool {
        let floor = self.floors.get(((self.lines.number + 1) / BLOCK) as usize);
        let Some(floor) = floor.filter(|_| !self.over) else { return true };
        self.held.peek().is_some_and(|Reverse(held)| (held.place.0, held.place.1) < *floor)
    }
}

impl Feed for LineFile {
    fn next_event(&mut self) -> Result<Option<SessionEvent>, LineError> {
        while !self.over && (self.held.is_empty() || !self.may_go()) {
            self.read_line()?;
        }
        Ok(self.held.pop().map(|Reverse(held)| held.event))
    }

    fn read(&self) -> &LinesRead {
        &self.read
    }

    fn path(&self) -> &PathBuf {
        &self.path
    }
}

/// What a line stands for. Only a question has a `query`; inside of texts a quotation mark has a backslash before it.
fn events(line: &[u8], read: &mut LinesRead) -> Result<Vec<SessionEvent>, String> {
    if memchr::memmem::find(line, b"\"query\"").is_some()
        && let Ok(question) = serde_json::from_slice::<QuestionLine>(line)
    {
        note_time(read, question.ts, question.ts);
        return Ok(vec![restore::question(question)]);
    }
    let session: SessionLine = serde_json::from_slice(line).map_err(|error| wrong(&error))?;
    read.gaps += u64::from(session.gaps);
    // Whoever writes the lines writes their numbers.
    read.missed_bytes = read.missed_bytes.saturating_add(session.missed_bytes);
    read.translated += u64::from(session.translated.is_some());
    let begin = session.ts;
    let events = restore::session(session, &mut read.unseen);
    let end = match events.last().map(|event| &event.kind) {
        Some(SessionEventKind::Closed(session)) => begin + session.conn.duration,
        Some(SessionEventKind::Unanswered(attempt)) => attempt.last.ts,
        _ => begin,
    };
    note_time(read, begin, end);
    Ok(events)
}

fn note_time(read: &mut LinesRead, begin: Ts, end: Ts) {
    read.first_ts = Some(read.first_ts.map_or(begin, |first| first.min(begin)));
    read.last_ts = Some(read.last_ts.map_or(end, |last| last.max(end)));
}

/// What is wrong with a line, without the place that the parser counts: a line is one line.
fn wrong(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}
