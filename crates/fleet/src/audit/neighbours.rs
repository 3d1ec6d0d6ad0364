//! What two instances share, as exposures.

use super::{Exposure, Severity};
use crate::doctor::{Shared, Thing};

/// One exposure for each.
pub(super) fn exposures(shared: &[Shared]) -> Vec<Exposure> {
    shared.iter().map(of_one).collect()
}

fn of_one(Shared { thing, here, there, other }: &Shared) -> Exposure {
    let (id, severity, title, remedy) = match thing {
        Thing::Login => (
            "instances.login_shared",
            Severity::Critical,
            "Two instances have the same login",
            "give each its own bot: a service hands each message to one of them, by chance",
        ),
        Thing::Access => (
            "gateway.token_shared",
            Severity::Warn,
            "Two instances have the same token",
            "give each its own: who knows the one may steer both",
        ),
        Thing::StateFolder => (
            "instances.state_shared",
            Severity::Critical,
            "Two instances have one state folder",
            "start each with its own --profile",
        ),
        Thing::Config => (
            "instances.config_shared",
            Severity::Critical,
            "Two instances have one config",
            "start each with its own --profile",
        ),
        Thing::Workspace => (
            "instances.workspace_shared",
            Severity::Warn,
            "Agents of two instances share a folder",
            "give each its own in agents.defaults.workspace: the one reads and changes what the other knows",
        ),
        Thing::UserData | Thing::Browser => (
            "instances.browser_shared",
            Severity::Warn,
            "Two instances use one browser",
            "give each its own: the one acts with the logins of the other",
        ),
    };
    let detail = match here == there {
        true => format!("{here}: also of instance {other}"),
        false => format!("{here}: also of instance {other}, there {there}"),
    };
    Exposure::new(id, severity, title, detail).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_login_is_worse_than_a_shared_folder() {
        let shared = |thing| Shared { thing, here: "a".into(), there: "b".into(), other: "work".into() };
        for (thing, id, severity) in [
            (Thing::Login, "instances.login_shared", Severity::Critical),
            (Thing::Workspace, "instances.workspace_shared", Severity::Warn),
            (Thing::Access, "gateway.token_shared", Severity::Warn),
        ] {
            let found = of_one(&shared(thing));
            assert_eq!((found.check_id.as_str(), found.severity), (id, severity));
            assert!(found.detail.contains("instance work") && found.remediation.is_some());
        }
    }
}
