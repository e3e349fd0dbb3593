//! A gate before an upstream that answers by hand: what goes through, and what it says when it cannot go on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to say so and end")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use gate::{
    Event, Fatal, Gate, Head, Hooks, Limits, Networks, PassedOn, PrivateSocket, Refusal, Repeated, Request,
    Settings, SocketDirectory,
};

const PATIENCE: Duration = Duration::from_secs(60);

const LIMITS: Limits = Limits {
    slots: 8,
    quota: 8,
    refused_connections: 2,
    requests_per_connection: 2,
    answer_bytes: 64 * 1024,
    turns: 2,
    turn_timeout: PATIENCE,
    answer_timeout: PATIENCE,
    head_timeout: PATIENCE,
    body_timeout: PATIENCE,
    idle_timeout: PATIENCE,
    write_timeout: PATIENCE,
    linger_timeout: Duration::from_millis(200),
    accept_failures: 3,
    accept_pause: Duration::from_millis(1),
    ..Limits::STRICT
};

/// Refuses DELETE, and writes down why the gate cannot go on.
struct Notes(Sender<Fatal>);

impl Hooks for Notes {
    fn check_head(&self, head: &Head) -> Result<(), Refusal> {
        if head.method == "DELETE" { Err(Refusal::new(405, "Nothing is deleted.")) } else { Ok(()) }
    }

    fn answer_refused(&self, request: &Request, refusal: &Refusal) -> Vec<u8> {
        let (status, id, message) = (refusal.status, &request.id, &refusal.message);
        let length = message.len();
        format!("HTTP/1.1 {status} No\r\nX-Id: {id}\r\nContent-Length: {length}\r\n\r\n{message}")
            .into_bytes()
    }

    fn observe(&self, event: Event) {
        if let Event::Failed(fatal) = event {
            let _ = self.0.send(fatal); // the test may have ended
        }
    }
}

struct Front {
    gate: Gate,
    upstream: UnixListener,
    _directory: SocketDirectory,
    failed: Receiver<Fatal>,
}

fn open(listener: TcpListener, limits: Limits) -> Front {
    let socket = PrivateSocket::bind("gate-test", &[std::env::temp_dir()]).unwrap();
    let (notes, failed) = channel();
    let settings = Settings {
        limits,
        trusted_proxies: Networks::default(),
        passed_on: &[PassedOn { name: "Content-Type", repeated: Repeated::Refused }],
        private_socket: socket.directory.path(),
        hooks: Arc::new(Notes(notes)),
    };
    let gate = Gate::open(listener, settings).unwrap();
    Front { gate, upstream: socket.listener, _directory: socket.directory, failed }
}

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Sends this and reads to the end of the connection.
fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A request as upstream gets it.
fn read_request(stream: &UnixStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let length = head.split("Content-Length: ").nth(1).unwrap().split('\r').next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    (head, body)
}

#[test]
fn a_request_goes_through_whole_and_in_canonical_form() {
    let front = open(listen(), LIMITS);
    let body = vec![b'x'; 300_000]; // more than a socket takes at once
    let client = {
        let (address, body) = (front.gate.address(), body.clone());
        thread::spawn(move || {
            let head = "POST http://a/b?c HTTP/1.1\r\nhost: a\r\ncontent-type: text/x\r\nCookie: d\r\n\
                        X-Request-Id: mine\r\nX-Client: 10.0.0.1\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n";
            ask(address, &[head.as_bytes(), &body].concat())
        })
    };
    let (mut stream, _) = front.upstream.accept().unwrap();
    let (head, received) = read_request(&stream);
    assert!(received == body, "{} bytes of the body", received.len());
    let mut lines = head.split("\r\n");
    assert_eq!(lines.next(), Some("POST /b?c HTTP/1.1"));
    let names: Vec<&str> =
        lines.map(|line| line.split(": ").next().unwrap()).filter(|name| !name.is_empty()).collect();
    let expected = [
        "Host",
        "Connection",
        "Content-Length",
        "X-Request-Id",
        "X-Peer",
        "X-Client",
        "X-Body-Micros",
        "Content-Type",
    ];
    assert_eq!(names, expected);
    assert!(head.contains("\r\nX-Client: 127.0.0.1\r\n") && !head.contains("mine"), "{head}");
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    drop(stream);
    let answer = client.join().unwrap();
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    assert!(front.gate.drain(PATIENCE));
}

#[test]
fn the_gate_refuses_by_itself() {
    let front = open(listen(), LIMITS);
    for (request, expected) in [
        ("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n", "413"),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505"),
    ] {
        let mut stream = TcpStream::connect(front.gate.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} No\r\nConnection: close\r\n")), "{answer}");
    }
    front.upstream.set_nonblocking(true).unwrap();
    assert!(front.upstream.accept().is_err(), "upstream saw none of them");
}

/// A part of an answer would put the connection out of step: the client would take the next answer for the rest of this one.
#[test]
fn an_answer_that_is_too_long_is_not_sent() {
    let front = open(listen(), LIMITS);
    for (bytes, expected) in [(LIMITS.answer_bytes, "200"), (LIMITS.answer_bytes + 1, "503")] {
        let address = front.gate.address();
        let client =
            thread::spawn(move || ask(address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        let (mut stream, _) = front.upstream.accept().unwrap();
        read_request(&stream);
        let head = "HTTP/1.1 200 OK\r\n\r\n";
        let answer = format!("{head}{}", "x".repeat(bytes - head.len()));
        let _ = stream.write_all(answer.as_bytes()); // the gate closes when it has read too much
        drop(stream);
        let answer = client.join().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{bytes}: {:.100}", answer);
    }
}

#[test]
fn an_upstream_that_has_ended_is_reported() {
    let front = open(listen(), LIMITS);
    drop(front.upstream);
    let answer = ask(front.gate.address(), b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(front.failed.recv_timeout(PATIENCE), Ok(Fatal::UpstreamClosed));
}

#[test]
fn an_upstream_that_hangs_is_reported() {
    let front = open(listen(), Limits { answer_timeout: Duration::from_millis(100), ..LIMITS });
    let answer = ask(front.gate.address(), b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(front.failed.recv_timeout(PATIENCE), Ok(Fatal::UpstreamHangs));
}

#[test]
fn a_gate_that_cannot_accept_says_so() {
    let listener = listen();
    listener.set_nonblocking(true).unwrap(); // so each accept fails, as nobody connects
    let front = open(listener, LIMITS);
    assert_eq!(
        front.failed.recv_timeout(PATIENCE),
        Ok(Fatal::Accepting { failures: LIMITS.accept_failures })
    );
}
