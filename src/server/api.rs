//! From a request to its answer: one function that tiny_http's threads call.
//!
//! [routes](super::routes) says what a request is for. An upload goes on in [upload](super::upload), an image or a file of the
//! page in [objects](super::objects), and every answer ends in [answer](super::answer).

use std::fmt::Display;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use super::answer::Answer;
use super::page::Page;
use super::refusal::Refusal;
use super::request::{Incoming, read_body, skip_body};
use super::routes::Route;
use crate::domain::failure::Cause;
use crate::domain::queue::Queue;
use crate::domain::store::Store;
use crate::support::log;
use crate::support::metrics::ServerMetrics;
use crate::support::secret::Secret;

/// Everything that a handler needs.
pub struct Api {
    pub store: Arc<dyn Store>,
    pub queue: Arc<dyn Queue>,
    /// What comes before an object's key in its URL, without a slash at the end.
    pub public_url: String,
    /// The most pixels that an upload may have.
    pub max_pixels: u64,
    /// The token that an upload needs, if not everyone may upload.
    pub upload_token: Option<Secret>,
    /// Whether objects are served too; on AWS that is CloudFront's work.
    pub serves_objects: bool,
    /// The page to share from, if there is to be one.
    pub page: Option<Page>,
    pub metrics: Arc<ServerMetrics>,
}

impl Api {
    /// Answers one request. A panic ends the request and not the thread.
    pub(super) fn handle(&self, mut request: tiny_http::Request) {
        let began = Instant::now();
        let incoming = Incoming::from(&request);
        let answered = catch_unwind(AssertUnwindSafe(|| self.answer(&incoming, &mut request, began)));
        let answer = answered.unwrap_or_else(|_| {
            let id = &incoming.id;
            log::error("request_failed", &[("request", id), ("target", &incoming.head.target)]);
            Answer::from(&Refusal::new(503, format!("The server failed (request {id}): try again.")))
        });
        self.metrics.answered(incoming.head.is_upload(), answer.status);
        if let Err(error) = answer.send(request, &incoming.id) {
            log::warn("answer_not_sent", &[("request", &incoming.id), ("error", &error)]);
        }
    }

    fn answer(&self, incoming: &Incoming, request: &mut tiny_http::Request, began: Instant) -> Answer {
        let answered = self
            .check_head(&incoming.head)
            .and_then(|route| self.follow(route, incoming, request.as_reader()));
        match answered {
            Ok(answer) if answer.status == 202 => answer, // `upload` has logged more than this
            Ok(answer) => {
                log_request(incoming, &answer, began, None);
                answer
            }
            Err(refusal) => {
                let answer = Answer::from(&refusal);
                log_request(incoming, &answer, began, Some(&refusal.message));
                answer
            }
        }
    }

    fn follow(&self, route: Route, incoming: &Incoming, body: &mut dyn Read) -> Result<Answer, Refusal> {
        match route {
            Route::Upload { length } => self.upload(incoming, &read_body(body, length)?),
            Route::Health => Ok(Answer::json(200, &[("status", "ok")])),
            Route::Object(key) => {
                skip_body(body);
                self.object(key, incoming)
            }
            Route::Page(file) => {
                skip_body(body);
                Ok(self.page_file(file, incoming))
            }
        }
    }
}

fn log_request(incoming: &Incoming, answer: &Answer, began: Instant, error: Option<&str>) {
    let Incoming { head, id, peer, client, body_took } = incoming;
    let (ms, body_ms) = (began.elapsed().as_millis(), body_took.as_millis());
    let is_headers_only = answer.status == 304 || head.method == "HEAD";
    let sent_bytes = if is_headers_only { 0 } else { answer.body.len() };
    let mut fields: Vec<(&str, &dyn Display)> = vec![
        ("request", id),
        ("peer", peer),
        ("client", client),
        ("method", &head.method),
        ("target", &head.target),
        ("status", &answer.status),
        ("body_bytes", head.content_length.as_ref().unwrap_or(&0)),
        ("sent_bytes", &sent_bytes),
        ("body_ms", &body_ms),
        ("ms", &ms),
    ];
    if let Some(error) = &error {
        fields.push(("error", error));
    }
    log::info("request", &fields);
}

/// A 503. The log gets the whole error, and the client only the request's id, which finds it there.
pub(super) fn unavailable(incoming: &Incoming, what: &str, cause: Cause, error: &dyn Display) -> Refusal {
    let id = &incoming.id;
    log::error("unavailable", &[("request", id), ("what", &what), ("cause", &cause), ("error", error)]);
    Refusal::new(503, format!("This cannot be done right now: try again in a few seconds (request {id})."))
}
