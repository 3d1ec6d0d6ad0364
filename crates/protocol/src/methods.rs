//! Every method type once, in one list: the gateway's table is held to it, and the documents are made of it.

/// Gives every method type to a macro that takes paths within this crate.
macro_rules! for_each_method {
    ($with:ident) => {
        $with! {
            agent::Run,
            agent::Wait,
            agents::Create,
            agents::Delete,
            agents::FilesGet,
            agents::FilesList,
            agents::FilesSet,
            agents::GetIdentity,
            agents::List,
            agents::Update,
            agents::WorkspaceGet,
            agents::WorkspaceList,
            approvals::Decide,
            approvals::Find,
            approvals::Get,
            approvals::History,
            approvals::List,
            approvals::NodePolicyGet,
            approvals::NodePolicySet,
            approvals::PolicyGet,
            approvals::PolicySet,
            approvals::Request,
            approvals::Resolve,
            approvals::WaitDecision,
            catalogues::ChannelsStatus,
            catalogues::CommandsList,
            catalogues::CronList,
            catalogues::CronRuns,
            catalogues::CronStatus,
            catalogues::LastHeartbeat,
            catalogues::PluginApprovalList,
            catalogues::QuestionList,
            catalogues::SkillsBins,
            catalogues::SkillsStatus,
            catalogues::TalkConfig,
            catalogues::TaskSuggestionsList,
            catalogues::TasksList,
            catalogues::ToolsCatalog,
            catalogues::ToolsEffective,
            catalogues::TtsProviders,
            catalogues::TtsStatus,
            catalogues::UpdateStatus,
            catalogues::VoicewakeGet,
            chat::Abort,
            chat::History,
            chat::Inject,
            chat::MessageGet,
            chat::Metadata,
            chat::Send,
            chat::Startup,
            config::Apply,
            config::Get,
            config::Patch,
            config::Schema,
            config::SchemaLookup,
            config::Set,
            connect::Connect,
            devices::Approve,
            devices::List,
            devices::Reject,
            devices::Remove,
            devices::Rename,
            devices::Revoke,
            devices::Rotate,
            devices::SetupCode,
            devices::SetupStatus,
            health::Health,
            health::Status,
            logs::Tail,
            models::AuthStatus,
            models::List,
            nodes::Describe,
            nodes::Event,
            nodes::Invoke,
            nodes::InvokeProgress,
            nodes::InvokeResult,
            nodes::List,
            nodes::PairApprove,
            nodes::PairList,
            nodes::PairReject,
            nodes::PairRemove,
            nodes::PendingAck,
            nodes::PendingDrain,
            nodes::PendingEnqueue,
            nodes::PendingPull,
            nodes::Rename,
            presence::SystemPresence,
            sessions::Abort,
            sessions::Compact,
            sessions::Create,
            sessions::Delete,
            sessions::Describe,
            sessions::Get,
            sessions::GroupsDelete,
            sessions::GroupsList,
            sessions::GroupsPut,
            sessions::GroupsRename,
            sessions::List,
            sessions::MessagesSubscribe,
            sessions::MessagesUnsubscribe,
            sessions::Patch,
            sessions::PatchMany,
            sessions::Preview,
            sessions::Reset,
            sessions::Resolve,
            sessions::Search,
            sessions::Send,
            sessions::Subscribe,
            system::GatewayIdentity,
            system::RestartPreflight,
            system::RestartRequest,
            system::SystemEvent,
            system::SystemInfo,
            system::Wake,
            usage::Cost,
            usage::Sessions,
            usage::Status,
            wizard::Cancel,
            wizard::Next,
            wizard::Start,
            wizard::Status,
        }
    };
}

macro_rules! named {
    ($($family:ident::$method:ident,)*) => {
        vec![$(<crate::$family::$method as crate::Method>::NAME),*]
    };
}

/// Every method of the original, and what becomes of it here.
const COVERAGE: &str = include_str!("../coverage.txt");

/// Why a method is not served and never will be, for people; `None` for every other name.
pub fn refused(name: &str) -> Option<&'static str> {
    COVERAGE.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(" refused: "))
}

/// The names of all methods that have a type.
pub fn names() -> Vec<&'static str> {
    for_each_method!(named)
}

/// Every method with its scope, its callers, and the JSON Schema of its parameters and its reply.
#[cfg(feature = "schema")]
pub fn described() -> Vec<Described> {
    fn one<M: crate::Method>() -> Described
    where
        M::Params: schemars::JsonSchema,
        M::Reply: schemars::JsonSchema,
    {
        let schema = |it: schemars::Schema| it.to_value();
        Described {
            name: M::NAME,
            scope: M::SCOPE.map(crate::Scope::name),
            callers: M::CALLERS,
            steers: M::STEERS,
            params: schema(generator().into_root_schema_for::<M::Params>()),
            reply: schema(generator().into_root_schema_for::<M::Reply>()),
        }
    }
    fn generator() -> schemars::SchemaGenerator {
        schemars::generate::SchemaSettings::draft07().with(|it| it.inline_subschemas = true).into_generator()
    }
    macro_rules! described {
        ($($family:ident::$method:ident,)*) => { vec![$(one::<crate::$family::$method>()),*] };
    }
    for_each_method!(described)
}

/// One method, for documents.
#[cfg(feature = "schema")]
#[derive(Debug)]
pub struct Described {
    /// On the wire.
    pub name: &'static str,
    /// What a caller must be allowed to do.
    pub scope: Option<&'static str>,
    /// Who may call it.
    pub callers: crate::Callers,
    /// Whether its calls are counted and bounded.
    pub steers: bool,
    /// JSON Schema.
    pub params: serde_json::Value,
    /// JSON Schema.
    pub reply: serde_json::Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_once_and_a_refusal_says_why() {
        let mut all = names();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(refused("update.run").is_some_and(|it| it.contains("openclaw update")));
        for name in ["health", "cron.add", "nothing.like.it", "", "update", "update.ru", "# Every"] {
            assert_eq!(refused(name), None, "{name}");
        }
        assert!(all.iter().all(|it| refused(it).is_none()), "what is answered is not refused");
    }
}
