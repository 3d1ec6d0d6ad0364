//! A step on a terminal: what is asked stays below the cursor while it is answered, and becomes one line afterwards.

use std::io::{self, Write};

use gateway::wizard::{Kind, Step};
use serde_json::{Value, json};

use super::keys::{Key, Raw};
use super::line::Line;
use super::walk::width;
use super::{Reply, shown};
use crate::printer::{Printer, Tone, fold};

/// As many choices are shown at once.
const WINDOW: usize = 10;

/// Asks one step.
pub(super) fn ask(printer: Printer, step: &Step) -> Reply {
    let Some(raw) = Raw::take() else { return Reply::Cancel };
    let mut canvas = Canvas { printer, lines: 0 };
    let reply = match step.kind {
        Kind::Note => note(&raw, &mut canvas),
        Kind::Select { free } => select(&raw, &mut canvas, step, free),
        Kind::Multiselect => multiselect(&raw, &mut canvas, step),
        Kind::Confirm => confirm(&raw, &mut canvas, step),
        Kind::Text | Kind::Secret => text(&raw, &mut canvas, step, step.kind == Kind::Secret),
    };
    canvas.clear();
    if let Reply::Answer(value) = &reply
        && step.kind != Kind::Note
    {
        let question = printer.paint(Tone::Faint, &format!("{}:", step.question.trim_end_matches('?')));
        printer.note(&fold(&format!("{question} {}", shown(step, value)), width()));
    }
    reply
}

/// What is drawn and drawn again.
struct Canvas {
    printer: Printer,
    lines: usize,
}

impl Canvas {
    /// Draws lines in the place of those before; each is cut to the width.
    fn draw(&mut self, lines: &[(Option<Tone>, String)]) {
        let width = width() - 1;
        let mut text = self.up();
        for (tone, line) in lines {
            let cut: String = line.chars().take(width).collect();
            let cut = tone.map_or_else(|| cut.clone(), |it| self.printer.paint(it, &cut));
            text.push_str(&cut);
            text.push('\n');
        }
        self.lines = lines.len();
        put(&text);
    }

    fn clear(&mut self) {
        put(&self.up());
        self.lines = 0;
    }

    fn up(&self) -> String {
        if self.lines == 0 { "\r\u{1b}[J".to_owned() } else { format!("\u{1b}[{}A\r\u{1b}[J", self.lines) }
    }

    fn keys(&self, long: &str, short: &str) -> (Option<Tone>, String) {
        let text = if width() > long.len() { long } else { short };
        (Some(Tone::Faint), text.to_owned())
    }
}

fn put(text: &str) {
    let mut err = io::stderr();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

fn note(raw: &Raw, canvas: &mut Canvas) -> Reply {
    canvas.draw(&[canvas.keys("Enter: go on   Esc: back", "Enter: go on   Esc: back")]);
    loop {
        match raw.key() {
            Key::Enter | Key::Letter(' ') => return Reply::Answer(Value::Null),
            Key::Escape | Key::Letter('<') => return Reply::Back,
            Key::Quit => return Reply::Cancel,
            _ => {}
        }
    }
}

/// A list with one line that is pointed at.
struct List {
    rows: Vec<(String, String)>,
    at: usize,
}

impl List {
    /// The rows around the one that is pointed at, with what `mark` puts in front of each.
    fn lines(&self, mark: impl Fn(usize) -> &'static str) -> Vec<(Option<Tone>, String)> {
        // The question and the keys must stay on the screen, too.
        let height = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |it| usize::from(it.ws_row));
        let window = if height == 0 { WINDOW } else { WINDOW.min(height.saturating_sub(5)).max(1) };
        let first = self.at.saturating_sub(window / 2).min(self.rows.len().saturating_sub(window));
        let rows = self.rows.iter().enumerate().skip(first).take(window);
        let mut lines: Vec<_> = rows
            .map(|(at, (label, hint))| {
                let pointer = if at == self.at { ">" } else { " " };
                let hint = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
                let tone = (at == self.at).then_some(Tone::Strong);
                (tone, format!("{pointer} {}{label}{hint}", mark(at)))
            })
            .collect();
        let hidden = self.rows.len() - lines.len();
        if hidden > 0 {
            lines.push((Some(Tone::Faint), format!("  … {hidden} more")));
        }
        lines
    }

    fn step(&mut self, key: Key) {
        let last = self.rows.len().saturating_sub(1);
        match key {
            Key::Up => self.at = self.at.checked_sub(1).unwrap_or(last),
            Key::Down => self.at = if self.at == last { 0 } else { self.at + 1 },
            Key::Home => self.at = 0,
            Key::End => self.at = last,
            Key::Letter(letter) => {
                let begins = |it: &(String, String)| {
                    it.0.chars().next().is_some_and(|it| it.eq_ignore_ascii_case(&letter))
                };
                let after = (self.at + 1..self.rows.len()).chain(0..=self.at);
                self.at =
                    after.into_iter().find(|at| self.rows.get(*at).is_some_and(begins)).unwrap_or(self.at);
            }
            _ => {}
        }
    }
}

/// The question, in as many lines as it needs.
fn question(step: &Step) -> Vec<(Option<Tone>, String)> {
    fold(&step.question, width() - 1).lines().map(|it| (Some(Tone::Strong), it.to_owned())).collect()
}

fn select(raw: &Raw, canvas: &mut Canvas, step: &Step, free: bool) -> Reply {
    let mut rows: Vec<_> = step.choices.iter().map(|it| (it.label.clone(), it.hint.clone())).collect();
    if free {
        rows.push(("Another…".to_owned(), "type its name".to_owned()));
    }
    let default = step.default.as_ref().and_then(Value::as_str);
    let at = step.choices.iter().position(|it| Some(it.value.as_str()) == default).unwrap_or_default();
    let mut list = List { rows, at };
    loop {
        let mut lines = question(step);
        lines.extend(list.lines(|_| ""));
        lines.push(canvas.keys(
            "Up, Down: choose   Enter: take it   Esc: back   Ctrl-C: cancel",
            "Up/Down  Enter  Esc: back",
        ));
        canvas.draw(&lines);
        match raw.key() {
            Key::Enter => match step.choices.get(list.at) {
                Some(it) => return Reply::Answer(json!(it.value)),
                None => match text(raw, canvas, step, false) {
                    Reply::Back => {}
                    other => return other,
                },
            },
            Key::Escape | Key::Letter('<') => return Reply::Back,
            Key::Quit => return Reply::Cancel,
            key => list.step(key),
        }
    }
}

fn multiselect(raw: &Raw, canvas: &mut Canvas, step: &Step) -> Reply {
    let rows = step.choices.iter().map(|it| (it.label.clone(), it.hint.clone())).collect();
    let mut list = List { rows, at: 0 };
    let default = step.default.as_ref().and_then(Value::as_array);
    let is_default = |value: &str| default.is_some_and(|it| it.iter().any(|it| it == value));
    let mut chosen: Vec<bool> = step.choices.iter().map(|it| is_default(&it.value)).collect();
    loop {
        let mut lines = question(step);
        lines.extend(list.lines(|at| if chosen[at] { "[x] " } else { "[ ] " }));
        lines.push(
            canvas.keys("Space: mark   Enter: go on   Esc: back   Ctrl-C: cancel", "Space  Enter  Esc: back"),
        );
        canvas.draw(&lines);
        match raw.key() {
            Key::Letter(' ') => chosen[list.at] = !chosen[list.at],
            Key::Enter => {
                let marked = step.choices.iter().zip(&chosen).filter(|it| *it.1).map(|it| &it.0.value);
                return Reply::Answer(json!(marked.collect::<Vec<_>>()));
            }
            Key::Escape | Key::Letter('<') => return Reply::Back,
            Key::Quit => return Reply::Cancel,
            key => list.step(key),
        }
    }
}

fn confirm(raw: &Raw, canvas: &mut Canvas, step: &Step) -> Reply {
    let mut yes = step.default == Some(json!(true));
    loop {
        let (first, second) = if yes { ("> Yes", "  No") } else { ("  Yes", "> No") };
        let tone = |is_it: bool| is_it.then_some(Tone::Strong);
        let mut lines = question(step);
        lines.extend([(tone(yes), first.to_owned()), (tone(!yes), second.to_owned())]);
        lines.push(canvas.keys("y, n, or Enter   Esc: back   Ctrl-C: cancel", "y, n, Enter   Esc: back"));
        canvas.draw(&lines);
        match raw.key() {
            Key::Up | Key::Down | Key::Left | Key::Right => yes = !yes,
            Key::Letter('y' | 'Y') => return Reply::Answer(json!(true)),
            Key::Letter('n' | 'N') => return Reply::Answer(json!(false)),
            Key::Enter => return Reply::Answer(json!(yes)),
            Key::Escape | Key::Letter('<') => return Reply::Back,
            Key::Quit => return Reply::Cancel,
            _ => {}
        }
    }
}

fn text(raw: &Raw, canvas: &mut Canvas, step: &Step, secret: bool) -> Reply {
    let default = step.default.as_ref().and_then(Value::as_str).filter(|_| !secret);
    let mut line = Line::new(default.unwrap_or_default());
    loop {
        let width = width() - 4;
        let (seen, column) = line.window(width, secret);
        let mut lines = question(step);
        lines.push((None, format!("> {seen}")));
        lines.push(canvas.keys(
            "Enter: take it   Ctrl-U: empty it   Esc: back   Ctrl-C: cancel",
            "Enter   Ctrl-U: empty   Esc: back",
        ));
        canvas.draw(&lines);
        // Two lines up, behind the mark; and down again before the next drawing.
        put(&format!("\u{1b}[2A\r\u{1b}[{}C", column + 2));
        let key = raw.key();
        put("\u{1b}[2B\r");
        match key {
            Key::Enter if line.is("<") => return Reply::Back,
            Key::Enter => return Reply::Answer(json!(line.text())),
            Key::Escape => return Reply::Back,
            Key::Quit => return Reply::Cancel,
            key => line.edit(key),
        }
    }
}
