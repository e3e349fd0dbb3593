//! SIGKILL at each step of an upload and of a job: before and after each request to S3 or SQS. What is there at that moment is
//! what the order of steps promises. Then another program takes over: nothing that was answered 202 is lost, and nothing is
//! half-written.
//!
//! `cargo test --test system crash_steps -- --nocapture 2>/dev/null` prints the steps. [crashes](crate::crashes) kills at
//! moments between them.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use image_sharer::domain::queue::Depth;

use crate::audit::{Audit, Tally, agent};
use crate::engine::engine;
use crate::load::post;
use crate::pictures;
use crate::program::{Program, wait_until, wait_within};
use crate::relay::{Fault, Relay, Times};
use crate::request::Operation::{self, DeleteMessages, Get, Put, Receive, Send};
use crate::stack::Stack;

/// A dead worker's job waits 30 s for another.
const ALL_DONE_WITHIN: Duration = Duration::from_secs(120);

/// Steps under way at a time: they mostly wait for a visibility timeout.
const AT_A_TIME: usize = 6;

/// Lets a request pass.
const PASS: Fault = Fault::Delay(Duration::ZERO);

/// Before it has taken effect, or after that and before the program knows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    Before,
    After,
}

/// What is there when the program is dead.
#[derive(Debug, PartialEq)]
struct Left {
    objects: usize,
    jobs: Depth,
}

const NO_JOB: Depth = Depth { visible: 0, in_flight: 0, delayed: 0 };
const WAITING: Depth = Depth { visible: 1, in_flight: 0, delayed: 0 };
const IN_HAND: Depth = Depth { visible: 0, in_flight: 1, delayed: 0 };

/// Makes the relay hold all requests of a kind from this one on, counted from 1; the first of them at this moment.
fn hold(relay: &Relay, operation: Operation, number: usize, moment: Moment) {
    relay.fault(operation, Times::First(number - 1), PASS);
    if moment == Moment::After {
        relay.fault(operation, Times::First(1), Fault::SilenceAfter);
    }
    relay.fault(operation, Times::Always, Fault::Silence);
}

/// Waits until this is there, and `before` objects besides: requests that the relay let pass may be on their way.
fn comes_to(stack: &Stack, before: usize, expected: &Left) {
    wait_until(&format!("{expected:?}"), || {
        let objects = engine().objects_in(&stack.bucket) - before;
        (Left { objects, jobs: stack.depth() } == *expected).then_some(())
    });
}

/// Another worker does what is left. Then all is as it must be.
fn take_over(stack: &Stack, audit: &Audit) -> Tally {
    let _worker = stack.worker();
    wait_within(ALL_DONE_WITHIN, "all jobs are done", || {
        thread::sleep(Duration::from_millis(300)); // many ask at a time
        stack.depth().is_empty().then_some(())
    });
    assert!(stack.nothing_was_given_up());
    audit.nothing_is_lost();
    let tally = audit.tally(|| stack.objects());
    assert!(tally.lost == 0 && tally.unfinished == 0 && tally.wrong.is_empty(), "{tally:?}");
    tally
}

fn kill_server(operation: Operation, moment: Moment, expected: Left, untold: (usize, usize)) {
    let relay = Relay::to(&engine().endpoint);
    let mut stack = Stack::through(&relay.url);
    let audit = Audit::default();
    let picture: Arc<[u8]> = pictures::jpeg(320, 240).into();
    audit.upload(&stack.url, &picture).urls();
    stack.drain();
    hold(&relay, operation, 1, moment);
    thread::scope(|scope| {
        let upload = scope.spawn(|| post(&agent(), &stack.url, &picture));
        relay.wait_for_held(1);
        stack.server.kill();
        assert!(upload.join().expect("no panic").is_none(), "nobody is left to answer");
    });
    comes_to(&stack, 4, &expected);
    relay.clear();

    stack.restart_server();
    audit.upload(&format!("http://{}", stack.server.address()), &picture).urls();
    let tally = take_over(&stack, &audit);
    assert_eq!((tally.accepted, (tally.untold_originals, tally.untold_images)), (2, untold), "{tally}");
    println!("the server, {moment:?} {operation:?}: {expected:?}; at the end {tally}");
}

fn kill_worker(operation: Operation, number: usize, moment: Moment, expected: Left) {
    let relay = Relay::to(&engine().endpoint);
    let stack = Stack::start();
    let audit = Audit::default();
    audit.upload(&stack.url, &pictures::jpeg(320, 240).into()).urls();
    hold(&relay, operation, number, moment);
    let mut worker = Program::start("worker", &[], &stack.with("AWS_ENDPOINT_URL", &relay.url));
    // The three thumbnails are stored at a time: those before are there when the others are held.
    relay.wait_for_held(if operation == Put { 3 - (number - 1) } else { 1 });
    worker.kill();
    comes_to(&stack, 0, &expected);
    relay.clear();

    let tally = take_over(&stack, &audit);
    assert_eq!((tally.accepted, tally.untold_originals, tally.untold_images), (1, 0, 0), "{tally}");
    println!("a worker, {moment:?} {operation:?} {number}: {expected:?}; at the end {tally}");
}

/// All of them, some at a time.
fn each(steps: &[&(dyn Fn() + Sync)]) {
    let waiting = Mutex::new(steps.iter());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(steps.len()) {
            scope.spawn(|| {
                while let Some(step) = { waiting.lock().unwrap().next() } {
                    step();
                }
            });
        }
    });
}

/// Stored, then queued, then answered.
#[test]
fn a_server_is_killed_at_each_step() {
    use Moment::{After, Before};
    each(&[
        &|| kill_server(Put, Before, Left { objects: 0, jobs: NO_JOB }, (0, 0)),
        &|| kill_server(Put, After, Left { objects: 1, jobs: NO_JOB }, (1, 0)),
        &|| kill_server(Send, Before, Left { objects: 1, jobs: NO_JOB }, (1, 0)),
        &|| kill_server(Send, After, Left { objects: 1, jobs: WAITING }, (0, 1)),
    ]);
}

/// The job received, the original fetched, the thumbnails stored, then the job deleted.
#[test]
fn a_worker_is_killed_at_each_step() {
    use Moment::{After, Before};
    let in_hand = |objects| Left { objects, jobs: IN_HAND };
    each(&[
        &|| kill_worker(Receive, 1, Before, Left { objects: 1, jobs: WAITING }),
        &|| kill_worker(Receive, 1, After, in_hand(1)),
        &|| kill_worker(Get, 1, Before, in_hand(1)),
        &|| kill_worker(Get, 1, After, in_hand(1)),
        &|| kill_worker(Put, 1, Before, in_hand(1)),
        &|| kill_worker(Put, 1, After, in_hand(2)),
        &|| kill_worker(Put, 2, Before, in_hand(2)),
        &|| kill_worker(Put, 2, After, in_hand(3)),
        &|| kill_worker(Put, 3, Before, in_hand(3)),
        &|| kill_worker(Put, 3, After, in_hand(4)),
        &|| kill_worker(DeleteMessages, 1, Before, in_hand(4)),
        &|| kill_worker(DeleteMessages, 1, After, Left { objects: 4, jobs: NO_JOB }),
    ]);
}
