//! All instances of a host, seen from outside: listed, made, copied, moved, kept and removed.
//!
//! Nothing here needs a running gateway or a valid config. What only a gateway may touch is read, never written,
//! unless its lock is held.

pub mod import;
pub mod look;
pub mod process;
pub mod service;
pub mod snapshot;
