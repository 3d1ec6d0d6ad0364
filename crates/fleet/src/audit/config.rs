//! What a config lets others do.

mod channels;

use profile::document::is_secret;
use serde_json::Value;

use super::{Exposure, Severity};

/// A token or a key that a person made up is long enough from here on, in characters.
const TOKEN: usize = 24;
/// The same of a password.
const PASSWORD: usize = 12;
/// What stands in examples in the place of a secret.
const PLACEHOLDERS: [&str; 14] = [
    "changeme",
    "change-me",
    "change_me",
    "replace-me",
    "replaceme",
    "your-token",
    "your-token-here",
    "your_token",
    "token",
    "secret",
    "password",
    "example",
    "test",
    "xxx",
];

/// What is exposed by this config, references in it left as they are.
pub(super) fn exposures(config: &Value) -> Vec<Exposure> {
    let mut found = Vec::new();
    access(config, &mut found);
    proxies(config, &mut found);
    page(config, &mut found);
    secrets(config, &mut found);
    hooks(config, &mut found);
    channels::channels(config, &mut found);
    channels::tools(config, &mut found);
    browsers(config, &mut found);
    dangerous(config, &mut Vec::new(), &mut found);
    found.extend(channels::surface(config));
    found
}

fn text<'a>(config: &'a Value, path: &str) -> Option<&'a str> {
    at(config, path).and_then(Value::as_str)
}

fn at<'a>(config: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(config, |it, key| it.get(key))
}

fn is_reference(text: &str) -> bool {
    text.starts_with("${") && text.ends_with('}')
}

fn is_placeholder(text: &str) -> bool {
    let plain = text.trim().trim_matches(['<', '>', '[', ']', '*']).to_ascii_lowercase();
    plain.is_empty()
        || PLACEHOLDERS.contains(&plain.as_str())
        || plain.bytes().all(|it| it == b'x' || it == b'.')
}

fn has_tls(config: &Value) -> bool {
    at(config, "gateway.tls.enabled").and_then(Value::as_bool) == Some(true)
}

/// Who is believed whom a request is from.
fn proxies(config: &Value, found: &mut Vec<Exposure>) {
    let mode = text(config, "gateway.auth.mode");
    let proxies = at(config, "gateway.trustedProxies").and_then(Value::as_array);
    if mode == Some("trusted-proxy") && proxies.is_none_or(Vec::is_empty) {
        let title = "Whoever comes by a proxy is believed";
        let it = Exposure::new(
            "gateway.trusted_proxy_no_proxies",
            Severity::Critical,
            title,
            "gateway.trustedProxies is empty",
        );
        found.push(it.remedy("name the proxy's address in gateway.trustedProxies"));
    }
    if at(config, "gateway.allowRealIpFallback").and_then(Value::as_bool) == Some(true) {
        let it = Exposure::new(
            "gateway.real_ip_fallback_enabled",
            Severity::Warn,
            "X-Real-IP is believed",
            "gateway.allowRealIpFallback is on: a proxy that passes a client's own header on lets it choose its address",
        );
        found.push(it.remedy("have the proxy send X-Forwarded-For, and take the key out"));
    }
}

/// Who may connect to the control plane.
fn access(config: &Value, found: &mut Vec<Exposure>) {
    let secrets = [("token", TOKEN), ("password", PASSWORD)];
    let mode = text(config, "gateway.auth.mode");
    let bind = text(config, "gateway.bind").unwrap_or("loopback");
    if mode == Some("none") {
        let (id, severity) = match bind {
            "loopback" | "auto" => ("gateway.loopback_no_auth", Severity::Critical),
            _ => ("gateway.bind_no_auth", Severity::Critical),
        };
        let it = Exposure::new(
            id,
            severity,
            "The control plane asks for no secret",
            "gateway.auth.mode is \"none\"",
        );
        found.push(it.remedy("set gateway.auth.mode to \"token\""));
    } else if !matches!(bind, "loopback" | "auto") {
        let title = "The control plane listens beyond this machine";
        let it = Exposure::new(
            "gateway.bind_beyond_loopback",
            Severity::Warn,
            title,
            match has_tls(config) {
                true => format!("gateway.bind is \"{bind}\", with TLS"),
                false => {
                    format!("gateway.bind is \"{bind}\", without TLS: who is on the way reads the token")
                }
            },
        );
        found.push(it.remedy("set gateway.bind to \"loopback\", and reach it by a tunnel"));
    }
    for (kind, least) in secrets {
        let key = format!("gateway.auth.{kind}");
        let Some(secret) = text(config, &key).filter(|it| !is_reference(it)) else { continue };
        if is_placeholder(secret) {
            let title = format!("The {kind} is that of an example");
            let id = format!("gateway.{kind}_placeholder_value");
            let it = Exposure::new(
                &id,
                Severity::Critical,
                &title,
                format!("{key} is what stands in instructions"),
            );
            found.push(it.remedy("set a random one: openssl rand -hex 24"));
        } else if secret.trim().chars().count() < least {
            let title = format!("The {kind} is short");
            let length = secret.trim().chars().count();
            let detail = format!("{key} has {length} characters; {least} are wanted");
            let it = Exposure::new(&format!("gateway.{kind}_too_short"), Severity::Warn, &title, detail);
            found.push(it.remedy("set a random one: openssl rand -hex 24"));
        }
    }
    if text(config, "gateway.tailscale.mode") == Some("funnel") {
        let title = "The control plane is on the open internet";
        let it = Exposure::new(
            "gateway.tailscale_funnel",
            Severity::Critical,
            title,
            "gateway.tailscale.mode is \"funnel\"",
        );
        found.push(it.remedy("use \"serve\", or nothing"));
    }
}

/// Which pages may talk to it.
fn page(config: &Value, found: &mut Vec<Exposure>) {
    let origins = at(config, "gateway.controlUi.allowedOrigins").and_then(Value::as_array);
    let mut origins = origins.into_iter().flatten().filter_map(Value::as_str);
    if origins.any(|it| it.trim() == "*") {
        let title = "Every page on the internet may talk to the gateway";
        let detail = "gateway.controlUi.allowedOrigins has \"*\"";
        let it =
            Exposure::new("gateway.control_ui.allowed_origins_wildcard", Severity::Critical, title, detail);
        found.push(it.remedy("list the origins that you use, as in https://panel.example"));
    }
    if at(config, "gateway.controlUi.allowInsecureAuth") == Some(&Value::Bool(true)) {
        let title = "The page may be used without a device's key";
        let detail = "gateway.controlUi.allowInsecureAuth is true";
        let it = Exposure::new("gateway.control_ui.insecure_auth", Severity::Warn, title, detail);
        found.push(it.remedy("take the key out"));
    }
    if text(config, "logging.redactSensitive") == Some("off") {
        let title = "Secrets would be logged as they are";
        let detail = "logging.redactSensitive is \"off\"; it has no effect here";
        found.push(
            Exposure::new("logging.redact_off", Severity::Info, title, detail).remedy("take the key out"),
        );
    }
    if let Some(file) =
        text(config, "logging.file").filter(|it| it.starts_with("/tmp/") || it.starts_with("/var/tmp/"))
    {
        let title = "The log is in a folder that all users share";
        let it = Exposure::new(
            "logging.file_in_shared_folder",
            Severity::Warn,
            title,
            format!("logging.file is {file}"),
        );
        found.push(it.remedy("take the key out: the log is in the state folder then"));
    }
}

/// Secrets that stand in the file and could be references. The token that `setup` makes is not meant: it is nowhere
/// else.
fn secrets(config: &Value, found: &mut Vec<Exposure>) {
    let mut keys = Vec::new();
    plain_secrets(config, &mut Vec::new(), &mut keys);
    if keys.iter().any(|it| it == "gateway.auth.password") {
        let id = "config.secrets.gateway_password_in_config";
        let title = "The gateway's password stands in the config";
        let it = Exposure::new(id, Severity::Warn, title, "gateway.auth.password is written out");
        found.push(it.remedy("refer to a variable: ${OPENCLAW_GATEWAY_PASSWORD}"));
    }
    if keys.iter().any(|it| it == "hooks.token") {
        let id = "config.secrets.hooks_token_in_config";
        let title = "The token of hooks stands in the config";
        let it = Exposure::new(id, Severity::Info, title, "hooks.token is written out");
        found.push(it.remedy("refer to a variable: ${OPENCLAW_HOOKS_TOKEN}"));
    }
    keys.retain(|it| !matches!(it.as_str(), "gateway.auth.token" | "gateway.auth.password" | "hooks.token"));
    if keys.is_empty() {
        return;
    }
    let detail = format!("written out: {}", keys.join(", "));
    let title = "Secrets stand in the config";
    let it = Exposure::new("config.secrets.in_plain_text", Severity::Info, title, detail);
    found.push(it.remedy("put them in .env in the state folder, and refer to them: ${NAME}"));
}

fn plain_secrets(value: &Value, path: &mut Vec<String>, keys: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, it) in object {
                path.push(key.clone());
                match it.as_str() {
                    Some(text) if is_secret(key) && !text.trim().is_empty() && !is_reference(text) => {
                        keys.push(path.join("."));
                    }
                    _ => plain_secrets(it, path, keys),
                }
                path.pop();
            }
        }
        Value::Array(items) => {
            for (at, it) in items.iter().enumerate() {
                path.push(at.to_string());
                plain_secrets(it, path, keys);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Who may wake an agent over HTTP.
fn hooks(config: &Value, found: &mut Vec<Exposure>) {
    if at(config, "hooks.enabled") != Some(&Value::Bool(true)) {
        return;
    }
    let token = text(config, "hooks.token").filter(|it| !is_reference(it)).map(str::trim);
    if token.is_some_and(|it| it.chars().count() < TOKEN) {
        let it = Exposure::new(
            "hooks.token_too_short",
            Severity::Warn,
            "The token of hooks is short",
            "hooks.token",
        );
        found.push(it.remedy("set a random one: openssl rand -hex 24"));
    }
    if token.is_some() && token == text(config, "gateway.auth.token").map(str::trim) {
        let title = "Hooks and the control plane have one token";
        let it = Exposure::new("hooks.token_reuse_gateway_token", Severity::Warn, title, "hooks.token");
        found.push(it.remedy("give hooks a token of their own: who may send a hook may steer the gateway"));
    }
    if text(config, "hooks.path").is_some_and(|it| it.trim() == "/") {
        let title = "Hooks take every path";
        let it = Exposure::new("hooks.path_root", Severity::Critical, title, "hooks.path is \"/\"");
        found.push(it.remedy("use a path of its own, as in /hooks"));
    }
}

/// Browsers that are steered over the network.
fn browsers(config: &Value, found: &mut Vec<Exposure>) {
    let profiles = at(config, "browser.profiles").and_then(Value::as_object);
    let single = at(config, "browser.cdpUrl").map(|it| ("browser.cdpUrl".to_owned(), it));
    let named = profiles.into_iter().flatten();
    let named = named.map(|(name, it)| (format!("browser.profiles.{name}.cdpUrl"), &it["cdpUrl"]));
    for (key, url) in single.into_iter().chain(named) {
        let Some(rest) =
            url.as_str().and_then(|it| it.strip_prefix("http://").or_else(|| it.strip_prefix("ws://")))
        else {
            continue;
        };
        let host = rest.split(['/', '?']).next().unwrap_or_default().rsplit('@').next().unwrap_or_default();
        let is_local = ["localhost", "127.", "[::1]"].iter().any(|it| host.starts_with(it));
        if !is_local {
            let title = "A browser is steered over the network in plain text";
            let it = Exposure::new(
                "browser.remote_cdp_http",
                Severity::Warn,
                title,
                format!("{key}: host {host}"),
            );
            found.push(it.remedy("use https or wss, or a tunnel to this machine"));
        }
    }
}

/// Switches whose own name says what they are.
fn dangerous(value: &Value, path: &mut Vec<String>, found: &mut Vec<Exposure>) {
    let Value::Object(object) = value else { return };
    for (key, it) in object {
        path.push(key.clone());
        if key.starts_with("dangerously") && it == &Value::Bool(true) {
            let id = match key.as_str() {
                "dangerouslyDisableDeviceAuth" => "gateway.control_ui.device_auth_disabled",
                _ => "config.insecure_or_dangerous_flags",
            };
            let title = "A dangerous switch is on";
            let it = Exposure::new(id, Severity::Warn, title, format!("{} is true", path.join(".")));
            found.push(it.remedy("take the key out"));
        }
        dangerous(it, path, found);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use profile::Document;

    use super::*;

    /// What is found beside the summary.
    #[track_caller]
    fn check(config: &str, expected: &[&str]) {
        let text = config.to_owned();
        let document = Document::parse(Path::new("/x/openclaw.json"), text).expect("JSON5");
        let found = exposures(document.value());
        let ids: Vec<_> =
            found.iter().map(|it| it.check_id.as_str()).filter(|it| !it.starts_with("summary")).collect();
        assert_eq!(ids, expected, "{config}");
        for it in &found {
            assert!(!format!("{it:?}").contains("hunter2"), "a secret is shown: {it:?}");
        }
    }

    #[test]
    fn a_fresh_config_exposes_nothing() {
        let token = "0123456789abcdef0123456789abcdef";
        check(
            &format!("{{gateway: {{mode: 'local', port: 1, auth: {{mode: 'token', token: '{token}'}}}}}}"),
            &[],
        );
        check("{}", &[]);
    }

    #[test]
    fn weak_secrets_and_missing_ones_are_found() {
        for (auth, expected) in [
            ("token: 'changeme'", "gateway.token_placeholder_value"),
            ("token: '<your-token>'", "gateway.token_placeholder_value"),
            ("token: 'hunter2'", "gateway.token_too_short"),
            ("token: '${TOKEN}'", ""),
            ("mode: 'none'", "gateway.loopback_no_auth"),
        ] {
            let expected: Vec<&str> = expected.split_whitespace().collect();
            check(&format!("{{gateway: {{auth: {{{auth}}}}}}}"), &expected);
        }
        check(
            "{gateway: {auth: {password: 'hunter2'}}}",
            &["gateway.password_too_short", "config.secrets.gateway_password_in_config"],
        );
        check("{gateway: {bind: 'lan', auth: {mode: 'none'}}}", &["gateway.bind_no_auth"]);
        check("{gateway: {bind: 'lan'}}", &["gateway.bind_beyond_loopback"]);
        check("{gateway: {allowRealIpFallback: true}}", &["gateway.real_ip_fallback_enabled"]);
        check("{gateway: {auth: {mode: 'trusted-proxy'}}}", &["gateway.trusted_proxy_no_proxies"]);
        check("{gateway: {tailscale: {mode: 'funnel'}}}", &["gateway.tailscale_funnel"]);
    }

    #[test]
    fn pages_logs_and_switches_are_found() {
        let wildcard = "gateway.control_ui.allowed_origins_wildcard";
        check("{gateway: {controlUi: {allowedOrigins: ['*']}}}", &[wildcard]);
        check("{gateway: {controlUi: {allowedOrigins: ['https://a.example']}}}", &[]);
        check("{gateway: {controlUi: {allowInsecureAuth: true}}}", &["gateway.control_ui.insecure_auth"]);
        let device = "gateway.control_ui.device_auth_disabled";
        check("{gateway: {controlUi: {dangerouslyDisableDeviceAuth: true}}}", &[device]);
        check("{a: {b: {dangerouslyAllowAll: true}}}", &["config.insecure_or_dangerous_flags"]);
        check("{a: {b: {dangerouslyAllowAll: false}}}", &[]);
        check("{logging: {redactSensitive: 'off'}}", &["logging.redact_off"]);
        check("{logging: {file: '/tmp/openclaw.log'}}", &["logging.file_in_shared_folder"]);
    }

    #[test]
    fn secrets_that_could_be_references_are_told_by_their_keys() {
        let plain = "config.secrets.in_plain_text";
        check("{models: {providers: {a: {apiKey: 'hunter2'}}}}", &[plain]);
        check("{models: {providers: {a: {apiKey: '${KEY}'}}}}", &[]);
        check("{channels: {telegram: {botToken: 'hunter2'}}}", &[plain]);
        check(
            "{hooks: {enabled: true, path: '/', token: 'hunter2'}, gateway: {auth: {token: 'hunter2'}}}",
            &[
                "gateway.token_too_short",
                "config.secrets.hooks_token_in_config",
                "hooks.token_too_short",
                "hooks.token_reuse_gateway_token",
                "hooks.path_root",
            ],
        );
    }

    #[test]
    fn open_channels_are_as_bad_as_the_tools_behind_them() {
        let exec = "security.exposure.open_channels_with_exec";
        let files = "security.exposure.open_groups_with_runtime_or_fs";
        let open = "channels.telegram.dm.open";
        check("{channels: {telegram: {dmPolicy: 'open', allowFrom: ['*']}}}", &[open, exec]);
        check("{channels: {telegram: {enabled: false, dmPolicy: 'open', allowFrom: ['*']}}}", &[]);
        check("{channels: {telegram: {allowFrom: ['*']}}, tools: {deny: ['exec']}}", &[open, files]);
        check("{channels: {telegram: {allowFrom: ['*']}}, tools: {allow: ['read']}}", &[open]);
        check(
            "{channels: {telegram: {dmPolicy: 'open', allowFrom: ['1']}}, tools: {allow: []}}",
            &[open, "channels.telegram.dm.open_invalid"],
        );
        check(
            "{channels: {telegram: {accounts: {a: {groupPolicy: 'open'}}}}}",
            &["channels.telegram.groups.open", exec],
        );
        check("{channels: {telegram: {dmPolicy: 'pairing', allowFrom: ['1']}}}", &[]);
        check(
            "{tools: {elevated: {allowFrom: {discord: ['*']}}}}",
            &["tools.elevated.allowFrom.discord.wildcard"],
        );
    }

    #[test]
    fn a_browser_far_away_is_steered_in_secret_only() {
        let remote = "browser.remote_cdp_http";
        check("{browser: {cdpUrl: 'http://far.example:9222/?token=hunter2'}}", &[remote]);
        check("{browser: {profiles: {a: {cdpUrl: 'ws://u:hunter2@far.example'}}}}", &[remote]);
        check("{browser: {cdpUrl: 'http://127.0.0.1:9222'}}", &[]);
        check("{browser: {cdpUrl: 'wss://far.example'}}", &[]);
    }
}
