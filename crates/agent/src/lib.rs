//! One turn of an agent: its context, the model's answers, the tools that it uses. No channel, no socket.
//!
//! [`Turn`] is a machine without IO: what happens goes in, what is to be done comes out, and the gateway does it.

pub mod context;
pub mod entry;
pub mod tools;
pub mod turn;
pub mod workspace;

pub use entry::Entry;
pub use tools::{Outcome, Tool, Workbench};
pub use turn::{Effect, Event, Turn};

/// The agent that is there when the config names none.
pub const DEFAULT_AGENT: &str = "main";
