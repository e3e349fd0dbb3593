//! The way to tiny_http and back: a request written anew in canonical form, and the answer; and the answers that the gate
//! gives by itself.
//!
//! A body does not go through tiny_http, which would only copy it: it is laid down in [`Bodies`], where the api picks it up.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Buffered, HANDLERS, Shared, server_full};
use crate::domain::image_id::ImageId;
use crate::server::head::Head;
use crate::server::refusal::Refusal;
use crate::support::log;
use crate::support::metrics::ServerMetrics;

/// The longest answer: an original of 1 MiB or a large thumbnail (600x600 RGBA in a PNG, 1.4 MB), and its head.
const MAX_ANSWER_BYTES: u64 = 2 * 1024 * 1024;

/// What nearly all answers have room in: four URLs and a head.
const USUAL_ANSWER_BYTES: usize = 4 * 1024;

/// For a free handler. Who waits longer would rather try again.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(10);

/// For a handler's answer. The store and the queue, with all their retries, take a third of this at worst; one that
/// takes longer hangs, on a disk for one, and the process ends before all of them do.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Tells the api under which id the request is logged.
pub const REQUEST: &str = "X-Gate-Request";

/// Tells the api who is asking.
pub const PEER: &str = "X-Gate-Peer";

/// Tells the api for whom: the peer, unless that is a trusted proxy.
pub const CLIENT: &str = "X-Gate-Client";

/// Tells the api how many microseconds the body took to arrive.
pub const BODY_US: &str = "X-Gate-Body-Us";

/// Tells the api where its body lies.
pub const BODY: &str = "X-Gate-Body";

/// The bodies of the requests that are on their way to the api or with it: as many as there are handlers.
#[derive(Default)]
pub struct Bodies(Mutex<Lying>);

#[derive(Default)]
struct Lying {
    next: u64,
    by_number: HashMap<u64, Vec<u8>>,
}

impl Bodies {
    fn lay_down(&self, body: Vec<u8>) -> u64 {
        let mut lying = self.lying();
        let number = lying.next;
        lying.next += 1;
        lying.by_number.insert(number, body);
        number
    }

    /// The body whose number is in the header [`BODY`], once; then nothing.
    pub fn pick_up(&self, number: u64) -> Vec<u8> {
        self.lying().by_number.remove(&number).unwrap_or_default()
    }

    fn lying(&self) -> MutexGuard<'_, Lying> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a request so far.
pub(super) struct Asked {
    pub(super) request: String,
    pub(super) peer: SocketAddr,
    /// Whose share it takes of.
    pub(super) client: Option<IpAddr>,
    pub(super) head: Head,
    /// For the body to arrive.
    pub(super) body_took: Duration,
}

impl Asked {
    /// Before anything has arrived.
    pub(super) fn new(peer: SocketAddr, client: Option<IpAddr>) -> Asked {
        Asked { request: request_id(), peer, client, head: Head::default(), body_took: Duration::ZERO }
    }

    /// Who is asking, as far as is known.
    fn client(&self) -> IpAddr {
        self.client.unwrap_or_else(|| self.peer.ip().to_canonical())
    }

    /// The gate's line for what never comes to the api.
    pub(super) fn log_refusal(&self, refusal: &Refusal, metrics: &ServerMetrics) {
        metrics.answered(self.head.is_upload(), refusal.status);
        log::info(
            "refused",
            &[
                ("request", &self.request),
                ("peer", &self.peer),
                ("client", &self.client()),
                ("method", &self.head.method),
                ("target", &self.head.target),
                ("status", &refusal.status),
                ("error", &refusal.message),
            ],
        );
    }
}

/// Finds a request in the log. It need not be secret, only rarely repeated.
fn request_id() -> String {
    let id = ImageId::random().map(|id| id.to_string()).unwrap_or_default();
    id.chars().take(12).collect()
}

/// Hands a whole request to tiny_http and returns its answer. Only what the api reads is passed on.
pub(super) fn forward<'a>(
    shared: &'a Shared,
    asked: &Asked,
    mut body: Buffered<'a>,
) -> Result<Buffered<'a>, Refusal> {
    let Some(_handler) = shared.handlers.add_below(HANDLERS, HANDLER_TIMEOUT) else {
        return Err(server_full());
    };
    let number = shared.bodies.lay_down(std::mem::take(&mut body.bytes));
    let answered = ask(shared, canonical_head(asked, number).as_bytes());
    shared.bodies.pick_up(number); // it is still there if tiny_http has failed
    drop(body); // until here it was counted
    let bytes = match answered {
        Ok(bytes) if bytes.starts_with(b"HTTP/1.1 ") => bytes,
        other => {
            let error = other.err().map_or("no answer".to_owned(), |error| error.to_string());
            log::error("handler_failed", &[("request", &asked.request), ("error", &error)]);
            let message = format!(
                "The server could not answer: try again in a few seconds (request {}).",
                asked.request
            );
            return Err(Refusal::new(503, message));
        }
    };
    let length = bytes.len();
    let mut answer = Buffered::new(bytes, shared);
    // It is sent in any case: what it says has been done. If nobody else gives way, no more are made than there are handlers.
    answer.charge(length);
    Ok(answer)
}

fn canonical_head(asked: &Asked, body: u64) -> String {
    let Asked { request, peer, head, .. } = asked;
    let (client, body_us) = (asked.client(), asked.body_took.as_micros());
    let mut text = format!(
        "{} {} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nContent-Length: 0\r\n\
         {REQUEST}: {request}\r\n{PEER}: {peer}\r\n{CLIENT}: {client}\r\n{BODY_US}: {body_us}\r\n{BODY}: {body}\r\n",
        head.method, head.target,
    );
    let passed_on = [("Content-Type", &head.content_type), ("If-None-Match", &head.if_none_match)];
    for (name, value) in passed_on {
        if let Some(value) = value {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    text.push_str("\r\n");
    text
}

fn ask(shared: &Shared, head: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(&shared.private_socket).inspect_err(|error| {
        // Nobody listens: tiny_http's accept thread has ended, and it does not come back. After a drain the socket is gone, and
        // a worker in this process may still be finishing its jobs.
        let is_closed = matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound);
        if is_closed && !shared.draining.load(Ordering::SeqCst) {
            end_process("the private socket is closed");
        }
    })?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(head)?;
    let mut answer = Vec::with_capacity(USUAL_ANSWER_BYTES);
    match stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => end_process("a handler hangs"),
        read => {
            // It grew by doubling, and only its length is charged.
            answer.shrink_to_fit();
            read.map(|_| answer)
        }
    }
}

/// For whoever started it to start it again.
fn end_process(why: &str) -> ! {
    log::error("ended", &[("error", &why)]);
    std::process::exit(1);
}

/// Adds `Connection: close` after the first line, which tiny_http cannot be made to send.
pub(super) fn say_close(answer: &mut Vec<u8>) {
    let line = answer.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    answer.splice(line..line, *b"Connection: close\r\n");
}

/// A refusal of the gate's own, as bytes. It ends the connection.
pub(super) fn refusal_answer(refusal: &Refusal, asked: &Asked) -> Vec<u8> {
    let body = refusal.json();
    let mut answer = format!(
        "HTTP/1.1 {} {}\r\nConnection: close\r\nDate: {}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\
         X-Request-Id: {}\r\nServer: {}\r\nContent-Length: {}\r\n",
        refusal.status,
        refusal.reason(),
        httpdate::fmt_http_date(std::time::SystemTime::now()),
        asked.request,
        crate::server::SERVER,
        body.len(),
    );
    if let Some((name, value)) = &refusal.header {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    answer.push_str("\r\n");
    if asked.head.method != "HEAD" {
        answer.push_str(&body);
    }
    answer.into_bytes()
}
