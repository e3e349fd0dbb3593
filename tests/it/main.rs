//! The real programs on one machine, started and talked to as a user would. Rust and curl are all that these tests need, and
//! any user can run them. What needs more is in tests/system; the folder tests/common has what both use.

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

#[cfg(target_os = "linux")] // it reads /proc
mod attacks;
#[cfg(target_os = "linux")] // it reads /proc
mod bad_inputs;
mod contract;
mod crashes;
mod first_run;
#[cfg(target_os = "linux")] // it uses many addresses of the loopback interface
mod floods;
mod http;
mod local;
mod local_server;
#[cfg(target_os = "linux")] // it reads /proc
mod memory;
mod metrics;
mod page;
mod private_socket;
mod raw;
mod reconcile;
mod tidy;
