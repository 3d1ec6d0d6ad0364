//! What is to be said of a config, gathered.

use profile::document::Weight;
use profile::{Finding, Sources};
use serde_json::Value;

use super::known;
use super::schema::ours;

/// The most that is told of a config, of each weight: nobody reads on, and each place is looked up in the file.
const MOST: usize = 100;

/// Findings about one config.
#[derive(Debug)]
pub struct Found<'a> {
    sources: &'a Sources,
    list: Vec<Finding>,
    /// Those that were too many to be told.
    untold: usize,
}

/// Sections of which only the claims are obeyed: folders, ports, addresses and logins that one instance may hold.
fn is_held(keys: &[String]) -> bool {
    let keys = strs(keys);
    matches!(keys[..], ["browser" | "canvasHost" | "channels", ..] | ["agents", "list", ..])
}

fn is_known(keys: &[String]) -> bool {
    known::is_known(&strs(keys))
}

fn strs(keys: &[String]) -> Vec<&str> {
    keys.iter().map(String::as_str).collect()
}

impl<'a> Found<'a> {
    /// Begins with those that reading the files brought.
    pub(super) fn new(sources: &'a Sources, list: Vec<Finding>) -> Self {
        Self { sources, list, untold: 0 }
    }

    /// Something that keeps a gateway from running.
    pub fn wrong<K: AsRef<str>>(&mut self, keys: &[K], words: impl Into<String>) {
        self.add(keys, words, Weight::Error);
    }

    /// Something that does not do what was meant.
    pub fn odd<K: AsRef<str>>(&mut self, keys: &[K], words: impl Into<String>) {
        self.add(keys, words, Weight::Warning);
    }

    /// A key of the original that nothing here obeys.
    pub fn without_effect<K: AsRef<str>>(&mut self, keys: &[K]) {
        self.add(keys, "has no effect here", Weight::Note);
    }

    /// A value that is missing because what it names is. Without the secret of the gateway itself nobody may run: it
    /// would be another one than was meant.
    pub(super) fn unset(&mut self, keys: &[String], words: String) {
        let is_door =
            keys.first().is_some_and(|it| it == "gateway") && keys.get(1).is_some_and(|it| it == "auth");
        if is_door { self.wrong(keys, words) } else { self.odd(keys, words) }
    }

    /// Keys that no type of ours has: those of the original have no effect, and anything else may be misspelt.
    pub(super) fn unknown(&mut self, ignored: &[Vec<String>], value: &Value) {
        for keys in ignored {
            if !is_known(keys) {
                self.misspelt(keys);
                continue;
            }
            if is_held(keys) {
                let words = "is not run here; what it names is held, so that no other instance takes it";
                self.add(keys, words, Weight::Note);
            } else {
                self.without_effect(keys);
            }
            let section = keys.iter().try_fold(value, |it, key| match it {
                Value::Array(items) => items.get(key.parse::<usize>().ok()?),
                other => other.get(key),
            });
            if let Some(section) = section {
                self.unknown_below(section, &mut keys.clone());
            }
        }
    }

    fn unknown_below(&mut self, value: &Value, keys: &mut Vec<String>) {
        let below: Vec<(String, &Value)> = match value {
            Value::Object(object) => object.iter().map(|(key, it)| (key.clone(), it)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(at, it)| (at.to_string(), it)).collect(),
            _ => return,
        };
        for (key, it) in below {
            keys.push(key);
            if is_known(keys) {
                self.unknown_below(it, keys)
            } else {
                self.misspelt(keys)
            }
            keys.pop();
        }
    }

    fn add<K: AsRef<str>>(&mut self, keys: &[K], words: impl Into<String>, weight: Weight) {
        // Of each weight as many: a flood of notes does not drown an error.
        if self.list.iter().filter(|it| it.weight == weight).count() >= MOST {
            self.untold += 1;
            return;
        }
        self.list.push(self.sources.finding(keys, words).weighs(weight));
    }

    fn misspelt(&mut self, keys: &[String]) {
        if self.list.iter().filter(|it| it.weight == Weight::Warning).count() >= MOST {
            self.untold += 1;
            return;
        }
        let nearest = known::nearest(&strs(keys), ours());
        let remedy = nearest.map_or("take it out, if it is not for another program".to_owned(), |it| {
            format!("did you mean {it}?")
        });
        let finding = self.sources.finding(keys, "is no key that anybody knows").remedy(remedy);
        self.list.push(finding.weighs(Weight::Warning));
    }

    /// In the order of the files and their lines.
    pub(super) fn into_list(self) -> Vec<Finding> {
        let main = self.sources.main().path().to_path_buf();
        let mut list = self.list;
        if self.untold > 0 {
            list.push(Finding::whole(format!("{} more like these", self.untold)).weighs(Weight::Warning));
        }
        list.sort_by_key(|it| (it.file != main, it.file.clone(), it.line, it.column));
        list
    }
}
