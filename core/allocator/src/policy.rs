//! Policies that an operator chooses by name.

use std::str::FromStr;

use caprock_model::Quantities;

/// An order of turns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sorter {
    /// By dominant share, divided by the weight.
    #[default]
    Drf,
    /// At random, with chances in proportion to the weights, whatever anybody has.
    Random,
}

/// In which order agents are offered, and so in which order they stand in the offers that a
/// framework gets. Agents that are equal in it come in random order.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Placement {
    /// As Mesos does.
    #[default]
    Random,
    /// The least used agents first: work is spread over the cluster.
    Spread,
    /// The most used agents first: whole agents remain free.
    BinPack,
    /// The best place for a task first, by [`Placement::score`].
    Weighted {
        /// How much affinity counts; the rest is utilisation. From 0 to 1.
        alpha: f64,
        /// What the task needs. Agents where it does not fit come last.
        task: Quantities,
    },
}

impl FromStr for Sorter {
    type Err = String;

    /// Reads `drf` or `random`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "drf" => Ok(Self::Drf),
            "random" => Ok(Self::Random),
            _ => Err(format!("Unknown sorter '{text}': it is 'drf' or 'random'")),
        }
    }
}

impl FromStr for Placement {
    type Err = String;

    /// Reads `random`, `spread`, `bin-pack`, or `weighted(0.5,cpus:2;mem:4096)`: the factor of
    /// affinity, and the task.
    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "Unknown placement '{text}': it is 'random', 'spread', 'bin-pack' or \
                 'weighted(ALPHA,RESOURCES)'"
            )
        };
        match text {
            "random" => return Ok(Self::Random),
            "spread" => return Ok(Self::Spread),
            "bin-pack" => return Ok(Self::BinPack),
            _ => {}
        }
        let inner = text.strip_prefix("weighted(");
        let inner = inner.and_then(|inner| inner.strip_suffix(')'));
        let (alpha, task) = inner
            .and_then(|inner| inner.split_once(','))
            .ok_or_else(unknown)?;
        let alpha: f64 = alpha.trim().parse().map_err(|_| unknown())?;
        if !(0.0..=1.0).contains(&alpha) {
            return Err(format!("The factor {alpha} of '{text}' is not from 0 to 1"));
        }
        let task = Quantities::parse(task).map_err(|error| error.to_string())?;
        if task.is_empty() {
            return Err(format!("The task of '{text}' needs nothing"));
        }
        Ok(Self::Weighted { alpha, task })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!("drf".parse(), Ok(Sorter::Drf));
        assert_eq!("random".parse(), Ok(Sorter::Random));
        assert!("fair".parse::<Sorter>().is_err());
        assert_eq!("random".parse(), Ok(Placement::Random));
        assert_eq!("spread".parse(), Ok(Placement::Spread));
        assert_eq!("bin-pack".parse(), Ok(Placement::BinPack));
        let task = Quantities::parse("cpus:2;mem:4").unwrap();
        assert_eq!(
            "weighted(0.5,cpus:2;mem:4)".parse(),
            Ok(Placement::Weighted { alpha: 0.5, task })
        );
        for text in [
            "",
            "weighted",
            "weighted(2,cpus:1)",
            "weighted(0.5,)",
            "weighted(x,y)",
        ] {
            assert!(text.parse::<Placement>().is_err(), "{text}");
        }
    }
}
