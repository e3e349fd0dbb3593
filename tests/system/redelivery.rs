//! What a queue that delivers at least once, and in any order, may bring a worker: the same job again, a job before its
//! original, a job that takes longer than its visibility timeout, and what is no job at all.

use std::thread;
use std::time::{Duration, SystemTime};

use image_sharer::aws::{Aws, S3Store};
use image_sharer::domain::format::{Format, ThumbnailFormat};
use image_sharer::domain::image_id::ImageId;
use image_sharer::domain::job::Job;
use image_sharer::domain::key::Key;
use image_sharer::domain::queue::{MAX_RECEIVES, Message, Queue};
use image_sharer::domain::store::Store;

use crate::audit::Audit;
use crate::curl::{Urls, curl};
use crate::engine::engine;
use crate::pictures;
use crate::program::{Program, wait_until, wait_within};
use crate::relay::{Fault, Relay, Times};
use crate::request::Operation::{ChangeVisibility, DeleteMessages, Get, Put, Receive};
use crate::stack::Stack;

/// All five receives of what is no job, 30 s apart.
const LONGEST_REDRIVE: Duration = Duration::from_secs(240);

fn job_of(original: Key) -> Job {
    Job { original, thumbnails: ThumbnailFormat::Jpeg, uploaded_at: SystemTime::now() }
}

/// The key in an original's URL.
fn key_in(urls: &Urls) -> Key {
    let mut parts = urls.original.rsplitn(3, '/');
    let (file, id) = (parts.next().unwrap(), parts.next().unwrap());
    format!("{id}/{file}").parse().expect("a key")
}

#[test]
fn a_job_that_comes_again_makes_the_same_objects() {
    let stack = Stack::start();
    let audit = Audit::default();
    let urls = audit.upload(&stack.url, &pictures::jpeg(1200, 900).into()).urls();
    stack.drain();
    let look = || urls.thumbnails().map(|(url, _)| curl(&[url]).body);
    let made = look();
    for _ in 0..12 {
        engine().send_message(&stack.queues.jobs, &job_of(key_in(&urls)).to_json());
    }
    let workers = [stack.worker(), stack.worker()]; // the same job at the same time, too
    wait_until("all are done", || {
        let done: usize = workers.iter().map(|worker| worker.count_lines_with(&["outcome=done"])).sum();
        (done == 12).then_some(())
    });
    assert!(look() == made, "other bytes");
    assert_eq!((audit.nothing_is_lost(), engine().objects_in(&stack.bucket)), (1, 4));
    wait_until("all are deleted", || stack.depth().is_empty().then_some(()));
    assert!(stack.nothing_was_given_up());
}

#[test]
fn a_job_that_comes_before_its_original_waits_for_it() {
    let stack = Stack::start();
    let aws = Aws::new(engine().env_with(&[]), &stack.queues.jobs).unwrap();
    let store = S3Store::new(&aws, &stack.bucket).unwrap();
    let [late, never] = [0, 1].map(|_| Key::original(ImageId::random().unwrap(), Format::Jpeg));
    for original in [late, never] {
        engine().send_message(&stack.queues.jobs, &job_of(original).to_json());
    }
    let worker = stack.worker();
    worker.line_with(&["job_failed", &late.id.to_string(), "receives=1"]);
    store.create(&late, &pictures::jpeg(80, 60)).unwrap();
    worker.line_with(&["outcome=done", &late.id.to_string(), "receives=2"]);
    worker.line_with(&["outcome=gone", &never.id.to_string(), "receives=2"]); // its server had taken it back
    wait_until("both are deleted", || stack.depth().is_empty().then_some(()));
    assert_eq!(engine().objects_in(&stack.bucket), 4);
}

/// A worker deletes jobs whose originals are nowhere, but slowly: an operator has time to see that the bucket is the wrong one.
#[test]
fn a_worker_on_another_bucket_does_not_run_through_the_backlog() {
    const AT_A_TIME: usize = 8;
    let stack = Stack::start();
    let relay = Relay::to(&engine().endpoint);
    let mut environment = stack.with("AWS_ENDPOINT_URL_SQS", &relay.url);
    for (name, value) in [("IMAGES_BUCKET", engine().new_bucket()), ("WORKER_JOBS", AT_A_TIME.to_string())] {
        environment.push((name.to_owned(), value));
    }
    let send = |jobs: usize| {
        for _ in 0..jobs {
            let original = Key::original(ImageId::random().unwrap(), Format::Jpeg);
            engine().send_message(&stack.queues.jobs, &job_of(original).to_json());
        }
    };
    send(AT_A_TIME);
    let worker = Program::start("worker", &[], &environment);
    worker.line_with(&["warn job ", "outcome=gone", "receives=2"]);
    send(3 * AT_A_TIME);
    let tried = || worker.count_lines_with(&["job_failed"]) + worker.count_lines_with(&["outcome=gone"]);
    wait_until("a few more are tried", || (tried() >= AT_A_TIME + 4).then_some(()));
    let (tried, received) = (tried(), relay.heard(Receive).len());
    assert!(tried < AT_A_TIME + received, "{tried} were tried, in {received} rounds");
}

/// The worker gets the message after 15 s. To fetch, to store (three at a time) and to delete each fails for 4 s, and then takes
/// 2.4 s: over 30 s in all. Another worker waits.
#[test]
fn a_job_that_takes_longer_than_its_visibility_is_done_once() {
    let stack = Stack::start();
    let relay = Relay::to(&engine().endpoint);
    relay.fault(Receive, Times::First(1), Fault::LateAnswer(Duration::from_secs(15)));
    for (operation, calls) in [(Get, 1), (Put, 3), (DeleteMessages, 1)] {
        relay.fault(operation, Times::First(calls), Fault::Silence);
        relay.fault(operation, Times::Always, Fault::Delay(Duration::from_millis(2400)));
    }
    let audit = Audit::default();
    audit.upload(&stack.url, &pictures::jpeg(80, 60).into()).urls();
    let slow = Program::start("worker", &[], &stack.with("AWS_ENDPOINT_URL", &relay.url));
    relay.wait_for(Get, 1);
    let idle = stack.worker();
    slow.line_with(&["outcome=done", "receives=1"]);
    wait_until("the message is deleted", || {
        thread::sleep(Duration::from_millis(300));
        stack.depth().is_empty().then_some(())
    });
    assert_eq!(idle.count_lines_with(&["info job "]), 0, "it was received again");
    assert!(!relay.heard(ChangeVisibility).is_empty(), "it was kept invisible, and not just in luck");
    assert_eq!(audit.nothing_is_lost(), 1);
}

/// Messages that are no jobs.
fn poison() -> Vec<String> {
    const ID: &str = "0123456789abcdef0123456789abcdef";
    let good = job_of(format!("{ID}/original.jpg").parse().expect("a key")).to_json();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from));
        good.replace(from, to)
    };
    let huge = with("\"version\":1", &format!("\"version\":\"{}\"", "1".repeat(256 * 1024 - good.len() - 1)));
    assert_eq!(huge.len(), 256 * 1024);
    vec![
        " ".to_owned(), // an empty body is one that SQS does not take
        "make thumbnails, please".to_owned(),
        format!("[{good}]"),
        "\"job\"".to_owned(),
        with("\"original\"", "\"orginal\""),
        with("\"version\":1", "\"version\":\"1\""),
        with("\"version\":1", "\"version\":99"),
        with(&format!("\"id\":\"{ID}\""), "\"id\":\"../../etc/passwd\""),
        with(&format!("{ID}/original.jpg"), "../../etc/original.jpg"),
        with("original.jpg", "original.bmp"),
        with("original.jpg", "small.jpg"),
        with("\"thumbnails\":\"jpg\"", "\"thumbnails\":\"svg\""),
        with("uploaded_at_ms\":", "uploaded_at_ms\":-"),
        format!("{{\"version\":1,\"id\":\"\\ud800\",\"x\":\"\u{fffd}\\u00zz\"}}"),
        "[".repeat(100_000),
        huge,
    ]
}

/// Receives all that there is, and makes it visible again at once.
fn receive_in_passing(queue: &dyn Queue, count: usize) {
    let mut received: Vec<Message> = Vec::new();
    wait_until("all are received", || {
        received.extend(queue.receive(10, Duration::from_secs(1)).unwrap());
        (received.len() == count).then_some(())
    });
    let visible: Vec<_> = received.into_iter().map(|message| message.receipt.visible_in(0)).collect();
    queue.change_visibility(&visible).unwrap();
}

/// A worker leaves a message that it cannot read as it is, because it may be the job of a newer server, for a worker that starts
/// soon. So each of the five receives takes its 30 s, and the test may make some of them itself.
fn goes_to_the_dead_letter_queue(received_before: u32) {
    let stack = Stack::start();
    let audit = Audit::default();
    let mut sent = poison();
    for body in &sent {
        engine().send_message(&stack.queues.jobs, body);
    }
    let jobs = stack.queue(&stack.queues.jobs);
    for _ in 0..received_before {
        receive_in_passing(&jobs, sent.len());
    }
    let worker = stack.worker();
    audit.upload(&stack.url, &pictures::jpeg(80, 60).into()).urls();
    audit.nothing_is_lost(); // others are done meanwhile
    let dead = stack.queue(&stack.queues.dead);
    wait_within(LONGEST_REDRIVE, "all are in the dead-letter queue", || {
        thread::sleep(Duration::from_millis(300));
        (dead.depth().unwrap().visible as usize == sent.len()).then_some(())
    });
    let mut found = Vec::new();
    wait_until("all are received there", || {
        found.extend(
            dead.receive(10, Duration::from_secs(1)).unwrap().into_iter().map(|message| message.body),
        );
        (found.len() == sent.len()).then_some(())
    });
    sent.sort();
    found.sort();
    assert!(sent == found, "byte for byte");
    assert!(jobs.depth().unwrap().is_empty());
    let lines = worker.lines_with(&["unreadable_message"]);
    assert_eq!(lines.len(), sent.len() * (MAX_RECEIVES - received_before) as usize);
    assert!(lines.iter().all(|line| line.len() < 500), "{lines:#?}");
    assert_eq!(engine().objects_in(&stack.bucket), 4, "nothing was stored for them");
}

#[test]
fn what_is_no_job_goes_to_the_dead_letter_queue() {
    goes_to_the_dead_letter_queue(MAX_RECEIVES - 1);
}

#[test]
#[ignore = "two and a half minutes: cargo test --test system all_receives -- --ignored"]
fn what_is_no_job_goes_there_after_all_receives_of_one_worker() {
    goes_to_the_dead_letter_queue(0);
}

/// A server of the same version that has more to say.
#[test]
fn a_job_with_an_unknown_field_is_done() {
    let stack = Stack::start();
    let audit = Audit::default();
    let urls = audit.upload(&stack.url, &pictures::jpeg(80, 60).into()).urls();
    receive_and_delete(&stack);
    let more = job_of(key_in(&urls)).to_json().replacen('{', "{\"note\":[1,{\"a\":null}],", 1);
    engine().send_message(&stack.queues.jobs, &more);
    stack.drain();
    assert_eq!(audit.nothing_is_lost(), 1);
}

fn receive_and_delete(stack: &Stack) {
    let queue = stack.queue(&stack.queues.jobs);
    let received = queue.receive(1, Duration::from_secs(5)).unwrap();
    assert_eq!(received.len(), 1);
    queue.delete(&[received[0].receipt.clone()]).unwrap();
}
