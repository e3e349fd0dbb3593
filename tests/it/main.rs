//! The real programs, started and talked to as a user would, and the engine that they run on when it is not one machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to say so and end")]

#[cfg(target_os = "linux")] // it looks into /proc
mod attacks;
mod audit;
mod aws;
#[cfg(target_os = "linux")] // it boots a machine of x86-64
mod boot;
mod cdn;
mod contract;
mod curl;
mod engine;
mod http;
mod imds;
#[cfg(target_os = "linux")] // its machines are namespaces
mod init;
mod interruption;
mod kept;
mod local;
#[cfg(target_os = "linux")] // they are made of network namespaces
mod machines;
#[cfg(target_os = "linux")] // it reads what /proc says of a process
mod memory;
mod page;
mod pictures;
mod program;
mod raw;
mod relay;
mod stack;
mod tidy;
#[cfg(target_os = "linux")] // it is of the tests that boot one
mod virtual_machine;
#[cfg(target_os = "linux")] // each is on a machine of its own
mod workers;
