//! The functions that the gate calls: they check heads, answer refused requests, and turn events into log lines and metrics.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use gate::{Event, Fatal, Refusal};

use super::answer::Answer;
use super::api::Api;
use super::request::RequestHead;
use crate::support::log;
use crate::support::shutdown::Shutdown;

/// Why a server cannot go on. It does not come back: end the process, and have it started again.
#[derive(Clone, Debug)]
pub enum ServerError {
    Gate(Fatal),
    /// tiny_http does not accept any more.
    Inner(Arc<io::Error>),
}

impl ServerError {
    fn log(&self) {
        match self {
            ServerError::Gate(Fatal::Accepting { failures }) => {
                log::error("accepting_ended", &[("failures", failures)]);
            }
            ServerError::Gate(failure) => log::error("ended", &[("error", failure)]),
            ServerError::Inner(error) => log::error("private_socket_failed", &[("error", error)]),
        }
    }

    fn cause(&self) -> &(dyn Error + 'static) {
        match self {
            ServerError::Gate(failure) => failure,
            ServerError::Inner(error) => error.as_ref(),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server cannot go on: {}", self.cause())
    }
}

impl Error for ServerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.cause())
    }
}

/// By this a part of the server reports that it cannot go on.
#[derive(Clone)]
pub(super) struct FailureReport {
    /// Holds one error: the first is the cause of any others.
    pub(super) first: SyncSender<ServerError>,
    pub(super) shutdown: Shutdown,
}

impl FailureReport {
    /// Logs the first error, and asks the process to stop.
    pub(super) fn report(&self, error: ServerError) {
        if self.first.try_send(error.clone()).is_ok() {
            error.log();
        }
        self.shutdown.request();
    }
}

pub(super) struct ServerHooks {
    pub(super) api: Arc<Api>,
    pub(super) failed: FailureReport,
}

impl gate::Hooks for ServerHooks {
    fn check_head(&self, head: &gate::Head) -> Result<(), Refusal> {
        self.api.check_head(&RequestHead::from(head)).map(drop)
    }

    fn answer_refused(&self, request: &gate::Request, refusal: &Refusal) -> Vec<u8> {
        let is_upload = RequestHead::from(&request.head).is_upload();
        self.api.metrics.answered(is_upload, refusal.status);
        log::info(
            "refused",
            &[
                ("request", &request.id),
                ("peer", &request.peer),
                ("client", &request.client()),
                ("method", &request.head.method),
                ("target", &request.head.target),
                ("status", &refusal.status),
                ("error", &refusal.message),
            ],
        );
        Answer::from(refusal).into_bytes(&request.id, request.head.method == "HEAD")
    }

    fn observe(&self, event: Event) {
        let metrics = &self.api.metrics;
        match event {
            Event::Connected => metrics.connections.add(1),
            Event::Disconnected => metrics.connections.subtract(1),
            Event::Evicted => metrics.evicted.add(1),
            Event::AcceptFailed { error, connections } => {
                log::warn("accept_failed", &[("error", error), ("connections", &connections)]);
            }
            Event::NoThread { peer, error } => log::warn("no_thread", &[("peer", &peer), ("error", error)]),
            Event::UpstreamFailed { request, error } => {
                log::error("handler_failed", &[("request", &request.id), ("error", error)]);
            }
            Event::Failed(failure) => self.failed.report(ServerError::Gate(failure)),
        }
    }
}
