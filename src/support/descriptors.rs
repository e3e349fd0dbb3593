//! How many files and sockets the process may have open. The usual soft limit, 1,024 on Linux and 256 on a Mac, is there for
//! old programs that use select(); a program that knows better raises it.

use rustix::process::{Resource, getrlimit, setrlimit};

/// As many as the programs here have a use for, at their largest settings.
const WANTED: u64 = 8192;

/// Raises the soft limit as far as is allowed and of use, and returns what it is then.
pub fn raise_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX).min(WANTED);
    let raised = limit.maximum.unwrap_or(u64::MAX).min(WANTED);
    limit.current = Some(raised);
    let is_raised = raised > current && setrlimit(Resource::Nofile, limit).is_ok();
    (if is_raised { raised } else { current }) as usize
}
