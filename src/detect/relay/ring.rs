//! Mails that an outsider handed to a server of ours and that may be seen again: on their way out, or as a report that
//! comes back. A ring of fixed size with two indexes; addresses are kept as keyed hashes, but for what has to be shown.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use smallvec::SmallVec;

use super::attempt::Technique;
use crate::frame::FrameNo;
use crate::net::HostKey;
use crate::session::MailFacts;
use crate::smtp::path::MailPath;
use crate::tcp::ConnId;
use crate::time::{Span, Ts};
use crate::wire::Wire;

/// Hashes under a key of this run: whoever sends the mail can construct no two that look alike. That the key is random
/// changes no result, but for a chance of one in 2^64 a pair.
#[derive(Debug, Default)]
pub(super) struct Keys(RandomState);

impl Keys {
    /// An address; case and a final dot do not count.
    pub(super) fn address(&self, address: &[u8]) -> u64 {
        let address = address.strip_suffix(b".").unwrap_or(address);
        self.0.hash_one(address.to_ascii_lowercase())
    }

    /// The local part of an address.
    pub(super) fn local_part(&self, address: &[u8]) -> u64 {
        self.address(MailPath::new(address).local_part())
    }

    /// A recipient as it was sent, which gives the effective one and its forms, and the form of the sender.
    pub(super) fn verdict(&self, recipient: &[u8], technique: Technique) -> u64 {
        self.0.hash_one((recipient.to_ascii_lowercase(), technique.sender))
    }

    /// What a relay leaves as it is: Message-ID and body. Nothing is no sign: absent ones and empty bodies are `None`.
    pub(super) fn marks(&self, content: Option<&MailFacts>) -> Marks {
        let content = content.into_iter();
        let empty = xxhash_rust::xxh3::xxh3_128(b"");
        Marks {
            msg_id: content.clone().find_map(|content| {
                content.msg_id.as_ref().filter(|id| !id.is_empty()).map(|id| self.0.hash_one(id.as_bytes()))
            }),
            body: content
                .filter_map(|content| content.body_hash)
                .find(|hash| *hash != empty)
                .map(|hash| self.0.hash_one(hash)),
        }
    }
}

/// See [`Keys::marks`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Marks {
    pub(super) msg_id: Option<u64>,
    pub(super) body: Option<u64>,
}

impl Marks {
    /// Which mark two mails share.
    pub(super) fn same(self, other: Self) -> Option<&'static str> {
        let same = |a: Option<u64>, b: Option<u64>| a.is_some() && a == b;
        if same(self.msg_id, other.msg_id) {
            Some("Message-ID")
        } else if same(self.body, other.body) {
            Some("body")
        } else {
            None
        }
    }

    /// Whether both mails have a mark of one kind, so that they can be told apart.
    pub(super) const fn can_be_compared(self, other: Self) -> bool {
        (self.msg_id.is_some() && other.msg_id.is_some()) || (self.body.is_some() && other.body.is_some())
    }
}

/// A mail taken, for one recipient.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) at: Ts,
    pub(super) frame: FrameNo,
    pub(super) session: ConnId,
    /// The host of ours that the server handed it to, if it did.
    pub(super) via: Option<HostKey>,
    pub(super) technique: Technique,
    /// Names the verdict.
    pub(super) verdict: u64,
    /// Hashes: the reverse-path unwrapped (`None` if null), the forward-path unwrapped and as sent.
    pub(super) sender: Option<u64>,
    /// The reverse-path as sent. The server may pass the mail on under another one: it puts its domain behind a bare name,
    /// or rewrites senders (SRS).
    pub(super) sent_by: Wire,
    pub(super) effective: u64,
    pub(super) raw: u64,
    pub(super) marks: Marks,
    pub(super) size: u64,
    /// Seen to leave.
    pub(super) left: bool,
    /// Reported to its sender.
    pub(super) bounced: bool,
}

impl Taken {
    /// Whether the host has the mail, as far as was seen.
    pub(super) fn is_with(&self, host: HostKey) -> bool {
        self.session.resp.host == host || self.via == Some(host)
    }
}

/// Mails of one key that are looked at: the newest. One recipient or sender with more within two days is a flood, of
/// which a part proves the same.
const BUCKET_MAX: usize = 64;

type Index = HashMap<u64, SmallVec<[u64; 1]>, RandomState>;

/// The ring.
#[derive(Debug)]
pub(super) struct Ring {
    taken: VecDeque<Taken>,
    /// Number of the first one held.
    base: u64,
    max: usize,
    keep: Span,
    by_recipient: Index,
    by_sender: Index,
    lost: u64,
}

impl Ring {
    /// Keeps at most `max` mails, none longer than `keep`.
    pub(super) fn new(max: usize, keep: Span) -> Self {
        Self {
            taken: VecDeque::new(),
            base: 0,
            max: max.max(1),
            keep,
            by_recipient: Index::default(),
            by_sender: Index::default(),
            lost: 0,
        }
    }

    /// Puts a mail in; the oldest ones go.
    pub(super) fn push(&mut self, taken: Taken) {
        while self.taken.front().is_some_and(|first| taken.at.since(first.at) > self.keep) {
            self.pop();
        }
        if self.taken.len() >= self.max {
            self.lost += 1;
            self.pop();
        }
        let number = self.base + self.taken.len() as u64;
        let recipients = if taken.raw == taken.effective {
            [Some(taken.effective), None]
        } else {
            [Some(taken.effective), Some(taken.raw)]
        };
        for key in recipients.into_iter().flatten() {
            note(&mut self.by_recipient, key, number);
        }
        if let Some(sender) = taken.sender {
            note(&mut self.by_sender, sender, number);
        }
        self.taken.push_back(taken);
    }

    /// Mails to a recipient (as it is in the end, or as it was sent), the oldest first.
    pub(super) fn to(&self, recipient: u64) -> Vec<u64> {
        self.by_recipient.get(&recipient).map(|numbers| numbers.to_vec()).unwrap_or_default()
    }

    /// Mails of a sender, the oldest first.
    pub(super) fn of(&self, sender: u64) -> Vec<u64> {
        self.by_sender.get(&sender).map(|numbers| numbers.to_vec()).unwrap_or_default()
    }

    /// A mail by its number.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Taken> {
        self.taken.get_mut(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    /// A mail by its number.
    pub(super) fn get(&self, number: u64) -> Option<&Taken> {
        self.taken.get(usize::try_from(number.checked_sub(self.base)?).ok()?)
    }

    /// Whether none is held.
    pub(super) fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// Mails held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    /// Mails that had to go before their time.
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    fn pop(&mut self) {
        let Some(gone) = self.taken.pop_front() else { return };
        let number = self.base;
        self.base += 1;
        forget(&mut self.by_recipient, gone.effective, number);
        forget(&mut self.by_recipient, gone.raw, number);
        if let Some(sender) = gone.sender {
            forget(&mut self.by_sender, sender, number);
        }
    }
}

fn note(index: &mut Index, key: u64, number: u64) {
    let numbers = index.entry(key).or_default();
    if numbers.len() >= BUCKET_MAX {
        numbers.remove(0);
    }
    numbers.push(number);
}

fn forget(index: &mut Index, key: u64, number: u64) {
    if let Some(numbers) = index.get_mut(&key) {
        numbers.retain(|known| *known != number);
        if numbers.is_empty() {
            index.remove(&key);
        }
    }
}
