//! Safe mode: a gateway that runs by nothing of its config but the port and the secret, and by no secret that would have
//! to be asked for. Its control socket answers whatever is broken; its port does where it can.

use std::net::TcpListener;

use base::random;
use profile::sources::Reach;
use profile::{Claims, Document, Instance, generations};
use serde_json::{Value, json};

use super::Boot;
use super::StartError;
use crate::bind::Mode;
use crate::config;
use crate::force::Force;
use crate::state::Gateway;

/// The part that is degraded in safe mode.
const PART: &str = "safe mode";

/// What is obeyed in the place of the config.
///
/// # Errors
/// As [`super::run`].
pub(super) fn force(boot: &Boot) -> Result<Force, StartError> {
    let Boot { instance, ambient, token, .. } = boot;
    let known = known(instance);
    let own = |path: &str| known.iter().find_map(|it| it.get(path).and_then(literal));
    let auth = match (own("gateway.auth.token"), own("gateway.auth.password")) {
        (Some(token), _) => json!({"token": token}),
        (None, Some(password)) => json!({"password": password}),
        _ if ambient.secret("OPENCLAW_GATEWAY_TOKEN").is_some() => json!({}),
        // Nobody knows it: the control socket asks for none.
        _ => json!({"token": random::hex::<24>()}),
    };
    let config = json!({"gateway": {"mode": "local", "bind": "loopback", "auth": auth}}).to_string();
    let document = Document::parse(&instance.config_path, config)?;
    let read = config::read(document, &Reach::of(ambient), ambient);
    Force::of(read, instance, token.as_ref())
        .map_err(|findings| StartError::Config { path: instance.config_path.clone(), findings })
}

/// The port, by whatever still tells it.
pub(super) fn port(boot: &Boot) -> Option<u16> {
    let instance = &boot.instance;
    let recorded = || instance.host.read(&instance.state_dir).map(|it| it.port);
    let configured = || known(instance).iter().find_map(Document::port);
    boot.port.or(instance.env_port).or_else(configured).or_else(recorded).or(instance.default_port)
}

/// Takes the port where that is possible. Without it the control socket remains.
pub(super) fn hold(
    boot: &Boot,
    claims: &mut Claims,
    force: &Force,
    say: &impl Fn(&str),
) -> (u16, Vec<TcpListener>) {
    let Some(port) = port(boot) else {
        say("safe mode: nothing tells the port; only the control socket answers");
        return (0, Vec::new());
    };
    let alone = Boot { bind: Some(Mode::Loopback), ..boot.clone() };
    match super::claim::hold(claims, &alone, port, force) {
        Ok(sockets) => (port, sockets),
        Err(error) => {
            say(&format!("safe mode: {}; only the control socket answers", base::text::chain(&error)));
            (port, Vec::new())
        }
    }
}

/// Says of a gateway that it runs so, wherever it is asked how it is.
pub(super) fn note(gateway: &Gateway) {
    let lost = gateway.door.listening().addresses.is_empty();
    let reach = if lost { " only its control socket answers, and" } else { "" };
    let words = format!(
        "it runs in safe mode:{reach} nothing of its config is in force; once that is right, lead it back with: openclaw fleet restart {}",
        gateway.instance.name
    );
    gateway.note(PART, Some(words));
}

/// The config of the file, then those that were accepted before, newest first; as far as they parse.
fn known(instance: &Instance) -> Vec<Document> {
    let kept = generations::all(&instance.state_dir).into_iter().rev();
    let kept = kept.filter_map(|it| Document::parse(&instance.config_path, it.text().ok()?).ok());
    Document::load(&instance.config_path).ok().into_iter().chain(kept).collect()
}

/// A text that stands for itself: no reference to something that would have to be asked for.
fn literal(value: &Value) -> Option<&str> {
    value.as_str().filter(|it| !it.is_empty() && !it.contains("${"))
}
