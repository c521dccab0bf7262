//! Names of signals, and exit statuses as text.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::Signal;

use super::memory_kill;

const NAMES: [(Signal, &str); 18] = [
    (Signal::HUP, "SIGHUP"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::ILL, "SIGILL"),
    (Signal::TRAP, "SIGTRAP"),
    (Signal::ABORT, "SIGABRT"),
    (Signal::BUS, "SIGBUS"),
    (Signal::FPE, "SIGFPE"),
    (Signal::KILL, "SIGKILL"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::SEGV, "SIGSEGV"),
    (Signal::USR2, "SIGUSR2"),
    (Signal::PIPE, "SIGPIPE"),
    (Signal::ALARM, "SIGALRM"),
    (Signal::TERM, "SIGTERM"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::XFSZ, "SIGXFSZ"),
    (Signal::SYS, "SIGSYS"),
];

/// The name of a signal that ends processes.
#[must_use]
pub fn signal_name(signal: i32) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}

/// A SIGKILL that this instance did not send.
#[derive(Debug)]
pub struct UnsentKill {
    /// What is known of it, to follow the words that name it.
    pub text: String,
    /// Nobody knows who sent it.
    pub is_unknown: bool,
}

/// What is known of a SIGKILL that this instance did not send.
#[must_use]
pub fn unsent_kill() -> UnsentKill {
    match memory_kill::reason() {
        Some(reason) => UnsentKill { text: format!(": killed {reason}"), is_unknown: false },
        None => UnsentKill {
            text: ", which this instance did not send; was the machine, its container or its control group out of \
                   memory?"
                .to_owned(),
            is_unknown: true,
        },
    }
}

/// How a process ended, as text to follow the process' name.
#[must_use]
pub fn status_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => {
            let name = signal_name(signal).map(|name| format!(" ({name})")).unwrap_or_default();
            format!("was killed by signal {signal}{name}")
        }
        (None, None) => format!("ended in an unknown way: {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_in_words() {
        let text = |raw| status_text(ExitStatus::from_raw(raw));
        assert_eq!(text(3 << 8), "exited with 3");
        assert_eq!((text(9), text(40)), ("was killed by signal 9 (SIGKILL)".into(), "was killed by signal 40".into()));
    }
}
