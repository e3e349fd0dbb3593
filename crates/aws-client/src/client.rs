//! One call to AWS: sign, send, read the answer, and again if that may help.
//!
//! All threads share one [`Client`], with its open connections, its credentials and its correction of the clock. Somebody waits
//! for every call, so everything has a limit: the time of an attempt, the number of attempts, the time of all of them, and the
//! size of an answer.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rand::TryRng;
use rand::rngs::SysRng;
use ureq::http::{HeaderMap, Request, Response};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, AsSendBody, Body};

use crate::answer::{self, ErrorAnswer};
use crate::credentials::{self, CredentialCache, Credentials};
use crate::dates;
use crate::env::Env;
use crate::error::{AttemptError, AwsError, Error, ErrorKind};
use crate::event::{Event, Observer};
use crate::resolve::HostResolver;
use crate::retry::{self, Decision, Tried};
use crate::sign::{self, Signable};

/// How long connecting may take, TLS included. Within AWS it takes milliseconds. After 2 s packets are being lost, and another
/// attempt, perhaps to another address, is more likely to succeed.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a call may take with all its attempts, besides its own wait: 8 s, two attempts of 4. 1 MiB passes in 4 s at
/// 2 Mbit/s.
pub const CALL_BUDGET: Duration = Duration::from_secs(8);

/// The most idle connections that are kept to one host: one for each thread that calls at once. Eight cores have up to 64 jobs,
/// and each job stores three objects at a time.
pub(crate) const MAX_IDLE_CONNECTIONS_PER_HOST: usize = 192;

/// The most bytes of an answer's head: S3's are about 600.
pub(crate) const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The most bytes of an error's body that are read: AWS's are about 500.
pub(crate) const MAX_ERROR_BYTES: usize = 64 * 1024;

pub struct AwsCall<'a> {
    /// The service in the credential scope: [`sign::S3`] or [`sign::SQS`].
    pub service: &'static str,
    /// For errors: AWS's names of the service and the operation, such as `S3 PutObject`.
    pub operation: &'static str,
    /// For errors: the object or queue that it is about.
    pub target: String,
    /// For errors: the setting that names the bucket or the queue.
    pub target_setting: &'static str,
    /// `GET`, `PUT`, `POST`, `HEAD` or `DELETE`.
    pub method: &'static str,
    pub url: String,
    /// All of them are signed.
    pub headers: Vec<(&'static str, String)>,
    /// Sent only with `PUT` and `POST`.
    pub body: &'a [u8],
    /// The most bytes that a successful answer may have.
    pub max_bytes: usize,
    /// The Content-Type that a successful answer must have, if any. An object has the type that it was stored with, and anything
    /// else is not an answer of the service.
    pub content_type: Option<&'static str>,
    /// How long the service waits before it answers, by the nature of the call: a long poll's wait, otherwise zero.
    pub wait: Duration,
    /// How long all attempts may take together, besides `wait`: [`CALL_BUDGET`] unless somebody cannot wait that long.
    pub budget: Duration,
}

/// What most calls have in common: no headers, no body, an answer of at most 64 KiB, no wait, and [`CALL_BUDGET`].
impl Default for AwsCall<'_> {
    fn default() -> Self {
        AwsCall {
            service: "",
            operation: "",
            target: String::new(),
            target_setting: "",
            method: "GET",
            url: String::new(),
            headers: Vec::new(),
            body: &[],
            max_bytes: 64 * 1024,
            content_type: None,
            wait: Duration::ZERO,
            budget: CALL_BUDGET,
        }
    }
}

impl AwsCall<'_> {
    /// How long one attempt may take.
    fn attempt_timeout(&self) -> Duration {
        self.wait + self.budget / 2
    }

    /// With less time than this no attempt is begun. An attempt that is cut short is worse than none: messages that a long poll
    /// received but could not deliver are invisible to everybody for the visibility timeout.
    fn shortest_attempt(&self) -> Duration {
        self.wait + self.budget / 4
    }
}

/// A successful answer.
pub struct Reply {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Makes calls. One value is shared by all threads.
pub struct Client {
    agent: Agent,
    region: String,
    credentials: CredentialCache,
    /// What must be added to this machine's clock to get AWS's, in seconds.
    clock_skew_seconds: AtomicI64,
    observer: Observer,
}

impl Client {
    /// A client for one region, with the credentials that the environment leads to. Nothing is fetched or opened yet.
    /// `user_agent` names the program to AWS, as `name/version`.
    pub fn new(env: Arc<Env>, region: &str, user_agent: &str, observer: Observer) -> Client {
        let credentials = CredentialCache::new(Box::new(move || credentials::find(&env)));
        Client::with_credentials(credentials, region, user_agent, observer)
    }

    fn with_credentials(
        credentials: CredentialCache,
        region: &str,
        user_agent: &str,
        observer: Observer,
    ) -> Client {
        let config = Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .max_idle_connections(2 * MAX_IDLE_CONNECTIONS_PER_HOST)
            .max_idle_connections_per_host(MAX_IDLE_CONNECTIONS_PER_HOST)
            .max_response_header_size(MAX_HEAD_BYTES)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(user_agent)
            .proxy(None);
        Client {
            agent: Agent::with_parts(
                config.build(),
                DefaultConnector::default(),
                HostResolver::new(observer),
            ),
            region: region.to_string(),
            credentials,
            clock_skew_seconds: AtomicI64::new(0),
            observer,
        }
    }

    /// The region that calls are signed for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Makes the call, at most [`MAX_ATTEMPTS`](retry::MAX_ATTEMPTS) times, for no longer than its budget and its wait. If new
    /// credentials are due, their fetch comes on top: 7 s when the metadata service is slow. An attempt whose answer is lost is
    /// made again, so a call must be one that may be done twice.
    pub fn call(&self, call: &AwsCall) -> Result<Reply, AwsError> {
        let deadline = Instant::now() + call.budget + call.wait;
        let mut tried = Tried::default();
        let mut delay = Duration::ZERO;
        loop {
            let failed = |last, attempts| AwsError {
                operation: call.operation,
                target: call.target.clone(),
                last,
                attempts,
            };
            let credentials = match self.credentials.get(self.now()) {
                Ok(credentials) => credentials,
                Err(error) => return Err(failed(AttemptError::NotSent(error), tried.attempts)),
            };
            let failure = match self.attempt(call, &credentials, deadline) {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            tried.attempts += u32::from(!matches!(failure, AttemptError::NotSent(_)));
            let decision = retry::decide(&failure, tried);
            let mut pause = Duration::ZERO;
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
                    delay = next_delay(delay);
                    pause = delay;
                }
            }
            if Instant::now() + pause + call.shortest_attempt() > deadline {
                return Err(failed(failure, tried.attempts));
            }
            let error = &failed(failure, tried.attempts);
            (self.observer)(&Event::Retried { error, decision });
            thread::sleep(pause);
        }
    }

    fn attempt(
        &self,
        call: &AwsCall,
        credentials: &Credentials,
        deadline: Instant,
    ) -> Result<Reply, AttemptError> {
        let AwsCall { method, url, headers, body, .. } = call;
        let signable = Signable { method, url, headers, body };
        let signature = sign::sign(&signable, call.service, &self.region, credentials, self.now())
            .map_err(AttemptError::NotSent)?;
        let mut request = Request::builder().method(*method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        for (name, value) in &signature {
            request = request.header(name, value);
        }
        let remaining = deadline.saturating_duration_since(Instant::now());
        let timeout = remaining.min(call.attempt_timeout()).max(call.shortest_attempt());
        let response = match *method {
            "PUT" | "POST" => self.send(request.body(*body), timeout),
            _ => self.send(request.body(()), timeout),
        };
        match response {
            Ok(response) => self.read(call, response),
            Err(e @ (ureq::Error::Http(_) | ureq::Error::BadUri(_))) => {
                Err(AttemptError::NotSent(Error::of_ureq(e)))
            }
            Err(e) => {
                let text = format!("{e}, at {url}");
                Err(AttemptError::Lost(Error::caused_by(ErrorKind::of_ureq(&e), text, e)))
            }
        }
    }

    fn send<B: AsSendBody>(
        &self,
        request: Result<Request<B>, ureq::http::Error>,
        timeout: Duration,
    ) -> Result<Response<Body>, ureq::Error> {
        let request = self.agent.configure_request(request?).timeout_global(Some(timeout)).build();
        self.agent.run(request)
    }

    fn read(&self, call: &AwsCall, response: Response<Body>) -> Result<Reply, AttemptError> {
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        if !head.status.is_success() {
            // An error is told by its status, even if its body is cut.
            let body = read_body(body, MAX_ERROR_BYTES).unwrap_or_default();
            return Err(AttemptError::Answered(Box::new(self.answer(call, status, &head.headers, &body))));
        }
        if call.method != "HEAD" && body.content_length().is_some_and(|bytes| bytes > call.max_bytes as u64) {
            return Err(AttemptError::TooLarge { max_bytes: call.max_bytes });
        }
        let body = read_body(body, call.max_bytes.saturating_add(1)).map_err(|e| {
            AttemptError::Lost(Error::caused_by(ErrorKind::of_io(&e), format!("{status}, then {e}"), e))
        })?;
        if body.len() > call.max_bytes {
            return Err(AttemptError::TooLarge { max_bytes: call.max_bytes });
        }
        // A web page of something in between must not pass for an object.
        let content_type = head.headers.get("content-type");
        if let Some(expected) =
            call.content_type.filter(|expected| content_type.is_none_or(|found| found != expected))
        {
            return Err(AttemptError::Lost(Error::new(
                ErrorKind::Unreachable,
                format!("{status}, then what is no object of the type {expected}: {content_type:?}"),
            )));
        }
        // S3 may begin to answer 200 before it is done. Its answer to PUT and DELETE is empty, unless it is an error.
        if call.service == sign::S3 && matches!(call.method, "PUT" | "DELETE") && !body.is_empty() {
            let answer = self.answer(call, status, &head.headers, &body);
            return Err(match answer.code.as_str() {
                "" => not_from_aws(status),
                _ => AttemptError::Answered(Box::new(answer)),
            });
        }
        // All that SQS answers to our calls are objects in JSON.
        if call.service == sign::SQS && !body.trim_ascii_start().starts_with(b"{") {
            return Err(not_from_aws(status));
        }
        Ok(Reply { headers: head.headers, body })
    }

    fn answer(&self, call: &AwsCall, status: u16, headers: &HeaderMap, body: &[u8]) -> ErrorAnswer {
        let parsed = if call.service == sign::S3 {
            answer::from_xml(status, body)
        } else {
            answer::from_json(status, body)
        };
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let request_id = header("x-amz-request-id").or(header("x-amzn-requestid")).map(str::to_string);
        let bucket_region = header("x-amz-bucket-region").map_or(parsed.bucket_region, str::to_string);
        ErrorAnswer {
            request_id: request_id.unwrap_or(parsed.request_id),
            bucket_region: if bucket_region == self.region { String::new() } else { bucket_region },
            target_setting: call.target_setting,
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

    fn correct_clock(&self, failure: &AttemptError) {
        let AttemptError::Answered(answer) = failure else { return };
        let Some(date) = answer.date else { return };
        let skew = match date.duration_since(SystemTime::now()) {
            Ok(behind) => behind.as_secs() as i64,
            Err(ahead) => -(ahead.duration().as_secs() as i64),
        };
        self.clock_skew_seconds.store(skew, Ordering::Relaxed);
    }
}

/// A success that is not in the service's format comes from something in between, which has done nothing.
fn not_from_aws(status: u16) -> AttemptError {
    let text = format!("{status}, then what is no answer of the service");
    AttemptError::Lost(Error::new(ErrorKind::Unreachable, text))
}

/// Up to `max_bytes`; what comes after is not read.
fn read_body(body: Body, max_bytes: usize) -> std::io::Result<Vec<u8>> {
    let expected = body.content_length().unwrap_or(0).min(max_bytes as u64);
    let mut bytes = Vec::with_capacity(expected as usize);
    body.into_reader().take(max_bytes as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The delay before the next attempt, after one of `previous`: at random, so that clients that failed together do not come back
/// together. Without a random source retries still work, only less spread out.
pub fn next_delay(previous: Duration) -> Duration {
    let random = SysRng.try_next_u32().map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX));
    retry::next_delay(previous, random)
}

#[cfg(test)]
mod tests;
