//! The keys under which Retry stores its state for a class and its arguments, named as in node-resque.

use serde_json::value::RawValue;

use super::payload::{Args, PayloadView};

/// The keys of a class and its arguments, without namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryKeys {
    /// How many attempts failed, less one.
    pub counter: String,
    /// The last error.
    pub failure: String,
}

impl RetryKeys {
    /// The keys of a class and its arguments.
    #[must_use]
    pub fn of(class: &str, args: &Args) -> Self {
        let args = joined(args);
        let counter = if args.trim().is_empty() {
            format!("resque-retry:{class}")
        } else {
            format!("resque-retry:{class}:{args}")
        };
        Self {
            counter: without_first_blank(counter),
            failure: without_first_blank(format!("failure-resque-retry:{class}:{args}")),
        }
    }

    /// The keys of a job, if these bytes are one.
    #[must_use]
    pub fn of_job(payload: &[u8]) -> Option<Self> {
        let view = PayloadView::parse(payload).ok()?;
        Some(Self::of(&view.class, &Args::of(&view).ok()?))
    }
}

/// The arguments as JavaScript joins them: strings as they are, everything else as JSON.
fn joined(args: &Args) -> String {
    let items: Vec<&RawValue> = serde_json::from_str(args.as_str()).unwrap_or_default();
    let text = |item: &&RawValue| serde_json::from_str::<String>(item.get()).unwrap_or_else(|_| item.get().to_owned());
    items.iter().map(text).collect::<Vec<_>>().join("-")
}

/// node-resque removes the first blank of a key, and only the first.
fn without_first_blank(mut key: String) -> String {
    if let Some(at) = key.find(char::is_whitespace) {
        key.remove(at);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelt_as_node_resque_spells_them() {
        let keys_of = |text| RetryKeys::of("b", &Args::from_json(text).unwrap());
        assert_eq!(keys_of(r#"[1,{"x":[1]},"sp ace d"]"#).counter, r#"resque-retry:b:1-{"x":[1]}-space d"#);
        assert_eq!(keys_of(r#"[1,{"x":[1]},"sp ace d"]"#).failure, r#"failure-resque-retry:b:1-{"x":[1]}-space d"#);
        assert_eq!(keys_of("[]").counter, "resque-retry:b");
        assert_eq!(keys_of("[]").failure, "failure-resque-retry:b:");
        assert_eq!(keys_of(r#"[null,true,1.5,"","\ud83d"]"#).counter, r#"resque-retry:b:null-true-1.5--"\ud83d""#);
        let job = RetryKeys::of_job(br#"{"class":"b","queue":"q","args":[1.0]}"#).unwrap();
        assert_eq!(job.counter, "resque-retry:b:1");
        assert_eq!(RetryKeys::of_job(b"{bad"), None);
    }
}
