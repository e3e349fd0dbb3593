//! The name of one shared image: 128 bits from the system's random source.
//!
//! Anyone who knows an image's URL can see the image, so the id must be impossible to guess. That is why it comes from the
//! system's random source, and is not a counter or a hash of the picture. With 128 bits two uploads practically never get the
//! same id, and a store that can refuses a second original under one id
//! ([`Store::create`](crate::domain::store::Store::create)).

use std::fmt;
use std::str::FromStr;

use rand::TryRng;
use rand::rngs::SysRng;

/// 128 random bits. Its text is 32 lower-case hexadecimal digits: safe in a URL, an object key, a file name on a file
/// system that ignores case, and on a command line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId(u128);

/// How many characters the text of an id has.
pub const IMAGE_ID_CHARS: usize = 32;

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

/// The text was not 32 lower-case hexadecimal digits.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAnImageId;

impl fmt::Display for NotAnImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an image id is 32 lower-case hexadecimal digits")
    }
}

impl std::error::Error for NotAnImageId {}

impl FromStr for ImageId {
    type Err = NotAnImageId;

    /// Takes exactly what `Display` writes, so that an image has one URL and not several.
    fn from_str(text: &str) -> Result<ImageId, NotAnImageId> {
        let canonical =
            text.len() == IMAGE_ID_CHARS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return Err(NotAnImageId);
        }
        u128::from_str_radix(text, 16).map(ImageId).map_err(|_| NotAnImageId)
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
