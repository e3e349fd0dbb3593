//! A machine that starts from the image needs nothing else: it boots, and works.
//!
//! These tests take minutes, and need qemu and the image, so they are ignored here; `deploy/tests/boot` runs them.

use crate::curl::{Urls, curl, upload};
use crate::engine::engine;
use crate::imds::Imds;
use crate::pictures;
use crate::program::{free_port, wait_within};
use crate::stack::Stack;
use crate::thumbnails::all_answer;
use crate::virtual_machine::{HOST, Machine, PATIENCE};

/// What a worker says when it starts.
const STARTS: &[&str] = &["info working jobs="];

fn machine(role: &str, stack: &Stack) -> (Machine, Imds) {
    let imds = Imds::start(&engine().role_credentials(3600));
    imds.set("user-data", &stack.user_data(role, HOST));
    (Machine::new(&imds, free_port()), imds)
}

fn thumbnails_appear(urls: &Urls, picture: &[u8]) {
    for (url, _) in urls.thumbnails() {
        wait_within(PATIENCE, url, || (curl(&[url]).status == 200).then_some(()));
    }
    all_answer(urls, picture, "jpg");
}

#[test]
#[ignore = "boots a virtual machine: see deploy/tests/boot"]
fn a_worker_starts_at_boot_and_comes_back_whatever_happens() {
    let stack = Stack::start();
    let (mut machine, imds) = machine("worker", &stack);
    let picture = pictures::jpeg(1200, 900);
    let does_a_job = || thumbnails_appear(&upload(&stack.url, &picture).urls(), &picture);
    let starts = |machine: &Machine| machine.console_lines(STARTS).len();

    machine.boot();
    machine.console_line(1, STARTS);
    does_a_job();

    imds.set("probe", "ps");
    let line = machine.console_line(1, &[" /usr/local/bin/worker"]);
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "/usr/local/bin/worker").expect("it is in the line");
    let user: Option<u32> = words[at - 2].parse().ok(); // before the process's id; root would have a name
    assert!(user.is_some_and(|user| user >= 1000), "not a user without rights: {line}");
    println!("ps on the console: {line}");

    imds.set("probe", "kill");
    machine.console_line(2, STARTS);
    imds.set("probe", "");
    does_a_job();

    let before = starts(&machine);
    machine.reset();
    machine.console_line(before + 1, STARTS);
    does_a_job();

    let before = starts(&machine);
    machine.power_off();
    let waiting = upload(&stack.url, &picture).urls();
    machine.boot();
    machine.console_line(before + 1, STARTS);
    thumbnails_appear(&waiting, &picture);
    does_a_job();
    assert!(stack.depth().is_empty());
}

#[test]
#[ignore = "boots a virtual machine: see deploy/tests/boot"]
fn a_server_starts_from_the_same_image() {
    let stack = Stack::start();
    let (mut machine, _imds) = machine("server", &stack);
    machine.boot();
    let url = format!("http://127.0.0.1:{}", machine.forwarded_port);
    machine.console_line(1, &["info serving address="]);
    assert_eq!(curl(&[&format!("{url}/healthz")]).status, 200);
    let picture = pictures::jpeg(1200, 900);
    let urls = upload(&url, &picture).urls();
    stack.drain();
    all_answer(&urls, &picture, "jpg");
    machine.power_off();
}

#[test]
#[ignore = "boots a virtual machine: see deploy/tests/boot"]
fn a_machine_that_does_not_learn_what_it_is_to_be_turns_itself_off() {
    let imds = Imds::start(&engine().role_credentials(3600));
    imds.set("user-data", "ROLE=neither");
    let mut machine = Machine::new(&imds, free_port());
    machine.boot();
    machine.wait_until_off(|_| ());
    machine.console_line(1, &["ROLE is to be server or worker"]);
}
