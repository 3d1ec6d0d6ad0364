//! Figures of many instances on one host: the listing, their memory, their start, and one of them in a file.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use profile::claims::Claim;
use profile::ports::Role;
use profile::{Claims, Plan};
use serde_json::{Value, json};

use crate::commands;
use crate::measures::{Figure, figure, percentile, pss_mb};
use crate::subject::TOKEN;

/// How many instances the largest host has.
const MANY: u16 = 50;
/// The first base port; 20 apart, as people have them.
const FIRST_PORT: u16 = 22_001;
/// How long the gateways are left alone before their memory is read.
const IDLE: Duration = Duration::from_secs(15);
/// Bytes of the instance that is kept in a file.
const LARGE: usize = 200 * 1024 * 1024;

/// A home with instances of our binary.
struct Host {
    program: PathBuf,
    home: tempfile::TempDir,
}

/// Measures everything.
pub(crate) fn all(program: &Path, quick: bool) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (count, aim) in [(1, 5.0), (10, 10.0), (MANY, 50.0)] {
        let host = Host::new(program, count)?;
        let runs = if quick { 10 } else { 50 };
        if count == MANY {
            figures.extend(cold_starts(&host, if quick { 2 } else { 5 })?);
        }
        let running = Running::start(&host)?;
        let name = format!("fleet ls, {count} ready");
        figures.push(figure(&name, "ms", host.wall_ms("fleet ls", runs)?, Some(aim)));
        if count == MANY {
            std::thread::sleep(IDLE);
            let all = running.pids.iter().map(|it| pss_mb(*it)).sum::<Result<f64>>()?;
            figures.push(figure("50 idle together, PSS", "MB", all, Some(125.0)));
        }
        drop(running);
        if count == MANY {
            let name = format!("fleet ls, {count} stopped");
            figures.push(figure(&name, "ms", host.wall_ms("fleet ls", runs)?, Some(aim)));
        }
    }
    figures.extend(claims(200)?);
    figures.extend(snapshots(program)?);
    Ok(figures)
}

/// From nothing running to all of them ready, by one command.
fn cold_starts(host: &Host, rounds: usize) -> Result<Vec<Figure>> {
    let mut took = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        let running = Running::start(host)?;
        took.push(began.elapsed().as_secs_f64());
        drop(running);
    }
    Ok(vec![figure("50 ready from a cold start, median", "s", percentile(took, 50), Some(0.5))])
}

/// The claims of a gateway: state folder, config, three ports, workspace.
fn claims(rounds: usize) -> Result<Vec<Figure>> {
    let home = tempfile::tempdir()?;
    let (state, folder) = (home.path().join("state"), home.path().join("claims"));
    fs::create_dir_all(&state)?;
    let plan = Plan::of(FIRST_PORT)?;
    let (mut taken, mut released) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let began = Instant::now();
        let mut claims = Claims::new(&folder, "bench", &state);
        claims.take_folder()?;
        claims.take(Claim::Config(state.join("openclaw.json")))?;
        for (role, port) in plan.fixed() {
            claims.take(Claim::Port(role, port))?;
        }
        claims.take(Claim::Port(Role::Browser, *plan.cdp.start()))?;
        taken.push(began.elapsed().as_secs_f64() * 1e6);
        let began = Instant::now();
        drop(claims);
        released.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(vec![
        figure("six claims taken, p50", "µs", percentile(taken, 50), None),
        figure("six claims released, p50", "µs", percentile(released, 50), None),
    ])
}

/// A large instance in a file and back, on the disk that holds temporary files.
fn snapshots(program: &Path) -> Result<Vec<Figure>> {
    let host = Host::new(program, 1)?;
    let workspace = host.state(0).join("workspace-bench-0");
    fs::create_dir_all(&workspace)?;
    fill(&workspace)?;
    let file = host.home.path().join("bench.tar.gz");
    let to = file.display().to_string();
    let began = Instant::now();
    host.run(&["fleet", "snapshot", "bench-0", "--output", &to])?;
    let taken = began.elapsed().as_secs_f64();
    let began = Instant::now();
    host.run(&["fleet", "restore", &to, "--as", "again"])?;
    let restored = began.elapsed().as_secs_f64();
    Ok(vec![
        figure("snapshot of 200 MB", "s", taken, None),
        figure("restore of it, verified", "s", restored, None),
    ])
}

/// Files as agents leave them: half of it text, half of it what cannot be made smaller.
fn fill(folder: &Path) -> Result<()> {
    const FILE: usize = 4 * 1024 * 1024;
    let words = "the agent wrote this line about what it was asked, and then another one like it\n";
    let text = words.repeat(FILE / words.len());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).unwrap_or_default()
    })
    .take(FILE)
    .collect();
    for at in 0..LARGE / FILE {
        let mut file = fs::File::create(folder.join(format!("file-{at}")))?;
        file.write_all(if at % 2 == 0 { text.as_bytes() } else { &noise })?;
    }
    Ok(())
}

impl Host {
    fn new(program: &Path, count: u16) -> Result<Self> {
        let it = Self { program: program.to_path_buf(), home: tempfile::tempdir()? };
        for at in 0..count {
            let state = it.state(at);
            fs::create_dir_all(&state)?;
            let config = json!({
                "gateway": {
                    "mode": "local", "port": FIRST_PORT + at * 20, "auth": {"mode": "token", "token": TOKEN},
                },
            });
            fs::write(state.join("openclaw.json"), config.to_string())?;
        }
        // The records are made by the first start.
        drop(Running::start(&it)?);
        Ok(it)
    }

    fn state(&self, at: u16) -> PathBuf {
        self.home.path().join(format!(".openclaw-bench-{at}"))
    }

    fn variables(&self) -> Vec<(String, String)> {
        let home = self.home.path().display().to_string();
        [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", &home), ("NO_COLOR", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
    }

    fn wall_ms(&self, arguments: &str, runs: usize) -> Result<f64> {
        commands::wall_ms_of(&format!("{} {arguments}", self.program.display()), &self.variables(), runs)
    }

    fn run(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env_clear().envs(self.variables()).stdin(Stdio::null());
        let output = command.output().context("the binary cannot be started")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} failed: {complaint}", arguments.join(" "));
        Ok(output.stdout)
    }
}

/// All instances of a host, running. Stopped when it is dropped.
struct Running<'a> {
    host: &'a Host,
    pids: Vec<u32>,
}

impl<'a> Running<'a> {
    fn start(host: &'a Host) -> Result<Self> {
        let text = host.run(&["fleet", "start", "--all", "--json"])?;
        let report: Value = serde_json::from_slice(&text)?;
        let rows = report["instances"].as_array().context("no instances were started")?;
        let pids = rows.iter().filter_map(|it| u32::try_from(it["result"]["pid"].as_u64()?).ok()).collect();
        Ok(Self { host, pids })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.host.run(&["fleet", "stop", "--all", "--json"]) {
            eprintln!("gateways were left behind: {error:#}");
        }
    }
}
