//! Reads `[plugin_options.Retry]`: the options of node-resque, and the strategy of resque-retry.

use std::time::Duration;

use toml::de::DeValue;

use crate::config::element::duration::{self, Unit};
use crate::config::reader::{Table, Value};
use crate::task::plugin_spec::{Backoff, RetrySpec};

const ATTEMPTS: std::ops::RangeInclusive<u64> = 1..=1_000_000;

/// resque-retry's default strategy: at once, after a minute, ten, an hour, three, six.
const OF_RESQUE_RETRY: [u64; 6] = [0, 60_000, 600_000, 3_600_000, 10_800_000, 21_600_000];

const STRATEGY: &str = "a list of durations, \"exponential\", or { base = \"5s\", factor = 2, cap = \"1h\" }";

pub(super) fn apply(options: &mut Table<'_>, retry: &mut RetrySpec) {
    let limit = options.take("retry_limit");
    let attempts = options.take("max_attempts");
    if let (Some(_), Some(attempts)) = (&limit, &attempts) {
        attempts.report("says the same as retry_limit, the number of all attempts: keep one of them");
    }
    for value in [limit, attempts].into_iter().flatten() {
        if let Some(number) = value.whole_number(ATTEMPTS) {
            retry.attempts = u32::try_from(number).unwrap_or(u32::MAX);
        }
    }
    if let Some(delay_ms) = options.take("retry_delay").and_then(|value| milliseconds(&value)) {
        retry.backoff = Backoff::Fixed { delay_ms };
    }
    if let Some(backoff) = options.take("backoff_strategy").and_then(|value| strategy(&value)) {
        retry.backoff = backoff;
    }
    if let Some(value) = options.take("jitter") {
        let share = match value.raw() {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(integer) => integer.as_str().parse::<f64>().ok(),
            _ => None,
        };
        match share.filter(|share| (0.0..=1.0).contains(share)) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within 0 and 1000")]
            Some(share) => retry.jitter_permille = (share * 1000.0).round() as u32,
            None => value.expected("the share of a wait by which it is prolonged at most, from 0 to 1"),
        }
    }
}

fn strategy(value: &Value<'_>) -> Option<Backoff> {
    match value.raw() {
        DeValue::String(word) if word == "exponential" => Some(Backoff::List { delays_ms: OF_RESQUE_RETRY.to_vec() }),
        DeValue::Array(_) => {
            let items = value.list(STRATEGY)?;
            if items.is_empty() {
                value.expected("at least one duration");
                return None;
            }
            let delays_ms = items.iter().map(milliseconds).collect::<Option<_>>()?;
            Some(Backoff::List { delays_ms })
        }
        DeValue::Table(_) => {
            let mut table = value.table(STRATEGY)?;
            let base = table.required("base", "the first wait").and_then(|value| milliseconds(&value));
            let factor = table.take("factor").map_or(Some(2), |value| value.whole_number(1..=1000));
            let cap = table.take("cap").map_or(Some(3_600_000), |value| milliseconds(&value));
            table.finish();
            let factor = u32::try_from(factor?).unwrap_or(u32::MAX);
            Some(Backoff::Exponential { base_ms: base?, factor, cap_ms: cap? })
        }
        _ => {
            value.expected(STRATEGY);
            None
        }
    }
}

fn milliseconds(value: &Value<'_>) -> Option<u64> {
    let read = duration::read(value, Unit::Milliseconds, Duration::ZERO)?;
    Some(u64::try_from(read.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::load::load;
    use crate::task::plugin_spec::PluginSpec;

    /// The options that were read, or the problems.
    fn read(options: &str) -> Result<RetrySpec, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "name = \"t\"\nplugins = [\"Retry\"]\n[run]\nbuiltin = \"noop\"\n[plugin_options.Retry]\n{options}\n"
        );
        std::fs::write(dir.path().join("t.toml"), text).unwrap();
        let tasks = load(dir.path(), &["noop"]);
        if !tasks.problems.is_empty() {
            return Err(tasks.problems.iter().map(|problem| problem.message.clone()).collect());
        }
        match &tasks.registry.get("t").unwrap().plugins[..] {
            [PluginSpec::Retry(retry)] => Ok(retry.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn node_resques_options_have_its_units_and_defaults() {
        assert_eq!(read("").unwrap(), RetrySpec::default());
        let all = read("retryLimit = 3\nretryDelay = 1000").unwrap();
        assert_eq!((all.attempts, all.backoff), (3, Backoff::Fixed { delay_ms: 1000 }));
        let list = read("max_attempts = 4\nretry_delay = \"1s\"\nbackoff_strategy = [0, \"5s\", 60000]").unwrap();
        assert_eq!((list.attempts, list.backoff), (4, Backoff::List { delays_ms: vec![0, 5000, 60_000] }));
    }

    #[test]
    fn growing_waits_and_jitter() {
        let resque = read("backoff_strategy = \"exponential\"\njitter = 0.25").unwrap();
        assert_eq!(resque.backoff, Backoff::List { delays_ms: OF_RESQUE_RETRY.to_vec() });
        assert_eq!(resque.jitter_permille, 250);
        let own = read("backoff_strategy = { base = \"2s\", factor = 3 }").unwrap();
        assert_eq!(own.backoff, Backoff::Exponential { base_ms: 2000, factor: 3, cap_ms: 3_600_000 });
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (options, said) in [
            ("retry_limit = 2\nmax_attempts = 2", "says the same as retry_limit"),
            ("max_attempts = 0", "expected a whole number"),
            ("backoff_strategy = []", "at least one duration"),
            ("backoff_strategy = \"linear\"", "expected a list of durations"),
            ("backoff_strategy = { factor = 2 }", "the first wait"),
            ("jitter = 2", "from 0 to 1"),
            ("retries = 2", "unknown key"),
        ] {
            let problems = read(options).unwrap_err();
            assert!(problems.len() == 1 && problems[0].contains(said), "{options}: {problems:?}");
        }
    }
}
