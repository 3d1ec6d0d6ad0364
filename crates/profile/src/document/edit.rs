//! Changes to the text of a document that keep its comments, its order and everything else.

use jsonc_parser::cst::{CstContainerNode, CstInputValue, CstNode, CstRootNode};
use serde_json::Value;

use super::{Document, Finding, options};

impl Document {
    /// Puts a value at keys joined with dots, making the objects on the way. Comments, order and everything
    /// else stay as they are.
    ///
    /// # Errors
    /// When something on the way is there and is no object.
    pub fn set(&mut self, path: &str, value: &Value) -> Result<(), Finding> {
        let keys: Vec<&str> = path.split('.').collect();
        self.set_at(&keys, value)
    }

    /// As [`Document::set`], for keys that may hold dots themselves. A number leads into a list, to a place that
    /// is there.
    ///
    /// # Errors
    /// As [`Document::set`].
    pub fn set_at<K: AsRef<str>>(&mut self, keys: &[K], value: &Value) -> Result<(), Finding> {
        let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        let root = self.tree()?;
        let mut object = root
            .object_value_or_create()
            .ok_or_else(|| self.finding("", "the document must be an object: { … }"))?;
        let Some((last, way)) = keys.split_last() else {
            return Err(Finding::whole("no key was named".to_owned()));
        };
        if let Some(node) = find(&root, &keys) {
            replace(node, input(value));
            return self.becomes_with(&root, &keys, value);
        }
        for (at, key) in way.iter().enumerate() {
            let found = match find(&root, &keys[..=at]) {
                // The next key is a place in it, which is looked up from the root again.
                Some(it) if it.as_array().is_some_and(|_| find(&root, &keys[..=at + 1]).is_some()) => {
                    continue;
                }
                Some(it) => it.as_object(),
                None => object.object_value_or_create(key),
            };
            object = found.ok_or_else(|| {
                self.finding(&keys[..=at].join("."), "this is no object, so nothing can be set inside it")
            })?;
        }
        object.append(last, input(value));
        self.becomes_with(&root, &keys, value)
    }

    /// Takes a key out. False when it was not there. Everything else stays as it is.
    ///
    /// # Errors
    /// When the text cannot be taken apart, which a document that was parsed can.
    pub fn remove_at<K: AsRef<str>>(&mut self, keys: &[K]) -> Result<bool, Finding> {
        let keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
        let root = self.tree()?;
        let mut is_gone = false;
        // A key may stand more than once; a place in a list is another one once it is taken out.
        while let Some(node) = find(&root, &keys).filter(|_| !keys.is_empty()) {
            is_gone = true;
            let Some(CstContainerNode::ObjectProp(property)) = node.parent() else {
                node.remove();
                break;
            };
            property.remove();
        }
        if is_gone {
            self.becomes(&root)?;
        }
        Ok(is_gone)
    }

    /// Adds a value at the end of a list that is there.
    pub(super) fn append_at(&mut self, keys: &[String], value: &Value) -> Result<(), Finding> {
        let root = self.tree()?;
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let list = find(&root, &keys).and_then(|it| it.as_array());
        let list = list.ok_or_else(|| self.finding(&keys.join("."), "this is no list"))?;
        list.append(input(value));
        self.becomes(&root)
    }

    fn tree(&self) -> Result<CstRootNode, Finding> {
        CstRootNode::parse(&self.text, &options())
            .map_err(|error| Finding::at(&self.text, error.range().start, "", error.kind().to_string()))
    }

    /// Where a key stands more than once, the last one counts, and the first one is found.
    fn becomes_with(&mut self, root: &CstRootNode, keys: &[&str], value: &Value) -> Result<(), Finding> {
        let mut changed = self.clone();
        changed.becomes(root)?;
        if changed.at_keys(keys) != Some(value) {
            let words =
                "cannot be set: it, or what it is in, stands more than once in the text; take one out";
            return Err(self.finding(&keys.join("."), words));
        }
        *self = changed;
        Ok(())
    }

    fn becomes(&mut self, root: &CstRootNode) -> Result<(), Finding> {
        *self =
            Self::parse(&self.path, root.to_string()).map_err(|error| Finding::whole(error.to_string()))?;
        Ok(())
    }
}

/// The value at `keys`.
fn find(root: &CstRootNode, keys: &[&str]) -> Option<CstNode> {
    keys.iter().try_fold(root.value()?, |node, key| {
        if let Some(object) = node.as_object() {
            return object.get(key)?.value();
        }
        node.as_array()?.elements().into_iter().nth(key.parse().ok()?)
    })
}

fn replace(node: CstNode, value: CstInputValue) {
    // A place in a list is taken out and filled again, and comments beside it do not survive that.
    if let (Some(text), CstInputValue::String(new)) = (node.as_string_lit(), &value) {
        text.set_raw_value(serde_json::to_string(new).expect("a text always writes"));
        return;
    }
    match node.parent() {
        Some(CstContainerNode::ObjectProp(property)) => property.set_value(value),
        Some(CstContainerNode::Array(list)) => {
            if let Some(at) = node.element_index() {
                node.remove();
                list.insert(at, value);
            }
        }
        _ => {}
    }
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(it) => CstInputValue::Bool(*it),
        Value::Number(it) => CstInputValue::Number(it.to_string()),
        Value::String(it) => CstInputValue::String(it.clone()),
        Value::Array(it) => CstInputValue::Array(it.iter().map(input).collect()),
        Value::Object(it) => {
            CstInputValue::Object(it.iter().map(|(key, it)| (key.clone(), input(it))).collect())
        }
    }
}
