//! The second half of the pipeline, from a queued job to three thumbnails. A job is [received](receive), [admitted](admit) to
//! a core and to memory, [run], kept invisible to other workers meanwhile by a [heartbeat], and [settled](settle).
//!
//! A job mostly waits for the store. So many jobs are in hand at a time, on a pool of threads, while only as many as there are
//! cores decode and encode. A worker keeps nothing: if it is killed, its jobs become visible again within
//! [`VISIBILITY_SECONDS`](crate::domain::queue::VISIBILITY_SECONDS) and another worker makes the same thumbnails.

mod admit;
pub mod heartbeat;
mod memory;
mod receive;
mod run;
mod settle;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use crate::domain::queue::{Message, Queue};
use crate::domain::store::Store;
use crate::support::counter::{Counted, Counter};
use crate::support::log;
use crate::support::metrics::WorkerMetrics;
use crate::support::shutdown::Shutdown;
use admit::Admission;
use heartbeat::Heartbeat;
use pictures::Fit;
use settle::Settlement;

/// How long the jobs in hand may take to finish once the worker is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the last settlements may take to reach the queue after that.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Jobs in hand for each core, unless `WORKER_JOBS` is set. A job computes for some 50 ms, and waits for S3 and SQS a few times
/// as long.
const JOBS_PER_CORE: usize = 8;

pub struct Settings {
    /// Jobs in hand at a time.
    pub jobs: usize,
    /// Jobs that decode and encode at a time.
    pub cores: usize,
    /// Bytes that their decoded pictures may take together.
    pub memory_bytes: u64,
    /// The most pixels that an original may have.
    pub max_pixels: u64,
    pub fit: Fit,
}

impl Settings {
    /// For this machine: as many cores as there are, and half of the memory.
    pub fn for_this_machine(jobs: Option<usize>, max_pixels: u64, fit: Fit) -> Settings {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        let jobs = jobs.unwrap_or(cores * JOBS_PER_CORE);
        Settings { jobs, cores, memory_bytes: memory::limit_bytes() / 2, max_pixels, fit }
    }
}

/// When a worker ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Only when told to stop.
    Stopped,
    /// When the queue is empty.
    Drained,
}

/// A received message on its way to a thread of the pool.
struct InHand {
    message: Message,
    /// Its place among [`Settings::jobs`].
    _place: Counted,
}

struct Worker {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    settings: Settings,
    shutdown: Shutdown,
    metrics: WorkerMetrics,
    jobs_in_hand: Counter,
    admission: Admission,
    heartbeat: Heartbeat,
    /// Jobs that failed for passing reasons since one last succeeded.
    failures_in_a_row: AtomicU32,
}

/// Works until told to stop, or until the queue is empty. Then it finishes what is in hand. Returns whether all went well: the
/// queue could be reached, and every job was finished and settled in time. From the signal to the end it takes 76 seconds at
/// worst: 35 for the receive that is under way (a long poll of 20, 8 to make the call, and 7 if credentials are fetched for it),
/// 30 for the jobs in hand, and 11 to give them back or settle them.
pub fn work(
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    settings: Settings,
    shutdown: Shutdown,
    metrics: WorkerMetrics,
    until: Until,
) -> io::Result<bool> {
    metrics.decode_memory_limit_bytes.set(settings.memory_bytes);
    let worker = Arc::new(Worker {
        store,
        queue,
        admission: Admission::new(settings.cores, settings.memory_bytes, metrics.decode_memory_bytes.clone()),
        settings,
        shutdown,
        jobs_in_hand: metrics.jobs_in_hand.clone(),
        metrics,
        heartbeat: Heartbeat::default(),
        failures_in_a_row: AtomicU32::new(0),
    });
    let jobs = worker.settings.jobs;
    // No more jobs are sent than there are threads, so a sender never waits for long.
    let (job_sender, job_receiver) = crossbeam_channel::bounded(jobs);
    let (settlement_sender, settlement_receiver) = crossbeam_channel::bounded(jobs);

    for number in 0..jobs {
        let (worker, jobs, settlements) = (worker.clone(), job_receiver.clone(), settlement_sender.clone());
        spawn(&format!("job-{number}"), move || run_all(&worker, &jobs, &settlements))?;
    }
    let beating = worker.clone();
    spawn("heartbeat", move || beating.heartbeat.beat(&*beating.queue))?;
    let settling = worker.clone();
    let settler = spawn("settle", move || settle::settle_all(&*settling.queue, &settlement_receiver))?;

    let received = receive::receive_all(&worker, &job_sender, until);
    drop((job_sender, settlement_sender)); // the threads end with the last job
    let finished = worker.jobs_in_hand.wait_for_at_most(0, DRAIN_TIMEOUT);
    if !finished {
        let giving_back = worker.clone();
        spawn("give-back", move || give_back(&giving_back))?.wait_for_at_most(0, SETTLE_TIMEOUT);
    }
    // While a job goes on, so does the settler. It gets a moment for what it has in hand.
    let patience = if finished { SETTLE_TIMEOUT } else { Duration::from_secs(1) };
    let settled = settler.wait_for_at_most(0, patience);
    worker.heartbeat.end();
    Ok(received && finished && settled)
}

/// Starts a thread. The counter falls from 1 to 0 when the thread ends, however it ends.
fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<Counter> {
    let running = Counter::default();
    let held = running.add();
    thread::Builder::new().name(name.into()).spawn(move || {
        let _held = held;
        body();
    })?;
    Ok(running)
}

/// What a thread of the pool does: one job after the other. What has not begun when the worker is told to stop is given back.
fn run_all(worker: &Worker, jobs: &Receiver<InHand>, settlements: &Sender<Settlement>) {
    for in_hand in jobs {
        let receipt = in_hand.message.receipt.clone();
        let settlement = if worker.shutdown.is_requested() {
            Some(Settlement::Later(receipt.clone().visible_in(0)))
        } else {
            run::run(worker, &in_hand.message)
        };
        worker.heartbeat.stop(&receipt); // before it is settled: a late beat would undo a retry's delay
        if let Some(settlement) = settlement {
            // Fails only if the settler is gone: then the message becomes visible by itself.
            let _ = settlements.send(settlement);
        }
    }
}

/// The jobs that could not be finished in time become visible to other workers at once.
fn give_back(worker: &Worker) {
    let changes: Vec<_> =
        worker.heartbeat.stop_all().into_iter().map(|receipt| receipt.visible_in(0)).collect();
    log::warn("given_back_unfinished", &[("jobs", &changes.len())]);
    if let Err(error) = worker.queue.change_visibility(&changes) {
        log::warn("give_back_failed", &[("error", &error)]); // they become visible by themselves
    }
}

impl Worker {
    fn succeeded(&self) {
        self.failures_in_a_row.store(0, Ordering::Relaxed);
    }

    fn failed(&self) {
        self.failures_in_a_row.fetch_add(1, Ordering::Relaxed);
    }
}
