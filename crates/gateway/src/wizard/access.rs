//! The steps about who may talk to the gateway.

use serde_json::json;

use super::draft::Draft;
use super::scene::Scene;
use super::secrets;
use super::step::{Choice, Kind, Row, Section, Shown};

pub(super) const ROWS: &[Row] = &[
    Row {
        // There is one answer so far, so it is asked of nobody; who gives another one is told.
        id: "access.bind",
        section: Section::Gateway,
        asked: |it| it.walks(Section::Gateway) && it.given("access.bind").is_some(),
        show: |_| Shown::new(Kind::Text, "Address to listen on").default("loopback").flag("--gateway-bind"),
        check: |_, answer| match answer.text() {
            "loopback" | "auto" => Ok(answer),
            other => Err(format!("\"{other}\" is not possible: this version listens on \"loopback\" only")),
        },
        effect: |_, answer, draft| draft.set(["gateway", "bind"], answer.text()),
        ..Row::PLAIN
    },
    Row {
        id: "access.mode",
        section: Section::Gateway,
        quick: true,
        asked: |it| it.walks(Section::Gateway),
        show: mode,
        effect: |scene, answer, draft| {
            // What a config does not say and would mean anyway is not written into it.
            let is_meant = current(scene) == answer.text() && scene.config("gateway.auth").is_some();
            if !is_meant {
                draft.set(["gateway", "auth", "mode"], answer.text());
            }
        },
        ..Row::PLAIN
    },
    Row {
        id: "access.token",
        section: Section::Gateway,
        quick: true,
        asked: |it| it.walks(Section::Gateway) && it.text("access.mode") == "token",
        show: token,
        check: |scene, answer| match answer.text() {
            "" => Ok(answer),
            text => secrets::check(text, &scene.ambient).map(|()| answer),
        },
        said: |scene| {
            let path = scene.ambient.short(&scene.instance.config_path);
            Some(format!("The token: gateway.auth.token in {path}, a file that only you can read"))
        },
        effect: |scene, answer, draft| {
            let typed = Some(answer.text()).filter(|it| !it.is_empty());
            let fresh = || scene.config("gateway.auth.token").is_none().then_some(scene.token.as_str());
            put(draft, "token", typed.or_else(fresh));
        },
        ..Row::PLAIN
    },
    Row {
        id: "access.password",
        section: Section::Gateway,
        asked: |it| it.walks(Section::Gateway) && it.text("access.mode") == "password",
        show: password,
        check: |scene, answer| match answer.text() {
            "" if scene.config("gateway.auth.password").is_some() => Ok(answer),
            "" => Err("a password is needed".to_owned()),
            it if it.chars().count() < 8 => Err("at least 8 characters are needed".to_owned()),
            _ => Ok(answer),
        },
        effect: |_, answer, draft| put(draft, "password", Some(answer.text()).filter(|it| !it.is_empty())),
        ..Row::PLAIN
    },
];

fn put(draft: &mut Draft, key: &str, secret: Option<&str>) {
    if let Some(it) = secret {
        draft.set(["gateway", "auth", key], json!(it));
    }
}

/// The way that the config has now: by default the one whose secret is set.
fn current(scene: &Scene) -> &'static str {
    let is_set = |it: &str| scene.config_text(it).is_some();
    match scene.config_text("gateway.auth.mode") {
        Some("password") => "password",
        Some(_) => "token",
        None if is_set("gateway.auth.password") && !is_set("gateway.auth.token") => "password",
        None => "token",
    }
}

fn mode(scene: &Scene) -> Shown {
    Shown::new(Kind::Select { free: false }, "How do clients show that they may?")
        .explained([
            "The gateway listens on this machine only. Commands of yours use its socket and need no secret; \
                     pages, apps and everything else on the port do.",
        ])
        .choices(vec![
            Choice::new("token", "A token", "random, 48 characters"),
            Choice::new("password", "A password", "one of your choice"),
        ])
        .default(current(scene))
        .flag("--gateway-auth")
}

fn token(scene: &Scene) -> Shown {
    let empty = match scene.config("gateway.auth.token") {
        Some(_) => "Empty: the one in the config stays.",
        None => "Empty: a random one is made.",
    };
    Shown::new(Kind::Secret, "Token").explained([empty]).default("").flag("--gateway-token")
}

fn password(scene: &Scene) -> Shown {
    let shown = Shown::new(Kind::Secret, "Password").flag("--gateway-password");
    match scene.config("gateway.auth.password") {
        Some(_) => shown.explained(["Empty: the one in the config stays."]).default(""),
        None => shown.explained(["At least 8 characters. It is not shown while you type."]),
    }
}
