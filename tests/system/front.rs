//! The proxy that docs/OPERATIONS.md puts in front of the service without AWS, with the configuration that is written there.

use std::fs;

use image_sharer::domain::format::MAX_IMAGE_BYTES;

use crate::curl::{curl, upload, upload_with};
use crate::nginx::Nginx;
use crate::pictures::{self, look};
use crate::program::{LocalServer, free_port, wait_until};

/// The document's configuration, with the names of a test's in place of its own.
fn configuration(server: &str) -> String {
    let paper = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md")).unwrap();
    let (_, from) = paper.split_once("```nginx\n").expect("a configuration");
    let (configuration, _) = from.split_once("```").expect("its end");
    let mut configuration = configuration.to_owned();
    for (theirs, ours) in [
        ("/var/cache/nginx/images", "DIRECTORY/cache"),
        ("listen 80", "listen 127.0.0.1:PORT"),
        ("server.internal:8080", server),
        ("garage.internal:3902", server), // which serves the objects itself
    ] {
        assert!(configuration.contains(theirs), "{theirs}");
        configuration = configuration.replace(theirs, ours);
    }
    configuration
}

#[test]
fn the_documented_proxy_lets_through_what_the_server_takes() {
    let address = format!("127.0.0.1:{}", free_port());
    let nginx = Nginx::start(&configuration(&address));
    let [uploads, images] = ["share", "images"].map(|name| format!("{name}.example.com:{}", nginx.port));
    let server = LocalServer::start_with(&[
        ("LISTEN", &address),
        ("PUBLIC_URL", &format!("http://{images}")),
        ("TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    let [to_uploads, to_images] = [&uploads, &images].map(|host| format!("Host: {host}"));
    let front = format!("http://127.0.0.1:{}", nginx.port);
    let send = |picture: &[u8], headers: &[&str]| {
        let mut arguments = vec!["-H", &to_uploads];
        arguments.extend(headers);
        upload_with(&front, picture, &arguments)
    };

    // As large as may be, and larger: the server's own sentence.
    let mut picture = pictures::jpeg(800, 600);
    picture.resize(MAX_IMAGE_BYTES, 0);
    let urls = send(&picture, &[]).urls();
    for bytes in [MAX_IMAGE_BYTES + 1, 8 << 20] {
        picture.resize(bytes, 0);
        let reply = send(&picture, &[]);
        assert_eq!(reply.status, 413);
        assert!(reply.error().contains("smaller"), "{reply:?}");
    }

    // Viewers come through the cache, to the URLs of the 202.
    assert!(urls.small.starts_with(&format!("http://{images}/")), "{urls:?}");
    let path = urls.small.trim_start_matches(&format!("http://{images}"));
    let seen = wait_until("the thumbnail is seen", || {
        let reply = curl(&["-H", &to_images, &format!("{front}{path}")]);
        (reply.status == 200).then_some(reply.body)
    });
    assert_eq!(look(&seen), ("jpg", 100, 100));

    // The server sees who the client is, and not who it says that it is.
    let small = pictures::jpeg(80, 60);
    send(&small, &["-H", "X-Forwarded-For: 203.0.113.7", "--interface", "127.0.0.9"]).urls();
    server.program.line_with(&["info upload ", "peer=127.0.0.1:", "client=127.0.0.9 "]);

    let page = curl(&["-H", &to_uploads, &format!("{front}/app")]);
    assert_eq!(page.status, 200);
    assert!(page.header("Content-Security-Policy").is_some_and(|policy| policy.contains(&images)));
    assert_eq!(upload(&server.url, &small).status, 202, "and without the proxy as before");
}
