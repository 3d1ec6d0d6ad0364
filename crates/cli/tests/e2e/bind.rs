//! Which addresses a gateway listens on, by which names it answers there, and what it says of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Gateway, Output, Sandbox, ScriptedModel, free_base};

use crate::knock::{dial, get, upgrade};
use crate::scene::{MAIN, Scene, configure};
use crate::support::{check_advised, offline, set_up};

fn bound(bind: &str, host: Option<&str>) -> Scene {
    Scene::with(|it| {
        it["gateway"]["bind"] = json!(bind);
        if let Some(host) = host {
            it["gateway"]["customBindHost"] = json!(host);
        }
    })
}

/// An address of this machine that others may reach; `None` where it is alone in the world.
fn own_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only looks which way it would go.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|it| it.ip()).filter(|it| !it.is_loopback())
}

fn has_ipv6() -> bool {
    std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[track_caller]
fn listening(scene: &Scene) -> Value {
    let status = Output::of(scene.command(&["gateway", "status", "--json"])).success().json();
    status["gateway"]["listening"].clone()
}

#[test]
fn bind_loopback_is_both_of_its_addresses_and_nothing_else() {
    for mode in ["loopback", "auto"] {
        let scene = bound(mode, None);
        let port = scene.gateway.port();
        assert_eq!(get(dial(Ipv4Addr::LOCALHOST.into(), port), &format!("127.0.0.1:{port}"), ""), 200);
        if has_ipv6() {
            let host = format!("[::1]:{port}");
            assert_eq!(get(dial(Ipv6Addr::LOCALHOST.into(), port), &host, ""), 200);
            assert_eq!(upgrade(&mut dial(Ipv6Addr::LOCALHOST.into(), port), &host, ""), 101);
        }
        for other in [Some(IpAddr::from([127, 0, 0, 2])), own_address()].into_iter().flatten() {
            assert!(TcpStream::connect((other, port)).is_err(), "{mode}: {other} is listened on");
        }
        assert_eq!(listening(&scene)["bind"], mode);
    }
}

#[test]
fn bind_lan_answers_by_the_address_that_was_met_and_by_no_name() {
    let scene = bound("lan", None);
    let port = scene.gateway.port();
    let other = IpAddr::from([127, 0, 0, 9]);
    let mut addresses = vec![IpAddr::from(Ipv4Addr::LOCALHOST), other];
    addresses.extend(own_address());
    for address in addresses {
        let host = format!("{address}:{port}");
        let knock = |host: &str, more: &str| get(dial(address, port), host, more);
        assert_eq!(knock(&host, ""), 200, "{address}");
        assert_eq!(knock(&host, &format!("Origin: http://{host}\r\n")), 200, "{address}");
        assert_eq!(upgrade(&mut dial(address, port), &host, ""), 101, "{address}");
        for name in ["claw.local", "evil.example", "192.0.2.7", "0.0.0.0", "127.0.0.200"] {
            let host = format!("{name}:{port}");
            assert_eq!(knock(&host, ""), 421, "{address} as {name}");
            assert_eq!(upgrade(&mut dial(address, port), &host, ""), 421, "{address} as {name}");
        }
        let page = format!("Origin: http://evil.example:{port}\r\n");
        assert_eq!(knock(&host, &page), 403, "{address}");
    }
    assert_eq!(listening(&scene)["addresses"][0], format!("0.0.0.0:{port}"));
    scene.gateway.wait_log("others can reach this gateway at ws://0.0.0.0:");
    let listed = scene.sandbox.run(&["fleet", "ls"]).success().stdout;
    assert!(listed.contains(&format!("{port}+2+4 lan")), "{listed}");
    let audit = Output::of(scene.command(&["security", "audit", "--json"])).json();
    let found = audit["findings"].to_string();
    assert!(found.contains("gateway.bind_beyond_loopback"), "{found}");
}

#[test]
fn bind_custom_is_one_address_beside_loopback() {
    let mut scene = bound("custom", Some("127.0.0.9"));
    let port = scene.gateway.port();
    for address in [[127, 0, 0, 9], [127, 0, 0, 1]].map(IpAddr::from) {
        assert_eq!(get(dial(address, port), &format!("127.0.0.1:{port}"), ""), 200, "{address}");
    }
    assert!(TcpStream::connect((IpAddr::from([127, 0, 0, 10]), port)).is_err());
    assert_eq!(scene.gateway.stop(), 0);
    // The flag goes before the config.
    let command = scene.command(&["gateway", "run", "--port", &port.to_string(), "--bind", "loopback"]);
    let gateway = Gateway::start(command, port);
    assert!(TcpStream::connect((IpAddr::from([127, 0, 0, 9]), port)).is_err());
    drop(gateway);
}

#[test]
fn bind_names_of_the_config_are_answered_and_no_others() {
    let scene = Scene::with(|it| {
        it["gateway"]["controlUi"] = json!({"allowedOrigins": ["https://panel.example"]});
        it["gateway"]["publicOrigin"] = json!("https://claw.example:8443");
    });
    let port = scene.gateway.port();
    let knock = |host: &str, more: &str| get(dial(Ipv4Addr::LOCALHOST.into(), port), host, more);
    for host in ["panel.example", "Panel.Example:443", "claw.example:8443"] {
        assert_eq!(knock(host, ""), 200, "{host}");
    }
    for host in ["claw.example", "x.panel.example", "panel.example:1", "panel.example.evil.test"] {
        assert_eq!(knock(host, ""), 421, "{host}");
    }
    assert_eq!(knock("panel.example", "Origin: https://claw.example:8443\r\n"), 200);
    assert_eq!(knock("panel.example", "Origin: http://panel.example\r\n"), 403);
}

#[test]
fn bind_what_cannot_be_had_keeps_it_from_starting() {
    let sandbox = offline();
    let base = set_up(&sandbox, MAIN);
    let port = base.port().to_string();
    let check = |change: &dyn Fn(&mut Value), flags: &[&str], words: &[&str]| {
        configure(&sandbox, MAIN, "http://127.0.0.1:1/v1", change);
        let args = [&["--profile", MAIN, "gateway", "run", "--port", &port], flags].concat();
        check_advised(sandbox.run(&args), 78, words);
    };
    let host = |host: &'static str| {
        move |it: &mut Value| {
            it["gateway"]["bind"] = json!("custom");
            it["gateway"]["customBindHost"] = json!(host);
        }
    };
    check(&host("192.0.2.7"), &[], &["instance main", "192.0.2.7", "gateway.customBindHost"]);
    check(&host("my-host"), &[], &["gateway.customBindHost", "\"my-host\""]);
    check(&host("::"), &[], &["gateway.customBindHost", "lan"]);
    check(&|_| {}, &["--bind", "custom"], &["instance main", "gateway.customBindHost"]);
    check(&|it| it["gateway"]["bind"] = json!("custom"), &[], &["gateway.bind", "gateway.customBindHost"]);
    // Beyond loopback as well as on it: nobody gets in without a secret.
    let open = |it: &mut Value| {
        it["gateway"]["bind"] = json!("lan");
        it["gateway"]["auth"] = json!({});
    };
    check(&open, &[], &["gateway.auth.token"]);
    let odd = sandbox.run(&["--profile", MAIN, "gateway", "run", "--bind", "everywhere"]).code(64);
    assert!(odd.stderr.contains("loopback, lan, tailnet, custom or auto"), "{odd}");
}

/// In a network of its own, where the tailnet is what this test says.
fn alone(sandbox: &Sandbox, port: u16, script: &str) -> Command {
    let port = port.to_string();
    let inner = sandbox.command(&["--profile", MAIN, "gateway", "run", "--port", &port]);
    let is_root = rustix::process::geteuid().is_root();
    let mut command = Command::new("unshare");
    command.args([if is_root { "-n" } else { "-rn" }, "python3", "-c", script]);
    command.arg(inner.get_program()).args(inner.get_args()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(sandbox.path().join("cwd"));
    command
}

/// Brings loopback up with a further address.
const NETWORK: &str = "import fcntl, os, socket, struct, sys
def ask(request, name, data):
    fcntl.ioctl(socket.socket(), request, struct.pack('16s', name) + data)
def address(text):
    return struct.pack('HH4s8x', socket.AF_INET, 0, socket.inet_aton(text))
ask(0x8914, b'lo', struct.pack('h14x', 0x49))
if ADDRESS:
    ask(0x8916, b'lo:1', address(ADDRESS))
    ask(0x891c, b'lo:1', address('255.255.255.255'))
os.execv(sys.argv[1], sys.argv[1:])";

#[test]
fn bind_tailnet_is_the_address_in_it_or_a_refusal() {
    let sandbox = crate::support::sandbox();
    let base = free_base();
    let model = ScriptedModel::start();
    configure(&sandbox, MAIN, &model.base_url(), |it| it["gateway"]["bind"] = json!("tailnet"));
    let without = NETWORK.replace("ADDRESS", "None");
    check_advised(
        Output::of(alone(&sandbox, base.port(), &without)),
        78,
        &["instance main", "tailnet", "100.64.0.0/10", "tailscale up"],
    );
    let with = NETWORK.replace("ADDRESS", "'100.101.102.103'");
    let gateway = Gateway::start(alone(&sandbox, base.port(), &with), base.port());
    let status = sandbox.run(&["--profile", MAIN, "status", "--json"]).success().json();
    let addresses = status["listening"]["addresses"].to_string();
    assert!(addresses.contains(&format!("100.101.102.103:{}", base.port())), "{status:#}");
    assert!(addresses.contains("127.0.0.1:"), "{status:#}");
    drop(gateway);
}
