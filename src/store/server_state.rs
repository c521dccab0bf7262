//! States of a server in which it answers, but refuses the step.

/// Why a server takes no step at present. Its text says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ServerState {
    /// `READONLY`: a replica.
    #[error(
        "it is a replica, which takes no writes: connect to its master, or name the Sentinels; after a failover the new \
         master is looked for"
    )]
    Replica,
    /// `MASTERDOWN`: a replica that may not answer without its master.
    #[error("it is a replica that has lost its master: start the master, or connect to it")]
    MasterDown,
    /// `LOADING`: after its start.
    #[error("it is still loading its data: wait until it has (redis-cli INFO persistence tells how long)")]
    Loading,
    /// `BUSY`: a script or function does not end.
    #[error("a script keeps it busy: wait for its end, or type redis-cli SCRIPT KILL")]
    Busy,
    /// `CLUSTERDOWN`.
    #[error("a part of its Cluster is down: type redis-cli CLUSTER INFO, and start the nodes that are missing")]
    ClusterDown,
    /// `TRYAGAIN`, `MOVED`, `ASK`.
    #[error("its keys are on the way to another node of the Cluster: wait until they have moved")]
    Moving,
    /// `NOREPLICAS`.
    #[error("it has too few replicas to take writes: start them, or lower min-replicas-to-write")]
    TooFewReplicas,
    /// `MISCONF`: it cannot save its data.
    #[error(
        "it cannot save its data and takes no writes until it can: read its log, and make room on its disk or let it \
         write there"
    )]
    CannotSave,
    /// `max number of clients reached`.
    #[error("it has as many clients as it allows: close some, or raise maxclients")]
    TooManyClients,
}

impl ServerState {
    /// Does the server take no writes from anybody? A replica and what has lost its replicas may have a successor elsewhere,
    /// and other clients may be connected.
    #[must_use]
    pub fn concerns_everybody(self) -> bool {
        matches!(self, Self::Loading | Self::Busy | Self::CannotSave)
    }
}
