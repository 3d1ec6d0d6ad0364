//! A profile's name, parsed into a type that cannot hold a path.

use std::fmt;

/// The most characters that a name may have.
const LONGEST: usize = 64;

/// What `--profile` takes: a letter or digit, then letters, digits, `_` and `-`; case is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(String);

/// A name that no profile can have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("Invalid --profile (use letters, numbers, \"_\", \"-\" only)")]
pub struct BadName;

impl ProfileName {
    /// Takes a name; `default` in any case is no profile.
    ///
    /// # Errors
    /// When a character is none of those that are allowed, or it is empty or longer than 64.
    pub fn parse(text: &str) -> Result<Option<Self>, BadName> {
        let mut characters = text.chars();
        let first = characters.next().is_some_and(|it| it.is_ascii_alphanumeric());
        let rest = characters.all(|it| it.is_ascii_alphanumeric() || it == '_' || it == '-');
        if !first || !rest || text.len() > LONGEST {
            return Err(BadName);
        }
        Ok((!text.eq_ignore_ascii_case("default")).then(|| Self(text.to_owned())))
    }

    /// The name as it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_and_nothing_that_could_be_a_path() {
        for good in ["main", "rescue", "a", "9-x_Y", &"a".repeat(64)] {
            assert_eq!(ProfileName::parse(good).map(|it| it.map(|it| it.0)), Ok(Some(good.to_owned())));
        }
        for none in ["default", "Default", "DEFAULT"] {
            assert_eq!(ProfileName::parse(none), Ok(None));
        }
        for bad in ["", "-a", "_a", "a/b", "..", "a.b", "a b", "ä", "a\n", &"a".repeat(65)] {
            assert_eq!(ProfileName::parse(bad), Err(BadName), "{bad:?}");
        }
    }
}
