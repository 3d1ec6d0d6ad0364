//! The way of a command, of a turn or of a program that has the secret: what it comes to, what the policy says, whom to ask, and only then the run of
//! exactly what was shown.

use std::sync::Arc;
use std::time::Duration;

use agent::tools::{Ask, Plan, Security};
use agent::{Outcome, Tool, Workbench};
use futures_util::future::BoxFuture;
use protocol::approvals::{Asked, Decision};
use providers::ToolCall;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::policy::{self, Policy};
use super::{ABORTED, NO_ROUTE, Question, Request, Settled, ask};
use crate::keys::SessionKey;
use crate::runs::Run;
use crate::state::Gateway;

/// How long a turn has waited for people. That time is not the turn's own.
#[derive(Debug, Default)]
pub(crate) struct Held(watch::Sender<(bool, Duration)>);

impl Held {
    /// Waits until `end` has passed, not counting the time in which a person was waited for.
    pub(crate) async fn until(&self, end: Instant) {
        let mut watch = self.0.subscribe();
        loop {
            let held = watch.wait_for(|(is_waiting, _)| !is_waiting).await.map_or(Duration::ZERO, |it| it.1);
            let end = end + held;
            if Instant::now() >= end {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }

    async fn during<T>(&self, waiting: impl Future<Output = T>) -> T {
        let since = Instant::now();
        self.0.send_modify(|it| it.0 = true);
        let done = waiting.await;
        self.0.send_modify(|it| *it = (false, it.1 + since.elapsed()));
        done
    }
}

/// Who wants a command to run, and where.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) gateway: &'a Arc<Gateway>,
    /// The conversation that it is for.
    pub(crate) key: &'a SessionKey,
    /// The turn, or the request that has none.
    pub(crate) run_id: &'a str,
    pub(crate) bench: &'a Workbench,
    pub(crate) held: &'a Held,
}

impl<'a> Wish<'a> {
    /// That of a turn.
    pub(crate) fn of_turn(
        gateway: &'a Arc<Gateway>,
        run: &'a Run,
        bench: &'a Workbench,
        held: &'a Held,
    ) -> Self {
        Self { gateway, key: &run.ask.key, run_id: &run.ask.run_id, bench, held }
    }
}

/// Runs a command, if it may.
pub(crate) fn guarded<'a>(
    tool: &'static dyn Tool,
    call: &ToolCall,
    wish: Wish<'a>,
) -> BoxFuture<'a, Outcome> {
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    let call_id = call.id.clone();
    Box::pin(async move {
        match wish.consider(&arguments, &call_id).await {
            Ok(Some(plan)) => wish.bench.carry_out(&plan).await,
            Ok(None) => tool.run(arguments, wish.bench).await,
            Err(outcome) => outcome,
        }
    })
}

/// What the config says.
pub(super) fn of_config(gateway: &Gateway) -> Policy {
    let force = gateway.force();
    let it = &force.config.tools.exec;
    Policy { security: it.security, ask: it.ask, fallback: it.ask_fallback }
}

fn denied(why: &str) -> Outcome {
    Outcome::failed(format!("the command was not run: {why}"))
}

impl Wish<'_> {
    /// What may run: a plan, or without one whatever the text says, where nothing is restricted.
    async fn consider(&self, arguments: &Value, call_id: &str) -> Result<Option<Plan>, Outcome> {
        let agent = self.key.agent();
        let read = || policy::read(&self.gateway.instance.state_dir).map_err(|why| denied(&why));
        let (document, config) = (read()?.document, of_config(self.gateway));
        let policy = document.policy(agent, config);
        match (policy.security, policy.ask) {
            (Security::Deny, _) => return Err(denied("commands are switched off (security deny)")),
            (Security::Full, Ask::Off | Ask::OnMiss) => return Ok(None),
            _ => {}
        }
        let plan = self.bench.plan(arguments.clone())?;
        let home = self.bench.home();
        let is_listed = document.allows(agent, &plan, home);
        match (policy.ask, is_listed) {
            (Ask::Off | Ask::OnMiss, true) => return Ok(Some(plan)),
            (Ask::Off, false) => {
                return Err(denied("it is not on the list of approvals, and nobody is asked (ask off)"));
            }
            _ => {}
        }
        let settled = self.ask(&plan, policy, call_id).await?;
        // What a person has decided meanwhile about all commands holds for this one too.
        let now = read()?.document;
        if now.policy(agent, of_config(self.gateway)).security == Security::Deny {
            return Err(denied("commands have been switched off (security deny)"));
        }
        match settled.decision {
            Some(Decision::Deny) => Err(denied("a person refused it. Do not try it again in another way")),
            Some(Decision::AllowOnce) => Ok(Some(plan)),
            Some(Decision::AllowAlways) => {
                self.remember(&plan, agent);
                Ok(Some(plan))
            }
            None if policy.fallback == Security::Full => Ok(Some(plan)),
            None if policy.fallback == Security::Allowlist && now.allows(agent, &plan, home) => {
                Ok(Some(plan))
            }
            None => Err(denied(match settled.reason {
                NO_ROUTE => "it needs the approval of a person, and nobody who may approve is connected",
                ABORTED => "the request for approval was withdrawn",
                _ => "it needs the approval of a person, and nobody answered in time",
            })),
        }
    }

    async fn ask(&self, plan: &Plan, policy: Policy, call_id: &str) -> Result<Settled, Outcome> {
        let word = |it: Value| it.as_str().map(str::to_owned);
        let decisions = match plan.argv {
            Some(_) => vec![Decision::AllowOnce, Decision::AllowAlways, Decision::Deny],
            // A text that a shell reads is never on the list.
            None => vec![Decision::AllowOnce, Decision::Deny],
        };
        let asked = Asked {
            command: Some(plan.text.clone()),
            command_argv: plan.argv.clone(),
            cwd: Some(plan.folder.display().to_string()),
            host: Some("gateway".to_owned()),
            security: word(serde_json::to_value(policy.security).unwrap_or_default()),
            ask: word(serde_json::to_value(policy.ask).unwrap_or_default()),
            agent_id: Some(self.key.agent().to_owned()),
            resolved_path: Some(plan.program.display().to_string()),
            resolved_sha256: Some(plan.digest.clone()),
            session_key: Some(self.key.as_str().to_owned()),
            run_id: Some(self.run_id.to_owned()),
            tool_call_id: Some(call_id.to_owned()),
            node_id: None,
            env_keys: Some(plan.env.clone()),
            warning_text: warning(plan),
            allowed_decisions: Some(decisions),
        };
        let question = Question { id: None, asked, patience: None, asker: None };
        let request = ask(self.gateway, question).map_err(|it| denied(&it.message))?;
        let open = Open { gateway: self.gateway, request: &request };
        let settled = self.held.during(request.settled()).await;
        drop(open);
        let (id, decision) = (&request.pending.id, settled.decision);
        info!(approval = id, run = self.run_id, ?decision, reason = settled.reason, "an approval ended");
        Ok(settled)
    }

    fn remember(&self, plan: &Plan, agent: &str) {
        let _one = self.gateway.approvals.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let written = policy::read(&self.gateway.instance.state_dir).and_then(|mut it| {
            it.document.allow(agent, plan);
            policy::write(&it.path, &it.document)
        });
        if let Err(why) = written {
            warn!("what was always allowed is not remembered: {why}");
        }
    }
}

/// A request whose turn waits: when the turn is stopped, it ends too.
struct Open<'a> {
    gateway: &'a Gateway,
    request: &'a Request,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.request.settle(self.gateway, Settled::nobody(ABORTED));
    }
}

/// What a person should think of.
fn warning(plan: &Plan) -> Option<String> {
    let hidden = |it: char| {
        it.is_control()
            || matches!(it, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let mut words = Vec::new();
    if plan.argv.is_none() {
        words.push("A shell reads this text: it can do more than it seems to.");
    } else if plan.is_runner() {
        words.push("This program runs what its arguments say.");
    }
    if plan.text.chars().any(hidden) {
        words.push("The text has characters that are not seen, or more than one line.");
    }
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_spent_waiting_for_people_is_not_counted() {
        let held = Held::default();
        let began = Instant::now();
        let end = began + Duration::from_secs(10);
        let wait = held.during(tokio::time::timeout(Duration::from_secs(60), std::future::pending::<()>()));
        let (waited, ()) = tokio::join!(wait, held.until(end));
        assert!(waited.is_err());
        assert_eq!(began.elapsed().as_secs(), 70);
        let later = Instant::now();
        held.until(later).await;
        assert_eq!(later.elapsed().as_secs(), 60, "what was held before still counts");
    }
}
