//! One job: fetch the original, make the thumbnails, store them.
//!
//! It ends in one of four ways. *Done*: the three URLs answer, with thumbnails or, where the picture cannot be decoded,
//! with the broken picture; the message is deleted. *Gone*: there is no original any more; the message is deleted. *Later*:
//! something failed that may pass; the message comes back after a growing delay, and after five receives goes to the
//! dead-letter queue. *Unreadable*: the message is no job; it is left alone, and goes there too. A job may be done twice, and
//! then stores the same bytes again.

use std::error::Error;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, UnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::Worker;
use super::settle::Settlement;
use crate::domain::format::MAX_IMAGE_BYTES;
use crate::domain::job::Job;
use crate::domain::key::Key;
use crate::domain::queue::{MAX_RECEIVES, Message};
use crate::domain::size::Size;
use crate::domain::store::StoreError;
use crate::support::log::{self, Fields};
use crate::support::metrics::WorkerMetrics;
use pictures::{Thumbnails, Undecodable};

/// How long until a failed job is tried again, in seconds, by how often it was received: under half a minute for a hiccup,
/// seven minutes in all for an outage. There is no delay after the last receive, when the message only waits to be moved to the
/// dead-letter queue, which has an alarm.
const RETRY_SECONDS: [u32; MAX_RECEIVES as usize] = [5, 20, 80, 320, 0];

/// The delay after more receives than that: the queue has no dead-letter queue, or its redrive policy allows more.
const LATE_RETRY_SECONDS: u32 = 320;

/// How long the steps took, for the log.
#[derive(Default)]
struct Steps {
    bytes: usize,
    fetch: Duration,
    admit: Duration,
    decode: Duration,
    encode: Duration,
    store: Duration,
}

/// Runs the job in a message and says how to settle it; `None` leaves it for the dead-letter queue.
pub(super) fn run(worker: &Worker, message: &Message) -> Option<Settlement> {
    let is_first = message.receive_count <= 1;
    worker.metrics.repeated_receives.add(u64::from(!is_first));
    let job = match Job::from_json(&message.body) {
        Ok(job) => job,
        Err(error) => {
            worker.metrics.unreadable.add(1);
            log::error("unreadable_message", &[("receives", &message.receive_count), ("error", &error)]);
            return None;
        }
    };
    let waited = SystemTime::now().duration_since(job.uploaded_at).unwrap_or_default();
    if is_first {
        worker.metrics.wait.observe(waited);
    }
    let mut steps = Steps::default();
    // `guard` catches the decoders' panics. Any other is a fault of ours: the job fails, and the worker goes on.
    let result = catch_unwind(AssertUnwindSafe(|| make_and_store(worker, &job, message, &mut steps)));
    let result = result.unwrap_or_else(|_| Err("panic".into()));
    match result {
        Ok(outcome) => {
            // A missing original is no success: if the bucket is the wrong one all are missing, and a worker that went on at
            // full speed would delete the whole backlog.
            if !matches!(outcome, Outcome::Gone) {
                worker.succeeded();
            }
            report(&worker.metrics, &job, message, waited, &steps, outcome);
            Some(Settlement::Done(message.receipt.clone()))
        }
        Err(error) => {
            worker.failed();
            worker.metrics.failed.add(1);
            let seconds = retry_seconds(message.receive_count);
            log::error(
                "job_failed",
                &[
                    ("id", &job.id()),
                    ("receives", &message.receive_count),
                    ("again_in_seconds", &seconds),
                    ("error", &error),
                ],
            );
            Some(Settlement::Later(message.receipt.clone().visible_in(seconds)))
        }
    }
}

/// Why a job failed, if it is worth another try.
type JobFailure = Box<dyn Error + Send + Sync>;

/// Why an image gets the broken picture in place of its thumbnails, now and later: a text for the log. It is no error type, so
/// that `?` cannot make it a reason to try again.
struct NoThumbnails(String);

/// How a job ended that is not tried again, as the log says it.
#[derive(Clone, Copy)]
enum Outcome {
    Done,
    Broken,
    Gone,
}

fn make_and_store(
    worker: &Worker,
    job: &Job,
    message: &Message,
    steps: &mut Steps,
) -> Result<Outcome, JobFailure> {
    let began = Instant::now();
    let fetched = worker.store.get(&job.original, MAX_IMAGE_BYTES);
    steps.fetch = began.elapsed();
    let made = match fetched {
        Ok(original) => {
            steps.bytes = original.len();
            make(worker, job, &original, steps)
        }
        Err(error @ StoreError::TooLarge { .. }) => {
            Err(NoThumbnails(format!("cannot decode the picture: {error}")))
        }
        // The server deleted the original, because it could not be sure that this message was sent. It is looked for
        // twice, in case the store shows a new object late.
        Err(StoreError::NotFound(_)) if message.receive_count > 1 => return Ok(Outcome::Gone),
        Err(error) => return Err(error.into()),
    };
    let (thumbnails, outcome) = or_broken(job, made);
    let began = Instant::now();
    store_all(worker, job, &thumbnails)?;
    steps.store = began.elapsed();
    Ok(outcome)
}

/// Stores the three thumbnails side by side: the job waits for the store once instead of three times, so that as many jobs in
/// hand keep the cores busy when the store is slow, and the picture is there sooner.
fn store_all(worker: &Worker, job: &Job, thumbnails: &Thumbnails) -> Result<(), JobFailure> {
    thread::scope(|scope| {
        let put = |(size, bytes)| {
            let key = Key::thumbnail(job.id(), size, job.thumbnails);
            let put = move || worker.store.put(&key, bytes);
            thread::Builder::new().spawn_scoped(scope, put)
        };
        let puts: Vec<_> =
            Size::ALL.into_iter().zip(thumbnails.files.iter().map(Vec::as_slice)).map(put).collect();
        puts.into_iter().try_for_each(|put| {
            let put = put.map_err(|error| format!("no thread to store a thumbnail: {error}"))?;
            put.join().map_err(|_| "panic")??;
            Ok(())
        })
    })
}

/// Replaces a picture that cannot be decoded by the broken picture.
fn or_broken(job: &Job, made: Result<Thumbnails, NoThumbnails>) -> (Thumbnails, Outcome) {
    match made {
        Ok(thumbnails) => (thumbnails, Outcome::Done),
        Err(NoThumbnails(why)) => {
            log::warn("broken_picture", &[("id", &job.id()), ("error", &why)]);
            (pictures::broken(job.thumbnails, Size::SIDES), Outcome::Broken)
        }
    }
}

fn make(worker: &Worker, job: &Job, original: &[u8], steps: &mut Steps) -> Result<Thumbnails, NoThumbnails> {
    let settings = &worker.settings;
    let bytes = guard(|| Ok(pictures::cost(original, Size::SIDES, settings.max_pixels)?))?;
    let began = Instant::now();
    let permit = worker.admission.admit(bytes);
    steps.admit = began.elapsed();
    let made = guard(|| {
        pictures::thumbnails(original, job.thumbnails, settings.fit, Size::SIDES, settings.max_pixels)
    });
    drop(permit);
    let thumbnails = made?;
    (steps.decode, steps.encode) = (thumbnails.decode, thumbnails.encode);
    Ok(thumbnails)
}

/// Runs a decoder on a stranger's bytes. A panic there is the picture's fault.
fn guard<T>(decoder: impl FnOnce() -> Result<T, Undecodable> + UnwindSafe) -> Result<T, NoThumbnails> {
    let panicked = |_| NoThumbnails("cannot decode the picture: the decoder panicked".to_owned());
    catch_unwind(decoder).map_err(panicked)?.map_err(|error| NoThumbnails(error.to_string()))
}

fn retry_seconds(receive_count: u32) -> u32 {
    let index = receive_count.saturating_sub(1) as usize;
    RETRY_SECONDS.get(index).copied().unwrap_or(LATE_RETRY_SECONDS)
}

/// Says in the log and in the metrics how a job ended.
fn report(
    metrics: &WorkerMetrics,
    job: &Job,
    message: &Message,
    waited: Duration,
    steps: &Steps,
    outcome: Outcome,
) {
    let (count, log, event): (_, fn(&str, Fields), _) = match outcome {
        Outcome::Done => (&metrics.done, log::info, "done"),
        Outcome::Broken => (&metrics.broken, log::info, "broken"),
        Outcome::Gone => (&metrics.gone, log::warn, "gone"),
    };
    count.add(1);
    if !matches!(outcome, Outcome::Gone) {
        metrics.age.observe(job.uploaded_at.elapsed().unwrap_or_default());
    }
    // The others have not gone through all steps.
    if matches!(outcome, Outcome::Done) {
        metrics.fetch.observe(steps.fetch);
        metrics.admit.observe(steps.admit);
        metrics.decode.observe(steps.decode);
        metrics.encode.observe(steps.encode);
        metrics.store.observe(steps.store);
    }
    let ms = |duration: Duration| duration.as_millis();
    let fields: [(&str, &dyn Display); 10] = [
        ("id", &job.id()),
        ("outcome", &event),
        ("receives", &message.receive_count),
        ("bytes", &steps.bytes),
        ("wait_ms", &ms(waited)),
        ("fetch_ms", &ms(steps.fetch)),
        ("admit_ms", &ms(steps.admit)),
        ("decode_ms", &ms(steps.decode)),
        ("encode_ms", &ms(steps.encode)),
        ("store_ms", &ms(steps.store)),
    ];
    log("job", &fields);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::format::{Format, ThumbnailFormat};
    use crate::domain::image_id::ImageId;

    #[test]
    fn a_decoders_panic_is_the_pictures_fault() {
        assert!(matches!(guard(|| Ok(1)), Ok(1)));
        assert!(guard::<u64>(|| panic!("a decoder's")).is_err());
    }

    #[test]
    fn what_will_never_be_decoded_is_replaced() {
        let original = Key::original(ImageId::random().unwrap(), Format::Jpeg);
        let job = Job { original, thumbnails: ThumbnailFormat::Jpeg, uploaded_at: SystemTime::now() };
        let (thumbnails, outcome) = or_broken(&job, Err(NoThumbnails("damaged".to_owned())));
        assert!(matches!(outcome, Outcome::Broken));
        assert_eq!(thumbnails.files, pictures::broken(ThumbnailFormat::Jpeg, Size::SIDES).files);
    }

    #[test]
    fn delays_grow_until_the_last_receive() {
        assert_eq!([1, 2, 3, 4, 5, 6, 0, u32::MAX].map(retry_seconds), [5, 20, 80, 320, 0, 320, 5, 320]);
    }
}
