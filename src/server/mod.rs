//! What a POST goes through, a file a step.

pub mod inspect;
pub mod multipart;
