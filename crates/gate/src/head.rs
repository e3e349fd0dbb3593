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
mod tests {
    use super::*;
    use crate::limits::tests::LIMITS;

    const RULES: Rules = Rules {
        limits: &LIMITS,
        passed_on: &[
            PassedOn { name: "Accept", repeated: Repeated::Joined },
            PassedOn { name: "Authorization", repeated: Repeated::Refused },
            PassedOn { name: "Content-Type", repeated: Repeated::Refused },
            PassedOn { name: "If-None-Match", repeated: Repeated::Joined },
        ],
    };

    const GOOD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";

    fn status(head: &str) -> u16 {
        match RULES
            .find_end(head.as_bytes(), 0)
            .and_then(|length| RULES.parse(&head.as_bytes()[..length.unwrap_or(0)]))
        {
            Ok(_) => 200,
            Err(refusal) => refusal.status,
        }
    }

    #[test]
    fn a_good_head() {
        let head = RULES.parse(
            b"POST /a?b HTTP/1.1\r\nhost: a\r\nContent-Length: 5\r\nExpect: 100-Continue\r\nCookie: secret\r\n\
              Accept: text/html\r\nAccept: application/json\r\nContent-Type: x/y\r\nConnection: x, Close\r\n\
              authorization: Bearer hush\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b\r\n\r\n",
        );
        let expected = Head {
            method: "POST".into(),
            target: "/a?b".into(),
            content_length: 5,
            expects_continue: true,
            close: true,
            headers: vec![
                Header { name: "Accept", value: "text/html, application/json".into() },
                Header { name: "Content-Type", value: "x/y".into() },
                Header { name: "Authorization", value: "Bearer hush".into() },
            ],
            forwarded_for: Some("a, b".into()),
        };
        assert!(!format!("{head:?}").contains("hush"));
        assert_eq!(head, Ok(expected.clone()));
        assert_eq!(expected.path(), "/a");
        assert_eq!((expected.header("Content-Type"), expected.header("Cookie")), (Some("x/y"), None));
    }

    #[test]
    fn a_head_that_arrives_in_pieces() {
        for cut in 0..GOOD.len() {
            assert_eq!(RULES.find_end(&GOOD.as_bytes()[..cut], 0), Ok(None));
            let whole = [GOOD.as_bytes(), b"body\r\n\r\n"].concat();
            assert_eq!(RULES.find_end(&whole, cut), Ok(Some(GOOD.len())), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_head_is_refused_before_it_ends() {
        for (bytes, seen) in
            [(&b"\x16\x03\x01"[..], 0), (b"GET / HTTP/1.1\n", 0), (b"GET / HTTP/1.1\n", 14), (b"GET \r/", 5)]
        {
            assert_eq!(RULES.find_end(bytes, seen).map_err(|refusal| refusal.status), Err(400), "{bytes:?}");
        }
        assert_eq!(RULES.find_end(b"GET / HTTP/1.1\r", 3), Ok(None));
    }

    #[test]
    fn versions_and_targets() {
        let line = |line: &str| status(&format!("{line}\r\nHost: a\r\n\r\n"));
        for good in [
            "GET / HTTP/1.1",
            "GET / HTTP/1.0",
            "BREW /x HTTP/1.1",
            "GET http://a/b HTTP/1.1",
            "GET HTTP://a?b HTTP/1.1",
        ] {
            assert_eq!(line(good), 200, "{good}");
        }
        for (bad, expected) in [
            ("GET / HTTP/2.0", 505),
            ("GET / HTTP/1.2", 505),
            ("GET / HTTP/9", 400),
            ("GET /", 400),
            ("GET  / HTTP/1.1", 400),
            ("GET / HTTP/1.1 ", 400),
            ("GET x HTTP/1.1", 400),
            ("OPTIONS * HTTP/1.1", 400),
            ("CONNECT a:443 HTTP/1.1", 400),
            ("G\tT / HTTP/1.1", 400),
            (" / HTTP/1.1", 400),
        ] {
            assert_eq!(line(bad), expected, "{bad}");
        }
        let target = |length: usize| line(&format!("GET /{} HTTP/1.1", "a".repeat(length - 1)));
        assert_eq!(target(LIMITS.target_bytes), 200);
        assert_eq!(target(LIMITS.target_bytes + 1), 414);
        assert_eq!(target(LIMITS.head_bytes), 414);
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        let header = |header: &str| status(&format!("POST / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n"));
        for (bad, expected) in [
            ("Content-Length: 5\r\nContent-Length: 5", 400),
            ("Content-Length: +5", 400),
            ("Content-Length: -1", 400),
            ("Content-Length: abc", 400),
            ("Content-Length: 5, 5", 400),
            ("Content-Length: 0x5", 400),
            ("Content-Length:", 400),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
            ("Content-Length : 5", 400),
            ("Content-Length: 5\r\n folded", 400),
            ("Content-Length: 5\r\nTE: trailers", 400),
            ("Content-Length: 5\r\nUpgrade: h2c", 400),
            ("Content-Length: 5\r\nHost: b", 400),
            ("Content-Length: 5\r\nX: \u{e9}", 400),
            ("Content-Length: 5\r\nX: a\0b", 400),
            ("Content-Length: 5\r\nX: a\rb", 400),
            ("Content-Length: 5\nX: y", 400),
            ("Content-Length: 5\r\nContent-Type: a/b\r\nContent-Type: c/d", 400),
            ("Content-Length: 5\r\nAuthorization: Bearer a\r\nAuthorization: Bearer a", 400),
            ("Content-Length: 5\r\nExpect: 200-ok", 417),
            ("Transfer-Encoding: chunked", 411),
            ("Transfer-Encoding: identity", 411),
            ("X: y", 411),
        ] {
            assert_eq!(header(bad), expected, "{bad:?}");
        }
        assert_eq!(status("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n"), 400);
        assert_eq!(status("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n"), 200);
        let huge = RULES
            .parse(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n")
            .unwrap();
        assert_eq!(huge.content_length, u64::MAX);
    }

    #[test]
    fn too_many_or_too_large_headers() {
        let headers =
            |n: usize| status(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(n - 1)));
        assert_eq!(headers(LIMITS.headers), 200);
        assert_eq!(headers(LIMITS.headers + 1), 431);
        let size = |bytes: usize| {
            let rest = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
            status(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(bytes - rest)))
        };
        assert_eq!(size(LIMITS.head_bytes), 200);
        assert_eq!(size(LIMITS.head_bytes + 1), 431);
    }

    #[test]
    fn http_1_0_closes_and_ignores_expect() {
        let head =
            RULES.parse(b"POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").unwrap();
        assert!(head.close && !head.expects_continue);
    }

    /// The parser takes every stranger's first bytes. What it accepts must be fit to be written again, line by line.
    #[test]
    fn fuzz_head() {
        let seeds = [
            GOOD.into(),
            b"GET http://a/b?c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_vec(),
            b"\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\nExpect: 100-continue\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\r\nAccept: */*, a/b;q=0\r\nIf-None-Match: W/\"x\"\r\nContent-Type: a/b\r\n\r\n".to_vec(),
            b"POST / HTTP/2.0\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nUpgrade: h2c\r\n\r\n".to_vec(),
        ];
        samples::mutate::run("head", &seeds, |bytes| {
            let Ok(Some(length)) = RULES.find_end(bytes, 0) else { return };
            assert!(length <= LIMITS.head_bytes && bytes[..length].ends_with(b"\r\n\r\n"));
            let Ok(head) = RULES.parse(&bytes[..length]) else { return };
            assert!(head.target.starts_with('/') && !head.method.is_empty());
            let values = head.headers.iter().map(|header| &header.value);
            let written = [&head.method, &head.target].into_iter().chain(values);
            for text in written {
                assert!(text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')), "{text:?}");
            }
        });
    }
}
