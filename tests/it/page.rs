//! The page at /app, as curl sees it. tests/system/browser/run tries it in a browser.

use crate::curl::curl;
use crate::program::LocalServer;

/// The page's files and their types.
const FILES: [(&str, &str); 4] = [
    ("/app", "text/html; charset=utf-8"),
    ("/app.css", "text/css; charset=utf-8"),
    ("/app.js", "text/javascript; charset=utf-8"),
    ("/app.svg", "image/svg+xml"),
];

#[test]
fn a_page_can_do_what_it_needs_and_no_more() {
    let server = LocalServer::start_with(&[("PUBLIC_URL", "https://images.example.com/x")]);
    for (path, content_type) in FILES {
        let got = curl(&[&format!("{}{path}", server.url)]);
        assert_eq!((got.status, got.header("Content-Type")), (200, Some(content_type)), "{path}");
        assert_eq!(
            got.header("Content-Security-Policy"),
            Some(
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                 img-src 'self' blob: https://images.example.com; \
                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
        );
        assert_eq!(got.header("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(got.header("Referrer-Policy"), Some("no-referrer"));
    }
}

#[test]
fn it_is_asked_for_again_and_sent_once() {
    let server = LocalServer::start();
    for (path, _) in FILES {
        let url = format!("{}{path}", server.url);
        let got = curl(&[&url]);
        assert_eq!(got.header("Cache-Control"), Some("no-cache"));
        let etag = got.header("ETag").expect("an ETag");
        let again = curl(&["-H", &format!("If-None-Match: {etag}"), &url]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert!(again.header("Content-Security-Policy").is_some(), "PUBLIC_URL may be another now");
        let head = curl(&["--head", &format!("{url}?from=mail")]);
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("Content-Length"), Some(got.body.len().to_string().as_str()));
    }
}

#[test]
fn it_is_only_read() {
    let server = LocalServer::start();
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let reply = curl(&["-X", method, "-H", "Content-Length: 0", &format!("{}/app", server.url)]);
        assert_eq!((reply.status, reply.header("Allow")), (405, Some("GET, HEAD")), "{method}");
    }
    for path in ["/app/", "/app.html", "/App", "/page.js"] {
        assert_eq!(curl(&[&format!("{}{path}", server.url)]).status, 404, "{path}");
    }
}

#[test]
fn whoever_looks_for_it_is_told_where_it_is() {
    let server = LocalServer::start();
    server.program.line_with(&["serving", &format!("page={}/app", server.url)]);
    let reply = curl(&[&server.url]);
    assert_eq!(reply.status, 405);
    assert!(reply.error().ends_with("The page to share from is at /app."), "{reply:?}");
}

#[test]
fn it_can_be_switched_off() {
    let server = LocalServer::start_with(&[("PAGE", "off")]);
    for (path, _) in FILES {
        assert_eq!(curl(&[&format!("{}{path}", server.url)]).status, 404, "{path}");
    }
    assert!(!curl(&[&server.url]).error().contains("/app"));
    assert!(!server.program.line_with(&["serving"]).contains("page="));
}
