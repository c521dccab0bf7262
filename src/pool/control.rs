//! What a pool is told from outside.

/// How far a shutdown has come. Only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Phase {
    /// Work.
    #[default]
    Run,
    /// Claim nothing more, let running jobs end until the deadline.
    Drain,
    /// Kill running jobs now.
    Kill,
}

/// The present orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Control {
    /// How far a shutdown has come.
    pub phase: Phase,
    /// Claim nothing for now.
    pub paused: bool,
}
