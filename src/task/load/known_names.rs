//! What task files may name, and by what they are judged.

use std::sync::Arc;

use crate::config::defaults::DefaultsSource;
use crate::file::trust::Owners;

/// What task files may name: the builtins of `builtin = "..."` and the plugins that are defined in code, and the keys of
/// locks. A plain list converts to builtins.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct KnownNames<'a> {
    /// Handlers.
    pub builtins: &'a [&'a str],
    /// Plugins.
    pub plugins: &'a [&'a str],
    /// The namespace in which the keys of locks must be. `None`: they are not checked.
    pub namespace: Option<&'a str>,
    /// Who may change task files and programs. `None`: root and the user of this process.
    pub trusted: Option<&'a Arc<Owners>>,
    /// May anybody change them?
    pub anybody: bool,
    /// Where `[defaults]` of the tasks stands, if anywhere.
    pub defaults: Option<&'a DefaultsSource>,
}

impl<'a> KnownNames<'a> {
    /// These handlers and these plugins.
    #[must_use]
    pub fn new(builtins: &'a [&'a str], plugins: &'a [&'a str]) -> Self {
        Self { builtins, plugins, namespace: None, trusted: None, anybody: false, defaults: None }
    }

    /// Refuses keys of locks outside of this namespace.
    #[must_use]
    pub fn within(self, namespace: Option<&'a str>) -> Self {
        Self { namespace, ..self }
    }

    /// Refuses task files and programs that others than these users may change; `None`: anybody may.
    #[must_use]
    pub fn changed_by(self, trusted: Option<&'a Arc<Owners>>) -> Self {
        Self { trusted, anybody: trusted.is_none(), ..self }
    }

    /// Tasks take from `[defaults]` what they do not say themselves.
    #[must_use]
    pub fn over(self, defaults: Option<&'a DefaultsSource>) -> Self {
        Self { defaults, ..self }
    }
}

impl<'a> From<&'a [&'a str]> for KnownNames<'a> {
    fn from(builtins: &'a [&'a str]) -> Self {
        Self::new(builtins, &[])
    }
}

impl<'a, const N: usize> From<&'a [&'a str; N]> for KnownNames<'a> {
    fn from(builtins: &'a [&'a str; N]) -> Self {
        Self::from(builtins.as_slice())
    }
}

impl<'a> From<&'a Vec<&'a str>> for KnownNames<'a> {
    fn from(builtins: &'a Vec<&'a str>) -> Self {
        Self::from(builtins.as_slice())
    }
}
