//! Moves the dead-letter queue's jobs back to the queue, once the cause of their failure is repaired.
//!
//! A job is sent first and deleted after, so it is always in at least one of the queues. If it stays in both, because it could
//! not be deleted, it is done twice, which does no harm. A message that is no job stays, and is counted: it would only come
//! back. SQS's own StartMessageMoveTask cannot tell the two apart, and some engines do not have it.

use std::time::{Duration, Instant};

use super::operator::Pace;
use crate::domain::job::Job;
use crate::domain::queue::{MAX_BATCH, Message, Queue, QueueError, Receipt};
use crate::support::log;
use crate::support::shutdown::Shutdown;

/// How long a message that stays is hidden, in seconds. At 20 jobs a second a run moves 72,000 in this time. The message becomes
/// visible at the end of the run; only after SIGKILL it stays hidden this long.
const HIDDEN_SECONDS: u32 = 3600;

/// The most messages that may stay. More must come from another release, or from something else, and an operator should look at
/// them before more are hidden.
const MAX_UNREADABLE: usize = 1000;

/// SQS asks all of its servers for a poll that waits, and only some for one that does not.
const POLL: Duration = Duration::from_secs(2);

/// How much of a message that stays is logged, in characters: enough to tell what it is.
const MAX_BODY_CHARS: usize = 200;

/// A move of all jobs from a dead-letter queue to a queue, at a pace.
pub struct Redrive<'a> {
    dead: &'a dyn Queue,
    jobs: &'a dyn Queue,
    pace: Pace,
    shutdown: &'a Shutdown,
    /// Jobs that went back.
    pub sent: u64,
    /// The receipts of messages that are no jobs, and stay.
    unreadable: Vec<Receipt>,
}

impl<'a> Redrive<'a> {
    pub fn new(dead: &'a dyn Queue, jobs: &'a dyn Queue, pace: Pace, shutdown: &'a Shutdown) -> Redrive<'a> {
        Redrive { dead, jobs, pace, shutdown, sent: 0, unreadable: Vec::new() }
    }

    /// Moves all jobs. False if it was told to stop, or found too many messages that are no jobs. Takes no more messages than
    /// there are at the start. Otherwise a job that fails again and again would keep it going.
    pub fn run(&mut self) -> Result<bool, QueueError> {
        let finished = self.move_all();
        for receipts in self.unreadable.chunks(MAX_BATCH) {
            let changes: Vec<_> = receipts.iter().map(|receipt| receipt.clone().visible_in(0)).collect();
            if let Err(error) = self.dead.change_visibility(&changes) {
                log::warn("give_back_failed", &[("error", &error)]); // they become visible by themselves
                break;
            }
        }
        finished
    }

    /// How many messages are no jobs, and stayed.
    pub fn unreadable(&self) -> usize {
        self.unreadable.len()
    }

    fn move_all(&mut self) -> Result<bool, QueueError> {
        let depth = self.dead.depth()?;
        // SQS calls its numbers approximate, so one batch more.
        let mut left = depth.visible + depth.in_flight + depth.delayed + MAX_BATCH as u64;
        while left > 0 {
            if self.shutdown.is_requested() {
                return Ok(false);
            }
            let messages = self.dead.receive(MAX_BATCH, POLL)?;
            if messages.is_empty() {
                break;
            }
            left = left.saturating_sub(messages.len() as u64);
            let sent = self.move_batch(messages)?;
            if self.unreadable.len() > MAX_UNREADABLE {
                log::error("too_many_unreadable", &[("messages", &self.unreadable.len())]);
                return Ok(false);
            }
            self.shutdown.wait_timeout(self.pace.rest(sent, Instant::now()));
        }
        Ok(true)
    }

    /// Returns how many were sent. After an error, what was received and not sent becomes visible by itself.
    fn move_batch(&mut self, messages: Vec<Message>) -> Result<u32, QueueError> {
        let (mut moved, mut stay) = (Vec::new(), Vec::new());
        let mut sent = Ok(());
        for message in messages {
            match Job::from_json(&message.body) {
                Ok(job) => {
                    sent = self.jobs.send(&job);
                    if sent.is_err() {
                        break;
                    }
                    moved.push(message.receipt);
                }
                Err(error) => {
                    let begins: String = message.body.chars().take(MAX_BODY_CHARS).collect();
                    log::warn("left_in_dead_letter_queue", &[("error", &error), ("body", &begins)]);
                    stay.push(message.receipt.visible_in(HIDDEN_SECONDS));
                }
            }
        }
        self.sent += moved.len() as u64;
        // All three are done, whichever fails.
        let result = sent.and(self.dead.delete(&moved)).and(self.dead.change_visibility(&stay));
        self.unreadable.extend(stay.into_iter().map(|change| change.receipt));
        result.map(|()| moved.len() as u32)
    }
}
