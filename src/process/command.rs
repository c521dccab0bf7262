//! The command to run: program, arguments, environment, directory.
//!
//! A command is never passed to a shell: every argument reaches the program unchanged. The child leads a new process
//! group, so that it can be ended together with its children. Never add a `pre_exec`: it makes the standard library
//! fork, which copies the page tables of the whole daemon for every job. For the same reason this file looks a program
//! without a slash up itself when the command sets its own `PATH`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::Pid;

use super::confine::{self, Confines};
use super::pipes::{self, Ends, Wanted};
use super::runnable::{self, Unrunnable};
use super::spawn_error::SpawnError;
use super::{mark, private, shim, shim_word, status_slot};
use crate::file::shortage::is_shortage;
use crate::file::trust::{Owners, Untrusted};

/// The variable with the number of the descriptor on which a program tells how far it is.
pub const STATUS_FD: &str = crate::job::run_variables::STATUS_FD;

/// A command that can be spawned.
#[derive(Debug, Clone)]
pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    removed: Vec<OsString>,
    cwd: Option<PathBuf>,
    stdin: bool,
    stdout: bool,
    env_cleared: bool,
    confines: Option<Arc<Confines>>,
    trusted: Option<Arc<Owners>>,
    status: bool,
}

/// A process that was started.
pub(super) struct Started {
    pub(super) process: std::process::Child,
    /// The mark that its descendants inherit.
    pub(super) run: OsString,
    /// By what the word of its shim is known, if it has one.
    pub(super) proof: Option<String>,
}

impl Command {
    /// A command without arguments that inherits the directory, and the environment but for what is
    /// [`private`].
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            removed: Vec::new(),
            cwd: None,
            stdin: true,
            stdout: true,
            env_cleared: false,
            confines: None,
            trusted: None,
            status: false,
        }
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> &mut Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    pub fn env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> &mut Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Removes an inherited variable. Variables set by [`env`](Self::env) stay.
    pub fn env_remove(&mut self, name: impl Into<OsString>) -> &mut Self {
        self.removed.push(name.into());
        self
    }

    /// Removes all inherited variables. Variables set by [`env`](Self::env) stay.
    pub fn env_clear(&mut self) -> &mut Self {
        self.env_cleared = true;
        self
    }

    /// Confines the program; see [`confine`]. The name and home of its user are set in its environment, unless
    /// [`env`](Self::env) sets them. Programs of this library must call [`shim::answer`] when they start;
    /// [`Program`](crate::cli::Program) does.
    pub fn confine(&mut self, confines: Arc<Confines>) -> &mut Self {
        self.confines = Some(confines);
        self
    }

    /// Sets the working directory of the child; a relative program is resolved from there.
    pub fn cwd(&mut self, cwd: impl Into<PathBuf>) -> &mut Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// Only these users may change the program and the folders above it; `None`: anybody may. That is judged at each start,
    /// because a program can be opened to others after the task that names it was loaded.
    pub fn changed_by(&mut self, trusted: Option<Arc<Owners>>) -> &mut Self {
        self.trusted = trusted;
        self
    }

    /// Gives the child `/dev/null` for its stdin.
    pub fn no_stdin(&mut self) -> &mut Self {
        self.stdin = false;
        self
    }

    /// Gives the child one descriptor more, on which it tells how far it is. [`STATUS_FD`] has its number.
    pub fn with_status(&mut self) -> &mut Self {
        self.status = true;
        self
    }

    /// Sends the child's stdout to `/dev/null`.
    pub fn discard_stdout(&mut self) -> &mut Self {
        self.stdout = false;
        self
    }

    /// The program, for messages.
    #[must_use]
    pub fn program(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    /// Starts it with pipes on stderr, and on stdin and stdout unless it does without. `ready` makes our ends ready. It comes
    /// first, because once the process was started nothing may fail.
    pub(super) fn spawn<T>(&self, ready: impl FnOnce(Ends) -> io::Result<T>) -> Result<(Started, T), SpawnError> {
        let (mut command, run, proof) = self.prepared()?;
        let wanted = Wanted { stdin: self.stdin, stdout: self.stdout, status: self.status };
        let (ours, Ends { stdin, stdout, stderr, status }) =
            pipes::make(wanted).map_err(SpawnError::unprepared(self.program()))?;
        let ours = ready(ours).map_err(SpawnError::unprepared(self.program()))?;
        command.stderr(stderr);
        command.stdin(stdin.map_or_else(Stdio::null, Stdio::from));
        command.stdout(stdout.map_or_else(Stdio::null, Stdio::from));
        let Some(status) = status else {
            let process = status_slot::beside(|| command.spawn()).map_err(|error| self.explain(error))?;
            self.name_run(&process, &run);
            return Ok((Started { process, run, proof }, ours));
        };
        let started = status_slot::with(&status, |number| {
            let name = OsStr::new(STATUS_FD);
            command.env(
                if self.confines.is_some() { confine::wrapped(name) } else { name.to_owned() },
                number.to_string(),
            );
            command.spawn()
        });
        let started = started.map_err(SpawnError::unprepared(self.program()))?;
        let process = started.map_err(|error| self.explain(error))?;
        self.name_run(&process, &run);
        Ok((Started { process, run, proof }, ours))
    }

    /// The shim does that itself.
    fn name_run(&self, process: &std::process::Child, run: &OsStr) {
        if self.confines.is_none() {
            mark::name_run(Pid::from_child(process), run.as_encoded_bytes());
        }
    }

    fn prepared(&self) -> Result<(StdCommand, OsString, Option<String>), SpawnError> {
        let found = self.looked_up()?;
        let program = found.as_deref().map_or(&*self.program, Path::as_os_str);
        self.judge(Path::new(program))?;
        if self.confines.is_some() && !shim::is_there() {
            let source =
                io::Error::other("this executable cannot apply limits and users: it does not call shim::answer");
            return Err(SpawnError::Other { program: self.program(), source });
        }
        let run = mark::next_run();
        let mut command = if let Some(confines) = &self.confines {
            // In the child, /proc/self/exe is this executable, even if its file was replaced.
            let mut command = StdCommand::new("/proc/self/exe");
            let cwd = self.cwd.as_deref().filter(|_| confines.changes_rights());
            command.args(confines.to_args(mark::run_limit(run.as_encoded_bytes()), cwd)).arg(program);
            command
        } else {
            let mut command = StdCommand::new(program);
            command.arg0(&self.program);
            command
        };
        // A program of another user becomes the leader of a session, and so of a group; the leader of a group could not.
        if self.confines.as_ref().is_none_or(|confines| confines.user.is_none()) {
            command.process_group(0);
        }
        command.args(&self.args);
        match &self.confines {
            Some(confines) => self.set_shim_env(&mut command, confines),
            None => self.set_env(&mut command),
        }
        // A program with other rights enters it with those.
        let is_later = self.confines.as_ref().is_some_and(|confines| confines.changes_rights());
        if let Some(cwd) = self.cwd.as_ref().filter(|_| !is_later) {
            command.current_dir(cwd);
        }
        command.env(mark::RUN, &run);
        let proof = self.confines.as_ref().and_then(|_| shim_word::proof(run.as_encoded_bytes()));
        if let Some(proof) = &proof {
            command.env(shim_word::PROOF, proof);
        }
        if self.confines.is_some() {
            command.env(confine::wrapped(mark::RUN.as_ref()), &run);
        }
        match mark::daemon_name() {
            Some(name) if self.confines.is_some() => drop(command.env(confine::wrapped(mark::DAEMON.as_ref()), name)),
            Some(name) => drop(command.env(mark::DAEMON, name)),
            None => {}
        }
        Ok((command, run, proof))
    }

    /// Nobody else can exchange a program that is trusted with all folders above it between this and its start.
    fn judge(&self, program: &Path) -> Result<(), SpawnError> {
        let judged = self.trusted.as_ref().map_or(Ok(()), |trusted| trusted.judge(&self.resolved(program)));
        judged.map_err(|source| match source {
            Untrusted::Unjudged { .. } => SpawnError::short(self.program(), source.to_string()),
            source => SpawnError::Untrusted { program: self.program(), source },
        })
    }

    fn set_env(&self, command: &mut StdCommand) {
        if self.env_cleared {
            command.env_clear();
        }
        for name in self.removed.iter().cloned().chain(private::names().into_iter().map(OsString::from)) {
            command.env_remove(name);
        }
        for (name, value) in &self.env {
            command.env(name, value);
        }
    }

    /// The shim starts with the rights of the daemon, so it gets the variables under names that mean nothing. Only the
    /// marks of the process it gets as they are.
    fn set_shim_env(&self, command: &mut StdCommand, confines: &Confines) {
        command.env_clear();
        let inherited = std::env::vars_os()
            .filter(|(name, _)| !self.env_cleared && !self.removed.contains(name) && !private::is_private(name));
        for (name, value) in inherited {
            command.env(confine::wrapped(&name), value);
        }
        for (name, value) in confine::identity(confines) {
            command.env(confine::wrapped(name.as_ref()), value);
        }
        for (name, value) in &self.env {
            if name == mark::INSTANCE {
                command.env(name, value);
            }
            command.env(confine::wrapped(name), value);
        }
    }

    /// The path of a program without a slash in the `PATH` that this command sets.
    fn looked_up(&self) -> Result<Option<PathBuf>, SpawnError> {
        let path = self.env.iter().rev().find(|(name, _)| name == "PATH");
        let Some((_, path)) = path.filter(|_| !has_slash(&self.program)) else { return Ok(None) };
        std::env::split_paths(path)
            .map(|folder| self.resolved(&folder).join(&self.program))
            .find(|file| file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok())
            .map(Some)
            .ok_or_else(|| SpawnError::NotFound { program: self.program() })
    }

    fn resolved(&self, path: &Path) -> PathBuf {
        self.cwd.as_deref().map_or_else(|| path.to_owned(), |cwd| cwd.join(path))
    }

    /// What is wrong with the program's file, if that is known.
    fn fault(&self) -> Option<Unrunnable> {
        let path = self.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
        let path = path.or_else(|| std::env::var_os("PATH").filter(|_| !self.env_cleared));
        runnable::fault(&self.program, self.cwd.as_deref(), path.as_deref())
    }

    fn explain(&self, source: io::Error) -> SpawnError {
        let program = self.program();
        if source.kind() == io::ErrorKind::InvalidInput && source.raw_os_error().is_none() {
            return SpawnError::Nul { program };
        }
        if is_shortage(&source) {
            return SpawnError::Short { program, source };
        }
        // The same errno can concern the directory, the program or its interpreter.
        let bad_cwd = self.cwd.as_ref().filter(|cwd| !cwd.is_dir() || !may_enter(cwd));
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) if bad_cwd.is_some() => {
                SpawnError::Directory { program, cwd: bad_cwd.cloned().unwrap_or_default() }
            }
            Some(Errno::NOENT | Errno::NOEXEC | Errno::ACCESS) if let Some(source) = self.fault() => {
                SpawnError::Unrunnable { program, source }
            }
            Some(Errno::NOENT) if has_slash(&self.program) && self.resolved(Path::new(&self.program)).exists() => {
                SpawnError::NoInterpreter { program }
            }
            Some(Errno::NOENT | Errno::NOTDIR) => SpawnError::NotFound { program },
            Some(Errno::ACCESS | Errno::PERM) => SpawnError::Denied { program },
            Some(Errno::NOEXEC) => SpawnError::NotExecutable { program },
            Some(Errno::TOOBIG) => SpawnError::TooLong { program },
            Some(Errno::TXTBSY) => SpawnError::Busy { program, source },
            _ => SpawnError::Other { program, source },
        }
    }
}

fn has_slash(program: &OsStr) -> bool {
    program.as_encoded_bytes().contains(&b'/')
}

fn may_enter(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests;
