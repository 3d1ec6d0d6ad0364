//! Lists and states of what a gateway has: tools, commands, and the capabilities that this version does not have, which
//! are answered with what there is.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Callers, Method, Scope};

/// Parameters of a method that takes none that matter here.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Nothing {}

/// Parameters of a method that is about one agent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct OfAgent {
    /// The agent; the default one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Or one of its conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
}

/// `tools.catalog`: all tools that there are, whoever may use them.
pub enum ToolsCatalog {}

impl Method for ToolsCatalog {
    const NAME: &'static str = "tools.catalog";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = OfAgent;
    type Reply = Tools;
}

/// `tools.effective`: the tools that an agent may use by the config.
pub enum ToolsEffective {}

impl Method for ToolsEffective {
    const NAME: &'static str = "tools.effective";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = OfAgent;
    type Reply = Tools;
}

/// `commands.list`: what can be said with a slash.
pub enum CommandsList {}

impl Method for CommandsList {
    const NAME: &'static str = "commands.list";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = OfAgent;
    type Reply = Commands;
}

/// `skills.status`: skills; there are none yet.
pub enum SkillsStatus {}

impl Method for SkillsStatus {
    const NAME: &'static str = "skills.status";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = OfAgent;
    type Reply = Skills;
}

/// `skills.bins`: the programs that skills need, which a node host may let run by themselves. There are no skills here.
pub enum SkillsBins {}

impl Method for SkillsBins {
    const NAME: &'static str = "skills.bins";
    const SCOPE: Option<Scope> = None;
    const CALLERS: Callers = Callers::Nodes;
    type Params = Nothing;
    type Reply = Bins;
}

/// `payload` of `skills.bins`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bins {
    /// Their names; empty.
    pub bins: Vec<String>,
}

/// `cron.list`: timed jobs; there are none yet.
pub enum CronList {}

impl Method for CronList {
    const NAME: &'static str = "cron.list";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = CronJobs;
}

/// `cron.status`: whether timed jobs run: not yet.
pub enum CronStatus {}

impl Method for CronStatus {
    const NAME: &'static str = "cron.status";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = CronState;
}

/// `cron.runs`: past runs of timed jobs; there are none yet.
pub enum CronRuns {}

impl Method for CronRuns {
    const NAME: &'static str = "cron.runs";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = CronPast;
}

/// `channels.status`: messaging channels and their accounts; there are none yet.
pub enum ChannelsStatus {}

impl Method for ChannelsStatus {
    const NAME: &'static str = "channels.status";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = Channels;
}

/// `voicewake.get`: the words that wake a device; there are none yet.
pub enum VoicewakeGet {}

impl Method for VoicewakeGet {
    const NAME: &'static str = "voicewake.get";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = Voicewake;
}

/// `tts.status`: whether answers are spoken: not yet.
pub enum TtsStatus {}

impl Method for TtsStatus {
    const NAME: &'static str = "tts.status";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = Tts;
}

/// `tts.providers`: who can speak; nobody yet.
pub enum TtsProviders {}

impl Method for TtsProviders {
    const NAME: &'static str = "tts.providers";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = TtsSpeakers;
}

/// `talk.config`: what holds for talks; nothing yet.
pub enum TalkConfig {}

impl Method for TalkConfig {
    const NAME: &'static str = "talk.config";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = Talk;
}

/// `last-heartbeat`: the last heartbeat; null, as this version has none.
pub enum LastHeartbeat {}

impl Method for LastHeartbeat {
    const NAME: &'static str = "last-heartbeat";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = Option<Value>;
}

/// `question.list`: questions that wait for a person; there are none yet.
pub enum QuestionList {}

impl Method for QuestionList {
    const NAME: &'static str = "question.list";
    const SCOPE: Option<Scope> = Some(Scope::Questions);
    type Params = Nothing;
    type Reply = Questions;
}

/// `plugin.approval.list`: what plugins ask leave for; there are no plugins.
pub enum PluginApprovalList {}

impl Method for PluginApprovalList {
    const NAME: &'static str = "plugin.approval.list";
    const SCOPE: Option<Scope> = Some(Scope::Approvals);
    type Params = Nothing;
    type Reply = Vec<Value>;
}

/// `taskSuggestions.list`: suggested tasks; there are none yet.
pub enum TaskSuggestionsList {}

impl Method for TaskSuggestionsList {
    const NAME: &'static str = "taskSuggestions.list";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = TaskSuggestions;
}

/// `tasks.list`: tasks in the background; there are none yet.
pub enum TasksList {}

impl Method for TasksList {
    const NAME: &'static str = "tasks.list";
    const SCOPE: Option<Scope> = Some(Scope::Read);
    type Params = Nothing;
    type Reply = Tasks;
}

/// `update.status`: whether a newer version is known; nobody is asked.
pub enum UpdateStatus {}

impl Method for UpdateStatus {
    const NAME: &'static str = "update.status";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = Nothing;
    type Reply = Update;
}

/// `payload` of `tools.catalog` and `tools.effective`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tools {
    /// Whose.
    pub agent_id: String,
    /// Sets of tools by name; here there is one, with all of them.
    pub profiles: Vec<ToolProfile>,
    /// By kind.
    pub groups: Vec<ToolGroup>,
}

/// A set of tools.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolProfile {
    /// `full`.
    pub id: String,
    /// For people.
    pub label: String,
}

/// Tools of one kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolGroup {
    /// `fs`, `runtime`.
    pub id: String,
    /// For people.
    pub label: String,
    /// `core`: a part of the program.
    pub source: String,
    /// In the order in which models are told of them.
    pub tools: Vec<Tool>,
}

/// One tool.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// As models call it.
    pub id: String,
    /// For people.
    pub label: String,
    /// What models are told of it.
    pub description: String,
    /// `core`.
    pub source: String,
    /// `low`: it looks; `medium`: it changes files of the workspace; `high`: it runs programs.
    pub risk: String,
    /// The sets that it is in.
    pub default_profiles: Vec<String>,
}

/// `payload` of `commands.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Commands {
    /// In the order of `/help`.
    pub commands: Vec<Command>,
}

/// One command.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Without the slash.
    pub name: String,
    /// As it is written, other names included.
    pub text_aliases: Vec<String>,
    /// For people.
    pub description: String,
    /// `session`, `options`, `status` or `tools`.
    pub category: String,
    /// `native`: a part of the program.
    pub source: String,
    /// `text`: it is written into the conversation.
    pub scope: String,
    /// Whether anything may stand behind it.
    pub accepts_args: bool,
}

/// `payload` of `skills.status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Skills {
    /// The agent.
    pub agent_id: String,
    /// Its folder.
    pub workspace_dir: String,
    /// Where skills of the whole instance belong.
    pub managed_skills_dir: String,
    /// Empty.
    pub skills: Vec<Value>,
}

/// `payload` of `cron.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CronJobs {
    /// Empty.
    pub jobs: Vec<Value>,
    /// 0.
    pub total: u64,
    /// 0.
    pub offset: u64,
    /// False.
    pub has_more: bool,
    /// Null.
    pub next_offset: Option<u64>,
}

/// `payload` of `cron.status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CronState {
    /// False.
    pub enabled: bool,
    /// The database of the instance.
    pub store_path: String,
    /// 0.
    pub jobs: u64,
    /// Null.
    pub next_wake_at_ms: Option<u64>,
}

/// `payload` of `cron.runs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CronPast {
    /// Empty.
    pub entries: Vec<Value>,
}

/// `payload` of `channels.status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Channels {
    /// Unix milliseconds.
    pub ts: u64,
    /// Empty, as all that follows.
    pub channel_order: Vec<String>,
    /// By channel.
    pub channel_labels: Map<String, Value>,
    /// By channel.
    pub channel_detail_labels: Map<String, Value>,
    /// By channel.
    pub channel_system_images: Map<String, Value>,
    /// One a channel.
    pub channel_meta: Vec<Value>,
    /// By channel.
    pub channels: Map<String, Value>,
    /// By channel.
    pub channel_accounts: Map<String, Value>,
    /// By channel.
    pub channel_default_account_id: Map<String, Value>,
    /// What is not used here because another instance holds it, for people.
    pub status_issues: Vec<String>,
}

/// `payload` of `voicewake.get`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Voicewake {
    /// Empty.
    pub triggers: Vec<String>,
}

/// `payload` of `tts.status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tts {
    /// False.
    pub enabled: bool,
    /// `off`.
    pub auto: String,
    /// Null.
    pub provider: Option<String>,
    /// Null.
    pub fallback_provider: Option<String>,
    /// Empty.
    pub fallback_providers: Vec<String>,
    /// Empty.
    pub provider_states: Vec<Value>,
}

/// `payload` of `tts.providers`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TtsSpeakers {
    /// Empty.
    pub providers: Vec<Value>,
    /// Null.
    pub active: Option<String>,
}

/// `payload` of `talk.config`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Talk {
    /// Empty.
    pub config: Map<String, Value>,
}

/// `payload` of `question.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Questions {
    /// Empty.
    pub questions: Vec<Value>,
}

/// `payload` of `taskSuggestions.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskSuggestions {
    /// Empty.
    pub suggestions: Vec<Value>,
}

/// `payload` of `tasks.list`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tasks {
    /// Empty.
    pub tasks: Vec<Value>,
}

/// `payload` of `update.status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// Null: no update was begun.
    pub sentinel: Option<Value>,
    /// Null: this version asks nobody for newer ones.
    pub update_available: Option<Value>,
    /// Null.
    pub effective_channel: Option<String>,
    /// Null.
    pub schedule: Option<Value>,
    /// The version that runs.
    pub version: String,
}
