//! Variables of a program that stand in files: secrets that are kept out of task files, and may be exchanged at any time.
//!
//! The files are read at the start of each run. Variables decide what a program loads and runs (`PATH`, `LD_PRELOAD`,
//! `BASH_ENV`), so that the files are judged as programs are. One that only the task's own user may change is read with the
//! rights of that user, who could otherwise lead root to any file by a link. No message quotes a value.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::load::security::OR_NOT_STRICT;
use crate::file;
use crate::file::bounded::{self, FileError};
use crate::file::rights;
use crate::file::shortage::is_shortage;
use crate::file::trust::{Owners, Untrusted};
use crate::process::confine::{self, User};

/// The longest value, in bytes.
const LONGEST: usize = 64 * 1024;

/// Where variables come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnvSource {
    /// One variable, whose value is the text of a file without the end of its last line.
    Value {
        /// Its name.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// A file with a variable on each line: `NAME=VALUE`.
    Lines(PathBuf),
}

/// Why variables cannot be read. The message follows "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read {place}: {reason}")]
pub struct EnvError {
    place: String,
    reason: String,
    is_short: bool,
}

impl EnvError {
    /// Because descriptors or memory ran out?
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        self.is_short
    }
}

/// Who may change the files with the variables of a task, and with whose rights they are read.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct EnvFiles {
    /// Who may change what runs; `None`: anybody.
    owners: Option<Arc<Owners>>,
    /// These and the task's user; the same without one.
    owners_and_user: Option<Arc<Owners>>,
    /// The user of the task, if it is another one, with the user's group.
    user: Option<(u32, u32)>,
}

impl EnvFiles {
    /// Those of a task whose program runs as this user.
    pub(crate) fn new(
        owners: Option<&Arc<Owners>>,
        owners_and_user: Option<&Arc<Owners>>,
        user: Option<&User>,
    ) -> Self {
        let user = user.filter(|user| confine::is_root() && user.uid != 0).map(|user| (user.uid, user.gid));
        Self { owners: owners.cloned(), owners_and_user: owners_and_user.cloned(), user }
    }

    /// Reads the variables of a file.
    ///
    /// # Errors
    /// Names the file and the line, or who may change it who is not trusted.
    pub fn read(&self, source: &EnvSource) -> Result<Vec<(String, String)>, EnvError> {
        let Some(owners) = &self.owners else { return source.read() };
        let path = file::absolute(source.path());
        let Err(untrusted) = owners.judge(&path) else { return source.read() };
        if let Err(untrusted) = self.owners_and_user.as_ref().map_or(Err(untrusted), |owners| owners.judge(&path)) {
            if matches!(untrusted, Untrusted::Unjudged { .. }) {
                return Err(EnvError { is_short: true, ..source.error(None, untrusted.to_string()) });
            }
            return Err(source.error(None, format!("{untrusted}{OR_NOT_STRICT}")));
        }
        let Some((uid, gid)) = self.user else { return source.read() };
        rights::with(uid, gid, || source.read()).unwrap_or_else(|error| {
            let text = format!("with the rights of the task's user: {error}");
            Err(EnvError { is_short: is_shortage(&error), ..source.error(None, text) })
        })
    }
}

/// Is this the name of a variable that a task may set?
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn judge_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.contains(['=', '\0']) {
        Err("a variable's name must not be empty or contain = or NUL")
    } else if name.starts_with("WINDLASS_") {
        Err("variables that begin with WINDLASS_ are set for each job; choose another name")
    } else {
        Ok(())
    }
}

impl EnvSource {
    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Value { path, .. } | Self::Lines(path) => path,
        }
    }

    fn error(&self, line: Option<usize>, reason: String) -> EnvError {
        let path = self.path().display();
        let place = line.map_or_else(|| path.to_string(), |line| format!("{path}:{line}"));
        EnvError { place, reason, is_short: false }
    }

    /// Reads the variables with the rights of this thread.
    fn read(&self) -> Result<Vec<(String, String)>, EnvError> {
        let error = |line: Option<usize>, reason: String| self.error(line, reason);
        let text = bounded::read_text(self.path(), bounded::SECRET).map_err(|failed| match failed {
            FileError::NotText => error(None, "expected UTF-8 text".to_owned()),
            FileError::Io(failed) => EnvError { is_short: is_shortage(&failed), ..error(None, failed.to_string()) },
            other => error(None, other.to_string()),
        })?;
        match self {
            Self::Value { name, .. } => {
                let value = text.trim_end_matches(['\n', '\r']);
                judge_value(value).map_err(|reason| error(None, reason.to_owned()))?;
                Ok(vec![(name.clone(), value.to_owned())])
            }
            Self::Lines(_) => {
                let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
                let mut variables = Vec::new();
                for (number, line) in (1..).zip(text.lines()) {
                    match variable(line) {
                        Ok(None) => {}
                        Ok(Some(found)) => variables.push(found),
                        Err(reason) => return Err(error(Some(number), reason.to_owned())),
                    }
                }
                Ok(variables)
            }
        }
    }
}

/// A line of such a file. Empty lines and those that begin with `#` hold none.
fn variable(line: &str) -> Result<Option<(String, String)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or("expected NAME=VALUE")?;
    let name = name.trim();
    judge_name(name)?;
    let (raw, value) = (value, value.trim());
    let value = match value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        Some(quote) => quoted(value, quote).ok_or("a quote is opened and not closed on this line")?,
        // To systemd and Docker it is a part of the value (`A= # x` has the value `# x`), to shells, dotenv and Compose a
        // comment. A secret that is silently longer or shorter than meant is worse than an error.
        None if is_comment_behind(raw) => {
            return Err(
                "a # behind a blank is a part of the value to some programs and a comment to others; put the value in \
                        quotes (NAME=\"VALUE\" # comment)",
            );
        }
        None => value,
    };
    judge_value(value)?;
    Ok(Some((name.to_owned(), value.to_owned())))
}

/// What stands between quotes. The closing one is the first behind which the line ends or a comment begins.
fn quoted(value: &str, quote: char) -> Option<&str> {
    let inner = value.get(1..)?;
    let is_end = |rest: &str| rest.is_empty() || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'));
    let (end, _) = inner.match_indices(quote).find(|(at, _)| is_end(&inner[at + 1..]))?;
    Some(&inner[..end])
}

fn is_comment_behind(value: &str) -> bool {
    value.match_indices('#').any(|(at, _)| value[..at].ends_with([' ', '\t']))
}

fn judge_value(value: &str) -> Result<(), &'static str> {
    if value.contains('\0') {
        Err("a value must not contain NUL")
    } else if value.len() > LONGEST {
        Err("a value has at most 64 KiB")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Result<Vec<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.env");
        std::fs::write(&path, text).unwrap();
        let told = |error: EnvError| error.to_string().replace(&format!("{}/", folder.path().display()), "");
        EnvSource::Lines(path).read().map_err(told)
    }

    #[test]
    fn a_file_holds_a_variable_on_each_line() {
        let text = "\u{feff}# a comment\r\n\nA=1\n export B = \"two words\" \r\nC='it''s'\nD=\nE=a=b#c\n";
        let found = lines(text).unwrap();
        let expected = [("A", "1"), ("B", "two words"), ("C", "it''s"), ("D", ""), ("E", "a=b#c")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_comment_may_stand_behind_quotes_and_is_doubtful_behind_anything_else() {
        for (line, value) in [
            (r#"A="x" # tail"#, "x"),
            (r#"A="x"	# it's "y""#, "x"),
            ("A='x # y' # tail", "x # y"),
            (r#"A="x"y""#, r#"x"y"#),
            (r##"A="x"#y""##, r##"x"#y"##),
            ("A=\"\"", ""),
            ("A=x#tail", "x#tail"),
            ("A=#x", "#x"),
        ] {
            assert_eq!(lines(line), Ok(vec![("A".to_owned(), value.to_owned())]), "{line}");
        }
        for line in ["A=secret # tail", "A=secret\t#tail", "A=a secret #", "A= # secret", "A=\t#secret", "A = #"] {
            let error = lines(line).unwrap_err();
            assert!(error.contains("app.env:1: a # behind a blank") && !error.contains("secret"), "{error}");
        }
        for line in ["A=\"x\" tail", "A=\"", "A='x\" # tail"] {
            assert!(lines(line).unwrap_err().contains("not closed"), "{line}");
        }
    }

    #[test]
    fn an_error_names_the_line_and_not_the_value() {
        assert_eq!(lines("A=1\nsecret").unwrap_err(), "read app.env:2: expected NAME=VALUE");
        assert_eq!(lines("A=\"secret").unwrap_err(), "read app.env:1: a quote is opened and not closed on this line");
        assert!(lines("WINDLASS_JOB_ID=secret").unwrap_err().contains("choose another name"));
        assert!(lines("=secret").unwrap_err().starts_with("read app.env:1: a variable's name"));
        assert!(lines("A=a\0b").unwrap_err().contains("NUL"));
    }

    #[test]
    fn a_value_is_a_file_without_its_last_end_of_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = EnvSource::Value { name: "TOKEN".into(), path: path.clone() };
        assert!(source.read().unwrap_err().to_string().contains("token: "));
        std::fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(source.read().unwrap(), [("TOKEN".to_owned(), "s3cret".to_owned())]);
        std::fs::write(&path, "exchanged\r\n").unwrap();
        assert_eq!(source.read().unwrap()[0].1, "exchanged");
        std::fs::write(&path, b"\xff").unwrap();
        assert!(source.read().is_err());
    }
}
