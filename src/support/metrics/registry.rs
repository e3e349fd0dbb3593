//! Numbers with names: each is registered once, with what Prometheus is told of it, and the registry writes all of them as
//! text, in Prometheus's exposition format 0.0.4. A family of samples follows two lines that say what it is.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::counter::Counter;

/// A counter or a gauge. Clones share one number.
#[derive(Clone, Default)]
pub struct Number(Arc<AtomicU64>);

impl Number {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Only for gauges; `less` was added before.
    pub fn subtract(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    pub fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of the buckets of every histogram, in microseconds: from a fast disk's millisecond to a job that waited
/// for machines to start.
const BOUNDS_MICROS: [u64; 14] = [
    1_000,
    5_000,
    20_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
];

/// How long something took, each time. Clones share one histogram.
#[derive(Clone, Default)]
pub struct Histogram(Arc<Buckets>);

#[derive(Default)]
struct Buckets {
    /// How many durations were up to each bound and over the one before. The last bucket has those over all bounds.
    counts: [Number; BOUNDS_MICROS.len() + 1],
    sum_micros: Number,
}

impl Histogram {
    pub fn observe(&self, took: Duration) {
        let micros = took.as_micros() as u64;
        let bucket = BOUNDS_MICROS.iter().position(|&bound| micros <= bound).unwrap_or(BOUNDS_MICROS.len());
        self.0.counts[bucket].add(1);
        self.0.sum_micros.add(micros);
    }
}

/// A count for each HTTP status. Clones share the counts.
#[derive(Clone, Default)]
pub(super) struct StatusCounts(Arc<Mutex<BTreeMap<u16, u64>>>);

impl StatusCounts {
    /// These statuses are shown from the beginning, with zero. Any other is shown once it has been counted.
    fn starting_with(statuses: &[u16]) -> StatusCounts {
        StatusCounts(Arc::new(Mutex::new(statuses.iter().map(|&status| (status, 0)).collect())))
    }

    pub(super) fn add(&self, status: u16) {
        *self.lock().entry(status).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All numbers of a process, in the order in which they are shown.
#[derive(Default)]
pub struct Registry {
    families: Vec<Family>,
}

struct Family {
    name: &'static str,
    /// Prometheus's word for what it is: counter, gauge, histogram.
    kind: &'static str,
    help: &'static str,
    samples: Vec<Sample>,
}

struct Sample {
    /// Such as `step="fetch"`; empty if the family has but one sample.
    labels: String,
    value: Value,
}

enum Value {
    Number(Number),
    Counter(Counter),
    Histogram(Histogram),
    Statuses(StatusCounts),
}

impl Registry {
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str) -> Number {
        self.single(name, "counter", help, Value::Number)
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str) -> Number {
        self.single(name, "gauge", help, Value::Number)
    }

    /// A gauge that shows how many things are in hand.
    pub(super) fn in_hand(&mut self, name: &'static str, help: &'static str) -> Counter {
        self.single(name, "gauge", help, Value::Counter)
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &'static str) -> Histogram {
        self.single(name, "histogram", help, Value::Histogram)
    }

    /// A counter for each of these values of the label.
    pub(super) fn counters<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &str,
        values: [&str; N],
    ) -> [Number; N] {
        let counters: [Number; N] = values.map(|_| Number::default());
        self.labelled(name, "counter", help, label, values, counters.clone().map(Value::Number));
        counters
    }

    /// A histogram for each of these values of the label.
    pub(super) fn histograms<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &str,
        values: [&str; N],
    ) -> [Histogram; N] {
        let histograms: [Histogram; N] = values.map(|_| Histogram::default());
        self.labelled(name, "histogram", help, label, values, histograms.clone().map(Value::Histogram));
        histograms
    }

    /// Counts by status for each of these values of the label.
    pub(super) fn statuses<const N: usize>(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &str,
        values: [&str; N],
        known: &[u16],
    ) -> [StatusCounts; N] {
        let counts = values.map(|_| StatusCounts::starting_with(known));
        self.labelled(name, "counter", help, label, values, counts.clone().map(Value::Statuses));
        counts
    }

    fn single<T: Clone + Default>(
        &mut self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
        value: impl FnOnce(T) -> Value,
    ) -> T {
        let shared = T::default();
        let samples = vec![Sample { labels: String::new(), value: value(shared.clone()) }];
        self.families.push(Family { name, kind, help, samples });
        shared
    }

    fn labelled<const N: usize>(
        &mut self,
        name: &'static str,
        kind: &'static str,
        help: &'static str,
        label: &str,
        names: [&str; N],
        values: [Value; N],
    ) {
        let labels = names.map(|name| format!("{label}=\"{name}\""));
        let samples = labels.into_iter().zip(values).map(|(labels, value)| Sample { labels, value });
        self.families.push(Family { name, kind, help, samples: samples.collect() });
    }

    /// All numbers as they are now, and what Prometheus's own libraries say of every process.
    pub(super) fn page(&self, started: SystemTime) -> String {
        let mut page = Page::default();
        for family in &self.families {
            page.describe(family.name, family.kind, family.help);
            for Sample { labels, value } in &family.samples {
                match value {
                    Value::Number(number) => page.sample("", labels, number.get()),
                    Value::Counter(counter) => page.sample("", labels, counter.count()),
                    Value::Histogram(histogram) => page.histogram(labels, histogram),
                    Value::Statuses(counts) => {
                        for (status, count) in &*counts.lock() {
                            page.sample("", &format!("{labels},status=\"{status}\""), count);
                        }
                    }
                }
            }
        }
        page.process(started);
        page.text
    }
}

/// A page that is being written.
#[derive(Default)]
struct Page {
    text: String,
    /// Of the family whose samples are being written.
    name: &'static str,
}

impl Page {
    fn describe(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the family. A histogram's samples have a suffix after the family's name.
    fn sample(&mut self, suffix: &str, labels: &str, value: impl Display) {
        let name = self.name;
        let _ = match labels {
            "" => writeln!(self.text, "{name}{suffix} {value}"),
            _ => writeln!(self.text, "{name}{suffix}{{{labels}}} {value}"),
        };
    }

    /// Each bucket is shown with those before it. The count is the last bucket's, so that they agree while others are counting.
    fn histogram(&mut self, labels: &str, histogram: &Histogram) {
        let comma = if labels.is_empty() { "" } else { "," };
        let bounds = BOUNDS_MICROS.iter().map(|&micros| seconds(micros)).chain(["+Inf".to_owned()]);
        let mut count = 0;
        for (bound, bucket) in bounds.zip(&histogram.0.counts) {
            count += bucket.get();
            self.sample("_bucket", &format!("{labels}{comma}le=\"{bound}\""), count);
        }
        self.sample("_sum", labels, seconds(histogram.0.sum_micros.get()));
        self.sample("_count", labels, count);
    }

    fn process(&mut self, started: SystemTime) {
        self.describe("image_sharer_build_info", "gauge", "The program's version.");
        self.sample("", concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
        let start = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.describe("process_start_time_seconds", "gauge", "When it began, since 1970.");
        self.sample("", "", start.as_secs());
        if let Some(kib) = resident_kib() {
            self.describe("process_resident_memory_bytes", "gauge", "Memory in use.");
            self.sample("", "", kib * 1024);
        }
    }
}

/// With the six digits that microseconds have, without the zeros at the end.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `VmRSS` of Linux's /proc, which is in KiB. Other systems have none.
fn resident_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram() {
        let mut registry = Registry::default();
        let [histogram] = registry.histograms("x_seconds", "X.", "step", ["a"]);
        for micros in [0, 1_000, 1_001, 299_000_000, 301_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let text = registry.page(UNIX_EPOCH);
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
        let mut registry = Registry::default();
        let [uploads, others] = registry.statuses("x_total", "X.", "kind", ["upload", "other"], &[200, 503]);
        for status in [503, 418, 503] {
            uploads.add(status);
        }
        others.add(200);
        let expected = "# HELP x_total X.\n# TYPE x_total counter\n\
                        x_total{kind=\"upload\",status=\"200\"} 0\n\
                        x_total{kind=\"upload\",status=\"418\"} 1\n\
                        x_total{kind=\"upload\",status=\"503\"} 2\n\
                        x_total{kind=\"other\",status=\"200\"} 1\n\
                        x_total{kind=\"other\",status=\"503\"} 0\n";
        let text = registry.page(UNIX_EPOCH);
        assert!(text.starts_with(expected), "{text}");
    }
}
