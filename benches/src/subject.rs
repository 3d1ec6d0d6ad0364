//! What is measured: our binary, or the original on its Node, each with a home and instances of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::client::Client;

/// The token of every measured instance.
pub(crate) const TOKEN: &str = "figures-figures-figures-figures-figures-figures";
/// The first base port; instances stand 200 apart, beyond every derived port of either program.
const FIRST_PORT: u16 = 20_001;
const STEP: u16 = 200;
/// How long a gateway may take to stop.
const STOP: Duration = Duration::from_secs(10);

/// A program with its instances.
pub(crate) struct Subject {
    /// Its name in the table.
    pub(crate) name: &'static str,
    program: PathBuf,
    first: Vec<String>,
    home: tempfile::TempDir,
    /// How long a start may take.
    pub(crate) patience: Duration,
    /// How many instances run together.
    pub(crate) many: u16,
}

/// One instance that runs. Killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    /// Since the fork to the first hello.
    pub(crate) hello_after: Duration,
    /// The connection that said hello.
    pub(crate) client: Client,
}

impl Running {
    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    /// Stopped as a supervisor stops it; what does not stop in its time is killed.
    fn drop(&mut self) {
        let deadline = Instant::now() + STOP;
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Subject {
    /// Our binary.
    pub(crate) fn ours(program: &Path) -> Result<Self> {
        ensure!(program.is_file(), "{} is not built", program.display());
        Ok(Self {
            name: "ours",
            program: program.to_path_buf(),
            first: Vec::new(),
            home: tempfile::tempdir()?,
            patience: Duration::from_secs(10),
            many: 20,
        })
    }

    /// The original, installed where it is missing.
    pub(crate) fn original(root: &Path) -> Result<Self> {
        let folder = root.join("target/original");
        let entry = folder.join("node_modules/openclaw/openclaw.mjs");
        let node = folder.join("node_modules/node/bin/node");
        if !entry.is_file() || !node.is_file() {
            eprintln!("installing npm openclaw and node into {}", folder.display());
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join("package.json"), "{\"private\": true}")?;
            npm(
                &folder,
                &["install", "--no-audit", "--no-fund", "--ignore-scripts", "openclaw@2026.9.6", "node@24"],
            )?;
            npm(&folder, &["rebuild", "node"])?;
        }
        Ok(Self {
            name: "original",
            program: node,
            first: vec![entry.display().to_string()],
            home: tempfile::tempdir()?,
            patience: Duration::from_secs(180),
            many: 8,
        })
    }

    /// A command of an instance.
    pub(crate) fn command(&self, instance: u16, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", self.path()).env("HOME", self.home.path()).env("NO_COLOR", "1");
        command.env("OPENCLAW_STATE_DIR", self.state(instance)).env("OPENCLAW_SKIP_CHANNELS", "1");
        command.env("OPENCLAW_CONFIG_PATH", self.state(instance).join("openclaw.json"));
        command.args(&self.first).args(arguments);
        command
    }

    /// The command as one line for a shell-less runner.
    pub(crate) fn line(&self, arguments: &str) -> String {
        let first = self.first.join(" ");
        format!("{} {first} {arguments}", self.program.display()).replace("  ", " ")
    }

    /// The variables of [`Self::line`].
    pub(crate) fn variables(&self, instance: u16) -> Vec<(String, String)> {
        let state = self.state(instance);
        vec![
            ("PATH".to_owned(), self.path()),
            ("HOME".to_owned(), self.home.path().display().to_string()),
            ("NO_COLOR".to_owned(), "1".to_owned()),
            ("OPENCLAW_STATE_DIR".to_owned(), state.display().to_string()),
            ("OPENCLAW_CONFIG_PATH".to_owned(), state.join("openclaw.json").display().to_string()),
        ]
    }

    fn path(&self) -> String {
        let own = self.program.parent().map(|it| it.display().to_string()).unwrap_or_default();
        format!("{own}:/usr/local/bin:/usr/bin:/bin")
    }

    fn state(&self, instance: u16) -> PathBuf {
        self.home.path().join(format!("instance-{instance}"))
    }

    /// Gives an instance its config: the same for both programs.
    pub(crate) fn configure(&self, instance: u16, model: Option<&str>) -> Result<()> {
        let state = self.state(instance);
        std::fs::create_dir_all(&state)?;
        let url = model.unwrap_or("http://127.0.0.1:9/v1");
        let config = json!({
            "gateway": {
                "mode": "local", "port": port(instance), "bind": "loopback",
                "auth": {"mode": "token", "token": TOKEN},
            },
            "models": {"providers": {"bench": {
                "baseUrl": url, "apiKey": "none", "api": "openai-completions",
                "models": [{"id": "tokens", "name": "tokens", "contextWindow": 128_000, "maxTokens": 4096}],
            }}},
            "agents": {"defaults": {"model": {"primary": "bench/tokens"}}},
        });
        std::fs::write(state.join("openclaw.json"), config.to_string())?;
        Ok(())
    }

    /// Starts an instance and waits for its first hello.
    pub(crate) fn start(&self, instance: u16) -> Result<Running> {
        let port = port(instance);
        let mut command = self.command(instance, &["gateway", "--port", &port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let child = command.spawn().with_context(|| format!("{} cannot be started", self.name))?;
        let connected = Client::connect_when_ready(port, TOKEN, self.patience);
        let hello_after = began.elapsed();
        match connected {
            Ok(client) => Ok(Running { child, hello_after, client }),
            Err(error) => {
                let mut child = child;
                let _ = child.kill();
                let _ = child.wait();
                Err(error.context(format!("{} said no hello", self.name)))
            }
        }
    }
}

/// The port of an instance.
pub(crate) fn port(instance: u16) -> u16 {
    FIRST_PORT + instance * STEP
}

fn npm(folder: &Path, arguments: &[&str]) -> Result<()> {
    let done = Command::new("npm").args(arguments).current_dir(folder).stdout(Stdio::null()).status();
    ensure!(done.context("npm cannot be started")?.success(), "npm {} failed", arguments.join(" "));
    Ok(())
}
