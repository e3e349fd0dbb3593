//! One call to AWS: sign, send, read the answer, and again if that may help.
//!
//! Every thread shares one [`Client`], and with it the open connections, the credentials and what is known of the clock.
//! Everything is bounded, because somebody waits for every call: how long an attempt may take, how many there are, how long
//! all of them may take, and how much of an answer is read.

use std::io::Read;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rand::TryRng;
use rand::rngs::SysRng;
use ureq::Agent;
use ureq::http::{HeaderMap, Request, Response};

use crate::aws::credentials::{CredentialCache, Credentials};
use crate::aws::dates;
use crate::aws::error::{self, Answer, AwsError, Failure};
use crate::aws::retry::{self, Decision, Tried};
use crate::aws::sign::{self, Signable};
use crate::log;

/// How long connecting may take, TLS included. Within AWS it is milliseconds; past this the packets are being lost, and
/// another attempt, perhaps to another address, is the better bet.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one attempt may take, besides what the call waits for by its nature. 1 MiB passes in it at 2 Mbit/s, and two
/// attempts fit into [`CALL_BUDGET`].
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a call may take with all its attempts, besides what it waits for by its nature. A client waits for an upload's two
/// calls, and a heartbeat must come well within the visibility timeout.
pub const CALL_BUDGET: Duration = Duration::from_secs(8);

/// The most idle connections that are kept to one host. A server's or worker's threads, which are fewer, talk to two.
pub const MAX_IDLE_CONNECTIONS_PER_HOST: usize = 64;

/// The most bytes of an answer's head: S3's are about 600.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The most bytes of an error's body that are read: AWS's are about 500.
pub const MAX_ERROR_BYTES: usize = 64 * 1024;

/// What is asked of a service.
pub struct Call<'a> {
    /// The service in the credential scope: [`sign::S3`] or [`sign::SQS`].
    pub service: &'static str,
    /// For errors: AWS's names of the service and the operation, such as `S3 PutObject`.
    pub operation: &'static str,
    /// For errors: what it is done to.
    pub target: String,
    /// `GET`, `PUT`, `POST`, `HEAD` or `DELETE`.
    pub method: &'static str,
    /// Absolute.
    pub url: String,
    /// All of them are signed.
    pub headers: Vec<(&'static str, String)>,
    /// Sent only with `PUT` and `POST`.
    pub body: &'a [u8],
    /// The most bytes that a successful answer may have.
    pub max_bytes: usize,
    /// How long the service waits before it answers, by the nature of the call: a long poll's wait, otherwise zero.
    pub wait: Duration,
}

/// A successful answer.
pub struct Reply {
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Makes calls. One value is shared by all threads.
pub struct Client {
    agent: Agent,
    region: String,
    credentials: CredentialCache,
    attempt_timeout: Duration,
    call_budget: Duration,
    /// What must be added to this machine's clock to get AWS's, in seconds.
    clock_skew_seconds: AtomicI64,
}

impl Client {
    /// A client for one region. Nothing is fetched or opened yet.
    pub fn new(region: &str, credentials: CredentialCache) -> Client {
        let config = Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .max_idle_connections(2 * MAX_IDLE_CONNECTIONS_PER_HOST)
            .max_idle_connections_per_host(MAX_IDLE_CONNECTIONS_PER_HOST)
            .max_response_header_size(MAX_HEAD_BYTES)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .proxy(None);
        Client {
            agent: config.build().new_agent(),
            region: region.to_string(),
            credentials,
            attempt_timeout: ATTEMPT_TIMEOUT,
            call_budget: CALL_BUDGET,
            clock_skew_seconds: AtomicI64::new(0),
        }
    }

    /// The region that calls are signed for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Makes the call, at most [`retry::MAX_ATTEMPTS`] times and for [`CALL_BUDGET`] and the call's own wait.
    pub fn call(&self, call: &Call) -> Result<Reply, AwsError> {
        let deadline = Instant::now() + self.call_budget + call.wait;
        let mut tried = Tried::default();
        let mut delay = Duration::ZERO;
        loop {
            let failed = |failure, attempts| AwsError {
                operation: call.operation,
                target: call.target.clone(),
                failure,
                attempts,
            };
            let credentials = match self.credentials.get(self.now()) {
                Ok(credentials) => credentials,
                Err(error) => return Err(failed(Failure::NotSent(error), tried.attempts)),
            };
            let failure = match self.attempt(call, &credentials, deadline) {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            tried.attempts += u32::from(!matches!(failure, Failure::NotSent(_)));
            let decision = retry::decide(&failure, tried);
            match decision {
                Decision::GiveUp => return Err(failed(failure, tried.attempts)),
                Decision::CorrectClock => {
                    tried.clock = true;
                    self.correct_clock(&failure);
                }
                Decision::RefreshCredentials => {
                    tried.credentials = true;
                    self.credentials.refuse(&credentials);
                }
                Decision::Retry => {
                    delay = retry::next_delay(delay, random());
                    if Instant::now() + delay >= deadline {
                        return Err(failed(failure, tried.attempts));
                    }
                    thread::sleep(delay);
                }
            }
            note_retry(&failed(failure, tried.attempts), decision);
        }
    }

    fn attempt(&self, call: &Call, credentials: &Credentials, deadline: Instant) -> Result<Reply, Failure> {
        let Call { method, url, headers, body, .. } = call;
        let signable = Signable { method, url, headers, body };
        let signature = sign::sign(&signable, call.service, &self.region, credentials, self.now())
            .map_err(Failure::NotSent)?;
        let mut request = Request::builder().method(*method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        for (name, value) in &signature {
            request = request.header(name, value);
        }
        let timeout =
            (self.attempt_timeout + call.wait).min(deadline.saturating_duration_since(Instant::now()));
        let response = match *method {
            "PUT" | "POST" => request.body(*body).map_err(ureq::Error::from).and_then(|request| {
                let request = self.agent.configure_request(request);
                self.agent.run(request.timeout_global(Some(timeout)).build())
            }),
            _ => request.body(()).map_err(ureq::Error::from).and_then(|request| {
                let request = self.agent.configure_request(request);
                self.agent.run(request.timeout_global(Some(timeout)).build())
            }),
        };
        match response {
            Ok(response) => self.read(call, response),
            Err(e @ (ureq::Error::Http(_) | ureq::Error::BadUri(_))) => Err(Failure::NotSent(e.to_string())),
            Err(e) => Err(Failure::Lost(e.to_string())),
        }
    }

    fn read(&self, call: &Call, response: Response<ureq::Body>) -> Result<Reply, Failure> {
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        if !head.status.is_success() {
            // An error is told by its status, even if its body is cut.
            let body = read_body(body, MAX_ERROR_BYTES).unwrap_or_default();
            return Err(Failure::Answered(Box::new(self.answer(call, status, &head.headers, &body))));
        }
        if call.method != "HEAD" && body.content_length().is_some_and(|bytes| bytes > call.max_bytes as u64) {
            return Err(Failure::TooLarge { max_bytes: call.max_bytes });
        }
        let body =
            read_body(body, call.max_bytes + 1).map_err(|e| Failure::Lost(format!("{status}, then {e}")))?;
        if body.len() > call.max_bytes {
            return Err(Failure::TooLarge { max_bytes: call.max_bytes });
        }
        // S3 may begin to answer 200 before it is done. What it answers to a PUT is empty, unless it is an error.
        if call.service == sign::S3 && call.method == "PUT" && !body.is_empty() {
            let answer = self.answer(call, status, &head.headers, &body);
            if !answer.code.is_empty() {
                return Err(Failure::Answered(Box::new(answer)));
            }
        }
        Ok(Reply { headers: head.headers, body })
    }

    fn answer(&self, call: &Call, status: u16, headers: &HeaderMap, body: &[u8]) -> Answer {
        let parsed = if call.service == sign::S3 {
            error::from_xml(status, body)
        } else {
            error::from_json(status, body)
        };
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let request_id = header("x-amz-request-id").or(header("x-amzn-requestid")).map(str::to_string);
        let bucket_region = header("x-amz-bucket-region").map_or(parsed.bucket_region, str::to_string);
        Answer {
            request_id: request_id.unwrap_or(parsed.request_id),
            bucket_region: if bucket_region == self.region { String::new() } else { bucket_region },
            date: header("date").and_then(dates::from_http_date),
            ..parsed
        }
    }

    /// AWS's time, as far as is known.
    fn now(&self) -> SystemTime {
        let skew = self.clock_skew_seconds.load(Ordering::Relaxed);
        let magnitude = Duration::from_secs(skew.unsigned_abs());
        let now = SystemTime::now();
        let corrected = if skew < 0 { now.checked_sub(magnitude) } else { now.checked_add(magnitude) };
        corrected.unwrap_or(now)
    }

    fn correct_clock(&self, failure: &Failure) {
        let Failure::Answered(answer) = failure else { return };
        let Some(date) = answer.date else { return };
        let skew = match date.duration_since(SystemTime::now()) {
            Ok(behind) => behind.as_secs() as i64,
            Err(ahead) => -(ahead.duration().as_secs() as i64),
        };
        self.clock_skew_seconds.store(skew, Ordering::Relaxed);
    }
}

/// Up to `max_bytes`; what comes after is not read.
fn read_body(body: ureq::Body, max_bytes: usize) -> std::io::Result<Vec<u8>> {
    let expected = body.content_length().unwrap_or(0).min(max_bytes as u64);
    let mut bytes = Vec::with_capacity(expected as usize);
    body.into_reader().take(max_bytes as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// From 0 up to 1. Without a random source retries still work, only less spread out.
fn random() -> f64 {
    SysRng.try_next_u32().map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX))
}

fn note_retry(error: &AwsError, decision: Decision) {
    log::debug("aws_retry", &[("error", error), ("decision", &format_args!("{decision:?}"))]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::loopback::{Loopback, answer, ok};

    fn client() -> Client {
        let fetch = || Ok(Credentials::of_key("AKIDEXAMPLE", "hush"));
        Client::new("eu-central-1", CredentialCache::new(Box::new(fetch)))
    }

    fn put(server: &Loopback) -> Call<'static> {
        Call {
            service: sign::S3,
            operation: "S3 PutObject",
            target: "images/key".to_string(),
            method: "PUT",
            url: format!("{}/images/key", server.url()),
            headers: vec![("content-type", "image/png".to_string())],
            body: b"picture",
            max_bytes: 1000,
            wait: Duration::ZERO,
        }
    }

    fn get(server: &Loopback) -> Call<'static> {
        Call { method: "GET", operation: "S3 GetObject", body: b"", ..put(server) }
    }

    fn s3_error(status: &str, code: &str, headers: &[(&str, &str)]) -> String {
        answer(status, headers, &format!("<Error><Code>{code}</Code><Message>m</Message></Error>"))
    }

    #[test]
    fn what_is_sent() {
        let server = Loopback::answering(vec![ok("")]);
        client().call(&put(&server)).unwrap();
        let request = &server.requests()[0];
        for part in [
            "PUT /images/key HTTP/1.1\r\n",
            "content-type: image/png\r\n",
            "content-length: 7\r\n",
            "user-agent: my-little-image-sharer/",
            "/eu-central-1/s3/aws4_request, SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, ",
            "\r\n\r\npicture",
        ] {
            assert!(request.contains(part), "{part} is not in {request}");
        }
        assert!(!request.contains("hush"));
    }

    #[test]
    fn passing_failures_are_borne() {
        let truncated = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart".to_string();
        for failure in [
            s3_error("503 Slow Down", "SlowDown", &[]),
            s3_error("200 OK", "SlowDown", &[]),
            s3_error("500 X", "InternalError", &[]),
            s3_error("400 Bad Request", "RequestTimeout", &[]),
            s3_error("409 Conflict", "ConditionalRequestConflict", &[]),
            answer("429 X", &[], ""),
            truncated,
            "HTTP/1.1 200 OK\r\nConte".to_string(),
            "not HTTP at all\r\n\r\n".to_string(),
            String::new(),
        ] {
            let server = Loopback::answering(vec![failure.clone(), ok("")]);
            let result = client().call(&put(&server));
            assert!(result.is_ok(), "{failure}: {:?}", result.err());
            assert_eq!(server.requests().len(), 2, "{failure}");
        }
    }

    #[test]
    fn a_refusal_is_not_repeated() {
        let refusal = s3_error(
            "403 Forbidden",
            "AccessDenied",
            &[("x-amz-request-id", "R1"), ("x-amz-bucket-region", "us-west-2")],
        );
        let server = Loopback::answering(vec![refusal, ok("")]);
        let error = client().call(&put(&server)).err().unwrap();
        assert_eq!((error.status(), error.attempts, server.requests().len()), (Some(403), 1, 1));
        let text = error.to_string();
        for part in
            ["S3 PutObject images/key", "403 AccessDenied: m", "request id R1", "the bucket is in us-west-2"]
        {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[test]
    fn attempts_are_bounded() {
        let down = || answer("503 X", &[], "");
        let server = Loopback::answering((0..20).map(|_| down()).collect());
        let start = Instant::now();
        let error = client().call(&put(&server)).err().unwrap();
        assert_eq!(
            (error.attempts, server.requests().len() as u32),
            (retry::MAX_ATTEMPTS, retry::MAX_ATTEMPTS)
        );
        assert!(start.elapsed() < CALL_BUDGET);
    }

    #[test]
    fn silence_is_bounded_in_time() {
        let server = Loopback::silent();
        let mut client = client();
        (client.attempt_timeout, client.call_budget) =
            (Duration::from_millis(300), Duration::from_millis(1000));
        for wait in [Duration::ZERO, Duration::from_millis(500)] {
            let start = Instant::now();
            let error = client.call(&Call { wait, ..put(&server) }).err().unwrap();
            assert!(matches!(error.failure, Failure::Lost(_)), "{error}");
            assert!(error.attempts > 1, "{error}");
            let elapsed = start.elapsed();
            assert!(elapsed < client.call_budget + wait + Duration::from_secs(1), "{elapsed:?}");
            assert!(elapsed > client.attempt_timeout + wait, "{elapsed:?}");
        }
    }

    #[test]
    fn a_dribbling_answer_is_bounded_in_size() {
        let long = "x".repeat(1001);
        let chunked =
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{long}\r\n0\r\n\r\n");
        for answer in [ok(&long), chunked] {
            let server = Loopback::answering(vec![answer]);
            let error = client().call(&get(&server)).err().unwrap();
            assert_eq!(error.failure, Failure::TooLarge { max_bytes: 1000 });
        }
        let server = Loopback::answering(vec![ok(&long[..1000])]);
        assert_eq!(client().call(&get(&server)).unwrap().body.len(), 1000);
    }

    #[test]
    fn a_wrong_clock_is_put_right_once() {
        let tomorrow = [("Date", "Fri, 01 Jan 2100 12:00:00 GMT")];
        let skewed = || s3_error("403 Forbidden", "RequestTimeTooSkewed", &tomorrow);
        let server = Loopback::answering(vec![skewed(), ok(""), ok("")]);
        let client = client();
        client.call(&put(&server)).unwrap();
        client.call(&put(&server)).unwrap();
        let requests = server.requests();
        assert_eq!(requests.len(), 3);
        assert!(!requests[0].contains("x-amz-date: 21000101T"), "{}", requests[0]);
        assert!(
            requests[1..].iter().all(|request| request.contains("x-amz-date: 21000101T")),
            "{requests:?}"
        );

        let yesterday = [("Date", "Sat, 01 Jan 2000 12:00:00 GMT")];
        let body = r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"Signature not yet current: x"}"#;
        let server =
            Loopback::answering(vec![answer("403 X", &yesterday, body), answer("403 X", &yesterday, body)]);
        let error = client.call(&Call { service: sign::SQS, method: "POST", ..put(&server) }).err().unwrap();
        assert_eq!(error.attempts, 2);
        assert!(server.requests()[1].contains("x-amz-date: 20000101T"), "{:?}", server.requests());
    }

    #[test]
    fn expired_credentials_are_fetched_again_once() {
        let count = AtomicI64::new(0);
        let fetch = move || {
            let n = count.fetch_add(1, Ordering::SeqCst);
            Ok(Credentials::of_key(&format!("KEY{n}"), "hush"))
        };
        let client = Client::new("eu-central-1", CredentialCache::new(Box::new(fetch)));
        let expired = || s3_error("400 Bad Request", "ExpiredToken", &[]);
        let server = Loopback::answering(vec![expired(), ok(""), expired(), expired()]);
        client.call(&put(&server)).unwrap();
        assert_eq!(client.call(&put(&server)).err().unwrap().attempts, 2);
        let requests = server.requests();
        for (request, key) in requests.iter().zip(["KEY0", "KEY1", "KEY1", "KEY2"]) {
            assert!(request.contains(&format!("Credential={key}/")), "{request}");
        }
    }

    #[test]
    fn without_credentials_nothing_is_sent() {
        let client =
            Client::new("x", CredentialCache::new(Box::new(|| Err("no AWS credentials".to_string()))));
        let server = Loopback::answering(vec![]);
        let error = client.call(&put(&server)).err().unwrap();
        assert_eq!(error.to_string(), "S3 PutObject images/key: no AWS credentials");
    }

    #[test]
    fn connections_are_reused_and_a_dead_one_is_replaced() {
        use std::io::Write;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/images/key", listener.local_addr().unwrap());
        let accepted = thread::spawn(move || {
            let mut chunk = [0; 4096];
            let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            let (mut first, _) = listener.accept().unwrap();
            for _ in 0..2 {
                let _ = first.read(&mut chunk).unwrap();
                first.write_all(reply).unwrap();
            }
            // The third request on this connection is read and gets no answer.
            let _ = first.read(&mut chunk).unwrap();
            drop(first);
            let (mut second, _) = listener.accept().unwrap();
            let _ = second.read(&mut chunk).unwrap();
            second.write_all(reply).unwrap();
        });
        let client = client();
        let server = Loopback::answering(vec![]);
        for _ in 0..3 {
            client.call(&Call { url: url.clone(), ..get(&server) }).unwrap();
        }
        accepted.join().unwrap();
    }
}
