//! Where the keys of a text begin: the text is taken apart once, however much is to be said of it.

use jsonc_parser::CollectOptions;
use jsonc_parser::ast;
use jsonc_parser::common::Ranged;

use super::options;

/// The places of a document, as offsets in bytes.
#[derive(Debug)]
pub(super) struct Places {
    begin: usize,
    below: Below,
}

#[derive(Debug)]
enum Below {
    Object(Vec<(String, Places)>),
    List(Vec<Places>),
    Nothing,
}

impl Places {
    /// Of a text that parses; of another one there is only the beginning.
    pub(super) fn of(text: &str) -> Self {
        let parsed = jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &options());
        let root = parsed.ok().and_then(|it| it.value);
        root.map_or(Self { begin: 0, below: Below::Nothing }, |it| Self::at(it.range().start, &it))
    }

    /// Where the value at `keys` begins, or else its nearest ancestor.
    pub(super) fn find(&self, keys: &[&str]) -> usize {
        let Some((first, rest)) = keys.split_first() else { return self.begin };
        let next = match &self.below {
            // Of a key that stands twice, the last one counts.
            Below::Object(properties) => properties.iter().rev().find(|it| it.0 == *first).map(|it| &it.1),
            Below::List(elements) => first.parse::<usize>().ok().and_then(|at| elements.get(at)),
            Below::Nothing => None,
        };
        next.map_or(self.begin, |it| it.find(rest))
    }

    fn at(begin: usize, value: &ast::Value<'_>) -> Self {
        let below = match value {
            ast::Value::Object(object) => {
                let properties = object.properties.iter();
                let of = |it: &ast::ObjectProp<'_>| {
                    (it.name.as_str().to_owned(), Self::at(it.range.start, &it.value))
                };
                Below::Object(properties.map(of).collect())
            }
            ast::Value::Array(array) => {
                Below::List(array.elements.iter().map(|it| Self::at(it.range().start, it)).collect())
            }
            _ => Below::Nothing,
        };
        Self { begin, below }
    }
}
