//! What was lost on its way is found again: `worker --reconcile` on a bucket, and `worker --redrive` on a dead-letter queue.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, SystemTime};

use image::ImageFormat;
use image_sharer::domain::format::{Format, ThumbnailFormat};
use image_sharer::domain::image_id::ImageId;
use image_sharer::domain::job::Job;
use image_sharer::domain::key::Key;
use image_sharer::domain::queue::{Depth, MAX_BATCH, Queue};
use image_sharer::domain::size::Size;
use image_sharer::reconcile::operator::Pace;
use image_sharer::reconcile::redrive::Redrive;
use image_sharer::support::shutdown::Shutdown;

use crate::curl::Urls;
use crate::engine::engine;
use crate::pictures;
use crate::program::{Program, run, wait_until};
use crate::stack::Stack;
use crate::thumbnails::all_answer;
use crate::unfinished::{id, put, put_unfinished};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lines(ids: &[ImageId]) -> String {
    ids.iter().map(|id| format!("{id}\n")).collect()
}

/// Takes all jobs out of a queue.
fn take_all(queue: &dyn Queue) -> Vec<Job> {
    let mut jobs = Vec::new();
    loop {
        let messages = queue.receive(MAX_BATCH, Duration::from_secs(1)).unwrap();
        if messages.is_empty() {
            return jobs;
        }
        jobs.extend(messages.iter().map(|message| Job::from_json(&message.body).unwrap()));
        let receipts: Vec<_> = messages.into_iter().map(|message| message.receipt).collect();
        queue.delete(&receipts).unwrap();
    }
}

fn reconcile(stack: &Stack, arguments: &[&str]) -> Output {
    run("worker", &[&["--reconcile"], arguments].concat(), &stack.environment)
}

/// Fails unless it ends well and its last line has all of these.
fn succeeds(output: &Output, counts: &str) {
    let log = text(&output.stderr);
    assert!(output.status.success() && log.contains(counts), "{counts} is not in {log}");
}

const COMPLETE: [(Size, ThumbnailFormat); 3] = [
    (Size::Small, ThumbnailFormat::Jpeg),
    (Size::Medium, ThumbnailFormat::Jpeg),
    (Size::Large, ThumbnailFormat::Jpeg),
];

/// A page is 1000 objects. The first image has two, so that a page ends within a complete image of four.
#[test]
fn only_the_unfinished_are_queued_again_on_all_pages() {
    const IMAGES: u32 = 260;
    let stack = Stack::start();
    let (store, jobs) = (stack.store(), stack.queue(&stack.queues.jobs));
    let (opaque, transparent) = (pictures::jpeg(80, 60), pictures::transparent(ImageFormat::Png));
    put_unfinished(&store, id(0), &opaque);
    thread::scope(|scope| {
        for first in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for number in (1 + first..IMAGES).step_by(8) {
                    put(store, Key::original(id(number), Format::Png), b"x", &COMPLETE);
                }
            });
        }
    });
    let (one_missing, all_missing, no_image, cut) =
        (id(IMAGES), id(IMAGES + 1), id(IMAGES + 2), id(IMAGES + 3));
    put(&store, Key::original(one_missing, Format::Jpeg), &opaque, &COMPLETE[..2]);
    put(&store, Key::original(all_missing, Format::Png), &transparent, &[]);
    put(&store, Key::original(no_image, Format::Jpeg), b"no picture", &[]);
    put(&store, Key::original(cut, Format::Png), &transparent[..transparent.len() / 2], &[]);
    for foreign in ["%20first", "a%26b%3CKey%3E", "zzz/original.jpg", &format!("{all_missing}/huge.jpg")] {
        engine().put_object(&stack.bucket, foreign);
    }
    let unfinished = [id(0), one_missing, all_missing];

    let dry = reconcile(&stack, &["--dry-run", "--older-than", "0"]);
    succeeds(&dry, "would_be_reconciled images=264 unfinished=5 queued=3 young=0 left_alone=2 failed=0");
    assert_eq!(text(&dry.stdout), lines(&unfinished));
    succeeds(
        &reconcile(&stack, &[]),
        "reconciled images=264 unfinished=5 queued=0 young=5 left_alone=0 failed=0",
    );
    assert_eq!(jobs.depth().unwrap(), Depth::default(), "what is young is left alone");

    let all = reconcile(&stack, &["--older-than", "0", "--per-second", "1000"]);
    succeeds(&all, " reconciled images=264 unfinished=5 queued=3 young=0 left_alone=2 failed=0");
    for alone in [no_image, cut] {
        assert!(text(&all.stderr).contains(&format!("left_unfinished key={alone}/original.")));
    }
    let mut queued = take_all(&jobs);
    queued.sort_by_key(Job::id);
    assert_eq!(queued.iter().map(Job::id).collect::<Vec<_>>(), unfinished);
    let formats: Vec<_> = queued.iter().map(|job| job.thumbnails).collect();
    assert_eq!(formats, [ThumbnailFormat::Jpeg, ThumbnailFormat::Jpeg, ThumbnailFormat::Png]);

    let rest = reconcile(&stack, &["--after", &one_missing.to_string(), "--older-than", "0"]);
    succeeds(&rest, " reconciled images=3 unfinished=3 queued=1 young=0 left_alone=2 failed=0");
    stack.drain();
    let url = |name: &str| format!("{}/{}/{all_missing}/{name}.png", engine().endpoint, &stack.bucket);
    let urls =
        Urls { original: url("original"), small: url("small"), medium: url("medium"), large: url("large") };
    all_answer(&urls, &transparent, "png");
    let again = reconcile(&stack, &["--after", &one_missing.to_string(), "--older-than", "0"]);
    succeeds(&again, " reconciled images=3 unfinished=2 queued=0 young=0 left_alone=2 failed=0");
}

/// A scan that is told to stop says where to go on. One that is killed is done again, which does no harm.
#[test]
fn a_scan_that_is_stopped_goes_on() {
    let stack = Stack::start();
    let (store, jobs) = (stack.store(), stack.queue(&stack.queues.jobs));
    let ids: Vec<ImageId> = (0..12).map(id).collect();
    ids.iter().for_each(|id| put_unfinished(&store, *id, b"not asked for"));
    let queued = |count: u64| wait_until("a job", || (jobs.depth().unwrap().visible >= count).then_some(()));
    let slowly = ["--reconcile", "--older-than", "0", "--per-second", "1"];

    let mut stopped = Program::start("worker", &slowly, &stack.environment);
    queued(2);
    stopped.terminate();
    assert_eq!(stopped.exit().code(), Some(1));
    let line = stopped.line_with(&["go on with: worker --reconcile --after "]);
    let done_to = line.rsplit(' ').next().unwrap();
    let mut found: BTreeSet<ImageId> = take_all(&jobs).iter().map(Job::id).collect();
    assert_eq!(found.last().map(ImageId::to_string).as_deref(), Some(done_to));
    assert!(found.iter().eq(&ids[..found.len()]) && found.len() < ids.len(), "{found:?}");

    let after = [slowly.as_slice(), &["--after", done_to]].concat();
    let mut killed = Program::start("worker", &after, &stack.environment);
    queued(1);
    killed.kill();
    let fast = reconcile(&stack, &["--older-than", "0", "--per-second", "1000", "--after", done_to]);
    succeeds(&fast, &format!("queued={} ", ids.len() - found.len()));
    found.extend(take_all(&jobs).iter().map(Job::id));
    assert!(found.iter().eq(&ids), "{found:?}");
}

#[test]
fn an_error_says_where_to_go_on() {
    let stack = Stack::start();
    let ids = [id(1), id(2)];
    ids.iter().for_each(|id| put_unfinished(&stack.store(), *id, b"x"));
    let no_queue = stack.with("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9");
    let after = ids[0].to_string();
    let output = run("worker", &["--reconcile", "--older-than", "0", "--after", &after], &no_queue);
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("SQS SendMessage"), "{log}");
    assert!(log.ends_with(&format!("\ngo on with: worker --reconcile --after {after}\n")), "{log}");
    let output = run("worker", &["--reconcile"], &stack.with("IMAGES_BUCKET", "no-such-bucket"));
    let log = text(&output.stderr);
    assert!(log.contains("NoSuchBucket") && log.ends_with("\ngo on with: worker --reconcile\n"), "{log}");
}

/// Python makes a terminal, which a test does not have.
#[test]
fn progress_is_one_line_on_a_terminal() {
    let stack = Stack::start();
    (0..5).for_each(|number| put_unfinished(&stack.store(), id(number), b"x"));
    let script = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    let mut python = Command::new("python3");
    python.args(["-c", script, env!("CARGO_BIN_EXE_worker")]);
    python.args(["--reconcile", "--older-than", "0", "--per-second", "4"]);
    let output = python.envs(stack.environment.iter().cloned()).output().unwrap();
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains(" images, ") && shown.contains(" queued\r"), "{shown:?}");
    assert!(!shown.contains("reconciling"), "{shown:?}");
}

#[test]
fn dead_letters_go_back_and_what_is_no_job_stays() {
    let stack = Stack::start();
    let (jobs, dead) = (stack.queue(&stack.queues.jobs), stack.queue(&stack.queues.dead));
    let ids: BTreeSet<ImageId> = (0..12).map(id).collect();
    let is_left = |count| {
        let expected = Depth { visible: count, in_flight: 0, delayed: 0 };
        wait_until("what stays is visible", || (dead.depth().unwrap() == expected).then_some(()));
    };
    engine().send_message(&stack.queues.dead, "{\"version\":99}");
    for id in &ids {
        let original = Key::original(*id, Format::Png);
        let uploaded_at = SystemTime::now();
        dead.send(&Job { original, thumbnails: ThumbnailFormat::Png, uploaded_at }).unwrap();
    }
    engine().send_message(&stack.queues.dead, "no job");
    let redrive = ["--redrive", "--per-second", "1000"];
    let output = run("worker", &redrive, &stack.environment);
    succeeds(&output, "redriven jobs=12 left_alone=2");
    assert!(text(&output.stderr).contains("version 99"));
    is_left(2);
    let found: Vec<ImageId> = take_all(&jobs).iter().map(Job::id).collect();
    assert_eq!((found.len(), found.into_iter().collect()), (12, ids));
    succeeds(&run("worker", &redrive, &stack.environment), "redriven jobs=0 left_alone=2");
    is_left(2);

    let no_dead_letters = stack.with("JOBS_QUEUE_URL", &stack.queues.dead);
    let output = run("worker", &["--redrive"], &no_dead_letters);
    let log = text(&output.stderr);
    assert!(output.status.code() == Some(1) && log.contains("no dead-letter queue"), "{log}");
}

/// Nothing is lost when the queue cannot be sent to: what was not sent is still in the dead-letter queue.
#[test]
fn a_redrive_deletes_only_what_was_sent() {
    let stack = Stack::start();
    let dead = stack.queue(&stack.queues.dead);
    put_unfinished(&stack.store(), id(1), b"x");
    succeeds(&reconcile(&stack, &["--older-than", "0"]), "queued=1 ");
    let job = take_all(&stack.queue(&stack.queues.jobs)).remove(0);
    dead.send(&job).unwrap();
    let gone = stack.queue(&format!("{}-gone", stack.queues.jobs));
    let shutdown = Shutdown::default();
    let mut redrive = Redrive::new(&dead, &gone, Pace::new(NonZeroU32::MIN), &shutdown);
    let failed = redrive.run().unwrap_err();
    assert!(failed.to_string().contains("QueueDoesNotExist"), "{failed}");
    assert_eq!((redrive.sent, dead.depth().unwrap().in_flight), (0, 1));
}
