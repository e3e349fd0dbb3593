//! Attacks that a server which trusts its clients does not survive. After each of them ours must still serve, be the same
//! process, and have no more threads and descriptors than before.

use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use crate::curl::upload;
use crate::pictures::{self, jpeg_of_bytes};
use crate::process::{descriptors, status_of};
use crate::program::{LocalServer, wait_until};
use crate::raw::Client;

/// The most memory that the server may hold in an attack, unless it is one on memory.
const MEMORY_KIB: u64 = 150 * 1024;

/// How many threads serve a connection.
pub(crate) fn connections(id: u32) -> usize {
    let threads = fs::read_dir(format!("/proc/{id}/task")).expect("Linux's /proc");
    let names = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| name.trim() == "connection").count()
}

struct Target {
    server: LocalServer,
    at_rest: usize,
    memory_kib: u64,
}

impl Target {
    fn new() -> Target {
        Target::of(LocalServer::start())
    }

    fn of(server: LocalServer) -> Target {
        assert_eq!(upload(&server.url, &pictures::jpeg(64, 64)).status, 202);
        let at_rest = wait_until("the first upload is through", || {
            Some(descriptors(server.program.id())).filter(|_| connections(server.program.id()) == 0)
        });
        Target { server, at_rest, memory_kib: MEMORY_KIB }
    }

    fn connect(&self) -> Client {
        Client::connect(&self.server.address)
    }

    fn send(&self, request: &str) -> Client {
        let mut client = self.connect();
        client.send(request);
        client
    }

    fn still_serves(&mut self) {
        assert_eq!(upload(&self.server.url, &pictures::jpeg(64, 64)).status, 202);
        assert!(self.server.program.is_running());
        let id = self.server.program.id();
        let peak = status_of(id, "VmHWM:");
        assert!(peak < self.memory_kib, "{peak} KiB");
        wait_until("every connection's thread has ended", || (connections(id) == 0).then_some(()));
        // A keep-alive connection to nobody else, so what is left is what was there before.
        wait_until("every descriptor is closed", || (descriptors(id) <= self.at_rest + 2).then_some(()));
    }
}

#[test]
fn an_absurd_content_length() {
    let mut target = Target::new();
    for length in
        ["100000000000000", "9223372036854775808", "18446744073709551616", "999999999999999999999999999"]
    {
        let mut client =
            target.send(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        assert_eq!(client.status(), 413, "{length}");
    }
    target.still_serves();
}

#[test]
fn a_large_content_length_and_a_client_that_keeps_sending() {
    let mut target = Target::new();
    let mut client = target.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000000\r\n\r\n");
    let sent = client.send_endlessly(&vec![0; 1 << 20], 900_000_000);
    assert!(sent < 100_000_000, "the server took {sent} bytes");
    target.still_serves();
}

#[test]
fn connections_reset_before_they_are_accepted() {
    let mut target = Target::new();
    for _ in 0..6000 {
        // Dropped with SO_LINGER 0: a reset.
        if let Ok(stream) = TcpStream::connect(&target.server.address) {
            let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        }
    }
    target.still_serves();
}

#[test]
fn headers_that_tiny_http_trips_over() {
    let mut target = Target::new();
    let te = (0..64).map(|_| "x;q=nan").collect::<Vec<_>>().join(",");
    let requests = [
        (400, "GET / HTTP/1.1\n".to_owned()),
        (400, "\u{16}\u{3}\u{1}".to_owned()),
        (400, format!("GET / HTTP/1.1\r\nHost: a\r\nTE: {te}\r\n\r\n")),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: \u{fc}\r\n\r\n".to_owned()),
        (417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n".to_owned()),
    ];
    for (status, request) in requests {
        assert_eq!(target.send(&request).status(), status, "{request}");
    }
    for _ in 0..300 {
        assert_eq!(target.send("GET / HTTP/2.0\r\nHost: a\r\n\r\n").status(), 505);
    }
    target.still_serves();
}

#[test]
fn an_endless_header() {
    let mut target = Target::new();
    let mut client = target.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    let sent = client.send_endlessly(&[b'a'; 65_536], 200_000_000);
    assert!(sent < 60_000_000, "the server took {sent} bytes");
    target.still_serves();
}

#[test]
fn many_pipelined_requests() {
    let mut target = Target::new();
    let mut client = target.connect();
    // Nothing is read back until the end: the server must not queue what it cannot send.
    let many = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    client.send_endlessly(many.as_bytes(), many.len() * 200);
    drop(client);
    target.still_serves();
}

#[test]
fn request_smuggling() {
    let mut target = Target::new();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (status, framing) in [
        (400, "Content-Length: 5\r\nContent-Length: 6"),
        (400, "Content-Length: +5"),
        (400, "Content-Length: -1"),
        (400, "Content-Length: abc"),
        (400, "Content-Length: 5, 5"),
        (400, "Content-Length: 5\r\nTransfer-Encoding: chunked"),
        (400, "Content-Length: 5\n"),
        (411, "Transfer-Encoding: chunked"),
        (411, "Transfer-Encoding: xchunked"),
    ] {
        let mut client =
            target.send(&format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n0\r\n\r\n{smuggled}"));
        let answer = client.answer();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{framing}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{framing}: {answer}");
    }
    target.still_serves();
}

#[test]
fn a_short_body_and_a_half_close() {
    let mut target = Target::new();
    let mut client = target.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
    client.finish();
    assert_eq!(client.status(), 400);
    target.still_serves();
}

#[test]
fn a_dribble() {
    let mut target = Target::new();
    let mut client = target.send("POST / HTTP/1.1\r\nHost: a\r\nX: ");
    // A byte now and then must not move the deadline, which is of the whole head.
    let answered = (0..100)
        .any(|_| client.send_endlessly(b"a", 1) == 0 || client.answers_within(Duration::from_millis(200)));
    assert!(answered, "it goes on for ever");
    assert_eq!(client.status(), 408);
    target.still_serves();
}

#[test]
fn a_flood_of_idle_connections() {
    // Of a proxy's connections no client's share is taken.
    let mut target = Target::of(LocalServer::start_with(&[("TRUSTED_PROXIES", "127.0.0.1")]));
    raise_own_descriptor_limit();
    let mut idle: Vec<TcpStream> = Vec::new();
    // As many as the server takes, and then half as many again. An honest client is served throughout.
    for number in 0..image_sharer::server::MAX_CONNECTIONS * 3 / 2 {
        idle.push(TcpStream::connect(&target.server.address).expect("the server listens"));
        if number % 500 == 0 {
            assert_eq!(upload(&target.server.url, &pictures::jpeg(64, 64)).status, 202, "after {number}");
        }
    }
    assert_eq!(upload(&target.server.url, &pictures::jpeg(64, 64)).status, 202);
    drop(idle);
    target.still_serves();
}

pub(crate) fn raise_own_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a soft limit may be raised");
}

/// Bodies that lack their last byte fill the memory for bodies. The server closes the oldest.
#[test]
fn a_flood_of_bodies_that_never_end() {
    let mut target = Target::new();
    target.memory_kib = 400 * 1024;
    let length = 1_100_000;
    let held: Vec<Client> = (0..450)
        .map(|_| {
            let mut client =
                target.send(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
            client.send_endlessly(&vec![0; length - 1], length - 1);
            client
        })
        .collect();
    assert_eq!(upload(&target.server.url, &jpeg_of_bytes(200_000)).status, 202);
    drop(held);
    target.still_serves();
}

/// Clients that ask and do not read the answers hold these in memory. The server closes the oldest.
#[test]
fn a_flood_of_answers_that_nobody_reads() {
    let mut target = Target::new();
    // 256 MiB are held for clients. Besides, each of 64 handlers may be at a step between the store and there, with the object
    // and an answer that is growing to 2 MiB and is copied as it grows. Without a limit it would be 1,500.
    target.memory_kib = (256 + 64 * 5) * 1024;
    raise_own_descriptor_limit();
    let url = upload(&target.server.url, &jpeg_of_bytes(1 << 20)).urls().original;
    let path = url.strip_prefix(&target.server.url).unwrap();
    let held: Vec<Client> =
        (0..1500).map(|_| target.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))).collect();
    assert_eq!(upload(&target.server.url, &jpeg_of_bytes(200_000)).status, 202);
    drop(held);
    target.still_serves();
}

#[test]
fn few_descriptors() {
    // With as few as this the server still starts, takes fewer connections, and lives through a flood.
    let (program, directory) = LocalServer::start_in_shell("ulimit -n 600");
    let server = LocalServer::from(program, directory);
    let idle: Vec<TcpStream> = (0..900).filter_map(|_| TcpStream::connect(&server.address).ok()).collect();
    assert_eq!(upload(&server.url, &pictures::jpeg(64, 64)).status, 202);
    drop(idle);
    assert_eq!(upload(&server.url, &pictures::jpeg(64, 64)).status, 202);
}

#[test]
fn more_keep_alive_clients_than_handlers() {
    let mut target = Target::new();
    let mut clients: Vec<Client> = (0..256).map(|_| target.connect()).collect();
    for _ in 0..2 {
        for client in &mut clients {
            client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.status(), 200);
        }
    }
    drop(clients);
    target.still_serves();
}
