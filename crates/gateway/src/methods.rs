//! The methods, a line each; their handlers stand in files by family.

mod agent;
mod chat;
mod config;
mod health;
pub(crate) use health::{known, readiness, sessions_now};
mod logs;
mod models;
mod sessions;

use protocol as rpc;

use crate::table::Table;

/// The table of this gateway.
pub(crate) fn table() -> Table {
    let mut table = Table::default();
    table
        // How the gateway is.
        .on::<rpc::health::Health, _, _>(health::health)
        .on::<rpc::health::Status, _, _>(health::status)
        // chat.*: a conversation, as pages, terminals and nodes see it.
        .on::<rpc::chat::Send, _, _>(chat::send)
        .on::<rpc::chat::History, _, _>(chat::history)
        .on::<rpc::chat::Abort, _, _>(chat::abort)
        // agent: one turn, and how it ended.
        .on::<rpc::agent::Run, _, _>(agent::run)
        .on::<rpc::agent::Wait, _, _>(agent::wait)
        // What there is.
        .on::<rpc::sessions::List, _, _>(sessions::list)
        .on::<rpc::models::List, _, _>(models::list)
        .on::<rpc::config::Get, _, _>(config::get)
        .on::<rpc::logs::Tail, _, _>(logs::tail);
    table
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_method_stands_once() {
        assert_eq!(super::table().names().len(), 11);
    }
}
