//! `--check`: proves that the store and the queue can be reached, before anything depends on it.

use std::fmt::Display;
use std::process::ExitCode;

use crate::domain::queue::Queue;
use crate::domain::store::Store;
use crate::support::program::print;

/// Asks both, prints a line for each, and fails if either does.
pub fn check(store_name: &str, store: &dyn Store, queue_name: &str, queue: &dyn Queue) -> ExitCode {
    let store_works = report("store", store_name, store.check().map(|()| "reached".to_owned()));
    let depth = queue.depth().map(|depth| {
        format!(
            "reached, {} visible, {} in flight, {} delayed",
            depth.visible, depth.in_flight, depth.delayed
        )
    });
    let queue_works = report("queue", queue_name, depth);
    if store_works && queue_works { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(what: &str, name: &str, result: Result<String, impl Display>) -> bool {
    match &result {
        Ok(state) => print(&format!("ok      {what} {name}: {state}")),
        Err(error) => print(&format!("FAILED  {what} {name}: {error}")),
    };
    result.is_ok()
}
