//! What a client is told when it does not get what it asked for: a status, and one sentence that says what to do.
//!
//! The gate and the api both refuse, and a client should not be able to tell which of them it was.

use std::borrow::Cow;

use serde_json::json;

/// Where the answers are explained, in every refusal.
const DOCS: &str = "README.md#answers";

/// How long a client is asked to wait before it tries again after a 503, in seconds.
pub const RETRY_AFTER_SECONDS: u32 = 5;

/// An answer other than success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, 400 to 599.
    pub status: u16,
    /// A sentence for the person at the other end.
    pub message: Cow<'static, str>,
    /// The header that the status calls for.
    pub header: Option<(&'static str, String)>,
}

impl Refusal {
    /// A refusal with this status and sentence. A 503 says when to come back.
    pub fn new(status: u16, message: impl Into<Cow<'static, str>>) -> Refusal {
        let header = (status == 503).then(|| ("Retry-After", RETRY_AFTER_SECONDS.to_string()));
        Refusal { status, message: message.into(), header }
    }

    /// A 405, with the methods that are allowed.
    pub fn method_not_allowed(allow: &str, message: &'static str) -> Refusal {
        Refusal { header: Some(("Allow", allow.to_owned())), ..Refusal::new(405, message) }
    }

    /// A 401: uploads are for bearers of a token.
    pub fn unauthorized(message: &'static str) -> Refusal {
        Refusal { header: Some(("WWW-Authenticate", "Bearer".to_owned())), ..Refusal::new(401, message) }
    }

    /// The body: `{"error": "…", "docs": "…"}`.
    pub fn json(&self) -> String {
        object(&[("error", &self.message), ("docs", DOCS)])
    }

    /// The words that HTTP has for the status.
    pub fn reason(&self) -> &'static str {
        match self.status {
            400 => "Bad Request",
            401 => "Unauthorized",
            404 => "Not Found",
            405 => "Method Not Allowed",
            406 => "Not Acceptable",
            408 => "Request Timeout",
            411 => "Length Required",
            413 => "Content Too Large",
            414 => "URI Too Long",
            417 => "Expectation Failed",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            _ => "Error",
        }
    }
}

/// A JSON object of strings in the order in which they are given, which a person at a terminal will read, and a line's end.
pub fn object(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
    format!("{{{}}}\n", fields.join(","))
}
