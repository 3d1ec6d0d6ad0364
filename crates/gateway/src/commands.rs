//! Slash commands: what the gateway answers by itself, with any model or none.

use std::fmt::Write;
use std::sync::Arc;

use agent::turn::Stop;
use base::clock;
use protocol::Refusal;
use store::SessionQuery;

use crate::VERSION;
use crate::keys::SessionKey;
use crate::state::Gateway;

/// A command by its name, with what `/help` says of it.
struct Command {
    names: &'static [&'static str],
    help: &'static str,
    act: Act,
}

#[derive(Clone, Copy)]
enum Act {
    Help,
    Status,
    New,
    Model,
    Fleet,
    Stop,
    Sessions,
    Tools,
    Version,
}

const ALL: &[Command] = &[
    Command { names: &["help", "commands"], help: "what there is to say", act: Act::Help },
    Command { names: &["status"], help: "this gateway, its model and this conversation", act: Act::Status },
    Command { names: &["new", "reset"], help: "begin a new conversation", act: Act::New },
    Command {
        names: &["model", "models"],
        help: "show the models, or choose one: /model provider/model",
        act: Act::Model,
    },
    Command { names: &["fleet"], help: "all gateways of this machine", act: Act::Fleet },
    Command { names: &["sessions"], help: "the conversations of this gateway", act: Act::Sessions },
    Command { names: &["tools"], help: "what the agent may use", act: Act::Tools },
    Command { names: &["stop", "abort"], help: "stop the answer that is under way", act: Act::Stop },
    Command { names: &["version"], help: "the version of this program", act: Act::Version },
];

/// Words that stop an answer without a slash.
const STOP_WORDS: [&str; 6] = ["stop", "esc", "abort", "wait", "exit", "interrupt"];

/// All commands, as programs list them.
pub(crate) fn listed() -> Vec<protocol::catalogues::Command> {
    let row = |it: &Command| protocol::catalogues::Command {
        name: it.names[0].to_owned(),
        text_aliases: it.names.iter().map(|it| format!("/{it}")).collect(),
        description: it.help.to_owned(),
        category: match it.act {
            Act::Help | Act::Status | Act::Fleet | Act::Sessions | Act::Version => "status",
            Act::New | Act::Stop => "session",
            Act::Model => "options",
            Act::Tools => "tools",
        }
        .to_owned(),
        source: "native".to_owned(),
        scope: "text".to_owned(),
        accepts_args: matches!(it.act, Act::Model),
    };
    ALL.iter().map(row).collect()
}

/// Whether a message asks for the answer under way to stop.
pub(crate) fn is_stop(message: &str) -> bool {
    let text = message.trim();
    STOP_WORDS.iter().any(|it| text.eq_ignore_ascii_case(it)) || matches!(parse(text), Some((Act::Stop, _)))
}

/// Whether a message is a command of ours.
pub(crate) fn is_command(message: &str) -> bool {
    parse(message).is_some()
}

/// Whether a message begins the conversation anew.
pub(crate) fn is_reset(message: &str) -> bool {
    matches!(parse(message), Some((Act::New, _)))
}

/// All commands, as clients list them.
pub(crate) fn known() -> Vec<protocol::chat::Command> {
    let command = |it: &Command| protocol::chat::Command {
        name: it.names[0].to_owned(),
        description: it.help.to_owned(),
        text_aliases: it.names.iter().map(|it| format!("/{it}")).collect(),
        source: "native".to_owned(),
        scope: "both".to_owned(),
        accepts_args: matches!(it.act, Act::Model),
    };
    ALL.iter().map(command).collect()
}

/// Answers a command. `None` for a message that is none: it goes to the model.
pub(crate) async fn answer(
    gateway: &Arc<Gateway>,
    key: &SessionKey,
    message: &str,
) -> Option<Result<String, Refusal>> {
    let (act, rest) = parse(message)?;
    Some(match act {
        Act::Help => Ok(help()),
        Act::Status => status(gateway, key).await,
        Act::New => new(gateway, key).await,
        Act::Model => model(gateway, key, rest).await,
        Act::Fleet => Ok(fleet(gateway).await),
        Act::Stop => Ok(stop(gateway, key)),
        Act::Sessions => sessions(gateway).await,
        Act::Tools => Ok(list_of_tools(gateway, key)),
        Act::Version => Ok(format!("OpenClaw {VERSION}, instance {}", gateway.instance.name)),
    })
}

fn parse(message: &str) -> Option<(Act, &str)> {
    let text = message.trim().strip_prefix('/')?;
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let command = ALL.iter().find(|it| it.names.iter().any(|it| it.eq_ignore_ascii_case(name)))?;
    Some((command.act, rest.trim()))
}

fn help() -> String {
    let mut text = String::from("Commands:\n");
    for Command { names, help, .. } in ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  /{:<10} {help}", names[0]);
    }
    text.push_str("Everything else goes to the model.");
    text
}

async fn status(gateway: &Arc<Gateway>, key: &SessionKey) -> Result<String, Refusal> {
    let model = gateway
        .choose_model_of(&gateway.agent(Some(key.agent()))?, session_model(gateway, key).await?.as_deref())
        .await;
    let total = {
        let key = key.as_str().to_owned();
        gateway.archive.with(move |store| store.history_total(&key)).await
    };
    let total = total.map_err(|error| gateway.store_refusal("the conversation was not read", &error))?;
    let mut text = format!(
        "Instance {} (pid {}, port {}), up {}\nFolder: {}\n",
        gateway.instance.name,
        std::process::id(),
        gateway.port,
        clock::span(gateway.uptime_ms()),
        gateway.ambient.short(&gateway.instance.state_dir),
    );
    let line = match model {
        Ok(it) => format!("{} ({})", it.name(), it.source),
        Err(refusal) => refusal.message,
    };
    let _ = writeln!(text, "Model: {line}");
    let _ = write!(text, "Conversation: {} with {total} messages", key.as_str());
    for problem in gateway.problems() {
        let _ = write!(text, "\nProblem: {problem}");
    }
    Ok(text)
}

async fn new(gateway: &Arc<Gateway>, key: &SessionKey) -> Result<String, Refusal> {
    gateway.stop_session(key);
    let (name, agent) = (key.as_str().to_owned(), key.agent().to_owned());
    let reset = gateway.archive.with(move |store| {
        store.ensure_session(&name, &agent, None)?;
        store.reset_session(&name)
    });
    reset.await.map_err(|error| gateway.store_refusal("the conversation was not reset", &error))?;
    gateway.tell_changed(key, "new", None).await;
    Ok("A new conversation has begun. The old one is kept.".to_owned())
}

async fn session_model(gateway: &Arc<Gateway>, key: &SessionKey) -> Result<Option<String>, Refusal> {
    let name = key.as_str().to_owned();
    let session = gateway.archive.with(move |store| store.session(&name)).await;
    let session = session.map_err(|error| gateway.store_refusal("the conversation was not read", &error))?;
    Ok(session.and_then(|it| it.model))
}

async fn model(gateway: &Arc<Gateway>, key: &SessionKey, wished: &str) -> Result<String, Refusal> {
    if wished.is_empty() {
        return list_of_models(gateway, key).await;
    }
    let default = matches!(wished.to_ascii_lowercase().as_str(), "default" | "auto" | "reset");
    let chosen =
        if default { None } else { Some(gateway.named_model(wished, "chosen with /model").await?.name()) };
    let (name, agent, model) = (key.as_str().to_owned(), key.agent().to_owned(), chosen.clone());
    let set = gateway.archive.with(move |store| {
        store.ensure_session(&name, &agent, None)?;
        store.set_session_model(&name, model.as_deref())
    });
    set.await.map_err(|error| gateway.store_refusal("the choice was not saved", &error))?;
    Ok(match chosen {
        Some(model) => format!("This conversation asks {model} from now on. /model default goes back."),
        None => format!(
            "This conversation asks the default model again: {}.",
            gateway.choose_model_of(&gateway.agent(Some(key.agent()))?, None).await?.name()
        ),
    })
}

async fn list_of_models(gateway: &Arc<Gateway>, key: &SessionKey) -> Result<String, Refusal> {
    let choice = gateway
        .choose_model_of(&gateway.agent(Some(key.agent()))?, session_model(gateway, key).await?.as_deref())
        .await?;
    let mut text = format!("Now: {} ({})", choice.name(), choice.source);
    match choice.provider.models().await {
        Ok(models) => {
            for model in models.iter().take(30) {
                let _ = write!(text, "\n  {}/{}", choice.provider.id(), model.id);
            }
            if models.len() > 30 {
                let _ = write!(text, "\n  … and {} more", models.len() - 30);
            }
        }
        Err(error) => {
            let _ = write!(text, "\nIts list of models cannot be had: {error}");
        }
    }
    text.push_str("\nChoose one for this conversation with /model provider/model.");
    Ok(text)
}

/// Those that it knows of, looked at from a thread of its own: one of them is this gateway, which must answer
/// meanwhile.
async fn fleet(gateway: &Arc<Gateway>) -> String {
    let (host, ambient) = (gateway.instance.host.clone(), gateway.ambient.clone());
    let looked = tokio::task::spawn_blocking(move || fleet::look::all(&host, &ambient)).await;
    let mut text = String::from("Gateways of this machine:");
    for it in looked.unwrap_or_default() {
        let mark = if it.folder == gateway.instance.state_dir { "*" } else { " " };
        let folder = gateway.ambient.short(&it.folder);
        let port = it.port.map_or_else(|| "-".to_owned(), |it| it.to_string());
        let _ = write!(text, "\n{mark} {:<12} {:<8} port {port:<6} {folder}", it.name, it.state.word());
    }
    text.push_str("\n* this one");
    text
}

fn stop(gateway: &Arc<Gateway>, key: &SessionKey) -> String {
    let stopped = gateway.runs.of_session(key).iter().filter(|it| it.stop(Stop::Asked)).count();
    match stopped {
        0 => "Nothing is under way.".to_owned(),
        1 => "Stopped.".to_owned(),
        n => format!("Stopped {n} turns."),
    }
}

async fn sessions(gateway: &Arc<Gateway>) -> Result<String, Refusal> {
    let query = SessionQuery { limit: 20, ..SessionQuery::default() };
    let page = gateway.archive.with(move |store| store.sessions(&query)).await;
    let page = page.map_err(|error| gateway.store_refusal("the conversations were not read", &error))?;
    let mut text = format!("{} conversations:", page.total);
    let now = clock::now_ms();
    for it in page.sessions {
        let age = clock::span(now.saturating_sub(it.updated_at));
        let _ = write!(text, "\n  {:<32} {:>5} messages, {age} ago", it.key, it.message_count);
    }
    Ok(text)
}

fn list_of_tools(gateway: &Arc<Gateway>, key: &SessionKey) -> String {
    let force = gateway.force();
    let agent = force.agents.find(key.agent()).unwrap_or_else(|| force.agents.default());
    let allowed = agent.tools(&force.config.tools);
    let mut text = format!("Tools, in {}:", gateway.ambient.short(&agent.workspace));
    for tool in allowed {
        let spec = tool.spec();
        let _ = write!(text, "\n  {:<6} {}", spec.name, spec.description);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_talk() {
        for command in ["/help", " /STATUS ", "/model a/b", "/reset", "/stop"] {
            assert!(is_command(command), "{command}");
        }
        for talk in ["help", "/etc/passwd", "/", "what is /help", "/helpless"] {
            assert!(!is_command(talk), "{talk}");
        }
        assert!(is_stop("/stop") && is_stop(" Stop ") && is_stop("abort") && !is_stop("stop the music"));
    }

    #[test]
    fn help_names_each_command_once() {
        let text = help();
        for Command { names, .. } in ALL {
            assert_eq!(text.matches(&format!("  /{} ", names[0])).count(), 1, "{}", names[0]);
        }
    }
}
