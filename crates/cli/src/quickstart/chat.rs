//! A chat in the terminal: a line in, an answer as it comes.

use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use protocol::chat::{History, HistoryParams, Send, SendParams, SendReply};
use protocol::event::{self, Chat, ChatState, Name};
use protocol::frame::FromServer;
use protocol::models;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::pair::Member;
use super::strong;
use crate::app::{App, PATIENCE, no_answer};
use crate::client::{Client, NoAnswer};
use crate::commands::agent::text_of;
use crate::failure::{Failure, Kind};
use crate::printer::Tone;

/// The conversation.
const SESSION: &str = "main";
/// Messages of an earlier conversation that are shown again.
const SHOWN: usize = 4;
/// The longest that the terminal waits for a sign of life.
const LIMIT: Duration = Duration::from_secs(900);

/// Talks until the person has enough.
pub(super) fn talk(app: &App, member: &Member) -> Result<(), Failure> {
    let failed = |error: NoAnswer| no_answer(&member.instance, &error).of(Some(&member.instance.name));
    let mut client = Client::connect(&member.instance.state_dir, PATIENCE).map_err(failed)?;
    client.set_patience(LIMIT);
    greet(app, &mut client, member).map_err(failed)?;
    let mut lines = Lines::open()?;
    while let Some(line) = lines.next(&member.instance.name)? {
        match line.trim() {
            "" => {}
            "/quit" | "/exit" => break,
            text => ask(app, &mut client, text).map_err(failed)?,
        }
    }
    Ok(())
}

fn greet(app: &App, client: &mut Client, member: &Member) -> Result<(), NoAnswer> {
    let models = client.call::<models::List>(&models::ListParams::default())?.models;
    let name = &member.instance.name;
    match models.first() {
        Some(model) if model.available => {
            app.printer.line(&format!(
                "\nYou talk to {} with {}/{}.",
                strong(app, name),
                model.provider,
                model.id
            ));
        }
        _ => {
            app.printer.line(&format!(
                "\nYou talk to {}. No model is configured: set a key such as OPENAI_API_KEY and start again,\n\
                 or start a local server (Ollama, llama.cpp, LM Studio): it is found at the next message.",
                strong(app, name)
            ));
        }
    }
    app.printer
        .line(&app.printer.paint(Tone::Faint, "/help shows the commands; Ctrl-C stops both gateways."));
    let params =
        HistoryParams { session_key: SESSION.to_owned(), limit: Some(SHOWN), ..HistoryParams::default() };
    let history = client.call::<History>(&params)?;
    if history.total_messages > 0 {
        let text = format!("\nThe conversation goes on ({} messages so far):", history.total_messages);
        app.printer.line(&app.printer.paint(Tone::Faint, &text));
        history.messages.iter().for_each(|it| show(app, it));
    }
    app.printer.line("");
    Ok(())
}

/// A message of an earlier conversation, in a line or two.
fn show(app: &App, message: &Value) {
    let text = base::text::line(&text_of(Some(message)), 300);
    if text.is_empty() {
        return;
    }
    let who = match message["role"].as_str() {
        Some("user") => "you",
        Some("toolResult") => "tool",
        _ => "it",
    };
    app.printer.line(&app.printer.paint(Tone::Faint, &format!("  {who}: {text}")));
}

/// Sends a line and shows the answer until its end.
fn ask(app: &App, client: &mut Client, text: &str) -> Result<(), NoAnswer> {
    let run_id = uuid::Uuid::new_v4().to_string();
    let params = SendParams {
        session_key: SESSION.to_owned(),
        message: text.to_owned(),
        idempotency_key: run_id.clone(),
        timeout_ms: None,
        attachments: Vec::new(),
        ..SendParams::default()
    };
    match client.call::<Send>(&params) {
        Ok(SendReply::Run { .. }) => {}
        Ok(SendReply::Stopped(reply)) => {
            app.printer.line(if reply.aborted { "Stopped." } else { "Nothing is under way." });
            return Ok(());
        }
        Err(NoAnswer::Refused(refusal)) => {
            app.printer.line(&app.printer.paint(Tone::Bad, &refusal.message));
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    let mut shown = Shown::default();
    loop {
        let FromServer::Event(event) = client.next(None)? else { continue };
        let payload = event.payload.as_deref();
        if event.event == Name::Agent.name() {
            if let Some(step) = read::<event::Agent>(payload).filter(|it| it.run_id == run_id) {
                shown.step(app, &step);
            }
        } else if event.event == Name::Chat.name()
            && let Some(chat) =
                read::<Chat>(payload).filter(|it| it.run_id == run_id && it.state.is_terminal())
        {
            shown.end(app, &chat);
            return Ok(());
        }
    }
}

fn read<T: DeserializeOwned>(payload: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(payload?.get()).ok()
}

/// What the person has seen of an answer.
#[derive(Default)]
struct Shown {
    anything: bool,
    in_line: bool,
}

impl Shown {
    fn step(&mut self, app: &App, step: &event::Agent) {
        match step.stream.as_str() {
            "assistant" => {
                app.printer.piece(step.data["delta"].as_str().unwrap_or_default());
                (self.anything, self.in_line) = (true, true);
            }
            "tool" if step.data["phase"] == "start" => {
                self.end_line(app);
                let arguments = base::text::line(&step.data["args"].to_string(), 200);
                let name = step.data["name"].as_str().unwrap_or_default();
                app.printer.line(&app.printer.paint(Tone::Faint, &format!("  [{name} {arguments}]")));
            }
            "tool" if step.data["isError"] == true => {
                let text = text_of(step.data.get("result"));
                let text = base::text::line(&text, 200);
                app.printer.line(&app.printer.paint(Tone::Bad, &format!("  [failed: {text}]")));
            }
            _ => {}
        }
    }

    fn end_line(&mut self, app: &App) {
        if self.in_line {
            app.printer.line("");
            self.in_line = false;
        }
    }

    fn end(&mut self, app: &App, chat: &Chat) {
        self.end_line(app);
        let text = text_of(chat.message.as_ref());
        match chat.state {
            ChatState::Final if !self.anything && text.is_empty() => app.printer.line("(no answer)"),
            ChatState::Final if !self.anything => app.printer.line(&text),
            ChatState::Aborted => app.printer.line(&app.printer.paint(Tone::Bad, "(stopped)")),
            ChatState::Error => {
                let words = chat.error_message.as_deref().unwrap_or("the turn failed");
                app.printer.line(&app.printer.paint(Tone::Bad, words));
            }
            _ => {}
        }
        app.printer.line("");
    }
}

/// Lines of a person at a terminal, or of a file.
enum Lines {
    Person(Box<DefaultEditor>),
    File(io::Lines<io::StdinLock<'static>>),
}

impl Lines {
    fn open() -> Result<Self, Failure> {
        if !io::stdin().is_terminal() {
            return Ok(Lines::File(io::stdin().lock().lines()));
        }
        let editor = DefaultEditor::new();
        editor.map(|it| Lines::Person(Box::new(it))).map_err(|error| Failure::from_error(Kind::Fault, &error))
    }

    /// The next line; `None` at the end of the file, and when the person leaves with Ctrl-C or Ctrl-D.
    fn next(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self {
            Lines::File(lines) => {
                lines.next().transpose().map_err(|error| Failure::from_error(Kind::Failed, &error))
            }
            Lines::Person(editor) => match editor.readline(&format!("{name}> ")) {
                Ok(line) => {
                    // The history is a convenience; a line that is not kept is no failure.
                    let _ = editor.add_history_entry(&line);
                    Ok(Some(line))
                }
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => Ok(None),
                Err(error) => Err(Failure::from_error(Kind::Failed, &error)),
            },
        }
    }
}
