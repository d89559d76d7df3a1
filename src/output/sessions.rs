//! Session lines: NDJSON, one line a connection to an SMTP port, in the order in which connections ended.
//!
//! A line is complete: detectors can run on lines as well as on frames, on another machine and later. Zeek's names are
//! used where Zeek has one.

#[expect(clippy::inline_always, reason = "a piece is a check and a few moves only where its length is known")]
mod buffer;
mod eve;
mod flood;
#[expect(clippy::inline_always, reason = "as above")]
mod json;
mod line;

use std::io::{self, Write};

use flood::{Flood, Sum};
use json::Json;

use crate::incident::Incident;
use crate::session::{SessionEvent, SessionEventKind};
use crate::time::Ts;

/// The form of the lines.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum LineForm {
    /// Our own: a line a connection.
    #[default]
    Native,
    /// Suricata's EVE: several events a connection, and incidents.
    Eve,
}

/// Writes session lines. What it writes to should be buffered: each line is one write.
pub struct SessionWriter<W: Write> {
    out: W,
    json: Json,
    flood: Flood,
    form: LineForm,
    lines: u64,
}

/// What one line may leave behind in the buffer: a session with thousands of recipients must not hold memory for ever.
const LINE_KEPT_MAX: usize = 1 << 20;

impl<W: Write> SessionWriter<W> {
    /// Lines go to `out`.
    pub fn new(out: W, form: LineForm) -> Self {
        Self { out, json: Json::new(), flood: Flood::default(), form, lines: 0 }
    }

    /// Writes what an event ends; other events are no lines.
    pub fn handle(&mut self, event: &SessionEvent) -> io::Result<()> {
        let (form, at) = (self.form, event.at);
        match &event.kind {
            SessionEventKind::Closed(session) => self.write(|json| match form {
                LineForm::Native => native(json, |json| line::closed(json, session, at)),
                LineForm::Eve => eve::closed(json, session, at),
            }),
            SessionEventKind::Unanswered(attempt) => {
                self.close_minutes(event.at.ts)?;
                if !self.flood.count(attempt) {
                    return Ok(());
                }
                self.write(|json| match form {
                    LineForm::Native => native(json, |json| line::unanswered(json, attempt, at)),
                    LineForm::Eve => eve::unanswered(json, attempt, at),
                })
            }
            SessionEventKind::Flooded(flood) => {
                self.close_minutes(event.at.ts)?;
                self.flood.count_many(flood);
                Ok(())
            }
            SessionEventKind::DnsQuery(query) => self.write(|json| match form {
                LineForm::Native => native(json, |json| line::question(json, query)),
                LineForm::Eve => eve::question(json, query),
            }),
            _ => Ok(()),
        }
    }

    /// Writes an incident as of `now`, where the form has a place for it.
    pub fn incident(&mut self, now: Ts, incident: &Incident) -> io::Result<()> {
        match self.form {
            LineForm::Native => Ok(()),
            LineForm::Eve => {
                self.json.clear(LINE_KEPT_MAX);
                eve::alert(&mut self.json, now, incident)?;
                self.put()
            }
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
            self.write_sum(&sum)?;
        }
        self.out.flush()
    }

    /// What it writes to.
    pub const fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Times that something was written.
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// Writes the sums of minutes that are over.
    fn close_minutes(&mut self, now: Ts) -> io::Result<()> {
        for sum in self.flood.close(now) {
            self.write_sum(&sum)?;
        }
        Ok(())
    }

    fn write_sum(&mut self, sum: &Sum) -> io::Result<()> {
        let form = self.form;
        self.write(|json| match form {
            LineForm::Native => native(json, |json| line::summed(json, &sum.first, &sum.summed())),
            LineForm::Eve => eve::summed(json, &sum.first, &sum.summed()),
        })
    }

    fn write(&mut self, lines: impl FnOnce(&mut Json)) -> io::Result<()> {
        self.json.clear(LINE_KEPT_MAX);
        lines(&mut self.json);
        self.put()
    }

    fn put(&mut self) -> io::Result<()> {
        self.lines += 1;
        self.out.write_all(self.json.bytes())
    }
}

/// An object that is a line.
fn native(json: &mut Json, object: impl FnOnce(&mut Json)) {
    object(json);
    json.raw("\n");
}

impl<W: Write> std::fmt::Debug for SessionWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionWriter").field("lines", &self.lines).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
