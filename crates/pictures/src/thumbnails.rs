pub(crate) mod jpeg;
pub(crate) mod vp8;
pub(crate) mod webp;
pub(crate) use jpeg::MAX_SCANS as MAX_JPEG_SCANS;
