//! `completions` and `man`: what shells and `man` read of the command line.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::{Generator, generate, shells};
use serde::Serialize;

use crate::cli::args::{Cli, CompletedShell};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::text::count::counted;

#[derive(Debug, Serialize)]
struct ManOutput {
    folder: String,
    pages: u64,
}

/// Prints the completions for a shell.
///
/// # Errors
/// Stdout that cannot be written.
pub(crate) fn completions(context: &CommandContext, shell: CompletedShell) -> Result<Exit, CliError> {
    let script = match shell {
        CompletedShell::Bash => script(shells::Bash),
        CompletedShell::Zsh => script(shells::Zsh),
        CompletedShell::Fish => script(shells::Fish),
    };
    context.printer.program(&script)?;
    Ok(Exit::Done)
}

fn script(shell: impl Generator) -> String {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "windlass", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The page with the headings that manual pages have: what stands below the options is called EXTRA otherwise.
fn with_headings(page: &str) -> String {
    let page =
        page.replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n").replace(".SH EXTRA\nExample:\n", ".SH EXAMPLES\n");
    page.replace(".SH EXTRA\n", ".SH NOTES\n")
}

/// Writes a page for each command.
///
/// # Errors
/// A folder that cannot be written.
pub(crate) fn man(context: &CommandContext, folder: &Path) -> Result<Exit, CliError> {
    let folder = context.path(folder);
    let failed = |error: io::Error| CliError::Failed(format!("failed to write to {}: {error}", folder.display()));
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let mut pages = 0;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut left = vec![command];
    while let Some(command) = left.pop() {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        left.extend(command.get_subcommands().filter(|one| !one.is_hide_set()).cloned());
        let mut page = Vec::new();
        clap_mangen::Man::new(command).title(name.to_uppercase()).render(&mut page).map_err(failed)?;
        let page = with_headings(&String::from_utf8_lossy(&page));
        std::fs::write(folder.join(format!("{name}.1")), page).map_err(failed)?;
        pages += 1;
    }
    let output = ManOutput { folder: folder.display().to_string(), pages };
    context.printer.report(&output, || format!("wrote {} to {}", counted(pages, "page", "pages"), output.folder))?;
    Ok(Exit::Done)
}
