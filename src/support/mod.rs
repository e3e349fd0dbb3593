//! What all of the service stands on: settings, the log, metrics, the signals that stop a program, and small tools.

pub mod config;
pub(crate) mod counter;
pub mod descriptors;
pub mod log;
pub mod metrics;
pub mod program;
pub(crate) mod secret;
pub mod shutdown;

// The environment and the times are the AWS client's, which reads them too.
pub use aws_client::{dates, env};
