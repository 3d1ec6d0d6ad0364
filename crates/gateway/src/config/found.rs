//! What is to be said of a config, gathered.

use profile::document::Weight;
use profile::{Finding, Sources};
use serde_json::Value;

use super::known;
use super::schema::ours;

/// As many findings of a weight as are told one by one: a file may have a hundred thousand odd keys, and nobody reads
/// of more.
const MOST: usize = 100;

/// Findings about one config.
#[derive(Debug)]
pub struct Found<'a> {
    sources: &'a Sources,
    list: Vec<Finding>,
    /// How many there are of each weight.
    counts: [usize; 3],
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
        Self { sources, list, counts: [0; 3] }
    }

    /// Something that keeps a gateway from running.
    pub fn wrong<K: AsRef<str>>(&mut self, keys: &[K], words: impl Into<String>) {
        self.add(Weight::Error, |sources| sources.finding(keys, words));
    }

    /// Something that does not do what was meant.
    pub fn odd<K: AsRef<str>>(&mut self, keys: &[K], words: impl Into<String>) {
        self.add(Weight::Warning, |sources| sources.finding(keys, words));
    }

    /// A key of the original that nothing here obeys.
    pub fn without_effect<K: AsRef<str>>(&mut self, keys: &[K]) {
        self.add(Weight::Note, |sources| sources.finding(keys, "has no effect here"));
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
                self.add(Weight::Note, |sources| sources.finding(keys, words));
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

    fn misspelt(&mut self, keys: &[String]) {
        self.add(Weight::Warning, |sources| {
            let nearest = known::nearest(&strs(keys), ours());
            let remedy = nearest.map_or("take it out, if it is not for another program".to_owned(), |it| {
                format!("did you mean {it}?")
            });
            sources.finding(keys, "is no key that anybody knows").remedy(remedy)
        });
    }

    /// What is beyond the bound is counted and not made, which would take its time.
    fn add(&mut self, weight: Weight, make: impl FnOnce(&Sources) -> Finding) {
        let count = &mut self.counts[weight as usize];
        *count += 1;
        if *count <= MOST {
            self.list.push(make(self.sources).weighs(weight));
        }
    }

    /// In the order of the files and their lines.
    pub(super) fn into_list(self) -> Vec<Finding> {
        let main = self.sources.main().path().to_path_buf();
        let mut list = self.list;
        for weight in [Weight::Note, Weight::Warning, Weight::Error] {
            let more = self.counts[weight as usize].saturating_sub(MOST);
            if more > 0 {
                let words = format!("and {more} more of this kind ({})", weight.word());
                list.push(self.sources.main().finding("", words).weighs(weight));
            }
        }
        list.sort_by_key(|it| (it.file != main, it.file.clone(), it.line, it.column));
        list
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use profile::sources::Reach;
    use profile::{Ambient, Document};

    use super::*;

    #[test]
    fn a_file_full_of_odd_keys_is_told_soon_and_its_errors_all_the_same() {
        let odd: String = (0..20_000).map(|it| format!("zebra{it}: '${{NO_{it}}}',\n")).collect();
        let text = format!("{{ {odd} gateway: {{ port: 'x' }} }}");
        let document = Document::parse(Path::new("/x/openclaw.json"), text).expect("JSON5");
        let read = crate::config::read(document, &Reach::default(), &Ambient::of(&[], Path::new("/")));
        let of = |weight| read.findings.iter().filter(|it| it.weight == weight).collect::<Vec<_>>();
        assert_eq!(of(Weight::Error).len(), 1, "{:?}", of(Weight::Error));
        let warnings = of(Weight::Warning);
        assert_eq!(warnings.len(), MOST + 1, "{} warnings", warnings.len());
        assert!(warnings.iter().any(|it| it.message.starts_with("and 19900 more")), "{:?}", warnings[0]);
    }
}
