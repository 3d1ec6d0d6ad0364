//! `fleet ports`: the plan of the host as a picture, and the next free bases.

use std::process::ExitCode;

use clap::Args;
use fleet::look::{self, Known, Seen};
use profile::ports::{self, DEFAULT_BASE, Neighbour};
use profile::{Plan, listener};
use serde_json::{Value, json};

use crate::app::App;
use crate::failure::Failure;
use crate::printer::Tone;

const EXAMPLES: &str = "\
Examples:
  openclaw fleet ports
  openclaw fleet ports --json | jq .free[0]

In the picture: G gateway, B browser control, C canvas, x a pinned browser port, · the range for browsers. Ranges may
lie over each other's ports: a browser is given a port that nobody else needs.";

/// How many free bases are proposed.
const PROPOSALS: usize = 5;
/// What stands beside the picture: a name and a base port.
const MARGIN: usize = 22;

/// Show the ports of all instances as a picture, and the next free base ports
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PortsArgs {
    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs it.
pub(super) fn run(app: &App, args: &PortsArgs) -> Result<ExitCode, Failure> {
    let host = app.host()?;
    let known: Vec<Known> = look::known(&host, &app.ambient);
    let mut seen = look::some(&host, &app.ambient, &known);
    seen.sort_by_key(|it| it.port);
    let planned: Vec<(&Seen, Neighbour)> = seen.iter().filter_map(|it| Some((it, neighbour(it)?))).collect();
    let others: Vec<Neighbour> = planned.iter().map(|(_, it)| it.clone()).collect();
    let free: Vec<u16> =
        ports::free_bases(DEFAULT_BASE, &others, listener::is_bound).take(PROPOSALS).collect();
    if args.json {
        let rows: Vec<Value> = planned.iter().map(|(seen, it)| as_json(seen, it)).collect();
        app.printer.json(&json!({"instances": rows, "free": free}));
        return Ok(ExitCode::SUCCESS);
    }
    draw(app, &planned);
    let free = free.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    app.printer.line(&format!("next free base ports: {free}"));
    Ok(ExitCode::SUCCESS)
}

fn neighbour(it: &Seen) -> Option<Neighbour> {
    let plan = Plan::of(it.port?).ok()?;
    Some(Neighbour { name: it.name.clone(), plan, pinned: it.pinned.clone() })
}

fn as_json(seen: &Seen, it: &Neighbour) -> Value {
    let Plan { base, control, canvas, cdp } = &it.plan;
    json!({
        "name": it.name, "state": seen.state, "base": base, "control": control, "canvas": canvas,
        "cdp": [cdp.start(), cdp.end()], "pinned": it.pinned, "folder": seen.folder,
    })
}

fn draw(app: &App, planned: &[(&Seen, Neighbour)]) {
    let ends = planned.iter().map(|(_, it)| (it.plan.base, *it.plan.cdp.end()));
    let (Some(first), Some(last)) = (ends.clone().map(|it| it.0).min(), ends.map(|it| it.1).max()) else {
        return;
    };
    let room = usize::from(app.printer.width()).saturating_sub(MARGIN).clamp(20, 200);
    let span = usize::from(last - first) + 1;
    // One column stands for several ports where the terminal is narrow.
    let step = span.div_ceil(room);
    let place = |port: u16| usize::from(port.saturating_sub(first)) / step;
    for (seen, it) in planned {
        let mut line = vec![' '; span.div_ceil(step)];
        for port in it.plan.cdp.clone() {
            line[place(port)] = '·';
        }
        for port in it.pinned.iter().filter(|it| (first..=last).contains(it)) {
            line[place(*port)] = 'x';
        }
        // The gateway is drawn last: where several fall on one column, it is what people look for.
        let fixed = [(it.plan.canvas, 'C'), (it.plan.control, 'B'), (it.plan.base, 'G')];
        for (port, mark) in fixed {
            line[place(port)] = mark;
        }
        let line: String = line.into_iter().collect();
        let name = base::text::line(&it.name, 14);
        let label = format!("{name:<14} {:>5} ", it.plan.base);
        let tone = super::ls::tone(seen.state);
        app.printer.line(format!("{}{}", app.printer.paint(tone, &label), line.trim_end()).as_str());
    }
    let legend = format!("{first} to {last}, {step} port{} a column", if step == 1 { "" } else { "s" });
    app.printer.line(&app.printer.paint(Tone::Faint, &format!("{:<21}{legend}", "")));
}
