//! Scripts and the calls made of them.

use std::sync::LazyLock;

use bytes::Bytes;
use fred::types::Value;

/// A script: its fragments, joined when the program is built.
pub(super) struct Script {
    /// What the server runs.
    pub(super) source: &'static str,
    /// The digest by which the server knows it.
    pub(super) digest: LazyLock<Bytes>,
}

/// How many times as long as a script's source a call is with which the source goes at once: it adds little then, and a server
/// that does not know the script would get such a call twice.
const WITH_SOURCE: usize = 8;

impl Script {
    /// The commands by which a call runs it, each with how it names the script: the second if the server did not run the first.
    pub(super) fn ways(&self, call: &Call) -> [(&'static str, Bytes); 2] {
        let known = ("EVALSHA", self.digest.clone());
        let whole = ("EVAL", Bytes::from_static(self.source.as_bytes()));
        if call.bytes() >= WITH_SOURCE * self.source.len() { [whole, known] } else { [known, whole] }
    }
}

/// Joins fragments of `scripts/` to one script, the shared prelude first.
macro_rules! script {
    ($($fragment:literal),+) => {{
        const SOURCE: &str = concat!(
            include_str!("scripts/prelude.lua"),
            $("\n", include_str!(concat!("scripts/", $fragment, ".lua"))),+
        );
        $crate::store::redis::script::Script {
            source: SOURCE,
            digest: std::sync::LazyLock::new(|| bytes::Bytes::from(fred::util::sha1_hash(SOURCE))),
        }
    }};
}
pub(super) use script;

/// How many bytes of jobs one call carries at most, but for a single job that is larger.
pub(super) const CALL_BYTES: usize = 1024 * 1024;

/// Splits what is to be sent into calls of at most `most` items, and of so many bytes.
pub(super) fn calls_of<T>(items: &[T], most: usize, bytes: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut calls, mut rest) = (Vec::new(), items);
    while !rest.is_empty() {
        let mut held = 0;
        let fits = |item: &&T| {
            held += bytes(item);
            held <= CALL_BYTES
        };
        let count = rest.iter().take(most).take_while(fits).count().max(1);
        let (call, others) = rest.split_at(count);
        calls.push(call);
        rest = others;
    }
    calls
}

/// The keys and arguments of one call, in the order in which the script reads them.
#[derive(Debug)]
pub(super) struct Call {
    keys: Vec<Value>,
    args: Vec<Value>,
}

impl Call {
    /// A call at the given time (milliseconds), or at the store's own.
    pub(super) fn at(now_ms: Option<i64>) -> Self {
        Self::sized(now_ms, 8, 8)
    }

    pub(super) fn sized(now_ms: Option<i64>, keys: usize, args: usize) -> Self {
        let mut call = Self { keys: Vec::with_capacity(keys + 2), args: Vec::with_capacity(args + 1) };
        call.args.push(now_ms.map_or(Value::Bytes(Bytes::new()), |now| Value::Bytes(Bytes::from(now.to_string()))));
        call
    }

    pub(super) fn key(&mut self, key: Bytes) -> &mut Self {
        self.keys.push(Value::Bytes(key));
        self
    }

    pub(super) fn keys(&mut self, keys: &[Bytes]) -> &mut Self {
        self.keys.extend(keys.iter().cloned().map(Value::Bytes));
        self
    }

    pub(super) fn args(&mut self, args: &[Bytes]) -> &mut Self {
        self.args.extend(args.iter().cloned().map(Value::Bytes));
        self
    }

    /// How many bytes its keys and arguments have.
    pub(super) fn bytes(&self) -> usize {
        let size = |value: &Value| if let Value::Bytes(bytes) = value { bytes.len() } else { 0 };
        self.keys.iter().chain(&self.args).map(size).sum()
    }

    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    pub(super) fn arg(&mut self, arg: Bytes) -> &mut Self {
        self.args.push(Value::Bytes(arg));
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.arg(Bytes::copy_from_slice(text.as_bytes()))
    }

    pub(super) fn literal(&mut self, text: &'static str) -> &mut Self {
        self.arg(Bytes::from_static(text.as_bytes()))
    }

    pub(super) fn number(&mut self, number: impl std::fmt::Display) -> &mut Self {
        self.arg(Bytes::from(number.to_string()))
    }

    pub(super) fn flag(&mut self, flag: bool) -> &mut Self {
        self.literal(if flag { "1" } else { "" })
    }

    /// How many keys and arguments it has.
    pub(super) fn lengths(&self) -> (usize, usize) {
        (self.keys.len(), self.args.len())
    }

    /// Passes on each key and argument from these numbers on, with its place from 1; what is returned takes its place.
    pub(super) fn each_value_from(
        &mut self,
        keys: usize,
        args: usize,
        mut each: impl FnMut(bool, usize, &Bytes) -> Option<Bytes>,
    ) {
        for (is_key, from, values) in [(true, keys, &mut self.keys), (false, args, &mut self.args)] {
            for (place, value) in values.iter_mut().enumerate().skip(from) {
                if let Value::Bytes(bytes) = value
                    && let Some(other) = each(is_key, place + 1, bytes)
                {
                    *bytes = other;
                }
            }
        }
    }

    /// Replaces an argument, counted from 0, by a number.
    pub(super) fn set_number(&mut self, at: usize, number: usize) {
        if let Some(arg) = self.args.get_mut(at) {
            *arg = Value::Bytes(Bytes::from(number.to_string()));
        }
    }

    /// The keys that the call declares; copies of what points to them.
    pub(super) fn declared(&self) -> Vec<Bytes> {
        let key = |key: &Value| if let Value::Bytes(key) = key { Some(key.clone()) } else { None };
        self.keys.iter().filter_map(key).collect()
    }

    /// The keys that the call declares.
    pub(super) fn into_keys(self) -> Vec<Bytes> {
        let key = |key| if let Value::Bytes(key) = key { Some(key) } else { None };
        self.keys.into_iter().filter_map(key).collect()
    }

    /// The arguments of EVALSHA (or EVAL, with the source instead of the digest).
    pub(super) fn into_command(self, script: Bytes) -> Vec<Value> {
        let mut command = Vec::with_capacity(2 + self.keys.len() + self.args.len());
        command.push(Value::Bytes(script));
        command.push(Value::Bytes(Bytes::from(self.keys.len().to_string())));
        command.extend(self.keys);
        command.extend(self.args);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_bounded_by_number_and_by_bytes() {
        let split = |sizes: &[usize], most| calls_of(sizes, most, |size| *size).iter().map(|call| call.len()).collect();
        let calls: Vec<usize> = split(&[1; 7], 3);
        assert_eq!(calls, [3, 3, 1]);
        let half = CALL_BYTES / 2;
        let calls: Vec<usize> = split(&[half, half, 1, 2 * CALL_BYTES, 1, 1], 100);
        assert_eq!(calls, [2, 1, 1, 2]);
        let calls: Vec<usize> = split(&[], 3);
        assert_eq!(calls, [0_usize; 0]);
    }
}
