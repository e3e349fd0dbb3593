//! SIGKILL for servers and workers at random moments, again and again, while clients upload: nothing that was answered 202 is
//! lost, and nothing is ever half-written. tests/it does the same on one machine.
//!
//! `CRASHES=200 cargo test --test system crashes -- --nocapture 2>/dev/null` kills 200 times, in some minutes, and prints
//! what was found. `SEED=` repeats the moments of a run, as far as moments can be repeated.

use std::sync::Arc;
use std::time::Duration;

use image_sharer::domain::job::Job;
use image_sharer::domain::queue::Queue;

use crate::audit::Audit;
use crate::kills::{self, ALL_DONE_WITHIN, CLIENTS, LOOKS, let_live};
use crate::load::{Load, seeded};
use crate::program::{Program, wait_within};
use crate::stack::Stack;

/// How often each client begins an upload: so that the engine keeps up.
const PACE: Duration = Duration::from_millis(160);

#[test]
fn servers_and_workers_are_killed_again_and_again() {
    let mut random = seeded();
    let kills = kills::number();
    let mut stack = Stack::start();
    stack.settle_server();
    let mut workers = [stack.worker(), stack.worker()];
    let audit = Arc::new(Audit::default());
    let load = Load::start(CLIENTS, PACE, &stack.url, &audit);
    let (mut dead_servers, mut dead_workers) = (Vec::new(), Vec::new());
    for kill in 0..kills {
        let_live(&mut random);
        match random.below(3) {
            2 => dead_servers.push(stack.restart_server()),
            number => {
                workers[number].kill();
                dead_workers.push(std::mem::replace(&mut workers[number], stack.worker()));
            }
        }
        if kill % (kills / LOOKS).max(1) == 0 {
            let tally = audit.tally(|| stack.objects());
            assert!(tally.lost == 0 && tally.wrong.is_empty(), "{tally:?}");
        }
    }
    wait_within(ALL_DONE_WITHIN, "as many uploads as kills", || (audit.accepted() >= kills).then_some(()));
    let answers = load.stop();
    wait_within(ALL_DONE_WITHIN, "all jobs are done or given up", || stack.depth().is_empty().then_some(()));
    let given_up = redrive(&stack);
    wait_within(ALL_DONE_WITHIN, "those that were given up are done", || {
        stack.depth().is_empty().then_some(())
    });
    assert_eq!(audit.nothing_is_lost(), answers.accepted);
    let tally = audit.tally(|| stack.objects());
    println!(
        "S3 and SQS: {} kills of the server, {} of a worker; {answers:?}; {tally}",
        dead_servers.len(),
        dead_workers.len()
    );
    let all_workers: Vec<&Program> = dead_workers.iter().chain(&workers).collect();
    let jobs =
        |parts: &[&str]| all_workers.iter().map(|worker| worker.count_lines_with(parts)).sum::<usize>();
    let (all, first) = (jobs(&["info job "]), jobs(&["info job ", "receives=1 "]));
    println!(
        "S3 and SQS: {all} jobs done, {} of them received before, {given_up} given up and redriven",
        all - first
    );
    assert!(tally.lost == 0 && tally.unfinished == 0 && tally.wrong.is_empty(), "{tally:?}");
}

/// Sends the jobs in the dead-letter queue again, as an operator does once the trouble is over. Says how many there were.
fn redrive(stack: &Stack) -> usize {
    let (jobs, dead) = (stack.queue(&stack.queues.jobs), stack.queue(&stack.queues.dead));
    let mut count = 0;
    loop {
        let messages = dead.receive(10, Duration::ZERO).unwrap();
        if messages.is_empty() {
            return count;
        }
        for message in messages {
            jobs.send(&Job::from_json(&message.body).unwrap()).unwrap();
            dead.delete(&[message.receipt]).unwrap();
            count += 1;
        }
    }
}
