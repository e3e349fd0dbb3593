//! SIGKILL at random moments, again and again, while clients upload: nothing that was answered 202 is lost, and nothing is ever
//! half-written.
//!
//! `CRASHES=200 cargo test --test it crashes -- --nocapture 2>/dev/null` kills 200 times each way, in some minutes, and prints
//! what was found. `SEED=` repeats the moments of a run, as far as moments can be repeated.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use image_sharer::domain::job::Job;
use image_sharer::domain::queue::Queue;

use crate::audit::{Audit, objects_in_directory};
use crate::engine::free_port;
use crate::load::{Load, number_from, seeded};
use crate::program::{LocalServer, Program, wait_within};
use crate::stack::Stack;
use samples::mutate::Random;

/// Kills of a test, unless `CRASHES` says otherwise.
const DEFAULT_CRASHES: usize = 20;

/// Clients that upload all the while.
const CLIENTS: usize = 4;

/// How often each begins one: so that the local server, and the engine, keep up.
const LOCAL_PACE: Duration = Duration::from_millis(40);
const STACK_PACE: Duration = Duration::from_millis(160);

/// The longest that a program lives, in milliseconds: enough for many uploads and jobs, of which each step takes some.
const LONGEST_LIFE_MS: usize = 500;

/// A dead worker's jobs wait 30 s for another, up to four times.
const ALL_DONE_WITHIN: Duration = Duration::from_secs(180);

/// How often the store is looked through while the programs are being killed.
const LOOKS: usize = 3;

fn let_live(random: &mut Random) {
    thread::sleep(Duration::from_millis(random.below(LONGEST_LIFE_MS) as u64));
}

/// At which step of an upload or a job a local server was killed, as far as its directory shows it.
fn steps_in_hand(server: &LocalServer, steps: &mut BTreeMap<&str, usize>) {
    let mut count = |step, number: usize| *steps.entry(step).or_default() += number.min(1);
    count("while a file was written", fs::read_dir(server.directory().join(".tmp")).unwrap().count());
    let images = fs::read_dir(server.directory()).unwrap().flatten();
    let images: Vec<_> =
        images.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.')).collect();
    let with = |files: usize| {
        images.iter().filter(|image| fs::read_dir(image.path()).unwrap().count() == files).count()
    };
    count("between an image's directory and its original", with(0));
    count("between the original and the first thumbnail", with(1));
    count("between thumbnails", with(2) + with(3));
}

#[test]
fn a_local_server_is_killed_again_and_again() {
    let mut random = seeded();
    let kills = number_from("CRASHES", DEFAULT_CRASHES);
    let listen = format!("127.0.0.1:{}", free_port());
    let settings = [("LISTEN", listen.as_str())];
    let mut server = LocalServer::start_with(&settings);
    let audit = Arc::new(Audit::default());
    let load = Load::start(CLIENTS, LOCAL_PACE, &server.url, &audit);
    let mut steps = BTreeMap::new();
    for kill in 0..kills {
        let_live(&mut random);
        server.program.kill();
        steps_in_hand(&server, &mut steps);
        if kill % (kills / LOOKS).max(1) == 0 {
            let tally = audit.tally(|| objects_in_directory(server.directory()));
            assert!(tally.lost == 0 && tally.wrong.is_empty(), "{tally:?}");
        }
        server = server.restart_with(&settings);
    }
    wait_within(ALL_DONE_WITHIN, "as many uploads as kills", || (audit.accepted() >= kills).then_some(()));
    let answers = load.stop();
    assert_eq!(audit.nothing_is_lost(), answers.accepted);
    let tally = audit.tally(|| objects_in_directory(server.directory()));
    println!("local: {kills} kills of the server; {answers:?}; {tally}");
    println!("local: killed {steps:?}");
    assert!(tally.lost == 0 && tally.unfinished == 0 && tally.wrong.is_empty(), "{tally:?}");
    assert_eq!(
        fs::read_dir(server.directory().join(".tmp")).unwrap().count(),
        0,
        "no temporary file is left"
    );
}

#[test]
fn servers_and_workers_are_killed_again_and_again() {
    let mut random = seeded();
    let kills = number_from("CRASHES", DEFAULT_CRASHES);
    let mut stack = Stack::start();
    stack.settle_server();
    let mut workers = [stack.worker(), stack.worker()];
    let audit = Arc::new(Audit::default());
    let load = Load::start(CLIENTS, STACK_PACE, &stack.url, &audit);
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
