//! The store on S3 and the queue on SQS, or on other services with the same API.
//!
//! [`S3Store`] is a [`Store`](crate::domain::store::Store) and [`SqsQueue`] is a [`Queue`](crate::domain::queue::Queue): two
//! services, eleven operations. s3.rs and sqs.rs write each operation's request and read its answer. The crate [`aws_client`]
//! finds the credentials, signs, sends and retries. [`ec2`] reads more from the metadata of an EC2 instance: the settings to run
//! with, and the notice that the instance is about to end. [`check`] is `--check`.

use std::sync::Arc;

use aws_client::env::Env;
use aws_client::error::{AwsError, Error, ErrorKind};
use aws_client::{Client, Event, region};

use crate::domain::failure::{Cause, Failure};
use crate::support::log;

pub mod check;
pub mod ec2;
mod s3;
mod sqs;

pub use s3::S3Store;
pub use sqs::SqsQueue;

/// How this program calls itself to AWS.
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// What the store and the queue share: the settings, and one client with its connections and credentials.
///
/// An upload makes four calls at worst, each of at most [`CALL_BUDGET`](aws_client::CALL_BUDGET), and may have to wait 7 s for
/// credentials, so it is answered within 39 s.
#[derive(Clone)]
pub struct Aws {
    env: Arc<Env>,
    client: Arc<Client>,
}

impl Aws {
    /// Settles the region; see [`region::find`]. Credentials are looked for when they are first needed.
    pub fn new(env: Env, queue_url: &str) -> Result<Aws, Failure> {
        let region = region::find(&env, queue_url, "JOBS_QUEUE_URL")?;
        let env = Arc::new(env);
        let client = Client::new(env.clone(), &region, USER_AGENT, log_event);
        Ok(Aws { client: Arc::new(client), env })
    }

    pub(crate) fn region(&self) -> &str {
        self.client.region()
    }
}

/// The store in this bucket and the queue at this URL, which share a client.
pub fn store_and_queue(env: &Env, bucket: &str, queue_url: &str) -> Result<(S3Store, SqsQueue), Failure> {
    let aws = Aws::new(env.clone(), queue_url)?;
    Ok((S3Store::new(&aws, bucket)?, SqsQueue::new(&aws, queue_url)?))
}

fn log_event(event: &Event) {
    match event {
        Event::Retried { error, decision } => {
            log::debug("aws_retry", &[("error", error), ("decision", &format_args!("{decision:?}"))]);
        }
        Event::OldAddressesUsed { host, error } => {
            log::warn("old_addresses_used", &[("host", host), ("error", error)]);
        }
    }
}

// The callers of the store and the queue know nothing of AWS.

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::caused_by(cause_of(error.kind), error.to_string(), error)
    }
}

impl From<AwsError> for Failure {
    fn from(error: AwsError) -> Failure {
        Failure::caused_by(cause_of(error.kind()), error.to_string(), error)
    }
}

fn cause_of(kind: ErrorKind) -> Cause {
    match kind {
        ErrorKind::Throttled => Cause::Throttled,
        ErrorKind::Refused => Cause::Refused,
        ErrorKind::TimedOut => Cause::TimedOut,
        ErrorKind::Unreachable => Cause::Unreachable,
        ErrorKind::Other => Cause::Other,
    }
}
