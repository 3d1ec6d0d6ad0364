//! The steps about the model: who is asked, with which key, and whether it answers.

use base::Secret;
use profile::Document;
use providers::ModelInfo;
use providers::openai_chat::Settings;
use providers::vendors::{self, Vendor};
use serde_json::Value;

use super::found::{BASE_URL, Server};
use super::live::Probe;
use super::scene::Scene;
use super::secrets;
use super::step::{Answer, Choice, Kind, Row, Section, Shown};

/// The provider's id of a server of one's own.
const CUSTOM: &str = "custom";
/// No model for now.
const SKIP: &str = "skip";
/// As many models are shown as a list; more are named by typing.
const LISTED: usize = 12;

pub(super) const ROWS: &[Row] = &[
    Row {
        id: "model.provider",
        section: Section::Model,
        asked: |it| it.walks(Section::Model),
        show: provider,
        check: |_, answer| Ok(answer),
        live: |it| (is_local(it) && server(it).is_none()).then(|| models_probe(it)).flatten(),
        ..Row::PLAIN
    },
    Row {
        id: "model.url",
        section: Section::Model,
        asked: |it| it.walks(Section::Model) && it.text("model.provider") == CUSTOM,
        show: url,
        check: check_url,
        effect: |_, answer, draft| {
            draft.set(["models", "providers", CUSTOM, "baseUrl"], answer.text());
            draft.set(["models", "providers", CUSTOM, "api"], "openai-completions");
        },
        ..Row::PLAIN
    },
    Row {
        id: "model.keySource",
        section: Section::Model,
        asked: |it| it.walks(Section::Model) && wants_key(it) && (variable(it).is_some() || has_key(it)),
        show: key_source,
        live: |it| (it.text("model.keySource") != "plaintext").then(|| models_probe(it)).flatten(),
        effect: |scene, answer, draft| {
            if let ("ref", Some(name)) = (answer.text(), variable(scene)) {
                let id = scene.text("model.provider");
                draft.set(["models", "providers", id, "apiKey"], format!("${{{name}}}"));
            }
        },
        ..Row::PLAIN
    },
    Row {
        id: "model.key",
        section: Section::Model,
        asked: |it| {
            let is_typed = matches!(it.text("model.keySource"), "" | "plaintext");
            // A server of one's own that has answered without a key wants none.
            let is_open = is_optional(it) && server(it).is_some() && it.given("model.key").is_none();
            let wants = wants_key(it) || it.text("model.provider") == CUSTOM;
            it.walks(Section::Model) && is_typed && wants && !is_open
        },
        show: key,
        check: check_key,
        live: models_probe,
        effect: |scene, answer, draft| {
            if !answer.text().is_empty() {
                draft.set(["models", "providers", scene.text("model.provider"), "apiKey"], answer.text());
            }
        },
        ..Row::PLAIN
    },
    Row {
        id: "model.name",
        section: Section::Model,
        asked: |it| it.walks(Section::Model) && has_provider(it),
        show: name,
        check: |_, answer| match answer.text() {
            "" => Err("name a model, as the provider calls it".to_owned()),
            _ => Ok(answer),
        },
        live: |it| Some(Probe::Hello { settings: settings(it)?, model: it.text("model.name").to_owned() }),
        effect: |scene, answer, draft| {
            let name = format!("{}/{}", scene.text("model.provider"), answer.text());
            let is_choice = scene.config("agents.defaults.model").is_some_and(Value::is_object);
            let keys: &[&str] = if is_choice {
                &["agents", "defaults", "model", "primary"]
            } else {
                &["agents", "defaults", "model"]
            };
            draft.set(keys.iter().copied(), name);
        },
        ..Row::PLAIN
    },
];

/// The vendors whose key is in the environment.
pub(super) fn keys(scene: &Scene) -> impl Iterator<Item = &'static Vendor> {
    vendors::HOSTED.iter().filter(|it| scene.ambient.var(it.key_name).is_some())
}

/// `provider/model` of a config.
pub(super) fn named(document: &Document) -> Option<&str> {
    let model = document.get("agents.defaults.model")?;
    model.as_str().or_else(|| model.get("primary")?.as_str())
}

fn provider(scene: &Scene) -> Shown {
    let existing = scene.existing.as_ref().filter(|_| !scene.starts_over());
    let configured = existing.and_then(named).and_then(|it| Some(it.split_once('/')?.0.to_owned()));
    let own = existing.and_then(|it| it.get("models.providers")?.as_object());
    let mut choices: Vec<Choice> = Vec::new();
    let mut offer = |id: &str, name: &str, hint: String| {
        if !choices.iter().any(|it| it.value == id) {
            choices.push(Choice::new(id, name, hint));
        }
    };
    for id in own.into_iter().flat_map(|it| it.keys()).filter(|it| it.as_str() != CUSTOM) {
        offer(id, vendors::by_id(id).map_or(id, |it| it.name), "in the config".to_owned());
    }
    for it in &scene.found.servers {
        offer(it.id, it.name, format!("answers, {}", it.size()));
    }
    keys(scene).for_each(|it| offer(it.id, it.name, format!("{} is set", it.key_name)));
    let first = choices.first().map(|it| it.value.clone());
    let mut offer = |id: &str, name: &str, hint: String| {
        if !choices.iter().any(|it| it.value == id) {
            choices.push(Choice::new(id, name, hint));
        }
    };
    vendors::HOSTED.iter().for_each(|it| offer(it.id, it.name, "wants a key".to_owned()));
    vendors::LOCAL
        .iter()
        .for_each(|it| offer(it.id, it.name, "on this machine; does not answer now".to_owned()));
    offer(CUSTOM, "Another server", "that speaks OpenAI's dialect".to_owned());
    offer(SKIP, "Later", "without a model the gateway explains itself".to_owned());
    let is_offered = |it: &String| choices.iter().any(|choice| choice.value == *it);
    let default = configured.filter(is_offered).or(first).unwrap_or_else(|| SKIP.to_owned());
    Shown::new(Kind::Select { free: false }, "Who answers?")
        .explained(["What was found on this host comes first."])
        .choices(choices)
        .default(default)
        .flag("--auth-choice")
}

fn url(scene: &Scene) -> Shown {
    let shown = Shown::new(Kind::Text, "Address of the server")
        .explained(["As in http://127.0.0.1:8000/v1"])
        .flag("--custom-base-url");
    match scene.config_text("models.providers.custom.baseUrl") {
        Some(it) => shown.default(it),
        None => shown,
    }
}

fn check_url(_: &Scene, answer: Answer) -> Result<Answer, String> {
    let settings = Settings::new(CUSTOM, answer.text(), None);
    providers::openai_chat::OpenAiChat::new(settings).map_err(|error| error.to_string())?;
    Ok(answer)
}

fn key_source(scene: &Scene) -> Shown {
    let mut choices = Vec::new();
    if has_key(scene) {
        choices.push(Choice::new("keep", "The one in the config", "it stays as it is"));
    }
    if let Some(name) = variable(scene) {
        let hint = format!("the config says ${{{name}}}, the key itself stays where it is");
        choices.push(Choice::new("ref", &format!("The one in {name}"), hint));
    }
    choices.push(Choice::new(
        "plaintext",
        "Another one",
        "it is written into the config, which only you can read",
    ));
    let first = choices[0].value.clone();
    Shown::new(Kind::Select { free: false }, format!("Which key of {}?", label(scene)))
        .choices(choices)
        .default(first)
        .flag("--secret-input-mode")
}

fn key(scene: &Scene) -> Shown {
    let id = scene.text("model.provider");
    let shown = Shown::new(Kind::Secret, format!("Key of {}", label(scene)))
        .explained(["It is not shown while you type. ${NAME} refers to a variable instead."])
        .flag(format!("--{id}-api-key"));
    if is_optional(scene) {
        shown.explained(["Leave it empty where the server wants none."]).default("")
    } else {
        shown
    }
}

fn check_key(scene: &Scene, answer: Answer) -> Result<Answer, String> {
    let text = answer.text();
    if text.is_empty() {
        return if is_optional(scene) { Ok(answer) } else { Err("a key is needed".to_owned()) };
    }
    secrets::check(text, &scene.ambient)?;
    Ok(answer)
}

fn name(scene: &Scene) -> Shown {
    let id = scene.text("model.provider");
    let models = known_models(scene);
    let has = |it: &str| models.is_empty() || models.iter().any(|model| is_called(model, it));
    let existing = scene.existing.as_ref().filter(|_| !scene.starts_over()).and_then(named);
    let existing = existing.and_then(|it| it.strip_prefix(id)?.strip_prefix('/'));
    let vendor = vendors::by_id(id).map(|it| it.default_model).filter(|it| !it.is_empty() && has(it));
    let default = existing.or(vendor).or_else(|| models.first().map(|it| it.id.as_str())).map(str::to_owned);
    let is_list = (1..=LISTED).contains(&models.len());
    let kind = if is_list { Kind::Select { free: true } } else { Kind::Text };
    let mut shown = Shown::new(kind, format!("Which model of {}?", label(scene))).flag("--model");
    if is_list {
        let hint = |it: &ModelInfo| it.context_window.map_or_else(String::new, |it| format!("{it} tokens"));
        shown = shown.choices(models.iter().map(|it| Choice::new(&it.id, &it.id, hint(it))).collect());
        if let Some(it) = default.as_deref().filter(|it| !models.iter().any(|model| model.id == *it)) {
            shown.choices.insert(0, Choice::new(it, it, ""));
        }
    } else if !models.is_empty() {
        let some: Vec<&str> = models.iter().take(LISTED).map(|it| it.id.as_str()).collect();
        shown = shown.explained([format!("There are {}, such as {}.", models.len(), some.join(", "))]);
    }
    match default {
        Some(it) => shown.default(it),
        None => shown,
    }
}

/// Some vendors write `models/` in front of the name.
fn is_called(model: &ModelInfo, name: &str) -> bool {
    model.id == name || model.id.strip_prefix("models/") == Some(name)
}

fn known_models(scene: &Scene) -> &[ModelInfo] {
    let found = || server(scene).map(|it| it.models.as_slice());
    scene.models.as_deref().or_else(found).unwrap_or_default()
}

fn server(scene: &Scene) -> Option<&Server> {
    scene.found.servers.iter().find(|it| it.id == scene.text("model.provider"))
}

fn has_provider(scene: &Scene) -> bool {
    !matches!(scene.text("model.provider"), "" | SKIP)
}

fn is_local(scene: &Scene) -> bool {
    vendors::LOCAL.iter().any(|it| it.id == scene.text("model.provider"))
}

fn wants_key(scene: &Scene) -> bool {
    has_provider(scene) && !is_local(scene) && scene.text("model.provider") != CUSTOM
}

/// A server at an address of one's own may want none.
fn is_optional(scene: &Scene) -> bool {
    match scene.text("model.provider") {
        CUSTOM => true,
        "openai" => scene.ambient.var(BASE_URL).is_some(),
        id => vendors::by_id(id).is_none(),
    }
}

/// The variable that holds the provider's key, where it is set.
fn variable(scene: &Scene) -> Option<&'static str> {
    let vendor = vendors::HOSTED.iter().find(|it| it.id == scene.text("model.provider"))?;
    scene.ambient.var(vendor.key_name).map(|_| vendor.key_name)
}

fn has_key(scene: &Scene) -> bool {
    configured_key(scene).is_some()
}

fn configured_key(scene: &Scene) -> Option<&str> {
    scene.config("models.providers")?.get(scene.text("model.provider"))?.get("apiKey")?.as_str()
}

fn label(scene: &Scene) -> String {
    let id = scene.text("model.provider");
    vendors::by_id(id).map_or_else(
        || if id == CUSTOM { "the server".to_owned() } else { id.to_owned() },
        |it| it.name.to_owned(),
    )
}

/// Where the provider is, with the key that was chosen.
fn settings(scene: &Scene) -> Option<Settings> {
    let id = scene.text("model.provider");
    let configured = scene.config("models.providers").and_then(|it| it.get(id)?.get("baseUrl")?.as_str());
    let url = match (id, configured, vendors::by_id(id)) {
        (CUSTOM, ..) => scene.text("model.url"),
        (_, Some(url), _) => url,
        ("openai", None, Some(vendor)) => scene.ambient.var(BASE_URL).unwrap_or(vendor.base_url),
        (_, None, Some(vendor)) => vendor.base_url,
        (_, None, None) => return None,
    };
    let key = match (scene.text("model.keySource"), scene.text("model.key")) {
        ("keep", _) => configured_key(scene).map(str::to_owned),
        ("ref", _) => variable(scene).map(|it| format!("${{{it}}}")),
        (_, "") => None,
        (_, typed) => Some(typed.to_owned()),
    };
    let key = key.map(|it| secrets::resolved(&it, &scene.ambient)).and_then(Secret::new);
    Some(Settings::new(id, secrets::resolved(url, &scene.ambient), key))
}

fn models_probe(scene: &Scene) -> Option<Probe> {
    has_provider(scene).then(|| settings(scene).map(Probe::Models)).flatten()
}

/// What the original calls its ways to authenticate, as the ids of providers.
pub fn provider_of(auth_choice: &str) -> String {
    match auth_choice {
        "apiKey" => "anthropic".to_owned(),
        "custom-api-key" => CUSTOM.to_owned(),
        "kimi-code-api-key" => "moonshot".to_owned(),
        other => other.strip_suffix("-api-key").unwrap_or(other).to_owned(),
    }
}
