//! The first half of the pipeline, from a POST to a queued job. Behind the [gate] it is an ordinary tiny_http program: threads
//! take requests from `recv()`, read the body, and respond.
//!
//! A reader may follow one upload: [api] takes the request, routes.rs says what it is for, upload.rs finds the image in the body
//! (form.rs, by [form_data]), makes sure of it ([pictures::inspect]), stores it, queues its job and answers. The
//! [worker](crate::worker) does the rest. objects.rs and [page] serve what a browser asks for. limits.rs has the server's limits
//! with their reasons. hooks.rs is what the gate calls: it checks heads, and turns the gate's events into log lines and metrics.

mod answer;
pub mod api;
mod form;
mod hooks;
mod limits;
mod objects;
pub mod page;
mod refusal;
mod request;
mod routes;
mod upload;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use gate::{Gate, Networks, PrivateSocket, SocketDirectory};

use api::Api;
use hooks::{FailureReport, ServerHooks};
use limits::{DRAIN_TIMEOUT, HANDLERS, gate_limits};

pub use hooks::ServerError;
pub use limits::MAX_CONNECTIONS;

use crate::support::descriptors;
use crate::support::env::Env;
use crate::support::shutdown::Shutdown;

pub struct Server {
    gate: Gate,
    failure: Receiver<ServerError>,
    shutdown: Shutdown,
    socket_directory: SocketDirectory,
}

impl Server {
    /// Listens on `listener` and serves until [`drain`](Server::drain). What `trusted_proxies` say of their clients is believed.
    /// The private socket, between the gate and tiny_http, goes to the first of `socket_places` that can be used. If the server
    /// cannot go on, it requests the shutdown.
    pub fn start(
        listener: TcpListener,
        trusted_proxies: Networks,
        socket_places: &[PathBuf],
        api: Api,
        shutdown: &Shutdown,
    ) -> io::Result<Server> {
        let limits = gate_limits(descriptors::raise_limit())?;
        let PrivateSocket { listener: private_listener, directory } =
            PrivateSocket::bind("image-sharer", socket_places).map_err(io::Error::other)?;
        let (first, failure) = sync_channel(1);
        let failed = FailureReport { first, shutdown: shutdown.clone() };
        let api = Arc::new(api);
        let inner =
            Arc::new(tiny_http::Server::from_listener(private_listener, None).map_err(io::Error::other)?);
        for number in 0..HANDLERS {
            let (inner, api, failed) = (inner.clone(), api.clone(), failed.clone());
            thread::Builder::new()
                .name(format!("handler-{number}"))
                .spawn(move || handle_all(&inner, &api, &failed))?;
        }
        let settings = gate::Settings {
            limits,
            trusted_proxies,
            passed_on: request::HEADERS,
            private_socket: directory.path(),
            hooks: Arc::new(ServerHooks { api, failed }),
        };
        let gate = Gate::open(listener, settings)?;
        Ok(Server { gate, failure, shutdown: shutdown.clone(), socket_directory: directory })
    }

    /// The address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.gate.address()
    }

    /// Waits until the shutdown is requested. Fails if the server requested it because it cannot go on.
    pub fn wait(&self) -> Result<(), ServerError> {
        self.shutdown.wait();
        self.failure.try_recv().map_or(Ok(()), Err)
    }

    /// Stops taking requests and finishes those in hand. Says whether all were finished in time.
    pub fn drain(self) -> bool {
        let finished = self.gate.drain(DRAIN_TIMEOUT);
        drop(self.socket_directory);
        finished
    }
}

/// One of the pool's threads. It ends when tiny_http does.
fn handle_all(inner: &tiny_http::Server, api: &Api, failed: &FailureReport) {
    loop {
        match inner.recv() {
            Ok(request) => api.handle(request),
            Err(error) => return failed.report(ServerError::Inner(error.into())),
        }
    }
}

/// Where the private socket may be, the best place first. `XDG_RUNTIME_DIR` is none of them: it is deleted when the user logs
/// out, and a server may run on.
pub fn socket_places(env: &Env) -> Vec<PathBuf> {
    let set = ["RUNTIME_DIRECTORY", "TMPDIR"].into_iter().filter_map(|variable| env.get(variable));
    // A container whose root is read-only still has /dev/shm.
    let usual = ["/tmp", "/dev/shm", "."];
    set.chain(usual).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests;
