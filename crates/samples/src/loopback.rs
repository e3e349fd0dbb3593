//! A server for tests: it gives scripted answers on a loopback port, one a connection, and keeps what it was asked.
//!
//! For what no engine can be made to do: answers that get lost, clocks that are wrong, services that shed load, and the
//! addresses that only exist inside AWS.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The server. It ends when the test does.
pub struct Loopback {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Loopback {
    /// Gives these answers in turn; an empty one closes the connection without a word. After the last it accepts no more.
    pub fn answering(answers: Vec<String>) -> Loopback {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        thread::spawn(move || {
            for answer in answers {
                let (mut connection, _) = listener.accept().unwrap();
                kept.lock().unwrap().push(read_request(&mut connection));
                let _ = connection.write_all(answer.as_bytes());
                let _ = connection.shutdown(Shutdown::Both);
            }
        });
        Loopback { port, requests }
    }

    /// Accepts and never answers.
    pub fn silent() -> Loopback {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || listener.incoming().collect::<Vec<_>>());
        Loopback { port, requests: Arc::default() }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The requests so far, head and body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// 200 with a body.
pub fn ok(body: &str) -> String {
    answer("200 OK", &[], body)
}

/// Any answer.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn read_request(connection: &mut TcpStream) -> String {
    connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        match connection.read(&mut chunk) {
            Ok(0) | Err(_) => return text,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
}
