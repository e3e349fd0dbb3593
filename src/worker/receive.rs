//! Taking messages from the queue: only as many as there is room for, so that none waits here, invisible, while another
//! worker is idle.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::{InHand, Shared, Until};
use crate::domain::queue::{MAX_BATCH, Message, QueueError};
use crate::support::log;

/// The longest poll that SQS allows. An idle worker asks three times a minute and is woken at once by a message.
const LONG_POLL: Duration = Duration::from_secs(20);

/// With `--drain`, an empty queue is to be noticed sooner.
const SHORT_POLL: Duration = Duration::from_secs(1);

/// With `--drain`, failures in a row after which it is no use to go on.
const MAX_DRAIN_FAILURES: u32 = 5;

/// How often a full worker looks up to see whether it is to stop.
const ROOM_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause after a failure; it doubles with each in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause: how late a worker notices that the trouble is over.
const MAX_PAUSE: Duration = Duration::from_secs(32);

/// Receives until told to stop, or until the queue is empty if that is asked for. False if the queue was out of reach.
pub(super) fn receive_all(shared: &Shared, jobs: &Sender<InHand>, until: Until) -> bool {
    let mut failures = 0;
    let mut trouble = Trouble::default();
    while !shared.shutdown.is_requested() {
        if !shared.jobs_in_hand.wait_for_at_most(shared.settings.jobs - 1, ROOM_TIMEOUT) {
            continue;
        }
        // While job after job fails for a passing reason, one at a time is tried, ever more slowly: an outage of the store
        // must not push the whole backlog through its few receives into the dead-letter queue.
        let rounds = trouble.rounds(shared.failures_in_a_row.load(Ordering::Relaxed));
        if shared.shutdown.wait_timeout(pause(failures.max(rounds))) {
            break;
        }
        let room = if rounds > 0 { 1 } else { shared.settings.jobs - shared.jobs_in_hand.count() };
        let poll = if until == Until::Drained { SHORT_POLL } else { LONG_POLL };
        let received = shared.queue.receive(room.min(MAX_BATCH), poll).and_then(|messages| {
            let empty = messages.is_empty() && until == Until::Drained && is_empty(shared)?;
            messages.into_iter().for_each(|message| take(shared, jobs, message));
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

fn take(shared: &Shared, jobs: &Sender<InHand>, message: Message) {
    let place = shared.jobs_in_hand.add();
    shared.heartbeat.watch(&message.receipt);
    // The pool outlives this sender; were it gone, the message would become visible by itself.
    let _ = jobs.send(InHand { message, _place: place });
}

fn is_empty(shared: &Shared) -> Result<bool, QueueError> {
    Ok(shared.jobs_in_hand.count() == 0 && shared.queue.depth()?.is_empty())
}

/// How long jobs have been failing, in rounds of receiving: many that were in hand at once fail together, and are one sign of
/// trouble and not many.
#[derive(Default)]
struct Trouble {
    seen: u32,
    rounds: u32,
}

impl Trouble {
    /// One more round if more jobs have failed since the last, none once one has succeeded.
    fn rounds(&mut self, failures_in_a_row: u32) -> u32 {
        self.rounds = match failures_in_a_row {
            0 => 0,
            more if more > self.seen => self.rounds + 1,
            _ => self.rounds.max(1),
        };
        self.seen = failures_in_a_row;
        self.rounds
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
    fn failures_at_once_are_one_round() {
        let mut trouble = Trouble::default();
        let rounds = [0, 16, 16, 20, 0, 0, 3, 1].map(|failures| trouble.rounds(failures));
        assert_eq!(rounds, [0, 1, 1, 2, 0, 0, 1, 1]);
    }

    #[test]
    fn pauses_grow_and_end() {
        let seconds = [0, 1, 2, 3, 6, 7, u32::MAX].map(|failures| pause(failures).as_secs());
        assert_eq!(seconds, [0, 1, 2, 4, 32, 32, 32]);
    }
}
