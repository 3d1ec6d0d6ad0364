//! All instances of a host, seen from outside: listed, made, copied, moved, kept and removed.
//!
//! Nothing here needs a running gateway or a valid config. What only a gateway may touch is read, never written,
//! unless its lock is held.

pub mod audit;
pub mod clone;
pub mod doctor;
pub mod import;
pub mod logs;
pub mod look;
mod places;
pub mod process;
pub mod remove;
pub mod rename;
pub mod repair;
pub mod rescue;
pub mod service;
pub mod snapshot;
pub mod start;
pub mod update;
pub mod why;
