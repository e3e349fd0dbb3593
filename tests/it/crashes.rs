//! SIGKILL for a local server at random moments, again and again, while clients upload: nothing that was answered 202 is lost,
//! and nothing is ever half-written. tests/system does the same on S3 and SQS.
//!
//! `CRASHES=200 cargo test --test it crashes -- --nocapture 2>/dev/null` kills 200 times and prints what was found. `SEED=`
//! repeats the moments of a run, as far as moments can be repeated.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::{Audit, objects_in_directory};
use crate::kills::{self, ALL_DONE_WITHIN, CLIENTS, LOOKS, let_live};
use crate::load::{Load, seeded};
use crate::program::{LocalServer, free_port, wait_within};

/// How often each client begins an upload: so that the server keeps up.
const PACE: Duration = Duration::from_millis(40);

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
    let kills = kills::number();
    let listen = format!("127.0.0.1:{}", free_port());
    let settings = [("LISTEN", listen.as_str())];
    let mut server = LocalServer::start_with(&settings);
    let audit = Arc::new(Audit::default());
    let load = Load::start(CLIENTS, PACE, &server.url, &audit);
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
