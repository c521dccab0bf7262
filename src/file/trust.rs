//! Who may change a file: as with StrictModes of sshd, what decides about programs that run belongs to root, to the user
//! who runs them, or to another user who is trusted by name, and nobody else may write it or replace a folder above it.
//!
//! A group may write if all its members are trusted, so that the private groups of users and a umask of 002 work. A
//! folder with the sticky bit, such as /tmp, may be above a file, because what others put there is not taken for ours.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::fmt;
use std::fs::Metadata;
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

/// The users who may change what runs: root, the user of this process, and others by name.
///
/// What is known about groups is kept, because asking costs more than starting a program may. It lives as long as the
/// definitions that hold it, until the next reload.
#[derive(Debug)]
pub struct Owners {
    uids: BTreeSet<u32>,
    groups: Mutex<BTreeMap<u32, bool>>,
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
        Self { uids, groups: Mutex::default() }
    }

    /// These users, and this one.
    #[must_use]
    pub fn and(&self, uid: u32) -> Self {
        Self { uids: self.uids.iter().copied().chain([uid]).collect(), groups: Mutex::default() }
    }

    /// Judges a file with all folders and links on the way to it. What cannot be inspected is not judged: whoever opens
    /// it will meet the error.
    ///
    /// # Errors
    /// If somebody else may change it. The first folder or file is named for which that holds.
    pub fn judge(&self, path: &Path) -> Result<(), Untrusted> {
        Judge::new(self).judge(path)
    }

    fn owner(&self, path: &Path, metadata: &Metadata) -> Result<(), Untrusted> {
        if self.uids.contains(&metadata.uid()) {
            return Ok(());
        }
        Err(Untrusted::Owner { path: path.to_owned(), uid: metadata.uid(), is_folder: metadata.is_dir() })
    }

    fn one(&self, path: &Path, metadata: &Metadata, sticky_will_do: bool) -> Result<(), Untrusted> {
        self.owner(path, metadata)?;
        let mode = metadata.mode();
        if sticky_will_do && metadata.is_dir() && mode & STICKY != 0 {
            return Ok(());
        }
        if mode & OTHERS_WRITE != 0 {
            return Err(Untrusted::Everybody { path: path.to_owned(), mode });
        }
        if mode & GROUP_WRITES != 0 && !self.is_ours(metadata.gid()) {
            return Err(Untrusted::Group { path: path.to_owned(), mode, gid: metadata.gid() });
        }
        Ok(())
    }

    /// Has this group trusted members only?
    fn is_ours(&self, gid: u32) -> bool {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        *groups.entry(gid).or_insert_with(|| members::are_all(gid, &self.uids))
    }
}

impl PartialEq for Owners {
    /// What was found out about groups does not count.
    fn eq(&self, other: &Self) -> bool {
        self.uids == other.uids
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

    /// Goes the way that the kernel goes, link by link: who may change a link may change what it leads to.
    fn walk(&self, path: &Path, listed: bool) -> Result<(), Untrusted> {
        let mut at = PathBuf::from("/");
        let mut ahead: Vec<OsString> = Vec::new();
        let mut links = 0;
        self.step(&at, true)?;
        push(&mut ahead, path);
        while let Some(part) = ahead.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&part);
            let Ok(metadata) = next.symlink_metadata() else { return Ok(()) };
            if metadata.is_symlink() {
                self.owners.owner(&next, &metadata)?;
                links += 1;
                let Some(target) = next.read_link().ok().filter(|_| links <= MOST_LINKS) else { return Ok(()) };
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                push(&mut ahead, &target);
                continue;
            }
            self.step(&next, !(listed && ahead.is_empty()))?;
            at = next;
        }
        Ok(())
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
    /// The file or folder that is not trusted.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Owner { path, .. } | Self::Everybody { path, .. } | Self::Group { path, .. } => path,
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
                let name = Group::from_gid(Gid::from_raw(*gid)).ok().flatten().map(|group| group.name);
                format!(
                    "may be written by the group {} (mode {:04o}), whose members could run anything with it: chmod g-w \
                     {typed}",
                    name.unwrap_or_else(|| gid.to_string()),
                    mode & 0o7777
                )
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

/// The name of a user, or the number of one without a name.
fn user(uid: u32) -> String {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// `folder/inner/file`, and what is said about it relative to the folder.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            fs::create_dir(tree.path("inner")).unwrap();
            fs::write(tree.path("inner/file"), "").unwrap();
            mode(&tree.path("inner"), 0o755);
            mode(&tree.path("inner/file"), 0o644);
            tree
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn judged(&self, name: &str) -> Result<(), String> {
            let folder = format!("{}/", self.0.path().display());
            Owners::with([]).judge(&self.path(name)).map_err(|error| error.to_string().replace(&folder, ""))
        }
    }

    #[test]
    fn what_others_may_write_is_named_with_the_remedy() {
        let tree = Tree::new();
        assert_eq!(tree.judged("inner/file"), Ok(()));
        mode(&tree.path("inner/file"), 0o646);
        let file =
            "inner/file may be written by everybody (mode 0646), who could run anything with it: chmod o-w inner/file";
        assert_eq!(tree.judged("inner/file"), Err(file.to_owned()));
        mode(&tree.path("inner/file"), 0o644);
        mode(&tree.path("inner"), 0o777);
        assert!(tree.judged("inner/file").unwrap_err().starts_with("inner may be written by everybody (mode 0777)"));
        // Others can put files there, but cannot replace ours.
        mode(&tree.path("inner"), 0o1777);
        assert_eq!(tree.judged("inner/file"), Ok(()));
        let owners = Owners::with([]);
        assert!(matches!(Judge::new(&owners).listing(&tree.path("inner")), Err(Untrusted::Everybody { .. })));
        assert_eq!(Judge::new(&owners).listing(&tree.path("")), Ok(()));
    }

    #[test]
    fn a_link_is_followed_and_every_folder_on_its_way_is_judged() {
        let tree = Tree::new();
        fs::create_dir(tree.path("open")).unwrap();
        symlink("../inner/../inner/file", tree.path("open/link")).unwrap();
        symlink(tree.path("open/link"), tree.path("far")).unwrap();
        symlink("loop", tree.path("loop")).unwrap();
        assert_eq!(tree.judged("far"), Ok(()));
        assert_eq!(tree.judged("loop"), Ok(()), "whoever opens it will meet the error");
        mode(&tree.path("open"), 0o777);
        assert!(tree.judged("far").unwrap_err().starts_with("open may be written"));
        mode(&tree.path("open"), 0o755);
        mode(&tree.path("inner/file"), 0o666);
        assert!(tree.judged("far").unwrap_err().starts_with("inner/file may be written"));
    }

    #[test]
    fn a_group_may_write_if_it_has_no_other_members() {
        let tree = Tree::new();
        mode(&tree.path("inner/file"), 0o664);
        chown(tree.path("inner/file"), None, Some(rustix::process::getegid().as_raw())).unwrap();
        let owners = Owners::with([]);
        owners.groups.lock().unwrap().insert(rustix::process::getegid().as_raw(), true);
        assert_eq!(owners.judge(&tree.path("inner/file")), Ok(()));
        owners.groups.lock().unwrap().insert(rustix::process::getegid().as_raw(), false);
        let error = owners.judge(&tree.path("inner/file")).unwrap_err();
        assert!(matches!(error, Untrusted::Group { .. }) && error.to_string().contains("(mode 0664)"), "{error}");
    }

    #[test]
    fn what_belongs_to_somebody_else_is_named_with_the_remedy() {
        // Only root can give a file away.
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let tree = Tree::new();
        chown(tree.path("inner/file"), Some(54_321), None).unwrap();
        let said = "inner/file belongs to 54321, who could run anything with it; it must belong to root: chown root inner/file";
        assert_eq!(tree.judged("inner/file"), Err(said.to_owned()));
        assert_eq!(Owners::with([54_321]).judge(&tree.path("inner/file")), Ok(()));
        assert_eq!(Owners::with([]).and(54_321).judge(&tree.path("inner/file")), Ok(()));
        chown(tree.path("inner/file"), Some(0), None).unwrap();
        symlink("inner/file", tree.path("link")).unwrap();
        std::os::unix::fs::lchown(tree.path("link"), Some(54_321), None).unwrap();
        assert!(tree.judged("link").unwrap_err().starts_with("link belongs to 54321"));
        // Nobody is told to take a folder from its owner.
        chown(tree.path("inner"), Some(54_321), None).unwrap();
        let error = tree.judged("inner/file").unwrap_err();
        assert!(error.starts_with("inner belongs to 54321") && error.contains("owners = [\"54321\"]"), "{error}");
        assert!(!error.contains("chown"), "{error}");
        chown(tree.path("inner"), Some(0), None).unwrap();
    }
}
