//! `/metrics`: what a gateway counts, in Prometheus' text format 0.0.4. Read when it is asked for, and never before.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hyper::StatusCode;

use super::Asked;
use super::reply::{Answer, whole};
use crate::VERSION;
use crate::runs::How;
use crate::state::Gateway;

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    runs: [AtomicU64; 3],
    /// Answers by the first digit of their status, from 1.
    answers: [AtomicU64; 5],
}

const OUTCOMES: [&str; 3] = ["answered", "stopped", "failed"];
const STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Counters {
    /// A turn has ended.
    pub(crate) fn ended(&self, how: &How) {
        let at = match how {
            How::Answered => 0,
            How::Stopped(_) => 1,
            How::Failed(_) => 2,
        };
        self.runs[at].fetch_add(1, Ordering::Relaxed);
    }

    /// A request over HTTP was answered.
    pub(super) fn answered(&self, status: StatusCode) {
        let at = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.answers[at].fetch_add(1, Ordering::Relaxed);
    }
}

/// Text in the making, every line with the name of the instance.
struct Page {
    text: String,
    instance: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "{name}{{instance=\"{}\"", self.instance);
        for (label, it) in labels {
            let _ = write!(self.text, ",{label}=\"{}\"", escaped(it));
        }
        let _ = writeln!(self.text, "}} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.line(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.line(name, &[], value);
    }
}

/// The page.
pub(super) fn page(asked: &Asked) -> Answer {
    let text = write(asked.gateway(), &asked.entry.table.served());
    whole(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", Bytes::from(text))
}

fn write(gateway: &Gateway, served: &[(&'static str, u64, u64)]) -> String {
    let mut page = Page { text: String::with_capacity(4096), instance: escaped(&gateway.instance.name) };
    page.family("openclaw_info", "gauge", "Which version runs.");
    page.line("openclaw_info", &[("version", VERSION)], 1);
    let healthy = u8::from(gateway.problems().is_empty());
    page.gauge("openclaw_ready", "1 while nothing is wrong.", healthy);
    page.gauge("openclaw_uptime_seconds", "Since it was ready.", seconds(gateway.uptime_ms()));
    if let Some(generation) = gateway.force().generation {
        page.gauge("openclaw_config_generation", "The generation of the config in force.", generation);
    }
    let in_force = u8::from(gateway.reload.refused().is_none());
    page.gauge("openclaw_config_in_force", "1 while the config file is the one in force.", in_force);
    page.gauge("openclaw_connections", "WebSocket connections that said hello.", gateway.audience.count());
    page.gauge("openclaw_runs_active", "Turns that are under way or wait.", gateway.runs.count());
    page.family("openclaw_runs_total", "counter", "Turns that ended, by how.");
    for (outcome, count) in OUTCOMES.iter().zip(&gateway.counters.runs) {
        page.line("openclaw_runs_total", &[("outcome", outcome)], count.load(Ordering::Relaxed));
    }
    page.family("openclaw_requests_total", "counter", "Requests on WebSockets, by method and outcome.");
    for (method, ok, refused) in served.iter().filter(|(_, ok, refused)| ok + refused > 0) {
        page.line("openclaw_requests_total", &[("method", method), ("outcome", "ok")], ok);
        page.line("openclaw_requests_total", &[("method", method), ("outcome", "error")], refused);
    }
    page.family("openclaw_http_answers_total", "counter", "Answers over HTTP, by status.");
    for (status, count) in STATUSES.iter().zip(&gateway.counters.answers) {
        page.line("openclaw_http_answers_total", &[("status", status)], count.load(Ordering::Relaxed));
    }
    let dropped = gateway.audience.dropped();
    page.counter("openclaw_events_dropped_total", "Events that slow clients did not get.", dropped);
    let failures = gateway.attempts.total();
    page.counter("openclaw_auth_failures_total", "Wrong credentials, on all ways in.", failures);
    process(&mut page);
    page.text
}

/// Of the process, by the names that every exporter uses.
fn process(page: &mut Page) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).ok();
    let status = read("status").unwrap_or_default();
    let resident =
        status.lines().find_map(|it| it.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    if let Some(kib) = resident {
        let kib: u64 = kib;
        page.gauge("process_resident_memory_bytes", "Memory that is in use.", kib * 1024);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // The folder itself is open meanwhile.
        page.gauge("process_open_fds", "Open descriptors.", open.count().saturating_sub(1));
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_prometheus_reads() {
        let mut page = Page { text: String::new(), instance: escaped("a\"b\\c") };
        page.family("x_total", "counter", "How many.");
        page.line("x_total", &[("how", "so\nso")], 3);
        page.gauge("y", "One.", seconds(1042));
        let expected = "# HELP x_total How many.\n# TYPE x_total counter\n\
                        x_total{instance=\"a\\\"b\\\\c\",how=\"so\\nso\"} 3\n\
                        # HELP y One.\n# TYPE y gauge\ny{instance=\"a\\\"b\\\\c\"} 1.042\n";
        assert_eq!(page.text, expected);
    }

    #[test]
    fn every_status_has_its_place() {
        let counters = Counters::default();
        for code in [101, 200, 204, 304, 404, 503] {
            counters.answered(StatusCode::from_u16(code).expect("a status"));
        }
        let counts = counters.answers.each_ref().map(|it| it.load(Ordering::Relaxed));
        assert_eq!(counts, [1, 2, 1, 1, 1]);
    }
}
