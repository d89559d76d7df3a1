//! Distinct things within a sliding window, exact as long as they are few: most thresholds lie between 3 and 25.

use smallvec::SmallVec;

use crate::time::{Span, Ts};

/// Stable hashes of distinct things and when each was last seen; never more than `MAX` of them, sixteen bytes each.
///
/// When full, the one that was quiet longest goes: the count then stays at `MAX`, which must lie above the threshold.
#[derive(Clone, Debug, Default)]
pub(super) struct Lately<const MAX: usize> {
    seen: SmallVec<[(u64, Ts); 1]>,
}

impl<const MAX: usize> Lately<MAX> {
    /// Notes a thing; returns how many distinct ones the window now holds.
    pub(super) fn note(&mut self, key: u64, window: Span, now: Ts) -> usize {
        self.seen.retain(|(_, last)| now.since(*last) < window);
        if let Some((_, last)) = self.seen.iter_mut().find(|(known, _)| *known == key) {
            *last = now;
        } else {
            if self.seen.len() >= MAX
                && let Some(oldest) = (0..self.seen.len()).min_by_key(|&i| self.seen[i].1)
            {
                self.seen.swap_remove(oldest);
            }
            self.seen.push((key, now));
        }
        self.seen.len()
    }

    /// How many distinct things the window holds.
    pub(super) fn count(&self, window: Span, now: Ts) -> usize {
        self.seen.iter().filter(|(_, last)| now.since(*last) < window).count()
    }

    /// Whether the window holds a thing.
    pub(super) fn contains(&self, key: u64, window: Span, now: Ts) -> bool {
        self.seen.iter().any(|(known, last)| *known == key && now.since(*last) < window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_count_once_and_leave_with_the_window() {
        let (mut names, hour) = (Lately::<4>::default(), Span::hours(1));
        let at = |minute: i64| Ts::EPOCH + Span::mins(minute);
        assert_eq!(names.note(1, hour, at(0)), 1);
        assert_eq!(names.note(1, hour, at(10)), 1);
        assert_eq!(names.note(2, hour, at(20)), 2);
        assert_eq!(names.count(hour, at(69)), 2);
        assert_eq!(names.count(hour, at(70)), 1, "the first was last seen an hour ago");
        assert!(names.contains(2, hour, at(79)) && !names.contains(1, hour, at(79)));
    }

    #[test]
    fn it_never_holds_more_than_its_bound() {
        let mut names = Lately::<4>::default();
        for n in 0..1000_u32 {
            names.note(n.into(), Span::hours(1), Ts::EPOCH + Span::secs(n.into()));
        }
        assert_eq!(names.count(Span::hours(1), Ts::EPOCH + Span::secs(999)), 4);
        assert!(names.contains(999, Span::hours(1), Ts::EPOCH + Span::secs(999)));
    }
}
