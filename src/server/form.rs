//! The picture in an upload's form, or a sentence for the client that says why there is none.

use form_data::{FormError, Limits, find_field};

use super::refusal::Refusal;
use crate::domain::format::MAX_IMAGE_BYTES;

/// The name of the form's one field that is used.
const FIELD: &str = "image";

pub(super) const LIMITS: Limits = Limits {
    field_bytes: MAX_IMAGE_BYTES,
    // A web page's form may send some fields along.
    other_bytes: 65_536,
    // A form around one picture has far fewer fields.
    parts: 64,
    // They hold a file name of 255 characters, each percent-encoded from three bytes of UTF-8, twice, as `filename` and
    // `filename*`: that takes 4,590 bytes.
    part_header_bytes: 8_192,
};

pub(super) fn find_image<'a>(content_type: &str, body: &'a [u8]) -> Result<&'a [u8], Refusal> {
    find_field(content_type, body, FIELD, &LIMITS).map_err(refuse)
}

/// A 413, for an image or a whole body.
pub(super) fn image_too_large() -> Refusal {
    refuse(FormError::FieldTooLarge)
}

fn refuse(error: FormError) -> Refusal {
    let Limits { field_bytes, other_bytes, parts, part_header_bytes } = LIMITS;
    let status = match error {
        FormError::FieldTooLarge | FormError::OthersTooLarge => 413,
        _ => 400,
    };
    let sentence = match error {
        FormError::NotMultipart => {
            "Send the picture as multipart/form-data, in a file field named image: curl -F image=@cat.jpg."
        }
        FormError::Boundary => {
            "Let your client set Content-Type itself: it needs exactly one boundary of 1 to 70 legal characters."
        }
        FormError::NoParts => {
            "Let your client set Content-Type itself: the body has no line, ended by CRLF, of the boundary that it gives."
        }
        FormError::CutShort => "The multipart body ends before its closing boundary: send the whole of it.",
        FormError::PartHeaders => {
            "Give each field a header with exactly one Content-Disposition, form-data with one name, and an empty line after it."
        }
        FormError::NoField => "Send the picture in a multipart field named image: curl -F image=@cat.jpg.",
        FormError::TwoFields => "Send one picture a request: the field named image must occur only once.",
        FormError::EmptyField => {
            "Send the picture's bytes in the field named image, which is empty: curl -F image=@cat.jpg."
        }
        FormError::Encoded => {
            "Send the picture's bytes as they are: a Content-Transfer-Encoding such as base64 is not supported."
        }
        FormError::TooManyParts => &format!("Send at most {parts} fields; only the one named image is used."),
        FormError::PartHeadersTooLarge => &format!(
            "Give the picture a shorter file name: the header of a field is over {part_header_bytes} bytes long."
        ),
        FormError::FieldTooLarge => &format!("Send a smaller picture: this one is over {field_bytes} bytes."),
        FormError::OthersTooLarge => &format!(
            "Leave out the fields beside image, which are not used: together they are over {other_bytes} bytes."
        ),
    };
    Refusal::new(status, sentence.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use FormError::*;

    #[test]
    fn errors_have_a_status_and_one_sentence() {
        for error in [
            NotMultipart,
            Boundary,
            NoParts,
            CutShort,
            TooManyParts,
            PartHeadersTooLarge,
            PartHeaders,
            NoField,
            TwoFields,
            EmptyField,
            Encoded,
            FieldTooLarge,
            OthersTooLarge,
        ] {
            let Refusal { status, message, .. } = refuse(error);
            assert!(
                message.ends_with('.') && !message.contains("  ") && !message.contains('\n'),
                "{message}"
            );
            assert_eq!(status, if matches!(error, FieldTooLarge | OthersTooLarge) { 413 } else { 400 });
        }
    }
}
