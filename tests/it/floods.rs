//! Honest clients during a flood: how many of their uploads are taken, and how long that takes. The flood comes from one
//! address, or from ten, and the honest clients have another, as on the Internet; `cargo test floods -- --nocapture` prints the
//! figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use image_sharer::server::MAX_CONNECTIONS;

use crate::attacks::raise_own_descriptor_limit;
use crate::audit::Audit;
use crate::metrics::number;
use crate::pictures::{self, jpeg_of_bytes};
use crate::program::{LocalServer, wait_until};
use crate::raw::Client;

/// A flood from one address: more than the server takes, so the address's own share is what stops it.
const OF_ONE: Flood = Flood { addresses: 1, threads: 4, held: 750, for_each_upload: usize::MAX };

/// A flood from many addresses, none of which reaches its share, so that it fills all 2,048 connections. The server then closes
/// the connection that has been idle longest, so an upload is safe until all have been replaced. The flood has a limit, or the
/// time for that would depend on the machine.
const OF_MANY: Flood = Flood { addresses: 10, threads: 10, held: 250, for_each_upload: 500 };
const _: () = assert!(OF_MANY.in_full_flow() > MAX_CONNECTIONS && OF_MANY.held < MAX_CONNECTIONS / 4);

/// Uploads of honest clients, one after the other.
const UPLOADS: usize = 20;

/// Where connections come from, and how many there are.
#[derive(Clone, Copy)]
struct Flood {
    addresses: usize,
    threads: usize,
    /// Connections that a thread holds.
    held: usize,
    /// Connections that all make, once it is in full flow, while an honest client uploads.
    for_each_upload: usize,
}

impl Flood {
    const fn in_full_flow(self) -> usize {
        self.threads * self.held
    }
}

/// The metric that counts connections that the server closed to make room.
const EVICTED: &str = "image_sharer_evicted_connections_total";

/// Makes one connection from an address of the attacker. None if the server takes no more for now, or if it is not to be held.
type Attack = fn([u8; 4], &str) -> Option<Client>;

fn start(source: [u8; 4], address: &str, text: &str) -> Option<Client> {
    let mut client = Client::connect_from(source, address).ok()?;
    client.send_endlessly(text.as_bytes(), 1); // it may be closed by now
    Some(client)
}

const FLOODS: [(&str, Attack); 4] = [
    ("idle connections", |source, address| Client::connect_from(source, address).ok()),
    ("heads that never end", |source, address| start(source, address, "POST / HTTP/1.1\r\nHost: a\r\nX: ")),
    ("bodies that never end", |source, address| {
        start(source, address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbody")
    }),
    (REFUSED, |source, address| {
        let request = "POST / HTTP/1.1\r\nHost: a\r\nAccept: x\r\nContent-Length: 9\r\n\r\n";
        let mut client = start(source, address, request)?;
        client.finish();
        client.is_closed();
        None
    }),
];

/// The last of them.
const REFUSED: &str = "uploads that are refused";

/// Ends the flood when it is dropped, also when a test fails: a flood without end would hide the failure.
struct StopAtTheEnd<'a>(&'a AtomicBool);

impl Drop for StopAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Floods the server while `honest` uploads so many times. Returns how many connections the flood made.
fn flooded(address: &str, flood: Flood, attack: Attack, uploads: usize, mut honest: impl FnMut()) -> usize {
    let (stop, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    let allowed = AtomicUsize::new(flood.in_full_flow());
    thread::scope(|scope| {
        for thread in 0..flood.threads {
            let source = [127, 0, 0, 66 + (thread % flood.addresses) as u8];
            let (stop, made, allowed) = (&stop, &made, &allowed);
            scope.spawn(move || {
                let mut held = std::collections::VecDeque::new();
                while !stop.load(Ordering::Relaxed) {
                    if made.load(Ordering::Relaxed) >= allowed.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(1));
                        continue;
                    }
                    held.extend(attack(source, address));
                    made.fetch_add(1, Ordering::Relaxed);
                    if held.len() > flood.held {
                        held.pop_front();
                    }
                }
            });
        }
        let _stop = StopAtTheEnd(&stop);
        wait_until("the flood is in full flow", || {
            (made.load(Ordering::Relaxed) >= flood.in_full_flow()).then_some(())
        });
        for upload in 1..=uploads {
            let more = flood.for_each_upload.saturating_mul(upload);
            allowed.store(flood.in_full_flow().saturating_add(more), Ordering::Relaxed);
            honest();
        }
    });
    made.into_inner()
}

/// Makes one flood of each kind while an honest client uploads, whose connections end before they are the oldest.
fn honest_clients_are_served(flood: Flood, attacks: &[(&str, Attack)]) {
    raise_own_descriptor_limit();
    let picture: Arc<[u8]> = jpeg_of_bytes(200_000).into();
    for (name, attack) in attacks {
        let server = LocalServer::start_with(&[("METRICS_LISTEN", "127.0.0.1:0")]);
        let audit = Audit::default();
        let mut times = Vec::new();
        let made = flooded(&server.address, flood, *attack, UPLOADS, || {
            let began = Instant::now();
            audit.upload(&server.url, &picture);
            times.push(began.elapsed().as_millis());
        });
        times.sort();
        let (taken, median, worst) = (audit.accepted(), times[UPLOADS / 2], times[UPLOADS - 1]);
        let evicted = number(&server.program, EVICTED);
        println!(
            "{name} from {} addresses: {made} connections, {evicted} of them told to go; {taken} of {UPLOADS} uploads, \
             median {median} ms, worst {worst} ms",
            flood.addresses
        );
        assert_eq!(taken, UPLOADS, "{name}");
        assert_eq!(audit.nothing_is_lost(), UPLOADS, "{name}");
        // Those that are refused go by themselves.
        assert!(evicted > 0 || *name == REFUSED, "{name}: the flood filled nothing");
    }
}

#[test]
fn honest_clients_are_served_during_a_flood_from_one_address() {
    honest_clients_are_served(OF_ONE, &FLOODS);
}

#[test]
fn honest_clients_are_served_during_a_flood_from_many_addresses() {
    honest_clients_are_served(OF_MANY, &FLOODS[..3]);
}

/// An upload on a slow line is older than the flood's connections, and the server would close it first if its address had no
/// share of its own. The server has few descriptors, so 200 connections fill it, which any machine makes within the time that a
/// body may take.
#[test]
fn a_slow_upload_outlives_a_flood() {
    let (program, directory) =
        LocalServer::start_in_shell("ulimit -n 648 && export METRICS_LISTEN=127.0.0.1:0");
    let server = LocalServer::from(program, directory);
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
    flooded(&server.address, Flood { held: 100, ..OF_ONE }, FLOODS[0].1, 1, || {
        wait_until("the server has closed more than it has room for", || {
            (number(&server.program, EVICTED) > 200).then_some(())
        });
        slow.send_bytes(&body);
        assert_eq!(slow.status(), 202);
    });
}

/// Behind a trusted proxy all connections are the proxy's. There each client that the proxy names has a share.
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
    let share = MAX_CONNECTIONS / 4;
    let mut greedy: Vec<Client> = (0..=share).map(|_| begin("192.0.2.1")).collect();
    assert_eq!(greedy[0].status(), 503, "the client's own oldest is closed");
    for connection in greedy[1..].iter_mut().chain([&mut honest]) {
        connection.send("0123456789");
        assert_eq!(connection.status(), 400, "it is read to its end, and is no multipart");
    }
    server.program.line_with(&["client=192.0.2.2", "status=400"]);
    server.program.line_with(&["client=192.0.2.1", "status=503"]);
}
