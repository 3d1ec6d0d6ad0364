//! The walk through a set-up, as data: whoever shows it, a terminal, a page or a file of answers, walks the same steps.
//!
//! An answer changes nothing but the walk. What all answers together want is computed anew whenever it is looked at,
//! and is written once, at the end, by [`Wizard::finish`].

mod access;
mod channels;
mod draft;
mod ending;
mod found;
mod live;
mod model;
mod place;
mod scene;
mod secrets;
mod step;
#[cfg(test)]
mod tests;
mod writing;

use serde_json::{Value, json};

use draft::Draft;
pub use found::{Found, Neighbour, Server, look};
pub use live::{Probe, Worked};
pub use model::provider_of;
use scene::Scene;
pub use scene::{BadStart, Given, Setting};
use step::{Answer, Row};
pub use step::{Choice, Kind, Section, Step};
pub use writing::{NotWritten, Outcome};

/// Where a walk is.
#[derive(Debug, Clone, PartialEq)]
pub enum At {
    /// A step waits for its answer.
    Ask(Box<Step>),
    /// An answer is to be tried out: [`Wizard::probe`] says how, [`Wizard::tried`] takes what came of it.
    Try,
    /// All is answered and confirmed: [`Wizard::finish`] writes it.
    Done,
    /// It ended without anything to write.
    Cancelled,
    /// An answer that was given beforehand cannot be used.
    Refused(Mistake),
}

/// An answer that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The step.
    pub step: String,
    /// The flag that answers it.
    pub flag: Option<String>,
    /// What is wrong, in plain words and without any secret.
    pub words: String,
}

/// One walk.
pub struct Wizard {
    scene: Scene,
    rows: Vec<&'static Row>,
    stage: Stage,
    /// The rows that somebody was asked, in order: where a step back leads.
    trail: Vec<usize>,
    said: Vec<String>,
}

enum Stage {
    Asking(usize),
    Trying(usize),
    Failed(usize, String),
    Done,
    Cancelled,
    Refused(Mistake),
}

/// Every step that there is: its id and the flag that answers it, where it always is the same one.
pub fn step_ids() -> Vec<&'static str> {
    rows().iter().map(|it| it.id).collect()
}

fn rows() -> Vec<&'static Row> {
    let before = place::ROWS.iter().chain(model::ROWS).chain(channels::rows());
    before.chain(access::ROWS).chain(ending::ROWS).collect()
}

impl Wizard {
    /// Begins a walk.
    ///
    /// # Errors
    /// When the instance's config cannot be worked with; nothing was touched.
    pub fn new(setting: Setting) -> Result<Self, BadStart> {
        let (scene, rows) = (Scene::new(setting)?, rows());
        let mut wizard = Self { scene, rows, stage: Stage::Cancelled, trail: Vec::new(), said: Vec::new() };
        wizard.advance(0);
        Ok(wizard)
    }

    /// Where it is.
    pub fn at(&self) -> At {
        match &self.stage {
            Stage::Asking(at) => At::Ask(Box::new(self.step(*at))),
            Stage::Failed(at, words) => At::Ask(Box::new(self.failed(*at, words))),
            Stage::Trying(_) => At::Try,
            Stage::Done => At::Done,
            Stage::Cancelled => At::Cancelled,
            Stage::Refused(it) => At::Refused(it.clone()),
        }
    }

    /// Answers the step that is asked; null is its default.
    ///
    /// # Errors
    /// Says what is wrong with the answer; the step is asked still.
    pub fn answer(&mut self, value: &Value) -> Result<(), Mistake> {
        match &self.stage {
            Stage::Asking(at) => {
                let at = *at;
                self.put(at, value)?;
                self.trail.push(at);
                self.follow(at);
            }
            Stage::Failed(at, words) => {
                let (at, step) = (*at, self.failed(*at, words));
                let answer = step.read(value).map_err(|words| mistake(&step, words))?;
                match answer.text() {
                    "again" => self.stage = Stage::Trying(at),
                    "keep" => self.advance(at + 1),
                    _ => self.ask_again(at),
                }
            }
            Stage::Trying(_) | Stage::Done | Stage::Cancelled | Stage::Refused(_) => {}
        }
        Ok(())
    }

    /// Goes back to the question before this one; false at the first.
    pub fn back(&mut self) -> bool {
        if let Stage::Failed(at, _) = self.stage {
            self.ask_again(at);
            return true;
        }
        match self.trail.last() {
            Some(at) if matches!(self.stage, Stage::Asking(_)) => {
                let at = *at;
                self.ask_again(at);
                true
            }
            _ => false,
        }
    }

    /// How the last answer is to be tried out, while [`Wizard::at`] says [`At::Try`].
    pub fn probe(&self) -> Option<Probe> {
        match self.stage {
            Stage::Trying(at) => (self.rows[at].live)(&self.scene),
            _ => None,
        }
    }

    /// What came of it.
    pub fn tried(&mut self, outcome: Result<Worked, String>) {
        let Stage::Trying(at) = self.stage else { return };
        match outcome {
            Ok(worked) => {
                self.said.push(worked.said);
                self.scene.models = worked.models.or(self.scene.models.take());
                self.advance(at + 1);
            }
            Err(words) => self.stage = Stage::Failed(at, words),
        }
    }

    /// Ends it; nothing was written.
    pub fn cancel(&mut self) {
        self.stage = Stage::Cancelled;
    }

    /// What is to be said about the answers so far; each sentence once.
    pub fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// Answers that were given beforehand and asked of nobody, by step.
    pub fn unused(&self) -> Vec<String> {
        self.scene.unused()
    }

    /// The instance that it is about, as far as that is known.
    pub fn instance(&self) -> &profile::Instance {
        &self.scene.instance
    }

    /// The answer to a step, where it is no secret.
    pub fn answered(&self, id: &str) -> Option<Value> {
        self.scene.answer(id).and_then(Answer::shown)
    }

    /// Writes what was decided: once, and whole.
    ///
    /// # Errors
    /// Says why nothing was written.
    pub fn finish(&self) -> Result<Outcome, NotWritten> {
        let whole = Draft::of(&self.scene, &self.rows).whole(&self.scene);
        let whole = whole.map_err(|finding| NotWritten::Findings(vec![finding]))?;
        writing::write(&self.scene, &whole)
    }

    fn step(&self, at: usize) -> Step {
        self.rows[at].step(&self.scene)
    }

    /// Reads, checks and keeps an answer.
    fn put(&mut self, at: usize, value: &Value) -> Result<(), Mistake> {
        let (row, step) = (self.rows[at], self.step(at));
        let answer = step.read(value).and_then(|it| (row.check)(&self.scene, it));
        let answer = answer.map_err(|words| mistake(&step, words))?;
        self.scene.put(row.id, answer);
        self.said.extend((row.said)(&self.scene));
        Ok(())
    }

    /// After an answer: try it out, end, or go on.
    fn follow(&mut self, at: usize) {
        let row = self.rows[at];
        if row.id == "summary" {
            let is_wanted = matches!(self.scene.answer(row.id), Some(Answer::Yes(true)));
            self.stage = if is_wanted { Stage::Done } else { Stage::Cancelled };
        } else if self.scene.live && (row.live)(&self.scene).is_some() {
            self.stage = Stage::Trying(at);
        } else {
            self.advance(at + 1);
        }
    }

    /// Goes on to the first row from `from` on that somebody must be asked. What was given beforehand, and what a
    /// quick walk takes as proposed, is answered on the way.
    fn advance(&mut self, from: usize) {
        let next = (from..self.rows.len()).find(|at| (self.rows[*at].asked)(&self.scene));
        let Some(at) = next else {
            self.stage = Stage::Done;
            return;
        };
        let row = self.rows[at];
        let given = self.scene.given(row.id).cloned();
        let proposed = || (row.quick && self.scene.is_quick()).then(|| self.step(at)).filter(is_answered);
        match given.or_else(|| proposed().map(|_| Value::Null)) {
            None => self.stage = Stage::Asking(at),
            Some(value) => match self.put(at, &value) {
                Ok(()) => self.follow(at),
                Err(mistake) => self.stage = Stage::Refused(mistake),
            },
        }
    }

    /// Takes back the answers from this row on.
    fn ask_again(&mut self, at: usize) {
        for row in &self.rows[at..] {
            self.scene.take(row.id);
        }
        self.trail.retain(|it| *it < at);
        if self.rows[at].section == Section::Model || at < self.first_of_model() {
            self.scene.models = None;
        }
        self.said.clear();
        self.stage = Stage::Asking(at);
    }

    fn first_of_model(&self) -> usize {
        self.rows.iter().position(|it| it.section == Section::Model).unwrap_or_default()
    }

    /// What to do about an answer that did not prove right.
    fn failed(&self, at: usize, words: &str) -> Step {
        let row = self.rows[at];
        Step {
            id: format!("{}.check", row.id),
            section: row.section,
            kind: Kind::Select { free: false },
            question: "That did not work. What now?".to_owned(),
            explanation: vec![words.to_owned()],
            choices: vec![
                Choice::new("again", "Try again", ""),
                Choice::new("keep", "Keep it anyway", "it can be changed at any time"),
                Choice::new("back", "Answer differently", ""),
            ],
            default: None,
            flag: Some("--skip-health".to_owned()),
        }
    }
}

/// Whether nobody needs to be asked.
fn is_answered(step: &Step) -> bool {
    step.kind == Kind::Note || step.default.is_some()
}

fn mistake(step: &Step, words: String) -> Mistake {
    Mistake { step: step.id.clone(), flag: step.flag.clone(), words }
}

/// A step as the protocol has it.
pub(crate) fn on_the_wire(step: &Step, said: &[String], error: Option<&str>) -> protocol::wizard::Step {
    use protocol::wizard::StepKind;
    let kind = match step.kind {
        Kind::Note => StepKind::Note,
        Kind::Select { .. } => StepKind::Select,
        Kind::Text | Kind::Secret => StepKind::Text,
        Kind::Confirm => StepKind::Confirm,
        Kind::Multiselect => StepKind::Multiselect,
    };
    let lines = error.into_iter().chain(said.iter().map(String::as_str));
    let lines: Vec<&str> = lines.chain(step.explanation.iter().map(String::as_str)).collect();
    let options = step.choices.iter().map(|it| protocol::wizard::Choice {
        value: json!(it.value),
        label: it.label.clone(),
        hint: Some(it.hint.clone()).filter(|it| !it.is_empty()),
    });
    let message = if lines.is_empty() {
        step.question.clone()
    } else {
        format!("{}\n\n{}", step.question, lines.join("\n"))
    };
    protocol::wizard::Step {
        id: step.id.clone(),
        kind,
        title: Some(step.section.title().to_owned()),
        message: Some(message),
        options: options.collect(),
        initial_value: step.default.clone().filter(|_| step.kind != Kind::Secret),
        placeholder: None,
        sensitive: (step.kind == Kind::Secret).then_some(true),
        executor: Some("gateway".to_owned()),
    }
}
