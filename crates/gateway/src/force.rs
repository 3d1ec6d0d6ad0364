//! What a gateway obeys at this moment: one accepted config, swapped whole when another is accepted.

use std::path::PathBuf;
use std::sync::Arc;

use base::Secret;
use profile::claims::Claim;
use profile::document::Weight;
use profile::{Ambient, Finding, Instance};

use crate::access::{self, Access};
use crate::agents::Agents;
use crate::config::{Config, Read, Secretive};
use crate::holdings::Holdings;
use crate::http::SHARED_HOOK_TOKEN;

/// One accepted config and all that follows from it. A turn keeps the one that it began with.
pub(crate) struct Force {
    /// Typed.
    pub(crate) config: Config,
    /// The environment with what the config adds to it.
    pub(crate) ambient: Ambient,
    /// What a client on TCP must know.
    pub(crate) access: Access,
    /// Who answers.
    pub(crate) agents: Agents,
    /// The default agent's folder.
    pub(crate) workspace: PathBuf,
    /// The files by which it is in force: path and text, the config file first.
    pub(crate) texts: Vec<(PathBuf, String)>,
    /// What it says, variables and secrets put in.
    pub(crate) value: Secretive,
    /// What is to be said of it.
    pub(crate) findings: Vec<Finding>,
    /// What only one instance may hold.
    pub(crate) holdings: Holdings,
    /// What must not be shown.
    pub(crate) secrets: Vec<Secret>,
    /// Its generation; absent where it could not be kept.
    pub(crate) generation: Option<u64>,
}

impl Force {
    /// What follows from a config that a gateway can run by.
    ///
    /// # Errors
    /// All that keeps one from running: what is wrong in it, that none is to run here, that nothing names its secret.
    pub(crate) fn of(read: Read, instance: &Instance, flag: Option<&Secret>) -> Result<Self, Vec<Finding>> {
        let mut wrong = read.errors();
        let Read { config, sources, mut findings, ambient, mut secrets, mut holdings, value } = read;
        let mode = config.gateway.mode.as_deref();
        // Another word is told already.
        if matches!(mode, None | Some("remote")) {
            let is = mode.map_or("is not set".to_owned(), |it| format!("is \"{it}\""));
            let words = format!("{is}; a gateway runs here with \"local\"");
            wrong.push(sources.finding(&["gateway", "mode"], words));
        }
        let access = match access::secret(&config.gateway.auth, &sources, &ambient, flag) {
            Ok(it) if wrong.is_empty() => it,
            Ok(_) => return Err(ordered(wrong)),
            Err(finding) => {
                // That its value is of no use is told already.
                if !wrong.iter().any(|it| finding.path.starts_with(&it.path)) {
                    wrong.push(*finding);
                }
                return Err(ordered(wrong));
            }
        };
        let is_shared = config.hooks.token.as_ref().is_some_and(|it| access.secret.matches(it.expose()));
        if is_shared && !findings.iter().any(|it| it.path == "hooks.token") {
            // By the environment or the command line, which the config alone does not tell.
            let finding = sources.finding(&["hooks", "token"], SHARED_HOOK_TOKEN).weighs(Weight::Warning);
            findings.push(finding);
        }
        secrets.push(access.secret.clone());
        let agents = Agents::of(&config, &ambient, instance);
        let workspace = agents.default().workspace.clone();
        holdings.workspaces = agents.other_workspaces();
        let main = (sources.main().path().to_path_buf(), sources.main().text().to_owned());
        let texts = std::iter::once(main).chain(sources.kept()).collect();
        Ok(Self {
            config,
            ambient,
            access,
            agents,
            workspace,
            texts,
            value,
            findings,
            holdings,
            secrets,
            generation: None,
        })
    }

    /// The text of the config file.
    pub(crate) fn text(&self) -> &str {
        &self.texts[0].1
    }

    /// The files that it includes.
    pub(crate) fn included(&self) -> &[(PathBuf, String)] {
        &self.texts[1..]
    }

    /// What is held as long as it is in force: what nobody can do without, and the messaging logins.
    pub(crate) fn needed(&self, instance: &Instance) -> impl Iterator<Item = Claim> {
        self.holdings.needed(self.workspace.clone()).chain(self.holdings.logins(instance))
    }
}

/// As they stand in the file, so that people can go through it once.
fn ordered(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|it| (it.line, it.column));
    findings
}

/// The one that is in force, for whoever reads it often.
pub(crate) type Current = Arc<Force>;
