//! What one gateway holds: it is listed for as long as the process lives, and no other instance gets it, by whatever
//! path or name it asks.
#![allow(clippy::disallowed_methods, reason = "a test makes the links that a person would make")]

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use testkit::{Gateway, tree};

use crate::fleet_scene::Fleet;
use crate::scene::write;
use crate::support::{check_goes_on, check_refused, text};

/// An address as remote browsers are sold by: whoever has it has the browser.
const BROWSER: &str = "wss://user:secret-word@browser.example.com/secret-path?token=secret-query";

/// Claims are in the host folder, and a port is in the config of no other test.
fn cdp_port(fleet: &Fleet) -> u16 {
    fleet.spare(0) + 11
}

#[track_caller]
fn held(fleet: &Fleet) -> Vec<Value> {
    let said = fleet.run(&["claims", "--json"]).success().json();
    said["claims"].as_array().expect("claims").clone()
}

#[test]
fn all_that_a_gateway_holds_is_listed_for_as_long_as_it_lives() {
    let fleet = Fleet::of(&["a", "b"]);
    let (port, pinned) = (fleet.port("a"), cdp_port(&fleet));
    let (second, chrome) = (fleet.sandbox.path().join("second"), fleet.sandbox.path().join("chrome"));
    fleet.configure("a", |it| {
        it["agents"]["list"] = json!([{"id": "main", "default": true}, {"id": "other", "workspace": second}]);
        it["browser"] = json!({"cdpUrl": BROWSER, "profiles": {
            "x": {"cdpPort": pinned}, "y": {"userDataDir": chrome}}});
        it["channels"] = json!({"telegram": {"botToken": "123456:secret-bot"}});
    });
    let mut a = fleet.start("a");
    let b = fleet.start("b");
    let mut expected = vec![
        format!("state folder {}", fleet.state("a").display()),
        format!("config file {}", fleet.config("a").display()),
        format!("gateway port {port}"),
        format!("browser control port {}", port + 2),
        format!("canvas port {}", port + 4),
        format!("workspace {}", fleet.state("a").join("workspace-a").display()),
        format!("workspace {}", second.display()),
        format!("pinned port {pinned}"),
        "browser at wss://browser.example.com".to_owned(),
        format!("browser folder {}", chrome.display()),
        "telegram login of account default".to_owned(),
    ];
    let all = held(&fleet);
    let (ours, theirs): (Vec<&Value>, Vec<&Value>) = all.iter().partition(|it| it["instance"] == "a");
    for it in &ours {
        assert_eq!((&it["pid"], &it["stateDir"]), (&json!(a.pid()), &json!(fleet.state("a"))), "{it}");
        assert!(it["since"].is_u64(), "{it}");
    }
    let mut told: Vec<&str> = ours.iter().filter_map(|it| it["what"].as_str()).collect();
    told.sort_unstable();
    expected.sort_unstable();
    assert_eq!(told, expected);
    assert!(theirs.iter().all(|it| it["instance"] == "b" && it["pid"] == b.pid()), "{theirs:#?}");
    let said = fleet.run(&["claims"]).success().stdout;
    assert!(said.contains(&a.pid().to_string()) && !said.contains("secret"), "{said}");

    a.kill();
    let left = held(&fleet);
    assert!(!left.is_empty() && left.iter().all(|it| it["instance"] == "b"), "{left:#?}");
    drop(b);
    assert_eq!(held(&fleet), Vec::<Value>::new());
    let output = fleet.run(&["claims"]).success();
    assert!(output.stdout.is_empty() && output.stderr.contains("nothing is claimed"), "{output}");
}

/// Instance `a` runs; `b` wants what it has.
struct Rivals {
    fleet: Fleet,
    a: Gateway,
}

impl Rivals {
    #[track_caller]
    fn new(prepare: impl FnOnce(&Fleet)) -> Rivals {
        let fleet = Fleet::of(&["a", "b"]);
        prepare(&fleet);
        let a = fleet.start("a");
        check_goes_on(&fleet.sandbox, "a", &a);
        Rivals { fleet, a }
    }

    /// The second one is told what it cannot have, and whose it is. Whatever it is, nothing secret is said.
    #[track_caller]
    fn check_refused(&self, thing: &str) {
        let before = tree::hash(&self.fleet.state("a"));
        let port = self.fleet.port("b").to_string();
        let output = self.fleet.ask("b", &["gateway", "run", "--port", &port]);
        let output = check_refused(output, 69, &["instance b: ", thing, "instance a"]);
        assert!(output.stderr.contains("  → ") && !output.stderr.contains("secret"), "{output}");
        assert_eq!(tree::hash(&self.fleet.state("a")), before);
        check_goes_on(&self.fleet.sandbox, "a", &self.a);
    }

    fn holder(&self) -> String {
        format!("is held by instance a (pid {}, since 20", self.a.pid())
    }
}

#[test]
fn a_link_to_another_instances_folder_or_file_leads_to_its_holder() {
    let rivals = Rivals::new(|_| {});
    let (fleet, holder) = (&rivals.fleet, rivals.holder());
    let (a, b) = (fleet.state("a"), fleet.state("b"));

    let link = fleet.sandbox.path().join("link");
    symlink(a.join("workspace-a"), &link).expect("a new link");
    for path in [&link, &a.join("workspace-a"), &a.join("../.openclaw-a/workspace-a")] {
        fleet.configure("b", |it| it["agents"]["defaults"]["workspace"] = json!(path));
        rivals.check_refused(&format!("workspace {} {holder}", path.display()));
        fleet.configure("b", |it| it["agents"]["list"] = json!([{"id": "main", "workspace": path}]));
        rivals.check_refused(&format!("workspace {} {holder}", path.display()));
    }

    let config = fleet.config("b");
    fs::remove_file(&config).expect("it was written");
    symlink(fleet.config("a"), &config).expect("a new link");
    rivals.check_refused(&format!("config file {} {holder}", config.display()));

    fs::remove_dir_all(&b).expect("ours");
    symlink(&a, &b).expect("a new link");
    rivals.check_refused(&format!("state folder {} {holder}", b.display()));
}

#[test]
fn a_browser_has_one_instance_and_its_address_is_not_shown() {
    let rivals = Rivals::new(|fleet| {
        let (pinned, chrome) = (cdp_port(fleet), fleet.sandbox.path().join("chrome"));
        fleet.configure("a", |it| {
            it["browser"] = json!({"cdpUrl": BROWSER, "profiles": {
                "x": {"cdpPort": pinned}, "y": {"userDataDir": chrome}}});
        });
    });
    let (fleet, holder) = (&rivals.fleet, rivals.holder());
    let (pinned, chrome) = (cdp_port(fleet), fleet.sandbox.path().join("chrome"));
    let pin = format!("pinned port {pinned} of the config is the pinned port of instance a");
    for (theirs, thing) in [
        (json!({"cdpUrl": BROWSER}), format!("browser at wss://browser.example.com {holder}")),
        (
            json!({"profiles": {"z": {"cdpUrl": format!("{BROWSER}/")}}}),
            format!("browser at wss://browser.example.com {holder}"),
        ),
        (
            json!({"profiles": {"z": {"userDataDir": chrome}}}),
            format!("browser folder {} {holder}", chrome.display()),
        ),
        (json!({"profiles": {"z": {"cdpPort": pinned}}}), pin.clone()),
        (json!({"cdpUrl": format!("http://127.0.0.1:{pinned}")}), pin),
    ] {
        fleet.configure("b", |it| it["browser"] = theirs);
        rivals.check_refused(&thing);
    }
    // The same host with another key is another browser.
    fleet.configure("b", |it| it["browser"] = json!({"cdpUrl": BROWSER.replace("secret-query", "other")}));
    check_goes_on(&fleet.sandbox, "b", &fleet.start("b"));
}

/// Whoever pins a port that another one has does not want another base for it.
#[test]
fn a_pinned_port_that_another_has_is_told_with_the_remedy_for_it() {
    let fleet = Fleet::of(&["a", "b"]);
    let pinned = cdp_port(&fleet);
    for name in ["a", "b"] {
        fleet.configure(name, |it| it["browser"] = json!({"profiles": {"x": {"cdpPort": pinned}}}));
    }
    // Stopped, it counts as well.
    fleet.run_once("a");
    let output = fleet.ask("b", &["gateway", "run"]);
    let output = check_refused(output, 69, &["instance b", "instance a", &pinned.to_string(), "cdpPort"]);
    assert!(!output.stderr.contains("nearest good base port"), "{output}");
}

#[test]
fn two_agents_of_one_instance_may_share_a_folder() {
    let fleet = Fleet::of(&["a"]);
    let shared = fleet.sandbox.path().join("shared");
    fleet.configure("a", |it| {
        it["agents"]["defaults"]["workspace"] = json!(shared);
        it["agents"]["list"] =
            json!([{"id": "one", "workspace": shared}, {"id": "two", "workspace": shared}]);
    });
    let a = fleet.start("a");
    check_goes_on(&fleet.sandbox, "a", &a);
    let all = held(&fleet);
    let what = format!("workspace {}", text(&shared));
    assert_eq!(all.iter().filter(|it| it["what"] == *what).count(), 1, "{all:#?}");
}

/// What a dead program left in the folder of claims is no claim, and in nobody's way.
#[test]
fn files_in_the_folder_of_claims_hold_nothing_by_themselves() {
    let fleet = Fleet::of(&["a"]);
    let mut a = fleet.start("a");
    a.kill();
    let claims = fleet.sandbox.host().join("claims");
    assert!(!tree::hash(&claims).is_empty(), "a killed one leaves its files");
    write(&claims.join("port-1"), "no claim at all");
    assert_eq!(held(&fleet), Vec::<Value>::new());
    assert_eq!(fleet.start("a").stop(), 0);
}
