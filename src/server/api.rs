//! What each request means: the routes, and an upload's way from its bytes to its four URLs.
//!
//! The order of an upload's steps is the service's promise. The original is stored, then the job is queued, and only then
//! is the client told 202: so nothing that was answered 202 is ever without its original or its job. If queueing fails the
//! original is taken back, and the client is told to try again.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::gate;
use super::head::Head;
use super::multipart;
use super::page::{self, Page};
use super::refusal::{Refusal, object};
use crate::domain::failure::Cause;
use crate::domain::format::{Format, ThumbnailFormat};
use crate::domain::image_id::ImageId;
use crate::domain::job::Job;
use crate::domain::queue::Queue;
use crate::domain::size::Size;
use crate::domain::store::{CACHE_CONTROL, Key, Kind, Store, StoreError};
use crate::support::log;
use crate::support::metrics::ServerMetrics;
use crate::support::secret::Secret;
use pictures::{Inspected, inspect};

/// New ids to try when the store says that one is taken. One collision will not be seen in the life of the service; a
/// second in a row is a broken random source or store.
const MAX_IDS: u32 = 3;

/// The longest object that is served from here: a large thumbnail of 600x600 pixels in an incompressible PNG.
const MAX_OBJECT_BYTES: usize = 1_600_000;

/// What an answer may do in a browser: nothing but be looked at. An upload must never run as a page.
const SECURITY_HEADERS: [(&str, &str); 2] =
    [("X-Content-Type-Options", "nosniff"), ("Content-Security-Policy", "default-src 'none'; sandbox")];

/// Everything that a handler needs.
pub struct Api {
    /// Where originals go.
    pub store: Arc<dyn Store>,
    /// Where jobs go.
    pub queue: Arc<dyn Queue>,
    /// What comes before an object's key in its URL, without a slash at the end.
    pub public_url: String,
    /// The most pixels that an upload may have.
    pub max_pixels: u64,
    /// What an upload has to bear, if not everyone may upload.
    pub upload_token: Option<Secret>,
    /// Whether objects are served too; on AWS that is CloudFront's work.
    pub serves_objects: bool,
    pub metrics: Arc<ServerMetrics>,
    /// The page to share from, if there is to be one.
    pub page: Option<Page>,
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Upload,
    Health,
    Object(Key),
    Page(&'static page::File),
}

/// An answer before it is given to tiny_http.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn json(status: u16, body: String) -> Answer {
        let headers = vec![("Content-Type", "application/json".into()), ("Cache-Control", "no-store".into())];
        Answer { status, headers, body: body.into_bytes() }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Answer {
        let mut answer = Answer::json(refusal.status, refusal.json());
        answer.headers.extend(refusal.header);
        answer
    }
}

/// A request that the gate has found sound, with its body.
struct Call {
    id: String,
    head: Head,
    peer: String,
    client: String,
    body_took: Duration,
    body: Vec<u8>,
}

impl Api {
    /// What can be refused by the head alone, in the contract's order: 404, 405, 401, 406. The gate asks it of every head.
    pub fn check_head(&self, head: &Head) -> Result<(), Refusal> {
        if self.route(head)? != Route::Upload {
            return Ok(());
        }
        let token = head.authorization.as_ref().and_then(Secret::bearer_token);
        if self.upload_token.is_some() && self.upload_token != token {
            return Err(Refusal::unauthorized(
                "Uploads are for those who were given a token: send the header Authorization: Bearer TOKEN.",
            ));
        }
        if !accepts_json(head.accept.as_deref()) {
            return Err(Refusal::new(406, "The answer is JSON: send the header Accept: application/json."));
        }
        Ok(())
    }

    fn route(&self, head: &Head) -> Result<Route, Refusal> {
        let method = head.method.as_str();
        match head.path() {
            "/" if method != "POST" => Err(self.only_post()),
            "/" => Ok(Route::Upload),
            "/healthz" if matches!(method, "GET" | "HEAD") => Ok(Route::Health),
            "/healthz" => Err(only_get()),
            path => match self.object_or_page(path) {
                Some(route) if matches!(method, "GET" | "HEAD") => Ok(route),
                Some(_) => Err(only_get()),
                None => Err(Refusal::new(
                    404,
                    "There is nothing here: POST an image to /, and look at the URLs that come back.",
                )),
            },
        }
    }

    fn object_or_page(&self, path: &str) -> Option<Route> {
        let object =
            || path.strip_prefix('/')?.parse().ok().filter(|_| self.serves_objects).map(Route::Object);
        let page = || page::file(path).filter(|_| self.page.is_some()).map(Route::Page);
        object().or_else(page)
    }

    fn only_post(&self) -> Refusal {
        let message = match self.page {
            Some(_) => {
                "Only POST is taken here: curl -F image=@cat.jpg -H 'Accept: application/json'. \
                 The page to share from is at /app."
            }
            None => "Only POST is taken here: curl -F image=@cat.jpg -H 'Accept: application/json'.",
        };
        Refusal::method_not_allowed("POST", message)
    }

    /// Answers one request. A panic ends the request and not the thread.
    pub fn handle(&self, request: tiny_http::Request, bodies: &gate::Bodies) {
        let began = Instant::now();
        let call = read_call(&request, bodies);
        let answered = catch_unwind(AssertUnwindSafe(|| self.answer(&call, began)));
        let mut answer = answered.unwrap_or_else(|_| {
            log::error("request_failed", &[("request", &call.id), ("target", &call.head.target)]);
            Refusal::new(503, format!("The server failed (request {}): try again.", call.id)).into()
        });
        self.metrics.answered(call.head.is_upload(), answer.status);
        answer.headers.push(("X-Request-Id", call.id.clone()));
        if let Err(error) = respond(request, answer) {
            log::warn("answer_not_sent", &[("request", &call.id), ("error", &error)]);
        }
    }

    fn answer(&self, call: &Call, began: Instant) -> Answer {
        let answered = self.route(&call.head).and_then(|route| match route {
            Route::Upload => self.upload(call),
            Route::Health => Ok(Answer::json(200, object(&[("status", "ok")]))),
            Route::Object(key) => self.object(key, call),
            Route::Page(file) => Ok(self.page_file(file, call)),
        });
        match answered {
            Ok(answer) if answer.status == 202 => answer, // it has logged more than this
            Ok(answer) => {
                log_request(call, &answer, began, None);
                answer
            }
            Err(refusal) => {
                let answer = Answer::from(refusal.clone());
                log_request(call, &answer, began, Some(&refusal.message));
                answer
            }
        }
    }

    fn upload(&self, call: &Call) -> Result<Answer, Refusal> {
        let content_type = call.head.content_type.as_deref().unwrap_or_default();
        let image = multipart::image_field(content_type, &call.body)
            .map_err(|e| Refusal::new(e.status(), e.to_string()))?;
        let inspected = inspect(image, self.max_pixels).map_err(|e| Refusal::new(400, e.to_string()))?;

        let began = Instant::now();
        let original = self.store_original(image, &inspected, call)?;
        let store = began.elapsed();
        let thumbnails = inspected.thumbnail_format();
        self.queue_job(Job { original, thumbnails, uploaded_at: SystemTime::now() }, call)?;
        let queue = began.elapsed() - store;
        self.metrics.upload_bytes.add(image.len() as u64);
        self.metrics.body.observe(call.body_took);
        self.metrics.store.observe(store);
        self.metrics.queue.observe(queue);
        log::info(
            "upload",
            &[
                ("request", &call.id),
                ("peer", &call.peer),
                ("client", &call.client),
                ("id", &original.id),
                ("status", &202),
                ("bytes", &image.len()),
                ("width", &inspected.width),
                ("height", &inspected.height),
                ("format", &original.format.extension()),
                ("body_ms", &call.body_took.as_millis()),
                ("store_ms", &store.as_millis()),
                ("queue_ms", &queue.as_millis()),
            ],
        );
        Ok(Answer::json(202, self.urls(original, thumbnails)))
    }

    fn store_original(&self, image: &[u8], inspected: &Inspected, call: &Call) -> Result<Key, Refusal> {
        for _ in 0..MAX_IDS {
            let id = ImageId::random()
                .map_err(|error| unavailable(call, "random source", Cause::of_io(&error), &error))?;
            let key = Key::original(id, inspected.format);
            match self.store.create(&key, image) {
                Ok(()) => return Ok(key),
                Err(StoreError::Exists(key)) => {
                    log::warn("id_taken", &[("request", &call.id), ("key", &key)])
                }
                Err(error) => return Err(unavailable(call, "store", error.cause(), &error)),
            }
        }
        Err(unavailable(call, "store", Cause::Other, &"every new id was taken"))
    }

    fn queue_job(&self, job: Job, call: &Call) -> Result<(), Refusal> {
        let Err(error) = self.queue.send(&job) else { return Ok(()) };
        // Should this fail too, an object stays that nobody knows the name of.
        if let Err(error) = self.store.delete(&job.original) {
            log::warn(
                "original_left_behind",
                &[("request", &call.id), ("key", &job.original), ("error", &error)],
            );
        }
        Err(unavailable(call, "queue", error.cause(), &error))
    }

    fn urls(&self, original: Key, thumbnails: ThumbnailFormat) -> String {
        let url = |key: Key| format!("{}/{key}", self.public_url);
        let thumbnail = |size| url(Key::thumbnail(original.id, size, thumbnails));
        object(&[
            ("original", &url(original)),
            ("small", &thumbnail(Size::Small)),
            ("medium", &thumbnail(Size::Medium)),
            ("large", &thumbnail(Size::Large)),
        ])
    }

    fn object(&self, key: Key, call: &Call) -> Result<Answer, Refusal> {
        let bytes = match self.store.get(&key, MAX_OBJECT_BYTES) {
            Ok(bytes) => bytes,
            Err(StoreError::NotFound(_)) => return Ok(self.not_found(key)),
            Err(error) => return Err(unavailable(call, "store", error.cause(), &error)),
        };
        let mut headers = vec![("Cache-Control", CACHE_CONTROL.to_owned())];
        headers.push(("Content-Type", key.format.content_type().to_owned()));
        headers.extend(SECURITY_HEADERS.map(|(name, value)| (name, value.to_owned())));
        Ok(unless_known(call, headers, bytes))
    }

    fn page_file(&self, file: &page::File, call: &Call) -> Answer {
        let headers = self.page.as_ref().map(|page| page.headers(file)).unwrap_or_default();
        unless_known(call, headers, file.bytes.to_vec())
    }

    /// A thumbnail that is asked for too early is worth asking for again; anything else is not.
    fn not_found(&self, key: Key) -> Answer {
        let being_made = self.is_being_made(&key);
        let mut answer = Answer::from(if being_made {
            Refusal::new(404, "The thumbnail is being made: ask again in a second.")
        } else {
            Refusal::new(404, "There is no such image.")
        });
        if being_made {
            answer.headers.push(("Retry-After", "1".into()));
        }
        answer
    }

    /// There is an original, and no thumbnail of this size: not in the other format either.
    fn is_being_made(&self, key: &Key) -> bool {
        let Kind::Thumbnail(size) = key.kind else { return false };
        let exists = |key: Key| self.store.exists(&key).unwrap_or(false);
        let other = match key.format {
            Format::Jpeg => ThumbnailFormat::Png,
            Format::Png => ThumbnailFormat::Jpeg,
            Format::Gif | Format::WebP => return false,
        };
        !exists(Key::thumbnail(key.id, size, other))
            && Format::ALL.into_iter().any(|format| exists(Key::original(key.id, format)))
    }
}

/// 200, or 304 for who says that it has these bytes.
fn unless_known(call: &Call, mut headers: Vec<(&'static str, String)>, body: Vec<u8>) -> Answer {
    let etag = etag(&body);
    let known = matches_etag(call.head.if_none_match.as_deref(), &etag);
    headers.push(("ETag", etag));
    Answer { status: if known { 304 } else { 200 }, headers, body } // a 304 is sent without, but for its length
}

fn log_request(call: &Call, answer: &Answer, began: Instant, error: Option<&str>) {
    let (ms, body_bytes) = (began.elapsed().as_millis(), call.body.len());
    let body_ms = call.body_took.as_millis();
    let is_headers_only = answer.status == 304 || call.head.method == "HEAD";
    let sent_bytes = if is_headers_only { 0 } else { answer.body.len() };
    let mut fields: Vec<(&str, &dyn Display)> = vec![
        ("request", &call.id),
        ("peer", &call.peer),
        ("client", &call.client),
        ("method", &call.head.method),
        ("target", &call.head.target),
        ("status", &answer.status),
        ("body_bytes", &body_bytes),
        ("sent_bytes", &sent_bytes),
        ("body_ms", &body_ms),
        ("ms", &ms),
    ];
    if let Some(error) = &error {
        fields.push(("error", error));
    }
    log::info("request", &fields);
}

fn only_get() -> Refusal {
    Refusal::method_not_allowed("GET, HEAD", "Only GET and HEAD are taken here.")
}

/// What happened to us is logged whole; the client gets the id that finds it in the log.
fn unavailable(call: &Call, what: &str, cause: Cause, error: &dyn Display) -> Refusal {
    log::error("unavailable", &[("request", &call.id), ("what", &what), ("cause", &cause), ("error", error)]);
    let message = format!("This cannot be done right now: try again in a few seconds (request {}).", call.id);
    Refusal::new(503, message)
}

fn read_call(request: &tiny_http::Request, bodies: &gate::Bodies) -> Call {
    let header = |name: &'static str| {
        let found = request.headers().iter().find(|header| header.field.equiv(name));
        found.map(|header| header.value.as_str().to_owned())
    };
    let body = header(gate::BODY).and_then(|number| number.parse().ok()).map(|number| bodies.pick_up(number));
    let body = body.unwrap_or_default();
    let head = Head {
        method: request.method().as_str().to_owned(),
        target: request.url().to_owned(),
        content_length: body.len() as u64,
        content_type: header("Content-Type"),
        if_none_match: header("If-None-Match"),
        ..Head::default()
    };
    let id = header(gate::REQUEST).unwrap_or_default();
    let peer = header(gate::PEER).unwrap_or_default();
    let client = header(gate::CLIENT).unwrap_or_default();
    let body_us = header(gate::BODY_US).and_then(|us| us.parse().ok()).unwrap_or_default();
    Call { id, head, peer, client, body_took: Duration::from_micros(body_us), body }
}

fn respond(request: tiny_http::Request, mut answer: Answer) -> std::io::Result<()> {
    let mut response = tiny_http::Response::from_data(std::mem::take(&mut answer.body))
        .with_status_code(answer.status)
        .with_chunked_threshold(usize::MAX);
    answer.headers.push(("Server", super::SERVER.into()));
    // Names are literals, and values ours: ASCII, without line ends. tiny_http would refuse any others.
    let headers = answer
        .headers
        .iter()
        .filter_map(|(name, value)| tiny_http::Header::from_bytes(*name, value.as_str()).ok());
    headers.for_each(|header| response.add_header(header));
    request.respond(response)
}

/// Whether an `Accept` header names application/json with a weight above zero (RFC 9110, 12.5.1). None, or an empty one, says
/// nothing against it. A wildcard does not count: the contract wants it named.
fn accepts_json(accept: Option<&str>) -> bool {
    let accept = accept.unwrap_or_default();
    accept.trim().is_empty()
        || accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json"));
            named && !parts.any(is_zero_weight)
        })
}

fn is_zero_weight(parameter: &str) -> bool {
    let Some((name, weight)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("q") && weight.trim().parse::<f32>().is_ok_and(|weight| weight == 0.0)
}

/// A strong validator: the CRC-32 and the length of the bytes.
fn etag(bytes: &[u8]) -> String {
    format!("\"{:08x}-{:x}\"", crc32fast::hash(bytes), bytes.len())
}

/// RFC 9110, 13.1.2: a list of validators, compared weakly, or a star.
fn matches_etag(if_none_match: Option<&str>, etag: &str) -> bool {
    if_none_match.is_some_and(|list| {
        list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    })
}

#[cfg(test)]
mod tests;
