//! A small language model that nobody scripted, served by `model/serve.py`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::Process;

/// What the server calls its model.
pub const MODEL: &str = "smollm2-135m";
/// The variable that names the Python with the model's packages.
pub const PYTHON: &str = "OPENCLAW_TEST_MODEL_PYTHON";

/// How long the weights may take to load.
const READY_LIMIT: Duration = Duration::from_secs(180);

/// A running model server; it ends when this is dropped, or when the test's process ends in any other way.
pub struct RealModel {
    /// Holds the server's standard input open, which is what keeps it alive.
    _process: Process,
    address: String,
}

impl RealModel {
    /// Starts the server on a free port and waits until it answers.
    ///
    /// # Panics
    /// When [`PYTHON`] is not set, or the server ends or is not ready in three minutes.
    #[track_caller]
    pub fn start() -> RealModel {
        let Some(python) = std::env::var_os(PYTHON) else {
            panic!("{PYTHON} is not set: run `cargo xtask components`, and set it as that says");
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("model/serve.py");
        let mut command = Command::new(python);
        let process = Process::spawn(command.arg(script).arg("0").stdin(Stdio::piped()));
        let line = process.stdout.line(READY_LIMIT, "listening ");
        let line = line.unwrap_or_else(|| panic!("the model server is not ready\n{}", process.report()));
        let address = line.trim_start_matches("listening ").trim().trim_end_matches('/');
        let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        RealModel { _process: process, address }
    }

    /// The base of its OpenAI-compatible interface, `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.address)
    }

    /// The id of its only model.
    pub fn model(&self) -> &'static str {
        MODEL
    }
}
