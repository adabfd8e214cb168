//! Wall-clock time and durations in milliseconds, and Mesos' text form of durations.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use caprock_proto::mesos::v1::{DurationInfo, TimeInfo};

/// A moment: milliseconds since 1970, as some process read its clock.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

/// A length of time in milliseconds.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct DurationMs(pub i64);

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a duration: expected a number and a unit, such as 200ms, 10secs or 5mins")]
pub struct DurationError(pub String);

const NANOS_PER_MILLI: i64 = 1_000_000;

impl Millis {
    /// Seconds since 1970, as Mesos reports time in JSON and in task statuses.
    pub fn seconds_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The moment so many seconds after 1970; what does not fit is clamped.
    pub fn from_seconds_f64(seconds: f64) -> Self {
        Self((seconds * 1000.0).round() as i64)
    }

    /// The time since `earlier`; zero if that lies in the future.
    pub fn since(self, earlier: Millis) -> DurationMs {
        DurationMs(self.0.saturating_sub(earlier.0).max(0))
    }

    /// The moment as the wire message.
    pub fn to_proto(self) -> TimeInfo {
        TimeInfo {
            nanoseconds: self.0.saturating_mul(NANOS_PER_MILLI),
        }
    }
}

impl From<&TimeInfo> for Millis {
    fn from(time: &TimeInfo) -> Self {
        Self(time.nanoseconds.div_euclid(NANOS_PER_MILLI))
    }
}

impl DurationMs {
    /// No time at all.
    pub const ZERO: DurationMs = DurationMs(0);

    /// So many whole seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// So many seconds, or nothing if that is no duration: not a number, or more than
    /// the 292 years that 64 bits of nanoseconds hold (Mesos: stout/duration.hpp).
    pub fn from_seconds_f64(seconds: f64) -> Option<Self> {
        const MAX_SECONDS: f64 = i64::MAX as f64 / 1e9;
        let fits = seconds.is_finite() && seconds.abs() < MAX_SECONDS;
        fits.then(|| Self((seconds * 1000.0).round() as i64))
    }

    /// The duration in seconds.
    pub fn seconds_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// The duration as the wire message.
    pub fn to_proto(self) -> DurationInfo {
        DurationInfo {
            nanoseconds: self.0.saturating_mul(NANOS_PER_MILLI),
        }
    }
}

impl From<&DurationInfo> for DurationMs {
    fn from(duration: &DurationInfo) -> Self {
        Self(duration.nanoseconds.div_euclid(NANOS_PER_MILLI))
    }
}

impl Add<DurationMs> for Millis {
    type Output = Millis;

    fn add(self, duration: DurationMs) -> Millis {
        Millis(self.0.saturating_add(duration.0))
    }
}

impl AddAssign<DurationMs> for Millis {
    fn add_assign(&mut self, duration: DurationMs) {
        *self = *self + duration;
    }
}

impl Sub<DurationMs> for Millis {
    type Output = Millis;

    fn sub(self, duration: DurationMs) -> Millis {
        Millis(self.0.saturating_sub(duration.0))
    }
}

impl Sub<Millis> for Millis {
    type Output = DurationMs;

    fn sub(self, earlier: Millis) -> DurationMs {
        DurationMs(self.0.saturating_sub(earlier.0))
    }
}

impl Add for DurationMs {
    type Output = DurationMs;

    fn add(self, other: DurationMs) -> DurationMs {
        DurationMs(self.0.saturating_add(other.0))
    }
}

impl Sub for DurationMs {
    type Output = DurationMs;

    fn sub(self, other: DurationMs) -> DurationMs {
        DurationMs(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for DurationMs {
    fn sub_assign(&mut self, other: DurationMs) {
        *self = *self - other;
    }
}

impl fmt::Display for DurationMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_duration(*self))
    }
}

/// Mesos' units from one millisecond up, with their lengths in milliseconds.
const UNITS: [(&str, i64); 6] = [
    ("ms", 1),
    ("secs", 1_000),
    ("mins", 60_000),
    ("hrs", 3_600_000),
    ("days", 86_400_000),
    ("weeks", 604_800_000),
];

/// Reads `200ms`, `10secs`, `1.5hrs` and the plain units `us s m h d w`. What is shorter
/// than a millisecond is rounded to the nearest.
pub fn parse_duration(text: &str) -> Result<DurationMs, DurationError> {
    let error = || DurationError(text.to_owned());
    let trimmed = text.trim();
    let unit_at = trimmed
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
        .ok_or_else(error)?;
    let (number, unit) = trimmed.split_at(unit_at);
    let number: f64 = number.parse().map_err(|_| error())?;
    let millis_per_unit = match unit {
        "ns" => 1e-6,
        "us" => 1e-3,
        "ms" => 1.0,
        "s" | "sec" | "secs" => 1e3,
        "m" | "min" | "mins" => 60e3,
        "h" | "hr" | "hrs" => 3600e3,
        "d" | "day" | "days" => 86400e3,
        "w" | "week" | "weeks" => 604800e3,
        _ => return Err(error()),
    };
    DurationMs::from_seconds_f64(number * millis_per_unit / 1e3).ok_or_else(error)
}

/// Writes a duration as Mesos does: in the largest unit that is not above the value, or
/// in the next smaller one if only that gives a whole number (Mesos: stout/duration.hpp).
pub fn format_duration(duration: DurationMs) -> String {
    let value = duration.0;
    if value == 0 {
        return "0ns".to_owned();
    }
    let magnitude = value.unsigned_abs();
    let fits = |&(_, length): &(&str, i64)| length.unsigned_abs() <= magnitude;
    let at = UNITS.iter().rposition(fits).unwrap_or(0);
    let (unit, length) = UNITS[at];
    if value % length == 0 {
        return format!("{}{unit}", value / length);
    }
    if at > 0 && value % UNITS[at - 1].1 == 0 {
        let (unit, length) = UNITS[at - 1];
        return format!("{}{unit}", value / length);
    }
    format!("{}{unit}", value as f64 / length as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_as_mesos_writes_them() {
        for (ms, text) in [
            (0, "0ns"),
            (200, "200ms"),
            (5_000, "5secs"),
            (1_500, "1500ms"),
            (60_000, "1mins"),
            (90_000, "90secs"),
            (604_800_000, "1weeks"),
            (864_000_000, "10days"),
            (-5_000, "-5secs"),
        ] {
            assert_eq!(format_duration(DurationMs(ms)), text);
        }
        // Neither whole minutes nor whole seconds: a fraction of the larger unit.
        assert_eq!(format_duration(DurationMs(60_006)), "1.0001mins");
    }

    #[test]
    fn durations_are_read() {
        for (text, ms) in [
            ("200ms", 200),
            ("10secs", 10_000),
            ("10s", 10_000),
            ("5mins", 300_000),
            ("1.5hrs", 5_400_000),
            ("2weeks", 1_209_600_000),
            ("3d", 259_200_000),
            ("0ns", 0),
            (" 1secs ", 1_000),
        ] {
            assert_eq!(parse_duration(text), Ok(DurationMs(ms)), "{text}");
        }
        for text in [
            "",
            "10",
            "secs",
            "10 parsecs",
            "1.2.3s",
            "99999weeks",
            "--1s",
            "1e3s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments() {
        let now = Millis(1_500);
        assert_eq!(now + DurationMs::from_secs(2), Millis(3_500));
        assert_eq!(now.since(Millis(2_000)), DurationMs::ZERO);
        assert_eq!(now.seconds_f64(), 1.5);
        assert_eq!(Millis::from(&now.to_proto()), now);
        assert_eq!(DurationMs::from_seconds_f64(f64::NAN), None);
        assert_eq!(DurationMs::from_seconds_f64(1e10), None);
        assert_eq!(DurationMs::from_seconds_f64(0.25), Some(DurationMs(250)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0i64..100_000_000) {
            let duration = DurationMs::from_secs(seconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
