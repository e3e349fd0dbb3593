//! Images and the page's files, for clients that ask for them here: on one machine, without CloudFront.

use super::answer::Answer;
use super::api::{Api, unavailable};
use super::page;
use super::refusal::Refusal;
use super::request::Incoming;
use crate::domain::format::{Format, ThumbnailFormat};
use crate::domain::key::{Key, Kind};
use crate::domain::store::{CACHE_CONTROL, StoreError};

/// The longest object: a large thumbnail of 600x600 pixels in an incompressible PNG.
const MAX_OBJECT_BYTES: usize = 1_600_000;

/// What an image may do in a browser: nothing but be looked at. An upload must never run as a page.
const SECURITY_HEADERS: [(&str, &str); 2] =
    [("X-Content-Type-Options", "nosniff"), ("Content-Security-Policy", "default-src 'none'; sandbox")];

impl Api {
    pub(super) fn object(&self, key: Key, incoming: &Incoming) -> Result<Answer, Refusal> {
        let bytes = match self.store.get(&key, MAX_OBJECT_BYTES) {
            Ok(bytes) => bytes,
            Err(StoreError::NotFound(_)) => return Ok(Answer::from(&self.not_found(key))),
            Err(error) => return Err(unavailable(incoming, "store", error.cause(), &error)),
        };
        let mut headers = vec![("Cache-Control", CACHE_CONTROL.to_owned())];
        headers.push(("Content-Type", key.format.content_type().to_owned()));
        headers.extend(SECURITY_HEADERS.map(|(name, value)| (name, value.to_owned())));
        Ok(answer_unless_known(incoming, headers, bytes))
    }

    pub(super) fn page_file(&self, file: &page::File, incoming: &Incoming) -> Answer {
        let headers = self.page.as_ref().map(|page| page.headers(file)).unwrap_or_default();
        answer_unless_known(incoming, headers, file.bytes.to_vec())
    }

    /// A thumbnail that is asked for too early is worth asking for again; anything else is not.
    fn not_found(&self, key: Key) -> Refusal {
        if self.is_being_made(&key) {
            let refusal = Refusal::new(404, "The thumbnail is being made: ask again in a second.");
            return Refusal { header: Some(("Retry-After", "1".into())), ..refusal };
        }
        Refusal::new(404, "There is no such image.")
    }

    /// There is an original, and no thumbnail of this size: not in the other format either.
    fn is_being_made(&self, key: &Key) -> bool {
        let Kind::Thumbnail(size) = key.kind else { return false };
        let exists = |key: Key| self.store.exists(&key).unwrap_or(false);
        let other = match key.format {
            Format::Jpeg => ThumbnailFormat::Png,
            Format::Png => ThumbnailFormat::Jpeg,
            Format::Gif | Format::WebP => return false,
        };
        !exists(Key::thumbnail(key.id, size, other))
            && Format::ALL.into_iter().any(|format| exists(Key::original(key.id, format)))
    }
}

/// 200; or 304, if the client says that it has these bytes. A 304 is sent without them, but tells their length.
fn answer_unless_known(
    incoming: &Incoming,
    mut headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
) -> Answer {
    let etag = make_etag(&body);
    let is_known = matches_etag(incoming.head.if_none_match.as_deref(), &etag);
    headers.push(("ETag", etag));
    Answer { status: if is_known { 304 } else { 200 }, headers, body }
}

/// A strong validator: the CRC-32 and the length of the bytes.
fn make_etag(bytes: &[u8]) -> String {
    format!("\"{:08x}-{:x}\"", crc32fast::hash(bytes), bytes.len())
}

/// RFC 9110, 13.1.2: a list of validators, compared weakly, or a star.
fn matches_etag(if_none_match: Option<&str>, etag: &str) -> bool {
    if_none_match.is_some_and(|list| {
        list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags() {
        let tag = make_etag(b"picture");
        for list in ["*", &tag, &format!("W/{tag}"), &format!("\"a\", {tag}")] {
            assert!(matches_etag(Some(list), &tag), "{list}");
        }
        for list in ["", "\"a\"", tag.trim_matches('"')] {
            assert!(!matches_etag(Some(list), &tag), "{list}");
        }
        assert!(!matches_etag(None, &tag));
        assert_ne!(tag, make_etag(b"picturf"));
    }
}
