//! `configure`: single steps of the set-up again, on the config that is there.

use std::process::ExitCode;

use gateway::wizard::{Section, Setting, Wizard};

use crate::app::App;
use crate::commands::onboard::{Answers, Asker, cannot_begin, look, walk};
use crate::failure::{Failure, Kind};

const EXAMPLES: &str = "\
Examples:
  openclaw configure                                    choose what to change
  openclaw --profile rescue configure --section model   only the model and its key
  openclaw configure --section gateway --gateway-port 19789 --non-interactive

Sections: workspace, model, channels, gateway (or access), daemon (or service).";

/// What `openclaw configure` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConfigureArgs {
    /// What to change; may be given several times
    #[arg(long, value_name = "SECTION", value_delimiter = ',')]
    section: Vec<String>,

    #[command(flatten)]
    pub(crate) answers: Answers,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &ConfigureArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let only = args.section.iter().map(|it| section(it)).collect::<Result<Vec<_>, _>>()?;
    args.answers.check(app)?;
    let setting = Setting {
        instance: instance.clone(),
        is_open: false,
        ambient: app.ambient.clone(),
        given: args.answers.given(&app.ambient)?,
        found: look(app)?,
        only: Some(only),
        live: !args.answers.skip_health,
        installs: true,
    };
    let wizard = Wizard::new(setting).map_err(|error| cannot_begin(app, &error))?;
    walk(app, wizard, Asker::of(app, &args.answers), &args.answers)
}

fn section(name: &str) -> Result<Section, Failure> {
    Section::parse(name).ok_or_else(|| {
        let names: Vec<_> = Section::NAMED.iter().map(|it| it.name()).collect();
        let words = format!(
            "Invalid --section: {}. Expected one of: {}",
            base::text::line(name, 40),
            names.join(", ")
        );
        Failure::new(Kind::Usage, words)
    })
}
