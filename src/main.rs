//! The `windlass` binary: a thin shell around the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    windlass::cli::main(std::env::args_os())
}
