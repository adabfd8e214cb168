//! Amounts with three decimals. All arithmetic is on whole thousandths, so that
//! 0.1 + 0.2 is 0.3 (Mesos: src/common/values.cpp).

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

/// An amount in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scalar(pub i64);

impl Scalar {
    /// Nothing.
    pub const ZERO: Scalar = Scalar(0);

    /// So many whole units.
    pub const fn from_units(units: i64) -> Self {
        Self(units.saturating_mul(1000))
    }

    /// Rounds to the nearest thousandth, halves away from zero. What does not fit is
    /// clamped, and not-a-number is nothing; validation refuses both before.
    pub fn from_f64(value: f64) -> Self {
        Self((value * 1000.0).round() as i64)
    }

    /// The amount as Mesos writes it on the wire.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The difference, or nothing if that would be negative.
    pub fn minus_clamped(self, other: Scalar) -> Scalar {
        Scalar(self.0.saturating_sub(other.0).max(0))
    }

    /// This amount as a share of `total`; zero of nothing.
    pub fn share_of(self, total: Scalar) -> f64 {
        if total.0 <= 0 {
            0.0
        } else {
            self.0 as f64 / total.0 as f64
        }
    }
}

impl From<f64> for Scalar {
    fn from(value: f64) -> Self {
        Self::from_f64(value)
    }
}

impl Add for Scalar {
    type Output = Scalar;

    fn add(self, other: Scalar) -> Scalar {
        Scalar(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Scalar {
    fn add_assign(&mut self, other: Scalar) {
        *self = *self + other;
    }
}

impl Sub for Scalar {
    type Output = Scalar;

    fn sub(self, other: Scalar) -> Scalar {
        Scalar(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for Scalar {
    fn sub_assign(&mut self, other: Scalar) {
        *self = *self - other;
    }
}

impl Sum for Scalar {
    fn sum<I: Iterator<Item = Scalar>>(amounts: I) -> Scalar {
        amounts.fold(Scalar::ZERO, Add::add)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, rest) = (self.0.unsigned_abs() / 1000, self.0.unsigned_abs() % 1000);
        write!(f, "{sign}{whole}")?;
        if rest != 0 {
            let decimals = format!("{rest:03}");
            write!(f, ".{}", decimals.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_do_not_drift() {
        assert_eq!(Scalar::from(0.1) + Scalar::from(0.2), Scalar::from(0.3));
        let third = Scalar::from(0.333);
        assert_eq!((third + third + third).to_f64(), 0.999);
        assert_eq!(Scalar::from(0.0004), Scalar::ZERO);
        assert_eq!(Scalar::from(0.0005), Scalar(1));
        assert_eq!(Scalar::from(-0.0005), Scalar(-1));
    }

    #[test]
    fn text() {
        for (thousandths, text) in [
            (0, "0"),
            (4000, "4"),
            (1500, "1.5"),
            (5, "0.005"),
            (-250, "-0.25"),
        ] {
            assert_eq!(Scalar(thousandths).to_string(), text);
        }
    }

    #[test]
    fn clamped_and_shares() {
        assert_eq!(Scalar(5).minus_clamped(Scalar(7)), Scalar::ZERO);
        assert_eq!(Scalar(1000).share_of(Scalar(4000)), 0.25);
        assert_eq!(Scalar(1000).share_of(Scalar::ZERO), 0.0);
        assert_eq!(Scalar(i64::MAX) + Scalar(1), Scalar(i64::MAX));
    }
}
