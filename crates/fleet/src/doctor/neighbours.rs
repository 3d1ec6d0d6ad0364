//! Other instances of the host: what they hold of ours, and what is noted of all.

use std::path::{Path, PathBuf};

use profile::Plan;
use profile::claims::{self, Claim};
use profile::instance;

use super::{Finding, Holdings, Marker, Scene, Severity, Shared, Thing, shared};
use crate::repair::{self, Repair};

/// Whether something that this instance needs is held by another one now.
pub(super) fn claims(scene: &Scene<'_>) -> Vec<Finding> {
    let instance = scene.instance;
    let plan = scene.plan();
    let is_needed = |claim: &Claim| match claim {
        Claim::Port(_, port) => needs_port(plan.as_ref(), *port),
        Claim::Config(path) => instance::same(path, &instance.config_path),
        Claim::Workspace(path) => scene.workspaces().iter().any(|it| instance::same(it, path)),
        _ => false,
    };
    let held = claims::held_now(&instance.host.claims()).into_iter();
    let theirs = held.filter(|it| !instance::same(&it.holder.state_dir, &instance.state_dir));
    let told = theirs.filter_map(|it| {
        let claim = it.claim.filter(is_needed)?;
        let what = format!("{claim} is held by {}", it.holder);
        let why = "a gateway of this instance would be refused";
        let found = Finding::new(Severity::Error, claim.to_string(), what, why);
        Some(found.run(format!("openclaw fleet why {}", it.holder.instance)))
    });
    told.collect()
}

fn needs_port(plan: Option<&Plan>, port: u16) -> bool {
    plan.is_some_and(|it| it.fixed().iter().any(|(_, own)| *own == port))
}

/// Whether a folder, a config or a browser is shared.
pub(super) fn places(scene: &Scene<'_>) -> Vec<Finding> {
    let told = in_common(scene).into_iter().filter_map(|it| {
        let (thing, key) = match it.thing {
            Thing::Login | Thing::Access => return None,
            Thing::Config => ("config file", None),
            Thing::StateFolder => ("state folder", None),
            Thing::Workspace => ("workspace", Some("agents.defaults.workspace")),
            Thing::UserData => ("browser folder", Some("browser.profiles.NAME.userDataDir")),
            Thing::Browser => ("browser", Some("browser.cdpUrl")),
        };
        let Shared { here, there, other, .. } = &it;
        let what = match here == there {
            true => format!("the {thing} is also that of instance {other}"),
            false => format!("the {thing} lies within that of instance {other}: {there}"),
        };
        let place =
            if Path::new(here).is_absolute() { scene.short(&PathBuf::from(here)) } else { here.clone() };
        let why = "two gateways that write the same place spoil each other's work";
        let found = Finding::new(Severity::Error, place, what, why);
        Some(match key {
            Some(key) => found.run(scene.command(&format!("config set {key} VALUE"))),
            None => found.advise("start one of the two with its own --profile"),
        })
    });
    told.collect()
}

/// Whether a login is shared.
pub(super) fn logins(scene: &Scene<'_>) -> Vec<Finding> {
    let told = in_common(scene).into_iter().filter_map(|Shared { thing, here, there, other }| {
        let (severity, what, why) = match thing {
            Thing::Login => (
                Severity::Error,
                format!("is the same login as {there} of instance {other}"),
                "a service gives each message to one of the two, by chance",
            ),
            Thing::Access => (
                Severity::Warn,
                format!("is the same secret as {there} of instance {other}"),
                "who may talk to the one may talk to the other",
            ),
            _ => return None,
        };
        let command = scene.command(&format!("config set {here} VALUE"));
        Some(Finding::new(severity, here, what, why).run(command))
    });
    told.collect()
}

fn in_common(scene: &Scene<'_>) -> Vec<Shared> {
    let Some(marker) = Marker::new().filter(|_| scene.is_there()) else { return Vec::new() };
    let own = Holdings::of(scene.instance, scene.document.as_ref().ok(), scene.ambient, &marker);
    let others = scene.others().iter();
    let others: Vec<Holdings> =
        others.map(|it| Holdings::of(&it.instance, it.document.as_ref(), scene.ambient, &marker)).collect();
    shared(&own, &others)
}

/// What `fleet repair` would put right: each thing of this instance, and the rest as one.
pub(super) fn records(scene: &Scene<'_>) -> Vec<Finding> {
    let (own, others): (Vec<Repair>, Vec<Repair>) = repair::look(&scene.instance.host, scene.ambient)
        .into_iter()
        .partition(|it| folder_of(it).is_some_and(|it| instance::same(it, &scene.instance.state_dir)));
    let command = "openclaw fleet repair";
    let why = "records keep the ports of instances that do not run";
    let place = |it: &Repair| {
        let folder = folder_of(it).unwrap_or(&scene.instance.state_dir);
        scene.short(folder)
    };
    let told = own.iter().map(|it| {
        Finding::new(Severity::Warn, place(it), format!("to be put right: {it}"), why).run(command)
    });
    let mut found: Vec<Finding> = told.collect();
    if let Some(first) = others.first() {
        let more = if others.len() > 1 { format!(", and {} more", others.len() - 1) } else { String::new() };
        let what = format!("elsewhere on this host: {first}{more}");
        let why = "what somebody left who was cut off is in nobody's way";
        let place = scene.short(scene.instance.host.folder());
        found.push(Finding::new(Severity::Info, place, what, why).run(format!("{command} --dry-run")));
    }
    found
}

/// The instance that a repair is about.
fn folder_of(repair: &Repair) -> Option<&Path> {
    match repair {
        Repair::Rename { folder }
        | Repair::Write { folder, .. }
        | Repair::Correct { folder, .. }
        | Repair::Forget { folder, .. }
        | Repair::Duplicate { folder, .. } => Some(folder),
        Repair::Failed { what, .. } => folder_of(what),
        Repair::Torn { .. } | Repair::Locks { .. } | Repair::Staging { .. } | Repair::Drafts { .. } => None,
    }
}
