//! `[inputs]`: what the first argument of a task must contain. It is checked when a job is enqueued. ActionHero's task
//! inputs.
//!
//! Inputs are checked in the order of the file. An absent input gets its default, which becomes part of the job; the
//! type is checked; a required input must not be absent, null or empty. Undeclared keys are kept. Nothing is checked
//! when the job runs, so jobs of other programs are accepted as they are; their absent inputs get the defaults then, because
//! the task is written for them. The bytes of the job stay.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::job::Args;
use crate::job::ecma::quote;

/// The type of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what JSON calls it; an integer is a number without fraction")]
#[non_exhaustive]
pub enum InputType {
    String,
    Number,
    Integer,
    Boolean,
    Object,
    Array,
}

/// One declared input.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InputSpec {
    /// Its key.
    pub name: String,
    /// Is it required?
    pub required: bool,
    /// Its default as canonical JSON.
    pub default: Option<String>,
    /// Its type; `None`: any.
    pub kind: Option<InputType>,
}

/// Why inputs are refused. The first two messages are worded like ActionHero's, but hold no value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// A required input is missing.
    #[error("{key:?} is a required input for task {task}")]
    Required {
        /// The input.
        key: String,
        /// The task.
        task: String,
    },
    /// An input has another type.
    #[error("{found} is not a valid value for {key:?} in task {task}, which takes {expected}")]
    Invalid {
        /// What was given.
        found: &'static str,
        /// What is taken.
        expected: InputType,
        /// The input.
        key: String,
        /// The task.
        task: String,
    },
    /// The first argument is no object.
    #[error("task {task} takes its inputs as one object, such as {{\"{key}\": ...}}")]
    NoObject {
        /// The task.
        task: String,
        /// The first input.
        key: String,
    },
}

/// The arguments with the defaults filled in.
///
/// # Errors
/// Names the first input that is missing or has another type.
pub fn apply(inputs: &[InputSpec], task: &str, args: &Args) -> Result<Args, InputError> {
    let Some(first) = inputs.first() else { return Ok(args.clone()) };
    let no_object = || InputError::NoObject { task: task.to_owned(), key: first.name.clone() };
    let items: Vec<&RawValue> = serde_json::from_str(args.as_str()).map_err(|_| no_object())?;
    let text = match items.first().map(|item| item.get()) {
        None | Some("null") => "{}",
        Some(text) => text,
    };
    let given: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).map_err(|_| no_object())?;
    // The object without its closing brace, so that absent inputs can be appended.
    let mut filled = text.trim_end().strip_suffix('}').ok_or_else(no_object)?.to_owned();
    for InputSpec { name, required, default, kind } in inputs {
        let value = match (given.get(name.as_str()), default) {
            (Some(value), _) => Some(value.get()),
            (None, Some(default)) => {
                if filled.len() > 1 {
                    filled.push(',');
                }
                filled.push_str(&format!("{}:{default}", quote(name)));
                Some(default.as_str())
            }
            (None, None) => None,
        };
        let is_null = matches!(value, None | Some("null"));
        if *required && (is_null || value == Some("\"\"")) {
            return Err(InputError::Required { key: name.clone(), task: task.to_owned() });
        }
        if let (Some(value), Some(kind), false) = (value, kind, is_null)
            && !fits(value, *kind)
        {
            let (found, expected) = (kind_of(value), *kind);
            return Err(InputError::Invalid { found, expected, key: name.clone(), task: task.to_owned() });
        }
    }
    filled.push('}');
    let rest: String = items.iter().skip(1).map(|item| format!(",{}", item.get())).collect();
    Args::from_json(&format!("[{filled}{rest}]")).map_err(|_| no_object())
}

/// The arguments of a job that runs, with the defaults of absent inputs; what its producer wrote stays as it is. `None` if
/// none is to be added.
#[must_use]
#[cfg_attr(not(feature = "daemon"), expect(dead_code, reason = "only a daemon runs jobs"))]
pub(crate) fn fill(inputs: &[InputSpec], args: &[u8]) -> Option<Bytes> {
    if inputs.iter().all(|input| input.default.is_none()) {
        return None;
    }
    let items: Vec<&RawValue> = serde_json::from_slice(args).ok()?;
    let text = match items.first().map(|item| item.get()) {
        None | Some("null") => "{}",
        Some(text) => text,
    };
    let given: HashMap<Cow<'_, str>, IgnoredAny> = serde_json::from_str(text).ok()?;
    let mut filled = text.trim_end().strip_suffix('}')?.to_owned();
    let (mut more, mut added) = (!given.is_empty(), false);
    for InputSpec { name, default, .. } in inputs {
        let Some(default) = default.as_ref().filter(|_| !given.contains_key(name.as_str())) else { continue };
        let comma = if more { "," } else { "" };
        filled.push_str(&format!("{comma}{}:{default}", quote(name)));
        (more, added) = (true, true);
    }
    let rest: String = items.iter().skip(1).map(|item| format!(",{}", item.get())).collect();
    added.then(|| Bytes::from(format!("[{filled}}}{rest}]")))
}

/// What this JSON value is.
fn kind_of(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

impl std::fmt::Display for InputType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::String => "a string",
            Self::Number => "a number",
            Self::Integer => "an integer",
            Self::Boolean => "a boolean",
            Self::Object => "an object",
            Self::Array => "an array",
        })
    }
}

/// Does this JSON value have that type?
pub(crate) fn fits(value: &str, kind: InputType) -> bool {
    match (kind, value.as_bytes().first()) {
        (InputType::String, Some(b'"')) | (InputType::Object, Some(b'{')) | (InputType::Array, Some(b'[')) => true,
        (InputType::Boolean, Some(b't' | b'f')) | (InputType::Number, Some(b'-' | b'0'..=b'9')) => true,
        (InputType::Integer, Some(b'-' | b'0'..=b'9')) => {
            value.parse::<f64>().is_ok_and(|number| number.fract() == 0.0)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::load::load;

    fn inputs(lines: &str) -> Result<Vec<InputSpec>, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("name = \"t\"\nrun = {{ builtin = \"noop\" }}\n{lines}");
        std::fs::write(dir.path().join("t.toml"), text).unwrap();
        let tasks = load(dir.path(), &["noop"]);
        if tasks.problems.is_empty() {
            Ok(tasks.registry.get("t").unwrap().inputs.clone())
        } else {
            Err(tasks.problems.iter().map(ToString::to_string).collect())
        }
    }

    fn declared() -> Vec<InputSpec> {
        inputs(
            "[inputs.to]\nrequired = true\ntype = \"string\"\n[inputs.b]\ndefault = 5\ntype = \"integer\"\n\
             [inputs.a]\ndefault = { x = [1.0, \"}\"] }\n",
        )
        .unwrap()
    }

    fn applied(args: &str) -> Result<String, String> {
        let args = Args::from_json(args).unwrap();
        apply(&declared(), "t", &args).map(|args| args.as_str().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_stored_in_the_order_of_the_file() {
        assert_eq!(applied(r#"{"to":"ann"}"#).unwrap(), r#"[{"to":"ann","b":5,"a":{"x":[1,"}"]}}]"#);
        assert_eq!(
            applied(r#"[{"z":{"y":{}},"to":"}","b":7,"a":null},"more"]"#).unwrap(),
            r#"[{"z":{"y":{}},"to":"}","b":7,"a":null},"more"]"#
        );
    }

    #[test]
    fn a_job_of_another_program_gets_the_defaults_when_it_runs() {
        let filled =
            |args: &str| fill(&declared(), args.as_bytes()).map(|args| String::from_utf8(args.into()).unwrap());
        for (args, expected) in [
            (r#"[{"to":"ann"}]"#, r#"[{"to":"ann","b":5,"a":{"x":[1,"}"]}}]"#),
            (r#"[ { "to" : 1.0 } ,2.0]"#, r#"[{ "to" : 1.0 ,"b":5,"a":{"x":[1,"}"]}},2.0]"#),
            ("[]", r#"[{"b":5,"a":{"x":[1,"}"]}}]"#),
            (r#"[{ },1]"#, r#"[{ "b":5,"a":{"x":[1,"}"]}},1]"#),
            (r#"[{"b":null}]"#, r#"[{"b":null,"a":{"x":[1,"}"]}}]"#),
        ] {
            assert_eq!(filled(args).as_deref(), Some(expected), "{args}");
        }
        for args in [r#"[{"a":1,"b":2}]"#, "[5]", "[[1]]", "no", r#"["{}"]"#] {
            assert_eq!(filled(args), None, "{args}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_refused_in_actionheros_words() {
        for (args, said) in [
            ("{}", "\"to\" is a required input for task t"),
            ("[]", "\"to\" is a required input for task t"),
            ("null", "\"to\" is a required input for task t"),
            (r#"{"to":""}"#, "\"to\" is a required input for task t"),
            (r#"{"to":null}"#, "\"to\" is a required input for task t"),
            (r#"{"to":5}"#, "a number is not a valid value for \"to\" in task t, which takes a string"),
            (r#"{"to":"a","b":1.5}"#, "a number is not a valid value for \"b\" in task t, which takes an integer"),
            ("[5]", "task t takes its inputs as one object, such as {\"to\": ...}"),
        ] {
            assert_eq!(applied(args).unwrap_err(), said, "{args}");
        }
    }

    #[test]
    fn declarations_that_contradict_themselves_are_refused() {
        for (lines, said) in [
            ("[inputs.a]\ntype = \"text\"", "expected a type"),
            ("[inputs.a]\ntype = \"string\"\ndefault = 5", "of the input's own type"),
            ("[inputs.a]\nrequred = true", "unknown key"),
            ("[inputs]\na = 5", "a table such as"),
            ("[inputs.a]\nvalidator = \"x\"", "is code in ActionHero"),
        ] {
            let problems = inputs(lines).unwrap_err();
            assert!(problems.len() == 1 && problems[0].contains(said), "{lines}: {problems:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_arguments_break_it(text in "[\\[\\]{}\",:a0-9null ]{0,30}") {
            if let Ok(args) = Args::from_json(&text) {
                let _ = apply(&declared(), "t", &args);
                if let Some(filled) = fill(&declared(), args.as_str().as_bytes()) {
                    proptest::prop_assert!(serde_json::from_slice::<Vec<serde_json::Value>>(&filled).is_ok());
                }
            }
        }
    }
}
