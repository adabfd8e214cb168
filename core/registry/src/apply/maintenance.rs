//! The maintenance schedule changes, machines go down and come up (Mesos: UpdateSchedule,
//! StartMaintenance and StopMaintenance in src/master/maintenance.cpp).

use std::sync::Arc;

use caprock_proto::caprock::registry::{
    StartMaintenance, StopMaintenance, UpdateMaintenanceSchedule,
};

use crate::Registry;
use crate::maintenance::Machine;
use crate::outcome::{Outcome, Rejection};

pub(super) fn update(
    registry: &mut Registry,
    update: &UpdateMaintenanceSchedule,
) -> Result<Outcome, Rejection> {
    let schedule = update.schedule.clone().unwrap_or_default();
    let maintenance = &mut registry.maintenance;
    maintenance
        .check_schedule(&schedule)
        .map_err(Rejection::Maintenance)?;
    maintenance.schedule = Arc::new(schedule);
    Ok(Outcome::Applied)
}

/// The agents on the machines are removed by commands of their own.
pub(super) fn start(
    registry: &mut Registry,
    start: &StartMaintenance,
) -> Result<Outcome, Rejection> {
    let maintenance = &mut registry.maintenance;
    maintenance
        .check_start(&start.machines)
        .map_err(Rejection::Maintenance)?;
    for machine in &start.machines {
        maintenance.down.insert_mut(Machine::from(machine));
    }
    Ok(Outcome::Applied)
}

pub(super) fn stop(registry: &mut Registry, stop: &StopMaintenance) -> Result<Outcome, Rejection> {
    let maintenance = &mut registry.maintenance;
    maintenance
        .check_stop(&stop.machines)
        .map_err(Rejection::Maintenance)?;
    maintenance.remove(&stop.machines);
    Ok(Outcome::Applied)
}

#[cfg(test)]
mod tests {
    use caprock_proto::caprock::registry::entry::Command;
    use caprock_proto::mesos::v1::maintenance::{Schedule, Window};
    use caprock_proto::mesos::v1::{DurationInfo, MachineId, TimeInfo, Unavailability};

    use super::*;
    use crate::testing::Cluster;

    fn machine(hostname: &str) -> MachineId {
        MachineId {
            hostname: Some(hostname.to_owned()),
            ip: None,
        }
    }

    fn window(machines: &[&str], duration: i64) -> Window {
        Window {
            machine_ids: machines.iter().map(|name| machine(name)).collect(),
            unavailability: Unavailability {
                start: TimeInfo { nanoseconds: 7 },
                duration: Some(DurationInfo {
                    nanoseconds: duration,
                }),
            },
        }
    }

    fn update(windows: Vec<Window>) -> Command {
        Command::UpdateMaintenanceSchedule(UpdateMaintenanceSchedule {
            schedule: Some(Schedule { windows }),
        })
    }

    fn start(name: &str) -> Command {
        Command::StartMaintenance(StartMaintenance {
            machines: vec![machine(name)],
        })
    }

    fn stop(name: &str) -> Command {
        Command::StopMaintenance(StopMaintenance {
            machines: vec![machine(name)],
        })
    }

    fn refusal(cluster: &mut Cluster, command: Command) -> String {
        cluster.rejected(command).to_string()
    }

    #[test]
    fn bad_schedules_are_refused() {
        let mut cluster = Cluster::new();
        for (windows, text) in [
            (vec![window(&[], 1)], "is empty"),
            (vec![window(&["a"], -1)], "'duration' is negative"),
            (vec![window(&["a"], 1), window(&["A"], 1)], "more than once"),
            (vec![window(&[""], 1)], "Both 'hostname' and 'ip'"),
        ] {
            let refusal = refusal(&mut cluster, update(windows));
            assert!(refusal.contains(text), "{refusal}");
        }
        let mut bad = window(&["a"], 1);
        bad.machine_ids[0].ip = Some("nope".to_owned());
        assert!(refusal(&mut cluster, update(vec![bad])).contains("'nope'"));
    }

    #[test]
    fn a_machine_goes_down_and_comes_up() {
        let mut cluster = Cluster::new();
        let text = refusal(&mut cluster, start("a"));
        assert_eq!(
            text,
            r#"Machine '{"hostname":"a"}' is not part of a maintenance schedule"#
        );
        cluster.done(update(vec![window(&["a", "b"], 1)]));
        assert!(refusal(&mut cluster, stop("a")).contains("is not in DOWN mode"));
        cluster.done(start("A"));
        assert!(refusal(&mut cluster, start("a")).contains("is not in DRAINING mode"));
        let text = refusal(&mut cluster, update(vec![window(&["b"], 1)]));
        assert!(
            text.contains("cannot be removed from the schedule"),
            "{text}"
        );
        assert!(cluster.registry.maintenance().forbids("a", "10.0.0.1:1"));
        let restored = Registry::restore(cluster.registry.chunks()).unwrap();
        assert_eq!(restored.diff(&cluster.registry), [""; 0]);
        assert!(restored.maintenance().is_down(&machine("a")));
        cluster.done(stop("a"));
        let left = &cluster.registry.maintenance().schedule.windows;
        assert_eq!(left, &[window(&["b"], 1)]);
        assert!(!cluster.registry.maintenance().forbids("a", "10.0.0.1:1"));
        cluster.done(update(Vec::new()));
        assert!(cluster.registry.maintenance().is_empty());
    }
}
