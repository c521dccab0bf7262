//! A process that exchanges messages: its stdin stays open, and its stdout is read as it arrives.
//!
//! [`Running`](super::Running) feeds a process once and splits its output into lines of text. This type gives the
//! caller the ends of the pipes, and the caller splits the messages. Stderr is still read as text.

use std::io;
use std::os::fd::AsFd;

use tokio::net::unix::pipe;

use super::child::Child;
use super::command::{Command, Started};
use super::memory_kill;
use super::output::Output;
use super::pipes::Ends;
use super::spawn_error::SpawnError;

/// A spawned command and its pipes, separate so that all of them can be awaited at once.
#[derive(Debug)]
pub struct Duplex {
    /// The process.
    pub child: Child,
    /// Its stdin; dropping it closes the pipe.
    pub input: pipe::Sender,
    /// Its stdout.
    pub output: pipe::Receiver,
    /// Its stderr, line by line.
    pub errors: Output,
}

impl Duplex {
    /// Spawns a command. Its stdout must not be discarded.
    ///
    /// # Errors
    /// Says why the command did not start. Nothing fails once it did.
    pub fn spawn(command: &Command) -> Result<Self, SpawnError> {
        memory_kill::glance();
        let ready = |ours: Ends| {
            let missing = || io::Error::other("it has no pipe");
            let (input, output) = (ours.stdin.ok_or_else(missing)?, ours.stdout.ok_or_else(missing)?);
            for end in [&input, &output] {
                rustix::io::ioctl_fionbio(end.as_fd(), true)?;
            }
            Ok((
                pipe::Sender::from_owned_fd_unchecked(input)?,
                pipe::Receiver::from_owned_fd_unchecked(output)?,
                Output::new(None, Some(ours.stderr))?,
            ))
        };
        let (Started { process, run, proof }, (input, output, errors)) = command.spawn(ready)?;
        Ok(Self { child: Child::new(process, run), input, output, errors: errors.hearing(proof) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_said_is_answered_until_stdin_ends() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "while read -r line; do echo \"<$line>\"; done; echo over >&2; exit 3"]);
        let Duplex { mut child, input, output, mut errors } = Duplex::spawn(&command).unwrap();
        let mut said = Vec::new();
        for (word, answer) in [("one\n", "<one>\n"), ("two\n", "<one>\n<two>\n")] {
            input.writable().await.unwrap();
            assert_eq!(input.try_write(word.as_bytes()).unwrap(), word.len());
            while said != answer.as_bytes() {
                output.readable().await.unwrap();
                match output.try_read_buf(&mut said) {
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
        }
        drop(input);
        child.exited().await;
        let mut last = String::new();
        errors.rest(&mut |line| last.push_str(line.text)).await;
        assert_eq!((child.reap().unwrap().code(), last.as_str()), (Some(3), "over"));
    }
}
