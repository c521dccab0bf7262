//! Who may change a file of data that other files stand beside, such as a database with its log.
//!
//! Who can write it says which jobs there are, and who can write its folder can put another file in the place of each. So it
//! is judged as what runs is ([`trust`](super::trust)), with two differences. All names beside it are taken, so that a
//! sticky bit is not enough for its folder. And a group may share it: a folder with the setgid bit that the group may write
//! says so, and then files of the group may belong to any member.

use std::ffi::OsString;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::trust::{Owners, Untrusted, group, is_special, user, way};
use crate::text::shell::word;

const SETGID: u32 = 0o2000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Why a file of data is not trusted. Says what to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntrustedData(Untrusted);

/// The first user but root to whom a link, a folder or a file on the way belongs, with the group of that: who has it, has
/// all behind it.
#[must_use]
pub fn owner_but_root(path: &Path) -> Option<(u32, u32)> {
    let visit = |_: &Path, metadata: &Metadata, _| match metadata.uid() {
        0 => Ok(()),
        uid => Err((uid, metadata.gid())),
    };
    way(path, visit).err()
}

/// Judges a file of data, those that stand beside it with these ends of their names, and all folders and links on the way.
/// What is not there is not judged.
///
/// # Errors
/// If somebody else may change it. The first folder or file is named for which that holds.
pub fn judge(owners: &Owners, path: &Path, ends: &[&str]) -> Result<(), UntrustedData> {
    // Links are followed by the one who opens it, and the files stand beside what they lead to.
    let file = last(path);
    let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
    let shared = folder.metadata().ok().filter(is_shared).map(|metadata| metadata.gid());
    let visit = |at: &Path, metadata: &Metadata, _| {
        if metadata.is_symlink() {
            owners.owner(at, metadata)
        } else if at == folder {
            owners.owner(at, metadata)?;
            writers(owners, at, metadata, shared)
        } else if at == file {
            Ok(())
        } else {
            owners.one(at, metadata, true)
        }
    };
    way(path, visit).map_err(UntrustedData)?;
    for end in [""].iter().chain(ends) {
        let mut name = OsString::from(&file);
        name.push(end);
        let path = PathBuf::from(name);
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if shared != Some(metadata.gid()) {
            owners.owner(&path, &metadata).map_err(UntrustedData)?;
        }
        // The mode of a link says nothing; that it is one is told by the one who opens it.
        if !metadata.is_symlink() {
            writers(owners, &path, &metadata, shared).map_err(UntrustedData)?;
        }
    }
    Ok(())
}

/// Where the links lead that a path goes through, as far as there is something.
fn last(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent().map(Path::canonicalize), path.file_name()) {
        (Ok(file), ..) => file,
        (Err(_), Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// Does a group share this folder?
fn is_shared(folder: &Metadata) -> bool {
    let shared = SETGID | GROUP_WRITES;
    folder.mode() & shared == shared
}

fn writers(owners: &Owners, path: &Path, metadata: &Metadata, shared: Option<u32>) -> Result<(), Untrusted> {
    let (path, mode, gid) = (path.to_owned(), metadata.mode(), metadata.gid());
    if is_special(metadata) && mode & (OTHERS_WRITE | GROUP_WRITES) != 0 {
        return Err(Untrusted::Special { path });
    }
    if mode & OTHERS_WRITE != 0 {
        return Err(Untrusted::Everybody { path, mode });
    }
    if mode & GROUP_WRITES != 0
        && shared != Some(gid)
        && !owners.is_ours(gid).map_err(|error| Untrusted::unjudged(&path, &error))?
    {
        return Err(Untrusted::Group { path, mode, gid });
    }
    Ok(())
}

impl fmt::Display for UntrustedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SAYS: &str = "who could have anything run by what they write there";
        let path = self.0.path();
        let (shown, typed) = (path.display(), word(&path.to_string_lossy()));
        match &self.0 {
            Untrusted::Owner { uid, is_folder, .. } => {
                let (owner, own) = (user(*uid), user(rustix::process::geteuid().as_raw()));
                write!(
                    f,
                    "{shown} belongs to {owner}, {SAYS}; if {owner} is trusted: owners = [\"{owner}\"] under [security] \
                     in the configuration; else "
                )?;
                if *is_folder {
                    f.write_str("move the file to a folder of your own")
                } else {
                    write!(f, "look at what it holds, then: chown {own} {typed}")
                }
            }
            Untrusted::Everybody { mode, .. } => {
                write!(f, "{shown} may be written by everybody (mode {:04o}), {SAYS}; ", mode & 0o7777)?;
                if path.is_dir() {
                    f.write_str("move the file to a folder of its own that only you may write")
                } else {
                    write!(f, "stop what uses it, look at what it holds, then: chmod o-rwx {typed}")
                }
            }
            Untrusted::Group { mode, gid, .. } => {
                let name = group(*gid);
                write!(
                    f,
                    "{shown} may be written by the group {name} (mode {:04o}), {SAYS}: chmod g-w {typed}; or if all of \
                     {name} are to work with it: chmod g+ws on its folder",
                    mode & 0o7777
                )
            }
            Untrusted::Unjudged { .. } | Untrusted::Special { .. } => write!(f, "{shown} {}", self.0.message()),
        }
    }
}

impl std::error::Error for UntrustedData {}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    /// `folder/inner/file`, and what is said about it.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            fs::create_dir(tree.path("inner")).unwrap();
            tree.mode("inner", 0o755);
            fs::write(tree.path("inner/file"), "").unwrap();
            tree.mode("inner/file", 0o600);
            tree
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn mode(&self, name: &str, mode: u32) {
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }

        fn judged(&self, owners: &Owners, name: &str) -> Result<(), String> {
            let folder = format!("{}/", self.0.path().display());
            judge(owners, &self.path(name), &["-log"]).map_err(|error| error.to_string().replace(&folder, ""))
        }
    }

    #[test]
    fn what_others_may_write_is_named_with_its_folder_and_what_stands_beside_it() {
        let (tree, owners) = (Tree::new(), Owners::with([]));
        assert_eq!(tree.judged(&owners, "inner/file"), Ok(()));
        assert_eq!(tree.judged(&owners, "inner/none"), Ok(()), "one that is to be made");
        tree.mode("inner/file", 0o606);
        let said = tree.judged(&owners, "inner/file").unwrap_err();
        assert!(said.starts_with("inner/file may be written by everybody (mode 0606)"), "{said}");
        assert!(said.ends_with("chmod o-rwx inner/file"), "{said}");
        tree.mode("inner/file", 0o600);
        fs::write(tree.path("inner/file-log"), "").unwrap();
        tree.mode("inner/file-log", 0o622);
        assert!(tree.judged(&owners, "inner/file").unwrap_err().starts_with("inner/file-log may be written"));
        tree.mode("inner/file-log", 0o600);
        // Others can put there what stands beside it, but is not there yet.
        tree.mode("inner", 0o1777);
        for name in ["inner/file", "inner/none"] {
            let said = tree.judged(&owners, name).unwrap_err();
            assert!(said.starts_with("inner may be written by everybody (mode 1777)"), "{said}");
        }
        // By a link it is the same file.
        symlink("inner/file", tree.path("link")).unwrap();
        assert!(tree.judged(&owners, "link").unwrap_err().starts_with("inner may be written"));
    }

    #[test]
    fn a_group_shares_a_file_in_a_folder_that_says_so_and_in_no_other() {
        // Only root can give files away.
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let (tree, owners) = (Tree::new(), Owners::with([]));
        for name in ["inner", "inner/file"] {
            chown(tree.path(name), None, Some(54_321)).unwrap();
        }
        tree.mode("inner/file", 0o660);
        let said = tree.judged(&owners, "inner/file").unwrap_err();
        assert!(said.starts_with("inner/file may be written by the group 54321 (mode 0660)"), "{said}");
        assert_eq!(tree.judged(&Owners::with([]).and_groups([54_321]), "inner/file"), Ok(()));
        tree.mode("inner", 0o2770);
        assert_eq!(tree.judged(&owners, "inner/file"), Ok(()));
        // Whatever member made it.
        chown(tree.path("inner/file"), Some(54_322), None).unwrap();
        assert_eq!(tree.judged(&owners, "inner/file"), Ok(()));
        assert_eq!(owner_but_root(&tree.path("inner/file")), Some((54_322, 54_321)));
        // What is not of the group was not made in that folder.
        chown(tree.path("inner/file"), None, Some(0)).unwrap();
        assert!(tree.judged(&owners, "inner/file").unwrap_err().starts_with("inner/file belongs to 54322"));
        // The folder itself belongs to who is trusted.
        chown(tree.path("inner"), Some(54_322), None).unwrap();
        assert!(tree.judged(&owners, "inner/file").unwrap_err().starts_with("inner belongs to 54322"));
    }
}
