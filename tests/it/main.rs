//! The real programs, started and talked to as a user would.

mod attacks;
mod curl;
mod http;
mod local;
mod pictures;
mod program;
mod raw;
