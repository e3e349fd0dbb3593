//! The server without the gate: it checks everything itself. And how it ends when it cannot go on.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::domain::image_id::ImageId;
use crate::local::{LocalQueue, LocalStore};
use crate::support::secret::Secret;
use limits::MAX_BODY_BYTES;

/// A server on a directory of its own, with a token.
struct Running {
    server: Server,
    shutdown: Shutdown,
    directory: PathBuf,
}

impl Running {
    fn start() -> Running {
        let directory = std::env::temp_dir().join(format!("server-{}", ImageId::random().unwrap()));
        let api = Api {
            store: Arc::new(LocalStore::open(&directory).unwrap()),
            queue: Arc::new(LocalQueue::default()),
            public_url: "http://images.example".into(),
            max_pixels: 1000,
            upload_token: Some(Secret::new("0123456789abcdef")),
            serves_objects: true,
            page: None,
            metrics: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shutdown = Shutdown::default();
        let places = [std::env::temp_dir()];
        let server = Server::start(listener, Networks::default(), &places, api, &shutdown).unwrap();
        Running { server, shutdown, directory }
    }

    fn ask_directly(&self, request: &[u8]) -> String {
        ask(UnixStream::connect(self.server.socket_directory.path()).unwrap(), request)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn ask(mut stream: impl Read + Write, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A GIF of one pixel.
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\xff\0\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

const TOKEN: &str = "Authorization: Bearer 0123456789abcdef\r\n";

fn upload(headers: &str, image: &[u8]) -> Vec<u8> {
    let part = "--b\r\nContent-Disposition: form-data; name=image; filename=a\r\n\r\n";
    let body = [part.as_bytes(), image, b"\r\n--b--\r\n"].concat();
    let length = body.len();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: 0123\r\n{headers}\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), &body].concat()
}

#[test]
fn the_server_checks_everything_itself() {
    let running = Running::start();
    let line = |line: &str| format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").into_bytes();
    let no_length = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{TOKEN}\r\n");
    let announced = MAX_BODY_BYTES + 1;
    let too_long = format!(
        "{}Content-Length: {announced}\r\n\r\n",
        no_length.trim_end_matches("\r\n").to_owned() + "\r\n"
    );
    let too_long = [too_long.into_bytes(), vec![0; announced]].concat();
    let large = [GIF, &[0; 1_048_576]].concat();
    for (request, expected) in [
        (line("GET /nothing"), 404),
        (line("GET /"), 405),
        (line("POST /healthz"), 405),
        (line("GET /healthz"), 200),
        (upload("", GIF), 401),
        (upload("Authorization: Bearer 0123456789abcdeF\r\n", GIF), 401),
        (upload(&format!("{TOKEN}Accept: */*\r\n"), GIF), 406),
        (no_length.into_bytes(), 411),
        (too_long, 413),
        (upload(TOKEN, &large), 413),
        (upload(TOKEN, b"GIF89a"), 400),
        (upload(TOKEN, GIF), 202),
    ] {
        let answer = running.ask_directly(&request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{expected}: {answer}");
    }
    let answer = running.ask_directly(&upload(TOKEN, GIF));
    assert!(answer.contains("X-Request-Id: 0123\r\n"), "{answer}");
}

#[test]
fn a_server_that_cannot_go_on_says_so() {
    let running = Running::start();
    let address = running.server.address();
    let get = |path: &str| {
        let stream = std::net::TcpStream::connect(address).unwrap();
        ask(stream, format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes())
    };
    let answer = get("/healthz");
    assert!(answer.starts_with("HTTP/1.1 200 ") && !running.shutdown.is_requested(), "{answer}");
    fs::remove_dir_all(running.server.socket_directory.path().parent().unwrap_or(Path::new("."))).unwrap();
    let answer = get("/healthz");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(running.shutdown.wait_timeout(Duration::from_secs(60)));
    let error = running.server.wait().unwrap_err().to_string();
    assert!(error.contains("the private socket is closed"), "{error}");
}

#[test]
fn places_for_the_private_socket() {
    let places = |variables: &[(&str, &str)]| {
        let env: Env = variables.iter().copied().collect();
        socket_places(&env).iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(places(&[]), "/tmp /dev/shm .");
    let set = [("TMPDIR", "/var/tmp"), ("RUNTIME_DIRECTORY", "/run/image-sharer"), ("XDG_RUNTIME_DIR", "/x")];
    assert_eq!(places(&set), "/run/image-sharer /var/tmp /tmp /dev/shm .");
}
