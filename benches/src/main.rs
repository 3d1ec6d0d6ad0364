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

Usage: cargo run --release -p openclaw-benches -- [--fleet | --plane | --services | --soak SECONDS] [--with-original] [--binary PATH] [--quick]

  --fleet           the figures of many instances on one host instead
  --plane           the figures of the control plane under load instead
  --services        the figures of gateways under a real systemd instead; needs root
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
            "--services" => only_services = true,
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(());
            }
            other => bail!("unknown argument {other}\n\n{HELP}"),
        }
    }
    let binary = match binary {
        Some(it) => it,
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
