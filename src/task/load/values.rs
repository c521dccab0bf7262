//! Converts values of task files.

use std::time::Duration;

use toml::de::DeValue;

use crate::config::reader::Value;

/// A value of TOML as JSON.
pub(super) fn json(value: &Value<'_>) -> Option<String> {
    let found = convert(value.raw());
    if found.is_none() {
        value.expected("values that JSON has: no dates, no inf, no nan");
    }
    found.map(|json| json.to_string())
}

fn convert(value: &DeValue<'_>) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(on) => (*on).into(),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok()?.into(),
        DeValue::Float(float) => serde_json::Number::from_f64(float.as_str().parse().ok()?)?.into(),
        DeValue::Array(items) => {
            serde_json::Value::Array(items.iter().map(|item| convert(item.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Table(table) => {
            // The order of the file is kept, because it is the order of the members in the job's bytes.
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(name, _)| name.span().start);
            let entries =
                entries.into_iter().map(|(name, value)| Some((name.get_ref().to_string(), convert(value.get_ref())?)));
            serde_json::Value::Object(entries.collect::<Option<_>>()?)
        }
        DeValue::Datetime(_) => return None,
    })
}

/// The duration in whole seconds, rounded up.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
