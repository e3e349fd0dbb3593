pub(crate) mod vp8;
pub(crate) mod webp;
