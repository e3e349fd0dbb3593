//! What the gate asks of the server, and what it says: its events become log lines and numbers.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gate::{Event, Fatal, Refusal};

use super::answer::Answer;
use super::api::Api;
use super::request::RequestHead;
use crate::support::log;
use crate::support::shutdown::Shutdown;

/// Why a server cannot go on. It does not come back: end the process, and have it started again.
#[derive(Debug)]
pub enum ServerError {
    Gate(Fatal),
    /// tiny_http does not accept any more.
    Inner(io::Error),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server cannot go on: ")?;
        match self {
            ServerError::Gate(failure) => failure.fmt(f),
            ServerError::Inner(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ServerError::Gate(failure) => Some(failure),
            ServerError::Inner(error) => Some(error),
        }
    }
}

/// Keeps the first error that the server cannot go on after, and asks the process to stop.
pub(super) struct Failed {
    first: Mutex<Option<ServerError>>,
    shutdown: Shutdown,
}

impl Failed {
    pub(super) fn new(shutdown: Shutdown) -> Failed {
        Failed { first: Mutex::default(), shutdown }
    }

    pub(super) fn report(&self, error: ServerError) {
        let mut first = self.lock();
        if first.is_some() {
            return;
        }
        match &error {
            ServerError::Gate(Fatal::Accepting { failures }) => {
                log::error("accepting_ended", &[("failures", failures)]);
            }
            ServerError::Gate(failure) => log::error("ended", &[("error", failure)]),
            ServerError::Inner(error) => log::error("private_socket_failed", &[("error", error)]),
        }
        *first = Some(error);
        self.shutdown.request();
    }

    /// Waits until the process is to stop. Fails if that is because of an error.
    pub(super) fn wait(&self) -> Result<(), ServerError> {
        self.shutdown.wait();
        self.lock().take().map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Option<ServerError>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Hooks {
    pub(super) api: Arc<Api>,
    pub(super) failed: Arc<Failed>,
}

impl gate::Hooks for Hooks {
    fn check_head(&self, head: &gate::Head) -> Result<(), Refusal> {
        self.api.check_head(&RequestHead::from(head)).map(drop)
    }

    fn refusal_answer(&self, request: &gate::Request, refusal: &Refusal) -> Vec<u8> {
        Answer::from(refusal).into_bytes(&request.id, request.head.method == "HEAD")
    }

    fn observe(&self, event: Event) {
        let metrics = &self.api.metrics;
        match event {
            Event::Connected => metrics.connections.add(1),
            Event::Disconnected => metrics.connections.subtract(1),
            Event::Evicted => metrics.evicted.add(1),
            Event::Refused { request, refusal } => self.log_refusal(request, refusal),
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

impl Hooks {
    fn log_refusal(&self, request: &gate::Request, refusal: &Refusal) {
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
    }
}
