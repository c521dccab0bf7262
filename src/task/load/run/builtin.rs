//! Reads `builtin = "..."`.

use crate::config::error::closest;
use crate::config::reader::Value;
use crate::task::handler_spec::BuiltinSpec;

pub(super) fn read(value: &Value<'_>, builtins: &[&str]) -> Option<BuiltinSpec> {
    let name = value.string()?;
    if !builtins.contains(&name) {
        let what = format!("a builtin: {}", builtins.join(", "));
        value.expected_one_of(&what, closest(name, builtins.iter().copied()));
        return None;
    }
    Some(BuiltinSpec { name: name.to_owned() })
}
