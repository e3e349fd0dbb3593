//! `worker`: takes jobs from SQS and makes thumbnails, on as many machines as the load asks for.
//!
//! Wiring only: flags and environment make a configuration, that makes a store and a queue, and these are worked on until a
//! signal says stop, or with `--drain` until the queue is empty.

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use image_sharer::aws::{Aws, S3Store, SqsQueue};
use image_sharer::config::Config;
use image_sharer::env::Env;
use image_sharer::shutdown::Shutdown;
use image_sharer::worker::{Settings, Until, work};
use image_sharer::{check, descriptors, log, program};

const HELP: &str = "\
Takes jobs from SQS and makes thumbnails of 100x100, 300x300 and 600x600 pixels.

    worker               works until it is stopped; SIGTERM finishes what is in hand first
    worker --drain       works until the queue is empty, and exits
    worker --check       proves the credentials, the bucket and the queue, and exits
    worker --help
    worker --version

Settings are environment variables:

    IMAGES_BUCKET   the S3 bucket
    JOBS_QUEUE_URL  the SQS queue
    WORKER_JOBS     jobs in hand at a time                       8 for each core
    MAX_PIXELS      the most that an image may have              40000000
    THUMBNAIL_FIT   cover or contain                             cover
    LOG             error, warn, info or debug                   info

and AWS's own: AWS_REGION, AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL and the others that the aws CLI reads.";

enum Run {
    Work(Until),
    Check,
}

fn main() -> ExitCode {
    program::run("worker", HELP, parse, start)
}

fn parse(arguments: &[OsString]) -> Option<Run> {
    match arguments {
        [] => Some(Run::Work(Until::Stopped)),
        [flag] if flag == "--drain" => Some(Run::Work(Until::Drained)),
        [flag] if flag == "--check" => Some(Run::Check),
        _ => None,
    }
}

fn start(run: Run) -> Result<ExitCode, Box<dyn Error>> {
    let env = Env::of_process();
    let config = Config::read(&env)?;
    log::set_level(config.log);
    let (bucket, queue_url) = config.bucket_and_queue()?;
    let aws = Aws::new(env, queue_url)?;
    let (store, queue) = (S3Store::new(&aws, bucket)?, SqsQueue::new(&aws, queue_url)?);
    let until = match run {
        Run::Check => return Ok(check::check(bucket, &store, queue_url, &queue)),
        Run::Work(until) => until,
    };
    descriptors::raise_limit();
    let settings = Settings::for_this_machine(config.worker_jobs, config.max_pixels, config.thumbnail_fit);
    log::info(
        "working",
        &[("jobs", &settings.jobs), ("cores", &settings.cores), ("memory_bytes", &settings.memory_bytes)],
    );
    let finished = work(Arc::new(store), Arc::new(queue), settings, Shutdown::on_signals()?, until)?;
    log::info("stopped", &[("finished", &finished)]);
    // A signal was obeyed, whatever had to be given back; but a queue that was to be emptied may not be.
    Ok(if until == Until::Drained && !finished { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
