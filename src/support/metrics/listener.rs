//! A listener for Prometheus, which asks every few seconds. It serves one connection at a time, and each has little time. So a
//! stranger's connection costs no more than a waiting thread and a few kilobytes.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::log;

/// From the connection to the end of its answer. A connection that says nothing keeps the next one waiting this long.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The longest head. Prometheus sends some 300 bytes.
const MAX_HEAD_BYTES: usize = 4096;

/// After a failure to accept, for example because there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Answers with `page` for as long as the process lives.
pub(super) fn serve(listener: &TcpListener, page: impl Fn() -> String) {
    loop {
        match listener.accept() {
            // A client that was too slow asks again, so a failure is not worth a line.
            Ok((client, _)) => drop(answer(client, &page)),
            Err(error) => {
                log::warn("metrics_accept_failed", &[("error", &error)]);
                thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

fn answer(mut client: TcpStream, page: impl Fn() -> String) -> io::Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    // A socket refuses a timeout of zero, so nothing is read or written when no time is left.
    let time_left = || Some(deadline.saturating_duration_since(Instant::now()));
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD_BYTES {
        let mut buffer = [0; 1024];
        client.set_read_timeout(time_left())?;
        match client.read(&mut buffer)? {
            0 => break,
            read => head.extend_from_slice(&buffer[..read]),
        }
    }
    let (status, body) = match head.as_slice() {
        head if !head.ends_with(b"\r\n\r\n") => ("400 Bad Request", "Send a GET.\n".to_owned()),
        head if head.starts_with(b"GET /metrics ") => ("200 OK", page()),
        head if head.starts_with(b"GET ") => ("404 Not Found", "There is only /metrics here.\n".to_owned()),
        _ => ("405 Method Not Allowed\r\nAllow: GET", "Send a GET.\n".to_owned()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    client.set_write_timeout(time_left())?;
    // One call, which ends in time. write_all would give each piece that a slow client takes a new timeout.
    client.write(answer.as_bytes()).map(drop)
}
