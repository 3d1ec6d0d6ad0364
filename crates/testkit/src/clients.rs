//! Clients that others have written: the original's own command line, and a library on npm. They run on a Node that
//! the tests bring, each from a home of its own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::sandbox::{Output, Sandbox};

/// The variable that names the Node.
pub const NODE: &str = "OPENCLAW_TEST_NODE";
/// The variable that names the folder with the clients.
pub const CLIENTS: &str = "OPENCLAW_TEST_CLIENTS";

/// The original loads hundreds of modules for each command.
const LIMIT: Duration = Duration::from_secs(180);

/// The clients, as somebody on another machine has them.
pub struct Clients {
    home: PathBuf,
}

impl Clients {
    /// With a home below the sandbox, which is not the home of any gateway.
    pub fn new(sandbox: &Sandbox) -> Clients {
        let home = sandbox.path().join("elsewhere");
        std::fs::create_dir_all(&home).expect("a folder of the sandbox");
        Clients { home }
    }

    /// Gives the original a config.
    pub fn config(&self, config: &Value) {
        let folder = self.home.join(".openclaw");
        std::fs::create_dir_all(&folder).expect("a folder of the sandbox");
        std::fs::write(folder.join("openclaw.json"), config.to_string()).expect("writable");
    }

    /// `openclaw <args>` of the original.
    ///
    /// # Panics
    /// When [`NODE`] or [`CLIENTS`] is not set, or the program cannot be started.
    #[track_caller]
    pub fn original(&self, args: &[&str]) -> Output {
        let program = installed().join("node_modules/openclaw/openclaw.mjs");
        Output::within(self.node(&program, args), LIMIT)
    }

    /// The original's node host, of this gateway on loopback, until it is dropped.
    ///
    /// # Panics
    /// As [`Clients::original`].
    #[track_caller]
    pub fn node_host(&self, port: u16, token: &str) -> NodeHost {
        let program = installed().join("node_modules/openclaw/openclaw.mjs");
        let port = port.to_string();
        let args = ["node", "run", "--host", "127.0.0.1", "--port", &port, "--display-name", "kitchen"];
        let mut command = self.node(&program, &args);
        // It would look for a newer version of itself, and end where it cannot.
        command.env("OPENCLAW_GATEWAY_TOKEN", token).env("OPENCLAW_NO_AUTO_UPDATE", "1");
        let log = std::fs::File::create(self.home.join("node-host.log")).expect("a file of the sandbox");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor")).stderr(log);
        command.process_group(0);
        NodeHost(command.spawn().expect("node can be started"))
    }

    /// What `clients/library.cjs` sees at `url`: pairs of what and value, in its order.
    ///
    /// # Panics
    /// As [`Clients::original`], and when it does not end well.
    #[track_caller]
    pub fn library(&self, url: &str, token: &str) -> Vec<(String, Value)> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/library.cjs");
        let output = Output::within(self.node(&script, &[url, token]), LIMIT);
        let line = |line: &str| {
            let mut it: Value =
                serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}\n{output:?}"));
            (it["what"].as_str().unwrap_or_default().to_owned(), it["value"].take())
        };
        let seen: Vec<_> = output.stdout.lines().map(line).collect();
        assert_eq!(seen.last().map(|it| it.0.as_str()), Some("end"), "{seen:#?}\n{}", output.stderr);
        seen
    }

    /// Nothing of this process's environment reaches it.
    fn node(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(variable(NODE));
        command.arg(program).args(args).current_dir(&self.home).env_clear();
        command.env("HOME", &self.home).env("PATH", "/usr/bin:/bin").env("NO_COLOR", "1");
        command.env("NODE_PATH", installed().join("node_modules"));
        command
    }
}

/// A program that runs until this is dropped.
pub struct NodeHost(Child);

impl Drop for NodeHost {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        // With all that it has started.
        let _ = group.map(|it| kill_process_group(it, Signal::KILL));
        let _ = self.0.wait();
    }
}

fn installed() -> PathBuf {
    PathBuf::from(variable(CLIENTS))
}

#[track_caller]
fn variable(name: &str) -> OsString {
    std::env::var_os(name)
        .unwrap_or_else(|| panic!("{name} is not set: run `cargo xtask components`, and set it as that says"))
}
