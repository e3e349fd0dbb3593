//! One part of a body: its header fields, and its content.

use memchr::memmem;

use crate::FormError;

/// A part of a body: a field of the form.
pub(crate) struct Part<'a> {
    pub(crate) name: &'a [u8],
    /// The content is in an encoding of its own, such as base64.
    pub(crate) encoded: bool,
    pub(crate) content: &'a [u8],
}

/// Splits a part into its header fields (RFC 7578, sections 4.2 and 4.7; all others are ignored) and its content.
pub(crate) fn parse_part(bytes: &[u8], max_header_bytes: usize) -> Result<Part<'_>, FormError> {
    let window = bytes.get(..max_header_bytes.saturating_add(4)).unwrap_or(bytes);
    let Some(end) = memmem::find(window, b"\r\n\r\n") else {
        let too_large = window.len() < bytes.len();
        return Err(if too_large { FormError::PartHeadersTooLarge } else { FormError::PartHeaders });
    };
    let (head, content) = bytes.split_at_checked(end).ok_or(FormError::PartHeaders)?;
    let content = content.strip_prefix(b"\r\n\r\n").ok_or(FormError::PartHeaders)?;
    let mut name = None;
    let mut encoded = false;
    let mut rest = Some(head);
    while let Some(lines) = rest {
        let (field, after) = split_field(lines);
        rest = after;
        let (field_name, value) = parse_field(field).ok_or(FormError::PartHeaders)?;
        if field_name.eq_ignore_ascii_case(b"Content-Disposition") {
            let is_first = name.is_none();
            name = find_part_name(value).filter(|_| is_first);
            if name.is_none() {
                return Err(FormError::PartHeaders);
            }
        } else if field_name.eq_ignore_ascii_case(b"Content-Transfer-Encoding") {
            let value = value.trim_ascii();
            encoded |=
                ![&b"7bit"[..], b"8bit", b"binary"].iter().any(|plain| value.eq_ignore_ascii_case(plain));
        }
    }
    Ok(Part { name: name.ok_or(FormError::PartHeaders)?, encoded, content })
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
pub(crate) fn find_parameter<'a>(mut rest: &'a [u8], name: &str) -> Option<&'a [u8]> {
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

pub(crate) fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
