//! This executable once more: it applies the settings on its command line to itself, and becomes the program.
//!
//! It begins with the rights of the daemon, so nothing of the task may reach it before it has given them up. Its environment
//! holds the variables of the program under other names ([`ENV_PREFIX`]): the dynamic loader and the libraries
//! (`LD_PRELOAD`, `GLIBC_TUNABLES`, `GCONV_PATH`, ...) see none of them. They get their names when the rights are gone, and
//! then the working directory is entered, which may be closed to the user.
//!
//! If it fails, it writes one line to stderr, with the token by which it is known (see `shim_word`), and
//! exits with `FAILED` or `NOT_EXECUTED`.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::{Gid, Uid};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, remove_capability_from_bounding_set, set_capabilities,
};

use super::confine::{ENV_PREFIX, Limits, SHIM};
use super::shim_word::{self, PROOF, ShimWord, Unbegun};
use super::{mark, runnable};
use crate::text::clean;

/// The exit status of the shim if it could not start the program, as with `env`, `nice` and `timeout`.
const FAILED: u8 = 125;
/// The exit status of the shim if it did all that it should, and the program could not be executed, as with `env`.
const NOT_EXECUTED: u8 = 126;
/// How the message of a failed shim begins.
const ERROR_PREFIX: &str = "windlass: failed to start ";
/// The same if that was for want of a resource of the machine.
const SHORT_PREFIX: &str = "windlass: found no resources to start ";
/// How much CPU time beyond its limit a program gets before a signal that it cannot catch.
const CPU_GRACE_S: u64 = 5;

/// Does this executable answer as the shim? It does if it called [`answer`].
static ANSWERS: AtomicBool = AtomicBool::new(false);

/// Does this executable answer as the shim?
pub(super) fn is_there() -> bool {
    ANSWERS.load(Ordering::Relaxed)
}

/// Runs the shim if `args` (without the name of the program) ask for it. It then becomes the program and never
/// returns, or returns the exit status. Must be called before any thread is started.
#[must_use]
pub fn answer(mut args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    ANSWERS.store(true, Ordering::Relaxed);
    if args.next()? != SHIM {
        return None;
    }
    let proof = std::env::var(PROOF).ok();
    let Complaint { why, text } = become_program(args);
    let prefix = if why == Unbegun::Short { SHORT_PREFIX } else { ERROR_PREFIX };
    let word = ShimWord { why, text: clean::line(&format!("{prefix}{text}")).into_owned() };
    let _ = writeln!(std::io::stderr(), "{}", shim_word::line(proof.as_deref(), &word));
    Some(ExitCode::from(if why == Unbegun::NotExecuted { NOT_EXECUTED } else { FAILED }))
}

/// The settings on the command line of the shim.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ShimOptions {
    limits: Vec<(&'static str, Resource, u64)>,
    umask: Option<u32>,
    gid: Option<u32>,
    user: Option<String>,
    uid: Option<u32>,
    no_new_privs: bool,
    cwd: Option<PathBuf>,
    /// The limit that names the run.
    run: Option<u64>,
}

impl ShimOptions {
    /// Reads the settings, up to the program.
    pub(crate) fn read(args: &mut impl Iterator<Item = OsString>) -> Option<Self> {
        let mut orders = Self::default();
        for arg in args {
            if arg == "--" {
                return Some(orders);
            }
            // The only one that need not be text.
            if let Some(cwd) = arg.as_bytes().strip_prefix(b"cwd=") {
                orders.cwd = Some(PathBuf::from(OsStr::from_bytes(cwd)));
                continue;
            }
            let (key, value) = arg.to_str()?.split_once('=')?;
            match key {
                "umask" => orders.umask = Some(value.parse().ok()?),
                "gid" => orders.gid = Some(value.parse().ok()?),
                "run" => orders.run = Some(value.parse().ok()?),
                "uid" => orders.uid = Some(value.parse().ok()?),
                "no_new_privs" => orders.no_new_privs = true,
                "user" => orders.user = Some(value.to_owned()),
                key => {
                    let (name, resource, _) = Limits::default().all().into_iter().find(|(name, ..)| *name == key)?;
                    orders.limits.push((name, resource, value.parse().ok()?));
                }
            }
        }
        None
    }

    /// Applies the settings to this process: the limits first, while it still has the rights to set them, and the user
    /// last. A program of another user gets a session of its own, so that it shares no terminal with us.
    fn carry_out(&self) -> Result<(), (Option<Errno>, String)> {
        if let Some(run) = self.run {
            mark::name_ourselves(run);
        }
        for &(name, resource, limit) in &self.limits {
            let hard = if resource == Resource::Cpu { limit.saturating_add(CPU_GRACE_S) } else { limit };
            let before = rustix::process::getrlimit(resource);
            // Without root's rights a limit can only be lowered. The grace is not worth an error.
            let hard = before.maximum.map_or(hard, |most| if limit <= most { hard.min(most) } else { hard });
            let wanted = Rlimit { current: Some(limit), maximum: Some(hard) };
            rustix::process::setrlimit(resource, wanted).map_err(|error| {
                let most = before.maximum.map(|most| format!("; this service may have {most} at most"));
                (None, format!("cannot limit {name} to {limit}: {}{}", said(error), most.unwrap_or_default()))
            })?;
        }
        if let Some(umask) = self.umask {
            rustix::process::umask(Mode::from_raw_mode(umask));
        }
        if self.user.is_some() {
            rustix::process::setsid().map_err(|error| (None, format!("cannot begin a session: {}", said(error))))?;
        }
        let drops_capabilities = self.no_new_privs && self.uid.is_some_and(|uid| uid != 0);
        if drops_capabilities {
            empty_bounding_set().map_err(|error| (None, format!("cannot give up capabilities: {}", said(error))))?;
        }
        if let Some(gid) = self.gid.map(Gid::from_raw) {
            match &self.user {
                Some(user) => {
                    let name = std::ffi::CString::new(user.as_str())
                        .map_err(|_| (None, "a user's name holds NUL".to_owned()))?;
                    nix::unistd::initgroups(&name, gid)
                }
                None => nix::unistd::setgroups(&[gid]),
            }
            .and_then(|()| nix::unistd::setgid(gid))
            .map_err(|error| (None, format!("cannot take the rights of group {gid}: {}", said(error))))?;
        }
        if let Some(uid) = self.uid.map(Uid::from_raw) {
            nix::unistd::setuid(uid).map_err(|error| {
                let user = self.user.as_deref().unwrap_or("?");
                (Some(Errno::from_raw_os_error(error as i32)), format!("cannot become user {user}: {}", said(error)))
            })?;
        }
        if drops_capabilities {
            // The change of the user has emptied the sets, unless the service manager's secure bits kept them.
            let none = CapabilitySet::empty();
            set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
                .map_err(|error| (None, format!("cannot give up capabilities: {}", said(error))))?;
        }
        if self.no_new_privs {
            rustix::thread::set_no_new_privs(true)
                .map_err(|error| (None, format!("cannot give up new privileges: {}", said(error))))?;
        }
        Ok(())
    }
}

impl ShimOptions {
    /// Enters the working directory, with the rights that are left.
    fn enter(&self) -> Result<(), String> {
        let Some(cwd) = &self.cwd else { return Ok(()) };
        std::env::set_current_dir(cwd).map_err(|error| {
            let mut text = format!("cannot enter the working directory {}", cwd.display());
            let is_denied = error.kind() == std::io::ErrorKind::PermissionDenied;
            let _ = write!(text, ": {}", said(error));
            match &self.user {
                Some(user) if is_denied => {
                    let _ = write!(text, " (user {user} must be able to pass it and every folder above)");
                }
                _ => {}
            }
            text
        })
    }
}

/// Takes every capability out of the bounding set, so that no program that is executed later can bring it back.
fn empty_bounding_set() -> rustix::io::Result<()> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            // The kernel knows no more.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl ShimOptions {
    /// Is this error a shortage of the machine? A limit of the program's own is none, because it is as low the next time.
    fn is_short(&self, errno: Option<Errno>) -> bool {
        let own = |name| self.limits.iter().any(|&(limit, ..)| limit == name);
        match errno {
            Some(Errno::AGAIN) => !own("processes"),
            Some(Errno::NOMEM) => !own("memory"),
            Some(Errno::NFILE) => true,
            _ => false,
        }
    }
}

/// Why the shim did not become the program.
struct Complaint {
    why: Unbegun,
    text: String,
}

impl Complaint {
    fn of(why: Unbegun, text: impl Into<String>) -> Self {
        Self { why, text: text.into() }
    }
}

/// Becomes the program. Returns only on failure.
fn become_program(mut args: impl Iterator<Item = OsString>) -> Complaint {
    let Some(orders) = ShimOptions::read(&mut args) else {
        return Complaint::of(Unbegun::Failed, "anything: its options cannot be read");
    };
    let Some(program) = args.next() else { return Complaint::of(Unbegun::Failed, "anything: no program was named") };
    let mut complaint = program.to_string_lossy().into_owned();
    if let Err((errno, error)) = orders.carry_out() {
        let _ = write!(complaint, ": {error}");
        let why = if orders.is_short(errno) { Unbegun::Short } else { Unbegun::Failed };
        return Complaint::of(why, complaint);
    }
    // With root's rights every folder could be entered, also one that is closed to the user.
    if let Err(error) = orders.enter() {
        let _ = write!(complaint, ": {error}");
        return Complaint::of(Unbegun::Failed, complaint);
    }
    // Only now, without the rights of the daemon, does the environment of the task mean anything to this process.
    let env = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.as_encoded_bytes().strip_prefix(ENV_PREFIX.as_bytes())?;
        Some((OsStr::from_bytes(name).to_owned(), value))
    });
    let error = std::process::Command::new(&program).args(args).env_clear().envs(env).exec();
    let errno = Errno::from_io_error(&error);
    let why = match errno {
        _ if orders.is_short(errno) => Unbegun::Short,
        // Arguments that are too long are the job's own.
        Some(Errno::TOOBIG) => Unbegun::Failed,
        _ => Unbegun::NotExecuted,
    };
    let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
    match runnable::fault(&program, None, std::env::var_os(format!("{ENV_PREFIX}PATH")).as_deref()) {
        Some(why) if errno != Some(Errno::TOOBIG) => {
            let _ = write!(complaint, ": {why}");
        }
        _ => {
            let _ = write!(complaint, ": {}", said(error));
        }
    }
    if denied && let Some(user) = &orders.user {
        let _ = write!(complaint, " (user {user} must be able to read and execute it, and to pass every folder above)");
    }
    Complaint { why, text: complaint }
}

/// The message of the system, without the number.
fn said(error: impl Into<std::io::Error>) -> String {
    let text = error.into().to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::confine::{Confines, Group, User};
    use super::*;

    #[test]
    fn what_is_told_is_what_is_read() {
        let confines = Confines {
            user: Some(User { name: "www".to_owned(), uid: 33, gid: 34, home: "/var/www".into() }),
            group: None,
            umask: Some(0o27),
            limits: Limits { memory: Some(1 << 30), cpu_s: Some(2), open_files: Some(64), ..Limits::default() },
            no_new_privs: true,
        };
        let mut args =
            confines.to_args(7, None).into_iter().skip(1).chain(["/bin/x".into(), "--".into(), "user=me".into()]);
        let orders = ShimOptions::read(&mut args).unwrap();
        assert_eq!(
            orders,
            ShimOptions {
                limits: vec![
                    ("memory", Resource::As, 1 << 30),
                    ("cpu", Resource::Cpu, 2),
                    ("open_files", Resource::Nofile, 64),
                ],
                umask: Some(0o27),
                gid: Some(34),
                user: Some("www".to_owned()),
                uid: Some(33),
                no_new_privs: true,
                cwd: None,
                run: Some(7),
            }
        );
        // The arguments after the program belong to the program.
        assert_eq!(args.collect::<Vec<_>>(), ["/bin/x", "--", "user=me"]);
        let of_group = Confines { group: Some(Group { name: "adm".to_owned(), gid: 4 }), ..confines };
        assert!(of_group.to_args(7, None).contains(&"gid=4".into()));
        let cwd = Path::new(OsStr::from_bytes(b"/a=b \xff"));
        let orders = ShimOptions::read(&mut of_group.to_args(7, Some(cwd)).into_iter().skip(1)).unwrap();
        assert_eq!(orders.cwd.as_deref(), Some(cwd));
    }

    #[test]
    fn a_limit_of_its_own_is_no_shortage_of_the_machine() {
        let is_short = |limits: Vec<_>, errno| ShimOptions { limits, ..ShimOptions::default() }.is_short(Some(errno));
        assert!(is_short(vec![], Errno::AGAIN) && is_short(vec![], Errno::NOMEM));
        let processes = vec![("processes", Resource::Nproc, 5)];
        assert!(!is_short(processes.clone(), Errno::AGAIN));
        assert!(is_short(processes, Errno::NOMEM));
        assert!(!is_short(vec![], Errno::NOENT) && !is_short(vec![("memory", Resource::As, 1)], Errno::NOMEM));
    }

    #[test]
    fn nobody_else_is_the_shim() {
        for args in [&["run"][..], &[], &["--", SHIM]] {
            assert!(answer(args.iter().map(OsString::from)).is_none());
        }
    }
}
