//! `devices` and `qr`: who may connect without the shared secret, and the code that lets one more in.

use std::process::ExitCode;

use base::clock;
use clap::Subcommand;
use protocol::devices::{
    Approve, DeviceParams, List, ListParams, Paired, Pending, Reject, Remove, Rename, RenameParams,
    RequestParams, Revoke, Rotate, RotateParams, SetupCode, SetupCodeParams, TokenParams,
};
use protocol::{Method, Role};
use serde::Serialize;

use crate::app::{App, no_answer};
use crate::failure::{Failure, Kind};
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw devices list                               who waits, and who is paired
  openclaw --profile main devices approve --latest    let in who asked last
  openclaw devices revoke --device 3f1a --role operator
  openclaw qr --setup-code-only                       a code that pairs one device, once";

/// What `openclaw devices` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct DevicesArgs {
    #[command(subcommand)]
    command: DevicesCommand,

    /// Print JSON for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum DevicesCommand {
    /// List those that wait and those that are paired
    List,
    /// Let a device in that waits
    Approve {
        /// The request; its first characters are enough
        #[arg(value_name = "ID", required_unless_present = "latest")]
        request: Option<String>,
        /// The one that asked last
        #[arg(long, conflicts_with = "request")]
        latest: bool,
    },
    /// Do not let a device in that waits
    Reject {
        /// The request; its first characters are enough
        #[arg(value_name = "ID")]
        request: String,
    },
    /// Forget a paired device and close its connections
    Remove {
        /// The device; its first characters are enough
        #[arg(value_name = "DEVICE")]
        device: String,
    },
    /// Say what a paired device is called
    Rename {
        /// The device; its first characters are enough
        #[arg(long, value_name = "DEVICE")]
        device: String,
        /// Its new name, 1 to 64 characters
        #[arg(long, value_name = "LABEL")]
        name: String,
    },
    /// Exchange a device's token; the device is given the new one when it connects next
    Rotate {
        /// The device; its first characters are enough
        #[arg(long, value_name = "DEVICE")]
        device: String,
        /// Which of its tokens: operator, node
        #[arg(long, default_value = "operator", value_parser = role)]
        role: Role,
        /// What the new one lets it do; as before where none is named
        #[arg(long, value_name = "SCOPE", num_args = 1.., conflicts_with = "no_scopes")]
        scope: Vec<String>,
        /// The new one lets it do nothing
        #[arg(long)]
        no_scopes: bool,
    },
    /// Let a device's token hold no longer and close its connections
    Revoke {
        /// The device; its first characters are enough
        #[arg(long, value_name = "DEVICE")]
        device: String,
        /// Which of its tokens: operator, node
        #[arg(long, default_value = "operator", value_parser = role)]
        role: Role,
    },
}

/// What `openclaw qr` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct QrArgs {
    /// Without the right to administer the gateway
    #[arg(long)]
    limited: bool,

    /// Print the code and nothing else
    #[arg(long)]
    setup_code_only: bool,

    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs `devices`.
pub(crate) fn run(app: &App, args: &DevicesArgs) -> Result<ExitCode, Failure> {
    let done = |words: &str, reply: &dyn erased::Json| {
        if args.json { reply.print(app) } else { app.printer.line(words) }
    };
    match &args.command {
        DevicesCommand::List => list(app, args.json)?,
        DevicesCommand::Approve { request, .. } => {
            let request_id = request_of(app, request.as_deref())?;
            let reply = ask::<Approve>(app, &RequestParams { request_id })?;
            let name = reply.device.display_name.as_deref().unwrap_or("the device");
            done(&format!("{name} may connect now ({})", short(&reply.device.device_id)), &reply);
        }
        DevicesCommand::Reject { request } => {
            let request_id = request_of(app, Some(request))?;
            let reply = ask::<Reject>(app, &RequestParams { request_id })?;
            done(&format!("{} is not let in", short(&reply.device_id)), &reply);
        }
        DevicesCommand::Remove { device } => {
            let reply = ask::<Remove>(app, &DeviceParams { device_id: device_of(app, device)? })?;
            done(&format!("{} is forgotten", short(&reply.device_id)), &reply);
        }
        DevicesCommand::Rename { device, name } => {
            let params = RenameParams { device_id: device_of(app, device)?, label: name.clone() };
            let reply = ask::<Rename>(app, &params)?;
            done(&format!("{} is called {} now", short(&reply.device_id), reply.label), &reply);
        }
        DevicesCommand::Rotate { device, role, scope, no_scopes } => {
            let scopes = (*no_scopes || !scope.is_empty()).then(|| scope.clone());
            let params = RotateParams { device_id: device_of(app, device)?, role: *role, scopes };
            let reply = ask::<Rotate>(app, &params)?;
            done(&format!("{} gets a new token when it connects next", short(&reply.device_id)), &reply);
        }
        DevicesCommand::Revoke { device, role } => {
            let params = TokenParams { device_id: device_of(app, device)?, role: *role };
            let reply = ask::<Revoke>(app, &params)?;
            done(
                &format!("the {} token of {} holds no longer", role.name(), short(&reply.device_id)),
                &reply,
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `qr`.
pub(crate) fn run_qr(app: &App, args: &QrArgs) -> Result<ExitCode, Failure> {
    let access = args.limited.then(|| "limited".to_owned());
    let reply = ask::<SetupCode>(app, &SetupCodeParams { access })?;
    if args.json {
        app.printer.json(&reply);
    } else if args.setup_code_only {
        app.printer.line(&reply.setup_code);
    } else {
        let minutes = reply.expires_at_ms.saturating_sub(clock::now_ms()).div_ceil(60_000);
        app.printer.facts(&[
            ("Instance", app.instance()?.name.clone()),
            ("Setup code", reply.setup_code),
            ("Gateway", reply.gateway_url),
            ("Access", reply.access),
            ("Good for", format!("one device, {minutes} minutes")),
        ]);
    }
    Ok(ExitCode::SUCCESS)
}

fn ask<M: Method>(app: &App, params: &M::Params) -> Result<M::Reply, Failure> {
    let instance = app.instance()?;
    app.client()?.call::<M>(params).map_err(|error| no_answer(instance, &error))
}

fn list(app: &App, json: bool) -> Result<(), Failure> {
    let reply = ask::<List>(app, &ListParams {})?;
    if json {
        app.printer.json(&reply);
        return Ok(());
    }
    let printer = app.printer;
    if reply.pending.is_empty() && reply.paired.is_empty() {
        printer.note(&format!("instance {}: no device waits and none is paired", app.instance()?.name));
    }
    if !reply.pending.is_empty() {
        printer.line(&printer.paint(Tone::Strong, "Waiting"));
        let rows = reply.pending.iter().map(|it| {
            let name = name(it.display_name.as_deref(), it.client_id.as_deref());
            vec![
                short(&it.request_id),
                name,
                short(&it.device_id),
                it.role.name().to_owned(),
                scopes(&it.scopes),
            ]
        });
        printer.fitting_table(&["REQUEST", "NAME", "DEVICE", "ROLE", "SCOPES"], rows.collect(), &["ROLE"]);
    }
    if !reply.paired.is_empty() {
        printer.line(&printer.paint(Tone::Strong, "Paired"));
        let rows = reply.paired.iter().map(|it| {
            let name = name(it.display_name.as_deref(), it.client_id.as_deref());
            let state = match (it.tokens.iter().all(|it| it.revoked_at_ms.is_some()), it.connected) {
                (true, _) => "revoked",
                (false, true) => "connected",
                (false, false) => "-",
            };
            let roles: Vec<&str> = it.roles.iter().map(|it| it.name()).collect();
            vec![short(&it.device_id), name, state.to_owned(), roles.join(","), scopes(&it.scopes)]
        });
        printer.fitting_table(&["DEVICE", "NAME", "STATE", "ROLES", "SCOPES"], rows.collect(), &["ROLES"]);
    }
    Ok(())
}

fn name(display: Option<&str>, client: Option<&str>) -> String {
    display.or(client).unwrap_or("-").to_owned()
}

fn scopes(names: &[String]) -> String {
    let short: Vec<&str> = names.iter().map(|it| it.trim_start_matches("operator.")).collect();
    if short.is_empty() { "-".to_owned() } else { short.join(",") }
}

fn short(id: &str) -> String {
    base::text::head(id, 12).to_owned()
}

fn request_of(app: &App, begin: Option<&str>) -> Result<String, Failure> {
    let pending = ask::<List>(app, &ListParams {})?.pending;
    let Some(begin) = begin else {
        let newest = pending.first().map(|it| it.request_id.clone());
        return newest.ok_or_else(|| Failure::new(Kind::Failed, "no device waits"));
    };
    one(app, "request", begin, pending.iter().map(|it: &Pending| it.request_id.as_str()))
}

fn device_of(app: &App, begin: &str) -> Result<String, Failure> {
    let paired = ask::<List>(app, &ListParams {})?.paired;
    one(app, "device", begin, paired.iter().map(|it: &Paired| it.device_id.as_str()))
}

/// The one id that begins so.
fn one<'a>(
    app: &App,
    what: &str,
    begin: &str,
    ids: impl Iterator<Item = &'a str>,
) -> Result<String, Failure> {
    let found: Vec<&str> = ids.filter(|it| !begin.is_empty() && it.starts_with(begin)).collect();
    let command = app.instance()?.command();
    match found.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => Err(Failure::new(Kind::Failed, format!("no {what} begins with \"{begin}\""))
            .hint(format!("see them all: {command} devices list"))),
        several => Err(Failure::new(Kind::Usage, format!("{} begin with \"{begin}\"", several.len()))
            .hint("give more of its characters")),
    }
}

fn role(name: &str) -> Result<Role, String> {
    Role::parse(name).ok_or_else(|| "use operator or node".to_owned())
}

mod erased {
    use super::{App, Serialize};

    /// A reply that can be printed, whichever it is.
    pub(super) trait Json {
        fn print(&self, app: &App);
    }

    impl<T: Serialize> Json for T {
        fn print(&self, app: &App) {
            app.printer.json(self);
        }
    }
}
