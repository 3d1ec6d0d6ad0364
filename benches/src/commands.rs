//! Commands as a person runs them: wall time by hyperfine, peak memory by GNU time.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::subject::Subject;

/// Mean wall time in milliseconds of a command of instance 0.
pub(crate) fn wall_ms(subject: &Subject, arguments: &str, runs: usize) -> Result<f64> {
    wall_ms_of(&subject.line(arguments), &subject.variables(0), runs)
}

/// Mean wall time in milliseconds of a command line with nothing but these variables.
pub(crate) fn wall_ms_of(line: &str, variables: &[(String, String)], runs: usize) -> Result<f64> {
    let file = tempfile::NamedTempFile::new()?;
    let mut command = Command::new("hyperfine");
    command.args(["-N", "--style", "none", "--warmup", "3", "--runs", &runs.to_string(), "--export-json"]);
    command.arg(file.path()).arg(line).stdout(Stdio::null());
    command.env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
    let done = command.status().context("hyperfine cannot be started: apt-get install hyperfine")?;
    ensure!(done.success(), "hyperfine failed on {line}");
    let report: Value = serde_json::from_slice(&std::fs::read(file.path())?)?;
    let mean = report["results"][0]["mean"].as_f64().context("hyperfine reports no mean")?;
    Ok(mean * 1000.0)
}

/// Peak resident memory in megabytes of a command of instance 0.
pub(crate) fn peak_mb(subject: &Subject, arguments: &str) -> Result<f64> {
    let line = subject.line(arguments);
    let mut command = Command::new("/usr/bin/time");
    command.args(["-f", "%M", "-o"]);
    let file = tempfile::NamedTempFile::new()?;
    command.arg(file.path()).args(line.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
    command.env_clear().envs(subject.variables(0));
    command.status().context("GNU time cannot be started: apt-get install time")?;
    let text = std::fs::read_to_string(file.path())?;
    let kib: f64 =
        text.lines().last().unwrap_or_default().trim().parse().context("time reports no memory")?;
    Ok(kib / 1024.0)
}
