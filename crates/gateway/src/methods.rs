//! The methods, a line each; their handlers stand in files by family.

mod agent;
mod agents;
mod approvals;
mod catalogues;
mod chat;
mod config;
mod devices;
mod health;
pub(crate) use health::{Written, known, readiness, sessions_now};
mod logs;
mod models;
mod nodes;
mod presence;
mod sessions;
mod system;
mod usage;
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
        .on::<rpc::chat::Startup, _, _>(chat::startup)
        .on::<rpc::chat::Metadata, _, _>(chat::metadata)
        .on::<rpc::chat::MessageGet, _, _>(chat::message)
        .on::<rpc::chat::Inject, _, _>(chat::inject)
        // agent: one turn, and how it ended.
        .on::<rpc::agent::Run, _, _>(agent::run)
        .on::<rpc::agent::Wait, _, _>(agent::wait)
        // agents.*: who answers.
        .on::<rpc::agents::List, _, _>(agents::list)
        .on::<rpc::agents::GetIdentity, _, _>(agents::identity)
        .on::<rpc::agents::Create, _, _>(agents::create)
        .on::<rpc::agents::Update, _, _>(agents::update)
        .on::<rpc::agents::Delete, _, _>(agents::delete)
        .on::<rpc::agents::FilesList, _, _>(agents::files::list)
        .on::<rpc::agents::FilesGet, _, _>(agents::files::get)
        .on::<rpc::agents::FilesSet, _, _>(agents::files::set)
        .on::<rpc::agents::WorkspaceList, _, _>(agents::workspace::list)
        .on::<rpc::agents::WorkspaceGet, _, _>(agents::workspace::get)
        // What devices tell, and what the gateway says of itself.
        .on::<rpc::system::RestartRequest, _, _>(system::restart)
        .on::<rpc::system::RestartPreflight, _, _>(system::preflight)
        .on::<rpc::system::SystemEvent, _, _>(system::event)
        .on::<rpc::system::Wake, _, _>(system::wake)
        .on::<rpc::system::SystemInfo, _, _>(system::info)
        .on::<rpc::system::GatewayIdentity, _, _>(system::identity)
        // What there is.
        .on::<rpc::models::List, _, _>(models::list)
        .on::<rpc::models::AuthStatus, _, _>(models::auth_status)
        .on::<rpc::logs::Tail, _, _>(logs::tail)
        // device.*: who may connect without the shared secret.
        .on::<rpc::devices::List, _, _>(devices::list)
        .on::<rpc::devices::Approve, _, _>(devices::approve)
        .on::<rpc::devices::Reject, _, _>(devices::reject)
        .on::<rpc::devices::Remove, _, _>(devices::remove)
        .on::<rpc::devices::Rename, _, _>(devices::rename)
        .on::<rpc::devices::Rotate, _, _>(devices::rotate)
        .on::<rpc::devices::Revoke, _, _>(devices::revoke)
        .on::<rpc::devices::SetupCode, _, _>(devices::setup_code)
        .on::<rpc::devices::SetupStatus, _, _>(devices::setup_status)
        // config.*: the document.
        .on::<rpc::config::Get, _, _>(config::get)
        .on::<rpc::config::Set, _, _>(config::set)
        .on::<rpc::config::Apply, _, _>(config::apply)
        .on::<rpc::config::Patch, _, _>(config::patch)
        .on::<rpc::config::Schema, _, _>(config::schema)
        .on::<rpc::config::SchemaLookup, _, _>(config::lookup)
        // wizard.*: the set-up, step by step.
        .on::<rpc::wizard::Start, _, _>(wizard::start)
        .on::<rpc::wizard::Next, _, _>(wizard::next)
        .on::<rpc::wizard::Cancel, _, _>(wizard::cancel)
        .on::<rpc::wizard::Status, _, _>(wizard::status);
    conversations(&mut table);
    machines(&mut table);
    catalogues(&mut table);
    table
}

/// Conversations, and what they cost.
fn conversations(table: &mut Table) {
    table
        // sessions.*: the conversations.
        .on::<rpc::sessions::List, _, _>(sessions::list)
        .on::<rpc::sessions::Describe, _, _>(sessions::describe)
        .on::<rpc::sessions::Preview, _, _>(sessions::preview)
        .on::<rpc::sessions::Resolve, _, _>(sessions::resolve)
        .on::<rpc::sessions::Get, _, _>(sessions::get)
        .on::<rpc::sessions::Create, _, _>(sessions::create)
        .on::<rpc::sessions::Patch, _, _>(sessions::patch)
        .on::<rpc::sessions::PatchMany, _, _>(sessions::patch_many)
        .on::<rpc::sessions::Search, _, _>(sessions::search)
        .on::<rpc::sessions::GroupsList, _, _>(sessions::groups::list)
        .on::<rpc::sessions::GroupsPut, _, _>(sessions::groups::put)
        .on::<rpc::sessions::GroupsRename, _, _>(sessions::groups::rename)
        .on::<rpc::sessions::GroupsDelete, _, _>(sessions::groups::delete)
        .on::<rpc::sessions::Reset, _, _>(sessions::reset)
        .on::<rpc::sessions::Delete, _, _>(sessions::delete)
        .on::<rpc::sessions::Compact, _, _>(sessions::compact)
        .on::<rpc::sessions::Send, _, _>(sessions::send)
        .on::<rpc::sessions::Abort, _, _>(sessions::abort)
        .on::<rpc::sessions::Subscribe, _, _>(sessions::subscribe)
        .on::<rpc::sessions::MessagesSubscribe, _, _>(sessions::messages_subscribe)
        .on::<rpc::sessions::MessagesUnsubscribe, _, _>(sessions::messages_unsubscribe)
        // What answers cost.
        .on::<rpc::usage::Status, _, _>(usage::status)
        .on::<rpc::usage::Cost, _, _>(usage::cost)
        .on::<rpc::usage::Sessions, _, _>(usage::sessions);
}

/// Devices, and what is run on them and here.
fn machines(table: &mut Table) {
    table
        // exec.approval.*: a decision about a command. exec.approvals.*: what needs none.
        .on::<rpc::approvals::Request, _, _>(approvals::request)
        .on::<rpc::approvals::WaitDecision, _, _>(approvals::wait_decision)
        .on::<rpc::approvals::Resolve, _, _>(approvals::resolve)
        .on::<rpc::approvals::List, _, _>(approvals::list)
        .on::<rpc::approvals::Get, _, _>(approvals::get)
        .on::<rpc::approvals::PolicyGet, _, _>(approvals::policy_get)
        .on::<rpc::approvals::PolicySet, _, _>(approvals::policy_set)
        .on::<rpc::approvals::NodePolicyGet, _, _>(approvals::node_policy_get)
        .on::<rpc::approvals::NodePolicySet, _, _>(approvals::node_policy_set)
        .on::<rpc::approvals::Find, _, _>(approvals::find)
        .on::<rpc::approvals::Decide, _, _>(approvals::decide)
        .on::<rpc::approvals::History, _, _>(approvals::history)
        // node.*: devices that do what they are asked.
        .on::<rpc::nodes::List, _, _>(nodes::list)
        .on::<rpc::nodes::Describe, _, _>(nodes::describe)
        .on::<rpc::nodes::Rename, _, _>(nodes::rename)
        .on::<rpc::nodes::PairList, _, _>(nodes::pair_list)
        .on::<rpc::nodes::PairApprove, _, _>(nodes::pair_approve)
        .on::<rpc::nodes::PairReject, _, _>(nodes::pair_reject)
        .on::<rpc::nodes::PairRemove, _, _>(nodes::pair_remove)
        .on::<rpc::nodes::Invoke, _, _>(nodes::invoke)
        .on::<rpc::nodes::InvokeResult, _, _>(nodes::invoke_result)
        .on::<rpc::nodes::InvokeProgress, _, _>(nodes::invoke_progress)
        .on::<rpc::nodes::PendingEnqueue, _, _>(nodes::pending_enqueue)
        .on::<rpc::nodes::PendingDrain, _, _>(nodes::pending_drain)
        .on::<rpc::nodes::PendingPull, _, _>(nodes::pending_pull)
        .on::<rpc::nodes::PendingAck, _, _>(nodes::pending_ack)
        .on::<rpc::nodes::Event, _, _>(nodes::event);
}

/// Lists and states of what there is.
fn catalogues(table: &mut Table) {
    use rpc::catalogues as lists;
    table
        .on::<lists::ToolsCatalog, _, _>(catalogues::tools_catalog)
        .on::<lists::ToolsEffective, _, _>(catalogues::tools_effective)
        .on::<lists::CommandsList, _, _>(catalogues::commands)
        .on::<lists::SkillsStatus, _, _>(catalogues::skills)
        .on::<lists::SkillsBins, _, _>(catalogues::skills_bins)
        .on::<lists::CronList, _, _>(catalogues::cron_list)
        .on::<lists::CronStatus, _, _>(catalogues::cron_status)
        .on::<lists::CronRuns, _, _>(catalogues::cron_runs)
        .on::<lists::ChannelsStatus, _, _>(catalogues::channels)
        .on::<lists::VoicewakeGet, _, _>(catalogues::voicewake)
        .on::<lists::TtsStatus, _, _>(catalogues::tts)
        .on::<lists::TtsProviders, _, _>(catalogues::tts_providers)
        .on::<lists::TalkConfig, _, _>(catalogues::talk)
        .on::<lists::LastHeartbeat, _, _>(catalogues::heartbeat)
        .on::<lists::QuestionList, _, _>(catalogues::questions)
        .on::<lists::PluginApprovalList, _, _>(catalogues::plugin_approvals)
        .on::<lists::TaskSuggestionsList, _, _>(catalogues::task_suggestions)
        .on::<lists::TasksList, _, _>(catalogues::tasks)
        .on::<lists::UpdateStatus, _, _>(catalogues::update);
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_method_stands_once() {
        let table = super::table();
        let (mut answered, mut listed) = (table.names().to_vec(), protocol::methods::names());
        listed.retain(|it| *it != "connect");
        answered.sort_unstable();
        listed.sort_unstable();
        assert_eq!(answered, listed, "gateway::methods and protocol::methods");
    }
}
