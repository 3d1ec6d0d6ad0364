//! Whole-process figures of the release binary, as one table with the machine and the date. With
//! `--with-original`, the original is measured beside it in the same run.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool that prints its figures")]
#![allow(
    clippy::disallowed_methods,
    reason = "a tool of the repository, not the product: it reads its own surroundings"
)]

mod client;
mod commands;
mod crowd;
mod fleet;
mod measures;
mod model;
mod plane;
mod services;
mod soak;
mod subject;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::subject::Subject;

const HELP: &str = "\
Figures of the release binary, whole processes only.

Usage: cargo run --release -p openclaw-benches -- [--fleet | --plane | --services | --shapes FILE | --soak SECONDS] [--with-original] [--binary PATH] [--quick]

  --fleet           the figures of many instances on one host instead
  --plane           the figures of the control plane under load instead
  --services        the figures of gateways under a real systemd instead; needs root
  --shapes FILE     record the shapes of the original's answers and events, for the test that compares ours
  --soak SECONDS    one gateway whose config changes every second instead
  --with-original   measure the original beside it: npm `openclaw` on npm `node`, installed into target/original
                    when it is missing (about 1 GB)
  --binary PATH     measure this binary instead of building the product
  --quick           fewer rounds, no pause between changes; for a look, not for a claim

Needs hyperfine and GNU time: apt-get install hyperfine time";

fn main() -> Result<()> {
    let mut with_original = false;
    let mut quick = false;
    let mut only_fleet = false;
    let mut only_plane = false;
    let mut only_services = false;
    let mut shapes = None;
    let mut soak = None;
    let mut binary = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--binary" => binary = Some(PathBuf::from(arguments.next().context("--binary needs a path")?)),
            "--with-original" => with_original = true,
            "--quick" => quick = true,
            "--soak" => {
                let seconds = arguments.next().context("--soak needs a number of seconds")?;
                soak = Some(std::time::Duration::from_secs(seconds.parse()?));
            }
            "--fleet" => only_fleet = true,
            "--plane" => only_plane = true,
            "--shapes" => {
                shapes = Some(PathBuf::from(arguments.next().context("--shapes needs a file to write")?));
            }
            "--services" => only_services = true,
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(());
            }
            other => bail!("unknown argument {other}\n\n{HELP}"),
        }
    }
    if let Some(file) = shapes {
        return record(&file);
    }
    let binary = match binary {
        Some(it) => it.canonicalize().with_context(|| format!("{}", it.display()))?,
        None => built()?,
    };
    let ours = Subject::ours(&binary)?;
    let original = if with_original { Some(Subject::original(&root())?) } else { None };
    println!("{}", measures::machine());
    if let Some(time) = soak {
        let pause = std::time::Duration::from_secs(u64::from(!quick));
        measures::print(&soak::run(&binary, time, pause)?, None);
        return Ok(());
    }
    if only_services {
        measures::print(&services::all(&binary, quick)?, None);
        return Ok(());
    }
    if only_fleet {
        measures::print(&fleet::all(&binary, quick)?, None);
        return Ok(());
    }
    let measured = |it: &Subject| if only_plane { plane::all(it, quick) } else { measures::all(it, quick) };
    let mine = measured(&ours)?;
    let theirs = original.as_ref().map(measured).transpose()?;
    measures::print(&mine, theirs.as_deref());
    Ok(())
}

/// Walks through the original as the test walks through ours.
fn record(file: &std::path::Path) -> Result<()> {
    let original = Subject::original(&root())?;
    let model = testkit::ScriptedModel::start().model("tokens");
    testkit::shapes::script(&model);
    original.configure(0, Some(&model.base_url()))?;
    let _running = original.start(0)?;
    let shapes = testkit::shapes::record(subject::port(0), subject::TOKEN);
    let head = "# Recorded from OpenClaw 2026.9.6 by `cargo run --release -p openclaw-benches -- --shapes`: paths and types.\n";
    Ok(std::fs::write(file, format!("{head}{shapes}"))?)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The release binary beside this one, built afresh.
fn built() -> Result<PathBuf> {
    let built = std::process::Command::new("cargo")
        .args(["build", "--release", "-p", "openclaw-cli"])
        .current_dir(root())
        .status()
        .context("cargo cannot be started")?;
    anyhow::ensure!(built.success(), "the product does not build");
    let folder = std::env::current_exe()?;
    let folder = folder.parent().context("this program is in no folder")?;
    Ok(folder.join("openclaw"))
}
