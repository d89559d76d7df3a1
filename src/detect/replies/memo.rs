//! What was classified lately: servers say the same few things again and again, and several detectors ask of one reply.
//!
//! Classifying is a pure function of rules and words, so remembering changes nothing but the cost. The table is
//! direct-mapped and bounded; what falls on the same place as other words replaces them.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use super::{Said, Stage, TEXT_MAX, plain};
use crate::smtp::{EnhancedStatus, Reply};

/// Places: an hour's traffic has a few dozen texts, once the mailboxes are out of them.
const PLACES: usize = 256;

/// Texts are cut to [`TEXT_MAX`], so the table holds at most 256 KiB of text.
#[derive(Debug)]
pub(super) struct Memo(Mutex<Table>);

#[derive(Debug)]
struct Table {
    places: Vec<Option<Known>>,
    /// The reply that was asked of last: detectors ask one after the other of the same.
    last: Option<(Reply, Stage, Found)>,
    /// Room for the text of a reply as rules see it.
    text: Vec<u8>,
}

/// Words and what they were found to mean.
#[derive(Debug)]
struct Known {
    code: Option<u16>,
    status: Option<EnhancedStatus>,
    stage: Stage,
    text: Box<[u8]>,
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
        let places = std::iter::repeat_with(|| None).take(PLACES).collect();
        Self(Mutex::new(Table { places, last: None, text: Vec::with_capacity(TEXT_MAX) }))
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
    pub(super) fn get_or(&self, reply: &Reply, stage: Stage, classify: impl FnOnce(Said<'_>) -> Found) -> Found {
        // A panic elsewhere leaves whole entries behind: a poisoned lock is as good as another.
        let Table { places, last, text } = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, at, found)) = last
            && (*at, &*known) == (stage, reply)
        {
            return *found;
        }
        plain(reply.text.as_bytes(), text);
        let said = Said { code: reply.code, status: reply.status, stage, text };
        let slot = &mut places[xxh3_64(text) as usize % PLACES];
        let known = slot.as_ref().filter(|known| known.is(said));
        let found = known.map_or_else(|| classify(said), |known| known.found);
        if known.is_none() {
            let Said { code, status, stage, text } = said;
            *slot = Some(Known { code, status, stage, text: text.into(), found });
        }
        *last = Some((reply.clone(), stage, found));
        found
    }
}

impl Known {
    fn is(&self, said: Said<'_>) -> bool {
        (self.code, self.status, self.stage) == (said.code, said.status, said.stage) && *self.text == *said.text
    }
}
