//! Event time: the only clock of the core is what capture headers say.
//!
//! [`Ts`] is an instant, [`Span`] a length of time; both count nanoseconds, so that micro- and nanosecond captures
//! share one type. Nothing here, nor anything that builds on it, reads a system clock.

use std::fmt;
use std::num::NonZero;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant of event time: nanoseconds since 1970-01-01T00:00:00Z, from a capture header.
///
/// Inside, they are counted from the earliest instant that 64 bits can tell, which is itself not used: so an `Option<Ts>`,
/// of which every host and every session has many, takes no more room than a `Ts`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ts(NonZero<u64>);

/// A length of event time in nanoseconds; may be negative (stamps can go backwards).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(i64);

impl Ts {
    /// The epoch, used where a capture has no time at all.
    pub const EPOCH: Self = Self::from_nanos(0);
    /// The latest instant that can be expressed.
    pub const MAX: Self = Self::from_nanos(i64::MAX);
    /// Nanoseconds from the earliest instant to the epoch.
    const BEFORE_EPOCH: u64 = 1 << 63;

    /// From nanoseconds since the epoch.
    #[inline]
    pub const fn from_nanos(nanos: i64) -> Self {
        match NonZero::new(nanos.cast_unsigned() ^ Self::BEFORE_EPOCH) {
            Some(since_earliest) => Self(since_earliest),
            None => Self(NonZero::<u64>::MIN),
        }
    }

    /// From a capture header's seconds and nanoseconds; saturates on absurd values.
    pub const fn from_parts(secs: i64, nanos: i64) -> Self {
        Self::from_nanos(secs.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// Nanoseconds since the epoch.
    #[inline]
    pub const fn as_nanos(self) -> i64 {
        (self.0.get() ^ Self::BEFORE_EPOCH).cast_signed()
    }

    /// As a person says it: to the second, in UTC.
    pub fn plain(self) -> String {
        let full = self.to_string();
        let (date, time) = full.split_once('T').unwrap_or_default();
        format!("{date} {} UTC", time.split('.').next().unwrap_or_default())
    }

    /// How long before `self` the instant `earlier` was; negative if it was later.
    #[inline]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.as_nanos().saturating_sub(earlier.as_nanos()))
    }
}

impl Default for Ts {
    fn default() -> Self {
        Self::EPOCH
    }
}

impl Span {
    /// No time.
    pub const ZERO: Self = Self(0);

    /// From whole seconds.
    pub const fn secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// From whole minutes.
    pub const fn mins(mins: i64) -> Self {
        Self::secs(mins.saturating_mul(60))
    }

    /// From whole hours.
    pub const fn hours(hours: i64) -> Self {
        Self::mins(hours.saturating_mul(60))
    }

    /// From milliseconds.
    pub const fn millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// From nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Seconds as a fraction.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add<Span> for Ts {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self::from_nanos(self.as_nanos().saturating_add(span.0))
    }
}

impl Sub<Span> for Ts {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self::from_nanos(self.as_nanos().saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// RFC 3339 in UTC: six digits of a second, nine where the stamp has more than microseconds.
impl fmt::Display for Ts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, nanos) = (self.as_nanos().div_euclid(1_000_000_000), self.as_nanos().rem_euclid(1_000_000_000));
        let (days, of_day) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days); // 64 bits of nanoseconds: the years 1677 to 2262
        // Digit by digit: reports hold tens of thousands of stamps, and the formatter takes ten times as long.
        let mut text = *b"0000-00-00T00:00:00.000000000Z";
        for (begin, end, number) in
            [(0, 4, year), (5, 7, month), (8, 10, day), (11, 13, of_day / 3600), (14, 16, of_day / 60 % 60)]
        {
            digits(&mut text[begin..end], number);
        }
        digits(&mut text[17..19], of_day % 60);
        digits(&mut text[20..29], nanos);
        if nanos % 1000 == 0 {
            text[26] = b'Z';
        }
        let len = if nanos % 1000 == 0 { 27 } else { text.len() };
        f.write_str(text.get(..len).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default())
    }
}

/// Writes the last decimal digits of a number that is not negative.
fn digits(places: &mut [u8], mut number: i64) {
    for place in places.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl fmt::Debug for Ts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.as_secs_f64())
    }
}

impl Serialize for Ts {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// RFC 3339, with any offset and up to nine digits of a second.
impl FromStr for Ts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| format!("`{text}` is no time of RFC 3339"))?;
        i64::try_from(instant.as_nanosecond())
            .map(Self::from_nanos)
            .map_err(|_| format!("`{text}` is too far from today"))
    }
}

impl<'de> Deserialize<'de> for Ts {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Seconds, as Zeek writes an interval.
impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(self.as_secs_f64())
    }
}

/// As a person writes it: a whole number and its unit, such as `10 min`.
impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let nanos: i64 = match unit.trim_start() {
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "min" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            "d" => 86_400 * 1_000_000_000,
            _ => 0,
        };
        let span = number.parse::<i64>().ok().and_then(|number| number.checked_mul(nanos)).filter(|_| nanos > 0);
        span.map(Self).ok_or_else(|| {
            format!("`{text}` is no length of time: write a number and ms, s, min, h or d, such as \"10 min\"")
        })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The proleptic Gregorian date of a day count since 1970-01-01.
///
/// Counts in 400-year eras of 146,097 days that begin on 1 March, so that the leap day is the last of its year.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // days from 0000-03-01 to 1970-01-01
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_rfc_3339_with_the_precision_of_the_stamp() {
        assert_eq!(Ts::from_parts(1_772_617_327, 41_431_000).to_string(), "2026-03-04T09:42:07.041431Z");
        assert_eq!(Ts::from_parts(951_782_400, 1).to_string(), "2000-02-29T00:00:00.000000001Z");
        assert_eq!(Ts::from_nanos(-1).to_string(), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(Ts::EPOCH.to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Ts::from_parts(1_772_617_327, 41_431_000).plain(), "2026-03-04 09:42:07 UTC");
    }

    #[test]
    fn an_instant_that_may_be_missing_takes_no_more_room() {
        assert_eq!(size_of::<Option<Ts>>(), size_of::<Ts>());
        let instants = [i64::MIN + 1, -1, 0, 1, i64::MAX];
        assert!(instants.map(Ts::from_nanos).is_sorted());
        assert_eq!(instants.map(|nanos| Ts::from_nanos(nanos).as_nanos()), instants);
        assert_eq!(Ts::from_nanos(i64::MIN), Ts::from_nanos(i64::MIN + 1));
        assert_eq!((Ts::default(), Ts::MAX + Span::secs(1)), (Ts::EPOCH, Ts::MAX));
    }

    #[test]
    fn lengths_are_written_with_their_unit() {
        let read = |text: &str| text.parse::<Span>();
        assert_eq!(
            (read("10 min"), read("48h"), read(" 5 d ")),
            (Ok(Span::mins(10)), Ok(Span::hours(48)), Ok(Span::hours(120)))
        );
        assert_eq!((read("1500 ms"), read("0 s")), (Ok(Span::millis(1500)), Ok(Span::ZERO)));
        for wrong in ["", "10", "min", "-1 h", "1.5 h", "10 m", "10 min 5 s", "99999999999999999999 s", "9999999999 d"]
        {
            assert!(read(wrong).unwrap_err().contains("is no length of time"), "{wrong}");
        }
    }

    #[test]
    fn absurd_stamps_saturate() {
        assert_eq!(Ts::from_parts(i64::MAX, 5), Ts::MAX);
        assert_eq!(Ts::MAX + Span::hours(1), Ts::MAX);
        let _ = Ts::MAX.to_string();
        let _ = Ts::from_nanos(i64::MIN).to_string();
    }
}
