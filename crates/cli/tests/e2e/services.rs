//! Gateways under a real systemd: installed, killed, hung, broken, replaced, taken away, and there after a boot.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::json;
use testkit::{Output, Script, ScriptedModel};

const BOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/services/box.sh");

/// A machine that is powered off when it is dropped.
pub(crate) struct Machine(String);

impl Machine {
    pub(crate) fn boot() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let machine = Self(format!("oc-box-{}-{number}", std::process::id()));
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

    /// A line of the shell, as root.
    fn root(&self, line: &str) -> Output {
        self.run(&["exec", "bash", "-c", line])
    }

    pub(crate) fn property(&self, profile: &str, name: &str) -> String {
        let line = format!("systemctl --user show -p {name} --value openclaw-gateway-{profile}");
        self.user(&line).success().stdout.trim().to_owned()
    }

    #[track_caller]
    fn becomes(&self, profile: &str, name: &str, is_it: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let now = self.property(profile, name);
            if is_it(&now) {
                return now;
            }
            assert!(Instant::now() < deadline, "{name} of {profile} stayed {now}");
        }
    }

    #[track_caller]
    fn replaced(&self, profile: &str, pid: &str) {
        let _ = self.becomes(profile, "MainPID", |it| it != "0" && it != pid);
        let _ = self.becomes(profile, "ActiveState", |it| it == "active");
    }

    /// A drop-in of a unit.
    #[track_caller]
    fn adapt(&self, profile: &str, section: &str) {
        let folder = format!("~/.config/systemd/user/openclaw-gateway-{profile}.service.d");
        let line = format!(
            "mkdir -p {folder} && printf '{section}' > {folder}/test.conf && systemctl --user daemon-reload"
        );
        let _ = self.user(&line).success();
    }

    /// The units are those of these profiles, and each of the first of them runs and answers, and nobody else.
    #[track_caller]
    fn check(&self, running: &[&str], units: usize) {
        let line = "systemctl --user list-units --state=active 'openclaw-gateway-*.service' --no-legend --plain | \
                    sed 's/openclaw-gateway-//; s/[.]service.*//'";
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let active = self.user(line).success().stdout;
            if active.lines().eq(running.iter().copied()) {
                break;
            }
            assert!(Instant::now() < deadline, "{active:?} instead of {running:?}");
        }
        let files = self.user("cd ~/.config/systemd/user && ls -d *.service").success().stdout;
        assert_eq!(files.lines().count(), units, "{files}");
        let listed = self.user("openclaw fleet ls --json").success().json();
        let text = listed.to_string();
        assert_eq!(text.matches("\"state\":\"ready\"").count(), running.len(), "{listed:#}");
        assert_eq!(text.matches("\"enabled\":true").count(), running.len(), "{listed:#}");
        for it in files.lines() {
            assert!(text.contains(&format!("/{it}\"")), "the registry has no {it}: {listed:#}");
        }
        assert_eq!(text.matches("\"state\":\"installed\"").count(), units, "{listed:#}");
    }

    /// A model server on the machine's own loopback.
    fn model(&self) -> ScriptedModel {
        let path = format!("/run/{}/pid", self.0);
        let pid = std::fs::read_to_string(&path).expect("it runs");
        let space = std::fs::File::open(format!("/proc/{}/ns/net", pid.trim())).expect("it has one");
        // The test goes there as well: the server is stopped by a connection.
        let space = std::os::fd::AsFd::as_fd(&space);
        move_into_link_name_space(space, Some(LinkNameSpaceType::Network)).expect("root may");
        ScriptedModel::start()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.run(&["stop"]);
    }
}

fn install(machine: &Machine, name: &str, port: usize) {
    let line =
        format!("openclaw --profile {name} setup --port {port} && openclaw --profile {name} gateway install");
    let _ = machine.user(&line).success();
}

#[test]
fn services_live_through_a_kill_a_hang_a_new_binary_and_a_boot() {
    let machine = Machine::boot();
    let all = ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9"];
    for (at, name) in all.iter().enumerate() {
        install(&machine, name, 21000 + at * 20);
    }
    machine.check(&all, 10);
    let deep = machine.user("openclaw --profile p0 gateway status --deep --json").success().json();
    assert_eq!(deep["service"]["runtime"]["ActiveState"], "active", "{deep:#}");
    assert_eq!(deep["service"]["config"]["standing"], "same", "{deep:#}");
    assert_eq!(deep["gateways"].as_array().map(Vec::len), Some(all.len()), "{deep:#}");

    let pid = machine.property("p0", "MainPID");
    let _ = machine.user(&format!("kill -9 {pid}")).success();
    machine.replaced("p0", &pid);

    machine.adapt("p1", "[Service]\\nWatchdogSec=1\\n");
    let _ = machine.user("openclaw --profile p1 gateway restart").success();
    // One that is well is heard for longer than it may be silent.
    let number = |it: &str| it.parse::<u64>().unwrap_or_default();
    let since = number(&machine.property("p1", "ActiveEnterTimestampMonotonic"));
    let _ = machine.becomes("p1", "WatchdogTimestampMonotonic", |it| number(it) > since + 2_500_000);
    assert_eq!(machine.property("p1", "NRestarts"), "0", "one that is well was taken for hung");
    let pid = machine.property("p1", "MainPID");
    let _ = machine.user(&format!("kill -STOP {pid}")).success();
    machine.replaced("p1", &pid);
    machine.check(&all, 10);

    let pid = machine.property("p3", "MainPID");
    let _ = machine.root("cd /usr/local/bin && cp openclaw new && mv new openclaw").success();
    assert_eq!(machine.property("p3", "MainPID"), pid);
    let own = machine.user(&format!("readlink /proc/{pid}/exe")).success().stdout;
    assert_eq!(own.trim(), "/usr/local/bin/openclaw (deleted)");
    machine.check(&all, 10);
    let told = machine.user("openclaw --profile p3 gateway status").success();
    assert!(told.stdout.contains("was replaced since"), "{told}");
    let _ = machine.user("openclaw --profile p3 gateway restart").success();
    let pid = machine.property("p3", "MainPID");
    let own = machine.user(&format!("readlink /proc/{pid}/exe")).success().stdout;
    assert_eq!(own.trim(), "/usr/local/bin/openclaw");
    machine.check(&all, 10);

    let _ = machine.user("openclaw --profile p9 gateway uninstall").success();
    machine.check(&all[..9], 9);
    let _ = machine.user("openclaw --profile p9 gateway start").code(1);
    let _ = machine
        .user("systemctl --user disable openclaw-gateway-p8 && systemctl --user stop openclaw-gateway-p8");
    machine.check(&all[..8], 9);
    let _ = machine.run(&["reboot"]).success();
    // No login is needed for it.
    let deadline = Instant::now() + Duration::from_secs(20);
    let manager = "systemctl show -p ActiveState --value user@1777";
    while machine.root(manager).success().stdout.trim() != "active" {
        assert!(Instant::now() < deadline, "the user's manager was not started by the boot");
    }
    machine.check(&all[..8], 9);
}

#[test]
fn services_that_were_changed_or_are_of_others_are_told_and_left_alone() {
    let machine = Machine::boot();
    install(&machine, "a", 21000);
    install(&machine, "b", 21020);
    let unit = "~/.config/systemd/user/openclaw-gateway";
    let _ = machine.user(&format!("sed -i 's/^MemoryMax=.*/MemoryMax=2G/' {unit}-a.service")).success();
    let _ = machine.user("openclaw --profile a gateway install").code(69);
    let status = machine.user("openclaw --profile a gateway status --json").success().json();
    let config = &status["service"]["config"];
    assert_eq!(config["standing"], "edited", "{status:#}");
    assert_eq!(config["difference"], json!(["-MemoryMax=2G", "+MemoryMax=4G"]), "{status:#}");
    assert_eq!(status["service"]["runtime"]["NeedDaemonReload"], "yes", "{status:#}");
    let told = machine.user("openclaw --profile a gateway restart").success();
    assert!(told.stderr.contains("changed by hand") && told.stderr.contains("daemon-reload"), "{told}");
    let told = machine.user("openclaw --profile a gateway status").success();
    assert!(told.stdout.contains("changed by hand") && told.stdout.contains("-MemoryMax=2G"), "{told}");
    let _ = machine.user("openclaw --profile a gateway install --force").success();

    // The name is b's, and what it starts is a's: none of the verbs touches it.
    let pid = machine.property("b", "MainPID");
    let _ = machine.user(&format!("cp {unit}-a.service {unit}-b.service")).success();
    for verb in ["start", "stop", "restart", "uninstall", "install", "install --force"] {
        let refused = machine.user(&format!("openclaw --profile b gateway {verb}")).code(69);
        assert!(refused.stderr.contains("runs another instance"), "{verb}: {refused}");
    }
    let _ =
        machine.user(&format!("printf '[Service]\\nExecStart=/bin/true\\n' > {unit}-b.service")).success();
    for verb in ["start", "stop", "restart", "uninstall", "install"] {
        let refused = machine.user(&format!("openclaw --profile b gateway {verb}")).code(69);
        assert!(refused.stderr.contains("not written by this program"), "{verb}: {refused}");
    }
    assert_eq!(machine.property("b", "MainPID"), pid);
    let _ = machine.user("openclaw --profile b gateway install --force").success();

    let _ = machine.root("loginctl disable-linger tester").success();
    let _ = machine.user("openclaw --profile c setup --port 21040").success();
    let refused = machine.user("openclaw --profile c gateway install").code(1);
    assert!(refused.stderr.contains("enable-linger tester"), "{refused}");
    let shown = machine.user("openclaw --profile c gateway install --dry-run").success();
    assert!(shown.stderr.contains("enable-linger tester") && shown.stdout.contains("[Install]"), "{shown}");
    let shown = machine.user("openclaw --profile c gateway install --dry-run --json").success().json();
    assert!(shown["troubles"][0]["message"].to_string().contains("at logout"), "{shown:#}");
    let shown =
        machine.user("XDG_RUNTIME_DIR=/nowhere openclaw --profile c gateway install --dry-run --json");
    assert!(shown.success().json()["troubles"][0]["message"].to_string().contains("cannot be reached"));
    let _ = machine.user(&format!("test ! -e {unit}-c.service")).success();
}

#[test]
fn services_are_installed_by_the_set_up_where_that_is_wanted() {
    let machine = Machine::boot();
    let flags = |name: &str, port: usize, more: &str| {
        format!(
            "openclaw --profile {name} onboard --non-interactive --accept-risk --auth-choice skip \
             --gateway-port {port} --skip-health --json {more}"
        )
    };
    let said = machine.user(&flags("asked", 21000, "--install-daemon")).success().json();
    assert_eq!(said["installDaemon"], true, "{said:#}");
    assert!(
        said["unit"].as_str().is_some_and(|it| it.ends_with("/openclaw-gateway-asked.service")),
        "{said:#}"
    );
    machine.check(&["asked"], 1);
    // Nobody is asked, and nobody asked for it.
    let said = machine.user(&flags("plain", 21020, "")).success().json();
    assert_eq!((&said["installDaemon"], &said["unit"]), (&json!(false), &json!(null)), "{said:#}");
    machine.check(&["asked"], 1);
    // A person who is asked says no, and another yes.
    let walk = |service: &str| {
        format!("printf '%s\\n' {service} y | openclaw --profile plain configure --section daemon")
    };
    let told = machine.user(&walk("n")).success();
    assert!(told.stderr.contains("Install it as a service: n"), "{told}");
    machine.check(&["asked"], 1);
    let told = machine.user(&walk("y")).success();
    assert!(told.stdout.contains("openclaw-gateway-plain.service"), "{told}");
    machine.check(&["asked", "plain"], 2);
    // With one that stands, nothing is left to ask.
    let told = machine.user(&walk("y")).success();
    assert!(!told.stderr.contains("as a service"), "{told}");
    let _ = machine.root("loginctl disable-linger tester").success();
    let refused = machine.user(&flags("late", 21040, "--install-daemon")).code(1);
    assert!(refused.stderr.contains("enable-linger tester"), "{refused}");
    let _ = machine.user("test ! -e ~/.openclaw-late").success();
}

#[test]
fn services_that_fail_come_to_rest() {
    let machine = Machine::boot();
    install(&machine, "a", 21000);
    install(&machine, "b", 21020);
    let line = "openclaw --profile a gateway stop && echo '{ broken' > ~/.openclaw-a/openclaw.json && \
                openclaw --profile a gateway restart";
    let _ = machine.user(line).code(78);
    let _ =
        machine.user("rm -rf ~/.openclaw-a/generations; systemctl --user start openclaw-gateway-a").code(1);
    let _ = machine.becomes("a", "SubState", |it| it == "failed");
    assert_eq!(machine.property("a", "ExecMainStatus"), "78");
    assert_eq!(machine.property("a", "NRestarts"), "0");

    // One that falls as soon as it stands; the pause is made short, the count is the unit's own.
    machine.adapt("b", "[Service]\\nRestartSec=100ms\\nExecStartPost=/bin/sh -c \"kill -9 $MAINPID\"\\n");
    let _ = machine.user("systemctl --user kill -s KILL openclaw-gateway-b").success();
    let _ = machine.becomes("b", "SubState", |it| it == "failed");
    let restarts: u32 = machine.property("b", "NRestarts").parse().expect("a number");
    assert!((8..=11).contains(&restarts), "{restarts}");
    let _ = machine.user("rm -r ~/.config/systemd/user/openclaw-gateway-b.service.d").success();
    let _ = machine.user("systemctl --user daemon-reload; openclaw --profile b gateway start").success();
    assert_eq!(machine.property("b", "ActiveState"), "active", "a person is not held to the limit");
}

#[test]
fn services_run_tools_and_tell_systemd_of_a_reload_and_inherit_nothing() {
    let machine = Machine::boot();
    let model = machine.model();
    let command = "echo kept > note.txt && cat note.txt && id -u && openclaw fleet ls --json";
    model.on("please", Script::new().call("exec", json!({"command": command})));
    let config = json!({
        "gateway": {"mode": "local", "port": 21000, "reload": {"debounceMs": 20},
                    "auth": {"mode": "token", "token": "token-token-token-token-token-token"}},
        "models": {"providers": {"scripted": {
            "baseUrl": model.base_url(), "apiKey": "sk-in-the-config",
            "models": [{"id": "scripted-1", "contextWindow": 32_000}],
        }}},
        "agents": {"defaults": {"model": "scripted/scripted-1"}},
    });
    let line = format!(
        "umask 077; mkdir ~/.openclaw-a && echo '{config}' > ~/.openclaw-a/openclaw.json && \
         OPENAI_API_KEY=sk-poison LD_PRELOAD=/nowhere/poison.so openclaw --profile a gateway install"
    );
    let _ = machine.user(&line).success();
    let unit = machine.user("cat ~/.config/systemd/user/openclaw-gateway-a.service").success().stdout;
    let pid = machine.property("a", "MainPID");
    let environment = machine.user(&format!("tr '\\0' '\\n' < /proc/{pid}/environ")).success().stdout;
    for poison in ["poison", "OPENAI", "LD_PRELOAD", "sk-"] {
        assert!(!unit.contains(poison) && !environment.contains(poison), "{poison}: {unit}\n{environment}");
    }
    assert!(environment.contains("NOTIFY_SOCKET="), "{environment}");

    let turn = machine.user("openclaw --profile a agent --message please --json").success();
    let said = &turn.stdout;
    for word in ["kept", "1777", "\\\"ready\\\""] {
        assert!(said.contains(word), "no {word}: {turn}");
    }

    let _ = machine.user("systemctl --user log-level debug").success();
    let log = "journalctl -o cat --no-pager _COMM=systemd | grep 'Got notification message'";
    let _ = machine.user("openclaw --profile a config set gateway.customBindHost 127.0.0.1").success();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let told = machine.root(log).stdout;
        let reload = told.find("(RELOADING=1, MONOTONIC_USEC=");
        if reload.is_some_and(|at| told[at..].contains("(READY=1")) {
            break;
        }
        assert!(Instant::now() < deadline, "systemd was not told of the reload: {told}");
    }
    assert_eq!(machine.becomes("a", "ActiveState", |it| it == "active"), "active");
    assert_eq!((machine.property("a", "MainPID"), machine.property("a", "NRestarts")), (pid, "0".to_owned()));
}

#[test]
fn services_of_the_machine_and_by_their_first_connection() {
    let machine = Machine::boot();
    let _ = machine.user("openclaw --profile m setup --port 21000").success();
    let as_root = "HOME=/home/tester openclaw --profile m gateway";
    let _ = machine.root(&format!("{as_root} install --system --user tester")).success();
    let show = |name: &str| {
        let line = format!("systemctl show -p {name} --value openclaw-gateway-m");
        machine.root(&line).success().stdout.trim().to_owned()
    };
    assert_eq!((show("ActiveState").as_str(), show("User").as_str()), ("active", "tester"));
    let status = machine.user("openclaw --profile m gateway status --json").success().json();
    assert_eq!(status["rpc"]["ok"], true, "{status:#}");
    assert_eq!(status["service"]["config"]["standing"], "same", "{status:#}");
    // The name is the same below another home, the instance is not.
    for verb in ["start", "stop", "restart", "uninstall"] {
        let refused = machine.root(&format!("HOME=/root openclaw --profile m gateway {verb}")).code(69);
        assert!(refused.stderr.contains("runs another instance"), "{verb}: {refused}");
    }
    let _ = machine.user("openclaw --profile m gateway install").code(69);
    let pid = show("MainPID");
    let _ = machine.root(&format!("{as_root} restart")).success();
    assert_ne!(show("MainPID"), pid);
    let _ = machine.root(&format!("{as_root} uninstall")).success();
    let _ = machine.root("test ! -e /etc/systemd/system/openclaw-gateway-m.service").success();

    let _ = machine.user("openclaw --profile s setup --port 21020").success();
    let _ = machine.user("openclaw --profile s gateway install --socket").success();
    assert_eq!(machine.property("s", "ActiveState"), "inactive", "nobody came yet");
    let listed = machine.user("openclaw fleet ls --json").success().stdout;
    assert!(listed.contains("\"enabled\":true") || listed.contains("\"enabled\": true"), "{listed}");
    let knock = "exec 3<>/dev/tcp/127.0.0.1/21020; printf 'GET /health HTTP/1.1\\r\\nHost: 127.0.0.1:21020\\r\\n\
                 Connection: close\\r\\n\\r\\n' >&3; head -1 <&3";
    let answer = machine.user(knock).success();
    assert!(answer.stdout.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(machine.property("s", "ActiveState"), "active");
    let status = machine.user("openclaw --profile s status --json").success().json();
    assert_eq!(status["listening"]["isPassed"], true, "{status:#}");
    let _ = machine.user("openclaw --profile s gateway restart").success();
    let _ = machine.user("openclaw --profile s gateway stop").success();
    let _ = machine.user("exec 3<>/dev/tcp/127.0.0.1/21020").code(1);
    assert_eq!(machine.property("s", "ActiveState"), "inactive");
    let _ = machine.user("openclaw --profile s gateway start").success();
    assert!(machine.user(knock).success().stdout.starts_with("HTTP/1.1 200"));
    let _ = machine.user("openclaw --profile s gateway install").code(69);
    let _ = machine.user("openclaw --profile s gateway uninstall").success();
    let left = machine.user("find ~/.config/systemd -name 'openclaw*'").success().stdout;
    assert_eq!(left, "");
}
