//! What a gateway would say of a config and of its model, whether or not one runs. The one place of these commands that
//! knows the daemon.

use std::time::Duration;

use fleet::doctor::{Judged, Reached};
use gateway::{StartError, config, reach};
use profile::document::Weight;
use profile::{Ambient, Document, Instance};
use protocol::health::{ModelStatus, Status, StatusParams};

use crate::client::Client;

/// How long a model may take to answer.
const MODEL: Duration = Duration::from_secs(5);
/// How long a gateway may take to say hello: one that hangs is not waited for.
const HELLO: Duration = Duration::from_secs(1);
/// How long a gateway may take that asks its model.
const GATEWAY: Duration = Duration::from_secs(7);

/// Reads a config as a gateway of this instance does.
pub(crate) fn judge(instance: &Instance, ambient: &Ambient, document: &Document) -> Judged {
    let found = config::findings(instance, ambient, document.text());
    let errors = match gateway::check(instance, ambient) {
        Err(StartError::Config { findings, .. }) => findings,
        _ => found.iter().filter(|it| it.weight == Weight::Error).cloned().collect(),
    };
    // What has no effect here is told at the start, and is nothing to mend.
    Judged { errors, warnings: found.into_iter().filter(|it| it.weight == Weight::Warning).collect() }
}

/// Asks the model: through the gateway that runs, which may know other keys, else from here.
pub(crate) fn reach(instance: &Instance, ambient: &Ambient, document: &Document) -> Reached {
    let asked = Client::connect(&instance.state_dir, HELLO).and_then(|mut client| {
        client.set_patience(GATEWAY);
        client.call::<Status>(&StatusParams { deep: true, ..StatusParams::default() })
    });
    if let Ok(status) = asked {
        return told(status.model);
    }
    match reach::model(instance, document, ambient, MODEL) {
        Ok(Some(it)) => told(it),
        Ok(None) => unknown("the config keeps a gateway from running"),
        Err(error) => unknown(&format!("the system gives no runtime: {error}")),
    }
}

/// What a gateway said of its model.
pub(crate) fn told(it: ModelStatus) -> Reached {
    let answer = it.reach.map(|it| if it.ok { Ok(it.latency_ms) } else { Err(it.error.unwrap_or_default()) });
    Reached { model: it.primary, source: it.source, answer }
}

fn unknown(why: &str) -> Reached {
    Reached { model: "none".to_owned(), source: why.to_owned(), answer: None }
}
