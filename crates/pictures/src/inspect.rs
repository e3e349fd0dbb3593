pub(crate) mod webp;
pub(crate) use crate::inspected::{Inspected, check_size};
