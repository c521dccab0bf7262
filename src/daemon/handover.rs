//! Takes secrets out of the environment that the system shows of the parent and of the daemon proper.
//!
//! ```text
//!   windlass run (as it was started) --(executes itself; stdin: the secrets)--> the parent
//!   the parent --(the first message on its socket)--> the daemon proper
//! ```
//!
//! `/proc/<pid>/environ` shows the environment with which a process was executed, and a process cannot change that safely. So
//! it executes itself once more without the secrets. Its pid stays the same. Where the environment holds no secret,
//! nothing of this happens.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::fs::MemfdFlags;
use rustix::net::RecvFlags;

use crate::process::{mark, private, sweep};
use crate::telemetry::stderr::write_line;

/// The most that is handed over, in bytes.
const LONGEST: usize = 128 * 1024;
/// The longest message to the daemon proper, which also gets the passes of a succession.
const MESSAGE: usize = LONGEST + 1024;
/// Variables that no task names as the place of a secret; of those that end with `_` the beginnings of the names.
const HARMLESS: [&str; 33] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "TERM",
    "LANG",
    "LC_",
    "TZ",
    "HOSTNAME",
    "_",
    "MAIL",
    "XDG_",
    "SYSTEMD_",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "MEMORY_PRESSURE_",
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "WINDLASS_CONFIG",
    "WINDLASS_LOG",
    "WINDLASS_INSTANCE",
    "WINDLASS_RUN",
    "NOTIFY_SOCKET",
    "WATCHDOG_",
    "MAINPID",
    "LISTEN_",
    "CREDENTIALS_DIRECTORY",
    "RUST_BACKTRACE",
    "MALLOC_",
];

/// Can the environment hold a secret?
fn is_needed() -> bool {
    let is_harmless = |name: &OsStr| {
        HARMLESS.iter().any(|harmless| {
            let begins = harmless.len() > 1 && harmless.ends_with('_');
            name == *harmless || (begins && name.as_encoded_bytes().starts_with(harmless.as_bytes()))
        })
    };
    std::env::vars_os().any(|(name, _)| !is_harmless(&name))
}

/// For the parent: executes this program once more without its secrets, if there are any in its environment. The names of
/// those that are not always secret must have been [kept](private::keep). Returns what was handed over, for the daemon.
#[must_use]
pub fn hide(line: &[OsString], name_secrets: impl FnOnce()) -> Vec<u8> {
    let ourselves = identity();
    if std::env::var_os(mark::HANDED_OVER).is_some_and(|process| process == *ourselves) {
        let mut secrets = Vec::new();
        if let Err(error) = io::stdin().take(u64::try_from(LONGEST).unwrap_or(u64::MAX)).read_to_end(&mut secrets) {
            write_line(&format!("failed to take over the secrets of the environment: {error}"));
        }
        return secrets;
    }
    if !is_needed() {
        return Vec::new();
    }
    name_secrets();
    let secrets = private::secrets();
    if !secrets.is_empty() {
        let error = execute_again(line, &ourselves, &secrets);
        write_line(&format!(
            "the secrets in the environment of this process stay readable for root and its user: {error}"
        ));
    }
    Vec::new()
}

/// For the daemon proper: takes over the secrets from its parent, if there are any.
pub fn take_over() {
    if std::env::var_os(mark::HANDED_OVER).is_none() {
        return;
    }
    let mut bytes = vec![0; MESSAGE];
    match rustix::net::recv(io::stdin().as_fd(), &mut bytes[..], RecvFlags::empty()) {
        Ok((length, _)) => private::take_over(bytes.get(..length).unwrap_or_default()),
        Err(error) => write_line(&format!("failed to take over the secrets of the environment: {error}")),
    }
}

/// Names this process, also over the execution of a program.
pub(super) fn identity() -> OsString {
    let pid = std::process::id();
    OsString::from(format!("{pid}:{}", sweep::start_ticks(pid).unwrap_or_default()))
}

/// Returns only if it fails.
fn execute_again(line: &[OsString], ourselves: &OsStr, secrets: &[(OsString, OsString)]) -> io::Error {
    let prepare = || -> io::Result<(std::path::PathBuf, File)> {
        let bytes = private::encode(secrets);
        if bytes.len() > LONGEST {
            return Err(io::Error::other(format!("they are longer than {LONGEST} bytes")));
        }
        let mut memory = File::from(rustix::fs::memfd_create("windlass", MemfdFlags::CLOEXEC)?);
        memory.write_all(&bytes)?;
        memory.rewind()?;
        Ok((std::env::current_exe()?, memory))
    };
    let (program, memory) = match prepare() {
        Ok(prepared) => prepared,
        Err(error) => return error,
    };
    let mut command = Command::new(program);
    if let Some((name, args)) = line.split_first() {
        command.arg0(name).args(args);
    }
    for (name, _) in secrets {
        command.env_remove(name);
    }
    command.env(mark::HANDED_OVER, ourselves).stdin(Stdio::from(memory)).exec()
}
