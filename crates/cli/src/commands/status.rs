//! `status`: how this instance is, on one screen.

mod everything;
mod screen;
mod shape;

use std::process::ExitCode;
use std::time::Duration;

use fleet::audit::{self, Report};
use fleet::doctor::{self, Effort, Finding, Given, Scene};
use fleet::service::{self, Service};
use profile::generations::{self, Generation};
use profile::listener::{self, Listener};
use profile::{Document, Instance};

use self::everything::Everything;
pub(crate) use self::screen::listens;
use super::doctor::given;
use super::overview::{self, Overview};
use crate::app::App;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  openclaw status                      the instance without a profile
  openclaw --profile rescue status     another one, wherever its gateway was started
  openclaw status --deep               ask the model too, and read the whole database
  openclaw status --all                everything for a bug report, without secrets
  openclaw status --json               for scripts; exit code 0 also when no gateway runs

No gateway needs to run, and the config need not parse.";

/// What `openclaw status` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    /// Everything that can be read, for a bug report; secrets are masked
    #[arg(long)]
    all: bool,

    /// Ask the model whether it answers, and read the whole database
    #[arg(long)]
    deep: bool,

    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,

    /// Milliseconds to wait for the gateway
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    timeout: u64,
}

/// All that is shown.
struct Picture<'a> {
    instance: &'a Instance,
    seen: Overview,
    listeners: Vec<Listener>,
    service: Service,
    last: Option<Generation>,
    config_changed: bool,
    findings: Vec<Finding>,
    audit: Option<Report>,
    everything: Option<Everything>,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &StatusArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let picture = look(app, args, instance);
    if args.json {
        app.printer.json(&shape::as_json(&picture));
    } else {
        app.printer.facts(&screen::facts(app, &picture));
        screen::findings(app, &picture, args.all || args.deep);
        if let Some(it) = &picture.everything {
            it.tell(app, &picture);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn look<'a>(app: &'a App, args: &StatusArgs, instance: &'a Instance) -> Picture<'a> {
    let seen = overview::look_at(instance, Duration::from_millis(args.timeout), args.deep);
    let effort = match (args.deep, args.all) {
        (true, _) => Effort::Deep,
        (false, true) => Effort::Look,
        (false, false) => Effort::Glance,
    };
    let model = seen.gateway.as_ref().ok().map(|it| it.status.model.clone());
    let ambient = &app.ambient;
    let asked = |document: &Document| match &model {
        // It was asked a moment ago.
        Some(it) => given::told(it.clone()),
        None => given::reach(instance, ambient, document),
    };
    let given = Given { judge: &|it| given::judge(instance, ambient, it), reach: &asked };
    let findings = doctor::examine(&Scene::look(instance, ambient, effort, given));
    let last = generations::last(&instance.state_dir);
    let text = std::fs::read_to_string(&instance.config_path).ok();
    let config_changed = last.as_ref().zip(text).is_some_and(|(last, text)| !last.is(&text));
    let audit = (args.all || args.deep).then(|| audit::audit(instance, ambient));
    let everything = args.all.then(|| Everything::look(app, instance));
    let service = service::of(instance, ambient);
    let listeners = listeners(&seen);
    Picture { instance, seen, listeners, service, last, config_changed, findings, audit, everything }
}

/// Who listens on the fixed ports. The gateway that answers listens on its own, which needs no search.
fn listeners(seen: &Overview) -> Vec<Listener> {
    let Some(plan) = seen.plan() else { return Vec::new() };
    let own = seen.gateway.as_ref().ok().map(|it| it.status.instance.pid);
    let look = |port: u16| match own {
        Some(pid) if port == plan.base => {
            let uid = rustix::process::geteuid().as_raw();
            Some(Listener { port, pid: Some(pid), program: None, uid })
        }
        _ => listener::is_bound(port).then(|| listener::who(port)).flatten(),
    };
    plan.fixed().into_iter().filter_map(|(_, port)| look(port)).collect()
}

impl Picture<'_> {
    /// What is wrong with the config, in a line each.
    fn config_issues(&self) -> Vec<String> {
        let unreadable = self.seen.config.iter().map(ToString::to_string);
        let is_error = |it: &&Finding| it.id == "config.findings" && it.severity == doctor::Severity::Error;
        unreadable.chain(self.findings.iter().filter(is_error).map(|it| it.what.clone())).collect()
    }
}
