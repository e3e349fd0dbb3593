//! A request as the server sees it: what its head says, its body, and what the gate says of it.

use std::io::{self, Read};
use std::time::Duration;

use gate::{PassedOn, Repeated};

use super::limits::MAX_BODY_BYTES;
use super::refusal::Refusal;
use crate::support::secret::Secret;

const ACCEPT: &str = "Accept";
const AUTHORIZATION: &str = "Authorization";
const CONTENT_TYPE: &str = "Content-Type";
const IF_NONE_MATCH: &str = "If-None-Match";

/// All headers that the server reads. The gate passes on no others.
pub(super) const HEADERS: &[PassedOn] = &[
    PassedOn { name: ACCEPT, repeated: Repeated::Joined },
    PassedOn { name: AUTHORIZATION, repeated: Repeated::Refused },
    PassedOn { name: CONTENT_TYPE, repeated: Repeated::Refused },
    PassedOn { name: IF_NONE_MATCH, repeated: Repeated::Joined },
];

/// What a request's head says, whether the gate has read it or tiny_http.
pub(super) struct RequestHead {
    pub(super) method: String,
    /// The path and the query.
    pub(super) target: String,
    /// None if the request does not say.
    pub(super) content_length: Option<u64>,
    pub(super) accept: Option<String>,
    pub(super) authorization: Option<Secret>,
    pub(super) content_type: Option<String>,
    pub(super) if_none_match: Option<String>,
}

impl From<&gate::Head> for RequestHead {
    fn from(head: &gate::Head) -> RequestHead {
        RequestHead::new(&head.method, &head.target, Some(head.content_length), |name| head.header(name))
    }
}

impl From<&tiny_http::Request> for RequestHead {
    fn from(request: &tiny_http::Request) -> RequestHead {
        let length = request.body_length().map(|length| length as u64);
        let header = |name| find_header(request, name);
        RequestHead::new(request.method().as_str(), request.url(), length, header)
    }
}

impl RequestHead {
    fn new<'a>(
        method: &str,
        target: &str,
        content_length: Option<u64>,
        header: impl Fn(&'static str) -> Option<&'a str>,
    ) -> RequestHead {
        RequestHead {
            method: method.to_owned(),
            target: target.to_owned(),
            content_length,
            accept: header(ACCEPT).map(str::to_owned),
            authorization: header(AUTHORIZATION).map(Secret::new),
            content_type: header(CONTENT_TYPE).map(str::to_owned),
            if_none_match: header(IF_NONE_MATCH).map(str::to_owned),
        }
    }

    /// The target without its query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Whether the request is an upload, or was meant to be one.
    pub(super) fn is_upload(&self) -> bool {
        self.method == "POST" && self.path() == "/"
    }
}

fn find_header<'a>(request: &'a tiny_http::Request, name: &'static str) -> Option<&'a str> {
    let found = request.headers().iter().find(|header| header.field.equiv(name));
    found.map(|header| header.value.as_str())
}

/// A request, all but its body.
pub(super) struct Incoming {
    pub(super) head: RequestHead,
    /// Finds the request in the log.
    pub(super) id: String,
    pub(super) peer: String,
    pub(super) client: String,
    /// How long the body took to arrive at the gate.
    pub(super) body_took: Duration,
}

impl From<&tiny_http::Request> for Incoming {
    fn from(request: &tiny_http::Request) -> Incoming {
        let from_gate = |name| find_header(request, name).unwrap_or_default();
        Incoming {
            head: RequestHead::from(request),
            id: from_gate(gate::REQUEST_ID).to_owned(),
            peer: from_gate(gate::PEER).to_owned(),
            client: from_gate(gate::CLIENT).to_owned(),
            body_took: Duration::from_micros(from_gate(gate::BODY_MICROS).parse().unwrap_or_default()),
        }
    }
}

/// Reads the whole body, of a length that was checked.
pub(super) fn read_body(reader: &mut dyn Read, length: usize) -> Result<Vec<u8>, Refusal> {
    let mut body = vec![0; length];
    let cut_short = |_| {
        Refusal::new(400, "The request ended before it was whole: send all that its Content-Length says.")
    };
    reader.read_exact(&mut body).map_err(cut_short)?;
    Ok(body)
}

/// Reads and drops the body of a request that needs none. The gate reads no answer before it has written the whole body. So if
/// the body were left unread, a long answer would wait for the gate, and the gate for the reading of the body.
pub(super) fn skip_body(reader: &mut dyn Read) {
    // If it fails, so does the answer.
    let _ = io::copy(&mut reader.take(MAX_BODY_BYTES as u64), &mut io::sink());
}
