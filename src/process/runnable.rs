//! Why the kernel would not run a program file, found by looking at the file: before a job needs it, and when a start failed.
//!
//! The kernel's own word is one number for several faults: of a script that was written on Windows it says that there is no
//! such file.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags, access, statvfs};

use crate::text::shell::word;

/// How much of a first line the kernel reads.
const FIRST_LINE: usize = 256;

/// Why a program cannot run. Says what to type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unrunnable {
    /// A script whose lines end as on Windows.
    #[error(
        "{path} is a script whose lines end with CR LF, so that the name of its interpreter ends with a CR; type: sed -i \
         's/\\r$//' {word}", path = .0.display(), word = typed(.0)
    )]
    CrLf(PathBuf),
    /// A text without an interpreter.
    #[error(
        "{path} is a text without a first line that names its interpreter; type: sed -i '1i #!/bin/sh' {word}, or name the \
         interpreter before it: [\"sh\", \"{path}\"]", path = .0.display(), word = typed(.0)
    )]
    NoFirstLine(PathBuf),
    /// An empty file.
    #[error("{} is empty", .0.display())]
    Empty(PathBuf),
    /// The interpreter that the first line names is missing.
    #[error(
        "{} needs the interpreter {interpreter:?}, which does not exist; install it, or correct the first line", path.display()
    )]
    NoInterpreter {
        /// The script.
        path: PathBuf,
        /// The interpreter.
        interpreter: String,
    },
    /// `#!/usr/bin/env NAME`, and no such program in `PATH`.
    #[error(
        "{} needs the interpreter {name:?}, which is in no folder of PATH; install it, or correct the first line", path.display()
    )]
    NotInPath {
        /// The script.
        path: PathBuf,
        /// The interpreter's name.
        name: String,
    },
    /// The file system is mounted without execution.
    #[error(
        "{path} lies in a file system that is mounted with noexec; put it elsewhere, or name the interpreter of a script before \
         it: [\"sh\", \"{path}\"]", path = .0.display()
    )]
    NoExec(PathBuf),
}

fn typed(path: &Path) -> String {
    word(&path.to_string_lossy())
}

/// Judges a program file; `search` is the `PATH` in which `env` will look. What is not known to be wrong is right.
///
/// # Errors
/// Why it cannot run.
pub fn judge(path: &Path, search: Option<&OsStr>) -> Result<(), Unrunnable> {
    if is_noexec(path) {
        return Err(Unrunnable::NoExec(path.to_owned()));
    }
    let Some(begin) = beginning(path) else { return Ok(()) };
    if begin.is_empty() {
        return Err(Unrunnable::Empty(path.to_owned()));
    }
    let Some(rest) = begin.strip_prefix(b"#!") else {
        // Formats that other programs have registered with the kernel are not text.
        let is_text = begin.is_ascii() && !begin.contains(&0) && !begin.starts_with(b"\x7fELF");
        return if is_text { Err(Unrunnable::NoFirstLine(path.to_owned())) } else { Ok(()) };
    };
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.ends_with(b"\r") {
        return Err(Unrunnable::CrLf(path.to_owned()));
    }
    let Ok(line) = std::str::from_utf8(line) else { return Ok(()) };
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let Some(interpreter) = words.next() else { return Err(Unrunnable::NoFirstLine(path.to_owned())) };
    // A relative one is looked for in the working directory of the job.
    if !interpreter.starts_with('/') {
        return Ok(());
    }
    let of = |interpreter: &str| interpreter.to_owned();
    if !Path::new(interpreter).exists() {
        return Err(Unrunnable::NoInterpreter { path: path.to_owned(), interpreter: of(interpreter) });
    }
    if interpreter.ends_with("/env")
        && let Some(name) = words.find(|word| !word.starts_with('-') && !word.contains('='))
        && !is_found(name, search)
    {
        return Err(Unrunnable::NotInPath { path: path.to_owned(), name: of(name) });
    }
    Ok(())
}

/// Looks for the fault of a program that was started by its name or its path, and ended as one that cannot run.
#[must_use]
pub fn fault(program: &OsStr, cwd: Option<&Path>, search: Option<&OsStr>) -> Option<Unrunnable> {
    let from_cwd = |path: PathBuf| cwd.map_or_else(|| path.clone(), |cwd| cwd.join(&path));
    let path = if program.as_encoded_bytes().contains(&b'/') {
        from_cwd(program.into())
    } else {
        std::env::split_paths(search?).map(|folder| from_cwd(folder).join(program)).find(|path| path.is_file())?
    };
    judge(&path, search).err()
}

fn is_noexec(path: &Path) -> bool {
    statvfs(path).is_ok_and(|of| of.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

/// The beginning of a regular file; `None` if it cannot be read.
fn beginning(path: &Path) -> Option<Vec<u8>> {
    let is_file = path.metadata().ok()?.is_file();
    let mut begin = Vec::new();
    std::fs::File::open(path).ok().filter(|_| is_file)?.take(FIRST_LINE as u64).read_to_end(&mut begin).ok()?;
    Some(begin)
}

fn is_found(name: &str, search: Option<&OsStr>) -> bool {
    if name.contains('/') {
        return Path::new(name).exists() || !name.starts_with('/');
    }
    let Some(search) = search else { return true };
    std::env::split_paths(search)
        .map(|folder| folder.join(name))
        .any(|path| path.is_file() && access(&path, Access::EXEC_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(content: &[u8]) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a b");
        std::fs::write(&path, content).unwrap();
        let folder = format!("{}/", dir.path().display());
        judge(&path, Some("/bin:/usr/bin".as_ref())).map_err(|error| error.to_string().replace(&folder, ""))
    }

    #[test]
    fn a_script_that_cannot_run_is_told_with_what_to_type() {
        for good in
            [&b"#!/bin/sh\n"[..], b"#! /bin/sh -e\nx\r\n", b"#!/usr/bin/env sh\n", b"\x7fELF\x02\x01", b"#!work\n"]
        {
            assert_eq!(judged(good), Ok(()), "{good:?}");
        }
        for (bad, told) in [
            (&b"#!/bin/sh\r\necho\r\n"[..], "sed -i 's/\\r$//' 'a b'"),
            (b"#!/usr/bin/env bash\r\n", "CR LF"),
            (b"echo hello\n", "sed -i '1i #!/bin/sh' 'a b'"),
            (b"#!\n", "without a first line"),
            (b"", "is empty"),
            (b"#!/no/such/python\n", "needs the interpreter \"/no/such/python\", which does not exist"),
            (
                b"#!/usr/bin/env -S no-such-python -u\n",
                "needs the interpreter \"no-such-python\", which is in no folder",
            ),
        ] {
            let error = judged(bad).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_mount_without_execution_is_told() {
        // Where nothing may be executed by any system's custom.
        if let Some(place) = ["/proc", "/sys"].iter().find(|place| is_noexec(Path::new(place))) {
            let error = judge(Path::new(place), None).unwrap_err();
            assert!(error.to_string().contains("noexec"), "{error}");
        }
    }
}
