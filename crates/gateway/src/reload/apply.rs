//! Puts a config in force: first everything that can fail, then the swap, then what nobody needs any more goes.

use std::sync::PoisonError;

use profile::claims::Claim;
use profile::registry::Record;
use profile::{Claims, Plan, generations, listener};
use tracing::warn;

use crate::VERSION;
use crate::bind::Bind;
use crate::force::Force;
use crate::holdings::conflict;
use crate::state::Gateway;
use crate::tls::Tls;

/// Swaps what is in force. In force before is what stays in force where this fails.
///
/// # Errors
/// Says what another instance holds, or needs.
pub(super) fn swap(gateway: &Gateway, mut force: Force) -> Result<(), String> {
    let before = gateway.force();
    check_ports(gateway, &force)?;
    let mut claims = gateway.claims.lock().unwrap_or_else(PoisonError::into_inner);
    let conflicts = provision(gateway, &mut claims, &before, &force)?;
    let is_same_secret = before.access.method == force.access.method
        && before.access.secret.matches(force.access.secret.expose());
    if is_same_secret {
        force.access.gone = before.access.gone.clone();
    }
    let kept = generations::accept_with(&gateway.instance.state_dir, force.text(), force.included());
    match kept {
        Ok(it) => force.generation = Some(it),
        Err(error) => warn!("the config in force is not kept: {}", base::text::chain(&error)),
    }
    let record = Record::of(&gateway.instance, gateway.port, force.holdings.pinned.clone(), VERSION);
    if let Err(error) = gateway.instance.host.write(&record) {
        warn!("the instance cannot be recorded for others to see: {}", base::text::chain(&error));
    }
    gateway.log.apply(&force.config.logging, &force.secrets);
    gateway.obey(force);
    gateway.note_conflicts(conflicts);
    gateway.models.forget();
    let now = gateway.force();
    let needed: Vec<Claim> = now.needed(&gateway.instance).collect();
    for claim in before.needed(&gateway.instance).filter(|it| !needed.contains(it)) {
        claims.release(&claim);
    }
    if !is_same_secret {
        before.access.gone.cancel();
    }
    Ok(())
}

/// Takes what the new config needs and the old one did not. Returns what is told of logins that another instance has
/// had all along.
fn provision(
    gateway: &Gateway,
    claims: &mut Claims,
    before: &Force,
    force: &Force,
) -> Result<Vec<String>, String> {
    let mut fresh: Vec<Claim> = Vec::new();
    let mut conflicts = Vec::new();
    let known: Vec<Claim> = before.needed(&gateway.instance).collect();
    for claim in force.needed(&gateway.instance) {
        if claims.has(&claim) {
            continue;
        }
        match claims.take(claim.clone()) {
            Ok(()) => fresh.push(claim),
            Err(error) if matches!(claim, Claim::Login(..)) && known.contains(&claim) => {
                conflicts.push(conflict(&error));
            }
            Err(error) => {
                fresh.iter().for_each(|it| claims.release(it));
                return Err(base::text::chain(&error));
            }
        }
    }
    Ok(conflicts)
}

fn check_ports(gateway: &Gateway, force: &Force) -> Result<(), String> {
    let plan = Plan::of(gateway.port).map_err(|error| error.to_string())?;
    let checked =
        gateway.instance.host.check_ports(&gateway.instance.state_dir, &plan, &force.holdings.pinned);
    checked.map_err(|error| format!("{error}; {}", error.remedy()))
}

/// Whether a gateway could start by this config in our place, as far as that can be told while we run.
///
/// # Errors
/// Says what is in its way.
pub(super) fn rehearse(gateway: &Gateway, force: &Force) -> Result<(), String> {
    let named = force.config.gateway.port.filter(|_| !gateway.is_port_fixed);
    let port = named.unwrap_or(gateway.port);
    let plan = Plan::of(port).map_err(|error| error.to_string())?;
    let checked =
        gateway.instance.host.check_ports(&gateway.instance.state_dir, &plan, &force.holdings.pinned);
    checked.map_err(|error| format!("{error}; {}", error.remedy()))?;
    let claims = gateway.claims.lock().unwrap_or_else(PoisonError::into_inner);
    let ports = plan.fixed().into_iter().map(|(role, port)| Claim::Port(role, port));
    let needed = force.holdings.needed(force.workspace.clone());
    for claim in ports.chain(needed).filter(|it| !claims.has(it)) {
        // Given back at once: it is taken again by the start.
        claims.lease(claim).map_err(|error| base::text::chain(&error))?;
    }
    let bind = Bind::of(&force.config.gateway, gateway.bind_fixed);
    let tried = bind.and_then(|it| it.try_address().map(|()| it));
    let bind = tried.map_err(|error| format!("{error}; {}", error.remedy()))?;
    let settings = &force.config.gateway.tls;
    Tls::open(settings, &gateway.instance, &gateway.ambient, bind.address)
        .map_err(|error| format!("{error}; {}", error.remedy))?;
    if port == gateway.port { Ok(()) } else { try_port(bind, port) }
}

/// Binds what a gateway on this port would, and lets it go again.
fn try_port(bind: Bind, port: u16) -> Result<(), String> {
    let who = match bind.listen(port) {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(address)) => {
            listener::who(port).map_or_else(|| format!("{address} is taken"), |it| format!("taken by {it}"))
        }
        Err(error) => error.to_string(),
    };
    Err(format!("port {port} cannot be listened on: {who}"))
}
