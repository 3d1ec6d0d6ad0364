//! `wizard.*`: a set-up, walked step by step from afar. One walk at a time; what is secret never comes back.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Method, Scope};

/// `wizard.start`: begins a walk.
pub enum Start {}

impl Method for Start {
    const NAME: &'static str = "wizard.start";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = StartParams;
    type Reply = Progress;
}

/// `wizard.next`: answers the step, and is given the next one.
pub enum Next {}

impl Method for Next {
    const NAME: &'static str = "wizard.next";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = NextParams;
    type Reply = Progress;
}

/// `wizard.cancel`: ends the walk; nothing was written.
pub enum Cancel {}

impl Method for Cancel {
    const NAME: &'static str = "wizard.cancel";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = SessionParams;
    type Reply = State;
}

/// `wizard.status`: how the walk is.
pub enum Status {}

impl Method for Status {
    const NAME: &'static str = "wizard.status";
    const SCOPE: Option<Scope> = Some(Scope::Admin);
    type Params = SessionParams;
    type Reply = State;
}

/// `params` of `wizard.start`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StartParams {
    /// `local`; nothing else can be set up from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The answer to the step of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// `quickstart` or `advanced`; asked for when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
}

/// `params` of `wizard.next`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NextParams {
    /// The walk.
    pub session_id: String,
    /// Without one, the step is only shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// An answer. It may hold a secret, so it has no `Debug` that shows it.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The step that it answers.
    pub step_id: String,
    /// What is answered; the step's initial value when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Instead of an answer: go back to the step before this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub back: bool,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("step_id", &self.step_id).finish_non_exhaustive()
    }
}

/// `params` of `wizard.cancel` and `wizard.status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionParams {
    /// The walk.
    pub session_id: String,
}

/// How a walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// A step waits.
    Running,
    /// It was written.
    Done,
    /// Nothing was written.
    Cancelled,
    /// It could not be written.
    Error,
}

/// `payload` of `wizard.start` and `wizard.next`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The walk; only after the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Whether it is over.
    pub done: bool,
    /// What is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// How it is.
    pub status: Word,
    /// What was wrong with the last answer, or with the writing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `payload` of `wizard.cancel` and `wizard.status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct State {
    /// How it is.
    pub status: Word,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a step is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// It is read.
    Note,
    /// One of the options.
    Select,
    /// A line.
    Text,
    /// Yes or no.
    Confirm,
    /// Any number of the options.
    Multiselect,
}

/// One step.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name.
    pub id: String,
    /// How it is answered.
    #[serde(rename = "type")]
    pub kind: StepKind,
    /// The part of the walk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The question, and what one should know first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What there is to choose from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
    /// What saying nothing answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_value: Option<Value>,
    /// An example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// Whether the answer must not be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<bool>,
    /// Who does what it leads to: `gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
}

/// One of the options.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Choice {
    /// What is answered.
    pub value: Value,
    /// What is shown.
    pub label: String,
    /// What helps to choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
