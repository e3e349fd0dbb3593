//! What a program prints because it was asked to: `--help`, `--version`, `--check`.

use std::io::Write;
use std::process::ExitCode;

/// Prints a line. A reader that has gone, as in `server --help | head -1`, is no failure.
pub fn print(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}
