//! Why a command failed: for people, for programs, and for whoever reads exit codes.

use std::process::ExitCode;

/// The kind of a failure; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It could not be done.
    Failed,
    /// The command line, or what the environment says against it.
    Usage,
    /// What is needed is held by somebody else.
    Held,
    /// A fault of this program.
    Fault,
    /// It may work later.
    Again,
    /// The configuration, or the place it is kept in.
    Config,
}

impl Kind {
    /// 1 failed, 64 usage, 69 held, 70 our fault, 75 try again, 78 configuration.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Kind::Failed => 1,
            Kind::Usage => 64,
            Kind::Held => 69,
            Kind::Fault => 70,
            Kind::Again => 75,
            Kind::Config => 78,
        })
    }

    /// The kind that another command of ours ended with.
    pub(crate) fn of_code(code: i32) -> Self {
        match code {
            64 => Kind::Usage,
            69 => Kind::Held,
            70 => Kind::Fault,
            75 => Kind::Again,
            78 => Kind::Config,
            _ => Kind::Failed,
        }
    }

    /// The word for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::Held => "held",
            Kind::Fault => "fault",
            Kind::Again => "try_again",
            Kind::Config => "config",
        }
    }
}

/// One failure.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What kind.
    pub(crate) kind: Kind,
    /// What was wrong, where.
    pub(crate) message: String,
    /// More lines about it: findings, an excerpt.
    pub(crate) details: Vec<String>,
    /// What to do.
    pub(crate) hints: Vec<String>,
    /// Which instance it is about.
    pub(crate) instance: Option<String>,
}

impl Failure {
    /// A failure.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Vec::new(), hints: Vec::new(), instance: None }
    }

    /// A failure out of an error with its causes.
    pub(crate) fn from_error(kind: Kind, error: &dyn std::error::Error) -> Self {
        Self::new(kind, base::text::chain(error))
    }

    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Names the instance, unless it is named already.
    pub(crate) fn of(mut self, instance: Option<&str>) -> Self {
        self.instance = self.instance.or_else(|| instance.map(str::to_owned));
        self
    }
}

/// Shows the line that does not parse.
pub(crate) fn unreadable(mut failure: Failure, error: &profile::document::Unreadable) -> Failure {
    if let profile::document::Unreadable::Syntax { finding, .. } = error
        && finding.line > 0
    {
        failure.details.extend(finding.pointer().lines().map(str::to_owned));
        return failure.hint("correct the file at that place; it was not changed");
    }
    failure
}
