//! What is known on this machine.

use crate::config::error::Problem;
use crate::job::TaskName;
use crate::process::daemons::FoundDaemon;
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
    /// Is it told what cannot be seen from here, because who asks may be elsewhere?
    pub tells_unseen: bool,
    /// The daemons of this host that work on the store.
    pub daemons: &'a [FoundDaemon],
}

impl<'a> Here<'a> {
    /// These tasks; nothing is missing, and the host has no name.
    #[must_use]
    pub fn of(registry: &'a Registry) -> Self {
        Self { registry, missing: &[], host: "", tells_unseen: false, daemons: &[] }
    }

    /// With what is missing on this host.
    #[must_use]
    pub fn lacking(self, missing: &'a [(TaskName, Problem)], host: &'a str) -> Self {
        Self { missing, host, ..self }
    }

    /// With the daemons that work on the store on this host, whether they are registered or not.
    #[must_use]
    pub fn beside(self, daemons: &'a [FoundDaemon]) -> Self {
        Self { daemons, ..self }
    }

    /// For somebody who may be on another machine: it is told on which one was looked, and what cannot be seen from there.
    #[must_use]
    pub fn from_elsewhere(self) -> Self {
        Self { tells_unseen: true, ..self }
    }
}
