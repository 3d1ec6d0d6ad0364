//! Many at once, and slow ones: memory stays bounded, those who behave are served, a second instance hears nothing of it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use testkit::wire::connect_params;
use testkit::{Gateway, Output, Wire, free_base};

use crate::knock::{closed, dial, dial_from, exchange, frame, get, header, hello, memory, status, upgrade};
use crate::scene::{MAIN, Scene, TOKEN, configure, until};

/// What a flood may cost a gateway, in bytes, whatever is thrown at it.
const BOUND: u64 = 200 * 1024 * 1024;

/// As many descriptors as the machine allows this process.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    usize::try_from(getrlimit(Resource::Nofile).current.unwrap_or(100_000)).expect("a number")
}

/// Another instance beside the one of the scene.
fn neighbour(scene: &Scene) -> (Gateway, testkit::Base) {
    let base = free_base();
    configure(&scene.sandbox, "work", &scene.model.base_url(), |_| {});
    (scene.sandbox.start(&["--profile", "work"], base.port()), base)
}

/// Both answer, by port and by control socket, in a time that a person would wait.
#[track_caller]
fn check_well(scene: &Scene, neighbour: &Gateway) {
    for (name, port) in [(MAIN, scene.gateway.port()), ("work", neighbour.port())] {
        let health = scene.sandbox.run(&["--profile", name, "health", "--json"]).success().json();
        assert_eq!(health["instance"]["name"], name, "{health}");
        let mut wire = Wire::connect(port, TOKEN);
        assert_eq!(wire.request("health", json!({})).expect("well")["ok"], true, "{name}");
    }
    let used = memory(scene.gateway.pid());
    assert!(used < BOUND, "{} MB", used / 1024 / 1024);
}

#[test]
fn floods_of_idle_sockets_leave_room_for_others() {
    let scene = Scene::new();
    let (neighbour, _base) = neighbour(&scene);
    let before = memory(scene.gateway.pid());
    let most = 10_000.min(descriptors().saturating_sub(500));
    let mut idle: Vec<TcpStream> = Vec::with_capacity(most);
    for at in 0..most {
        let from = Ipv4Addr::new(127, 0, 1, u8::try_from(at % 250 + 1).expect("small"));
        idle.push(
            dial_from(from, scene.gateway.port()).unwrap_or_else(|error| panic!("socket {at}: {error}")),
        );
    }
    let each = memory(scene.gateway.pid()).saturating_sub(before) / most as u64;
    assert!(each < 16 * 1024, "{each} bytes each");
    check_well(&scene, &neighbour);
    // Whoever says nothing is hung up on.
    let mut first = idle.swap_remove(0);
    let answer = exchange(&mut first, b"");
    assert!(!answer.contains("200 OK"), "{answer}");
    drop(idle);
    check_well(&scene, &neighbour);
}

#[test]
fn floods_of_upgraded_sockets_are_bounded_by_address() {
    let scene = Scene::new();
    let port = scene.gateway.port();
    let host = format!("127.0.0.1:{port}");
    let knock = |from: Ipv4Addr| {
        let mut stream = dial_from(from, port).expect("it listens");
        (upgrade(&mut stream, &host, ""), stream)
    };
    let mut waiting = Vec::new();
    for address in 1..=20 {
        let from = Ipv4Addr::new(127, 0, 2, address);
        for at in 0..34 {
            let (got, stream) = knock(from);
            assert_eq!(got, if at < 32 { 101 } else { 503 }, "{from}, connection {at}");
            waiting.push(stream);
        }
    }
    let mut wire = Wire::connect(port, TOKEN);
    assert_eq!(wire.request("health", json!({})).expect("well")["ok"], true);
    assert!(memory(scene.gateway.pid()) < BOUND);
}

#[test]
fn floods_of_slow_writers_are_hung_up_on() {
    let scene = Scene::new();
    let (neighbour, _base) = neighbour(&scene);
    let port = scene.gateway.port();
    // A head that never ends, one that is far too long, and a body that never comes.
    let began = Instant::now();
    let mut slow: Vec<TcpStream> = (0..200).map(|_| dial(Ipv4Addr::LOCALHOST.into(), port)).collect();
    for stream in &mut slow {
        stream.write_all(format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-").as_bytes()).expect("open");
    }
    check_well(&scene, &neighbour);
    let answer = exchange(&mut slow[0], b"");
    assert!(!answer.contains("200 OK") && began.elapsed() < Duration::from_secs(25), "{answer}");
    let long =
        format!("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let answer = exchange(dial(Ipv4Addr::LOCALHOST.into(), port), long.as_bytes());
    assert!([400, 431, 0].contains(&status(&answer)), "{answer:.80}");
    let many: String = (0..5000).map(|at| format!("X{at}: y\r\n")).collect();
    let many = format!("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{many}\r\n");
    let answer = exchange(dial(Ipv4Addr::LOCALHOST.into(), port), many.as_bytes());
    assert!([400, 431, 0].contains(&status(&answer)), "{answer:.80}");
    check_well(&scene, &neighbour);
}

#[test]
fn floods_of_large_bodies_and_frames_take_no_memory() {
    let scene = Scene::new();
    let (neighbour, _base) = neighbour(&scene);
    let port = scene.gateway.port();
    let host = format!("127.0.0.1:{port}");
    let block = vec![b'x'; 1 << 20];
    for coding in ["Content-Length: 4000000000", "Transfer-Encoding: chunked"] {
        for path in ["/", "/nothing", "/healthz"] {
            let mut stream = dial(Ipv4Addr::LOCALHOST.into(), port);
            let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{coding}\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("it reads");
            for _ in 0..64 {
                let chunk = if coding.starts_with('C') { Vec::new() } else { b"100000\r\n".to_vec() };
                if stream.write_all(&[&chunk[..], &block, b"\r\n"].concat()).is_err() {
                    break;
                }
            }
        }
    }
    check_well(&scene, &neighbour);
    // Before the hello 64 KiB are all that is read; after it, 25 MiB are a message.
    let mut stream = dial(Ipv4Addr::LOCALHOST.into(), port);
    assert_eq!(upgrade(&mut stream, &host, ""), 101);
    stream.write_all(&frame(0x81, &vec![b'x'; 65_536])).expect("it reads");
    assert_eq!(closed(&mut stream), 1009);
    let mut greedy: Vec<TcpStream> = (0..8).map(|_| hello(port)).collect();
    for stream in &mut greedy {
        // It says that much will come, and little comes.
        stream
            .write_all(&[header(0x81, 26_214_400, 0x80), vec![0; 4], block[..1000].to_vec()].concat())
            .expect("open");
    }
    check_well(&scene, &neighbour);
    let used = memory(scene.gateway.pid());
    assert!(used < 100 * 1024 * 1024, "{} MB for what was only announced", used / 1024 / 1024);
}

#[test]
fn floods_of_readers_who_never_read_take_bounded_memory() {
    let scene = Scene::new();
    let (neighbour, _base) = neighbour(&scene);
    // Each asks for what it does not fetch.
    let ask = json!({"type": "req", "id": "x", "method": "health", "params": {}}).to_string();
    let asked = frame(0x81, ask.as_bytes()).repeat(50);
    let mut deaf: Vec<TcpStream> = (0..2).map(|_| hello(scene.gateway.port())).collect();
    for stream in &mut deaf {
        stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a limit");
        for _ in 0..15 {
            if stream.write_all(&asked).is_err() {
                break;
            }
        }
    }
    check_well(&scene, &neighbour);
    drop(deaf);
    let used = memory(scene.gateway.pid());
    assert!(used < BOUND, "{} MB", used / 1024 / 1024);
}

#[test]
fn floods_beyond_the_descriptors_pass() {
    let mut scene = Scene::new();
    let port = scene.gateway.port();
    assert_eq!(scene.gateway.stop(), 0);
    let run = scene.command(&["gateway", "run", "--port", &port.to_string()]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 300 && exec \"$@\"", "sh"]).arg(run.get_program()).args(run.get_args());
    command.env_clear().envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(scene.sandbox.path().join("cwd"));
    let gateway = Gateway::start(command, port);
    let mut flood: Vec<TcpStream> = (0..600).map(|_| dial(Ipv4Addr::LOCALHOST.into(), port)).collect();
    gateway.wait_log("no more connections are served");
    // What is done with files goes on, by the control socket and on disk.
    let health = Output::of(scene.command(&["health", "--json"])).success().json();
    assert_eq!(health["ok"], true, "{health:#}");
    assert!(!gateway.log().contains("cannot be accepted"), "{}", gateway.log());
    flood.drain(..300);
    let host = format!("127.0.0.1:{port}");
    drop(flood);
    until("it serves nobody any more", || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
        let _ = stream.write_all(
            format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        (status(&answer) == 200).then_some(())
    });
    assert!(gateway.is_running());
}

#[test]
fn floods_below_the_descriptors_of_the_work_pass_as_well() {
    let mut scene = Scene::new();
    let port = scene.gateway.port();
    assert_eq!(scene.gateway.stop(), 0);
    let run = scene.command(&["gateway", "run", "--port", &port.to_string()]);
    let mut command = Command::new("sh");
    // So few that the kernel refuses before the gateway does.
    command.args(["-c", "ulimit -n 30 && exec \"$@\"", "sh"]).arg(run.get_program()).args(run.get_args());
    command.env_clear().envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(scene.sandbox.path().join("cwd"));
    let gateway = Gateway::start(command, port);
    let flood: Vec<TcpStream> = (0..14).map(|_| dial(Ipv4Addr::LOCALHOST.into(), port)).collect();
    let control = scene.state().join("control.sock");
    let owners: Vec<_> = (0..20).map(|_| std::os::unix::net::UnixStream::connect(&control)).collect();
    gateway.wait_log("a connection cannot be accepted");
    drop((flood, owners));
    let host = format!("127.0.0.1:{port}");
    until("it accepts nobody any more", || {
        (get(dial(Ipv4Addr::LOCALHOST.into(), port), &host, "") == 200).then_some(())
    });
    let health = Output::of(scene.command(&["health", "--json"])).success().json();
    assert_eq!(health["ok"], true, "{health:#}");
}

#[test]
fn floods_of_words_forge_no_line_of_the_log() {
    let mut scene = Scene::with(|it| it["logging"] = json!({"level": "trace"}));
    let port = scene.gateway.port();
    let forged = "\u{1b}[2K\r\nFORGED line\u{7}\u{9b}31m\u{2028}";
    for text in [forged, "\u{1b}]0;title\u{7}"] {
        for name in ["Host", "Origin", "User-Agent", "X-Forwarded-For", "Sec-Fetch-Site"] {
            let host = if name == "Host" { String::new() } else { format!("Host: 127.0.0.1:{port}\r\n") };
            let head = format!("GET /healthz HTTP/1.1\r\n{host}{name}: {text}\r\nConnection: close\r\n\r\n");
            let _ = exchange(dial(Ipv4Addr::LOCALHOST.into(), port), head.as_bytes());
            // Without a line's end, as a value that passes.
            let plain: String = text.chars().filter(|it| !matches!(it, '\r' | '\n')).collect();
            let head = format!("GET /{name} HTTP/1.1\r\n{host}{name}: {plain}\r\nConnection: close\r\n\r\n");
            let _ = exchange(dial(Ipv4Addr::LOCALHOST.into(), port), head.as_bytes());
        }
        for path in [
            "/client/id",
            "/client/displayName",
            "/client/version",
            "/client/platform",
            "/auth/token",
            "/role",
        ] {
            let mut params = connect_params("wrong");
            params["client"]["displayName"] = json!("x");
            *params.pointer_mut(path).unwrap_or_else(|| panic!("no {path}")) = json!(text);
            let _ = Wire::try_connect(port, params);
        }
    }
    let mut params = connect_params(TOKEN);
    params["client"]["displayName"] = json!(forged);
    if let Ok(mut wire) = Wire::try_connect(port, params) {
        let _ = wire.request(forged, json!({}));
    }
    assert_eq!(scene.gateway.stop(), 0);
    let file = std::fs::read_to_string(scene.state().join("logs/gateway.log")).expect("a log");
    for (name, log) in [("stderr", scene.gateway.log()), ("file", file)] {
        let odd = log.chars().find(|it| it.is_control() && !matches!(it, '\n' | '\t'));
        assert_eq!(odd, None, "a control character in {name}");
        let line = log.lines().find(|it| it.trim_start().starts_with("FORGED"));
        assert_eq!(line, None, "{name}");
    }
}
