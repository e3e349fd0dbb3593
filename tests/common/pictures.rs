//! Pictures for the tests to upload, and a look at those that come back.

pub(crate) use samples::uploads::*;

/// The format, width and height of a picture, all of which must decode.
pub(crate) fn look(bytes: &[u8]) -> (&'static str, u32, u32) {
    if bytes.starts_with(b"\xff\xd8") {
        let mut decoder = jpeg_decoder::Decoder::new(bytes);
        decoder.decode().expect("a JPEG");
        let info = decoder.info().expect("a header");
        return ("jpg", info.width.into(), info.height.into());
    }
    let format = image::guess_format(bytes).expect("a picture");
    let picture = image::load_from_memory(bytes).expect("a picture");
    (format.extensions_str()[0], picture.width(), picture.height())
}
