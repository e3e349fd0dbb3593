//! The socket between the gate and tiny_http: any `TMPDIR` will do, and a server without its socket ends to be started again.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;

use crate::curl::{curl, upload};
use crate::pictures::jpeg_of_bytes;
use crate::program::{LocalServer, tempdir::TempDir};

/// Missing, below a file, not to be written to, and too long for a socket's path.
#[test]
fn any_tmpdir_will_do() {
    let scratch = TempDir::new();
    let at = |name: &str| scratch.path().join(name);
    fs::write(at("file"), "").unwrap();
    DirBuilder::new().mode(0o555).create(at("read_only")).unwrap();
    let long = at(&"x".repeat(90));
    fs::create_dir(&long).unwrap();
    for place in [at("missing"), at("file/below"), at("read_only"), long] {
        let mut server = LocalServer::start_with(&[("TMPDIR", place.to_str().unwrap())]);
        assert_eq!(curl(&[&format!("{}/healthz", server.url)]).status, 200, "{}", place.display());
        server.program.terminate();
        assert!(server.program.exit().success());
        if place.is_dir() {
            assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "nothing stays in {}", place.display());
        }
    }
}

#[test]
fn a_server_that_lost_its_socket_ends() {
    // The tests' own directories have paths that are too long for a socket.
    let place = std::env::temp_dir().join(format!("lost-{}", std::process::id()));
    let mut server = LocalServer::start_with(&[("TMPDIR", place.to_str().unwrap())]);
    fs::remove_dir_all(place).unwrap();
    // The client is told, or the process has ended before it could be.
    let answer =
        std::process::Command::new("curl").args(["-s", &format!("{}/healthz", server.url)]).output().unwrap();
    assert!(!answer.status.success() || answer.stdout.starts_with(b"{\"error\":"), "{answer:?}");
    assert_eq!(server.program.exit().code(), Some(1));
    server.program.line_with(&["error ended", "the private socket is closed"]);
}

/// The gate writes the body before it reads the answer, and a socket holds neither: the server must not write first.
#[test]
fn a_long_body_does_not_stop_a_long_answer() {
    let server = LocalServer::start();
    let image = jpeg_of_bytes(1_000_000);
    let urls = upload(&server.url, &image).urls();
    let scratch = TempDir::new();
    let body = scratch.path().join("body");
    fs::write(&body, &image).unwrap();
    let reply = curl(&["-X", "GET", "--data-binary", &format!("@{}", body.display()), &urls.original]);
    assert_eq!(reply.status, 200);
    assert!(reply.body == image);
}
