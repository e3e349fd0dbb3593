//! What the tests of all crates share: one factory of test pictures, mutations of any bytes, and a server with a script.
//!
//! Pictures are made here by code, so that a reader sees what is in each. They are bytes, and this crate uses no other crate of
//! ours.

// Only tests use this, and a picture that cannot be made is a failure of theirs.
#![allow(clippy::unwrap_used)]

pub mod largest;
pub mod loopback;
pub mod mutate;
pub mod pictures;
pub mod seeds;
pub mod small;
pub mod uploads;
