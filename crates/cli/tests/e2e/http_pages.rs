//! What is there to be read: the page, the probes, the figures.

use serde_json::json;

use crate::http::Ask;
use crate::http_routes::open_scene;
use crate::scene::{Scene, TOKEN};

#[test]
fn the_page_says_what_this_is_and_holds_no_secret_and_no_script() {
    let scene = open_scene();
    let port = scene.gateway.port();
    let page = Ask::get(port, "/").send();
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for words in ["instance <code>main</code>", &format!("ws://127.0.0.1:{port}"), "--profile main status"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    assert!(!page.body.contains(TOKEN) && !page.body.contains("<script") && !page.body.contains("style="));
    assert!(!page.body.contains(&scene.state().display().to_string()), "it tells strangers where files are");
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let style = Ask::get(port, "/page.css").send();
    assert_eq!((style.status, style.header("content-type")), (200, Some("text/css; charset=utf-8")));
    let head = Ask::of(port, "HEAD", "/").send();
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn the_probes_tell_more_to_who_is_known() {
    let scene = Scene::new();
    let port = scene.gateway.port();
    for path in ["/startup", "/startupz"] {
        assert_eq!(Ask::get(port, path).send().ok(), json!({"ok": true, "status": "started"}));
        let known = Ask::get(port, path).known().send().ok();
        assert!(known["version"].is_string() && known["uptimeMs"].is_u64(), "{known}");
    }
    let known = Ask::get(port, "/readyz").known().send().ok();
    assert_eq!((&known["ready"], &known["instance"]["name"]), (&json!(true), &json!("main")));
    let narrow =
        Ask::get(port, "/readyz").known().header("x-openclaw-scopes: operator.approvals").send().ok();
    assert_eq!(narrow, json!({"ready": true, "ok": true, "failing": 0}));
    let post = Ask::post(port, "/healthz", &json!({})).send();
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn what_happens_is_counted() {
    let scene = open_scene();
    let port = scene.gateway.port();
    let figures = || Ask::get(port, "/metrics").known().send();
    let value = |name: &str| {
        let page = figures();
        assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let line =
            page.body.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {name} in {}", page.body)).parse::<f64>().expect("a number")
    };
    let runs = "openclaw_runs_total{instance=\"main\",outcome=\"answered\"}";
    assert_eq!(value(runs), 0.0);
    let mut person = scene.person();
    person.check_goes_on("main");
    assert_eq!(value(runs), 1.0);
    assert_eq!(value("openclaw_connections{instance=\"main\"}"), 1.0);
    person.wire.request("nothing.of.this.name", json!({})).expect_err("unknown");
    person.wire.request("chat.history", json!({})).expect_err("incomplete");
    let requests = |method: &str, outcome: &str| {
        value(&format!(
            "openclaw_requests_total{{instance=\"main\",method=\"{method}\",outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!((requests("chat.send", "ok"), requests("chat.history", "error")), (1.0, 1.0));
    assert!(!figures().body.contains("nothing.of.this.name"), "a stranger's word became a label");
    Ask::get(port, "/metrics").bearer("wrong").send();
    assert_eq!(value("openclaw_auth_failures_total{instance=\"main\"}"), 1.0);
    assert!(value("openclaw_http_answers_total{instance=\"main\",status=\"4xx\"}") >= 1.0);
    assert!(value("process_resident_memory_bytes{instance=\"main\"}") > 1e6);
    assert!(value("process_open_fds{instance=\"main\"}") > 5.0);
    assert!(value("openclaw_config_generation{instance=\"main\"}") >= 1.0);
    assert_eq!(value("openclaw_config_in_force{instance=\"main\"}"), 1.0);
    assert!(value("openclaw_uptime_seconds{instance=\"main\"}") >= 0.0);
}
