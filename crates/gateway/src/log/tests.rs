//! The log as a whole: events in, lines out.

use super::*;
use profile::Ambient;

fn text(instance: &Instance) -> String {
    std::fs::read_to_string(path(&instance.state_dir)).unwrap_or_default()
}

/// Lines without their times.
fn lines(instance: &Instance) -> Vec<String> {
    text(instance).lines().map(|it| it.split_once(' ').expect("a time").1.to_owned()).collect()
}

fn begun(
    home: &Path,
    settings: &Settings,
    level: Option<&str>,
    secrets: &[Secret],
) -> (Instance, Log, Vec<Wrong>) {
    let ambient = Ambient::of(&[("HOME", &home.display().to_string())], home);
    let instance = Instance::of_profile(&ambient, None).expect("resolves");
    std::fs::create_dir_all(&instance.state_dir).expect("made");
    let (log, wrong) = begin(Start { instance: &instance, ambient: &ambient, level }, settings, secrets);
    (instance, log, wrong)
}

fn settings(text: &str) -> Settings {
    serde_json::from_str(text).expect("settings")
}

#[test]
fn levels_and_masks_change_while_it_runs() {
    let home = tempfile::tempdir().expect("a folder");
    let quiet = settings(r#"{"consoleLevel": "silent"}"#);
    let secrets: Vec<Secret> = Secret::new("the-secret-of-it").into_iter().collect();
    let (instance, log, _) = begun(home.path(), &quiet, None, &[]);
    let said = || {
        tracing::debug!(answer = 42, "aside the-secret-of-it");
        tracing::info!(token = "abc", "hello\nworld");
    };
    let dispatch = tracing::Dispatch::new(ToLog(log.clone()));
    tracing::dispatcher::with_default(&dispatch, || {
        said();
        log.apply(
            &settings(r#"{"consoleLevel": "silent", "level": "debug", "redactSensitive": "off"}"#),
            &secrets,
        );
        said();
        log.apply(
            &settings(r#"{"consoleLevel": "silent", "level": "error", "redactPatterns": ["w.rst", "("]}"#),
            &[],
        );
        said();
        tracing::error!("the worst");
        for _ in 0..2 {
            tracing::error!("again");
        }
    });
    log.finish();
    let lines = lines(&instance);
    let (folded, lines) = lines.split_last().expect("lines");
    assert_eq!(
        lines,
        [
            "[gateway] hello world token=***",
            "[gateway] debug: aside *** answer=42",
            "[gateway] hello world token=abc",
            "[gateway] error: the ***",
            "[gateway] error: again",
        ]
    );
    assert!(folded.starts_with("[gateway] error: again (repeated 1 time since 2"), "{folded}");
}

#[test]
fn a_level_of_the_command_line_outlives_other_settings() {
    let home = tempfile::tempdir().expect("a folder");
    let (instance, log, _) =
        begun(home.path(), &settings(r#"{"consoleLevel": "silent"}"#), Some("silent"), &[]);
    let dispatch = tracing::Dispatch::new(ToLog(log.clone()));
    tracing::dispatcher::with_default(&dispatch, || {
        log.apply(&Settings::default(), &[]);
        tracing::error!("nobody hears it");
    });
    assert_eq!(text(&instance), "");
}

#[test]
fn another_file_is_found_from_the_standard_place_and_a_foreign_one_is_not_used() {
    let home = tempfile::tempdir().expect("a folder");
    let (instance, log, wrong) =
        begun(home.path(), &settings(r#"{"file": "/tmp/x.log", "redactPatterns": ["("]}"#), None, &[]);
    log.0.inner().sinks.write(Record::new(tracing::Level::INFO, "a", "one"), 0, (true, false));
    let keys: Vec<&str> = wrong.iter().map(|it| it.0.as_str()).collect();
    assert_eq!((keys, lines(&instance)), (vec!["file"], vec!["[a] one".to_owned()]));

    let own = r#"{"file": "~/.openclaw/deep/own.log"}"#;
    let (instance, log, wrong) = begun(home.path(), &settings(own), None, &[]);
    log.0.inner().sinks.write(Record::new(tracing::Level::INFO, "a", "two"), 0, (true, false));
    let standard = path(&instance.state_dir);
    assert!(wrong.is_empty() && standard.is_symlink(), "{wrong:?}");
    assert_eq!(lines(&instance), ["[a] two"]);
    let before = std::fs::read_to_string(file::aside(&standard, 1)).expect("put aside");
    assert!(before.ends_with(" [a] one\n"), "{before}");

    let (_, log, _) = begun(home.path(), &Settings::default(), None, &[]);
    log.0.inner().sinks.write(Record::new(tracing::Level::INFO, "a", "three"), 0, (true, false));
    assert_eq!(lines(&instance), ["[a] three"]);
}
