//! The program on disk: is it another one than this process executes, and does it take over?

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The file by which this process was started, whatever it is by now: as a shell finds it by this name, else where this
/// program stood. `None` if there is no program.
pub(super) fn find(name: &OsStr) -> Option<PathBuf> {
    let by_name = if name.as_encoded_bytes().contains(&b'/') {
        Some(PathBuf::from(name)).filter(|path| is_program(path))
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| is_program(path))
    };
    by_name.or_else(|| std::env::current_exe().ok().filter(|path| is_program(path)))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Is it the very file that this process executes? A file that is executed keeps its number, and nobody can write to it: what was
/// installed since is another file.
pub(super) fn is_ours(path: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    match (file(Path::new("/proc/self/exe")), file(path)) {
        (Ok(ours), Ok(found)) => ours == found,
        // Without `/proc` nothing is known, and nothing is done.
        _ => true,
    }
}

/// The arguments with which a program shows whether it can take over from this one, which hands over in this format. One that
/// cannot does not know the word.
pub(super) fn rehearsal(args: &[OsString], is_implicit: bool, format: u32) -> Vec<OsString> {
    let run = is_implicit.then(|| OsString::from("run"));
    args.iter().cloned().chain(run).chain([format!("--rehearse={format}").into()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_another_program_and_a_link_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, link, copy) =
            (std::env::current_exe().unwrap(), folder.path().join("link"), folder.path().join("copy"));
        std::os::unix::fs::symlink(&ours, &link).unwrap();
        fs::write(&copy, "").unwrap();
        assert!(is_ours(&ours) && is_ours(&link) && !is_ours(&copy));
        assert_eq!(find(link.as_os_str()), Some(link));
        // What cannot be executed is no program, and what has no name is where we stood.
        assert_eq!(find(copy.as_os_str()), Some(ours.clone()));
        assert_eq!(find(OsStr::new("no-such-program")), Some(ours));
        assert!(find(OsStr::new("sh")).is_some_and(|found| found.ends_with("sh")));
    }

    #[test]
    fn a_rehearsal_says_run_once() {
        let words = |args: &[&str], is_implicit| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            rehearsal(&args, is_implicit, 7).join(OsStr::new(" "))
        };
        assert_eq!(words(&["--config", "run"], true), "--config run run --rehearse=7");
        assert_eq!(words(&["run", "--max", "3"], false), "run --max 3 --rehearse=7");
    }
}
