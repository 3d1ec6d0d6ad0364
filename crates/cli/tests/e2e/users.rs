//! Two users of one machine: their records are apart, and the kernel decides who has a port.
#![allow(clippy::disallowed_methods, reason = "a test makes the folders that a person would have")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use testkit::{Gateway, Output, free_base};

use crate::scene::Scene;
use crate::support::{check_advised, offline, text};

/// Anybody but root, as every machine has.
const NOBODY: u32 = 65_534;

#[test]
fn a_port_of_another_users_gateway_is_refused_with_what_the_kernel_tells() {
    if !rustix::process::geteuid().is_root() {
        // Only root can be two users.
        return;
    }
    let (ours, theirs) = (offline(), offline());
    let base = free_base();
    let port = base.port().to_string();
    for folder in ["home", "host", "cwd"] {
        chown(theirs.path().join(folder), Some(NOBODY), Some(NOBODY)).expect("root may");
    }
    fs::set_permissions(theirs.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let program = theirs.path().join("openclaw");
    fs::copy(env!("CARGO_BIN_EXE_openclaw"), &program).expect("readable");
    let as_nobody = |args: &[&str]| -> Command {
        let like = theirs.command(args);
        let mut command = Command::new(&program);
        command.args(args).uid(NOBODY).gid(NOBODY).env_clear();
        command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(theirs.path().join("cwd")).stdin(std::process::Stdio::null());
        command
    };
    let mut gateway = Gateway::start(as_nobody(&["--profile", "a", "gateway", "--port", &port]), base.port());

    let refused = ours.run(&["--profile", "a", "gateway", "--port", &port]);
    let words =
        [format!("port {port} is taken by "), format!("pid {}", gateway.pid()), format!("user {NOBODY}")];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    check_advised(refused, 69, &words);
    let list = ours.run(&["fleet", "ls", "--json"]).success().json();
    let names: Vec<_> = list["instances"].as_array().expect("rows").iter().map(|it| &it["name"]).collect();
    assert!(names.is_empty(), "somebody else's instance is none of ours: {list}");

    // The other way round the kernel does not tell whose process root's is, and the user is named all the same.
    assert_eq!(gateway.stop(), 0);
    let mut gateway = ours.start(&["--profile", "a"], base.port());
    let refused = Output::of(as_nobody(&["--profile", "a", "gateway", "--port", &port]));
    check_advised(refused, 69, &[&format!("port {port} is taken by "), "user 0"]);

    // Nobody's control socket is for us, and ours is not for nobody.
    let state = ours.state(Some("a"));
    let mut peek = as_nobody(&["health"]);
    peek.env("OPENCLAW_STATE_DIR", text(&state));
    let peek = Output::of(peek);
    assert_ne!(peek.status, 0, "{peek}");
    assert!(!peek.stdout.contains("ok"), "{peek}");
    assert_eq!(gateway.stop(), 0);
    assert!(Path::new(&state).is_dir());
}

/// Says an HTTP request on a Unix socket and prints what comes back.
const KNOCK: &str = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
                     s.sendall(b'GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n'); \
                     sys.stdout.write(s.makefile('r').read())";

#[test]
fn a_control_socket_is_for_its_own_user_whatever_the_modes_say() {
    if !rustix::process::geteuid().is_root() {
        // Only root can be two users.
        return;
    }
    let scene = Scene::new();
    let socket = scene.state().join("control.sock");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(&scene.state())), (0o600, 0o700));
    let knock = |uid: u32| {
        let mut command = Command::new("python3");
        command.args(["-c", KNOCK]).arg(&socket).uid(uid).gid(uid).current_dir("/");
        Output::of(command)
    };
    assert!(knock(0).success().stdout.contains("openclaw_info"));
    let kept_out = knock(NOBODY);
    assert!(kept_out.stderr.contains("PermissionError"), "{kept_out}");
    // Somebody has opened everything; the kernel still says who it is.
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    let mut folder = scene.state();
    while folder.starts_with(scene.sandbox.path()) {
        open(&folder, 0o755);
        folder.pop();
    }
    open(&socket, 0o666);
    let seen = knock(NOBODY);
    assert!(seen.stdout.is_empty() && !seen.stderr.contains("PermissionError"), "{seen}");
    assert!(knock(0).success().stdout.contains("openclaw_info"));
    let log = Output::of(scene.command(&["logs", "--plain"])).success();
    assert!(log.stdout.contains(&NOBODY.to_string()), "nobody is told who knocked: {log}");
}
