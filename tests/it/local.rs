//! The whole pipeline on one machine, by the real program and curl.

use std::fs;

use image::ImageFormat;
use image_sharer::domain::size::Size;
use image_sharer::local::LocalQueue;

use crate::audit::Audit;
use crate::curl::{Reply, curl, upload};
use crate::heartbeat::keeps_invisible;
use crate::pictures::{self, look};
use crate::program::{LocalServer, run, wait_until};
use crate::raw::Client;
use crate::thumbnails::all_answer;

#[test]
fn every_format() {
    let server = LocalServer::start();
    let samples = [
        (pictures::jpeg(800, 500), "jpg", "jpg"),
        (pictures::jpeg(1, 1), "jpg", "jpg"),
        (pictures::opaque(ImageFormat::Png), "png", "jpg"),
        (pictures::opaque(ImageFormat::WebP), "webp", "jpg"),
        (pictures::transparent(ImageFormat::Png), "png", "png"),
        (pictures::transparent(ImageFormat::WebP), "webp", "png"),
        (pictures::transparent(ImageFormat::Gif), "gif", "png"),
        (pictures::undecodable_png(), "png", "jpg"),
    ];
    for (picture, original, thumbnails) in samples {
        let urls = upload(&server.url, &picture).urls();
        assert!(urls.original.ends_with(original), "{urls:?}");
        all_answer(&urls, &picture, thumbnails);
    }
    assert_eq!(server.program.count_lines_with(&["job", "outcome=broken"]), 1);
}

#[test]
fn objects_are_served_as_immutable() {
    let server = LocalServer::start();
    let picture = pictures::jpeg(300, 300);
    let urls = upload(&server.url, &picture).urls();
    all_answer(&urls, &picture, "jpg");

    let got = curl(&[&urls.large]);
    assert_eq!(got.header("Content-Length"), Some(got.body.len().to_string().as_str()));
    assert_eq!(got.header("Cache-Control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(got.header("X-Content-Type-Options"), Some("nosniff"));
    let etag = got.header("ETag").expect("an ETag").to_owned();

    let head = curl(&["--head", &urls.large]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["Content-Length", "Content-Type", "ETag", "Cache-Control"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    let unchanged = curl(&["-H", &format!("If-None-Match: \"x\", W/{etag}"), &urls.large]);
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    assert_eq!(unchanged.header("ETag"), Some(etag.as_str()));
    assert_eq!(
        unchanged.header("Content-Length"),
        got.header("Content-Length"),
        "if it is said, it is that of the 200"
    );
    assert_eq!(curl(&["-H", "If-None-Match: \"x\"", &urls.large]).status, 200);
    let other_format = curl(&[&urls.large.replace(".jpg", ".png")]);
    assert_eq!(
        (other_format.status, other_format.header("Retry-After")),
        (404, None),
        "there will never be one"
    );
    let posted = curl(&["-X", "DELETE", &urls.large]);
    assert_eq!((posted.status, posted.header("Allow")), (405, Some("GET, HEAD")));
}

#[test]
fn settings_of_the_thumbnails() {
    let server =
        LocalServer::start_with(&[("THUMBNAIL_FIT", "contain"), ("PUBLIC_URL", "https://i.example.com/x/")]);
    let urls = upload(&server.url, &pictures::jpeg(800, 400)).urls();
    let path = urls.large.strip_prefix("https://i.example.com/x/").expect(&urls.large);
    let url = format!("{}/{path}", server.url);
    let reply = wait_until(&url, || Some(curl(&[&url])).filter(|reply| reply.status == 200));
    assert_eq!(look(&reply.body), ("jpg", 600, 300));
}

/// Nothing that was answered 202 is lost, however often the server is killed.
#[test]
fn sigkill_loses_nothing() {
    let mut server = LocalServer::start();
    let audit = Audit::default();
    for round in 0..4 {
        let picture = pictures::jpeg(900 + round, 700).into();
        let replies: Vec<Reply> = (0..3).map(|_| audit.upload(&server.url, &picture)).collect();
        server.program.kill();
        let half_made = server.directory().join(replies[0].urls().small.rsplit('/').nth(1).unwrap());
        let _ = fs::remove_file(half_made.join("medium.jpg")); // as if killed between two thumbnails
        server = server.restart();
    }
    assert_eq!(audit.nothing_is_lost_at(&server.url), 12);
    let left = fs::read_dir(server.directory().join(".tmp")).unwrap().count();
    assert_eq!(left, 0, "no temporary file is left");
}

#[test]
fn what_is_no_image_is_left_alone() {
    let mut server = LocalServer::start();
    server.program.kill();
    let id = "0123456789abcdef0123456789abcdef";
    for name in [id, "not-an-id"] {
        fs::create_dir(server.directory().join(name)).unwrap();
        fs::write(server.directory().join(name).join("original.jpg"), b"no picture").unwrap();
    }
    fs::write(server.directory().join("file"), b"x").unwrap();
    let server = server.restart();
    assert_eq!(curl(&[&format!("{}/healthz", server.url)]).status, 200);
    assert_eq!(curl(&[&format!("{}/{id}/small.jpg", server.url)]).status, 404);
}

#[test]
fn sigterm_drains() {
    let mut server = LocalServer::start();
    let mut idle = Client::connect(&server.address);
    idle.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.status(), 200);

    let jpeg = pictures::jpeg(64, 64);
    let start = "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n";
    let body = [start.as_bytes(), &jpeg, b"\r\n--b--\r\n"].concat();
    let mut slow = Client::connect(&server.address);
    slow.send(&format!(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    ));
    assert_eq!(slow.status(), 100, "the upload is in hand");

    server.program.terminate();
    server.program.line_with(&["draining"]);
    wait_until("the public socket is closed", || {
        std::net::TcpStream::connect(&server.address).is_err().then_some(())
    });
    idle.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.status(), 503);
    assert!(server.program.is_running());

    slow.send_bytes(&body);
    assert_eq!(slow.status(), 202);
    assert!(server.program.exit().success());
    server.program.line_with(&["stopped finished=true"]);
    let originals =
        fs::read_dir(server.directory()).unwrap().flatten().filter(|e| e.file_name().len() == 32).count();
    assert_eq!(originals, 1);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = LocalServer::start();
    let mut slow = Client::connect(&server.address);
    slow.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    assert_eq!(slow.status(), 100);
    server.program.terminate();
    server.program.line_with(&["draining"]);
    server.program.terminate();
    assert_eq!(server.program.exit().code(), Some(130));
}

#[test]
fn two_servers_do_not_share_a_directory() {
    let server = LocalServer::start();
    let path = server.directory().to_str().unwrap();
    let output = run("server", &["--local", path], &[("LISTEN".into(), "127.0.0.1:0".into())]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("another server"), "{error}");
}

#[test]
fn a_wrong_setting_stops_the_program() {
    let cases = [
        (
            "server",
            vec!["--local", "unused"],
            ("MAX_PIXELS", "many"),
            "MAX_PIXELS is \"many\": it must be a whole number",
        ),
        (
            "server",
            vec!["--local", "unused"],
            ("LISTEN", "8080"),
            "LISTEN is \"8080\": it must be an address and a port",
        ),
        (
            "server",
            vec![],
            ("UPLOAD_TOKEN", "hush"),
            "UPLOAD_TOKEN is set to something else: it must be 16 to 256",
        ),
        ("server", vec![], ("LOG", "info"), "PUBLIC_URL is not set: it must be"),
        ("server", vec![], ("PUBLIC_URL", "https://a"), "IMAGES_BUCKET is not set: it must be"),
        ("worker", vec![], ("IMAGES_BUCKET", "abc"), "JOBS_QUEUE_URL is not set: it must be"),
        ("worker", vec![], ("WORKER_JOBS", "0"), "WORKER_JOBS is \"0\": it must be"),
    ];
    for (program, arguments, (variable, value), expected) in cases {
        let output = run(program, &arguments, &[(variable.into(), value.into())]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(expected) && !error.contains("hush"), "{error}");
    }
    assert!(!std::path::Path::new("unused").exists());
}

#[test]
fn what_cannot_serve_ends_and_says_why() {
    let (mut server, _directory) = LocalServer::start_in_shell("ulimit -n 400");
    assert_eq!(server.exit().code(), Some(1));
    server.line_with(&["the limit of 400 open files is too low"]);
}

/// An upload that was accepted is finished, whatever the limit is after a restart.
#[test]
fn a_lower_limit_strands_nothing() {
    let mut server = LocalServer::start();
    let picture = pictures::jpeg(200, 200);
    let id = upload(&server.url, &picture).urls().small.rsplit('/').nth(1).unwrap().to_owned();
    let small = server.directory().join(&id).join("small.jpg");
    wait_until("the thumbnail", || small.exists().then_some(()));
    server.program.kill();
    fs::remove_file(&small).unwrap();
    let server = server.restart_with(&[("MAX_PIXELS", "100")]);
    let url = format!("{}/{id}/small.jpg", server.url);
    let reply = wait_until(&url, || Some(curl(&[&url])).filter(|reply| reply.status == 200));
    assert_eq!(look(&reply.body), ("jpg", 100, 100));
}

#[test]
fn help_version_and_unknown_flags() {
    for program in ["server", "worker"] {
        let help = run(program, &["--help"], &[]);
        let text = String::from_utf8_lossy(&help.stdout);
        assert!(help.status.success() && text.contains("IMAGES_BUCKET"));
        let fits = text.lines().count() <= 40 && text.lines().all(|line| line.chars().count() <= 80);
        assert!(fits, "on a screen: {text}");
        let version = run(program, &["--version"], &[]);
        assert_eq!(
            String::from_utf8_lossy(&version.stdout),
            format!("{program} {}\n", env!("CARGO_PKG_VERSION"))
        );
        let unknown = run(program, &["--locale"], &[]);
        assert_eq!(unknown.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&unknown.stderr).contains("--locale"));
    }
}

#[test]
fn sizes_are_those_of_the_contract() {
    assert_eq!(Size::ALL.map(Size::pixels), [100, 300, 600]);
}

#[test]
fn a_heartbeat_keeps_a_message_invisible_on_one_machine() {
    keeps_invisible(&LocalQueue::default());
}
