//! A step as data: what is asked, what may be answered, and what the answer does. Nothing here knows a terminal.

use base::Secret;
use serde_json::{Value, json};

use super::draft::Draft;
use super::live::Probe;
use super::scene::Scene;

/// A part of the walk; `configure` enters them one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// What is there, and which instance it is about.
    Host,
    /// Where the agent's files are.
    Workspace,
    /// Who answers.
    Model,
    /// Where messages come from.
    Channels,
    /// The port, and who may talk to it.
    Gateway,
    /// What starts it.
    Daemon,
    /// What will be written.
    Summary,
}

impl Section {
    /// The sections that can be entered by name, in the order of the walk.
    pub const NAMED: [Section; 5] =
        [Section::Workspace, Section::Model, Section::Channels, Section::Gateway, Section::Daemon];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Section::Host => "host",
            Section::Workspace => "workspace",
            Section::Model => "model",
            Section::Channels => "channels",
            Section::Gateway => "gateway",
            Section::Daemon => "daemon",
            Section::Summary => "summary",
        }
    }

    /// The heading for people.
    pub fn title(self) -> &'static str {
        match self {
            Section::Host => "Set-up",
            Section::Workspace => "Workspace",
            Section::Model => "Model",
            Section::Channels => "Channels",
            Section::Gateway => "Gateway",
            Section::Daemon => "Running it",
            Section::Summary => "Summary",
        }
    }

    /// The section with this name; `access` and `service` are other names of two of them.
    pub fn parse(name: &str) -> Option<Self> {
        let name = match name {
            "access" => "gateway",
            "service" => "daemon",
            other => other,
        };
        Self::NAMED.into_iter().find(|it| it.name() == name)
    }
}

/// How a step is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is only read.
    Note,
    /// One of the choices; where `free`, or a text of one's own.
    Select {
        /// Whether another value than those that are offered may be named.
        free: bool,
    },
    /// A line.
    Text,
    /// A line that is not shown while it is typed, and never afterwards.
    Secret,
    /// Yes or no.
    Confirm,
    /// Any number of the choices.
    Multiselect,
}

/// One of several answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What is answered.
    pub value: String,
    /// What is shown.
    pub label: String,
    /// What helps to choose; may be empty.
    pub hint: String,
}

impl Choice {
    pub(super) fn new(value: &str, label: &str, hint: impl Into<String>) -> Self {
        Self { value: value.to_owned(), label: label.to_owned(), hint: hint.into() }
    }
}

/// A step as it is shown now.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name in files of answers and over RPC.
    pub id: String,
    /// The part of the walk that it belongs to.
    pub section: Section,
    /// How it is answered.
    pub kind: Kind,
    /// The question, or the heading of a note.
    pub question: String,
    /// What one should know first, a paragraph each.
    pub explanation: Vec<String>,
    /// What there is to choose from.
    pub choices: Vec<Choice>,
    /// What is answered by saying nothing; without one the step must be answered. Never a secret.
    pub default: Option<Value>,
    /// The flag that answers it.
    pub flag: Option<String>,
}

/// What a row shows; the rest of a [`Step`] is the row's own.
pub(super) struct Shown {
    pub(super) kind: Kind,
    pub(super) question: String,
    pub(super) explanation: Vec<String>,
    pub(super) choices: Vec<Choice>,
    pub(super) default: Option<Value>,
    pub(super) flag: Option<String>,
}

impl Shown {
    pub(super) fn new(kind: Kind, question: impl Into<String>) -> Self {
        Self {
            kind,
            question: question.into(),
            explanation: Vec::new(),
            choices: Vec::new(),
            default: None,
            flag: None,
        }
    }

    pub(super) fn explained<T: Into<String>>(mut self, paragraphs: impl IntoIterator<Item = T>) -> Self {
        self.explanation.extend(paragraphs.into_iter().map(Into::into));
        self
    }

    pub(super) fn choices(mut self, choices: Vec<Choice>) -> Self {
        self.choices = choices;
        self
    }

    pub(super) fn default(mut self, default: impl Into<Value>) -> Self {
        self.default = Some(default.into());
        self
    }

    pub(super) fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flag = Some(flag.into());
        self
    }
}

/// An answer in the form that its step's kind asks for.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// A note was read.
    Seen,
    /// A line, or a choice.
    Text(String),
    /// A line that nobody may see.
    Secret(Secret),
    /// Yes or no.
    Yes(bool),
    /// Choices.
    Many(Vec<String>),
}

impl Answer {
    /// The text; empty where it is none.
    pub(super) fn text(&self) -> &str {
        match self {
            Answer::Text(it) => it,
            Answer::Secret(it) => it.expose(),
            Answer::Seen | Answer::Yes(_) | Answer::Many(_) => "",
        }
    }

    /// The answer as a default to come back to; secrets are none.
    pub(super) fn shown(&self) -> Option<Value> {
        match self {
            Answer::Seen | Answer::Secret(_) => None,
            Answer::Text(it) => Some(json!(it)),
            Answer::Yes(it) => Some(json!(it)),
            Answer::Many(it) => Some(json!(it)),
        }
    }
}

/// One row of the walk. A row is data; what it does depends on nothing but the scene.
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) section: Section,
    /// Whether a quick walk takes the default instead of asking.
    pub(super) quick: bool,
    /// Whether it is asked, after what was answered before it.
    pub(super) asked: fn(&Scene) -> bool,
    pub(super) show: fn(&Scene) -> Shown,
    /// Normalizes an answer, or says in plain words what is wrong with it.
    pub(super) check: fn(&Scene, Answer) -> Result<Answer, String>,
    /// What is to be tried out once it is answered.
    pub(super) live: fn(&Scene) -> Option<Probe>,
    /// What to say once it is answered.
    pub(super) said: fn(&Scene) -> Option<String>,
    /// What it changes.
    pub(super) effect: fn(&Scene, &Answer, &mut Draft),
}

impl Row {
    /// A row that is always asked, takes any answer and does nothing, for the rest of a literal.
    pub(super) const PLAIN: Row = Row {
        id: "",
        section: Section::Host,
        quick: false,
        asked: |_| true,
        show: |_| Shown::new(Kind::Note, ""),
        check: |_, answer| Ok(answer),
        live: |_| None,
        said: |_| None,
        effect: |_, _, _| {},
    };

    /// The step as it is shown now.
    pub(super) fn step(&self, scene: &Scene) -> Step {
        let Shown { kind, question, explanation, choices, default, flag } = (self.show)(scene);
        let before = scene.before(self.id).and_then(Answer::shown);
        let default = before.filter(|_| kind != Kind::Secret).or(default);
        let (id, section) = (self.id.to_owned(), self.section);
        Step { id, section, kind, question, explanation, choices, default, flag }
    }
}

impl Step {
    /// Reads an answer as the kind wants it; nothing, and an empty line, is the default.
    pub(super) fn read(&self, value: &Value) -> Result<Answer, String> {
        let is_nothing = value.is_null() || value.as_str().is_some_and(|it| it.trim().is_empty());
        let value = match (&self.default, is_nothing) {
            (Some(default), true) => default,
            _ => value,
        };
        match self.kind {
            Kind::Note => Ok(Answer::Seen),
            Kind::Confirm => confirmed(value).map(Answer::Yes).ok_or_else(|| "answer yes or no".to_owned()),
            Kind::Multiselect => self.many(value),
            Kind::Select { free } => {
                let text = line(value)?;
                self.chosen(&text, free).map(Answer::Text)
            }
            Kind::Text => line(value).map(Answer::Text),
            Kind::Secret => {
                let text = line(value)?;
                Ok(Secret::new(text).map_or_else(|| Answer::Text(String::new()), Answer::Secret))
            }
        }
    }

    /// A choice by its value, or by its label.
    fn chosen(&self, text: &str, free: bool) -> Result<String, String> {
        let is_it = |it: &&Choice| it.value == text || it.label.eq_ignore_ascii_case(text);
        match self.choices.iter().find(is_it) {
            Some(it) => Ok(it.value.clone()),
            None if free && !text.is_empty() => Ok(text.to_owned()),
            None => {
                let values: Vec<_> = self.choices.iter().map(|it| it.value.as_str()).collect();
                let what = if text.is_empty() {
                    "nothing was chosen".to_owned()
                } else {
                    format!("there is no \"{text}\"")
                };
                Err(format!("{what}; choose one of {}", values.join(", ")))
            }
        }
    }

    fn many(&self, value: &Value) -> Result<Answer, String> {
        let texts: Vec<String> = match value {
            Value::Null => Vec::new(),
            Value::Array(items) => items.iter().map(line).collect::<Result<_, _>>()?,
            other => {
                line(other)?.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
            }
        };
        let chosen = texts.iter().map(|it| self.chosen(it, false)).collect::<Result<_, _>>()?;
        Ok(Answer::Many(chosen))
    }
}

fn confirmed(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(it) => Some(*it),
        Value::String(it) => match it.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" | "true" | "1" => Some(true),
            "n" | "no" | "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// One line: what is typed holds nothing that moves a cursor.
fn line(value: &Value) -> Result<String, String> {
    let text = match value {
        Value::Null => String::new(),
        Value::String(it) => it.trim().to_owned(),
        Value::Number(it) => it.to_string(),
        _ => return Err("a text is needed here".to_owned()),
    };
    if text.chars().any(char::is_control) { Err("it must be one line".to_owned()) } else { Ok(text) }
}
