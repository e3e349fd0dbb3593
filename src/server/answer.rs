//! Answers, from status and body to bytes. tiny_http writes all of them, those of the gate included.

use std::io::{self, Cursor};

use serde_json::json;
use tiny_http::{HTTPVersion, Header, Response};

use super::refusal::Refusal;

/// The `Server` header of every answer.
const SERVER: &str = "my-little-image-sharer";

/// How long a client is asked to wait before it tries again after a 503.
const RETRY_AFTER_SECONDS: u32 = 5;

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// A JSON object of strings, in the order in which they are given.
    pub(super) fn json(status: u16, fields: &[(&str, &str)]) -> Answer {
        let headers = vec![("Content-Type", "application/json".into()), ("Cache-Control", "no-store".into())];
        Answer { status, headers, body: to_json(fields).into_bytes() }
    }

    /// Gives the answer to tiny_http, which sends it.
    pub(super) fn send(self, request: tiny_http::Request, request_id: &str) -> io::Result<()> {
        request.respond(self.into_response(request_id))
    }

    /// The answer as tiny_http would send it.
    pub(super) fn into_bytes(self, request_id: &str, is_head: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Writing to a Vec cannot fail.
        let _ = self.into_response(request_id).raw_print(&mut bytes, HTTPVersion(1, 1), &[], is_head, None);
        bytes
    }

    fn into_response(self, request_id: &str) -> Response<Cursor<Vec<u8>>> {
        let ours = [("X-Request-Id", request_id), ("Server", SERVER)];
        let named = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        // Names are literals, and values ours: ASCII, without line ends. tiny_http would refuse any others.
        let headers =
            named.chain(ours).filter_map(|(name, value)| Header::from_bytes(name, value).ok()).collect();
        let length = self.body.len();
        Response::new(self.status.into(), headers, Cursor::new(self.body), Some(length), None)
            .with_chunked_threshold(usize::MAX)
    }
}

impl From<&Refusal> for Answer {
    fn from(refusal: &Refusal) -> Answer {
        let mut answer = Answer::json(refusal.status, &[("error", &refusal.message)]);
        answer.headers.extend(refusal.header.clone());
        if refusal.status == 503 {
            answer.headers.push(("Retry-After", RETRY_AFTER_SECONDS.to_string()));
        }
        answer
    }
}

/// Ends with a line feed, for a person at a terminal.
fn to_json(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}:{}", json!(name), json!(value))).collect();
    format!("{{{}}}\n", fields.join(","))
}
