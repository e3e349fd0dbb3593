//! The three sizes of thumbnail that every image gets.

use std::fmt;
use std::str::FromStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Size {
    Small,
    Medium,
    Large,
}

impl Size {
    /// From the smallest to the largest.
    pub const ALL: [Size; 3] = [Size::Small, Size::Medium, Size::Large];

    /// The sides of the squares in pixels, in the order of [`Size::ALL`].
    pub const SIDES: [u32; 3] = [100, 300, 600];

    /// The side of the square, in pixels.
    pub const fn pixels(self) -> u32 {
        Size::SIDES[self as usize]
    }

    /// The word for it in URLs, object keys and the answer to an upload.
    pub const fn name(self) -> &'static str {
        match self {
            Size::Small => "small",
            Size::Medium => "medium",
            Size::Large => "large",
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> Result<Size, ()> {
        Size::ALL.into_iter().find(|size| size.name() == text).ok_or(())
    }
}
