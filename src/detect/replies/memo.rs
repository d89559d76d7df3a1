//! What was classified lately: servers say the same few things again and again, and several detectors ask of one reply.
//!
//! Classifying is a pure function of rules, reply and stage, so remembering changes nothing but the cost. The table is
//! direct-mapped and bounded; what falls on the same place as another reply replaces it.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use super::Stage;
use crate::smtp::Reply;

/// Places: some servers' refusals name each recipient, the rest of an hour's traffic has a few dozen texts.
const PLACES: usize = 256;
/// A reply's text is cut to `SmtpLimits::reply_text_max`, so the table holds at most 256 KiB of text.
#[derive(Debug)]
pub(super) struct Memo(Mutex<Table>);

#[derive(Debug)]
struct Table {
    places: Vec<Option<Known>>,
    /// The place that was asked for last: detectors ask one after the other of the same reply.
    last: usize,
}

/// A reply and what it was found to mean.
#[derive(Clone, Debug)]
struct Known {
    reply: Reply,
    stage: Stage,
    found: Found,
}

/// What was found: the rule's place, if one fits, and the address that the text names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub(super) rule: Option<usize>,
    pub(super) named_ip: Option<IpAddr>,
}

impl Default for Memo {
    fn default() -> Self {
        Self(Mutex::new(Table { places: vec![None; PLACES], last: 0 }))
    }
}

/// A copy of the rules remembers nothing yet.
impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Memo {
    /// What is known of a reply, or what `classify` finds.
    pub(super) fn get_or(&self, reply: &Reply, stage: Stage, classify: impl FnOnce() -> Found) -> Found {
        // A panic elsewhere leaves whole entries behind: a poisoned lock is as good as another.
        let Table { places, last } = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = |known: &Known| (known.stage == stage && known.reply == *reply).then_some(known.found);
        if let Some(found) = places.get(*last).and_then(Option::as_ref).and_then(found) {
            return found;
        }
        *last = xxh3_64(reply.text.as_bytes()) as usize % PLACES;
        let Some(slot) = places.get_mut(*last) else { return classify() };
        if let Some(found) = slot.as_ref().and_then(found) {
            return found;
        }
        let found = classify();
        *slot = Some(Known { reply: reply.clone(), stage, found });
        found
    }
}
