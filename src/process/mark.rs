//! The variables by which processes of Windlass are known.

/// Every process of a job carries the id of the instance that started it; its children inherit it.
pub const INSTANCE: &str = "WINDLASS_INSTANCE";
/// The daemon proper carries the process that watches over it: `<pid>:<start time in ticks>`. Not
/// for jobs: a daemon that a job starts has nobody who watches over it.
pub const SUPERVISED: &str = "WINDLASS_SUPERVISED";
