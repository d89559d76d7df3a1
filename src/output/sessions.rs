//! Session lines: NDJSON, one line a connection to an SMTP port, in the order in which connections ended.
//!
//! A line is complete: detectors can run on lines as well as on frames, on another machine and later. Zeek's names are
//! used where Zeek has one.

#[expect(clippy::inline_always, reason = "a piece is a check and a few moves only where its length is known")]
mod buffer;
mod flood;
#[expect(clippy::inline_always, reason = "as above")]
mod json;
mod line;

use std::io::{self, Write};

use flood::Flood;
use json::Json;

use crate::session::{SessionEvent, SessionEventKind};
use crate::time::Ts;

/// Writes session lines. What it writes to should be buffered: each line is one write.
pub struct SessionWriter<W: Write> {
    out: W,
    json: Json,
    flood: Flood,
    lines: u64,
}

/// What one line may leave behind in the buffer: a session with thousands of recipients must not hold memory for ever.
const LINE_KEPT_MAX: usize = 1 << 20;

impl<W: Write> SessionWriter<W> {
    /// Lines go to `out`.
    pub fn new(out: W) -> Self {
        Self { out, json: Json::new(), flood: Flood::default(), lines: 0 }
    }

    /// Writes what an event ends; other events are no lines.
    pub fn handle(&mut self, event: &SessionEvent) -> io::Result<()> {
        match &event.kind {
            SessionEventKind::Closed(session) => self.write(|json| line::closed(json, session)),
            SessionEventKind::Unanswered(attempt) => {
                self.close_minutes(event.at.ts)?;
                if self.flood.count(attempt) { self.write(|json| line::unanswered(json, attempt)) } else { Ok(()) }
            }
            SessionEventKind::Flooded(flood) => {
                self.close_minutes(event.at.ts)?;
                self.flood.count_many(flood);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes the sums that are still open, and gives back what it wrote to.
    pub fn finish(mut self) -> io::Result<W> {
        self.end()?;
        Ok(self.out)
    }

    /// Writes the sums that are still open: the run is over.
    pub fn end(&mut self) -> io::Result<()> {
        for sum in self.flood.finish() {
            self.write(|json| line::summed(json, &sum.first, &sum.summed()))?;
        }
        self.out.flush()
    }

    /// What it writes to.
    pub const fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Lines written.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// Writes the sums of minutes that are over.
    fn close_minutes(&mut self, now: Ts) -> io::Result<()> {
        for sum in self.flood.close(now) {
            self.write(|json| line::summed(json, &sum.first, &sum.summed()))?;
        }
        Ok(())
    }

    fn write(&mut self, line: impl FnOnce(&mut Json)) -> io::Result<()> {
        self.json.clear(LINE_KEPT_MAX);
        line(&mut self.json);
        self.json.raw("\n");
        self.lines += 1;
        self.out.write_all(self.json.bytes())
    }
}

impl<W: Write> std::fmt::Debug for SessionWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionWriter").field("lines", &self.lines).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
