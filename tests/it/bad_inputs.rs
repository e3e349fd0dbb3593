//! Malformed requests and pictures by the ten thousand, at the real server, while an honest client uploads.
//!
//! `BAD_REQUESTS=100000 BAD_PICTURES=10000 cargo test --test it bad_inputs -- --nocapture 2>/dev/null` is the run that counts.
//! `SEED=` repeats what a run has sent.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ::pictures::inspect;
use image::ImageFormat;
use image_sharer::domain::key::Kind;

use crate::attacks::connections;
use crate::audit::{Audit, MAX_PIXELS, agent, objects_in_directory};
use crate::curl::curl;
use crate::load::{Load, form, number_from, seeded};
use crate::pictures::{self, look};
use crate::process::{descriptors, threads};
use crate::program::{LocalServer, PATIENCE, wait_until, wait_within};
use samples::mutate::{Random, mutation};

/// Unless the variables say otherwise.
const DEFAULT_REQUESTS: usize = 3000;
const DEFAULT_PICTURES: usize = 300;

/// Hostile clients at a time.
const CLIENTS: usize = 8;

/// The most malformed requests that are sent over one connection, one after the other, before its answers are read.
const MAX_AT_ONCE: usize = 4;

/// Some thousands of pictures are accepted faster than they are made small.
const ALL_DONE_WITHIN: Duration = Duration::from_secs(900);

/// Every status of the contract.
const STATUSES: [u16; 14] = [200, 202, 400, 404, 405, 406, 408, 411, 413, 414, 417, 431, 503, 505];

/// Statuses that malformed requests get in any run. Without them the attack would not be one.
const STATUSES_OF_ANY_RUN: [u16; 4] = [202, 400, 411, 431];

/// How often each status was answered.
type Counts = BTreeMap<u16, usize>;

/// What hostile clients saw.
#[derive(Debug, Default)]
struct Seen {
    counts: Counts,
    /// Connections with requests that were broken anywhere.
    connections: usize,
    /// Those of them on which there was at least one answer.
    answered: usize,
    /// Those that ended with a reset in the middle of an answer: the request before was refused, and more came than is read then.
    cut: usize,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        for (status, count) in other.counts {
            *self.counts.entry(status).or_default() += count;
        }
        self.connections += other.connections;
        self.answered += other.answered;
        self.cut += other.cut;
    }
}

/// Takes one answer off the front of what was received. None if a part is missing; panics if the contract does not have such an
/// answer.
fn take_answer(received: &mut Vec<u8>) -> Option<u16> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(received).unwrap_or_else(|error| panic!("{error}: {}", text(received)));
    let httparse::Status::Complete(head) = parsed else { return None };
    let status = response.code.expect("a status");
    if status == 100 {
        received.drain(..head);
        return take_answer(received);
    }
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| std::str::from_utf8(header.value).expect("ASCII"))
    };
    assert!(STATUSES.contains(&status), "{}", text(received));
    assert!(header("X-Request-Id").is_some(), "{}", text(received));
    let length: usize = header("Content-Length").expect("a length").parse().expect("a number");
    let body = received.get(head..head + length)?;
    if status != 200 {
        assert_eq!(header("Content-Type"), Some("application/json"));
        let json: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let field = if status == 202 { "original" } else { "error" };
        assert!(json[field].is_string(), "{json}");
        assert_eq!(status == 503, header("Retry-After").is_some());
    }
    received.drain(..head + length);
    Some(status)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned()
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Closed with a reset, once all is read: or the machine would be out of ports.
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    stream
}

/// Sends some requests that are broken anywhere, and then the end of the stream; reads all that comes back.
fn send_broken_requests(address: &str, requests: &[Vec<u8>], seen: &mut Seen) {
    let mut stream = connect(address);
    let sent = requests.iter().try_for_each(|request| stream.write_all(request));
    let _ = sent.and_then(|()| stream.shutdown(Shutdown::Write)); // it may have been refused already
    let mut received = Vec::new();
    let read = stream.read_to_end(&mut received);
    seen.connections += 1;
    seen.answered += usize::from(!received.is_empty());
    while !received.is_empty() {
        match take_answer(&mut received) {
            Some(status) => *seen.counts.entry(status).or_default() += 1,
            None => {
                assert!(read.is_err(), "an answer was cut short: {}", text(&received));
                seen.cut += 1;
                break;
            }
        }
    }
}

/// Sends a body in a sound frame over a connection that goes on, and waits for the answer.
fn send_body(stream: &mut TcpStream, body: &[u8], counts: &mut Counts) {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).expect("the server reads");
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(status) = take_answer(&mut received) {
            assert!(received.is_empty(), "more than an answer: {}", text(&received));
            *counts.entry(status).or_default() += 1;
            return;
        }
        let read = stream.read(&mut buffer).expect("an answer");
        assert!(read > 0, "closed before an answer");
        received.extend_from_slice(&buffer[..read]);
    }
}

fn requests() -> Vec<Vec<u8>> {
    let body = form(&pictures::jpeg(40, 30));
    let upload = |more: &str| {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: application/json\r\n{more}\
             Content-Length: {}\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), &body].concat()
    };
    let get = |target: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").into_bytes()
    };
    vec![
        upload(""),
        upload("Expect: 100-continue\r\n"),
        upload("Connection: close\r\nX-Forwarded-For: 10.0.0.1\r\n"),
        get("/healthz"),
        get("/0123456789abcdef0123456789abcdef/small.jpg"),
        b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nUpgrade: h2c\r\n\r\n".to_vec(),
        upload(&"X: y\r\n".repeat(70)),
    ]
}

fn some_pictures() -> Vec<Vec<u8>> {
    let opaque = [ImageFormat::Png, ImageFormat::WebP].map(pictures::opaque);
    let transparent = [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif].map(pictures::transparent);
    let mut progressive = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut progressive, 70);
    encoder.set_progressive(true);
    encoder.encode(&[90; 3 * 64 * 48], 64, 48, jpeg_encoder::ColorType::Rgb).unwrap();
    let jpegs = [pictures::jpeg(320, 200), progressive, pictures::undecodable_png()];
    opaque.into_iter().chain(transparent).chain(jpegs).collect()
}

/// One hostile client: a third of its requests have a broken body in a sound frame, and the others are broken anywhere.
fn attack(address: &str, mut random: Random, requests_to_send: usize, pictures_to_send: usize) -> Seen {
    let (requests, pictures) = (requests(), some_pictures());
    let forms: Vec<Vec<u8>> = pictures.iter().take(1).map(|picture| form(picture)).collect();
    let mut seen = Seen::default();
    let mut kept = None;
    let mut left = requests_to_send;
    while left > 0 {
        if random.below(3) == 0 {
            let body = mutation(&forms, &mut random);
            send_kept(address, &mut kept, &body, &mut seen.counts);
            left -= 1;
            continue;
        }
        let several = (1 + random.below(MAX_AT_ONCE)).min(left);
        let broken: Vec<Vec<u8>> = (0..several).map(|_| mutation(&requests, &mut random)).collect();
        send_broken_requests(address, &broken, &mut seen);
        left -= several;
    }
    for _ in 0..pictures_to_send {
        let picture = mutation(&pictures, &mut random);
        send_kept(address, &mut kept, &form(&picture), &mut seen.counts);
    }
    seen
}

/// Sends over a connection that is kept. The server ends it after some requests, so the client makes another in time.
fn send_kept(address: &str, kept: &mut Option<(TcpStream, usize)>, body: &[u8], counts: &mut Counts) {
    let (mut stream, used) = kept.take().unwrap_or_else(|| (connect(address), 0));
    send_body(&mut stream, body, counts);
    *kept = Some((stream, used + 1)).filter(|(_, used)| *used < 50);
}

/// The numbers that a leak would raise.
fn held(server: &LocalServer) -> (usize, usize, usize) {
    let temporary = fs::read_dir(server.directory().join(".tmp")).unwrap().count();
    (threads(server.program.id()), descriptors(server.program.id()), temporary)
}

/// Whether every image has its three thumbnails, which may be broken pictures.
fn all_is_done(server: &LocalServer) -> bool {
    let images = fs::read_dir(server.directory()).unwrap().flatten();
    let mut images = images.filter(|entry| entry.file_name().len() == 32);
    images.all(|image| fs::read_dir(image.path()).unwrap().count() == 4)
}

/// Each original is a picture as far as the server looks, and each thumbnail decodes and has its sides. Of which picture it is
/// cannot be said: the pictures were broken by chance.
fn all_that_is_stored_is_whole(server: &LocalServer) -> usize {
    let objects = objects_in_directory(server.directory());
    for (key, bytes) in &objects {
        match key.kind {
            Kind::Original => assert!(inspect(bytes, MAX_PIXELS).is_ok(), "{key}"),
            Kind::Thumbnail(size) => {
                let (format, width, height) = look(bytes);
                assert_eq!((width, height), (size.pixels(), size.pixels()), "{key}");
                assert!(key.to_string().ends_with(format), "{key} is a {format}");
            }
        }
    }
    objects.len()
}

#[test]
fn malformed_requests_and_pictures_leave_no_trace() {
    let mut random = seeded();
    let requests = number_from("BAD_REQUESTS", DEFAULT_REQUESTS);
    let pictures = number_from("BAD_PICTURES", DEFAULT_PICTURES);
    let server = LocalServer::start();
    let audit = Arc::new(Audit::default());
    audit.upload(&server.url, &pictures::jpeg(64, 64).into()).urls();
    wait_until("the first upload is through", || all_is_done(&server).then_some(()));
    let before = wait_until("its connection has ended", || {
        Some(held(&server)).filter(|_| connections(server.program.id()) == 0)
    });

    let honest = Load::start(1, Duration::from_millis(50), &server.url, &audit);
    let over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        scope.spawn(|| {
            let (agent, healthz) = (agent(), format!("{}/healthz", server.url));
            while !over.load(Ordering::Relaxed) {
                assert_eq!(agent.get(&healthz).call().expect("an answer").status(), 200);
                thread::sleep(Duration::from_millis(20));
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let share = move |all: usize| all / CLIENTS + usize::from(client < all % CLIENTS);
                let (random, address) = (Random::new(random.below(usize::MAX) as u64), &server.address);
                scope.spawn(move || attack(address, random, share(requests), share(pictures)))
            })
            .collect();
        let mut seen = Seen::default();
        let ended: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        over.store(true, Ordering::Relaxed);
        ended.into_iter().for_each(|client| seen.add(client.expect("no panic in a client")));
        seen
    });
    let answers = honest.stop();
    println!(
        "{requests} malformed requests and {pictures} malformed pictures: {seen:?}; the honest client: {answers:?}"
    );
    let Seen { counts, connections: attacked, answered, cut } = &seen;
    assert!(STATUSES_OF_ANY_RUN.iter().all(|status| counts.contains_key(status)), "{counts:?}");
    assert!(answered * 10 >= attacked * 9 && cut * 100 <= *attacked, "{seen:?}");
    assert!(answers.accepted > 0 && answers.turned_away + answers.unanswered == 0, "{answers:?}");

    assert_eq!(curl(&[&format!("{}/healthz", server.url)]).status, 200);
    let done = || all_is_done(&server).then_some(());
    wait_within(ALL_DONE_WITHIN, "each image has its thumbnails", done);
    audit.upload(&server.url, &pictures::jpeg(64, 64).into()).urls();
    assert_eq!(audit.nothing_is_lost(), answers.accepted + 2);
    wait_until("all is as it was before", || {
        let now = held(&server);
        (now.0 <= before.0 && now.1 <= before.1 && now.2 == 0).then_some(())
    });
    println!("{} objects are whole", all_that_is_stored_is_whole(&server));
    println!("threads, descriptors and temporary files: {before:?} before, {:?} after", held(&server));
    for trouble in ["error panic", "error request_failed", "error dead_letter", "error job_failed"] {
        assert_eq!(server.program.lines_with(&[trouble]), Vec::<String>::new());
    }
}
