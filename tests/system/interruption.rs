//! The jobs of a worker whose machine is taken away, with a notice and without.

use std::time::Duration;

use image_sharer::domain::queue::Depth;

use crate::audit::Audit;
use crate::engine::engine;
use crate::imds::Imds;
use crate::pictures;
use crate::program::{Program, wait_within};
use crate::relay::{Fault, Relay, Times};
use crate::request::Operation;
use crate::stack::Stack;

/// A second worker, and what a dead one held.
const LONGEST: Duration = Duration::from_secs(120);

/// A worker on an instance of EC2, with two jobs in hand at a time: its credentials are those of the instance's role.
fn worker_on_ec2(stack: &Stack, imds: &Imds, store: &str) -> Program {
    let mut environment = stack.on_ec2(&imds.url());
    for (name, value) in [("AWS_ENDPOINT_URL_S3", store), ("WORKER_JOBS", "2")] {
        environment.push((name.to_owned(), value.to_owned()));
    }
    let worker = Program::start("worker", &[], &environment);
    worker.line_with(&["working", "jobs=2"]);
    worker
}

fn upload_some(stack: &Stack) -> Audit {
    let audit = Audit::default();
    let picture = pictures::jpeg(2000, 1500).into();
    for _ in 0..12 {
        audit.upload(&stack.url, &picture).urls();
    }
    audit
}

#[test]
fn a_worker_that_is_to_be_taken_away_finishes_what_it_has() {
    let stack = Stack::start();
    for (path, notice) in [
        ("meta-data/spot/instance-action", r#"{"action": "terminate", "time": "2026-11-24T08:22:00Z"}"#),
        ("meta-data/autoscaling/target-lifecycle-state", "Terminated"),
    ] {
        let imds = Imds::start(&engine().role_credentials(3600));
        let relay = Relay::to(&engine().endpoint);
        relay.fault(Operation::Get, Times::Always, Fault::Silence);
        let mut worker = worker_on_ec2(&stack, &imds, &relay.url);
        let audit = upload_some(&stack);
        relay.wait_for(Operation::Get, 2); // its hands are full
        imds.set(path, notice);
        worker.line_with(&["draining reason="]);
        relay.clear();
        assert_eq!(worker.exit().code(), Some(3), "what started it is not to start it again");
        worker.line_with(&["stopped finished=true"]);
        assert_eq!(worker.count_lines_with(&["outcome=done"]), 2, "it finishes what it has");
        assert_eq!(stack.depth(), Depth { visible: 10, in_flight: 0, delayed: 0 }, "and takes no more");
        stack.drain();
        assert_eq!(audit.nothing_is_lost(), 12);
        assert!(stack.depth().is_empty());
    }
}

#[test]
fn a_worker_that_is_taken_away_without_notice_loses_nothing() {
    let stack = Stack::start();
    let imds = Imds::start(&engine().role_credentials(3600));
    let mut first = worker_on_ec2(&stack, &imds, &engine().endpoint);
    let audit = upload_some(&stack);
    first.line_with(&["outcome=done"]);
    first.kill();
    let _second = worker_on_ec2(&stack, &imds, &engine().endpoint);
    wait_within(LONGEST, "the other worker does them all", || stack.depth().is_empty().then_some(()));
    assert_eq!(audit.nothing_is_lost(), 12);
}
