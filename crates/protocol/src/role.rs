//! What a connection is: one that steers, or one that is steered.

use serde::{Deserialize, Serialize};

/// What a connection is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Asks, and is told what happens; what it may is in its scopes.
    #[default]
    Operator,
    /// Does things where it runs, as it is asked to. It has no scopes, and calls what is made for nodes alone.
    Node,
}

impl Role {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::Node => "node",
        }
    }

    /// The role of a name.
    pub fn parse(name: &str) -> Option<Self> {
        [Role::Operator, Role::Node].into_iter().find(|it| it.name() == name)
    }
}

/// Who may call a method at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    /// Operators, by their scopes.
    Operators,
    /// Nodes.
    Nodes,
    /// Either.
    Both,
}

impl Callers {
    /// Whether a connection of this role is among them.
    pub fn include(self, role: Role) -> bool {
        match self {
            Callers::Operators => role == Role::Operator,
            Callers::Nodes => role == Role::Node,
            Callers::Both => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_calls_its_own() {
        assert_eq!(Role::parse("node"), Some(Role::Node));
        assert_eq!(Role::parse("admin"), None);
        assert!(Callers::Operators.include(Role::Operator) && !Callers::Operators.include(Role::Node));
        assert!(Callers::Nodes.include(Role::Node) && !Callers::Nodes.include(Role::Operator));
        assert!([Role::Operator, Role::Node].into_iter().all(|it| Callers::Both.include(it)));
    }
}
