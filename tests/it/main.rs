//! The real programs, started and talked to as a user would, and the engine that they run on when it is not one machine.

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
