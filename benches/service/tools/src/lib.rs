//! The little of HTTP that the engine and the client of the benchmark share: one message, read whole, with its length known.

use std::io::{self, BufRead, Read, Write};

const MAX_HEADERS: usize = 64;

/// A request or an answer: its first line, its headers with names in lower case, its body.
pub struct Message {
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads one message; `None` at the end of the connection. A client that waits for 100 Continue is sent it.
pub fn read(reader: &mut impl BufRead, mut asker: impl Write) -> io::Result<Option<Message>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
    }
    let line_end = head.iter().position(|byte| *byte == b'\r').unwrap_or(0);
    let start = String::from_utf8_lossy(&head[..line_end]).into_owned();
    let mut parsed = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let (_, parsed) =
        httparse::parse_headers(&head[line_end + 2..], &mut parsed).map_err(io::Error::other)?.unwrap();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers =
        parsed.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value))).collect();
    let mut message = Message { start, headers, body: Vec::new() };
    if message.header("transfer-encoding").is_some() {
        return Err(io::Error::other("a chunked message is not for this benchmark"));
    }
    if message.header("expect").is_some() {
        asker.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length = message.header("content-length").map_or(Ok(0), str::parse).map_err(io::Error::other)?;
    message.body.reserve_exact(length);
    reader.take(length as u64).read_to_end(&mut message.body)?;
    match message.body.len() == length {
        true => Ok(Some(message)),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
