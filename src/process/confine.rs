//! A program under limits, as another user, with another umask.
//!
//! A plain spawn cannot do this, and `pre_exec` would make every spawn fork the whole daemon. A confined program is
//! therefore started through the [`shim`](super::shim). Only tasks that use it pay for it.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use rustix::process::Resource;

/// The first argument that makes this executable the shim.
pub const SHIM: &str = "__confine";
/// What stands before the name of each variable that is meant for the program.
pub const ENV_PREFIX: &str = "WINDLASS_ENV_";

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
    /// Can neither it nor a descendant gain rights by executing a setuid program? With a user it has no capabilities
    /// either, and cannot gain any.
    pub no_new_privs: bool,
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
    /// Does the program run with other rights than this process?
    pub(super) fn changes_rights(&self) -> bool {
        self.user.is_some() || self.group.is_some()
    }

    /// The command line of the shim, up to the program. It enters the folder with the rights of the program. The limit names the run.
    pub(super) fn to_args(&self, run_limit: u64, cwd: Option<&Path>) -> Vec<OsString> {
        let mut args = vec![OsString::from(SHIM)];
        let mut push = |key: &str, value: Option<String>| {
            args.extend(value.map(|value| OsString::from(format!("{key}={value}"))));
        };
        push("run", Some(run_limit.to_string()));
        for (key, _, value) in self.limits.all() {
            push(key, value.map(|value| value.to_string()));
        }
        push("umask", self.umask.map(|umask| umask.to_string()));
        let gid = self.group.as_ref().map(|group| group.gid).or(self.user.as_ref().map(|user| user.gid));
        push("gid", gid.map(|gid| gid.to_string()));
        push("user", self.user.as_ref().map(|user| user.name.clone()));
        push("uid", self.user.as_ref().map(|user| user.uid.to_string()));
        push("no_new_privs", self.no_new_privs.then(|| "1".to_owned()));
        if let Some(cwd) = cwd {
            let mut arg = OsString::from("cwd=");
            arg.push(cwd);
            args.push(arg);
        }
        args.push("--".into());
        args
    }
}

impl Limits {
    pub(super) fn all(&self) -> [(&'static str, Resource, Option<u64>); 5] {
        [
            ("memory", Resource::As, self.memory),
            ("cpu", Resource::Cpu, self.cpu_s),
            ("processes", Resource::Nproc, self.processes),
            ("open_files", Resource::Nofile, self.open_files),
            ("file_size", Resource::Fsize, self.file_size),
        ]
    }
}

/// The variables that tell a program which user it runs as.
pub(super) fn identity(confines: &Confines) -> impl Iterator<Item = (&'static str, &OsStr)> {
    confines.user.iter().flat_map(|user| {
        let name = OsStr::new(&user.name);
        [("USER", name), ("LOGNAME", name), ("HOME", user.home.as_os_str())]
    })
}

/// A variable of the program as the shim gets it: under a name that means nothing to any library.
pub(super) fn wrapped(name: &OsStr) -> OsString {
    let mut wrapped = OsString::from(ENV_PREFIX);
    wrapped.push(name);
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name() {
        let root = user("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(group("root").unwrap().unwrap().gid, 0);
        assert_eq!(user("nobody-by-this-name").unwrap(), None);
        assert_eq!(group("no-group-by-this-name").unwrap(), None);
    }
}
