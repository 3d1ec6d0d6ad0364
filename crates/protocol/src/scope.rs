//! What a caller may do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The right to do one kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Everything.
    #[serde(rename = "operator.admin")]
    Admin,
    /// See.
    #[serde(rename = "operator.read")]
    Read,
    /// Act: send messages, run turns, abort them.
    #[serde(rename = "operator.write")]
    Write,
    /// Decide about tool calls that ask.
    #[serde(rename = "operator.approvals")]
    Approvals,
    /// Let devices in.
    #[serde(rename = "operator.pairing")]
    Pairing,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Scope; 5] = [Scope::Admin, Scope::Read, Scope::Write, Scope::Approvals, Scope::Pairing];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Admin => "operator.admin",
            Scope::Read => "operator.read",
            Scope::Write => "operator.write",
            Scope::Approvals => "operator.approvals",
            Scope::Pairing => "operator.pairing",
        }
    }

    /// Whether holding this scope is enough where `needed` is asked for.
    pub fn satisfies(self, needed: Scope) -> bool {
        self == needed || self == Scope::Admin || (self == Scope::Write && needed == Scope::Read)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one caller holds. Empty means nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// The scopes among `asked` that we know; a name that we do not know grants nothing.
    pub fn asked(asked: &[String]) -> Self {
        Self(Scope::ALL.into_iter().filter(|it| asked.iter().any(|name| name == it.name())).collect())
    }

    /// Whether the holder may do what asks for `needed`.
    pub fn allow(&self, needed: Scope) -> bool {
        self.0.iter().any(|it| it.satisfies(needed))
    }

    /// The names, as the wire carries them.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|it| it.name().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_is_all_write_reads_and_nothing_is_nothing() {
        let of = |names: &[&str]| Scopes::asked(&names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert!(Scope::ALL.into_iter().all(|it| of(&["operator.admin"]).allow(it)));
        assert!(of(&["operator.write"]).allow(Scope::Read));
        assert!(!of(&["operator.read"]).allow(Scope::Write));
        assert!(!of(&["operator.write"]).allow(Scope::Admin));
        assert!(Scope::ALL.into_iter().all(|it| !of(&[]).allow(it) && !of(&["root", "*"]).allow(it)));
    }
}
