//! Where a program shows its metrics, and the numbers in what it prints.

use crate::program::Program;

/// The address of the metrics page: `127.0.0.1:port`.
pub(crate) fn address(program: &Program) -> String {
    let line = program.line_with(&["metrics address="]);
    line.rsplit_once("address=").expect("it was waited for").1.to_owned()
}

/// The number that follows a name in a line.
pub(crate) fn number_after(line: &str, name: &str) -> u64 {
    let (_, rest) = line.split_once(name).unwrap_or_else(|| panic!("no {name} in {line}"));
    rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}
