//! Lists and states of what there is; what this version cannot do is answered with what there is of it.

use agent::tools::{self, Risk, Tool as AgentTool};
use base::clock;
use protocol::Refusal;
use protocol::catalogues::{
    Bins, Channels, Commands, CronJobs, CronPast, CronState, Nothing, OfAgent, Questions, Skills, Talk,
    TaskSuggestions, Tasks, Tool, ToolGroup, ToolProfile, Tools, Tts, TtsSpeakers, Update, Voicewake,
};
use serde_json::{Map, Value};

use crate::VERSION;
use crate::agents::Agent;
use crate::commands;
use crate::table::Caller;

/// The one set of tools that there is.
const FULL: &str = "full";

pub(super) async fn tools_catalog(caller: Caller, params: OfAgent) -> Result<Tools, Refusal> {
    let agent = meant(&caller, &params)?;
    Ok(grouped(agent.id, tools::ALL))
}

pub(super) async fn tools_effective(caller: Caller, params: OfAgent) -> Result<Tools, Refusal> {
    let agent = meant(&caller, &params)?;
    let allowed = agent.tools(&caller.gateway.force().config.tools);
    Ok(grouped(agent.id, &allowed))
}

/// Which agent a request is about: by name, or by a conversation.
fn meant(caller: &Caller, params: &OfAgent) -> Result<Agent, Refusal> {
    let gateway = &caller.gateway;
    match (&params.agent_id, &params.session_key) {
        (None, Some(key)) => gateway.agent(Some(gateway.session_key(key)?.agent())),
        (named, _) => gateway.agent(named.as_deref()),
    }
}

fn grouped(agent_id: String, all: &[&dyn AgentTool]) -> Tools {
    let group = |id: &str, label: &str, runs: bool| {
        let own = all.iter().filter(|it| (it.risk() == Risk::Executes) == runs);
        let (id, label) = (id.to_owned(), label.to_owned());
        ToolGroup { id, label, source: "core".to_owned(), tools: own.map(|it| tool(*it)).collect() }
    };
    let mut groups = vec![group("fs", "Files", false), group("runtime", "Commands", true)];
    groups.retain(|it| !it.tools.is_empty());
    Tools { agent_id, profiles: vec![ToolProfile { id: FULL.to_owned(), label: "Full".to_owned() }], groups }
}

fn tool(it: &dyn AgentTool) -> Tool {
    let spec = it.spec();
    let risk = match it.risk() {
        Risk::Reads => "low",
        Risk::Writes => "medium",
        Risk::Executes => "high",
    };
    Tool {
        id: spec.name.clone().into_owned(),
        label: spec.name.into_owned(),
        description: spec.description.into_owned(),
        source: "core".to_owned(),
        risk: risk.to_owned(),
        default_profiles: vec![FULL.to_owned()],
    }
}

pub(super) async fn commands(_: Caller, _: OfAgent) -> Result<Commands, Refusal> {
    Ok(Commands { commands: commands::listed() })
}

pub(super) async fn skills(caller: Caller, params: OfAgent) -> Result<Skills, Refusal> {
    let agent = meant(&caller, &params)?;
    Ok(Skills {
        agent_id: agent.id,
        workspace_dir: agent.workspace.display().to_string(),
        managed_skills_dir: caller.gateway.instance.state_dir.join("skills").display().to_string(),
        skills: Vec::new(),
    })
}

pub(super) async fn skills_bins(_: Caller, _: Nothing) -> Result<Bins, Refusal> {
    Ok(Bins { bins: Vec::new() })
}

pub(super) async fn cron_list(_: Caller, _: Nothing) -> Result<CronJobs, Refusal> {
    Ok(CronJobs { jobs: Vec::new(), total: 0, offset: 0, has_more: false, next_offset: None })
}

pub(super) async fn cron_status(caller: Caller, _: Nothing) -> Result<CronState, Refusal> {
    let store_path = caller.gateway.archive.path().display().to_string();
    Ok(CronState { enabled: false, store_path, jobs: 0, next_wake_at_ms: None })
}

pub(super) async fn cron_runs(_: Caller, _: Nothing) -> Result<CronPast, Refusal> {
    Ok(CronPast { entries: Vec::new() })
}

pub(super) async fn channels(caller: Caller, _: Nothing) -> Result<Channels, Refusal> {
    Ok(Channels {
        ts: clock::now_ms(),
        channel_order: Vec::new(),
        channel_labels: Map::new(),
        channel_detail_labels: Map::new(),
        channel_system_images: Map::new(),
        channel_meta: Vec::new(),
        channels: Map::new(),
        channel_accounts: Map::new(),
        channel_default_account_id: Map::new(),
        status_issues: caller.gateway.conflicts(),
    })
}

pub(super) async fn voicewake(_: Caller, _: Nothing) -> Result<Voicewake, Refusal> {
    Ok(Voicewake { triggers: Vec::new() })
}

pub(super) async fn tts(_: Caller, _: Nothing) -> Result<Tts, Refusal> {
    Ok(Tts {
        enabled: false,
        auto: "off".to_owned(),
        provider: None,
        fallback_provider: None,
        fallback_providers: Vec::new(),
        provider_states: Vec::new(),
    })
}

pub(super) async fn tts_providers(_: Caller, _: Nothing) -> Result<TtsSpeakers, Refusal> {
    Ok(TtsSpeakers { providers: Vec::new(), active: None })
}

pub(super) async fn talk(_: Caller, _: Nothing) -> Result<Talk, Refusal> {
    Ok(Talk { config: Map::new() })
}

pub(super) async fn heartbeat(_: Caller, _: Nothing) -> Result<Option<Value>, Refusal> {
    Ok(None)
}

pub(super) async fn questions(_: Caller, _: Nothing) -> Result<Questions, Refusal> {
    Ok(Questions { questions: Vec::new() })
}

pub(super) async fn plugin_approvals(_: Caller, _: Nothing) -> Result<Vec<Value>, Refusal> {
    Ok(Vec::new())
}

pub(super) async fn task_suggestions(_: Caller, _: Nothing) -> Result<TaskSuggestions, Refusal> {
    Ok(TaskSuggestions { suggestions: Vec::new() })
}

pub(super) async fn tasks(_: Caller, _: Nothing) -> Result<Tasks, Refusal> {
    Ok(Tasks { tasks: Vec::new() })
}

pub(super) async fn update(_: Caller, _: Nothing) -> Result<Update, Refusal> {
    Ok(Update {
        sentinel: None,
        update_available: None,
        effective_channel: None,
        schedule: None,
        version: VERSION.to_owned(),
    })
}
