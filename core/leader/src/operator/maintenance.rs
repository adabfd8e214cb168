//! UPDATE_MAINTENANCE_SCHEDULE, START_MAINTENANCE and STOP_MAINTENANCE (Mesos:
//! src/master/http.cpp `_updateMaintenanceSchedule` and its neighbours).

use caprock_proto::caprock::registry::{
    StartMaintenance, StopMaintenance, UpdateMaintenanceSchedule, entry::Command,
};
use caprock_proto::mesos::v1::MachineId;
use caprock_proto::mesos::v1::maintenance::Schedule;

use crate::effect::Reply;
use crate::input::RequestId;
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::turn::Turn;

/// Who asked, and under which name.
type Asked = (RequestId, Option<String>);

impl Office {
    pub(super) fn update_schedule(
        &mut self,
        turn: &mut Turn<'_>,
        asked: Asked,
        schedule: Schedule,
    ) {
        let checked = turn.registry.maintenance().check_schedule(&schedule);
        let command = Command::UpdateMaintenanceSchedule(UpdateMaintenanceSchedule {
            schedule: Some(schedule),
        });
        self.propose_maintenance(turn, asked, checked, command);
    }

    pub(super) fn start_maintenance(
        &mut self,
        turn: &mut Turn<'_>,
        asked: Asked,
        machines: Vec<MachineId>,
    ) {
        let checked = turn.registry.maintenance().check_start(&machines);
        let command = Command::StartMaintenance(StartMaintenance { machines });
        self.propose_maintenance(turn, asked, checked, command);
    }

    pub(super) fn stop_maintenance(
        &mut self,
        turn: &mut Turn<'_>,
        asked: Asked,
        machines: Vec<MachineId>,
    ) {
        let checked = turn.registry.maintenance().check_stop(&machines);
        let command = Command::StopMaintenance(StopMaintenance { machines });
        self.propose_maintenance(turn, asked, checked, command);
    }

    fn propose_maintenance(
        &mut self,
        turn: &mut Turn<'_>,
        (request, principal): Asked,
        checked: Result<(), String>,
        command: Command,
    ) {
        if let Err(text) = checked {
            return turn.reply(request, Reply::BadRequest(text));
        }
        let principal = principal.unwrap_or_default();
        self.propose_for(turn, principal, command, Pending::Maintenance { request });
    }

    pub(crate) fn maintenance_applied(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        verdict: &Verdict,
    ) {
        match verdict {
            Verdict::Applied(_) => {
                turn.reply(request, Reply::Ok);
                self.windows.clear_machines();
                self.look_at_machines(turn);
                self.make_inverse_offers(turn);
            }
            Verdict::Rejected(rejection) => {
                turn.reply(request, Reply::BadRequest(rejection.to_string()));
            }
            Verdict::Refused | Verdict::Unknown => turn.unavailable(request),
        }
    }
}
