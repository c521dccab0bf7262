//! Who may change a file: as with StrictModes of sshd, what decides about programs that run belongs to root, to the user
//! who runs them, or to another user who is trusted by name, and nobody else may write it or replace a folder above it.
//!
//! A group may write if it is trusted by name, and then its members are trusted as well; or if all its members are, so that
//! the private groups of users and a umask of 002 work. A folder with the sticky bit, such as /tmp, may be above a file, because what others put there is not taken for ours.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::unistd::{Gid, Group, Uid, User};

use super::members;
use crate::text::shell::word;

const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// How many links may lead from one to the next, as for the kernel.
const MOST_LINKS: u32 = 40;

/// The users who may change what runs: root, the user of this process, and others by name, of their own or of their group.
///
/// What is known about groups is kept, because asking costs more than starting a program may. It lives as long as the
/// definitions that hold it, until the next reload.
#[derive(Debug)]
pub struct Owners {
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
    groups: Mutex<BTreeMap<u32, bool>>,
    /// Is this user a member of one of `gids`?
    members: Mutex<BTreeMap<u32, bool>>,
}

/// Why a file is not trusted. The message ends with what to type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Untrusted {
    /// It belongs to somebody else.
    Owner {
        /// The file, or a folder above it.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Is it a folder?
        is_folder: bool,
    },
    /// Everybody may write it.
    Everybody {
        /// The file, or a folder above it.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A group with other members may write it.
    Group {
        /// The file, or a folder above it.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The group.
        gid: u32,
    },
    /// It cannot be found out now, because descriptors or memory ran out.
    Unjudged {
        /// The file, or a folder above it.
        path: PathBuf,
        /// What the system said.
        said: String,
    },
    /// Others may write it, and it is a device, a pipe or a socket.
    Special {
        /// The device.
        path: PathBuf,
    },
}

impl Owners {
    /// Root, the user of this process, and these.
    ///
    /// Under sudo the user who typed the command counts as well, as for git: who may run this command as root needs no
    /// file to do what it does.
    #[must_use]
    pub fn with(others: impl IntoIterator<Item = u32>) -> Self {
        let own = rustix::process::geteuid();
        let sudo = own.is_root().then(|| std::env::var("SUDO_UID").ok()?.parse().ok()).flatten();
        let uids = others.into_iter().chain([0, own.as_raw()]).chain(sudo).collect();
        Self { uids, gids: BTreeSet::new(), groups: Mutex::default(), members: Mutex::default() }
    }

    /// These users, and the members of these groups.
    #[must_use]
    pub fn and_groups(mut self, gids: impl IntoIterator<Item = u32>) -> Self {
        self.gids.extend(gids);
        Self { members: Mutex::default(), ..self }
    }

    /// These users, and this one.
    #[must_use]
    pub fn and(&self, uid: u32) -> Self {
        Self::with(self.uids.iter().copied().chain([uid])).and_groups(self.gids.iter().copied())
    }

    /// Judges a file with all folders and links on the way to it. What cannot be inspected is not judged: anyone who opens
    /// it will meet the error.
    ///
    /// # Errors
    /// If somebody else may change it. The first folder or file is named for which that holds.
    pub fn judge(&self, path: &Path) -> Result<(), Untrusted> {
        Judge::new(self).judge(path)
    }

    pub(super) fn owner(&self, path: &Path, metadata: &Metadata) -> Result<(), Untrusted> {
        if self.trusts(metadata.uid()).map_err(|error| Untrusted::unjudged(path, &error))? {
            return Ok(());
        }
        Err(Untrusted::Owner { path: path.to_owned(), uid: metadata.uid(), is_folder: metadata.is_dir() })
    }

    pub(super) fn one(&self, path: &Path, metadata: &Metadata, sticky_will_do: bool) -> Result<(), Untrusted> {
        self.file_or_folder(path, metadata, sticky_will_do).map_err(|error| match error {
            Untrusted::Owner { path, .. } | Untrusted::Everybody { path, .. } | Untrusted::Group { path, .. }
                if is_special(metadata) =>
            {
                Untrusted::Special { path }
            }
            other => other,
        })
    }

    fn file_or_folder(&self, path: &Path, metadata: &Metadata, sticky_will_do: bool) -> Result<(), Untrusted> {
        self.owner(path, metadata)?;
        let mode = metadata.mode();
        if sticky_will_do && metadata.is_dir() && mode & STICKY != 0 {
            return Ok(());
        }
        if mode & OTHERS_WRITE != 0 {
            return Err(Untrusted::Everybody { path: path.to_owned(), mode });
        }
        if mode & GROUP_WRITES != 0
            && !self.is_ours(metadata.gid()).map_err(|error| Untrusted::unjudged(path, &error))?
        {
            return Err(Untrusted::Group { path: path.to_owned(), mode, gid: metadata.gid() });
        }
        Ok(())
    }

    /// Is this user one of them?
    fn trusts(&self, uid: u32) -> io::Result<bool> {
        if self.uids.contains(&uid) || self.gids.is_empty() {
            return Ok(self.uids.contains(&uid));
        }
        known(&self.members, uid, || members::is_in_one(uid, &self.gids))
    }

    /// Is this group trusted, or has it trusted members only?
    pub(super) fn is_ours(&self, gid: u32) -> io::Result<bool> {
        if self.gids.contains(&gid) {
            return Ok(true);
        }
        known(&self.groups, gid, || members::are_all(gid, &self.uids))
    }
}

/// What is known of a user or a group, or is found out now.
fn known(all: &Mutex<BTreeMap<u32, bool>>, id: u32, find_out: impl FnOnce() -> io::Result<bool>) -> io::Result<bool> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.get(&id) {
        return Ok(*known);
    }
    let found = find_out()?;
    all.insert(id, found);
    Ok(found)
}

impl PartialEq for Owners {
    /// What was found out about groups does not count.
    fn eq(&self, other: &Self) -> bool {
        self.uids == other.uids && self.gids == other.gids
    }
}

impl Eq for Owners {}

/// Judges many files, and each folder above them once.
#[derive(Debug)]
pub struct Judge<'o> {
    owners: &'o Owners,
    trusted: RefCell<HashSet<PathBuf>>,
}

impl<'o> Judge<'o> {
    /// A judge that has seen nothing yet.
    #[must_use]
    pub fn new(owners: &'o Owners) -> Self {
        Self { owners, trusted: RefCell::default() }
    }

    /// See [`Owners::judge`].
    ///
    /// # Errors
    /// The same.
    pub fn judge(&self, path: &Path) -> Result<(), Untrusted> {
        self.walk(path, false)
    }

    /// Judges a folder all of whose files are taken, so that the sticky bit is not enough for it.
    ///
    /// # Errors
    /// As for a file.
    pub fn listing(&self, folder: &Path) -> Result<(), Untrusted> {
        self.walk(folder, true)
    }

    fn walk(&self, path: &Path, listed: bool) -> Result<(), Untrusted> {
        self.step(Path::new("/"), true)?;
        way(path, |next, metadata, is_last| {
            if metadata.is_symlink() {
                return self.owners.owner(next, metadata);
            }
            self.step(next, !(listed && is_last))
        })
    }

    fn step(&self, path: &Path, sticky_will_do: bool) -> Result<(), Untrusted> {
        if sticky_will_do && self.trusted.borrow().contains(path) {
            return Ok(());
        }
        let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
        self.owners.one(path, &metadata, sticky_will_do)?;
        if metadata.is_dir() {
            self.trusted.borrow_mut().insert(path.to_owned());
        }
        Ok(())
    }
}

/// Goes the way that the kernel goes below the root, link by link: who may change a link may change what it leads to. Each
/// link, folder and file is visited, with what it is and whether it is the last; the way ends where something is missing.
pub(super) fn way<E>(path: &Path, mut visit: impl FnMut(&Path, &Metadata, bool) -> Result<(), E>) -> Result<(), E> {
    let mut at = PathBuf::from("/");
    let mut ahead: Vec<OsString> = Vec::new();
    let mut links = 0;
    push(&mut ahead, path);
    while let Some(part) = ahead.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        let Ok(metadata) = next.symlink_metadata() else { return Ok(()) };
        visit(&next, &metadata, ahead.is_empty())?;
        if metadata.is_symlink() {
            links += 1;
            let Some(target) = next.read_link().ok().filter(|_| links <= MOST_LINKS) else { return Ok(()) };
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            push(&mut ahead, &target);
            continue;
        }
        at = next;
    }
    Ok(())
}

/// Puts the parts of a path on top of what is still ahead, the first one uppermost.
fn push(ahead: &mut Vec<OsString>, path: &Path) {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    ahead.extend(path.components().rev().filter_map(part));
}

impl Untrusted {
    pub(super) fn unjudged(path: &Path, error: &io::Error) -> Self {
        Self::Unjudged { path: path.to_owned(), said: error.to_string() }
    }

    /// The file or folder that is not trusted.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Owner { path, .. }
            | Self::Everybody { path, .. }
            | Self::Group { path, .. }
            | Self::Unjudged { path, .. }
            | Self::Special { path } => path,
        }
    }

    /// What is wrong with it, and what to type. Does not name the path at its beginning.
    #[must_use]
    pub fn message(&self) -> String {
        let typed = word(&self.path().to_string_lossy());
        match self {
            // Who gives a folder away takes it from its owner: it may be that user's home.
            Self::Owner { uid, is_folder: true, .. } => {
                let owner = user(*uid);
                format!(
                    "belongs to {owner}, who could run anything with it; if {owner} is trusted: owners = \
                     [\"{owner}\"] under [security] in the configuration; else move it to a folder of root's"
                )
            }
            Self::Owner { uid, is_folder: false, .. } => {
                let own = rustix::process::geteuid().as_raw();
                let root = if own == 0 { String::new() } else { "root or to ".to_owned() };
                let own = user(own);
                format!(
                    "belongs to {}, who could run anything with it; it must belong to {root}{own}: chown {own} {typed}",
                    user(*uid)
                )
            }
            Self::Everybody { mode, .. } => format!(
                "may be written by everybody (mode {:04o}), who could run anything with it: chmod o-w {typed}",
                mode & 0o7777
            ),
            Self::Group { mode, gid, .. } => {
                let name = group(*gid);
                format!(
                    "may be written by the group {name} (mode {:04o}), whose members could run anything with it: chmod g-w \
                     {typed}; or if all of {name} are trusted: groups = [\"{name}\"] under [security] in the configuration",
                    mode & 0o7777
                )
            }
            Self::Unjudged { said, .. } => {
                format!("may be changed by nobody knows whom, because groups cannot be read now: {said}")
            }
            // Its mode is right for what it is: nobody must be told to change that of /dev/null.
            Self::Special { .. } => {
                "is not a regular file, and others may write to it; name a file in its place".to_owned()
            }
        }
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path().display(), self.message())
    }
}

impl std::error::Error for Untrusted {}

/// Is it neither a file nor a folder nor a link?
pub(super) fn is_special(metadata: &Metadata) -> bool {
    !metadata.is_file() && !metadata.is_dir() && !metadata.is_symlink()
}

/// The name of a group, or the number of one without a name.
pub(super) fn group(gid: u32) -> String {
    Group::from_gid(Gid::from_raw(gid)).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name)
}

/// The name of a user, or the number of one without a name.
pub(super) fn user(uid: u32) -> String {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

mod reach;
#[cfg(test)]
mod tests;

pub use reach::folder;
