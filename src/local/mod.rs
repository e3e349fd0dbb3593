//! The whole pipeline on one machine: a directory is the store, a list in memory the queue.
//!
//! Nothing needs an account or a network, so this is how the service is tried and tested; and with one disk's promises it
//! is good enough to run at home. The queue is lost with the process, and made again at the next start from what the
//! directory shows to be unfinished (see [`reconcile`](crate::reconcile)).

mod queue;
mod store;

pub use queue::LocalQueue;
pub use store::LocalStore;
