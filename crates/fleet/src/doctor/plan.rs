//! The ports of the instance: planned, taken, near.

use profile::claims;
use profile::listener::{self, Listener};
use profile::ports::{self, SPACING};

use super::{Effort, Finding, Scene, Severity};

/// Whether another instance needs one of them.
pub(super) fn overlap(scene: &Scene<'_>) -> Vec<Finding> {
    let (Some(plan), true) = (scene.plan(), scene.is_there()) else { return Vec::new() };
    let pinned = scene.document.as_ref().map(profile::Document::pinned_ports).unwrap_or_default();
    let instance = scene.instance;
    let Err(overlap) = instance.host.check_ports(&instance.state_dir, &plan, &pinned) else {
        return Vec::new();
    };
    let place = format!("port {}", overlap.port);
    let why = "whichever of the two is started second is refused";
    let found = Finding::new(Severity::Error, place, overlap.to_string(), why);
    vec![match (overlap.better, overlap.role) {
        (Some(better), ports::Role::Gateway | ports::Role::Control | ports::Role::Canvas) => {
            found.run(scene.command(&format!("config set gateway.port {better}")))
        }
        _ => found.advise(overlap.remedy()),
    }]
}

/// Whether somebody who is not this instance listens on one of them.
pub(super) fn stranger(scene: &Scene<'_>) -> Vec<Finding> {
    let (Some(plan), true) = (scene.plan(), scene.is_there()) else { return Vec::new() };
    let own = scene.holder.as_ref().map(|it| it.pid);
    let look = |(role, port): (ports::Role, u16)| {
        // Without its own port it would not run.
        if own.is_some() && role == ports::Role::Gateway {
            return None;
        }
        let taken = listener::is_bound(port).then(|| listener::who(port)).flatten();
        let stranger: Listener = taken.filter(|it| own.is_none() || it.pid != own)?;
        // Another instance is told of by what it claims, where claims are looked at.
        if scene.effort >= Effort::Look && is_gateway(scene, &stranger) {
            return None;
        }
        let what = format!("{role} {port} is taken by {stranger}");
        let why = "the gateway cannot listen there, and a client would talk to somebody else";
        let found = Finding::new(Severity::Error, format!("port {port}"), what, why);
        Some(match stranger.pid {
            Some(pid) => {
                found.advise(format!("end that program (pid {pid}), or give the instance another port"))
            }
            None => found.advise("end that program, or give the instance another port"),
        })
    };
    plan.fixed().into_iter().filter_map(look).collect()
}

/// Whether it is another instance's.
fn is_gateway(scene: &Scene<'_>, listener: &Listener) -> bool {
    let held = claims::held_now(&scene.instance.host.claims());
    held.iter().any(|it| listener.pid == Some(it.holder.pid))
}

/// Whether another base port stands closer than people count on.
pub(super) fn spacing(scene: &Scene<'_>) -> Vec<Finding> {
    let (Some(plan), true) = (scene.plan(), scene.is_there()) else { return Vec::new() };
    let others = scene.instance.host.neighbours(&scene.instance.state_dir);
    // What overlaps is told already.
    if ports::overlap(&plan, &[], &others).is_some() {
        return Vec::new();
    }
    let near = ports::near(&plan, &others);
    let told = near.into_iter().map(|it| {
        let what = format!(
            "base port {} stands closer than {SPACING} to instance {} (base port {})",
            plan.base, it.name, it.plan.base
        );
        let why = "it works, as browser ports are found around it, and leaves less room";
        let found = Finding::new(Severity::Warn, format!("port {}", plan.base), what, why);
        match ports::nearest(plan.base, &others, listener::is_bound) {
            Some(better) => found.run(scene.command(&format!("config set gateway.port {better}"))),
            None => found.advise("choose another base port; see all: openclaw fleet ports"),
        }
    });
    told.collect()
}
