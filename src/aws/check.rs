//! `--check`: proves that the bucket and the queue can be reached, before anything depends on it.

use std::fmt::Display;
use std::process::ExitCode;

use crate::aws::store_and_queue;
use crate::domain::failure::Failure;
use crate::domain::queue::Queue;
use crate::support::env::Env;
use crate::support::program::print;

/// Asks both and prints a line for each. The exit status is a failure if one of them fails.
pub fn check(env: &Env, bucket: &str, queue_url: &str) -> Result<ExitCode, Failure> {
    let (store, queue) = store_and_queue(env, bucket, queue_url)?;
    let store_works = report("store", bucket, store.check().map(|()| "reached".to_owned()));
    let depth = queue.depth().map(|depth| {
        let (visible, in_flight, delayed) = (depth.visible, depth.in_flight, depth.delayed);
        format!("reached, {visible} visible, {in_flight} in flight, {delayed} delayed")
    });
    let queue_works = report("queue", queue_url, depth);
    Ok(if store_works && queue_works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(what: &str, name: &str, result: Result<String, impl Display>) -> bool {
    match &result {
        Ok(state) => print(&format!("ok      {what} {name}: {state}")),
        Err(error) => print(&format!("FAILED  {what} {name}: {error}")),
    };
    result.is_ok()
}
