//! Metrics for Prometheus: what was done, how long it took, what is in hand.
//!
//! A metric is counted where a log line says the same, whether or not anybody asks: an atomic costs next to nothing. With
//! `METRICS_LISTEN` a listener of its own shows all metrics. docs/METRICS.md says what each is good for. No metric has a label
//! for a client or an image: those are in the log.

mod listener;
mod page;

use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::counter::Counter;
use crate::support::log;
pub use page::MetricsPage;
use page::StatusCounts;
pub(crate) use page::{Histogram, Number};

/// What a server counts.
#[derive(Default)]
pub struct ServerMetrics {
    uploads: StatusCounts,
    others: StatusCounts,
    pub(crate) upload_bytes: Number,
    /// How long an accepted upload's body took to arrive, from the end of the head.
    pub(crate) body: Histogram,
    /// How long it took to store the original of an accepted upload, and to queue its job.
    pub(crate) store: Histogram,
    pub(crate) queue: Histogram,
    pub(crate) evicted: Number,
    pub(crate) connections: Number,
}

impl ServerMetrics {
    /// Counts an answer. `is_upload` says whether the request was, or was meant to be, an upload.
    pub(crate) fn answered(&self, is_upload: bool, status: u16) {
        if is_upload { &self.uploads } else { &self.others }.add(status);
    }

    pub fn show(&self, page: &mut MetricsPage) {
        page.family("image_sharer_requests_total", "counter", "Requests, by what they were answered with.")
            .statuses("kind=\"upload\"", &self.uploads)
            .statuses("kind=\"other\"", &self.others);
        page.family("image_sharer_upload_bytes_total", "counter", "Bytes of accepted images.")
            .sample("", self.upload_bytes.get());
        page.family("image_sharer_upload_step_seconds", "histogram", "The steps of an accepted upload.")
            .histogram("step=\"body\"", &self.body)
            .histogram("step=\"store\"", &self.store)
            .histogram("step=\"queue\"", &self.queue);
        page.family("image_sharer_evicted_connections_total", "counter", "Connections that had to give way.")
            .sample("", self.evicted.get());
        page.family("image_sharer_connections", "gauge", "Connections of clients.")
            .sample("", self.connections.get());
    }
}

/// What a worker counts. Clones share the counts.
#[derive(Clone, Default)]
pub struct WorkerMetrics {
    /// Jobs whose thumbnails were stored.
    pub(crate) done: Number,
    /// Jobs whose picture could not be decoded, and was replaced.
    pub(crate) broken: Number,
    /// Jobs whose original had been taken back.
    pub(crate) gone: Number,
    /// Jobs that failed for a passing reason, each time.
    pub(crate) failed: Number,
    /// Messages that are no job.
    pub(crate) unreadable: Number,
    /// How long each step of a job took that was done. `admit` is its wait for a core and for memory.
    pub(crate) fetch: Histogram,
    pub(crate) admit: Histogram,
    pub(crate) decode: Histogram,
    pub(crate) encode: Histogram,
    pub(crate) store: Histogram,
    pub(crate) repeated_receives: Number,
    pub(crate) decode_memory_bytes: Number,
    pub(crate) decode_memory_limit_bytes: Number,
    pub(crate) wait: Histogram,
    pub(crate) age: Histogram,
    pub(crate) jobs_in_hand: Counter,
}

impl WorkerMetrics {
    pub fn show(&self, page: &mut MetricsPage) {
        page.family("image_sharer_jobs_total", "counter", "Jobs, by how they ended, each time.")
            .sample("outcome=\"done\"", self.done.get())
            .sample("outcome=\"broken\"", self.broken.get())
            .sample("outcome=\"gone\"", self.gone.get())
            .sample("outcome=\"failed\"", self.failed.get())
            .sample("outcome=\"unreadable\"", self.unreadable.get());
        page.family("image_sharer_job_step_seconds", "histogram", "The steps of a job that is done.")
            .histogram("step=\"fetch\"", &self.fetch)
            .histogram("step=\"admit\"", &self.admit)
            .histogram("step=\"decode\"", &self.decode)
            .histogram("step=\"encode\"", &self.encode)
            .histogram("step=\"store\"", &self.store);
        page.family(
            "image_sharer_repeated_receives_total",
            "counter",
            "Receives of a message after its first.",
        )
        .sample("", self.repeated_receives.get());
        page.family("image_sharer_decode_memory_bytes", "gauge", "Memory that decoders may hold now.")
            .sample("", self.decode_memory_bytes.get());
        page.family("image_sharer_decode_memory_limit_bytes", "gauge", "Past this, pictures wait.")
            .sample("", self.decode_memory_limit_bytes.get());
        page.family("image_sharer_job_wait_seconds", "histogram", "From an upload to its job's first start.")
            .histogram("", &self.wait);
        page.family("image_sharer_thumbnail_age_seconds", "histogram", "From an upload to its thumbnails.")
            .histogram("", &self.age);
        page.family("image_sharer_jobs_in_hand", "gauge", "Jobs received and not settled.")
            .sample("", self.jobs_in_hand.count());
    }
}

/// At `METRICS_LISTEN`, if that is set, shows what `show` writes, and what Prometheus's own libraries say of every process. A
/// thread of its own answers, as long as the process lives.
pub fn start(
    listen: Option<&str>,
    show: impl Fn(&mut MetricsPage) + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let Some(listen) = listen else { return Ok(()) };
    let listener =
        TcpListener::bind(listen).map_err(|error| format!("METRICS_LISTEN is {listen}: {error}"))?;
    log::info("metrics", &[("address", &listener.local_addr()?)]);
    let started = SystemTime::now();
    let page = move || {
        let mut page = MetricsPage::default();
        show(&mut page);
        show_process(started, &mut page);
        page.text
    };
    thread::Builder::new().name("metrics".into()).spawn(move || listener::serve(&listener, page))?;
    Ok(())
}

fn show_process(started: SystemTime, page: &mut MetricsPage) {
    let start = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    page.family("image_sharer_build_info", "gauge", "The program's version.")
        .sample(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
    page.family("process_start_time_seconds", "gauge", "When it began, since 1970.")
        .sample("", start.as_secs());
    if let Some(kib) = resident_kib() {
        page.family("process_resident_memory_bytes", "gauge", "Memory in use.").sample("", kib * 1024);
    }
}

/// `VmRSS` of Linux's /proc, which is in KiB. Other systems have none.
fn resident_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
