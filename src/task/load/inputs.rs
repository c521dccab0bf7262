//! Reads `[inputs]` of a task.

use toml::de::DeValue;

use super::values::json;
use crate::config::reader::{Table, Value};
use crate::job::ecma;
use crate::task::inputs::{InputSpec, InputType, fits};

const TYPES: [(&str, InputType); 6] = [
    ("string", InputType::String),
    ("number", InputType::Number),
    ("integer", InputType::Integer),
    ("boolean", InputType::Boolean),
    ("object", InputType::Object),
    ("array", InputType::Array),
];

/// Reads `[inputs]`, in the order of the file.
pub(super) fn read(value: &Value<'_>) -> Vec<InputSpec> {
    let Some(mut table) = value.table("a table of inputs") else { return Vec::new() };
    let order = |name: &str| match value.raw() {
        DeValue::Table(entries) => entries.get_key_value(name).map(|(key, _)| key.span().start),
        _ => None,
    };
    let mut entries = table.all();
    entries.sort_by_key(|(name, _)| order(name));
    entries
        .into_iter()
        .filter_map(|(name, value)| one(name, value.table("a table such as { required = true }")?))
        .collect()
}

fn one(name: &str, mut table: Table<'_>) -> Option<InputSpec> {
    let required = table.take("required").and_then(|value| value.boolean()).unwrap_or(false);
    let kind = table
        .take("type")
        .and_then(|value| value.one_of("a type: string, number, integer, boolean, object or array", &TYPES));
    let mut default = None;
    if let Some(value) = table.take("default") {
        default = json(&value).and_then(|text| ecma::canonical(&text).ok());
        if let (Some(text), Some(kind)) = (&default, kind)
            && !fits(text, kind)
        {
            value.report("expected a default of the input's own type");
        }
    }
    table.refuse("validator", "is code in ActionHero; say type here, or let a plugin check");
    table.finish();
    Some(InputSpec { name: name.to_owned(), required, default, kind })
}
