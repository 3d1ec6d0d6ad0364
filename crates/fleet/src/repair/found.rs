//! What the disk and the kernel tell about the instances of a host, without believing the records.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use profile::claims::{self, Claim, Held};
use profile::document::Unreadable;
use profile::folder;
use profile::instance;
use profile::listener;
use profile::ports::{self, DEFAULT_BASE, Neighbour, Plan, Role};
use profile::registry::{Host, Record};
use profile::{Ambient, Document, Instance, ProfileName, generations};

use crate::places;

/// Everything that was looked at, at one moment.
pub(super) struct Found<'a> {
    host: &'a Host,
    ambient: &'a Ambient,
    /// The claims by their files, those of dead processes included, and whether each is held.
    claims: Vec<(Held, bool)>,
    stale_locks: usize,
    recorded: Vec<Record>,
}

impl<'a> Found<'a> {
    /// Looks.
    pub(super) fn look(host: &'a Host, ambient: &'a Ambient) -> Self {
        let all = claims::all(&host.claims());
        let stale_locks = all.iter().filter(|(_, is_held)| !is_held).count();
        let claims = all.into_iter().filter_map(|(said, is_held)| Some((said?, is_held))).collect();
        Self { host, ambient, claims, stale_locks, recorded: host.all() }
    }

    /// How many lock files nobody holds.
    pub(super) fn stale_locks(&self) -> usize {
        self.stale_locks
    }

    /// Whether a gateway runs there.
    pub(super) fn runs(&self, state_dir: &Path) -> bool {
        let claims =
            |(it, is_held): &(Held, bool)| *is_held && instance::same(&it.holder.state_dir, state_dir);
        claims::holder_now(state_dir).is_some() || self.claims.iter().any(claims)
    }

    /// Every instance whose folder is there: at home, recorded, named by a claim, or by what is left of a torn record.
    pub(super) fn instances(&self) -> Vec<Instance> {
        let at_home = Instance::folders_at_home(self.ambient).into_iter().map(|(_, it)| it);
        let recorded = self.recorded.iter().map(|it| it.state_dir.clone());
        let claimed = self.claims.iter().map(|(it, _)| it.holder.state_dir.clone());
        let torn = self.host.unreadable().into_iter().filter_map(|it| salvaged(&it));
        let mut found: BTreeMap<PathBuf, Instance> = BTreeMap::new();
        for folder in at_home.chain(recorded).chain(claimed).chain(torn) {
            if folder.is_absolute() && folder::is_state_folder(&folder) {
                found.entry(places::real(&folder)).or_insert_with(|| self.instance(&folder));
            }
        }
        found.into_values().collect()
    }

    /// The record that an instance should have. `planned` are those that are given a record with it.
    pub(super) fn record_of(
        &self,
        instance: &Instance,
        old: Option<&Record>,
        planned: &[Neighbour],
    ) -> Option<Record> {
        let document = Document::load(&instance.config_path);
        let (pinned, configured) = match &document {
            Ok(it) => (it.pinned_ports(), it.port()),
            Err(Unreadable::Missing(_)) => (Vec::new(), None),
            // One that does not parse says nothing about what it said before.
            Err(_) => (old.map(|it| it.pinned.clone()).unwrap_or_default(), None),
        };
        let sound = |port: &u16| Plan::of(*port).is_ok();
        let port = self
            .port_of(instance, true)
            .or(configured)
            .or(old.map(|it| it.port))
            .filter(sound)
            .or_else(|| self.port_of(instance, false).filter(sound))
            .or_else(|| generation_port(instance).filter(sound))
            .or(instance.default_port)
            .or_else(|| self.free(instance, planned))?;
        let version = old.map(|it| it.version.clone()).unwrap_or_default();
        Some(Record::of(instance, port, pinned, &version))
    }

    /// What the folder says of itself; where it says nothing, what the record says.
    fn instance(&self, folder: &Path) -> Instance {
        let is_own = |it: &&Record| instance::same(&it.state_dir, folder);
        let old = self.recorded.iter().find(is_own);
        // A record that spells the folder in another way is as good.
        let spelled = old.map_or(folder, |it| it.state_dir.as_path());
        let by_folder = Instance::of_folder(self.ambient, spelled);
        let (name, profile) = self.name_of(&by_folder, old);
        let own = by_folder.config_path.clone();
        let config = self.claimed_config(folder).or_else(|| {
            let recorded = old.map(|it| it.config_path.clone())?;
            (recorded.exists() || !own.exists()).then_some(recorded)
        });
        Instance::at(self.host.clone(), name, profile, by_folder.state_dir, config.unwrap_or(own))
    }

    /// A folder of a profile has that profile's name. Any other is called as whoever runs there says, else as it was
    /// recorded, else after itself.
    fn name_of(&self, by_folder: &Instance, old: Option<&Record>) -> (String, Option<ProfileName>) {
        let own = Instance::of_profile(self.ambient, by_folder.profile.clone());
        if own.is_ok_and(|it| instance::same(&it.state_dir, &by_folder.state_dir)) {
            return (by_folder.name.clone(), by_folder.profile.clone());
        }
        let holder = claims::holder_now(&by_folder.state_dir).map(|it| it.instance);
        let profile = old.and_then(|it| it.profile.as_deref());
        let profile = profile.and_then(|it| ProfileName::parse(it).ok().flatten());
        let recorded = old.map(|it| it.name.clone());
        let name = holder.or(recorded).filter(|it| !it.trim().is_empty());
        let name = name.unwrap_or_else(|| by_folder.name.clone());
        let profile = profile.filter(|it| it.as_str() == name);
        (name, profile)
    }

    fn claimed_config(&self, folder: &Path) -> Option<PathBuf> {
        self.claims_of(folder, true).find_map(|it| match it {
            Claim::Config(path) => Some(path.clone()),
            _ => None,
        })
    }

    fn port_of(&self, instance: &Instance, is_held: bool) -> Option<u16> {
        self.claims_of(&instance.state_dir, is_held).find_map(|it| match it {
            Claim::Port(Role::Gateway, port) => Some(*port),
            _ => None,
        })
    }

    fn claims_of<'b>(&'b self, folder: &'b Path, is_held: bool) -> impl Iterator<Item = &'b Claim> {
        let own = self
            .claims
            .iter()
            .filter(move |(it, held)| *held == is_held && instance::same(&it.holder.state_dir, folder));
        own.filter_map(|(it, _)| it.claim.as_ref())
    }

    fn free(&self, instance: &Instance, planned: &[Neighbour]) -> Option<u16> {
        let mut others = self.host.confirmed_neighbours(&instance.state_dir);
        others.extend_from_slice(planned);
        ports::free_bases(DEFAULT_BASE, &others, listener::is_bound).next()
    }
}

/// The port of the last config that a gateway of this instance accepted.
fn generation_port(instance: &Instance) -> Option<u16> {
    let last = generations::last(&instance.state_dir)?;
    Document::parse(&last.path, last.text().ok()?).ok()?.port()
}

/// The state folder of a record of which only the beginning is there.
fn salvaged(file: &Path) -> Option<PathBuf> {
    const KEY: &str = "\"stateDir\":";
    let text = fs::read_to_string(file).ok()?;
    let rest = text[text.find(KEY)? + KEY.len()..].trim_start();
    let path: String = serde_json::Deserializer::from_str(rest).into_iter().next()?.ok()?;
    Some(PathBuf::from(path))
}
