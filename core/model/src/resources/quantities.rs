//! How much of each scalar resource, whatever it is reserved for: the vectors that shares,
//! quotas and metrics are computed on (Mesos: src/common/resource_quantities.cpp).

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use super::{Name, ResourceError, Scalar};

/// A map from name to a positive amount, in the order of names. What is missing is zero,
/// and subtraction stops at zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantities(Vec<(Name, Scalar)>);

impl Quantities {
    /// Nothing of anything.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Reads `cpus:1;mem:32`.
    pub fn parse(text: &str) -> Result<Self, ResourceError> {
        let mut result = Self::new();
        for token in text.split(';').filter(|token| !token.trim().is_empty()) {
            let error = |why| ResourceError(format!("Failed to parse '{token}': {why}"));
            let (name, value) = token.split_once(':').ok_or_else(|| error("missing ':'"))?;
            let value: f64 = value.trim().parse().map_err(|_| error("not a number"))?;
            if !value.is_finite() || value < 0.0 {
                return Err(error("negative or not finite"));
            }
            result.put(name.trim().into(), Scalar::from_f64(value));
        }
        Ok(result)
    }

    /// How much of this name.
    pub fn get(&self, name: &str) -> Scalar {
        let found = self.0.iter().find(|(present, _)| present.as_str() == name);
        found.map_or(Scalar::ZERO, |(_, amount)| *amount)
    }

    /// How much of this name.
    pub fn of(&self, name: &Name) -> Scalar {
        self.find(name).map_or(Scalar::ZERO, |at| self.0[at].1)
    }

    fn find(&self, name: &Name) -> Result<usize, usize> {
        self.0.binary_search_by(|(present, _)| present.cmp(name))
    }

    /// Adds to one name.
    pub fn put(&mut self, name: Name, amount: Scalar) {
        if amount.0 <= 0 {
            return;
        }
        match self.find(&name) {
            Ok(at) => self.0[at].1 += amount,
            Err(at) => self.0.insert(at, (name, amount)),
        }
    }

    /// Takes from one name; stops at zero.
    pub fn take(&mut self, name: &Name, amount: Scalar) {
        if let Ok(at) = self.find(name) {
            self.0[at].1 = self.0[at].1.minus_clamped(amount);
            if self.0[at].1.is_zero() {
                self.0.remove(at);
            }
        }
    }

    /// Whether at least this much is there of every name.
    pub fn contains(&self, other: &Quantities) -> bool {
        other.iter().all(|(name, amount)| self.of(name) >= amount)
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The amounts in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, Scalar)> {
        self.0.iter().map(|(name, amount)| (name, *amount))
    }

    /// The largest share that these amounts are of `total`.
    pub fn dominant_share(&self, total: &Quantities) -> f64 {
        self.iter()
            .map(|(name, amount)| amount.share_of(total.of(name)))
            .fold(0.0, f64::max)
    }
}

impl FromIterator<(Name, Scalar)> for Quantities {
    fn from_iter<I: IntoIterator<Item = (Name, Scalar)>>(amounts: I) -> Self {
        let mut result = Self::new();
        for (name, amount) in amounts {
            result.put(name, amount);
        }
        result
    }
}

impl AddAssign<&Quantities> for Quantities {
    fn add_assign(&mut self, other: &Quantities) {
        for (name, amount) in &other.0 {
            match self.find(name) {
                Ok(at) => self.0[at].1 += *amount,
                Err(at) => self.0.insert(at, (name.clone(), *amount)),
            }
        }
    }
}

impl SubAssign<&Quantities> for Quantities {
    fn sub_assign(&mut self, other: &Quantities) {
        for (name, amount) in other.iter() {
            self.take(name, amount);
        }
    }
}

impl Add<&Quantities> for Quantities {
    type Output = Quantities;

    fn add(mut self, other: &Quantities) -> Quantities {
        self += other;
        self
    }
}

impl Sub<&Quantities> for Quantities {
    type Output = Quantities;

    fn sub(mut self, other: &Quantities) -> Quantities {
        self -= other;
        self
    }
}

impl fmt::Display for Quantities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (at, (name, amount)) in self.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{name}:{amount}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantities(text: &str) -> Quantities {
        Quantities::parse(text).unwrap()
    }

    #[test]
    fn zero_is_the_same_as_missing() {
        assert_eq!(quantities("cpus:1;mem:0"), quantities("cpus:1"));
        assert_eq!(
            quantities("cpus:1") - &quantities("cpus:2"),
            Quantities::new()
        );
        assert_eq!(quantities("cpus:1").get("mem"), Scalar::ZERO);
    }

    #[test]
    fn arithmetic_by_name() {
        let sum = quantities("cpus:0.1;mem:5") + &quantities("cpus:0.2;x:1");
        assert_eq!(sum, quantities("x:1;mem:5;cpus:0.3"));
        assert!(sum.contains(&quantities("cpus:0.3")));
        assert!(!sum.contains(&quantities("disk:1")));
        assert_eq!(sum.to_string(), "cpus:0.3; mem:5; x:1");
    }

    #[test]
    fn the_dominant_share_is_the_largest() {
        let total = quantities("cpus:9;mem:18");
        assert_eq!(
            quantities("cpus:1;mem:4").dominant_share(&total),
            4.0 / 18.0
        );
        assert_eq!(quantities("gpus:4").dominant_share(&total), 0.0);
    }

    #[test]
    fn broken_text_is_refused() {
        for text in ["cpus", "cpus:x", "cpus:-1", "cpus:inf"] {
            assert!(Quantities::parse(text).is_err(), "{text}");
        }
    }
}
