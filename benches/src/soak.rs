//! One gateway whose config changes again and again: whether anything is lost, leaks, or is written that was not asked
//! for.

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::client::Client;
use crate::measures::{Figure, anonymous_mb, figure, percentile, pss_mb};

/// The base port, beyond all that the other figures and the tests use.
const PORT: u16 = 30_001;
/// Changes after which memory is read for the first time: by then everything that is used once was used.
const WARM: u64 = 30;
/// Every so many changes the file is one that no gateway can run by.
const BROKEN_EVERY: u64 = 7;
/// Every so many changes the secret is another one.
const SECRET_EVERY: u64 = 60;
/// How long a change may take to be in force, or refused.
const LIMIT: Duration = Duration::from_secs(10);
/// Milliseconds without a further change after which the gateway looks.
const DEBOUNCE_MS: u64 = 20;

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    pss_mb: f64,
    /// What is nobody else's and on no disk: the part of PSS that other processes do not move.
    anonymous_mb: f64,
    descriptors: usize,
    threads: usize,
}

/// A gateway that ends with this value.
struct Running {
    child: Child,
    config: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Changes the config once every `pause` for `time`, and says what came of it.
pub(crate) fn run(program: &Path, time: Duration, pause: Duration) -> Result<Vec<Figure>> {
    let home = tempfile::tempdir()?;
    let running = start(program, home.path())?;
    let mut client = Client::connect_when_ready(PORT, &token(0), LIMIT)?;
    let (mut took, mut refused, mut warm) = (Vec::new(), 0, None);
    let began = Instant::now();
    let mut n = 0;
    while began.elapsed() < time {
        n += 1;
        let written = Instant::now();
        let text = text(n);
        write(&running.config, &text)?;
        let before = stamp(&running.config)?;
        if n % SECRET_EVERY == 0 && n % BROKEN_EVERY != 0 {
            // Who came in by the old one has to go; nobody guesses before that.
            while client.call("status", &json!({})).is_ok() {
                ensure!(written.elapsed() < LIMIT, "whoever came in by the old secret is still served");
                std::thread::sleep(Duration::from_millis(5));
            }
            client = Client::connect_when_ready(PORT, &token(n), LIMIT)?;
        }
        let status = settled(&mut client, n)?;
        took.push(written.elapsed().as_secs_f64() * 1000.0);
        refused += u64::from(status["inForce"] == false);
        ensure!(stamp(&running.config)? == before, "the file was written by somebody else after change {n}");
        if n == WARM {
            warm = Some(held(running.child.id())?);
        }
        if (n / WARM).is_power_of_two() && n.is_multiple_of(WARM) {
            eprintln!("after {n} changes {:?}", held(running.child.id())?);
        }
        std::thread::sleep(pause.saturating_sub(written.elapsed()));
    }
    let (warm, end) = (warm.context("too short to say anything")?, held(running.child.id())?);
    let state = running.config.parent().context("a state folder")?;
    let kept = fs::read_dir(state.join("generations"))?.count();
    let logs: u64 = fs::read_dir(state.join("logs"))?
        .flatten()
        .filter_map(|it| it.metadata().ok())
        .map(|it| it.len())
        .sum();
    let count = |it: usize| u32::try_from(it).map_or(f64::MAX, f64::from);
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    eprintln!(
        "{n} changes in {minutes:.1} min, {refused} of them refused as they should be; at first {warm:?}, at last {end:?}"
    );
    Ok(vec![
        figure(
            "a change in force or refused, median (20 ms of them waited)",
            "ms",
            percentile(took.clone(), 50),
            None,
        ),
        figure("the same, p99", "ms", percentile(took, 99), None),
        figure("PSS gained (other processes move it too)", "MB", end.pss_mb - warm.pss_mb, None),
        figure("anonymous memory gained", "MB", end.anonymous_mb - warm.anonymous_mb, Some(0.5)),
        figure("descriptors gained", "", count(end.descriptors) - count(warm.descriptors), Some(0.0)),
        figure("threads gained", "", count(end.threads) - count(warm.threads), Some(0.0)),
        figure("files of generations", "", count(kept), Some(101.0)),
        figure("log", "MB", count(usize::try_from(logs)?) / 1e6, Some(60.0)),
    ])
}

fn start(program: &Path, home: &Path) -> Result<Running> {
    let state = home.join(".openclaw-soak");
    fs::create_dir_all(&state)?;
    let config = state.join("openclaw.json");
    write(&config, &text(0))?;
    let child = Command::new(program)
        .args(["--profile", "soak", "gateway", "--port", &PORT.to_string()])
        .env_clear()
        .env("HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(Running { child, config })
}

fn is_broken(n: u64) -> bool {
    n > 0 && n.is_multiple_of(BROKEN_EVERY)
}

/// The secret after `n` changes: one that is broken changes none.
fn token(n: u64) -> String {
    let rounds = (0..=n).filter(|it| it % SECRET_EVERY == 0 && !is_broken(*it)).max().unwrap_or(0);
    format!("token-of-the-soak-{rounds}")
}

/// The file after `n` changes.
fn text(n: u64) -> String {
    let tail = if is_broken(n) { "port: 'broken'" } else { "" };
    format!(
        "{{\n  // change {n}\n  gateway: {{ mode: 'local', auth: {{ token: '{}' }}, reload: {{ debounceMs: {DEBOUNCE_MS} }}, {tail} }},\n  \
         tools: {{ deny: ['tool-{n}'] }},\n  logging: {{ level: '{}' }},\n  meta: {{ n: {n} }},\n}}\n",
        token(n),
        if n.is_multiple_of(2) { "info" } else { "debug" },
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("draft");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    fs::rename(&draft, path)?;
    Ok(())
}

/// What changes when a file is written, however little.
fn stamp(path: &Path) -> Result<(u64, i64, i64, String)> {
    let about = fs::metadata(path)?;
    Ok((about.ino(), about.mtime(), about.mtime_nsec(), fs::read_to_string(path)?))
}

/// What the gateway says of its config once it has looked at change `n`.
fn settled(client: &mut Client, n: u64) -> Result<Value> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let reply = client.call("status", &json!({}))?;
        let config = &reply["payload"]["config"];
        let steps = config["last"]["plan"].to_string();
        let is_done = if is_broken(n) {
            config["inForce"] == false
        } else {
            config["inForce"] == true && steps.contains(&format!("tool-{n}\\"))
        };
        if is_done {
            return Ok(config.clone());
        }
        ensure!(Instant::now() < deadline, "change {n} is neither in force nor refused: {config}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn held(pid: u32) -> Result<Held> {
    let count = |what: &str| Ok::<_, std::io::Error>(fs::read_dir(format!("/proc/{pid}/{what}"))?.count());
    Ok(Held {
        pss_mb: pss_mb(pid)?,
        anonymous_mb: anonymous_mb(pid)?,
        descriptors: count("fd")?,
        threads: count("task")?,
    })
}
