//! Figures of gateways under a real systemd: the boot, a death, a hang, and what it costs to be watched. The systemd
//! is the one of the tests: PID 1 of namespaces of its own, which needs root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::measures::{Figure, figure};

/// How many gateways come up with the machine.
const MANY: usize = 10;
/// What is run in the machine by its user; it prints `NAME VALUE` lines.
const INSIDE: &str = include_str!("services.sh");

/// A machine that is powered off when it is dropped.
struct Machine {
    script: PathBuf,
    name: String,
    program: PathBuf,
}

/// Measures everything. The rounds of each are averaged, apart from the boot, whose slowest gateway counts.
pub(crate) fn all(program: &Path, quick: bool) -> Result<Vec<Figure>> {
    let machine = Machine::boot(program)?;
    let told = machine.user(&format!("{INSIDE}\nrounds={}\neverything", if quick { 1 } else { 5 }))?;
    let of = |name: &str| mean(&told, name);
    let mut figures = vec![
        figure("kill -9 to ready, less RestartSec", "ms", of("killed")? - of("pause")?, None),
        figure("hang to its end, WatchdogSec=1", "ms", of("hung")?, None),
        figure("hang to its end, as installed", "s", of("hung-as-installed")? / 1e3, None),
        figure("watched for a minute, context switches", "", of("switches-watched")?, None),
        figure("not watched for a minute, context switches", "", of("switches-unwatched")?, None),
        figure("watched for a minute, CPU", "ms", of("cpu-watched")? / 1e3, None),
        figure("not watched for a minute, CPU", "ms", of("cpu-unwatched")? / 1e3, None),
        figure("gateway status --deep, 20 installed", "ms", of("deep")?, None),
    ];
    let mut boots = Vec::new();
    for _ in 0..if quick { 1 } else { 3 } {
        boots.push(machine.power_on()?);
    }
    let mean = boots.iter().sum::<f64>() / boots.len() as f64;
    figures.push(figure("power-on to ten gateways ready", "ms", mean, None));
    Ok(figures)
}

/// The mean of the lines of a name.
fn mean(told: &str, name: &str) -> Result<f64> {
    let values: Vec<f64> = told
        .lines()
        .filter_map(|it| it.strip_prefix(name)?.strip_prefix(' '))
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    ensure!(!values.is_empty(), "the machine told no {name}:\n{told}");
    Ok(values.iter().sum::<f64>() / values.len() as f64)
}

impl Machine {
    fn boot(program: &Path) -> Result<Self> {
        let script = crate::root().join("crates/cli/tests/e2e/services/box.sh");
        let name = format!("oc-bench-{}", std::process::id());
        let machine = Self { script, name, program: program.to_owned() };
        machine.run(&["start"])?;
        Ok(machine)
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("bash");
        command.arg(&self.script).args(words);
        command.env("BOX_NAME", &self.name).env("BOX_BINARY", &self.program).stdin(Stdio::null());
        let output = command.output().context("bash cannot be started")?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let refused = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words:?} ended with {}: {told}{refused}", output.status);
        Ok(told)
    }

    fn user(&self, line: &str) -> Result<String> {
        self.run(&["user", "bash", "-c", line])
    }

    /// Powers it off and on. Milliseconds from the first instruction of its PID 1 until the last of the gateways said
    /// READY, by its own clock.
    fn power_on(&self) -> Result<f64> {
        self.run(&["reboot"])?;
        let begun =
            self.run(&["exec", "systemctl", "show", "--value", "-p", "UserspaceTimestampMonotonic"])?;
        let ready = self.user(&format!("{INSIDE}\nready"))?;
        let ready: Vec<f64> = ready.lines().map(|it| it.trim().parse()).collect::<Result<_, _>>()?;
        ensure!(ready.len() == MANY, "{} of {MANY} gateways came up", ready.len());
        let last = ready.iter().copied().fold(0.0, f64::max);
        Ok((last - begun.trim().parse::<f64>()?) / 1e3)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.run(&["stop"]);
    }
}
