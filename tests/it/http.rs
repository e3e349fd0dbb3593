//! Every row of the contract's table, by curl, against the real server.

use std::fs;

use image::ImageFormat;

use crate::curl::{Reply, curl, upload, upload_accepting, upload_with};
use crate::pictures::{self, jpeg_of_bytes};
use crate::program::{LocalServer, tempdir::TempDir};
use crate::raw::Client;
use crate::thumbnails::all_answer;

const MIB: usize = 1_048_576;

/// A POST with this multipart body, which curl would not make by itself.
fn post_multipart(server: &LocalServer, content_type: &str, body: &[u8], arguments: &[&str]) -> Reply {
    let directory = TempDir::new();
    let path = directory.path().join("body");
    fs::write(&path, body).unwrap();
    let data = format!("@{}", path.display());
    let content_type = format!("Content-Type: {content_type}");
    let mut all = vec!["--data-binary", &data, "-H", &content_type, "-H", "Accept: application/json"];
    all.extend(arguments);
    all.push(&server.url);
    curl(&all)
}

fn refused(reply: &Reply, status: u16, hint: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    let error = reply.error();
    assert!(error.contains(hint), "{hint:?} is not in {error:?}");
}

#[test]
fn row_202() {
    let server = LocalServer::start();
    let urls = upload(&server.url, &pictures::jpeg(64, 64)).urls();
    let names =
        [&urls.original, &urls.small, &urls.medium, &urls.large].map(|url| url.rsplit('/').next().unwrap());
    assert_eq!(names, ["original.jpg", "small.jpg", "medium.jpg", "large.jpg"]);
    assert!(urls.original.starts_with(&server.url));
    assert_eq!(
        urls.original.len(),
        server.url.len() + "/0123456789abcdef0123456789abcdef/original.jpg".len()
    );
}

#[test]
fn the_answer_reads_in_order() {
    let server = LocalServer::start();
    let reply = upload(&server.url, &pictures::jpeg(64, 64));
    let text = String::from_utf8(reply.body).unwrap();
    let at = ["original", "small", "medium", "large"].map(|name| text.find(&format!("\"{name}\":")).unwrap());
    assert!(at.is_sorted(), "{text}");
}

#[test]
fn row_405() {
    let server = LocalServer::start();
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let reply = curl(&["-X", method, &server.url]);
        refused(&reply, 405, "POST");
        assert_eq!(reply.header("Allow"), Some("POST"));
    }
    let reply = curl(&["--head", &server.url]);
    assert_eq!((reply.status, reply.header("Allow")), (405, Some("POST")));
}

const TOKEN: &str = "correct-horse-battery-staple";

#[test]
fn row_401() {
    let server = LocalServer::start_with(&[("UPLOAD_TOKEN", TOKEN), ("LOG", "debug")]);
    let image = pictures::jpeg(64, 64);
    let bearing = |header: &str| upload_with(&server.url, &image, &["-H", header]);
    for scheme in ["Bearer", "bearer"] {
        assert_eq!(bearing(&format!("Authorization: {scheme} {TOKEN}")).status, 202, "{scheme}");
    }
    let (short, other) = (&TOKEN[1..], TOKEN.replace('h', "x"));
    for given in [
        "",
        "Bearer",
        &format!("Basic {TOKEN}"),
        TOKEN,
        &format!("Bearer {short}"),
        &format!("Bearer {other}"),
    ] {
        let reply = bearing(&format!("Authorization: {given}"));
        refused(&reply, 401, "Authorization: Bearer TOKEN");
        assert_eq!(reply.header("WWW-Authenticate"), Some("Bearer"), "{given}");
    }
    let header = format!("Authorization: Bearer {TOKEN}");
    let twice = upload_with(&server.url, &image, &["-H", &header, "-H", &header.replace("Auth", "auth")]);
    refused(&twice, 400, "more than one");
    assert_eq!(curl(&["-X", "POST", "-H", "Content-Length: 0", &server.url]).status, 401, "without a body");
    // The door is closed for uploads only.
    let last = bearing(&header);
    let urls = last.urls();
    assert_eq!(curl(&[&urls.original]).status, 200);
    assert_eq!(curl(&[&format!("{}/healthz", server.url)]).status, 200);
    server.program.line_with(&["info upload", last.header("X-Request-Id").expect("a request id")]);
    let told =
        server.program.lines_with(&["horse"]).into_iter().chain(server.program.lines_with(&["Bearer x"]));
    assert_eq!(told.count(), 0, "no token is logged");
}

/// A client that may not upload gets its answer before the server takes the body.
#[test]
fn row_401_comes_before_the_body() {
    let server = LocalServer::start_with(&[("UPLOAD_TOKEN", TOKEN)]);
    let mut client = Client::connect(&server.address);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n");
    assert_eq!(client.status(), 401);
}

#[test]
fn row_406() {
    let server = LocalServer::start();
    let image = pictures::jpeg(64, 64);
    let accepting = |accept: &str| upload_accepting(&server.url, &image, accept, &[]);
    for accept in ["*/*", "text/html", "application/*", "application/json;q=0"] {
        refused(&accepting(&format!("Accept: {accept}")), 406, "Accept: application/json");
    }
    for accept in ["application/json, text/plain, */*", "application/json;q=0.1", "Application/JSON"] {
        assert_eq!(accepting(&format!("Accept: {accept}")).status, 202, "{accept}");
    }
    assert_eq!(accepting("Accept:").status, 202, "no Accept at all");
    assert_eq!(accepting("Accept;").status, 202, "an empty Accept");
}

#[test]
fn row_413() {
    let server = LocalServer::start();
    for expect in ["Expect: 100-continue", "Expect:"] {
        let arguments = ["-H", expect];
        assert_eq!(upload_with(&server.url, &jpeg_of_bytes(MIB), &arguments).status, 202, "exactly 1 MiB");
        refused(&upload_with(&server.url, &jpeg_of_bytes(MIB + 1), &arguments), 413, "1048576");
        // curl may be slow on a busy machine, and the server waits for 2 s: eight of them are sent below.
        refused(&upload_with(&server.url, &vec![0; 4_000_000], &arguments), 413, "1048576");
    }
    let image = jpeg_of_bytes(MIB);
    let other = |bytes: usize| "x".repeat(bytes);
    let with_field = |bytes: usize| {
        let field = format!("caption={}", other(bytes));
        upload_with(&server.url, &image, &["-F", &field]).status
    };
    assert_eq!((with_field(65_536), with_field(65_537)), (202, 413));
}

#[test]
fn row_413_does_not_read_an_absurd_body() {
    let server = LocalServer::start();
    let mut client = Client::connect(&server.address);
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nContent-Length: 100000000000000\r\n\r\n",
    );
    assert_eq!(client.status(), 413);
}

/// Many clients look for an answer only when they have sent everything. The body is made before the first byte is sent, because
/// the server reads on for only 2 s after its answer.
#[test]
fn row_413_is_seen_by_who_sends_all_before_reading() {
    let server = LocalServer::start();
    let mut client = Client::connect(&server.address);
    let length = 8_000_000;
    let head =
        format!("POST / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nContent-Length: {length}\r\n\r\n");
    client.send_bytes(&[head.as_bytes(), &vec![0; length]].concat());
    assert_eq!(client.status(), 413);
}

#[test]
fn rows_411_414_417_431_505() {
    let server = LocalServer::start();
    refused(&upload_with(&server.url, b"x", &["-H", "Transfer-Encoding: chunked"]), 411, "Content-Length");
    refused(&curl(&[&format!("{}/{}", server.url, "a".repeat(9000))]), 414, "8192");
    refused(&upload_with(&server.url, b"x", &["-H", "Expect: miracles"]), 417, "100-continue");
    let cookie = format!("Cookie: {}", "a".repeat(17_000));
    refused(&curl(&["-H", &cookie, &server.url]), 431, "16384");
    let many: Vec<String> = (0..70).map(|n| format!("X-{n}: y")).collect();
    let arguments: Vec<&str> =
        many.iter().flat_map(|header| ["-H", header]).chain([server.url.as_str()]).collect();
    refused(&curl(&arguments), 431, "64");
    let mut client = Client::connect(&server.address);
    client.send("GET / HTTP/2.0\r\nHost: a\r\n\r\n");
    assert_eq!(client.status(), 505);
}

#[test]
fn row_408() {
    let server = LocalServer::start();
    let mut slow_head = Client::connect(&server.address);
    slow_head.send("POST / HTTP/1.1\r\nHost: a\r\n");
    let mut slow_body = Client::connect(&server.address);
    slow_body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    let mut silent = Client::connect(&server.address);
    for mut client in [slow_head.take(), slow_body.take(), silent.take()] {
        let answer = client.answer();
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("Connection: close"), "{answer}");
    }
}

#[test]
fn row_400_multipart() {
    let server = LocalServer::start();
    let jpeg = pictures::jpeg(64, 64);
    refused(
        &curl(&["-d", "image=x", "-H", "Accept: application/json", &server.url]),
        400,
        "multipart/form-data",
    );
    refused(&curl(&["-F", "picture=x", "-H", "Accept: application/json", &server.url]), 400, "named image");
    refused(&upload(&server.url, b""), 400, "empty");
    refused(&upload_with(&server.url, &jpeg, &["-F", "image=second"]), 400, "one picture");
    let body = b"--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nx\r\n";
    refused(&post_multipart(&server, "multipart/form-data; boundary=b", body, &[]), 400, "closing boundary");
}

#[test]
fn row_400_pictures() {
    let server = LocalServer::start();
    let jpeg = pictures::jpeg(64, 64);
    for bytes in
        [&b"plain text"[..], b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", b"BM\x00\x00", b"\xff\xd8\xff"]
    {
        assert_eq!(upload(&server.url, bytes).status, 400, "{bytes:?}");
    }
    assert_eq!(upload_with(&server.url, b"text", &["-F", "other=x;type=image/png"]).status, 400);
    refused(&upload(&server.url, &jpeg[..jpeg.len() / 2]), 400, "end");
    let samples = [ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP].map(pictures::opaque);
    for sample in samples {
        assert_eq!(upload(&server.url, &sample[..sample.len() - 20]).status, 400, "cut short");
    }
    let mut png = pictures::opaque(ImageFormat::Png);
    let middle = png.len() / 2;
    png[middle] ^= 1;
    refused(&upload(&server.url, &png), 400, "checksum");
}

#[test]
fn row_400_too_many_pixels() {
    let server = LocalServer::start_with(&[("MAX_PIXELS", "10000")]);
    assert_eq!(upload(&server.url, &pictures::jpeg(100, 100)).status, 202);
    refused(&upload(&server.url, &pictures::jpeg(100, 101)), 400, "10000");
}

#[test]
fn row_503() {
    let server = LocalServer::start();
    let picture = pictures::jpeg(64, 64);
    let urls = upload(&server.url, &picture).urls();
    all_answer(&urls, &picture, "jpg"); // or its job would still put something there
    fs::remove_dir_all(server.directory()).unwrap();
    let reply = upload(&server.url, &picture);
    refused(&reply, 503, reply.header("X-Request-Id").expect("a request id"));
    assert!(reply.header("Retry-After").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
    assert!(!server.directory().exists(), "nothing half-done is left");
    assert_eq!(curl(&[&urls.original]).status, 404);
}

#[test]
fn rows_are_checked_in_order() {
    let server = LocalServer::start();
    let large = vec![0; 3_000_000];
    assert_eq!(upload_accepting(&server.url, &large, "Accept: text/html", &["-X", "PUT"]).status, 405);
    assert_eq!(upload_accepting(&server.url, &large, "Accept: text/html", &[]).status, 406);
    let closed = LocalServer::start_with(&[("UPLOAD_TOKEN", TOKEN)]);
    assert_eq!(upload_accepting(&closed.url, &large, "Accept: text/html", &["-X", "PUT"]).status, 405);
    assert_eq!(upload_accepting(&closed.url, &large, "Accept: text/html", &[]).status, 401);
    assert_eq!(post_multipart(&server, "text/plain", &large, &[]).status, 413);
    assert_eq!(post_multipart(&server, "text/plain", b"x", &[]).status, 400);
    // Framing is the gate's, and comes before all of them.
    assert_eq!(
        upload_with(&server.url, b"x", &["-X", "PUT", "-H", "Transfer-Encoding: chunked"]).status,
        411
    );
}

#[test]
fn other_paths() {
    let server = LocalServer::start();
    assert_eq!(curl(&[&format!("{}/healthz", server.url)]).status, 200);
    let reply = curl(&["-X", "POST", "-H", "Content-Length: 0", &format!("{}/healthz", server.url)]);
    refused(&reply, 405, "GET");
    assert_eq!(reply.header("Allow"), Some("GET, HEAD"));
    for path in
        ["/favicon.ico", "/healthz/", "//", "/../etc/passwd", "/0123456789abcdef0123456789abcdef/huge.jpg"]
    {
        refused(&curl(&["--path-as-is", &format!("{}{path}", server.url)]), 404, "POST an image");
    }
    refused(
        &curl(&[&format!("{}/0123456789abcdef0123456789abcdef/small.jpg", server.url)]),
        404,
        "no such image",
    );
}

/// So that load spreads over servers.
#[test]
fn a_connection_ends_after_many_requests() {
    let server = LocalServer::start();
    let mut client = Client::connect(&server.address);
    for number in 1..=1000 {
        client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.status(), 200, "{number}");
    }
    assert!(client.is_closed());
}

/// What an existing client sends, byte for byte.
#[test]
fn the_existing_client() {
    let server = LocalServer::start();
    let jpeg = pictures::jpeg(64, 64);
    let part = format!(
        "--quoted\r\nContent-Type: image/jpeg\r\nContent-Disposition: form-data; name=\"image\"; filename=\"cat.jpg\"\r\n\
         Content-Transfer-Encoding: binary\r\nContent-Length: {}\r\n\r\n",
        jpeg.len()
    );
    let body = [part.as_bytes(), &jpeg, b"\r\n--quoted--\r\n"].concat();
    let mut client = Client::connect(&server.address);
    client.send(&format!(
        "POST / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=\"quoted\"\r\nContent-Length: {}\r\n\
         Host: a\r\nConnection: Keep-Alive\r\nUser-Agent: Apache-HttpClient/4.5.13 (Java/17)\r\n\r\n",
        body.len()
    ));
    client.send_bytes(&body);
    assert_eq!(client.status(), 202);
}

#[test]
fn names_and_declared_types_are_not_believed() {
    let server = LocalServer::start();
    let directory = TempDir::new();
    let path = directory.path().join("x");
    fs::write(&path, pictures::opaque(ImageFormat::Png)).unwrap();
    let field = format!("image=@{};type=image/jpeg;filename=\"../../a\\\"b;c.jpg\"", path.display());
    let reply = curl(&["-F", &field, "-H", "Accept: application/json", &server.url]);
    assert!(reply.urls().original.ends_with("/original.png"));
}

#[test]
fn connections_are_kept_alive() {
    let server = LocalServer::start();
    let mut client = Client::connect(&server.address);
    for _ in 0..3 {
        client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.status(), 200);
    }
    client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!((client.status(), client.status()), (200, 404), "pipelined");
    assert!(client.is_closed());
    for request in
        ["GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /healthz HTTP/1.0\r\n\r\n"]
    {
        let mut client = Client::connect(&server.address);
        client.send(request);
        let answer = client.answer();
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\nConnection: close\r\n"),
            "{answer}"
        );
    }
}
