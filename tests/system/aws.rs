//! The pipeline on S3 and SQS: `server` and `worker` as programs of their own, on a real engine that checks signatures.

use image::ImageFormat;
use image_sharer::aws::{Aws, SqsQueue};
use image_sharer::domain::queue::{Depth, MAX_BATCH, Receipt};
use image_sharer::worker::heartbeat::Heartbeat;

use crate::curl::{Urls, curl, upload};
use crate::engine::engine;
use crate::heartbeat::keeps_invisible;
use crate::pictures;
use crate::program::{Program, run, wait_until};
use crate::relay::{Fault, Relay, Times};
use crate::request::Operation;
use crate::stack::Stack;
use crate::thumbnails::all_answer;

#[test]
fn two_workers_make_all_thumbnails() {
    let mut stack = Stack::start();
    let mut workers = [stack.worker(), stack.worker()];
    let samples = [
        (pictures::jpeg(800, 500), "jpg"),
        (pictures::opaque(ImageFormat::WebP), "jpg"),
        (pictures::transparent(ImageFormat::Gif), "png"),
        (pictures::undecodable_png(), "jpg"),
    ];
    let uploads: Vec<(Urls, &[u8], &str)> = (0..24)
        .map(|number| &samples[number % samples.len()])
        .map(|(picture, thumbnails)| (upload(&stack.url, picture).urls(), picture.as_slice(), *thumbnails))
        .collect();
    for (urls, original, thumbnails) in &uploads {
        all_answer(urls, original, thumbnails);
    }
    wait_until("all messages are deleted", || stack.depth().is_empty().then_some(()));
    let done = workers.each_ref().map(|worker| worker.count_lines_with(&["info job ", "outcome="]));
    assert_eq!(done.iter().sum::<usize>(), uploads.len(), "each job once");
    assert!(done.iter().all(|jobs| *jobs > 0), "both work: {done:?}");

    let reply = curl(&["--head", &uploads[0].0.small]);
    assert_eq!(reply.header("Cache-Control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(
        curl(&[&format!("{}/{}", stack.url, "0123456789abcdef0123456789abcdef/small.jpg")]).status,
        404
    );

    stack.server.terminate();
    assert!(stack.server.exit().success());
    workers.iter().for_each(Program::terminate);
    for worker in &mut workers {
        assert!(worker.exit().success());
        worker.line_with(&["stopped finished=true"]);
    }
}

#[test]
fn check_tells_what_is_wrong() {
    let stack = Stack::start();
    for program in ["server", "worker"] {
        let output = run(program, &["--check"], &stack.environment);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.matches("ok ").count() == 2, "{text}");

        let wrong = [
            ("AWS_SECRET_ACCESS_KEY", "wrong", "SignatureDoesNotMatch", 2),
            ("AWS_ACCESS_KEY_ID", "AKIAWRONG", "InvalidAccessKeyId", 1),
            ("IMAGES_BUCKET", "no-such-bucket", "NoSuchBucket", 1),
            ("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9", "127.0.0.1:9", 1),
        ];
        for (variable, value, expected, failures) in wrong {
            let output = run(program, &["--check"], &stack.with(variable, value));
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains(expected) && text.matches("FAILED").count() >= failures, "{text}");
            assert!(!text.contains("wrong\n"), "a secret: {text}");
        }
    }
}

#[test]
fn drain_works_until_the_queue_is_empty() {
    let stack = Stack::start();
    let picture = pictures::jpeg(400, 300);
    let uploads: Vec<Urls> = (0..12).map(|_| upload(&stack.url, &picture).urls()).collect();
    assert_eq!(stack.depth().visible, 12);
    stack.drain();
    assert!(stack.depth().is_empty());
    uploads.iter().for_each(|urls| all_answer(urls, &picture, "jpg"));
}

#[test]
fn drain_gives_up_on_a_queue_that_is_out_of_reach() {
    let stack = Stack::start();
    let output = run("worker", &["--drain"], &stack.with("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9"));
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("receive_failed") && log.contains("stopped finished=false"), "{log}");
}

#[test]
fn the_job_of_a_killed_worker_is_finished_by_another() {
    let stack = Stack::start();
    let relay = Relay::to(&engine().endpoint);
    relay.fault(Operation::Get, Times::Always, Fault::Silence);
    let mut killed = Program::start("worker", &[], &stack.with("AWS_ENDPOINT_URL_S3", &relay.url));
    let picture = pictures::jpeg(800, 600);
    let urls = upload(&stack.url, &picture).urls();
    relay.wait_for(Operation::Get, 1); // it has the message, and waits for the original
    killed.kill();
    assert_eq!(stack.depth(), Depth { visible: 0, in_flight: 1, delayed: 0 });
    let worker = stack.worker();
    all_answer(&urls, &picture, "jpg");
    worker.line_with(&["outcome=done", "receives=2"]);
    wait_until("the message is deleted", || stack.depth().is_empty().then_some(()));
}

/// SIGTERM comes while one job is in hand and a long poll is under way, which then brings another.
#[test]
fn sigterm_finishes_what_is_in_hand_and_gives_back_the_rest() {
    let stack = Stack::start();
    let relay = Relay::to(&engine().endpoint);
    relay.fault(Operation::Get, Times::Always, Fault::Silence);
    let mut worker = Program::start("worker", &[], &stack.with("AWS_ENDPOINT_URL_S3", &relay.url));
    let picture = pictures::jpeg(800, 600);
    let in_hand = upload(&stack.url, &picture).urls();
    relay.wait_for(Operation::Get, 1);
    worker.terminate();
    worker.line_with(&["draining"]);
    let given_back = upload(&stack.url, &picture).urls();
    let both = Depth { visible: 1, in_flight: 1, delayed: 0 };
    wait_until("one is given back", || (stack.depth() == both).then_some(()));
    assert!(worker.is_running());
    relay.clear();
    assert!(worker.exit().success());
    worker.line_with(&["stopped finished=true"]);
    all_answer(&in_hand, &picture, "jpg");
    assert_eq!(stack.depth(), Depth { visible: 1, in_flight: 0, delayed: 0 }, "settled before the end");
    assert_eq!(curl(&[&given_back.small]).status, 404);
    stack.drain();
    all_answer(&given_back, &picture, "jpg");
}

#[test]
fn a_heartbeat_keeps_a_message_invisible_on_sqs() {
    let url = engine().new_queue().jobs;
    keeps_invisible(&SqsQueue::new(&Aws::new(engine().env_with(&[]), &url).unwrap(), &url).unwrap());
}

/// A caller that watches or stops a message waits for the batch that is under way. It must not wait for all the others in vain.
#[test]
fn a_heartbeat_ends_at_the_first_batch_that_fails() {
    let relay = Relay::to(&engine().endpoint);
    relay.fault_at_any(Times::Always, Fault::Refuse(403, "AccessDenied", "AccessDenied"));
    let url = engine().new_queue().jobs;
    let aws = Aws::new(engine().env_with(&[("AWS_ENDPOINT_URL_SQS", &relay.url)]), &url).unwrap();
    let heartbeat = Heartbeat::default();
    (0..3 * MAX_BATCH).for_each(|number| heartbeat.watch(&Receipt(number.to_string())));
    heartbeat.beat_once(&SqsQueue::new(&aws, &url).unwrap());
    assert_eq!(relay.heard(Operation::ChangeVisibility).len(), 1);
}

#[test]
fn a_passing_failure_is_tried_again_later() {
    let stack = Stack::start();
    let relay = Relay::to(&engine().endpoint);
    relay.fault_at_any(Times::Always, Fault::Reset);
    let worker = Program::start("worker", &[], &stack.with("AWS_ENDPOINT_URL_S3", &relay.url));
    let picture = pictures::jpeg(80, 60);
    let urls = upload(&stack.url, &picture).urls();
    worker.line_with(&["job_failed", "receives=1", "again_in_seconds=5"]);
    relay.clear();
    all_answer(&urls, &picture, "jpg");
    worker.line_with(&["outcome=done", "receives=2"]);
}

#[test]
fn an_unreadable_message_is_left_for_the_redrive() {
    let stack = Stack::start();
    engine().send_message(&stack.queues.jobs, "{\"version\":99}");
    let worker = stack.worker();
    worker.line_with(&["unreadable_message", "version 99"]);
    let picture = pictures::jpeg(80, 60);
    all_answer(&upload(&stack.url, &picture).urls(), &picture, "jpg");
    let left = Depth { visible: 0, in_flight: 1, delayed: 0 };
    wait_until("only the unreadable message is left", || (stack.depth() == left).then_some(()));
    worker.line_with(&["unreadable_message", "receives=2"]); // its visibility timeout was not extended
}

/// As the store answers when another image has the id.
#[test]
fn an_id_that_is_taken_is_not_used() {
    let relay = Relay::to(&engine().endpoint);
    let stack = Stack::through(&relay.url);
    relay.fault(Operation::Put, Times::First(1), Fault::Refuse(412, "PreconditionFailed", ""));
    let picture = pictures::jpeg(80, 60);
    let urls = upload(&stack.url, &picture).urls();
    let taken = stack.server.line_with(&["id_taken"]);
    let id = urls.small.rsplit('/').nth(1).expect("an id");
    assert!(!taken.contains(id), "{taken}");
    stack.drain();
    all_answer(&urls, &picture, "jpg");
    assert_eq!(engine().objects_in(&stack.bucket), 4);
}

#[test]
fn no_202_without_a_job() {
    let stack = Stack::start();
    let server = Program::start("server", &[], &stack.with("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9"));
    let reply = upload(&format!("http://{}", server.address()), &pictures::jpeg(80, 60));
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.header("Retry-After").is_some());
    let line = server.line_with(&["unavailable", "queue", reply.header("X-Request-Id").unwrap()]);
    assert!(line.contains("127.0.0.1:9"), "{line}");
    assert_eq!(server.count_lines_with(&["original_left_behind"]), 0);
    assert!(stack.depth().is_empty());
    assert_eq!(engine().objects_in(&stack.bucket), 0, "the original is taken back");
}
