//! What can be said of an instance with or without its gateway: by its record, its config, and its socket.

use std::time::{Duration, Instant};

use profile::claims;
use profile::document::{Document, Unreadable};
use profile::listener::{self, Listener};
use profile::{Finding, Instance, Plan};
use protocol::health::{Status, StatusParams, StatusReply};

use crate::client::{Client, NoAnswer};

/// How an instance is, as far as it can be seen.
pub(crate) struct Overview {
    /// The base port, and where it is known from.
    pub(crate) port: Option<(u16, &'static str)>,
    /// What the gateway says, or why it does not.
    pub(crate) gateway: Result<Up, NoAnswer>,
    /// What is wrong with the config file; empty where it parses.
    pub(crate) config: Vec<Finding>,
    /// Whether there is one.
    pub(crate) has_config: bool,
    /// Who listens on the port in the place of the instance.
    pub(crate) stranger: Option<Listener>,
}

/// A gateway that answers.
pub(crate) struct Up {
    /// What it says.
    pub(crate) status: StatusReply,
    /// How long it took to say hello.
    pub(crate) latency: Duration,
    /// Its host's name.
    pub(crate) host: String,
}

/// Looks, without asking any model.
pub(crate) fn look(instance: &Instance, patience: Duration) -> Overview {
    look_at(instance, patience, false)
}

/// Looks; `deep` has the gateway ask its model whether it answers. Takes no longer than the patience in all.
pub(crate) fn look_at(instance: &Instance, patience: Duration, deep: bool) -> Overview {
    let gateway = ask(instance, patience, deep);
    let (document, config) = match Document::load(&instance.config_path) {
        Ok(it) => (Some(it), Vec::new()),
        Err(Unreadable::Missing(_)) => (None, Vec::new()),
        Err(Unreadable::Syntax { finding, .. }) => (None, vec![*finding]),
        Err(error) => (None, vec![Finding::whole(base::text::chain(&error))]),
    };
    let running = gateway.as_ref().ok().map(|it| (it.status.instance.port, "the running gateway"));
    let recorded = || instance.host.read(&instance.state_dir).map(|it| (it.port, "its record"));
    let configured = document.as_ref().and_then(Document::port).map(|it| (it, "the config"));
    let default = instance.default_port.map(|it| (it, "the default"));
    let port = running.or(configured).or_else(recorded).or(default);
    let stranger = match (&gateway, port) {
        // Who it is takes longer to find out than whether there is anybody.
        (Err(_), Some((port, _))) if listener::is_bound(port) => {
            listener::who(port).filter(|it| !is_own(instance, it))
        }
        _ => None,
    };
    Overview { port, gateway, config, has_config: instance.config_path.exists(), stranger }
}

/// A gateway that hangs holds its port as well as one that answers.
fn is_own(instance: &Instance, listener: &Listener) -> bool {
    let holder = claims::holder_of(&instance.state_dir).map(|it| it.pid);
    holder.is_some() && listener.pid == holder
}

fn ask(instance: &Instance, patience: Duration, deep: bool) -> Result<Up, NoAnswer> {
    let began = Instant::now();
    let mut client = Client::connect(&instance.state_dir, patience)?;
    let latency = began.elapsed();
    let host = client.hello().server.host.clone();
    let left = patience.checked_sub(began.elapsed()).filter(|it| !it.is_zero());
    client.set_patience(left.ok_or(NoAnswer::Deaf(patience))?);
    let status = client.call::<Status>(&StatusParams { deep, ..StatusParams::default() })?;
    Ok(Up { status, latency, host })
}

impl Overview {
    /// The plan of its port.
    pub(crate) fn plan(&self) -> Option<Plan> {
        self.port.and_then(|(port, _)| Plan::of(port).ok())
    }

    /// `ws` or `wss`.
    pub(crate) fn scheme(&self) -> &'static str {
        let up = self.gateway.as_ref().ok();
        if up.is_some_and(|it| it.status.listening.tls_fingerprint.is_some()) { "wss" } else { "ws" }
    }

    /// `ready`, `deaf`, `stopped`, in a word.
    pub(crate) fn state(&self) -> &'static str {
        match &self.gateway {
            Ok(_) => "ready",
            Err(NoAnswer::NotRunning(_)) => "stopped",
            Err(_) => "deaf",
        }
    }
}
