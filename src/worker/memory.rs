//! How much memory this process may use: the machine's, or less if a control group says so (systemd's `MemoryMax`, a
//! container's limit).

use std::fs;

/// On systems without Linux's files: enough for a few pictures at a time.
const UNKNOWN_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// The limit in bytes.
pub(crate) fn limit_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_bytes(&text));
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_limit_bytes(&text));
    [machine, group].into_iter().flatten().min().unwrap_or(UNKNOWN_BYTES)
}

/// `MemTotal` of /proc/meminfo, which is in KiB.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The least `memory.max` of this process's control group (version 2) and those above it.
fn group_limit_bytes(cgroup: &str) -> Option<u64> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = std::path::Path::new("/sys/fs/cgroup");
    let groups = root.join(path);
    let limits = groups.ancestors().take_while(|group| group.starts_with(root)).filter_map(|group| {
        fs::read_to_string(group.join("memory.max")).ok()?.trim().parse().ok() // "max" is no number, and no limit
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo() {
        assert_eq!(total_bytes("MemTotal:       24560000 kB\nMemFree: 1 kB\n"), Some(24_560_000 * 1024));
        for bad in ["", "MemTotal:", "MemTotal: x kB", "MemTotal: 99999999999999999999 kB"] {
            assert_eq!(total_bytes(bad), None, "{bad:?}");
        }
        assert!(limit_bytes() > 0);
    }
}
