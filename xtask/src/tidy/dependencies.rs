//! How much of other people's code is locked in.

use super::{Finding, Repository};

/// Packages of others in Cargo.lock, at most. Raising it is a decision: name the package in the commit.
const MOST: usize = 204;

/// How far below the limit the number may fall before the limit follows.
const SLACK: usize = 15;

pub(super) fn check(repository: &Repository) -> anyhow::Result<Vec<Finding>> {
    Ok(judge(repository.tree.text("Cargo.lock").unwrap_or_default(), MOST))
}

fn judge(lock: &str, most: usize) -> Vec<Finding> {
    let locked = lock.lines().filter(|it| it.starts_with("source = ")).count();
    let complaint = if locked > most {
        format!(
            "{locked} packages of others are locked, more than {most}: do without, turn a feature off, or raise MOST \
             in xtask/src/tidy/dependencies.rs and say what it is worth"
        )
    } else if locked + SLACK < most {
        format!(
            "only {locked} packages of others are locked: lower MOST in xtask/src/tidy/dependencies.rs from {most}"
        )
    } else {
        return Vec::new();
    };
    vec![Finding::in_file("Cargo.lock", complaint)]
}

#[cfg(test)]
mod tests {
    use super::super::{assert_holds_here, lines_of};
    use super::*;

    #[track_caller]
    fn check_count(locked: usize, expected: Option<&str>) {
        let foreign = "[[package]]\nname = \"a\"\nsource = \"registry\"\n".repeat(locked);
        let found = lines_of(judge(&format!("{foreign}[[package]]\nname = \"ours\"\n"), 100));
        assert_eq!(found.len(), usize::from(expected.is_some()), "{locked}: {found:?}");
        assert!(found.iter().all(|it| it.contains(expected.unwrap_or_default())), "{found:?}");
    }

    #[test]
    fn the_number_only_falls_and_the_limit_follows() {
        check_count(101, Some("101 packages of others are locked, more than 100"));
        check_count(100, None);
        check_count(85, None);
        check_count(84, Some("lower MOST"));
    }

    #[test]
    fn holds_here() {
        assert_holds_here(check);
    }
}
