//! A page of another origin in a real browser: it reaches the port, and is let into nothing.
#![allow(clippy::disallowed_methods, reason = "a test is told which browser there is, and writes a config")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};
use testkit::gateway::token;
use testkit::{Gateway, Sandbox, Wire};

use crate::support::{LIMIT, offline, set_up, text};

/// The variable that names the browser, where it is not `chromium` on the path.
const CHROMIUM: &str = "OPENCLAW_TEST_CHROMIUM";

/// Tries every way that a page has, and reports to its own server how each ended.
const PAGE: &str = r"<!doctype html><title>a page of somebody else</title><script>
const port = PORT;
const socket = host => new Promise(done => {
  const it = new WebSocket(`ws://${host}:${port}/`);
  it.onmessage = message => { done('open ' + JSON.parse(message.data).event); it.close(); };
  it.onerror = () => done('refused');
});
const read = (host, options) => fetch(`http://${host}:${port}/healthz`, options)
  .then(async it => `${it.type} ${await it.text()}`, () => 'refused');
(async () => {
  const told = [];
  for (const host of ['127.0.0.1', 'localhost']) {
    told.push(await socket(host), await read(host), await read(host, {mode: 'no-cors'}),
              await read(host, {method: 'POST', body: 'x', mode: 'no-cors'}));
  }
  await fetch('/verdict?' + encodeURIComponent(told.join(',')));
})();
</script>";

/// A server of one page on a port of its own, and what the page found out.
struct Site {
    port: u16,
    verdict: Receiver<String>,
}

/// A browser without a window. Ended with all its processes when it is dropped.
struct Chromium(Child);

impl Site {
    fn about(gateway: u16) -> Site {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (sender, verdict) = mpsc::channel();
        let page = PAGE.replace("PORT", &gateway.to_string());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(target) = answer(stream, &page) else { continue };
                let told =
                    target.strip_prefix("/verdict?").map(|it| it.replace("%2C", ",").replace("%20", " "));
                // Once the test has ended, nobody listens.
                if told.is_some_and(|it| sender.send(it).is_err()) {
                    return;
                }
            }
        });
        Site { port, verdict }
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Answers one request with the page, and returns what it asked for.
fn answer(mut stream: TcpStream, page: &str) -> Option<String> {
    let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|it| !it.is_empty());
    let target = head.collect::<Vec<_>>().first()?.split(' ').nth(1)?.to_owned();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close";
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{page}", page.len()).ok()?;
    Some(target)
}

impl Chromium {
    #[track_caller]
    fn open(sandbox: &Sandbox, url: &str) -> Chromium {
        let program = std::env::var_os(CHROMIUM).unwrap_or_else(|| "chromium".into());
        let mut command = Command::new(&program);
        let folder = format!("--user-data-dir={}", sandbox.path().join("browser").display());
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--no-proxy-server", &folder, url])
            .env("HOME", sandbox.home())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let child = command.spawn();
        Chromium(child.unwrap_or_else(|error| panic!("no browser at {}: {error}", program.display())))
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

/// What the page found out, by host: WebSocket, read, read without asking, write without asking.
#[track_caller]
fn visit(sandbox: &Sandbox, site: &Site, gateway: &Gateway) -> [Vec<String>; 2] {
    let _browser = Chromium::open(sandbox, &format!("{}/", site.origin()));
    let told = site.verdict.recv_timeout(LIMIT);
    let told = told.unwrap_or_else(|_| panic!("the page told nothing in {LIMIT:?}\n{}", gateway.log()));
    let told: Vec<_> = told.split(',').map(str::to_owned).collect();
    assert_eq!(told.len(), 8, "{told:?}");
    [told[..4].to_vec(), told[4..].to_vec()]
}

#[test]
fn a_page_of_another_port_gets_nothing() {
    let sandbox = offline();
    let base = set_up(&sandbox, "a");
    let gateway = sandbox.start(&["--profile", "a", "--log-level", "debug"], base.port());
    let site = Site::about(base.port());
    for told in visit(&sandbox, &site, &gateway) {
        // What is not asked for carries no origin: to the page it looks as if nobody were there.
        assert_eq!(told, ["refused"; 4]);
    }
    // It was the gateway that refused, and for the page's name: by either host the socket, the read, the write.
    let refused =
        format!("a foreign name was refused host=127.0.0.1:{} origin={}", base.port(), site.origin());
    assert_eq!(gateway.log().matches(&refused).count(), 3, "{}", gateway.log());
    // And what carries no origin was refused for where the browser says that it comes from.
    assert_eq!(gateway.log().matches("a foreign name was refused host=").count(), 8, "{}", gateway.log());
    let wire = Wire::connect(base.port(), &token(&sandbox.state(Some("a"))));
    assert_eq!(wire.hello()["server"]["instance"], "a");
    let status = sandbox.run(&["--profile", "a", "gateway", "call", "status"]).success().json();
    assert_eq!(status["connections"], 2, "somebody else is connected: {status}");
}

/// The same page, where the owner of the gateway says that it may: so the refusal above is one.
#[test]
fn a_page_that_the_config_names_is_let_in() {
    let sandbox = offline();
    let base = set_up(&sandbox, "a");
    let site = Site::about(base.port());
    let config = sandbox.state(Some("a")).join("openclaw.json");
    let before = fs::read_to_string(&config).expect("a config");
    let allowed = format!("gateway: {{\n    controlUi: {{ allowedOrigins: [\"{}\"] }},", site.origin());
    fs::write(&config, before.replacen("gateway: {", &allowed, 1)).expect("writable");
    let gateway = sandbox.start(&["--profile", "a"], base.port());
    for told in visit(&sandbox, &site, &gateway) {
        assert_eq!(told[0], "open connect.challenge", "{}\n{}", text(&config), gateway.log());
    }
}
