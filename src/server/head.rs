//! Reading the head of a request: strictly, and from memory.
//!
//! A server and the proxies before it must agree on where a request ends; when they do not, one client's body becomes
//! another's request. So whatever could be read in two ways is refused rather than understood. What is accepted is passed
//! on as a [`Head`], which holds only what the api asks for: no other header of a client's goes any further.
//!
//! The words and the rules are RFC 9112's (HTTP/1.1), stricter where it allows a choice.

use memchr::{memchr, memmem};

use super::refusal::Refusal;
use crate::support::secret::Secret;

/// The most bytes a head may have, its empty line included. Browsers with many cookies stay under 8 KiB.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The longest request target. Ours have about 50 bytes; RFC 9112 asks for 8,000 to be understood.
pub const MAX_TARGET_BYTES: usize = 8 * 1024;

/// The most headers. curl sends 5, browsers about 20.
pub const MAX_HEADERS: usize = 64;

/// The request line's other parts: the longest method, two spaces, `HTTP/1.1` and the line's end.
const REQUEST_LINE_EXTRA_BYTES: usize = 64;

/// What a request's head says, once it has been found sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The method, a token.
    pub method: String,
    /// The path and the query, beginning with a slash.
    pub target: String,
    /// How many bytes of body follow.
    pub content_length: u64,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The connection ends with this request.
    pub close: bool,
    /// `Accept`; repeated ones are joined by commas.
    pub accept: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `If-None-Match`; repeated ones are joined by commas.
    pub if_none_match: Option<String>,
    /// `Authorization`. It goes no further than the gate, and is not logged.
    pub authorization: Option<Secret>,
    /// `X-Forwarded-For`; repeated ones are joined by commas.
    pub forwarded_for: Option<String>,
}

impl Head {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Whether the request is, or was meant to be, an upload.
    pub fn is_upload(&self) -> bool {
        self.method == "POST" && self.path() == "/"
    }
}

/// How many bytes of `buffer` are a head, its final empty line included, or `None` if it has not all arrived.
/// Fails as soon as it can be told that the head is none or will be too long. `seen` bytes were there, and incomplete, the
/// last time.
pub fn head_length(buffer: &[u8], seen: usize) -> Result<Option<usize>, Refusal> {
    let from = seen.saturating_sub(3); // the empty line may have been cut
    let end = buffer.get(from..).and_then(|new| memmem::find(new, b"\r\n\r\n")).map(|at| from + at + 4);
    match end {
        Some(end) if end <= MAX_HEAD_BYTES => Ok(Some(end)),
        None if buffer.len() < MAX_HEAD_BYTES => check_bytes(buffer, seen).map(|()| None),
        _ => Err(too_large(buffer)),
    }
}

fn too_large(buffer: &[u8]) -> Refusal {
    let line = memchr(b'\n', buffer).unwrap_or(buffer.len());
    if line > MAX_TARGET_BYTES + REQUEST_LINE_EXTRA_BYTES {
        target_too_long()
    } else {
        Refusal::new(
            431,
            format!("The request's headers are over {MAX_HEAD_BYTES} bytes: send fewer or shorter ones."),
        )
    }
}

fn target_too_long() -> Refusal {
    Refusal::new(414, format!("The request target is over {MAX_TARGET_BYTES} bytes: send a shorter one."))
}

fn malformed(what: &str) -> Refusal {
    Refusal::new(400, format!("The request is malformed: {what}."))
}

/// Reads a whole head, as [`head_length`] found it.
pub fn parse(head: &[u8]) -> Result<Head, Refusal> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head); // RFC 9112, 2.2: one empty line before is borne
    check_bytes(head, 0)?;
    check_request_line(head)?;
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(malformed("its head ends too early")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(
                431,
                format!("The request has over {MAX_HEADERS} headers: send fewer."),
            ));
        }
        Err(error) => return Err(malformed(&error.to_string())),
    }
    let mut fields = Fields { http_1_1: request.version == Some(1), ..Fields::default() };
    for header in request.headers.iter() {
        // check_bytes has seen to it that the value is ASCII.
        fields.take(header.name, str::from_utf8(header.value).unwrap_or_default())?;
    }
    let target = origin_form(request.path.unwrap_or_default())?;
    fields.into_head(request.method.unwrap_or_default(), target)
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

/// What httparse would call malformed but HTTP has statuses of their own for.
fn check_request_line(head: &[u8]) -> Result<(), Refusal> {
    let line = &head[..memchr(b'\r', head).unwrap_or(head.len())];
    let mut parts = line.split(|&byte| byte == b' ');
    let (Some(_method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("its first line must be a method, a target and HTTP/1.1"));
    };
    if target.len() > MAX_TARGET_BYTES {
        return Err(target_too_long());
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

/// The target as a path. A proxy's absolute form is understood (RFC 9112, 3.2.2) and loses its scheme and host.
fn origin_form(target: &str) -> Result<String, Refusal> {
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

/// The headers that say something to the gate or the api, as they are met.
#[derive(Default)]
struct Fields {
    http_1_1: bool,
    host: Option<String>,
    content_length: Option<u64>,
    transfer_encoding: bool,
    expect: Option<String>,
    connection: Option<String>,
    /// What is taken as it is.
    head: Head,
}

impl Fields {
    fn take(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match name.to_ascii_lowercase().as_str() {
            "host" => once(&mut self.host, name, value.to_owned()),
            "content-length" => {
                if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(malformed("its Content-Length must be one number in digits"));
                }
                // All digits and yet no u64: more than anyone takes, and refused as such.
                once(&mut self.content_length, name, value.parse().unwrap_or(u64::MAX))
            }
            "transfer-encoding" => {
                self.transfer_encoding = true;
                Ok(())
            }
            "te" | "upgrade" => {
                Err(Refusal::new(400, format!("This server does no {name}: send no such header.")))
            }
            "expect" => once(&mut self.expect, name, value.to_owned()),
            "content-type" => once(&mut self.head.content_type, name, value.to_owned()),
            "authorization" => once(&mut self.head.authorization, name, Secret::new(value)),
            "x-forwarded-for" => list(&mut self.head.forwarded_for, value),
            "connection" => list(&mut self.connection, value),
            "accept" => list(&mut self.head.accept, value),
            "if-none-match" => list(&mut self.head.if_none_match, value),
            _ => Ok(()),
        }
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
            expects_continue: expect.is_some() && content_length > 0,
            close: says_close || !self.http_1_1,
            ..self.head
        })
    }
}

fn length_required() -> Refusal {
    Refusal::new(411, "Send the body with a Content-Length; chunked bodies are not taken.")
}

/// A header that must not be repeated: two could be read in two ways.
fn once<T>(field: &mut Option<T>, name: &str, value: T) -> Result<(), Refusal> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(malformed(&format!("it has more than one {name} header"))),
    }
}

/// A header that is a list: repeating it is the same as one with commas.
fn list(field: &mut Option<String>, value: &str) -> Result<(), Refusal> {
    *field = Some(match field.take() {
        Some(values) => format!("{values}, {value}"),
        None => value.to_owned(),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";

    fn status(head: &str) -> u16 {
        match head_length(head.as_bytes(), 0)
            .and_then(|length| parse(&head.as_bytes()[..length.unwrap_or(0)]))
        {
            Ok(_) => 200,
            Err(refusal) => refusal.status,
        }
    }

    #[test]
    fn a_good_head() {
        let head = parse(
            b"POST /a?b HTTP/1.1\r\nhost: a\r\nContent-Length: 5\r\nExpect: 100-Continue\r\nCookie: secret\r\n\
              Accept: text/html\r\nAccept: application/json\r\nContent-Type: x/y\r\nConnection: x, Close\r\n\
              Authorization: Bearer hush\r\n\r\n",
        );
        let expected = Head {
            method: "POST".into(),
            target: "/a?b".into(),
            content_length: 5,
            expects_continue: true,
            close: true,
            accept: Some("text/html, application/json".into()),
            content_type: Some("x/y".into()),
            authorization: Some(Secret::new("Bearer hush")),
            ..Head::default()
        };
        assert!(!format!("{head:?}").contains("hush"));
        assert_eq!(head, Ok(expected.clone()));
        assert_eq!(expected.path(), "/a");
    }

    #[test]
    fn a_head_that_arrives_in_pieces() {
        for cut in 0..GOOD.len() {
            assert_eq!(head_length(&GOOD.as_bytes()[..cut], 0), Ok(None));
            let whole = [GOOD.as_bytes(), b"body\r\n\r\n"].concat();
            assert_eq!(head_length(&whole, cut), Ok(Some(GOOD.len())), "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_head_is_refused_before_it_ends() {
        for (bytes, seen) in
            [(&b"\x16\x03\x01"[..], 0), (b"GET / HTTP/1.1\n", 0), (b"GET / HTTP/1.1\n", 14), (b"GET \r/", 5)]
        {
            assert_eq!(head_length(bytes, seen).map_err(|refusal| refusal.status), Err(400), "{bytes:?}");
        }
        assert_eq!(head_length(b"GET / HTTP/1.1\r", 3), Ok(None));
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
        assert_eq!(target(MAX_TARGET_BYTES), 200);
        assert_eq!(target(MAX_TARGET_BYTES + 1), 414);
        assert_eq!(target(MAX_HEAD_BYTES), 414);
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
        let huge =
            parse(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n").unwrap();
        assert_eq!(huge.content_length, u64::MAX);
    }

    #[test]
    fn too_many_or_too_large_headers() {
        let headers =
            |n: usize| status(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(n - 1)));
        assert_eq!(headers(MAX_HEADERS), 200);
        assert_eq!(headers(MAX_HEADERS + 1), 431);
        let size = |bytes: usize| {
            let rest = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
            status(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(bytes - rest)))
        };
        assert_eq!(size(MAX_HEAD_BYTES), 200);
        assert_eq!(size(MAX_HEAD_BYTES + 1), 431);
    }

    #[test]
    fn http_1_0_closes_and_ignores_expect() {
        let head = parse(b"POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").unwrap();
        assert!(head.close && !head.expects_continue);
    }

    /// The parser takes every stranger's first bytes. What it accepts must be fit to be written anew, line by line.
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
            let Ok(Some(length)) = head_length(bytes, 0) else { return };
            assert!(length <= MAX_HEAD_BYTES && bytes[..length].ends_with(b"\r\n\r\n"));
            let Ok(head) = parse(&bytes[..length]) else { return };
            assert!(head.target.starts_with('/') && !head.method.is_empty());
            let values = [&head.accept, &head.content_type, &head.if_none_match];
            let written = [&head.method, &head.target].into_iter().chain(values.into_iter().flatten());
            for text in written {
                assert!(text.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')), "{text:?}");
            }
        });
    }
}
