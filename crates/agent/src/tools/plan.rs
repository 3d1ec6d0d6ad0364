//! What a command comes to before it runs: the very program and arguments, or a text for a shell. A person decides
//! about this, and this is what runs.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use ring::digest::{Context, SHA256};
use serde_json::Value;

use super::{Outcome, Workbench, arguments, exec};

const SHELL: &str = "/bin/sh";

/// Programs that run what their arguments say: that one of them is allowed says nothing of what it will do.
const RUNNERS: &[&str] = &[
    "ash",
    "awk",
    "bash",
    "bun",
    "busybox",
    "chroot",
    "csh",
    "dash",
    "deno",
    "doas",
    "ed",
    "env",
    "expect",
    "find",
    "fish",
    "flock",
    "gawk",
    "gdb",
    "git",
    "ionice",
    "ksh",
    "lua",
    "make",
    "mawk",
    "nawk",
    "nice",
    "node",
    "nohup",
    "nsenter",
    "parallel",
    "perl",
    "php",
    "python",
    "ruby",
    "rsync",
    "runuser",
    "script",
    "sed",
    "setarch",
    "setpriv",
    "setsid",
    "sh",
    "ssh",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemd-run",
    "tar",
    "taskset",
    "tclsh",
    "time",
    "timeout",
    "toybox",
    "unshare",
    "vi",
    "vim",
    "watch",
    "xargs",
    "zsh",
];

/// A command, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// As the model wrote it.
    pub text: String,
    /// Program and arguments, where the text is plain words; a shell reads the text otherwise.
    pub argv: Option<Vec<String>>,
    /// The program that is started, links followed: the shell where there is no `argv`.
    pub program: PathBuf,
    /// SHA-256 of its file, in hex.
    pub digest: String,
    /// Files that the arguments of a program name which runs what is in them, each with its SHA-256.
    pub files: Vec<(PathBuf, String)>,
    /// The folder that it runs in.
    pub folder: PathBuf,
    /// The names of its environment.
    pub env: Vec<String>,
    /// Seconds that it may take, where the call names them.
    pub(super) limit: Option<u64>,
}

impl Workbench {
    /// What a call of `exec` comes to.
    ///
    /// # Errors
    /// What the model is told where it comes to nothing: bad arguments, or a shell that is not there.
    pub fn plan(&self, call: Value) -> Result<Plan, Outcome> {
        let call: exec::Arguments = arguments(call)?;
        let argv = words(&call.command);
        let found = argv.as_ref().and_then(|it| self.resolve(it.first()?));
        // What is no program may still be a word of the shell.
        let (argv, program) = match (argv, found) {
            (Some(argv), Some(program)) => (Some(argv), program),
            _ => (None, std::fs::canonicalize(SHELL).map_err(|error| unreadable(Path::new(SHELL), &error))?),
        };
        let digest = digest(&program).map_err(|error| unreadable(&program, &error))?;
        let mut plan = Plan {
            text: call.command,
            argv,
            program,
            digest,
            files: Vec::new(),
            folder: self.path.clone(),
            env: self.env.iter().map(|(name, _)| name.clone()).collect(),
            limit: call.timeout,
        };
        plan.env.sort();
        plan.files = plan.operands();
        Ok(plan)
    }

    /// Runs it, provided that it is still what it was: the program's file and the files that it runs are unchanged.
    pub fn carry_out<'a>(&'a self, plan: &'a Plan) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let named = [(plan.program.clone(), plan.digest.clone())];
            for (path, before) in named.iter().chain(&plan.files) {
                if digest(path).ok().as_ref() != Some(before) {
                    return Outcome::failed(format!(
                        "refused: {} has changed since the command was approved; nothing was run",
                        path.display()
                    ));
                }
            }
            exec::carry_out(plan, self).await
        })
    }

    /// The home of programs, as their environment names it.
    pub fn home(&self) -> Option<&Path> {
        self.env.iter().find(|(name, _)| name == "HOME").map(|(_, it)| Path::new(it.as_str()))
    }

    fn resolve(&self, name: &str) -> Option<PathBuf> {
        let runs =
            |it: &PathBuf| it.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0);
        let found = if name.contains('/') {
            Some(self.path.join(name)).filter(runs)
        } else {
            let path = self.env.iter().find(|(it, _)| it == "PATH").map_or("", |(_, it)| it.as_str());
            path.split(':').filter(|it| it.starts_with('/')).map(|it| Path::new(it).join(name)).find(runs)
        };
        std::fs::canonicalize(found?).ok()
    }
}

impl Plan {
    /// Whether the program runs what its arguments say.
    pub fn is_runner(&self) -> bool {
        let named = |path: &Path| {
            let name =
                path.file_name().map(|it| it.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
            let bare = name.trim_end_matches(|it: char| it.is_ascii_digit() || it == '.' || it == '-');
            RUNNERS.contains(&bare) || RUNNERS.contains(&name.as_str())
        };
        let called = self.argv.iter().flatten().next().is_some_and(|it| named(Path::new(it)));
        self.argv.is_none() || called || named(&self.program)
    }

    /// What an approval of exactly this is an approval of, in hex: program, arguments, folder, files.
    pub fn fingerprint(&self) -> String {
        let mut hash = Context::new(&SHA256);
        let mut add = |it: &[u8]| {
            hash.update(&it.len().to_le_bytes());
            hash.update(it);
        };
        add(self.program.as_os_str().as_encoded_bytes());
        add(self.folder.as_os_str().as_encoded_bytes());
        for word in self.argv.iter().flatten() {
            add(word.as_bytes());
        }
        for (path, digest) in &self.files {
            add(path.as_os_str().as_encoded_bytes());
            add(digest.as_bytes());
        }
        base::random::hex_of(hash.finish().as_ref())
    }

    fn operands(&self) -> Vec<(PathBuf, String)> {
        if !self.is_runner() {
            return Vec::new();
        }
        let words = self.argv.iter().flatten().skip(1);
        let files = words.map(|it| self.folder.join(it)).filter(|it| it.is_file());
        files.filter_map(|it| digest(&it).ok().map(|digest| (it, digest))).collect()
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Outcome {
    Outcome::failed(format!("cannot read {}: {error}; nothing was run", path.display()))
}

/// SHA-256 of a file, in hex.
fn digest(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(base::random::hex_of(hash.finish().as_ref())),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// The words of a text in which a shell would find nothing but words. A shell has the last word on all others.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(it) = letters.next() {
        match it {
            ' ' | '\t' => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        end if end == it => break,
                        '$' | '`' | '\\' | '!' if it == '"' => return None,
                        inner if inner.is_control() => return None,
                        inner => word.push(inner),
                    }
                }
            }
            it if it.is_alphanumeric() || "_./:,@%+^-=".contains(it) => word.get_or_insert_default().push(it),
            _ => return None,
        }
    }
    words.extend(word);
    let first = words.first()?;
    // `X=1 program` sets a variable.
    (!first.is_empty() && !first.contains('=')).then_some(words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test writes the programs that a person would install")]

    use super::super::tests::bench;
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::symlink;

    fn plan(bench: &Workbench, command: &str) -> Plan {
        bench.plan(json!({"command": command})).expect("a plan")
    }

    #[test]
    fn only_plain_words_are_words() {
        let own = |it: &[&str]| Some(it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert_eq!(words("ls -l  a/b"), own(&["ls", "-l", "a/b"]));
        assert_eq!(words("echo 'a; $(b)' \"c d\"e"), own(&["echo", "a; $(b)", "c de"]));
        assert_eq!(words("echo ''"), own(&["echo", ""]));
        for trick in [
            "",
            " ",
            "a; b",
            "a && b",
            "a | b",
            "a &",
            "a > b",
            "a < b",
            "a $(b)",
            "a `b`",
            "a $B",
            "a \"$B\"",
            "a \"`b`\"",
            "a\nb",
            "a\rb",
            "a\\\nb",
            "A=1 b",
            "a *",
            "a ?",
            "a [b]",
            "a {b,c}",
            "~/a",
            "a ~",
            "a # b",
            "a 'b",
            "a \"b",
            "! a",
            "(a)",
            "a 'b\nc'",
            "'A=1' b",
            "a \u{0}b",
            "a \u{1b}[2Kb",
        ] {
            assert_eq!(words(trick), None, "{trick:?}");
        }
    }

    #[test]
    fn a_plan_names_the_file_that_runs() {
        let home = tempfile::tempdir().expect("a folder");
        let bench = bench(home.path());
        let echo = plan(&bench, "echo hi");
        assert_eq!(echo.program, std::fs::canonicalize("/usr/bin/echo").expect("there"));
        assert!(!echo.is_runner() && echo.digest.len() == 64);
        for runner in ["env X=1 echo", "sh -c ls", "nice ls", "cd /", "echo hi; ls", "exit 3"] {
            assert!(plan(&bench, runner).is_runner(), "{runner}");
        }
        assert_eq!(plan(&bench, "cd /").argv, None, "a word of the shell");
        assert_ne!(echo.fingerprint(), plan(&bench, "echo 'hi '").fingerprint());
        assert_ne!(plan(&bench, "echo a b").fingerprint(), plan(&bench, "echo ab").fingerprint());
    }

    #[tokio::test]
    async fn what_has_changed_does_not_run() {
        let home = tempfile::tempdir().expect("a folder");
        let bench = bench(home.path());
        std::fs::copy("/usr/bin/echo", home.path().join("one")).expect("copied");
        symlink("one", home.path().join("tool")).expect("a link");
        let one = plan(&bench, "./tool hi");
        assert_eq!(bench.carry_out(&one).await.text, "hi");
        // A link that points elsewhere now: what was shown runs, not what it points at.
        std::fs::remove_file(home.path().join("tool")).expect("ours");
        symlink("/usr/bin/false", home.path().join("tool")).expect("a link");
        assert_eq!(bench.carry_out(&one).await.text, "hi");
        std::fs::remove_file(home.path().join("one")).expect("ours");
        std::fs::copy("/usr/bin/true", home.path().join("one")).expect("copied");
        let outcome = bench.carry_out(&one).await;
        assert!(outcome.is_error && outcome.text.contains("has changed"), "{outcome:?}");
        std::fs::write(home.path().join("script"), "echo a").expect("written");
        let script = plan(&bench, "sh script");
        assert_eq!(bench.carry_out(&script).await.text, "a");
        std::fs::write(home.path().join("script"), "echo b").expect("written");
        assert!(bench.carry_out(&script).await.is_error);
    }
}
