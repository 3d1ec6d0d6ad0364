//! Paths in a config that follow what was moved.

use std::path::{Component, Path, PathBuf};

use profile::{Ambient, Document, Finding};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How people write paths in a config: absolute, from `~` on, or from a variable of their home on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Texts {
    /// What a text may begin with, and the folder that it stands for.
    beginnings: Vec<(String, PathBuf)>,
}

/// Where things went: each pair is a folder before and after. The longest that fits decides.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Moves {
    texts: Texts,
    pairs: Vec<(PathBuf, PathBuf)>,
    /// Folders that were given another place, and what is in them was not.
    alone: Vec<(PathBuf, PathBuf)>,
}

impl Texts {
    /// As in these surroundings.
    pub(crate) fn of(ambient: &Ambient) -> Self {
        let home = ambient.home().map(|it| ("~".to_owned(), it));
        let variables = ["HOME", "OPENCLAW_HOME"].into_iter();
        let variables =
            variables.filter_map(|it| Some((format!("${{{it}}}"), ambient.path(ambient.var(it)?))));
        Self { beginnings: home.into_iter().chain(variables).collect() }
    }

    /// The path that a text is; `None` for any other text.
    pub(crate) fn path(&self, text: &str) -> Option<PathBuf> {
        let text = text.trim();
        if text.starts_with('/') {
            return Some(clean(Path::new(text)));
        }
        let (_, folder, rest) = self.beginning(text)?;
        Some(clean(&folder.join(rest.trim_start_matches('/'))))
    }

    /// The path as a text that begins as `like` does, where that can be.
    fn written(&self, path: &Path, like: &str) -> String {
        let ending = if like.ends_with('/') { "/" } else { "" };
        let short = self.beginning(like.trim()).and_then(|(beginning, folder, _)| {
            let below = path.strip_prefix(clean(folder)).ok()?;
            Some(format!("{beginning}/{}{ending}", below.display()))
        });
        short.unwrap_or_else(|| format!("{}{ending}", path.display()))
    }

    fn beginning<'a>(&'a self, text: &'a str) -> Option<(&'a str, &'a Path, &'a str)> {
        self.beginnings.iter().find_map(|(beginning, folder)| {
            let rest = text.strip_prefix(beginning.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((beginning.as_str(), folder.as_path(), rest))
        })
    }
}

impl Moves {
    /// These moves, also for whoever writes the folders without the links on the way to them.
    pub(crate) fn of(ambient: &Ambient, pairs: &[(PathBuf, PathBuf)]) -> Self {
        let spelled = |(from, to): &(PathBuf, PathBuf)| {
            // A path that is no text stands in no config.
            let real = std::fs::canonicalize(from).ok().filter(|it| it.to_str().is_some());
            [Some(clean(from)), real].into_iter().flatten().map(|it| (it, to.clone())).collect::<Vec<_>>()
        };
        let mut pairs: Vec<_> = pairs.iter().flat_map(spelled).collect();
        pairs.sort_by_key(|(from, _)| std::cmp::Reverse(from.components().count()));
        pairs.dedup();
        Self { texts: Texts::of(ambient), pairs, alone: Vec::new() }
    }

    /// These moves, and folders that were given another place without what is in them.
    pub(crate) fn and_alone(mut self, alone: Vec<(PathBuf, PathBuf)>) -> Self {
        self.alone = alone;
        self
    }

    /// Where a path went; `None` where it stayed.
    pub(crate) fn path(&self, path: &Path) -> Option<PathBuf> {
        let path = clean(path);
        if let Some((_, to)) = self.alone.iter().find(|(from, _)| *from == path) {
            return Some(to.clone());
        }
        self.pairs.iter().find_map(|(from, to)| {
            let within = path.strip_prefix(from).ok()?;
            Some(if within.as_os_str().is_empty() { to.clone() } else { to.join(within) })
        })
    }

    /// Lets every text of the document that is a path follow.
    ///
    /// # Errors
    /// When the document cannot be changed, which one that was parsed can.
    pub(crate) fn apply(&self, document: &mut Document) -> Result<(), Finding> {
        for (keys, text) in document.texts() {
            let moved = self.texts.path(&text).and_then(|it| self.path(&it));
            if let Some(moved) = moved {
                document.set_at(&keys, &json!(self.texts.written(&moved, &text)))?;
            }
        }
        Ok(())
    }

    /// The places of texts that speak of a folder that moved and are more than a path.
    pub(crate) fn mentions(&self, document: &Document) -> Vec<String> {
        let speaks = |text: &str| {
            let spelled = |it: &Path| {
                let short = self.texts.written(it, "~/");
                names(text, &it.display().to_string()) || names(text, short.trim_end_matches('/'))
            };
            self.pairs.iter().any(|(from, _)| spelled(from))
        };
        let texts = document.texts().into_iter().filter(|(_, text)| speaks(text));
        texts.map(|(keys, _)| keys.join(".")).collect()
    }
}

/// The path without `.` and `..`, by its words alone.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

/// Whether the text has the path in it, and not only the beginning of another one's name.
fn names(text: &str, path: &str) -> bool {
    text.match_indices(path).any(|(at, _)| {
        let next = text[at + path.len()..].chars().next();
        next.is_none_or(|it| !(it.is_alphanumeric() || matches!(it, '-' | '_' | '.')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves() -> Moves {
        let ambient = Ambient::of(&[("HOME", "/home/ada")], Path::new("/srv"));
        let old = PathBuf::from("/home/ada/.openclaw-old");
        let new = PathBuf::from("/home/ada/.openclaw-new");
        let inner = (old.join("workspace-old"), new.join("workspace-new"));
        Moves::of(&ambient, &[(old, new), inner, ("/data/ws".into(), "/home/ada/.openclaw-new/ws".into())])
    }

    #[test]
    fn a_path_follows_and_keeps_its_spelling() {
        for (text, expected) in [
            ("~/.openclaw-old", "~/.openclaw-new"),
            ("~/.openclaw-old/workspace-old/x/", "~/.openclaw-new/workspace-new/x/"),
            ("/home/ada/.openclaw-old/./skills/../workspace-old", "/home/ada/.openclaw-new/workspace-new"),
            ("${HOME}/.openclaw-old/a", "${HOME}/.openclaw-new/a"),
            ("/data/ws/a", "/home/ada/.openclaw-new/ws/a"),
            ("~/.openclaw-older/a", "~/.openclaw-older/a"),
            ("~/.openclaw-old/workspace-older", "~/.openclaw-new/workspace-older"),
            (".openclaw-old/a", ".openclaw-old/a"),
            ("see ~/.openclaw-old/a", "see ~/.openclaw-old/a"),
            ("~ada/.openclaw-old", "~ada/.openclaw-old"),
        ] {
            let mut document = Document::fresh(Path::new("/x"));
            document.set("a", &json!(["first", text])).expect("set");
            moves().apply(&mut document).expect("applied");
            assert_eq!(document.value()["a"], json!(["first", expected]), "{text}");
        }
    }

    #[test]
    fn comments_stay_also_in_lists() {
        let text = "{\n  // one\n  a: [\n    // two\n    '~/.openclaw-old/x', // three\n    'y', /* four */\n  ],\n}\n";
        let mut document = Document::parse(Path::new("/x"), text.to_owned()).expect("JSON5");
        moves().apply(&mut document).expect("applied");
        for kept in ["// one", "// two", "// three", "/* four */", "~/.openclaw-new/x"] {
            assert!(document.text().contains(kept), "{kept} is gone from {}", document.text());
        }
    }

    #[test]
    fn what_is_more_than_a_path_is_told() {
        let mut document = Document::fresh(Path::new("/x"));
        let texts = json!({"run": "cat ~/.openclaw-old/x", "dir": "--dir=/home/ada/.openclaw-old", "no": "~/.openclaw-older"});
        document.set("a", &texts).expect("set");
        assert_eq!(moves().mentions(&document), ["a.run", "a.dir"]);
    }
}
