//! The whole pipeline on one machine: a directory is the store, a list in memory the queue.
//!
//! Nothing needs an account or a network, so the service is tried and tested this way. It is as safe as its one disk, and good
//! enough to run at home. The queue is lost with the process. The next start makes it again from what the directory shows to be
//! unfinished (see [`reconcile`](crate::reconcile)).

mod queue;
mod store;

pub use queue::LocalQueue;
pub use store::LocalStore;
