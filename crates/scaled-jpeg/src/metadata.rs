//! What the application segments say.

const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP14: u8 = 0xee;

/// A part's number is one byte and begins at 1 (ICC.1, B.4).
const MAX_ICC_PARTS: usize = 255;

#[derive(Debug, Default)]
pub(crate) struct Metadata<'a> {
    pub(crate) has_jfif: bool,
    pub(crate) adobe_transform: Option<u8>,
    pub(crate) exif: Option<&'a [u8]>,
    icc_parts: Vec<IccPart<'a>>,
}

#[derive(Debug)]
struct IccPart<'a> {
    number: u8,
    bytes: &'a [u8],
}

impl<'a> Metadata<'a> {
    pub(crate) fn read(&mut self, marker: u8, segment: &'a [u8]) {
        match marker {
            APP0 if segment.starts_with(b"JFIF\0") => self.has_jfif = true,
            APP1 if self.exif.is_none() => self.exif = segment.strip_prefix(b"Exif\0\0"),
            APP2 if self.icc_parts.len() < MAX_ICC_PARTS => {
                if let Some([number, _count, bytes @ ..]) = segment.strip_prefix(b"ICC_PROFILE\0") {
                    self.icc_parts.push(IccPart { number: *number, bytes });
                }
            }
            APP14 if segment.starts_with(b"Adobe") => self.adobe_transform = segment.get(11).copied(),
            _ => {}
        }
    }

    pub(crate) fn icc_profile(&self) -> Option<Vec<u8>> {
        let mut parts: Vec<&IccPart> = self.icc_parts.iter().collect();
        parts.sort_by_key(|part| part.number);
        let profile: Vec<u8> = parts.into_iter().flat_map(|part| part.bytes).copied().collect();
        (!profile.is_empty()).then_some(profile)
    }
}
