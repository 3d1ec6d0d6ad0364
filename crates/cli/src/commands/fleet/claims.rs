//! `fleet claims`: who holds what, since when.

use std::process::ExitCode;

use base::clock;
use fleet::look;
use profile::claims::{self, Claim, Held, Holder};
use serde_json::{Value, json};

use crate::app::App;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  openclaw fleet claims
  openclaw fleet claims --json | jq -r '.claims[] | [.instance, .what] | @tsv'

A claim is a lock of the kernel: it ends with its process, however that ends.";

/// List what only one gateway may hold, and who holds it
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ClaimsArgs {
    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs it.
pub(super) fn run(app: &App, args: &ClaimsArgs) -> Result<ExitCode, Failure> {
    let held = held(app)?;
    if args.json {
        app.printer.json(&json!({"claims": held.iter().map(as_json).collect::<Vec<_>>()}));
    } else if held.is_empty() {
        app.printer.note("nothing is claimed: no gateway runs");
    } else {
        let rows = held.iter().map(|(what, holder)| {
            vec![holder.instance.clone(), what.clone(), holder.pid.to_string(), clock::rfc3339(holder.since)]
        });
        app.printer.table(&["INSTANCE", "WHAT", "PID", "SINCE"], rows.collect());
    }
    Ok(ExitCode::SUCCESS)
}

/// All that is held, the state folders' own locks included, by instance.
fn held(app: &App) -> Result<Vec<(String, Holder)>, Failure> {
    let host = app.host()?;
    let known = look::known(&host, &app.ambient);
    let folders = known.iter().filter_map(|it| {
        let holder = claims::holder_now(&it.instance.state_dir)?;
        let holder = Holder { instance: it.instance.name.clone(), ..holder };
        Some((Claim::StateFolder(it.instance.state_dir.clone()).to_string(), holder))
    });
    let others = claims::held_now(&host.claims()).into_iter().map(|Held { claim, holder, .. }| {
        (claim.map_or_else(|| "a claim of an older program".to_owned(), |it| it.to_string()), holder)
    });
    let mut all: Vec<_> = folders.chain(others).collect();
    all.sort_by(|a, b| (&a.1.instance, a.1.pid).cmp(&(&b.1.instance, b.1.pid)));
    Ok(all)
}

fn as_json((what, holder): &(String, Holder)) -> Value {
    json!({
        "what": what, "instance": holder.instance, "pid": holder.pid, "since": holder.since,
        "stateDir": holder.state_dir,
    })
}
