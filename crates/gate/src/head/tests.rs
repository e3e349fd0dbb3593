//! What is a head and what is none.

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
    let head = RULES.parse(b"POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").unwrap();
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
