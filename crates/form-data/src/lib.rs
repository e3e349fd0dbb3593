//! Finds one field in a `multipart/form-data` body (RFC 7578), whose framing is that of RFC 2046, section 5.1.
//!
//! A server that takes one file of a form needs one field's bytes, and the certainty that no other reader of the same body
//! would find other bytes. So this is strict where two readers could understand a body differently: boundaries, line ends,
//! names. It takes whatever browsers and curl write into a file name, which is never used.
//!
//! The whole body is in memory. [`find_field`] borrows from it and copies nothing.

use std::error::Error;
use std::fmt;

use memchr::memmem;

mod part;

use part::{Part, find_parameter, is_blank, parse_part};

#[cfg(test)]
mod tests;

/// RFC 2046, section 5.1.1, allows no more.
const MAX_BOUNDARY_BYTES: usize = 70;

/// How much a body may have.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the field that is looked for.
    pub field_bytes: usize,
    /// Bytes of all other fields together. They are ignored.
    pub other_bytes: usize,
    /// Parts, which are the form's fields.
    pub parts: usize,
    /// Bytes of the header fields of one part.
    pub part_header_bytes: usize,
}

/// Why a body does not give the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormError {
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
    NoField,
    TwoFields,
    EmptyField,
    /// The field is encoded, for example in base64.
    Encoded,
    FieldTooLarge,
    OthersTooLarge,
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FormError::NotMultipart => "the Content-Type is not multipart/form-data",
            FormError::Boundary => "the Content-Type does not have exactly one legal boundary",
            FormError::NoParts => "no line of the body is the boundary",
            FormError::CutShort => "the body ends before its closing boundary",
            FormError::TooManyParts => "there are too many parts",
            FormError::PartHeadersTooLarge => "a part's header fields are too large",
            FormError::PartHeaders => {
                "a part's header fields are malformed, or do not give it exactly one name"
            }
            FormError::NoField => "the field is missing",
            FormError::TwoFields => "the field occurs twice",
            FormError::EmptyField => "the field is empty",
            FormError::Encoded => "the field has a Content-Transfer-Encoding",
            FormError::FieldTooLarge => "the field is too large",
            FormError::OthersTooLarge => "the other fields are too large",
        })
    }
}

impl Error for FormError {}

/// The bytes of the one field of this name, with or without a file name, given the request's Content-Type and its whole body.
///
/// A body over a limit of bytes is too large, whatever else is wrong with it: so the body is read to its end before an error is
/// chosen. The time that this takes grows with the body's length, whatever is in it.
pub fn find_field<'a>(
    content_type: &str,
    body: &'a [u8],
    name: &str,
    limits: &Limits,
) -> Result<&'a [u8], FormError> {
    let form = parse_form(parse_boundary(content_type)?, body, name, limits)?;
    if form.largest_field_bytes > limits.field_bytes {
        return Err(FormError::FieldTooLarge);
    }
    if form.other_bytes > limits.other_bytes {
        return Err(FormError::OthersTooLarge);
    }
    if let Some(wrong) = form.wrong {
        return Err(wrong);
    }
    let field = form.field.ok_or(FormError::NoField)?;
    if field.encoded {
        return Err(FormError::Encoded);
    }
    if field.content.is_empty() {
        return Err(FormError::EmptyField);
    }
    Ok(field.content)
}

/// The boundary that a Content-Type gives, which must be made of RFC 2046's `bchars`.
fn parse_boundary(content_type: &str) -> Result<&str, FormError> {
    let (media_type, rest) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !media_type.trim_ascii().eq_ignore_ascii_case("multipart/form-data") {
        return Err(FormError::NotMultipart);
    }
    let value = find_parameter(rest.as_bytes(), "boundary").ok_or(FormError::Boundary)?;
    let legal = |&byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    if value.is_empty()
        || value.len() > MAX_BOUNDARY_BYTES
        || value.ends_with(b" ")
        || !value.iter().all(legal)
    {
        return Err(FormError::Boundary);
    }
    std::str::from_utf8(value).map_err(|_| FormError::Boundary)
}

/// All parts of a body, added up.
#[derive(Default)]
struct Form<'a> {
    field: Option<Part<'a>>,
    largest_field_bytes: usize,
    other_bytes: usize,
    /// The first thing that is wrong.
    wrong: Option<FormError>,
}

impl<'a> Form<'a> {
    fn add(&mut self, part: Part<'a>, name: &str) {
        if part.name != name.as_bytes() {
            self.other_bytes += part.content.len();
            return;
        }
        self.largest_field_bytes = self.largest_field_bytes.max(part.content.len());
        if self.field.replace(part).is_some() {
            self.refuse(FormError::TwoFields);
        }
    }

    fn refuse(&mut self, error: FormError) {
        self.wrong.get_or_insert(error);
    }
}

/// Reads the body's parts, by RFC 2046, section 5.1.1. What comes before the first delimiter and after the last is ignored.
fn parse_form<'a>(
    boundary: &str,
    body: &'a [u8],
    name: &str,
    limits: &Limits,
) -> Result<Form<'a>, FormError> {
    let line = format!("\r\n--{boundary}");
    let delimiter = memmem::Finder::new(&line);
    let opens_body = body.strip_prefix(line.trim_start().as_bytes()).and_then(read_delimiter_end);
    let after_preamble = || split_at_delimiter(&delimiter, body).map(|(_preamble, after)| after);
    let mut next = opens_body.or_else(after_preamble).ok_or(FormError::NoParts)?;
    let mut form = Form::default();
    let mut parts = 0;
    while let After::Part(rest) = next {
        parts += 1;
        if parts > limits.parts {
            form.refuse(FormError::TooManyParts);
        }
        let (bytes, after) = split_at_delimiter(&delimiter, rest).unwrap_or_else(|| {
            form.refuse(FormError::CutShort);
            (rest, After::Close)
        });
        match parse_part(bytes, limits.part_header_bytes) {
            Ok(part) => form.add(part, name),
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
