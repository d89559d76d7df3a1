//! A queue whose first entry stands in the queue itself.

use std::collections::VecDeque;

/// First in, first out. Most clients put one command after the other, so that hardly ever more than one waits: that one needs
/// no memory of its own, and none to be waited for.
///
/// Invariant: where there is no first one, there are no others.
#[derive(Debug)]
pub(super) struct Fifo<T> {
    first: Option<T>,
    others: VecDeque<T>,
}

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self { first: None, others: VecDeque::new() }
    }
}

impl<T> Fifo<T> {
    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    pub(super) fn push_back(&mut self, entry: T) {
        if self.first.is_none() {
            self.first = Some(entry);
        } else {
            self.others.push_back(entry);
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let first = self.first.take();
        if !self.others.is_empty() {
            self.first = self.others.pop_front();
        }
        first
    }

    pub(super) const fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }

    pub(super) fn back(&self) -> Option<&T> {
        self.others.back().or(self.first.as_ref())
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.first.iter().chain(&self.others)
    }

    pub(super) fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// As a queue of one piece.
        #[test]
        fn what_comes_first_goes_first(pushes in proptest::collection::vec(proptest::bool::ANY, 0..60)) {
            let (mut fifo, mut model) = (Fifo::default(), VecDeque::new());
            for (no, push) in pushes.into_iter().enumerate() {
                if push {
                    fifo.push_back(no);
                    model.push_back(no);
                } else {
                    proptest::prop_assert_eq!(fifo.pop_front(), model.pop_front());
                }
                proptest::prop_assert_eq!((fifo.len(), fifo.is_empty()), (model.len(), model.is_empty()));
                proptest::prop_assert_eq!((fifo.front(), fifo.back()), (model.front(), model.back()));
                proptest::prop_assert!(fifo.iter().eq(&model) && fifo.iter().rev().eq(model.iter().rev()));
                fifo.iter_mut().chain(&mut model).for_each(|no| *no += 1);
            }
        }
    }
}
