//! Asks before something is destroyed.

use std::io::{self, BufRead, IsTerminal, Write};

use super::exit::CliError;

/// Asks on a terminal. Without a terminal, `--yes` is required.
///
/// # Errors Fails if the answer is not yes, or if there is no terminal.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(CliError::Usage(format!("{question} There is no terminal to ask on: say --yes")));
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::Failed("nothing was done".to_owned())),
    }
}
