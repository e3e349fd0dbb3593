//! A decoder in safe Rust for VP8 key frames, as lossy WebP has them, that stops at the planes.
