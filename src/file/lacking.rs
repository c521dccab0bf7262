//! Which right to a file this process lacks, for files that cannot be opened: the kernel and SQLite do not say which, and to
//! whom it belongs.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::rights;
use super::trust::user;
use crate::text::shell::word;

/// A right that is lacking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// The folder or file.
    place: PathBuf,
    /// What may not be done with it.
    what: &'static str,
    /// The user to whom it belongs, and its mode.
    owner: u32,
    mode: u32,
    /// The command that gives the owner the right, if the mode keeps it even from the owner.
    chmod: Option<&'static str>,
    /// The folder of the file.
    folder: PathBuf,
}

/// The first right that this process lacks to read and write a file, and to make it or those beside it if they are not
/// there. The path must be absolute.
#[must_use]
pub fn right_to(path: &Path, beside: &[&str]) -> Option<Lacking> {
    let folder = path.parent()?;
    let above = folder.ancestors().collect::<Vec<_>>().into_iter().rev();
    // Who removed it meanwhile will be told that it is not there.
    let lacks = |place: &Path, access, what, (bit, chmod): (u32, &'static str)| {
        let found = is_denied(place, access).then(|| place.metadata().ok()).flatten()?;
        let (owner, mode) = (found.uid(), found.mode() & 0o7777);
        let chmod = (owner != 0 && mode & bit == 0).then_some(chmod);
        Some(Lacking { place: place.to_owned(), what, owner, mode, chmod, folder: folder.to_owned() })
    };
    let mut entered = above.filter_map(|place| lacks(place, Access::EXEC_OK, "enter", (0o100, "u+rwx")));
    if let Some(lacking) = entered.next() {
        return Some(lacking);
    }
    let mut files = vec![path.to_owned()];
    files.extend(beside.iter().map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    }));
    let (there, missing): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.symlink_metadata().is_ok());
    let use_it = |file: &PathBuf| {
        let read = lacks(file, Access::READ_OK, "read", (0o400, "u+rw"));
        read.or_else(|| lacks(file, Access::WRITE_OK, "write", (0o200, "u+rw")))
    };
    there.iter().find_map(use_it).or_else(|| {
        let must_make = !missing.is_empty();
        must_make.then(|| lacks(folder, Access::WRITE_OK, "make files in", (0o200, "u+rwx"))).flatten()
    })
}

fn is_denied(place: &Path, access: Access) -> bool {
    accessat(CWD, place, access, AtFlags::EACCESS) == Err(Errno::ACCESS)
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, what, owner, mode, chmod, folder } = self;
        let (us, owner) = (user(rights::user_of_this_thread()), user(*owner));
        if let Some(chmod) = chmod {
            let path = place.display();
            return write!(
                f,
                "{us} may not {what} {path}, which belongs to {owner}, and its mode {mode:04o} keeps that even from {owner}; \
                 as {owner} or root: chmod {chmod} {}",
                word(&path.to_string())
            );
        }
        write!(
            f,
            "{us} may not {what} {}, which belongs to {owner} (mode {mode:04o}); do it as {owner}: sudo -u {} \
             windlass ...; or share {} with a group of both (docs/files.md, chmod 2770)",
            place.display(),
            word(&owner),
            folder.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// Runs with the rights of somebody else, if we are root; else the modes are enough to lack them.
    fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let work = || {
                if rustix::process::geteuid().is_root() {
                    super::super::rights::take(65534, 65534).unwrap();
                }
                work()
            };
            scope.spawn(work).join().unwrap()
        })
    }

    #[test]
    fn the_right_that_lacks_is_named_with_the_owner_and_the_mode() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("store");
        let file = folder.join("w.db");
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "").unwrap();
        set(dir.path(), 0o755);
        let lacking = |path: &Path| as_nobody(|| right_to(path, &["-wal"])).map(|found| found.to_string());
        let told = |path: &Path, expected: &str, mode: u32| {
            let text = lacking(path).expect("a right is lacking");
            assert!(text.contains(expected) && text.contains(&format!("mode {mode:04o}")), "{text}");
        };
        set(&folder, 0o000);
        told(&file, &format!("may not enter {},", folder.display()), 0);
        set(&folder, 0o755);
        set(&file, 0o000);
        told(&file, &format!("may not read {},", file.display()), 0);
        set(&file, 0o444);
        told(&file, &format!("may not write {},", file.display()), 0o444);
        set(&file, 0o666);
        set(&folder, 0o555);
        told(&file, &format!("may not make files in {},", folder.display()), 0o555);
        told(&folder.join("new.db"), "may not make files in", 0o555);
        set(&folder, 0o777);
        assert_eq!((lacking(&file), lacking(&folder.join("new.db"))), (None, None));
        assert_eq!(lacking(&folder.join("none/new.db")), None, "what is not there is another fault");
    }

    #[test]
    fn a_mode_that_keeps_out_even_the_owner_is_told_with_the_command_that_mends_it() {
        const OWNER: u32 = 54_321;
        let dir = tempfile::tempdir().unwrap();
        set(dir.path(), 0o755);
        let (folder, file) = (dir.path().join("store"), dir.path().join("store/w.db"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "").unwrap();
        if rustix::process::geteuid().is_root() {
            for place in [&folder, &file] {
                std::os::unix::fs::chown(place, Some(OWNER), None).unwrap();
            }
        }
        let told = |path: &Path| as_nobody(|| right_to(path, &[])).expect("a right is lacking").to_string();
        for (folder_mode, file_mode, at, chmod) in
            [(0o600, 0o644, &folder, "u+rwx"), (0o755, 0o000, &file, "u+rw"), (0o755, 0o444, &file, "u+rw")]
        {
            set(&folder, folder_mode);
            set(&file, file_mode);
            let (text, mended) = (told(&file), format!("chmod {chmod} {}", at.display()));
            assert!(text.contains("keeps that even from") && text.ends_with(&mended), "{text}");
            assert!(!text.contains("sudo"), "the owner could not do it either: {text}");
        }
        set(&folder, 0o755);
    }
}
