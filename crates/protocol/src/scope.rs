//! What a caller may do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The right to do one kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// Answer what an agent asks a person.
    #[serde(rename = "operator.questions")]
    Questions,
    /// Speak and be heard.
    #[serde(rename = "operator.talk")]
    Talk,
    /// See the secrets of services that speak.
    #[serde(rename = "operator.talk.secrets")]
    TalkSecrets,
    /// See conversations, and nothing else.
    #[serde(rename = "operator.sessions.read")]
    SessionsRead,
    /// Act in conversations, and nowhere else.
    #[serde(rename = "operator.sessions.write")]
    SessionsWrite,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Scope; 10] = [
        Scope::Admin,
        Scope::Read,
        Scope::Write,
        Scope::Approvals,
        Scope::Pairing,
        Scope::Questions,
        Scope::Talk,
        Scope::TalkSecrets,
        Scope::SessionsRead,
        Scope::SessionsWrite,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Admin => "operator.admin",
            Scope::Read => "operator.read",
            Scope::Write => "operator.write",
            Scope::Approvals => "operator.approvals",
            Scope::Pairing => "operator.pairing",
            Scope::Questions => "operator.questions",
            Scope::Talk => "operator.talk",
            Scope::TalkSecrets => "operator.talk.secrets",
            Scope::SessionsRead => "operator.sessions.read",
            Scope::SessionsWrite => "operator.sessions.write",
        }
    }

    /// Whether holding this scope is enough where `needed` is asked for.
    pub fn satisfies(self, needed: Scope) -> bool {
        let included: &[Scope] = match self {
            Scope::Admin => return true,
            Scope::Write => &[Scope::Read, Scope::Talk, Scope::SessionsRead, Scope::SessionsWrite],
            Scope::Read | Scope::SessionsWrite => &[Scope::SessionsRead],
            _ => &[],
        };
        self == needed || included.contains(&needed)
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

    /// Whether the holder has nothing less than all of `others`.
    pub fn cover(&self, others: &Scopes) -> bool {
        others.0.iter().all(|it| self.allow(*it))
    }

    /// Those among `asked` that the holder has a right to: what is granted is never more than either of the two.
    #[must_use]
    pub fn granted(&self, asked: &Scopes) -> Scopes {
        Self(asked.0.iter().copied().filter(|it| self.allow(*it)).collect())
    }

    /// Both.
    #[must_use]
    pub fn and(&self, others: &Scopes) -> Scopes {
        Self(Scope::ALL.into_iter().filter(|it| self.0.contains(it) || others.0.contains(it)).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        assert!(of(&["operator.sessions.write"]).allow(Scope::SessionsRead));
        assert!(
            !of(&["operator.sessions.write"]).allow(Scope::Read)
                && !of(&["operator.read"]).allow(Scope::Talk)
        );
    }

    #[test]
    fn nothing_granted_exceeds_what_is_held_or_what_was_asked() {
        let all: Vec<Scopes> = (0_u32..1 << Scope::ALL.len())
            .step_by(7)
            .map(|bits| {
                Scopes(
                    Scope::ALL
                        .into_iter()
                        .enumerate()
                        .filter(|(at, _)| bits >> at & 1 == 1)
                        .map(|it| it.1)
                        .collect(),
                )
            })
            .collect();
        for held in &all {
            for asked in all.iter().step_by(5) {
                let granted = held.granted(asked);
                assert!(held.cover(&granted) && asked.cover(&granted), "{held:?} {asked:?} {granted:?}");
                assert_eq!(held.cover(asked), &granted == asked);
            }
        }
    }
}
