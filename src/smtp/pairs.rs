//! Bytes by the byte before them, many at a time: where in mail data a line begins with a dot, whether an LF stands alone.
//!
//! It is made for text that hardly ever holds what is looked for.

/// Pairs that are looked at in one go.
const LANES: usize = 64;

/// The place of the first byte for which `is` says yes, told the byte before it; the first byte of all has none.
///
/// Without a branch a byte, so that the compiler compares many at a time: `is` should be made of comparisons and `&`.
#[inline]
pub(super) fn find_after(text: &[u8], is: impl Fn(u8, u8) -> bool) -> Option<usize> {
    let (until_last, from_second) = (text.get(..text.len().checked_sub(1)?)?, text.get(1..)?);
    let holds = |before: &[u8; LANES], after: &[u8; LANES]| {
        let mut any = false;
        for i in 0..LANES {
            any |= is(before[i], after[i]);
        }
        any
    };
    let ((before, _), (after, rest)) = (until_last.as_chunks(), from_second.as_chunks());
    let whole = before.iter().zip(after).position(|(before, after)| holds(before, after)).unwrap_or(after.len());
    let found_in_whole = whole < after.len();
    // The last pairs in one go, too, some of them for the second time.
    if !found_in_whole
        && let (Some(before), Some(after)) = (until_last.last_chunk(), from_second.last_chunk())
        && !holds(before, after)
    {
        return None;
    }
    let (from, left) = (whole * LANES, if found_in_whole { LANES } else { rest.len() });
    let mut pairs = text.get(from..)?.windows(2).take(left);
    pairs.position(|pair| is(pair[0], pair[1])).map(|at| from + at + 1)
}

/// Whether a byte is an LF without its CR, for [`find_after`].
#[expect(clippy::needless_bitwise_bool, reason = "without branches the compiler looks at many at once")]
#[inline]
pub(super) const fn is_bare_lf(before: u8, byte: u8) -> bool {
    (byte == b'\n') & (before != b'\r')
}

/// Whether an LF may stand without its CR somewhere in a piece of text, other than as its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BareLfs {
    /// None does: somebody has looked.
    None,
    /// Nobody knows.
    Perhaps,
}

impl BareLfs {
    /// Whether one does.
    pub(super) fn are_in(self, text: &[u8]) -> bool {
        self == Self::Perhaps && find_after(text, is_bare_lf).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// As one pair after the other.
        #[test]
        fn the_first_of_all_is_found(text in proptest::collection::vec(0..20_u8, 0..300), wanted in 0..20_u8) {
            let is = |before: u8, byte: u8| before <= 1 && byte == wanted;
            let found = (1..text.len()).find(|&at| is(text[at - 1], text[at]));
            proptest::prop_assert_eq!(find_after(&text, is), found);
        }
    }
}
