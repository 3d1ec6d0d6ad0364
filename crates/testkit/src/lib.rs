//! Real servers and executables for the tests: a sandbox for the binary, a raw WebSocket client, model servers,
//! a foreign owner of a port, a tracer of system calls. Everything blocks, has a time limit, and fails by a panic
//! that shows what happened so far.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a tool of the tests, not part of the product: it may read the environment and write files freely"
)]

mod process;

pub mod activator;
pub mod clients;
pub mod gateway;
pub mod model;
pub mod node;
pub mod ports;
pub mod real_model;
pub mod sandbox;
pub mod shapes;
pub mod squatter;
pub mod tls;
pub mod trace;
pub mod tree;
pub mod wire;

pub use clients::Clients;
pub use gateway::Gateway;
pub use model::{Script, ScriptedModel};
pub use node::Node;
pub use ports::{Base, free_base};
pub use real_model::RealModel;
pub use sandbox::{Output, Sandbox};
pub use squatter::Squatter;
pub use trace::Trace;
pub use wire::Wire;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks even after another thread panicked: the test has failed then, and its report still wants the data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
