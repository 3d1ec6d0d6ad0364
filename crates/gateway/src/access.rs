//! The shared secret: what a client on TCP must know.

use base::Secret;
use profile::{Ambient, Finding, Sources};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::config::{Found, SecretInput};

/// Who may connect.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// `token` or `password`; by default the one that is set.
    #[schemars(extend("enum" = ["token", "password"]))]
    pub mode: Option<String>,
    /// The shared secret.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<SecretInput>")]
    pub token: Option<Secret>,
    /// The shared secret, where people type it.
    #[serde(skip_serializing)]
    #[schemars(with = "Option<SecretInput>")]
    pub password: Option<Secret>,
}

/// The shared secret, and by which name clients send it.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// `token` or `password`.
    pub(crate) method: &'static str,
    /// The secret.
    pub(crate) secret: Secret,
    /// Cancelled when it is no longer the secret: who was let in by it must go.
    pub(crate) gone: CancellationToken,
}

impl Settings {
    pub(crate) fn check(&self, found: &mut Found<'_>) {
        match self.mode.as_deref() {
            None | Some("token" | "password") => {}
            // Nobody is let in without the secret for it.
            Some(it @ ("none" | "trusted-proxy")) => found.odd(
                &["gateway", "auth", "mode"],
                format!("is \"{it}\"; this version asks everybody for the token all the same"),
            ),
            Some(mode) => {
                found.wrong(
                    &["gateway", "auth", "mode"],
                    format!("is \"{mode}\"; use \"token\" or \"password\""),
                );
            }
        }
    }
}

/// The secret in force: that of the command line, else of the config, else of the environment. Without one the gateway
/// stays closed: it does not start.
///
/// # Errors
/// Says which key is not set.
pub(crate) fn secret(
    auth: &Settings,
    sources: &Sources,
    ambient: &Ambient,
    flag: Option<&Secret>,
) -> Result<Access, Box<Finding>> {
    let by_default = if auth.password.is_some() && auth.token.is_none() { "password" } else { "token" };
    let method = if auth.mode.as_deref().unwrap_or(by_default) == "password" { "password" } else { "token" };
    let secret = if method == "password" {
        auth.password.clone().or_else(|| ambient.secret("OPENCLAW_GATEWAY_PASSWORD"))
    } else {
        flag.or(auth.token.as_ref()).cloned().or_else(|| ambient.secret("OPENCLAW_GATEWAY_TOKEN"))
    };
    secret.map(|secret| Access { method, secret, gone: CancellationToken::new() }).ok_or_else(|| {
        let words = format!(
            "is not set; set gateway.auth.{method} or OPENCLAW_GATEWAY_{}, or let `setup` make a token",
            method.to_uppercase()
        );
        Box::new(sources.finding(&["gateway", "auth", method], words))
    })
}
