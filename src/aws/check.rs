//! `--check`: proves that the bucket and the queue can be reached, before anything depends on it.

use std::fmt::Display;
use std::process::ExitCode;

use crate::aws::{S3Store, SqsQueue};
use crate::domain::queue::Queue;
use crate::support::program::print;

/// Asks both, prints a line for each, and fails if one of them fails.
pub fn check(bucket: &str, store: &S3Store, queue_url: &str, queue: &SqsQueue) -> ExitCode {
    let store_works = report("store", bucket, store.check().map(|()| "reached".to_owned()));
    let depth = queue.depth().map(|depth| {
        let (visible, in_flight, delayed) = (depth.visible, depth.in_flight, depth.delayed);
        format!("reached, {visible} visible, {in_flight} in flight, {delayed} delayed")
    });
    let queue_works = report("queue", queue_url, depth);
    if store_works && queue_works { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(what: &str, name: &str, result: Result<String, impl Display>) -> bool {
    match &result {
        Ok(state) => print(&format!("ok      {what} {name}: {state}")),
        Err(error) => print(&format!("FAILED  {what} {name}: {error}")),
    };
    result.is_ok()
}
