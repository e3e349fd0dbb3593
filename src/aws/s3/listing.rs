//! The pages of a bucket's listing.
//!
//! S3 API Reference, "ListObjectsV2": keys come in the order of their UTF-8 bytes, and a page that is not the last has an opaque
//! token with which to ask for the next. (Directory buckets list in no order, and are not supported.)
//!
//! The answer is searched for the few elements that are needed, and not read by a parser of XML: all text in it is escaped, so
//! no key, not even a stranger's, can look like an element, and a key of ours has no character that is written in two ways.

use std::sync::Arc;

use aws_client::{AwsCall, Client, dates, sign, xml_element};

use super::{BUCKET_SETTING, failed};
use crate::domain::failure::{Cause, Failure};
use crate::domain::image_id::ImageId;
use crate::domain::key::Key;
use crate::domain::store::{Listed, StoreError};

/// The most bytes of an answer. A thousand keys of ours take 350 KB; a stranger's may have 1024 bytes, each escaped as six.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// A listing that is under way.
pub(super) struct Pages {
    client: Arc<Client>,
    bucket: String,
    base_url: String,
    page: usize,
    /// Where the next page begins, as part of a query; `None` after the last.
    from: Option<String>,
}

/// What a page says.
#[derive(Debug)]
struct ListedPage {
    /// The objects that are ours.
    objects: Vec<Listed>,
    /// The token for the next page, if there is one.
    next: Option<String>,
}

impl Pages {
    /// From the first image after `after` on.
    pub(super) fn new(
        client: Arc<Client>,
        bucket: String,
        base_url: String,
        after: Option<ImageId>,
        page: usize,
    ) -> Pages {
        // All keys of an image begin with `{id}/`, and 0 comes next after the slash.
        let from = after.map_or_else(String::new, |id| format!("&start-after={id}0"));
        Pages { client, bucket, base_url, page, from: Some(from) }
    }

    fn fetch(&self, from: &str) -> Result<ListedPage, StoreError> {
        let query = format!("&max-keys={}{from}", self.page);
        let call = make_call(&self.bucket, &self.base_url, &query);
        let reply = self.client.call(&call).map_err(failed)?;
        read(&reply.body).map_err(|what| {
            let text = format!("{} {}: unreadable answer: {what}", call.operation, self.bucket);
            StoreError::Failed(Failure::new(Cause::Other, text))
        })
    }
}

impl Iterator for Pages {
    type Item = Result<Vec<Listed>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.from.take()?;
        let ListedPage { objects, next } = match self.fetch(&from) {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        self.from = next.map(|token| format!("&continuation-token={}", percent_encode(&token)));
        if self.from.as_deref() == Some(from.as_str()) {
            self.from = None;
            let what = format!("S3 ListObjectsV2 {}: the next page would be the same again", self.bucket);
            return Some(Err(StoreError::Failed(Failure::new(Cause::Other, what))));
        }
        Some(Ok(objects))
    }
}

/// One call; `query` goes on after `list-type=2`.
pub(super) fn make_call(bucket: &str, base_url: &str, query: &str) -> AwsCall<'static> {
    AwsCall {
        service: sign::S3,
        operation: "S3 ListObjectsV2",
        target: bucket.to_string(),
        target_setting: BUCKET_SETTING,
        url: format!("{base_url}/?list-type=2{query}"),
        max_bytes: MAX_ANSWER_BYTES,
        ..AwsCall::default()
    }
}

fn read(body: &[u8]) -> Result<ListedPage, String> {
    let text = String::from_utf8_lossy(body);
    if !text.contains("<ListBucketResult") || !text.trim_end().ends_with("</ListBucketResult>") {
        return Err("it is no whole ListBucketResult".to_string());
    }
    let mut objects = Vec::new();
    for rest in text.split("<Contents>").skip(1) {
        let (object, _) = rest.split_once("</Contents>").ok_or("a Contents has no end")?;
        let key = xml_element(object, "Key").ok_or("a Contents has no Key")?;
        let Ok(key) = key.parse::<Key>() else { continue };
        let modified = xml_element(object, "LastModified").and_then(|text| dates::from_rfc3339(&text));
        let modified =
            modified.ok_or_else(|| format!("{key} has no LastModified, or one that is no time"))?;
        objects.push(Listed { key, modified });
    }
    match xml_element(&text, "IsTruncated").as_deref() {
        Some("false") => Ok(ListedPage { objects, next: None }),
        Some("true") => {
            let token = xml_element(&text, "NextContinuationToken").filter(|token| !token.is_empty());
            let next = Some(token.ok_or("it is truncated and has no NextContinuationToken")?);
            Ok(ListedPage { objects, next })
        }
        _ => Err("IsTruncated is neither true nor false".to_string()),
    }
}

/// Encodes all characters but the unreserved ones of RFC 3986.
fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests;
