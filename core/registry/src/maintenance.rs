//! The maintenance schedule: which machines will be taken down when, and which are down
//! (Mesos: src/master/maintenance.cpp). A machine that is in no window is up.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use caprock_proto::MesosMessage;
use caprock_proto::caprock::registry::MaintenanceRecord;
use caprock_proto::mesos::v1::maintenance::Schedule;
use caprock_proto::mesos::v1::{MachineId, Unavailability};

use crate::{Agent, Registry, Set};

/// A machine by name, address, or both. Names do not differ by upper and lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Machine {
    hostname: Arc<str>,
    ip: Arc<str>,
}

impl From<&MachineId> for Machine {
    fn from(id: &MachineId) -> Self {
        Self {
            hostname: id.hostname().to_lowercase().into(),
            ip: id.ip().into(),
        }
    }
}

impl Machine {
    /// Whether the agent runs on it: all that is said of the machine is true of the agent.
    /// (Mesos wants both name and address said, and agrees on nothing less.)
    pub fn holds(&self, agent: &Agent) -> bool {
        self.is_at(&agent.info.hostname, &agent.address)
    }

    /// The same of an agent that is not in the log (yet).
    pub fn is_at(&self, hostname: &str, address: &str) -> bool {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let ip = host.trim_matches(['[', ']']);
        (self.hostname.is_empty() || *self.hostname == *hostname.to_lowercase())
            && (self.ip.is_empty() || *self.ip == *ip)
    }

    fn to_proto(&self) -> MachineId {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        MachineId {
            hostname: given(&self.hostname),
            ip: given(&self.ip),
        }
    }
}

/// The schedule and what came of it.
#[derive(Clone, Debug)]
pub struct Maintenance {
    /// As the operator gave it.
    pub schedule: Arc<Schedule>,
    /// Machines of the schedule that are down; the others are draining.
    pub down: Set<Machine>,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            schedule: Arc::default(),
            down: Set::new_sync(),
        }
    }
}

impl Maintenance {
    /// Whether nothing is planned.
    pub fn is_empty(&self) -> bool {
        self.schedule.windows.is_empty()
    }

    /// The machines of the schedule with their windows.
    pub fn machines(&self) -> impl Iterator<Item = (&MachineId, &Unavailability)> {
        self.schedule.windows.iter().flat_map(|window| {
            let ids = window.machine_ids.iter();
            ids.map(|id| (id, &window.unavailability))
        })
    }

    /// Whether a machine of the schedule is down.
    pub fn is_down(&self, machine: &MachineId) -> bool {
        self.down.contains(&Machine::from(machine))
    }

    /// When the agent's machine will be down, if that is planned.
    pub fn window_of(&self, agent: &Agent) -> Option<&Unavailability> {
        let mut machines = self.machines();
        let found = machines.find(|(id, _)| Machine::from(*id).holds(agent));
        found.map(|(_, unavailability)| unavailability)
    }

    /// Whether an agent of this name and address (host:port) would be on a machine that is
    /// down.
    pub fn forbids(&self, hostname: &str, address: &str) -> bool {
        let mut down = self.down.iter();
        down.any(|machine| machine.is_at(hostname, address))
    }

    /// Whether this may become the schedule; the text is Mesos'.
    pub fn check_schedule(&self, schedule: &Schedule) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for window in &schedule.windows {
            if window.machine_ids.is_empty() {
                return Err("List of machines in the maintenance window is empty".to_owned());
            }
            let duration = window.unavailability.duration;
            if duration.is_some_and(|duration| duration.nanoseconds < 0) {
                return Err("Unavailability 'duration' is negative".to_owned());
            }
            check_ids(&window.machine_ids, &mut seen)?;
        }
        let missing = self.down.iter().find(|machine| !seen.contains(*machine));
        missing.map_or(Ok(()), |machine| {
            let text = text_of(&machine.to_proto());
            Err(format!(
                "Machine '{text}' is deactivated and cannot be removed from the schedule"
            ))
        })
    }

    /// Whether these machines may go down.
    pub fn check_start(&self, machines: &[MachineId]) -> Result<(), String> {
        self.check_scheduled(machines, false, "DRAINING", "down")
    }

    /// Whether these machines may come up.
    pub fn check_stop(&self, machines: &[MachineId]) -> Result<(), String> {
        self.check_scheduled(machines, true, "DOWN", "up")
    }

    fn check_scheduled(
        &self,
        machines: &[MachineId],
        down: bool,
        mode: &str,
        direction: &str,
    ) -> Result<(), String> {
        if machines.is_empty() {
            return Err("List of machines is empty".to_owned());
        }
        check_ids(machines, &mut BTreeSet::new())?;
        let scheduled: BTreeSet<Machine> = self.machines().map(|(id, _)| id.into()).collect();
        for id in machines {
            let text = text_of(id);
            if !scheduled.contains(&Machine::from(id)) {
                return Err(format!(
                    "Machine '{text}' is not part of a maintenance schedule"
                ));
            }
            if self.is_down(id) != down {
                return Err(format!(
                    "Machine '{text}' is not in {mode} mode and cannot be brought {direction}"
                ));
            }
        }
        Ok(())
    }

    /// Takes machines out of the schedule, and windows that are empty then.
    pub(crate) fn remove(&mut self, machines: &[MachineId]) {
        let gone: BTreeSet<Machine> = machines.iter().map(Machine::from).collect();
        let schedule = Arc::make_mut(&mut self.schedule);
        for window in &mut schedule.windows {
            window
                .machine_ids
                .retain(|id| !gone.contains(&Machine::from(id)));
        }
        schedule
            .windows
            .retain(|window| !window.machine_ids.is_empty());
        for machine in &gone {
            self.down.remove_mut(machine);
        }
    }

    pub(crate) fn to_record(&self) -> Option<MaintenanceRecord> {
        (!self.is_empty()).then(|| MaintenanceRecord {
            schedule: Some(Schedule::clone(&self.schedule)),
            down: self.down.iter().map(Machine::to_proto).collect(),
        })
    }

    pub(crate) fn from_record(record: &MaintenanceRecord) -> Self {
        Self {
            schedule: Arc::new(record.schedule.clone().unwrap_or_default()),
            down: record.down.iter().map(Machine::from).collect(),
        }
    }

    /// What contradicts itself, if anything.
    pub(crate) fn check(&self) -> Option<String> {
        self.check_schedule(&self.schedule)
            .err()
            .map(|text| format!("maintenance: {text}"))
    }
}

impl Registry {
    /// What is planned, and which machines are down.
    pub fn maintenance(&self) -> &Maintenance {
        &self.maintenance
    }
}

fn check_ids(machines: &[MachineId], seen: &mut BTreeSet<Machine>) -> Result<(), String> {
    for id in machines {
        if id.hostname().is_empty() && id.ip().is_empty() {
            return Err("Both 'hostname' and 'ip' for a machine are empty".to_owned());
        }
        if !id.ip().is_empty() && id.ip().parse::<IpAddr>().is_err() {
            return Err(format!("Failed to parse the IP '{}'", id.ip()));
        }
        if !seen.insert(Machine::from(id)) {
            let text = text_of(id);
            return Err(format!(
                "Machine '{text}' appears more than once in the schedule"
            ));
        }
    }
    Ok(())
}

fn text_of(id: &MachineId) -> String {
    let mut out = Vec::new();
    id.write_json(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_where_all_that_is_said_of_it_is_true() {
        let machine = |hostname: &str, ip: &str| {
            Machine::from(&MachineId {
                hostname: Some(hostname.to_owned()),
                ip: Some(ip.to_owned()),
            })
        };
        assert!(machine("Node1", "10.0.0.1").is_at("node1", "10.0.0.1:5051"));
        assert!(machine("node1", "").is_at("NODE1", "10.0.0.1:5051"));
        assert!(machine("", "::1").is_at("node1", "[::1]:5051"));
        assert!(!machine("node1", "10.0.0.2").is_at("node1", "10.0.0.1:5051"));
        assert!(!machine("node2", "10.0.0.1").is_at("node1", "10.0.0.1:5051"));
    }
}
