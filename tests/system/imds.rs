//! A stand-in for EC2's instance metadata service, as strict as version 2 is: it says nothing without a token, and gives a token
//! only to a PUT that says for how long and that came through no proxy.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aws_client::credentials::Credentials;
use image_sharer::support::dates;
use serde_json::json;

/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 8192;

/// The service. It listens as long as this process lives.
#[derive(Clone)]
pub(crate) struct Imds {
    /// Where it listens, on loopback.
    pub port: u16,
    paths: Arc<Mutex<HashMap<String, String>>>,
}

impl Imds {
    /// Starts one for an instance with a role, whose credentials these are.
    pub(crate) fn start(credentials: &Credentials) -> Imds {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let imds = Imds { port: listener.local_addr().unwrap().port(), paths: Arc::default() };
        imds.set("meta-data/iam/security-credentials/", "a-role");
        imds.give(credentials);
        let answering = imds.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let imds = answering.clone();
                thread::spawn(move || imds.answer(stream));
            }
        });
        imds
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The credentials of the role from now on. If nothing is known of their end, it is far.
    pub(crate) fn give(&self, credentials: &Credentials) {
        let expiration = credentials.expires.map_or("2100-01-01T00:00:00Z".to_owned(), dates::to_rfc3339);
        let credentials = json!({
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "Token": credentials.session_token,
            "Expiration": expiration,
        });
        self.set("meta-data/iam/security-credentials/a-role", &credentials.to_string());
    }

    /// Sets what a path below `/latest/` answers.
    pub(crate) fn set(&self, path: &str, content: &str) {
        self.paths.lock().unwrap().insert(format!("/latest/{path}"), content.to_owned());
    }

    fn answer(&self, mut stream: TcpStream) {
        let Some(head) = read_head(&mut stream) else { return };
        let (status, body) = self.decide(&head);
        // In one write: what forwards it from a virtual machine expects no second.
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes());
    }

    fn decide(&self, head: &str) -> (u16, String) {
        let mut lines = head.lines();
        let mut request = lines.next().unwrap_or_default().split(' ');
        let (method, path) = (request.next().unwrap_or_default(), request.next().unwrap_or_default());
        let headers: HashMap<String, &str> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect();
        let header = |name: &str| headers.get(name).copied().unwrap_or_default();
        match (method, path) {
            ("PUT", "/latest/api/token") => {
                let ttl = header("x-aws-ec2-metadata-token-ttl-seconds").parse::<u32>();
                match ttl {
                    _ if headers.contains_key("x-forwarded-for") => (403, String::new()),
                    Ok(1..=21_600) => (200, format!("token-of-{}", self.port)),
                    _ => (400, String::new()),
                }
            }
            ("GET", _) if header("x-aws-ec2-metadata-token") != format!("token-of-{}", self.port) => {
                (401, String::new())
            }
            ("GET", path) => match self.paths.lock().unwrap().get(path) {
                Some(content) => (200, content.clone()),
                None => (404, String::new()),
            },
            _ => (405, String::new()),
        }
    }
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if head.len() == MAX_HEAD_BYTES || stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}
