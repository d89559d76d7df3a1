//! The verdicts on a server: one for each recipient as it was written and each form of sender (which together are the
//! technique and the effective recipient), and they only move up.

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use hashlink::LruCache;

use crate::detect::finding::{RelayOutcome, RelayVerdict};
use crate::frame::FrameNo;
use crate::net::HostKey;
use crate::tcp::ConnId;
use crate::time::Span;

/// Verdicts shown a server, with the addresses in them; the others are counted. A person reads some dozens.
pub(super) const SHOWN_MAX: usize = 200;
/// Verdicts beyond those of which the state is known, over all servers, so that the same attempt is not counted twice
/// (40 bytes each).
const OTHERS_MAX: usize = 65_536;

/// The state of one verdict. Ordered: what matters most comes last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Record {
    pub(super) outcome: RelayOutcome,
    /// See `Attempt::soft`.
    pub(super) soft: bool,
    /// The server took the mail's data, not just the recipient.
    pub(super) with_data: bool,
    /// A mail of the same sender, recipient and size left, without a mark to compare.
    pub(super) probable: bool,
    /// The server offered a mail of the same sender and recipient to the outside, which refused the recipient.
    pub(super) tried: bool,
    /// That the recipient is not ours rests on learned domains alone.
    pub(super) learned: bool,
    /// The sender pretended to be ours.
    pub(super) forged: bool,
}

impl Record {
    fn merged(self, other: Self) -> Self {
        Self {
            outcome: self.outcome.max(other.outcome),
            soft: self.soft && other.soft,
            with_data: self.with_data || other.with_data,
            probable: self.probable || other.probable,
            tried: self.tried || other.tried,
            learned: self.learned && other.learned,
            forged: self.forged,
        }
    }
}

/// A mail that was seen to leave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Onward {
    pub(super) session: ConnId,
    pub(super) frame: FrameNo,
    /// After it was taken.
    pub(super) delay: Span,
    /// What the two mails have in common besides the recipient.
    pub(super) mark: &'static str,
}

/// A verdict that is shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) key: u64,
    pub(super) record: Record,
    pub(super) verdict: RelayVerdict,
    pub(super) session: ConnId,
    pub(super) onward: Option<Onward>,
}

/// The states of verdicts that are not shown, of all servers.
#[derive(Debug)]
pub(super) struct Others {
    records: LruCache<(HostKey, u64), Record, RandomState>,
    forgotten: u64,
}

impl Others {
    pub(super) fn new() -> Self {
        Self { records: LruCache::with_hasher(usize::MAX, RandomState::default()), forgotten: 0 }
    }

    /// States that had to go: the same attempt would be counted again.
    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn insert(&mut self, key: (HostKey, u64), record: Record) {
        if self.records.len() >= OTHERS_MAX {
            self.records.remove_lru();
            self.forgotten += 1;
        }
        self.records.insert(key, record);
    }
}

/// All verdicts on one server.
#[derive(Debug, Default)]
pub(super) struct Records {
    shown: Vec<Shown>,
    index: BTreeMap<u64, usize>,
    /// How many verdicts are in each state, shown or not.
    tally: BTreeMap<Record, u64>,
}

impl Records {
    /// Notes a verdict, or raises the one that is there. True if it is new.
    pub(super) fn note(&mut self, others: &mut Others, new: Shown) -> bool {
        let server = new.verdict.server;
        if let Some(shown) = self.index.get(&new.key).and_then(|&at| self.shown.get_mut(at)) {
            let (old, raised) = (shown.record, shown.record.merged(new.record));
            // The attempt that came furthest is the one to look at.
            if raised.outcome > old.outcome {
                match new.onward {
                    // The very attempt that is shown: its addresses stand there as they were sent.
                    Some(onward) if new.verdict.frame == shown.verdict.frame => shown.onward = Some(onward),
                    _ => {
                        // Of the same key, so of the same recipient: here it stands as it was sent.
                        let recipient = shown.verdict.recipient.clone();
                        *shown = Shown { verdict: RelayVerdict { recipient, ..new.verdict }, ..new };
                    }
                }
            }
            shown.record = raised;
            shown.verdict.verdict = raised.outcome;
            self.count(Some(old), raised);
            return false;
        }
        let old = others.records.remove(&(server, new.key));
        let record = old.map_or(new.record, |old| old.merged(new.record));
        self.count(old, record);
        if self.shown.len() >= SHOWN_MAX && !self.make_room(others, server, record.outcome) {
            others.insert((server, new.key), record);
        } else {
            self.index.insert(new.key, self.shown.len());
            self.shown.push(Shown { record, verdict: RelayVerdict { verdict: record.outcome, ..new.verdict }, ..new });
        }
        old.is_none()
    }

    /// Raises a verdict, if it is known.
    pub(super) fn raise(&mut self, others: &mut Others, server: HostKey, key: u64, outcome: RelayOutcome) {
        let change = |record: &mut Record| {
            let old = *record;
            record.outcome = record.outcome.max(outcome);
            (old, *record)
        };
        let (old, new) = if let Some(shown) = self.index.get(&key).and_then(|&at| self.shown.get_mut(at)) {
            let changed = change(&mut shown.record);
            shown.verdict.verdict = shown.record.outcome;
            changed
        } else if let Some(record) = others.records.get_mut(&(server, key)) {
            change(record)
        } else {
            return;
        };
        self.count(Some(old), new);
    }

    /// Marks a verdict: a mail like it left (`true`), or was offered to the outside and refused there.
    pub(super) fn note_like_it(&mut self, others: &mut Others, server: HostKey, key: u64, left: bool) {
        let record = match self.index.get(&key).and_then(|&at| self.shown.get_mut(at)) {
            Some(shown) => &mut shown.record,
            None => match others.records.get_mut(&(server, key)) {
                Some(record) => record,
                None => return,
            },
        };
        let old = *record;
        if left {
            record.probable = true;
        } else {
            record.tried = true;
        }
        let new = *record;
        self.count(Some(old), new);
    }

    /// The verdicts shown, in the order of their attempts.
    pub(super) fn shown(&self) -> Vec<&Shown> {
        let mut shown: Vec<&Shown> = self.shown.iter().collect();
        shown.sort_by_key(|shown| shown.verdict.frame);
        shown
    }

    /// How many verdicts, shown or not, are in a state.
    pub(super) fn count_of(&self, wanted: impl Fn(&Record) -> bool) -> u64 {
        self.tally.iter().filter(|(record, _)| wanted(record)).map(|(_, count)| count).sum()
    }

    fn count(&mut self, old: Option<Record>, new: Record) {
        if let Some(count) = old.and_then(|old| self.tally.get_mut(&old)) {
            *count = count.saturating_sub(1);
        }
        *self.tally.entry(new).or_default() += 1;
    }

    /// Takes the newest verdict off the list that came less far than `outcome`.
    fn make_room(&mut self, others: &mut Others, server: HostKey, outcome: RelayOutcome) -> bool {
        let Some(at) = self.shown.iter().rposition(|shown| shown.record.outcome < outcome) else { return false };
        let gone = self.shown.remove(at);
        others.insert((server, gone.key), gone.record);
        self.index = self.shown.iter().enumerate().map(|(at, shown)| (shown.key, at)).collect();
        true
    }
}
