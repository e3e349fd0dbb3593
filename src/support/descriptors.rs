//! How many files and sockets the process may have open. The usual soft limit, 1,024 on Linux and 256 on a Mac, is there for
//! old programs that use select(); a program that knows better raises it.

use rustix::process::{Resource, getrlimit, setrlimit};

/// The programs here use at most this many, at their largest settings.
const WANTED: u64 = 8192;

/// Raises the soft limit as far as it may be raised and helps, and returns the new limit.
pub fn raise_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX).min(WANTED);
    let raised = limit.maximum.unwrap_or(u64::MAX).min(WANTED);
    limit.current = Some(raised);
    let is_raised = raised > current && setrlimit(Resource::Nofile, limit).is_ok();
    (if is_raised { raised } else { current }) as usize
}
