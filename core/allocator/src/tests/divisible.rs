//! What "Dominant Resource Fairness" (NSDI 2011) proves, when tasks are small: nobody gets
//! less than an equal split would give, and nobody would rather have what another one got.

use proptest::prelude::*;

use super::published::{cluster, count, launch_all};

const UNITS: u32 = 120;
const NAMES: [&str; 4] = ["A", "B", "C", "D"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn share_guarantee_and_no_envy(tasks in prop::collection::vec((1u32..8, 1u32..8), 2..5)) {
        let texts: Vec<_> = tasks
            .iter()
            .map(|(cpus, mem)| format!("cpus:{cpus};mem:{mem}"))
            .collect();
        let named = NAMES.iter().zip(&texts);
        let demands: Vec<_> = named.map(|(name, text)| (*name, text.as_str())).collect();
        let mut world = cluster(&format!("cpus:{UNITS};mem:{UNITS}"), &demands);
        let launched = launch_all(&mut world, &demands);

        let runs: Vec<_> = demands.iter().map(|(name, _)| count(&launched, name) as u32).collect();
        let step = |user: usize| f64::from(tasks[user].0.max(tasks[user].1)) / f64::from(UNITS);
        let users = tasks.len();
        let largest = (0..users).map(step).fold(0.0, f64::max);
        for user in 0..users {
            // One task more or less is as near as whole tasks come.
            let share = f64::from(runs[user]) * step(user);
            let equal = 1.0 / users as f64;
            prop_assert!(share >= equal - largest * (1.0 + equal), "{share} of {runs:?}");
            for other in 0..users {
                let (cpus, mem) = tasks[other];
                let (cpus, mem) = (cpus * runs[other], mem * runs[other]);
                let with_it = (cpus / tasks[user].0).min(mem / tasks[user].1);
                let bound = f64::from(runs[user]) + largest / step(user) + 1.0;
                prop_assert!(f64::from(with_it) <= bound, "{user} envies {other}: {runs:?}");
            }
        }
    }
}
