//! Counts and what may be concluded from them.

/// Hits, misses and false alarms.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) hits: usize,
    pub(crate) misses: usize,
    pub(crate) false_alarms: usize,
}

impl Tally {
    pub(crate) fn precision(self) -> Share {
        Share { of: self.hits + self.false_alarms, part: self.hits }
    }

    pub(crate) fn recall(self) -> Share {
        Share { of: self.hits + self.misses, part: self.hits }
    }

    /// The harmonic mean of both.
    pub(crate) fn f1(self) -> Option<f64> {
        let all = 2 * self.hits + self.misses + self.false_alarms;
        (all > 0).then(|| 2.0 * self.hits as f64 / all as f64)
    }
}

/// A part of a number of trials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Share {
    pub(crate) part: usize,
    pub(crate) of: usize,
}

impl Share {
    pub(crate) fn value(self) -> Option<f64> {
        (self.of > 0).then(|| self.part as f64 / self.of as f64)
    }

    /// Wilson's interval at 95 % (1927).
    pub(crate) fn wilson(self) -> Option<(f64, f64)> {
        const Z: f64 = 1.959_964;
        let (n, p) = (self.of as f64, self.value()?);
        let middle = p + Z * Z / (2.0 * n);
        let reach = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        Some((((middle - reach) / scale).max(0.0), ((middle + reach) / scale).min(1.0)))
    }
}

/// `0.967 (0.833-0.994)`, or a dash where there was nothing to count.
impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.value(), self.wilson()) {
            (Some(value), Some((low, high))) => write!(f, "{value:.3} ({low:.3}-{high:.3})"),
            _ => f.write_str("-"),
        }
    }
}

/// The value below which this share of all lies (nearest rank).
pub(crate) fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_gives_the_published_interval() {
        let (low, high) = Share { part: 126, of: 132 }.wilson().unwrap();
        assert!((low - 0.904).abs() < 5e-4 && (high - 0.979).abs() < 5e-4, "{low} {high}");
    }

    #[test]
    fn percentiles_are_members() {
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 0.5), Some(2.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 0.95), Some(4.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
