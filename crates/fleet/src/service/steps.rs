//! What a supervisor's program is told. The one place that runs `launchctl` and `schtasks`.

use std::process::{Command, Stdio};

/// What is done with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Make it known and have it run.
    Install,
    /// Have it end, and forget it.
    Uninstall,
    /// Have it run.
    Start,
    /// Have it end until it is started again.
    Stop,
    /// Both.
    Restart,
    /// Say how it is.
    Show,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The program and what it is told.
    pub words: Vec<String>,
    /// Whether it is no matter that it fails: what it undoes may not be there.
    pub may_fail: bool,
}

impl Step {
    /// One that has to succeed.
    pub(super) fn must(words: &[&str]) -> Self {
        Self { words: words.iter().map(|it| (*it).to_owned()).collect(), may_fail: false }
    }

    /// One that need not.
    pub(super) fn may_fail(words: &[&str]) -> Self {
        Self { may_fail: true, ..Self::must(words) }
    }
}

/// Runs them in order. Returns what the last one said.
///
/// # Errors
/// With what the first that failed said.
pub fn run(steps: &[Step]) -> Result<String, super::systemd::Trouble> {
    let mut said = String::new();
    for step in steps {
        let refused = |said: &str| super::systemd::Trouble::Refused {
            what: step.words[1..].join(" "),
            said: base::text::line(said, 300),
        };
        let done = Command::new(&step.words[0]).args(&step.words[1..]).stdin(Stdio::null()).output();
        match done {
            Ok(it) if it.status.success() => said = String::from_utf8_lossy(&it.stdout).into_owned(),
            Ok(_) | Err(_) if step.may_fail => {}
            Ok(it) => return Err(refused(&String::from_utf8_lossy(&it.stderr))),
            Err(error) => return Err(refused(&error.to_string())),
        }
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_fail_does_not_end_the_row_and_what_may_not_says_why() {
        let said = run(&[Step::may_fail(&["false"]), Step::must(&["echo", "done"])]);
        assert_eq!(said.expect("both").trim(), "done");
        let failed =
            run(&[Step::must(&["sh", "-c", "echo no such service >&2; exit 3"]), Step::must(&["true"])]);
        assert!(failed.expect_err("it failed").to_string().contains("no such service"));
        assert!(run(&[Step::must(&["/nowhere/launchctl", "print"])]).is_err());
    }
}
