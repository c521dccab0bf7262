//! Retry: a failed run is repeated later, and only the last failure goes to the failed list.
//!
//! Uses the keys of node-resque's `Retry`, so that either system continues what the other began. The counter belongs
//! to class and arguments, not to a job: two equal jobs share their attempts. Three things differ from node-resque:
//! everything is one step of the store, the counter lives longer than the wait, and a second equal job in the same
//! second is no error.

use bytes::Bytes;
use chrono::DateTime;

use crate::job::ecma::quote;
use crate::job::{Args, Failure, Identity, RetryKeys, digest};
use crate::store::effect::Retry;
use crate::task::plugin_spec::{Backoff, RetrySpec};

/// How many different delays are passed on; the last one repeats.
const DELAYS: u32 = 32;

/// A run that failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailedAttempt<'a> {
    /// The job's class.
    pub class: &'a str,
    /// The queue that it came from.
    pub queue: &'a str,
    /// Its arguments.
    pub args: &'a Args,
    /// Its identity.
    pub identity: &'a Identity,
    /// Why it failed.
    pub failure: &'a Failure,
}

/// The rule for a failed run. `last` is the failure record for the last attempt; with `None` the last failure counts
/// as done.
#[must_use]
pub(crate) fn rule(spec: &RetrySpec, failed: FailedAttempt<'_>, now_ms: i64, last: Option<Bytes>) -> Retry {
    let FailedAttempt { class, queue, args, identity, failure } = failed;
    Retry {
        keys: RetryKeys::of(class, args),
        last_error: last_error(queue, args, class, failure, now_ms),
        attempts: spec.attempts,
        delays_ms: delays(spec, &identity.id),
        identity: identity.next_attempt(),
        last,
    }
}

/// The wait before each repetition without jitter, in milliseconds; the last one repeats.
#[must_use]
pub(crate) fn plain_delays(spec: &RetrySpec) -> Vec<u64> {
    match &spec.backoff {
        Backoff::Fixed { delay_ms } => vec![*delay_ms],
        Backoff::List { delays_ms } => delays_ms.clone(),
        Backoff::Exponential { base_ms, factor, cap_ms } => {
            let nth = |n| base_ms.saturating_mul(u64::from(*factor).saturating_pow(n)).min(*cap_ms);
            (0..several(spec)).map(nth).collect()
        }
    }
}

/// How many delays are listed.
fn several(spec: &RetrySpec) -> u32 {
    spec.attempts.saturating_sub(1).clamp(1, DELAYS)
}

fn delays(spec: &RetrySpec, id: &str) -> Vec<u64> {
    let plain = plain_delays(spec);
    if spec.jitter_permille == 0 {
        return plain;
    }
    let longest = plain.last().copied().unwrap_or_default();
    let spread = |n: u32| {
        let plain = usize::try_from(n).ok().and_then(|n| plain.get(n)).copied().unwrap_or(longest);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a delay is positive and far below 2^53"
        )]
        let longer = (plain as f64 * f64::from(spec.jitter_permille) / 1000.0 * share(id, n)) as u64;
        plain.saturating_add(longer)
    };
    (0..several(spec)).map(spread).collect()
}

/// A number from 0 to 1 derived from job and attempt. Jitter need not be random, only different for different jobs.
fn share(id: &str, n: u32) -> f64 {
    let hash = digest::spread(digest::seeded(u64::from(n), id.bytes()));
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// The value of the failure key, member for member as node-resque writes it. Its times carry no zone; ours are UTC.
fn last_error(queue: &str, args: &Args, class: &str, failure: &Failure, now_ms: i64) -> Bytes {
    let date = DateTime::from_timestamp_millis(now_ms).unwrap_or_default().format("%Y/%m/%d %H:%M:%S");
    let error = quote(&format!("{}: {}", failure.exception, failure.error));
    let backtrace: Vec<String> = failure.backtrace.iter().map(|line| quote(line)).collect();
    Bytes::from(format!(
        "{{\"failed_at\":\"{date}\",\"payload\":{},\"exception\":{error},\"error\":{error},\"backtrace\":[{}],\"worker\":{},\"queue\":{}}}",
        args.as_str(),
        backtrace.join(","),
        quote(class),
        quote(queue),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Args {
        Args::from_json(text).unwrap()
    }

    #[test]
    fn delays_follow_the_strategy() {
        let spec = |attempts, backoff, jitter_permille| RetrySpec { attempts, backoff, jitter_permille };
        assert_eq!(delays(&spec(3, Backoff::Fixed { delay_ms: 1000 }, 0), "a"), [1000]);
        assert_eq!(delays(&spec(9, Backoff::List { delays_ms: vec![0, 5, 9] }, 0), "a"), [0, 5, 9]);
        let growing = Backoff::Exponential { base_ms: 100, factor: 3, cap_ms: 1000 };
        assert_eq!(delays(&spec(5, growing.clone(), 0), "a"), [100, 300, 900, 1000]);
        let spread = delays(&spec(5, growing, 500), "a");
        assert!(spread.iter().zip([100, 300, 900, 1000]).all(|(delay, plain)| (plain..=plain * 3 / 2).contains(delay)));
        assert_ne!(spread, delays(&spec(5, Backoff::Exponential { base_ms: 100, factor: 3, cap_ms: 1000 }, 500), "b"));
        assert_eq!(delays(&spec(u32::MAX, Backoff::Fixed { delay_ms: 0 }, 100), "a").len(), 32);
    }

    #[test]
    fn the_last_error_is_node_resques() {
        let failure = Failure { backtrace: vec!["line".into()], ..Failure::new("TypeError", "bad \"thing\"") };
        let text = last_error("q", &args("[1]"), "b", &failure, 1_795_490_778_000);
        let expected = r#"{"failed_at":"2026/11/24 03:26:18","payload":[1],"exception":"TypeError: bad \"thing\"","error":"TypeError: bad \"thing\"","backtrace":["line"],"worker":"b","queue":"q"}"#;
        assert_eq!(text, expected);
    }
}
