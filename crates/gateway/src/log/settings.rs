//! `logging`: what is written down, where, and what is hidden in it.

use std::path::{Component, Path, PathBuf};

use profile::{Ambient, Instance};
use regex_lite::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;

/// Bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 256 * 1024;

/// `logging`. Keys that are not named here are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Settings {
    /// What goes into the file: `silent`, `fatal`, `error`, `warn`, `info`, `debug` or `trace`.
    #[schemars(extend("enum" = ["silent", "fatal", "error", "warn", "info", "debug", "trace"]))]
    pub level: String,
    /// What goes to the terminal, or to whoever runs the gateway; as `level` when absent.
    #[schemars(extend("enum" = ["silent", "fatal", "error", "warn", "info", "debug", "trace"]))]
    pub console_level: Option<String>,
    /// How it looks there: `pretty`, `compact` (no date), or `json` (an object a line).
    #[schemars(extend("enum" = ["pretty", "compact", "json"]))]
    pub console_style: String,
    /// `tools`: what looks like a secret is masked. `off`: only the instance's own secrets are.
    #[schemars(extend("enum" = ["tools", "off"]))]
    pub redact_sensitive: String,
    /// What else is masked: regular expressions, case-insensitive, or `/expression/flags`.
    pub redact_patterns: Vec<String>,
    /// The file, a `.log` in the state folder; `logs/gateway.log` there when absent.
    #[schemars(extend("x-reload" = "gateway"))]
    pub file: Option<String>,
    /// The bytes at which the file is put aside and a new one begun. Five that were put aside are kept.
    pub max_file_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            console_level: None,
            console_style: "pretty".to_owned(),
            redact_sensitive: "tools".to_owned(),
            redact_patterns: Vec::new(),
            file: None,
            max_file_bytes: 10 * 1024 * 1024,
        }
    }
}

/// What is wrong with one key: its path below `logging`, and the words.
pub type Wrong = (String, String);

/// How a line looks on the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// With the whole time.
    Pretty,
    /// With the time of day.
    Compact,
    /// An object a line.
    Json,
}

impl Settings {
    /// What keeps these from being obeyed at all.
    pub fn wrong(&self) -> Vec<Wrong> {
        let mut found = Vec::new();
        let mut check = |key: &str, words: Result<(), String>| {
            found.extend(words.err().map(|it| (key.to_owned(), it)));
        };
        check("level", level(&self.level).map(drop));
        check("consoleLevel", self.console_level.as_deref().map_or(Ok(()), |it| level(it).map(drop)));
        check("consoleStyle", self.style().map(drop));
        check("redactSensitive", self.masks_shapes().map(drop));
        let size =
            if self.max_file_bytes == 0 { Err("is 0; name a number of bytes".to_owned()) } else { Ok(()) };
        check("maxFileBytes", size);
        found
    }

    /// Patterns that are left out since they are none that we understand.
    pub fn unusable_patterns(&self) -> Vec<Wrong> {
        self.compiled()
            .filter_map(|(at, it)| it.err().map(|words| (format!("redactPatterns.{at}"), words)))
            .collect()
    }

    /// The file of an instance.
    ///
    /// # Errors
    /// Says why `file` names a place that is not used.
    pub fn place(&self, instance: &Instance, ambient: &Ambient) -> Result<PathBuf, String> {
        let Some(named) = self.file.as_deref().map(str::trim).filter(|it| !it.is_empty()) else {
            return Ok(super::path(&instance.state_dir));
        };
        let path = plain(&ambient.path(named));
        let folder = plain(&instance.state_dir);
        let inside = path.strip_prefix(&folder).is_ok_and(|it| it.components().count() > 0);
        let refused = |why: &str| {
            let standard = super::path(&instance.state_dir);
            Err(format!(
                "is not used: {why}; the log of instance {} is {}",
                instance.name,
                standard.display()
            ))
        };
        if !inside || leads_out(&path, &folder) {
            return refused(&format!(
                "a log is kept in the state folder {} only, never in a folder that others share",
                folder.display()
            ));
        }
        if path.extension().is_none_or(|it| it != "log") {
            return refused("the name of a log ends in .log");
        }
        Ok(path)
    }

    pub(super) fn style(&self) -> Result<Style, String> {
        match self.console_style.to_ascii_lowercase().as_str() {
            "pretty" => Ok(Style::Pretty),
            "compact" => Ok(Style::Compact),
            "json" => Ok(Style::Json),
            other => Err(format!("is \"{other}\"; use pretty, compact or json")),
        }
    }

    pub(super) fn masks_shapes(&self) -> Result<bool, String> {
        match self.redact_sensitive.to_ascii_lowercase().as_str() {
            "tools" => Ok(true),
            "off" => Ok(false),
            other => Err(format!("is \"{other}\"; use tools or off")),
        }
    }

    /// The patterns that are understood.
    pub(super) fn patterns(&self) -> Vec<Regex> {
        self.compiled().filter_map(|it| it.1.ok()).collect()
    }

    fn compiled(&self) -> impl Iterator<Item = (usize, Result<Regex, String>)> {
        self.redact_patterns.iter().map(|it| compile(it)).enumerate()
    }
}

/// A log's level by its word.
///
/// # Errors
/// Names the words that there are.
pub fn level(word: &str) -> Result<LevelFilter, String> {
    Ok(match word.to_ascii_lowercase().as_str() {
        "silent" => LevelFilter::OFF,
        "fatal" | "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        other => {
            return Err(format!("is \"{other}\"; use silent, fatal, error, warn, info, debug or trace"));
        }
    })
}

/// As the original reads them: case-insensitive by itself, and by its flags where it is written between slashes.
fn compile(text: &str) -> Result<Regex, String> {
    let flagged = text.strip_prefix('/').and_then(|it| it.rsplit_once('/'));
    let flagged = flagged.filter(|(_, flags)| flags.bytes().all(|it| it.is_ascii_lowercase()));
    let (expression, flags) = flagged.unwrap_or((text, "i"));
    if expression.trim().is_empty() {
        return Err("is empty, and left out".to_owned());
    }
    let mut builder = RegexBuilder::new(expression);
    builder.case_insensitive(flags.contains('i')).dot_matches_new_line(flags.contains('s'));
    let compiled = builder.size_limit(PATTERN_BYTES).build();
    compiled.map_err(|error| {
        let words = base::text::line(&error.to_string(), 200);
        format!("is left out: {words} (look-around and back-references are not understood)")
    })
}

/// Without `.` and `..`, by the text alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Whether a link on the way leads out of the folder.
fn leads_out(path: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let there = path.ancestors().skip(1).find_map(|it| it.canonicalize().ok());
    let file = path.canonicalize().ok();
    there.into_iter().chain(file).any(|it| !it.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        serde_json::from_str(text).expect("settings")
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let wrong = |text: &str| settings(text).wrong();
        assert_eq!(wrong(r#"{"level": "WARN", "consoleLevel": "silent", "unknown": 1}"#), []);
        let all = r#"{"level": "a", "consoleLevel": "b", "consoleStyle": "c", "redactSensitive": "d", "maxFileBytes": 0}"#;
        let keys: Vec<String> = wrong(all).into_iter().map(|it| it.0).collect();
        assert_eq!(keys, ["level", "consoleLevel", "consoleStyle", "redactSensitive", "maxFileBytes"]);
        let patterns = settings(r#"{"redactPatterns": ["a+", "(", "/B/", "(?=x)", " ", "/x(/gi"]}"#);
        let keys: Vec<String> = patterns.unusable_patterns().into_iter().map(|it| it.0).collect();
        assert_eq!(keys, [1, 3, 4, 5].map(|it| format!("redactPatterns.{it}")));
        let matches = |text| patterns.patterns().iter().map(|it| it.is_match(text)).collect::<Vec<_>>();
        assert_eq!(
            (matches("A"), matches("b"), matches("B")),
            (vec![true, false], vec![false, false], vec![false, true])
        );
    }

    #[test]
    fn the_file_is_in_the_state_folder_or_is_not_used() {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path().canonicalize().expect("there");
        let ambient = Ambient::of(&[("HOME", &home.display().to_string())], &home);
        let instance = Instance::of_profile(&ambient, None).expect("resolves");
        std::fs::create_dir(&instance.state_dir).expect("made");
        std::os::unix::fs::symlink("/tmp", instance.state_dir.join("out")).expect("made");
        let place = |file: &str| {
            Settings { file: Some(file.to_owned()), ..Settings::default() }.place(&instance, &ambient)
        };
        for (file, expected) in [
            ("", "logs/gateway.log"),
            ("~/.openclaw/logs/own.log", "logs/own.log"),
            (".openclaw/own.log", "own.log"),
            ("~/.openclaw/x/../own.log", "own.log"),
        ] {
            assert_eq!(place(file), Ok(instance.state_dir.join(expected)), "{file}");
        }
        for (file, why) in [
            ("/tmp/openclaw/openclaw.log", "is not used: a log is kept in the state folder"),
            ("~/.openclaw/../x.log", "folder that others share; the log of instance default is "),
            ("~/.openclaw-other/x.log", "folder that others share"),
            ("~/.openclaw/out/x.log", "folder that others share"),
            ("~/.openclaw", "folder that others share"),
            ("~/.openclaw/openclaw.json", "ends in .log"),
        ] {
            let words = place(file).expect_err(file);
            assert!(words.contains(why), "{file}: {words}");
        }
    }
}
