//! The name of one shared image: 128 bits from the system's random source.
//!
//! Anyone who knows an image's URL can see the image, so the id must be impossible to guess. That is why it comes from the
//! system's random source, and is not a counter or a hash of the picture. With 128 bits two uploads practically never get the
//! same id. A store that is able to refuses a second original under one id all the same
//! ([`Store::create`](crate::domain::store::Store::create)).

use std::fmt;
use std::str::FromStr;

use rand::TryRng;
use rand::rngs::SysRng;
use thiserror::Error;

/// 128 random bits. Its text is 32 lower-case hexadecimal digits: safe in a URL, an object key, a file name on a file
/// system that ignores case, and on a command line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId(u128);

impl ImageId {
    /// A new id. Fails only when the system's random source does.
    pub fn random() -> std::io::Result<ImageId> {
        let mut bytes = [0; 16];
        SysRng.try_fill_bytes(&mut bytes).map_err(std::io::Error::other)?;
        Ok(ImageId(u128::from_be_bytes(bytes)))
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, PartialEq, Eq, Error)]
#[error("an image id is 32 lower-case hexadecimal digits")]
pub struct NotAnImageId;

impl FromStr for ImageId {
    type Err = NotAnImageId;

    /// Takes exactly what `Display` writes, so that an image has one URL and not several.
    fn from_str(text: &str) -> Result<ImageId, NotAnImageId> {
        let id = u128::from_str_radix(text, 16).map(ImageId);
        id.ok().filter(|id| id.to_string() == text).ok_or(NotAnImageId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id = ImageId::random().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(ImageId(0xff).to_string(), "000000000000000000000000000000ff");
    }

    #[test]
    fn only_the_canonical_text_is_an_id() {
        let good = "0123456789abcdef0123456789abcdef";
        assert!(good.parse::<ImageId>().is_ok());
        for bad in [
            "",
            "..",
            "+123456789abcdef0123456789abcdef",
            &good.to_uppercase(),
            &good[1..],
            &format!("{good}0"),
        ] {
            assert_eq!(bad.parse::<ImageId>(), Err(NotAnImageId), "{bad:?}");
        }
    }

    #[test]
    fn ids_differ() {
        assert_ne!(ImageId::random().unwrap(), ImageId::random().unwrap());
    }
}
