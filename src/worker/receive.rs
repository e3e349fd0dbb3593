//! Taking messages from the queue: only as many as there is room for, so that none waits here, invisible, while another
//! worker is idle.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::{InHand, Until, Worker};
use crate::domain::queue::{MAX_BATCH, Message, QueueError};
use crate::support::log;

/// The longest poll that SQS allows. An idle worker asks three times a minute, and a message ends the poll at once.
const LONG_POLL: Duration = Duration::from_secs(20);

/// With `--drain`, an empty queue is to be noticed sooner.
const SHORT_POLL: Duration = Duration::from_secs(1);

/// With `--drain`, the worker gives up after this many failures in a row.
const MAX_DRAIN_FAILURES: u32 = 5;

/// How often a full worker checks whether it must stop.
const ROOM_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause after a failure; it doubles with each in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause: how late a worker notices that the trouble is over.
const MAX_PAUSE: Duration = Duration::from_secs(32);

/// Receives until told to stop, or until the queue is empty if that is asked for. False if the queue was out of reach.
pub(super) fn receive_all(worker: &Worker, jobs: &Sender<InHand>, until: Until) -> bool {
    let mut failures = 0;
    let mut backoff = Backoff::default();
    while !worker.shutdown.is_requested() {
        if !worker.jobs_in_hand.wait_for_at_most(worker.settings.jobs - 1, ROOM_TIMEOUT) {
            continue;
        }
        // While job after job fails for a passing reason, one at a time is tried, ever more slowly: an outage of the store
        // must not push the whole backlog through its few receives into the dead-letter queue.
        let level = backoff.level_after(worker.failures_in_a_row.load(Ordering::Relaxed));
        if worker.shutdown.wait_timeout(pause(failures.max(level))) {
            break;
        }
        let room = if level > 0 { 1 } else { worker.settings.jobs - worker.jobs_in_hand.count() };
        let poll = if until == Until::Drained { SHORT_POLL } else { LONG_POLL };
        let received = worker.queue.receive(room.min(MAX_BATCH), poll).and_then(|messages| {
            let empty = messages.is_empty() && until == Until::Drained && is_empty(worker)?;
            messages.into_iter().for_each(|message| take(worker, jobs, message));
            Ok(empty)
        });
        match received {
            Ok(true) => break,
            Ok(false) => failures = 0,
            Err(error) => {
                failures += 1;
                log::error("receive_failed", &[("failures", &failures), ("error", &error)]);
                if until == Until::Drained && failures == MAX_DRAIN_FAILURES {
                    return false;
                }
            }
        }
    }
    true
}

fn take(worker: &Worker, jobs: &Sender<InHand>, message: Message) {
    let place = worker.jobs_in_hand.add();
    worker.heartbeat.watch(&message.receipt);
    // The pool outlives this sender. Without it the message would become visible by itself.
    let _ = jobs.send(InHand { message, _place: place });
}

fn is_empty(worker: &Worker) -> Result<bool, QueueError> {
    Ok(worker.jobs_in_hand.count() == 0 && worker.queue.depth()?.is_empty())
}

/// How far receiving has backed off, because jobs fail. Jobs that were in hand together fail together, and raise the level by
/// one only.
#[derive(Default)]
struct Backoff {
    level: u32,
    /// The failures in a row at the last look.
    seen: u32,
}

impl Backoff {
    /// One level more if jobs have failed since the last look, none once a job has succeeded.
    fn level_after(&mut self, failures_in_a_row: u32) -> u32 {
        self.level = match failures_in_a_row {
            0 => 0,
            more if more > self.seen => self.level + 1,
            _ => self.level.max(1),
        };
        self.seen = failures_in_a_row;
        self.level
    }
}

/// None without failures, then 1, 2, 4 … seconds.
fn pause(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        _ => FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(16)).min(MAX_PAUSE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_at_once_are_one_level() {
        let mut backoff = Backoff::default();
        let levels = [0, 16, 16, 20, 0, 0, 3, 1].map(|failures| backoff.level_after(failures));
        assert_eq!(levels, [0, 1, 1, 2, 0, 0, 1, 1]);
    }

    #[test]
    fn pauses_grow_and_end() {
        let seconds = [0, 1, 2, 3, 6, 7, u32::MAX].map(|failures| pause(failures).as_secs());
        assert_eq!(seconds, [0, 1, 2, 4, 32, 32, 32]);
    }
}
