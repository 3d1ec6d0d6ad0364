//! The control plane under load: many who ask, many who wait, many who hear, and one who does not read.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::client::Client;
use crate::crowd::{Crowd, overfeed};
use crate::measures::{Figure, figure, percentile, pss_mb};
use crate::subject::{Running, Subject, TOKEN, port};

/// Conversations that the gateway knows.
const SESSIONS: usize = 1_000;
/// Connections that only stay.
const IDLE: usize = 10_000;
/// Connections that hear one event.
const HEARERS: usize = 1_000;

/// Measures everything.
pub(crate) fn all(subject: &Subject, quick: bool) -> Result<Vec<Figure>> {
    more_descriptors()?;
    let slow = subject.patience > Duration::from_secs(60);
    let total = if quick || slow { 3_000 } else { 60_000 };
    subject.configure(0, None)?;
    let mut running = subject.start(0)?;
    converse(&mut running)?;
    let mut figures = Vec::new();
    for method in ["health", "sessions.list", "config.get"] {
        let share = if method == "health" { total } else { total / 10 };
        figures.extend(load(method, share)?);
    }
    figures.push(fan_out(&mut running)?);
    figures.extend(slow_reader(total / 3)?);
    let idle = if quick { IDLE / 10 } else { IDLE };
    figures.extend(stay(&running, idle)?);
    Ok(figures)
}

fn more_descriptors() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

/// Makes conversations.
fn converse(running: &mut Running) -> Result<()> {
    for at in 0..SESSIONS {
        let params = json!({"key": format!("agent:main:bench-{at}"), "label": format!("bench {at}")});
        let reply = running.client.call("sessions.create", &params)?;
        ensure!(reply["ok"] == true, "no conversation was made: {reply}");
    }
    Ok(())
}

fn load(method: &str, total: usize) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for n in [1, 50] {
        let mut crowd = Crowd::connect(port(0), TOKEN, n)?;
        crowd.ask(method, total / 10)?;
        let (took, all) = crowd.ask(method, total)?;
        let us: Vec<f64> = took.iter().map(|it| it.as_secs_f64() * 1e6).collect();
        let name = |what: &str| format!("{method}, {n} connections, {what}");
        figures.push(figure(&name("p50"), "µs", percentile(us.clone(), 50), None));
        figures.push(figure(&name("p99"), "µs", percentile(us, 99), None));
        let count = f64::from(u32::try_from(took.len())?);
        let aim = (method == "health" && n == 50).then_some(60_000.0);
        figures.push(figure(&name("a second"), "", count / all.as_secs_f64(), aim));
    }
    Ok(figures)
}

/// One event, and when the last of many has it.
fn fan_out(running: &mut Running) -> Result<Figure> {
    let mut crowd = Crowd::connect(port(0), TOKEN, HEARERS)?;
    let mut took = Vec::new();
    for at in 0..20 {
        let params = json!({"sessionKey": "main", "message": "/help", "idempotencyKey": format!("fan-{at}")});
        let began = Instant::now();
        running.client.send("chat.send", &params)?;
        took.push(crowd.hear(b"{\"type\":\"event\",\"event\":\"chat\"", began)?.as_secs_f64() * 1e3);
    }
    Ok(figure(
        &format!("an event to {HEARERS} connections, the last has it"),
        "ms",
        percentile(took, 50),
        None,
    ))
}

/// Those who read, with and without one beside them who does not.
fn slow_reader(total: usize) -> Result<Vec<Figure>> {
    let mut crowd = Crowd::connect(port(0), TOKEN, 100)?;
    let p99 = |crowd: &mut Crowd| -> Result<f64> {
        let (took, _) = crowd.ask("health", total)?;
        Ok(percentile(took.iter().map(|it| it.as_secs_f64() * 1e6).collect(), 99))
    };
    p99(&mut crowd)?;
    let alone = p99(&mut crowd)?;
    let reader = Client::connect_when_ready(port(0), TOKEN, Duration::from_secs(60))?;
    let _unread = overfeed(reader, "config.get")?;
    let beside = p99(&mut crowd)?;
    Ok(vec![
        figure("health, 100 connections, p99", "µs", alone, None),
        figure("the same beside one that never reads", "µs", beside, None),
    ])
}

/// What a connection costs that only stays.
fn stay(running: &Running, n: usize) -> Result<Vec<Figure>> {
    let before = pss_mb(running.pid())?;
    let began = Instant::now();
    let crowd = Crowd::connect(port(0), TOKEN, n).context("connections that stay")?;
    let took = began.elapsed();
    let after = pss_mb(running.pid())?;
    drop(crowd);
    let count = f64::from(u32::try_from(n)?);
    Ok(vec![
        figure("connections that are made, a second", "", count / took.as_secs_f64(), None),
        figure("each of them idle, memory", "KB", (after - before) * 1024.0 / count, Some(8.0)),
    ])
}
