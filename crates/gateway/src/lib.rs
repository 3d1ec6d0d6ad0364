//! The daemon: everything wired, supervised and served.
//!
//! The one crate that knows instances, agents, models and the control plane. [`run`] is one gateway, from its
//! claims to their release.

mod access;
mod agents;
mod approvals;
mod archive;
mod audience;
pub mod bind;
mod boot;
mod commands;
pub mod config;
mod connection;
mod device;
mod devices;
mod door;
mod driver;
mod force;
pub mod framing;
mod handshake;
mod happenings;
mod holdings;
pub mod http;
mod identity;
mod keys;
mod late;
mod limits;
pub mod log;
mod methods;
mod models;
mod names;
mod nodes;
mod notify;
mod presence;
mod proxies;
pub mod reach;
mod reload;
mod restart;
mod rows;
mod runs;
mod server;
pub mod setup;
mod state;
mod supervisor;
mod table;
mod teller;
pub mod tls;
pub mod wizard;

pub use boot::{Boot, StartError, check, run};

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The vendors that are known: a provider's id, and the variable that holds its key by convention.
pub fn vendor_keys() -> Vec<(&'static str, &'static str)> {
    providers::vendors::HOSTED.iter().map(|it| (it.id, it.key_name)).collect()
}
