//! `gateway status --deep`: whose each gateway of the host is, and how it was found.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that another program would write")]

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::fleet_ls::Original;
use crate::fleet_scene::Fleet;
use crate::support::text;

fn unit_of_the_original(profile: &str, port: u16) -> String {
    format!(
        "[Unit]\nDescription=OpenClaw Gateway (profile: {profile}, v2026.9.6)\n\n[Service]\n\
         ExecStart=/usr/bin/node /usr/lib/node_modules/openclaw/dist/index.js gateway --port {port}\n\
         Environment=OPENCLAW_PROFILE={profile}\nEnvironment=OPENCLAW_SERVICE_MARKER=openclaw\n\n\
         [Install]\nWantedBy=default.target\n"
    )
}

#[track_caller]
fn check(gateways: &Value, name: &str, expected: &Value) {
    let row = gateways.as_array().and_then(|it| it.iter().find(|it| it["name"] == name));
    let row = row.unwrap_or_else(|| panic!("no {name} in {gateways:#}"));
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(&row[key], value, "{key} of {name} in {gateways:#}");
    }
}

#[test]
fn every_gateway_of_the_host_is_found_by_record_unit_or_socket_and_told_apart() {
    let fleet = Fleet::of(&["a", "b"]);
    let a = fleet.start("a");
    let units = fleet.sandbox.home().join(".config/systemd/user");
    fs::create_dir_all(units.join("default.target.wants")).expect("made");
    let write = |name: &str, text: String| fs::write(units.join(name), text).expect("written");
    // One is enabled and stopped, one has the name that the unit of b would have, one runs.
    write("openclaw-gateway-old.service", unit_of_the_original("old", 65_001));
    symlink(
        "../openclaw-gateway-old.service",
        units.join("default.target.wants/openclaw-gateway-old.service"),
    )
    .expect("linked");
    write("openclaw-gateway-b.service", unit_of_the_original("b", 65_002));
    write("openclaw-gateway-up.service", unit_of_the_original("up", 65_003));
    let port = fleet.spare(0);
    let home = fleet.sandbox.home();
    let up = Original::on(port, &[("HOME", text(&home)), ("OPENCLAW_PROFILE", "up")]);

    let said = fleet.ask("a", &["gateway", "status", "--deep", "--json"]).success().json();
    let gateways = &said["gateways"];
    check(
        gateways,
        "a",
        &json!({"kind": "ours", "state": "ready", "pid": a.pid(), "foundBy": ["registry", "folder", "lock"]}),
    );
    check(gateways, "b", &json!({"kind": "ours", "state": "stopped", "service": {"state": "none"}}));
    let unit = |name: &str, enabled: bool| json!({"state": "installed", "unit": units.join(name), "enabled": enabled});
    let old = unit("openclaw-gateway-old.service", true);
    let old =
        json!({"kind": "original", "state": "stopped", "port": 65_001, "service": old, "foundBy": ["unit"]});
    check(gateways, "original-65001", &old);
    let theirs = unit("openclaw-gateway-b.service", false);
    let theirs = json!({"kind": "original", "state": "stopped", "service": theirs});
    check(gateways, "original-65002", &theirs);
    let running = unit("openclaw-gateway-up.service", false);
    let running = json!({
        "kind": "original", "state": "ready", "pid": up.0.id(), "port": port, "service": running,
        "foundBy": ["socket", "unit"],
    });
    check(gateways, &format!("original-{port}"), &running);
    assert_eq!(gateways.as_array().map(Vec::len), Some(5), "{gateways:#}");

    let said = fleet.ask("a", &["gateway", "status", "--deep"]).success().stdout;
    for word in
        ["the original", "FOUND BY", "socket, unit", "b: a unit of the original has the name of its own"]
    {
        assert!(said.contains(word), "nothing about {word}: {said}");
    }
    for advice in ["remove", "disable", "uninstall", "rm "] {
        assert!(!said.contains(advice), "{advice} is advised: {said}");
    }
}
