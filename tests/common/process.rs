//! What Linux's /proc says of a running program.

use std::fs;

/// How many descriptors it has open.
pub(crate) fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).expect("Linux's /proc").count()
}

/// A number in its status, such as `VmHWM:`, in KiB.
pub(crate) fn status_of(id: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("Linux's /proc");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect(field);
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// How many threads it has.
pub(crate) fn threads(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/task")).expect("Linux's /proc").count()
}
