//! The first half of the pipeline, from a POST to a queued job, a file a step: the [gate] takes requests in, [head] reads what
//! each begins with, and the [api] finds the image in the body ([multipart]), makes sure of it ([inspect](mod@inspect)), stores
//! it, queues its job and answers. The [worker](crate::worker) does the rest.

pub mod api;
pub mod gate;
pub mod head;
pub mod multipart;
pub mod page;
pub mod refusal;

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use api::Api;
use gate::{Bodies, Gate};

use crate::domain::image_id::ImageId;
use crate::support::log;
use crate::support::networks::Networks;

/// What every answer is said to come from.
const SERVER: &str = "my-little-image-sharer";

/// How long requests in hand may take to finish once the server is told to stop. An upload that has just begun takes 20
/// seconds for its body at most, and some milliseconds for a store and a queue that are well. Their worst is 40 s more: a client
/// that is cut off then has no answer, and comes again.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// A running server.
pub struct Server {
    gate: Gate,
    private_socket: PrivateSocket,
}

impl Server {
    /// Listens on `listener` and serves until [`drain`](Server::drain). What `trusted` proxies say of their clients is believed.
    pub fn start(listener: TcpListener, trusted: Networks, api: Api) -> io::Result<Server> {
        let private_socket = PrivateSocket::new()?;
        let path = private_socket.path();
        let inner = tiny_http::Server::http_unix(&path)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        let (inner, api, bodies) = (Arc::new(inner), Arc::new(api), Arc::new(Bodies::default()));
        for number in 0..gate::HANDLERS {
            let (inner, api, bodies) = (inner.clone(), api.clone(), bodies.clone());
            thread::Builder::new()
                .name(format!("handler-{number}"))
                .spawn(move || handle_all(&inner, &api, &bodies))?;
        }
        let metrics = api.metrics.clone();
        let check_head = Box::new(move |head: &head::Head| api.check_head(head));
        let gate = Gate::open(listener, trusted, path, check_head, bodies, metrics)?;
        Ok(Server { gate, private_socket })
    }

    /// The address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.gate.address()
    }

    /// Stops taking requests and finishes those in hand. Says whether all were finished in time.
    pub fn drain(self) -> bool {
        let finished = self.gate.drain(DRAIN_TIMEOUT);
        drop(self.private_socket);
        finished
    }
}

/// One of the pool's threads. tiny_http's own failure is the end of the process: its accept loop does not come back.
fn handle_all(inner: &tiny_http::Server, api: &Api, bodies: &Bodies) {
    loop {
        match inner.recv() {
            Ok(request) => api.handle(request, bodies),
            Err(error) => {
                log::error("private_socket_failed", &[("error", &error)]);
                std::process::exit(1);
            }
        }
    }
}

/// The socket between the gate and tiny_http: a file in a directory that only this user can enter, removed when dropped.
struct PrivateSocket {
    directory: PathBuf,
}

impl PrivateSocket {
    fn new() -> io::Result<PrivateSocket> {
        let temporary = std::env::temp_dir();
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", temporary.display()));
        fs::create_dir_all(&temporary).map_err(named)?; // a bare root directory has none
        // A socket's path may have some 100 characters, of which a Mac's temporary directory takes half.
        let random: String = ImageId::random()?.to_string().chars().take(12).collect();
        let directory = temporary.join(format!("image-sharer-{random}"));
        DirBuilder::new().mode(0o700).create(&directory).map_err(named)?;
        Ok(PrivateSocket { directory })
    }

    fn path(&self) -> PathBuf {
        self.directory.join("s")
    }
}

impl Drop for PrivateSocket {
    fn drop(&mut self) {
        // What is left behind in a temporary directory does no harm.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
