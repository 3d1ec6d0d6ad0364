//! A value that prints as `***`, is no part of any reply, and is compared in constant time.

use std::fmt;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq;

/// A password, a token, a key. It has no `Serialize` and no `PartialEq`, on purpose.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret; `None` for an empty or blank one, since an empty secret is a missing one.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (!text.trim().is_empty()).then_some(Self(text))
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `offered` is the secret, in a time that does not tell how much of it was right.
    pub fn matches(&self, offered: &str) -> bool {
        self.0.as_bytes().ct_eq(offered.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Secret::new(text).ok_or_else(|| serde::de::Error::custom("a secret must not be empty"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_prints_and_never_is_empty() {
        let secret = Secret::new("hunter2").expect("not empty");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert!(secret.matches("hunter2"));
        assert!(!secret.matches("hunter") && !secret.matches(""));
        assert!(Secret::new("").is_none() && Secret::new("  ").is_none());
    }
}
