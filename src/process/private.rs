//! Variables of this program that no process that it starts gets, and that nothing outside can read.
//!
//! They are those of the service manager, the known secrets, and every variable that a task or the configuration names as
//! the place of a secret. `/proc/<pid>/environ` shows the environment with which a process was executed, whatever it does
//! later. So the daemon takes them over from a process that is gone ([`take_over`]), and only its memory holds them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::{OnceLock, PoisonError, RwLock};

use super::mark;

/// Variables that were named as the places of secrets.
static NAMED: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());
/// Variables that are not in the environment of this process any more.
static TAKEN_OVER: OnceLock<BTreeMap<OsString, OsString>> = OnceLock::new();

/// Keeps a variable from all processes that are started from now on.
pub fn keep(name: &str) {
    NAMED.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
}

/// Is this variable kept from the processes that are started?
#[must_use]
pub fn is_private(name: &OsStr) -> bool {
    let always = || mark::PRIVATE.into_iter().chain([mark::SUPERVISED]);
    always().any(|private| name == private)
        || name.to_str().is_some_and(|name| NAMED.read().unwrap_or_else(PoisonError::into_inner).contains(name))
}

/// The names of all such variables.
pub(super) fn names() -> Vec<String> {
    let named = NAMED.read().unwrap_or_else(PoisonError::into_inner);
    mark::PRIVATE.into_iter().chain([mark::SUPERVISED]).map(str::to_owned).chain(named.iter().cloned()).collect()
}

/// The secrets in the environment of this process: the known ones, and those that were named.
#[must_use]
pub fn secrets() -> Vec<(OsString, OsString)> {
    let named = NAMED.read().unwrap_or_else(PoisonError::into_inner);
    let is_secret = |name: &OsStr| {
        mark::SECRETS.into_iter().any(|secret| name == secret) || name.to_str().is_some_and(|name| named.contains(name))
    };
    std::env::vars_os().filter(|(name, _)| is_secret(name)).collect()
}

/// A variable of the environment, or one that was taken over.
#[must_use]
pub fn variable(name: &str) -> Option<OsString> {
    let taken_over = TAKEN_OVER.get().and_then(|all| all.get(OsStr::new(name)));
    taken_over.cloned().or_else(|| std::env::var_os(name))
}

/// All variables of the environment, and those that were taken over.
pub fn variables() -> impl Iterator<Item = (OsString, OsString)> {
    let taken_over = TAKEN_OVER.get().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone()));
    std::env::vars_os().chain(taken_over)
}

/// Takes over variables, in the form of [`encode`]. The first call counts.
pub fn take_over(bytes: &[u8]) {
    let pair = |variable: &[u8]| {
        let at = variable.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (variable.get(..at)?, variable.get(at + 1..)?);
        Some((OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec())))
    };
    let all: BTreeMap<_, _> = bytes.split(|&byte| byte == 0).filter_map(pair).collect();
    for name in all.keys().filter_map(|name| name.to_str()) {
        keep(name);
    }
    // Nobody takes over twice.
    let _ = TAKEN_OVER.set(all);
}

/// Variables as bytes: `NAME=VALUE`, each ended by NUL.
#[must_use]
pub fn encode(variables: &[(OsString, OsString)]) -> Vec<u8> {
    let all = variables.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat());
    all.collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_over_is_known_and_private() {
        let name = "WINDLASS_TEST_OF_TAKING_OVER";
        take_over(&encode(&[(name.into(), "a=b\nc".into())]));
        assert_eq!(variable(name), Some("a=b\nc".into()));
        assert!(variables().any(|(found, _)| found == name) && is_private(name.as_ref()));
        assert_eq!(variable("PATH"), std::env::var_os("PATH"));
        assert!(is_private("WINDLASS_STORE_URL".as_ref()) && !is_private("PATH".as_ref()));
    }
}
