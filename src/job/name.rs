//! Validated names of queues, tasks and workers.

use std::fmt;
use std::sync::Arc;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty or only blank.
    #[error("a name must not be empty")]
    Empty,
    /// The text holds a control character.
    #[error("a name must not hold control characters")]
    Control,
}

/// How many bytes a stored name has at most. Anybody who writes to the store can write a longer one, which is not read, so that it
/// takes no memory and holds up nothing.
pub const LONGEST_NAME: usize = 16 * 1024;

fn check(text: &str) -> Result<(), NameError> {
    if text.trim().is_empty() {
        Err(NameError::Empty)
    } else if text.chars().any(char::is_control) {
        Err(NameError::Control)
    } else {
        Ok(())
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text from a person or another program.
            ///
            /// # Errors
            /// Empty texts and texts with control characters are refused.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// Takes a stored name without a check, because every queue or class of another program must be
            /// addressable.
            #[must_use]
            pub fn as_stored(text: &str) -> Self {
                Self(Arc::from(text))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// The name of a queue.
    QueueName
}
name! {
    /// The name of a task: what Resque calls a job's class.
    TaskName
}

/// A worker as Resque registers it: `<host>:<pid>[+n]:<queues joined by commas>`.
///
/// The first two parts are its *name* (key of pings, stats and failure records), all three are
/// its *id* (member of `workers`, key of its working record).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerName {
    id: Arc<str>,
    name_len: usize,
}

impl WorkerName {
    /// Joins a name (`host:pid+n`) and the queues the worker was configured with.
    #[must_use]
    pub fn new(name: &str, queues: &str) -> Self {
        Self { id: Arc::from(format!("{name}:{queues}")), name_len: name.len() }
    }

    /// Splits a member of the `workers` set the way node-resque does: the first two parts are the
    /// name, the rest the queues. Members of fewer parts are all name.
    #[must_use]
    pub fn parse(id: &str) -> Self {
        let name_len = id.match_indices(':').nth(1).map_or(id.len(), |(at, _)| at);
        Self { id: Arc::from(id), name_len }
    }

    /// All three parts.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The first two parts, `host:pid+n`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.id[..self.name_len]
    }

    /// The third part, or `None` for a member of fewer than three parts.
    #[must_use]
    pub fn queues(&self) -> Option<&str> {
        self.id.get(self.name_len + 1..)
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

impl fmt::Debug for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.id, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_neither_blank_nor_holds_control_characters() {
        assert_eq!(QueueName::new(" "), Err(NameError::Empty));
        assert_eq!(TaskName::new("a\nb"), Err(NameError::Control));
        assert_eq!(QueueName::new("über:mail").unwrap().as_str(), "über:mail");
    }

    #[test]
    fn a_worker_id_splits_as_node_resque_splits_it() {
        let full = WorkerName::parse("vm:21217+1:math,other");
        assert_eq!((full.name(), full.queues()), ("vm:21217+1", Some("math,other")));
        let colons = WorkerName::parse("vm:1:a:b,c");
        assert_eq!((colons.name(), colons.queues()), ("vm:1", Some("a:b,c")));
        let two = WorkerName::parse("lonely:q");
        assert_eq!((two.name(), two.queues()), ("lonely:q", None));
        assert_eq!(WorkerName::new("vm:1+2", "*"), WorkerName::parse("vm:1+2:*"));
    }
}
