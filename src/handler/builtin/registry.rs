//! The registry of builtins. Programs that build a daemon from this library add their own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::standard::{Log, Noop, Sleep};
use crate::event::Bus;
use crate::handler::contract::Handler;

/// Handlers by the name that `builtin = "..."` gives.
#[derive(Clone, Default)]
pub struct Builtins {
    handlers: BTreeMap<String, Arc<dyn Handler>>,
}

impl Builtins {
    /// Those that always exist: `noop`, `log`, `sleep`.
    #[must_use]
    pub fn standard(bus: Bus) -> Self {
        let mut builtins = Self::default();
        builtins.register("noop", Noop).register("log", Log::new(bus)).register("sleep", Sleep);
        builtins
    }

    /// Adds a handler, or replaces the one of this name.
    pub fn register(&mut self, name: impl Into<String>, handler: impl Handler + 'static) -> &mut Self {
        self.handlers.insert(name.into(), Arc::new(handler));
        self
    }

    /// Adds a handler that is shared.
    pub fn register_shared(&mut self, name: impl Into<String>, handler: Arc<dyn Handler>) -> &mut Self {
        self.handlers.insert(name.into(), handler);
        self
    }

    /// The handler of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Handler>> {
        self.handlers.get(name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.handlers.keys().map(String::as_str)
    }
}

impl fmt::Debug for Builtins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builtins_are_extended_by_name() {
        let mut builtins = Builtins::standard(Bus::silent());
        assert_eq!(builtins.names().collect::<Vec<_>>(), ["log", "noop", "sleep"]);
        builtins.register("mine", Noop);
        assert!(builtins.get("mine").is_some() && builtins.get("other").is_none());
    }
}
