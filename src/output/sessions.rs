//! Session lines: NDJSON, one line a connection to an SMTP port, in the order in which connections ended.
//!
//! A line is complete: detectors can run on lines as well as on frames, on another machine and later. Zeek's names are
//! used where Zeek has one.

mod fast;
mod flood;
mod line;

use std::io::{self, Write};

use flood::Flood;
use line::SessionLine;

use crate::session::{SessionEvent, SessionEventKind};

/// Writes session lines. What it writes to should be buffered: each line is one write.
pub struct SessionWriter<W: Write> {
    out: W,
    line: Vec<u8>,
    flood: Flood,
    lines: u64,
}

/// What one line may leave behind in the buffer: a session with thousands of recipients must not hold memory for ever.
const LINE_KEPT_MAX: usize = 1 << 20;

impl<W: Write> SessionWriter<W> {
    /// Lines go to `out`.
    pub fn new(out: W) -> Self {
        Self { out, line: Vec::with_capacity(4096), flood: Flood::default(), lines: 0 }
    }

    /// Writes what an event ends; other events are no lines.
    pub fn handle(&mut self, event: &SessionEvent) -> io::Result<()> {
        match &event.kind {
            SessionEventKind::Closed(session) => self.write(&SessionLine::closed(session)),
            SessionEventKind::Unanswered(attempt) => {
                for sum in self.flood.close(event.at.ts) {
                    self.write(&SessionLine::summed(&sum.first, &sum.summed()))?;
                }
                if self.flood.count(attempt) { self.write(&SessionLine::unanswered(attempt)) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// Writes the sums that are still open, and gives back what it wrote to.
    pub fn finish(mut self) -> io::Result<W> {
        for sum in self.flood.finish() {
            self.write(&SessionLine::summed(&sum.first, &sum.summed()))?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    /// Lines written.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    fn write(&mut self, line: &SessionLine<'_>) -> io::Result<()> {
        self.line.clear();
        self.line.shrink_to(LINE_KEPT_MAX);
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.lines += 1;
        self.out.write_all(&self.line)
    }
}

impl<W: Write> std::fmt::Debug for SessionWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionWriter").field("lines", &self.lines).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
