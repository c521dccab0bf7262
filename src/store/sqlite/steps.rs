//! What makes a schema of each version from the one before.

/// The steps from each version to the next.
pub(super) const STEPS: &[&str] = &[
    include_str!("schema/0001_initial.sql"),
    include_str!("schema/0002_retries.sql"),
    include_str!("schema/0003_moving.sql"),
    include_str!("schema/0004_schedules.sql"),
    include_str!("schema/0005_paused.sql"),
    include_str!("schema/0006_leases.sql"),
    include_str!("schema/0007_suspected.sql"),
    include_str!("schema/0008_tokens.sql"),
    include_str!("schema/0009_birth.sql"),
    include_str!("schema/0010_wishes.sql"),
    include_str!("schema/0011_history.sql"),
    include_str!("schema/0012_runs.sql"),
    include_str!("schema/0013_counts.sql"),
    include_str!("schema/0014_ran.sql"),
    include_str!("schema/0015_failed_blocks.sql"),
    include_str!("schema/0016_showing.sql"),
    include_str!("schema/0017_audit.sql"),
    include_str!("schema/0018_tallies.sql"),
    include_str!("schema/0019_marks.sql"),
    include_str!("schema/0020_results.sql"),
    include_str!("schema/0021_asked.sql"),
    include_str!("schema/0022_operations.sql"),
];
