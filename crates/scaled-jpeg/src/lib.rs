//! A JPEG decoder in safe Rust that decodes at n/8 of the size.
