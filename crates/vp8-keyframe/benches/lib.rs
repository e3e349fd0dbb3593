//! Empty: the package is its benchmark, `decode.rs`.
