//! Finds the picture in a multipart/form-data body (RFC 7578), whose framing is that of RFC 2046, section 5.1.
//!
//! The whole body is in memory, so this borrows from it and copies nothing. It is strict where two readers could understand a
//! body differently (boundaries, line ends, names). It takes whatever browsers and curl write into a file name, which is never
//! used. A body over a limit is answered "too large", whatever else is wrong with it; so the body is read to its end before an
//! error is chosen.

use std::fmt;

use memchr::memmem;

use crate::domain::format::MAX_IMAGE_BYTES;

#[cfg(test)]
mod tests;

/// All fields but `image` together. They are ignored; a web page's form may send some along.
pub(super) const MAX_OTHER_BYTES: usize = 65_536;

/// A form around one picture has far fewer fields.
pub(super) const MAX_PARTS: usize = 64;

/// The header fields of one part. They hold a file name of 255 characters, each percent-encoded from three bytes of UTF-8, twice,
/// as `filename` and `filename*`: that takes 4,590 bytes.
pub(super) const MAX_PART_HEADER_BYTES: usize = 8_192;

/// RFC 2046, section 5.1.1, allows no more.
const MAX_BOUNDARY_BYTES: usize = 70;

/// Why a body gives no picture. `Display` is a sentence for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MultipartError {
    /// The Content-Type is another one, or does not parse.
    NotMultipart,
    /// The Content-Type has no boundary, two of them, or one that RFC 2046 does not allow.
    Boundary,
    /// No line of the body is the boundary.
    NoParts,
    /// The body ends before its closing boundary.
    CutShort,
    TooManyParts,
    PartHeadersTooLarge,
    /// A part's header fields do not parse, or do not give the part exactly one name.
    PartHeaders,
    NoImage,
    TwoImages,
    EmptyImage,
    /// The `image` field is encoded, for example in base64.
    Encoded,
    ImageTooLarge,
    OthersTooLarge,
}

impl MultipartError {
    /// The HTTP status that answers it: 413 or 400.
    pub(super) fn status(self) -> u16 {
        match self {
            MultipartError::ImageTooLarge | MultipartError::OthersTooLarge => 413,
            _ => 400,
        }
    }
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MultipartError::NotMultipart => f.write_str(
                "Send the picture as multipart/form-data, in a file field named image: curl -F image=@cat.jpg.",
            ),
            MultipartError::Boundary => f.write_str(
                "Let your client set Content-Type itself: it needs exactly one boundary of 1 to 70 legal characters.",
            ),
            MultipartError::NoParts => f.write_str(
                "Let your client set Content-Type itself: the body has no line, ended by CRLF, of the boundary \
                 that it gives.",
            ),
            MultipartError::CutShort => {
                f.write_str("The multipart body ends before its closing boundary: send the whole of it.")
            }
            MultipartError::TooManyParts => {
                write!(f, "Send at most {MAX_PARTS} fields; only the one named image is used.")
            }
            MultipartError::PartHeadersTooLarge => write!(
                f,
                "Give the picture a shorter file name: the header of a field is over \
                 {MAX_PART_HEADER_BYTES} bytes long."
            ),
            MultipartError::PartHeaders => f.write_str(
                "Give each field a header with exactly one Content-Disposition, form-data with one name, and an \
                 empty line after it.",
            ),
            MultipartError::NoImage => {
                f.write_str("Send the picture in a multipart field named image: curl -F image=@cat.jpg.")
            }
            MultipartError::TwoImages => {
                f.write_str("Send one picture a request: the field named image must occur only once.")
            }
            MultipartError::EmptyImage => f.write_str(
                "Send the picture's bytes in the field named image, which is empty: curl -F image=@cat.jpg.",
            ),
            MultipartError::Encoded => f.write_str(
                "Send the picture's bytes as they are: a Content-Transfer-Encoding such as base64 is not supported.",
            ),
            MultipartError::ImageTooLarge => {
                write!(f, "Send a smaller picture: this one is over {MAX_IMAGE_BYTES} bytes.")
            }
            MultipartError::OthersTooLarge => write!(
                f,
                "Leave out the fields beside image, which are not used: together they are over \
                 {MAX_OTHER_BYTES} bytes."
            ),
        }
    }
}

impl std::error::Error for MultipartError {}

/// The bytes of the field named `image`, with or without a file name, given the request's Content-Type and its whole body.
/// The time it takes grows with the body's length, whatever is in it.
pub(super) fn find_image<'a>(content_type: &str, body: &'a [u8]) -> Result<&'a [u8], MultipartError> {
    let form = parse_form(parse_boundary(content_type)?, body)?;
    if form.largest_image_bytes > MAX_IMAGE_BYTES {
        return Err(MultipartError::ImageTooLarge);
    }
    if form.other_bytes > MAX_OTHER_BYTES {
        return Err(MultipartError::OthersTooLarge);
    }
    if let Some(wrong) = form.wrong {
        return Err(wrong);
    }
    let image = form.image.ok_or(MultipartError::NoImage)?;
    if image.encoded {
        return Err(MultipartError::Encoded);
    }
    if image.content.is_empty() {
        return Err(MultipartError::EmptyImage);
    }
    Ok(image.content)
}

/// The boundary that a Content-Type gives, which must be made of RFC 2046's `bchars`.
fn parse_boundary(content_type: &str) -> Result<&str, MultipartError> {
    let (media_type, rest) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !media_type.trim_ascii().eq_ignore_ascii_case("multipart/form-data") {
        return Err(MultipartError::NotMultipart);
    }
    let value = find_parameter(rest.as_bytes(), "boundary").ok_or(MultipartError::Boundary)?;
    let legal = |&byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    if value.is_empty()
        || value.len() > MAX_BOUNDARY_BYTES
        || value.ends_with(b" ")
        || !value.iter().all(legal)
    {
        return Err(MultipartError::Boundary);
    }
    std::str::from_utf8(value).map_err(|_| MultipartError::Boundary)
}

struct Part<'a> {
    name: &'a [u8],
    encoded: bool,
    content: &'a [u8],
}

/// All parts of a body, added up.
#[derive(Default)]
struct Form<'a> {
    image: Option<Part<'a>>,
    largest_image_bytes: usize,
    other_bytes: usize,
    /// The first thing that is wrong.
    wrong: Option<MultipartError>,
}

impl<'a> Form<'a> {
    fn add(&mut self, part: Part<'a>) {
        if part.name != b"image" {
            self.other_bytes += part.content.len();
            return;
        }
        self.largest_image_bytes = self.largest_image_bytes.max(part.content.len());
        if self.image.replace(part).is_some() {
            self.refuse(MultipartError::TwoImages);
        }
    }

    fn refuse(&mut self, error: MultipartError) {
        self.wrong.get_or_insert(error);
    }
}

/// Reads the body's parts, by RFC 2046, section 5.1.1. What comes before the first delimiter and after the last is ignored.
fn parse_form<'a>(boundary: &str, body: &'a [u8]) -> Result<Form<'a>, MultipartError> {
    let line = format!("\r\n--{boundary}");
    let delimiter = memmem::Finder::new(&line);
    let opens_body = body.strip_prefix(line.trim_start().as_bytes()).and_then(read_delimiter_end);
    let after_preamble = || split_at_delimiter(&delimiter, body).map(|(_preamble, after)| after);
    let mut next = opens_body.or_else(after_preamble).ok_or(MultipartError::NoParts)?;
    let mut form = Form::default();
    let mut parts = 0;
    while let After::Part(rest) = next {
        parts += 1;
        if parts > MAX_PARTS {
            form.refuse(MultipartError::TooManyParts);
        }
        let (bytes, after) = split_at_delimiter(&delimiter, rest).unwrap_or_else(|| {
            form.refuse(MultipartError::CutShort);
            (rest, After::Close)
        });
        match parse_part(bytes) {
            Ok(part) => form.add(part),
            Err(error) => form.refuse(error),
        }
        next = after;
    }
    Ok(form)
}

/// What follows a delimiter line.
enum After<'a> {
    Part(&'a [u8]),
    Close,
}

/// The bytes before the next delimiter, and those after it. Bytes that only begin like a delimiter are none.
fn split_at_delimiter<'a>(delimiter: &memmem::Finder<'_>, bytes: &'a [u8]) -> Option<(&'a [u8], After<'a>)> {
    delimiter.find_iter(bytes).find_map(|at| {
        let after = read_delimiter_end(bytes.get(at + delimiter.needle().len()..)?)?;
        Some((bytes.get(..at)?, after))
    })
}

/// Reads the rest of a delimiter line: `--` on the last one, transport padding, and CRLF, or on the last the body's end.
fn read_delimiter_end(rest: &[u8]) -> Option<After<'_>> {
    let close = rest.strip_prefix(b"--");
    let padded = close.unwrap_or(rest);
    let padding = padded.iter().take_while(|byte| is_blank(byte)).count();
    let line_end = padded.get(padding..)?;
    match (close, line_end.strip_prefix(b"\r\n")) {
        (Some(_), Some(_)) => Some(After::Close),
        (Some(_), None) if line_end.is_empty() => Some(After::Close),
        (None, Some(part)) => Some(After::Part(part)),
        _ => None,
    }
}

/// Splits a part into its header fields (RFC 7578, sections 4.2 and 4.7; all others are ignored) and its content.
fn parse_part(bytes: &[u8]) -> Result<Part<'_>, MultipartError> {
    let window = bytes.get(..MAX_PART_HEADER_BYTES + 4).unwrap_or(bytes);
    let Some(end) = memmem::find(window, b"\r\n\r\n") else {
        let too_large = window.len() < bytes.len();
        return Err(if too_large {
            MultipartError::PartHeadersTooLarge
        } else {
            MultipartError::PartHeaders
        });
    };
    let (head, content) = bytes.split_at_checked(end).ok_or(MultipartError::PartHeaders)?;
    let content = content.strip_prefix(b"\r\n\r\n").ok_or(MultipartError::PartHeaders)?;
    let mut name = None;
    let mut encoded = false;
    let mut rest = Some(head);
    while let Some(lines) = rest {
        let (field, after) = split_field(lines);
        rest = after;
        let (field_name, value) = parse_field(field).ok_or(MultipartError::PartHeaders)?;
        if field_name.eq_ignore_ascii_case(b"Content-Disposition") {
            let is_first = name.is_none();
            name = find_part_name(value).filter(|_| is_first);
            if name.is_none() {
                return Err(MultipartError::PartHeaders);
            }
        } else if field_name.eq_ignore_ascii_case(b"Content-Transfer-Encoding") {
            let value = value.trim_ascii();
            encoded |=
                ![&b"7bit"[..], b"8bit", b"binary"].iter().any(|plain| value.eq_ignore_ascii_case(plain));
        }
    }
    Ok(Part { name: name.ok_or(MultipartError::PartHeaders)?, encoded, content })
}

/// The first header field with the lines it is folded onto (RFC 5322, section 2.2.3), and what comes after it.
fn split_field(lines: &[u8]) -> (&[u8], Option<&[u8]>) {
    memmem::find_iter(lines, b"\r\n")
        .find_map(|at| {
            let after = lines.get(at + 2..)?;
            if after.first().is_some_and(is_blank) { None } else { Some((lines.get(..at)?, Some(after))) }
        })
        .unwrap_or((lines, None))
}

/// A header field's name, a token, and its value. Refuses a CR or LF that does not fold a line, and other control characters:
/// they could hide a second field.
fn parse_field(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', field)?;
    let (name, value) = (field.get(..colon)?, field.get(colon + 1..)?);
    let mut rest = value;
    while let [first, after @ ..] = rest {
        rest = match first {
            b'\r' => after.strip_prefix(b"\n").filter(|folded| folded.first().is_some_and(is_blank))?,
            b'\t' => after,
            control if control.is_ascii_control() => return None,
            _ => after,
        };
    }
    let is_token = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic());
    is_token.then_some((name, value))
}

/// The one name in a Content-Disposition of type form-data. File names are ignored.
fn find_part_name(value: &[u8]) -> Option<&[u8]> {
    let semicolon = memchr::memchr(b';', value)?;
    let (disposition, rest) = (value.get(..semicolon)?, value.get(semicolon + 1..)?);
    if !disposition.trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    find_parameter(rest, "name")
}

/// The value of the parameter `name`, which must occur exactly once among parameters that all parse.
fn find_parameter<'a>(mut rest: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut found = None;
    loop {
        rest = rest.trim_ascii_start();
        match rest {
            [] => return found,
            [b';', after @ ..] => rest = after,
            _ => {
                let equals = memchr::memchr(b'=', rest)?;
                let key = rest.get(..equals)?;
                let (value, after) = parse_value(rest.get(equals + 1..)?)?;
                if key.trim_ascii().eq_ignore_ascii_case(name.as_bytes()) && found.replace(value).is_some() {
                    return None;
                }
                rest = after.trim_ascii_start();
                if !matches!(rest, [] | [b';', ..]) {
                    return None;
                }
            }
        }
    }
}

/// A parameter's value, within its quotes if it has any but otherwise as it is written, and what follows it.
///
/// A backslash in a quoted value protects the character after it (RFC 9110, section 5.6.4). Browsers, however, write a
/// file name's own backslashes unprotected, so a value that would never end, `"odd\"`, ends at its last quote.
fn parse_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end =
            text.iter().position(|byte| *byte == b';' || byte.is_ascii_whitespace()).unwrap_or(text.len());
        return text.split_at_checked(end);
    };
    let mut at = 0;
    loop {
        match quoted.get(at) {
            Some(b'"') => return Some((quoted.get(..at)?, quoted.get(at + 1..)?)),
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return quoted.trim_ascii_end().strip_suffix(b"\"").map(|value| (value, &[][..])),
        }
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
