//! What both programs do around their work: arguments, `--help` and `--version`, and how an error ends them.

use std::error::Error;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use crate::support::config::Config;
use crate::support::env::Env;
use crate::support::log;

/// The exit status for arguments that are not understood, as of most programs.
const EXIT_USAGE: u8 = 2;

/// Runs a program: `parse` turns the arguments into something to run, or `None` if it does not understand them, and `start` runs
/// it with the settings.
pub fn run<R>(
    name: &str,
    help: &str,
    parse: impl FnOnce(&[OsString]) -> Option<R>,
    start: impl FnOnce(R, Env, Config) -> Result<ExitCode, Box<dyn Error>>,
) -> ExitCode {
    log::report_panics();
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [flag] if flag == "--help" || flag == "-h" => {
            print(help);
            return ExitCode::SUCCESS;
        }
        [flag] if flag == "--version" || flag == "-V" => {
            print(&format!("{name} {}", env!("CARGO_PKG_VERSION")));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let Some(run) = parse(&arguments) else {
        let words: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
        eprintln!("{name}: these arguments are not understood: {}\n\n{help}", words.join(" "));
        return ExitCode::from(EXIT_USAGE);
    };
    let env = Env::of_process();
    let started = Config::read(&env).map_err(Box::from).and_then(|config| {
        log::set_level(config.log);
        start(run, env, config)
    });
    started.unwrap_or_else(|error| {
        eprintln!("{name}: {error}");
        ExitCode::FAILURE
    })
}

/// Prints a line that was asked for. A reader that has gone, as in `server --help | head -1`, is no failure.
pub fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
