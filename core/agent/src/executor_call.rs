//! Calls of executors other than SUBSCRIBE, in the order of checks of Mesos' agent
//! (Mesos: Http::executor in src/slave/http.cpp).

use caprock_model::{ExecutorId, FrameworkId};
use caprock_proto::mesos::v1::executor::{Call, call};

use crate::agent::Agent;
use crate::effect::Reply;
use crate::input::RequestId;
use crate::view::{ExecutorState, Phase};

impl Agent {
    pub(crate) fn executor_call(&mut self, request: RequestId, call: Call) {
        if call.r#type() == call::Type::Heartbeat {
            return self.reply(request, Reply::Accepted);
        }
        if matches!(self.phase, Phase::Starting | Phase::Recovering) {
            let text = "Agent has not finished recovery";
            return self.reply(request, Reply::Unavailable(text.to_string()));
        }
        let framework = FrameworkId::from(&call.framework_id);
        let executor = ExecutorId::from(&call.executor_id);
        let Some(owner) = self.frameworks.get(&framework) else {
            let text = "Framework cannot be found";
            return self.reply(request, Reply::BadRequest(text.to_string()));
        };
        let found = owner
            .executors
            .get(&executor)
            .filter(|found| found.is_custom());
        let Some(state) = found.map(|found| found.state) else {
            let text = "Executor cannot be found";
            return self.reply(request, Reply::BadRequest(text.to_string()));
        };
        if state == ExecutorState::Registering {
            let text = "Executor is not subscribed";
            return self.reply(request, Reply::Forbidden(text.to_string()));
        }
        match call.r#type() {
            call::Type::Update => {
                self.reply(request, Reply::Accepted);
                if let Some(update) = call.update {
                    self.executor_update(&framework, &executor, update.status);
                }
            }
            call::Type::Message => {
                self.reply(request, Reply::Accepted);
                if let Some(message) = call.message {
                    self.message_of_executor(&framework, &executor, message.data);
                }
            }
            // The shell answers SUBSCRIBE by itself and refuses what it does not know.
            call::Type::Subscribe | call::Type::Unknown | call::Type::Heartbeat => {
                self.reply(request, Reply::BadRequest("Unexpected call".to_string()));
            }
        }
    }
}
