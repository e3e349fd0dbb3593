//! A relay in front of the engine. It can listen in another network, it keeps the requests that it saw, and it does to any of
//! them what a network, a busy service or a wrong clock does.

use std::fmt;
use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::net::sockopt::set_socket_linger;

use crate::clock;
use crate::program::wait_until;
use crate::request::{Operation, Request, end_of_head};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// It is passed on so much later, whether or not the client still waits for an answer.
    Delay(Duration),
    /// It takes effect at once, and the answer is so much later.
    LateAnswer(Duration),
    /// There is no answer for as long as the rule is there. Then the request is passed on, if the client still waits.
    Silence,
    /// It takes effect at once, and there is no answer for as long as the rule is there.
    SilenceAfter,
    /// The connection is closed when half of the request has come.
    CutRequest,
    /// It takes effect, and the connection is closed in the middle of the answer's head.
    CutAnswer,
    /// It takes effect, and the body of the answer ends before its length.
    ShortBody,
    /// It takes effect, and the connection is closed without an answer.
    LostAnswer,
    Reset,
    /// An error in the service's own form: the status, S3's code and SQS's.
    Refuse(u16, &'static str, &'static str),
    /// What comes back is not HTTP.
    Noise,
    /// What comes back is a success and a web page, as of a network that wants to be logged in to.
    WebPage,
    /// The clock of the service is so many seconds ahead of ours, or behind it if they are negative.
    ClockAhead(i64),
    /// 403, with all that S3 and SQS say of a signature that they find wrong.
    QuoteSignature,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Delay(delay) => write!(f, "{delay:?} late"),
            Fault::LateAnswer(delay) => write!(f, "done, the answer {delay:?} late"),
            Fault::Silence => f.write_str("no answer"),
            Fault::SilenceAfter => f.write_str("done, no answer"),
            Fault::CutRequest => f.write_str("cut in mid-request"),
            Fault::CutAnswer => f.write_str("cut in mid-answer"),
            Fault::ShortBody => f.write_str("a body that ends early"),
            Fault::LostAnswer => f.write_str("done, the answer lost"),
            Fault::Reset => f.write_str("reset"),
            Fault::Refuse(status, code, _) => write!(f, "{status} {code}"),
            Fault::Noise => f.write_str("noise"),
            Fault::WebPage => f.write_str("200 and a web page"),
            Fault::ClockAhead(seconds @ 0..) => write!(f, "a clock {} min ahead", seconds / 60),
            Fault::ClockAhead(seconds) => write!(f, "a clock {} min behind", -seconds / 60),
            Fault::QuoteSignature => f.write_str("403 with the signature"),
        }
    }
}

/// Which of the requests for an operation a fault happens to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Times {
    First(usize),
    /// The first, and every so many after it.
    Every(usize),
    Always,
    /// So many of a hundred, drawn by this seed.
    Percent(u64, u64),
}

struct Rule {
    /// None for all.
    operation: Option<Operation>,
    times: Times,
    fault: Fault,
    seen: usize,
}

impl Rule {
    fn happens(&mut self, operation: Operation) -> bool {
        if self.operation.is_some_and(|own| own != operation) {
            return false;
        }
        self.seen += 1;
        match self.times {
            Times::First(count) => self.seen <= count,
            Times::Every(count) => (self.seen - 1).is_multiple_of(count),
            Times::Always => true,
            Times::Percent(percent, seed) => {
                // SplitMix64.
                let mut bits = seed.wrapping_add((self.seen as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (bits ^ (bits >> 31)) % 100 < percent
            }
        }
    }
}

/// A relay. It lets all requests through until it is told otherwise, and ends with the test process.
pub(crate) struct Relay {
    /// What to use in place of the endpoint.
    pub url: String,
    state: Arc<State>,
}

struct State {
    /// An address and a port.
    target: String,
    /// The first that happens to a request is the one.
    rules: Mutex<Vec<Rule>>,
    /// How often the rules were taken away.
    cleared: Mutex<usize>,
    clearing: Condvar,
    /// The heads of all requests so far.
    heard: Mutex<Vec<(Operation, String)>>,
    /// Requests that were heard and are not answered.
    under_way: Mutex<usize>,
    /// Those of them that are kept waiting for as long as there are rules.
    held: Mutex<usize>,
}

impl Relay {
    /// To an endpoint.
    pub(crate) fn to(endpoint: &str) -> Relay {
        Relay::from(TcpListener::bind("127.0.0.1:0").unwrap(), endpoint)
    }

    /// The same from a listener that may be in another network.
    pub(crate) fn from(listener: TcpListener, endpoint: &str) -> Relay {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            target: endpoint.trim_start_matches("http://").to_owned(),
            rules: Mutex::default(),
            cleared: Mutex::default(),
            clearing: Condvar::new(),
            heard: Mutex::default(),
            under_way: Mutex::default(),
            held: Mutex::default(),
        });
        let relaying = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = relaying.clone();
                thread::spawn(move || {
                    let mut reader = BufReader::new(&client);
                    while let Some(request) = Request::read(&mut reader) {
                        *state.under_way.lock().unwrap() += 1;
                        let to_go_on = state.exchange(request, &client, &mut reader);
                        *state.under_way.lock().unwrap() -= 1;
                        if to_go_on.is_none() {
                            break;
                        }
                    }
                });
            }
        });
        Relay { url, state }
    }

    /// From now on this happens to requests for an operation.
    pub(crate) fn fault(&self, operation: Operation, times: Times, fault: Fault) {
        self.add(Some(operation), times, fault);
    }

    /// From now on this happens to requests for any operation.
    pub(crate) fn fault_at_any(&self, times: Times, fault: Fault) {
        self.add(None, times, fault);
    }

    fn add(&self, operation: Option<Operation>, times: Times, fault: Fault) {
        self.state.rules.lock().unwrap().push(Rule { operation, times, fault, seen: 0 });
    }

    /// From now on nothing happens to any.
    pub(crate) fn clear(&self) {
        self.state.rules.lock().unwrap().clear();
        *self.state.cleared.lock().unwrap() += 1;
        self.state.clearing.notify_all();
    }

    /// The heads of the requests so far for an operation.
    pub(crate) fn heard(&self, operation: Operation) -> Vec<String> {
        let heard = self.state.heard.lock().unwrap();
        heard.iter().filter(|(own, _)| *own == operation).map(|(_, head)| head.clone()).collect()
    }

    /// Those of all requests.
    pub(crate) fn heard_all(&self) -> Vec<String> {
        self.state.heard.lock().unwrap().iter().map(|(_, head)| head.clone()).collect()
    }

    /// Waits until no request is under way.
    pub(crate) fn wait_for_late_ones(&self) {
        wait_until("what is late has come", || (*self.state.under_way.lock().unwrap() == 0).then_some(()));
    }

    /// Waits until so many are kept waiting, before they took effect or after.
    pub(crate) fn wait_for_held(&self, count: usize) {
        wait_until("requests are held", || (*self.state.held.lock().unwrap() >= count).then_some(()));
    }

    /// Waits until so many have come.
    pub(crate) fn wait_for(&self, operation: Operation, count: usize) {
        wait_until("a request", || (self.heard(operation).len() >= count).then_some(()));
    }
}

impl State {
    /// One request and its answer. None if the connection is not to be used any longer.
    fn exchange(
        &self,
        mut request: Request,
        client: &TcpStream,
        reader: &mut BufReader<&TcpStream>,
    ) -> Option<()> {
        let cleared = *self.cleared.lock().unwrap();
        let operation = request.operation;
        self.heard.lock().unwrap().push((operation, request.head.clone()));
        let mut rules = self.rules.lock().unwrap();
        let fault = rules.iter_mut().find_map(|rule| rule.happens(operation).then_some(rule.fault));
        drop(rules);
        let length = request.length();
        match fault {
            Some(Fault::Reset) => {
                set_socket_linger(client, Some(Duration::ZERO)).unwrap();
                return None;
            }
            Some(Fault::CutRequest) => {
                request.read_body(reader, length / 2)?;
                client.shutdown(Shutdown::Both).ok()?;
                return None;
            }
            _ => request.read_body(reader, length)?,
        }
        let answer = self.answer(&request, fault, || self.wait_for_clearing(client, cleared))?;
        let mut client = client;
        client.write_all(&answer.bytes).ok()?;
        answer.is_whole.then_some(())
    }

    fn answer(
        &self,
        request: &Request,
        fault: Option<Fault>,
        wait: impl Fn() -> Option<()>,
    ) -> Option<Answer> {
        let forward = || request.forward(&self.target);
        let whole = |bytes| Some(Answer { bytes, is_whole: true });
        let cut = |bytes| Some(Answer { bytes, is_whole: false });
        match fault {
            Some(Fault::Delay(delay)) => thread::sleep(delay),
            Some(Fault::LateAnswer(delay)) => {
                let answer = forward()?;
                thread::sleep(delay);
                return whole(answer);
            }
            Some(Fault::Silence) => wait()?,
            Some(Fault::SilenceAfter) => {
                let answer = forward()?;
                wait()?;
                return whole(answer);
            }
            Some(Fault::LostAnswer) => return forward().and(None),
            Some(Fault::CutAnswer) => return cut(forward()?[..40].to_vec()),
            Some(Fault::ShortBody) => return cut(short(forward()?)),
            Some(Fault::Refuse(status, s3, sqs)) => {
                return whole(refusal(request, status, [s3, sqs], "It was asked for by the test."));
            }
            Some(Fault::Noise) => return cut(b"\x15\x03\x01\x00\x02\x02\x16 not HTTP\r\n\r\n".to_vec()),
            Some(Fault::WebPage) => return whole(page()),
            Some(Fault::QuoteSignature) => return whole(quote(request)),
            Some(Fault::ClockAhead(ahead)) => {
                return match clock::pass_on(request, ahead) {
                    Ok(request) => whole(request.forward(&self.target)?),
                    Err(refusal) => whole(refusal),
                };
            }
            None | Some(Fault::Reset | Fault::CutRequest) => {}
        }
        whole(forward()?)
    }

    /// None if the client has gone when the rules are cleared.
    fn wait_for_clearing(&self, client: &TcpStream, cleared: usize) -> Option<()> {
        *self.held.lock().unwrap() += 1;
        let guard = self.cleared.lock().unwrap();
        drop(self.clearing.wait_while(guard, |now| *now == cleared).unwrap());
        *self.held.lock().unwrap() -= 1;
        client.set_nonblocking(true).unwrap();
        let is_closed = client.peek(&mut [0]).is_ok();
        client.set_nonblocking(false).unwrap();
        (!is_closed).then_some(())
    }
}

struct Answer {
    bytes: Vec<u8>,
    /// Another request may follow on the connection.
    is_whole: bool,
}

/// The same answer with a length that is one more than the body's.
fn short(answer: Vec<u8>) -> Vec<u8> {
    let end = end_of_head(&answer).expect("a head");
    let (head, body) = (String::from_utf8_lossy(&answer[..end]).into_owned(), &answer[end..]);
    let is_length = |line: &&str| line.to_lowercase().starts_with("content-length:");
    let others: String = head.trim_end().split_inclusive("\r\n").filter(|line| !is_length(line)).collect();
    let promise = format!("{}\r\nContent-Length: {}\r\n\r\n", others.trim_end(), body.len() + 1);
    [promise.as_bytes(), body].concat()
}

fn page() -> Vec<u8> {
    let page = "<html><body>Welcome. Please accept our terms.</body></html>";
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}", page.len())
        .into()
}

/// What S3 answers in XML (S3 API Reference, "Error responses") and SQS in JSON. The message must need no escapes.
pub(crate) fn refusal(request: &Request, status: u16, [s3, sqs]: [&str; 2], message: &str) -> Vec<u8> {
    let body = if request.operation.is_of_queue() {
        format!(r#"{{"__type":"com.amazonaws.sqs#{sqs}","message":"{message}"}}"#)
    } else {
        format!("<Error><Code>{s3}</Code><Message>{message}</Message><RequestId>R</RequestId></Error>")
    };
    answer(request, status, SystemTime::now(), &body)
}

/// An answer at some time by the service's clock. That to HEAD has no body.
pub(crate) fn answer(request: &Request, status: u16, now: SystemTime, body: &str) -> Vec<u8> {
    let (date, length) = (httpdate::fmt_http_date(now), body.len());
    let head = format!("HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Length: {length}\r\n\r\n");
    let body = if request.operation == Operation::Head { "" } else { body };
    format!("{head}{body}").into()
}

/// S3 says what it has computed and what it was given; a JSON service may put the whole header into its sentence.
fn quote(request: &Request) -> Vec<u8> {
    let authorization = request.header("authorization").unwrap_or_default();
    let token = request.header("x-amz-security-token").unwrap_or_default();
    let signature = authorization.rsplit('=').next().unwrap_or_default();
    if request.operation.is_of_queue() {
        let message = format!(
            "Authorization header is incomplete. Authorization={authorization} x-amz-security-token:{token}"
        );
        return refusal(request, 403, ["", "IncompleteSignatureException"], &message);
    }
    let canonical = request.head.replace("\r\n", "&#10;");
    let body = format!(
        "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match the \
         signature you provided. Check your key and signing method.</Message><AWSAccessKeyId>x</AWSAccessKeyId>\
         <StringToSign>AWS4-HMAC-SHA256 {signature}</StringToSign><SignatureProvided>{signature}</SignatureProvided>\
         <CanonicalRequest>{canonical}</CanonicalRequest><Token-0>{token}</Token-0></Error>"
    );
    answer(request, 403, SystemTime::now(), &body)
}
