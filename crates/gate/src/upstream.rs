//! The way to upstream and back: a request in canonical form, its body, and the answer.
//!
//! The gate writes the whole request before it reads the answer. So upstream has to read the body before it writes an answer
//! that is longer than a socket's buffer.

use std::fmt::Write as _;
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::net::UnixStream;

use crate::buffered::Buffered;
use crate::head::Header;
use crate::hooks::{Event, Fatal, Refusal, Request};
use crate::shared::Shared;

/// Tells upstream under which id the request is logged.
pub const REQUEST_ID: &str = "X-Request-Id";

/// Tells upstream who has connected: an address and a port.
pub const PEER: &str = "X-Peer";

/// Tells upstream who is asking: the peer's address, or who a trusted proxy says it is.
pub const CLIENT: &str = "X-Client";

/// Tells upstream how many microseconds the body took to arrive.
pub const BODY_MICROS: &str = "X-Body-Micros";

/// Nearly all answers fit in: a head, and some lines of text.
const USUAL_ANSWER_BYTES: usize = 4 * 1024;

/// Hands a whole request to upstream, once it is its turn, and returns the answer.
pub(crate) fn forward<'a>(
    shared: &'a Shared,
    request: &Request,
    body: Buffered<'_>,
) -> Result<Buffered<'a>, Refusal> {
    let Some(_turn) = shared.turns.take(shared.limits.turn_timeout) else {
        return Err(Refusal::server_full());
    };
    match ask(shared, &canonical_head(request), body) {
        Ok(bytes) => {
            let length = bytes.len();
            let mut answer = Buffered::new(bytes, shared);
            // The gate sends it in any case, since what it says has been done. If no connection can be evicted, there are no
            // more such answers than turns.
            answer.charge(length);
            Ok(answer)
        }
        Err(error) => {
            shared.hooks.observe(Event::UpstreamFailed { request, error: &error });
            let id = &request.id;
            let message = format!("The server could not answer: try again in a few seconds (request {id}).");
            Err(Refusal::new(503, message))
        }
    }
}

/// No other header of the client goes upstream, so a client cannot set those of the gate.
fn canonical_head(request: &Request) -> String {
    let Request { id, peer, head, .. } = request;
    let (client, body_micros) = (request.client(), request.body_took.as_micros());
    let mut text = format!(
        "{} {} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nContent-Length: {}\r\n\
         {REQUEST_ID}: {id}\r\n{PEER}: {peer}\r\n{CLIENT}: {client}\r\n{BODY_MICROS}: {body_micros}\r\n",
        head.method, head.target, head.content_length,
    );
    for Header { name, value } in &head.headers {
        let _ = write!(text, "{name}: {value}\r\n"); // writing to a String cannot fail
    }
    text.push_str("\r\n");
    text
}

/// Fails if upstream gives no answer that is one of HTTP/1.1.
fn ask(shared: &Shared, head: &str, body: Buffered<'_>) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(&shared.private_socket).inspect_err(|error| {
        // Nobody listens: upstream does not accept any more. After a drain that is as it should be.
        let is_closed = matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound);
        if is_closed && !shared.is_draining() {
            shared.hooks.observe(Event::Failed(Fatal::UpstreamClosed));
        }
    })?;
    stream.set_read_timeout(Some(shared.limits.answer_timeout))?;
    stream.set_write_timeout(Some(shared.limits.answer_timeout))?;
    let answered = write_all(&mut stream, head.as_bytes(), &body.bytes).and_then(|()| {
        drop(body); // upstream has it now
        let mut answer = Vec::with_capacity(USUAL_ANSWER_BYTES);
        stream.take(shared.limits.answer_bytes as u64 + 1).read_to_end(&mut answer)?;
        if answer.len() > shared.limits.answer_bytes {
            // Were it cut, the client would take the next answer for the rest of this one.
            return Err(io::Error::other("the answer is too long"));
        }
        answer.shrink_to_fit(); // it grew by doubling, and only its length is charged
        Ok(answer)
    });
    match answered {
        Ok(answer) if answer.starts_with(b"HTTP/1.1 ") => Ok(answer),
        Ok(_) => Err(io::Error::other("no answer")),
        Err(error) => {
            if error.kind() == io::ErrorKind::WouldBlock {
                shared.hooks.observe(Event::Failed(Fatal::UpstreamHangs));
            }
            Err(error)
        }
    }
}

/// Writes a head and a body without copying them together.
fn write_all(stream: &mut UnixStream, mut head: &[u8], mut body: &[u8]) -> io::Result<()> {
    while !head.is_empty() || !body.is_empty() {
        match stream.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                let of_head = written.min(head.len());
                head = &head[of_head..];
                body = &body[written - of_head..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Adds `Connection: close` after the first line of an answer, since some servers, tiny_http among them, cannot be made to send
/// it.
pub(crate) fn add_close(answer: &mut Vec<u8>) {
    let line = answer.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    answer.splice(line..line, *b"Connection: close\r\n");
}
