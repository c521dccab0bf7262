//! The variables by which processes of Windlass are known.

/// Every process of a job carries the id of the instance that started it; its children inherit it.
pub const INSTANCE: &str = "WINDLASS_INSTANCE";
/// The daemon proper carries the process that watches over it: `<pid>:<start time in ticks>`. Not
/// for jobs: a daemon that a job starts has nobody who watches over it.
pub const SUPERVISED: &str = "WINDLASS_SUPERVISED";
/// What is the daemon's own and no child's: how it talks with its service manager, and its secrets.
pub const PRIVATE: [&str; 10] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "CREDENTIALS_DIRECTORY",
    "WINDLASS_HTTP_TOKEN",
    "WINDLASS_STORE_URL",
];
