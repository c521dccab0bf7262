//! The plugins in code, by the names that task files use. Programs that build a daemon from this library add their
//! own.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use super::hook::Hook;
use crate::task::plugin_spec::BUILT_IN;

/// Plugins by name.
#[derive(Clone, Default)]
pub struct Plugins {
    hooks: BTreeMap<String, Arc<dyn Hook>>,
}

/// Why a plugin cannot have this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PluginNameError {
    /// A built-in plugin has it.
    #[error("plugin {0:?}: a built-in plugin has this name")]
    BuiltIn(String),
    /// Another plugin has it.
    #[error("plugin {0:?}: another plugin is registered under this name")]
    Taken(String),
    /// It is not a valid name.
    #[error("plugin {0:?}: a name must not be empty or contain control characters")]
    NoName(String),
}

impl Plugins {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a plugin.
    ///
    /// # Errors
    /// If it cannot have this name.
    pub fn register(&mut self, name: impl Into<String>, hook: Arc<dyn Hook>) -> Result<&mut Self, PluginNameError> {
        let name = name.into();
        if BUILT_IN.contains(&name.as_str()) {
            return Err(PluginNameError::BuiltIn(name));
        }
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err(PluginNameError::NoName(name));
        }
        match self.hooks.entry(name) {
            Entry::Occupied(taken) => return Err(PluginNameError::Taken(taken.key().clone())),
            Entry::Vacant(free) => free.insert(hook),
        };
        Ok(self)
    }

    /// The plugin of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Hook>> {
        self.hooks.get(name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.hooks.keys().map(String::as_str)
    }
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;
    impl Hook for Nothing {}

    #[test]
    fn names_are_taken_once_and_never_from_the_built_in_ones() {
        let mut plugins = Plugins::new();
        plugins.register("b", Arc::new(Nothing)).unwrap().register("a", Arc::new(Nothing)).unwrap();
        assert_eq!(plugins.names().collect::<Vec<_>>(), ["a", "b"]);
        assert!(plugins.get("a").is_some() && plugins.get("c").is_none());
        let refused = |plugins: &mut Plugins, name: &str| plugins.register(name, Arc::new(Nothing)).unwrap_err();
        assert_eq!(refused(&mut plugins, "a"), PluginNameError::Taken("a".into()));
        assert_eq!(refused(&mut plugins, "QueueLock"), PluginNameError::BuiltIn("QueueLock".into()));
        assert_eq!(refused(&mut plugins, " "), PluginNameError::NoName(" ".into()));
    }
}
