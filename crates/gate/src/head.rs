//! Reading the head of a request: strictly, and from memory.
//!
//! A server and the proxies before it must agree on where a request ends; when they do not, one client's body becomes
//! another's request. So the gate refuses whatever could be read in two ways. It passes on what it accepts as a [`Head`],
//! which holds only what the server asks for: no other header of a client goes any further.
//!
//! The words and the rules are RFC 9112's (HTTP/1.1), stricter where it allows a choice.

use std::fmt;

use memchr::{memchr, memmem};

use crate::hooks::Refusal;
use crate::limits::Limits;

/// The request line's other parts: the longest method, two spaces, `HTTP/1.1` and the line's end.
const REQUEST_LINE_EXTRA_BYTES: usize = 64;

/// A header that the server asks for.
#[derive(Clone, Copy, Debug)]
pub struct PassedOn {
    pub name: &'static str,
    pub repeated: Repeated,
}

/// What becomes of a header that a request has more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// The header has one value, and two could be read in two ways: 400.
    Refused,
    /// The header is a list: the values are joined by commas, which means the same.
    Joined,
}

/// What a request's head says, once it has been found sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// A token.
    pub method: String,
    /// The path and the query, beginning with a slash.
    pub target: String,
    /// How many bytes of body follow.
    pub content_length: u64,
    /// The headers that the server asks for, as far as the request has them.
    pub(crate) headers: Vec<Header>,
    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// The connection ends with this request.
    pub(crate) close: bool,
    /// `X-Forwarded-For`; repeated ones are joined by commas.
    pub(crate) forwarded_for: Option<String>,
}

/// Its value may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: …", self.name)
    }
}

impl Head {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A header that the server asks for, by the name that it asks by.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name == name).map(|header| header.value.as_str())
    }
}

/// What a head is read by.
pub(crate) struct Rules<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) passed_on: &'a [PassedOn],
}

impl Rules<'_> {
    /// How many bytes of `buffer` are a head, its final empty line included, or `None` if it has not all arrived.
    /// Fails as soon as it can be told that the head is none or will be too long. `seen` bytes were there, and incomplete, the
    /// last time.
    pub(crate) fn find_end(&self, buffer: &[u8], seen: usize) -> Result<Option<usize>, Refusal> {
        let from = seen.saturating_sub(3); // the empty line may have been cut
        let end = buffer.get(from..).and_then(|new| memmem::find(new, b"\r\n\r\n")).map(|at| from + at + 4);
        match end {
            Some(end) if end <= self.limits.head_bytes => Ok(Some(end)),
            None if buffer.len() < self.limits.head_bytes => check_bytes(buffer, seen).map(|()| None),
            _ => Err(self.too_large(buffer)),
        }
    }

    /// Reads a whole head, as [`find_end`](Rules::find_end) found it.
    pub(crate) fn parse(&self, head: &[u8]) -> Result<Head, Refusal> {
        let head = head.strip_prefix(b"\r\n").unwrap_or(head); // RFC 9112, 2.2: one empty line before is ignored
        check_bytes(head, 0)?;
        self.check_request_line(head)?;
        let mut headers = vec![httparse::EMPTY_HEADER; self.limits.headers];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(malformed("its head ends too early")),
            Err(httparse::Error::TooManyHeaders) => {
                let limit = self.limits.headers;
                return Err(Refusal::new(431, format!("The request has over {limit} headers: send fewer.")));
            }
            Err(error) => return Err(malformed(&error.to_string())),
        }
        let mut fields = Fields::new(self.passed_on, request.version == Some(1));
        for header in request.headers.iter() {
            // check_bytes has made sure that the value is ASCII.
            fields.take(header.name, str::from_utf8(header.value).unwrap_or_default())?;
        }
        let target = parse_target(request.path.unwrap_or_default())?;
        fields.into_head(request.method.unwrap_or_default(), target)
    }

    /// What httparse would call malformed but HTTP has statuses of their own for.
    fn check_request_line(&self, head: &[u8]) -> Result<(), Refusal> {
        let line = &head[..memchr(b'\r', head).unwrap_or(head.len())];
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(_method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("its first line must be a method, a target and HTTP/1.1"));
        };
        if target.len() > self.limits.target_bytes {
            return Err(self.target_too_long());
        }
        match version {
            b"HTTP/1.0" | b"HTTP/1.1" => Ok(()),
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                Err(Refusal::new(
                    505,
                    "This server speaks HTTP/1.1 and HTTP/1.0: use one of these (curl --http1.1).",
                ))
            }
            _ => Err(malformed("its first line must end with HTTP/1.1")),
        }
    }

    fn too_large(&self, buffer: &[u8]) -> Refusal {
        let line = memchr(b'\n', buffer).unwrap_or(buffer.len());
        if line > self.limits.target_bytes + REQUEST_LINE_EXTRA_BYTES {
            return self.target_too_long();
        }
        let limit = self.limits.head_bytes;
        Refusal::new(
            431,
            format!("The request's headers are over {limit} bytes: send fewer or shorter ones."),
        )
    }

    fn target_too_long(&self) -> Refusal {
        let limit = self.limits.target_bytes;
        Refusal::new(414, format!("The request target is over {limit} bytes: send a shorter one."))
    }
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(400, format!("The request is malformed: {what}."))
}

/// A line ends with CR LF, both or none; and all else in a head is printable ASCII.
/// The first `checked` bytes have been looked at.
fn check_bytes(head: &[u8], checked: usize) -> Result<(), Refusal> {
    let mut previous = if checked > 0 { head[checked - 1] } else { 0 };
    for &byte in &head[checked..] {
        if (byte == b'\n') != (previous == b'\r') {
            return Err(malformed("its lines must end with CR LF"));
        }
        if !matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~') {
            return Err(malformed(
                "its head has bytes that are no printable ASCII; percent-encode them, and use http, not https",
            ));
        }
        previous = byte;
    }
    Ok(())
}

/// The target as a path. A proxy's absolute form is understood (RFC 9112, 3.2.2) and loses its scheme and host.
fn parse_target(target: &str) -> Result<String, Refusal> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        target
            .get(..scheme.len())
            .filter(|start| start.eq_ignore_ascii_case(scheme))
            .map(|_| &target[scheme.len()..])
    });
    let path = match rest {
        Some(rest) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
        None => target,
    };
    match path.as_bytes().first() {
        Some(b'/') => Ok(path.to_owned()),
        Some(b'?') if rest.is_some() => Ok(format!("/{path}")),
        _ => Err(malformed("its target must be a path that begins with a slash")),
    }
}

/// The headers that say something to the gate or the server, as they are met.
struct Fields<'a> {
    passed_on: &'a [PassedOn],
    http_1_1: bool,
    host: Option<String>,
    content_length: Option<u64>,
    transfer_encoding: bool,
    expect: Option<String>,
    connection: Option<String>,
    forwarded_for: Option<String>,
    headers: Vec<Header>,
}

impl<'a> Fields<'a> {
    fn new(passed_on: &'a [PassedOn], http_1_1: bool) -> Fields<'a> {
        Fields {
            passed_on,
            http_1_1,
            host: None,
            content_length: None,
            transfer_encoding: false,
            expect: None,
            connection: None,
            forwarded_for: None,
            headers: Vec::new(),
        }
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match name.to_ascii_lowercase().as_str() {
            "host" => set_once(&mut self.host, name, value.to_owned()),
            "content-length" => {
                if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(malformed("its Content-Length must be one number in digits"));
                }
                // All digits and yet no u64: more than any limit, and refused as such.
                set_once(&mut self.content_length, name, value.parse().unwrap_or(u64::MAX))
            }
            "transfer-encoding" => {
                self.transfer_encoding = true;
                Ok(())
            }
            "te" | "upgrade" => {
                Err(Refusal::new(400, format!("This server does no {name}: send no such header.")))
            }
            "expect" => set_once(&mut self.expect, name, value.to_owned()),
            "x-forwarded-for" => append(&mut self.forwarded_for, value),
            "connection" => append(&mut self.connection, value),
            _ => self.pass_on(name, value),
        }
    }

    fn pass_on(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let asked_for = self.passed_on.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        let Some(PassedOn { name, repeated }) = asked_for else { return Ok(()) };
        match self.headers.iter_mut().find(|header| header.name == *name) {
            None => self.headers.push(Header { name, value: value.to_owned() }),
            Some(_) if *repeated == Repeated::Refused => return Err(more_than_one(name)),
            Some(header) => {
                header.value.push_str(", ");
                header.value.push_str(value);
            }
        }
        Ok(())
    }

    fn into_head(self, method: &str, target: String) -> Result<Head, Refusal> {
        if self.http_1_1 && self.host.is_none() {
            return Err(malformed("HTTP/1.1 needs a Host header"));
        }
        if self.transfer_encoding {
            return Err(match self.content_length {
                Some(_) => malformed("it has both a Content-Length and a Transfer-Encoding"),
                None => length_required(),
            });
        }
        if method == "POST" && self.content_length.is_none() {
            return Err(length_required());
        }
        // RFC 9110, 10.1.1: an expectation in an HTTP/1.0 request is ignored.
        let expect = self.expect.filter(|_| self.http_1_1);
        if expect.as_ref().is_some_and(|expect| !expect.eq_ignore_ascii_case("100-continue")) {
            return Err(Refusal::new(
                417,
                "The only expectation that this server knows is Expect: 100-continue.",
            ));
        }
        let content_length = self.content_length.unwrap_or(0);
        let says_close = self
            .connection
            .is_some_and(|tokens| tokens.split(',').any(|token| token.trim().eq_ignore_ascii_case("close")));
        Ok(Head {
            method: method.to_owned(),
            target,
            content_length,
            headers: self.headers,
            expects_continue: expect.is_some() && content_length > 0,
            close: says_close || !self.http_1_1,
            forwarded_for: self.forwarded_for,
        })
    }
}

fn length_required() -> Refusal {
    Refusal::new(411, "Send the body with a Content-Length; chunked bodies are not taken.")
}

fn more_than_one(name: &str) -> Refusal {
    malformed(&format!("it has more than one {name} header"))
}

/// For a header that must not be repeated: two could be read in two ways.
fn set_once<T>(field: &mut Option<T>, name: &str, value: T) -> Result<(), Refusal> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(more_than_one(name)),
    }
}

/// For a header that is a list: to repeat it is the same as commas.
fn append(field: &mut Option<String>, value: &str) -> Result<(), Refusal> {
    *field = Some(match field.take() {
        Some(values) => format!("{values}, {value}"),
        None => value.to_owned(),
    });
    Ok(())
}

#[cfg(test)]
mod tests;
