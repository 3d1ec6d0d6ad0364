//! `gateway run`: be the gateway of this instance, until SIGTERM or Ctrl-C.

use std::path::Path;
use std::process::ExitCode;

use base::Secret;
use gateway::{Boot, StartError};
use rustix::process::Signal;

use crate::app::App;
use crate::failure::{Failure, Kind, unreadable};

const EXAMPLES: &str = "\
Examples:
  openclaw --profile rescue gateway run --port 19001
  openclaw --profile main gateway run --bind tailnet
  OPENCLAW_CONFIG_PATH=~/.openclaw/main.json OPENCLAW_STATE_DIR=~/.openclaw-main openclaw gateway run

Exit codes: 0 stopped, 64 usage, 69 held by somebody else, 70 our fault, 78 configuration.";

/// Run the gateway in the foreground
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RunArgs {
    /// Base port; goes before OPENCLAW_GATEWAY_PORT and gateway.port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Addresses to listen on: loopback, lan, tailnet, custom or auto; goes before gateway.bind
    #[arg(long, value_name = "MODE")]
    bind: Option<String>,

    /// Token that clients on TCP must present; goes before gateway.auth.token
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,

    /// Run by nothing of the config but the port and the secret, to repair it
    #[arg(long)]
    safe: bool,

    /// End with 0 where the next start would end as this one did: for supervisors that look at success only
    #[arg(long, hide = true)]
    refusal_is_final: bool,

    /// Leave the terminal of whoever started it
    #[arg(long, hide = true)]
    detached: bool,

    /// End with the process that started this one, which has this id
    #[arg(long, hide = true, value_name = "PID")]
    exit_with_parent: Option<u32>,
}

impl RunArgs {
    /// Whether any of them was given.
    pub(crate) fn is_given(&self) -> bool {
        self.port.is_some()
            || self.bind.is_some()
            || self.token.is_some()
            || self.safe
            || self.exit_with_parent.is_some()
    }
}

/// Runs it.
pub(crate) fn run(app: &App, args: RunArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    if let Some(parent) = args.exit_with_parent {
        // Where the kernel cannot do it, the parent's own stop remains.
        let _ = rustix::process::set_parent_process_death_signal(Some(Signal::TERM));
        if std::os::unix::process::parent_id() != parent {
            // It ended before the kernel was asked, and nobody is left to stop us.
            return Ok(ExitCode::SUCCESS);
        }
    }
    if args.detached {
        // It fails where the process leads a session already, which is what is wanted.
        let _ = rustix::process::setsid();
    }
    if let Some(Err(words)) = app.log_level.as_deref().map(gateway::log::level) {
        return Err(Failure::new(Kind::Usage, format!("--log-level {words}")));
    }
    let token = match args.token {
        Some(text) => {
            Some(Secret::new(text).ok_or_else(|| Failure::new(Kind::Usage, "--token must not be empty"))?)
        }
        None => None,
    };
    let bind = args.bind.as_deref().map(str::parse).transpose();
    let bind = bind.map_err(|words| Failure::new(Kind::Usage, format!("--bind {words}")))?;
    let name = instance.name.clone();
    let passed = profile::activation::passed(&app.ambient)
        .map_err(|why| failed(&StartError::Bind { instance: name, why: why.into() }, &instance.command()))?;
    let boot = Boot {
        instance: instance.clone(),
        ambient: app.ambient.clone(),
        port: args.port,
        bind,
        passed,
        token,
        log_level: app.log_level.clone(),
        detached: args.detached,
        safe: args.safe,
    };
    let printer = app.printer;
    let Err(error) = gateway::run(boot, |text| printer.note(text)) else { return Ok(ExitCode::SUCCESS) };
    let failure = failed(&error, &instance.command());
    if args.refusal_is_final && start_kind(&error) != Kind::Fault {
        printer.failure(&failure.of(Some(&instance.name)), false);
        return Ok(ExitCode::SUCCESS);
    }
    Err(failure)
}

/// Why a gateway did not start, and what to do about it. `command` is how this instance is addressed.
fn failed(error: &StartError, command: &str) -> Failure {
    let failure = Failure::from_error(start_kind(error), error);
    match error {
        StartError::Folder(it) => failure.hint(it.remedy()),
        StartError::Held(profile::claims::Refused::Held { claim, .. }) => failure.hint(match claim {
            profile::claims::Claim::Port(profile::ports::Role::Pinned, _) => {
                profile::ports::PIN_ANOTHER
            }
            profile::claims::Claim::Port(..) => "choose another port with --port; keep 20 between base ports",
            profile::claims::Claim::Workspace(_) => {
                "name another folder in agents.defaults.workspace or agents.list: two gateways must not share one"
            }
            profile::claims::Claim::CdpUrl(_) | profile::claims::Claim::UserData(_) => {
                "name another browser in browser.cdpUrl or browser.profiles: two gateways must not share one"
            }
            _ => "that gateway is this instance, or shares its files: stop it first, or use another profile",
        }),
        StartError::Overlap(it) | StartError::Setup(gateway::setup::SetupError::Overlap(it)) => {
            failure.hint(it.remedy())
        }
        StartError::PortTaken { .. } => {
            failure.hint("it is no gateway of yours: stop it, or choose another port with --port")
        }
        StartError::Port(_) | StartError::Setup(gateway::setup::SetupError::Port(_)) => {
            failure.hint("choose another with --port, or correct gateway.port")
        }
        StartError::NoPort => failure.hint(format!("run: {command} setup")),
        StartError::ConfigGone(path) => {
            failure.hint(format!("put {} back, or make a new one: {command} setup", path.display()))
        }
        StartError::Unreadable(it) => unreadable(failure, it),
        StartError::Config { findings, path } => with_findings(failure, path, findings)
            .hint(format!("correct it there; what is only missing is added by: {command} setup")),
        StartError::Bind { why, .. } => failure.hint(why.remedy()),
        StartError::Tls { why, .. } => failure.hint(why.remedy),
        StartError::Setup(gateway::setup::SetupError::Config(it)) => unreadable(failure, it),
        _ => failure,
    }
}

fn start_kind(error: &StartError) -> Kind {
    match error {
        StartError::Held(profile::claims::Refused::Held { .. })
        | StartError::PortTaken { .. }
        | StartError::Overlap(_)
        | StartError::Setup(gateway::setup::SetupError::Overlap(_)) => Kind::Held,
        StartError::System { .. } => Kind::Fault,
        _ => Kind::Config,
    }
}

fn with_findings(mut failure: Failure, path: &Path, findings: &[profile::Finding]) -> Failure {
    for finding in findings {
        failure.details.push(finding.told(path));
    }
    failure
}
