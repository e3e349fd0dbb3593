//! `worker`: takes jobs from SQS and makes thumbnails, on as many machines as the load asks for.
//!
//! Wiring only. The environment says which store and which queue to open. The worker then runs until a signal stops it, or with
//! `--drain` until the queue is empty. With `--reconcile` it queues again the jobs that the bucket shows to be unfinished, and
//! with `--redrive` those in the dead-letter queue.

use std::error::Error;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use image_sharer::aws::ec2::interruption::Interruption;
use image_sharer::aws::ec2::user_data;
use image_sharer::aws::{self, S3Store, SqsQueue, check};
use image_sharer::domain::image_id::ImageId;
use image_sharer::domain::queue::Queue;
use image_sharer::domain::store::Store;
use image_sharer::reconcile::operator::{Pace, Progress};
use image_sharer::reconcile::redrive::Redrive;
use image_sharer::reconcile::{self, Scan};
use image_sharer::support::config::Config;
use image_sharer::support::env::Env;
use image_sharer::support::metrics::WorkerMetrics;
use image_sharer::support::shutdown::{EXIT_AT_ONCE, Shutdown};
use image_sharer::support::{descriptors, log, metrics, program};
use image_sharer::worker::{Settings, Until, work};

const HELP: &str = "\
Takes jobs from SQS, and makes thumbnails of 100, 300 and 600 pixels a side.

  worker               works until stopped; SIGTERM finishes what is in hand
  worker --drain       works until the queue is empty
  worker --check       proves the credentials, the bucket and the queue
  worker --reconcile   queues jobs again for originals that lack thumbnails
    --dry-run            only prints their ids
    --after ID           goes on after this image, as a stopped one says
    --per-second N       jobs queued again a second                        20
    --older-than SECONDS leaves younger ones alone, for a later run       900
  worker --redrive     moves dead letters back; takes --per-second too
  worker --user-data DIR  writes this EC2 instance's settings to DIR; see init/
  worker --help | --version

Examples:
  IMAGES_BUCKET=my-images JOBS_QUEUE_URL=https://sqs.eu-west-1.… worker
  worker --redrive --per-second 100
  worker --reconcile --dry-run --older-than 3600

Settings are environment variables; those marked * are needed:
* IMAGES_BUCKET    the S3 bucket
* JOBS_QUEUE_URL   the SQS queue
  WORKER_JOBS      jobs in hand at a time                     8 for each core
  MAX_PIXELS       the most that an image may have                   40000000
  THUMBNAIL_FIT    cover or contain                                     cover
  METRICS_LISTEN   address and port for Prometheus                       none
  LOG              error, warn, info or debug                            info
and AWS's own: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and the others that the
aws command reads.";

enum Run {
    Work(Until),
    Check,
    Reconcile(Again),
    Redrive(Again),
    UserData(PathBuf),
}

/// How jobs are queued again.
struct Again {
    dry_run: bool,
    after: Option<ImageId>,
    per_second: NonZeroU32,
    older_than: Duration,
}

/// The exit status of a worker whose machine is being taken away: what started it is not to start it again.
const EXIT_INTERRUPTED: u8 = 3;

fn main() -> ExitCode {
    program::run("worker", HELP, parse, start)
}

fn parse(arguments: &[OsString]) -> Option<Run> {
    match arguments {
        [] => Some(Run::Work(Until::Stopped)),
        [flag] if flag == "--drain" => Some(Run::Work(Until::Drained)),
        [flag] if flag == "--check" => Some(Run::Check),
        [flag, options @ ..] if flag == "--reconcile" => parse_again(options, true).map(Run::Reconcile),
        [flag, options @ ..] if flag == "--redrive" => parse_again(options, false).map(Run::Redrive),
        [flag, directory] if flag == "--user-data" => Some(Run::UserData(directory.into())),
        _ => None,
    }
}

fn parse_again(options: &[OsString], scans: bool) -> Option<Again> {
    let per_second = NonZeroU32::new(reconcile::PER_SECOND)?;
    let mut again = Again { dry_run: false, after: None, per_second, older_than: reconcile::GRACE };
    let mut words = options.iter().map(|word| word.to_str());
    while let Some(word) = words.next() {
        match word? {
            "--per-second" => again.per_second = words.next()??.parse().ok()?,
            "--dry-run" if scans => again.dry_run = true,
            "--after" if scans => again.after = Some(words.next()??.parse().ok()?),
            "--older-than" if scans => {
                again.older_than = Duration::from_secs(words.next()??.parse::<u32>().ok()?.into());
            }
            _ => return None,
        }
    }
    Some(again)
}

fn start(run: Run, env: Env, config: Config) -> Result<ExitCode, Box<dyn Error>> {
    match run {
        Run::UserData(directory) => {
            let path = user_data::write_settings(&env, &directory)?;
            program::print(&path.display().to_string());
            Ok(ExitCode::SUCCESS)
        }
        Run::Check => {
            let (bucket, queue_url) = config.bucket_and_queue()?;
            Ok(check::check(&env, bucket, queue_url)?)
        }
        Run::Reconcile(again) => {
            let (store, queue) = store_and_queue(&env, &config)?;
            reconcile(&again, &store, &queue)
        }
        Run::Redrive(again) => redrive(&again, &store_and_queue(&env, &config)?.1),
        Run::Work(until) => work_until(until, env, &config),
    }
}

fn store_and_queue(env: &Env, config: &Config) -> Result<(S3Store, SqsQueue), Box<dyn Error>> {
    let (bucket, queue_url) = config.bucket_and_queue()?;
    Ok(aws::store_and_queue(env, bucket, queue_url)?)
}

/// Success if all was looked at, whatever was left alone.
fn reconcile(again: &Again, store: &S3Store, queue: &SqsQueue) -> Result<ExitCode, Box<dyn Error>> {
    let shutdown = Shutdown::on_signals(|| exit(EXIT_AT_ONCE))?;
    let (mut pace, mut progress) = (Pace::new(again.per_second), Progress::on_stderr());
    let mut scan = Scan::new(store, &shutdown);
    scan.before = SystemTime::now().checked_sub(again.older_than).filter(|_| !again.older_than.is_zero());
    scan.max_failures = reconcile::MAX_FAILURES_IN_A_ROW;
    scan.done_to = again.after;
    let listing = store.list(again.after, reconcile::PAGE)?;
    let ended = scan.run(
        listing,
        |job| {
            if again.dry_run {
                program::print(&job.id().to_string());
            } else {
                queue.send(job)?;
                shutdown.wait_timeout(pace.rest(1, Instant::now()));
            }
            Ok(true)
        },
        |counts| progress.show(counts),
    );
    scan.counts.log(if again.dry_run { "would_be_reconciled" } else { "reconciled" });
    let what = match ended {
        Ok(true) if scan.counts.failed == 0 => return Ok(ExitCode::SUCCESS),
        Ok(true) => "some originals could not be read, see left_unfinished above".to_owned(),
        Ok(false) => "stopped".to_owned(),
        Err(error) => error.to_string(),
    };
    let after = scan.done_to.map(|id| format!(" --after {id}")).unwrap_or_default();
    Err(format!("{what}\ngo on with: worker --reconcile{after}").into())
}

/// Success if all jobs went back, whatever else is in the dead-letter queue.
fn redrive(again: &Again, queue: &SqsQueue) -> Result<ExitCode, Box<dyn Error>> {
    let shutdown = Shutdown::on_signals(|| exit(EXIT_AT_ONCE))?;
    let dead = queue.dead_letters()?;
    let mut redrive = Redrive::new(&dead, queue, Pace::new(again.per_second), &shutdown);
    let finished = redrive.run();
    log::info(
        "redriven",
        &[("jobs", &redrive.sent), ("left_alone", &redrive.unreadable()), ("queue", &dead.url())],
    );
    Ok(if finished? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn work_until(until: Until, env: Env, config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    let (store, queue) = store_and_queue(&env, config)?;
    descriptors::raise_limit();
    let settings = Settings::for_this_machine(config.worker_jobs, config.max_pixels, config.thumbnail_fit);
    log::info(
        "working",
        &[("jobs", &settings.jobs), ("cores", &settings.cores), ("memory_bytes", &settings.memory_bytes)],
    );
    let worker_metrics = WorkerMetrics::default();
    let of_worker = worker_metrics.clone();
    metrics::start(config.metrics_listen.as_deref(), move |page| of_worker.show(page))?;
    let shutdown = Shutdown::on_signals(|| exit(EXIT_AT_ONCE))?;
    let interruption = Interruption::watch(env, shutdown.clone())?;
    let finished = work(Arc::new(store), Arc::new(queue), settings, shutdown, worker_metrics, until)?;
    log::info("stopped", &[("finished", &finished)]);
    Ok(match until {
        _ if interruption.was_noticed() => ExitCode::from(EXIT_INTERRUPTED),
        // A queue that was to be emptied may not be.
        Until::Drained if !finished => ExitCode::FAILURE,
        // A signal was obeyed, whatever had to be given back.
        _ => ExitCode::SUCCESS,
    })
}
