//! The errors that AWS answers with, and what to do about them.
//!
//! S3 answers in XML and SQS in JSON, but both say the same: a code for programs, a message for people and a request id
//! for AWS support. All three are kept, with what was asked of what, so that one line in the log is enough to act on.

use std::fmt;
use std::time::SystemTime;

use serde_json::Value;

use crate::error::ErrorKind;

/// How much of a service's message is kept, in characters. AWS's are a sentence, but something else may answer a whole page.
const MAX_MESSAGE_CHARS: usize = 500;

/// An unsuccessful answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// The HTTP status. An S3 error may come with 200.
    pub status: u16,
    /// AWS's code, such as `SlowDown`; empty where the answer has none, as an answer to HEAD never has.
    pub code: String,
    /// AWS's sentence, or empty.
    pub message: String,
    /// The `x-amz-request-id` or `x-amzn-requestid`, or empty.
    pub request_id: String,
    /// The `x-amz-bucket-region` of S3: where the bucket is, if it is not where it was looked for. Otherwise empty.
    pub bucket_region: String,
    /// The setting that names the bucket or the queue, for the advice to check it.
    pub target_setting: &'static str,
    /// The `Date` header: what time it is at AWS.
    pub date: Option<SystemTime>,
}

impl ErrorAnswer {
    /// Whether the service says that it got more requests than it allows.
    pub(crate) fn is_throttling(&self) -> bool {
        let is_code = matches!(
            self.code.as_str(),
            "SlowDown"
                | "Throttling"
                | "ThrottlingException"
                | "ThrottledException"
                | "RequestThrottled"
                | "RequestThrottledException"
                | "RequestLimitExceeded"
                | "TooManyRequestsException"
                | "KmsThrottled"
        );
        is_code || self.status == 429
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self.status {
            _ if self.is_throttling() => ErrorKind::Throttled,
            408 | 504 => ErrorKind::TimedOut,
            _ if self.code == "RequestTimeout" => ErrorKind::TimedOut,
            500..=599 => ErrorKind::Unreachable,
            300..=499 => ErrorKind::Refused,
            _ => ErrorKind::Other,
        }
    }
}

impl fmt::Display for ErrorAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        let message = self.message.trim_end_matches('.');
        for (before, text) in
            [(" ", self.code.as_str()), (": ", message), (", request id ", &self.request_id)]
        {
            if !text.is_empty() {
                write!(f, "{before}{text}")?;
            }
        }
        if !self.bucket_region.is_empty() {
            write!(f, ", the bucket is in {}", self.bucket_region)?;
        }
        match advice(self) {
            Some(advice) => write!(f, ". {advice}"),
            None => Ok(()),
        }
    }
}

/// What an operator can do about it, for the errors that wrong settings give.
fn advice(answer: &ErrorAnswer) -> Option<String> {
    let setting = answer.target_setting;
    let advice = match (answer.status, answer.code.as_str()) {
        // Under the code that a wrong secret has: "Credential should be scoped to a valid region, not 'eu-west-1'."
        _ if answer.message.starts_with("Credential should be scoped") => {
            "Check AWS_REGION: the service that was asked is in another region"
        }
        (_, "SignatureDoesNotMatch" | "InvalidSignatureException") => {
            "Check AWS_SECRET_ACCESS_KEY: it does not belong to the access key id"
        }
        (_, "InvalidAccessKeyId" | "InvalidClientTokenId" | "UnrecognizedClientException") => {
            "Check AWS_ACCESS_KEY_ID: there is no such access key"
        }
        (_, "InvalidToken" | "ExpiredToken" | "ExpiredTokenException") => {
            "Check AWS_SESSION_TOKEN, or let the credentials be fetched"
        }
        (_, "NoSuchBucket") => return Some(format!("Check {setting}, and AWS_ENDPOINT_URL if it is set")),
        (_, "QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue") => {
            return Some(format!("Check {setting}"));
        }
        (_, "PermanentRedirect" | "AuthorizationHeaderMalformed") | (301, _) => {
            "Check AWS_REGION: the bucket is in another region"
        }
        (_, "AccessDenied" | "AccessDeniedException") | (403, "") => {
            "Check the policy of the user or role that the credentials belong to"
        }
        _ => return None,
    };
    Some(advice.to_string())
}

/// Reads S3's XML error body (S3 API Reference, "Error responses"). Whatever the bytes are, the answer is at worst empty.
pub(crate) fn from_xml(status: u16, body: &[u8]) -> ErrorAnswer {
    let text = String::from_utf8_lossy(body);
    let element = |name| xml_element(&text, name).map(|text| shorten(&text)).unwrap_or_default();
    ErrorAnswer {
        status,
        code: element("Code"),
        message: element("Message"),
        request_id: element("RequestId"),
        bucket_region: element("Region"),
        ..ErrorAnswer::default()
    }
}

/// Reads the JSON protocol's error body: `{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "…"}` (Smithy, "AWS
/// JSON 1.0 protocol", "Operation error serialization").
pub(crate) fn from_json(status: u16, body: &[u8]) -> ErrorAnswer {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().map(shorten).unwrap_or_default();
    let code = text("__type");
    let code = code.rsplit_once('#').map_or(code.as_str(), |(_, code)| code).to_string();
    let message = Some(text("message")).filter(|text| !text.is_empty()).unwrap_or_else(|| text("Message"));
    ErrorAnswer { status, code, message, ..ErrorAnswer::default() }
}

/// The text of the first element of that name. S3's error document is flat and has no attributes on what is read here.
pub fn xml_element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(decode_entities(text))
}

/// Decodes the five named entities and numeric ones; anything else stays as it is.
fn decode_entities(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        rest = &rest[start..];
        let entity = rest.find(';').and_then(|end| Some((decode_entity(&rest[1..end])?, end + 1)));
        let (character, length) = entity.unwrap_or(('&', 1));
        decoded.push(character);
        rest = &rest[length..];
    }
    decoded.push_str(rest);
    decoded
}

fn decode_entity(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

/// What an authorization header begins with.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256";

/// Makes one line of bounded length for the log. Only the first paragraph is kept: it says what is wrong, and after it a JSON
/// service may quote the whole request, session token included. If the paragraph quotes an authorization header, nothing from
/// there on is kept.
fn shorten(text: &str) -> String {
    let paragraph: Vec<&str> = text.trim().lines().take_while(|line| !line.trim().is_empty()).collect();
    let line = paragraph.join(" ");
    let said = line.split(AUTHORIZATION).next().unwrap_or_default();
    said.chars().take(MAX_MESSAGE_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
