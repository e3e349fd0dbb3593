//! `worker`: takes jobs from SQS and makes thumbnails, on as many machines as the load asks for.
//!
//! Wiring only: flags and environment make a configuration, that makes a store and a queue, and these are worked on until a
//! signal says stop, or with `--drain` until the queue is empty.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use image_sharer::aws::interruption::Interruption;
use image_sharer::aws::{Aws, S3Store, SqsQueue, user_data};
use image_sharer::config::Config;
use image_sharer::env::Env;
use image_sharer::metrics::Shown;
use image_sharer::shutdown::Shutdown;
use image_sharer::worker::{Settings, Until, work};
use image_sharer::{check, descriptors, log, metrics, program};

const HELP: &str = "\
Takes jobs from SQS and makes thumbnails of 100x100, 300x300 and 600x600 pixels.

    worker               works until it is stopped; SIGTERM finishes what is in hand first
    worker --drain       works until the queue is empty, and exits
    worker --check       proves the credentials, the bucket and the queue, and exits
    worker --user-data DIR
                         writes the settings in this EC2 instance's user data to DIR/worker.env, or to DIR/server.env if
                         they say ROLE=server, and exits; see init/
    worker --help
    worker --version

Settings are environment variables:

    IMAGES_BUCKET   the S3 bucket
    JOBS_QUEUE_URL  the SQS queue
    WORKER_JOBS     jobs in hand at a time                       8 for each core
    MAX_PIXELS      the most that an image may have              40000000
    THUMBNAIL_FIT   cover or contain                             cover
    METRICS_LISTEN  address and port for Prometheus              none
    LOG             error, warn, info or debug                   info

and AWS's own: AWS_REGION, AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL and the others that the aws CLI reads.";

enum Run {
    Work(Until),
    Check,
    UserData(PathBuf),
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
        [flag, directory] if flag == "--user-data" => Some(Run::UserData(directory.into())),
        _ => None,
    }
}

fn start(run: Run) -> Result<ExitCode, Box<dyn Error>> {
    let env = Env::of_process();
    let config = Config::read(&env)?;
    log::set_level(config.log);
    let until = match run {
        Run::UserData(directory) => {
            let path = user_data::write_settings(&env, &directory)?;
            return Ok(program::print(&path.display().to_string()));
        }
        Run::Check => None,
        Run::Work(until) => Some(until),
    };
    let (bucket, queue_url) = config.bucket_and_queue()?;
    let aws = Aws::new(env.clone(), queue_url)?;
    let (store, queue) = (S3Store::new(&aws, bucket)?, SqsQueue::new(&aws, queue_url)?);
    match until {
        None => Ok(check::check(bucket, &store, queue_url, &queue)),
        Some(until) => work_until(until, env, &config, store, queue),
    }
}

fn work_until(
    until: Until,
    env: Env,
    config: &Config,
    store: S3Store,
    queue: SqsQueue,
) -> Result<ExitCode, Box<dyn Error>> {
    descriptors::raise_limit();
    let settings = Settings::for_this_machine(config.worker_jobs, config.max_pixels, config.thumbnail_fit);
    log::info(
        "working",
        &[("jobs", &settings.jobs), ("cores", &settings.cores), ("memory_bytes", &settings.memory_bytes)],
    );
    metrics::start(config.metrics_listen.as_deref(), Shown { server: false, worker: true })?;
    let shutdown = Shutdown::on_signals()?;
    let interruption = Interruption::watch(env, shutdown.clone())?;
    let finished = work(Arc::new(store), Arc::new(queue), settings, shutdown, until)?;
    log::info("stopped", &[("finished", &finished)]);
    Ok(match until {
        _ if interruption.was_noticed() => ExitCode::from(EXIT_INTERRUPTED),
        // A queue that was to be emptied may not be.
        Until::Drained if !finished => ExitCode::FAILURE,
        // A signal was obeyed, whatever had to be given back.
        _ => ExitCode::SUCCESS,
    })
}
