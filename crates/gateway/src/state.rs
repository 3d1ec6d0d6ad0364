//! What all parts of one running gateway share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base::{Secret, clock, random};
use profile::{Ambient, Claims, Instance, ledger};
use protocol::event::{Name, WhenSlow};
use protocol::health::InstanceInfo;
use serde_json::value::to_raw_value;

use crate::VERSION;
use crate::approvals::Approvals;
use crate::archive::Archive;
use crate::audience::{Audience, Client};
use crate::bind::Mode;
use crate::devices::Devices;
use crate::door::Door;
use crate::force::{Current, Force};
use crate::happenings::Happenings;
use crate::http::Counters;
use crate::late::Late;
use crate::limits::Attempts;
use crate::log::Log;
use crate::methods::{Walk, Written, known};
use crate::models::Models;
use crate::nodes::Nodes;
use crate::presence::Roster;
use crate::reload::{self, Reload};
use crate::runs::Runs;
use crate::supervisor::Supervisor;

/// One running gateway. Everything in it is either fixed at boot or guards itself.
pub(crate) struct Gateway {
    /// Which one it is.
    pub(crate) instance: Instance,
    /// What surrounds it.
    pub(crate) ambient: Ambient,
    /// Where it says what happens.
    pub(crate) log: Log,
    /// How it listens.
    pub(crate) door: Door,
    /// The port that it listens on.
    pub(crate) port: u16,
    /// Whether that is so by the command line or the environment, whatever the config says.
    pub(crate) is_port_fixed: bool,
    /// Whether nothing of the config is in force.
    pub(crate) is_safe: bool,
    /// The mode of the command line, whatever the config says.
    pub(crate) bind_fixed: Option<Mode>,
    /// Where sessions are kept.
    pub(crate) archive: Archive,
    /// Who is connected.
    pub(crate) audience: Audience,
    /// Who is there.
    pub(crate) roster: Roster,
    /// Who is paired.
    pub(crate) devices: Devices,
    /// Who failed to authenticate.
    pub(crate) attempts: Attempts,
    /// What runs.
    pub(crate) supervisor: Supervisor,
    /// What /metrics counts.
    pub(crate) counters: Counters,
    /// The turns.
    pub(crate) runs: Runs,
    /// What people are asked.
    pub(crate) approvals: Approvals,
    /// The devices that do what they are asked.
    pub(crate) nodes: Nodes,
    /// Ends of turns that are not on disk yet.
    pub(crate) late: Late,
    /// Who can be asked.
    pub(crate) models: Models,
    /// What conversations are told with their next turn.
    pub(crate) happenings: Happenings,
    /// The set-up that somebody walks through.
    pub(crate) walk: Walk,
    /// What becomes of a changed config.
    pub(crate) reload: Reload,
    /// What is held, by this gateway alone.
    pub(crate) claims: Arc<Mutex<Claims>>,
    /// Conversations as of the last stop: true until the database is opened, as nobody else writes it.
    pub(crate) sessions_before: Option<u64>,
    /// Changes with each start.
    pub(crate) boot_id: String,
    /// Unix milliseconds.
    pub(crate) since: u64,
    /// For spans of time.
    pub(crate) began: Instant,
    /// What it obeys.
    force: Mutex<Current>,
    /// What is not used here because another instance holds it.
    conflicts: Mutex<Vec<String>>,
    /// What is wrong with it, for people.
    problems: Mutex<Vec<(&'static str, String)>>,
    /// The health as it was last told.
    pub(crate) written_health: Written,
    /// How often that changed.
    health_changes: AtomicU64,
    /// Conversations, newest first, as they were last seen; absent while nobody has looked.
    overview: Mutex<Option<Overview>>,
}

/// How many conversations there are, and the newest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overview {
    /// All of them.
    pub(crate) count: u64,
    /// Key and time of the newest.
    pub(crate) recent: Vec<(String, u64)>,
}

/// What a gateway is made of that boot has to find out.
pub(crate) struct Parts {
    pub(crate) instance: Instance,
    pub(crate) ambient: Ambient,
    pub(crate) force: Force,
    pub(crate) log: Log,
    pub(crate) port: u16,
    pub(crate) door: Door,
    pub(crate) is_port_fixed: bool,
    pub(crate) bind_fixed: Option<Mode>,
    pub(crate) claims: Arc<Mutex<Claims>>,
    pub(crate) archive: Archive,
    pub(crate) conflicts: Vec<String>,
    /// Why the config file is not in force, where it is not.
    pub(crate) refused: Option<reload::Refused>,
    /// Of the command line: goes before the config's token, whatever that becomes.
    pub(crate) token: Option<Secret>,
    /// Run by nothing of the config.
    pub(crate) safe: bool,
}

impl Gateway {
    /// Puts one together.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            instance,
            ambient,
            force,
            log,
            port,
            door,
            is_port_fixed,
            bind_fixed,
            claims,
            archive,
            conflicts,
            refused,
            token,
            safe,
        } = parts;
        let nothing_yet = (!archive.path().exists()).then(Overview::default);
        let sessions_before = match &nothing_yet {
            Some(_) => Some(0),
            None => ledger::read(&instance.state_dir).sessions.filter(|_| !archive.was_cut_off()),
        };
        let problems = refused.iter().map(|it| (reload::PART, it.problem())).collect();
        Self {
            reload: Reload::new(refused, token),
            claims,
            force: Mutex::new(Arc::new(force)),
            conflicts: Mutex::new(conflicts),
            sessions_before,
            models: Models::new(&instance.name),
            happenings: Happenings::default(),
            devices: Devices::new(&instance.state_dir),
            walk: Walk::default(),
            instance,
            ambient,
            log,
            port,
            door,
            is_port_fixed,
            is_safe: safe,
            bind_fixed,
            archive,
            audience: Audience::default(),
            roster: Roster::default(),
            attempts: Attempts::default(),
            supervisor: Supervisor::default(),
            counters: Counters::default(),
            runs: Runs::default(),
            approvals: Approvals::default(),
            nodes: Nodes::default(),
            late: Late::default(),
            boot_id: random::hex::<8>(),
            since: clock::now_ms(),
            began: Instant::now(),
            problems: Mutex::new(problems),
            written_health: Written::default(),
            health_changes: AtomicU64::new(0),
            overview: Mutex::new(nothing_yet),
        }
    }

    /// What it obeys now.
    pub(crate) fn force(&self) -> Current {
        self.force.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Obeys another config from now on. Returns the one before.
    pub(crate) fn obey(&self, force: Force) -> Current {
        let before = std::mem::replace(
            &mut *self.force.lock().unwrap_or_else(PoisonError::into_inner),
            Arc::new(force),
        );
        self.audience.tell(Name::ChatMetadataChanged, &serde_json::json!({}));
        before
    }

    /// What is not used here because another instance holds it.
    pub(crate) fn conflicts(&self) -> Vec<String> {
        self.conflicts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what is not used here because another instance holds it.
    pub(crate) fn note_conflicts(&self, conflicts: Vec<String>) {
        *self.conflicts.lock().unwrap_or_else(PoisonError::into_inner) = conflicts;
        self.health_changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Who this is.
    pub(crate) fn info(&self) -> InstanceInfo {
        InstanceInfo {
            name: self.instance.name.clone(),
            pid: std::process::id(),
            port: self.port,
            since: self.since,
            version: VERSION.to_owned(),
            safe_mode: self.is_safe,
        }
    }

    /// Milliseconds since it was ready.
    pub(crate) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes what is wrong with a part, or that it is right again.
    pub(crate) fn note(&self, part: &'static str, problem: Option<String>) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let before = problems.iter().find(|(it, _)| *it == part).map(|(_, it)| it.clone());
        if before == problem {
            return;
        }
        problems.retain(|(it, _)| *it != part);
        problems.extend(problem.map(|it| (part, it)));
        drop(problems);
        self.health_changes.fetch_add(1, Ordering::Relaxed);
        self.audience.tell_version(Name::Health, self.state_version(), || known(self));
    }

    /// How often the health has changed.
    pub(crate) fn health_version(&self) -> u64 {
        self.health_changes.load(Ordering::Relaxed) + 1
    }

    /// Tells one client how things stand.
    pub(crate) fn tell_health(&self, client: &Client) {
        let body = to_raw_value(&known(self)).expect("health always writes");
        client.tell(Name::Health, &body, WhenSlow::Close, Some(self.state_version()));
    }

    fn has_problem(&self, part: &str) -> bool {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(it, _)| *it == part)
    }

    /// What is wrong, for people.
    pub(crate) fn problems(&self) -> Vec<String> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        self.conflicts().into_iter().chain(problems.iter().map(|(_, it)| it.clone())).collect()
    }

    /// The conversations as they were last seen; `None` while nobody has looked.
    pub(crate) fn overview(&self) -> Option<Overview> {
        self.overview.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the conversations afresh. Where something could not be saved before, that it can be now is seen by
    /// saving it.
    pub(crate) async fn look_at_sessions(&self) {
        let query = store::SessionQuery { limit: 10, ..store::SessionQuery::default() };
        let unwell = self.has_problem("store");
        let late = self.late.clone();
        let looked = self.archive.with(move |store| {
            if unwell {
                late.save(store)?;
                store.check_writable()?;
            }
            store.sessions(&query)
        });
        match looked.await {
            Ok(page) => {
                let recent = page.sessions.into_iter().map(|it| (it.key, it.updated_at)).collect();
                let overview = Overview { count: page.total, recent };
                let before =
                    self.overview.lock().unwrap_or_else(PoisonError::into_inner).replace(overview.clone());
                if before.as_ref() != Some(&overview) {
                    self.health_changes.fetch_add(1, Ordering::Relaxed);
                }
                self.note("store", None);
            }
            // What was noted before says what the person lost by it.
            Err(_) if unwell => {}
            Err(error) => self.note("store", Some(base::text::chain(&error))),
        }
    }
}
