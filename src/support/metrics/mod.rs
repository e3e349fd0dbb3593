//! Numbers for Prometheus: what was done, how long it took, what is in hand.
//!
//! They are counted where a log line says the same, in atomics that cost nothing to speak of, whether or not anybody asks.
//! With `METRICS_LISTEN` a listener of its own shows them, in Prometheus's text format 0.0.4. docs/METRICS.md says what each
//! is good for. There are no numbers by client or image: those are in the log.

mod listener;
mod page;

use std::error::Error;
use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::server::head::Head;
use crate::support::counter::Counter;
use crate::support::log;
use page::Page;

/// A number that grows, or one that is set.
pub struct Number(AtomicU64);

impl Number {
    const fn new() -> Number {
        Number(AtomicU64::new(0))
    }

    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Replaces it.
    pub fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The buckets of every histogram, in microseconds: from a fast disk's millisecond to a job that waited for machines to start.
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

/// How long something took, each time.
pub struct Histogram {
    /// How many were up to each bound and over the one before; the last are over all bounds.
    buckets: [Number; BOUNDS_MICROS.len() + 1],
    sum_micros: Number,
}

impl Histogram {
    const fn new() -> Histogram {
        Histogram { buckets: [const { Number::new() }; BOUNDS_MICROS.len() + 1], sum_micros: Number::new() }
    }

    /// Counts one more.
    pub fn observe(&self, took: Duration) {
        let micros = took.as_micros() as u64;
        let bucket = BOUNDS_MICROS.iter().position(|&bound| micros <= bound).unwrap_or(BOUNDS_MICROS.len());
        self.buckets[bucket].add(1);
        self.sum_micros.add(micros);
    }
}

/// All that a request can be answered with.
const STATUSES: [u16; 16] = [200, 202, 304, 400, 401, 404, 405, 406, 408, 411, 413, 414, 417, 431, 503, 505];

/// What a server counts.
pub struct Server {
    uploads: [Number; STATUSES.len()],
    others: [Number; STATUSES.len()],
    /// Bytes of the images that were accepted.
    pub upload_bytes: Number,
    /// An accepted upload's body, from the end of the head.
    pub body: Histogram,
    /// Storing its original.
    pub store: Histogram,
    /// Queueing its job.
    pub queue: Histogram,
    /// Connections that had to give way.
    pub evicted: Number,
    /// Connections now.
    pub connections: OnceLock<Counter>,
}

/// This process's server, if it is one.
pub static SERVER: Server = Server {
    uploads: [const { Number::new() }; STATUSES.len()],
    others: [const { Number::new() }; STATUSES.len()],
    upload_bytes: Number::new(),
    body: Histogram::new(),
    store: Histogram::new(),
    queue: Histogram::new(),
    evicted: Number::new(),
    connections: OnceLock::new(),
};

impl Server {
    /// Counts an answer to an upload, or what was meant to be one, or to any other request.
    pub fn answered(&self, head: &Head, status: u16) {
        let is_upload = head.method == "POST" && head.path() == "/";
        let answers = if is_upload { &self.uploads } else { &self.others };
        if let Some(index) = STATUSES.iter().position(|&known| known == status) {
            answers[index].add(1);
        }
    }

    fn write(&self, page: &mut Page) {
        page.family("image_sharer_requests_total", "counter", "Requests, by what they were answered with.");
        for (kind, answers) in [("upload", &self.uploads), ("other", &self.others)] {
            for (status, answers) in STATUSES.iter().zip(answers) {
                page.sample("", &format!("kind=\"{kind}\",status=\"{status}\""), answers.get());
            }
        }
        page.one(
            "image_sharer_upload_bytes_total",
            "counter",
            "Bytes of accepted images.",
            self.upload_bytes.get(),
        );
        page.histograms(
            "image_sharer_upload_step_seconds",
            "The steps of an accepted upload.",
            &[("body", &self.body), ("store", &self.store), ("queue", &self.queue)],
        );
        page.one(
            "image_sharer_evicted_connections_total",
            "counter",
            "Connections that had to give way.",
            self.evicted.get(),
        );
        page.one("image_sharer_connections", "gauge", "Connections of clients.", in_hand(&self.connections));
    }
}

/// What a worker counts.
pub struct Worker {
    /// Jobs whose thumbnails were stored.
    pub done: Number,
    /// Jobs whose picture could not be decoded, and was replaced.
    pub broken: Number,
    /// Jobs whose original had been taken back.
    pub gone: Number,
    /// Jobs that failed for a passing reason, each time.
    pub failed: Number,
    /// Messages that are no job.
    pub unreadable: Number,
    /// Receives of a message after its first.
    pub repeated_receives: Number,
    /// From the upload to the job's first start.
    pub wait: Histogram,
    /// From the upload to its three thumbnails.
    pub age: Histogram,
    /// Fetching the original of a job that is done.
    pub fetch: Histogram,
    /// Its wait for a core and for memory.
    pub admit: Histogram,
    /// Decoding and scaling.
    pub decode: Histogram,
    /// Encoding the three.
    pub encode: Histogram,
    /// Storing them.
    pub store: Histogram,
    /// Bytes that decoders hold now, at most.
    pub decode_memory_bytes: Number,
    /// Bytes that they may.
    pub decode_memory_limit_bytes: Number,
    /// Jobs now.
    pub jobs_in_hand: OnceLock<Counter>,
}

/// This process's worker, if it is one.
pub static WORKER: Worker = Worker {
    done: Number::new(),
    broken: Number::new(),
    gone: Number::new(),
    failed: Number::new(),
    unreadable: Number::new(),
    repeated_receives: Number::new(),
    wait: Histogram::new(),
    age: Histogram::new(),
    fetch: Histogram::new(),
    admit: Histogram::new(),
    decode: Histogram::new(),
    encode: Histogram::new(),
    store: Histogram::new(),
    decode_memory_bytes: Number::new(),
    decode_memory_limit_bytes: Number::new(),
    jobs_in_hand: OnceLock::new(),
};

impl Worker {
    fn write(&self, page: &mut Page) {
        page.family("image_sharer_jobs_total", "counter", "Jobs, by how they ended, each time.");
        let outcomes = [
            ("done", &self.done),
            ("broken", &self.broken),
            ("gone", &self.gone),
            ("failed", &self.failed),
            ("unreadable", &self.unreadable),
        ];
        for (outcome, jobs) in outcomes {
            page.sample("", &format!("outcome=\"{outcome}\""), jobs.get());
        }
        let steps = [
            ("fetch", &self.fetch),
            ("admit", &self.admit),
            ("decode", &self.decode),
            ("encode", &self.encode),
            ("store", &self.store),
        ];
        page.histograms("image_sharer_job_step_seconds", "The steps of a job that is done.", &steps);
        for (name, kind, help, value) in [
            (
                "image_sharer_repeated_receives_total",
                "counter",
                "Receives of a message after its first.",
                &self.repeated_receives,
            ),
            (
                "image_sharer_decode_memory_bytes",
                "gauge",
                "Memory that decoders may hold now.",
                &self.decode_memory_bytes,
            ),
            (
                "image_sharer_decode_memory_limit_bytes",
                "gauge",
                "Past this, pictures wait.",
                &self.decode_memory_limit_bytes,
            ),
        ] {
            page.one(name, kind, help, value.get());
        }
        page.histogram(
            "image_sharer_job_wait_seconds",
            "From an upload to its job's first start.",
            &self.wait,
        );
        page.histogram("image_sharer_thumbnail_age_seconds", "From an upload to its thumbnails.", &self.age);
        page.one(
            "image_sharer_jobs_in_hand",
            "gauge",
            "Jobs received and not settled.",
            in_hand(&self.jobs_in_hand),
        );
    }
}

fn in_hand(counter: &OnceLock<Counter>) -> u64 {
    counter.get().map_or(0, |counter| counter.count() as u64)
}

/// Which of a program's halves are shown.
#[derive(Clone, Copy)]
pub struct Shown {
    /// [`SERVER`].
    pub server: bool,
    /// [`WORKER`].
    pub worker: bool,
}

/// Listens at `METRICS_LISTEN`, if it is set, on a thread of its own.
pub fn start(listen: Option<&str>, shown: Shown) -> Result<(), Box<dyn Error>> {
    let Some(listen) = listen else { return Ok(()) };
    let wrong = |error| format!("METRICS_LISTEN is {listen}: {error}");
    let listener = TcpListener::bind(listen).map_err(wrong)?;
    log::info("metrics", &[("address", &listener.local_addr()?)]);
    let started = SystemTime::now();
    let page = move || {
        let mut page = Page::default();
        if shown.server {
            SERVER.write(&mut page);
        }
        if shown.worker {
            WORKER.write(&mut page);
        }
        page.process(started);
        page.into_text()
    };
    thread::Builder::new().name("metrics".into()).spawn(move || listener::serve(&listener, page))?;
    Ok(())
}
