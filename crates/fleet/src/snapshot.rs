//! One instance in one file, and back.
//!
//! A snapshot is a gzipped tar. Its entries, in this order:
//!
//! | entry | what it is |
//! |---|---|
//! | `about.json` | whose it is and when it was taken: [`About`] |
//! | `state/…` | the state folder; the database as it was at one moment, the config without its secrets |
//! | `outside/N/…` | each workspace that is outside the state folder |
//! | `secrets.enc` | the secrets, sealed with a passphrase; only where one was given |
//! | `manifest.json` | path, kind, size, mode and sum of every entry before it: [`Manifest`] |
//!
//! `secrets.enc` begins with 36 bytes: `OCsecret`, one byte each for the format (1) and the cipher (1,
//! ChaCha20-Poly1305), the rounds of PBKDF2-HMAC-SHA256 (4 bytes, big-endian), 16 bytes of salt, 6 of a nonce; and
//! they are authenticated with every chunk. Then come chunks of 64 KiB with a tag of 16 bytes each; the last is
//! shorter, if only by being empty. A chunk's nonce is the 6 bytes, its number (5 bytes, big-endian), and 1 for the
//! last, else 0. Inside is a tar of `config-secrets.json` (a list of `{path, value}`) and `state/…`.
//!
//! The running gateway is not disturbed by a snapshot, and needs not answer. A restore unpacks beside the state
//! folder, checks everything, and swaps the two folders at once while it holds their locks.

mod adapt;
mod archive;
mod config;
mod contents;
mod error;
mod gzip;
mod pack;
mod path;
mod piece;
mod restore;
mod seal;
mod secrets;
mod swap;
mod take;
#[cfg(test)]
mod tests;
mod unpack;

use std::path::PathBuf;

use base::Secret;
use profile::{Ambient, Instance};
use serde::{Deserialize, Serialize};

pub use archive::{inspect, verify};
pub use error::SnapshotError;
pub use restore::restore;
pub use take::take;

/// The format that this code writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

const ABOUT: &str = "about.json";
const MANIFEST: &str = "manifest.json";
const SEALED: &str = "secrets.enc";
const CONFIG_SECRETS: &str = "config-secrets.json";
const STATE: &str = "state";
const OUTSIDE: &str = "outside";
/// The config's name in a snapshot, wherever the instance had it.
const CONFIG: &str = "openclaw.json";

/// What a snapshot is taken of.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The instance; it may be running.
    pub instance: &'a Instance,
    /// How the paths in its config are read.
    pub ambient: &'a Ambient,
    /// The version of the program that takes it.
    pub version: &'a str,
}

/// Where a snapshot is restored to.
#[derive(Debug, Clone)]
pub struct Target {
    /// The instance that it becomes; where it exists, it is replaced.
    pub instance: Instance,
    /// How the paths in its config are read.
    pub ambient: Ambient,
    /// `gateway.port`; as in the snapshot when `None`.
    pub port: Option<u16>,
    /// `gateway.auth.token`, where neither the snapshot nor an existing instance has one.
    pub fresh_token: Secret,
}

/// How far it is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Bytes that are done.
    pub done: u64,
    /// Bytes in all, where known; the files may grow meanwhile.
    pub total: Option<u64>,
    /// The entry in hand.
    pub path: &'a str,
}

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// [`FORMAT`] of the program that took it.
    pub format: u32,
    /// The instance's name.
    pub instance: String,
    /// Its profile, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Of the program that took it.
    pub version: String,
    /// When, as `2026-11-22T18:48:37Z`.
    pub created_at: String,
    /// Where the instance kept everything.
    pub state_dir: PathBuf,
    /// What `~` means in its config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<PathBuf>,
    /// Its base port, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The workspace that it had without naming one, within the state folder.
    pub workspace: String,
    /// Whether it had a config.
    pub has_config: bool,
    /// The workspaces outside the state folder.
    pub outside: Vec<Outside>,
    /// What is secret in it.
    pub secrets: Secrets,
}

/// A workspace outside the state folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outside {
    /// It is at `outside/INDEX`.
    pub index: usize,
    /// Where it was.
    pub path: PathBuf,
}

/// The names of what is secret in an instance, never the values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secrets {
    /// Whether they are in the snapshot, sealed with a passphrase.
    pub within: bool,
    /// Keys of the config, each as the way to it; the places of a list count as keys.
    pub config: Vec<Vec<String>>,
    /// Files and folders in the state folder.
    pub files: Vec<String>,
    /// Whether the config did not parse, and so is one secret as a whole.
    pub is_config_whole: bool,
}

/// Everything in a snapshot, the list itself left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// In the order of the archive.
    pub entries: Vec<Entry>,
}

/// What one entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
}

/// One entry of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Within the archive.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Bytes; 0 for what is no file.
    pub size: u64,
    /// The permission bits.
    pub mode: u32,
    /// SHA-256 in hex: of a file's bytes, of the place that a link names, of nothing for a folder.
    pub sha256: String,
}

/// Something that a snapshot lacks or has only in part, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The path, as people know it.
    pub path: PathBuf,
    /// The reason, as in "it is a socket".
    pub reason: String,
}

/// A snapshot that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// What it says of itself; `secrets` names what was left out, or sealed where `within`.
    pub about: About,
    /// The size of the file in bytes.
    pub size: u64,
    /// How many entries it has.
    pub entries: usize,
    /// What could not go in. What never goes in (logs, locks, drafts, browser data) is not told.
    pub left_out: Vec<LeftOut>,
}

/// An instance that was restored.
#[derive(Debug, Clone)]
pub struct Restored {
    /// What the snapshot says of itself.
    pub about: About,
    /// Whether an instance was replaced.
    pub is_replacement: bool,
    /// Where each workspace is that was outside the state folder.
    pub workspaces: Vec<Placed>,
    /// Secrets that were taken from the instance that was replaced: keys joined with dots, and files.
    pub kept: Vec<String>,
    /// Secrets that are nowhere and are to be set anew: keys joined with dots, and files.
    pub missing: Vec<String>,
    /// Whether `gateway.auth.token` is the fresh one.
    pub has_fresh_token: bool,
    /// Why the config could not be adapted to its new place, where that is so.
    pub unadapted: Option<String>,
    /// A folder with the old instance that could not be removed.
    pub leftover: Option<PathBuf>,
}

/// Where a workspace went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Where it was when the snapshot was taken.
    pub was: PathBuf,
    /// Where it is.
    pub is: PathBuf,
}
