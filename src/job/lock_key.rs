//! Names of the locks that node-resque's plugins take.

use std::fmt;

/// The key of a lock. node-resque prefixes the keys it computes with its namespace, and uses a
/// key that the task chose itself as it stands.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKey {
    /// A key within the namespace, such as `lock:<class>:<queue>:<args>`.
    Namespaced(String),
    /// A key that the task chose, without namespace.
    Verbatim(String),
}

impl LockKey {
    /// The key of QueueLock: `lock:<class>:<queue>:<args as ECMAScript JSON>`.
    #[must_use]
    pub fn queue_lock(class: &str, queue: &str, args: &str) -> Self {
        Self::Namespaced(join(&["lock", class, queue, args]))
    }

    /// The key of JobLock: `workerslock:<class>:<queue>:<args as ECMAScript JSON>`.
    #[must_use]
    pub fn job_lock(class: &str, queue: &str, args: &str) -> Self {
        Self::Namespaced(join(&["workerslock", class, queue, args]))
    }

    /// The key's text, without namespace.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Namespaced(key) | Self::Verbatim(key) => key,
        }
    }
}

/// node-resque drops blank parts before it joins (`protocol`: `key("lock","f","","[]")` is
/// `lock:f:[]`).
fn join(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.trim().is_empty()).collect();
    parts.join(":")
}

impl fmt::Debug for LockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelt_as_node_resque_spells_them() {
        assert_eq!(LockKey::queue_lock("add", "math", "[1,2]").as_str(), "lock:add:math:[1,2]");
        assert_eq!(LockKey::job_lock("add", "math", "[]").as_str(), "workerslock:add:math:[]");
        assert_eq!(LockKey::queue_lock("f", "", "[]").as_str(), "lock:f:[]");
    }
}
