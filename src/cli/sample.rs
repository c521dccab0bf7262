//! Arguments that a task would take, as they are typed: for a line whose arguments were refused.

use serde_json::{Map, Value};

use super::exit::CliError;
use crate::client::{ClientError, Request, RequestError};
use crate::task::definition::Registry;
use crate::task::inputs::{InputSpec, InputType, fits};
use crate::text::shell::with_value;

/// The longest arguments that are repeated to who typed them, in bytes.
const LONGEST: usize = 2000;

/// A request that was refused. Where its arguments are not those that the task takes, it is told how these are typed.
#[must_use]
pub(super) fn refused(error: RequestError, request: &Request, registry: &Registry) -> CliError {
    let sample = match &error {
        RequestError::Input(_) => registry
            .get(&request.task)
            .map(|task| sample(&task.inputs, request.args.as_ref().map(|args| args.as_str()))),
        _ => None,
    };
    match sample {
        Some(args) => CliError::Usage(format!("{error}; what it takes is typed so: {}", with_value("--args", &args))),
        None => CliError::Client(ClientError::from(error)),
    }
}

/// What was given, with a value for each input that lacks one or has one of another type.
fn sample(inputs: &[InputSpec], given: Option<&str>) -> String {
    let given =
        given.filter(|text| text.len() <= LONGEST).and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok());
    let mut items = given.unwrap_or_default();
    let first = if items.is_empty() { Value::Null } else { items.remove(0) };
    let mut members = match first {
        Value::Object(members) => members,
        // A text that holds JSON: its quotes were written twice.
        Value::String(text) => serde_json::from_str(&text).unwrap_or_default(),
        _ => Map::new(),
    };
    for InputSpec { name, required, kind, .. } in inputs {
        let is_right = match members.get(name) {
            None => !required,
            Some(Value::Null) => !required,
            Some(Value::String(text)) if text.is_empty() => !required,
            Some(value) => kind.is_none_or(|kind| fits(&value.to_string(), kind)),
        };
        if !is_right {
            members.insert(name.clone(), example(*kind));
        }
    }
    let object = Value::Object(members);
    if items.is_empty() { object.to_string() } else { Value::Array([vec![object], items].concat()).to_string() }
}

fn example(kind: Option<InputType>) -> Value {
    match kind {
        None | Some(InputType::String) => "TEXT".into(),
        Some(InputType::Number | InputType::Integer) => 1.into(),
        Some(InputType::Boolean) => true.into(),
        Some(InputType::Object) => Value::Object(Map::new()),
        Some(InputType::Array) => Value::Array(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Args;
    use crate::task::load::load;

    #[test]
    fn arguments_that_were_refused_are_told_as_the_task_takes_them() {
        let dir = tempfile::tempdir().unwrap();
        let text = "name = \"t\"\nrun = { builtin = \"noop\" }\n[inputs]\nto = { required = true, type = \"string\" }\n\
                    n = { type = \"integer\" }\nwhat = { required = true }\n";
        std::fs::write(dir.path().join("t.toml"), text).unwrap();
        let tasks = load(dir.path(), &["noop"]);
        assert_eq!(tasks.problems, []);
        for (given, told) in [
            (None, r#"'{"to":"TEXT","what":"TEXT"}'"#),
            (Some(r#"["{\"to\":\"it's\",\"what\":1}"]"#), r#"'{"to":"it'\''s","what":1}'"#),
            (Some(r#"{"to":1,"what":[]}"#), r#"'{"to":"TEXT","what":[]}'"#),
            (Some(r#"[{"to":"a","n":"x","what":2},7]"#), r#"'[{"to":"a","n":1,"what":2},7]'"#),
            (Some("5"), r#"'{"to":"TEXT","what":"TEXT"}'"#),
        ] {
            let request = Request::new("t").args(given.map(|args| Args::from_json(args).unwrap()));
            let error = request.resolve(&tasks.registry).unwrap_err();
            let said = refused(error, &request, &tasks.registry);
            assert!(said.to_string().ends_with(&format!("typed so: --args {told}")), "{given:?}: {said}");
            assert_eq!(said.exit().code(), 64);
            let json = told.trim_matches('\'').replace(r"'\''", "'");
            let mended = Request::new("t").args(Args::from_json(&json).unwrap());
            assert!(mended.resolve(&tasks.registry).is_ok(), "{json}");
        }
        let error = Request::new("x").resolve(&tasks.registry).unwrap_err();
        assert!(matches!(refused(error, &Request::new("x"), &tasks.registry), CliError::Client(_)));
    }
}
