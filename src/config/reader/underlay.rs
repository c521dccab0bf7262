//! Values that hold where a table does not have a key itself.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use toml::de::DeTable;

use super::{Document, Value, camel_case};

/// What holds where a table lies over it and does not have a key itself. It remembers what was taken for lack of one.
pub struct Underlay<'a> {
    document: &'a Document,
    key: String,
    entries: &'a DeTable<'a>,
    used: RefCell<BTreeMap<String, String>>,
}

impl<'a> Underlay<'a> {
    pub(super) fn new(document: &'a Document, key: String, entries: &'a DeTable<'a>) -> Self {
        Self { document, key, entries, used: RefCell::default() }
    }

    /// What was taken since the last call: each key, and `file:line:column` of its value.
    pub fn take_used(&self) -> BTreeMap<String, String> {
        self.used.take()
    }

    /// Notes that this value is in use, under this name.
    pub fn note(&self, name: impl Into<String>, value: &Value<'_>) {
        self.used.borrow_mut().insert(name.into(), value.location());
    }

    /// The document of the values.
    #[must_use]
    pub fn document(&self) -> &'a Document {
        self.document
    }

    /// The value of a key, in either spelling.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        let camel = camel_case(key);
        let (name, value) = self.entries.get_key_value(key).or_else(|| self.entries.get_key_value(camel.as_str()))?;
        let key = format!("{}.{}", self.key, name.get_ref());
        Some(Value { document: self.document, key, span: value.span(), value: value.get_ref() })
    }
}

impl fmt::Debug for Underlay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Underlay").field("key", &self.key).finish_non_exhaustive()
    }
}
