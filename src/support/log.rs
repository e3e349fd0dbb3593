//! Logs: one line an event on standard error, `key=value` pairs that both a person and `grep` can read.
//!
//! ```text
//! 2026-11-24T09:30:00.123Z info upload id=… status=202 bytes=48213 store_ms=12 queue_ms=5
//! ```
//!
//! systemd, Docker and a terminal all take lines from standard error, so there is no file to rotate and no library to set
//! up. A line is written by one call, so lines of different threads do not mix. Secrets are never logged.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::SystemTime;

use crate::support::dates;

/// How much is logged; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// An operator has to do something.
    Error,
    /// Something failed, and the program could go on.
    Warn,
    /// A line for each request and job.
    Info,
    /// Retries and other details.
    Debug,
}

impl Level {
    /// From the quietest.
    pub(crate) const ALL: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];

    /// As in `LOG` and in a line.
    pub(crate) const fn name(self) -> &'static str {
        ["error", "warn", "info", "debug"][self as usize]
    }
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// Sets the level for the whole process; it is `info` until then.
pub(crate) fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// The names and values of one line.
pub type Fields<'a> = &'a [(&'a str, &'a dyn Display)];

pub fn error(event: &str, fields: Fields) {
    log(Level::Error, event, fields);
}

pub(crate) fn warn(event: &str, fields: Fields) {
    log(Level::Warn, event, fields);
}

pub fn info(event: &str, fields: Fields) {
    log(Level::Info, event, fields);
}

pub fn debug(event: &str, fields: Fields) {
    log(Level::Debug, event, fields);
}

/// From now on a panic is a line like any other.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or_default();
        error(
            "panic",
            &[("thread", &thread.name().unwrap_or_default()), ("at", &location), ("message", &message)],
        );
    }));
}

fn log(level: Level, event: &str, fields: Fields) {
    if level as u8 > LEVEL.load(Ordering::Relaxed) {
        return;
    }
    let line = format_line(SystemTime::now(), level, event, fields);
    // A closed standard error is no reason to stop serving, and there is nowhere left to say so.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn format_line(now: SystemTime, level: Level, event: &str, fields: Fields) -> String {
    let mut line = format!("{} {} {event}", dates::to_rfc3339(now), level.name());
    for (name, value) in fields {
        // Writing to a String cannot fail.
        let _ = write!(line, " {name}={}", quoted(&value.to_string()));
    }
    line.push('\n');
    line
}

/// Quotes and escapes a value that could be read as several values, or as another line: a stranger's bytes must not forge a log
/// line.
fn quoted(value: &str) -> String {
    let plain = !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    if plain { value.to_owned() } else { format!("{value:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_line() {
        let now = UNIX_EPOCH + Duration::from_millis(1_709_210_096_007);
        let line = format_line(
            now,
            Level::Warn,
            "put",
            &[("key", &"a/b.jpg"), ("error", &"no \"such\"\nhost"), ("none", &"")],
        );
        let expected =
            "2024-02-29T12:34:56.007Z warn put key=a/b.jpg error=\"no \\\"such\\\"\\nhost\" none=\"\"\n";
        assert_eq!(line, expected);
    }
}
