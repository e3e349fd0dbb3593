//! Honest clients during a flood: how many of their uploads are taken, and how long that takes. The flood comes from one
//! address and the honest clients have another, as on the Internet; `cargo test floods -- --nocapture` prints the figures.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::attacks::raise_own_descriptor_limit;
use crate::curl::upload;
use crate::pictures;
use crate::program::LocalServer;
use crate::raw::Client;

/// Where the flood comes from.
const ATTACKER: [u8; 4] = [127, 0, 0, 66];

/// Threads of the attacker.
const ATTACKERS: usize = 4;

/// Connections that each of them holds: together more than the server takes.
const HELD: usize = 750;

/// Uploads of honest clients, one after the other.
const UPLOADS: usize = 20;

/// One connection of the attacker's, which is held or not; none if the server takes no more for now.
type Attack = fn(&str) -> Option<Client>;

fn start(address: &str, text: &str) -> Option<Client> {
    let mut client = Client::connect_from(ATTACKER, address).ok()?;
    client.send_endlessly(text.as_bytes(), 1); // it may be closed by now
    Some(client)
}

const FLOODS: [(&str, Attack); 4] = [
    ("idle connections", |address| Client::connect_from(ATTACKER, address).ok()),
    ("heads that never end", |address| start(address, "POST / HTTP/1.1\r\nHost: a\r\nX: ")),
    ("bodies that never end", |address| {
        start(address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbody")
    }),
    ("uploads that are refused", |address| {
        let mut client =
            start(address, "POST / HTTP/1.1\r\nHost: a\r\nAccept: x\r\nContent-Length: 9\r\n\r\n")?;
        client.finish();
        client.is_closed();
        None
    }),
];

/// Says stop when it goes, also when a test fails: a flood without end would keep the failure from being seen.
struct StopAtTheEnd<'a>(&'a AtomicBool);

impl Drop for StopAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Floods the server while `honest` runs, and says with how many connections.
fn flooded(server: &LocalServer, attack: Attack, honest: impl FnOnce()) -> usize {
    let (stop, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..ATTACKERS {
            scope.spawn(|| {
                let mut held = std::collections::VecDeque::new();
                while !stop.load(Ordering::Relaxed) {
                    held.extend(attack(&server.address));
                    made.fetch_add(1, Ordering::Relaxed);
                    if held.len() > HELD {
                        held.pop_front();
                    }
                }
            });
        }
        let _stop = StopAtTheEnd(&stop);
        // Until it is in full flow.
        while made.load(Ordering::Relaxed) < ATTACKERS * HELD {
            thread::sleep(Duration::from_millis(10));
        }
        honest();
    });
    made.into_inner()
}

#[test]
fn honest_clients_are_served() {
    raise_own_descriptor_limit();
    let picture = pictures::jpeg_of_bytes(200_000);
    for (name, attack) in FLOODS {
        let server = LocalServer::start();
        let mut times = Vec::new();
        let mut taken = 0;
        let made = flooded(&server, attack, || {
            for _ in 0..UPLOADS {
                let began = Instant::now();
                taken += usize::from(upload(&server.url, &picture).status == 202);
                times.push(began.elapsed().as_millis());
            }
        });
        times.sort();
        let (median, worst) = (times[UPLOADS / 2], times[UPLOADS - 1]);
        println!(
            "{name}: {made} connections; {taken} of {UPLOADS} uploads, median {median} ms, worst {worst} ms"
        );
        assert_eq!(taken, UPLOADS, "{name}");
    }
}

/// An upload on a slow line is older than what a flood brings, and would give way first if it did not have a share of its own.
#[test]
fn a_slow_upload_outlives_a_flood() {
    raise_own_descriptor_limit();
    let server = LocalServer::start();
    let mut slow = Client::connect(&server.address);
    let jpeg = pictures::jpeg(64, 64);
    let part = "--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n";
    let body = [part.as_bytes(), &jpeg, b"\r\n--b--\r\n"].concat();
    let length = body.len();
    slow.send(&format!(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {length}\r\n\r\n"
    ));
    assert_eq!(slow.status(), 100, "it is in hand");
    flooded(&server, FLOODS[0].1, || {
        slow.send_bytes(&body);
        assert_eq!(slow.status(), 202);
    });
}

/// Behind a trusted proxy all connections are the proxy's. There the shares are of who it took the requests from.
#[test]
fn the_clients_of_a_proxy_have_shares() {
    raise_own_descriptor_limit();
    let server = LocalServer::start_with(&[("TRUSTED_PROXIES", "127.0.0.0/8")]);
    let begin = |client: &str| {
        let mut connection = Client::connect(&server.address);
        connection.send(&format!(
            "POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.{}, {client}, 127.0.0.7\r\n\
             Expect: 100-continue\r\nContent-Length: 10\r\n\r\n",
            client.len() // what the client wrote itself, and is not believed
        ));
        assert_eq!(connection.status(), 100, "{client}");
        connection
    };
    let mut honest = begin("192.0.2.2");
    let share = image_sharer::server::gate::MAX_CONNECTIONS / 4;
    let mut greedy: Vec<Client> = (0..=share).map(|_| begin("192.0.2.1")).collect();
    assert_eq!(greedy[0].status(), 503, "its own oldest gave way");
    for connection in greedy[1..].iter_mut().chain([&mut honest]) {
        connection.send("0123456789");
        assert_eq!(connection.status(), 400, "it is read to its end, and is no multipart");
    }
    server.program.line_with(&["client=192.0.2.2", "status=400"]);
    server.program.line_with(&["client=192.0.2.1", "status=503"]);
}
