//! The real programs, started and talked to as a user would, and the engine that they run on when it is not one machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to say so and end")]

#[cfg(target_os = "linux")] // it looks into /proc
mod attacks;
mod audit;
mod aws;
#[cfg(target_os = "linux")] // it looks into /proc
mod bad_inputs;
#[cfg(target_os = "linux")] // it boots a machine of x86-64
mod boot;
mod cdn;
mod clock;
mod contract;
mod crash_steps;
mod crashes;
mod curl;
mod durable;
mod engine;
mod expiry;
mod faults;
mod first_run;
#[cfg(target_os = "linux")] // it has many addresses on the loopback interface
mod floods;
mod front;
#[cfg(target_os = "linux")] // it mounts a small disk in a name space
mod full_disk;
mod garage;
mod http;
mod imds;
#[cfg(target_os = "linux")] // its machines are namespaces
mod init;
mod interruption;
mod kept;
mod load;
mod local;
#[cfg(target_os = "linux")] // they are made of network namespaces
mod machines;
#[cfg(target_os = "linux")] // it reads what /proc says of a process
mod memory;
mod metrics;
mod nginx;
mod outages;
mod page;
mod pictures;
#[cfg(target_os = "linux")] // strace is of Linux
mod power_cut;
mod private_socket;
#[cfg(target_os = "linux")] // it reads /proc
mod process;
mod program;
mod raw;
mod reconcile;
mod redelivery;
mod relay;
mod request;
mod secrets;
#[cfg(target_os = "linux")] // it looks into /proc
mod soak;
mod stack;
mod tidy;
#[cfg(target_os = "linux")] // it is of the tests that boot one
mod virtual_machine;
#[cfg(target_os = "linux")] // each is on a machine of its own
mod workers;
