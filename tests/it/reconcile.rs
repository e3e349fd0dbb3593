//! The options of `--reconcile` and `--redrive`, and the scan for unfinished images on a directory.

use std::collections::BTreeSet;
use std::fs;

use image_sharer::domain::image_id::ImageId;
use image_sharer::domain::job::Job;
use image_sharer::domain::store::Store;
use image_sharer::local::LocalStore;
use image_sharer::reconcile::{MAX_FAILURES_IN_A_ROW, Scan};
use image_sharer::support::shutdown::Shutdown;

use crate::program::run;
use crate::program::tempdir::TempDir;
use crate::unfinished::{id, put_unfinished};

#[test]
fn options_that_are_not_understood() {
    for options in [
        &["--reconcile", "--after", "x"][..],
        &["--reconcile", "--after"],
        &["--reconcile", "--per-second", "0"],
        &["--reconcile", "now"],
        &["--redrive", "--dry-run"],
        &["--redrive", "--older-than", "5"],
        &["--dry-run"],
    ] {
        let output = run("worker", options, &[]);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Makes a directory in an original's place: a listing has it, and it cannot be read.
fn put_unreadable(directory: &TempDir, id: ImageId) {
    fs::create_dir_all(directory.path().join(id.to_string()).join("original.png")).unwrap();
}

#[test]
fn originals_that_cannot_be_read() {
    let directory = TempDir::new();
    let store = LocalStore::open(directory.path()).unwrap();
    let shutdown = Shutdown::default();
    put_unfinished(&store, id(0), b"x");
    (1..8).for_each(|number| put_unreadable(&directory, id(number)));
    put_unfinished(&store, id(8), b"x");

    let mut queued = Vec::new();
    let mut scan = Scan::new(&store, &shutdown);
    let mut again = |job: &Job| {
        queued.push(job.id());
        Ok(true)
    };
    assert!(scan.run(store.list(None, 3).unwrap(), &mut again, |_| {}).unwrap());
    assert_eq!((scan.counts.queued, scan.counts.failed, scan.done_to), (2, 7, Some(id(0))));

    let mut scan = Scan::new(&store, &shutdown);
    scan.max_failures = MAX_FAILURES_IN_A_ROW;
    let error = scan.run(store.list(None, 3).unwrap(), &mut again, |_| {}).unwrap_err();
    assert!(error.to_string().contains(&id(6).to_string()), "{error}");
    assert_eq!((scan.counts.queued, scan.counts.failed, scan.done_to), (1, 6, Some(id(0))));
    assert_eq!(queued, [id(0), id(8), id(0)]);
}

/// So an upload during the scan at a server's start is queued once.
#[test]
fn a_listing_of_a_directory_has_nothing_that_came_later() {
    let directory = TempDir::new();
    let store = LocalStore::open(directory.path()).unwrap();
    put_unfinished(&store, id(1), b"x");
    let listing = store.list(None, 1000).unwrap();
    put_unfinished(&store, id(0), b"x");
    put_unfinished(&store, id(2), b"x");
    let listed: BTreeSet<ImageId> = listing.flat_map(Result::unwrap).map(|object| object.key.id).collect();
    assert!(listed.into_iter().eq([id(1)]));
}
