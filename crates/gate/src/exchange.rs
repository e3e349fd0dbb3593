//! A connection's requests, one after another: each is read whole, forwarded, and answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::buffered::Buffered;
use crate::connection::{BODY_READ_BYTES, Connection, is_timeout};
use crate::counter::Counted;
use crate::head::Rules;
use crate::hooks::{Refusal, Request};
use crate::shared::Shared;
use crate::upstream;
use crate::waiting::{Wait, WaitsFor};

/// What comes after a request that was answered.
enum Flow {
    Next,
    Close,
}

/// Why a connection ends without the answer that the client asked for.
enum Stop {
    /// The client is told.
    Refused(Refusal),
    /// The client is gone, or has no request under way.
    Silently,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

/// Serves a connection until it ends. `wait` is the wait for its first head, which began when it was accepted.
pub(crate) fn serve(connection: &Arc<Connection>, shared: &Arc<Shared>, wait: Option<Wait>) {
    let mut exchange = Exchange::new(connection, shared, wait);
    let mut flow =
        if connection.is_refused { Err(Refusal::server_full().into()) } else { exchange.serve_next() };
    while let Ok(Flow::Next) = flow {
        flow = exchange.serve_next();
    }
    let _wait = exchange.wait(WaitsFor::TakingAnswer);
    let is_answered = match flow {
        Ok(_) => true,
        Err(Stop::Refused(refusal)) => exchange.refuse(&refusal),
        Err(Stop::Silently) => false,
    };
    if is_answered {
        connection.linger(&shared.limits);
    }
}

/// One request and its answer, and what is left for the next.
struct Exchange<'a> {
    connection: &'a Arc<Connection>,
    shared: &'a Arc<Shared>,
    /// What has been read and not used.
    buffer: Vec<u8>,
    request: Request,
    /// Counts from 1.
    number: usize,
    first_wait: Option<Wait>,
    /// From the end of the head until the request is answered, or its connection ends: a drain waits for it.
    in_hand: Option<Counted>,
}

impl<'a> Exchange<'a> {
    fn new(connection: &'a Arc<Connection>, shared: &'a Arc<Shared>, wait: Option<Wait>) -> Exchange<'a> {
        let request = Request::new(connection.peer, connection.client);
        Exchange {
            connection,
            shared,
            buffer: Vec::new(),
            request,
            number: 0,
            first_wait: wait,
            in_hand: None,
        }
    }

    /// Reads the connection's next request, forwards it, and carries the answer back.
    fn serve_next(&mut self) -> Result<Flow, Stop> {
        self.number += 1;
        if self.number > 1 {
            self.request = Request::new(self.connection.peer, self.connection.client);
        }
        self.read_head()?;
        let close = self.request.head.close || self.number == self.shared.limits.requests_per_connection;
        self.in_hand = Some(self.shared.requests.add());
        self.count_in_quota()?;
        self.check_head()?;
        let body = self.read_body()?;
        let mut answer = upstream::forward(self.shared, &self.request, body)?;
        if close {
            upstream::add_close(&mut answer.bytes);
        }
        let wait = self.wait(WaitsFor::TakingAnswer);
        self.write(&answer.bytes)?;
        drop(wait);
        if self.connection.client.is_none() {
            self.connection.set_quota_slot(None);
        }
        self.in_hand = None;
        Ok(if close { Flow::Close } else { Flow::Next })
    }

    fn wait(&self, waits_for: WaitsFor) -> Wait {
        Wait::new(self.shared, self.connection, self.request.quota_of, waits_for)
    }

    /// Reads a head into `request`. What follows it stays in the buffer.
    fn read_head(&mut self) -> Result<(), Stop> {
        let wait = self.first_wait.take().unwrap_or_else(|| self.wait(WaitsFor::Head));
        let rules = Rules { limits: &self.shared.limits, passed_on: self.shared.passed_on };
        let length = self.read_until_head(&rules)?;
        drop(wait);
        if self.connection.is_evicted() {
            return Err(Refusal::server_full().into()); // this head came before the eviction
        }
        self.request.head = rules.parse(&self.buffer[..length])?;
        self.buffer.drain(..length);
        Ok(())
    }

    /// Reads until the buffer begins with a whole head, and returns its length.
    fn read_until_head(&mut self, rules: &Rules) -> Result<usize, Stop> {
        let is_first = self.number == 1;
        let head_timeout = rules.limits.head_timeout;
        let is_idle = !is_first && self.buffer.is_empty();
        let mut deadline = Instant::now() + if is_idle { rules.limits.idle_timeout } else { head_timeout };
        let mut seen = 0;
        loop {
            if let Some(length) = rules.find_end(&self.buffer, seen)? {
                return Ok(length);
            }
            seen = self.buffer.len();
            match self.connection.read_more(&mut self.buffer, deadline) {
                Ok(0) if seen == 0 && !is_first => return Err(Stop::Silently),
                Ok(0) if seen == 0 => return Err(self.client_is_gone()),
                Ok(0) => return Err(self.cut_short()),
                Ok(_) if seen == 0 && !is_first => deadline = Instant::now() + head_timeout,
                Ok(_) => {}
                Err(error) if is_timeout(&error) && (is_first || seen > 0) => {
                    return Err(too_slow("headers", head_timeout).into());
                }
                Err(_) => return Err(self.client_is_gone()),
            }
        }
    }

    /// A request that came by a trusted proxy counts in the quota of the client that the proxy names.
    fn count_in_quota(&mut self) -> Result<(), Refusal> {
        if self.connection.client.is_some() {
            return Ok(()); // the connection counts
        }
        let forwarded_for = self.request.head.forwarded_for.as_deref();
        self.request.quota_of = self.shared.quotas.client_of_forwarded(forwarded_for);
        let taken = self.request.quota_of.map(|client| self.shared.take_quota_slot(client)).transpose()?;
        self.connection.set_quota_slot(taken);
        Ok(())
    }

    /// Refuses what can be refused before the body is read.
    fn check_head(&self) -> Result<(), Refusal> {
        if self.shared.is_draining() {
            return Err(Refusal::new(503, "This server is stopping: try again in a few seconds."));
        }
        self.shared.hooks.check_head(&self.request.head)?;
        let limit = self.shared.limits.body_bytes;
        if self.request.head.content_length > limit as u64 {
            return Err(Refusal::new(413, format!("The body is over {limit} bytes: send a smaller one.")));
        }
        Ok(())
    }

    /// Reads the body that the head announced. The buffer holds what came with the head, and keeps what follows the body.
    fn read_body(&mut self) -> Result<Buffered<'a>, Stop> {
        let began = Instant::now();
        let _wait = self.wait(WaitsFor::Body);
        let timeout = self.shared.limits.body_timeout;
        let length = self.request.head.content_length as usize; // at most the limit, says check_head
        let mut body = Buffered::new(vec![0; length], self.shared);
        let mut filled = length.min(self.buffer.len());
        body.bytes[..filled].copy_from_slice(&self.buffer[..filled]);
        self.buffer.drain(..filled);
        self.charge(&mut body, filled)?;
        if self.request.head.expects_continue && filled == 0 {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        while filled < length {
            let until = length.min(filled + BODY_READ_BYTES);
            match self.connection.read(&mut body.bytes[filled..until], began + timeout) {
                Ok(0) => return Err(self.cut_short()),
                Ok(read) => {
                    filled += read;
                    self.charge(&mut body, read)?;
                }
                Err(error) if is_timeout(&error) => return Err(too_slow("body", timeout).into()),
                Err(_) => return Err(self.client_is_gone()),
            }
        }
        self.request.body_took = began.elapsed();
        Ok(body)
    }

    fn charge(&self, body: &mut Buffered, bytes: usize) -> Result<(), Refusal> {
        if body.charge(bytes) { Ok(()) } else { Err(Refusal::server_full()) }
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Stop> {
        self.connection.write(bytes, self.shared.limits.write_timeout).map_err(|_| Stop::Silently)
    }

    /// Tells the client no. False if the client does not take the answer.
    fn refuse(&self, refusal: &Refusal) -> bool {
        let mut answer = self.shared.hooks.answer_refused(&self.request, refusal);
        upstream::add_close(&mut answer);
        self.write(&answer).is_ok()
    }

    /// The client closed its side with no request under way, unless it was evicted.
    fn client_is_gone(&self) -> Stop {
        if self.connection.is_evicted() { Refusal::server_full().into() } else { Stop::Silently }
    }

    /// The client closed its side in the middle of a request, unless it was evicted.
    fn cut_short(&self) -> Stop {
        if self.connection.is_evicted() {
            return Refusal::server_full().into();
        }
        Refusal::new(400, "The request ended before it was whole: send all that its Content-Length says.")
            .into()
    }
}

fn too_slow(what: &str, limit: Duration) -> Refusal {
    let limit = limit.as_secs();
    Refusal::new(
        408,
        format!("The request's {what} did not arrive within {limit} seconds: try again on a faster line."),
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::shared::tests::shared;

    /// What it had sent before lies ready to be read, and would keep the connection busy.
    #[test]
    fn an_evicted_client_is_not_listened_to() {
        let shared = shared();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let connection = Arc::new(Connection::new(stream, peer, None, shared.take_slot(None)));
        let wait = Wait::new(&shared, &connection, None, WaitsFor::Head);
        for _ in 0..3 {
            client.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        }
        assert!(shared.evict_longest_waiting(|_| true));
        serve(&connection, &shared, Some(wait));
        drop(connection);
        let mut answers = String::new();
        client.read_to_string(&mut answers).unwrap();
        assert!(answers.starts_with("HTTP/1.1 503 ") && answers.contains("The server is full"), "{answers}");
        assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
    }
}
