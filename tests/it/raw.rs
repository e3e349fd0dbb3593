//! A client that sends any bytes, also those that no honest client sends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::program::PATIENCE;

pub(crate) struct Client {
    stream: Option<TcpStream>,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Client {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream: Some(stream), received: Vec::new() }
    }

    /// Connects from another address of this machine: on Linux all of 127.0.0.0/8 are.
    pub(crate) fn connect_from(source: [u8; 4], address: &str) -> std::io::Result<Client> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
        // Close-on-exec: programs that other tests start at the same time would inherit it, and be short of descriptors.
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &SocketAddr::from((source, 0)))?;
        connect(&socket, &address.parse::<SocketAddr>().expect("an address"))?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client { stream: Some(stream), received: Vec::new() })
    }

    /// Moves the connection out of a variable that was borrowed.
    pub(crate) fn take(&mut self) -> Client {
        Client { stream: self.stream.take(), received: std::mem::take(&mut self.received) }
    }

    fn stream(&mut self) -> &mut TcpStream {
        self.stream.as_mut().expect("not taken")
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream().write_all(bytes).expect("the server reads");
    }

    /// Sends for as long as the server takes it. Returns how many bytes that were.
    pub(crate) fn send_endlessly(&mut self, bytes: &[u8], most: usize) -> usize {
        self.stream().set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut sent = 0;
        while sent < most {
            match self.stream().write(bytes) {
                Ok(written) => sent += written,
                Err(_) => break,
            }
        }
        sent
    }

    /// Whether something comes within this time.
    pub(crate) fn answers_within(&mut self, time: Duration) -> bool {
        self.stream().set_read_timeout(Some(time)).unwrap();
        let answers = self.stream().peek(&mut [0]).is_ok_and(|bytes| bytes > 0);
        self.stream().set_read_timeout(Some(PATIENCE)).unwrap();
        answers
    }

    /// The end of what this side sends.
    pub(crate) fn finish(&mut self) {
        let _ = self.stream().shutdown(std::net::Shutdown::Write);
    }

    /// The status of the next answer, whose body is read too.
    pub(crate) fn status(&mut self) -> u16 {
        let end = loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.receive(), "closed before an answer");
        };
        let head = String::from_utf8_lossy(&self.received[..end]).into_owned();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |n| n.parse().unwrap());
        while self.received.len() < end + length {
            assert!(self.receive(), "closed in the middle of an answer");
        }
        self.received.drain(..end + length);
        head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    /// Everything until the server closes.
    pub(crate) fn answer(&mut self) -> String {
        while self.receive() {}
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// Whether the server closes the connection, without a further byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.received.is_empty() && !self.receive()
    }

    fn receive(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = self.stream().read(&mut buffer).unwrap_or_else(|error| match error.kind() {
            std::io::ErrorKind::ConnectionReset => 0,
            _ => panic!("{error}"),
        });
        self.received.extend_from_slice(&buffer[..read]);
        read > 0
    }
}
