//! Sequential tests in decibans: one-sided CUSUM, and the peak that a report remembers.
//!
//! S rises by z = 10 log10(p1/p0) for each observation and never falls below zero. For independent outcomes under p0 the
//! mean number of observations to a false alarm at h dB is at least 10^(h/10) (Lorden 1971). Wald's own boundary holds
//! for one test only, not for one that restarts for ever, which is why the thresholds here are 20, 30 and 50 dB.

use crate::time::{Span, Ts};

/// A CUSUM and its peak.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Cusum {
    value: f64,
    peak: Peak,
    /// When S last left zero, and when it had done so before its peak.
    left_zero: Ts,
    began: Ts,
}

impl Cusum {
    /// Adds an observation of weight `z_db`.
    pub fn add(&mut self, z_db: f64, now: Ts) {
        self.add_begun(z_db, now, now);
    }

    /// The same for something that `began` before it was told of.
    pub fn add_begun(&mut self, z_db: f64, began: Ts, now: Ts) {
        if self.value <= 0.0 {
            self.left_zero = began;
        }
        self.value = (self.value + z_db).max(0.0);
        if self.peak.raise(self.value, now) {
            self.began = self.left_zero;
        }
    }

    /// When what led to the peak began: when S left zero on the way to it.
    pub const fn began(&self) -> Ts {
        self.began
    }

    /// S as it stands.
    pub const fn value(&self) -> f64 {
        self.value
    }

    /// The peak of the last 24 hours, halved for each further 24 hours.
    pub fn peak(&self, now: Ts) -> f64 {
        self.peak.at(now)
    }
}

/// A maximum that fades: kept whole for a day, then halved for each further day.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Peak {
    value: f64,
    when: Ts,
}

const DAY: Span = Span::hours(24);

impl Peak {
    /// Notes a value, and says whether it is the peak now; a lower one than what is left of the old peak changes nothing.
    pub fn raise(&mut self, value: f64, now: Ts) -> bool {
        // The first comparison is the cheap one, and mostly enough: a peak never grows by itself.
        let higher = value > 0.0 && (value >= self.value || value >= self.at(now));
        if higher {
            *self = Self { value, when: now };
        }
        higher
    }

    /// What is left of the peak.
    pub fn at(&self, now: Ts) -> f64 {
        let age = now.since(self.when).as_secs_f64() / DAY.as_secs_f64();
        if age <= 1.0 { self.value } else { self.value * 0.5_f64.powf(age - 1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Ts {
        Ts::from_parts(secs, 0)
    }

    #[test]
    fn the_sum_never_falls_below_zero() {
        let mut s = Cusum::default();
        s.add(-4.6, at(0));
        s.add(8.7, at(1));
        assert!((s.value() - 8.7).abs() < 1e-9);
    }

    #[test]
    fn the_peak_outlasts_the_sum_and_fades_by_days() {
        let mut s = Cusum::default();
        s.add(32.0, at(0));
        s.add(-40.0, at(10));
        assert!(s.value().abs() < 1e-9);
        assert!((s.peak(at(86_400)) - 32.0).abs() < 1e-9);
        assert!((s.peak(at(2 * 86_400)) - 16.0).abs() < 1e-9);
        assert!((s.peak(at(3 * 86_400)) - 8.0).abs() < 1e-9);
    }

    #[test]
    fn it_began_when_the_sum_left_zero_on_the_way_to_its_peak() {
        let mut s = Cusum::default();
        s.add(5.0, at(0));
        s.add(-9.0, at(10));
        s.add_begun(8.0, at(19), at(20));
        s.add(8.0, at(30));
        assert_eq!(s.began(), at(19));
        s.add(-40.0, at(40));
        s.add(3.0, at(50));
        assert_eq!(s.began(), at(19), "a lower sum later is another story");
    }

    /// Feeds independent outcomes at p0 and measures the run length to a false alarm at 20 dB.
    #[test]
    fn false_alarms_are_as_rare_as_the_bound_says() {
        let (mut state, mut alarms, mut observations) = (7_u64, 0_u32, 0_u64);
        let mut s = Cusum::default();
        while alarms < 200 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bad = (state >> 33) % 100 < 10;
            s.add(if bad { 9.0 } else { -6.5 }, at(0)); // p0 = .1, p1 = .8 (D7)
            observations += 1;
            if s.value() >= 20.0 {
                (s, alarms) = (Cusum::default(), alarms + 1);
            }
        }
        assert!(observations / u64::from(alarms) >= 100, "10^(20/10) = 100, measured {}", observations / 200);
    }
}
