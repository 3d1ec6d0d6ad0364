//! A program that hands secrets out: the one that the config names, asked once for all of them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, Value, json};

use crate::ambient::Ambient;

/// How long it may take, where the config does not say.
const PATIENCE_MS: u64 = 5000;
/// The most that it may say, where the config does not say.
const LARGEST: u64 = 1024 * 1024;

/// Asks for secrets by their ids. What it says on its error stream goes nowhere: it may hold secrets.
///
/// # Errors
/// Why none of them can be had.
pub(super) fn ask(
    name: &str,
    provider: &Map<String, Value>,
    ids: &[&str],
    ambient: &Ambient,
) -> Result<BTreeMap<String, Result<String, String>>, String> {
    let path = provider.get("command").and_then(Value::as_str).ok_or("the provider names no command")?;
    let path = PathBuf::from(path);
    check(&path, provider, ambient).map_err(|words| format!("{} {words}", path.display()))?;
    let number = |key: &str, default| provider.get(key).and_then(Value::as_u64).unwrap_or(default);
    let patience = Duration::from_millis(number("timeoutMs", PATIENCE_MS));
    let question = json!({"protocolVersion": 1, "provider": name, "ids": ids}).to_string();
    let answer = run(&path, provider, &question, (patience, number("maxOutputBytes", LARGEST)), ambient);
    let answer = answer.map_err(|words| format!("{} {words}", path.display()))?;
    let plain = provider.get("jsonOnly").and_then(Value::as_bool) == Some(false);
    match (serde_json::from_str::<Value>(&answer), ids) {
        (Ok(it), _) if it.get("protocolVersion") == Some(&json!(1)) => Ok(ids
            .iter()
            .map(|id| ((*id).to_owned(), value_of(&it, id).ok_or_else(|| refusal(&it, id))))
            .collect()),
        (_, [one]) if plain => {
            Ok([((*one).to_owned(), Ok(answer.trim_end_matches(['\r', '\n']).to_owned()))].into())
        }
        _ => Err(format!("{} did not answer in its protocol (version 1)", path.display())),
    }
}

fn value_of(answer: &Value, id: &str) -> Option<String> {
    answer.get("values")?.get(id)?.as_str().map(str::to_owned)
}

/// Only words that are known are shown: others might be the secret.
fn refusal(answer: &Value, id: &str) -> String {
    let code = answer.get("errors").and_then(|it| it.get(id)?.get("code")?.as_str());
    match code {
        Some(it @ ("NOT_FOUND" | "AMBIGUOUS_DUPLICATE_KEY")) => format!("\"{id}\": {it}"),
        _ => format!("there is no secret \"{id}\""),
    }
}

/// A program that nobody but this user, or the system, could have put there.
fn check(path: &Path, provider: &Map<String, Value>, ambient: &Ambient) -> Result<(), String> {
    if !path.is_absolute() {
        return Err("must be an absolute path".to_owned());
    }
    let about = path.symlink_metadata().map_err(|error| format!("cannot be run: {error}"))?;
    if about.is_symlink() {
        return Err("is a link: name the program itself".to_owned());
    }
    let me = rustix::process::geteuid().as_raw();
    if !about.is_file() || about.mode() & 0o111 == 0 {
        return Err("is no program".to_owned());
    }
    if about.mode() & 0o022 != 0 || (about.uid() != me && about.uid() != 0) {
        return Err(
            "can be changed by others: it must belong to you or to root, and be writable by nobody else"
                .to_owned(),
        );
    }
    let Some(folders) = provider.get("trustedDirs").and_then(Value::as_array) else { return Ok(()) };
    let mut folders = folders.iter().filter_map(Value::as_str).map(|it| ambient.path(it));
    let is_trusted = folders.any(|it| path.starts_with(it));
    if is_trusted { Ok(()) } else { Err("is in none of the provider's trustedDirs".to_owned()) }
}

fn run(
    path: &Path,
    provider: &Map<String, Value>,
    question: &str,
    (patience, largest): (Duration, u64),
    ambient: &Ambient,
) -> Result<String, String> {
    let texts = |key: &str| {
        let list = provider.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let passed = texts("passEnv").into_iter().filter_map(|it| Some((ambient.var(&it)?.to_owned(), it)));
    let own = provider.get("env").and_then(Value::as_object).into_iter().flatten();
    let own = own.filter_map(|(name, it)| Some((it.as_str()?.to_owned(), name.clone())));
    let mut command = Command::new(path);
    command.args(texts("args")).env_clear().envs(passed.chain(own).map(|(value, name)| (name, value)));
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0);
    let mut child = command.spawn().map_err(|error| format!("cannot be run: {error}"))?;
    let answered = talk(&mut child, question, patience, largest);
    if answered.is_err() {
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // It may have ended by itself.
        let _ = group.map(|it| kill_process_group(it, Signal::KILL));
    }
    let ended = child.wait().map_err(|error| format!("was lost: {error}"))?;
    let answer = answered?;
    if ended.success() { Ok(answer) } else { Err(format!("failed ({ended})")) }
}

fn talk(child: &mut Child, question: &str, patience: Duration, largest: u64) -> Result<String, String> {
    if let Some(mut input) = child.stdin.take() {
        // One that does not read says so by its answer.
        let _ = input.write_all(question.as_bytes());
    }
    let output = child.stdout.take().ok_or("has no output")?;
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = output.take(largest + 1).read_to_string(&mut text);
        let _ = tell.send(read.map(|_| text));
    });
    let text = told
        .recv_timeout(patience)
        .map_err(|_| format!("did not answer within {} ms", patience.as_millis()))?;
    let text = text.map_err(|_| "answered with what is no text".to_owned())?;
    if text.len() as u64 > largest { Err(format!("said more than {largest} bytes")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    #[track_caller]
    fn check(script: &str, more: &Value, expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = file(folder.path(), "vault", &format!("#!/bin/sh\n{script}\n"), 0o700);
        let mut provider = json!({"source": "exec", "command": path, "timeoutMs": 2000});
        for (key, it) in more.as_object().into_iter().flatten() {
            provider[key] = it.clone();
        }
        let ambient =
            Ambient::of(&[("PATH", "/usr/bin:/bin"), ("VAULT", "v"), ("OTHER", "o")], Path::new("/"));
        let provider = provider.as_object().expect("an object").clone();
        let answers = ask("vault", &provider, &["a/b"], &ambient);
        let found = answers.and_then(|mut it| it.remove("a/b").expect("was asked for"));
        match (&found, expected) {
            (Err(words), Err(expected)) => assert!(words.contains(expected), "{words}"),
            (found, expected) => assert_eq!(found.as_deref().map_err(String::as_str), expected),
        }
    }

    #[test]
    fn a_program_is_asked_in_its_protocol() {
        let answer = r#"{"protocolVersion":1,"values":{"a/b":"%s"}}"#;
        check(
            &format!("read it; printf '{answer}' \"$(echo $it | tr -cd a-z | head -c 20)\""),
            &json!({"passEnv": ["PATH"]}),
            Ok("protocolersionprovid"),
        );
        check(
            &format!("printf '{answer}' \"$VAULT-$OTHER-$OWN\""),
            &json!({"passEnv": ["VAULT"], "env": {"OWN": "x"}}),
            Ok("v--x"),
        );
        check(&format!("printf '{answer}' \"$1\""), &json!({"args": ["first"]}), Ok("first"));
        check("echo plain", &json!({"jsonOnly": false}), Ok("plain"));
    }

    #[test]
    fn one_that_fails_is_told_without_its_words() {
        check("echo secret; exit 3", &json!({}), Err("failed (exit status: 3)"));
        check("echo secret", &json!({}), Err("did not answer in its protocol"));
        check(
            r#"echo '{"protocolVersion":1,"errors":{"a/b":{"code":"NOT_FOUND"}}}'"#,
            &json!({}),
            Err("NOT_FOUND"),
        );
        check(
            r#"echo '{"protocolVersion":1,"errors":{"a/b":{"code":"hunter2"}}}'"#,
            &json!({}),
            Err("there is no secret \"a/b\""),
        );
        check("exec tail -f /dev/null", &json!({"timeoutMs": 50}), Err("did not answer within 50 ms"));
        check("echo 123456", &json!({"maxOutputBytes": 3}), Err("more than 3 bytes"));
    }

    #[test]
    fn only_a_program_that_nobody_else_can_change_is_run() {
        check("echo x", &json!({"command": "vault"}), Err("must be an absolute path"));
        check("echo x", &json!({"command": "/none/vault"}), Err("cannot be run"));
        check("echo x", &json!({"trustedDirs": ["/usr"]}), Err("in none of the provider's trustedDirs"));
        let folder = tempfile::tempdir().expect("a folder");
        let loose = file(folder.path(), "loose", "#!/bin/sh\n", 0o777);
        check("echo x", &json!({"command": loose}), Err("can be changed by others"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&loose, &link).expect("made");
        check("echo x", &json!({"command": link}), Err("is a link"));
    }
}
