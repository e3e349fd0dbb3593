//! What the tests of all crates share: pictures that are made and not found, and mutations of any bytes.

pub mod mutate;
