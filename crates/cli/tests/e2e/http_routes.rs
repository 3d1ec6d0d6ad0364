//! Every route of the table, and everything that a stranger tries on each of them.
#![allow(clippy::disallowed_methods, reason = "a test reads the files that a person would change")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use gateway::http::{ROUTES, Route, Who};
use serde_json::{Value, json};
use testkit::Wire;
use testkit::wire::connect_params;

use crate::http::{Answer, Ask};
use crate::scene::{Scene, TOKEN, write};

/// What a program must know that sends hooks.
pub(crate) const HOOK_TOKEN: &str = "hooks-have-a-token-of-their-own";

/// A gateway with all that can be enabled.
pub(crate) fn open_scene() -> Scene {
    Scene::with(open)
}

pub(crate) fn open(config: &mut Value) {
    config["gateway"]["http"] =
        json!({"endpoints": {"chatCompletions": {"enabled": true}, "responses": {"enabled": true}}});
    config["hooks"] = json!({"enabled": true, "token": HOOK_TOKEN});
}

/// A path that the route answers.
fn path(route: &Route) -> String {
    route.path.replace('*', "anything")
}

fn secret(route: &Route) -> &'static str {
    if route.who == Who::Hooks { HOOK_TOKEN } else { TOKEN }
}

/// A request that is as right as can be without a credential.
fn ask(scene: &Scene, route: &Route) -> Ask {
    let it = Ask::of(scene.gateway.port(), route.methods[0], &path(route));
    if route.methods[0] == "POST" { it.body(b"{}") } else { it }
}

/// Every route, with each a gateway that nobody has tried to guess at.
#[track_caller]
fn on_each(
    scene: &Scene,
    what: &str,
    expected: impl Fn(&Route) -> Option<u16>,
    change: impl Fn(Ask, &Route) -> Ask,
) {
    for route in ROUTES {
        let Some(status) = expected(route) else { continue };
        let answer = change(ask(scene, route), route).send();
        assert_eq!(answer.status, status, "{what}: {}: {answer:?}", route.path);
        check_headers(&answer, route);
        assert!(!answer.body.contains(TOKEN) && !answer.body.contains(HOOK_TOKEN), "{answer:?}");
    }
}

fn check_headers(answer: &Answer, route: &Route) {
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{}", route.path);
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
        "{}: {policy}",
        route.path
    );
    assert_eq!(answer.header("access-control-allow-origin"), None, "{}", route.path);
}

#[test]
fn no_route_answers_a_foreign_name_or_a_foreign_page() {
    let scene = open_scene();
    let port = scene.gateway.port();
    let known = |it: Ask, route: &Route| it.bearer(secret(route));
    for host in ["evil.example", "127.0.0.1:1", "127.0.0.1", &format!("evil.example:{port}")] {
        on_each(&scene, host, |_| Some(421), |it, route| known(it, route).host(host));
    }
    let neighbour = format!("http://127.0.0.1:{}", port + 20);
    for origin in ["http://evil.example", &neighbour, "null", &format!("https://127.0.0.1:{port}")] {
        let line = format!("Origin: {origin}");
        on_each(&scene, origin, |_| Some(403), |it, route| known(it, route).header(&line));
    }
    for site in ["cross-site", "same-site"] {
        // As a form of another page sends it, which asks nobody before.
        let plain = |it: Ask, route: &Route| {
            known(it, route).header(&format!("Sec-Fetch-Site: {site}")).header("Content-Type: text/plain")
        };
        on_each(&scene, site, |_| Some(403), plain);
    }
    // Two names for one request are one too many.
    on_each(&scene, "two hosts", |_| Some(400), |it, route| known(it, route).header("Host: evil.example"));
    let absolute = Ask::get(port, "http://evil.example/healthz").send();
    assert_eq!(absolute.status, 400, "{absolute:?}");
    assert!(scene.model.requests().is_empty());
}

#[test]
fn no_route_that_asks_for_a_credential_does_without() {
    let scene = open_scene();
    let wanted = |route: &Route| (route.who != Who::Anybody).then_some(401);
    on_each(&scene, "nothing", wanted, |it, _| it);
    for forged in [
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1",
        "Tailscale-User-Login: owner@example.com",
        "X-Forwarded-User: admin",
        "Cf-Access-Jwt-Assertion: x",
        "Cookie: token=0123456789abcdef-token-of-the-test",
        "X-OpenClaw-Scopes: operator.admin",
    ] {
        on_each(&scene, forged, wanted, |it, _| it.header(forged));
    }
    let answer = Ask::get(scene.gateway.port(), "/metrics").send();
    assert_eq!(answer.json(), json!({"error": {"message": "Unauthorized", "type": "unauthorized"}}));
    // The hooks' token opens nothing else, and the gateway's no hook.
    for route in ROUTES.iter().filter(|it| it.who != Who::Anybody).take(8) {
        let other = if route.who == Who::Hooks { TOKEN } else { HOOK_TOKEN };
        assert_eq!(ask(&scene, route).bearer(other).send().status, 401, "{}", route.path);
    }
}

#[test]
fn no_route_ignores_a_credential_that_is_wrong() {
    // Each guess counts, so that each few routes have a gateway of their own.
    for routes in ROUTES.chunks(9) {
        let scene = open_scene();
        for route in routes {
            let answer = ask(&scene, route).bearer("wrong").send();
            assert_eq!(answer.status, 401, "{}: {answer:?}", route.path);
        }
    }
    let scene = open_scene();
    let port = scene.gateway.port();
    for line in [
        "Authorization: Basic dG9rZW46eA==",
        "Authorization: Bearer",
        "Authorization:",
        "Authorization: Bearer wrong\r\nAuthorization: Bearer wrong",
    ] {
        assert_eq!(Ask::get(port, "/healthz").header(line).send().status, 401, "{line}");
    }
    let both = format!("Authorization: Bearer {HOOK_TOKEN}\r\nx-openclaw-token: wrong");
    assert_eq!(Ask::post(port, "/hooks/wake", &json!({})).header(&both).send().status, 401);
}

#[test]
fn every_route_knows_its_methods_and_its_size() {
    let scene = open_scene();
    let known = |it: Ask, route: &Route| it.bearer(secret(route));
    for route in ROUTES {
        for method in ["DELETE", "PUT", "OPTIONS", "TRACE", "PATCH", "get", "XYZZY"] {
            let answer = known(Ask::of(scene.gateway.port(), method, &path(route)), route).send();
            assert_eq!(answer.status, 405, "{method} {}: {answer:?}", route.path);
            assert_eq!(answer.header("allow"), Some(route.methods.join(", ").as_str()));
        }
    }
    let long = |route: &Route| vec![b' '; route.body_limit + 1];
    on_each(&scene, "large", |_| Some(413), |it, route| known(it, route).body(&long(route)));
    on_each(
        &scene,
        "large, in chunks",
        |_| Some(413),
        |it, route| known(it, route).body(&long(route)).chunked(),
    );
    scene.person().check_goes_on("main");
}

#[test]
fn a_path_is_what_is_written_and_no_address_carries_a_token() {
    let scene = open_scene();
    let port = scene.gateway.port();
    for path in [
        "//",
        "/healthz/",
        "//healthz",
        "/%68ealthz",
        "/healthz;x",
        "/healthz%00",
        "/./healthz",
        "/a/../healthz",
        "/tools/invoke/",
        "/tools%2finvoke",
        "/tools/%69nvoke",
        "/v1//models",
        "/V1/models",
        "/v1/models/",
        "/metrics/..;/healthz",
        "/hooks",
        "/hooks/",
        "/hooks%2fwake",
        "/openclaw.json",
        "/../openclaw.json",
        "/.well-known/x",
        "/__openclaw__/canvas/",
        "/index.html",
        "/page.css/",
        "/v1/embeddings",
    ] {
        let answer = Ask::get(port, path).known().send();
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    // Beyond a free part, a path leads nowhere else.
    assert_eq!(Ask::get(port, "/v1/models/../../metrics").known().send().status, 404);
    for path in ["/?token=x", "/healthz?a=1&token=x", "/v1/models?%74oken=x", "/hooks/wake?token=x"] {
        let answer = Ask::get(port, path).known().send();
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
    assert_eq!(Ask::get(port, "/healthz?verbose=1").send().status, 200);
}

#[test]
fn what_is_not_enabled_is_not_there() {
    let scene = Scene::with(|it| it["hooks"] = json!({"enabled": true}));
    let port = scene.gateway.port();
    for path in ["/v1/chat/completions", "/v1/responses", "/hooks/wake", "/hooks/agent"] {
        assert_eq!(Ask::post(port, path, &json!({})).known().send().status, 404, "{path}");
        assert_eq!(Ask::post(port, path, &json!({})).bearer("").send().status, 404, "{path}");
    }
    assert_eq!(Ask::get(port, "/v1/models").known().send().status, 404);
    scene.gateway.wait_log("hooks.enabled: is set without hooks.token; no hook is taken");
    // A hook that knows the gateway's own secret is none.
    let shared = Scene::with(|it| it["hooks"] = json!({"enabled": true, "token": TOKEN}));
    assert_eq!(Ask::post(shared.gateway.port(), "/hooks/wake", &json!({})).known().send().status, 404);
    shared.gateway.wait_log("hooks.token: is the gateway's own secret");
    // Also where the environment says what that is.
    let sandbox = crate::support::sandbox().env("OPENCLAW_GATEWAY_TOKEN", "a-token-out-of-the-environment");
    let by_environment = Scene::of(sandbox, testkit::ScriptedModel::start(), |it| {
        it["gateway"]["auth"] = json!({"mode": "token"});
        it["hooks"] = json!({"enabled": true, "token": "a-token-out-of-the-environment"});
    });
    let wake = Ask::post(by_environment.gateway.port(), "/hooks/wake", &json!({}));
    assert_eq!(wake.bearer("a-token-out-of-the-environment").send().status, 404);
    by_environment.gateway.wait_log("hooks.token: is the gateway's own secret");
}

#[test]
fn who_guesses_over_http_is_locked_out_everywhere() {
    let scene = open_scene();
    let port = scene.gateway.port();
    for at in 0..10 {
        // By whichever route, and whatever is said of where it comes from.
        let route = &ROUTES[at % ROUTES.len()];
        let answer =
            ask(&scene, route).bearer("guess").header(&format!("X-Forwarded-For: 10.0.0.{at}")).send();
        assert_eq!(answer.status, 401, "{}: {answer:?}", route.path);
    }
    for token in ["guess", TOKEN] {
        let answer = Ask::get(port, "/metrics").bearer(token).send();
        assert_eq!(answer.status, 429, "{answer:?}");
        let seconds: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
        assert!((200..=300).contains(&seconds), "{seconds}");
    }
    let refusal = Wire::try_connect(port, connect_params(TOKEN)).expect_err("locked out");
    assert_eq!(refusal.error["details"]["code"], "AUTH_RATE_LIMITED");
    // Who only asks whether it lives is answered; and the owner comes in by another door.
    assert_eq!(Ask::get(port, "/healthz").send().status, 200);
    assert!(at_home(&scene, "/metrics", "").starts_with("HTTP/1.1 200"));
    // And what is counted on the WebSocket counts here.
    let scene = open_scene();
    for _ in 0..10 {
        Wire::try_connect(scene.gateway.port(), connect_params("guess")).expect_err("wrong");
    }
    assert_eq!(Ask::get(scene.gateway.port(), "/metrics").known().send().status, 429);
}

/// A request on the control socket.
fn at_home(scene: &Scene, path: &str, headers: &str) -> String {
    let mut stream = UnixStream::connect(scene.state().join("control.sock")).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

#[test]
fn the_owner_needs_no_credential_and_may_show_no_wrong_one() {
    let scene = open_scene();
    let get = |path: &str, headers: &str| {
        let text = at_home(&scene, path, headers);
        text.split(' ').nth(1).and_then(|it| it.parse::<u16>().ok()).unwrap_or_else(|| panic!("{text}"))
    };
    let text = at_home(&scene, "/metrics", "");
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("openclaw_info{instance=\"main\""), "{text}");
    assert_eq!(get("/metrics", "Authorization: Bearer wrong\r\n"), 401);
    assert_eq!(get("/metrics", "X-OpenClaw-Scopes: operator.approvals\r\n"), 403);
}

#[test]
fn scopes_in_a_header_narrow() {
    let scene = open_scene();
    let port = scene.gateway.port();
    let status = |path: &str, scopes: &str| {
        let it = if path == "/metrics" { Ask::get(port, path) } else { Ask::post(port, path, &json!({})) };
        it.known().header(&format!("X-OpenClaw-Scopes: {scopes}")).send().status
    };
    assert_eq!((status("/metrics", "operator.read"), status("/tools/invoke", "operator.read")), (200, 403));
    assert_eq!((status("/metrics", ""), status("/tools/invoke", "operator.write")), (403, 400));
    let model =
        Ask::post(port, "/v1/chat/completions", &json!({"messages": [{"role": "user", "content": "x"}]}));
    let narrow = model
        .known()
        .header("x-openclaw-model: scripted/scripted-1")
        .header("x-openclaw-scopes: operator.write");
    let answer = narrow.send();
    assert_eq!(
        (answer.status, &answer.json()["error"]["message"]),
        (403, &json!("missing scope: operator.admin"))
    );
}

#[test]
fn a_changed_secret_ends_the_old_one_at_once() {
    let scene = open_scene();
    let port = scene.gateway.port();
    assert_eq!(Ask::get(port, "/metrics").known().send().status, 200);
    let path = scene.state().join("openclaw.json");
    let text =
        std::fs::read_to_string(&path).expect("a config").replace(TOKEN, "another-token-of-this-gateway");
    let text = text.replace(HOOK_TOKEN, "another-token-of-hooks");
    scene.model.on("slowly", testkit::Script::new().text("begun").pieces(1).wait("gate"));
    let slow = json!({"stream": true, "messages": [{"role": "user", "content": "slowly"}]});
    let mut stream = Ask::post(port, "/v1/chat/completions", &slow).known().stream();
    stream.wait("begun");
    write(&path, &text);
    scene.gateway.wait_log("config in force");
    assert_eq!(Ask::get(port, "/metrics").bearer("another-token-of-this-gateway").send().status, 200);
    assert_eq!(Ask::get(port, "/metrics").known().send().status, 401);
    assert_eq!(Ask::post(port, "/hooks/wake", &json!({})).bearer(HOOK_TOKEN).send().status, 401);
    assert_eq!(
        Ask::post(port, "/hooks/wake", &json!({})).bearer("another-token-of-hooks").send().status,
        400
    );
    // Also what was begun with it.
    let rest = stream.rest();
    assert!(rest.contains("unauthorized") && rest.contains("[DONE]"), "{rest}");
    scene.model.wait_disconnect();
}
