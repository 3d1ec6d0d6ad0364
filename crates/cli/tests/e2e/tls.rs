//! TLS on the gateway's port: made once, shown by its fingerprint, renewed, and never beside plain HTTP.
#![allow(clippy::disallowed_methods, reason = "a test writes the files that a person would write")]

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, Shutdown};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use testkit::tls::{self, Stream};
use testkit::wire::connect_params;
use testkit::{Output, Sandbox};
use tungstenite::Message;

use crate::knock::{dial, exchange, get, status};
use crate::scene::{MAIN, Scene, TOKEN, configure, until};
use crate::support::{check_advised, offline, set_up};

fn secure(change: impl FnOnce(&mut Value)) -> Scene {
    Scene::with(|it| {
        it["gateway"]["tls"] = json!({"enabled": true});
        change(it);
    })
}

#[track_caller]
fn fingerprint(scene: &Scene) -> String {
    let status = Output::of(scene.command(&["status", "--json"])).success().json();
    let found = status["listening"]["tlsFingerprint"].as_str();
    found.unwrap_or_else(|| panic!("no fingerprint: {status:#}")).to_owned()
}

fn open(scene: &Scene, fingerprint: &str) -> std::io::Result<Stream> {
    tls::over(dial(Ipv4Addr::LOCALHOST.into(), scene.gateway.port()), fingerprint)
}

#[test]
fn tls_is_spoken_by_a_certificate_that_is_made_once() {
    let mut scene = secure(|_| {});
    let port = scene.gateway.port();
    let host = format!("127.0.0.1:{port}");
    let pinned = fingerprint(&scene);
    scene.gateway.wait_log("listening on wss://127.0.0.1:");
    scene.gateway.wait_log(&format!("SHA-256 {pinned}"));
    let shown = Output::of(scene.command(&["gateway", "status"])).success().stdout;
    assert!(shown.contains(&pinned), "{shown}");
    assert_eq!(get(open(&scene, &pinned).expect("pinned"), &host, ""), 200);
    assert_eq!(
        get(open(&scene, &pinned).expect("pinned"), &host, &format!("Origin: https://{host}\r\n")),
        200
    );
    assert_eq!(
        get(open(&scene, &pinned).expect("pinned"), &host, &format!("Origin: http://{host}\r\n")),
        403
    );
    assert_eq!(get(open(&scene, &pinned).expect("pinned"), "evil.example", ""), 421);
    let wrong = pinned.replace(&pinned[..2], if &pinned[..2] == "00" { "11" } else { "00" });
    assert!(open(&scene, &wrong).is_err(), "another certificate was believed");

    let stream = open(&scene, &pinned).expect("pinned");
    let (mut socket, _) = tungstenite::client(format!("wss://{host}/"), stream).expect("upgraded");
    let request = json!({"type": "req", "id": "c", "method": "connect", "params": connect_params(TOKEN)});
    socket.send(Message::text(request.to_string())).expect("open");
    let hello = until("no hello", || match socket.read().expect("a frame") {
        Message::Text(text) => {
            Some(serde_json::from_str::<Value>(&text).expect("JSON")).filter(|it| it["id"] == "c")
        }
        _ => None,
    });
    assert_eq!(hello["payload"]["type"], "hello-ok", "{hello}");
    drop(socket);

    let folder = scene.state().join("gateway/tls");
    for name in ["gateway-cert.pem", "gateway-key.pem"] {
        let mode = fs::metadata(folder.join(name)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(scene.gateway.stop(), 0);
    scene.restart();
    assert_eq!(fingerprint(&scene), pinned, "it was made twice");
}

#[test]
fn tls_is_never_beside_plain_http() {
    let scene = secure(|_| {});
    let port = scene.gateway.port();
    let plain = exchange(
        dial(Ipv4Addr::LOCALHOST.into(), port),
        format!("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes(),
    );
    assert_eq!(status(&plain), 400, "{plain}");
    assert!(plain.ends_with("\r\n\r\nthis port speaks TLS: connect with https:// or wss://"), "{plain}");
    let (head, body) = plain.split_once("\r\n\r\n").expect("a head");
    assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{plain}");
    // What only looks like TLS is let go, and harms nobody.
    for bytes in [&b"\x16\x03\x01\xff\xff"[..], b"\x16", b"\x16\x03\x01\x00\x05hello", b""] {
        let mut stream = dial(Ipv4Addr::LOCALHOST.into(), port);
        stream.write_all(bytes).expect("it reads");
        stream.shutdown(Shutdown::Write).expect("open");
        let answer = exchange(stream, b"");
        assert!(!answer.contains("HTTP"), "{answer}");
    }
    let pinned = fingerprint(&scene);
    assert_eq!(get(open(&scene, &pinned).expect("pinned"), &format!("127.0.0.1:{port}"), ""), 200);
}

/// A pair as another program makes it.
#[track_caller]
fn pair(folder: &Path, name: &str) {
    let [certificate, key] = [format!("{name}.crt"), format!("{name}.key")];
    let mut command = std::process::Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=given"]);
    command.args(["-out", &certificate, "-keyout", &key]).current_dir(folder);
    let _ = Output::of(command).success();
}

#[test]
fn tls_is_renewed_when_its_files_change_and_kept_when_they_are_broken() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["served", "next", "other"] {
        pair(folder.path(), name);
    }
    let path = |name: &str| folder.path().join(name).to_str().expect("Unicode").to_owned();
    let scene = secure(|it| {
        it["gateway"]["tls"]["certPath"] = json!(path("served.crt"));
        it["gateway"]["tls"]["keyPath"] = json!(path("served.key"));
        it["gateway"]["reload"] = json!({"debounceMs": 20});
    });
    let first = fingerprint(&scene);
    assert!(!scene.state().join("gateway").exists(), "none was to be made");
    let mut standing = open(&scene, &first).expect("pinned");

    // A certificate without its key: told, and nothing changes.
    fs::copy(path("other.crt"), path("served.crt")).expect("written");
    scene.gateway.wait_log("the certificate before is still served");
    let health = Output::of(scene.command(&["health", "--json"])).json();
    assert!(health["problems"].to_string().contains("served.key"), "{health:#}");
    open(&scene, &first).expect("the one before");

    for kind in ["crt", "key"] {
        fs::copy(path(&format!("next.{kind}")), path(&format!("served.{kind}"))).expect("written");
    }
    scene.gateway.wait_log(", renewed");
    let second = until("no other certificate", || Some(fingerprint(&scene)).filter(|it| *it != first));
    assert!(open(&scene, &first).is_err(), "the certificate before is served still");
    open(&scene, &second).expect("the next");
    let health = Output::of(scene.command(&["health", "--json"])).success().json();
    assert_eq!(health["problems"], json!([]), "{health:#}");
    standing.write_all(b"GET").expect("who was connected still is");
}

#[test]
fn tls_that_cannot_be_spoken_keeps_it_from_starting() {
    let sandbox = offline();
    let base = set_up(&sandbox, MAIN);
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a", "b"] {
        pair(folder.path(), name);
    }
    fs::write(folder.path().join("text"), "hunter2 is no key\n").expect("written");
    let path = |name: &str| folder.path().join(name).to_str().expect("Unicode").to_owned();
    let check = |certificate: &str, key: &str, words: &[&str]| {
        let output = start(
            &sandbox,
            base.port(),
            &json!({
                "enabled": true, "certPath": path(certificate), "keyPath": path(key),
            }),
        );
        let output = check_advised(output, 78, words);
        assert!(!output.stderr.contains("hunter2"), "{output}");
    };
    check("a.crt", "b.key", &["instance main", "gateway.tls.keyPath", "b.key", "is not the key of"]);
    check("none", "b.key", &["gateway.tls.certPath", "none", "is not there"]);
    check("a.crt", "none", &["gateway.tls.keyPath", "none", "is not there"]);
    check("text", "a.key", &["gateway.tls.certPath", "holds no certificate"]);
    check("a.crt", "text", &["gateway.tls.keyPath", "holds no private key"]);
    let alone = start(&sandbox, base.port(), &json!({"enabled": true, "certPath": path("a.crt")}));
    check_advised(alone, 78, &["gateway.tls.certPath", "keyPath"]);
    let never = json!({"enabled": true, "autoGenerate": false});
    check_advised(start(&sandbox, base.port(), &never), 78, &["gateway.tls.certPath", "is not there"]);
    assert!(!sandbox.state(Some(MAIN)).join("gateway").exists());
}

#[track_caller]
fn start(sandbox: &Sandbox, port: u16, tls: &Value) -> Output {
    configure(sandbox, MAIN, "http://127.0.0.1:1/v1", |it| it["gateway"]["tls"] = tls.clone());
    sandbox.run(&["--profile", MAIN, "gateway", "run", "--port", &port.to_string()])
}

#[test]
fn tls_keys_stay_out_of_snapshots() {
    let scene = secure(|_| {});
    let _ = fingerprint(&scene);
    let file = scene.sandbox.path().join("shot.tar.gz");
    let out = file.to_str().expect("Unicode");
    let _ = scene.sandbox.run(&["fleet", "snapshot", MAIN, "--output", out]).success();
    let key = fs::read_to_string(scene.state().join("gateway/tls/gateway-key.pem")).expect("there");
    let line = key.lines().nth(1).expect("a line").to_owned();
    let mut list = std::process::Command::new("tar");
    list.args(["-xzOf", out]);
    let content = Output::of(list).success().stdout;
    assert!(!content.contains(&line), "the key is in the snapshot");
}
