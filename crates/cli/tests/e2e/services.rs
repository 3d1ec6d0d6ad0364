//! Ten gateways under a real systemd: installed, killed, hung, broken, replaced, taken away, and there after a boot.

use std::process::Command;
use std::time::{Duration, Instant};

use testkit::Output;

const BOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/services/box.sh");

/// A machine that is powered off when it is dropped.
pub(crate) struct Machine(String);

impl Machine {
    pub(crate) fn boot() -> Self {
        let machine = Self(format!("oc-box-{}", std::process::id()));
        let _ = machine.run(&["start"]).success();
        machine
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new("bash");
        command.arg(BOX).args(words).env("BOX_NAME", &self.0);
        command.env("BOX_BINARY", env!("CARGO_BIN_EXE_openclaw"));
        Output::within(command, Duration::from_secs(60))
    }

    /// A line of the shell, as an ordinary user.
    pub(crate) fn user(&self, line: &str) -> Output {
        self.run(&["user", "bash", "-c", line])
    }

    pub(crate) fn property(&self, profile: &str, name: &str) -> String {
        let line = format!("systemctl --user show -p {name} --value openclaw-gateway-{profile}");
        self.user(&line).success().stdout.trim().to_owned()
    }

    #[track_caller]
    fn replaced(&self, profile: &str, pid: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            let now = self.property(profile, "MainPID");
            if now != "0" && now != pid && self.property(profile, "ActiveState") == "active" {
                return;
            }
        }
        panic!("{profile} was not started again");
    }

    /// The units are those of these profiles, and each of them runs and answers.
    #[track_caller]
    fn check(&self, profiles: &[&str]) {
        let line = "systemctl --user list-units --state=active 'openclaw-gateway-*' --no-legend --plain | \
                    sed 's/openclaw-gateway-//; s/[.]service.*//'";
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let active = self.user(line).success().stdout;
            if active.lines().eq(profiles.iter().copied()) {
                break;
            }
            assert!(Instant::now() < deadline, "{active:?} instead of {profiles:?}");
        }
        let listed = self.user("openclaw fleet ls --json").success().json();
        let text = listed.to_string();
        assert_eq!(text.matches("\"state\":\"ready\"").count(), profiles.len(), "{listed:#}");
        assert_eq!(text.matches("\"enabled\":true").count(), profiles.len(), "{listed:#}");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.run(&["stop"]);
    }
}

#[test]
fn ten_services_live_through_a_kill_a_hang_a_broken_config_a_new_binary_and_a_boot() {
    let machine = Machine::boot();
    let all = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9"];
    for (at, name) in all.iter().enumerate() {
        let line = format!("openclaw --profile {name} setup --port {}", 21000 + at * 20);
        let _ = machine.user(&format!("{line} && openclaw --profile {name} gateway install")).success();
    }
    machine.check(&all);
    let deep = machine.user("openclaw --profile p0 gateway status --deep --json").success().json();
    assert_eq!(deep["service"]["runtime"]["ActiveState"], "active", "{deep:#}");
    assert_eq!(deep["gateways"].as_array().map(Vec::len), Some(all.len()), "{deep:#}");

    let pid = machine.property("p0", "MainPID");
    let _ = machine.user(&format!("kill -9 {pid}")).success();
    machine.replaced("p0", &pid);

    let _ = machine.user(
        "d=~/.config/systemd/user/openclaw-gateway-p1.service.d; mkdir -p $d && printf '[Service]\\nWatchdogSec=1\\n' \
         > $d/short.conf && systemctl --user daemon-reload && openclaw --profile p1 gateway restart && sleep 3",
    ).success();
    assert_eq!(machine.property("p1", "NRestarts"), "0", "one that is well was taken for hung");
    let pid = machine.property("p1", "MainPID");
    let _ = machine.user(&format!("kill -STOP {pid}")).success();
    machine.replaced("p1", &pid);
    machine.check(&all);

    let pid = machine.property("p3", "MainPID");
    let line =
        "cp /usr/local/bin/openclaw /usr/local/bin/new && mv /usr/local/bin/new /usr/local/bin/openclaw";
    let _ = machine.run(&["exec", "bash", "-c", line]).success();
    assert_eq!(machine.property("p3", "MainPID"), pid);
    machine.check(&all);
    let _ = machine.user("openclaw --profile p3 gateway restart").success();
    machine.check(&all);

    let _ = machine.user("echo '# mine' >> ~/.config/systemd/user/openclaw-gateway-p3.service").success();
    let _ = machine.user("openclaw --profile p3 gateway install").code(69);
    let _ = machine.user("openclaw --profile p3 gateway install --force").success();
    let _ = machine.user("openclaw --profile p9 gateway uninstall").success();
    machine.check(&all[..9]);
    let _ = machine.user("openclaw --profile p9 gateway start").code(1);
    let _ = machine.user("loginctl disable-linger").success();
    let refused = machine.user("openclaw --profile p9 gateway install").code(1);
    assert!(refused.stderr.contains("enable-linger tester"), "{refused}");
    let _ = machine.user("test ! -e ~/.config/systemd/user/openclaw-gateway-p9.service").success();

    let _ = machine.run(&["reboot"]).success();
    machine.check(&all[..9]);

    let _ = machine
        .user(
            "openclaw --profile p2 gateway stop && echo '{ broken' > ~/.openclaw-p2/openclaw.json && \
         ls -A ~/.openclaw-p2 && openclaw --profile p2 gateway restart",
        )
        .code(78);
    let _ = machine
        .user(
            "rm -rf ~/.openclaw-p2/generations; \
                          systemctl --user start openclaw-gateway-p2",
        )
        .code(1);
    let _ = machine.user("sleep 4").success();
    assert_eq!(machine.property("p2", "ExecMainStatus"), "78");
    assert_eq!(machine.property("p2", "NRestarts"), "0");
    assert_eq!(machine.property("p2", "ActiveState"), "failed");
}
