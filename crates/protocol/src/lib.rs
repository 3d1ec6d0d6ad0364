//! What travels on the control plane: frames, methods, events, refusals. No IO.
//!
//! A method is a type, and both ends use it: `protocol::chat::Abort` names its parameters, its reply, and what a
//! caller must be allowed to do. The shapes are those of OpenClaw's gateway protocol, versions 3 and 4.

pub mod agent;
pub mod agents;
pub mod approvals;
pub mod catalogues;
pub mod chat;
pub mod config;
pub mod connect;
pub mod devices;
pub mod error;
pub mod event;
pub mod frame;
pub mod health;
pub mod logs;
pub mod methods;
pub mod models;
pub mod nodes;
pub mod presence;
pub mod reload;
pub mod role;
pub mod scope;
pub mod sessions;
pub mod system;
pub mod usage;
pub mod wizard;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::{Code, Refusal};
pub use role::{Callers, Role};
pub use scope::{Scope, Scopes};

/// The protocol versions we speak, lowest and highest.
pub const VERSIONS: (u32, u32) = (3, 4);

/// One RPC, as a type that is never a value.
pub trait Method {
    /// The name on the wire.
    const NAME: &'static str;
    /// What the caller must be allowed to do; `None` for what everybody who is connected may ask.
    const SCOPE: Option<Scope>;
    /// Who may call it at all.
    const CALLERS: Callers = Callers::Operators;
    /// Whether it changes how the gateway runs: such calls of one connection are counted and bounded.
    const STEERS: bool = false;
    /// `params` of the request. Unknown keys are ignored: clients of other versions send more.
    type Params: Serialize + DeserializeOwned;
    /// `payload` of the response.
    type Reply: Serialize + DeserializeOwned;
}

/// The highest version that lies in the client's range and in ours.
pub fn negotiate(client_min: u32, client_max: u32) -> Option<u32> {
    let highest = client_max.min(VERSIONS.1);
    (highest >= client_min.max(VERSIONS.0)).then_some(highest)
}

#[cfg(test)]
mod tests {
    use super::negotiate;

    #[test]
    fn negotiates_the_highest_in_common() {
        for (min, max, expected) in [
            (4, 4, Some(4)),
            (3, 3, Some(3)),
            (3, 4, Some(4)),
            (1, 3, Some(3)),
            (1, 99, Some(4)),
            (5, 9, None),
            (1, 2, None),
            (4, 3, None),
        ] {
            assert_eq!(negotiate(min, max), expected, "{min}..{max}");
        }
    }
}
