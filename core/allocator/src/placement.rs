//! In which order agents are offered.

use caprock_model::{Quantities, Resources};

use crate::cycle::Candidate;
use crate::policy::Placement;
use crate::shuffle::Random;

impl Placement {
    /// The places of the candidates in the order of their turns.
    pub(crate) fn order(
        &self,
        candidates: &[Candidate<'_>],
        rest: &[Resources],
        random: &mut Random,
    ) -> Vec<u32> {
        let order = random.permutation(candidates.len());
        if *self == Placement::Random {
            return order;
        }
        let scored = order.into_iter().map(|at| {
            let free = rest[at as usize].quantities();
            let capacity = candidates[at as usize].capacity.unwrap_or(&free);
            (self.score(capacity, &free), at)
        });
        let mut scored: Vec<_> = scored.collect();
        // Equal scores remain in random order.
        scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        scored.into_iter().map(|(_, at)| at).collect()
    }

    /// How good a place an agent is; the best is offered first.
    ///
    /// The weighted score is `alpha * f + (1 - alpha) * g`. The affinity `f` is the sum of
    /// `task * free` over the sum of `free`, over the names that the task needs: it is large
    /// where most of what is free is what the task needs most of. The load `g` is the mean
    /// utilisation of the same names once the task runs there: it is 1 where the task fits
    /// exactly. Amounts are taken as they are, so the unit decides how much `f` counts.
    ///
    /// ```
    /// use caprock_allocator::Placement;
    /// use caprock_model::Quantities;
    ///
    /// let nodes = ["cpus:4;mem:8", "cpus:4;mem:8", "cpus:2;mem:4", "cpus:2;mem:4"];
    /// let task = Quantities::parse("cpus:2;mem:4").unwrap();
    /// let policy = Placement::Weighted { alpha: 0.5, task };
    /// let scores = nodes.map(|node| {
    ///     let node = Quantities::parse(node).unwrap();
    ///     policy.score(&node, &node)
    /// });
    /// // f is 40/12 = 20/6 = 10/3 everywhere; g is 1/2 on the large nodes, 1 on the small.
    /// assert!((scores[0] - (10.0 / 3.0 + 0.5) / 2.0).abs() < 1e-12);
    /// assert!((scores[2] - (10.0 / 3.0 + 1.0) / 2.0).abs() < 1e-12);
    /// assert_eq!((scores[0], scores[2]), (scores[1], scores[3]));
    /// ```
    pub fn score(&self, capacity: &Quantities, free: &Quantities) -> f64 {
        match self {
            Placement::Random => 0.0,
            Placement::Spread => -utilisation(capacity, free),
            Placement::BinPack => utilisation(capacity, free),
            Placement::Weighted { alpha, task } => {
                if !free.contains(task) {
                    return f64::NEG_INFINITY;
                }
                let of_task = task.iter().map(|(name, needed)| {
                    let free = free.of(name).to_f64();
                    (needed.to_f64() * free, free)
                });
                let sums =
                    of_task.fold((0.0, 0.0), |sums, next| (sums.0 + next.0, sums.1 + next.1));
                let affinity = if sums.1 > 0.0 { sums.0 / sums.1 } else { 0.0 };
                let needed = |of: &Quantities| -> Quantities {
                    let of_name =
                        |(name, _): (&caprock_model::Name, _)| (name.clone(), of.of(name));
                    task.iter().map(of_name).collect()
                };
                let load = utilisation(&needed(capacity), &(free.clone() - task));
                alpha * affinity + (1.0 - alpha) * load
            }
        }
    }
}

/// The mean over all names of the part that is in use.
fn utilisation(capacity: &Quantities, free: &Quantities) -> f64 {
    let used = capacity
        .iter()
        .map(|(name, all)| 1.0 - free.of(name).share_of(all).min(1.0));
    let (sum, count) = used.fold((0.0, 0u32), |(sum, count), used| (sum + used, count + 1));
    if count == 0 {
        0.0
    } else {
        sum / f64::from(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantities(text: &str) -> Quantities {
        Quantities::parse(text).unwrap()
    }

    #[test]
    fn used_agents_last_or_first() {
        let capacity = quantities("cpus:4;mem:8");
        let score = |policy: Placement, free: &str| policy.score(&capacity, &quantities(free));
        assert_eq!(score(Placement::BinPack, "cpus:4;mem:8"), 0.0);
        assert_eq!(score(Placement::BinPack, "cpus:1;mem:6"), 0.5);
        assert_eq!(score(Placement::Spread, "cpus:1;mem:6"), -0.5);
        assert_eq!(score(Placement::BinPack, ""), 1.0);
        assert_eq!(Placement::BinPack.score(&quantities(""), &capacity), 0.0);
    }

    /// Six tasks on the four nodes: the small ones are filled first, then one large node
    /// after the other, though each could take two.
    #[test]
    fn the_four_nodes() {
        let capacity = [
            "cpus:4;mem:8",
            "cpus:4;mem:8",
            "cpus:2;mem:4",
            "cpus:2;mem:4",
        ];
        let capacity = capacity.map(quantities);
        let mut free = capacity.clone();
        let task = quantities("cpus:2;mem:4");
        let policy = Placement::Weighted {
            alpha: 0.5,
            task: task.clone(),
        };
        let mut chosen = Vec::new();
        loop {
            let score = |at: &usize| policy.score(&capacity[*at], &free[*at]);
            let best = (0..4).rev().max_by(|a, b| score(a).total_cmp(&score(b)));
            let best = best.unwrap();
            if score(&best) == f64::NEG_INFINITY {
                break;
            }
            free[best] -= &task;
            chosen.push(best);
        }
        assert_eq!(chosen, [2, 3, 0, 0, 1, 1]);
    }

    #[test]
    fn affinity_is_where_the_task_needs_most() {
        let policy = Placement::Weighted {
            alpha: 1.0,
            task: quantities("cpus:2;mem:4"),
        };
        let much_memory = quantities("cpus:2;mem:6");
        let many_processors = quantities("cpus:4;mem:4");
        assert_eq!(policy.score(&much_memory, &much_memory), 28.0 / 8.0);
        assert_eq!(policy.score(&many_processors, &many_processors), 24.0 / 8.0);
    }
}
