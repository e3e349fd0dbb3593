//! What all of the service stands on: settings, the log, metrics, the signals that stop a program, and small tools.

pub mod check;
pub mod config;
pub mod counter;
pub mod dates;
pub mod descriptors;
pub mod env;
pub mod log;
pub mod metrics;
pub mod program;
pub mod secret;
pub mod shutdown;
