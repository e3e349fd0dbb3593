use crate::error::Undecodable;
pub(crate) fn count_pixels((width, height): (u32, u32), max_pixels: u64) -> Result<u64, Undecodable> {
    let pixels = u64::from(width) * u64::from(height);
    let format = crate::Format::Jpeg;
    crate::inspected::check_size(format, width, height, max_pixels)?;
    Ok(pixels)
}
