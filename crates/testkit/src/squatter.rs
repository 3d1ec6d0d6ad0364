//! A foreign program that owns a port: another process, another name, and a record of all that is sent to it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::Process;

const LIMIT: Duration = Duration::from_secs(20);

/// A `python3` that listens on 127.0.0.1 until this is dropped.
pub struct Squatter {
    process: Process,
    n_questions: usize,
}

impl Squatter {
    /// Listens on `port`, accepts every connection, and never says a word.
    ///
    /// # Panics
    /// When the port is taken.
    #[track_caller]
    pub fn on(port: u16) -> Squatter {
        Squatter::answering(port, "")
    }

    /// As [`Squatter::on`], but answers the first data of each connection with `reply` and closes it.
    #[track_caller]
    pub fn answering(port: u16, reply: &str) -> Squatter {
        let mut command = Command::new("python3");
        command.args(["-c", include_str!("squatter.py"), &port.to_string(), reply]).stdin(Stdio::piped());
        let process = Process::spawn(&mut command);
        let ready = process.stdout.line(LIMIT, "ready");
        assert!(ready.is_some(), "nobody squats on port {port}\n{}", process.report());
        Squatter { process, n_questions: 0 }
    }

    /// The number of the process that owns the port.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// All data that was sent to it before this call, over all connections, in the order of arrival.
    #[track_caller]
    pub fn received(&mut self) -> Vec<u8> {
        let lines = self.lines();
        let pieces = lines.iter().filter_map(|it| it.strip_prefix('+'));
        pieces.flat_map(bytes_of).collect()
    }

    /// How many connections were made to it before this call.
    #[track_caller]
    pub fn connections(&mut self) -> usize {
        self.lines().iter().filter(|it| *it == "c").count()
    }

    /// Its record, up to the answer to a question that is asked now.
    #[track_caller]
    fn lines(&mut self) -> Vec<String> {
        self.n_questions += 1;
        let wanted = self.n_questions;
        let stdin = self.process.stdin.as_mut().expect("a pipe was asked for");
        stdin.write_all(b"?").unwrap_or_else(|error| panic!("the squatter is gone: {error}"));
        let told = self.process.stdout.wait(LIMIT, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            (lines.iter().filter(|it| *it == "=").count() >= wanted).then_some(lines)
        });
        told.unwrap_or_else(|| panic!("the squatter does not answer\n{}", self.process.report()))
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|it| std::str::from_utf8(it).unwrap_or_default());
    digits.map(|it| u8::from_str_radix(it, 16).expect("the squatter writes hex")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;
    use crate::ports::free_base;

    #[test]
    fn keeps_what_it_hears_also_from_one_that_left_at_once() {
        let base = free_base();
        let mut squatter = Squatter::on(base.port());
        assert_eq!((squatter.received(), squatter.connections()), (Vec::new(), 0));
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, base.port())).expect("it listens");
        stream.write_all(b"GET / \xff").expect("it reads");
        drop(stream);
        assert_eq!(squatter.received(), b"GET / \xff");
        assert_eq!(squatter.connections(), 1);
        assert_ne!(squatter.pid(), std::process::id());
    }

    #[test]
    fn can_answer_like_a_stranger() {
        let base = free_base();
        let _squatter = Squatter::answering(base.port(), "HTTP/1.1 404 Not Found\r\n\r\n");
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, base.port())).expect("it listens");
        stream.write_all(b"hello").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers and closes");
        assert!(answer.starts_with("HTTP/1.1 404"));
    }
}
