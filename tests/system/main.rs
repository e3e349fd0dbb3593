//! The real programs on what one machine and one user do not have: the engines that stand in for S3 and SQS, a cache and a
//! proxy in front, namespaces in place of machines, a disk that is full, a power cut, a virtual machine. tests/system/run
//! installs what these tests need and runs them; some of them need root. The folder tests/common has what tests/it uses too.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to say so and end")]

#[path = "../common/audit.rs"]
mod audit;
#[path = "../common/curl.rs"]
mod curl;
#[path = "../common/heartbeat.rs"]
mod heartbeat;
#[path = "../common/kills.rs"]
mod kills;
#[path = "../common/load.rs"]
mod load;
#[path = "../common/pictures.rs"]
mod pictures;
#[cfg(target_os = "linux")] // it reads /proc
#[path = "../common/process.rs"]
mod process;
#[path = "../common/program.rs"]
mod program;
#[path = "../common/scrape.rs"]
mod scrape;
#[path = "../common/thumbnails.rs"]
mod thumbnails;
#[path = "../common/unfinished.rs"]
mod unfinished;

mod aws;
#[cfg(target_os = "linux")] // it boots a machine of x86-64
mod boot;
mod cdn;
mod clock;
mod contract;
mod crash_steps;
mod crashes;
mod durable;
mod engine;
mod expiry;
mod faults;
mod first_run;
mod front;
#[cfg(target_os = "linux")] // it mounts a small disk in a namespace
mod full_disk;
mod garage;
mod imds;
#[cfg(target_os = "linux")] // its machines are namespaces
mod init;
mod interruption;
mod kept;
#[cfg(target_os = "linux")] // they are made of network namespaces
mod machines;
mod metrics;
mod nginx;
mod outages;
#[cfg(target_os = "linux")] // strace is of Linux
mod power_cut;
mod reconcile;
mod redelivery;
mod relay;
mod request;
mod secrets;
#[cfg(target_os = "linux")] // it reads /proc
mod soak;
mod stack;
#[cfg(target_os = "linux")] // it is of the tests that boot one
mod virtual_machine;
#[cfg(target_os = "linux")] // each worker is on a machine of its own
mod workers;
