//! Numbers for Prometheus: what was done, how long it took, what is in hand.
//!
//! A number is counted where a log line says the same, whether or not anybody asks: an atomic costs next to nothing. With
//! `METRICS_LISTEN` a listener of its own shows all numbers. docs/METRICS.md says what each is good for. No number is
//! labelled by client or image: those are in the log.

mod listener;
mod registry;

use std::error::Error;
use std::net::TcpListener;
use std::thread;
use std::time::SystemTime;

use crate::support::counter::Counter;
use crate::support::log;
use registry::StatusCounts;
pub use registry::{Histogram, Number, Registry};

/// The statuses that a server answers with. They are shown from the start, as a rate needs a zero to begin at.
const STATUSES: [u16; 16] = [200, 202, 304, 400, 401, 404, 405, 406, 408, 411, 413, 414, 417, 431, 503, 505];

/// What a server counts.
pub struct ServerMetrics {
    uploads: StatusCounts,
    others: StatusCounts,
    /// Of the images that were accepted.
    pub upload_bytes: Number,
    /// How long an accepted upload's body took to arrive, from the end of the head.
    pub body: Histogram,
    /// How long it took to store the original of an accepted upload, and to queue its job.
    pub store: Histogram,
    pub queue: Histogram,
    /// Connections that were closed to make room.
    pub evicted: Number,
    /// Connections now: a gauge, so one is added when a connection begins and subtracted when it ends.
    pub connections: Number,
}

impl ServerMetrics {
    pub fn register(registry: &mut Registry) -> ServerMetrics {
        let [uploads, others] = registry.statuses(
            "image_sharer_requests_total",
            "Requests, by what they were answered with.",
            "kind",
            ["upload", "other"],
            &STATUSES,
        );
        let upload_bytes = registry.counter("image_sharer_upload_bytes_total", "Bytes of accepted images.");
        let [body, store, queue] = registry.histograms(
            "image_sharer_upload_step_seconds",
            "The steps of an accepted upload.",
            "step",
            ["body", "store", "queue"],
        );
        let evicted =
            registry.counter("image_sharer_evicted_connections_total", "Connections that had to give way.");
        let connections = registry.gauge("image_sharer_connections", "Connections of clients.");
        ServerMetrics { uploads, others, upload_bytes, body, store, queue, evicted, connections }
    }

    /// Counts an answer. `is_upload` says whether the request was, or was meant to be, an upload.
    pub fn answered(&self, is_upload: bool, status: u16) {
        if is_upload { &self.uploads } else { &self.others }.add(status);
    }
}

/// What a worker counts.
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
    /// What the pictures that are being decoded may take at most.
    pub(crate) decode_memory_bytes: Number,
    pub(crate) decode_memory_limit_bytes: Number,
    /// From the upload to the job's first start.
    pub(crate) wait: Histogram,
    /// From the upload to its three thumbnails.
    pub(crate) age: Histogram,
    pub(crate) jobs_in_hand: Counter,
}

impl WorkerMetrics {
    pub fn register(registry: &mut Registry) -> WorkerMetrics {
        let [done, broken, gone, failed, unreadable] = registry.counters(
            "image_sharer_jobs_total",
            "Jobs, by how they ended, each time.",
            "outcome",
            ["done", "broken", "gone", "failed", "unreadable"],
        );
        let [fetch, admit, decode, encode, store] = registry.histograms(
            "image_sharer_job_step_seconds",
            "The steps of a job that is done.",
            "step",
            ["fetch", "admit", "decode", "encode", "store"],
        );
        WorkerMetrics {
            done,
            broken,
            gone,
            failed,
            unreadable,
            fetch,
            admit,
            decode,
            encode,
            store,
            repeated_receives: registry
                .counter("image_sharer_repeated_receives_total", "Receives of a message after its first."),
            decode_memory_bytes: registry
                .gauge("image_sharer_decode_memory_bytes", "Memory that decoders may hold now."),
            decode_memory_limit_bytes: registry
                .gauge("image_sharer_decode_memory_limit_bytes", "Past this, pictures wait."),
            wait: registry
                .histogram("image_sharer_job_wait_seconds", "From an upload to its job's first start."),
            age: registry
                .histogram("image_sharer_thumbnail_age_seconds", "From an upload to its thumbnails."),
            jobs_in_hand: registry.in_hand("image_sharer_jobs_in_hand", "Jobs received and not settled."),
        }
    }
}

/// Shows the registry's numbers at `METRICS_LISTEN`, if that is set, from a thread of its own.
pub fn start(listen: Option<&str>, registry: Registry) -> Result<(), Box<dyn Error>> {
    let Some(listen) = listen else { return Ok(()) };
    let wrong = |error| format!("METRICS_LISTEN is {listen}: {error}");
    let listener = TcpListener::bind(listen).map_err(wrong)?;
    log::info("metrics", &[("address", &listener.local_addr()?)]);
    let started = SystemTime::now();
    let page = move || registry.page(started);
    thread::Builder::new().name("metrics".into()).spawn(move || listener::serve(&listener, page))?;
    Ok(())
}
