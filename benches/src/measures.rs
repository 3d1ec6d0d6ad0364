//! The figures, one function each, and the table of them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::json;

use crate::commands::{peak_mb, wall_ms};
use crate::model;
use crate::subject::Subject;

/// How long a gateway is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(15);

/// One figure.
pub(crate) struct Figure {
    name: String,
    unit: &'static str,
    value: f64,
    aim: Option<f64>,
}

/// One figure, with its aim where there is one.
pub(crate) fn figure(name: &str, unit: &'static str, value: f64, aim: Option<f64>) -> Figure {
    Figure { name: name.to_owned(), unit, value, aim }
}

/// Measures everything.
pub(crate) fn all(subject: &Subject, quick: bool) -> Result<Vec<Figure>> {
    let rounds = if quick { 5 } else { 40 };
    let mut figures = hello(subject, rounds)?;
    figures.extend(commands(subject, if quick { 20 } else { 200 })?);
    figures.extend(health(subject, if quick { 1_000 } else { 10_000 })?);
    figures.extend(token_delay(subject, if quick { 100 } else { 600 })?);
    figures.extend(memory(subject)?);
    Ok(figures)
}

fn hello(subject: &Subject, rounds: usize) -> Result<Vec<Figure>> {
    subject.configure(0, None)?;
    // The first start makes what later ones find.
    drop(subject.start(0)?);
    let slow = subject.patience > Duration::from_secs(60);
    let rounds = if slow { rounds.min(5) } else { rounds };
    let took = (0..rounds).map(|_| Ok(ms(subject.start(0)?.hello_after))).collect::<Result<Vec<f64>>>()?;
    Ok(vec![
        figure("exec to first hello, median", "ms", percentile(took.clone(), 50), Some(5.0)),
        figure("exec to first hello, slowest", "ms", percentile(took, 100), None),
    ])
}

fn commands(subject: &Subject, runs: usize) -> Result<Vec<Figure>> {
    let slow = subject.patience > Duration::from_secs(60);
    let runs = if slow { runs.min(10) } else { runs };
    let running = subject.start(0)?;
    let figures = vec![
        figure("--version, mean", "ms", wall_ms(subject, "--version", runs)?, Some(1.5)),
        figure("--version, peak memory", "MB", peak_mb(subject, "--version")?, None),
        figure("status, mean", "ms", wall_ms(subject, "status", runs)?, Some(4.0)),
        figure("status, peak memory", "MB", peak_mb(subject, "status")?, None),
    ];
    drop(running);
    Ok(figures)
}

fn health(subject: &Subject, requests: usize) -> Result<Vec<Figure>> {
    let mut running = subject.start(0)?;
    let (running_pid, own) = (Pid::from_raw(i32::try_from(running.pid())?), None);
    for _ in 0..requests / 10 {
        running.client.round_trip("health")?;
    }
    let mut ask =
        || (0..requests).map(|_| Ok(us(running.client.round_trip("health")?))).collect::<Result<Vec<f64>>>();
    let apart = ask()?;
    // Waking a sleeping core of a virtual machine takes longer than the answer: so once without it.
    let before = pin(&[running_pid, own])?;
    let together = ask();
    before.restore()?;
    let together = together?;
    Ok(vec![
        figure("health round trip, p50", "µs", percentile(apart.clone(), 50), None),
        figure("health round trip, p99", "µs", percentile(apart, 99), None),
        figure("health on one core, p50", "µs", percentile(together.clone(), 50), Some(50.0)),
        figure("health on one core, p99", "µs", percentile(together, 99), None),
    ])
}

/// Processes on one core, and where they were before.
struct Pinned(Vec<(Option<Pid>, CpuSet)>);

fn pin(pids: &[Option<Pid>]) -> Result<Pinned> {
    let mut first = CpuSet::new();
    first.set(0);
    let mut before = Vec::new();
    for pid in pids {
        before.push((*pid, sched_getaffinity(*pid)?));
        sched_setaffinity(*pid, &first)?;
    }
    Ok(Pinned(before))
}

impl Pinned {
    fn restore(self) -> Result<()> {
        self.0.into_iter().try_for_each(|(pid, cores)| Ok(sched_setaffinity(pid, &cores)?))
    }
}

/// From the model's write of a token to the client's read of its event, less what the same takes without a
/// gateway in between; one clock.
fn token_delay(subject: &Subject, tokens: usize) -> Result<Vec<Figure>> {
    let zero = Instant::now();
    let url = model::serve(zero, tokens)?;
    let direct = percentile(model::read_directly(&url, zero)?, 50);
    subject.configure(0, Some(&url))?;
    let mut running = subject.start(0)?;
    let params = json!({"sessionKey": "main", "message": "count", "idempotencyKey": "tokens-1"});
    running.client.send("chat.send", &params)?;
    let mut delays = Vec::new();
    loop {
        let frame = running.client.frame()?;
        let now = zero.elapsed();
        let payload = &frame["payload"];
        if frame["event"] == "agent" && payload["stream"] == "assistant" {
            delays.extend(model::delays(payload["data"]["delta"].as_str().unwrap_or_default(), now));
        }
        if frame["event"] == "chat" && payload["state"] != "delta" && payload["state"] != "status" {
            anyhow::ensure!(payload["state"] == "final", "the turn did not end well: {payload}");
            break;
        }
    }
    anyhow::ensure!(!delays.is_empty(), "no token came");
    let through = percentile(delays, 50);
    Ok(vec![
        figure("token to event, p50", "µs", through, None),
        figure("of that, without a gateway", "µs", direct, None),
        figure("added by the gateway", "µs", through - direct, Some(200.0)),
    ])
}

fn memory(subject: &Subject) -> Result<Vec<Figure>> {
    subject.configure(0, None)?;
    let one = subject.start(0)?;
    std::thread::sleep(IDLE);
    let alone = pss_mb(one.pid())?;
    drop(one);
    let mut running = Vec::new();
    for instance in 0..subject.many {
        subject.configure(instance, None)?;
        running.push(subject.start(instance)?);
    }
    std::thread::sleep(IDLE);
    let together = running.iter().map(|it| pss_mb(it.pid())).sum::<Result<f64>>()?;
    let aim = (subject.many == 20).then_some(50.0);
    let each = together / f64::from(subject.many);
    Ok(vec![
        figure("idle, PSS after 15 s", "MB", alone, Some(5.0)),
        figure(&format!("{} idle together, PSS", subject.many), "MB", together, aim),
        figure("each of many, PSS", "MB", each, None),
    ])
}

/// The share of memory of a process, in megabytes.
pub(crate) fn pss_mb(pid: u32) -> Result<f64> {
    memory_mb(pid, "Pss:")
}

/// The anonymous part of its memory.
pub(crate) fn anonymous_mb(pid: u32) -> Result<f64> {
    memory_mb(pid, "Anonymous:")
}

fn memory_mb(pid: u32, what: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text
        .lines()
        .find(|it| it.starts_with(what))
        .with_context(|| format!("the kernel tells no {what}"))?;
    let kib: f64 = line.split_whitespace().nth(1).context("a line without a number")?.parse()?;
    Ok(kib / 1024.0)
}

/// The value below which so many percent of the values are.
pub(crate) fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or(f64::NAN)
}

fn ms(it: Duration) -> f64 {
    it.as_secs_f64() * 1e3
}

fn us(it: Duration) -> f64 {
    it.as_secs_f64() * 1e6
}

/// The machine and the date, in one line.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo");
    let model =
        model.lines().find_map(|it| it.strip_prefix("model name")?.split_once(": ")).map_or("?", |it| it.1);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory = read("/proc/meminfo");
    let memory =
        memory.split_whitespace().nth(1).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0) / 1024 / 1024;
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("?");
    let date = std::process::Command::new("date").args(["-u", "+%F"]).output();
    let date = date.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned()).unwrap_or_default();
    format!("{date}, {model}, {cores} cores, {memory} GiB, Linux {}, load {load}", kernel.trim())
}

/// The table.
pub(crate) fn print(ours: &[Figure], original: Option<&[Figure]>) {
    println!("\n| figure | ours | aim | original | ratio |");
    println!("|---|---|---|---|---|");
    for (at, it) in ours.iter().enumerate() {
        let aim = it.aim.map_or_else(String::new, |aim| format!("{aim} {}", it.unit));
        let theirs = original.and_then(|all| all.get(at));
        // Many of theirs are fewer than many of ours.
        let label = theirs
            .filter(|other| other.name != it.name)
            .map_or_else(String::new, |other| format!(" ({})", other.name));
        let value =
            theirs.map_or_else(String::new, |other| format!("{:.2} {}{label}", other.value, other.unit));
        let ratio = theirs.map_or_else(String::new, |other| format!("{:.0}", other.value / it.value));
        println!("| {} | {:.2} {} | {aim} | {value} | {ratio} |", it.name, it.value, it.unit);
    }
}
