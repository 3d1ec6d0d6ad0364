//! `fleet create`: a new instance, on ports of its own.

use std::process::ExitCode;

use fleet::look;
use gateway::setup::{Wishes, setup};
use profile::{Instance, Plan, ProfileName, ledger};
use serde_json::json;

use super::{copy, find};
use crate::app::App;
use crate::commands::setup::{failed, ports};
use crate::failure::{Failure, Kind};
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw fleet create acme                         on the lowest free base port
  openclaw fleet create acme --port 19789
  openclaw fleet create staging --from main          with main's config, workspace and skills
  openclaw fleet create rescue --rescue-for main     to look after main";

/// Make a new instance, with ports, folders and a token of its own
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CreateArgs {
    /// Its name, which becomes its profile
    #[arg(value_name = "NAME")]
    name: String,

    /// Base port; without it the lowest free one, 20 apart from every other instance's
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Begin with the config, workspace and skills of this instance, as `fleet clone` does
    #[arg(long, value_name = "NAME")]
    from: Option<String>,

    /// The instance that it is to look after
    #[arg(long, value_name = "NAME")]
    rescue_for: Option<String>,

    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs it.
pub(super) fn run(app: &App, args: &CreateArgs) -> Result<ExitCode, Failure> {
    let instance = new_instance(app, &args.name)?;
    let ward = args.rescue_for.as_deref().map(|it| find::by_name(app, it)).transpose()?;
    if let Some(port) = args.port {
        let refused = |it| Failure::from_error(Kind::Usage, &it).hint("choose another with --port");
        Plan::of(port).map_err(refused)?;
    }
    let (port, workspace) = match &args.from {
        Some(from) => {
            let from = find::by_name(app, from)?;
            let made = copy::clone(app, &from.instance, &instance, args.port)?;
            (made.port, made.workspace)
        }
        None => {
            let wishes = Wishes { port: args.port, workspace: None };
            let report = setup(&instance, &app.ambient, &wishes).map_err(|error| failed(&error))?;
            (report.port, report.workspace)
        }
    };
    if let Some(ward) = &ward {
        let noted = ledger::note(&instance.state_dir, |it| it.rescue_for = Some(ward.instance.name.clone()));
        noted.map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    }
    let rescue_for = ward.map(|it| it.instance.name);
    if args.json {
        app.printer.json(&json!({
            "ok": true, "name": instance.name, "port": port, "stateDir": instance.state_dir,
            "configPath": instance.config_path, "workspace": workspace, "rescueFor": rescue_for,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut facts = vec![
        ("Instance", app.printer.paint(Tone::Strong, &instance.name)),
        ("Config", instance.config_path.display().to_string()),
        ("Workspace", workspace.display().to_string()),
        ("Ports", Plan::of(port).map_or_else(|error| error.to_string(), |it| ports(&it))),
    ];
    facts.extend(rescue_for.map(|it| ("Rescue of", it)));
    facts.push(("Start it", format!("openclaw fleet start {}", instance.name)));
    app.printer.facts(&facts);
    Ok(ExitCode::SUCCESS)
}

/// The instance that a name will be; refused where there is one.
pub(super) fn new_instance(app: &App, name: &str) -> Result<Instance, Failure> {
    let profile = ProfileName::parse(name).map_err(|_| {
        Failure::new(Kind::Usage, format!("`{}` is no name of an instance", base::text::line(name, 80))).hint(
            "a name has 1 to 64 letters, numbers, \"_\" and \"-\", and begins with a letter or a number",
        )
    })?;
    let known = look::known(&app.host()?, &app.ambient);
    if let Some(it) = known.iter().find(|it| it.instance.name == name) {
        let folder = it.instance.state_dir.display();
        return Err(Failure::new(Kind::Usage, format!("there is an instance {name} already, in {folder}"))
            .hint("choose another name"));
    }
    Instance::of_profile(&app.ambient, profile)
        .map_err(|error| Failure::new(Kind::Usage, format!("[openclaw] {error}")))
}
