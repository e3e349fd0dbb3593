//! A request that came to a [relay](crate::relay). It is signed, so it is passed on unchanged.

use std::io::{BufRead, Read, Write};
use std::net::TcpStream;

/// What our programs ask of the store, the queue and the metadata service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Put,
    Get,
    Head,
    Delete,
    Send,
    Receive,
    DeleteMessages,
    ChangeVisibility,
    Attributes,
    Credentials,
}

impl Operation {
    /// Told by the method, SQS's header and the path.
    fn of(head: &str) -> Operation {
        let (method, target) = method_and_target(head);
        let action = header(head, "x-amz-target").map(|target| target.trim_start_matches("AmazonSQS."));
        match (method, action) {
            _ if target.starts_with("/latest/") => Operation::Credentials,
            (_, Some("SendMessage")) => Operation::Send,
            (_, Some("ReceiveMessage")) => Operation::Receive,
            (_, Some("DeleteMessageBatch")) => Operation::DeleteMessages,
            (_, Some("ChangeMessageVisibilityBatch")) => Operation::ChangeVisibility,
            (_, Some("GetQueueAttributes")) => Operation::Attributes,
            ("PUT", None) => Operation::Put,
            ("GET", None) => Operation::Get,
            ("HEAD", None) => Operation::Head,
            ("DELETE", None) => Operation::Delete,
            _ => panic!("our programs do not ask for this: {head}"),
        }
    }

    /// Whether it is SQS that is asked.
    pub(crate) fn is_of_queue(self) -> bool {
        use Operation::{Attributes, ChangeVisibility, DeleteMessages, Receive, Send};
        matches!(self, Send | Receive | DeleteMessages | ChangeVisibility | Attributes)
    }
}

pub(crate) struct Request {
    /// With the empty line at its end.
    pub head: String,
    /// As much of it as was read.
    pub body: Vec<u8>,
    /// What it asks for.
    pub operation: Operation,
}

impl Request {
    /// Reads the head. None at the end of the connection.
    pub(crate) fn read(from: &mut impl BufRead) -> Option<Request> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if from.read_until(b'\n', &mut head).ok()? == 0 {
                return None;
            }
        }
        let head = String::from_utf8(head).expect("our programs write heads in ASCII");
        Some(Request { operation: Operation::of(&head), head, body: Vec::new() })
    }

    /// How long the whole body is.
    pub(crate) fn length(&self) -> usize {
        self.header("content-length").map_or(0, |length| length.parse().expect("a number"))
    }

    /// Reads so many bytes of the body.
    pub(crate) fn read_body(&mut self, from: &mut impl Read, length: usize) -> Option<()> {
        self.body.resize(length, 0);
        from.read_exact(&mut self.body).ok()
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub(crate) fn method(&self) -> &str {
        method_and_target(&self.head).0
    }

    pub(crate) fn target(&self) -> &str {
        method_and_target(&self.head).1
    }

    /// What the service answers, to the end.
    pub(crate) fn forward(&self, to: &str) -> Option<Vec<u8>> {
        let mut service = TcpStream::connect(to).ok()?;
        let last = self.head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        service.write_all(&[last.as_bytes(), &self.body].concat()).ok()?;
        let mut answer = Vec::new();
        service.read_to_end(&mut answer).ok()?;
        let end = end_of_head(&answer)?;
        let head = String::from_utf8_lossy(&answer[..end]);
        let kept: Vec<&str> =
            head.split("\r\n").filter(|line| !line.eq_ignore_ascii_case("connection: close")).collect();
        Some([kept.join("\r\n").as_bytes(), &answer[end..]].concat())
    }
}

/// Where the body begins.
pub(crate) fn end_of_head(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// A header's value in a head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn method_and_target(head: &str) -> (&str, &str) {
    let mut words = head.split(' ');
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}
