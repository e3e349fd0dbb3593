//! The real programs, started and talked to as a user would, and the engine that they run on when it is not one machine.

#[cfg(target_os = "linux")] // it looks into /proc
mod attacks;
mod aws;
mod contract;
mod curl;
mod engine;
mod http;
mod local;
mod pictures;
mod program;
mod raw;
