//! SUBSCRIBE: a framework's stream begins (Mesos: Master::subscribe and _subscribe).

use std::collections::BTreeSet;
use std::sync::Arc;

use caprock_model::{AgentId, FrameworkId, Role, validate};
use caprock_proto::caprock::registry::{SubscribeFramework, entry::Command};
use caprock_proto::caprock::session::{UpdateFramework, order::Order};
use caprock_proto::mesos::v1::scheduler::{self, call::Subscribe};
use caprock_proto::mesos::v1::{self, FrameworkInfo};
use caprock_registry::{Framework, Registry, Rejection};

use crate::call::principal_mismatch;
use crate::config::Config;
use crate::effect::Reply;
use crate::event;
use crate::input::{Caller, RequestId, TimerKey};
use crate::office::Office;
use crate::propose::{Pending, Verdict};
use crate::session::Session;
use crate::turn::Turn;

/// Mesos' text for a scheduler whose framework has subscribed elsewhere.
const FAILED_OVER: &str = "Framework failed over";

/// A subscription on its way through the log.
#[derive(Debug)]
pub(crate) struct PendingSubscription {
    pub request: RequestId,
    session: Session,
    framework: FrameworkId,
    /// What the framework was before, to see which roles and filters end.
    before: Option<Before>,
}

#[derive(Debug)]
struct Before {
    suppressed: BTreeSet<Role>,
}

impl Office {
    pub(crate) fn subscribe(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        caller: &Caller,
        session: Session,
        framework_id: Option<String>,
        mut subscribe: Subscribe,
    ) {
        self.metrics.count("master/messages_register_framework");
        if let Err(reply) = self.fence(caller) {
            return turn.reply(request, reply);
        }
        if let Err(text) = check_shape(caller, framework_id, &subscribe) {
            let text = format!("Failed to validate scheduler::Call: {text}");
            return turn.reply(request, Reply::BadRequest(text));
        }
        if subscribe.framework_info.principal.is_none() {
            subscribe
                .framework_info
                .principal
                .clone_from(&caller.principal);
        }
        let is_first = is_first(&subscribe);
        if let Some(key) = &caller.idempotency_key
            && is_first
        {
            subscribe.framework_info.id = created_by(turn.registry, key);
        }
        if let Err(text) = check_content(&self.config, turn.registry, &subscribe) {
            return refuse(turn, request, &session, &text);
        }
        let info = &mut subscribe.framework_info;
        let given = info
            .id
            .as_ref()
            .filter(|id| !id.value.is_empty())
            .map(FrameworkId::from);
        let framework = given.unwrap_or_else(|| self.new_framework_id());
        info.id = Some(framework.to_proto());
        if self.is_displaced(&framework, &session) {
            return refuse(turn, request, &session, FAILED_OVER);
        }
        let first_key = caller.idempotency_key.clone().filter(|_| is_first);
        let known = turn.registry.framework(&framework);
        let before = known.map(|known| Before {
            suppressed: known.suppressed.clone(),
        });
        self.sessions.begin(session.id, framework.clone());
        let principal = info.principal.clone().unwrap_or_default();
        let command = SubscribeFramework {
            info: Some(subscribe.framework_info),
            suppressed_roles: subscribe.suppressed_roles,
            offer_constraints: subscribe.offer_constraints,
            first_key: first_key.unwrap_or_default(),
        };
        let pending = PendingSubscription {
            request,
            session,
            framework,
            before,
        };
        let pending = Pending::Subscribe(Box::new(pending));
        self.propose_for(
            turn,
            principal,
            Command::SubscribeFramework(command),
            pending,
        );
    }

    pub(crate) fn subscribe_applied(
        &mut self,
        turn: &mut Turn<'_>,
        pending: PendingSubscription,
        verdict: Verdict,
    ) {
        let PendingSubscription {
            request,
            session,
            framework,
            before,
        } = pending;
        let still_there = self.sessions.finish(session.id);
        match verdict {
            Verdict::Applied(..) if !still_there => {
                turn.unavailable(request);
                self.abandoned(turn, &framework);
            }
            Verdict::Applied(..) => {
                // Removed again by an entry behind this one, which is applied already.
                let Some(known) = turn.registry.framework(&framework) else {
                    let text = Rejection::FrameworkRemoved(framework).to_string();
                    return refuse(turn, request, &session, &text);
                };
                let known = Arc::clone(known);
                if self.is_displaced(&framework, &session) {
                    return refuse(turn, request, &session, FAILED_OVER);
                }
                turn.reply(request, Reply::Stream(session.id));
                self.subscribed(turn, &known, session, before);
            }
            Verdict::Rejected(rejection) => {
                refuse(turn, request, &session, &rejection.to_string());
            }
            Verdict::Refused | Verdict::Unknown => {
                turn.unavailable(request);
                self.abandoned(turn, &framework);
            }
        }
    }

    /// A gateway wants to go on with a stream, but meanwhile the framework has another.
    fn is_displaced(&self, framework: &FrameworkId, session: &Session) -> bool {
        let current = self.sessions.of(framework);
        session.resumes && current.is_some_and(|current| current.key != session.key)
    }

    /// A subscription came to nothing after the log may have taken it.
    fn abandoned(&mut self, turn: &mut Turn<'_>, framework: &FrameworkId) {
        let known = turn.registry.framework(framework);
        if known.is_some_and(|known| known.subscribed) && !self.sessions.is_connected(framework) {
            self.framework_away(turn, framework);
        }
    }

    fn subscribed(
        &mut self,
        turn: &mut Turn<'_>,
        framework: &Arc<Framework>,
        session: Session,
        before: Option<Before>,
    ) {
        let id = &framework.id;
        self.inherited.remove(id);
        self.end_former_stream(turn, framework);
        let suppressed = before.map(|before| before.suppressed).unwrap_or_default();
        for role in suppressed.difference(&framework.suppressed) {
            self.filters.forget_role(id, role);
        }
        let stream = session.id;
        self.sessions.open(id.clone(), session);
        let interval = self.config.heartbeat_interval;
        let event = event::subscribed(id, interval.seconds_f64(), &self.master);
        turn.event(stream, event);
        turn.event(stream, event::heartbeat());
        turn.wake(turn.now + interval, TimerKey::Heartbeat(stream));
        turn.info(format!(
            "Framework {id} ({}) subscribed",
            framework.info.name
        ));
        self.tell_agents_about(turn, framework);
        self.request_allocation(turn);
    }

    /// The framework's former scheduler loses its stream, and its offers without a word;
    /// but offers of roles that the framework has no more are rescinded while it can hear.
    fn end_former_stream(&mut self, turn: &mut Turn<'_>, framework: &Framework) {
        let id = &framework.id;
        self.rescind_lost_roles(turn, framework);
        self.discard_offers_of(turn, id);
        if let Some(former) = self.sessions.of(id).map(|former| former.id) {
            turn.event(former, event::error(FAILED_OVER));
            turn.close(former);
            self.sessions.remove(former);
        }
    }

    pub(crate) fn rescind_lost_roles(&mut self, turn: &mut Turn<'_>, framework: &Framework) {
        let lost: Vec<_> = self
            .offers
            .of_framework(&framework.id)
            .into_iter()
            .filter(|id| {
                let offer = self.offers.get(id);
                offer.is_some_and(|offer| !framework.roles.contains(&offer.role))
            })
            .collect();
        for id in lost {
            self.rescind_offer(turn, &id);
        }
    }

    /// Agents that run the framework get its new info, and send what they have pending.
    pub(crate) fn tell_agents_about(&mut self, turn: &mut Turn<'_>, framework: &Framework) {
        let tasks = framework.tasks.values().map(|task| &task.agent_id);
        let executors = framework.executors.iter().map(|(agent, _)| agent);
        let agents: BTreeSet<&AgentId> = tasks.chain(executors).collect();
        for agent in agents {
            if let Some(session) = self.orders_go_to(agent) {
                let framework = Some((*framework.info).clone());
                turn.order(
                    session,
                    Order::UpdateFramework(UpdateFramework { framework }),
                );
            }
        }
    }
}

fn is_first(subscribe: &Subscribe) -> bool {
    let id = subscribe.framework_info.id.as_ref();
    id.is_none_or(|id| id.value.is_empty())
}

/// The framework that a first subscription with this key has created already: a call that
/// had to be sent again makes no second one.
fn created_by(registry: &Registry, key: &str) -> Option<v1::FrameworkId> {
    let mut frameworks = registry.frameworks();
    let created = frameworks.find(|framework| *framework.first_key == *key)?;
    Some(created.id.to_proto())
}

/// Problems with the content of a subscription are no HTTP errors: the stream begins and
/// ends with an ERROR event (Mesos: refuseSubscription in src/master/master.cpp).
fn refuse(turn: &mut Turn<'_>, request: RequestId, session: &Session, text: &str) {
    turn.reply(request, Reply::Stream(session.id));
    turn.event(session.id, event::error(text));
    turn.close(session.id);
}

fn check_shape(
    caller: &Caller,
    framework_id: Option<String>,
    subscribe: &Subscribe,
) -> Result<(), String> {
    let call = scheduler::Call {
        r#type: Some(scheduler::call::Type::Subscribe as i32),
        framework_id: framework_id.map(|value| FrameworkId::from(value).to_proto()),
        subscribe: Some(subscribe.clone()),
        ..scheduler::Call::default()
    };
    validate::scheduler_call(&call)?;
    if let Some(principal) = &caller.principal
        && let Some(claimed) = &subscribe.framework_info.principal
        && principal != claimed
    {
        return Err(principal_mismatch(principal, claimed));
    }
    Ok(())
}

fn check_content(
    config: &Config,
    registry: &Registry,
    subscribe: &Subscribe,
) -> Result<(), String> {
    let info = &subscribe.framework_info;
    check_info(config, registry, info)?;
    check_wishes(
        info,
        &subscribe.suppressed_roles,
        subscribe.offer_constraints.as_ref(),
    )?;
    let id = info.id.as_ref().map(FrameworkId::from).unwrap_or_default();
    match registry.framework(&id) {
        Some(known) if known.info.principal != info.principal => {
            Err("Changing framework's principal is not allowed.".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether this master takes a framework with this info.
pub(crate) fn check_info(
    config: &Config,
    registry: &Registry,
    info: &FrameworkInfo,
) -> Result<(), String> {
    validate::framework(info)?;
    if let Some(allowed) = &config.roles {
        let roles = caprock_model::roles_of(info);
        let foreign: Vec<&str> = roles.difference(allowed).map(Role::as_str).collect();
        if !foreign.is_empty() {
            let foreign = foreign.join(", ");
            return Err(format!(
                "Roles {{ {foreign} }} are not present in the master's --roles"
            ));
        }
    }
    if info.user == "root" && !config.root_submissions {
        let text = "User 'root' is not allowed to run frameworks without --root_submissions set";
        return Err(text.to_owned());
    }
    let id = info.id.as_ref().map(FrameworkId::from).unwrap_or_default();
    match registry.completed_framework(&id) {
        Some(_) => Err(Rejection::FrameworkRemoved(id).to_string()),
        None => Ok(()),
    }
}

/// Whether suppressed roles and offer constraints fit the framework.
pub(crate) fn check_wishes(
    info: &FrameworkInfo,
    suppressed_roles: &[String],
    constraints: Option<&scheduler::OfferConstraints>,
) -> Result<(), String> {
    validate::suppressed_roles(info, suppressed_roles)?;
    constraints.map_or(Ok(()), |constraints| {
        validate::offer_constraints(info, constraints)
    })
}
