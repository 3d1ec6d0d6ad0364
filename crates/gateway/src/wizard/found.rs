//! What is on the host before anybody is asked: other instances, local model servers, a browser, a supervisor.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleet::look::{self, Seen};
use futures_util::future;
use profile::Ambient;
use profile::registry::Host;
use providers::openai_chat::Settings;
use providers::{ModelInfo, vendors};

/// How long a server on this machine may take to list its models.
const PATIENCE: Duration = Duration::from_secs(1);
/// The programs that are a Chromium.
const BROWSERS: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
/// The variable that names the address of a server with OpenAI's dialect.
pub(super) const BASE_URL: &str = "OPENAI_BASE_URL";

/// Another instance of this host.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// In a word: ready, stopped, …
    pub state: &'static str,
    /// Its base port.
    pub port: Option<u16>,
    /// Where it keeps everything.
    pub folder: PathBuf,
    /// Its config document.
    pub config_path: PathBuf,
}

/// A model server that answers on this machine, or at the address that the environment names.
#[derive(Debug, Clone)]
pub struct Server {
    /// The provider's id.
    pub id: &'static str,
    /// For people.
    pub name: &'static str,
    /// Its models.
    pub models: Vec<ModelInfo>,
}

impl Server {
    /// How many models it has, in words.
    pub(super) fn size(&self) -> String {
        match self.models.len() {
            1 => "1 model".to_owned(),
            more => format!("{more} models"),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// All instances, by name.
    pub instances: Vec<Neighbour>,
    /// Model servers.
    pub servers: Vec<Server>,
    /// A Chromium.
    pub browser: Option<PathBuf>,
    /// Whether the user has services of their own here.
    pub services: bool,
    /// Whether those run on after the last logout.
    pub linger: bool,
}

/// Looks around. Blocks for a second at most, or a little longer where gateways hang; opens nothing for writing.
pub fn look(host: &Host, ambient: &Ambient) -> Found {
    let instances = look::all(host, ambient).into_iter().map(neighbour).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let servers = runtime.map(|it| it.block_on(servers(ambient))).unwrap_or_default();
    let bus = ambient.var("XDG_RUNTIME_DIR").map(|it| ambient.path(it).join("systemd"));
    let services = Path::new("/run/systemd/system").is_dir() && bus.is_some_and(|it| it.is_dir());
    let linger = ambient
        .var("USER")
        .is_some_and(|it| !it.contains('/') && Path::new("/var/lib/systemd/linger").join(it).exists());
    Found { instances, servers, browser: browser(ambient), services, linger }
}

fn neighbour(seen: Seen) -> Neighbour {
    let (name, port, folder) = (seen.name, seen.port, seen.folder);
    Neighbour { name, state: seen.state.word(), port, folder, config_path: seen.config_path }
}

/// Where the environment names an address, no other server is looked for, as the gateway does not either.
async fn servers(ambient: &Ambient) -> Vec<Server> {
    if let Some(url) = ambient.var(BASE_URL) {
        let settings = Settings::new("openai", url, ambient.secret("OPENAI_API_KEY"));
        return answering("openai", "OpenAI", settings).await.into_iter().collect();
    }
    let asked =
        vendors::LOCAL.iter().map(|it| answering(it.id, it.name, Settings::new(it.id, it.base_url, None)));
    future::join_all(asked).await.into_iter().flatten().collect()
}

async fn answering(id: &'static str, name: &'static str, settings: Settings) -> Option<Server> {
    let models = tokio::time::timeout(PATIENCE, vendors::probe(settings)).await.ok()?.ok()?;
    (!models.is_empty()).then_some(Server { id, name, models })
}

fn browser(ambient: &Ambient) -> Option<PathBuf> {
    let folders = ambient.var("PATH")?.split(':').filter(|it| it.starts_with('/'));
    let mut places = folders.flat_map(|folder| BROWSERS.iter().map(move |it| Path::new(folder).join(it)));
    places.find(|it| it.is_file())
}
