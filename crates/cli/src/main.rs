//! The `openclaw` command: reads the command line and the surroundings, resolves the instance, runs one command.

mod app;
mod cli;
mod client;
mod commands;
mod complete;
mod failure;
mod printer;
mod progress;
mod prompt;
mod quickstart;

use std::process::ExitCode;

use profile::Ambient;

use crate::app::App;
use crate::failure::Failure;
use crate::printer::Printer;

fn main() -> ExitCode {
    let ambient = Ambient::read();
    if let Some(lines) = complete::answer(&ambient, std::env::args_os()) {
        return Printer::candidates(&lines);
    }
    let (cli, words) = match cli::read() {
        Ok(it) => it,
        Err(error) => return Printer::usage(&error),
    };
    let printer = Printer::new(&ambient, cli.no_color);
    let json = cli.command.wants_json();
    let selection = cli.selection();
    let app = App::new(ambient, selection, cli.log_level, printer).for_ward(cli.ward);
    let done = match app.ward() {
        Some(_) => commands::ward::run(&app, &words, cli.command),
        None => commands::run(&app, cli.command),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            let failure: Failure = failure.of(app.known_name());
            app.printer.failure(&failure, json)
        }
    }
}
