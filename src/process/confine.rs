//! A program under limits, as another user, with another umask.
//!
//! A plain spawn cannot do this, and `pre_exec` would make every spawn fork the whole daemon. A confined program is
//! therefore started through a shim: this executable runs once more, applies the settings on its command line to
//! itself, and becomes the program. Only tasks that use it pay for it.
//!
//! If the shim fails, it writes one line to stderr and exits with [`FAILED`].

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use nix::unistd::{Gid, Uid};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

/// The first argument that makes this executable the shim.
pub const SHIM: &str = "__confine";
/// The exit status of the shim if it could not start the program, as with `env`, `nice` and `timeout`.
pub const FAILED: i32 = 125;
/// The beginning of the line that a failed shim writes to stderr.
pub const ERROR_PREFIX: &str = "windlass: failed to start ";
/// The same if that was for want of a resource of the machine.
const SHORT_PREFIX: &str = "windlass: found no resources to start ";
/// How much CPU time beyond its limit a program gets before a signal that it cannot catch.
const CPU_GRACE_S: u64 = 5;

/// The restrictions of a program. The default restricts nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Confines {
    /// The user to run as.
    pub user: Option<User>,
    /// The group to run as: the user's own if not set.
    pub group: Option<Group>,
    /// The permission bits that new files do not get.
    pub umask: Option<u32>,
    /// The resource limits.
    pub limits: Limits,
}

/// A user of this system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number.
    pub uid: u32,
    /// The number of the user's own group.
    pub gid: u32,
    /// The home folder.
    pub home: OsString,
}

/// A group of this system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The name.
    pub name: String,
    /// The number.
    pub gid: u32,
}

/// Limits on what one process may use; its children start with the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Address space, in bytes (`RLIMIT_AS`).
    pub memory: Option<u64>,
    /// CPU time, in seconds (`RLIMIT_CPU`).
    pub cpu_s: Option<u64>,
    /// Processes of its user in all (`RLIMIT_NPROC`).
    pub processes: Option<u64>,
    /// Open files (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// The length of a file it writes, in bytes (`RLIMIT_FSIZE`).
    pub file_size: Option<u64>,
}

/// A user by name.
///
/// # Errors
/// The error of the system if the look-up failed.
pub fn user(name: &str) -> std::io::Result<Option<User>> {
    let found = nix::unistd::User::from_name(name)?;
    Ok(found.map(|user| User {
        name: user.name,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        home: user.dir.into_os_string(),
    }))
}

/// A group by name.
///
/// # Errors
/// The error of the system if the look-up failed.
pub fn group(name: &str) -> std::io::Result<Option<Group>> {
    let found = nix::unistd::Group::from_name(name)?;
    Ok(found.map(|group| Group { name: group.name, gid: group.gid.as_raw() }))
}

/// May this process change its user?
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Confines {
    /// The command line of the shim, up to the program.
    pub(super) fn to_args(&self) -> Vec<OsString> {
        let mut args = vec![OsString::from(SHIM)];
        let mut push = |key: &str, value: Option<String>| {
            args.extend(value.map(|value| OsString::from(format!("{key}={value}"))));
        };
        for (key, _, value) in self.limits.all() {
            push(key, value.map(|value| value.to_string()));
        }
        push("umask", self.umask.map(|umask| umask.to_string()));
        let gid = self.group.as_ref().map(|group| group.gid).or(self.user.as_ref().map(|user| user.gid));
        push("gid", gid.map(|gid| gid.to_string()));
        push("user", self.user.as_ref().map(|user| user.name.clone()));
        push("uid", self.user.as_ref().map(|user| user.uid.to_string()));
        args.push("--".into());
        args
    }
}

impl Limits {
    fn all(&self) -> [(&'static str, Resource, Option<u64>); 5] {
        [
            ("memory", Resource::As, self.memory),
            ("cpu", Resource::Cpu, self.cpu_s),
            ("processes", Resource::Nproc, self.processes),
            ("open_files", Resource::Nofile, self.open_files),
            ("file_size", Resource::Fsize, self.file_size),
        ]
    }
}

/// Runs the shim if `args` (without the name of the program) ask for it. It then becomes the program and never
/// returns, or returns the exit status. Must be called before any thread is started.
#[must_use]
pub fn shim(mut args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if args.next()? != SHIM {
        return None;
    }
    let (prefix, complaint) = become_program(args);
    let _ = writeln!(std::io::stderr(), "{prefix}{complaint}");
    Some(ExitCode::from(u8::try_from(FAILED).unwrap_or(u8::MAX)))
}

/// The settings on the command line of the shim.
#[derive(Debug, Default, PartialEq)]
struct ShimOptions {
    limits: Vec<(&'static str, Resource, u64)>,
    umask: Option<u32>,
    gid: Option<u32>,
    user: Option<String>,
    uid: Option<u32>,
}

impl ShimOptions {
    /// Reads the settings, up to the program.
    fn read(args: &mut impl Iterator<Item = OsString>) -> Option<Self> {
        let mut orders = Self::default();
        for arg in args {
            if arg == "--" {
                return Some(orders);
            }
            let (key, value) = arg.to_str()?.split_once('=')?;
            match key {
                "umask" => orders.umask = Some(value.parse().ok()?),
                "gid" => orders.gid = Some(value.parse().ok()?),
                "uid" => orders.uid = Some(value.parse().ok()?),
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
    /// last.
    fn carry_out(&self) -> Result<(), (Option<Errno>, String)> {
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
        Ok(())
    }
}

impl ShimOptions {
    /// How the message of this error begins. A limit of the program's own is no shortage of the machine, because it is as
    /// low the next time.
    fn prefix(&self, errno: Option<Errno>) -> &'static str {
        let own = |name| self.limits.iter().any(|&(limit, ..)| limit == name);
        let short = match errno {
            Some(Errno::AGAIN) => !own("processes"),
            Some(Errno::NOMEM) => !own("memory"),
            Some(Errno::NFILE) => true,
            _ => false,
        };
        if short { SHORT_PREFIX } else { ERROR_PREFIX }
    }
}

/// Becomes the program. Returns only on failure, with the prefix and the rest of the message.
fn become_program(mut args: impl Iterator<Item = OsString>) -> (&'static str, String) {
    let Some(orders) = ShimOptions::read(&mut args) else {
        return (ERROR_PREFIX, "anything: its options cannot be read".to_owned());
    };
    let Some(program) = args.next() else { return (ERROR_PREFIX, "anything: no program was named".to_owned()) };
    let mut complaint = program.to_string_lossy().into_owned();
    if let Err((errno, error)) = orders.carry_out() {
        let _ = write!(complaint, ": {error}");
        return (orders.prefix(errno), complaint);
    }
    let error = std::process::Command::new(&program).args(args).exec();
    let prefix = orders.prefix(Errno::from_io_error(&error));
    let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
    let _ = write!(complaint, ": {}", said(error));
    if denied && let Some(user) = &orders.user {
        let _ = write!(complaint, " (user {user} must be able to read and execute it, and to pass every folder above)");
    }
    (prefix, complaint)
}

/// The message of the system, without the number.
fn said(error: impl Into<std::io::Error>) -> String {
    let text = error.into().to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Is this line of stderr from a failed shim?
#[must_use]
pub fn is_shim_error(line: &str) -> bool {
    line.starts_with(ERROR_PREFIX) || is_shim_shortage(line)
}

/// Is it from one that found the machine short of a resource?
#[must_use]
pub fn is_shim_shortage(line: &str) -> bool {
    line.starts_with(SHORT_PREFIX)
}

/// The variables that tell a program which user it runs as.
pub(super) fn identity(confines: &Confines) -> impl Iterator<Item = (&'static str, &OsStr)> {
    confines.user.iter().flat_map(|user| {
        let name = OsStr::new(&user.name);
        [("USER", name), ("LOGNAME", name), ("HOME", user.home.as_os_str())]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_read() {
        let confines = Confines {
            user: Some(User { name: "www".to_owned(), uid: 33, gid: 34, home: "/var/www".into() }),
            group: None,
            umask: Some(0o27),
            limits: Limits { memory: Some(1 << 30), cpu_s: Some(2), open_files: Some(64), ..Limits::default() },
        };
        let mut args = confines.to_args().into_iter().skip(1).chain(["/bin/x".into(), "--".into(), "user=me".into()]);
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
            }
        );
        // The arguments after the program belong to the program.
        assert_eq!(args.collect::<Vec<_>>(), ["/bin/x", "--", "user=me"]);
        let of_group = Confines { group: Some(Group { name: "adm".to_owned(), gid: 4 }), ..confines };
        assert!(of_group.to_args().contains(&"gid=4".into()));
    }

    #[test]
    fn a_limit_of_its_own_is_no_shortage_of_the_machine() {
        let prefix = |limits: Vec<_>, errno| ShimOptions { limits, ..ShimOptions::default() }.prefix(Some(errno));
        assert!(is_shim_shortage(prefix(vec![], Errno::AGAIN)) && is_shim_shortage(prefix(vec![], Errno::NOMEM)));
        let processes = vec![("processes", Resource::Nproc, 5)];
        assert!(!is_shim_shortage(prefix(processes.clone(), Errno::AGAIN)));
        assert!(is_shim_shortage(prefix(processes, Errno::NOMEM)));
        for other in [prefix(vec![], Errno::NOENT), prefix(vec![("memory", Resource::As, 1)], Errno::NOMEM)] {
            assert!(is_shim_error(other) && !is_shim_shortage(other));
        }
    }

    #[test]
    fn nobody_else_is_the_shim() {
        for args in [&["run"][..], &[], &["--", SHIM]] {
            assert!(shim(args.iter().map(OsString::from)).is_none());
        }
    }

    #[test]
    fn users_and_groups_are_found_by_name() {
        let root = user("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(group("root").unwrap().unwrap().gid, 0);
        assert_eq!(user("nobody-by-this-name").unwrap(), None);
        assert_eq!(group("no-group-by-this-name").unwrap(), None);
    }
}
