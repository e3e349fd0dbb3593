//! What all of the service stands on: settings, the log, metrics, the signals that stop a program, and small tools.

pub mod config;
pub(crate) mod counter;
pub mod dates;
pub mod descriptors;
pub mod env;
pub mod log;
pub mod metrics;
pub mod program;
pub(crate) mod secret;
pub mod shutdown;
