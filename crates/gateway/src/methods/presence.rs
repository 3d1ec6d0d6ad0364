//! `system-presence`.

use protocol::Refusal;
use protocol::presence::{Entry, PresenceParams};

use crate::table::Caller;

pub(super) async fn list(caller: Caller, _: PresenceParams) -> Result<Vec<Entry>, Refusal> {
    Ok(caller.gateway.present())
}
