//! Session lines as a source of events: what one or several runs wrote, judged again, on another machine or later.
//!
//! A line stands for all events of a connection, and is written when the last of them was told. So events come out of
//! `order` in the order in which they were judged the first time; events of several files, each written beside another
//! wire, come in the order of their time. Zeek's logs are read, too, as far as their fields go (`zeek`).
//!
//! What lines do not tell is counted ([`Unseen`]).

mod file;
mod find;
mod order;
mod record;
mod restore;
#[cfg(test)]
mod tests;
mod zeek;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;

use schemars::Schema;
use schemars::generate::SchemaSettings;

pub use file::LineError;
pub use find::{Between, Found, FoundMail, find};
pub use order::LineFile;
pub use zeek::{Kind, ZeekLogs, kind};

use crate::session::SessionEvent;
use crate::time::Ts;

/// What lines do not tell, so that the judgement cannot know it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Unseen {
    /// Attempts that stand in sums: how many, but not one by one.
    pub attempts: u64,
    /// Mails beyond those that a line lists.
    pub transactions: u64,
    /// Connections out of Zeek's logs, which tell less.
    pub zeek_connections: u64,
}

/// What was read of one input.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LinesRead {
    /// Lines that stand for something.
    pub lines: u64,
    /// Bytes of the file, unpacked.
    pub bytes: u64,
    /// The earliest begin of a connection.
    pub first_ts: Option<Ts>,
    /// The latest end of one.
    pub last_ts: Option<Ts>,
    /// Connections that were seen on both sides of address translation.
    pub translated: u64,
    /// Holes in streams.
    pub gaps: u64,
    /// Bytes in them.
    pub missed_bytes: u64,
    /// Lines that are none, and the first of them with what is wrong.
    pub damaged: Option<(u64, String)>,
    /// The last line has no end: the program that wrote it was ended.
    pub cut: bool,
    /// What the lines do not tell.
    pub unseen: Unseen,
}

/// One input's events in their order.
pub trait Feed {
    /// The next event; `None` at the end.
    fn next_event(&mut self) -> Result<Option<SessionEvent>, LineError>;

    /// What was read so far; final after the last event.
    fn read(&self) -> &LinesRead;

    /// Its name.
    fn path(&self) -> &PathBuf;
}

/// Shows the events of all feeds to `sink`: those of each in its order, and all of them in the order of time.
pub fn merge(feeds: &mut [Box<dyn Feed>], sink: &mut dyn FnMut(SessionEvent)) -> Result<(), LineError> {
    let mut next: Vec<Option<SessionEvent>> = Vec::with_capacity(feeds.len());
    let mut heads = BinaryHeap::new();
    for (no, feed) in feeds.iter_mut().enumerate() {
        let event = feed.next_event()?;
        heads.extend(event.as_ref().map(|event| Reverse((event.at.ts, no))));
        next.push(event);
    }
    while let Some(Reverse((_, no))) = heads.pop() {
        let (Some(feed), Some(place)) = (feeds.get_mut(no), next.get_mut(no)) else { continue };
        let following = feed.next_event()?;
        heads.extend(following.as_ref().map(|event| Reverse((event.at.ts, no))));
        if let Some(event) = std::mem::replace(place, following) {
            sink(event);
        }
    }
    Ok(())
}

/// The JSON Schema of a session line.
pub fn schema() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<record::Line>()
}
