//! The methods, a line each; their handlers stand in files by family.

mod agent;
mod chat;
mod config;
mod health;
pub(crate) use health::{Written, known, readiness, sessions_now};
mod logs;
mod models;
mod presence;
mod sessions;
mod wizard;
pub(crate) use wizard::Walk;

use protocol as rpc;

use crate::table::Table;

/// The table of this gateway.
pub(crate) fn table() -> Table {
    let mut table = Table::default();
    table
        // How the gateway is.
        .on_written::<rpc::health::Health, _, _>(health::health)
        .on::<rpc::health::Status, _, _>(health::status)
        .on::<rpc::presence::SystemPresence, _, _>(presence::list)
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
        .on::<rpc::logs::Tail, _, _>(logs::tail)
        // config.*: the document.
        .on::<rpc::config::Get, _, _>(config::get)
        .on::<rpc::config::Set, _, _>(config::set)
        .on::<rpc::config::Apply, _, _>(config::apply)
        .on::<rpc::config::Patch, _, _>(config::patch)
        .on::<rpc::config::Schema, _, _>(config::schema)
        // wizard.*: the set-up, step by step.
        .on::<rpc::wizard::Start, _, _>(wizard::start)
        .on::<rpc::wizard::Next, _, _>(wizard::next)
        .on::<rpc::wizard::Cancel, _, _>(wizard::cancel)
        .on::<rpc::wizard::Status, _, _>(wizard::status);
    table
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_method_stands_once() {
        assert_eq!(super::table().names().len(), 20);
    }
}
