//! A listener for Prometheus, which asks every few seconds. It serves one connection at a time, and each has little time. So a
//! stranger's connection costs no more than a waiting thread and a few kilobytes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
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
            Ok((stream, _)) => drop(answer(&Timed { stream, deadline: Instant::now() + TIMEOUT }, &page)),
            Err(error) => {
                log::warn("metrics_accept_failed", &[("error", &error)]);
                thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

fn answer(mut client: &Timed, page: impl Fn() -> String) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD_BYTES {
        let mut buffer = [0; 1024];
        match client.read(&mut buffer)? {
            0 => break,
            read => head.extend_from_slice(&buffer[..read]),
        }
    }
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let (status, body) = match words.as_slice() {
        _ if !head.ends_with(b"\r\n\r\n") => ("400 Bad Request", "Send a GET.\n".to_owned()),
        [b"GET", b"/metrics", _] => ("200 OK", page()),
        [b"GET", _, _] => ("404 Not Found", "There is only /metrics here.\n".to_owned()),
        _ => ("405 Method Not Allowed\r\nAllow: GET", "Send a GET.\n".to_owned()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    client.write_all(answer.as_bytes())?;
    client.stream.shutdown(Shutdown::Write)
}

/// A connection that ends at its deadline, whatever it does until then.
struct Timed {
    stream: TcpStream,
    deadline: Instant,
}

impl Timed {
    fn time_left(&self) -> io::Result<Option<Duration>> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

impl Read for &Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.time_left()?)?;
        (&self.stream).read(buffer)
    }
}

impl Write for &Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.time_left()?)?;
        (&self.stream).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
