//! The kinds of claims, and what makes two of them the same thing.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base::random;
use ring::digest;
use serde::{Deserialize, Serialize};

use crate::ports::Role;

/// One thing that only one gateway may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Claim {
    /// A TCP port of this machine.
    Port(Role, u16),
    /// A folder with its database.
    StateFolder(PathBuf),
    /// A config file.
    Config(PathBuf),
    /// A folder that an agent works in.
    Workspace(PathBuf),
    /// The profile folder of a browser.
    UserData(PathBuf),
    /// A login on a messaging service: the service, the account's name in the config, and what stands for its
    /// secret; see [`crate::registry::Host::fingerprint`].
    Login(String, String, String),
    /// A browser that is reached by an address.
    CdpUrl(String),
    /// A name in the local network.
    MdnsName(String),
    /// A service unit.
    Unit(String),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Claim::Port(role, port) => write!(f, "{role} {port}"),
            Claim::StateFolder(path) => write!(f, "state folder {}", path.display()),
            Claim::Config(path) => write!(f, "config file {}", path.display()),
            Claim::Workspace(path) => write!(f, "workspace {}", path.display()),
            Claim::UserData(path) => write!(f, "browser folder {}", path.display()),
            Claim::Login(service, account, _) => write!(f, "{service} login of account {account}"),
            Claim::CdpUrl(url) => write!(f, "browser at {}", without_secrets(url)),
            Claim::MdnsName(name) => write!(f, "network name {name}"),
            Claim::Unit(name) => write!(f, "service unit {name}"),
        }
    }
}

/// An address without what may be a secret in it: the user, the path and the query. Remote browsers are sold by
/// addresses with keys.
fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "an address".to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

impl Claim {
    /// The claim as it is kept for others to read: nothing in it is a secret.
    pub(super) fn public(&self) -> Self {
        match self {
            Claim::Login(service, account, _) => {
                Claim::Login(service.clone(), account.clone(), String::new())
            }
            Claim::CdpUrl(url) => Claim::CdpUrl(without_secrets(url)),
            other => other.clone(),
        }
    }

    /// The name of its lock in the folder of claims.
    pub(super) fn file_name(&self) -> String {
        match self {
            Claim::Port(_, port) => format!("port-{port}"),
            Claim::StateFolder(path) => of_folder("state", path),
            Claim::Config(path) => of_text("config", real(path).as_os_str().as_encoded_bytes()),
            Claim::Workspace(path) => of_folder("workspace", path),
            Claim::UserData(path) => of_folder("user-data", path),
            Claim::Login(_, _, fingerprint) => format!("login-{fingerprint}"),
            Claim::CdpUrl(url) => of_text("cdp-url", url.trim().trim_end_matches('/').as_bytes()),
            Claim::MdnsName(name) => of_text("mdns", name.to_ascii_lowercase().as_bytes()),
            Claim::Unit(name) => of_text("unit", name.as_bytes()),
        }
    }
}

fn of_text(kind: &str, text: &[u8]) -> String {
    let sum = digest::digest(&digest::SHA256, text);
    format!("{kind}-{}", random::hex_of(&sum.as_ref()[..8]))
}

/// A folder that is there is known by its device and inode: a link, a second mount or another spelling is the same.
fn of_folder(kind: &str, path: &Path) -> String {
    match fs::metadata(path) {
        Ok(it) => format!("{kind}-{:x}-{}", it.dev(), it.ino()),
        Err(_) => of_text(kind, real(path).as_os_str().as_encoded_bytes()),
    }
}

/// The path with its links followed, also where the file is yet to be made.
fn real(path: &Path) -> PathBuf {
    let folder = || Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
    fs::canonicalize(path).ok().or_else(folder).unwrap_or_else(|| path.to_path_buf())
}
