//! `status --all`: everything that can be read from outside, for a bug report. Secrets are masked.

use base::{Secret, clock};
use fleet::look::{Known, Seen};
use fleet::why::{self, Why};
use profile::document::{self, MASK};
use profile::ledger::Ended;
use profile::{Ambient, Document, Instance, claims, generations};
use serde_json::{Value, json};

use super::Picture;
use crate::app::App;
use crate::printer::Tone;

/// How many of the last accepted configs are named.
const GENERATIONS: usize = 5;
/// A secret that is shorter would be found in words that are none.
const SHORTEST: usize = 6;
/// The variables that decide what a gateway does, where they are set; of secrets only that they are.
const PREFIXES: [&str; 4] = ["OPENCLAW_", "XDG_", "NO_COLOR", "OPENAI_BASE_URL"];

/// All of it.
pub(super) struct Everything {
    why: Why,
    held: Vec<String>,
    neighbours: Vec<Seen>,
    variables: Vec<(String, String)>,
    config: Option<Value>,
    secrets: Vec<Secret>,
}

impl Everything {
    /// Looks.
    pub(super) fn look(app: &App, instance: &Instance) -> Self {
        let ambient = &app.ambient;
        let known = Known { instance: instance.clone(), record: instance.host.read(&instance.state_dir) };
        let is_own = |it: &claims::Held| profile::instance::same(&it.holder.state_dir, &instance.state_dir);
        let held = claims::held_now(&instance.host.claims()).into_iter().filter(is_own);
        let document = Document::load(&instance.config_path).ok();
        let secrets = document.iter().flat_map(Document::secrets).filter_map(|(_, it)| Secret::new(it));
        let mut neighbours = fleet::look::all(&instance.host, ambient);
        neighbours.retain(|it| !profile::instance::same(&it.folder, &instance.state_dir));
        Self {
            why: why::why(&instance.host, ambient, &known),
            held: held.filter_map(|it| it.claim).map(|it| it.to_string()).collect(),
            neighbours,
            variables: variables(ambient),
            config: document.as_ref().map(|it| without_addresses(document::redacted(it.value(), MASK))),
            secrets: secrets.filter(|it| it.expose().len() >= SHORTEST).collect(),
        }
    }

    /// The last lines of the log that tell of trouble; no secret of the config is in them.
    fn errors(&self) -> Vec<String> {
        let masked = |line: &String| {
            self.secrets.iter().fold(line.clone(), |line, it| line.replace(it.expose(), MASK))
        };
        self.why.errors.iter().map(masked).collect()
    }

    /// For people, below the screen.
    pub(super) fn tell(&self, app: &App, picture: &Picture<'_>) {
        let section = |name: &str| {
            app.printer.line("");
            app.printer.line(&app.printer.paint(Tone::Strong, name));
        };
        section("Program and machine");
        app.printer.facts(&machine(app, picture));
        section("Past");
        app.printer.facts(&self.past());
        section("Accepted configs");
        let all = generations::all(&picture.instance.state_dir);
        for it in all.iter().rev().take(GENERATIONS) {
            app.printer.line(&format!("{}  {}", it.number, clock::rfc3339(it.at)));
        }
        self.why.config.changes.iter().for_each(|it| app.printer.line(&format!("changed since: {it}")));
        section("Held");
        self.held.iter().for_each(|it| app.printer.line(it));
        section("Other instances");
        for it in &self.neighbours {
            let port = it.port.map_or_else(|| "-".to_owned(), |it| it.to_string());
            let folder = app.ambient.short(&it.folder);
            app.printer.line(&format!("{}  {}  {port}  {folder}", it.name, it.state.word()));
            it.findings.iter().for_each(|it| app.printer.set_in(2, it));
        }
        section("Environment");
        self.variables.iter().for_each(|(name, value)| app.printer.line(&format!("{name}={value}")));
        section("Config, without secrets");
        match &self.config {
            Some(it) => app.printer.json(it),
            None => app.printer.line("cannot be read"),
        }
        section("Last trouble in the log");
        self.errors().iter().for_each(|it| app.printer.line(&app.printer.folded(it)));
    }

    fn past(&self) -> Vec<(&'static str, String)> {
        let told = |it: &Option<Ended>| match it {
            Some(it) => format!("{} (pid {}): {}", clock::rfc3339(it.at), it.pid, it.detail),
            None => "none is known".to_owned(),
        };
        let supervisor = match self.why.supervisor.is_empty() {
            true => "no unit is installed".to_owned(),
            false => self.why.supervisor.join(", "),
        };
        vec![
            ("Last end", told(&self.why.ended)),
            ("Last refusal", told(&self.why.refused)),
            ("Supervisor", supervisor),
            ("Log", self.why.log.display().to_string()),
        ]
    }

    /// For programs.
    pub(super) fn as_json(&self) -> Value {
        let variables: serde_json::Map<String, Value> =
            self.variables.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "ended": self.why.ended, "refused": self.why.refused, "supervisor": self.why.supervisor,
            "changes": self.why.config.changes, "log": self.why.log, "errors": self.errors(),
            "held": self.held, "neighbours": self.neighbours, "environment": variables, "config": self.config,
        })
    }
}

fn machine(app: &App, picture: &Picture<'_>) -> Vec<(&'static str, String)> {
    let kernel = rustix::system::uname();
    let kernel = format!("{} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy());
    let program = Ambient::program().map_or_else(|_| "unknown".to_owned(), |it| it.display().to_string());
    vec![
        ("Version", format!("{} ({program})", env!("CARGO_PKG_VERSION"))),
        ("System", format!("{kernel}, {}", std::env::consts::ARCH)),
        ("User", rustix::process::geteuid().as_raw().to_string()),
        ("Time", clock::rfc3339(clock::now_ms())),
        ("Host", app.ambient.short(picture.instance.host.folder())),
        ("Socket", app.ambient.short(&profile::control::path(&picture.instance.state_dir))),
    ]
}

/// Whether an address has a name, a password or a token in it.
fn is_telling(text: &str) -> bool {
    text.contains("://") && (text.contains('@') || text.contains('?'))
}

fn without_addresses(value: Value) -> Value {
    match value {
        Value::String(it) if is_telling(&it) => json!(MASK),
        Value::Array(items) => items.into_iter().map(without_addresses).collect(),
        Value::Object(object) => {
            Value::Object(object.into_iter().map(|(key, it)| (key, without_addresses(it))).collect())
        }
        other => other,
    }
}

fn variables(ambient: &Ambient) -> Vec<(String, String)> {
    let is_told = |name: &str| PREFIXES.iter().any(|it| name.starts_with(it)) || document::is_secret(name);
    let shown = |name: &str, value: &str| {
        if document::is_secret(name) || is_telling(value) {
            MASK.to_owned()
        } else {
            base::text::line(value, 200)
        }
    };
    let told = ambient.everything().filter(|(name, value)| is_told(name) && !value.is_empty());
    told.map(|(name, value)| (name.to_owned(), shown(name, value))).collect()
}
