//! What is kept for each voice of a host: nearly all hosts have one.

use super::roles::Voice;

/// A state for a host's own voice, and one for others as soon as one is heard.
#[derive(Debug, Default)]
pub(super) struct Voices<T> {
    own: T,
    other: Option<Box<T>>,
}

impl<T: Default> Voices<T> {
    /// The state of a voice, made anew if there is none.
    pub(super) fn touch(&mut self, voice: Voice) -> &mut T {
        match voice {
            Voice::Own => &mut self.own,
            Voice::Other => self.other.get_or_insert_default(),
        }
    }

    /// The state of the host's own voice.
    pub(super) const fn own(&self) -> &T {
        &self.own
    }

    /// Each voice and its state, the own one first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Voice, &T)> {
        let other = self.other.as_deref().map(|state| (Voice::Other, state));
        std::iter::once((Voice::Own, &self.own)).chain(other)
    }
}
