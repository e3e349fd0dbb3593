//! What becomes of the jobs of a worker whose machine is taken away: with a notice, and without.

use std::time::Duration;

use crate::audit::Audit;
use crate::engine::engine;
use crate::imds::Imds;
use crate::pictures;
use crate::program::{Program, wait_within};
use crate::stack::Stack;

/// A second worker, and what a dead one held.
const LONGEST: Duration = Duration::from_secs(120);

/// A worker on an instance of EC2: its credentials are those of the instance's role.
fn worker_on_ec2(stack: &Stack, imds: &Imds) -> Program {
    let worker = Program::start("worker", &[], &stack.on_ec2(&imds.url()));
    worker.line_with(&["working"]);
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
        let mut worker = worker_on_ec2(&stack, &imds);
        let audit = upload_some(&stack);
        worker.line_with(&["outcome=done"]);
        imds.set(path, notice);
        worker.line_with(&["draining reason="]);
        assert_eq!(worker.exit().code(), Some(3), "what started it is not to start it again");
        worker.line_with(&["stopped finished=true"]);
        stack.drain();
        assert_eq!(audit.nothing_is_lost(), 12);
        assert!(stack.depth().is_empty());
    }
}

#[test]
fn a_worker_that_is_taken_away_without_notice_loses_nothing() {
    let stack = Stack::start();
    let imds = Imds::start(&engine().role_credentials(3600));
    let mut first = worker_on_ec2(&stack, &imds);
    let audit = upload_some(&stack);
    first.line_with(&["outcome=done"]);
    first.kill();
    let _second = worker_on_ec2(&stack, &imds);
    wait_within(LONGEST, "the other worker does them all", || stack.depth().is_empty().then_some(()));
    assert_eq!(audit.nothing_is_lost(), 12);
}
