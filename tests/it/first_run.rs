//! The first start. If something is wrong, the error says what to do; if nothing is, the server says what to type.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::program::{run, said, tempdir::TempDir};

/// The three lines on standard output, of which the second can be pasted.
#[test]
fn a_local_server_says_how_to_use_it() {
    let directory = TempDir::new();
    let mut server = Command::new(env!("CARGO_BIN_EXE_server"));
    server.arg("--local").arg(directory.path()).env_clear().stdout(Stdio::piped()).stderr(Stdio::null());
    server.envs([("LISTEN", "127.0.0.1:0"), ("UPLOAD_TOKEN", "0123456789abcdef")]);
    let mut server = server.spawn().unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines().take(3);
    let lines: Vec<String> = lines.map(|line| line.unwrap()).collect();
    let upload = lines[1].replace("cat.jpg", concat!(env!("CARGO_MANIFEST_DIR"), "/docs/page.png"));
    let answer = Command::new("sh").args(["-c", &upload]).env("UPLOAD_TOKEN", "0123456789abcdef").output();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(lines[0].contains(directory.path().to_str().unwrap()), "{lines:?}");
    assert!(lines[2].contains("http://127.0.0.1:") && lines[2].ends_with("/app"), "{lines:?}");
    let answer = answer.unwrap();
    assert!(said(&answer).contains("\"small\":"), "{}", said(&answer));
}

#[test]
fn where_it_cannot_listen_or_keep_anything() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let directory = TempDir::new();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    for (listen, path, advice) in [
        (
            taken.as_str(),
            directory.path(),
            "another program listens there: stop it, or set LISTEN to another port",
        ),
        ("192.0.2.1:8080", directory.path(), "it must be an address of this machine"),
        ("127.0.0.1:0", &file, "choose a directory that this user may write to"),
    ] {
        let output = run("server", &["--local", path.to_str().unwrap()], &[("LISTEN".into(), listen.into())]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(advice), "{}", said(&output));
    }
}
