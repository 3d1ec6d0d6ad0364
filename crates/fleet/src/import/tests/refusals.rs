//! Who may be in the way of an import.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use base::file;
use profile::Claims;
use serde_json::json;

use super::Home;
use crate::import::{ImportError, Target, look, run};

/// A process that is called as the original is, until it is dropped.
struct Impostor(Child);

impl Drop for Impostor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nothing_is_done_while_the_original_runs() {
    let home = Home::new();
    let impostor =
        Impostor(Command::new("sleep").arg0("openclaw-gateway").arg("600").spawn().expect("started"));
    let pid = impostor.0.id();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace();
    let started: u64 = fields.clone().nth(19).expect("22 fields").parse().expect("a number");
    let uid = rustix::process::getuid().as_raw();
    let own = format!("tmp/openclaw-{uid}/gateway.state.lock");
    let lock = json!({"pid": pid, "stateDir": home.instance.state_dir, "startTime": started});
    // The newest version fills its lock up with blanks.
    home.put(&own, &format!("{lock}\n\t \t"));
    let refused = run(&home.source(), &Target::InPlace).expect_err("it runs");
    assert!(matches!(refused, ImportError::OriginalRuns { pid: found, .. } if found == pid), "{refused}");
    assert_eq!(refused.remedy().as_deref(), Some("stop it: openclaw gateway stop"));
    assert!(!home.path("gateway.sqlite").exists() && !home.path("keys.env").exists());
    assert_eq!(home.look().running.map(|it| it.pid), Some(pid));

    home.put(&own, &json!({"pid": pid, "startTime": started + 1}).to_string());
    assert_eq!(home.look().running, None, "another process with the number of a dead one");
    fs::remove_file(home.path(&own)).expect("removed");

    let shared = home.folder.path().join(format!("tmp/openclaw-{uid}"));
    file::private_folder(&shared).expect("made");
    let lock = |config: &Path| json!({"pid": pid, "configPath": config}).to_string();
    file::replace(&shared.join("gateway.1234abcd.lock"), lock(&home.path("b.json")).as_bytes())
        .expect("written");
    assert_eq!(home.look().running, None, "another instance of the original");
    file::replace(&shared.join("gateway.1234abcd.lock"), lock(&home.instance.config_path).as_bytes())
        .expect("written");
    assert_eq!(home.look().running.map(|it| it.pid), Some(pid));
    drop(impostor);
    assert_eq!(home.look().running, None, "what a dead process left");
    home.run();
}

#[test]
fn a_gateway_of_ours_in_the_folder_is_named() {
    let home = Home::new();
    let mut claims = Claims::new(&home.instance.host.claims(), "acme", &home.instance.state_dir);
    claims.take_folder().expect("free");
    let refused = run(&home.source(), &Target::InPlace).expect_err("held");
    assert!(refused.to_string().contains("is held by instance acme (pid "), "{refused}");
    assert!(refused.remedy().is_some());
    drop(claims);
    fs::remove_dir_all(&home.instance.state_dir).expect("removed");
    assert!(matches!(look(&home.source(), &Target::InPlace), Err(ImportError::NoState(_))));
}
