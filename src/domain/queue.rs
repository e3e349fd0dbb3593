//! Where jobs wait for a worker: SQS, or a list in memory. The words and the semantics are SQS's.
//!
//! A received message stays in the queue, invisible for its *visibility timeout*. The worker that received it deletes it with
//! the *receipt* when the job is done, extends the timeout while the job runs, or shortens it to give the job back. A worker
//! that dies does none of these, and another worker receives the message again. So a job may run twice, and must give the same
//! result. A message that was received [`MAX_RECEIVES`] times without being deleted is moved to the dead-letter queue, by what
//! SQS calls the *redrive policy*. An operator's `worker --redrive` moves it back.

use std::time::Duration;

use thiserror::Error;

use crate::domain::failure::{Cause, Failure};
use crate::domain::job::Job;

/// How long a received message stays invisible unless extended, in seconds. The worker's heartbeat extends it, so this is not
/// a limit for a job: it is how long a dead worker's jobs wait. It is long enough to survive a few lost heartbeats.
pub const VISIBILITY_SECONDS: u32 = 30;

/// After this many receives a message goes to the dead-letter queue. SQS does it by the queue's redrive policy, which the
/// template sets to the same number.
pub const MAX_RECEIVES: u32 = 5;

/// The most messages that one call may receive, delete or change: SQS's own limit.
pub const MAX_BATCH: usize = 10;

/// The claim on one receive of one message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Receipt(pub String);

/// When a received message is to become visible again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibilityChange {
    pub receipt: Receipt,
    /// From now, in seconds: 0 is at once, and 43,200 the most.
    pub seconds: u32,
}

impl Receipt {
    pub fn visible_in(self, seconds: u32) -> VisibilityChange {
        VisibilityChange { receipt: self, seconds }
    }
}

/// A message as received. The body is kept as text, so that one that cannot be read can be left for the dead-letter queue.
#[derive(Clone, Debug)]
pub struct Message {
    /// What to delete or change it by.
    pub receipt: Receipt,
    /// A [`Job`] in JSON, unless something else sent the message.
    pub body: String,
    /// How often it has been received, this time included: 1 the first time.
    pub receive_count: u32,
}

/// How many messages a queue holds. SQS calls its numbers approximate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Can be received now: the backlog.
    pub visible: u64,
    /// Invisible now: received and not yet deleted, or given back with a delay.
    pub in_flight: u64,
    /// Sent with a delay that has not passed.
    pub delayed: u64,
}

impl Depth {
    /// Nothing waits and nothing is in hand anywhere.
    pub fn is_empty(&self) -> bool {
        *self == Depth::default()
    }
}

/// Jobs. One value is shared by all threads.
pub trait Queue: Send + Sync {
    fn send(&self, job: &Job) -> Result<(), QueueError>;

    /// Receives up to `max` messages (1 to [`MAX_BATCH`]), each invisible to others for [`VISIBILITY_SECONDS`]. Waits up to
    /// `wait` (whole seconds, at most 20) for the first, and returns none if none came.
    fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError>;

    /// Deletes messages, any number, none included; those past [`MAX_BATCH`] go in further calls. Tries all of them and
    /// returns the first error. A receipt that is no longer valid is no error: another worker has the message now, or it is gone.
    fn delete(&self, receipts: &[Receipt]) -> Result<(), QueueError>;

    /// Changes when messages become visible, in batches like `delete`.
    fn change_visibility(&self, changes: &[VisibilityChange]) -> Result<(), QueueError>;

    /// How many messages there are.
    fn depth(&self) -> Result<Depth, QueueError>;
}

/// Why a queue did not do what it was asked, after the retries that it deserved.
#[derive(Debug, Error)]
pub enum QueueError {
    #[error("the queue is full")]
    Full,
    /// Anything else. Its text says all that is known, such as the queue and the service's own code and request id. It is for
    /// the log, never for a client.
    #[error("{0}")]
    Failed(#[source] Failure),
}

impl QueueError {
    pub(crate) fn cause(&self) -> Cause {
        match self {
            QueueError::Full => Cause::QueueFull,
            QueueError::Failed(failure) => failure.cause,
        }
    }
}
