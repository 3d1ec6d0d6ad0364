//! Asks many gateways at once how they are, and finds out quickly which of them will not answer.
//!
//! A gateway that hangs and one that waits for a core look alike from the socket. The kernel tells them apart: who is
//! stopped, who sleeps beside a question, or who had a core and did not answer, is deaf; who had no core is waited
//! for.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use profile::control;
use protocol::health::Readiness;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::process::{self, Doing};

/// The longest that anybody is waited for.
const LONGEST: Duration = Duration::from_secs(1);
/// From then on, those who have not answered are looked at.
const QUICK: Duration = Duration::from_millis(20);
/// How long a gateway may sleep beside a question: it may wait for its disk.
const ASLEEP: Duration = Duration::from_millis(100);
/// How much of a core a gateway may have without answering.
const BUSY: Duration = Duration::from_millis(50);
/// The most bytes that an answer has.
const LARGEST: usize = 64 * 1024;

const QUESTION: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A process that holds the lock of a state folder.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) state_dir: PathBuf,
    pub(super) pid: u32,
}

/// What came of the question.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// It answers.
    Is(Box<Readiness>),
    /// Its control socket is not open yet.
    NotYet,
    /// It does not answer.
    Deaf,
    /// What it says is none of ours.
    Odd(String),
}

struct Asked {
    at: usize,
    stream: UnixStream,
    received: Vec<u8>,
    since: Instant,
    ran: Duration,
}

/// Asks all of them; the answers are in their order.
pub(super) fn all(targets: &[Target]) -> Vec<Answer> {
    let mut answers = vec![Answer::Deaf; targets.len()];
    let mut waiting = Vec::new();
    for (at, target) in targets.iter().enumerate() {
        match ask(at, target) {
            Ok(asked) => waiting.push(asked),
            Err(answer) => answers[at] = answer,
        }
    }
    let began = Instant::now();
    while !waiting.is_empty() {
        wait(&waiting, began);
        waiting.retain_mut(|it| {
            let target = &targets[it.at];
            let answer = it.read(target).or_else(|| it.is_deaf(target.pid).then_some(Answer::Deaf));
            let goes_on = answer.is_none();
            if let Some(answer) = answer {
                answers[it.at] = answer;
            }
            goes_on
        });
    }
    answers
}

fn ask(at: usize, target: &Target) -> Result<Asked, Answer> {
    let asked = control::connect_at_once(&target.state_dir).and_then(|mut it| {
        it.write_all(QUESTION)?;
        Ok(it)
    });
    match asked {
        Ok(stream) => {
            let (since, ran) = (Instant::now(), process::ran(target.pid));
            Ok(Asked { at, stream, received: Vec::new(), since, ran })
        }
        Err(error) => Err(match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Answer::NotYet,
            ErrorKind::WouldBlock => Answer::Deaf,
            _ => Answer::Odd(error.to_string()),
        }),
    }
}

/// Waits until one of them says something, or it is time to look at those who do not.
fn wait(waiting: &[Asked], began: Instant) {
    let mut sockets: Vec<_> = waiting.iter().map(|it| PollFd::new(&it.stream, PollFlags::IN)).collect();
    let pause = QUICK.saturating_sub(began.elapsed()).max(QUICK / 4);
    let pause = Timespec::try_from(pause).expect("a short time");
    // A signal only makes it look sooner.
    let _ = poll(&mut sockets, Some(&pause));
}

impl Asked {
    fn read(&mut self, target: &Target) -> Option<Answer> {
        let mut bytes = [0; 8192];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => {
                    return Some(parse(&self.received, target).unwrap_or_else(|| {
                        Answer::Odd("the gateway ended the connection before it answered".to_owned())
                    }));
                }
                Ok(n) if self.received.len() + n <= LARGEST => self.received.extend_from_slice(&bytes[..n]),
                Ok(_) => return Some(Answer::Odd("the answer has no end".to_owned())),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return parse(&self.received, target),
                Err(error) => return Some(Answer::Odd(error.to_string())),
            }
        }
    }

    fn is_deaf(&self, pid: u32) -> bool {
        let waited = self.since.elapsed();
        waited > LONGEST
            || match process::doing(pid) {
                None | Some(Doing::Stopped) => true,
                _ if process::ran(pid).saturating_sub(self.ran) > BUSY => true,
                Some(Doing::Waiting) => waited > ASLEEP,
                Some(Doing::Running) => false,
            }
    }
}

/// The answer, once it is whole.
fn parse(bytes: &[u8], target: &Target) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Response::new(&mut headers);
    let body_at = match head.parse(bytes) {
        Ok(httparse::Status::Complete(at)) => at,
        Ok(httparse::Status::Partial) => return None,
        Err(error) => return Some(Answer::Odd(error.to_string())),
    };
    let length = head.headers.iter().find(|it| it.name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|it| std::str::from_utf8(it.value).ok()?.parse().ok())?;
    let body = bytes.get(body_at..body_at.checked_add(length)?)?;
    Some(match serde_json::from_slice::<Readiness>(body) {
        Ok(it) if is_same(Path::new(&it.state_dir), &target.state_dir) => Answer::Is(Box::new(it)),
        Ok(it) => Answer::Odd(format!("instance {} answers in its place", it.instance.name)),
        Err(_) => Answer::Odd("the answer is none of this version's".to_owned()),
    })
}

/// A socket can be moved and a folder copied: who answers says itself where it lives.
fn is_same(a: &Path, b: &Path) -> bool {
    let real = |it: &Path| std::fs::canonicalize(it).unwrap_or_else(|_| it.to_path_buf());
    a == b || real(a) == real(b)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn target(folder: &Path) -> Target {
        Target { state_dir: folder.to_path_buf(), pid: std::process::id() }
    }

    fn answered(folder: &Path, text: &str) -> Answer {
        let listener = control::listen(folder).expect("listens");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("asked");
                let mut question = vec![0; QUESTION.len()];
                stream.read_exact(&mut question).expect("asked");
                stream.write_all(text.as_bytes()).expect("answers");
            });
            all(&[target(folder)]).remove(0)
        })
    }

    fn http(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    fn readiness(folder: &Path) -> String {
        serde_json::json!({
            "ok": true, "failing": 0, "problems": [], "conflicts": [], "stateDir": folder, "uptimeMs": 1,
            "instance": {"name": "a", "pid": 1, "port": 20000, "since": 1, "version": "1"},
            "sessions": 2, "channels": [], "generation": 3,
        })
        .to_string()
    }

    #[test]
    fn an_answer_is_believed_when_it_is_whole_and_comes_from_the_folder_itself() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path();
        let Answer::Is(it) = answered(folder, &http(&readiness(folder))) else { panic!("it answers") };
        assert_eq!((it.sessions, it.generation), (Some(2), Some(3)));
        for (text, expected) in [
            (http(&readiness(Path::new("/elsewhere"))), "instance a answers in its place"),
            (http("{}"), "none of this version's"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}".to_owned(), "before it answered"),
            ("what?\r\n\r\n".to_owned(), "invalid"),
        ] {
            let found = answered(folder, &text);
            assert!(matches!(&found, Answer::Odd(words) if words.contains(expected)), "{text}: {found:?}");
        }
    }

    #[test]
    fn nobody_and_somebody_who_lets_nobody_in_are_told_apart() {
        let home = tempfile::tempdir().expect("a folder");
        assert!(matches!(all(&[target(home.path())])[0], Answer::NotYet));
        let listener = control::listen(home.path()).expect("listens");
        // This process waits in the question itself, and so is never deaf by sleeping; the time decides.
        assert!(matches!(all(&[target(home.path())])[0], Answer::Deaf));
        drop::<UnixListener>(listener);
    }
}
