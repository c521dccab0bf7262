//! What is known on this machine.

use crate::config::error::Problem;
use crate::job::TaskName;
use crate::task::definition::Registry;

/// The tasks and the name of the machine on which somebody asks.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Here<'a> {
    /// The tasks that are defined here.
    pub registry: &'a Registry,
    /// Those whose program or folder is missing at the moment.
    pub missing: &'a [(TaskName, Problem)],
    /// The name of this host.
    pub host: &'a str,
}

impl<'a> Here<'a> {
    /// These tasks; nothing is missing, and the host has no name.
    #[must_use]
    pub fn of(registry: &'a Registry) -> Self {
        Self { registry, missing: &[], host: "" }
    }

    /// With what is missing on this host.
    #[must_use]
    pub fn lacking(self, missing: &'a [(TaskName, Problem)], host: &'a str) -> Self {
        Self { missing, host, ..self }
    }
}
