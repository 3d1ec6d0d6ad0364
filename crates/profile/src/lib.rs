//! Which instance this is: its name, folders, ports, claims, and its config document.
//!
//! The only reader of the environment, of the home folder and of the working directory. An instance is resolved
//! once, at the edge of the binary, into an immutable [`Instance`], and passed from there.

pub mod activation;
pub mod ambient;
pub mod cdp;
pub mod claims;
pub mod control;
pub mod document;
pub mod folder;
pub mod generations;
pub mod instance;
pub mod ledger;
pub mod listener;
pub mod locks;
pub mod name;
pub mod ports;
pub mod registry;
pub mod secrets;
pub mod sources;
pub mod variables;
pub mod writing;

pub use ambient::Ambient;
pub use claims::{Claims, Holder};
pub use document::{Document, Finding};
pub use instance::{Instance, Selection};
pub use name::ProfileName;
pub use ports::Plan;
pub use sources::Sources;
