//! The contract of stores and queues, for those of one machine.

use image_sharer::local::{LocalQueue, LocalStore};

use crate::program::tempdir::TempDir;
use suites::QueueUnderTest;

#[macro_use]
#[path = "../common/suites.rs"]
mod suites;

store_contract!(local_store, local_store());
queue_contract!(local_queue, local_queue());

/// A store, and the directory that goes with it.
struct OnDirectory(LocalStore, #[expect(dead_code, reason = "removed when dropped")] TempDir);

impl std::ops::Deref for OnDirectory {
    type Target = LocalStore;

    fn deref(&self) -> &LocalStore {
        &self.0
    }
}

fn local_store() -> OnDirectory {
    let directory = TempDir::new();
    OnDirectory(LocalStore::open(directory.path()).unwrap(), directory)
}

fn local_queue() -> Box<QueueUnderTest> {
    Box::new(QueueUnderTest { jobs: Box::new(LocalQueue::default()), dead: None })
}
