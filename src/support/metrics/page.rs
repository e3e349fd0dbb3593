//! Metrics, and the page of text that shows them, in Prometheus's exposition format 0.0.4: each family of samples follows two
//! lines that say what it is.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A counter or a gauge. Clones share one number.
#[derive(Clone, Default)]
pub(crate) struct Number(Arc<AtomicU64>);

impl Number {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Only for gauges; `less` was added before.
    pub(crate) fn subtract(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of the buckets of every histogram, in milliseconds: from a fast disk's millisecond to a job that waited
/// for machines to start.
const BOUNDS_MS: [u64; 14] =
    [1, 5, 20, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000];

/// How long something took, each time. Clones share one histogram.
#[derive(Clone, Default)]
pub(crate) struct Histogram(Arc<Buckets>);

#[derive(Default)]
struct Buckets {
    /// How many durations were up to each bound and over the one before. The last bucket has those over all bounds.
    counts: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_micros: AtomicU64,
}

impl Histogram {
    pub(crate) fn observe(&self, took: Duration) {
        let micros = took.as_micros() as u64;
        let bucket = BOUNDS_MS.partition_point(|bound| bound * 1000 < micros);
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// The statuses that a server answers with. They are shown from the start, as a rate needs a zero to begin at.
const STATUSES: [u16; 16] = [200, 202, 304, 400, 401, 404, 405, 406, 408, 411, 413, 414, 417, 431, 503, 505];

/// A count for each HTTP status. One that is not in [`STATUSES`] is shown once it has been counted.
pub(super) struct StatusCounts(Mutex<BTreeMap<u16, u64>>);

impl Default for StatusCounts {
    fn default() -> StatusCounts {
        StatusCounts(Mutex::new(STATUSES.map(|status| (status, 0)).into()))
    }
}

impl StatusCounts {
    pub(super) fn add(&self, status: u16) {
        *self.lock().entry(status).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A page that is being written. Labels are such as `step="fetch"`, and empty if the family has but one sample.
#[derive(Default)]
pub struct MetricsPage {
    pub(super) text: String,
    /// The name of the family whose samples are being written.
    family: &'static str,
}

impl MetricsPage {
    /// Begins a family. `kind` is Prometheus's word for what it is: counter, gauge, histogram.
    pub(super) fn family(&mut self, name: &'static str, kind: &str, help: &str) -> &mut MetricsPage {
        self.family = name;
        self.text += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        self
    }

    pub(super) fn sample(&mut self, labels: &str, value: impl Display) -> &mut MetricsPage {
        self.suffixed("", labels, value)
    }

    pub(super) fn statuses(&mut self, labels: &str, counts: &StatusCounts) -> &mut MetricsPage {
        for (status, count) in &*counts.lock() {
            self.sample(&format!("{labels},status=\"{status}\""), count);
        }
        self
    }

    /// Each bucket is shown with those before it. The count is the last bucket's, so that they agree while others are counting.
    pub(super) fn histogram(&mut self, labels: &str, histogram: &Histogram) -> &mut MetricsPage {
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = BOUNDS_MS.iter().map(|ms| seconds(ms * 1000)).chain(["+Inf".to_owned()]);
        let mut count = 0;
        for (bound, bucket) in bounds.zip(&histogram.0.counts) {
            count += bucket.load(Ordering::Relaxed);
            self.suffixed("_bucket", &format!("{labels}{comma}le=\"{bound}\""), count);
        }
        self.suffixed("_sum", labels, seconds(histogram.0.sum_micros.load(Ordering::Relaxed)));
        self.suffixed("_count", labels, count)
    }

    fn suffixed(&mut self, suffix: &str, labels: &str, value: impl Display) -> &mut MetricsPage {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        self.text += &format!("{}{suffix}{labels} {value}\n", self.family);
        self
    }
}

/// With the six digits that microseconds have, without the zeros at the end.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram() {
        let histogram = Histogram::default();
        for micros in [0, 1_000, 1_001, 299_000_000, 301_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut page = MetricsPage::default();
        page.family("x_seconds", "histogram", "X.").histogram("step=\"a\"", &histogram);
        let text = page.text;
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

    /// A status that nobody thought of is counted too.
    #[test]
    fn statuses() {
        let (uploads, others) = (StatusCounts::default(), StatusCounts::default());
        for status in [503, 418, 503] {
            uploads.add(status);
        }
        others.add(200);
        let mut page = MetricsPage::default();
        page.family("x_total", "counter", "X.")
            .statuses("kind=\"upload\"", &uploads)
            .statuses("kind=\"other\"", &others);
        let text = page.text;
        assert!(text.starts_with("# HELP x_total X.\n# TYPE x_total counter\n"), "{text}");
        for (kind, count_of) in
            [("upload", [(200, 0), (418, 1), (503, 2)]), ("other", [(200, 1), (400, 0), (503, 0)])]
        {
            for (status, count) in count_of {
                let line = format!("x_total{{kind=\"{kind}\",status=\"{status}\"}} {count}");
                assert!(text.lines().any(|found| found == line), "no {line} in {text}");
            }
        }
        assert_eq!(text.lines().count(), 2 + STATUSES.len() * 2 + 1, "{text}");
    }
}
