//! A config as a whole: its file and all that it includes, with the place that each key comes from.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use crate::ambient::Ambient;
use crate::document::{Document, Finding, Unreadable};

/// The key that brings another file in.
const INCLUDE: &str = "$include";
/// How deep files may include each other.
const DEEPEST: usize = 10;
/// How many times files may be included altogether: ten that each include the next ten times are ten thousand million.
const MOST: usize = 1000;
/// The most bytes of all that is included, each time counted.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// The longest path of an included file, in bytes.
const LONGEST_PATH: usize = 4096;

/// A config and what it includes.
#[derive(Clone)]
pub struct Sources {
    /// The first is the config file itself.
    documents: Vec<Document>,
    value: Value,
    /// Absent where nothing is included: each key is then where it says.
    root: Option<Node>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What they say may be secret.
        f.debug_list().entries(&self.documents).finish()
    }
}

/// Where the files are that a config may include.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// Folders beside that of the config file, as `OPENCLAW_INCLUDE_ROOTS` names them.
    pub roots: Vec<PathBuf>,
    /// Files as they were, in the place of those on disk: path and text.
    pub kept: Option<Vec<(PathBuf, String)>>,
}

/// A value with its origin: the document, and the keys within it.
#[derive(Debug, Clone)]
struct Node {
    document: usize,
    keys: Vec<String>,
    tree: Tree,
}

#[derive(Debug, Clone)]
enum Tree {
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    Leaf(Value),
}

/// Follows includes.
struct Reader<'a> {
    reach: &'a Reach,
    /// The folder of the config file, as the kernel names it.
    home: PathBuf,
    documents: Vec<Document>,
    /// The files that lead to the one that is being read.
    chain: Vec<PathBuf>,
    /// How many were included so far, and their bytes.
    included: (usize, usize),
    /// That there were too many has been told.
    is_full: bool,
    found: Vec<Finding>,
}

impl Reach {
    /// As the surroundings say: `OPENCLAW_INCLUDE_ROOTS` is a list of absolute folders, with colons between them.
    pub fn of(ambient: &Ambient) -> Self {
        let named = ambient.var("OPENCLAW_INCLUDE_ROOTS").unwrap_or_default();
        let roots = named.split(':').filter(|it| it.starts_with('/')).map(|it| plain(Path::new(it)));
        Self { roots: roots.collect(), kept: None }
    }
}

impl Sources {
    /// Reads a config file and all that it includes. What cannot be included is left out and told as a finding.
    ///
    /// # Errors
    /// When the config file itself is missing, cannot be read or does not parse.
    pub fn load(path: &Path, reach: &Reach) -> Result<(Self, Vec<Finding>), Unreadable> {
        Ok(Self::of(Document::load(path)?, reach))
    }

    /// As [`Sources::load`], of a document that was read or made already.
    pub fn of(document: Document, reach: &Reach) -> (Self, Vec<Finding>) {
        if !mentions_include(document.value()) {
            let value = document.value().clone();
            return (Self { documents: vec![document], value, root: None }, Vec::new());
        }
        let folder = document.path().parent().unwrap_or(Path::new("/"));
        let home = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
        let value = document.value().clone();
        let chain = vec![document.path().to_path_buf()];
        let mut reader = Reader {
            reach,
            home,
            documents: vec![document],
            chain,
            included: (0, 0),
            is_full: false,
            found: Vec::new(),
        };
        let root = reader.node(&value, 0, &mut Vec::new());
        let Reader { documents, found, .. } = reader;
        (Self { documents, value: root.value(), root: Some(root) }, found)
    }

    /// The config file itself.
    pub fn main(&self) -> &Document {
        &self.documents[0]
    }

    /// The files that it includes, each once.
    pub fn included(&self) -> &[Document] {
        &self.documents[1..]
    }

    /// Path and text of the files that it includes.
    pub fn kept(&self) -> Vec<(PathBuf, String)> {
        self.included().iter().map(|it| (it.path().to_path_buf(), it.text().to_owned())).collect()
    }

    /// What all of them say together; nothing is substituted yet.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// A finding at the place of a key, in whichever file it stands; at its nearest ancestor where it is not there.
    pub fn finding<K: AsRef<str>>(&self, keys: &[K], message: impl Into<String>) -> Finding {
        let keys: Vec<String> = keys.iter().map(|it| it.as_ref().to_owned()).collect();
        let Some(root) = &self.root else { return self.main().finding_at(&keys, message) };
        let (node, left) = root.nearest(&keys);
        let place: Vec<String> = node.keys.iter().chain(left).cloned().collect();
        let mut finding = self.documents[node.document].finding_at(&place, message);
        // People look for the key as it counts, whichever file it is written in.
        finding.path = keys.join(".");
        finding
    }

    /// The document in which a key is set, or would be set, and its keys within that one. The first is the config
    /// file itself.
    pub fn owner<K: AsRef<str>>(&self, keys: &[K]) -> (&Document, Vec<String>) {
        let keys: Vec<String> = keys.iter().map(|it| it.as_ref().to_owned()).collect();
        let Some(root) = &self.root else { return (self.main(), keys) };
        let (node, left) = root.nearest(&keys);
        (&self.documents[node.document], node.keys.iter().chain(left).cloned().collect())
    }
}

fn mentions_include(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.contains_key(INCLUDE) || object.values().any(mentions_include),
        Value::Array(items) => items.iter().any(mentions_include),
        _ => false,
    }
}

impl Node {
    fn value(&self) -> Value {
        match &self.tree {
            Tree::Object(entries) => {
                Value::Object(entries.iter().map(|(key, it)| (key.clone(), it.value())).collect())
            }
            Tree::List(items) => Value::Array(items.iter().map(Node::value).collect()),
            Tree::Leaf(value) => value.clone(),
        }
    }

    /// The deepest node on the way, and the keys that it does not have.
    fn nearest<'a>(&self, keys: &'a [String]) -> (&Node, &'a [String]) {
        let Some((first, rest)) = keys.split_first() else { return (self, keys) };
        let below = match &self.tree {
            Tree::Object(entries) => entries.iter().find(|(key, _)| key == first).map(|(_, it)| it),
            Tree::List(items) => first.parse::<usize>().ok().and_then(|at| items.get(at)),
            Tree::Leaf(_) => None,
        };
        below.map_or((self, keys), |it| it.nearest(rest))
    }

    /// Objects merge, lists are put one behind the other, anything else replaces what was there.
    fn merge(&mut self, other: Node) {
        match (&mut self.tree, other) {
            (Tree::Object(mine), Node { tree: Tree::Object(theirs), .. }) => {
                for (key, it) in theirs {
                    match mine.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, before)) => before.merge(it),
                        None => mine.push((key, it)),
                    }
                }
            }
            (Tree::List(mine), Node { tree: Tree::List(theirs), .. }) => mine.extend(theirs),
            (_, other) => *self = other,
        }
    }

    fn is_object(&self) -> bool {
        matches!(self.tree, Tree::Object(_))
    }
}

impl Reader<'_> {
    fn node(&mut self, value: &Value, document: usize, keys: &mut Vec<String>) -> Node {
        let mut below = |reader: &mut Self, key: String, it: &Value| {
            keys.push(key.clone());
            let node = reader.node(it, document, keys);
            keys.pop();
            (key, node)
        };
        let tree = match value {
            Value::Object(object) if object.contains_key(INCLUDE) => {
                return self.included(object, document, keys);
            }
            Value::Object(object) => {
                Tree::Object(object.iter().map(|(key, it)| below(self, key.clone(), it)).collect())
            }
            Value::Array(items) => {
                let nodes = items.iter().enumerate().map(|(at, it)| below(self, at.to_string(), it).1);
                Tree::List(nodes.collect())
            }
            other => Tree::Leaf(other.clone()),
        };
        Node { document, keys: keys.clone(), tree }
    }

    /// What the files say, and over it what stands beside the key.
    fn included(&mut self, object: &Map<String, Value>, document: usize, keys: &mut Vec<String>) -> Node {
        keys.push(INCLUDE.to_owned());
        let place = keys.clone();
        keys.pop();
        let mut whole: Option<Node> = None;
        for (at, name) in self.names(&object[INCLUDE], document, &place) {
            let Some(node) = self.file(&name, document, &at) else { continue };
            match &mut whole {
                Some(it) => it.merge(node),
                None => whole = Some(node),
            }
        }
        let mut beside = object.clone();
        beside.remove(INCLUDE);
        let is_empty = beside.is_empty();
        let own = self.node(&Value::Object(beside), document, keys);
        match whole {
            None => own,
            Some(it) if is_empty => it,
            Some(mut it) if it.is_object() => {
                it.merge(own);
                // What is added later belongs to the file that has the key.
                Node { document, keys: keys.clone(), ..it }
            }
            Some(_) => {
                self.wrong(
                    document,
                    &place,
                    "what is included beside other keys must be an object".to_owned(),
                );
                own
            }
        }
    }

    /// The files that an include names, each with the place of its name.
    fn names(&mut self, value: &Value, document: usize, place: &[String]) -> Vec<(Vec<String>, String)> {
        let listed = match value {
            Value::String(it) => return vec![(place.to_vec(), it.clone())],
            Value::Array(items) => items.iter().map(Value::as_str).enumerate(),
            _ => {
                self.wrong(document, place, "must be a path or a list of paths".to_owned());
                return Vec::new();
            }
        };
        let mut names = Vec::new();
        for (at, name) in listed {
            let place = [place, &[at.to_string()]].concat();
            match name {
                Some(it) => names.push((place, it.to_owned())),
                None => self.wrong(document, &place, "must be a path".to_owned()),
            }
        }
        names
    }

    fn file(&mut self, name: &str, document: usize, place: &[String]) -> Option<Node> {
        let read = self.path(name, document).and_then(|path| {
            self.may_follow(&path)?;
            self.document(&path)
        });
        let included = match read {
            Ok(it) => it,
            // Its own place has been told.
            Err(words) if words.is_empty() => return None,
            Err(words) => {
                self.wrong(document, place, words);
                return None;
            }
        };
        self.included.1 += included.text().len();
        let value = included.value().clone();
        let path = included.path().to_path_buf();
        let at = self.documents.iter().position(|it| *it.path() == path).unwrap_or(self.documents.len());
        if at == self.documents.len() {
            self.documents.push(included);
        }
        self.chain.push(path);
        let node = self.node(&value, at, &mut Vec::new());
        self.chain.pop();
        Some(node)
    }

    /// Where the file is: relative to the one that names it, in the folder of the config or below a root.
    fn path(&self, name: &str, document: usize) -> Result<PathBuf, String> {
        if name.is_empty() || name.len() >= LONGEST_PATH || name.contains('\0') {
            return Err("is no path of a file".to_owned());
        }
        let from = self.documents[document].path().parent().unwrap_or(Path::new("/"));
        let path = plain(&from.join(name));
        let config = self.documents[0].path().parent().unwrap_or(Path::new("/"));
        let is_within = |it: &Path| {
            it.starts_with(config)
                || it.starts_with(&self.home)
                || self.reach.roots.iter().any(|root| it.starts_with(root))
        };
        let escapes = |it: &Path| {
            format!(
                "{} is outside the folder of the config; move it there, or name its folder in OPENCLAW_INCLUDE_ROOTS",
                it.display()
            )
        };
        if !is_within(&path) {
            return Err(escapes(&path));
        }
        match fs::canonicalize(&path) {
            // A link may not lead out either.
            Ok(real) if self.reach.kept.is_none() && !is_within(&real) => Err(escapes(&real)),
            _ => Ok(path),
        }
    }

    fn may_follow(&mut self, path: &Path) -> Result<(), String> {
        if let Some(at) = self.chain.iter().position(|it| it == path) {
            let circle = self.chain[at..].iter().map(PathBuf::as_path).chain([path]);
            let circle: Vec<String> = circle.map(|it| it.display().to_string()).collect();
            return Err(format!("the files include each other in a circle: {}", circle.join(" -> ")));
        }
        if self.chain.len() > DEEPEST {
            return Err(format!("{} would be included more than {DEEPEST} deep", path.display()));
        }
        if self.included.0 >= MOST || self.included.1 >= MOST_BYTES {
            let is_first = !std::mem::replace(&mut self.is_full, true);
            let words =
                format!("more than {MOST} files, or {MOST_BYTES} bytes, would be included altogether");
            // Each further one would say the same.
            return Err(if is_first { words } else { String::new() });
        }
        self.included.0 += 1;
        Ok(())
    }

    fn document(&mut self, path: &Path) -> Result<Document, String> {
        let read = match &self.reach.kept {
            Some(kept) => match kept.iter().find(|(it, _)| it == path) {
                Some((_, text)) => Document::parse_part(path, text.clone()),
                None => return Err(format!("{} was not kept with this generation", path.display())),
            },
            None => {
                let links = fs::metadata(path).map_or(1, |it| if it.is_file() { it.nlink() } else { 1 });
                if links > 1 {
                    return Err(format!(
                        "{} has a second name (a hard link), under which it could be changed",
                        path.display()
                    ));
                }
                Document::load_part(path)
            }
        };
        read.map_err(|error| match error {
            Unreadable::Missing(path) => format!("there is no file {}", path.display()),
            Unreadable::Io { path, source } => format!("cannot read {}: {source}", path.display()),
            Unreadable::Syntax { finding, .. } => {
                self.found.push(*finding);
                String::new()
            }
        })
    }

    fn wrong(&mut self, document: usize, place: &[String], words: String) {
        self.found.push(self.documents[document].finding_at(place, words));
    }
}

/// A path without `.` and `..`, by its text alone.
fn plain(path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                whole.pop();
            }
            other => whole.push(other),
        }
    }
    whole
}

#[cfg(test)]
mod tests;
