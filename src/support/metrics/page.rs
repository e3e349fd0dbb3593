//! The numbers as text: Prometheus's exposition format 0.0.4, a line a sample, after lines that say what it is.

use std::fmt::Write;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{BOUNDS_MICROS, Histogram};

/// A page that is being written.
#[derive(Default)]
pub(super) struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    /// The samples that follow are of this family. `kind` is Prometheus's: counter, gauge, histogram.
    pub(super) fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// One sample of the family. `suffix` is what a histogram's have after the name.
    pub(super) fn sample(&mut self, suffix: &str, labels: &str, value: impl std::fmt::Display) {
        let name = self.name;
        match labels {
            "" => self.line(format_args!("{name}{suffix} {value}")),
            _ => self.line(format_args!("{name}{suffix}{{{labels}}} {value}")),
        }
    }

    /// A family of one sample.
    pub(super) fn one(&mut self, name: &'static str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help);
        self.sample("", "", value);
    }

    /// A family of one histogram.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        self.buckets("", histogram);
    }

    /// A family of histograms, one for each step of something.
    pub(super) fn histograms(&mut self, name: &'static str, help: &str, steps: &[(&str, &Histogram)]) {
        self.family(name, "histogram", help);
        for (step, histogram) in steps {
            self.buckets(&format!("step=\"{step}\""), histogram);
        }
    }

    /// Each bucket holds those before it too. The count is the last bucket's, so that they agree while others are counting.
    fn buckets(&mut self, labels: &str, histogram: &Histogram) {
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = BOUNDS_MICROS.iter().map(|&micros| seconds(micros)).chain(["+Inf".to_owned()]);
        let mut count = 0;
        for (bound, bucket) in bounds.zip(&histogram.buckets) {
            count += bucket.get();
            self.sample("_bucket", &format!("{labels}{comma}le=\"{bound}\""), count);
        }
        self.sample("_sum", labels, seconds(histogram.sum_micros.get()));
        self.sample("_count", labels, count);
    }

    /// What Prometheus's own libraries say of every process.
    pub(super) fn process(&mut self, started: SystemTime) {
        self.family("image_sharer_build_info", "gauge", "The program's version.");
        self.sample("", concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
        let start = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.one("process_start_time_seconds", "gauge", "When it began, since 1970.", start.as_secs());
        if let Some(kib) = resident_kib() {
            self.one("process_resident_memory_bytes", "gauge", "Memory in use.", kib * 1024);
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// With the six digits that microseconds have, less the zeros at the end.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `VmRSS` of Linux's /proc, which is in KiB; elsewhere there is none.
fn resident_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_histogram() {
        let histogram = Histogram::new();
        for micros in [0, 1_000, 1_001, 299_000_000, 301_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut page = Page::default();
        page.histograms("x_seconds", "X.", &[("a", &histogram)]);
        let text = page.into_text();
        assert!(text.starts_with("# HELP x_seconds X.\n# TYPE x_seconds histogram\n"), "{text}");
        for line in [
            "x_seconds_bucket{step=\"a\",le=\"0.001\"} 2",
            "x_seconds_bucket{step=\"a\",le=\"0.005\"} 3",
            "x_seconds_bucket{step=\"a\",le=\"60\"} 3",
            "x_seconds_bucket{step=\"a\",le=\"300\"} 4",
            "x_seconds_bucket{step=\"a\",le=\"+Inf\"} 5",
            "x_seconds_sum{step=\"a\"} 600.002001",
            "x_seconds_count{step=\"a\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in {text}");
        }
    }
}
