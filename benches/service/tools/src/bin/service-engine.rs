//! A store and a queue in memory that speak enough of S3 and SQS for the benchmark: `service-engine ADDRESS STORE_MS`.
//!
//! It stands in for a real engine because those cost more CPU time for an upload than the servers that are measured. It
//! checks no signatures; it does honour `If-None-Match` and give the checksums that the SDKs verify. A message that is
//! received is never seen again: nobody dies here. S3's answers are held back by STORE_MS milliseconds. It runs until it
//! is killed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::env;
use std::error::Error;
use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use serde_json::{Value, json};
use service_tools::{Message, read};

/// The oldest objects make room: a fast server would fill the machine's memory in a minute.
const MAX_STORED_BYTES: usize = 256 * 1024 * 1024;

#[derive(Default)]
struct Store {
    objects: HashMap<String, Arc<Vec<u8>>>,
    by_age: VecDeque<String>,
    bytes: usize,
}

#[derive(Default)]
struct Queue {
    visible: VecDeque<String>,
    in_flight: BTreeMap<u64, String>,
    received: u64,
}

#[derive(Default)]
struct Engine {
    store_delay: Duration,
    store: Mutex<Store>,
    queue: Mutex<Queue>,
    arrived: Condvar,
}

type Reply = (u16, &'static str, Arc<Vec<u8>>);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, milliseconds] = &arguments[..] else {
        return Err("usage: service-engine ADDRESS STORE_MS".into());
    };
    let milliseconds = milliseconds.parse()?;
    let engine = Arc::new(Engine { store_delay: Duration::from_millis(milliseconds), ..Engine::default() });
    let listener = TcpListener::bind(address)?;
    for connection in listener.incoming() {
        let (connection, engine) = (connection?, engine.clone());
        // A client that closes or resets its connection is no event.
        thread::spawn(move || engine.serve(&connection));
    }
    Ok(())
}

impl Engine {
    fn serve(&self, connection: &TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(64 * 1024, connection);
        while let Some(request) = read(&mut reader, connection)? {
            let (status, content_type, body) = match request.header("x-amz-target") {
                Some(target) => self.sqs(target, &request.body),
                None => self.s3(request),
            };
            let mut answer = format!(
                "HTTP/1.1 {status} -\r\nContent-Type: {content_type}\r\nETag: \"0\"\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )
            .into_bytes();
            answer.extend_from_slice(&body);
            (&mut &*connection).write_all(&answer)?;
        }
        Ok(())
    }

    fn s3(&self, request: Message) -> Reply {
        thread::sleep(self.store_delay);
        let [method, path] = words(&request.start);
        let key = path.split('?').next().unwrap_or_default().to_owned();
        let mut store = self.store.lock().unwrap();
        let found = store.objects.get(&key).cloned();
        match (method, found) {
            ("PUT", Some(_)) if request.header("if-none-match").is_some() => {
                error(412, "<Error><Code>PreconditionFailed</Code></Error>")
            }
            ("PUT", _) => {
                store.put(key, request.body);
                (200, "application/xml", Arc::default())
            }
            ("GET", Some(object)) => (200, "image/jpeg", object), // as all are
            ("GET", None) => error(404, "<Error><Code>NoSuchKey</Code></Error>"),
            _ => error(501, "<Error><Code>NotImplemented</Code></Error>"),
        }
    }

    fn sqs(&self, target: &str, body: &[u8]) -> Reply {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let operation = target.trim_start_matches("AmazonSQS.");
        let answer = match operation {
            "SendMessage" => self.send(&request),
            "ReceiveMessage" => self.receive(&request),
            "DeleteMessage" => {
                self.delete(&request["ReceiptHandle"]);
                Value::Null
            }
            "DeleteMessageBatch" => self.entries(&request, |entry| self.delete(&entry["ReceiptHandle"])),
            "ChangeMessageVisibilityBatch" => self.entries(&request, |_| ()),
            "GetQueueAttributes" => self.attributes(),
            _ => return error(501, r#"{"__type":"NotImplemented"}"#),
        };
        (200, "application/x-amz-json-1.0", Arc::new(answer.to_string().into_bytes()))
    }

    fn send(&self, request: &Value) -> Value {
        let body = request["MessageBody"].as_str().unwrap_or_default();
        self.queue.lock().unwrap().visible.push_back(body.to_owned());
        self.arrived.notify_one();
        json!({ "MessageId": "0", "MD5OfMessageBody": md5(body) })
    }

    fn receive(&self, request: &Value) -> Value {
        let most = request["MaxNumberOfMessages"].as_u64().unwrap_or(1) as usize;
        let wait = Duration::from_secs(request["WaitTimeSeconds"].as_u64().unwrap_or(0));
        let deadline = Instant::now() + wait;
        let mut queue = self.queue.lock().unwrap();
        while queue.visible.is_empty() && Instant::now() < deadline {
            queue = self.arrived.wait_timeout(queue, deadline - Instant::now()).unwrap().0;
        }
        let mut messages = Vec::new();
        while messages.len() < most
            && let Some(body) = queue.visible.pop_front()
        {
            queue.received += 1;
            let receipt = queue.received;
            messages.push(json!({
                "MessageId": receipt.to_string(),
                "ReceiptHandle": receipt.to_string(),
                "MD5OfBody": md5(&body),
                "Body": body,
                "Attributes": { "ApproximateReceiveCount": "1" },
            }));
            queue.in_flight.insert(receipt, body);
        }
        json!({ "Messages": messages })
    }

    fn delete(&self, receipt: &Value) {
        if let Some(receipt) = receipt.as_str().and_then(|text| text.parse().ok()) {
            self.queue.lock().unwrap().in_flight.remove(&receipt);
        }
    }

    fn entries(&self, request: &Value, each: impl Fn(&Value)) -> Value {
        let entries = request["Entries"].as_array().map_or(&[][..], Vec::as_slice);
        entries.iter().for_each(each);
        let done: Vec<Value> = entries.iter().map(|entry| json!({ "Id": entry["Id"] })).collect();
        json!({ "Successful": done, "Failed": [] })
    }

    fn attributes(&self) -> Value {
        let queue = self.queue.lock().unwrap();
        json!({ "Attributes": {
            "ApproximateNumberOfMessages": queue.visible.len().to_string(),
            "ApproximateNumberOfMessagesNotVisible": queue.in_flight.len().to_string(),
            "ApproximateNumberOfMessagesDelayed": "0",
        }})
    }
}

impl Store {
    fn put(&mut self, key: String, object: Vec<u8>) {
        self.bytes += object.len();
        match self.objects.insert(key.clone(), Arc::new(object)) {
            Some(replaced) => self.bytes -= replaced.len(),
            None => self.by_age.push_back(key),
        }
        while self.bytes > MAX_STORED_BYTES
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.bytes -= self.objects.remove(&oldest).map_or(0, |object| object.len());
        }
    }
}

fn words(line: &str) -> [&str; 2] {
    let mut words = line.split(' ');
    [words.next().unwrap_or_default(), words.next().unwrap_or_default()]
}

fn error(status: u16, body: &str) -> Reply {
    (status, "application/xml", Arc::new(body.as_bytes().to_vec()))
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
